// SPDX-License-Identifier: GPL-2.0-only
/*
 * metrics.c - what is derived from the counts of a process or of several merged.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics.h"

#define ZERO_LIMIT_NS 1000000	   /* a CPU counts something in a millisecond */
#define ZERO_LIMIT_INSTR 10000000  /* among so many instructions some branch is mispredicted... */
#define ZERO_LIMIT_CACHE 300000000 /* ...and some are not in a large cache */

int pa_metrics_item__merge(struct pa_metrics_item *it, const struct pa_metrics_item *from)
{
	int err = pa_dist__merge(&it->slices, &from->slices);

	if (!err)
		err = pa_dist__merge(&it->waits, &from->waits);
	if (err)
		return err;
	it->cut_cnt += from->cut_cnt;
	it->cut_ns += from->cut_ns;
	it->waiting_cnt += from->waiting_cnt;
	it->waiting_ns += from->waiting_ns;
	if (it->waiting_max_ns < from->waiting_max_ns)
		it->waiting_max_ns = from->waiting_max_ns;
	for (int i = 0; i < PA_SWITCH_CNT; i++)
		it->reasons[i] += from->reasons[i];
	for (int i = 0; i < PA_COUNTER_CNT; i++) {
		it->counters[i].value += from->counters[i].value;
		it->counters[i].enabled_ns += from->counters[i].enabled_ns;
		it->counters[i].running_ns += from->counters[i].running_ns;
	}
	return 0;
}

void pa_metrics_item__free(struct pa_metrics_item *it)
{
	pa_dist__free(&it->slices);
	pa_dist__free(&it->waits);
}

uint64_t pa_metrics_item__switches(const struct pa_metrics_item *it)
{
	uint64_t cnt = 0;

	for (int i = 0; i < PA_SWITCH_CNT; i++)
		cnt += it->reasons[i];
	return cnt;
}

/* Each switch ends a slice, whole or cut. What runs meanwhile makes small differences. */
bool pa_metrics_item__overflowed(const struct pa_metrics_item *it)
{
	return pa_metrics_item__switches(it) > it->slices.cnt + it->cut_cnt + UINT32_MAX / 2;
}

uint64_t pa_metrics_item__cpu_ns(const struct pa_metrics_item *it)
{
	return it->slices.sum_ns + it->cut_ns;
}

uint64_t pa_metrics_item__wait_ns(const struct pa_metrics_item *it)
{
	return it->waits.sum_ns + it->waiting_ns;
}

void pa_metrics_item__add_waiting(struct pa_metrics_item *it, uint64_t wait_ns)
{
	it->waiting_cnt++;
	it->waiting_ns += wait_ns;
	if (it->waiting_max_ns < wait_ns)
		it->waiting_max_ns = wait_ns;
}

const char *pa_metrics_counter_name(enum pa_counter counter)
{
	static const char *const names[] = {
		[PA_COUNTER_CYCLES] = "cycles",
		[PA_COUNTER_INSTRUCTIONS] = "instructions",
		[PA_COUNTER_CACHE_MISSES] = "cache-misses",
		[PA_COUNTER_BRANCH_MISSES] = "branch-misses",
	};

	return names[counter];
}

enum pa_counter_state pa_metrics_counter(const struct pa_metrics_item *it, enum pa_counter counter,
					 double *value)
{
	const struct pa_counter_sum *sum = &it->counters[counter];
	bool is_miss = counter >= PA_COUNTER_CACHE_MISSES;
	double instructions = 0, limit;

	*value = 0;
	if (!sum->enabled_ns)
		return PA_NOT_THERE;
	if (!sum->running_ns)
		return PA_NEVER_RAN;
	*value = (double)sum->value * ((double)sum->enabled_ns / (double)sum->running_ns);
	if (sum->value)
		return PA_COUNTED;
	if (is_miss)
		pa_metrics_counter(it, PA_COUNTER_INSTRUCTIONS, &instructions);
	limit = counter == PA_COUNTER_CACHE_MISSES ? ZERO_LIMIT_CACHE : ZERO_LIMIT_INSTR;
	if (is_miss ? instructions > limit : sum->running_ns > ZERO_LIMIT_NS)
		return PA_ZERO;
	return PA_COUNTED;
}

bool pa_metrics_ratio(const struct pa_metrics_item *it, enum pa_ratio ratio, double *value)
{
	static const enum pa_counter above[] = {
		[PA_RATIO_IPC] = PA_COUNTER_INSTRUCTIONS,
		[PA_RATIO_CACHE_MISSES] = PA_COUNTER_CACHE_MISSES,
		[PA_RATIO_BRANCH_MISSES] = PA_COUNTER_BRANCH_MISSES,
	};
	enum pa_counter below = ratio == PA_RATIO_IPC ? PA_COUNTER_CYCLES : PA_COUNTER_INSTRUCTIONS;
	double a, b;

	*value = 0;
	if (pa_metrics_counter(it, above[ratio], &a) != PA_COUNTED ||
	    pa_metrics_counter(it, below, &b) != PA_COUNTED || b <= 0)
		return false;
	*value = a / b * (ratio == PA_RATIO_IPC ? 1 : 1000);
	return true;
}

void pa_metrics__free(struct pa_metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->proc_cnt; i++)
		pa_metrics_item__free(&m->procs[i]);
	free(m->procs);
	pa_metrics_item__free(&m->all);
	free(m);
}
