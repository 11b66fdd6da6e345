// SPDX-License-Identifier: GPL-2.0-only
/*
 * places.c - raw call chains to numbers of places. Most addresses were seen a moment ago in the
 * same address space: a direct-mapped cache answers for them without a search of the maps. It is
 * done in steps, so that the caller can take each for several chains in turn: each step fetches
 * what the next one reads.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/session.h"

enum { CACHE_SLOTS = 1 << 16, PLACES_MAX = INT32_MAX - 1, SPACE_KERNEL = PA_NONE };

/* Invariant: place_plus1 0 is a free slot. Kernel addresses have space SPACE_KERNEL. */
struct pa_place_slot {
	uint64_t ip, epoch_ns;
	uint32_t space;
	uint32_t place_plus1 : 31, is_return : 1;
};
_Static_assert(sizeof(struct pa_place_slot) == 24, "the cache fits caches");

static uint32_t find_place(const struct pa_places *p, uint64_t hash, const struct pa_place *want)
{
	uint32_t pos = pa_index__start(&p->table, hash), i;

	while ((i = pa_index__next(&p->table, hash, &pos)) != PA_NONE) {
		const struct pa_place *place = &p->places[i];

		if (place->address == want->address && place->image == want->image &&
		    place->space == want->space && place->is_return == want->is_return)
			return i;
	}
	return PA_NONE;
}

static uint64_t hash_place(const struct pa_session *s, const struct pa_place *place)
{
	return pa_mix(s->seed ^ place->address, ((uint64_t)place->image << 32 | place->space) ^
							0x9e3779b97f4a7c15ULL ^
							(uint64_t)place->is_return << 31);
}

/* Number of a place, new when there is none. @return PA_NONE without memory */
static uint32_t get_place(struct pa_places *p, uint64_t hash, const struct pa_place *want)
{
	uint32_t i = find_place(p, hash, want);

	if (i != PA_NONE)
		return i;
	if (p->cnt >= PLACES_MAX ||
	    pa_array_grow(&p->places, p->cnt, &p->cap, sizeof(*p->places)) ||
	    pa_index__add(&p->table, hash, p->cnt))
		return PA_NONE;
	p->places[p->cnt] = *want;
	return p->cnt++;
}

bool pa_is_kernel(uint8_t cpumode, uint64_t ip)
{
	switch (cpumode) {
	case PERF_RECORD_MISC_KERNEL:
	case PERF_RECORD_MISC_HYPERVISOR:
		return true;
	case PERF_RECORD_MISC_CPUMODE_UNKNOWN: /* the upper half belongs to the kernel */
		return ip >> 63;
	default:
		return false;
	}
}

/* Guest code is not in the maps: it must not answer for the process's own. */
static bool is_guest(const struct pa_place_step *step)
{
	return !step->in_kernel && step->cpumode != PERF_RECORD_MISC_USER &&
	       step->cpumode != PERF_RECORD_MISC_CPUMODE_UNKNOWN;
}

/* What an address of a process means. */
static int locate(struct pa_session *s, const struct pa_place_context *c, struct pa_place *place)
{
	const struct pa_piece *piece =
		pa_procs__find(&s->procs, c->space, place->address - place->is_return, c->time_ns);

	place->space = c->space;
	if (!piece && s->opts.merge_unmapped)
		*place = (struct pa_place){0, PA_NONE, PA_NONE, false};
	if (!piece)
		return 0;
	place->image = piece->image;
	place->space = PA_NONE;
	if (!piece->is_jit)
		place->address = place->address - piece->start + piece->pgoff;
	return pa_session_images__hit(s, piece->image, s->procs.spaces[c->space].pid, piece);
}

/* The context that a marker announces. @return false: it leaves the context as it is */
static bool change_context(uint64_t marker, uint8_t *cpumode)
{
	switch (marker) {
	case (uint64_t)PERF_CONTEXT_HV:
		*cpumode = PERF_RECORD_MISC_HYPERVISOR;
		return true;
	case (uint64_t)PERF_CONTEXT_KERNEL:
		*cpumode = PERF_RECORD_MISC_KERNEL;
		return true;
	case PA_CONTEXT_USER_DEFERRED:
	case (uint64_t)PERF_CONTEXT_USER:
		*cpumode = PERF_RECORD_MISC_USER;
		return true;
	case (uint64_t)PERF_CONTEXT_GUEST_KERNEL:
		*cpumode = PERF_RECORD_MISC_GUEST_KERNEL;
		return true;
	case (uint64_t)PERF_CONTEXT_GUEST:
	case (uint64_t)PERF_CONTEXT_GUEST_USER:
		*cpumode = PERF_RECORD_MISC_GUEST_USER;
		return true;
	default: /* a marker of a later kernel */
		return false;
	}
}

/* Where the cache would know an address. */
static void start_step(struct pa_session *s, const struct pa_place_context *c,
		       struct pa_place_step *step, uint64_t ip, uint8_t cpumode, bool is_return)
{
	uint32_t space;
	uint64_t hash;

