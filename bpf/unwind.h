/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind.h - unwind tables in BPF maps: user space writes them, the walker (unwind.bpf.h)
 * searches them. Compiled by both compilers.
 *
 * Everything lies in blocks of 4 KB, which come in segments of 256: the map "blocks" holds up to
 * PA_SEGMENTS_MAX segments, each an array map of its own, made when it is first needed. Block 0
 * is never used. From a pc to its rule:
 *
 *   procs[tgid]     -> the block with the process's executable mappings, sorted by start
 *   mapping         -> the block with the page index of that stretch of the image, and the
 *                      address that slot 0 of the block stands for
 *   slot            -> block, first row and number of rows of one page of 4 KB
 *   row             -> offset in the page << 16 | number of a rule; a row holds up to the next
 *   rules[number]   -> how to find the caller's registers
 *
 * Images are packed by src/unwind/pack.h and put into blocks by src/capture/tables.h.
 */
#ifndef PA_BPF_UNWIND_H
#define PA_BPF_UNWIND_H

#include <linux/types.h>

#include "cpu.h"

#define PA_BLOCK_BYTES 4096
#define PA_SEGMENT_BLOCKS 256
#define PA_SEGMENTS_MAX 1024
#define PA_RULES_MAX 65536
#define PA_TEXT_PAGE_SHIFT 12 /* of the tables, whatever the kernel's pages are */

/* ---- rows ----------------------------------------------------------------------------------- */

#define PA_BLOCK_ROWS (PA_BLOCK_BYTES / 4)
#define PA_ROW(offset, rule) ((__u32)(offset) << 16 | (rule))
#define PA_ROW_RULE(row) ((row)&0xffff)

/** One page of text. Its rows lie in one block and are sorted; the first is at offset 0, unless
 *  there are none: then nothing is known of the page, as of rule PA_RULE_NONE. */
struct pa_text_page {
	__u32 block;
	__u16 first; /* row; first + cnt <= PA_BLOCK_ROWS */
	__u16 cnt;   /* and PA_PAGE_KEEPS_FP */
};
_Static_assert(sizeof(struct pa_text_page) == 8, "text page layout");
#define PA_BLOCK_PAGES (PA_BLOCK_BYTES / 8)
/* Every place of the page that a call can return to has a frame pointer's frame: caller's frame
 * pointer at [fp], return address at [fp + 8]. */
#define PA_PAGE_KEEPS_FP 0x8000

/* ---- rules ---------------------------------------------------------------------------------- */

/* Values are stored in cache files: append only. */
enum pa_cfa_kind {
	PA_CFA_NONE = 0,     /* no CFI: frame pointers are worth a try */
	PA_CFA_SP = 1,	     /* sp + cfa_off */
	PA_CFA_FP = 2,	     /* fp + cfa_off */
	PA_CFA_DEREF_SP = 3, /* *(sp + cfa_off) + cfa_add */
	PA_CFA_DEREF_FP = 4, /* *(fp + cfa_off) + cfa_add */
	PA_CFA_PLT = 5,	     /* x86-64 PLT entry: sp + 8 + ((pc & 15) >= cfa_off ? 8 : 0) */
	PA_CFA_SIGNAL = 6, /* signal frame of the kernel at sp: registers as the kernel lays them */
	PA_CFA_STOP = 7,   /* outermost frame */
	PA_CFA_COMPLEX = 8, /* a rule that needs more than this: user space finishes the walk */
};

enum pa_fp_kind {
	PA_FP_SAME = 0,	   /* not changed */
	PA_FP_AT_CFA = 1,  /* saved at CFA + fp_off */
	PA_FP_AT_FP = 2,   /* saved at fp + fp_off */
	PA_FP_UNKNOWN = 3, /* not to be used in the callers */
};

enum pa_ra_kind {
	PA_RA_AT_CFA = 0, /* saved at CFA + ra_off */
	PA_RA_LR = 1, /* aarch64: in the link register, of a leaf or what a signal interrupted */
};

/** How to find the caller's pc, sp (the CFA) and fp. On aarch64 a return address may carry a
 *  signature, which is always stripped. */
struct pa_unwind_rule {
	__u8 cfa, fp, ra; /* enum pa_cfa_kind, pa_fp_kind, pa_ra_kind */
	__u8 pad;	  /* 0 */
	__s32 cfa_off, cfa_add;
	__s16 fp_off, ra_off;
};
_Static_assert(sizeof(struct pa_unwind_rule) == 16, "rule layout");
#define PA_RULE_ID_NONE 0    /* all zero: PA_CFA_NONE */
#define PA_RULE_ID_COMPLEX 1 /* PA_CFA_COMPLEX */

/* ---- mappings and processes ----------------------------------------------------------------- */

enum pa_mapping_kind {
	PA_MAPPING_TABLE = 1, /* slot (pc - base) >> PA_TEXT_PAGE_SHIFT of index_block */
	PA_MAPPING_FP = 2,    /* frame pointers: JIT code, Go, files without CFI, over the budget */
	PA_MAPPING_ABSENT = 3, /* its table is not there yet: user space finishes the walk */
};

