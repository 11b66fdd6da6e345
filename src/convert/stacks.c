// SPDX-License-Identifier: GPL-2.0-only
/*
 * stacks.c - the aggregation of samples: chains of addresses to chains of places, one hash, one
 * probe, and for a stack that is known nothing else. Two things make it fast. A chain of addresses
 * that was seen a moment ago is found as it is (the usual case where few processes run the same
 * code for long). Where there are many stacks and processes each step misses the caches: samples
 * are gathered in a batch and taken through each step together, while what their next step reads
 * is fetched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

/* A batch is full at so many samples, or at PA_BATCH_PLACES. An image that is to be held may be
 * gone soon: then places are looked for earlier. */
enum { BATCH_SAMPLES = 64, HOLD_SAMPLES = 4 };

/* Chains seen lately; when few of a try are seen again, a pause. */
enum {
	RECENT_SLOTS = 2048,
	RECENT_IPS = 64,
	RECENT_KEY_WORDS = 5,
	TRY_CNT = 4096,
	TRY_MIN_HITS = 2048,
	PAUSE_CNT = 32768
};

/* A chain as recorded, and where it was counted. Invariant: what is told apart is in key. */
struct recent {
	uint64_t key[RECENT_KEY_WORDS];
	uint32_t stack_plus1; /* 0: not counted yet */
	uint32_t turn;	      /* of the slot: how many chains it has held */
	uint64_t ips[RECENT_IPS];
};

struct waiting {
	struct pa_stack_key key;
	struct pa_place_context context;
	uint64_t hash, period;
	struct recent *recent; /* its slot, if recent_turn is still the slot's turn; or NULL */
	uint32_t recent_turn;
	uint32_t first, cnt; /* its places in the batch */
};

struct pa_stack_queue {
	struct waiting samples[BATCH_SAMPLES];
	size_t cnt, settled_cnt; /* settled: their places are known */
	struct pa_place_batch batch;
	struct recent *recent; /* RECENT_SLOTS */
	unsigned try_cnt, hit_cnt, pause_cnt;
};

static const uint32_t *places_of(const struct pa_session *s, const struct waiting *w)
{
	return s->stack_queue->batch.numbers + w->first;
}

static bool is_same_stack(const struct pa_session *s, const struct pa_stack_entry *e,
			  const struct waiting *w)
{
	return e->hash == w->hash && e->comm == w->key.comm && e->pid == w->key.pid &&
	       e->tid == w->key.tid && e->label == w->key.label && e->event == w->key.event &&
	       e->place_cnt == w->cnt && e->kernel_cnt == w->key.kernel_cnt &&
	       !memcmp(e->places, places_of(s, w), w->cnt * sizeof(*e->places));
}

static int add_new(struct pa_session *s, const struct waiting *w)
{
	uint32_t *copy;

	if (s->stack_cnt >= PA_NONE ||
	    pa_array_grow(&s->stacks, s->stack_cnt, &s->stack_cap, sizeof(*s->stacks)))
		return -ENOMEM;
	copy = pa_pool__alloc(&s->chains, w->cnt * sizeof(*copy));
	if (!copy || pa_index__add(&s->stack_table, w->hash, s->stack_cnt))
		return -ENOMEM;
	memcpy(copy, places_of(s, w), w->cnt * sizeof(*copy));
	s->last_stack = s->stack_cnt;
	s->stacks[s->stack_cnt++] = (struct pa_stack_entry){
		.hash = w->hash,
		.places = copy,
		.comm = w->key.comm,
		.sample_cnt = 1,
		.period_sum = w->period,
		.pid = w->key.pid,
		.tid = w->key.tid,
		.label = w->key.label,
		.place_cnt = w->cnt,
		.kernel_cnt = w->key.kernel_cnt,
		.event = w->key.event,
	};
	return 0;
}

