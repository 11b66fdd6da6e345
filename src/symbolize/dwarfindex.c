// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfindex.c - what an address means in the source: the unit that has it, from one table of
 * all units' ranges, and there the innermost function and the row of the line table.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/dwarfindex.h"

#define OVERLAPS_MAX 4

int pa_dwarf__new(int fd, const char *path, const struct pa_symbolizer_opts *opts,
		  struct pa_dwarf **out)
{
	struct pa_dwarf *d = calloc(1, sizeof(*d));
	int err;

	*out = NULL;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	d->fd = fd;
	d->alt_fd = -1;
	d->want_lines = opts->lines;
	d->want_inlines = opts->inlines;
	d->path = strdup(path ? path : "");
	d->search = &opts->search;
	err = d->path ? pa_dwarf__open(d, path, d->search) : -ENOMEM;
	if (err) {
		pa_dwarf__free(d);
		return err;
	}
	*out = d;
	return 0;
}

void pa_dwarf__free(struct pa_dwarf *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->unit_cnt; i++)
		pa_dwarf_unit__free(&d->units[i]);
	free(d->path);
	pa_dwarf_package__free(d->package);
	free(d->units);
	free(d->ranges);
	free(d->lines);
	pa_table__free(&d->fns);
	pa_strings__free(&d->files);
	pa_pool__free(&d->pool);
	pa_dwarf__close(d);
	free(d);
}

/* ---- which unit ----------------------------------------------------------------------------- */

static int add_range(struct pa_dwarf *d, uint64_t start, uint64_t end, uint32_t unit)
{
	if (start >= end || d->range_cnt >= PA_DWARF_RANGES_MAX)
		return 0;
	if (pa_array_grow(&d->ranges, d->range_cnt, &d->range_cap, sizeof(*d->ranges)))
		return -ENOMEM;
	d->ranges[d->range_cnt++] = (struct pa_dwarf_range){start, end, unit};
	return 0;
}

static int add_ranges(struct pa_dwarf *d, Dwarf_Die *die, uint32_t unit)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0, last = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		d->work += last && at > last ? (uint64_t)(at - last) : 16;
		last = at;
		if (d->work > PA_DWARF_WORK_MAX)
			return 0;
		if (add_range(d, start, end, unit))
			return -ENOMEM;
	}
	return 0;
}

static ssize_t unit_at(const struct pa_dwarf *d, Dwarf_Off die)
{
	size_t low = 0, high = d->unit_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->units[mid].die < die)
			low = mid + 1;
		else
			high = mid;
	}
	return low < d->unit_cnt && d->units[low].die == die ? (ssize_t)low : -1;
}

