// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfsplit.c - units whose DWARF is in a .dwo file or in a package of such files (.dwp). libdw
 * would open what an image names, whatever it is, and knows no packages: files are opened here
 * as all others are, and the unit's sections, with the addresses that the image keeps for it,
 * are put together in memory as one ELF file, which libdw reads.
 */
#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/dwarfindex.h"

#define SECTION_MAX_BYTES (64u << 20)
#define STRINGS_MAX_BYTES (512u << 20) /* of a package */
#define SLICE_MAX_BYTES (4u << 20)     /* of what units share in the image, of unknown length */
#define PIECES_MAX 8
#define COLUMNS_MAX 16
#define NAME_BYTES 32

struct piece {
	char name[NAME_BYTES];
	uint64_t flags, offset;
	void *data;
	size_t bytes;
};

struct pieces {
	struct piece at[PIECES_MAX];
	size_t cnt;
};

struct pa_dwarf_package {
	int fd;
	struct pa_elf elf;
	uint8_t *index; /* .debug_cu_index */
	char *strings;	/* .debug_str.dwo */
	size_t index_bytes, strings_bytes;
};

/* What each section of a unit is called; columns of a package's index by version. */
static const struct {
	const char *name;
	uint32_t column_2, column_5;
} sections[] = {{"info", 1, 1},	       {"abbrev", 3, 3}, {"line", 4, 4},
		{"str_offsets", 6, 6}, {"str", 0, 0},	 {"rnglists", UINT32_MAX, 8}};

#define SECTION_CNT (sizeof(sections) / sizeof(*sections))

/* Takes data over. */
static void add_piece(struct pieces *p, const char *name, uint64_t flags, void *data, size_t bytes)
{
	struct piece *piece;

	if (p->cnt == PIECES_MAX) {
		free(data);
		return;
	}
	piece = &p->at[p->cnt++];
	snprintf(piece->name, sizeof(piece->name), ".debug_%s", name);
	piece->flags = flags;
	piece->data = data;
	piece->bytes = bytes;
}

static void free_pieces(struct pieces *p)
{
	for (size_t i = 0; i < p->cnt; i++)
		free(p->at[i].data);
}

/* ---- what the image keeps for a unit ----------------------------------------------------------
 */

static bool base_of(Dwarf_Die *skeleton, unsigned name, unsigned gnu_name, Dwarf_Word *base)
{
	Dwarf_Attribute attr;

	*base = 0;
	return (dwarf_attr(skeleton, name, &attr) || dwarf_attr(skeleton, gnu_name, &attr)) &&
	       !dwarf_formudata(&attr, base);
}

/* From base on; a DWARF 5 table has its length in front of it. */
static int add_slice(struct pieces *p, struct pa_dwarf *d, const char *name, uint64_t base,
		     bool has_length)
{
	Elf_Data *section = pa_dwarf__section(d->elf, name);
	uint32_t length;
	size_t bytes;
	void *copy;

	if (!section || base >= section->d_size)
		return 0;
	bytes = section->d_size - base;
	if (has_length && base >= 8) {
		memcpy(&length, (const char *)section->d_buf + base - 8, sizeof(length));
		if (length >= 4 && length - 4 < bytes)
			bytes = length - 4;
	}
	if (bytes > SLICE_MAX_BYTES)
		bytes = SLICE_MAX_BYTES;
	copy = malloc(bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, (const char *)section->d_buf + base, bytes);
	add_piece(p, name, 0, copy, bytes);
	return 0;
}

static int add_slices(struct pieces *p, struct pa_dwarf *d, Dwarf_Die *skeleton, int version)
{
	Dwarf_Word base;
	int err = 0;

	if (base_of(skeleton, DW_AT_addr_base, DW_AT_GNU_addr_base, &base))
		err = add_slice(p, d, "addr", base, version >= 5);
	if (err || version >= 5)
		return err;
	base_of(skeleton, DW_AT_GNU_ranges_base, DW_AT_GNU_ranges_base, &base);
	return add_slice(p, d, "ranges", base, false);
}

/* ---- a .dwo file -------------------------------------------------------------------------------
 */

