// SPDX-License-Identifier: GPL-2.0-only
/*
 * bolt.c - profiles for BOLT: with branches the pre-aggregated one, of virtual addresses; without,
 * BOLT's own form of samples in functions, which it knows by their symbols.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pgo/file.h"

/* ---- branches ---------------------------------------------------------------------------------
 */

/* A branch from or to elsewhere has 0 there. */
static void put_branch(const struct pa_pgo_count *c, const struct pa_pgo_file *f, FILE *out)
{
	uint64_t from = 0, to = 0;

	if ((c->from != PA_PGO_OUTSIDE && !pa_pgo_file__vaddr(f, c->from, &from)) ||
	    (c->to != PA_PGO_OUTSIDE && !pa_pgo_file__vaddr(f, c->to, &to)))
		return;
	fprintf(out, "B %" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", from, to, c->cnt,
		c->mispredicted_cnt);
}

static int compare_to(const void *pa, const void *pb)
{
	const struct pa_pgo_count *a = pa, *b = pb;

	return a->to < b->to ? -1 : a->to > b->to;
}

static bool is_in_one_function(const struct pa_pgo_file *f, const struct pa_pgo_count *c)
{
	uint64_t from, to, from_start, to_start;

	return c->from != PA_PGO_OUTSIDE && pa_pgo_file__vaddr(f, c->from, &from) &&
	       pa_pgo_file__vaddr(f, c->to, &to) && pa_pgo_file__symbol(f, from, &from_start) &&
	       pa_pgo_file__symbol(f, to, &to_start) && from_start == to_start;
}

/* Is an address reached from other functions, mostly? Behind a call that is where they return to,
 * which BOLT must know. @param by_to  the branches, by where they lead */
static bool is_return_to(const struct pa_pgo_count *by_to, size_t cnt, uint64_t at,
			 const struct pa_pgo_file *f)
{
	uint64_t within = 0, without = 0;
	size_t low = 0, high = cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (by_to[mid].to < at)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < cnt && by_to[low].to == at; low++)
		if (is_in_one_function(f, &by_to[low]))
			within += by_to[low].cnt;
		else
			without += by_to[low].cnt;
	return without > within;
}

int pa_pgo__write_bolt(const struct pa_pgo_binary *b, const struct pa_pgo_file *f, FILE *out)
{
	size_t cnt = b->branches.cnt;
	struct pa_pgo_count *by_to = malloc((cnt + 1) * sizeof(*by_to));
	uint64_t from, at = PA_PGO_OUTSIDE;
	bool is_return = false;

	if (!by_to)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++) {
		by_to[i] = b->branches.list[i];
		put_branch(&by_to[i], f, out);
	}
	if (cnt)
		qsort(by_to, cnt, sizeof(*by_to), compare_to);
	for (size_t i = 0; i < b->ranges.cnt; i++) {
		const struct pa_pgo_count *c = &b->ranges.list[i];

		if (!pa_pgo_file__vaddr(f, c->from, &from))
			continue;
		if (c->from != at)
			is_return = is_return_to(by_to, cnt, c->from, f);
		at = c->from;
		fprintf(out, "%c %" PRIx64 " %" PRIx64 " %" PRIu64 "\n", is_return ? 'f' : 'F',
			from, from + (c->to - c->from), c->cnt);
	}
	free(by_to);
	return ferror(out) ? -EIO : 0;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

/* Local symbols of functions. BOLT numbers those of one name, by address. */
struct local {
	uint64_t addr;
	uint32_t name; /* in names */
	uint32_t number;
};

struct locals {
	struct local *list;
	size_t cnt, cap;
	struct pa_strings names;
};

static int compare_locals(const void *pa, const void *pb)
{
	const struct local *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int add_local(struct locals *l, const Elf64_Sym *sym, const char *names, size_t bytes)
{
	uint32_t name;

	if (ELF64_ST_BIND(sym->st_info) != STB_LOCAL || ELF64_ST_TYPE(sym->st_info) != STT_FUNC ||
	    !sym->st_value || sym->st_name >= bytes)
		return 0;
	name = pa_strings__intern(&l->names, names + sym->st_name, strlen(names + sym->st_name));
	if (name == PA_NONE || pa_array_grow(&l->list, l->cnt, &l->cap, sizeof(*l->list)))
		return -ENOMEM;
	l->list[l->cnt++] = (struct local){sym->st_value, name, 0};
	return 0;
}

static int number_locals(struct locals *l)
{
	uint32_t *seen = calloc(l->names.cnt + 1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	if (l->cnt)
		qsort(l->list, l->cnt, sizeof(*l->list), compare_locals);
	for (size_t i = 0; i < l->cnt; i++)
		l->list[i].number = ++seen[l->list[i].name];
	free(seen);
	return 0;
}

/* Of a 64-bit file that has them; BOLT does not take others. @return 0, -ENOMEM */
static int load_locals(const struct pa_pgo_file *f, struct locals *l)
{
	const struct pa_elf_section *s = pa_elf__section(&f->elf, NULL, SHT_SYMTAB);
	void *syms = NULL, *names = NULL;
	int err = 0;

	if (!s || !f->elf.is_64 || s->link >= f->elf.section_cnt)
		return 0;
	err = pa_elf__load(&f->elf, s, PA_SYMBOLS_MAX * sizeof(Elf64_Sym), &syms);
	if (!err)
		err = pa_elf__load(&f->elf, &f->elf.sections[s->link], PA_STRTAB_MAX_BYTES, &names);
	for (size_t i = 0; !err && i < s->bytes / sizeof(Elf64_Sym); i++)
		err = add_local(l, (const Elf64_Sym *)syms + i, names,
				f->elf.sections[s->link].bytes);
	free(syms);
	free(names);
	return err == -ENOMEM ? err : number_locals(l);
}

static uint32_t number_of(const struct locals *l, uint64_t addr)
{
	const struct local key = {.addr = addr}, *found;

	found = l->cnt ? bsearch(&key, l->list, l->cnt, sizeof(*l->list), compare_locals) : NULL;
	return found ? found->number : 0;
}

static void put_sample(const struct pa_pgo_count *c, const struct pa_pgo_file *f,
		       const struct locals *l, FILE *out)
{
	uint64_t vaddr, start;
	const char *name;
	uint32_t number;

	if (!pa_pgo_file__vaddr(f, c->from, &vaddr))
		return;
	name = pa_pgo_file__symbol(f, vaddr, &start);
	if (!name || !*name || strpbrk(name, " \t\n"))
		return;
	fprintf(out, "1 %s", name);
	number = number_of(l, start);
	if (number)
		fprintf(out, "/%" PRIu32, number);
	fprintf(out, " %" PRIx64 " %" PRIu64 "\n", vaddr - start, c->cnt);
}

int pa_pgo__write_bolt_samples(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out)
{
	struct locals l = {0};
	int err = load_locals(f, &l);

	fputs("no_lbr samples\n", out);
	for (size_t i = 0; !err && i < b->addresses.cnt; i++)
		put_sample(&b->addresses.list[i], f, &l, out);
	free(l.list);
	pa_strings__free(&l.names);
	return err ? err : ferror(out) ? -EIO : 0;
}
