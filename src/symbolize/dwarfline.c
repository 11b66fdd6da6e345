// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfline.c - line tables. Their rows are not kept: one pass over the program notes where each
 * sequence of rows is and, here and there, the state of the machine that makes them. A lookup
 * starts the machine at the last of these marks before its address.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

#define MARK_BYTES 192	    /* of the program between two marks */
#define OP_BYTES 64	    /* of an instruction, but for what is skipped */
#define RUN_MAX_BYTES 65536 /* looked at in one lookup */
#define PATH_MAX_BYTES 8192
#define OVERLAPS_MAX 8

/* A name in the header: of a directory, or of a file in one. */
struct name {
	struct pa_dwarf_value where; /* number: offset in its section */
	uint32_t dir;
	uint32_t id; /* in d->files; PA_NONE: not asked yet, or none */
	bool tried;
};

struct mark {
	uint64_t addr;
	uint32_t at; /* of the next instruction, from the beginning of the program */
	uint32_t file, line;
};

struct sequence {
	uint64_t start, end;
	uint32_t mark, mark_cnt;
};

struct pa_dwarf_lines {
	struct pa_dwarf_unit *unit;
	struct pa_dwarf_section *section;
	uint64_t program, end;
	uint16_t version;
	uint8_t offset_bytes, address_bytes, min_bytes, line_range, opcode_base;
	int8_t line_base;
	uint8_t operand_cnts[256]; /* of standard instructions */
	struct name *dirs, *files;
	size_t dir_cnt, dir_cap, file_cnt, file_cap;
	struct mark *marks;
	struct sequence *sequences; /* by start */
	size_t mark_cnt, mark_cap, sequence_cnt, sequence_cap;
};

/* ---- the header
 * ----------------------------------------------------------------------------------- */

static int add_name(struct name **list, size_t *cnt, size_t *cap, const struct name *n)
{
	if (pa_array_grow(list, *cnt, cap, sizeof(*n)))
		return -ENOMEM;
	(*list)[(*cnt)++] = *n;
	return 0;
}

/* Before DWARF 5: directories, then files, each list ends with an empty name; both count from 1,
 * 0 is the directory of the compiler. @return 0 (also for damage), -ENOMEM */
static int read_old_names(struct pa_dwarf_lines *t, struct pa_dwarf_cursor *c,
			  const struct pa_dwarf_unit *u)
{
	struct name n = {.id = PA_NONE};
	int err = add_name(&t->dirs, &t->dir_cnt, &t->dir_cap, &n);

	if (!err)
		err = add_name(&t->files, &t->file_cnt, &t->file_cap, &n);
	for (int list = 0; !err && list < 2; list++) {
		while (!err && pa_dwarf_cursor__more(c) && *c->p) {
			uint64_t dir = 0, skipped;

			if (!pa_dwarf_value__read(c, u, DW_FORM_string, 0, &n.where))
				return 0;
			pa_dwarf_cursor__more(c);
			if (list && (!pa_dwarf_cursor__uleb(c, &dir) ||
				     !pa_dwarf_cursor__uleb(c, &skipped) ||
				     !pa_dwarf_cursor__uleb(c, &skipped)))
				return 0;
			n.dir = dir < PA_NONE ? (uint32_t)dir : PA_NONE;
			err = list ? add_name(&t->files, &t->file_cnt, &t->file_cap, &n)
				   : add_name(&t->dirs, &t->dir_cnt, &t->dir_cap, &n);
		}
		if (!pa_dwarf_cursor__skip(c, 1))
			break;
	}
	return err;
}

/* DWARF 5: the header says what each entry is made of.
 * @return 1, 0 damage, -ENOMEM */
