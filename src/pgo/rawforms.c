// SPDX-License-Identifier: GPL-2.0-only
/*
 * rawforms.c - what was seen, as addresses: for tools that know functions and lines themselves.
 * Each has addresses of its own kind: create_llvm_prof counts from the start of the first segment,
 * llvm-profgen from the page that the first executable one begins in.
 */
#include <errno.h>
#include <inttypes.h>

#include "pgo/file.h"

/* Which branches from elsewhere are listed. */
#define NO_OUTSIDE 0

#define PROFGEN_PAGE_BYTES 4096u /* on every machine */

/* Where both ends are, behind base. @param outside  stands for elsewhere
 * @return false: not in what is loaded */
static bool ends_of(const struct pa_pgo_file *f, const struct pa_pgo_count *c, uint64_t base,
		    uint64_t outside, uint64_t *from, uint64_t *to)
{
	if (c->to == PA_PGO_OUTSIDE || !pa_pgo_file__vaddr(f, c->to, to) || *to < base)
		return false;
	*to -= base;
	if (c->from == PA_PGO_OUTSIDE) {
		*from = outside;
		return outside != NO_OUTSIDE;
	}
	if (!pa_pgo_file__vaddr(f, c->from, from) || *from < base)
		return false;
	*from -= base;
	return true;
}

/* A list with its length first. */
static void put_list(const struct pa_pgo_counts *c, const struct pa_pgo_file *f, uint64_t base,
		     uint64_t outside, const char *between, FILE *out)
{
	uint64_t from, to;
	size_t cnt = 0;

	for (size_t i = 0; i < c->cnt; i++)
		cnt += ends_of(f, &c->list[i], base, outside, &from, &to);
	fprintf(out, "%zu\n", cnt);
	for (size_t i = 0; i < c->cnt; i++)
		if (ends_of(f, &c->list[i], base, outside, &from, &to))
			fprintf(out, "%" PRIx64 "%s%" PRIx64 ":%" PRIu64 "\n", from, between, to,
				c->list[i].cnt);
}

/* Where a sample is. */
static bool place_of(const struct pa_pgo_file *f, const struct pa_pgo_count *c, uint64_t base,
		     uint64_t *at)
{
	if (!pa_pgo_file__vaddr(f, c->from, at) || *at < base)
		return false;
	*at -= base;
	return true;
}

int pa_pgo__write_autofdo(const struct pa_pgo_binary *b, const struct pa_pgo_file *f, FILE *out)
{
	uint64_t base = pa_pgo_file__base(f), at;
	size_t cnt = 0;

	put_list(&b->ranges, f, base, NO_OUTSIDE, "-", out);
	for (size_t i = 0; i < b->addresses.cnt; i++)
		cnt += place_of(f, &b->addresses.list[i], base, &at);
	fprintf(out, "%zu\n", cnt);
	for (size_t i = 0; i < b->addresses.cnt; i++)
		if (place_of(f, &b->addresses.list[i], base, &at))
			fprintf(out, "%" PRIx64 ":%" PRIu64 "\n", at, b->addresses.list[i].cnt);
	put_list(&b->branches, f, base, NO_OUTSIDE, "->", out);
	return ferror(out) ? -EIO : 0;
}

/* llvm-profgen writes and reads address 1 for elsewhere, from the same base as all. */
int pa_pgo__write_unsymbolized(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out)
{
	uint64_t base = pa_pgo_file__text(f) & ~(uint64_t)(PROFGEN_PAGE_BYTES - 1);

	put_list(&b->ranges, f, base, NO_OUTSIDE, "-", out);
	put_list(&b->branches, f, base, 1 - base, "->", out);
	return ferror(out) ? -EIO : 0;
}