static const struct pa_elf_section *find_section(const struct pa_elf *e, const char *name)
{
	char full[NAME_BYTES];

	snprintf(full, sizeof(full), ".debug_%s.dwo", name);
	return pa_elf__section(e, full, 0);
}

/* @return 0, -ENOENT not one, -ENOMEM */
static int add_file(struct pieces *p, int fd)
{
	struct pa_elf e;
	int err = pa_elf__open_fd(&e, fd);

	if (!err && (!e.is_64 || !find_section(&e, "info") || !pa_dwarf__is_safe(&e)))
		err = -ENOENT;
	for (size_t i = 0; !err && i < SECTION_CNT; i++) {
		const struct pa_elf_section *s = find_section(&e, sections[i].name);
		void *data;

		if (!s)
			continue;
		err = pa_elf__load(&e, s, SECTION_MAX_BYTES, &data);
		if (!err)
			add_piece(p, sections[i].name, s->flags & SHF_COMPRESSED, data, s->bytes);
	}
	pa_elf__close(&e);
	return err && err != -ENOMEM ? -ENOENT : err;
}

static const char *string(Dwarf_Die *die, unsigned name, unsigned other)
{
	Dwarf_Attribute attr;

	if (!dwarf_attr(die, name, &attr) && !dwarf_attr(die, other, &attr))
		return NULL;
	return dwarf_formstring(&attr);
}

static int open_in(const struct pa_dwarf *d, const char *path)
{
	if (d->search->symfs && *d->search->symfs)
		return pa_open_regular_in(d->search->symfs, path);
	return pa_open_regular(path);
}

/* By the path that the compiler wrote to, else beside the image. */
static int open_file(const struct pa_dwarf *d, Dwarf_Die *skeleton)
{
	const char *name = string(skeleton, DW_AT_dwo_name, DW_AT_GNU_dwo_name);
	const char *dir = string(skeleton, DW_AT_comp_dir, DW_AT_comp_dir);
	const char *slash = strrchr(d->path, '/'), *last;
	char path[PATH_MAX];
	int fd = -ENOENT;

	if (!name || !*name)
		return -ENOENT;
	if (name[0] == '/')
		fd = open_in(d, name);
	else if (dir && dir[0] == '/' &&
		 snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path))
		fd = open_in(d, path);
	last = strrchr(name, '/');
	if (fd < 0 && slash &&
	    snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - d->path), d->path,
		     last ? last + 1 : name) < (int)sizeof(path))
		fd = open_in(d, path);
	return fd;
}

/* ---- a package ----------------------------------------------------------------------------------
 */

static int open_package(struct pa_dwarf *d)
{
	struct pa_dwarf_package *k;
	const struct pa_elf_section *index, *strings;
	char path[PATH_MAX];
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
	if (!index || !strings || !k->elf.is_64)
		return 0;
	err = pa_elf__load(&k->elf, index, SECTION_MAX_BYTES, (void **)&k->index);
	if (!err)
		err = pa_elf__load(&k->elf, strings, STRINGS_MAX_BYTES, (void **)&k->strings);
	if (err)
		return err == -ENOMEM ? err : 0;
	k->index_bytes = index->bytes;
	k->strings_bytes = strings->bytes;
	return 0;
}

