// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfsplit.c - units whose DWARF is in a .dwo file or in a package of such files (.dwp). Of the
 * unit that is asked for, the sections are held in memory; it shares with the image the
 * addresses that the image keeps for it, and with its package the strings.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/dwarfindex.h"

#define UNIT_MAX_BYTES (64u << 20) /* of a section of one unit */
#define INDEX_MAX_BYTES (64u << 20)
#define COLUMNS_MAX 16
#define PATH_TEXT_BYTES PATH_MAX

struct pa_dwarf_package {
	int fd;
	struct pa_elf elf;
	uint8_t *index; /* .debug_cu_index */
	size_t index_bytes;
	struct pa_dwarf_section strings;
	bool is_usable;
};

/* Columns of a package's index by version; 0 none. */
static const struct {
	enum pa_dwarf_section_id id;
	uint32_t column_2, column_5;
} columns[] = {{PA_DWARF_INFO, 1, 1},
	       {PA_DWARF_ABBREV, 3, 3},
	       {PA_DWARF_LINE, 4, 4},
	       {PA_DWARF_STR_OFFSETS, 6, 6},
	       {PA_DWARF_RNGLISTS, 0, 8}};

/* ---- a .dwo file ---------------------------------------------------------------------- */

/* @return 0, -ENOENT not one, -ENOMEM */
static int load_file(struct pa_dwarf_file *f, int fd)
{
	struct pa_elf e;
	int err = pa_elf__open_fd(&e, fd);

	if (!err)
		err = pa_dwarf_file__open(f, &e, ".dwo");
	for (int i = 0; !err && i < PA_DWARF_SECTION_CNT; i++)
		if (f->sections[i])
			err = pa_dwarf_section__keep(f->sections[i], UNIT_MAX_BYTES);
	pa_elf__close(&e);
	return err && err != -ENOMEM ? -ENOENT : err;
}

static int open_in(const struct pa_dwarf *d, const char *path)
{
	if (d->search->symfs && *d->search->symfs)
		return pa_open_regular_in(d->search->symfs, path);
	return pa_open_regular(path);
}

/* By the path that the compiler wrote to, else beside the image. */
static int open_file(struct pa_dwarf *d, struct pa_dwarf_unit *skeleton,
		     const struct pa_dwarf_root *r)
{
	const char *slash = strrchr(d->path, '/'), *last, *text;
	char path[PATH_TEXT_BYTES], name[PATH_TEXT_BYTES];
	size_t bytes;
	int fd = -ENOENT;

	text = pa_dwarf_value__string(d, skeleton, &r->dwo_name, &bytes);
	if (!text || !*text || bytes >= sizeof(name))
		return -ENOENT;
	memcpy(name, text, bytes + 1);
	text = pa_dwarf_value__string(d, skeleton, &r->comp_dir, &bytes);
	if (name[0] == '/')
		fd = open_in(d, name);
	else if (text && text[0] == '/' &&
		 snprintf(path, sizeof(path), "%s/%s", text, name) < (int)sizeof(path))
		fd = open_in(d, path);
	last = strrchr(name, '/');
	if (fd < 0 && slash &&
	    snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - d->path), d->path,
		     last ? last + 1 : name) < (int)sizeof(path))
		fd = open_in(d, path);
	return fd;
}

/* ---- a package ------------------------------------------------------------------------ */

static const struct pa_elf_section *find_section(const struct pa_elf *e, const char *name)
{
	char full[48];

	snprintf(full, sizeof(full), ".debug_%s.dwo", name);
	return pa_elf__section(e, full, 0);
}

