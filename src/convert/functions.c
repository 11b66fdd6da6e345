// SPDX-License-Identifier: GPL-2.0-only
/*
 * functions.c - addresses to functions while samples are read. It needs a file whose sideband
 * records were all fed before: names that come later would be missed.
 */
#include <stdlib.h>

#include "convert/session.h"

void pa_functions__start(struct pa_session *s)
{
	const struct pa_session_opts *o = &s->opts;

	/* servers are asked for what most samples are in, which is known at the end */
	if (!o->merge_functions || !o->merge_unmapped || o->lines || s->places.cnt ||
	    (o->symbolizer && pa_symbolizer__search(o->symbolizer)->debuginfod))
		return;
	s->functions.on = true;
	if (o->symbolizer && o->origin)
		o->origin(o->ctx);
}

void pa_functions__reduce(const struct pa_session *s, struct pa_place *place)
{
	place->address -= place->is_return;
	place->is_return = false;
	if (!s->opts.symbolizer)
		place->address = 0;
}

/* Is the same shown for both? */
static bool is_same(const struct pa_frame *a, const struct pa_frame *b)
{
	return a->sym == b->sym && a->map == b->map && a->pid == b->pid;
}

static uint32_t add_function(struct pa_session *s, uint64_t hash, const struct pa_place *place,
			     const struct pa_frame *frame)
{
	struct pa_places *p = &s->places;

	if (p->cnt >= PA_PLACES_MAX ||
	    pa_array_grow(&p->places, p->cnt, &p->cap, sizeof(*p->places)) ||
	    pa_array_grow(&s->frames, p->cnt, &s->functions.frame_cap, sizeof(*s->frames)) ||
	    pa_index__add(&s->functions.table, hash, p->cnt))
		return PA_NONE;
	p->places[p->cnt] = *place;
	s->frames[p->cnt] = *frame;
	return p->cnt++;
}

/* The function at a place that was not met before. */
static uint32_t find_function(struct pa_session *s, const struct pa_place *place)
{
	struct pa_place found = *place;
	struct pa_frame frame = {0};
	uint32_t pos, i;
	uint64_t hash;

	if (pa_session_resolve__place(s, &found, &frame))
		return PA_NONE;
	hash = pa_mix(s->seed ^ (uintptr_t)frame.sym,
		      ((uintptr_t)frame.map << 8) ^ frame.pid ^ 0x9e3779b97f4a7c15ULL);
	pos = pa_index__start(&s->functions.table, hash);
	while ((i = pa_index__next(&s->functions.table, hash, &pos)) != PA_NONE)
		if (is_same(&s->frames[i], &frame))
			return i;
	return add_function(s, hash, &found, &frame);
}

uint32_t pa_functions__number(struct pa_session *s, uint64_t hash, const struct pa_place *place)
{
	struct pa_functions *f = &s->functions;
	uint32_t pos = pa_index__start(&f->address_table, hash), i;

	while ((i = pa_index__next(&f->address_table, hash, &pos)) != PA_NONE)
		if (f->addresses[i].address == place->address &&
		    f->addresses[i].image == place->image)
			return f->addresses[i].number;
	i = find_function(s, place);
	if (i == PA_NONE || f->cnt >= PA_NONE ||
	    pa_array_grow(&f->addresses, f->cnt, &f->cap, sizeof(*f->addresses)) ||
	    pa_index__add(&f->address_table, hash, f->cnt))
		return PA_NONE;
	f->addresses[f->cnt++] = (struct pa_met_address){place->address, place->image, i};
	return i;
}

void pa_functions__free(struct pa_functions *f)
{
	free(f->addresses);
	pa_index__free(&f->address_table);
	pa_index__free(&f->table);
	memset(f, 0, sizeof(*f));
}
