/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fields.h - what a session makes of a sample beside its stack: is its event wanted, what does
 * it weigh, which labels does it get from a tracepoint's fields, does it begin or end a time
 * off the CPU.
 */
#ifndef PA_FIELDS_H
#define PA_FIELDS_H

#include "convert/convert.h"
#include "convert/table.h"
#include "convert/tracing.h"

enum { PA_LABELS_MAX = 16 };

/** Where times off the CPU are taken from, best first: of several kinds of events in a file only
 *  the first in this order counts, because each of them tells of the same switches. */
enum pa_off_source {
	PA_OFF_NONE,
	PA_OFF_SCHED_SWITCH,   /* tracepoint, or another event of that name */
	PA_OFF_CONTEXT_SWITCH, /* software event, each one sampled */
	PA_OFF_PERF,	       /* perf record --off-cpu: times, summed up by a BPF program; ours */
};

/** How samples of one event are used. */
struct pa_event_use {
	bool is_known; /* the rest is filled in */
	bool is_plain; /* samples count as they are: the usual case */
	bool is_wanted;
	bool is_packed;	    /* RAW of "offcpu-time": ids, time and call chain */
	const char *reason; /* of "offcpu:REASON", in strings; else NULL */
	enum pa_off_source off;
	const struct tep_format_field *weight, *prev_pid, *next_pid, *prev_state;
	const struct tep_format_field *labels[PA_LABELS_MAX];
};

/** A distinct set of labels; cnt > 0. */
struct pa_label_set {
	uint64_t hash;
	struct pa_label *labels;
	uint32_t cnt;
};

struct pa_fields {
	struct pa_tracing *tracing; /* NULL: the file has none */
	struct pa_event_use *uses;  /* by index of the event */
	size_t use_cnt;
	uint64_t *ips; /* a chain out of raw data */
	struct pa_label_set *sets;
	size_t set_cnt, set_cap;
	struct pa_index set_table;
	struct pa_strings strings;
	struct pa_pool pool;
	uint32_t label_seen; /* bit per label field that some event has */
	enum pa_off_source off_source;
	uint32_t off_search_cnt; /* each looks at all events */
	uint64_t weightless_cnt, negative_cnt, unread_cnt;
};

/** What a sample counts as. */
struct pa_sample_use {
	uint32_t label; /* index of its set + 1; 0 none */
	bool is_off;	/* off_tid leaves the CPU here: the weight is known later */
	uint32_t off_tid;
};

/** Why threads waited, of an event that perf-agent --offcpu makes: its name is "offcpu:REASON" and
 *  its periods are nanoseconds. @return NULL: another event */
const char *pa_fields__off_reason(const struct pd_event *e);

void pa_fields__init(struct pa_session *s);
void pa_fields__free(struct pa_session *s);
/** Take in the file's TRACING_DATA; names the events that have no name. @return 0, -ENOMEM */
int pa_fields__take_tracing(struct pa_session *s, const void *data, size_t bytes);
/** Decide what a sample counts as; its period becomes its weight. May put ids, time and chain
 *  of packed samples right, which are then borrowed until the next call.
 *  @return 0, 1 leave it out (counted), -EBADMSG, -ENOMEM */
int pa_fields__of_sample(struct pa_session *s, struct pd_sample *sample, struct pa_sample_use *out);
static inline bool pa_fields__is_plain(const struct pa_fields *f, size_t event)
{
	return event < f->use_cnt && f->uses[event].is_plain;
}
/** After the last sample: was what the options ask for in the file?
 *  @return 0, -ENOENT (pa_session__errmsg says what is missing) */
int pa_fields__check(struct pa_session *s);

#endif
