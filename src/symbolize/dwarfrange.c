// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfrange.c - the code that an entry covers: from one address to another, or a list in
 * .debug_ranges (before DWARF 5) or .debug_rnglists.
 */
#include <dwarf.h>
#include <errno.h>

#include "symbolize/dwarfindex.h"

#define ENTRY_BYTES 64 /* of a list, at most */

struct list {
	struct pa_dwarf *d;
	struct pa_dwarf_unit *u;
	struct pa_dwarf_cursor c;
	uint64_t base;
	pa_dwarf_range_fn add;
	void *ctx;
};

static uint64_t address_max(const struct pa_dwarf_unit *u)
{
	return u->address_bytes == 8 ? UINT64_MAX : UINT32_MAX;
}

/* Before DWARF 5: pairs of addresses. */
static int each_pair(struct list *l)
{
	unsigned bytes = l->u->address_bytes;
	uint64_t start, end;
	int err = 0;

	while (!err && pa_dwarf_cursor__more(&l->c) && pa_dwarf__spend(l->d, 16) &&
	       pa_dwarf_cursor__number(&l->c, bytes, &start) &&
	       pa_dwarf_cursor__number(&l->c, bytes, &end) && (start || end)) {
		if (start == address_max(l->u))
			l->base = end;
		else
			err = l->add(l->ctx, l->base + start, l->base + end);
	}
	return err;
}

static bool read_address(struct list *l, uint64_t *out)
{
	struct pa_dwarf_value v = {.kind = PA_DWARF_ADDRESS_INDEX};

	return pa_dwarf_cursor__uleb(&l->c, &v.number) &&
	       pa_dwarf_value__address(l->d, l->u, &v, out);
}

/* An entry of a list of DWARF 5. @return 1 a range, 0 none, -1 the end or damage */
static int read_entry(struct list *l, uint64_t *start, uint64_t *end)
{
	struct pa_dwarf_cursor *c = &l->c;
	unsigned bytes = l->u->address_bytes;
	uint64_t kind;
	bool ok = false;

	if (!pa_dwarf_cursor__number(c, 1, &kind))
		return -1;
	switch (kind) {
	case DW_RLE_base_addressx:
		return read_address(l, &l->base) ? 0 : -1;
	case DW_RLE_base_address:
		return pa_dwarf_cursor__number(c, bytes, &l->base) ? 0 : -1;
	case DW_RLE_startx_endx:
		ok = read_address(l, start) && read_address(l, end);
		break;
	case DW_RLE_startx_length:
		ok = read_address(l, start) && pa_dwarf_cursor__uleb(c, end);
		*end += *start;
		break;
	case DW_RLE_offset_pair:
		ok = pa_dwarf_cursor__uleb(c, start) && pa_dwarf_cursor__uleb(c, end);
		*start += l->base;
		*end += l->base;
		break;
	case DW_RLE_start_end:
		ok = pa_dwarf_cursor__number(c, bytes, start) &&
		     pa_dwarf_cursor__number(c, bytes, end);
		break;
	case DW_RLE_start_length:
		ok = pa_dwarf_cursor__number(c, bytes, start) && pa_dwarf_cursor__uleb(c, end);
		*end += *start;
		break;
	}
	return ok ? 1 : -1;
}

static int each_entry(struct list *l)
{
	uint64_t start = 0, end = 0;
	int err = 0, got = 0;

	while (!err && got >= 0 && pa_dwarf_cursor__more(&l->c) && pa_dwarf__spend(l->d, 16)) {
		got = read_entry(l, &start, &end);
		if (got > 0)
			err = l->add(l->ctx, start, end);
	}
	return err;
}

static int each_in_list(struct list *l, const struct pa_dwarf_root *root,
			const struct pa_dwarf_value *ranges)
{
	bool is_new = l->u->version >= 5;
	struct pa_dwarf_section *s =
		l->u->file->sections[is_new ? PA_DWARF_RNGLISTS : PA_DWARF_RANGES];
	uint64_t at = ranges->number;

	if (ranges->kind == PA_DWARF_LIST_INDEX) {
		if (at >= UINT32_MAX ||
		    !pa_dwarf_section__number(s, root->rnglists_base + at * l->u->offset_bytes,
					      l->u->offset_bytes, &at))
			return 0;
		at += root->rnglists_base;
	} else if (ranges->kind != PA_DWARF_OFFSET && ranges->kind != PA_DWARF_NUMBER) {
		return 0;
	} else if (!is_new) {
		at += root->ranges_base;
	}
	if (!s || !pa_dwarf_cursor__open(&l->c, s, at, s->bytes, ENTRY_BYTES, PA_DWARF_SMALL_BYTES))
		return 0;
	return is_new ? each_entry(l) : each_pair(l);
}

int pa_dwarf__each_range(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			 const struct pa_dwarf_value *low, const struct pa_dwarf_value *high,
			 const struct pa_dwarf_value *ranges, pa_dwarf_range_fn add, void *ctx)
{
	struct list l = {.d = d, .u = u, .add = add, .ctx = ctx};
	const struct pa_dwarf_root *root;
	uint64_t start, end;
	int err;

	if (low->kind && high->kind) {
		if (!pa_dwarf_value__address(d, u, low, &start))
			return 0;
		if (high->kind == PA_DWARF_NUMBER)
			end = start + high->number;
		else if (!pa_dwarf_value__address(d, u, high, &end))
			return 0;
		return add(ctx, start, end);
	}
	if (!ranges->kind)
		return 0;
	root = pa_dwarf_unit__root(d, u, &err);
	if (!root)
		return err == -ENOMEM ? err : 0;
	l.base = root->base;
	return each_in_list(&l, root, ranges);
}
