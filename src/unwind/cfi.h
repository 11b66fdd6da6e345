/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cfi.h - call frame information of ELF files: .eh_frame and .debug_frame become rows, each of
 * which says for a range of addresses how to find the caller's registers. The formats are those
 * of DWARF 5, section 6.4, and of the LSB's chapter "Exception Frames".
 *
 * Nothing here knows how rows are used: a walk of copied stacks evaluates them (offline.h), a
 * compiler of tables enumerates them (pa_cfi__each_row). Files are hostile input: a damaged
 * entry costs that entry. One thread per object.
 */
#ifndef PA_CFI_H
#define PA_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** DWARF register numbers below this have rules: all that matter on x86-64 (0 to 16) and aarch64
 *  (0 to 34). Rules of others, such as vector registers, are left out. */
#define PA_CFI_REG_CNT 48

enum pa_rule_kind {
	PA_RULE_NONE = 0,   /* no rule: what that means is the ABI's business */
	PA_RULE_UNDEFINED,  /* not recoverable; of the return address: outermost frame */
	PA_RULE_SAME,	    /* not changed */
	PA_RULE_OFFSET,	    /* saved at CFA + offset */
	PA_RULE_VAL_OFFSET, /* is CFA + offset (of the CFA itself: is register reg + offset) */
	PA_RULE_REGISTER,   /* is in the register of number offset */
	PA_RULE_EXPR,	    /* saved at the address that expr gives */
	PA_RULE_VAL_EXPR,   /* is what expr gives */
};

/** How to find one register of the caller, or the CFA. */
struct pa_cfi_rule {
	uint8_t kind;	     /* enum pa_rule_kind */
	uint8_t reg;	     /* which register; of the CFA: its base; below PA_CFI_REG_CNT */
	uint32_t expr_bytes; /* EXPR and VAL_EXPR */
	union {
		int64_t offset;
		const uint8_t *expr; /* owned by the pa_cfi */
	};
};

/** The rules for one range of virtual addresses. Invariants: start < end; rules holds rule_cnt
 *  rules, each for another register and none of kind NONE; cfa.kind is VAL_OFFSET, VAL_EXPR or,
 *  where the file gives none that can be used, NONE. */
struct pa_cfi_row {
	uint64_t start, end;
	struct pa_cfi_rule cfa;
	uint8_t ra_reg; /* the column of the return address */
	bool is_signal; /* the caller was interrupted: its pc is no return address */
	bool is_signed; /* aarch64: the return address has a signature (PAC) */
	uint8_t rule_cnt;
	struct pa_cfi_rule rules[PA_CFI_REG_CNT]; /* only rule_cnt of them may be allocated */
};

struct pa_cfi;
struct pa_search;

/** Read the CFI of an ELF file; a file without any gives an object without entries.
 *  @param fd      borrowed for the call
 *  @param path    where the file was found, for its separate debug file; may be NULL
 *  @param search  where debug files are; may be NULL
 *  @return 0, -ENOEXEC not ELF of this byte order, -EBADMSG damaged, -ENOMEM, -errno */
int pa_cfi__open_fd(int fd, const char *path, const struct pa_search *search, struct pa_cfi **out);
/** The same of a vdso in memory, which is borrowed for the call. One of aarch64 without any gets
 * what is known of such. */
int pa_cfi__open_mem(const void *mem, size_t bytes, struct pa_cfi **out);
void pa_cfi__free(struct pa_cfi *c);
/** EM_* of the file. */
uint16_t pa_cfi__machine(const struct pa_cfi *c);
/** Memory held for the file's sections and their index. */
size_t pa_cfi__memory_bytes(const struct pa_cfi *c);
/** File offset to virtual address. @return 0 or -ENOENT */
int pa_cfi__vaddr(const struct pa_cfi *c, uint64_t offset, uint64_t *vaddr);

/** The row that holds a virtual address. Rows are decoded when first asked for and kept in a
 *  cache of bounded size.
 *  @param out  borrowed until the next call
 *  @return 0, -ENOENT no entry covers vaddr, -EBADMSG the one that does is damaged, -ENOMEM */
int pa_cfi__row(struct pa_cfi *c, uint64_t vaddr, const struct pa_cfi_row **out);
/** All rows, by entry in the order of addresses, .eh_frame's before .debug_frame's. Damaged
 *  entries end early.
 *  @param row    called for each; borrowed for that call; its return value other than 0 ends
 *                the enumeration
 *  @param bad_cnt  number of entries that were damaged; may be NULL
 *  @return 0, or what row returned */
int pa_cfi__each_row(struct pa_cfi *c, int (*row)(void *ctx, const struct pa_cfi_row *row),
		     void *ctx, uint64_t *bad_cnt);
/** The rule of a register. @return NULL: none */
const struct pa_cfi_rule *pa_cfi_row__rule(const struct pa_cfi_row *row, unsigned reg);

#endif
