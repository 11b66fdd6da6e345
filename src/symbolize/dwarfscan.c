// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfscan.c - one pass over the entries of a unit, in the order of their bytes. libdw needs
 * some hundred nanoseconds for each entry, most of which are types and variables that nobody
 * wants: here they are skipped by their abbreviation. Nothing is followed backwards, so that a
 * damaged unit costs no more than its bytes.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

#define CODES_MAX 65536 /* of abbreviations; compilers count from 1 */
#define ATTRS_MAX (1u << 20)

struct spec {
	uint16_t name, form;
	int8_t bytes; /* form_bytes */
	bool is_wanted;
	int64_t value; /* DW_FORM_implicit_const */
};

struct pa_dwarf_abbrev {
	uint32_t first, cnt; /* of specs */
	uint16_t tag;	     /* 0: there is none */
	bool has_children;
	int32_t bytes; /* of all attributes; -1: depends, or some are wanted */
};

static bool read_uleb(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
	const uint8_t *p = *at;
	unsigned shift = 0;

	*out = 0;
	while (p < end) {
		if (shift < 64)
			*out |= (uint64_t)(*p & 0x7f) << shift;
		shift += 7;
		if (!(*p++ & 0x80)) {
			*at = p;
			return true;
		}
	}
	return false;
}

/* Bytes of a form; -1: depends on the data. */
static int form_bytes(const struct pa_dwarf_scan *s, uint64_t form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return s->address_bytes;
	case DW_FORM_ref_addr:
		return s->version <= 2 ? s->address_bytes : s->offset_bytes;
	case DW_FORM_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return s->offset_bytes;
	default:
		return -1;
	}
}

static uint64_t read_le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&v, p, bytes);
#else
	memcpy((uint8_t *)&v + 8 - bytes, p, bytes);
#endif
	return v;
}

/* Over the value of an attribute. */
static bool skip(struct pa_dwarf_scan *s, unsigned form, int fixed)
{
	uint64_t bytes = 0;
	int head = 0;

	if (fixed < 0) {
		switch (form) {
		case DW_FORM_udata:
		case DW_FORM_sdata:
		case DW_FORM_ref_udata:
		case DW_FORM_strx:
		case DW_FORM_addrx:
		case DW_FORM_loclistx:
		case DW_FORM_rnglistx:
		case DW_FORM_GNU_addr_index:
		case DW_FORM_GNU_str_index:
			return read_uleb(&s->at, s->end, &bytes);
		case DW_FORM_string:
			bytes = strnlen((const char *)s->at, (size_t)(s->end - s->at)) + 1;
			break;
		case DW_FORM_block:
		case DW_FORM_exprloc:
			if (!read_uleb(&s->at, s->end, &bytes))
				return false;
			break;
		case DW_FORM_block1:
		case DW_FORM_block2:
		case DW_FORM_block4:
			head = form == DW_FORM_block1 ? 1 : form == DW_FORM_block2 ? 2 : 4;
			if (s->end - s->at < head)
				return false;
			bytes = read_le(s->at, (unsigned)head);
			s->at += head;
			break;
		default: /* DW_FORM_indirect too, which nobody writes */
			return false;
		}
	} else {
		bytes = (uint64_t)fixed;
	}
	if (bytes > (uint64_t)(s->end - s->at))
		return false;
	s->at += bytes;
	return true;
}

/* ---- abbreviations ----------------------------------------------------------------------------
 */

static bool is_wanted(uint64_t tag, uint64_t name)
{
	return name == DW_AT_sibling ||
	       ((tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) &&
		(name == DW_AT_low_pc || name == DW_AT_high_pc || name == DW_AT_ranges ||
		 name == DW_AT_call_file || name == DW_AT_call_line));
}