static int read_new_names(struct pa_dwarf *d, struct pa_dwarf_cursor *c,
			  const struct pa_dwarf_unit *u, struct name **list, size_t *cnt,
			  size_t *cap)
{
	struct {
		uint64_t type, form;
	} formats[256];
	uint64_t format_cnt, name_cnt;

	if (!pa_dwarf_cursor__number(c, 1, &format_cnt))
		return 0;
	for (uint64_t i = 0; i < format_cnt; i++) {
		pa_dwarf_cursor__more(c);
		if (!pa_dwarf_cursor__uleb(c, &formats[i].type) ||
		    !pa_dwarf_cursor__uleb(c, &formats[i].form) || formats[i].form > UINT16_MAX)
			return 0;
	}
	pa_dwarf_cursor__more(c);
	if (!pa_dwarf_cursor__uleb(c, &name_cnt) || (name_cnt && !format_cnt))
		return 0;
	for (uint64_t i = 0; i < name_cnt; i++) {
		struct name n = {.id = PA_NONE};

		if (!pa_dwarf__spend(d, format_cnt * 4))
			return 0;
		for (uint64_t j = 0; j < format_cnt; j++) {
			struct pa_dwarf_value v;

			if (!pa_dwarf_cursor__more(c) ||
			    !pa_dwarf_value__read(c, u, (unsigned)formats[j].form, 0, &v))
				return 0;
			if (formats[j].type == DW_LNCT_path)
				n.where = v;
			else if (formats[j].type == DW_LNCT_directory_index)
				n.dir = v.number < PA_NONE ? (uint32_t)v.number : PA_NONE;
		}
		if (add_name(list, cnt, cap, &n))
			return -ENOMEM;
	}
	return 1;
}

/* @return 1, 0 damage, -ENOMEM */
static int read_names(struct pa_dwarf *d, struct pa_dwarf_lines *t, struct pa_dwarf_cursor *c,
		      const struct pa_dwarf_unit *unit)
{
	struct pa_dwarf_unit u = *unit;
	int ret;

	u.offset_bytes = t->offset_bytes;
	if (t->version < 5) {
		ret = read_old_names(t, c, &u);
		return ret ? ret : 1;
	}
	u.address_bytes = t->address_bytes;
	ret = read_new_names(d, c, &u, &t->dirs, &t->dir_cnt, &t->dir_cap);
	return ret > 0 ? read_new_names(d, c, &u, &t->files, &t->file_cnt, &t->file_cap) : ret;
}

/* How instructions are encoded. */
static bool read_encoding(struct pa_dwarf_lines *t, struct pa_dwarf_cursor *c)
{
	size_t has_op_cnt = t->version >= 4;
	const uint8_t *v = c->p;

	if (!pa_dwarf_cursor__skip(c, 5 + has_op_cnt) || c->p < v)
		return false;
	t->min_bytes = v[0];
	v += has_op_cnt;
	t->line_base = (int8_t)v[2];
	t->line_range = v[3];
	t->opcode_base = v[4];
	if (!t->line_range || !t->opcode_base)
		return false;
	for (int i = 1; i < t->opcode_base; i++) {
		uint64_t cnt;

		if (!pa_dwarf_cursor__number(c, 1, &cnt))
			return false;
		t->operand_cnts[i] = (uint8_t)cnt;
	}
	return true;
}

/* What is in front of the names. */
static bool read_head(struct pa_dwarf_lines *t, struct pa_dwarf_cursor *c)
{
	uint64_t length, version, address_bytes, skipped;

	t->offset_bytes = 4;
	if (!pa_dwarf_cursor__number(c, 4, &length))
		return false;
	if (length == UINT32_MAX) {
		t->offset_bytes = 8;
		if (!pa_dwarf_cursor__number(c, 8, &length))
			return false;
	}
	if (length > t->section->bytes - pa_dwarf_cursor__at(c) || length >= PA_NONE)
		return false;
	t->end = pa_dwarf_cursor__at(c) + length;
	if (!pa_dwarf_cursor__number(c, 2, &version) || version < 2 || version > 5)
		return false;
	t->version = (uint16_t)version;
	if (version >= 5) {
		if (!pa_dwarf_cursor__number(c, 1, &address_bytes) ||
		    !pa_dwarf_cursor__number(c, 1, &skipped))
			return false;
		t->address_bytes = (uint8_t)address_bytes;
	}
	if (!pa_dwarf_cursor__number(c, t->offset_bytes, &length) || length > t->end)
		return false;
	t->program = pa_dwarf_cursor__at(c) + length;
	return t->program <= t->end && read_encoding(t, c);
}

/* ---- the machine
 * ----------------------------------------------------------------------------------- */

enum outcome { NOTHING, ROW, END, DAMAGE };

