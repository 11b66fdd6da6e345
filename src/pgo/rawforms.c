// SPDX-License-Identifier: GPL-2.0-only
/*
 * rawforms.c - what was seen, as addresses: for tools that know functions and lines themselves.
 * Each has addresses of its own kind: create_llvm_prof counts from the start of the first segment,
 * llvm-profgen from that of the first executable one, BOLT has virtual addresses.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "pgo/file.h"

/* Where both ends are. @return false: not in what is loaded */
static bool ends_of(const struct pa_pgo_file *f, const struct pa_pgo_count *c, uint64_t base,
		    uint64_t *from, uint64_t *to)
{
	if (c->from == PA_PGO_OUTSIDE || c->to == PA_PGO_OUTSIDE ||
	    !pa_pgo_file__vaddr(f, c->from, from) || !pa_pgo_file__vaddr(f, c->to, to) ||
	    *from < base || *to < base)
		return false;
	*from -= base;
	*to -= base;
	return true;
}

/* A list with its length first. */
static void put_list(const struct pa_pgo_counts *c, const struct pa_pgo_file *f, uint64_t base,
		     const char *between, FILE *out)
{
	uint64_t from, to;
	size_t cnt = 0;

	for (size_t i = 0; i < c->cnt; i++)
		cnt += ends_of(f, &c->list[i], base, &from, &to);
	fprintf(out, "%zu\n", cnt);
	for (size_t i = 0; i < c->cnt; i++)
		if (ends_of(f, &c->list[i], base, &from, &to))
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

	put_list(&b->ranges, f, base, "-", out);
	for (size_t i = 0; i < b->addresses.cnt; i++)
		cnt += place_of(f, &b->addresses.list[i], base, &at);
	fprintf(out, "%zu\n", cnt);
	for (size_t i = 0; i < b->addresses.cnt; i++)
		if (place_of(f, &b->addresses.list[i], base, &at))
			fprintf(out, "%" PRIx64 ":%" PRIu64 "\n", at, b->addresses.list[i].cnt);
	put_list(&b->branches, f, base, "->", out);
	return ferror(out) ? -EIO : 0;
}

int pa_pgo__write_unsymbolized(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out)
{
	uint64_t base = pa_pgo_file__text(f);

	put_list(&b->ranges, f, base, "-", out);
	put_list(&b->branches, f, base, "->", out);
	return ferror(out) ? -EIO : 0;
}

/* A branch from or to elsewhere has 0 there. */
static void put_bolt_branch(const struct pa_pgo_count *c, const struct pa_pgo_file *f, FILE *out)
{
	uint64_t from = 0, to = 0;

	if ((c->from != PA_PGO_OUTSIDE && !pa_pgo_file__vaddr(f, c->from, &from)) ||
	    (c->to != PA_PGO_OUTSIDE && !pa_pgo_file__vaddr(f, c->to, &to)))
		return;
	fprintf(out, "B %" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", from, to, c->cnt,
		c->mispredicted_cnt);
}

int pa_pgo__write_bolt(const struct pa_pgo_binary *b, const struct pa_pgo_file *f, FILE *out)
{
	uint64_t from, to;

	for (size_t i = 0; i < b->branches.cnt; i++)
		put_bolt_branch(&b->branches.list[i], f, out);
	for (size_t i = 0; i < b->ranges.cnt; i++)
		if (ends_of(f, &b->ranges.list[i], 0, &from, &to))
			fprintf(out, "F %" PRIx64 " %" PRIx64 " %" PRIu64 "\n", from, to,
				b->ranges.list[i].cnt);
	return ferror(out) ? -EIO : 0;
}

int pa_pgo__write_bolt_samples(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out)
{
	fputs("no_lbr cycles\n", out);
	for (size_t i = 0; i < b->addresses.cnt; i++) {
		const struct pa_pgo_count *c = &b->addresses.list[i];
		uint64_t vaddr, start;
		const char *name;

		if (!pa_pgo_file__vaddr(f, c->from, &vaddr))
			continue;
		name = pa_pgo_file__symbol(f, vaddr, &start);
		if (name && *name && !strpbrk(name, " \t\n"))
			fprintf(out, "1 %s %" PRIx64 " %" PRIu64 "\n", name, vaddr - start, c->cnt);
	}
	return ferror(out) ? -EIO : 0;
}
