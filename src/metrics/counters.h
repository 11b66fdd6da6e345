/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * counters.h - the hardware counters of each CPU, in the map where a BPF program reads them.
 */
#ifndef PA_METRICS_COUNTERS_H
#define PA_METRICS_COUNTERS_H

#include <stddef.h>

#include "bpf/sched.h"
#include "capture/procfs.h"

/** Zero-initialized: none. */
struct pa_counters {
	int *fds; /* by CPU and enum pa_counter; -1: none */
	size_t cpu_cnt;
	char missing[PA_COUNTER_CNT][112]; /* why this machine does not count it; "": it does */
};

/** @param cpu_cnt  highest CPU number + 1. @return 0, -ENOMEM */
int pa_counters__init(struct pa_counters *c, size_t cpu_cnt);
/** Open those of CPUs that are online and have none yet, close those of CPUs that went. What a
 *  machine does not count is no error: missing says it.
 *  @param map_fd  of PERF_EVENT_ARRAY, at CPU * PA_COUNTER_CNT + counter
 *  @return 0, -errno of the map */
int pa_counters__update(struct pa_counters *c, const struct pa_cpus *online, int map_fd);
void pa_counters__close(struct pa_counters *c);

#endif
