// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfunit.c - one unit of DWARF: its functions with what is inlined in them, and its line
 * table. A damaged unit loses what comes after the damage. What a file can make us do is
 * limited by a count of bytes looked at, and by time where libdw hides how much it does.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "symbolize/dwarfindex.h"

struct span {
	uint64_t start, end;
	uint32_t node;
};

/* Of a unit while it is read. */
struct build {
	struct pa_dwarf *d;
	Dwarf_Off unit;
	const struct pa_dwarf_split *split;
	Dwarf_Files *files;
	Dwarf_Die *unit_die; /* whose files these are */
	uint32_t *file_ids;  /* of files, in d->files; PA_NONE: not asked yet */
	size_t file_cnt;
	struct pa_dwarf_function *functions;
	struct pa_dwarf_node *nodes;
	struct span *spans;
	struct pa_dwarf_segment *segments;
	struct span *open; /* those around the sweep's position */
	size_t function_cnt, function_cap, node_cnt, node_cap, span_cnt, span_cap;
	size_t segment_cnt, segment_cap, open_cnt, open_cap;
	uint64_t start_ns;
	unsigned until_clock;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Is there still something allowed? */
static bool spend(struct build *b, uint64_t work)
{
	b->d->work += work;
	if (b->d->work > PA_DWARF_WORK_MAX)
		return false;
	if (b->until_clock--)
		return true;
	b->until_clock = 255;
	return b->d->time_ns + (now_ns() - b->start_ns) < PA_DWARF_TIME_MAX_NS;
}

/* ---- source files -------------------------------------------------------------------------- */

uint32_t pa_dwarf__file(struct pa_dwarf *d, Dwarf_Die *unit, const char *file)
{
	const char *dir = NULL;
	Dwarf_Attribute attr;
	char *joined;
	size_t dir_bytes, bytes = strlen(file);
	uint32_t id;

	if (bytes && file[0] != '/' && dwarf_attr(unit, DW_AT_comp_dir, &attr))
		dir = dwarf_formstring(&attr);
	if (!dir || !*dir)
		return pa_strings__intern(&d->files, file, bytes);
	dir_bytes = strlen(dir);
	joined = malloc(dir_bytes + bytes + 2);
	if (!joined)
		return PA_NONE;
	memcpy(joined, dir, dir_bytes);
	joined[dir_bytes] = '/';
	memcpy(joined + dir_bytes + 1, file, bytes + 1);
	id = pa_strings__intern(&d->files, joined, dir_bytes + 1 + bytes);
	free(joined);
	return id;
}

static int find_files(struct build *b)
{
	free(b->file_ids);
	b->file_ids = NULL;
	if (dwarf_getsrcfiles(b->unit_die, &b->files, &b->file_cnt))
		b->file_cnt = 0;
	if (!b->file_cnt)
		return 0;
	b->file_ids = malloc(b->file_cnt * sizeof(*b->file_ids));
	if (!b->file_ids)
		return -ENOMEM;
	memset(b->file_ids, 0xff, b->file_cnt * sizeof(*b->file_ids));
	return 0;
}

/* *id PA_NONE: unknown. */
static int file_id(struct build *b, size_t i, uint32_t *id)
{
	const char *name;

	*id = PA_NONE;
	if (i >= b->file_cnt)
		return 0;
	if (b->file_ids[i] == PA_NONE) {
		name = dwarf_filesrc(b->files, i, NULL, NULL);
		if (!name || !*name)
			return 0;
		b->file_ids[i] = pa_dwarf__file(b->d, b->unit_die, name);
		if (b->file_ids[i] == PA_NONE)
			return -ENOMEM;
	}
	*id = b->file_ids[i];
	return 0;
}

/* ---- functions and what is inlined in them --------------------------------------------------- */

static uint32_t number(Dwarf_Attribute *attr)
{
	Dwarf_Word value;

	if (!attr || !attr->code || dwarf_formudata(attr, &value) || value >= PA_NONE)
		return 0;
	return (uint32_t)value;
}

static int add_entry(struct build *b, Dwarf_Off die, uint64_t addr)
{
	if (pa_array_grow(&b->functions, b->function_cnt, &b->function_cap, sizeof(*b->functions)))
		return -ENOMEM;
	b->functions[b->function_cnt++] = (struct pa_dwarf_function){addr, die};
	return 0;
}

static int add_span(struct build *b, uint64_t start, uint64_t end)
{
	if (pa_array_grow(&b->spans, b->span_cnt, &b->span_cap, sizeof(*b->spans)))
		return -ENOMEM;
	b->spans[b->span_cnt++] = (struct span){start, end, (uint32_t)b->node_cnt};
	return 0;
}

static bool has_room(const struct build *b)
{
	return b->d->index_bytes + b->span_cnt * sizeof(*b->spans) +
		       b->function_cnt * sizeof(*b->functions) <
	       PA_DWARF_INDEX_MAX_BYTES;
}

/* Add one range of a function, which has a symbol then, or of one that is inlined. */
static int add_range(struct build *b, const struct pa_dwarf_entry *e, uint64_t start, uint64_t end,
		     bool *found)
{
	int err = 0;

	/* Linkers leave 0 for what they have thrown away. */
	if (start >= end || !start || !has_room(b))
		return 0;
	*found = true;
	if (e->tag == DW_TAG_subprogram)
		err = add_entry(b, e->offset, start);
	return !err && b->d->want_inlines ? add_span(b, start, end) : err;
}

/* Where dwarf_ranges is to begin: it doesn't know what those of a split unit are relative to. */
static ptrdiff_t first_range(const struct build *b, Dwarf_Die *die, Dwarf_Addr *base)
{
	Dwarf_Attribute attr;
	Dwarf_Word at;

	if (!b->split || !b->split->base || !dwarf_attr(die, DW_AT_ranges, &attr) ||
	    dwarf_formudata(&attr, &at) || at < 2 || at > PTRDIFF_MAX)
		return 0;
	*base = b->split->base;
	return (ptrdiff_t)at;
}

/* All ranges of what will be the next node. *found: there are some. */
static int add_ranges(struct build *b, const struct pa_dwarf_entry *e, bool *found)
{
	Dwarf_Addr base = 0, start, end;
	ptrdiff_t at = 0, last = 0;
	Dwarf_Die die;
	int err = 0;

	*found = false;
	if (e->has_low && e->has_high && e->is_plain)
		return add_range(b, e, e->low, e->high_is_address ? e->high : e->low + e->high,
				 found);
	if (!(e->has_low && e->has_high) && !e->has_ranges)
		return 0;
	if (!dwarf_offdie(b->split ? b->split->dwarf : b->d->dwarf, e->offset, &die))
		return 0;
	if (e->has_ranges)
		at = first_range(b, &die, &base);
	while (!err && (at = dwarf_ranges(&die, at, &base, &start, &end)) > 0) {
		if (!spend(b, last && at > last ? (uint64_t)(at - last) : 16))
			return 0;
		last = at;
		err = add_range(b, e, start, end, found);
	}
	return err;
}

/* *node: what it is, for its children; stays what it was when it has no code. */
static int add_node(struct build *b, const struct pa_dwarf_entry *e, uint32_t parent,
		    uint32_t *node)
{
	struct pa_dwarf_node n = {.parent = parent, .call_file = PA_NONE};
	bool found;
	int err;

	if (e->offset - b->unit >= PA_NONE || b->node_cnt >= PA_NONE)
		return 0;
	err = add_ranges(b, e, &found);
	if (err || !found || !b->d->want_inlines)
		return err;
	n.die = (uint32_t)(e->offset - b->unit);
	if (parent != PA_NONE) {
		n.call_line = e->call_line;
		err = file_id(b, e->call_file, &n.call_file);
		if (err)
			return err;
	}
	if (pa_array_grow(&b->nodes, b->node_cnt, &b->node_cap, sizeof(*b->nodes)))
		return -ENOMEM;
	*node = (uint32_t)b->node_cnt;
	b->nodes[b->node_cnt++] = n;
	return 0;
}

/* Functions may be inside of namespaces, classes and other functions. */
static bool may_hold_functions(const struct build *b, int tag)
{
	switch (tag) {
	case DW_TAG_compile_unit:
	case DW_TAG_partial_unit:
	case DW_TAG_namespace:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_module:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return true;
	case DW_TAG_inlined_subroutine:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return b->d->want_inlines;
	default:
		return false;
	}
}

/* Visit all entries; outer has the function around those of each depth. */
static int walk(struct build *b, Elf *elf, Dwarf_Die *unit)
{
	uint32_t outer[PA_DWARF_DEPTH_MAX + 1];
	struct pa_dwarf_entry e;
	struct pa_dwarf_scan s;
	int err = pa_dwarf_scan__open(&s, elf, unit);

	outer[0] = PA_NONE;
	while (!err && pa_dwarf_scan__next(&s, &e)) {
		uint32_t node;

		if (e.depth > PA_DWARF_DEPTH_MAX)
			continue;
		node = e.tag == DW_TAG_subprogram ? PA_NONE : outer[e.depth];
		if (e.tag == DW_TAG_subprogram ||
		    (e.tag == DW_TAG_inlined_subroutine && node != PA_NONE))
			err = add_node(b, &e, node, &node);
		if (e.has_children && e.depth < PA_DWARF_DEPTH_MAX)
			outer[e.depth + 1] = node;
		if (!may_hold_functions(b, e.tag))
			pa_dwarf_scan__skip(&s, &e);
	}
	pa_dwarf_scan__close(&s);
	return err == -ENOMEM ? err : 0;
}

/* ---- nested ranges become segments ------------------------------------------------------------
 */

static int compare_spans(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

static int add_segment(struct build *b, uint64_t start, uint32_t node)
{
	struct pa_dwarf_segment *last = b->segment_cnt ? &b->segments[b->segment_cnt - 1] : NULL;

	if (last && last->start == start) {
		last->node = node;
		return 0;
	}
	if (last ? last->node == node : node == PA_NONE)
		return 0;
	if (pa_array_grow(&b->segments, b->segment_cnt, &b->segment_cap, sizeof(*b->segments)))
		return -ENOMEM;
	b->segments[b->segment_cnt++] = (struct pa_dwarf_segment){start, node};
	return 0;
}

/* Leave the ranges that end before addr. */
static int close_spans(struct build *b, uint64_t addr)
{
	int err = 0;

	while (!err && b->open_cnt && b->open[b->open_cnt - 1].end <= addr) {
		uint64_t end = b->open[--b->open_cnt].end;

		err = add_segment(b, end, b->open_cnt ? b->open[b->open_cnt - 1].node : PA_NONE);
	}
	return err;
}

/* Ranges nest; in a damaged file those that don't end with what is around them. */
static int make_segments(struct build *b)
{
	int err = 0;

	if (b->span_cnt)
		qsort(b->spans, b->span_cnt, sizeof(*b->spans), compare_spans);
	for (size_t i = 0; !err && i < b->span_cnt; i++) {
		struct span s = b->spans[i];

		err = close_spans(b, s.start);
		if (err)
			return err;
		if (b->open_cnt && b->open[b->open_cnt - 1].end < s.end)
			s.end = b->open[b->open_cnt - 1].end;
		if (pa_array_grow(&b->open, b->open_cnt, &b->open_cap, sizeof(*b->open)))
			return -ENOMEM;
		b->open[b->open_cnt++] = s;
		err = add_segment(b, s.start, s.node);
	}
	return err ? err : close_spans(b, UINT64_MAX);
}

/* ---- its line table
 * ------------------------------------------------------------------------------ */

/* Rows that say nothing new are left out. */
static void add_row(struct pa_dwarf_unit *u, uint64_t addr, uint32_t file, uint32_t line)
{
	struct pa_dwarf_row *last = u->row_cnt ? &u->rows[u->row_cnt - 1] : NULL;

	if (last && last->addr == addr)
		*last = (struct pa_dwarf_row){addr, file, line};
	else if (!last || last->file != file || last->line != line)
		u->rows[u->row_cnt++] = (struct pa_dwarf_row){addr, file, line};
}

static int copy_rows(struct build *b, struct pa_dwarf_unit *u, Dwarf_Lines *lines, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		Dwarf_Line *row = dwarf_onesrcline(lines, i);
		Dwarf_Files *files;
		Dwarf_Addr addr;
		uint32_t id = PA_NONE;
		size_t file;
		int line = 0;
		bool end = true;

		if (!row || dwarf_lineaddr(row, &addr) || dwarf_lineendsequence(row, &end))
			continue;
		if (!end && (dwarf_lineno(row, &line) || line < 0))
			line = 0;
		if (!end && !dwarf_line_file(row, &files, &file) && file_id(b, file, &id))
			return -ENOMEM;
		add_row(u, addr, id, id == PA_NONE ? 0 : (uint32_t)line);
	}
	return 0;
}

/* ---- the unit ----------------------------------------------------------------------------------
 */

static int compare_functions(const void *pa, const void *pb)
{
	const struct pa_dwarf_function *a = pa, *b = pb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->die < b->die ? -1 : a->die > b->die;
}

/* Give back what an array has too much. */
static void *fit(void *array, size_t cnt, size_t element_bytes)
{
	void *smaller;

	if (!cnt) {
		free(array);
		return NULL;
	}
	smaller = realloc(array, cnt * element_bytes);
	return smaller ? smaller : array;
}

static int load_rows(struct build *b, struct pa_dwarf_unit *u, Dwarf_Lines *lines, size_t cnt)
{
	int err;

	if (cnt > UINT32_MAX ||
	    b->d->index_bytes + cnt * sizeof(*u->rows) > PA_DWARF_INDEX_MAX_BYTES)
		return 0;
	u->rows = malloc(cnt * sizeof(*u->rows));
	if (!u->rows)
		return -ENOMEM;
	err = copy_rows(b, u, lines, cnt);
	u->rows = fit(u->rows, u->row_cnt, sizeof(*u->rows));
	b->d->index_bytes += u->row_cnt * sizeof(*u->rows);
	return err;
}

static void keep(struct build *b, struct pa_dwarf_unit *u)
{
	u->functions = fit(b->functions, b->function_cnt, sizeof(*b->functions));
	u->nodes = fit(b->nodes, b->node_cnt, sizeof(*b->nodes));
	u->segments = fit(b->segments, b->segment_cnt, sizeof(*b->segments));
	u->function_cnt = (uint32_t)b->function_cnt;
	u->node_cnt = (uint32_t)b->node_cnt;
	u->segment_cnt = (uint32_t)b->segment_cnt;
	if (u->function_cnt)
		qsort(u->functions, u->function_cnt, sizeof(*u->functions), compare_functions);
	b->d->index_bytes += b->function_cnt * sizeof(*b->functions) +
			     b->node_cnt * sizeof(*b->nodes) +
			     b->segment_cnt * sizeof(*b->segments);
}

/* How much of .debug_line libdw would decode for this unit; it keeps all of it. */
static uint64_t program_bytes(const struct pa_dwarf *d, Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Word at;
	uint32_t head[3];
	uint64_t bytes;

	if (!d->line_program || !dwarf_attr(die, DW_AT_stmt_list, &attr) ||
	    dwarf_formudata(&attr, &at) || d->line_program->d_size < sizeof(head) ||
	    at > d->line_program->d_size - sizeof(head))
		return UINT64_MAX;
	memcpy(head, (const char *)d->line_program->d_buf + at, sizeof(head));
	memcpy(&bytes, head + 1, sizeof(bytes));
	return head[0] == UINT32_MAX ? bytes : head[0];
}

/* The unit's line table and the files it names. */
static int find_lines(struct build *b, Dwarf_Lines **lines, size_t *cnt)
{
	*cnt = 0;
	if (program_bytes(b->d, b->unit_die) > PA_DWARF_LINE_PROGRAM_MAX_BYTES)
		return 0;
	if (dwarf_getsrclines(b->unit_die, lines, cnt))
		*cnt = 0;
	b->d->rows_held += *cnt;
	return find_files(b);
}

/* The functions are in another file; its files have numbers of their own where it has a table. */
static int find_split(struct build *b, struct pa_dwarf_unit *u, Dwarf_Die *die)
{
	struct build own = *b;
	int err = pa_dwarf_split__open(b->d, b->unit_die, &u->split);

	if (err || !u->split || !dwarf_offdie(u->split->dwarf, u->split->die, die))
		return err;
	b->split = u->split;
	b->unit = u->split->die;
	own.unit_die = die;
	own.file_ids = NULL;
	err = find_files(&own);
	if (err || !own.file_cnt) {
		free(own.file_ids);
		return err;
	}
	free(b->file_ids);
	b->file_ids = own.file_ids;
	b->file_cnt = own.file_cnt;
	b->files = own.files;
	b->unit_die = die;
	return 0;
}

static int load(struct build *b, struct pa_dwarf_unit *u)
{
	Dwarf_Lines *lines = NULL;
	Dwarf_Die die = *b->unit_die;
	size_t cnt = 0;
	int err = 0;

	if (b->d->want_inlines || b->d->want_lines)
		err = find_lines(b, &lines, &cnt);
	if (!err && cnt && b->d->want_lines)
		err = load_rows(b, u, lines, cnt);
	if (!err)
		err = find_split(b, u, &die);
	if (!err)
		err = walk(b, b->split ? b->split->elf : b->d->elf, &die);
	if (!err)
		err = make_segments(b);
	keep(b, u);
	return err;
}

int pa_dwarf_unit__load(struct pa_dwarf *d, struct pa_dwarf_unit *u)
{
	Dwarf_Die die;
	struct build b = {.d = d, .unit = u->die, .unit_die = &die, .start_ns = now_ns()};
	int err;

	u->loaded = true;
	if ((d->rows_held > PA_DWARF_ROWS_HELD_MAX && pa_dwarf__reopen(d)) ||
	    !dwarf_offdie(d->dwarf, u->die, &die))
		return 0;
	err = load(&b, u);
	d->time_ns += now_ns() - b.start_ns;
	free(b.spans);
	free(b.open);
	free(b.file_ids);
	return err;
}

void pa_dwarf_unit__free(struct pa_dwarf_unit *u)
{
	free(u->functions);
	free(u->nodes);
	free(u->segments);
	free(u->rows);
	pa_dwarf_split__free(u->split);
}

Dwarf_Off pa_dwarf_unit__offset(const struct pa_dwarf_unit *u)
{
	return u->split ? u->split->die : u->die;
}

Dwarf_Die *pa_dwarf_unit__die(const struct pa_dwarf *d, const struct pa_dwarf_unit *u, Dwarf_Off at,
			      Dwarf_Die *die)
{
	Dwarf *dwarf = u->split ? u->split->dwarf : d->dwarf;

	return dwarf ? dwarf_offdie(dwarf, at, die) : NULL;
}

/* ---- names
 * ----------------------------------------------------------------------------------------- */

static const char *string(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) ? dwarf_formstring(&attr) : NULL;
}

