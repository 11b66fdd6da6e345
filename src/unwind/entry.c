// SPDX-License-Identifier: GPL-2.0-only
/*
 * entry.c - the entries of .eh_frame and .debug_frame: common information (CIE) and one frame
 * description (FDE) per function. The two sections differ in how an entry names its CIE, in how
 * addresses are encoded, and in where they end.
 */
#include <dwarf.h>
#include <errno.h>
#include <string.h>

#include "unwind/internal.h"

/* One entry behind its length. */
struct entry {
	struct pa_cursor body; /* behind the CIE pointer */
	uint64_t id;	       /* the CIE pointer */
	size_t id_offset;      /* where that is */
	size_t next;	       /* offset of the entry behind */
	bool is_64, is_cie, is_zero;
};

uint64_t pa_pointer__read(struct pa_cursor *c, const struct pa_pointer_base *base, uint8_t encoding)
{
	/* bytes of the formats 0 to 7; those from 8 on are the same, signed */
	static const uint8_t format_bytes[8] = {0, 0, 2, 4, 8, 0, 0, 0};
	uint8_t format = encoding & 0x0f, bytes = format_bytes[format & 7];
	uint64_t place, v;

	if (encoding == DW_EH_PE_omit)
		return 0;
	if ((encoding & 0x70) == DW_EH_PE_aligned) {
		place = base->vaddr + (uint64_t)(c->p - base->data);
		pa_cursor__skip(c, -place & (base->address_bytes - 1u));
		return pa_cursor__fixed(c, base->address_bytes);
	}
	place = base->vaddr + (uint64_t)(c->p - base->data);
	if (format == DW_EH_PE_absptr || format == 0x08 /* signed absptr */)
		bytes = base->address_bytes;
	if (bytes)
		v = pa_cursor__fixed(c, bytes);
	else if (format == DW_EH_PE_uleb128)
		v = pa_cursor__uleb(c);
	else if (format == DW_EH_PE_sleb128)
		v = (uint64_t)pa_cursor__sleb(c);
	else
		return pa_cursor__skip(c, UINT64_MAX), 0;
	if (bytes && format & 8)
		v = pa_sign_extend(v, bytes);
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_funcrel: /* the function's start: its own is what is read here */
		break;
	case DW_EH_PE_pcrel:
		v += place;
		break;
	case DW_EH_PE_datarel:
		if (!base->datarel)
			return pa_cursor__skip(c, UINT64_MAX), 0;
		v += base->datarel;
		break;
	default: /* textrel has no base in any file for our machines */
		return pa_cursor__skip(c, UINT64_MAX), 0;
	}
	return base->address_bytes == 4 ? (uint32_t)v : v;
}

static struct pa_pointer_base base_of(const struct pa_cfi_section *s, uint8_t address_bytes)
{
	return (struct pa_pointer_base){
		.data = s->data,
		.vaddr = s->vaddr,
		.address_bytes = address_bytes,
	};
}

static int read_entry(const struct pa_cfi_section *s, size_t offset, struct entry *out)
{
	struct pa_cursor c = {s->data + offset, s->data + s->bytes, offset > s->bytes};
	uint64_t length;

	*out = (struct entry){0};
	if (c.is_bad)
		return -EBADMSG;
	length = pa_cursor__fixed(&c, 4);
	out->is_64 = length == 0xffffffff;
	if (out->is_64)
		length = pa_cursor__fixed(&c, 8);
	if (c.is_bad || length > (uint64_t)(c.end - c.p))
		return -EBADMSG;
	c.end = c.p + length;
	out->next = (size_t)(c.end - s->data);
	out->is_zero = !length;
	if (out->is_zero)
		return 0;
	out->id_offset = (size_t)(c.p - s->data);
	/* In .eh_frame this stays 4 bytes wide whatever the length is. */
	out->id = pa_cursor__fixed(&c, out->is_64 && !s->is_eh ? 8 : 4);
	if (s->is_eh)
		out->is_cie = !out->id;
	else
		out->is_cie = out->id == (out->is_64 ? UINT64_MAX : UINT32_MAX);
	out->body = c;
	return c.is_bad ? -EBADMSG : 0;
}

int pa_cfi_section__next(const struct pa_cfi_section *s, size_t *offset, size_t *at)
{
	struct entry e;

	while (s->bytes - *offset >= 4) {
		int err = read_entry(s, *offset, &e);

		/* A body too short for its CIE pointer is one bad entry; without a length that
		 * fits, the rest of the section can't be told apart. */
		if (err && e.next <= *offset)
			return err;
		if (e.is_zero && s->ends_at_zero)
			return 0;
		*at = *offset;
		*offset = e.next;
		if (!err && !e.is_zero && !e.is_cie)
			return 1;
	}
	return 0;
}