void pa_dwarf_package__free(struct pa_dwarf_package *k)
{
	if (!k)
		return;
	pa_elf__close(&k->elf);
	free(k->index);
	free(k->strings);
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

/* The unit's part of a section. @return 0, -ENOENT, -ENOMEM */
static int load_part(const struct pa_dwarf_package *k, const struct slot *s, size_t section,
		     void **data, size_t *bytes)
{
	const struct pa_elf_section *from = find_section(&k->elf, sections[section].name);
	uint32_t column = s->version == 5 ? sections[section].column_5 : sections[section].column_2;
	uint32_t i = 0, offset;
	uint64_t row = s->columns + 4ull * s->column_cnt * (1 + s->row);
	int err;

	while (i < s->column_cnt && word(k, s->columns + 4ull * i) != column)
		i++;
	if (!from || i == s->column_cnt || from->flags & SHF_COMPRESSED)
		return -ENOENT;
	offset = word(k, row + 4ull * i);
	*bytes = word(k, row + 4ull * s->column_cnt * s->unit_cnt + 4ull * i);
	if (!*bytes || *bytes > SECTION_MAX_BYTES || offset > from->bytes ||
	    *bytes > from->bytes - offset)
		return -ENOENT;
	*data = malloc(*bytes);
	if (!*data)
		return -ENOMEM;
	err = pa_elf__read(&k->elf, from->offset + offset, *data, *bytes);
	if (!err)
		return 0;
	free(*data);
	return -ENOENT;
}

/* Only the strings of this unit, instead of the whole package's: their offsets become new ones. */
static int add_strings(struct pieces *p, const struct pa_dwarf_package *k, uint32_t version,
		       uint8_t *offsets, size_t bytes)
{
	size_t used = 1, cap = bytes * 4 + 64;
	char *strings = calloc(1, cap);

	for (size_t at = version == 5 ? 8 : 0; strings && at + 4 <= bytes; at += 4) {
		uint32_t offset, length;

		memcpy(&offset, offsets + at, sizeof(offset));
		length = offset < k->strings_bytes ? (uint32_t)strlen(k->strings + offset) : 0;
		if (!length || used + length + 1 > SECTION_MAX_BYTES) {
			memset(offsets + at, 0, sizeof(offset));
			continue;
		}
		if (used + length + 1 > cap) {
			char *grown = realloc(strings, cap = (cap + length) * 2);

			if (!grown)
				free(strings);
			strings = grown;
			if (!strings)
				break;
		}
		memcpy(strings + used, k->strings + offset, length + 1);
		memcpy(offsets + at, &(uint32_t){(uint32_t)used}, sizeof(offset));
		used += length + 1;
	}
	if (!strings)
		return -ENOMEM;
	add_piece(p, "str", 0, strings, used);
	return 0;
}

/* @return 0, -ENOENT, -ENOMEM */
static int add_package(struct pieces *p, struct pa_dwarf *d, uint64_t id)
{
	const struct pa_dwarf_package *k;
	struct slot s;
	int err = open_package(d);

	k = d->package;
	if (!err && (!k || !k->strings_bytes))
		err = -ENOENT;
	if (!err)
		err = find_slot(k, id, &s);
	for (size_t i = 0; !err && i < SECTION_CNT; i++) {
		void *data;
		size_t bytes;

		err = load_part(k, &s, i, &data, &bytes);
		if (!err && !strcmp(sections[i].name, "str_offsets")) {
			err = add_strings(p, k, s.version, data, bytes);
			if (err)
				free(data);
		}
		if (!err)
			add_piece(p, sections[i].name, 0, data, bytes);
		if (err == -ENOENT)
			err = i ? 0 : -ENOENT; /* all but .debug_info may be missing */
	}
	return err;
}

/* ---- one ELF file of all that -------------------------------------------------------------------
 */

static size_t align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static int join(struct pieces *p, uint16_t machine, void **out, size_t *bytes)
{
	static const char names_name[] = ".shstrtab";
	size_t names_at = sizeof(Elf64_Ehdr), at, shdrs_at;
	uint8_t *image;
	Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
			.e_type = ET_EXEC,
			.e_machine = machine,
			.e_version = EV_CURRENT,
			.e_ehsize = sizeof(h),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = (uint16_t)(p->cnt + 2),
			.e_shstrndx = 1};
	Elf64_Shdr s = {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = names_at};

	s.sh_size = 1 + sizeof(names_name) + p->cnt * NAME_BYTES;
	at = align8(names_at + s.sh_size);
	for (size_t i = 0; i < p->cnt; i++) {
		p->at[i].offset = at;
		at = align8(at + p->at[i].bytes);
	}
	shdrs_at = at;
	*bytes = at + (p->cnt + 2) * sizeof(s);
	*out = image = calloc(1, *bytes);
	if (!image)
		return -ENOMEM;
	h.e_ident[EI_DATA] = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
	h.e_ident[EI_VERSION] = EV_CURRENT;
	h.e_shoff = shdrs_at;
	memcpy(image, &h, sizeof(h));
	memcpy(image + names_at + 1, names_name, sizeof(names_name));
	memcpy(image + shdrs_at + sizeof(s), &s, sizeof(s));
	for (size_t i = 0; i < p->cnt; i++) {
		size_t name = 1 + sizeof(names_name) + i * NAME_BYTES;

		memcpy(image + names_at + name, p->at[i].name, NAME_BYTES);
		memcpy(image + p->at[i].offset, p->at[i].data, p->at[i].bytes);
		s = (Elf64_Shdr){.sh_name = (uint32_t)name,
				 .sh_type = SHT_PROGBITS,
				 .sh_flags = p->at[i].flags,
				 .sh_offset = p->at[i].offset,
				 .sh_size = p->at[i].bytes,
				 .sh_addralign = p->at[i].flags ? 8 : 1};
		memcpy(image + shdrs_at + (i + 2) * sizeof(s), &s, sizeof(s));
	}
	return 0;
}