/* The entry that die is an instance or the definition of. */
static bool next_origin(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Die origin;

	if (!dwarf_attr(die, DW_AT_abstract_origin, &attr) &&
	    !dwarf_attr(die, DW_AT_specification, &attr))
		return false;
	if (!dwarf_formref_die(&attr, &origin))
		return false;
	*die = origin;
	return true;
}

static int name_function(struct pa_dwarf *d, struct pa_dwarf_fn *fn, const char *linkage,
			 const char *name)
{
	char *readable;

	fn->name = fn->system_name = "";
	if (linkage && *linkage)
		name = linkage;
	if (!name || !*name)
		return 0;
	fn->name = fn->system_name = pa_pool__strndup(&d->pool, name, strlen(name));
	if (!fn->name)
		return -ENOMEM;
	readable = pa_demangle(fn->name);
	if (readable)
		fn->name = pa_pool__strndup(&d->pool, readable, strlen(readable));
	free(readable);
	return fn->name ? 0 : -ENOMEM;
}

/* Follow a function to where its names and line are said. A chain that leads in a circle ends. */
static int make_fn(struct pa_dwarf *d, Dwarf_Die *die, struct pa_dwarf_fn **out)
{
	const char *linkage = NULL, *name = NULL;
	struct pa_dwarf_fn *fn = pa_pool__alloc(&d->pool, sizeof(*fn));
	Dwarf_Attribute line;

	if (!fn)
		return -ENOMEM;
	*out = fn;
	for (int i = 0; i < PA_DWARF_ORIGINS_MAX; i++) {
		if (!linkage)
			linkage = string(die, DW_AT_linkage_name);
		if (!linkage)
			linkage = string(die, DW_AT_MIPS_linkage_name);
		if (!name)
			name = string(die, DW_AT_name);
		if (!fn->start_line)
			fn->start_line = number(dwarf_attr(die, DW_AT_decl_line, &line));
		if ((linkage && name && fn->start_line) || !next_origin(die))
			break;
	}
	return name_function(d, fn, linkage, name);
}

int pa_dwarf_unit__name(struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			struct pa_dwarf_node *node)
{
	struct pa_dwarf_fn *fn;
	struct {
		uint64_t die, file;
	} key;
	Dwarf_Die die;
	int err = 0;

	if (!pa_dwarf_unit__die(d, u, pa_dwarf_unit__offset(u) + node->die, &die))
		return 0;
	next_origin(&die);
	key.die = dwarf_dieoffset(&die);
	key.file = u->split ? (uintptr_t)u->split : dwarf_cu_getdwarf(die.cu) == d->alt;
	fn = pa_table__get(&d->fns, &key, sizeof(key));
	if (!fn) {
		err = make_fn(d, &die, &fn);
		if (!err)
			err = pa_table__set(&d->fns, &key, sizeof(key), fn);
	}
	if (!err)
		node->fn = fn;
	return err;
}
