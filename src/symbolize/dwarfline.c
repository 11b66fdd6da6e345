// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfline.c - the headers of line tables, with the names of source files.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfline.h"

#define PATH_MAX_BYTES 8192
#define NAMES_MAX (1u << 20) /* of directories, of files */

/* ---- the header ----------------------------------------------------------------------- */

static int add_name(struct pa_dwarf_line_name **list, size_t *cnt, size_t *cap,
		    const struct pa_dwarf_line_name *n)
{
	if (*cnt >= NAMES_MAX)
		return -EFBIG;
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
	struct pa_dwarf_line_name n = {.id = PA_NONE};
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
			  const struct pa_dwarf_unit *u, struct pa_dwarf_line_name **list,
			  size_t *cnt, size_t *cap)
{
	struct {
		uint64_t type, form;
	} formats[256];
	uint64_t format_cnt, name_cnt;
	int err;

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
		struct pa_dwarf_line_name n = {.id = PA_NONE};

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
		err = add_name(list, cnt, cap, &n);
		if (err)
			return err == -ENOMEM ? err : 0;
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
	for (int i = t->opcode_base; i < 256; i++) {
		int by = i - t->opcode_base;

		t->advances[i] = (uint16_t)(by / t->line_range * t->min_bytes);
		t->steps[i] = (int16_t)(t->line_base + by % t->line_range);
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
	return with_rows ? pa_dwarf_rows__find(d, t) : 0;
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

/* ---- asking --------------------------------------------------------------------------- */

/* ---- names of files ------------------------------------------------------------------- */

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

/* The directory of the compiler, which the unit of the image knows for a split one.
 * @return false: it doesn't */
static bool prepend_comp_dir(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct path *p)
{
	const struct pa_dwarf_root *r;
	const char *dir;
	size_t bytes = 0;
	int err;

	if (is_absolute(p))
		return true;
	r = pa_dwarf_unit__root(d, u, &err);
	if (r && !r->comp_dir.kind && r->skeleton) {
		u = r->skeleton;
		r = pa_dwarf_unit__root(d, u, &err);
	}
	if (!r)
		return false;
	dir = pa_dwarf_value__string(d, u, &r->comp_dir, &bytes);
	prepend(p, dir, bytes, true);
	return dir && *dir;
}

static void make_path(struct pa_dwarf *d, const struct pa_dwarf_lines *t,
		      const struct pa_dwarf_line_name *n, struct path *p)
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
	if (!prepend_comp_dir(d, t->unit, p) && n->dir) /* the same, as the table has it */
		prepend_dir(d, t, 0, p);
}

int pa_dwarf_lines__file(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t number,
			 uint32_t *id)
{
	struct pa_dwarf_line_name *n = number < t->file_cnt ? &t->files[number] : NULL;
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