static int count_stack(struct pa_session *s, const struct waiting *w)
{
	uint32_t pos = pa_index__start(&s->stack_table, w->hash), i;

	while ((i = pa_index__next(&s->stack_table, w->hash, &pos)) != PA_NONE) {
		struct pa_stack_entry *e = &s->stacks[i];

		if (!is_same_stack(s, e, w))
			continue;
		e->sample_cnt++;
		e->period_sum += w->period;
		s->last_stack = i;
		return 0;
	}
	return add_new(s, w);
}

static int count(struct pa_session *s, const struct waiting *w)
{
	int err = count_stack(s, w);

	if (!err && w->recent && w->recent->turn == w->recent_turn)
		w->recent->stack_plus1 = s->last_stack + 1;
	return err;
}

static void hash_stack(const struct pa_session *s, struct waiting *w)
{
	w->hash = pa_hash_bytes(places_of(s, w), w->cnt * sizeof(uint32_t),
				pa_mix(s->seed ^ ((uint64_t)w->key.pid << 32 | w->key.tid),
				       (uintptr_t)w->key.comm ^
					       ((uint64_t)w->key.event << 48 |
						(uint64_t)w->key.label << 16 | w->key.kernel_cnt)));
	if (s->stack_table.slots)
		__builtin_prefetch(
			&s->stack_table.slots[pa_index__start(&s->stack_table, w->hash)]);
}

/* The entry that a sample will probably be counted in; NULL: none yet. */
static const struct pa_stack_entry *guess(const struct pa_session *s, const struct waiting *w)
{
	uint32_t pos = pa_index__start(&s->stack_table, w->hash), i;

	i = pa_index__next(&s->stack_table, w->hash, &pos);
	return i == PA_NONE ? NULL : &s->stacks[i];
}

static void fetch_entry(const struct pa_session *s, const struct waiting *w)
{
	const struct pa_stack_entry *e = guess(s, w);

	if (!e)
		return;
	__builtin_prefetch(e, 1);
	__builtin_prefetch((const char *)(e + 1) - 1, 1);
}

static void fetch_chain(const struct pa_session *s, const struct waiting *w)
{
	const struct pa_stack_entry *e = guess(s, w);

	if (e)
		__builtin_prefetch(e->places);
}

/* Find the places of the samples that wait. */
static int settle(struct pa_session *s)
{
	struct pa_stack_queue *q = s->stack_queue;
	int err = 0;

	for (; !err && q->settled_cnt < q->cnt; q->settled_cnt++) {
		const struct waiting *w = &q->samples[q->settled_cnt];

		err = pa_places__ask(s, &q->batch, &w->context, w->first, w->cnt);
	}
	return err ? err : pa_places__settle(s, &q->batch);
}

int pa_stacks__flush(struct pa_session *s)
{
	struct pa_stack_queue *q = s->stack_queue;
	size_t cnt = q ? q->cnt : 0;
	int err;

	if (!cnt)
		return 0;
	err = settle(s);
	q->cnt = q->settled_cnt = 0;
	q->batch.cnt = q->batch.miss_cnt = 0;
	if (err)
		return err;
	for (size_t i = 0; i < cnt; i++)
		hash_stack(s, &q->samples[i]);
	for (size_t i = 0; i < cnt; i++)
		fetch_entry(s, &q->samples[i]);
	for (size_t i = 0; i < cnt; i++)
		fetch_chain(s, &q->samples[i]);
	for (size_t i = 0; !err && i < cnt; i++)
		err = count(s, &q->samples[i]);
	return err;
}

static struct pa_stack_queue *get_queue(struct pa_session *s)
{
	struct pa_stack_queue *q = s->stack_queue;
	/* whatever is in a batch that is not full, one chain more fits */
	const size_t room = PA_BATCH_PLACES + PA_CHAIN_MAX;

	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->batch.steps = malloc(room * sizeof(*q->batch.steps));
	q->batch.numbers = malloc(room * sizeof(*q->batch.numbers));
	q->recent = calloc(RECENT_SLOTS, sizeof(*q->recent));
	s->stack_queue = q;
	return q->batch.steps && q->batch.numbers && q->recent ? q : NULL;
}