static int open_package(struct pa_dwarf *d)
{
	struct pa_dwarf_package *k;
	const struct pa_elf_section *index, *strings;
	char path[PATH_TEXT_BYTES];
	int fd, err;

	if (d->package_tried)
		return 0;
	d->package_tried = true;
	if (snprintf(path, sizeof(path), "%s.dwp", d->path) >= (int)sizeof(path))
		return 0;
	fd = open_in(d, path);
	if (fd < 0)
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k) {
		close(fd);
		return -ENOMEM;
	}
	d->package = k;
	k->fd = fd;
	err = pa_elf__open_fd(&k->elf, fd);
	index = err ? NULL : pa_elf__section(&k->elf, ".debug_cu_index", 0);
	strings = err ? NULL : find_section(&k->elf, "str");
	if (!index || !strings)
		return err == -ENOMEM ? err : 0;
	err = pa_elf__load(&k->elf, index, INDEX_MAX_BYTES, (void **)&k->index);
	if (!err)
		err = pa_dwarf_section__open(&k->strings, &k->elf, strings);
	k->index_bytes = index->bytes;
	k->is_usable = !err;
	return err == -ENOMEM ? err : 0;
}

void pa_dwarf_package__free(struct pa_dwarf_package *k)
{
	if (!k)
		return;
	pa_elf__close(&k->elf);
	pa_dwarf_section__close(&k->strings);
	free(k->index);
	close(k->fd);
	free(k);
}

static uint32_t word(const struct pa_dwarf_package *k, uint64_t at)
{
	uint32_t v;

	memcpy(&v, k->index + at, sizeof(v));
	return v;
}

struct slot {
	uint32_t version, column_cnt, unit_cnt, row; /* row from 0 */
	uint64_t columns;			     /* where they begin in the index */
};

/* Find a unit in the hash table of the index. */
static int find_slot(const struct pa_dwarf_package *k, uint64_t id, struct slot *s)
{
	uint64_t slot_cnt, at, step, need;

	if (k->index_bytes < 16)
		return -ENOENT;
	s->version = word(k, 0) & 0xffff;
	s->column_cnt = word(k, 4);
	s->unit_cnt = word(k, 8);
	slot_cnt = word(k, 12);
	s->columns = 16 + slot_cnt * 12;
	need = s->columns + 4ull * s->column_cnt * (1 + 2ull * s->unit_cnt);
	if ((s->version != 2 && s->version != 5) || s->column_cnt > COLUMNS_MAX || !slot_cnt ||
	    slot_cnt & (slot_cnt - 1) || need > k->index_bytes)
		return -ENOENT;
	at = id & (slot_cnt - 1);
	step = ((id >> 32) & (slot_cnt - 1)) | 1;
	for (uint64_t i = 0; i < slot_cnt; i++, at = (at + step) & (slot_cnt - 1)) {
		uint64_t is = pa_load64(k->index + 16 + at * 8);
		uint32_t row = word(k, 16 + slot_cnt * 8 + at * 4);

		if (!row || row > s->unit_cnt)
			return -ENOENT;
		s->row = row - 1;
		if (is == id)
			return 0;
	}
	return -ENOENT;
}

/* The unit's part of a section. @return 0 (also when it has none), -ENOENT, -ENOMEM */
static int load_part(const struct pa_dwarf_package *k, const struct slot *s, size_t column,
		     struct pa_dwarf_file *f)
{
	enum pa_dwarf_section_id id = columns[column].id;
	const struct pa_elf_section *from = find_section(&k->elf, pa_dwarf_section__name(id));
	uint32_t want = s->version == 5 ? columns[column].column_5 : columns[column].column_2;
	uint32_t i = 0, offset, bytes;
	uint64_t row = s->columns + 4ull * s->column_cnt * (1 + s->row);
	int err;

	while (i < s->column_cnt && word(k, s->columns + 4ull * i) != want)
		i++;
	if (!from || !want || i == s->column_cnt)
		return 0;
	offset = word(k, row + 4ull * i);
	bytes = word(k, row + 4ull * s->column_cnt * s->unit_cnt + 4ull * i);
	if (!bytes || from->type == SHT_NOBITS || from->flags & SHF_COMPRESSED ||
	    offset > from->bytes || bytes > from->bytes - offset)
		return 0;
	f->own[id].fd = k->fd;
	f->own[id].offset = from->offset + offset;
	f->own[id].bytes = bytes;
	err = pa_dwarf_section__keep(&f->own[id], UNIT_MAX_BYTES);
	if (err)
		return err == -ENOMEM ? err : -ENOENT;
	f->sections[id] = &f->own[id];
	return 0;
}

