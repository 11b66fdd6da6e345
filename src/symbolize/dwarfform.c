// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfform.c - abbreviations, and the values that entries have by them. An abbreviation is
 * turned into steps: what lies between two attributes that are wanted, and has a known length, is
 * one addition.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

#define DW_AT_GNU_discriminator 0x2136 /* of the call of what is inlined; dwarf.h lacks it */

#define CODES_MAX 65536 /* of abbreviations; compilers count from 1 */
#define ATTRS_MAX (1u << 20)
#define ABBREVS_MAX_BYTES (64u << 20)
#define ROOT_BYTES 512 /* what most first entries have */

/* Bytes of a form; -1: depends on the data. */
static int form_bytes(const struct pa_dwarf_unit *u, unsigned form)
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
		return u->address_bytes;
	case DW_FORM_ref_addr:
		return u->version <= 2 ? u->address_bytes : u->offset_bytes;
	case DW_FORM_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return u->offset_bytes;
	default:
		return -1;
	}
}

/* ---- values --------------------------------------------------------------------------- */

static enum pa_dwarf_kind kind_of(unsigned form)
{
	switch (form) {
	case DW_FORM_addr:
		return PA_DWARF_ADDRESS;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return PA_DWARF_ADDRESS_INDEX;
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
	case DW_FORM_udata:
	case DW_FORM_sdata:
	case DW_FORM_implicit_const:
		return PA_DWARF_NUMBER;
	case DW_FORM_sec_offset:
		return PA_DWARF_OFFSET;
	case DW_FORM_rnglistx:
		return PA_DWARF_LIST_INDEX;
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
	case DW_FORM_ref_addr:
		return PA_DWARF_REF;
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		return PA_DWARF_REF_ALT;
	case DW_FORM_strp:
		return PA_DWARF_STRING;
	case DW_FORM_line_strp:
		return PA_DWARF_STRING_LINE;
	case DW_FORM_GNU_strp_alt:
	case DW_FORM_strp_sup:
		return PA_DWARF_STRING_ALT;
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		return PA_DWARF_STRING_INDEX;
	default:
		return PA_DWARF_OTHER;
	}
}

/* Over a string that is here. */
static bool skip_string(struct pa_dwarf_cursor *c)
{
	for (;;) {
		size_t left = (size_t)(c->end - c->p);
		const uint8_t *nul = left ? memchr(c->p, 0, left) : NULL;

		if (nul) {
			c->p = nul + 1;
			return true;
		}
		if (!left || !pa_dwarf_cursor__skip(c, left) || !pa_dwarf_cursor__more(c))
			return false;
	}
}

bool pa_dwarf_value__skip(struct pa_dwarf_cursor *c, const struct pa_dwarf_unit *u, unsigned form)
{
	int fixed = form_bytes(u, form);
	uint64_t bytes;

	if (fixed >= 0)
		return pa_dwarf_cursor__skip(c, (uint64_t)fixed);
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
		return pa_dwarf_cursor__uleb(c, &bytes);
	case DW_FORM_string:
		return skip_string(c);
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return pa_dwarf_cursor__uleb(c, &bytes) && pa_dwarf_cursor__skip(c, bytes);
	case DW_FORM_block1:
		return pa_dwarf_cursor__number(c, 1, &bytes) && pa_dwarf_cursor__skip(c, bytes);
	case DW_FORM_block2:
		return pa_dwarf_cursor__number(c, 2, &bytes) && pa_dwarf_cursor__skip(c, bytes);
	case DW_FORM_block4:
		return pa_dwarf_cursor__number(c, 4, &bytes) && pa_dwarf_cursor__skip(c, bytes);
	default: /* DW_FORM_indirect too, which nobody writes */
		return false;
	}
}

bool pa_dwarf_value__read(struct pa_dwarf_cursor *c, const struct pa_dwarf_unit *u, unsigned form,
			  int64_t implicit, struct pa_dwarf_value *out)
{
	int fixed = form_bytes(u, form);
	int64_t number;

	out->kind = kind_of(form);
	out->number = 0;
	if (form == DW_FORM_implicit_const) {
		out->number = (uint64_t)implicit;
		return true;
	}
	if (form == DW_FORM_string) {
		out->kind = PA_DWARF_STRING_HERE;
		out->number = pa_dwarf_cursor__at(c);
		return skip_string(c);
	}
	if (out->kind == PA_DWARF_OTHER)
		return pa_dwarf_value__skip(c, u, form);
	if (form == DW_FORM_sdata) {
		if (!pa_dwarf_cursor__sleb(c, &number))
			return false;
		out->number = (uint64_t)number;
		return true;
	}
	if (fixed < 0 ? !pa_dwarf_cursor__uleb(c, &out->number)
		      : !pa_dwarf_cursor__number(c, (unsigned)fixed, &out->number))
		return false;
	if (out->kind == PA_DWARF_REF && form != DW_FORM_ref_addr)
		out->number += u->at;
	return true;
}

