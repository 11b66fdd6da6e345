// SPDX-License-Identifier: GPL-2.0-only
/*
 * switchlog.c - a switch and the sample of the thread that leaves are two entries of the ring, or
 * the sample is made in user space: they are joined by time and CPU.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "capture/switchlog.h"
#include "pool.h"

#define HEAD_BYTES offsetof(struct pa_sample_record, ips)
#define RAW_BYTES (8 + sizeof(struct pa_switch_raw)) /* size, data, padding */
#define HELD 1					     /* in res: it waited for its switch already */

/* PERF_RECORD_SWITCH with the trailer of our sample_type. */
struct switch_out {
	struct perf_event_header header;
	__u32 pid, tid;
	__u64 time;
	__u32 cpu, res;
	__u64 id;
};
_Static_assert(sizeof(struct switch_out) == 40, "record layout");

static int compare(const void *a, const void *b)
{
	const struct pa_switch_sample *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

static int index_samples(struct pa_switchlog *l, const struct pa_bytes *records)
{
	l->cnt = 0;
	for (size_t offset = 0; offset < records->len;) {
		const struct pa_sample_record *rec = (const void *)(records->data + offset);

		if (rec->type == PERF_RECORD_SAMPLE) {
			if (pa_array_grow(&l->samples, l->cnt, &l->cap, sizeof(*l->samples)))
				return -ENOMEM;
			l->samples[l->cnt++] =
				(struct pa_switch_sample){rec->time, offset, rec->cpu, false};
		}
		offset += rec->size;
	}
	if (l->cnt)
		qsort(l->samples, l->cnt, sizeof(*l->samples), compare);
	return 0;
}

static const struct pa_sample_record *take_sample(struct pa_switchlog *l,
						  const struct pa_bytes *records,
						  const struct pa_switch_record *w)
{
	const struct pa_switch_sample key = {.time = w->time, .cpu = w->cpu};
	struct pa_switch_sample *found = NULL;

	if (l->cnt)
		found = bsearch(&key, l->samples, l->cnt, sizeof(key), compare);
	if (!found)
		return NULL;
	found->is_used = true;
	return (const void *)(records->data + found->offset);
}

static int put_sample(struct pa_switchlog *l, const struct pa_sample_record *rec,
		      const struct pa_switch_raw *raw)
{
	uint32_t raw_bytes = sizeof(*raw) + 4;
	struct pa_sample_record *to = pa_bytes__reserve(&l->done, rec->size + RAW_BYTES);
	uint8_t *end;

	if (!to)
		return -ENOMEM;
	memcpy(to, rec, rec->size);
	to->id = l->id;
	to->period = 1;
	to->res = 0;
	end = (uint8_t *)to + rec->size;
	if (raw) {
		memcpy(end, &raw_bytes, 4);
		memcpy(end + 4, raw, sizeof(*raw));
		memset(end + 4 + sizeof(*raw), 0, 4);
		to->size += RAW_BYTES;
	}
	l->done.len += to->size;
	l->sample_cnt++;
	return 0;
}

static int put_switch(struct pa_switchlog *l, const struct pa_switch_record *w, bool is_out)
{
	const struct switch_out rec = {
		.header = {PERF_RECORD_SWITCH, 0, sizeof(rec)},
		.pid = is_out ? w->pid : w->next_pid,
		.tid = is_out ? w->tid : w->next_tid,
		.time = w->time,
		.cpu = w->cpu,
		.id = l->id,
	};
	struct switch_out *to = pa_bytes__reserve(&l->done, sizeof(rec));

	if (!to)
		return -ENOMEM;
	*to = rec;
	if (is_out)
		to->header.misc = PERF_RECORD_MISC_SWITCH_OUT;
	if (is_out && w->preempted)
		to->header.misc |= PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
	l->done.len += sizeof(rec);
	return 0;
}

/* A thread of no interest that leaves has no stack. */
static int put_traced(struct pa_switchlog *l, const struct pa_switch_record *w,
		      const struct pa_sample_record *rec)
{
	struct pa_sample_record bare = {
		.type = PERF_RECORD_SAMPLE,
		.misc = PERF_RECORD_MISC_KERNEL,
		.size = HEAD_BYTES,
		.pid = w->pid,
		.tid = w->tid,
		.time = w->time,
		.cpu = w->cpu,
	};

	return put_sample(l, rec ? rec : &bare, &w->raw);
}

static int put(struct pa_switchlog *l, const struct pa_bytes *records,
	       const struct pa_switch_record *w)
{
	const struct pa_sample_record *rec = w->leaves ? take_sample(l, records, w) : NULL;
	int err = 0;

	l->lost_cnt += w->leaves && !rec;
	if (l->tracepoint)
		return put_traced(l, w, rec);
	if (rec)
		err = put_sample(l, rec, NULL);
	if (!err && rec)
		err = put_switch(l, w, true);
	if (!err && w->comes)
		err = put_switch(l, w, false);
	return err;
}

static int hold(struct pa_switchlog *l, struct pa_bytes *records, struct pa_bytes *next)
{
	int err = 0;

	for (size_t i = 0; i < l->cnt && !err; i++) {
		struct pa_sample_record *rec = (void *)(records->data + l->samples[i].offset);

		if (l->samples[i].is_used)
			continue;
		if (rec->res == HELD) /* the ring had no room for its switch, and counted it */
			continue;
		rec->res = HELD;
		err = pa_bytes__append(next, rec, rec->size);
	}
	return err;
}

int pa_switchlog__join(struct pa_switchlog *l, struct pa_bytes *records, struct pa_bytes *next)
{
	struct pa_bytes done;
	int err = index_samples(l, records);

	l->done.len = 0;
	for (size_t offset = 0; offset < records->len && !err;) {
		const struct pa_switch_record *w = (const void *)(records->data + offset);

		if (w->type == PA_RING_TYPE_SWITCH)
			err = put(l, records, w);
		offset += w->size;
	}
	if (!err)
		err = hold(l, records, next);
	done = l->done;
	l->done = *records;
	*records = done;
	return err;
}

void pa_switchlog__clear(struct pa_switchlog *l)
{
	free(l->samples);
	pa_bytes__free(&l->done);
}
