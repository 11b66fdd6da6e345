// SPDX-License-Identifier: GPL-2.0-only
/*
 * places.c - raw call chains to numbers of places. Most addresses were seen a moment ago in the
 * same address space: a direct-mapped cache answers for them without a search of the maps. The
 * others of a few samples are looked for together: each step fetches what the next one reads.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/session.h"

enum { CACHE_SLOTS = 1 << 16, CONTEXT_SLOTS = 1 << 12 };
/* Numbers of contexts: 0 is none, others are of spaces. Kernel addresses mean the same in every
 * process. Guest code is not in the maps: it must not answer for the process's own. */
enum { CONTEXT_GUEST = 1, CONTEXT_KERNEL, CONTEXT_FIRST };
#define CONTEXT_LAST (UINT32_MAX / 2)

/* Invariant: key 0 is a free slot. */
struct pa_place_slot {
	uint64_t ip;
	uint32_t key; /* as in pa_place_step */
	uint32_t number;
};
_Static_assert(sizeof(struct pa_place_slot) == 16, "the cache fits caches");

/* A space and epoch of late. Invariant: number 0 is a free slot. */
struct pa_place_context_slot {
	uint64_t epoch_ns;
	uint32_t space, number;
};

int pa_places__number(struct pa_session *s, struct pa_place_context *c)
{
	struct pa_places *p = &s->places;
	struct pa_place_context_slot *slot;

	if (!p->cache)
		p->cache = calloc(CACHE_SLOTS, sizeof(*p->cache));
	if (!p->spaces)
		p->spaces = calloc(CONTEXT_SLOTS, sizeof(*p->spaces));
	if (!p->cache || !p->spaces)
		return -ENOMEM;
	slot = &p->spaces[pa_mix(s->seed ^ c->space, c->epoch_ns ^ 0xd6e8feb86659fd93ULL) %
			  CONTEXT_SLOTS];
	if (!slot->number || slot->space != c->space || slot->epoch_ns != c->epoch_ns) {
		if (p->context_cnt == CONTEXT_LAST) { /* begin again, and know nothing */
			memset(p->cache, 0, CACHE_SLOTS * sizeof(*p->cache));
			memset(p->spaces, 0, CONTEXT_SLOTS * sizeof(*p->spaces));
			p->context_cnt = 0;
		}
		if (!p->context_cnt)
			p->context_cnt = CONTEXT_FIRST;
		*slot = (struct pa_place_context_slot){c->epoch_ns, c->space, p->context_cnt++};
	}
	c->number = slot->number;
	return 0;
}

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
	if (p->cnt >= PA_PLACES_MAX ||
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

/* The piece found last: the next address is often in it, too. */
struct hint {
	uint32_t space;
	const struct pa_piece *piece; /* NULL: none */
};

static const struct pa_piece *find_piece(const struct pa_session *s,
					 const struct pa_place_context *c, uint64_t addr,
					 struct hint *hint)
{
	const struct pa_piece *piece = hint->piece;

	if (piece && hint->space == c->space && piece->start <= addr && addr < piece->end &&
	    piece->from_ns <= c->time_ns)
		return piece;
	piece = pa_procs__find(&s->procs, c->space, addr, c->time_ns);
	/* what is current in the space itself comes before all else */
	hint->space = c->space;
	hint->piece = piece && piece->to_ns == UINT64_MAX &&
				      pa_procs__at(&s->procs, c->space)->parent == PA_NONE
			      ? piece
			      : NULL;
	return piece;
}

/* What an address of a process means. */
static int locate(struct pa_session *s, const struct pa_place_context *c, struct hint *hint,
		  struct pa_place *place)
{
	const struct pa_piece *piece = find_piece(s, c, place->address - place->is_return, hint);

	place->space = c->space;
	if (!piece && s->opts.merge_unmapped)
		*place = (struct pa_place){0, PA_NONE, PA_NONE, false};
	if (!piece)
		return 0;
	place->image = piece->image;
	place->space = PA_NONE;
	if (!piece->is_jit)
		place->address = place->address - piece->start + piece->pgoff;
	return pa_session_images__hit(s, piece->image, pa_procs__at(&s->procs, c->space)->pid,
				      piece);
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

/* Whose an address is. */
static uint32_t context_of(const struct pa_place_context *c, uint8_t cpumode, uint64_t ip)
{
	switch (cpumode) {
	case PERF_RECORD_MISC_USER:
		return c->number;
	case PERF_RECORD_MISC_KERNEL:
	case PERF_RECORD_MISC_HYPERVISOR:
		return CONTEXT_KERNEL;
	case PERF_RECORD_MISC_CPUMODE_UNKNOWN:
		return pa_is_kernel(cpumode, ip) ? CONTEXT_KERNEL : c->number;
	default:
		return CONTEXT_GUEST;
	}
}

uint32_t pa_places__take(const struct pa_session *s, struct pa_place_batch *b,
			 const struct pa_place_context *c, const uint64_t *ips, size_t ip_cnt,
			 uint8_t cpumode, uint32_t *kernel_cnt)
{
	struct pa_place_step *const first = b->steps + b->cnt, *step = first;
	const struct pa_place_slot *cache = s->places.cache;
	bool is_return = false; /* the first of a context is none */
	const uint64_t seed = s->seed;

	*kernel_cnt = 0;
	for (size_t i = 0; i < ip_cnt; i++) {
		uint64_t ip = pa_load64(ips + i);
		uint32_t context;

		if (ip >= (uint64_t)PERF_CONTEXT_MAX) {
			is_return &= !change_context(ip, &cpumode);
			i += ip == PA_CONTEXT_USER_DEFERRED;
			continue;
		}
		context = context_of(c, cpumode, ip);
		step->ip = ip;
		step->key = context << 1 | (is_return && ip);
		step->slot = pa_mix(ip ^ seed, step->key ^ 0xd6e8feb86659fd93ULL) % CACHE_SLOTS;
		__builtin_prefetch(&cache[step->slot], 1);
		*kernel_cnt += context == CONTEXT_KERNEL && *kernel_cnt == step - first;
		is_return = true;
		step++;
	}
	b->cnt += step - first;
	return step - first;
}

int pa_places__ask(struct pa_session *s, struct pa_place_batch *b, const struct pa_place_context *c,
		   size_t first, size_t cnt)
{
	const struct pa_place_slot *cache = s->places.cache;

	for (size_t i = first; i < first + cnt; i++) {
		const struct pa_place_step *step = &b->steps[i];
		const struct pa_place_slot *known = &cache[step->slot];

		if (known->ip == step->ip && known->key == step->key) {
			b->numbers[i] = known->number;
			continue;
		}
		if (b->miss_cnt == PA_BATCH_MISSES && pa_places__settle(s, b))
			return -ENOMEM;
		b->misses[b->miss_cnt].context = c;
		b->misses[b->miss_cnt++].at = i;
	}
	return 0;
}

/* The place that is meant. */
static int find_meaning(struct pa_session *s, const struct pa_place_step *step, struct hint *hint,
			struct pa_place_miss *miss)
{
	int err = 0;

	miss->place = (struct pa_place){step->ip, PA_NONE, PA_NONE, step->key & 1};
	if (step->key >> 1 == CONTEXT_KERNEL) {
		miss->place.image = pa_session_images__kernel(s);
		err = miss->place.image == PA_NONE ? -ENOMEM : 0;
	} else if (step->key >> 1 != CONTEXT_GUEST) {
		err = locate(s, miss->context, hint, &miss->place);
	}
	if (s->functions.on)
		pa_functions__reduce(s, &miss->place);
	return err;
}

static void use_number(struct pa_session *s, struct pa_place_batch *b,
		       const struct pa_place_miss *miss, uint32_t number)
{
	const struct pa_place_step *step = &b->steps[miss->at];

	b->numbers[miss->at] = number;
	if (step->key >> 1 != CONTEXT_GUEST)
		s->places.cache[step->slot] = (struct pa_place_slot){step->ip, step->key, number};
}

/* Is it the place of all that is not mapped? */
static bool is_nowhere(const struct pa_place *place)
{
	return place->image == PA_NONE && place->space == PA_NONE && !place->address;
}

static int find_number(struct pa_session *s, struct pa_place_batch *b,
		       const struct pa_place_miss *miss)
{
	uint32_t number = s->functions.on ? pa_functions__number(s, miss->hash, &miss->place)
					  : get_place(&s->places, miss->hash, &miss->place);

	if (number == PA_NONE)
		return -ENOMEM;
	use_number(s, b, miss, number);
	if (is_nowhere(&miss->place) && !miss->place.is_return)
		s->places.nowhere_plus1 = number + 1;
	return 0;
}

/* What a miss will probably be found to be. */
static void fetch_known(const struct pa_session *s, uint64_t hash)
{
	const struct pa_index *table =
		s->functions.on ? &s->functions.address_table : &s->places.table;
	uint32_t pos = pa_index__start(table, hash), i = pa_index__next(table, hash, &pos);

	if (i == PA_NONE)
		return;
	if (s->functions.on)
		__builtin_prefetch(&s->functions.addresses[i]);
	else
		__builtin_prefetch(&s->places.places[i]);
}

/* First: what the misses mean. Those that mean nowhere are done then.
 * @return how many are left, -ENOMEM */
static ssize_t find_meanings(struct pa_session *s, struct pa_place_batch *b)
{
	const struct pa_index *table =
		s->functions.on ? &s->functions.address_table : &s->places.table;
	struct hint hint = {0};
	size_t left = 0;

	for (size_t i = 0; i < b->miss_cnt; i++) {
		struct pa_place_miss *miss = &b->misses[left];

		*miss = b->misses[i];
		if (find_meaning(s, &b->steps[miss->at], &hint, miss))
			return -ENOMEM;
		if (s->places.nowhere_plus1 && is_nowhere(&miss->place) && !miss->place.is_return) {
			use_number(s, b, miss, s->places.nowhere_plus1 - 1);
			continue;
		}
		miss->hash = hash_place(s, &miss->place);
		if (table->slots)
			__builtin_prefetch(&table->slots[pa_index__start(table, miss->hash)]);
		left++;
	}
	return left;
}

int pa_places__settle(struct pa_session *s, struct pa_place_batch *b)
{
	ssize_t cnt = find_meanings(s, b);
	int err = cnt < 0 ? cnt : 0;

	b->miss_cnt = 0;
	for (ssize_t i = 0; i < cnt; i++)
		fetch_known(s, b->misses[i].hash);
	for (ssize_t i = 0; !err && i < cnt; i++)
		err = find_number(s, b, &b->misses[i]);
	return err;
}

void pa_places__free(struct pa_places *p)
{
	free(p->places);
	pa_index__free(&p->table);
	free(p->cache);
	free(p->spaces);
	memset(p, 0, sizeof(*p));
}
