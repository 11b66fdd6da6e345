// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfindex.c - what an address means in the source: the unit that has it, from one table of
 * all units' ranges, and there the innermost function and the row of the line table.
 */
#include <dwarf.h>
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
	d->file = calloc(1, sizeof(*d->file));
	d->search = &opts->search;
	err = d->path && d->file ? pa_dwarf__open(d, path, d->search) : -ENOMEM;
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
	if (d->file)
		pa_dwarf_file__free(d->file);
	free(d->file);
	pa_dwarf_package__free(d->package);
	for (size_t i = 0; i < PA_DWARF_TABLES_CNT; i++)
		pa_dwarf_abbrevs__free(d->tables[i]);
	free(d->path);
	free(d->ranges);
	free(d->lines);
	free(d->readable);
	free(d->names);
	free(d->fns);
	pa_index__free(&d->names_by_place);
	pa_index__free(&d->fns_by_die);
	pa_strings__free(&d->files);
	pa_strings__free(&d->symbols);
	pa_pool__free(&d->pool);
	if (d->fd >= 0)
		close(d->fd);
	if (d->alt_fd >= 0)
		close(d->alt_fd);
	free(d);
}

/* ---- which unit ----------------------------------------------------------------------- */

struct unit_ranges {
	struct pa_dwarf *d;
	uint32_t unit;
	bool found;
};

static int add_range(void *ctx, uint64_t start, uint64_t end)
{
	struct unit_ranges *r = ctx;
	struct pa_dwarf *d = r->d;

	if (start >= end || d->range_cnt >= PA_DWARF_RANGES_MAX)
		return 0;
	if (pa_array_grow(&d->ranges, d->range_cnt, &d->range_cap, sizeof(*d->ranges)))
		return -ENOMEM;
	d->ranges[d->range_cnt++] = (struct pa_dwarf_range){start, end, r->unit};
	r->found = true;
	return 0;
}

/* One set of .debug_aranges: those of one unit. */
static int add_arange_set(struct pa_dwarf *d, struct pa_dwarf_cursor *c, const bool *has_ranges)
{
	struct unit_ranges r = {.d = d};
	uint64_t begin = pa_dwarf_cursor__at(c), length, version, info, bytes, start, range_bytes,
		 end;
	struct pa_dwarf_unit *u;
	unsigned offset_bytes = 4;
	int err = 0;

	if (!pa_dwarf_cursor__number(c, 4, &length))
		return -EBADMSG;
	if (length == UINT32_MAX) {
		offset_bytes = 8;
		if (!pa_dwarf_cursor__number(c, 8, &length))
			return -EBADMSG;
	}
	if (length > c->limit - pa_dwarf_cursor__at(c))
		return -EBADMSG;
	end = pa_dwarf_cursor__at(c) + length;
	if (!pa_dwarf_cursor__number(c, 2, &version) ||
	    !pa_dwarf_cursor__number(c, offset_bytes, &info) ||
	    !pa_dwarf_cursor__number(c, 1, &bytes) || !pa_dwarf_cursor__skip(c, 1))
		return -EBADMSG;
	u = info < UINT64_MAX - 64 ? pa_dwarf_file__unit_from(d->file, info) : NULL;
	if (u && !has_ranges[u - d->file->units] && (bytes == 4 || bytes == 8)) {
		uint64_t head = pa_dwarf_cursor__at(c) - begin, pair = bytes * 2;

		r.unit = (uint32_t)(u - d->file->units);
		pa_dwarf_cursor__skip(c, (pair - head % pair) % pair);
		while (!err && pa_dwarf_cursor__more(c) && pa_dwarf__spend(d, 16) &&
		       pa_dwarf_cursor__at(c) + pair <= end &&
		       pa_dwarf_cursor__number(c, (unsigned)bytes, &start) &&
		       pa_dwarf_cursor__number(c, (unsigned)bytes, &range_bytes))
			if (range_bytes <= UINT64_MAX - start)
				err = add_range(&r, start, start + range_bytes);
	}
	if (!err && end < c->limit)
		pa_dwarf_cursor__seek(c, end);
	else
		c->limit = 0;
	return err;
}

