// SPDX-License-Identifier: GPL-2.0-only
/*
 * decl.c - where a function is declared (file and line), from the DWARF of the image or of its
 * debug file. libdw gets descriptors and checked files only, and is never allowed to look for
 * files itself. A unit's functions are collected when the first of them is asked for.
 */
#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <endian.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define DEPTH_MAX 32
#define VISITS_MAX (64u << 20) /* DIEs looked at, for one image */
#define UNITS_MAX (1u << 20)
#define RANGES_MAX (4u << 20)
#define SECTIONS_MAX_BYTES (2ull << 30)

struct function {
	uint64_t addr;
	Dwarf_Off die;
};

struct unit {
	Dwarf_Off die;
	struct function *functions; /* by address; NULL until first asked */
	size_t cnt, cap;
	bool loaded;
};

struct range {
	uint64_t start, end;
	uint32_t unit;
};

struct pa_decl {
	int fd, alt_fd;
	Elf *elf, *alt_elf;
	Dwarf *dwarf, *alt;
	struct unit *units; /* by DIE offset, NULL until first asked */
	size_t unit_cnt, unit_cap;
	struct range *ranges; /* by start */
	size_t range_cnt, range_cap;
	uint32_t visits;
	bool loaded;
};

/* What a compressed section says it expands to; 0 for others, UINT64_MAX for a damaged one. */
static uint64_t inflated_bytes(const struct pa_elf *e, const struct pa_elf_section *s)
{
	uint8_t old[12]; /* "ZLIB" and the size, big endian, in sections called .zdebug_... */
	uint64_t bytes;
	Elf64_Chdr chdr;

	if (s->flags & SHF_COMPRESSED) {
		if (!e->is_64 || s->bytes < sizeof(chdr) ||
		    pa_elf__read(e, s->offset, &chdr, sizeof(chdr)))
			return UINT64_MAX;
		return chdr.ch_size;
	}
	if (strncmp(pa_elf__section_name(e, s), ".zdebug", 7))
		return 0;
	if (s->bytes < sizeof(old) || pa_elf__read(e, s->offset, old, sizeof(old)))
		return UINT64_MAX;
	memcpy(&bytes, old + 4, sizeof(bytes));
	return memcmp(old, "ZLIB", 4) ? 0 : be64toh(bytes);
}

/* libelf believes the headers: let it see only files whose sections fit and whose debug
 * sections have, or expand to, a bearable size. */
static bool is_safe(const struct pa_elf *e)
{
	uint64_t sum = 0;

	if (!e->section_cnt)
		return false;
	for (size_t i = 0; i < e->section_cnt; i++) {
		const struct pa_elf_section *s = &e->sections[i];
		uint64_t bytes;

		if (s->type == SHT_NOBITS)
			continue;
		if (s->offset > e->bytes || s->bytes > e->bytes - s->offset)
			return false;
		bytes = inflated_bytes(e, s);
		if (!bytes && !(s->flags & SHF_ALLOC))
			bytes = s->bytes; /* read whole, holes too */
		if (bytes > SECTIONS_MAX_BYTES)
			return false;
		sum += bytes;
	}
	return sum <= SECTIONS_MAX_BYTES;
}

/* libdw takes for granted that string sections end with a NUL. Their data is what it has read
 * (and decompressed) by now. */
static bool strings_end(Elf *elf)
{
	static const char *const names[] = {".debug_str", ".debug_line_str", ".zdebug_str",
					    ".zdebug_line_str"};
	Elf_Scn *scn = NULL;
	size_t names_index;

	if (elf_getshdrstrndx(elf, &names_index))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;
		Elf_Data *data;
		const char *name;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names_index, shdr.sh_name);
		for (size_t i = 0; name && i < sizeof(names) / sizeof(*names); i++) {
			if (strcmp(name, names[i]))
				continue;
			data = elf_getdata(scn, NULL);
			if (!data || !data->d_buf || !data->d_size ||
			    ((const char *)data->d_buf)[data->d_size - 1])
				return false;
		}
	}
	return true;
}

static int open_dwarf(int fd, Elf **elf, Dwarf **dwarf)
{
	elf_version(EV_CURRENT);
	*elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!*elf)
		return -EBADMSG;
	*dwarf = dwarf_begin_elf(*elf, DWARF_C_READ, NULL);
	if (!*dwarf)
		return -ENOENT;
	return strings_end(*elf) ? 0 : -EBADMSG;
}

