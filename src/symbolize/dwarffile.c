// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarffile.c - the files with an image's DWARF: itself or its debug file, and what dwz shares
 * among files. libdw gets descriptors and checked files only, and is never allowed to look for
 * files itself.
 */
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

#include "symbolize/dwarfindex.h"

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
bool pa_dwarf__is_safe(const struct pa_elf *e)
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
		if (bytes > PA_DWARF_SECTIONS_MAX_BYTES)
			return false;
		sum += bytes;
	}
	return sum <= PA_DWARF_SECTIONS_MAX_BYTES;
}

/* libdw takes for granted that string sections end with a NUL. Their data is what it has read
 * (and decompressed) by now. */
bool pa_dwarf__strings_end(Elf *elf)
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

Elf_Data *pa_dwarf__section(Elf *elf, const char *name)
{
	Elf_Scn *scn = NULL;
	size_t names_index;

	if (elf_getshdrstrndx(elf, &names_index))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;
		const char *is;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS)
			continue;
		is = elf_strptr(elf, names_index, shdr.sh_name);
		if (!is || (strncmp(is, ".debug_", 7) && strncmp(is, ".zdebug_", 8)) ||
		    strcmp(strchr(is, '_') + 1, name))
			continue;
		data = elf_getdata(scn, NULL);
		return data && data->d_buf ? data : NULL;
	}
	return NULL;
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
	return pa_dwarf__strings_end(*elf) ? 0 : -EBADMSG;
}

/* Use d->fd, which must have .debug_info. A file that shares DWARF with another one needs that
 * one too, else libdw would open what the file names. */
static int open_with(struct pa_dwarf *d, const struct pa_elf *e, const struct pa_search *search)
{
	struct pa_elf alt;
	bool has_alt, safe;
	int err;

	if (!pa_dwarf__is_safe(e))
		return -EBADMSG;
	d->machine = e->machine;
	d->alt_fd = pa_debugfile__open_alt(e, search, &has_alt);
	if (d->alt_fd < 0 && has_alt)
		return -ENOENT;
	if (d->alt_fd >= 0) {
		safe = !pa_elf__open_fd(&alt, d->alt_fd) && pa_dwarf__is_safe(&alt) &&
		       !pa_elf__section(&alt, ".gnu_debugaltlink", 0);
		pa_elf__close(&alt);
		err = safe ? open_dwarf(d->alt_fd, &d->alt_elf, &d->alt) : -EBADMSG;
		if (err)
			return err;
	}
	err = open_dwarf(d->fd, &d->elf, &d->dwarf);
	if (!err)
		d->line_program = pa_dwarf__section(d->elf, "line");
	if (!err && d->alt)
		dwarf_setalt(d->dwarf, d->alt);
	return err;
}

static bool has_info(const struct pa_elf *e)
{
	return pa_elf__section(e, ".debug_info", SHT_PROGBITS) ||
	       pa_elf__section(e, ".zdebug_info", SHT_PROGBITS);
}

int pa_dwarf__open(struct pa_dwarf *d, const char *path, const struct pa_search *search)
{
	struct pa_elf e;
	int err = pa_elf__open_fd(&e, d->fd);

	if (!err && !has_info(&e)) {
		int fd = pa_debugfile__open(&e, path, search);

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
		err = open_with(d, &e, search);
	pa_elf__close(&e);
	return err;
}

void pa_dwarf__close(struct pa_dwarf *d)
{
	dwarf_end(d->dwarf);
	dwarf_end(d->alt);
	elf_end(d->elf);
	elf_end(d->alt_elf);
	if (d->fd >= 0)
		close(d->fd);
	if (d->alt_fd >= 0)
		close(d->alt_fd);
}

/* The sections stay: libelf has them. */
int pa_dwarf__reopen(struct pa_dwarf *d)
{
	dwarf_end(d->dwarf);
	dwarf_end(d->alt);
	d->alt = NULL;
	d->rows_held = 0;
	d->dwarf = dwarf_begin_elf(d->elf, DWARF_C_READ, NULL);
	if (d->dwarf && d->alt_elf) {
		d->alt = dwarf_begin_elf(d->alt_elf, DWARF_C_READ, NULL);
		if (d->alt) {
			dwarf_setalt(d->dwarf, d->alt);
		} else {
			dwarf_end(d->dwarf);
			d->dwarf = NULL;
		}
	}
	return d->dwarf ? 0 : -ENOMEM;
}