/* Is it worth while to look among the recent chains? */
static bool tries_recent(struct pa_stack_queue *q)
{
	if (q->pause_cnt) {
		q->pause_cnt--;
		return false;
	}
	if (q->try_cnt < TRY_CNT)
		return true;
	if (q->hit_cnt < TRY_MIN_HITS)
		q->pause_cnt = PAUSE_CNT;
	q->try_cnt = q->hit_cnt = 0;
	return !q->pause_cnt;
}

/* The slot of a chain, new unless it is known. *entry: where it was counted, else NULL. */
static struct recent *find_recent(struct pa_session *s, const struct pa_stack_key *key,
				  const struct pa_place_context *context,
				  const struct pa_chain *chain, struct pa_stack_entry **entry)
{
	struct pa_stack_queue *q = s->stack_queue;
	const uint64_t want[RECENT_KEY_WORDS] = {
		(uintptr_t)key->comm,
		context->epoch_ns,
		(uint64_t)context->space << 32 | key->tid,
		(uint64_t)key->label << 32 | (uint32_t)key->event << 16 | (uint32_t)chain->cnt,
		chain->cpumode,
	};
	size_t bytes = chain->cnt * sizeof(*chain->ips);
	/* the two at the same time */
	uint64_t hash = pa_hash_words(chain->ips, chain->cnt, s->seed) +
			pa_hash_words(want, RECENT_KEY_WORDS, s->seed);
	struct recent *r = &q->recent[hash % RECENT_SLOTS];

	q->try_cnt++;
	if (!memcmp(r->key, want, sizeof(want)) && !memcmp(r->ips, chain->ips, bytes)) {
		*entry = r->stack_plus1 ? &s->stacks[r->stack_plus1 - 1] : NULL;
		q->hit_cnt += *entry != NULL;
		return r;
	}
	memcpy(r->key, want, sizeof(want));
	memcpy(r->ips, chain->ips, bytes);
	r->stack_plus1 = 0;
	r->turn++;
	*entry = NULL;
	return r;
}

/* Put a sample into the batch. */
static int enqueue(struct pa_session *s, const struct pa_stack_key *key,
		   const struct pa_place_context *context, const struct pa_chain *chain,
		   struct recent *recent)
{
	struct pa_stack_queue *q = s->stack_queue;
	struct waiting *w = &q->samples[q->cnt];
	uint32_t kernel_cnt;

	w->first = q->batch.cnt;
	w->recent = recent;
	w->recent_turn = recent ? recent->turn : 0;
	w->key = *key;
	w->context = *context;
	w->period = chain->period;
	w->cnt = pa_places__take(s, &q->batch, context, (const uint64_t *)chain->ips, chain->cnt,
				 chain->cpumode, &kernel_cnt);
	w->key.kernel_cnt = kernel_cnt;
	q->cnt++;
	if (q->cnt == BATCH_SAMPLES || q->batch.cnt >= PA_BATCH_PLACES)
		return pa_stacks__flush(s);
	return s->opts.hold_images && q->cnt - q->settled_cnt >= HOLD_SAMPLES ? settle(s) : 0;
}

int pa_stacks__add(struct pa_session *s, const struct pa_stack_key *key,
		   const struct pa_place_context *context, const struct pa_chain *chain)
{
	struct pa_stack_queue *q = get_queue(s);
	struct pa_stack_entry *entry = NULL;
	struct recent *recent = NULL;

	if (!q || chain->cnt > PA_CHAIN_MAX)
		return -ENOMEM;
	/* with off_cpu the last stack that was counted must be the last sample's */
	if (chain->cnt <= RECENT_IPS && !s->opts.off_cpu && tries_recent(q))
		recent = find_recent(s, key, context, chain, &entry);
	if (!entry)
		return enqueue(s, key, context, chain, recent);
	entry->sample_cnt++;
	entry->period_sum += chain->period;
	return 0;
}

void pa_stacks__free_queue(struct pa_session *s)
{
	if (!s->stack_queue)
		return;
	free(s->stack_queue->batch.steps);
	free(s->stack_queue->batch.numbers);
	free(s->stack_queue->recent);
	free(s->stack_queue);
}