	step->ip = ip;
	step->cpumode = cpumode;
	step->in_kernel = pa_is_kernel(cpumode, ip);
	step->is_return = is_return && ip;
	space = step->in_kernel ? SPACE_KERNEL : c->space;
	hash = pa_mix(ip ^ s->seed, (step->in_kernel ? 0 : c->epoch_ns) ^
					    ((uint64_t)space << 1 | step->is_return) ^
					    0xd6e8feb86659fd93ULL);
	step->slot = hash % CACHE_SLOTS;
	__builtin_prefetch(&s->places.cache[step->slot], 1);
}

ssize_t pa_places__start(struct pa_session *s, const struct pa_place_context *c,
			 const uint64_t *ips, size_t ip_cnt, uint8_t cpumode,
			 struct pa_place_step *steps, uint32_t *kernel_cnt)
{
	bool is_first = true; /* of its context: not a return address */
	size_t cnt = 0;

	if (!s->places.cache)
		s->places.cache = calloc(CACHE_SLOTS, sizeof(*s->places.cache));
	if (!s->places.cache)
		return -ENOMEM;
	*kernel_cnt = 0;
	for (size_t i = 0; i < ip_cnt; i++) {
		uint64_t ip = pa_load64(ips + i);

		if (ip >= (uint64_t)PERF_CONTEXT_MAX) {
			is_first |= change_context(ip, &cpumode);
			i += ip == PA_CONTEXT_USER_DEFERRED;
			continue;
		}
		start_step(s, c, &steps[cnt], ip, cpumode, !is_first);
		*kernel_cnt += *kernel_cnt == cnt && steps[cnt].in_kernel;
		cnt++;
		is_first = false;
	}
	return cnt;
}

static bool is_cached(const struct pa_session *s, const struct pa_place_context *c,
		      const struct pa_place_step *step)
{
	const struct pa_place_slot *slot = &s->places.cache[step->slot];

	return slot->ip == step->ip && slot->place_plus1 && slot->is_return == step->is_return &&
	       slot->space == (step->in_kernel ? SPACE_KERNEL : c->space) &&
	       slot->epoch_ns == (step->in_kernel ? 0 : c->epoch_ns) && !is_guest(step);
}

int pa_places__locate(struct pa_session *s, const struct pa_place_context *c,
		      struct pa_place_step *steps, size_t cnt)
{
	struct pa_places *p = &s->places;

	for (size_t i = 0; i < cnt; i++) {
		struct pa_place_step *step = &steps[i];
		int err = 0;

		step->number = PA_NONE;
		if (is_cached(s, c, step)) {
			step->number = p->cache[step->slot].place_plus1 - 1;
			continue;
		}
		step->place = (struct pa_place){step->ip, PA_NONE, PA_NONE, step->is_return};
		if (step->in_kernel)
			step->place.image = pa_session_images__kernel(s);
		else if (!is_guest(step))
			err = locate(s, c, &step->place);
		if (err || (step->in_kernel && step->place.image == PA_NONE))
			return -ENOMEM;
		step->hash = hash_place(s, &step->place);
		if (p->table.slots)
			__builtin_prefetch(&p->table.slots[pa_index__start(&p->table, step->hash)]);
	}
	return 0;
}

void pa_places__fetch(const struct pa_session *s, const struct pa_place_step *steps, size_t cnt)
{
	const struct pa_places *p = &s->places;

	for (size_t i = 0; i < cnt; i++) {
		uint32_t pos = pa_index__start(&p->table, steps[i].hash), number;

		if (steps[i].number != PA_NONE)
			continue;
		number = pa_index__next(&p->table, steps[i].hash, &pos);
		if (number != PA_NONE)
			__builtin_prefetch(&p->places[number]);
	}
}

int pa_places__finish(struct pa_session *s, const struct pa_place_context *c,
		      struct pa_place_step *steps, size_t cnt, uint32_t *chain)
{
	for (size_t i = 0; i < cnt; i++) {
		struct pa_place_step *step = &steps[i];

		chain[i] = step->number;
		if (chain[i] != PA_NONE)
			continue;
		chain[i] = get_place(&s->places, step->hash, &step->place);
		if (chain[i] == PA_NONE)
			return -ENOMEM;
		if (is_guest(step))
			continue;
		s->places.cache[step->slot] = (struct pa_place_slot){
			.ip = step->ip,
			.epoch_ns = step->in_kernel ? 0 : c->epoch_ns,
			.space = step->in_kernel ? SPACE_KERNEL : c->space,
			.place_plus1 = chain[i] + 1,
			.is_return = step->is_return,
		};
	}
	return 0;
}

void pa_places__free(struct pa_places *p)
{
	free(p->places);
	pa_index__free(&p->table);
	free(p->cache);
	memset(p, 0, sizeof(*p));
}
