// SPDX-License-Identifier: GPL-2.0-only
/*
 * readings.c - PERF_SAMPLE_READ: the values of one counter, or of a group, are turned into what
 * each has grown by since its last sample, as perf report does it.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/readings.h"

enum { READINGS_MAX = 1 << 20 }; /* a compressed file can name any number */

/** A counter; where it counts for a thread and its children together, of one thread. */
struct pa_reading {
	uint64_t id, value;
	uint32_t tid;
};

/* Where the values are. */
struct layout {
	size_t cnt, first, step;
	size_t id_at; /* from its value on; without a group the times are between */
	bool has_ids;
};

static struct layout layout_of(const struct perf_event_attr *attr, const struct pd_sample *sample)
{
	const uint64_t format = attr->read_format;
	const size_t times = !!(format & PERF_FORMAT_TOTAL_TIME_ENABLED) +
			     !!(format & PERF_FORMAT_TOTAL_TIME_RUNNING);
	const bool has_ids = format & PERF_FORMAT_ID;

	if (!(format & PERF_FORMAT_GROUP))
		return (struct layout){1, 0, 0, 1 + times, has_ids};
	/* a group's counters are told apart by their ids only */
	return (struct layout){has_ids ? sample->read_values[0] : 0, 1 + times,
			       1 + has_ids + !!(format & PERF_FORMAT_LOST), 1, has_ids};
}

size_t pa_readings__cnt(const struct pd_events *events, const struct pd_sample *sample)
{
	if (!sample->read_cnt)
		return 0;
	return layout_of(&pd_events__get(events, sample->id.event)->attr, sample).cnt;
}

/* The counter's last value, 0 at first. NULL: no memory, or too many */
static struct pa_reading *find(struct pa_readings *r, uint64_t id, uint32_t tid)
{
	uint64_t hash = pa_mix(r->seed ^ id, 0xd6e8feb86659fd93ULL ^ tid);
	uint32_t pos = pa_index__start(&r->table, hash), i;

	while ((i = pa_index__next(&r->table, hash, &pos)) != PA_NONE)
		if (r->list[i].id == id && r->list[i].tid == tid)
			return &r->list[i];
	if (r->cnt == READINGS_MAX || pa_array_grow(&r->list, r->cnt, &r->cap, sizeof(*r->list)) ||
	    pa_index__add(&r->table, hash, r->cnt))
		return NULL;
	r->list[r->cnt] = (struct pa_reading){.id = id, .tid = tid};
	return &r->list[r->cnt++];
}

int pa_readings__take(struct pa_readings *r, const struct pd_events *events,
		      const struct pd_sample *sample, size_t i, struct pd_sample *out)
{
	const struct perf_event_attr *attr = &pd_events__get(events, sample->id.event)->attr;
	const struct layout l = layout_of(attr, sample);
	const __u64 *p = sample->read_values + l.first + i * l.step;
	uint64_t id = l.has_ids ? p[l.id_at] : sample->id.id;
	struct pa_reading *last;
	int event = l.has_ids ? pd_events__by_id(events, id) : sample->id.event;

	if (event < 0)
		return -ENOENT;
	last = find(r, id, attr->inherit ? sample->id.tid : 0);
	if (!last)
		return r->cnt == READINGS_MAX ? -ENOENT : -ENOMEM;
	*out = *sample;
	out->id.event = event;
	out->period = p[0] > last->value ? p[0] - last->value : 0;
	last->value = p[0];
	return out->period || event == sample->id.event;
}

void pa_readings__free(struct pa_readings *r)
{
	pa_index__free(&r->table);
	free(r->list);
}