struct machine {
	const struct pa_dwarf_lines *t;
	struct pa_dwarf_cursor c;
	uint64_t addr;
	uint32_t file, line;
};

static void reset(struct machine *m)
{
	m->addr = 0;
	m->file = m->line = 1;
}

static enum outcome run_extended(struct machine *m)
{
	struct pa_dwarf_cursor *c = &m->c;
	uint64_t bytes, op;

	if (!pa_dwarf_cursor__uleb(c, &bytes))
		return DAMAGE;
	if (!bytes)
		return NOTHING;
	if (!pa_dwarf_cursor__number(c, 1, &op))
		return DAMAGE;
	bytes--;
	if (op == DW_LNE_end_sequence)
		return pa_dwarf_cursor__skip(c, bytes) || !bytes ? END : DAMAGE;
	if (op == DW_LNE_set_address && (bytes == 4 || bytes == 8))
		return pa_dwarf_cursor__number(c, (unsigned)bytes, &m->addr) ? NOTHING : DAMAGE;
	return pa_dwarf_cursor__skip(c, bytes) ? NOTHING : DAMAGE;
}

static enum outcome run_standard(struct machine *m, uint8_t op)
{
	struct pa_dwarf_cursor *c = &m->c;
	const struct pa_dwarf_lines *t = m->t;
	uint64_t v = 0;
	int64_t step;
	bool ok = true;

	switch (op) {
	case DW_LNS_copy:
		return ROW;
	case DW_LNS_set_column:
		ok = pa_dwarf_cursor__uleb(c, &v);
		break;
	case DW_LNS_advance_pc:
		ok = pa_dwarf_cursor__uleb(c, &v);
		m->addr += v * t->min_bytes;
		break;
	case DW_LNS_advance_line:
		ok = pa_dwarf_cursor__sleb(c, &step);
		m->line += ok ? (uint32_t)step : 0;
		break;
	case DW_LNS_set_file:
		ok = pa_dwarf_cursor__uleb(c, &v);
		m->file = v < PA_NONE ? (uint32_t)v : PA_NONE;
		break;
	case DW_LNS_const_add_pc:
		m->addr += (uint64_t)((255 - t->opcode_base) / t->line_range) * t->min_bytes;
		break;
	case DW_LNS_fixed_advance_pc:
		ok = pa_dwarf_cursor__number(c, 2, &v);
		m->addr += v;
		break;
	default: /* those without operands, and unknown ones */
		for (int i = 0; ok && i < t->operand_cnts[op]; i++) {
			pa_dwarf_cursor__more(c);
			ok = pa_dwarf_cursor__uleb(c, &v);
		}
	}
	return ok ? NOTHING : DAMAGE;
}

/* One instruction, of which there is at least the first byte. */
static inline enum outcome run(struct machine *m)
{
	const struct pa_dwarf_lines *t = m->t;
	uint8_t op = *m->c.p++, by;

	if (op < t->opcode_base)
		return op ? run_standard(m, op) : run_extended(m);
	by = (uint8_t)(op - t->opcode_base);
	m->addr += (uint64_t)(by / t->line_range) * t->min_bytes;
	m->line += (uint32_t)(t->line_base + by % t->line_range);
	return ROW;
}

static uint64_t position(const struct machine *m)
{
	return pa_dwarf_cursor__at(&m->c) - m->t->program;
}

/* ---- marks
 * ------------------------------------------------------------------------------------------- */

static int add_mark(struct pa_dwarf_lines *t, const struct machine *m)
{
	if (pa_array_grow(&t->marks, t->mark_cnt, &t->mark_cap, sizeof(*t->marks)))
		return -ENOMEM;
	t->marks[t->mark_cnt++] = (struct mark){m->addr, (uint32_t)position(m), m->file, m->line};
	return 0;
}

/* Linkers leave 0 where they have thrown the code away. */
static int add_sequence(struct pa_dwarf_lines *t, struct sequence *s, uint64_t end)
{
	s->end = end;
	s->mark_cnt = (uint32_t)t->mark_cnt - s->mark;
	if (!s->start || s->start >= end) {
		t->mark_cnt = s->mark;
		return 0;
	}
	if (pa_array_grow(&t->sequences, t->sequence_cnt, &t->sequence_cap, sizeof(*t->sequences)))
		return -ENOMEM;
	t->sequences[t->sequence_cnt++] = *s;
	return 0;
}

