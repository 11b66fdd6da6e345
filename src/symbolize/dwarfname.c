// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfname.c - names of functions and where they are declared, which an entry says itself or by
 * reference. The linkers' merged strings make the same name the same place in most units: it is
 * read and demangled once.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

/* What an entry says of a function. */
struct told {
	struct pa_dwarf_value linkage, name, file, line, origin;
};

static void take(struct told *t, unsigned name, const struct pa_dwarf_value *v)
{
	switch (name) {
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		t->linkage = *v;
		break;
	case DW_AT_name:
		t->name = *v;
		break;
	case DW_AT_decl_file:
		t->file = *v;
		break;
	case DW_AT_decl_line:
		t->line = *v;
		break;
	case DW_AT_abstract_origin:
		t->origin = *v;
		break;
	case DW_AT_specification:
		if (!t->origin.kind)
			t->origin = *v;
		break;
	}
}

/* @return 0, -EBADMSG, -ENOMEM */
static int read_told(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t die, struct told *t)
{
	const struct pa_dwarf_abbrevs *abbrevs;
	const struct pa_dwarf_abbrev *a;
	struct pa_dwarf_cursor c;
	uint64_t code;
	int err = pa_dwarf_abbrevs__get(d, u, &abbrevs);

	memset(t, 0, sizeof(*t));
	if (err ||
	    !pa_dwarf_cursor__open(&c, u->file->sections[PA_DWARF_INFO], die, u->end, 256, 1024) ||
	    !pa_dwarf_cursor__uleb(&c, &code) || !(a = pa_dwarf_abbrevs__find(abbrevs, code)))
		return err ? err : -EBADMSG;
	if (!pa_dwarf__spend(d, 64 + a->attr_cnt))
		return -EBADMSG;
	for (uint32_t i = 0; i < a->attr_cnt; i++) {
		const struct pa_dwarf_attr *attr = &abbrevs->attrs[a->attr + i];
		struct pa_dwarf_value v;

		pa_dwarf_cursor__more(&c);
		if (!pa_dwarf_value__read(&c, u, attr->form, attr->value, &v))
			return -EBADMSG;
		take(t, attr->name, &v);
	}
	return 0;
}

/* The unit of an entry that another refers to. */
static struct pa_dwarf_unit *unit_of(struct pa_dwarf_unit *from, uint64_t die, bool is_alt)
{
	struct pa_dwarf_file *f = is_alt ? from->file->alt : from->file;

	if (!f)
		return NULL;
	if (f == from->file && die >= from->die && die < from->end)
		return from;
	return pa_dwarf_file__unit(f, die);
}

static bool next_origin(const struct told *t, struct pa_dwarf_unit **u, uint64_t *die)
{
	if (t->origin.kind != PA_DWARF_REF && t->origin.kind != PA_DWARF_REF_ALT)
		return false;
	*die = t->origin.number;
	*u = unit_of(*u, *die, t->origin.kind == PA_DWARF_REF_ALT);
	return *u;
}

/* ---- names ---------------------------------------------------------------------------- */

/* The index of a name among d->symbols; PA_NONE: there is none. */
static int read_name(struct pa_dwarf *d, struct pa_dwarf_section *section, uint64_t at,
		     uint32_t *id)
{
	size_t bytes;
	const char *name = pa_dwarf_section__string(section, at, &bytes);

	*id = PA_NONE;
	if (!name)
		return section->no_memory ? -ENOMEM : 0;
	if (!*name || d->index_bytes > PA_DWARF_INDEX_MAX_BYTES)
		return 0;
	d->index_bytes += bytes + 64;
	*id = pa_strings__intern(&d->symbols, name, bytes);
	return *id == PA_NONE ? -ENOMEM : 0;
}

static int find_name(struct pa_dwarf *d, struct pa_dwarf_unit *u, const struct pa_dwarf_value *v,
		     uint32_t *id)
{
	struct pa_dwarf_name n;
	struct pa_dwarf_section *section;
	uint64_t hash;
	uint32_t pos, i;
	int err;

	*id = PA_NONE;
	if (!v->kind || !pa_dwarf_value__place(d, u, v, &section, &n.at))
		return 0;
	n.section = section;
	hash = pa_mix(n.at ^ (uintptr_t)section, 0x9e3779b97f4a7c15ull);
	pos = pa_index__start(&d->names_by_place, hash);
	while ((i = pa_index__next(&d->names_by_place, hash, &pos)) != PA_NONE) {
		*id = d->names[i].id;
		if (d->names[i].at == n.at && d->names[i].section == section)
			return 0;
	}
	err = read_name(d, section, n.at, id);
	n.id = *id;
	if (err || pa_array_grow(&d->names, d->name_cnt, &d->name_cap, sizeof(n)))
		return -ENOMEM;
	d->names[d->name_cnt] = n;
	return pa_index__add(&d->names_by_place, hash, (uint32_t)d->name_cnt++);
}

const char *pa_dwarf__system_name(const struct pa_dwarf *d, const struct pa_dwarf_fn *fn)
{
	return fn->symbol == PA_NONE ? "" : d->symbols.strs[fn->symbol];
}

