// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarffile.c - the files with an image's DWARF: itself or its debug file, and what dwz shares
 * among files; and where the units in them are.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/dwarfindex.h"

#define NAME_BYTES 48
#define HEADER_BYTES 64 /* at most */
#define READ_BYTES 1024 /* a header and the first entry */

static const struct pa_elf_section *find_section(const struct pa_elf *e, const char *prefix,
						 enum pa_dwarf_section_id id, const char *suffix)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "%s_%s%s", prefix, pa_dwarf_section__name(id), suffix);
	return pa_elf__section(e, name, 0);
}

int pa_dwarf_file__open(struct pa_dwarf_file *f, const struct pa_elf *e, const char *suffix)
{
	for (int i = 0; i < PA_DWARF_SECTION_CNT; i++) {
		const struct pa_elf_section *from = find_section(e, ".debug", i, suffix);
		int err;

		if (!from)
			from = find_section(e, ".zdebug", i, suffix);
		if (!from || from->type == SHT_NOBITS)
			continue;
		err = pa_dwarf_section__open(&f->own[i], e, from);
		if (!err)
			f->sections[i] = &f->own[i];
		else if (err == -ENOMEM || i == PA_DWARF_INFO)
			return err;
	}
	return f->sections[PA_DWARF_INFO] && f->sections[PA_DWARF_ABBREV] ? 0 : -EBADMSG;
}

void pa_dwarf_file__free(struct pa_dwarf_file *f)
{
	for (size_t i = 0; i < f->unit_cnt; i++)
		pa_dwarf_unit__free(&f->units[i]);
	free(f->units);
	for (int i = 0; i < PA_DWARF_SECTION_CNT; i++)
		pa_dwarf_section__close(&f->own[i]);
	if (f->alt)
		pa_dwarf_file__free(f->alt);
	free(f->alt);
	f->alt = NULL;
}

bool pa_dwarf_file__no_memory(const struct pa_dwarf_file *f)
{
	for (int i = 0; i < PA_DWARF_SECTION_CNT; i++)
		if (f->sections[i] && f->sections[i]->no_memory)
			return true;
	return f->alt && pa_dwarf_file__no_memory(f->alt);
}

/* ---- units ---------------------------------------------------------------------------- */

/* Read the header at u->at. @return false: damage */
static bool read_header(struct pa_dwarf_section *info, struct pa_dwarf_unit *u)
{
	struct pa_dwarf_cursor c;
	uint64_t length, version, type = DW_UT_compile, address_bytes = 0;

	if (!pa_dwarf_cursor__open(&c, info, u->at, info->bytes, HEADER_BYTES, READ_BYTES) ||
	    !pa_dwarf_cursor__number(&c, 4, &length))
		return false;
	u->offset_bytes = length == UINT32_MAX ? 8 : 4;
	if (u->offset_bytes == 8 && !pa_dwarf_cursor__number(&c, 8, &length))
		return false;
	if (length < 7 || length > info->bytes - pa_dwarf_cursor__at(&c) || length >= PA_NONE)
		return false;
	u->end = pa_dwarf_cursor__at(&c) + length;
	if (!pa_dwarf_cursor__number(&c, 2, &version) ||
	    (version >= 5 && (!pa_dwarf_cursor__number(&c, 1, &type) ||
			      !pa_dwarf_cursor__number(&c, 1, &address_bytes))) ||
	    !pa_dwarf_cursor__number(&c, u->offset_bytes, &u->abbrevs) ||
	    (version < 5 && !pa_dwarf_cursor__number(&c, 1, &address_bytes)))
		return false;
	u->version = (uint8_t)(version >= 2 && version <= 5 ? version : 0);
	u->type = (uint8_t)type;
	u->address_bytes = (uint8_t)address_bytes;
	if ((type == DW_UT_skeleton || type == DW_UT_split_compile) &&
	    !pa_dwarf_cursor__number(&c, 8, &u->dwo_id))
		return false;
	if ((type == DW_UT_type || type == DW_UT_split_type) &&
	    !pa_dwarf_cursor__skip(&c, 8u + u->offset_bytes))
		return false;
	u->die = pa_dwarf_cursor__at(&c);
	if ((u->address_bytes != 4 && u->address_bytes != 8) || u->die > u->end)
		u->version = 0;
	return true;
}

int pa_dwarf_file__read_units(struct pa_dwarf_file *f)
{
	struct pa_dwarf_section *info = f->sections[PA_DWARF_INFO];
	uint64_t at = 0;

	for (size_t i = 0; info && at < info->bytes && i < PA_DWARF_UNITS_MAX; i++) {
		struct pa_dwarf_unit u = {.file = f, .at = at};

		if (!read_header(info, &u))
			break;
		at = u.end;
		if (!u.version)
			continue; /* of a later version: its length is all that is known */
		if (pa_array_grow(&f->units, f->unit_cnt, &f->unit_cap, sizeof(u)))
			return -ENOMEM;
		f->units[f->unit_cnt++] = u;
	}
	return pa_dwarf_file__no_memory(f) ? -ENOMEM : 0;
}

/* The last unit that begins at an offset or before it. */
static struct pa_dwarf_unit *unit_before(struct pa_dwarf_file *f, uint64_t at)
{
	size_t low = 0, high = f->unit_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->units[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &f->units[low - 1] : NULL;
}

struct pa_dwarf_unit *pa_dwarf_file__unit(struct pa_dwarf_file *f, uint64_t at)
{
	struct pa_dwarf_unit *u = unit_before(f, at);

	return u && at >= u->die && at < u->end ? u : NULL;
}

struct pa_dwarf_unit *pa_dwarf_file__unit_from(struct pa_dwarf_file *f, uint64_t at)
{
	struct pa_dwarf_unit *u = unit_before(f, at);

	return u && u->at == at ? u : NULL;
}

/* ---- opening -------------------------------------------------------------------------- */

/* The file that this one shares DWARF with, without which it makes no sense. */
static int open_alt(struct pa_dwarf *d, const struct pa_elf *e, const struct pa_search *search)
{
	struct pa_elf alt;
	bool has_alt;
	int err;

	d->alt_fd = pa_debugfile__open_alt(e, search, &has_alt);
	if (d->alt_fd < 0)
		return has_alt ? -ENOENT : 0;
	d->file->alt = calloc(1, sizeof(*d->file->alt));
	if (!d->file->alt)
		return -ENOMEM;
	err = pa_elf__open_fd(&alt, d->alt_fd);
	if (!err)
		err = pa_dwarf_file__open(d->file->alt, &alt, "");
	pa_elf__close(&alt);
	return err ? err : pa_dwarf_file__read_units(d->file->alt);
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
		err = open_alt(d, &e, search);
	if (!err)
		err = pa_dwarf_file__open(d->file, &e, "");
	pa_elf__close(&e);
	return err;
}