static int compare_sequences(const void *pa, const void *pb)
{
	const struct sequence *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->mark < b->mark ? -1 : a->mark > b->mark;
}

/* A program that is cut loses its last sequence. */
static int make_marks(struct pa_dwarf *d, struct pa_dwarf_lines *t)
{
	struct machine m = {.t = t};
	struct sequence s = {0};
	uint64_t next_mark = 0;
	bool is_inside = false;
	int err = 0;

	if (!pa_dwarf_cursor__open(&m.c, t->section, t->program, t->end, OP_BYTES,
				   PA_DWARF_LARGE_BYTES))
		return 0;
	reset(&m);
	while (!err && pa_dwarf_cursor__more(&m.c)) {
		enum outcome outcome = run(&m);

		if (outcome == DAMAGE)
			break;
		if (outcome == ROW && (!is_inside || position(&m) >= next_mark)) {
			if (!is_inside)
				s = (struct sequence){.start = m.addr,
						      .mark = (uint32_t)t->mark_cnt};
			is_inside = true;
			next_mark = position(&m) + MARK_BYTES;
			err = add_mark(t, &m);
		} else if (outcome == END) {
			if (is_inside)
				err = add_sequence(t, &s, m.addr);
			is_inside = false;
			reset(&m);
		}
	}
	pa_dwarf__spend(d, t->end - t->program);
	if (t->sequence_cnt > 1)
		qsort(t->sequences, t->sequence_cnt, sizeof(*t->sequences), compare_sequences);
	d->index_bytes += t->mark_cnt * sizeof(*t->marks);
	return err;
}

static int load(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t at, bool with_rows,
		struct pa_dwarf_lines *t)
{
	struct pa_dwarf_cursor c;
	int ret;

	if (!pa_dwarf_cursor__open(&c, t->section, at, t->section->bytes, 512, 8192) ||
	    !read_head(t, &c))
		return -EBADMSG;
	if (c.limit > t->program)
		c.limit = t->program;
	if (c.end_at > c.limit) {
		c.end -= c.end_at - c.limit;
		c.end_at = c.limit;
	}
	if (c.p > c.end)
		return -EBADMSG;
	ret = read_names(d, t, &c, u);
	d->index_bytes += (t->file_cnt + t->dir_cnt) * sizeof(*t->files);
	if (ret < 0)
		return ret;
	return with_rows && d->work < PA_DWARF_WORK_MAX ? make_marks(d, t) : 0;
}

int pa_dwarf_lines__load(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t at, bool with_rows,
			 struct pa_dwarf_lines **out)
{
	struct pa_dwarf_lines *t;
	int err;

	*out = NULL;
	if (!u->file->sections[PA_DWARF_LINE])
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->unit = u;
	t->section = u->file->sections[PA_DWARF_LINE];
	t->address_bytes = u->address_bytes;
	err = load(d, u, at, with_rows, t);
	if (err) {
		pa_dwarf_lines__free(t);
		return err == -ENOMEM ? err : 0;
	}
	*out = t;
	return 0;
}

void pa_dwarf_lines__free(struct pa_dwarf_lines *t)
{
	if (!t)
		return;
	free(t->dirs);
	free(t->files);
	free(t->marks);
	free(t->sequences);
	free(t);
}

/* ---- asking
 * ------------------------------------------------------------------------------------------ */

static const struct sequence *sequence_at(const struct pa_dwarf_lines *t, uint64_t vaddr)
{
	size_t low = 0, high = t->sequence_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->sequences[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = 0; i < OVERLAPS_MAX && i < low; i++)
		if (vaddr < t->sequences[low - 1 - i].end)
			return &t->sequences[low - 1 - i];
	return NULL;
}