/* The data that the letters of the augmentation string describe. */
static void read_augmentation(const struct pa_cfi_section *s, const char *letters,
			      struct pa_cursor *c, struct pa_cie *out)
{
	struct pa_pointer_base base = base_of(s, out->address_bytes);
	uint8_t encoding;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			out->fde_encoding = (uint8_t)pa_cursor__fixed(c, 1);
			break;
		case 'P':
			encoding = (uint8_t)pa_cursor__fixed(c, 1);
			pa_pointer__read(c, &base, encoding & ~DW_EH_PE_indirect & 0xff);
			break;
		case 'L':
			pa_cursor__fixed(c, 1);
			break;
		case 'S':
			out->is_signal = true;
			break;
		case 'B': /* aarch64: signed with the B key */
		case 'G': /* aarch64: tagged stack memory */
			break;
		default: /* its data can't be skipped, nor what follows be read */
			return;
		}
	}
}

static int parse_cie(const struct pa_cfi_section *s, uint64_t offset, struct pa_cie *out)
{
	struct pa_cursor c, data;
	const char *letters;
	struct entry e;
	uint64_t version, ra;
	size_t room, letter_cnt;

	if (offset >= s->bytes || read_entry(s, offset, &e) || !e.is_cie || e.is_zero)
		return -EBADMSG;
	c = e.body;
	*out = (struct pa_cie){.address_bytes = s->address_bytes};
	version = pa_cursor__fixed(&c, 1);
	if (version != 1 && version != 3 && version != 4)
		return -EBADMSG;
	letters = (const char *)c.p;
	room = (size_t)(c.end - c.p);
	letter_cnt =
		strnlen(letters, room < PA_CFI_AUGMENTATION_MAX ? room : PA_CFI_AUGMENTATION_MAX);
	if (letter_cnt == room || letter_cnt == PA_CFI_AUGMENTATION_MAX)
		return -EBADMSG;
	c.p += letter_cnt + 1;
	if (!strcmp(letters, "eh")) /* of gcc before 3.0: a pointer to more data */
		pa_cursor__skip(&c, s->address_bytes);
	if (version >= 4) {
		out->address_bytes = (uint8_t)pa_cursor__fixed(&c, 1);
		out->segment_bytes = (uint8_t)pa_cursor__fixed(&c, 1);
	}
	out->code_align = pa_cursor__uleb(&c);
	out->data_align = pa_cursor__sleb(&c);
	ra = version == 1 ? pa_cursor__fixed(&c, 1) : pa_cursor__uleb(&c);
	out->ra_reg = (uint8_t)ra;
	if (c.is_bad || ra >= PA_CFI_REG_CNT ||
	    (out->address_bytes != 4 && out->address_bytes != 8))
		return -EBADMSG;
	if (letters[0] == 'z') {
		uint64_t bytes = pa_cursor__uleb(&c);

		out->has_augmentation = true;
		data.is_bad = false;
		data.p = pa_cursor__skip(&c, bytes);
		data.end = c.p;
		if (c.is_bad)
			return -EBADMSG;
		read_augmentation(s, letters + 1, &data, out);
		if (data.is_bad)
			return -EBADMSG;
	} else if (letters[0] && strcmp(letters, "eh") != 0) {
		return -EBADMSG;
	}
	out->insns = c;
	return c.is_bad ? -EBADMSG : 0;
}

int pa_fde__parse(const struct pa_cfi_section *s, size_t offset, struct pa_fde *out)
{
	struct pa_pointer_base base;
	struct pa_cursor c;
	struct entry e;
	uint64_t bytes;
	int err = read_entry(s, offset, &e);

	if (err)
		return err;
	if (e.is_cie || e.is_zero)
		return -ENOENT;
	if (s->is_eh && e.id > e.id_offset)
		return -EBADMSG;
	err = parse_cie(s, s->is_eh ? e.id_offset - e.id : e.id, &out->cie);
	if (err)
		return err;
	c = e.body;
	base = base_of(s, out->cie.address_bytes);
	pa_cursor__skip(&c, out->cie.segment_bytes);
	out->start = pa_pointer__read(&c, &base, out->cie.fde_encoding);
	bytes = pa_pointer__read(&c, &base, out->cie.fde_encoding & 0x0f);
	if (out->cie.has_augmentation)
		pa_cursor__skip(&c, pa_cursor__uleb(&c));
	if (c.is_bad || out->cie.fde_encoding == DW_EH_PE_omit ||
	    out->cie.fde_encoding & DW_EH_PE_indirect || bytes > UINT64_MAX - out->start)
		return -EBADMSG;
	out->end = out->start + bytes;
	out->insns = c;
	return bytes ? 0 : -ENOENT;
}