#define PA_BLOCK_MAPPINGS (PA_BLOCK_BYTES / 32)

struct pa_mapping {
	__u64 end;  /* exclusive */
	__u64 base; /* runtime address that slot 0 stands for; wraps */
	__u32 index_block;
	__u16 kind;
	__u16 keeps_fp; /* all its pages have PA_PAGE_KEEPS_FP */
};

/** A block of mappings. Invariants: sorted, disjoint; none beyond PA_BLOCK_PAGES slots; unused
 *  starts are ~0. */
struct pa_mapping_block {
	__u64 start[PA_BLOCK_MAPPINGS];
	struct pa_mapping map[PA_BLOCK_MAPPINGS];
};
_Static_assert(sizeof(struct pa_mapping_block) == PA_BLOCK_BYTES, "mapping block layout");

/** A process that user space knows. With more than PA_BLOCK_MAPPINGS mappings, block is a
 *  directory: start[] of the blocks whose numbers are in map[].index_block. */
struct pa_unwind_proc {
	__u32 block;
	__u32 cnt;    /* mappings, or blocks of them */
	__u32 seq;    /* what unwind_seq had: another value there, and this is stale */
	__u8 is_open; /* else: as if it were not there, to the walker */
	__u8 is_directory;
	__u16 turn; /* another one each time */
};
_Static_assert(sizeof(struct pa_unwind_proc) == 16, "process layout");

/** By tgid modulo PA_SEQ_SLOTS. stale changes when what procs says of such a process can't hold
 *  any more (it exec'd, is a new process, or mapped code over a mapping that procs has); mapped,
 *  whenever it maps code anywhere: user space compares it before and after it has read the
 *  mappings. The walker remembers rules by pc, tgid, seq, block and turn: what is right for a pc
 *  changes only together with one of the last three. */
struct pa_unwind_seq {
	__u32 stale, mapped;
};
#define PA_SEQ_SLOTS 65536

/* Values of the programs' setting unwind_mode. */
enum pa_unwind_mode {
	PA_UNWIND_FP = 0,     /* frame pointers */
	PA_UNWIND_TABLES = 1, /* tables where there are any */
};

/* ---- walks that user space finishes --------------------------------------------------------- */

enum pa_miss_reason {
	PA_MISS_PROCESS = 1, /* not in procs, or stale */
	PA_MISS_MAPPING = 2, /* a pc in no mapping, or one whose table is absent */
	PA_MISS_COMPLEX = 3, /* a rule that needs more */
};

#define PA_MISS_REGS 33		  /* DWARF's numbers; x86-64: 0 to 16, aarch64: x0 to x30, sp, pc */
#define PA_MISS_KERNEL_SLOTS 128  /* marker and kernel frames */
#define PA_MISS_STACK_BYTES 61440 /* at most: a record is less than 64 KB */
#define PA_RING_TYPE_MISS 0x10001 /* ring entry: struct pa_miss_record */
#define PA_RING_TYPE_WALK 0x10002 /* the same, with the user part of the chain: for tests */

/** How a walk ended. */
enum pa_walk_end {
	PA_WALK_GO_ON = 0,
	PA_WALK_COMPLETE = 1,  /* at the outermost frame */
	PA_WALK_TRUNCATED = 2, /* the stack does not fit the rules, or there is nothing to go by */
	PA_WALK_FAULTED = 3,   /* memory that could not be read */
	PA_WALK_DEEP = 4,      /* PA_FRAMES_MAX */
	PA_WALK_MISS = 16,     /* + enum pa_miss_reason: user space is to finish it */
};

/** A sample whose user stack is still to be walked: everything of its record but the user's part
 *  of the chain, the user's registers, and a copy of the stack from sp up. Only the first
 *  offsetof(stack) + 8 * branch_slots + stack_bytes bytes are in the ring, rounded up to 8. */
struct pa_miss_record {
	__u32 type;
	__u16 misc;
	__u16 size; /* of this entry */
	__u64 id;
	__u64 ip;
	__u32 pid, tid;
	__u64 time;
	__u32 cpu, res;
	__u64 period;
	__u64 nr; /* slots of ips in use; the kernel's part */
	__u64 ips[PA_MISS_KERNEL_SLOTS];
	__u16 reason;	    /* enum pa_miss_reason; of PA_RING_TYPE_WALK: enum pa_walk_end */
	__u16 branch_slots; /* 0, or PA_BRANCH_SLOTS at the begin of stack */
	__u32 stack_bytes;  /* behind these */
	__u64 regs[PA_MISS_REGS];
	__u8 stack[PA_MISS_STACK_BYTES + 8 * PA_BRANCH_SLOTS];
};
_Static_assert(sizeof(struct pa_miss_record) < 65536, "its size fits 16 bits");

#endif