bool pa_dwarf_value__address(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			     const struct pa_dwarf_value *v, uint64_t *out)
{
	const struct pa_dwarf_root *root;
	int err;

	*out = v->number;
	if (v->kind == PA_DWARF_ADDRESS)
		return true;
	if (v->kind != PA_DWARF_ADDRESS_INDEX)
		return false;
	root = pa_dwarf_unit__root(d, u, &err);
	return root && v->number < UINT32_MAX &&
	       pa_dwarf_section__number(u->file->sections[PA_DWARF_ADDR],
					root->addr_base + v->number * u->address_bytes,
					u->address_bytes, out);
}

static bool place_of_index(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t index,
			   struct pa_dwarf_section **section, uint64_t *at)
{
	int err;
	const struct pa_dwarf_root *root = pa_dwarf_unit__root(d, u, &err);

	*section = u->file->sections[PA_DWARF_STR];
	return root && index < UINT32_MAX &&
	       pa_dwarf_section__number(u->file->sections[PA_DWARF_STR_OFFSETS],
					root->str_offsets_base + index * u->offset_bytes,
					u->offset_bytes, at);
}

bool pa_dwarf_value__place(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			   const struct pa_dwarf_value *v, struct pa_dwarf_section **section,
			   uint64_t *at)
{
	*section = NULL;
	*at = v->number;
	switch (v->kind) {
	case PA_DWARF_STRING_HERE:
		*section = u->file->sections[PA_DWARF_INFO];
		break;
	case PA_DWARF_STRING:
		*section = u->file->sections[PA_DWARF_STR];
		break;
	case PA_DWARF_STRING_LINE:
		*section = u->file->sections[PA_DWARF_LINE_STR];
		break;
	case PA_DWARF_STRING_ALT:
		*section = u->file->alt ? u->file->alt->sections[PA_DWARF_STR] : NULL;
		break;
	case PA_DWARF_STRING_INDEX:
		if (!place_of_index(d, u, v->number, section, at))
			return false;
		break;
	default:
		break;
	}
	return *section;
}

const char *pa_dwarf_value__string(struct pa_dwarf *d, struct pa_dwarf_unit *u,
				   const struct pa_dwarf_value *v, size_t *bytes)
{
	struct pa_dwarf_section *section;
	uint64_t at;

	return pa_dwarf_value__place(d, u, v, &section, &at)
		       ? pa_dwarf_section__string(section, at, bytes)
		       : NULL;
}

/* ---- abbreviations -------------------------------------------------------------------- */

/* What to keep an attribute as. @return -1: not at all */
static int slot_of(const struct pa_dwarf_abbrev *a, uint64_t name)
{
	static const struct {
		uint16_t name, slot;
	} slots[] = {{DW_AT_low_pc, PA_DWARF_LOW},
		     {DW_AT_high_pc, PA_DWARF_HIGH},
		     {DW_AT_ranges, PA_DWARF_LIST},
		     {DW_AT_abstract_origin, PA_DWARF_ORIGIN},
		     {DW_AT_specification, PA_DWARF_SPECIFICATION},
		     {DW_AT_call_file, PA_DWARF_CALL_FILE},
		     {DW_AT_call_line, PA_DWARF_CALL_LINE},
		     {DW_AT_GNU_discriminator, PA_DWARF_CALL_DISCRIMINATOR}};

	if (name == DW_AT_sibling)
		return PA_DWARF_SIBLING;
	for (size_t i = 0; a->is_code && i < sizeof(slots) / sizeof(*slots); i++)
		if (slots[i].name == name)
			return slots[i].slot;
	return -1;
}

static int add_step(struct pa_dwarf_abbrevs *t, struct pa_dwarf_abbrev *a,
		    const struct pa_dwarf_step *step)
{
	struct pa_dwarf_step *last = a->step_cnt ? &t->steps[t->step_cnt - 1] : NULL;

	if (step->kind == PA_DWARF_STEP_RUN && last && last->kind == PA_DWARF_STEP_RUN) {
		last->bytes += step->bytes;
		return 0;
	}
	if (pa_array_grow(&t->steps, t->step_cnt, &t->step_cap, sizeof(*t->steps)))
		return -ENOMEM;
	t->steps[t->step_cnt++] = *step;
	a->step_cnt++;
	return 0;
}

