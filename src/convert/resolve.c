// SPDX-License-Identifier: GPL-2.0-only
/*
 * resolve.c - names for the stacks: each distinct (image, address) is looked up once and becomes
 * one frame, shared by all stacks; a stack's raw chain is overwritten with pointers to frames.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

_Static_assert(sizeof(struct pa_frame *) == sizeof(uint64_t), "chains turn into pointers");

enum { CACHE_SLOTS = 1 << 16 };

/* What an address meant last time: saves the search of the maps for most frames of most stacks.
 * Kernel addresses have space PA_NONE. */
struct cache_slot {
	uint64_t ip, epoch_ns;
	uint32_t space;
	bool is_return;
	struct pa_frame *frame; /* NULL: slot is free */
};

/* A looked-up address. */
struct known {
	uint64_t address;
	uint32_t image; /* PA_NONE: unmapped */
	bool is_return;
	struct pa_frame *frame;
};

struct resolver {
	struct pa_session *s;
	struct cache_slot *cache;
	struct known *known;
	size_t known_cnt, known_cap;
	struct pa_index known_table;
	uint32_t kernel; /* image index */
};

/* One address of one stack. */
struct place {
	uint32_t image;
	uint64_t address; /* as pa_frame has it */
	bool is_return;
};

static struct pa_frame *new_frame(struct pa_session *s, const struct pa_map_info *map,
				  uint64_t address, const struct pa_symbol *sym)
{
	size_t i = s->frame_cnt % PA_FRAME_CHUNK;
	struct pa_frame *frame, *chunk;

	if (s->frame_cnt >= PA_NONE)
		return NULL;
	if (!i) {
		if (pa_array_grow(&s->frame_chunks, s->frame_chunk_cnt, &s->frame_chunk_cap,
				  sizeof(*s->frame_chunks)))
			return NULL;
		chunk = malloc(PA_FRAME_CHUNK * sizeof(*chunk));
		if (!chunk)
			return NULL;
		s->frame_chunks[s->frame_chunk_cnt++] = chunk;
	}
	frame = &s->frame_chunks[s->frame_chunk_cnt - 1][i];
	*frame = (struct pa_frame){
		.map = map,
		.address = address,
		.sym = sym,
		.index = s->frame_cnt++,
	};
	return frame;
}

static struct pa_frame *find_known(const struct resolver *r, uint64_t hash,
				   const struct place *place, bool is_return)
{
	uint32_t pos = pa_index__start(&r->known_table, hash), i;

	while ((i = pa_index__next(&r->known_table, hash, &pos)) != PA_NONE) {
		const struct known *k = &r->known[i];

		if (k->address == place->address && k->image == place->image &&
		    k->is_return == is_return)
			return k->frame;
	}
	return NULL;
}

static uint64_t hash_place(const struct resolver *r, const struct place *place)
{
	return pa_mix(r->s->seed ^ place->address, 0x9e3779b97f4a7c15ULL ^ place->image);
}

/* The frame of a place, looked up when it is new. A call's return address and the same address
 * hit by a sample are one frame unless they lie in different functions. */
static int frame_of(struct resolver *r, const struct place *place, struct pa_frame **out)
{
	struct pa_session *s = r->s;
	uint64_t hash = hash_place(r, place);
	const struct pa_map_info *map = NULL;
	const struct pa_symbol *sym = NULL;
	struct pa_frame *frame = find_known(r, hash, place, place->is_return);
	int err;

	*out = frame;
	if (frame)
		return 0;
	if (place->image != PA_NONE) {
		map = pa_session_images__info(s, place->image);
		if (!map)
			return -ENOMEM;
	}
	if (place->image != PA_NONE && s->images[place->image].image) {
		err = pa_symbolizer__lookup(s->opts.symbolizer, s->images[place->image].image,
					    place->address - place->is_return, &sym);
		if (err)
			return err;
	}
	frame = find_known(r, hash, place, !place->is_return);
	if (!frame || frame->sym != sym)
		frame = new_frame(s, map, place->address, sym);
	if (!frame || pa_array_grow(&r->known, r->known_cnt, &r->known_cap, sizeof(*r->known)) ||
	    pa_index__add(&r->known_table, hash, r->known_cnt))
		return -ENOMEM;
	r->known[r->known_cnt++] =
		(struct known){place->address, place->image, place->is_return, frame};
	*out = frame;
	return 0;
}

/* Where ip lies, for a stack of that space and epoch. */
static int locate(struct resolver *r, const struct pa_stack_entry *e, uint64_t end_ns,
		  const struct pa_chain_walk *w, uint64_t ip, struct place *out)
{
	struct pa_session *s = r->s;
	const struct pa_piece *piece = NULL;
	uint64_t is_return = w->is_return && ip;

	*out = (struct place){PA_NONE, ip, is_return};
	if (pa_is_kernel(w->cpumode, ip)) {
		out->image = r->kernel;
		return pa_session_images__open(s, r->kernel, 0, NULL, false);
	}
	if (w->cpumode == PERF_RECORD_MISC_USER || w->cpumode == PERF_RECORD_MISC_CPUMODE_UNKNOWN)
		piece = pa_procs__find(&s->procs, e->space, ip - is_return, end_ns);
	if (!piece)
		return 0;
	out->image = piece->image;
	if (!piece->is_jit)
		out->address = ip - piece->start + piece->pgoff;
	return pa_session_images__open(s, piece->image, s->procs.spaces[e->space].pid, piece,
				       false);
}