/* .debug_aranges, often missing or incomplete: for units that say nothing of their ranges. */
static int add_aranges(struct pa_dwarf *d, const bool *has_ranges)
{
	struct pa_dwarf_section *s = d->file->sections[PA_DWARF_ARANGES];
	struct pa_dwarf_cursor c;
	int err = 0;

	if (!s || !pa_dwarf_cursor__open(&c, s, 0, s->bytes, 64, PA_DWARF_SMALL_BYTES))
		return 0;
	while (!err && c.limit && pa_dwarf_cursor__more(&c) && pa_dwarf__spend(d, 64))
		err = add_arange_set(d, &c, has_ranges);
	return err == -ENOMEM ? err : 0;
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct pa_dwarf_range *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->unit < b->unit ? -1 : a->unit > b->unit;
}

/* The ranges of all units. *has_ranges: by unit */
static int add_units(struct pa_dwarf *d, bool *has_ranges, bool *all_have)
{
	struct pa_dwarf_file *f = d->file;
	int err = 0;

	*all_have = true;
	for (size_t i = 0; !err && i < f->unit_cnt; i++) {
		struct unit_ranges r = {.d = d, .unit = (uint32_t)i};
		const struct pa_dwarf_root *root = pa_dwarf_unit__root(d, &f->units[i], &err);

		if (root)
			err = pa_dwarf__each_range(d, &f->units[i], &root->low, &root->high,
						   &root->ranges, add_range, &r);
		else if (err != -ENOMEM)
			err = 0;
		has_ranges[i] = r.found;
		*all_have &= r.found;
	}
	return err;
}

static int load_units(struct pa_dwarf *d)
{
	bool *has_ranges, all_have;
	int err = pa_dwarf_file__read_units(d->file);

	d->loaded = true;
	if (err || !d->file->unit_cnt)
		return err;
	has_ranges = calloc(d->file->unit_cnt, sizeof(*has_ranges));
	if (!has_ranges)
		return -ENOMEM;
	err = add_units(d, has_ranges, &all_have);
	if (!err && !all_have)
		err = add_aranges(d, has_ranges);
	free(has_ranges);
	if (d->range_cnt)
		qsort(d->ranges, d->range_cnt, sizeof(*d->ranges), compare_ranges);
	if (!err && pa_dwarf_file__no_memory(d->file))
		err = -ENOMEM;
	return err;
}

/* Ranges of different units don't overlap but in damaged files: look back a little. */
int pa_dwarf__next_unit(struct pa_dwarf *d, uint64_t vaddr, size_t *i, struct pa_dwarf_unit **out)
{
	size_t low = 0, high;

	*out = NULL;
	if (!d->loaded && load_units(d))
		return -ENOMEM;
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
			*out = &d->file->units[r->unit];
		++*i;
	}
	return *out ? pa_dwarf_unit__load(d, *out) : 0;
}

/* ---- where a function is declared ----------------------------------------------------- */

static int find_function(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t vaddr,
			 const char **file, uint32_t *line)
{
	struct pa_dwarf_function *f;
	int err;

	if (!x)
		return -ENOENT;
	err = pa_dwarf_unit__find(d, x, vaddr, &f);
	if (err || !f || f->start != vaddr)
		return err ? err : -ENOENT;
	return pa_dwarf__declaration(d, x, x->unit->at + x->bodies[f->body].die, file, line);
}

int pa_dwarf__decl(struct pa_dwarf *d, uint64_t vaddr, const char **file, uint32_t *line)
{
	struct pa_dwarf_unit *u;
	size_t i = 0;
	int err;

	*file = "";
	*line = 0;
	do {
		err = pa_dwarf__next_unit(d, vaddr, &i, &u);
		if (err || !u)
			return err ? err : -ENOENT;
		err = find_function(d, u->index, vaddr, file, line);
	} while (err == -ENOENT);
	return err;
}

/* ---- lines ---------------------------------------------------------------------------- */

