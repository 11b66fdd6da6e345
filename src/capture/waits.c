// SPDX-License-Identifier: GPL-2.0-only
/*
 * waits.c - joins a wait's sample, which comes at its end, with its walk, which came at its begin.
 * A thread waits once at a time: of its walks, the last one before the sample's time is meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "capture/waits.h"

#define RECORD_HEAD offsetof(struct pa_sample_record, ips)

struct walk {
	struct walk *older;
	struct pa_sample_record *rec;
};

struct thread {
	uint32_t tid;
	struct walk *walks;
	/* latest end of its waits, or its own, and where the last of them began or ended up to the
	 * last pass: what began before is done with */
	uint64_t end_ns, done_ns;
	UT_hash_handle hh;
};

struct pa_waits {
	struct thread *threads;
	struct pa_bytes done;
	struct pa_waits_stats stats;
};

int pa_waits__new(struct pa_waits **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void free_walks(struct walk *walk)
{
	while (walk) {
		struct walk *older = walk->older;

		free(walk->rec);
		free(walk);
		walk = older;
	}
}

static void forget(struct pa_waits *w, struct thread *t)
{
	HASH_DEL(w->threads, t);
	free_walks(t->walks);
	free(t);
}

void pa_waits__free(struct pa_waits *w)
{
	struct thread *t, *next;

	if (!w)
		return;
	HASH_ITER (hh, w->threads, t, next)
		forget(w, t);
	pa_bytes__free(&w->done);
	free(w);
}

static struct thread *get_thread(struct pa_waits *w, uint32_t tid)
{
	struct thread *t;

	HASH_FIND(hh, w->threads, &tid, sizeof(tid), t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->tid = tid;
	HASH_ADD(hh, w->threads, tid, sizeof(t->tid), t);
	return t;
}

int pa_waits__walked(struct pa_waits *w, const struct pa_sample_record *rec)
{
	struct thread *t = get_thread(w, rec->tid);
	struct walk *walk = calloc(1, sizeof(*walk)), **at;

	if (!t || !walk) {
		free(walk);
		return -ENOMEM;
	}
	walk->rec = malloc(rec->size);
	if (!walk->rec) {
		free(walk);
		return -ENOMEM;
	}
	memcpy(walk->rec, rec, rec->size);
	/* the latest first; rings of several CPUs are not in order */
	for (at = &t->walks; *at && (*at)->rec->time > rec->time;)
		at = &(*at)->older;
	walk->older = *at;
	*at = walk;
	return 0;
}

void pa_waits__exited(struct pa_waits *w, uint32_t tid, uint64_t time_ns)
{
	struct thread *t;

	HASH_FIND(hh, w->threads, &tid, sizeof(tid), t);
	if (t && t->end_ns < time_ns)
		t->end_ns = time_ns;
}

#ifdef __aarch64__
enum { REG_FP = 29, REG_SP = 31, REG_PC = 32 };
#else
enum { REG_FP = 6, REG_SP = 7, REG_PC = 16 };
#endif

/* Caller's frame pointer and return address lie where the frame pointer shows. */
static void follow_frames(const struct pa_miss_record *miss, struct pa_sample_record *rec)
{
	size_t bytes = miss->stack_bytes <= PA_MISS_STACK_BYTES ? miss->stack_bytes : 0;
	uint64_t fp = miss->regs[REG_FP], frame[2];

	rec->ips[rec->nr++] = (uint64_t)PERF_CONTEXT_USER;
	rec->ips[rec->nr++] = miss->regs[REG_PC];
	for (int i = 0; i < PA_FRAMES_MAX - 1; i++) {
		uint64_t at = fp - miss->regs[REG_SP];

		if (bytes < sizeof(frame) || at > bytes - sizeof(frame))
			return;
		memcpy(frame, miss->stack + at, sizeof(frame));
		if (!frame[1] || (int64_t)frame[1] < 0)
			return;
		rec->ips[rec->nr++] = frame[1];
		if (frame[0] <= fp)
			return;
		fp = frame[0];
	}
}

int pa_waits__walk(struct pa_unwinder *u, const struct pa_miss_record *miss, struct pa_bytes *out)
{
	struct pa_sample_record *rec;

	if (u && miss->reason)
		return pa_unwinder__finish(u, miss, out);
	rec = pa_bytes__reserve(out, sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	memcpy(rec, miss, RECORD_HEAD);
	rec->type = PERF_RECORD_SAMPLE;
	rec->nr = miss->nr <= PA_MISS_KERNEL_SLOTS ? miss->nr : PA_MISS_KERNEL_SLOTS;
	memcpy(rec->ips, miss->ips, rec->nr * sizeof(*rec->ips));
	if (miss->reason)
		follow_frames(miss, rec);
	rec->size = (uint16_t)(RECORD_HEAD + rec->nr * sizeof(*rec->ips));
	out->len += rec->size;
	return 0;
}

bool pa_waits__is_awaited(const struct pa_bytes *samples)
{
	for (size_t offset = 0; offset < samples->len;) {
		const struct pa_sample_record *rec = (const void *)(samples->data + offset);

		if (rec->type == PERF_RECORD_SAMPLE && rec->res & PA_OFF_AWAITS)
			return true;
		offset += rec->size;
	}
	return false;
}

/* The walk of a wait that ended then. Samples of several CPUs are not in order. */
static struct walk *take_walk(struct pa_waits *w, const struct pa_sample_record *rec)
{
	struct walk *walk, **at;
	struct thread *t;
	uint32_t tid = rec->tid;

	HASH_FIND(hh, w->threads, &tid, sizeof(tid), t);
	if (!t)
		return NULL;
	if (rec->time > t->end_ns)
		t->end_ns = rec->time;
	for (at = &t->walks; *at && (*at)->rec->time > rec->time;)
		at = &(*at)->older;
	walk = *at;
	if (walk) {
		*at = walk->older;
		walk->older = NULL;
	}
	return walk;
}

/* Not every wait comes to an end here: some are too short to count, or lost. */
static void forget_done(struct pa_waits *w)
{
	struct thread *t, *next;
	struct walk **at;

	HASH_ITER (hh, w->threads, t, next) {
		for (at = &t->walks; *at && (*at)->rec->time >= t->done_ns;)
			at = &(*at)->older;
		free_walks(*at);
		*at = NULL;
		t->done_ns = t->end_ns;
		if (!t->walks)
			forget(w, t);
		else if (t->walks->rec->time > t->done_ns)
			t->done_ns = t->walks->rec->time;
	}
}

static void count(struct pa_waits *w, const struct pa_sample_record *rec)
{
	double chance = (double)(rec->res & ~PA_OFF_AWAITS) / PA_OFF_SURE;
	double period = (double)rec->period;

	w->stats.sample_cnt++;
	w->stats.period_sum_ns += rec->period;
	if (chance > 0) /* else it is sure */
		w->stats.variance_ns2 += period * period * (1 - chance);
}

static int complete_one(struct pa_waits *w, const struct pa_sample_record *rec)
{
	struct walk *walk = rec->res & PA_OFF_AWAITS ? take_walk(w, rec) : NULL;
	const struct pa_sample_record *chain = walk ? walk->rec : rec;
	struct pa_sample_record *to = pa_bytes__reserve(&w->done, chain->size);

	if (to) {
		memcpy(to, chain, chain->size);
		to->id = rec->id;
		to->time = rec->time;
		to->cpu = rec->cpu;
		to->period = rec->period;
		to->res = 0;
		w->done.len += chain->size;
		w->stats.unwalked_cnt += rec->res & PA_OFF_AWAITS && !walk;
		count(w, rec);
	}
	free_walks(walk);
	return to ? 0 : -ENOMEM;
}

int pa_waits__complete(struct pa_waits *w, struct pa_bytes *samples)
{
	struct pa_bytes done;
	int err = 0;

	w->done.len = 0;
	for (size_t offset = 0; offset < samples->len && !err;) {
		const struct pa_sample_record *rec = (const void *)(samples->data + offset);

		err = complete_one(w, rec);
		offset += rec->size;
	}
	forget_done(w);
	done = w->done;
	w->done = *samples;
	*samples = done;
	return err;
}

void pa_waits__stats(const struct pa_waits *w, struct pa_waits_stats *out)
{
	*out = w->stats;
	out->thread_cnt = HASH_COUNT(w->threads);
}