static int add_spec(struct pa_dwarf_scan *s, struct pa_dwarf_abbrev *a, uint64_t name,
		    uint64_t form, int64_t value)
{
	int bytes = form_bytes(s, form);
	bool wanted = is_wanted(a->tag, name);

	if (s->spec_cnt >= ATTRS_MAX || name > UINT16_MAX || form > UINT16_MAX)
		return -EBADMSG;
	if (pa_array_grow(&s->specs, s->spec_cnt, &s->spec_cap, sizeof(struct spec)))
		return -ENOMEM;
	((struct spec *)s->specs)[s->spec_cnt++] =
		(struct spec){(uint16_t)name, (uint16_t)form, (int8_t)bytes, wanted, value};
	a->cnt++;
	if (bytes < 0 || wanted || a->bytes < 0 || a->bytes > INT16_MAX)
		a->bytes = -1;
	else
		a->bytes += bytes;
	return 0;
}

/* @return 1 one was read, 0 the end, -EBADMSG, -ENOMEM */
static int read_abbrev(struct pa_dwarf_scan *s, const uint8_t **at, const uint8_t *end)
{
	struct pa_dwarf_abbrev a = {.first = (uint32_t)s->spec_cnt};
	uint64_t code, tag, name, form, value;
	int err;

	if (!read_uleb(at, end, &code) || !code)
		return 0;
	if (code >= CODES_MAX || !read_uleb(at, end, &tag) || *at >= end)
		return -EBADMSG;
	a.tag = tag <= UINT16_MAX ? (uint16_t)tag : UINT16_MAX;
	a.has_children = *(*at)++ != 0;
	for (;;) {
		value = 0;
		if (!read_uleb(at, end, &name) || !read_uleb(at, end, &form) ||
		    (form == DW_FORM_implicit_const && !read_uleb(at, end, &value)))
			return -EBADMSG;
		if (!name && !form)
			break;
		err = add_spec(s, &a, name, form, (int64_t)value);
		if (err)
			return err;
	}
	while (s->abbrev_cap <= code)
		if (pa_array_grow(&s->abbrevs, s->abbrev_cap, &s->abbrev_cap, sizeof(a)))
			return -ENOMEM;
	for (; s->abbrev_cnt <= code; s->abbrev_cnt++)
		s->abbrevs[s->abbrev_cnt].tag = 0;
	s->abbrevs[code] = a;
	return 1;
}

/* ---- the unit -----------------------------------------------------------------------------------
 */

/* The header that ends where the unit's entry begins. */
static int open_header(struct pa_dwarf_scan *s, const Elf_Data *info, Dwarf_Die *unit,
		       uint64_t *abbrevs)
{
	uint8_t address_bytes, offset_bytes, type;
	uint64_t head, at = dwarf_dieoffset(unit), length;
	Dwarf_Half version;
	Dwarf_Die die;
	const uint8_t *p;

	if (!dwarf_diecu(unit, &die, &address_bytes, &offset_bytes) ||
	    dwarf_cu_info(unit->cu, &version, &type, NULL, NULL, NULL, NULL, NULL) ||
	    type == DW_UT_type || type == DW_UT_split_type)
		return -EBADMSG;
	head = (offset_bytes == 8 ? 12 : 4) + 2 + offset_bytes + 1;
	if (version >= 5)
		head += type == DW_UT_skeleton || type == DW_UT_split_compile ? 9 : 1;
	if (at < head || at > info->d_size)
		return -EBADMSG;
	s->start = (const uint8_t *)info->d_buf;
	p = s->start + at - head;
	length = offset_bytes == 8 ? read_le(p + 4, 8) : read_le(p, 4);
	p += offset_bytes == 8 ? 12 : 4;
	if (length > info->d_size - (uint64_t)(p - s->start))
		return -EBADMSG;
	s->end = p + length;
	*abbrevs = read_le(p + (version >= 5 ? 4 : 2), offset_bytes);
	s->version = version;
	s->address_bytes = address_bytes;
	s->offset_bytes = offset_bytes;
	s->at = s->start + at;
	s->header = (uint64_t)(p - s->start) - (offset_bytes == 8 ? 12 : 4);
	return s->at <= s->end ? 0 : -EBADMSG;
}

