// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfscan.c - one pass over the entries of a unit, or of one entry of it, in the order of their
 * bytes. Most are types and variables that nobody wants: they are passed over by the steps of
 * their abbreviation. Nothing is followed backwards, so that a damaged unit costs no more than
 * its bytes.
 */
#include <dwarf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

int pa_dwarf_scan__open(struct pa_dwarf_scan *s, struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			uint64_t at, size_t want)
{
	int err = pa_dwarf_abbrevs__get(d, u, &s->abbrevs);

	s->d = d;
	s->unit = u;
	s->depth = 0;
	s->has_ended = false;
	if (!err && !pa_dwarf_cursor__open(&s->c, u->file->sections[PA_DWARF_INFO], at, u->end,
					   PA_DWARF_ENTRY_BYTES, want))
		err = -EBADMSG;
	return err;
}

/* A value of known length, of which all is there, and more. */
static inline void take_plain(struct pa_dwarf_scan *s, const struct pa_dwarf_step *step,
			      struct pa_dwarf_value *v)
{
	v->kind = step->value_kind;
	v->number = le64toh(pa_load64(s->c.p)) & UINT64_MAX >> (64 - 8 * step->bytes);
	if (step->value_kind == PA_DWARF_REF && step->form != DW_FORM_ref_addr)
		v->number += s->unit->at;
	s->c.p += step->bytes;
}

static inline bool take(struct pa_dwarf_scan *s, const struct pa_dwarf_step *step,
			struct pa_dwarf_entry *e)
{
	struct pa_dwarf_value *v = &e->values[step->slot];

	if (step->value_kind && s->c.end - s->c.p >= 8) {
		take_plain(s, step, v);
		return true;
	}
	return pa_dwarf_value__read(&s->c, s->unit, step->form, step->value, v);
}

static inline bool step_over(struct pa_dwarf_scan *s, const struct pa_dwarf_abbrev *a,
			     struct pa_dwarf_entry *e)
{
	/* a table without any attribute has no steps at all */
	const struct pa_dwarf_step *step = a->step_cnt ? s->abbrevs->steps + a->step : NULL;

	for (uint32_t left = a->step_cnt; left; left--, step++) {
		bool ok;

		if (step->kind == PA_DWARF_STEP_RUN)
			ok = pa_dwarf_cursor__skip(&s->c, step->bytes);
		else if (step->kind == PA_DWARF_STEP_SKIP)
			ok = pa_dwarf_value__skip(&s->c, s->unit, step->form);
		else
			ok = take(s, step, e);
		if (!ok)
			return false;
	}
	return true;
}

bool pa_dwarf_scan__next(struct pa_dwarf_scan *s, struct pa_dwarf_entry *e)
{
	const struct pa_dwarf_abbrev *a;
	uint64_t code;

	do {
		if (s->has_ended || !pa_dwarf_cursor__more(&s->c))
			return false;
		e->at = pa_dwarf_cursor__at(&s->c);
		if (!pa_dwarf_cursor__uleb(&s->c, &code))
			return false;
		if (!code && --s->depth <= 0)
			return false;
	} while (!code);
	a = pa_dwarf_abbrevs__find(s->abbrevs, code);
	if (!a || !pa_dwarf__spend(s->d, 1 + a->step_cnt))
		return false;
	e->tag = a->tag;
	e->depth = s->depth;
	e->has_children = a->has_children;
	e->values[PA_DWARF_SIBLING].kind = PA_DWARF_MISSING;
	for (int i = 1; a->is_code && i < PA_DWARF_SLOT_CNT; i++)
		e->values[i].kind = PA_DWARF_MISSING;
	if (!step_over(s, a, e))
		return false;
	s->depth += a->has_children;
	s->has_ended = !s->depth; /* the first has no children: it was all */
	return true;
}

void pa_dwarf_scan__skip(struct pa_dwarf_scan *s, const struct pa_dwarf_entry *e)
{
	const struct pa_dwarf_value *sibling = &e->values[PA_DWARF_SIBLING];
	uint64_t at = pa_dwarf_cursor__at(&s->c);

	if (!e->has_children || sibling->kind != PA_DWARF_REF || sibling->number <= at ||
	    sibling->number > s->unit->end)
		return;
	pa_dwarf_cursor__skip(&s->c, sibling->number - at);
	s->depth = e->depth;
}
