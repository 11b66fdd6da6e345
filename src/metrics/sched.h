/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched.h - collect scheduler and hardware metrics: load bpf/sched.bpf.c, keep counters on each
 * CPU, take what was counted.
 */
#ifndef PA_METRICS_SCHED_H
#define PA_METRICS_SCHED_H

#include <stdbool.h>
#include <sys/types.h>

#include "capture/procfs.h"
#include "metrics/metrics.h"

struct pa_sched;

struct pa_sched_opts {
	size_t sz;
	bool all;    /* every process, not only those added */
	bool follow; /* children of those that were added, too */
	bool per_process;
	const struct pa_cpus *cpus; /* empty or NULL: all */
};

/** Load the programs and open the counters that the machine has; nothing is counted yet. *out is
 *  set (close it) unless -ENOMEM, so that pa_sched__errmsg can be asked. @return 0, -errno */
int pa_sched__open(const struct pa_sched_opts *opts, struct pa_sched **out);
int pa_sched__add_pid(struct pa_sched *s, pid_t pid);
/** A process that was added has ended: who has its id from now on, or in a few seconds, is not
 *  counted. @return 0, -ENOMEM */
int pa_sched__forget_pid(struct pa_sched *s, pid_t pid);
/** Count from here on. @return 0, -errno */
int pa_sched__enable(struct pa_sched *s);
/** What is to be done once or a few times a second: CPUs that came, processes that ended.
 *  @return 0, -errno */
int pa_sched__poll(struct pa_sched *s);
/** Take processes that ended, so that others find room: with per_process to be done every 50 ms.
 *  @return 0, -ENOMEM, -errno */
int pa_sched__poll_ended(struct pa_sched *s);
/** Stop counting, and take all that was counted.
 *  @param out  the caller's, to free with pa_metrics__free; NULL after an error
 *  @return 0, -errno */
int pa_sched__finish(struct pa_sched *s, struct pa_metrics **out);
/** Is any hardware counter there? @return why not, or "" */
const char *pa_sched__missing(const struct pa_sched *s);
const char *pa_sched__errmsg(const struct pa_sched *s);
void pa_sched__close(struct pa_sched *s);

#endif
