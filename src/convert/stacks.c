// SPDX-License-Identifier: GPL-2.0-only
/*
 * stacks.c - the aggregation of samples: chains of addresses to chains of places, one hash, one
 * probe, and for a stack that is known nothing else. Two things make it fast. A chain of addresses
 * that was seen a moment ago is found as it is (the usual case where few processes run the same
 * code for long). Where there are many stacks and processes each step misses the caches: samples
 * wait in a short queue, and each new one takes those before it a step further, while what their
 * next step reads is fetched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

/* After how many further samples each step of a sample is taken. */
enum { LOCATE = 3, FETCH_PLACES = 5, FINISH = 7, FETCH_ENTRY = 11, FETCH_CHAIN = 15, COUNT = 19 };
enum { QUEUE_CNT = 32, SHORT_CNT = 120 };

/* Chains seen lately; when few of a try are seen again, a pause. */
enum {
	RECENT_SLOTS = 2048,
	RECENT_IPS = 64,
	TRY_CNT = 4096,
	TRY_MIN_HITS = 2048,
	PAUSE_CNT = 32768
};

/* A chain as recorded, and where it was counted. Invariant: what is told apart is in key. */
struct recent {
	struct recent_key {
		const char *comm;
		uint64_t epoch_ns;
		uint32_t space, tid, label;
		uint16_t event, ip_cnt;
		uint64_t cpumode;
	} key;
	uint32_t stack_plus1; /* 0: not counted yet */
	uint32_t turn;	      /* of the slot: how many chains it has held */
	uint64_t ips[RECENT_IPS];
};
_Static_assert(sizeof(struct recent_key) == 40, "compared as bytes");

struct waiting {
	struct pa_stack_key key;
	struct pa_place_context context;
	uint64_t hash, period;
	uint32_t cnt;
	struct recent *recent; /* its slot, if recent_turn is still the slot's turn; or NULL */
	uint32_t recent_turn;
	struct pa_place_step *steps; /* short_steps or long_steps; NULL: nobody waits here */
	uint32_t *places;	     /* short_places or long_places */
	struct pa_place_step short_steps[SHORT_CNT];
	uint32_t short_places[SHORT_CNT];
};

/* Sample i is in samples[i % QUEUE_CNT] while it waits. */
struct pa_stack_queue {
	struct waiting samples[QUEUE_CNT];
	uint64_t next;
	/* a chain that is too long for the queue waits alone */
	struct pa_place_step *long_steps;
	uint32_t *long_places;
	struct recent *recent; /* RECENT_SLOTS */
	unsigned try_cnt, hit_cnt, pause_cnt;
};
_Static_assert((int)QUEUE_CNT > (int)COUNT, "the queue is longer than a sample's way");

