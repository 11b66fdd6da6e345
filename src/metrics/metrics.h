/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * metrics.h - what the scheduler and the hardware counters said of a capture, and its reports.
 */
#ifndef PA_METRICS_METRICS_H
#define PA_METRICS_METRICS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "metrics/dist.h"

/** Of one process, or of several merged. */
struct pa_metrics_item {
	pid_t pid; /* 0: several */
	char comm[16];
	struct pa_dist slices, waits;
	uint64_t cut_cnt, cut_ns; /* slices that the capture's begin or end cut: not in slices */
	/* threads that waited for a CPU at the end: not in waits */
	uint64_t waiting_cnt, waiting_ns, waiting_max_ns;
	uint64_t reasons[PA_SWITCH_CNT];
	struct pa_counter_sum counters[PA_COUNTER_CNT];
};

/** Add all of from to it; the names stay. @return 0, -ENOMEM */
int pa_metrics_item__merge(struct pa_metrics_item *it, const struct pa_metrics_item *from);
void pa_metrics_item__free(struct pa_metrics_item *it);
/** Context switches, that is slices that ended. */
uint64_t pa_metrics_item__switches(const struct pa_metrics_item *it);
/** Did a bucket count more than 2^32? Then count, mean and percentiles of slices or waits are
 * wrong. */
bool pa_metrics_item__overflowed(const struct pa_metrics_item *it);
/** Time on a CPU, cut slices included. */
uint64_t pa_metrics_item__cpu_ns(const struct pa_metrics_item *it);
/** Time waiting for a CPU, waits that have not ended included. */
uint64_t pa_metrics_item__wait_ns(const struct pa_metrics_item *it);
/** A thread waited so long when the capture ended. */
void pa_metrics_item__add_waiting(struct pa_metrics_item *it, uint64_t wait_ns);

enum pa_counter_state {
	PA_COUNTED,   /* with a plausible value */
	PA_NOT_THERE, /* the machine does not count it; pa_metrics.missing says why */
	PA_NEVER_RAN, /* other events had the hardware all the time */
	PA_ZERO,      /* 0, which can't be */
};

/** What one counter counted, scaled up when it shared the hardware.
 *  @param value  set in any case, 0 when it is not counted */
enum pa_counter_state pa_metrics_counter(const struct pa_metrics_item *it, enum pa_counter counter,
					 double *value);
enum pa_ratio {
	PA_RATIO_IPC,		/* instructions per cycle */
	PA_RATIO_CACHE_MISSES,	/* per 1000 instructions */
	PA_RATIO_BRANCH_MISSES, /* per 1000 instructions */
};
/** @return whether both counters have values that make one */
bool pa_metrics_ratio(const struct pa_metrics_item *it, enum pa_ratio ratio, double *value);
const char *pa_metrics_counter_name(enum pa_counter counter);

struct pa_metrics {
	struct pa_metrics_item *procs; /* by total wait, longest first; without per_process none */
	size_t proc_cnt;
	struct pa_metrics_item all; /* merged */
	uint64_t process_cnt;	    /* counted */
	uint64_t unnamed_cnt;	    /* switches of processes beyond the table: in all alone */
	uint64_t lost_wait_cnt;
	uint64_t unfollowed_cnt; /* children of a command that were not counted: too many at once */
	bool per_process;
	uint64_t start_ns, duration_ns;	   /* CLOCK_MONOTONIC */
	char missing[PA_COUNTER_CNT][112]; /* why a counter is not there; "" when it is */
};
void pa_metrics__free(struct pa_metrics *m);

struct pa_metrics_report {
	const char *target; /* "PID: 42", "System-Wide" */
	bool all;	    /* the whole system */
	size_t top;	    /* processes at most; 0: all */
};

/** Write the text for people, or one JSON object with a newline. Errors stay with the stream. */
void pa_metrics__text(const struct pa_metrics *m, const struct pa_metrics_report *r, FILE *out);
void pa_metrics__json(const struct pa_metrics *m, const struct pa_metrics_report *r, FILE *out);

#endif
