/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pack.h - the rows of one ELF file in the form that the BPF walker searches (bpf/unwind.h): a
 * page index, rows of four bytes, and the file's distinct rules. What the form can't express
 * becomes PA_CFA_COMPLEX. Packed files are kept in a cache on disk.
 */
#ifndef PA_PACK_H
#define PA_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/unwind.h"
#include "unwind/cfi.h"

/** One page of 4 KB of virtual addresses. Invariant: first + cnt <= row_cnt, cnt <= PA_BLOCK_ROWS;
 *  the first row is at offset 0, unless there are none. */
struct pa_pack_page {
	uint32_t first;
	uint16_t cnt;
	bool keeps_fp; /* PA_PAGE_KEEPS_FP */
};

/** Executable pages that follow one another. Invariant: first + cnt <= page_cnt. */
struct pa_pack_range {
	uint64_t vaddr;	     /* of the first page, a multiple of 4096 */
	uint32_t first, cnt; /* of pages */
};

struct pa_pack {
	uint16_t machine;	      /* EM_* */
	struct pa_pack_range *ranges; /* sorted by vaddr, disjoint */
	size_t range_cnt;
	struct pa_pack_page *pages;
	size_t page_cnt;
	uint32_t *rows; /* PA_ROW(offset in page, index into rules) */
	size_t row_cnt;
	struct pa_unwind_rule *rules; /* [PA_RULE_ID_NONE] and [PA_RULE_ID_COMPLEX] first */
	size_t rule_cnt;
	/* what the file has and the tables don't say */
	uint64_t complex_row_cnt;
	uint64_t dropped_page_cnt; /* pages with more rows than a block holds: all PA_CFA_COMPLEX */
	uint64_t bad_entry_cnt;	   /* damaged FDEs */
};

/** Pack what an ELF file's CFI says of its executable segments.
 *  @param c  its CFI; borrowed for the call
 *  @return 0, -ENOENT it has no CFI, -EFBIG more text or rows than tables can hold, -ENOMEM */
int pa_pack__build(struct pa_cfi *c, struct pa_pack **out);
/** The same of a vdso. The trampoline that signal handlers return to has no CFI in that of
 *  aarch64, and nothing else there has none: what no entry covers becomes PA_CFA_SIGNAL. */
int pa_pack__build_vdso(struct pa_cfi *c, struct pa_pack **out);
void pa_pack__free(struct pa_pack *p);
size_t pa_pack__memory_bytes(const struct pa_pack *p);
/** The rule that holds at a virtual address, as the walker finds it: for tests.
 *  @return NULL: outside of all ranges */
const struct pa_unwind_rule *pa_pack__rule(const struct pa_pack *p, uint64_t vaddr);

/** Pack a file, or take it from the cache: entries are found by build-id and a hash, under a
 *  secret of the cache's, of the sections that are packed; they are checked whole, and replaced
 *  when damaged. Any number of processes may use one cache at once.
 *  @param fd        borrowed; @param path of it, for its debug file, may be NULL
 *  @param cache_dir  NULL: no cache. Made, mode 0700, when it is not there; used only when it is
 *                   the user's own
 *  @return as pa_cfi__open_fd and pa_pack__build */
int pa_pack__file(int fd, const char *path, const char *cache_dir, struct pa_pack **out);

#endif