static int add_attr(struct pa_dwarf_abbrevs *t, const struct pa_dwarf_unit *u,
		    struct pa_dwarf_abbrev *a, uint64_t name, uint64_t form, int64_t value)
{
	struct pa_dwarf_step step = {.form = (uint16_t)form, .value = value};
	int bytes = form <= UINT16_MAX ? form_bytes(u, (unsigned)form) : -1;
	int slot = slot_of(a, name);

	if (t->attr_cnt >= ATTRS_MAX || name > UINT16_MAX || form > UINT16_MAX)
		return -EBADMSG;
	if (pa_array_grow(&t->attrs, t->attr_cnt, &t->attr_cap, sizeof(*t->attrs)))
		return -ENOMEM;
	t->attrs[t->attr_cnt++] = (struct pa_dwarf_attr){(uint16_t)name, (uint16_t)form, value};
	a->attr_cnt++;
	t->has_siblings |= name == DW_AT_sibling;
	if (slot >= 0) {
		step.kind = PA_DWARF_STEP_TAKE;
		step.slot = (uint8_t)slot;
		step.bytes = bytes > 0 && bytes <= 8 ? (uint32_t)bytes : 0;
		step.value_kind = step.bytes ? kind_of((unsigned)form) : PA_DWARF_MISSING;
	} else if (bytes >= 0) {
		step.kind = PA_DWARF_STEP_RUN;
		step.bytes = (uint32_t)bytes;
	} else {
		step.kind = PA_DWARF_STEP_SKIP;
	}
	return bytes || step.kind != PA_DWARF_STEP_RUN ? add_step(t, a, &step) : 0;
}

static int add_abbrev(struct pa_dwarf_abbrevs *t, uint64_t code, const struct pa_dwarf_abbrev *a)
{
	while (t->cap <= code)
		if (pa_array_grow(&t->list, t->cap, &t->cap, sizeof(*a)))
			return -ENOMEM;
	for (; t->cnt <= code; t->cnt++)
		t->list[t->cnt].tag = 0;
	t->list[code] = *a;
	return 0;
}

/* @return 1 one was read, 0 the end, -EBADMSG, -ENOMEM */
static int read_abbrev(struct pa_dwarf_abbrevs *t, const struct pa_dwarf_unit *u,
		       struct pa_dwarf_cursor *c)
{
	struct pa_dwarf_abbrev a = {.attr = (uint32_t)t->attr_cnt, .step = (uint32_t)t->step_cnt};
	uint64_t code, tag, has_children, name, form;
	int err;

	if (!pa_dwarf_cursor__uleb(c, &code) || !code)
		return 0;
	if (code >= CODES_MAX || !pa_dwarf_cursor__uleb(c, &tag) ||
	    !pa_dwarf_cursor__number(c, 1, &has_children))
		return -EBADMSG;
	a.tag = tag && tag <= UINT16_MAX ? (uint16_t)tag : UINT16_MAX;
	a.has_children = has_children != 0;
	a.is_code = a.tag == DW_TAG_subprogram || a.tag == DW_TAG_inlined_subroutine;
	for (;;) {
		int64_t value = 0;

		pa_dwarf_cursor__more(c);
		if (!pa_dwarf_cursor__uleb(c, &name) || !pa_dwarf_cursor__uleb(c, &form) ||
		    (form == DW_FORM_implicit_const && !pa_dwarf_cursor__sleb(c, &value)))
			return -EBADMSG;
		if (!name && !form)
			break;
		err = add_attr(t, u, &a, name, form, value);
		if (err)
			return err;
	}
	err = add_abbrev(t, code, &a);
	return err ? err : 1;
}

void pa_dwarf_abbrevs__free(struct pa_dwarf_abbrevs *t)
{
	if (!t)
		return;
	free(t->list);
	free(t->attrs);
	free(t->steps);
	free(t);
}

void pa_dwarf_abbrevs__forget(struct pa_dwarf *d, const struct pa_dwarf_file *f)
{
	for (size_t i = 0; i < PA_DWARF_TABLES_CNT; i++) {
		if (!d->tables[i] || d->tables[i]->file != f)
			continue;
		pa_dwarf_abbrevs__free(d->tables[i]);
		d->tables[i] = NULL;
	}
}

static int read_abbrevs(const struct pa_dwarf_unit *u, struct pa_dwarf_abbrevs *t)
{
	struct pa_dwarf_section *s = u->file->sections[PA_DWARF_ABBREV];
	struct pa_dwarf_cursor c;
	int err;

	if (!pa_dwarf_cursor__open(&c, s, u->abbrevs, u->abbrevs + ABBREVS_MAX_BYTES,
				   PA_DWARF_ENTRY_BYTES, PA_DWARF_SMALL_BYTES))
		return s && s->no_memory ? -ENOMEM : -EBADMSG;
	do {
		pa_dwarf_cursor__more(&c);
		err = read_abbrev(t, u, &c);
	} while (err > 0);
	return s->no_memory ? -ENOMEM : err;
}

