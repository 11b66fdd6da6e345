// SPDX-License-Identifier: GPL-2.0-only
/*
 * traces.c - samples and the branches that they carry, counted by where in which binary they were.
 * A branch is counted together with the one before it, so that what was executed between the two
 * is known too, with one search for both. Raw addresses that were seen a moment ago in the same
 * address space are known by a direct-mapped cache.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/session.h"

enum { CACHE_SLOTS = 1 << 15, TRACES_MAX = INT32_MAX };
/* Some processors repeat the newest branch: a loop to itself of that length is none. */
enum { REPEATED_BYTES = 0x1000 };

/* Raw addresses; for a sample from and prev are NONE_RAW. */
struct raw {
	uint64_t prev, from, to;
	uint32_t context;
	uint16_t event;
	bool is_kernel;
};
#define NONE_RAW 0

/* Invariant: trace_plus1 0 is a free slot. */
struct pa_trace_slot {
	uint64_t prev, from, to;
	uint32_t context, trace_plus1;
};
_Static_assert(sizeof(struct pa_trace_slot) == 32, "two in a cache line");

static bool is_kernel_address(uint64_t addr)
{
	return addr >> 63;
}

static int find_spot(struct pa_session *s, const struct pa_place_context *c, uint64_t addr,
		     struct pa_spot *out)
{
	const struct pa_piece *piece;

	*out = (struct pa_spot){0, PA_NONE};
	if (addr == NONE_RAW || is_kernel_address(addr))
		return 0;
	piece = pa_procs__find(&s->procs, c->space, addr, c->time_ns);
	if (!piece || piece->is_jit || s->images[piece->image].kind != PA_IMAGE_FILE)
		return 0;
	*out = (struct pa_spot){addr - piece->start + piece->pgoff, piece->image};
	return pa_session_images__hit(s, piece->image, pa_procs__at(&s->procs, c->space)->pid,
				      piece);
}

static uint64_t hash_trace(const struct pa_session *s, const struct pa_trace *t)
{
	uint64_t words[] = {t->prev.offset, t->from.offset, t->to.offset,
			    (uint64_t)t->prev.image << 32 | t->from.image,
			    (uint64_t)t->to.image << 32 | (uint32_t)t->event << 2 |
				    (uint32_t)t->is_kernel << 1 | t->is_sample};

	return pa_hash_words(words, sizeof(words) / sizeof(*words), s->seed);
}

static bool is_same_spot(const struct pa_spot *a, const struct pa_spot *b)
{
	return a->offset == b->offset && a->image == b->image;
}

/* Index of a trace, new when there is none. @return PA_NONE without memory */
static uint32_t get_trace(struct pa_session *s, const struct pa_trace *want)
{
	struct pa_traces *t = &s->traces;
	uint64_t hash = hash_trace(s, want);
	uint32_t pos = pa_index__start(&t->table, hash), i;

	while ((i = pa_index__next(&t->table, hash, &pos)) != PA_NONE) {
		const struct pa_trace *have = &t->list[i];

		if (is_same_spot(&have->to, &want->to) && is_same_spot(&have->from, &want->from) &&
		    is_same_spot(&have->prev, &want->prev) && have->event == want->event &&
		    have->is_sample == want->is_sample && have->is_kernel == want->is_kernel)
			return i;
	}
	if (t->cnt >= TRACES_MAX || pa_array_grow(&t->list, t->cnt, &t->cap, sizeof(*t->list)) ||
	    pa_index__add(&t->table, hash, (uint32_t)t->cnt))
		return PA_NONE;
	t->list[t->cnt] = *want;
	return (uint32_t)t->cnt++;
}

/* @return 0 (*out PA_NONE: it says nothing of any file), -ENOMEM */
static int locate(struct pa_session *s, const struct pa_place_context *c, const struct raw *raw,
		  uint32_t *out)
{
	struct pa_trace want = {.event = raw->event,
				.is_sample = raw->from == NONE_RAW,
				.is_kernel = raw->is_kernel};
	int err = find_spot(s, c, raw->prev, &want.prev);

	if (!err)
		err = find_spot(s, c, raw->from, &want.from);
	if (!err)
		err = raw->is_kernel ? 0 : find_spot(s, c, raw->to, &want.to);
	if (err)
		return err;
	if (raw->is_kernel)
		want.to.image = PA_NONE;
	*out = get_trace(s, &want);
	return *out == PA_NONE ? -ENOMEM : 0;
}