/* @return 0, -ENOENT, -ENOMEM */
static int load_from_package(struct pa_dwarf *d, uint64_t id, struct pa_dwarf_file *f)
{
	struct pa_dwarf_package *k;
	struct slot s;
	int err = open_package(d);

	k = d->package;
	if (!err && (!k || !k->is_usable))
		err = -ENOENT;
	if (!err)
		err = find_slot(k, id, &s);
	for (size_t i = 0; !err && i < sizeof(columns) / sizeof(*columns); i++)
		err = load_part(k, &s, i, f);
	if (!err)
		f->sections[PA_DWARF_STR] = &k->strings;
	return err;
}

/* ---- the unit ------------------------------------------------------------------------- */

/* Find the unit in its file, and let it know what the image says of it. */
static int find_unit(struct pa_dwarf *d, struct pa_dwarf_unit *skeleton,
		     const struct pa_dwarf_root *r, struct pa_dwarf_split *split)
{
	struct pa_dwarf_file *f = &split->file;
	int err;

	f->sections[PA_DWARF_ADDR] = d->file->sections[PA_DWARF_ADDR];
	f->sections[PA_DWARF_RANGES] = d->file->sections[PA_DWARF_RANGES];
	err = pa_dwarf_file__read_units(f);
	for (size_t i = 0; !err && i < f->unit_cnt; i++) {
		struct pa_dwarf_unit *u = &f->units[i];

		pa_dwarf_unit__root(d, u, &err);
		if (err && err != -ENOMEM)
			err = 0;
		if (err || !u->root || u->root->dwo_id != r->dwo_id ||
		    u->root->tag != DW_TAG_compile_unit)
			continue;
		u->root->base = r->base;
		u->root->addr_base = r->addr_base;
		u->root->ranges_base = r->gnu_ranges_base;
		u->root->skeleton = skeleton;
		split->unit = u;
		return 0;
	}
	return err ? err : -ENOENT;
}

void pa_dwarf_split__free(struct pa_dwarf_split *split)
{
	if (!split)
		return;
	pa_dwarf_file__free(&split->file);
	free(split);
}

/* @return 0, -ENOENT not there or not this unit, -ENOMEM */
static int make_split(struct pa_dwarf *d, struct pa_dwarf_unit *skeleton,
		      const struct pa_dwarf_root *r, bool from_package, struct pa_dwarf_split **out)
{
	struct pa_dwarf_split *split = calloc(1, sizeof(*split));
	int fd, err;

	if (!split)
		return -ENOMEM;
	if (from_package) {
		err = load_from_package(d, r->dwo_id, &split->file);
	} else {
		fd = open_file(d, skeleton, r);
		err = fd < 0 ? -ENOENT : load_file(&split->file, fd);
		if (fd >= 0)
			close(fd);
	}
	if (!err)
		err = find_unit(d, skeleton, r, split);
	if (err) {
		pa_dwarf_abbrevs__forget(d, &split->file);
		pa_dwarf_split__free(split);
		return err;
	}
	for (int i = 0; i < PA_DWARF_SECTION_CNT; i++)
		d->index_bytes += split->file.own[i].owned ? split->file.own[i].bytes : 0;
	*out = split;
	return 0;
}

int pa_dwarf_split__open(struct pa_dwarf *d, struct pa_dwarf_unit *skeleton,
			 struct pa_dwarf_split **out)
{
	const struct pa_dwarf_root *r;
	int err;

	*out = NULL;
	r = pa_dwarf_unit__root(d, skeleton, &err);
	if (!r || !r->dwo_name.kind || d->index_bytes > PA_DWARF_INDEX_MAX_BYTES)
		return err == -ENOMEM ? err : 0;
	err = make_split(d, skeleton, r, false, out);
	if (err == -ENOENT)
		err = make_split(d, skeleton, r, true, out);
	return err == -ENOMEM ? err : 0;
}