/* Use d->fd, which must have .debug_info. A file that shares DWARF with another one needs that
 * one too, else libdw would open what the file names. */
static int open_with(struct pa_decl *d, const struct pa_elf *e, const char *symfs)
{
	struct pa_elf alt;
	bool has_alt, safe;
	int err;

	if (!is_safe(e))
		return -EBADMSG;
	d->alt_fd = pa_debugfile__open_alt(e, symfs, &has_alt);
	if (d->alt_fd < 0 && has_alt)
		return -ENOENT;
	if (d->alt_fd >= 0) {
		safe = !pa_elf__open_fd(&alt, d->alt_fd) && is_safe(&alt) &&
		       !pa_elf__section(&alt, ".gnu_debugaltlink", 0);
		pa_elf__close(&alt);
		err = safe ? open_dwarf(d->alt_fd, &d->alt_elf, &d->alt) : -EBADMSG;
		if (err)
			return err;
	}
	err = open_dwarf(d->fd, &d->elf, &d->dwarf);
	if (!err && d->alt)
		dwarf_setalt(d->dwarf, d->alt);
	return err;
}

static bool has_info(const struct pa_elf *e)
{
	return pa_elf__section(e, ".debug_info", SHT_PROGBITS) ||
	       pa_elf__section(e, ".zdebug_info", SHT_PROGBITS);
}

static int find_dwarf(struct pa_decl *d, const char *path, const char *symfs)
{
	struct pa_elf e;
	int err = pa_elf__open_fd(&e, d->fd);

	if (!err && !has_info(&e)) {
		int fd = pa_debugfile__open(&e, path, symfs);

		pa_elf__close(&e);
		if (fd < 0)
			return fd;
		close(d->fd);
		d->fd = fd;
		err = pa_elf__open_fd(&e, fd);
		if (!err && !has_info(&e))
			err = -ENOENT;
	}
	if (!err)
		err = open_with(d, &e, symfs);
	pa_elf__close(&e);
	return err;
}

int pa_decl__new(int fd, const char *path, const char *symfs, struct pa_decl **out)
{
	struct pa_decl *d = calloc(1, sizeof(*d));
	int err;

	*out = NULL;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	d->fd = fd;
	d->alt_fd = -1;
	err = find_dwarf(d, path, symfs);
	if (err) {
		pa_decl__free(d);
		return err;
	}
	*out = d;
	return 0;
}

void pa_decl__free(struct pa_decl *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->unit_cnt; i++)
		free(d->units[i].functions);
	free(d->units);
	free(d->ranges);
	dwarf_end(d->dwarf);
	dwarf_end(d->alt);
	elf_end(d->elf);
	elf_end(d->alt_elf);
	if (d->fd >= 0)
		close(d->fd);
	if (d->alt_fd >= 0)
		close(d->alt_fd);
	free(d);
}

/* ---- which unit: the ranges of all unit DIEs, as .debug_aranges is often missing ---------- */

static int add_ranges(struct pa_decl *d, Dwarf_Die *die, uint32_t unit)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (start >= end)
			continue;
		if (d->range_cnt >= RANGES_MAX)
			return 0;
		if (pa_array_grow(&d->ranges, d->range_cnt, &d->range_cap, sizeof(*d->ranges)))
			return -ENOMEM;
		d->ranges[d->range_cnt++] = (struct range){start, end, unit};
	}
	return 0;
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static int load_units(struct pa_decl *d)
{
	Dwarf_Off at = 0, next;
	size_t header_bytes;

	d->loaded = true;
	while (d->unit_cnt < UNITS_MAX &&
	       !dwarf_nextcu(d->dwarf, at, &next, &header_bytes, NULL, NULL, NULL) && next > at) {
		Dwarf_Die die;

		if (dwarf_offdie(d->dwarf, at + header_bytes, &die)) {
			if (pa_array_grow(&d->units, d->unit_cnt, &d->unit_cap,
					  sizeof(*d->units)) ||
			    add_ranges(d, &die, (uint32_t)d->unit_cnt))
				return -ENOMEM;
			d->units[d->unit_cnt++] = (struct unit){.die = at + header_bytes};
		}
		at = next;
	}
	if (d->range_cnt)
		qsort(d->ranges, d->range_cnt, sizeof(*d->ranges), compare_ranges);
	return 0;
}