static int count(struct pa_session *s, const struct pa_place_context *c, const struct raw *raw,
		 bool is_mispredicted)
{
	struct pa_traces *t = &s->traces;
	uint64_t words[] = {raw->prev, raw->from, raw->to,
			    (uint64_t)raw->context << 32 | (uint32_t)raw->event << 1 |
				    raw->is_kernel};
	struct pa_trace_slot *slot;
	uint32_t i;

	if (!t->cache)
		t->cache = calloc(CACHE_SLOTS, sizeof(*t->cache));
	if (!t->cache)
		return -ENOMEM;
	slot = &t->cache[pa_hash_words(words, 4, s->seed) % CACHE_SLOTS];
	if (!slot->trace_plus1 || slot->to != raw->to || slot->from != raw->from ||
	    slot->prev != raw->prev || slot->context != raw->context ||
	    t->list[slot->trace_plus1 - 1].event != raw->event ||
	    t->list[slot->trace_plus1 - 1].is_kernel != raw->is_kernel) {
		int err = locate(s, c, raw, &i);

		if (err)
			return err;
		*slot = (struct pa_trace_slot){raw->prev, raw->from, raw->to, raw->context, i + 1};
	}
	i = slot->trace_plus1 - 1;
	t->list[i].cnt++;
	t->list[i].mispredicted_cnt += is_mispredicted;
	return 0;
}

/* How many of the newest branches are no new ones: 0 or 1. */
static size_t repeated(const struct pd_sample *sample)
{
	const struct perf_branch_entry *b = sample->branches;

	return sample->branch_cnt > 1 && b[0].from == b[1].from && b[0].to == b[1].to &&
	       b[0].from - b[0].to > REPEATED_BYTES && b[0].from > b[0].to;
}

/* Are the branches all that were taken? The kernel's part may be missing. */
static bool has_all_branches(const struct pa_session *s, const struct pd_sample *sample)
{
	uint64_t type =
		pd_events__get(s->opts.events, (size_t)sample->id.event)->attr.branch_sample_type;
	uint64_t some = PERF_SAMPLE_BRANCH_ANY_CALL | PERF_SAMPLE_BRANCH_ANY_RETURN |
			PERF_SAMPLE_BRANCH_IND_CALL | PERF_SAMPLE_BRANCH_COND |
			PERF_SAMPLE_BRANCH_IND_JUMP | PERF_SAMPLE_BRANCH_CALL |
			PERF_SAMPLE_BRANCH_CALL_STACK;

	return type & PERF_SAMPLE_BRANCH_ANY || !(type & some);
}

static bool is_guest(uint8_t cpumode)
{
	return cpumode == PERF_RECORD_MISC_GUEST_KERNEL || cpumode == PERF_RECORD_MISC_GUEST_USER;
}

int pa_traces__add(struct pa_session *s, const struct pd_sample *sample,
		   struct pa_place_context *context)
{
	const struct perf_branch_entry *b = sample->branches;
	struct raw raw = {.to = sample->ip,
			  .context = context->number,
			  .event = (uint16_t)sample->id.event,
			  .is_kernel = is_guest(sample->cpumode) ||
				       pa_is_kernel(sample->cpumode, sample->ip)};
	int err = count(s, context, &raw, false);

	s->stats.sample_cnt++;
	if (err || !sample->branch_cnt || !has_all_branches(s, sample))
		return err;
	raw.is_kernel = false;
	for (size_t i = repeated(sample); !err && i < sample->branch_cnt; i++) {
		if (!b[i].from || !b[i].to)
			continue;
		raw.prev = i + 1 < sample->branch_cnt ? b[i + 1].to : NONE_RAW;
		raw.from = b[i].from;
		if (is_kernel_address(raw.from)) /* back from it: its entry may not be recorded */
			raw.prev = NONE_RAW;
		raw.to = b[i].to;
		err = count(s, context, &raw, b[i].mispred);
	}
	return err;
}

const struct pa_trace *pa_session__traces(const struct pa_session *s, size_t *cnt)
{
	*cnt = s->traces.cnt;
	return s->traces.list;
}

void pa_traces__free(struct pa_traces *t)
{
	free(t->list);
	free(t->cache);
	pa_index__free(&t->table);
}

/* ---- images ----------------------------------------------------------------------------- */

size_t pa_session__image_cnt(const struct pa_session *s)
{
	return s->image_cnt;
}

int pa_session__image(struct pa_session *s, size_t i, struct pa_map_info *out)
{
	const struct pa_map_info *info;

	if (i >= s->image_cnt || s->images[i].kind != PA_IMAGE_FILE)
		return -ENOENT;
	info = pa_session_images__info(s, (uint32_t)i);
	if (!info)
		return -ENOMEM;
	*out = *info;
	return 0;
}

int pa_session__open_image(struct pa_session *s, size_t i)
{
	int err;

	if (i >= s->image_cnt || s->images[i].kind != PA_IMAGE_FILE || !s->opts.symbolizer)
		return -ENOENT;
	err = pa_session_images__open(s, (uint32_t)i);
	return err ? err : pa_symbolizer__open_file(s->opts.symbolizer, s->images[i].image);
}