static bool is_same_stack(const struct pa_stack_entry *e, const struct waiting *w)
{
	return e->hash == w->hash && e->comm == w->key.comm && e->pid == w->key.pid &&
	       e->tid == w->key.tid && e->label == w->key.label && e->event == w->key.event &&
	       e->place_cnt == w->cnt && e->kernel_cnt == w->key.kernel_cnt &&
	       !memcmp(e->places, w->places, w->cnt * sizeof(*w->places));
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
	memcpy(copy, w->places, w->cnt * sizeof(*copy));
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

		if (!is_same_stack(e, w))
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

static int finish(struct pa_session *s, struct waiting *w)
{
	int err = pa_places__finish(s, &w->context, w->steps, w->cnt, w->places);

	w->hash = pa_hash_bytes(w->places, w->cnt * sizeof(*w->places),
				pa_mix(s->seed ^ ((uint64_t)w->key.pid << 32 | w->key.tid),
				       (uintptr_t)w->key.comm ^
					       ((uint64_t)w->key.event << 48 |
						(uint64_t)w->key.label << 16 | w->key.kernel_cnt)));
	if (s->stack_table.slots)
		__builtin_prefetch(
			&s->stack_table.slots[pa_index__start(&s->stack_table, w->hash)]);
	return err;
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

/* Take the sample that came `age` samples ago a step further, if it takes one at that age. */
static int advance(struct pa_session *s, struct waiting *w, unsigned age)
{
	switch (age) {
	case LOCATE:
		return pa_places__locate(s, &w->context, w->steps, w->cnt);
	case FETCH_PLACES:
		pa_places__fetch(s, w->steps, w->cnt);
		return 0;
	case FINISH:
		return finish(s, w);
	case FETCH_ENTRY:
		fetch_entry(s, w);
		return 0;
	case FETCH_CHAIN:
		fetch_chain(s, w);
		return 0;
	case COUNT:
		w->steps = NULL;
		return count(s, w);
	default:
		return 0;
	}
}

/* Time passes: each sample grows older by one, the oldest first. */
static int tick(struct pa_session *s)
{
	static const unsigned ages[] = {COUNT,	FETCH_CHAIN,  FETCH_ENTRY,
					FINISH, FETCH_PLACES, LOCATE};
	struct pa_stack_queue *q = s->stack_queue;
	int err = 0;

	q->next++;
	for (size_t i = 0; !err && i < sizeof(ages) / sizeof(*ages); i++) {
		struct waiting *w = &q->samples[(q->next - 1 - ages[i]) % QUEUE_CNT];

		if (w->steps)
			err = advance(s, w, ages[i]);
	}
	return err;
}

int pa_stacks__flush(struct pa_session *s)
{
	struct pa_stack_queue *q = s->stack_queue;
	int err = 0;

	if (!q)
		return 0;
	for (int i = 0; !err && i <= COUNT; i++) {
		q->samples[q->next % QUEUE_CNT].steps = NULL; /* nobody */
		err = tick(s);
	}
	return err;
}

static struct pa_stack_queue *get_queue(struct pa_session *s)
{
	struct pa_stack_queue *q = s->stack_queue;

	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->long_steps = malloc(PA_CHAIN_MAX * sizeof(*q->long_steps));
	q->long_places = malloc(PA_CHAIN_MAX * sizeof(*q->long_places));
	q->recent = calloc(RECENT_SLOTS, sizeof(*q->recent));
	s->stack_queue = q;
	return q->long_steps && q->long_places && q->recent ? q : NULL;
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
				  const struct pd_sample *sample, struct pa_stack_entry **entry)
{
	struct pa_stack_queue *q = s->stack_queue;
	const struct recent_key want = {
		.comm = key->comm,
		.epoch_ns = context->epoch_ns,
		.space = context->space,
		.tid = key->tid,
		.label = key->label,
		.event = key->event,
		.ip_cnt = sample->ip_cnt,
		.cpumode = sample->cpumode,
	};
	size_t bytes = sample->ip_cnt * sizeof(*sample->ips);
	uint64_t hash = pa_hash_words(sample->ips, sample->ip_cnt,
				      pa_hash_words(&want, sizeof(want) / 8, s->seed));
	struct recent *r = &q->recent[hash % RECENT_SLOTS];

	q->try_cnt++;
	if (!memcmp(&r->key, &want, sizeof(want)) && !memcmp(r->ips, sample->ips, bytes)) {
		*entry = r->stack_plus1 ? &s->stacks[r->stack_plus1 - 1] : NULL;
		q->hit_cnt += *entry != NULL;
		return r;
	}
	r->key = want;
	memcpy(r->ips, sample->ips, bytes);
	r->stack_plus1 = 0;
	r->turn++;
	*entry = NULL;
	return r;
}

int pa_stacks__add(struct pa_session *s, const struct pa_stack_key *key,
		   const struct pa_place_context *context, const struct pd_sample *sample)
{
	struct pa_stack_queue *q = get_queue(s);
	bool is_long = sample->ip_cnt > SHORT_CNT;
	struct pa_stack_entry *entry = NULL;
	struct recent *recent = NULL;
	struct waiting *w;
	uint32_t kernel_cnt;
	ssize_t cnt;
	int err;

	if (!q || sample->ip_cnt > PA_CHAIN_MAX)
		return -ENOMEM;
	/* with off_cpu the last stack that was counted must be the last sample's */
	if (sample->ip_cnt <= RECENT_IPS && !s->opts.off_cpu && tries_recent(q))
		recent = find_recent(s, key, context, sample, &entry);
	if (entry) {
		entry->sample_cnt++;
		entry->period_sum += sample->period;
		return 0;
	}
	w = &q->samples[q->next % QUEUE_CNT];
	w->recent = recent;
	w->recent_turn = recent ? recent->turn : 0;
	w->key = *key;
	w->context = *context;
	w->period = sample->period;
	w->steps = is_long ? q->long_steps : w->short_steps;
	w->places = is_long ? q->long_places : w->short_places;
	cnt = pa_places__start(s, context, (const uint64_t *)sample->ips, sample->ip_cnt,
			       sample->cpumode, w->steps, &kernel_cnt);
	if (cnt < 0)
		return cnt;
	w->cnt = cnt;
	w->key.kernel_cnt = kernel_cnt;
	err = tick(s);
	return err || !is_long ? err : pa_stacks__flush(s);
}

void pa_stacks__free_queue(struct pa_session *s)
{
	if (!s->stack_queue)
		return;
	free(s->stack_queue->long_steps);
	free(s->stack_queue->long_places);
	free(s->stack_queue->recent);
	free(s->stack_queue);
}