/* ---- the functions of a unit ------------------------------------------------------------- */

static int add_function(struct unit *u, Dwarf_Die *die)
{
	Dwarf_Addr addr;

	if (dwarf_entrypc(die, &addr))
		return 0;
	if (pa_array_grow(&u->functions, u->cnt, &u->cap, sizeof(*u->functions)))
		return -ENOMEM;
	u->functions[u->cnt++] = (struct function){addr, dwarf_dieoffset(die)};
	return 0;
}

/* Functions may be inside of namespaces, classes and other functions. */
static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_module ||
	       tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block;
}

/* Walk the children of parent. Offsets only grow, or a damaged sibling link would be a loop. */
static int walk(struct pa_decl *d, struct unit *u, Dwarf_Die *parent, int depth)
{
	Dwarf_Off last = dwarf_dieoffset(parent);
	Dwarf_Die die, next;
	int err = 0;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die))
		return 0;
	for (;;) {
		int tag = dwarf_tag(&die);

		if (dwarf_dieoffset(&die) <= last || d->visits >= VISITS_MAX)
			return 0;
		last = dwarf_dieoffset(&die);
		d->visits++;
		if (tag == DW_TAG_subprogram)
			err = add_function(u, &die);
		if (!err && may_hold_functions(tag) && dwarf_haschildren(&die) > 0)
			err = walk(d, u, &die, depth + 1);
		if (err || dwarf_siblingof(&die, &next))
			return err;
		die = next;
	}
}

static int compare_functions(const void *pa, const void *pb)
{
	const struct function *a = pa, *b = pb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->die < b->die ? -1 : a->die > b->die;
}

static int load_functions(struct pa_decl *d, struct unit *u)
{
	Dwarf_Die die;
	int err;

	u->loaded = true;
	if (!dwarf_offdie(d->dwarf, u->die, &die))
		return 0;
	err = walk(d, u, &die, 0);
	if (u->cnt)
		qsort(u->functions, u->cnt, sizeof(*u->functions), compare_functions);
	return err;
}

/* ---- the answer --------------------------------------------------------------------------- */

static char *absolute_file(Dwarf_Die *die, Dwarf_Die *unit)
{
	const char *file = dwarf_decl_file(die), *dir = "";
	Dwarf_Attribute attr;
	char *out;
	size_t bytes;

	if (!file || !*file)
		return NULL;
	if (file[0] != '/' && dwarf_attr(unit, DW_AT_comp_dir, &attr))
		dir = dwarf_formstring(&attr);
	if (file[0] == '/' || !dir || !*dir)
		return strdup(file);
	bytes = strlen(dir) + strlen(file) + 2;
	out = malloc(bytes);
	if (out)
		snprintf(out, bytes, "%s/%s", dir, file);
	return out;
}

static int answer(struct pa_decl *d, const struct unit *u, Dwarf_Off at, char **file,
		  uint32_t *line)
{
	Dwarf_Die die, unit;
	int number = 0;

	if (!dwarf_offdie(d->dwarf, at, &die) || !dwarf_offdie(d->dwarf, u->die, &unit))
		return -ENOENT;
	if (dwarf_decl_line(&die, &number) || number < 0)
		number = 0;
	*file = absolute_file(&die, &unit);
	*line = *file ? (uint32_t)number : 0;
	return *file ? 0 : -ENOENT;
}

static int find_in_unit(struct pa_decl *d, struct unit *u, uint64_t vaddr, char **file,
			uint32_t *line)
{
	size_t low = 0, high;

	if (!u->loaded && load_functions(d, u))
		return -ENOMEM;
	high = u->cnt;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (u->functions[mid].addr < vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == u->cnt || u->functions[low].addr != vaddr)
		return -ENOENT;
	return answer(d, u, u->functions[low].die, file, line);
}

int pa_decl__find(struct pa_decl *d, uint64_t vaddr, char **file, uint32_t *line)
{
	size_t low = 0, high;

	*file = NULL;
	*line = 0;
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
	/* Ranges of different units don't overlap but in damaged files: look back a little. */
	for (size_t i = 0; i < 4 && low > i; i++) {
		const struct range *r = &d->ranges[low - 1 - i];
		int err;

		if (vaddr >= r->end)
			continue;
		err = find_in_unit(d, &d->units[r->unit], vaddr, file, line);
		if (err != -ENOENT)
			return err;
	}
	return -ENOENT;
}