int pa_dwarf_abbrevs__get(struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			  const struct pa_dwarf_abbrevs **out)
{
	uint64_t hash = pa_mix(u->abbrevs ^ (uintptr_t)u->file, 0x9e3779b97f4a7c15ull);
	struct pa_dwarf_abbrevs **slot = &d->tables[hash % PA_DWARF_TABLES_CNT], *t = *slot;
	int err;

	*out = t;
	if (t && t->file == u->file && t->at == u->abbrevs && t->version == u->version &&
	    t->address_bytes == u->address_bytes && t->offset_bytes == u->offset_bytes)
		return 0;
	if (!pa_dwarf__spend(d, 64))
		return -EBADMSG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->file = u->file;
	t->at = u->abbrevs;
	t->version = u->version;
	t->address_bytes = u->address_bytes;
	t->offset_bytes = u->offset_bytes;
	err = read_abbrevs(u, t);
	pa_dwarf__spend(d, t->attr_cnt * 8);
	if (err == -ENOMEM) { /* else what comes before the damage is used */
		pa_dwarf_abbrevs__free(t);
		return err;
	}
	pa_dwarf_abbrevs__free(*slot);
	*out = *slot = t;
	return 0;
}

/* ---- the first entry of a unit -------------------------------------------------------- */

static void take_root(struct pa_dwarf_root *r, unsigned name, const struct pa_dwarf_value *v)
{
	switch (name) {
	case DW_AT_low_pc:
		r->low = *v;
		break;
	case DW_AT_high_pc:
		r->high = *v;
		break;
	case DW_AT_ranges:
		r->ranges = *v;
		break;
	case DW_AT_comp_dir:
		r->comp_dir = *v;
		break;
	case DW_AT_stmt_list:
		r->line = *v;
		break;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		r->dwo_name = *v;
		break;
	case DW_AT_GNU_dwo_id:
		r->dwo_id = v->number;
		break;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		r->addr_base = v->number;
		break;
	case DW_AT_str_offsets_base:
		r->str_offsets_base = v->number;
		break;
	case DW_AT_rnglists_base:
		r->rnglists_base = v->number;
		break;
	case DW_AT_GNU_ranges_base:
		r->gnu_ranges_base = v->number;
		break;
	}
}

/* Where tables begin if the unit doesn't say: behind the header of the first. */
static void set_defaults(const struct pa_dwarf_unit *u, struct pa_dwarf_root *r)
{
	bool is_large = u->offset_bytes == 8;

	r->dwo_id = u->dwo_id;
	if (u->version < 5)
		return;
	r->addr_base = r->str_offsets_base = is_large ? 16 : 8;
	r->rnglists_base = is_large ? 20 : 12;
}

static int read_root(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct pa_dwarf_root *r)
{
	const struct pa_dwarf_abbrevs *t;
	const struct pa_dwarf_abbrev *a;
	struct pa_dwarf_cursor c;
	uint64_t code;
	int err = pa_dwarf_abbrevs__get(d, u, &t);

	if (err ||
	    !pa_dwarf_cursor__open(&c, u->file->sections[PA_DWARF_INFO], u->die, u->end, ROOT_BYTES,
				   ROOT_BYTES) ||
	    !pa_dwarf_cursor__uleb(&c, &code) || !(a = pa_dwarf_abbrevs__find(t, code)))
		return err ? err : -EBADMSG;
	set_defaults(u, r);
	r->tag = a->tag;
	for (uint32_t i = 0; i < a->attr_cnt; i++) {
		const struct pa_dwarf_attr *attr = &t->attrs[a->attr + i];
		struct pa_dwarf_value v;

		pa_dwarf_cursor__more(&c);
		if (!pa_dwarf_value__read(&c, u, attr->form, attr->value, &v))
			return -EBADMSG;
		take_root(r, attr->name, &v);
	}
	return 0;
}

const struct pa_dwarf_root *pa_dwarf_unit__root(struct pa_dwarf *d, struct pa_dwarf_unit *u,
						int *err)
{
	struct pa_dwarf_root *r;

	*err = 0;
	if (u->root_tried)
		return u->root;
	u->root_tried = true;
	r = pa_pool__alloc(&d->pool, sizeof(*r));
	*err = r ? read_root(d, u, r) : -ENOMEM;
	if (*err)
		return NULL;
	u->root = r;
	if (!pa_dwarf_value__address(d, u, &r->low, &r->base))
		r->base = 0;
	return r;
}