static int row_at(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t vaddr, uint32_t *file,
		  uint32_t *line)
{
	struct pa_dwarf_lines *lines = u->index->lines;
	uint32_t number;
	int err;

	*file = PA_NONE;
	*line = 0;
	if (!d->want_lines || !lines)
		return 0;
	err = pa_dwarf_lines__find(d, lines, vaddr, &number, line);
	if (err)
		return err == -ENOMEM ? err : 0;
	err = pa_dwarf_lines__file(d, lines, number, file);
	if (*file == PA_NONE)
		*line = 0;
	return err;
}

static int add_line(struct pa_dwarf *d, size_t *cnt, const struct pa_dwarf_fn *fn, uint32_t file,
		    uint32_t line)
{
	struct pa_line *l;

	if (pa_array_grow(&d->lines, *cnt, &d->line_cap, sizeof(*d->lines)))
		return -ENOMEM;
	l = &d->lines[(*cnt)++];
	l->name = fn ? pa_dwarf__readable(d, fn) : "";
	if (!l->name)
		return -ENOMEM;
	l->system_name = fn ? pa_dwarf__system_name(d, fn) : "";
	l->file = file == PA_NONE ? "" : d->files.strs[file];
	l->line = line;
	l->start_line = fn ? fn->start_line : 0;
	return 0;
}

/* Where a node was called. */
static int call_of(struct pa_dwarf *d, struct pa_dwarf_unit *u, const struct pa_dwarf_node *n,
		   uint32_t *file, uint32_t *line)
{
	struct pa_dwarf_index *x = u->index;

	*file = PA_NONE;
	*line = n->call_line;
	if (n->parent == PA_NONE)
		return 0;
	if (x->split_lines)
		return pa_dwarf_lines__file(d, x->split_lines, n->call_file, file);
	return x->lines ? pa_dwarf_lines__file(d, x->lines, n->call_file, file) : 0;
}

static int innermost(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t vaddr,
		     struct pa_dwarf_node **nodes, uint32_t *node)
{
	struct pa_dwarf_function *f;
	int err;

	*node = PA_NONE;
	if (!d->want_inlines)
		return 0;
	err = pa_dwarf_unit__find(d, x, vaddr, &f);
	if (err || !f)
		return err;
	err = pa_dwarf_body__find(d, x, &x->bodies[f->body], vaddr, node);
	*nodes = x->bodies[f->body].nodes;
	return err;
}

/* From the innermost function outwards: each is where the one inside of it was called. */
static int add_lines(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t vaddr, bool is_named,
		     size_t *cnt)
{
	struct pa_dwarf_index *x = u->index;
	struct pa_dwarf_node *nodes = NULL;
	uint32_t node, file, line;
	int err;

	if (!x)
		return 0;
	err = innermost(d, x, vaddr, &nodes, &node);
	if (!err)
		err = row_at(d, u, vaddr, &file, &line);
	if (!err && node == PA_NONE)
		return file == PA_NONE ? 0 : add_line(d, cnt, NULL, file, line);
	while (!err && node != PA_NONE) {
		struct pa_dwarf_node *n = &nodes[node];
		bool is_last = n->parent == PA_NONE;

		if (n->fn == PA_NONE && !(is_last && is_named))
			err = pa_dwarf__name(d, x->unit, n);
		/* of too many, the outermost is kept */
		if (!err && (*cnt < PA_DWARF_INLINES_MAX || is_last))
			err = add_line(d, cnt, n->fn == PA_NONE ? NULL : &d->fns[n->fn], file,
				       line);
		if (!err)
			err = call_of(d, u, n, &file, &line);
		node = n->parent;
	}
	return err;
}

int pa_dwarf__lines(struct pa_dwarf *d, uint64_t vaddr, bool is_named, struct pa_line **lines,
		    size_t *cnt)
{
	struct pa_dwarf_unit *u;
	size_t i = 0;
	int err;

	*cnt = 0;
	do {
		err = pa_dwarf__next_unit(d, vaddr, &i, &u);
		if (!err && u)
			err = add_lines(d, u, vaddr, is_named, cnt);
	} while (!err && u && !*cnt);
	*lines = d->lines;
	return err;
}
