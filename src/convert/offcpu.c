// SPDX-License-Identifier: GPL-2.0-only
/*
 * offcpu.c - pairs switches out with switches in. Records come by CPU, so switches are put in
 * the order of their times first. What perf guarantees is used: after a FINISHED_ROUND nothing
 * follows that is earlier than the latest record of the round before. A file without rounds is
 * put in order within a window of many switches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

enum { QUEUE_MAX = 1 << 20 };

void pa_offcpu__free(struct pa_offcpu *o)
{
	free(o->queue);
	free(o->threads);
	pa_index__free(&o->by_tid);
	free(o->aliases);
	pa_index__free(&o->by_alias);
}

static uint64_t hash_tid(const struct pa_session *s, uint32_t tid)
{
	return pa_mix(s->seed ^ tid, 0xd6e8feb86659fd93ULL);
}

static struct pa_off_alias *find_alias(const struct pa_session *s, uint32_t tid)
{
	const struct pa_offcpu *o = &s->offcpu;
	uint64_t hash = hash_tid(s, tid);
	uint32_t pos = pa_index__start(&o->by_alias, hash), i;

	while ((i = pa_index__next(&o->by_alias, hash, &pos)) != PA_NONE)
		if (o->aliases[i].tid == tid)
			return &o->aliases[i];
	return NULL;
}

static int add_alias(struct pa_session *s, uint32_t tid, uint32_t kernel_tid)
{
	struct pa_offcpu *o = &s->offcpu;
	struct pa_off_alias *known = find_alias(s, tid);

	if (known) {
		known->kernel_tid = kernel_tid;
		return 0;
	}
	if (o->alias_cnt >= PA_NONE ||
	    pa_array_grow(&o->aliases, o->alias_cnt, &o->alias_cap, sizeof(*o->aliases)) ||
	    pa_index__add(&o->by_alias, hash_tid(s, tid), o->alias_cnt))
		return -ENOMEM;
	o->aliases[o->alias_cnt++] = (struct pa_off_alias){tid, kernel_tid};
	return 0;
}

static struct pa_off_thread *find_thread(struct pa_session *s, uint32_t tid)
{
	struct pa_offcpu *o = &s->offcpu;
	uint64_t hash = hash_tid(s, tid);
	uint32_t pos = pa_index__start(&o->by_tid, hash), i;

	while ((i = pa_index__next(&o->by_tid, hash, &pos)) != PA_NONE)
		if (o->threads[i].tid == tid)
			return &o->threads[i];
	return NULL;
}

/* Of a thread that was switched out: those that are only ever switched in are not waited for. */
static struct pa_off_thread *get_thread(struct pa_session *s, uint32_t tid)
{
	struct pa_off_thread *t = find_thread(s, tid);
	struct pa_offcpu *o = &s->offcpu;
	uint64_t hash = hash_tid(s, tid);

	if (t)
		return t;
	if (o->thread_cnt >= PA_NONE ||
	    pa_array_grow(&o->threads, o->thread_cnt, &o->thread_cap, sizeof(*o->threads)) ||
	    pa_index__add(&o->by_tid, hash, o->thread_cnt))
		return NULL;
	o->threads[o->thread_cnt] = (struct pa_off_thread){.tid = tid, .stack = PA_NONE};
	return &o->threads[o->thread_cnt++];
}