static int resolve_ip(struct resolver *r, const struct pa_stack_entry *e, uint64_t end_ns,
		      const struct pa_chain_walk *w, uint64_t ip, struct pa_frame **out)
{
	bool is_kernel = pa_is_kernel(w->cpumode, ip);
	bool is_guest = !is_kernel && w->cpumode != PERF_RECORD_MISC_USER &&
			w->cpumode != PERF_RECORD_MISC_CPUMODE_UNKNOWN;
	struct cache_slot want = {
		.ip = ip,
		.epoch_ns = is_kernel ? 0 : e->epoch_ns,
		.space = is_kernel ? PA_NONE : e->space,
		.is_return = w->is_return,
	};
	uint64_t hash = pa_mix(ip ^ r->s->seed,
			       want.epoch_ns ^ ((uint64_t)want.space << 1 | want.is_return) ^
				       0xd6e8feb86659fd93ULL);
	struct cache_slot *slot = &r->cache[hash % CACHE_SLOTS];
	struct place place;
	int err;

	/* Guest code is not in the maps: it must not answer for the process's own. */
	if (!is_guest && slot->frame && slot->ip == want.ip && slot->space == want.space &&
	    slot->epoch_ns == want.epoch_ns && slot->is_return == want.is_return) {
		*out = slot->frame;
		return 0;
	}
	err = locate(r, e, end_ns, w, ip, &place);
	if (!err)
		err = frame_of(r, &place, out);
	if (err)
		return err;
	want.frame = *out;
	if (!is_guest)
		*slot = want;
	return 0;
}

static int resolve_stack(struct resolver *r, struct pa_stack_entry *e)
{
	uint64_t end_ns = pa_space__epoch_end(&r->s->procs.spaces[e->space], e->epoch_ns);
	uint32_t kernel_cnt = 0, frame_cnt = 0;
	struct pa_chain_walk w;
	struct pa_frame *frame;
	uint64_t ip;
	int err;

	pa_chain_walk__start(&w, e->chain, e->ip_cnt, e->cpumode);
	while (pa_chain_walk__next(&w, &ip)) {
		err = resolve_ip(r, e, end_ns, &w, ip, &frame);
		if (err)
			return err;
		if (kernel_cnt == frame_cnt && pa_is_kernel(w.cpumode, ip))
			kernel_cnt++;
		/* Never ahead of the walk: each entry gives at most one frame. */
		memcpy(&e->chain[frame_cnt++], &frame, sizeof(frame));
	}
	e->kernel_cnt = kernel_cnt;
	e->frame_cnt = frame_cnt;
	return 0;
}

/* "cycles, instructions": the events of the stacks that are left out. */
static void warn_left_out(const struct pa_session *s, uint16_t kept)
{
	const struct pd_event *e = pd_events__get(s->opts.events, kept);
	bool *seen = calloc(UINT16_MAX + 1, sizeof(*seen));
	uint64_t left_out_cnt = 0;
	char names[256] = "";

	for (size_t i = 0; seen && i < s->stack_cnt; i++) {
		const struct pa_stack_entry *stack = &s->stacks[i];
		const struct pd_event *other = pd_events__get(s->opts.events, stack->event);
		size_t used = strlen(names);

		if (stack->event == kept)
			continue;
		left_out_cnt += stack->sample_cnt;
		if (other && !seen[stack->event])
			snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
				 other->name);
		seen[stack->event] = true;
	}
	free(seen);
	pa_session__warn(s, "several events were sampled: using %s, leaving out %llu samples of %s",
			 e ? e->name : "the first", (unsigned long long)left_out_cnt, names);
}

static void keep_one_event(struct pa_session *s)
{
	size_t kept_cnt = 0, first_cnt = 0;
	uint16_t first = UINT16_MAX;

	for (size_t i = 0; i < s->stack_cnt; i++)
		if (s->stacks[i].event < first)
			first = s->stacks[i].event;
	for (size_t i = 0; i < s->stack_cnt; i++)
		first_cnt += s->stacks[i].event == first;
	if (first_cnt == s->stack_cnt)
		return;
	warn_left_out(s, first);
	for (size_t i = 0; i < s->stack_cnt; i++)
		if (s->stacks[i].event == first)
			s->stacks[kept_cnt++] = s->stacks[i];
	s->stack_cnt = kept_cnt;
}

int pa_session__resolve(struct pa_session *s)
{
	struct resolver r = {.s = s};
	int err = -ENOMEM;

	if (s->resolved)
		return 0;
	s->resolved = true;
	pa_index__free(&s->stack_table);
	if (s->opts.one_event)
		keep_one_event(s);
	r.cache = calloc(CACHE_SLOTS, sizeof(*r.cache));
	r.kernel = pa_session_images__kernel(s);
	if (!r.cache || r.kernel == PA_NONE)
		goto out;
	err = 0;
	for (size_t i = 0; !err && i < s->stack_cnt; i++)
		err = resolve_stack(&r, &s->stacks[i]);
out:
	if (err)
		s->stack_cnt = 0; /* chains are half addresses, half frames */
	free(r.cache);
	free(r.known);
	pa_index__free(&r.known_table);
	return err;
}

size_t pa_session__stack_cnt(const struct pa_session *s)
{
	return s->resolved ? s->stack_cnt : 0;
}

void pa_session__stack(const struct pa_session *s, size_t i, struct pa_stack *out)
{
	const struct pa_stack_entry *e = &s->stacks[i];

	*out = (struct pa_stack){
		.pid = s->procs.spaces[e->space].pid,
		.tid = e->tid,
		.comm = e->comm,
		.event = e->event,
		.kernel_cnt = e->kernel_cnt,
		.frame_cnt = e->frame_cnt,
		.frames = (const struct pa_frame *const *)e->chain,
		.sample_cnt = e->sample_cnt,
		.period_sum = e->period_sum,
	};
}

size_t pa_session__frame_cnt(const struct pa_session *s)
{
	return s->frame_cnt;
}