bool pa_dwarf_lines__find(struct pa_dwarf_lines *t, uint64_t vaddr, uint32_t *file, uint32_t *line)
{
	const struct sequence *s = sequence_at(t, vaddr);
	struct machine m = {.t = t};
	const struct mark *mark;
	size_t low, high;
	uint64_t limit;

	if (!s)
		return false;
	low = s->mark;
	high = low + s->mark_cnt;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->marks[mid].addr <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	mark = &t->marks[low > s->mark ? low - 1 : low];
	m.addr = mark->addr;
	m.file = *file = mark->file;
	m.line = *line = mark->line;
	limit = t->program + mark->at + RUN_MAX_BYTES;
	if (!pa_dwarf_cursor__open(&m.c, t->section, t->program + mark->at,
				   limit < t->end ? limit : t->end, OP_BYTES, 1024))
		return true;
	while (pa_dwarf_cursor__more(&m.c)) {
		enum outcome outcome = run(&m);

		if (outcome == NOTHING)
			continue;
		if (outcome != ROW || m.addr > vaddr)
			break;
		*file = m.file;
		*line = m.line;
	}
	return true;
}

/* ---- names of files
 * ---------------------------------------------------------------------------------- */

struct path {
	char text[PATH_MAX_BYTES];
	size_t at; /* where it begins */
	bool failed;
};

static const char *string(struct pa_dwarf *d, const struct pa_dwarf_lines *t,
			  const struct pa_dwarf_value *v, size_t *bytes)
{
	if (v->kind == PA_DWARF_STRING_HERE)
		return pa_dwarf_section__string(t->section, v->number, bytes);
	return pa_dwarf_value__string(d, t->unit, v, bytes);
}

static bool is_absolute(const struct path *p)
{
	return p->text[p->at] == '/';
}

/* A directory in front of what is there; none leaves it as it is. */
static void prepend(struct path *p, const char *s, size_t bytes, bool is_dir)
{
	if (!s || !bytes || p->failed)
		return;
	p->failed = bytes + is_dir > p->at;
	if (p->failed)
		return;
	if (is_dir)
		p->text[--p->at] = '/';
	p->at -= bytes;
	memcpy(p->text + p->at, s, bytes);
}

static void prepend_dir(struct pa_dwarf *d, const struct pa_dwarf_lines *t, uint32_t dir,
			struct path *p)
{
	const char *name;
	size_t bytes = 0;

	if (is_absolute(p) || dir >= t->dir_cnt)
		return;
	name = string(d, t, &t->dirs[dir].where, &bytes);
	prepend(p, name, bytes, true);
}

/* The directory of the compiler, which the unit of the image knows for a split one. */
static void prepend_comp_dir(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct path *p)
{
	const struct pa_dwarf_root *r;
	const char *dir;
	size_t bytes = 0;
	int err;

	if (is_absolute(p))
		return;
	r = pa_dwarf_unit__root(d, u, &err);
	if (r && !r->comp_dir.kind && r->skeleton) {
		u = r->skeleton;
		r = pa_dwarf_unit__root(d, u, &err);
	}
	if (!r)
		return;
	dir = pa_dwarf_value__string(d, u, &r->comp_dir, &bytes);
	prepend(p, dir, bytes, true);
}

static void make_path(struct pa_dwarf *d, const struct pa_dwarf_lines *t, const struct name *n,
		      struct path *p)
{
	const char *name;
	size_t bytes = 0;

	p->at = sizeof(p->text) - 1;
	p->text[p->at] = '\0';
	p->failed = false;
	name = string(d, t, &n->where, &bytes);
	prepend(p, name, bytes, false);
	if (!p->text[p->at])
		return;
	prepend_dir(d, t, n->dir, p);
	if (n->dir)
		prepend_dir(d, t, 0, p);
	prepend_comp_dir(d, t->unit, p);
}

int pa_dwarf_lines__file(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t number,
			 uint32_t *id)
{
	struct name *n = number < t->file_cnt ? &t->files[number] : NULL;
	struct path p;
	size_t bytes;

	*id = n ? n->id : PA_NONE;
	if (!n || n->tried || d->index_bytes > PA_DWARF_INDEX_MAX_BYTES)
		return 0;
	n->tried = true;
	make_path(d, t, n, &p);
	bytes = sizeof(p.text) - 1 - p.at;
	if (p.failed || !bytes)
		return 0;
	d->index_bytes += bytes;
	*id = n->id = pa_strings__intern(&d->files, p.text + p.at, bytes);
	return *id == PA_NONE ? -ENOMEM : 0;
}
