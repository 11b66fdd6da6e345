// SPDX-License-Identifier: GPL-2.0-only
/*
 * aliases.c - which of several symbols at one address names it: the one that perf chooses. A
 * symbol with a size comes before one without, a function before a label, a strong one before a
 * weak one, global before local; then what people read decides, demangled: fewer leading
 * underscores, more letters; at last the place in the symbol table.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

#define NAME_CMP_BYTES 1024 /* how much of a name is looked at */
/* Of one table, names and what they say; a microsecond makes some 50. */
#define DEMANGLED_MAX_BYTES (16u << 20)
#define DEMANGLED_NOT_BYTES 4096 /* what a name counts that says too much or nothing */
#define UNDERSCORES_MAX 31u

struct chooser {
	struct pa_symbuild *b;
	size_t demangled_bytes;
};

uint16_t pa_aliases__rank(unsigned bind, bool notype, bool sized)
{
	unsigned bind_rank = bind == STB_WEAK ? 0 : bind == STB_GLOBAL ? 2 : 1;

	return (uint16_t)(sized << 8 | !notype << 7 | bind_rank << 5);
}

static int compare_symbols(const void *pa, const void *pb)
{
	const struct pa_rawsym *a = pa, *b = pb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->name_rank != b->name_rank)
		return a->name_rank < b->name_rank ? -1 : 1;
	return a->seq > b->seq ? -1 : a->seq < b->seq;
}

static uint32_t rank_of_name(struct chooser *c, const char *raw)
{
	bool is_mangled = raw[0] == '_' && (raw[1] == 'Z' || raw[1] == 'R' || raw[1] == '_');
	char *readable = NULL;
	unsigned underscores = 0;
	uint32_t bytes;

	if (is_mangled && c->demangled_bytes < DEMANGLED_MAX_BYTES) {
		readable = pa_demangle(raw);
		c->demangled_bytes += strnlen(raw, NAME_CMP_BYTES) +
				      (readable ? strlen(readable) : DEMANGLED_NOT_BYTES);
	}
	if (readable)
		raw = readable;
	while (underscores < UNDERSCORES_MAX && raw[underscores] == '_')
		underscores++;
	bytes = (uint32_t)strnlen(raw, NAME_CMP_BYTES);
	free(readable);
	return (UNDERSCORES_MAX - underscores) << 16 | bytes;
}

/* Do they differ only in the kind of constructor or destructor, which nobody gets to read? */
static bool reads_the_same(const char *a, const char *b)
{
	for (size_t i = 0; i < NAME_CMP_BYTES; i++) {
		if (a[i] != b[i] && (i < 4 || (a[i - 1] != 'C' && a[i - 1] != 'D') || a[i] < '0' ||
				     a[i] > '5' || b[i] < '0' || b[i] > '5'))
			return false;
		if (!a[i])
			return true;
	}
	return false;
}

/* Symbols at one address that only their names tell apart. */
static void order_by_names(struct chooser *c, struct pa_rawsym *syms, size_t cnt)
{
	const char *names = c->b->names;
	bool is_one = true;

	for (size_t i = 1; i < cnt && is_one; i++)
		is_one = reads_the_same(names + syms[0].name, names + syms[i].name);
	if (is_one)
		return;
	for (size_t i = 0; i < cnt; i++)
		syms[i].name_rank = rank_of_name(c, names + syms[i].name);
	qsort(syms, cnt, sizeof(*syms), compare_symbols);
}

static void order_group(struct chooser *c, struct pa_rawsym *syms, size_t cnt)
{
	for (size_t i = 0, next; i < cnt; i = next) {
		for (next = i + 1; next < cnt && syms[next].rank == syms[i].rank;)
			next++;
		if (next - i > 1)
			order_by_names(c, syms + i, next - i);
	}
}

/* By address, those of one address in the order of the symbol table. */
static int sort_by_address(struct pa_symbuild *b)
{
	struct pa_addrkey *keys = malloc(b->cnt * sizeof(*keys));
	struct pa_rawsym *sorted = malloc(b->cnt * sizeof(*sorted));
	int err = -ENOMEM;

	if (!keys || !sorted)
		goto out;
	for (size_t i = 0; i < b->cnt; i++)
		keys[i] = (struct pa_addrkey){b->raw[i].addr, (uint32_t)i, 0};
	err = pa_addrkeys__sort(keys, b->cnt);
	if (err)
		goto out;
	for (size_t i = 0; i < b->cnt; i++) {
		sorted[i] = b->raw[keys[i].index];
		sorted[i].seq = keys[i].index;
	}
	free(b->raw);
	b->raw = sorted;
	b->cap = b->cnt;
	sorted = NULL;
out:
	free(sorted);
	free(keys);
	return err;
}

int pa_aliases__drop(struct pa_symbuild *b)
{
	struct chooser c = {.b = b};
	size_t kept = 0, next;
	uint64_t covered_to = 0;
	int err = b->cnt ? sort_by_address(b) : 0;

	if (err)
		return err;
	for (size_t i = 0; i < b->cnt; i = next) {
		uint64_t addr = b->raw[i].addr, reach = 0;
		size_t first = kept;

		for (next = i + 1; next < b->cnt && b->raw[next].addr == addr;)
			next++;
		if (next - i > 1)
			qsort(b->raw + i, next - i, sizeof(*b->raw), compare_symbols);
		order_group(&c, b->raw + i, next - i);
		for (size_t j = i; j < next; j++) {
			struct pa_rawsym s = b->raw[j];

			if (s.notype && s.addr < covered_to)
				continue;
			/* Those of lesser rank that reach no further are aliases of this one. */
			while (kept > first && b->raw[kept - 1].bytes <= s.bytes)
				kept--;
			b->raw[kept++] = s;
			if (!s.notype && s.bytes > reach)
				reach = s.bytes;
		}
		if (addr <= UINT64_MAX - reach && addr + reach > covered_to)
			covered_to = addr + reach;
	}
	b->cnt = kept;
	return 0;
}
