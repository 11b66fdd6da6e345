/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - what the files of src/unwind/ share: a bounded cursor over DWARF bytes, sections
 * with call frame information, their entries, the machine that runs an entry's instructions, and
 * the rules of packed tables.
 * Nothing here is used outside of this folder and its unit tests.
 */
#ifndef PA_UNWIND_INTERNAL_H
#define PA_UNWIND_INTERNAL_H

#include "bpf/unwind.h"
#include "symbolize/internal.h"
#include "unwind/cfi.h"

/* Limits on what one hostile file can make us do. */
#define PA_CFI_SECTION_MAX_BYTES (256u << 20)
#define PA_CFI_AUGMENTATION_MAX 32u /* letters */
#define PA_CFI_LEB_MAX_BYTES 32u
#define PA_CFI_REMEMBER_MAX 32	    /* depth of DW_CFA_remember_state */
#define PA_CFI_REMEMBER_COST 16u    /* in instructions */
#define PA_CFI_INSNS_MAX (1u << 20) /* of one entry; those of real code have hundreds */
#define PA_CFI_WORK_MAX (1u << 28)  /* instructions, of one file altogether */

/* ---- cursor.c: reading within bounds ------------------------------------------------------- */

/** Invariant: p <= end. After a read beyond the end is_bad stays set and reads give 0. */
struct pa_cursor {
	const uint8_t *p, *end;
	bool is_bad;
};

uint64_t pa_cursor__fixed(struct pa_cursor *c, unsigned bytes); /* 1, 2, 4 or 8, unsigned */
uint64_t pa_cursor__uleb(struct pa_cursor *c);
int64_t pa_cursor__sleb(struct pa_cursor *c);
/** @return where the skipped bytes begin, NULL when there are fewer */
const uint8_t *pa_cursor__skip(struct pa_cursor *c, uint64_t bytes);

static inline uint64_t pa_sign_extend(uint64_t v, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(v << shift) >> shift);
}

/* ---- section.c: the bytes ------------------------------------------------------------------- */

/** A section that holds CFI. */
struct pa_cfi_section {
	uint8_t *data; /* owned */
	size_t bytes;
	uint64_t vaddr;
	bool is_eh;	       /* .eh_frame, else .debug_frame */
	bool ends_at_zero;     /* its size is not known: a terminator ends it */
	uint8_t address_bytes; /* 4 or 8 */
	uint16_t machine;
};

/** One slot of the index: where the entry for addresses from start on begins. */
struct pa_cfi_slot {
	uint64_t start;
	uint32_t offset;
};

/** Find and read .eh_frame, by name or through PT_GNU_EH_FRAME.
 *  @param slots  the search table of .eh_frame_hdr, sorted; NULL where there is none that can
 *                be used: then the section is to be scanned
 *  @return 0, -ENOENT, -EFBIG, -ENOMEM, -errno */
int pa_cfi_section__load_eh(const struct pa_elf *e, struct pa_cfi_section *out,
			    struct pa_cfi_slot **slots, size_t *slot_cnt);
/** The same for .debug_frame, which may be compressed. */
int pa_cfi_section__load_debug(const struct pa_elf *e, struct pa_cfi_section *out);
/** Rules for a vdso of aarch64 without CFI. @return 0, -ENOENT it is another's, -ENOMEM */
int pa_cfi_section__make_vdso(const struct pa_elf *e, struct pa_cfi_section *out);

/* ---- entry.c: CIEs and FDEs ----------------------------------------------------------------- */

struct pa_cie {
	uint8_t fde_encoding;  /* DW_EH_PE_* */
	uint8_t address_bytes; /* of DW_EH_PE_absptr */
	uint8_t segment_bytes;
	bool is_signal;
	bool has_augmentation; /* entries carry a length of augmentation data */
	uint8_t ra_reg;
	uint64_t code_align;
	int64_t data_align;
	struct pa_cursor insns;
};

/** Invariant: start < end. */
struct pa_fde {
	struct pa_cie cie;
	uint64_t start, end;
	struct pa_cursor insns;
};

/** Where pointers that are relative to something begin; of sections other than .eh_frame_hdr
 *  only pcrel has a meaning. */
struct pa_pointer_base {
	const uint8_t *data; /* of the section */
	uint64_t vaddr;	     /* of data */
	uint64_t datarel;    /* 0: not known */
	uint8_t address_bytes;
};

/** Read a pointer in one of the encodings of the LSB. What is indirect is not followed: the
 *  result is then the place of the pointer. An unknown encoding makes the cursor bad.
 *  DW_EH_PE_omit reads nothing and gives 0. */
uint64_t pa_pointer__read(struct pa_cursor *c, const struct pa_pointer_base *base,
			  uint8_t encoding);
/** Find the next FDE of a section.
 *  @param offset  where to begin; set to where the next call begins
 *  @param at      offset of the entry
 *  @return 1, 0 end of section, -EBADMSG what follows can't be told apart */