/* .debug_aranges, often missing or incomplete: for units that say nothing of their ranges. */
static int add_aranges(struct pa_dwarf *d, const bool *has_ranges)
{
	Dwarf_Aranges *aranges;
	size_t cnt;

	if (dwarf_getaranges(d->dwarf, &aranges, &cnt))
		return 0;
	for (size_t i = 0; i < cnt; i++) {
		Dwarf_Arange *a = dwarf_onearange(aranges, i);
		Dwarf_Addr start;
		Dwarf_Word bytes;
		Dwarf_Off die;
		ssize_t unit;

		if (!a || dwarf_getarangeinfo(a, &start, &bytes, &die))
			continue;
		unit = unit_at(d, die);
		if (unit >= 0 && !has_ranges[unit] && bytes <= UINT64_MAX - start &&
		    add_range(d, start, start + bytes, (uint32_t)unit))
			return -ENOMEM;
	}
	return 0;
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct pa_dwarf_range *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static int add_units(struct pa_dwarf *d)
{
	Dwarf_Off at = 0, next;
	size_t header_bytes;

	while (d->unit_cnt < PA_DWARF_UNITS_MAX &&
	       !dwarf_nextcu(d->dwarf, at, &next, &header_bytes, NULL, NULL, NULL) && next > at) {
		Dwarf_Die die;

		if (dwarf_offdie(d->dwarf, at + header_bytes, &die)) {
			if (pa_array_grow(&d->units, d->unit_cnt, &d->unit_cap,
					  sizeof(*d->units)) ||
			    add_ranges(d, &die, (uint32_t)d->unit_cnt))
				return -ENOMEM;
			d->units[d->unit_cnt++] = (struct pa_dwarf_unit){.die = at + header_bytes};
		}
		at = next;
	}
	return 0;
}

static int load_units(struct pa_dwarf *d)
{
	bool *has_ranges;
	int err = add_units(d);

	d->loaded = true;
	has_ranges = err || !d->unit_cnt ? NULL : calloc(d->unit_cnt, sizeof(*has_ranges));
	if (!has_ranges)
		return d->unit_cnt ? -ENOMEM : err;
	for (size_t i = 0; i < d->range_cnt; i++)
		has_ranges[d->ranges[i].unit] = true;
	if (memchr(has_ranges, false, d->unit_cnt))
		err = add_aranges(d, has_ranges);
	free(has_ranges);
	if (d->range_cnt)
		qsort(d->ranges, d->range_cnt, sizeof(*d->ranges), compare_ranges);
	return err;
}

/* Ranges of different units don't overlap but in damaged files: look back a little.
 * *i: how many were looked at; starts with 0. *out NULL: no more. @return 0, -ENOMEM */
static int next_unit(struct pa_dwarf *d, uint64_t vaddr, size_t *i, struct pa_dwarf_unit **out)
{
	size_t low = 0, high;

	*out = NULL;
	if (!d->dwarf || (!d->loaded && load_units(d)))
		return d->dwarf ? -ENOMEM : 0;
	high = d->range_cnt;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->ranges[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	while (!*out && *i < OVERLAPS_MAX && low > *i) {
		const struct pa_dwarf_range *r = &d->ranges[low - 1 - *i];

		if (vaddr < r->end)
			*out = &d->units[r->unit];
		++*i;
	}
	return *out && !(*out)->loaded ? pa_dwarf_unit__load(d, *out) : 0;
}

/* ---- where a function is declared ---------------------------------------------------------------
 */

static int declaration(struct pa_dwarf *d, const struct pa_dwarf_unit *u, Dwarf_Off at,
		       const char **file, uint32_t *line)
{
	Dwarf_Die die, unit;
	const char *name;
	uint32_t id;
	int number = 0;

	if (!pa_dwarf_unit__die(d, u, at, &die) ||
	    !pa_dwarf_unit__die(d, u, pa_dwarf_unit__offset(u), &unit))
		return -ENOENT;
	name = dwarf_decl_file(&die);
	if (!name || !*name)
		return -ENOENT;
	id = pa_dwarf__file(d, &unit, name);
	if (id == PA_NONE)
		return -ENOMEM;
	if (dwarf_decl_line(&die, &number) || number < 0)
		number = 0;
	*file = d->files.strs[id];
	*line = (uint32_t)number;
	return 0;
}

static int find_function(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t vaddr,
			 const char **file, uint32_t *line)
{
	uint32_t low = 0, high = u->function_cnt;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (u->functions[mid].addr < vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == u->function_cnt || u->functions[low].addr != vaddr)
		return -ENOENT;
	return declaration(d, u, u->functions[low].die, file, line);
}

int pa_dwarf__decl(struct pa_dwarf *d, uint64_t vaddr, const char **file, uint32_t *line)
{
	struct pa_dwarf_unit *u;
	size_t i = 0;
	int err;

	*file = "";
	*line = 0;
	do {
		err = next_unit(d, vaddr, &i, &u);
		if (err || !u)
			return err ? err : -ENOENT;
		err = find_function(d, u, vaddr, file, line);
	} while (err == -ENOENT);
	return err;
}

/* ---- lines
 * ---------------------------------------------------------------------------------------- */

static uint32_t node_at(const struct pa_dwarf_unit *u, uint64_t vaddr)
{
	uint32_t low = 0, high = u->segment_cnt;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (u->segments[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? u->segments[low - 1].node : PA_NONE;
}

static void row_at(const struct pa_dwarf_unit *u, uint64_t vaddr, uint32_t *file, uint32_t *line)
{
	uint32_t low = 0, high = u->row_cnt;

	*file = PA_NONE;
	*line = 0;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (u->rows[mid].addr <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return;
	*file = u->rows[low - 1].file;
	*line = u->rows[low - 1].line;
}

static int add_line(struct pa_dwarf *d, size_t *cnt, const struct pa_dwarf_fn *fn, uint32_t file,
		    uint32_t line)
{
	struct pa_line *l;

	if (pa_array_grow(&d->lines, *cnt, &d->line_cap, sizeof(*d->lines)))
		return -ENOMEM;
	l = &d->lines[(*cnt)++];
	l->name = fn ? fn->name : "";
	l->system_name = fn ? fn->system_name : "";
	l->file = file == PA_NONE ? "" : d->files.strs[file];
	l->line = line;
	l->start_line = fn ? fn->start_line : 0;
	return 0;
}

/* From the innermost function outwards: each is where the one inside of it was called. */
static int add_lines(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t vaddr, size_t *cnt)
{
	uint32_t node = node_at(u, vaddr), file, line;
	int err = 0;

	row_at(u, vaddr, &file, &line);
	if (node == PA_NONE)
		return file == PA_NONE ? 0 : add_line(d, cnt, NULL, file, line);
	while (!err && node != PA_NONE) {
		struct pa_dwarf_node *n = &u->nodes[node];

		if (!n->fn)
			err = pa_dwarf_unit__name(d, u, n);
		/* of too many, the outermost is kept */
		if (!err && (*cnt < PA_DWARF_INLINES_MAX || n->parent == PA_NONE))
			err = add_line(d, cnt, n->fn, file, line);
		file = n->call_file;
		line = n->call_line;
		node = n->parent;
	}
	return err;
}

int pa_dwarf__lines(struct pa_dwarf *d, uint64_t vaddr, struct pa_line **lines, size_t *cnt)
{
	struct pa_dwarf_unit *u;
	size_t i = 0;
	int err;

	*cnt = 0;
	do {
		err = next_unit(d, vaddr, &i, &u);
		if (!err && u)
			err = add_lines(d, u, vaddr, cnt);
	} while (!err && u && !*cnt);
	*lines = d->lines;
	return err;
}
