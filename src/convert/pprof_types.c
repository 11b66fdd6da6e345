// SPDX-License-Identifier: GPL-2.0-only
/*
 * pprof_types.c - events to sample types. One event is shown as people know it from other
 * profilers (samples, cpu); several keep their names, and events of the same name in several
 * inputs are one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/pprof_types.h"

#define OFFCPU "offcpu"

static bool is_clock(const struct perf_event_attr *attr)
{
	return attr->type == PERF_TYPE_SOFTWARE && (attr->config == PERF_COUNT_SW_CPU_CLOCK ||
						    attr->config == PERF_COUNT_SW_TASK_CLOCK);
}

/* Column of an event, new when there is none of its name. @return PA_NONE: too many */
static uint32_t get_column(struct pa_pprof_types *t, const char *name)
{
	for (size_t i = 0; i < t->column_cnt; i++)
		if (!strcmp(t->events[i], name))
			return i;
	if (t->column_cnt == PA_COLUMNS_MAX)
		return PA_NONE;
	t->events[t->column_cnt] = name;
	return t->column_cnt++;
}

/* Give a column to each event that was sampled; to the first one when nothing was. */
static int add_session(struct pa_pprof_types *t, const struct pa_session *s,
		       struct pa_pprof_weight *weights)
{
	size_t event_cnt = pd_events__cnt(s->opts.events);
	struct pa_stack stack;

	for (size_t i = 0; i < pa_session__stack_cnt(s); i++) {
		pa_session__stack(s, i, &stack);
		if (stack.event >= 0 && (size_t)stack.event < event_cnt)
			weights[stack.event].is_used = true;
	}
	for (size_t i = 0; i < event_cnt; i++) {
		const struct pd_event *event = pd_events__get(s->opts.events, i);
		const char *name = pa_fields__off_reason(event) ? OFFCPU : event->name;

		if (!weights[i].is_used)
			continue;
		if (pa_session__is_weighted(s))
			name = s->opts.off_cpu ? OFFCPU : s->opts.weight_field;
		weights[i].column = get_column(t, name);
		if (weights[i].column == PA_NONE)
			return -E2BIG;
	}
	return 0;
}

/* The attr of the first session's event that has this column. */
static const struct perf_event_attr *
attr_of(const struct pa_pprof_types *t, const struct pa_session *const *sessions, uint32_t column)
{
	for (size_t i = 0; i < t->session_cnt; i++)
		for (size_t k = 0; k < pd_events__cnt(sessions[i]->opts.events); k++)
			if (t->weights[i][k].is_used && t->weights[i][k].column == column)
				return &pd_events__get(sessions[i]->opts.events, k)->attr;
	return NULL;
}

static uint64_t period_of(const struct perf_event_attr *attr)
{
	if (!attr->freq)
		return attr->sample_period;
	return attr->sample_freq ? 1000000000 / attr->sample_freq : 0;
}

/* One event. Cycles at a frequency are shown as the time between two samples. */
static void name_one(struct pa_pprof_types *t, const struct pa_session *const *sessions)
{
	const struct perf_event_attr *attr = attr_of(t, sessions, 0);

	t->types[0] = (struct pprof_value_type){"samples", "count"};
	t->types[1] = (struct pprof_value_type){"cpu", "nanoseconds"};
	t->type_cnt = 2;
	if (pa_session__is_weighted(sessions[0])) {
		t->types[1].type =
			sessions[0]->opts.off_cpu ? OFFCPU : sessions[0]->opts.weight_field;
		t->types[1].unit = sessions[0]->opts.off_cpu ? "nanoseconds" : "count";
		t->period = 1;
		return;
	}
	if (!attr)
		return;
	if (!strcmp(t->events[0], OFFCPU)) {
		t->types[1].type = OFFCPU;
		t->period = 1;
		return;
	}
	t->period = period_of(attr);
	if (!is_clock(attr) && !attr->freq)
		t->types[1] = (struct pprof_value_type){t->events[0], "count"};
	if (is_clock(attr) || !attr->freq)
		return;
	for (size_t i = 0; i < t->session_cnt; i++)
		for (size_t k = 0; k < pd_events__cnt(sessions[i]->opts.events); k++)
			t->weights[i][k].ns_per_sample =
				period_of(&pd_events__get(sessions[i]->opts.events, k)->attr);
}

static int name_several(struct pa_pprof_types *t, const struct pa_session *const *sessions)
{
	static const char suffix[] = "_samples";
	size_t bytes = 0;
	char *p;

	for (size_t i = 0; i < t->column_cnt; i++)
		bytes += strlen(t->events[i]) + sizeof(suffix);
	p = t->heap = malloc(bytes);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < t->column_cnt; i++) {
		bool is_time = is_clock(attr_of(t, sessions, i)) || !strcmp(t->events[i], OFFCPU);

		t->types[2 * i] = (struct pprof_value_type){p, "count"};
		p = stpcpy(stpcpy(p, t->events[i]), suffix) + 1;
		t->types[2 * i + 1] =
			(struct pprof_value_type){t->events[i], is_time ? "nanoseconds" : "count"};
	}
	t->type_cnt = 2 * t->column_cnt;
	return 0;
}

int pa_pprof_types__init(struct pa_pprof_types *t, const struct pa_session *const *sessions,
			 size_t cnt)
{
	int err = 0;

	memset(t, 0, sizeof(*t));
	t->weights = calloc(cnt + 1, sizeof(*t->weights));
	if (!t->weights)
		return -ENOMEM;
	for (; !err && t->session_cnt < cnt; t->session_cnt++) {
		const struct pa_session *s = sessions[t->session_cnt];
		struct pa_pprof_weight *weights =
			calloc(pd_events__cnt(s->opts.events) + 1, sizeof(*weights));

		t->weights[t->session_cnt] = weights;
		err = weights ? add_session(t, s, weights) : -ENOMEM;
	}
	if (err)
		return err;
	if (!t->column_cnt && pd_events__cnt(sessions[0]->opts.events)) {
		t->weights[0][0].is_used = true;
		get_column(t, pd_events__get(sessions[0]->opts.events, 0)->name);
	}
	if (t->column_cnt > 1)
		err = name_several(t, sessions);
	else
		name_one(t, sessions);
	t->period_type = t->types[1];
	return err;
}

void pa_pprof_types__add(const struct pa_pprof_types *t, size_t i, const struct pa_stack *stack,
			 int64_t *values)
{
	const struct pa_pprof_weight *w = &t->weights[i][stack->event];

	values[2 * w->column] += stack->sample_cnt;
	values[2 * w->column + 1] +=
		w->ns_per_sample ? stack->sample_cnt * w->ns_per_sample : stack->period_sum;
}

void pa_pprof_types__clear(struct pa_pprof_types *t)
{
	for (size_t i = 0; t->weights && i < t->session_cnt; i++)
		free(t->weights[i]);
	free(t->weights);
	free(t->heap);
	memset(t, 0, sizeof(*t));
}