const char *pa_dwarf__readable(struct pa_dwarf *d, const struct pa_dwarf_fn *fn)
{
	const char *raw = pa_dwarf__system_name(d, fn);
	uint32_t id = fn->symbol;
	char *readable;

	if (id == PA_NONE)
		return raw;
	while (d->readable_cap <= id) {
		size_t before = d->readable_cap;

		if (pa_array_grow(&d->readable, before, &d->readable_cap, sizeof(*d->readable)))
			return NULL;
		memset(d->readable + before, 0, (d->readable_cap - before) * sizeof(*d->readable));
	}
	if (d->readable[id])
		return d->readable[id];
	d->readable[id] = raw;
	readable = pa_demangle(raw);
	if (readable) {
		d->index_bytes += strlen(readable);
		d->readable[id] = pa_pool__strndup(&d->pool, readable, strlen(readable));
	}
	free(readable);
	return d->readable[id];
}

/* Follow a function to where its names and line are said. A chain that leads in a circle ends. */
static int make_fn(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct pa_dwarf_fn *fn)
{
	uint32_t linkage = PA_NONE, name = PA_NONE;
	uint64_t die = fn->die;
	int err = 0;

	for (int i = 0; !err && i < PA_DWARF_ORIGINS_MAX; i++) {
		struct told t;

		err = read_told(d, u, die, &t);
		if (err)
			break;
		if (linkage == PA_NONE)
			err = find_name(d, u, &t.linkage, &linkage);
		if (!err && linkage == PA_NONE && name == PA_NONE)
			err = find_name(d, u, &t.name, &name);
		if (!fn->start_line && t.line.kind == PA_DWARF_NUMBER && t.line.number < PA_NONE)
			fn->start_line = (uint32_t)t.line.number;
		if ((linkage != PA_NONE && fn->start_line) || !next_origin(&t, &u, &die))
			break;
	}
	if (err == -ENOMEM)
		return err;
	fn->symbol = linkage != PA_NONE ? linkage : name;
	return 0;
}

int pa_dwarf__name(struct pa_dwarf *d, struct pa_dwarf_unit *from, struct pa_dwarf_node *node)
{
	struct pa_dwarf_unit *u = unit_of(from, node->origin, node->is_alt);
	struct pa_dwarf_fn fn = {.die = node->origin, .symbol = PA_NONE};
	uint64_t hash;
	uint32_t pos;
	int err = 0;

	fn.file = u ? u->file : NULL;
	hash = pa_mix(fn.die ^ (uintptr_t)fn.file, 0x9e3779b97f4a7c15ull);
	pos = pa_index__start(&d->fns_by_die, hash);
	while ((node->fn = pa_index__next(&d->fns_by_die, hash, &pos)) != PA_NONE)
		if (d->fns[node->fn].die == fn.die && d->fns[node->fn].file == fn.file)
			return 0;
	if (u)
		err = make_fn(d, u, &fn);
	if (err || pa_array_grow(&d->fns, d->fn_cnt, &d->fn_cap, sizeof(fn)) ||
	    pa_index__add(&d->fns_by_die, hash, (uint32_t)d->fn_cnt))
		return -ENOMEM;
	d->fns[d->fn_cnt] = fn;
	d->index_bytes += sizeof(fn);
	node->fn = (uint32_t)d->fn_cnt++;
	return 0;
}

/* ---- where a function is declared ----------------------------------------------------- */

/* The line table whose files an entry of a unit means. */
static int lines_of(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_unit *u,
		    struct pa_dwarf_lines **lines)
{
	const struct pa_dwarf_root *r;
	int err;

	*lines = x->split_lines ? x->split_lines : x->lines;
	if (u == x->unit)
		return 0;
	/* another unit of the same file, or of the file that dwz made */
	*lines = u->files;
	if (u->files_tried)
		return 0;
	u->files_tried = true;
	r = pa_dwarf_unit__root(d, u, &err);
	if (r && (r->line.kind == PA_DWARF_OFFSET || r->line.kind == PA_DWARF_NUMBER))
		err = pa_dwarf_lines__load(d, u, r->line.number, false, &u->files);
	*lines = u->files;
	return err == -ENOMEM ? err : 0;
}

static int file_name(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_unit *u,
		     uint64_t number, const char **file)
{
	struct pa_dwarf_lines *lines;
	uint32_t id;
	int err = lines_of(d, x, u, &lines);

	if (err || !lines)
		return err ? err : -ENOENT;
	err = pa_dwarf_lines__file(d, lines, number, &id);
	if (err || id == PA_NONE)
		return err ? err : -ENOENT;
	*file = d->files.strs[id];
	return 0;
}

int pa_dwarf__declaration(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t die,
			  const char **file, uint32_t *line)
{
	struct pa_dwarf_unit *u = x->unit, *file_unit = NULL;
	uint64_t number = 0;
	bool has_line = false;
	int err = 0;

	*line = 0;
	for (int i = 0; i < PA_DWARF_ORIGINS_MAX; i++) {
		struct told t;

		err = read_told(d, u, die, &t);
		if (err)
			break;
		if (!file_unit && t.file.kind == PA_DWARF_NUMBER) {
			file_unit = u;
			number = t.file.number;
		}
		if (!has_line && t.line.kind == PA_DWARF_NUMBER && t.line.number < PA_NONE) {
			has_line = true;
			*line = (uint32_t)t.line.number;
		}
		if ((has_line && file_unit) || !next_origin(&t, &u, &die))
			break;
	}
	if (err == -ENOMEM)
		return err;
	err = file_unit ? file_name(d, x, file_unit, number, file) : -ENOENT;
	if (err)
		*line = 0;
	return err;
}
