// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfunit.c - the functions of a unit, by address. One pass finds them, which leaves out what
 * is inside of functions and types where the unit says how long that is; only when no function
 * is found at an address, another pass looks there too.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

#define OVERLAPS_MAX 8

struct build {
	struct pa_dwarf *d;
	struct pa_dwarf_index *x;
	uint64_t die; /* of the function whose ranges are added */
	bool has_body;
};

static bool has_room(const struct build *b)
{
	return b->d->index_bytes + b->x->function_cnt * sizeof(*b->x->functions) +
		       b->x->body_cnt * sizeof(*b->x->bodies) <
	       PA_DWARF_INDEX_MAX_BYTES;
}

static int add_range(void *ctx, uint64_t start, uint64_t end)
{
	struct build *b = ctx;
	struct pa_dwarf_index *x = b->x;

	/* Linkers leave 0 for what they have thrown away. */
	if (start >= end || !start || !has_room(b) || x->function_cnt >= PA_NONE)
		return 0;
	if (pa_array_grow(&x->functions, x->function_cnt, &x->function_cap, sizeof(*x->functions)))
		return -ENOMEM;
	if (!b->has_body) {
		if (pa_array_grow(&x->bodies, x->body_cnt, &x->body_cap, sizeof(*x->bodies)))
			return -ENOMEM;
		x->bodies[x->body_cnt++] =
			(struct pa_dwarf_body){.die = (uint32_t)(b->die - x->unit->at)};
		b->has_body = true;
	}
	x->functions[x->function_cnt++] =
		(struct pa_dwarf_function){start, end, (uint32_t)(x->body_cnt - 1)};
	return 0;
}

/* What functions are nearly always directly in. */
static bool is_scope(unsigned tag)
{
	return tag == DW_TAG_compile_unit || tag == DW_TAG_partial_unit ||
	       tag == DW_TAG_namespace || tag == DW_TAG_module;
}

/* And where some compilers put them too. */
static bool may_hold_functions(unsigned tag)
{
	switch (tag) {
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return true;
	default:
		return false;
	}
}

static int compare_functions(const void *pa, const void *pb)
{
	const struct pa_dwarf_function *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->body < b->body ? -1 : a->body > b->body;
}

static int scan(struct pa_dwarf *d, struct pa_dwarf_index *x, bool is_deep)
{
	struct build b = {.d = d, .x = x};
	struct pa_dwarf_entry e;
	struct pa_dwarf_scan s;
	int err = pa_dwarf_scan__open(&s, d, x->unit, x->unit->die, PA_DWARF_LARGE_BYTES);

	x->is_deep = true;
	while (!err && pa_dwarf_scan__next(&s, &e)) {
		if (e.tag == DW_TAG_subprogram &&
		    (e.values[PA_DWARF_LOW].kind || e.values[PA_DWARF_LIST].kind)) {
			b.die = e.at;
			b.has_body = false;
			err = pa_dwarf__each_range(d, x->unit, &e.values[PA_DWARF_LOW],
						   &e.values[PA_DWARF_HIGH],
						   &e.values[PA_DWARF_LIST], add_range, &b);
		}
		if (!e.has_children || is_scope(e.tag))
			continue;
		if (!may_hold_functions(e.tag)) {
			pa_dwarf_scan__skip(&s, &e);
		} else if (!is_deep && e.values[PA_DWARF_SIBLING].kind == PA_DWARF_REF) {
			x->is_deep = false;
			pa_dwarf_scan__skip(&s, &e);
		}
	}
	if (x->function_cnt)
		qsort(x->functions, x->function_cnt, sizeof(*x->functions), compare_functions);
	return err == -ENOMEM ? err : 0;
}

static int find_functions(struct pa_dwarf *d, struct pa_dwarf_index *x, bool is_deep)
{
	int err;

	for (size_t i = 0; i < x->body_cnt; i++)
		pa_dwarf_body__free(&x->bodies[i]);
	x->function_cnt = x->body_cnt = 0;
	err = scan(d, x, is_deep);
	d->index_bytes +=
		x->function_cnt * sizeof(*x->functions) + x->body_cnt * sizeof(*x->bodies);
	return err;
}

static struct pa_dwarf_function *function_at(struct pa_dwarf_index *x, uint64_t vaddr)
{
	size_t low = 0, high = x->function_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (x->functions[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = 0; i < OVERLAPS_MAX && i < low; i++)
		if (vaddr < x->functions[low - 1 - i].end)
			return &x->functions[low - 1 - i];
	return NULL;
}

int pa_dwarf_unit__find(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t vaddr,
			struct pa_dwarf_function **out)
{
	int err = 0;

	*out = function_at(x, vaddr);
	if (*out || x->is_deep)
		return 0;
	err = find_functions(d, x, true);
	if (!err)
		*out = function_at(x, vaddr);
	return err;
}

/* ---- loading -------------------------------------------------------------------------- */

static int load_lines(struct pa_dwarf *d, struct pa_dwarf_unit *u, const struct pa_dwarf_root *r)
{
	struct pa_dwarf_index *x = u->index;
	int err = 0;

	if (r->line.kind == PA_DWARF_OFFSET || r->line.kind == PA_DWARF_NUMBER)
		err = pa_dwarf_lines__load(d, u, r->line.number, d->want_lines, &x->lines);
	/* the files of a split unit have numbers of their own where it has a table */
	if (!err && x->split && x->split->file.sections[PA_DWARF_LINE])
		err = pa_dwarf_lines__load(d, x->unit, 0, false, &x->split_lines);
	return err;
}

int pa_dwarf_unit__load(struct pa_dwarf *d, struct pa_dwarf_unit *u)
{
	const struct pa_dwarf_root *r;
	struct pa_dwarf_index *x;
	int err;

	if (u->index_tried)
		return 0;
	u->index_tried = true;
	r = pa_dwarf_unit__root(d, u, &err);
	if (!r || d->index_bytes > PA_DWARF_INDEX_MAX_BYTES)
		return err == -ENOMEM ? err : 0;
	x = u->index = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->unit = u;
	err = pa_dwarf_split__open(d, u, &x->split);
	if (!err && x->split)
		x->unit = x->split->unit;
	if (!err)
		err = load_lines(d, u, r);
	if (!err)
		err = find_functions(d, x, false);
	if (!err && pa_dwarf_file__no_memory(x->unit->file))
		err = -ENOMEM;
	return err;
}

void pa_dwarf_unit__free(struct pa_dwarf_unit *u)
{
	struct pa_dwarf_index *x = u->index;

	pa_dwarf_lines__free(u->files);
	if (!x)
		return;
	for (size_t i = 0; i < x->body_cnt; i++)
		pa_dwarf_body__free(&x->bodies[i]);
	free(x->bodies);
	free(x->functions);
	pa_dwarf_lines__free(x->lines);
	pa_dwarf_lines__free(x->split_lines);
	pa_dwarf_split__free(x->split);
	free(x);
}