static bool find_unit(struct pa_dwarf_split *split, uint64_t id)
{
	Dwarf_Off at = 0, next;
	size_t header_bytes;

	while (!dwarf_nextcu(split->dwarf, at, &next, &header_bytes, NULL, NULL, NULL) &&
	       next > at) {
		uint64_t is = 0;
		uint8_t type;
		Dwarf_Die die;

		if (dwarf_offdie(split->dwarf, at + header_bytes, &die) &&
		    !dwarf_cu_info(die.cu, NULL, &type, NULL, NULL, &is, NULL, NULL) && is == id &&
		    dwarf_tag(&die) == DW_TAG_compile_unit) {
			split->die = at + header_bytes;
			return true;
		}
		at = next;
	}
	return false;
}

void pa_dwarf_split__free(struct pa_dwarf_split *split)
{
	if (!split)
		return;
	dwarf_end(split->dwarf);
	elf_end(split->elf);
	free(split->image);
	free(split);
}

/* @return 0, -ENOENT not this unit, -ENOMEM */
static int make_split(struct pa_dwarf *d, struct pieces *p, uint64_t id,
		      struct pa_dwarf_split **out)
{
	struct pa_dwarf_split *split;
	size_t bytes;
	int err;

	if (d->index_bytes > PA_DWARF_INDEX_MAX_BYTES)
		return -ENOENT;
	split = calloc(1, sizeof(*split));
	if (!split)
		return -ENOMEM;
	err = join(p, d->machine, &split->image, &bytes);
	if (!err) {
		d->index_bytes += bytes;
		split->elf = elf_memory(split->image, bytes);
		if (split->elf)
			split->dwarf = dwarf_begin_elf(split->elf, DWARF_C_READ, NULL);
		if (!split->dwarf || !pa_dwarf__strings_end(split->elf) || !find_unit(split, id))
			err = -ENOENT;
	}
	if (err) {
		pa_dwarf_split__free(split);
		return err;
	}
	*out = split;
	return 0;
}

int pa_dwarf_split__open(struct pa_dwarf *d, Dwarf_Die *skeleton, struct pa_dwarf_split **out)
{
	struct pieces p = {0};
	Dwarf_Half version;
	uint64_t id = 0;
	uint8_t type;
	int fd, err;

	*out = NULL;
	if (!string(skeleton, DW_AT_dwo_name, DW_AT_GNU_dwo_name) ||
	    dwarf_cu_info(skeleton->cu, &version, &type, NULL, NULL, &id, NULL, NULL))
		return 0;
	fd = open_file(d, skeleton);
	err = fd < 0 ? -ENOENT : add_file(&p, fd);
	if (fd >= 0)
		close(fd);
	if (!err)
		err = add_slices(&p, d, skeleton, version);
	if (!err)
		err = make_split(d, &p, id, out);
	if (err == -ENOENT) {
		free_pieces(&p);
		p.cnt = 0;
		err = add_package(&p, d, id);
		if (!err)
			err = add_slices(&p, d, skeleton, version);
		if (!err)
			err = make_split(d, &p, id, out);
	}
	free_pieces(&p);
	if (*out && dwarf_lowpc(skeleton, &(*out)->base))
		(*out)->base = 0;
	return err == -ENOMEM ? err : 0;
}