/* One switch, all earlier ones being applied. */
static int apply(struct pa_session *s, const struct pa_switch *sw)
{
	struct pa_off_thread *t;
	struct pa_stack_entry *e;

	if (sw->stack != PA_NONE) {
		t = get_thread(s, sw->tid);
		if (!t)
			return -ENOMEM;
		/* out twice: the switch in between is lost */
		s->offcpu.unpaired_cnt += t->stack != PA_NONE;
		t->stack = sw->stack;
		t->out_ns = sw->time_ns;
		return 0;
	}
	t = find_thread(s, sw->tid);
	if (!t || t->stack == PA_NONE)
		return 0;
	if (sw->time_ns < t->out_ns) { /* too late to be put in order */
		s->offcpu.unpaired_cnt++;
	} else {
		e = &s->stacks[t->stack];
		e->sample_cnt++;
		e->period_sum += sw->time_ns - t->out_ns;
		s->stats.sample_cnt++;
	}
	t->stack = PA_NONE;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct pa_switch *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Apply what is queued up to limit_ns, but at least min_cnt switches. */
static int drain(struct pa_session *s, uint64_t limit_ns, size_t min_cnt)
{
	struct pa_offcpu *o = &s->offcpu;
	size_t done = 0;
	int err = 0;

	if (!o->cnt)
		return 0;
	qsort(o->queue, o->cnt, sizeof(*o->queue), compare);
	while (!err && done < o->cnt && (done < min_cnt || o->queue[done].time_ns <= limit_ns))
		err = apply(s, &o->queue[done++]);
	memmove(o->queue, o->queue + done, (o->cnt - done) * sizeof(*o->queue));
	o->cnt -= done;
	for (size_t i = 0; i < o->cnt; i++)
		o->queue[i].seq = i;
	return err;
}

static int enqueue(struct pa_session *s, const struct pa_switch *sw)
{
	struct pa_offcpu *o = &s->offcpu;
	int err = o->cnt < QUEUE_MAX ? 0 : drain(s, 0, QUEUE_MAX / 2);

	if (err)
		return err;
	if (pa_array_grow(&o->queue, o->cnt, &o->cap, sizeof(*o->queue)))
		return -ENOMEM;
	o->queue[o->cnt] = *sw;
	o->queue[o->cnt].seq = o->cnt;
	o->cnt++;
	if (sw->time_ns > o->max_ns)
		o->max_ns = sw->time_ns;
	return 0;
}

int pa_offcpu__begin(struct pa_session *s, uint32_t tid, const struct pd_sample *sample,
		     uint32_t stack)
{
	/* what the sample weighs, and whether it counts, turns out at its end */
	s->stacks[stack].sample_cnt--;
	s->stacks[stack].period_sum -= sample->period;
	s->offcpu.out_cnt++;
	if (sample->id.tid != tid && (int32_t)sample->id.tid > 0 &&
	    add_alias(s, sample->id.tid, tid))
		return -ENOMEM;
	return enqueue(s, &(struct pa_switch){sample->id.time, tid, stack, 0});
}

int pa_offcpu__in(struct pa_session *s, uint32_t tid, uint64_t time_ns)
{
	return enqueue(s, &(struct pa_switch){time_ns, tid, PA_NONE, 0});
}

int pa_offcpu__feed(struct pa_session *s, const struct perf_event_header *hdr)
{
	const struct pa_off_alias *alias;
	struct pd_sample_id id;
	int err;

	if (!s->opts.off_cpu || (hdr->misc & PERF_RECORD_MISC_SWITCH_OUT))
		return 0;
	err = pd_sample_id__parse(s->opts.events, hdr, &id);
	if (err || !id.time || !id.tid)
		return err;
	alias = find_alias(s, id.tid);
	return pa_offcpu__in(s, alias ? alias->kernel_tid : id.tid, id.time);
}

int pa_offcpu__end_round(struct pa_session *s)
{
	struct pa_offcpu *o = &s->offcpu;
	int err = drain(s, o->safe_ns, 0);

	o->safe_ns = o->max_ns;
	return err;
}

int pa_offcpu__finish(struct pa_session *s)
{
	struct pa_offcpu *o = &s->offcpu;
	int err = drain(s, UINT64_MAX, 0);

	for (size_t i = 0; i < o->thread_cnt; i++) {
		o->unpaired_cnt += o->threads[i].stack != PA_NONE;
		o->threads[i].stack = PA_NONE;
	}
	return err;
}

void pa_offcpu__drop_stacks(struct pa_session *s)
{
	size_t kept_cnt = 0;

	for (size_t i = 0; i < s->stack_cnt; i++)
		if (s->stacks[i].sample_cnt)
			s->stacks[kept_cnt++] = s->stacks[i];
	s->stack_cnt = kept_cnt;
}