int pa_dwarf_scan__open(struct pa_dwarf_scan *s, Elf *elf, Dwarf_Die *unit)
{
	Elf_Data *info = pa_dwarf__section(elf, "info"), *data = pa_dwarf__section(elf, "abbrev");
	const uint8_t *at, *end;
	uint64_t abbrevs;
	int err;

	memset(s, 0, sizeof(*s));
	if (!info || !data)
		return -EBADMSG;
	err = open_header(s, info, unit, &abbrevs);
	if (err || abbrevs >= data->d_size)
		return err ? err : -EBADMSG;
	at = (const uint8_t *)data->d_buf + abbrevs;
	end = (const uint8_t *)data->d_buf + data->d_size;
	do {
		err = read_abbrev(s, &at, end);
	} while (err > 0);
	return err;
}

void pa_dwarf_scan__close(struct pa_dwarf_scan *s)
{
	free(s->abbrevs);
	free(s->specs);
}

/* ---- entries
 * ------------------------------------------------------------------------------------- */

/* A plain number; *ok false: of a form that isn't one. */
static uint64_t plain(struct pa_dwarf_scan *s, const struct spec *spec, bool *ok)
{
	const uint8_t *at = s->at;
	uint64_t value;
	int bytes = spec->bytes;

	*ok = true;
	switch (spec->form) {
	case DW_FORM_implicit_const:
		return (uint64_t)spec->value;
	case DW_FORM_udata:
		if (read_uleb(&at, s->end, &value))
			return value;
		break;
	case DW_FORM_addr:
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
		if (bytes > 0 && bytes <= 8 && bytes <= s->end - at)
			return read_le(at, (unsigned)bytes);
		break;
	}
	*ok = false;
	return 0;
}

static void take(struct pa_dwarf_scan *s, const struct spec *spec, struct pa_dwarf_entry *e)
{
	bool ok;
	uint64_t value = plain(s, spec, &ok);

	switch (spec->name) {
	case DW_AT_sibling:
		e->sibling = ok && spec->form != DW_FORM_addr ? s->header + value : 0;
		break;
	case DW_AT_low_pc:
		e->low = value;
		e->has_low = true;
		e->is_plain &= ok && spec->form == DW_FORM_addr;
		break;
	case DW_AT_high_pc:
		e->high = value;
		e->has_high = true;
		e->high_is_address = spec->form == DW_FORM_addr;
		e->is_plain &= ok;
		break;
	case DW_AT_ranges:
		e->has_ranges = true;
		break;
	case DW_AT_call_file:
		e->call_file = ok && value < PA_NONE ? (uint32_t)value : PA_NONE;
		break;
	case DW_AT_call_line:
		e->call_line = ok && value < PA_NONE ? (uint32_t)value : 0;
		break;
	}
}

bool pa_dwarf_scan__next(struct pa_dwarf_scan *s, struct pa_dwarf_entry *e)
{
	const struct pa_dwarf_abbrev *a;
	const struct spec *specs = s->specs;
	uint64_t code;

	for (;;) {
		if (s->at >= s->end)
			return false;
		e->offset = (uint64_t)(s->at - s->start);
		if (!read_uleb(&s->at, s->end, &code))
			return false;
		if (code)
			break;
		if (s->depth-- <= 0)
			return false;
	}
	a = code < s->abbrev_cnt ? &s->abbrevs[code] : NULL;
	if (!a || !a->tag)
		return false;
	e->tag = a->tag;
	e->depth = s->depth;
	e->has_children = a->has_children;
	e->sibling = 0;
	e->has_low = e->has_high = e->has_ranges = false;
	if (a->bytes >= 0) {
		if (a->bytes > s->end - s->at)
			return false;
		s->at += a->bytes;
	} else {
		e->is_plain = true;
		e->call_file = PA_NONE;
		e->call_line = 0;
		for (const struct spec *i = specs + a->first; i < specs + a->first + a->cnt; i++) {
			if (i->is_wanted)
				take(s, i, e);
			if (!skip(s, i->form, i->bytes))
				return false;
		}
	}
	s->depth += a->has_children;
	return true;
}

void pa_dwarf_scan__skip(struct pa_dwarf_scan *s, const struct pa_dwarf_entry *e)
{
	if (!e->has_children || e->sibling <= (uint64_t)(s->at - s->start) ||
	    e->sibling > (uint64_t)(s->end - s->start))
		return;
	s->at = s->start + e->sibling;
	s->depth = e->depth;
}