int pa_cfi_section__next(const struct pa_cfi_section *s, size_t *offset, size_t *at);
/** @return 0, -EBADMSG, -ENOENT the entry is a CIE or covers nothing */
int pa_fde__parse(const struct pa_cfi_section *s, size_t offset, struct pa_fde *out);

/* ---- rows.c: from instructions to rows ------------------------------------------------------ */

struct pa_cfi_state {
	bool cfa_is_expr, is_signed;
	uint64_t cfa_reg;
	int64_t cfa_offset;
	const uint8_t *cfa_expr;
	uint64_t cfa_expr_bytes;
	uint64_t set; /* bit N: rules[N] holds */
	struct pa_cfi_rule rules[PA_CFI_REG_CNT];
};

/** Walks the rows of one entry. */
struct pa_cfi_rows {
	const struct pa_cfi_section *section;
	const struct pa_fde *fde;
	struct pa_cursor insns;
	struct pa_cfi_state state, initial;
	struct pa_cfi_state remembered[PA_CFI_REMEMBER_MAX];
	unsigned remembered_cnt;
	uint64_t start, end; /* of the row */
	uint64_t next;	     /* where the following one starts */
	uint32_t insn_cnt;
	bool is_initial, is_done;
};

/** Run the CIE's instructions. r is large: not for deep stacks.
 *  @return 0, -EBADMSG; section and fde are borrowed while r is in use */
int pa_cfi_rows__start(struct pa_cfi_rows *r, const struct pa_cfi_section *s,
		       const struct pa_fde *fde);
/** @return 1 [start, end) has the rules of state, 0 no more, -EBADMSG damaged */
int pa_cfi_rows__next(struct pa_cfi_rows *r);
/** The present row in its lasting form. */
void pa_cfi_rows__get(const struct pa_cfi_rows *r, struct pa_cfi_row *out);

/* ---- cfi.c: what the packer needs of it --------------------------------------------------------
 */

/** A section of a file and the index of its entries, sorted by slot start.
 *  @param i  0: .eh_frame, 1: .debug_frame */
const struct pa_cfi_section *pa_cfi__section(const struct pa_cfi *c, unsigned i,
					     const struct pa_cfi_slot **slots, size_t *slot_cnt);
/** The PT_LOADs that hold bytes of the file, executable ones first. */
const struct pa_elf_segment *pa_cfi__loads(const struct pa_cfi *c, size_t *cnt);

/* ---- pack_rule.c: rules of BPF tables -----------------------------------------------------------
 */

/** The present row as a rule; PA_CFA_COMPLEX where none can express it. */
void pa_pack_rule__make(const struct pa_cfi_rows *r, struct pa_unwind_rule *out);
/** Whether a call that returns to where a rule holds returns into a frame pointer's frame.
 *  @param next  the rule that follows in the same function, NULL: none */
bool pa_pack_rule__keeps_fp(const struct pa_unwind_rule *rule, const struct pa_unwind_rule *next,
			    uint16_t machine);
/** Whether a rule is one of a frame pointer's frame. */
bool pa_pack_rule__is_frame(const struct pa_unwind_rule *rule);

/* ---- pack_store.c, pack_file.c: packed tables on disk ------------------------------------------
 */

struct pa_pack;

#define PA_PACK_PAGES_MAX (1u << 20) /* 4 GB of text */
#define PA_PACK_ROWS_MAX (16u << 20) /* of one file */

/** Read a cache file.
 *  @param key  what it is to have been written with
 *  @return 0, -EBADMSG damaged or another's, -ENOMEM, -errno */
int pa_pack__read(int fd, uint64_t key, struct pa_pack **out);
/** Encode for a cache file. @return 0, -ENOMEM */
int pa_pack__encode(const struct pa_pack *p, uint64_t key, void **out, size_t *bytes);
/** Whether all invariants of pack.h hold. */
bool pa_pack__is_valid(const struct pa_pack *p);
/** Remove those of the folder's cache files that were not used for longest. */
void pa_pack__trim(int dir, long long max_bytes);
/** Where in a cache file the checksum is: of all bytes behind it. */
#define PA_PACK_CHECKSUM_AT 8

/* ---- expr.c: DWARF expressions -------------------------------------------------------------- */

#define PA_EXPR_STACK_MAX 64
#define PA_EXPR_OPS_MAX 1024 /* of one expression */

/** What an expression may use. */
struct pa_expr_env {
	const uint64_t *regs; /* PA_CFI_REG_CNT */
	uint64_t valid;	      /* bit N: regs[N] is known */
	uint64_t bias;	      /* of DW_OP_addr */
	uint32_t *ops_left;   /* of all expressions of one walk */
	/** Read 1, 2, 4 or 8 bytes. @return 0 or a reason of its own, passed on */
	int (*read)(void *ctx, uint64_t addr, unsigned bytes, uint64_t *out);
	void *ctx;
};

/** Evaluate.
 *  @param first  pushed to begin with (the CFA); NULL: nothing
 *  @return 0, -EBADMSG malformed, too much work or of unknown registers, what env->read returned */
int pa_expr__eval(const uint8_t *expr, size_t bytes, const struct pa_expr_env *env,
		  const uint64_t *first, uint64_t *out);

#endif
