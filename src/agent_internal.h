/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * agent_internal.h - shared by agent.c (the capture's course) and output.c (what it leaves).
 */
#ifndef PA_AGENT_INTERNAL_H
#define PA_AGENT_INTERNAL_H

#include <limits.h>
#include <linux/perf_event.h>

#include "capture/capture.h"
#include "command.h"
#include "metrics/metrics.h"
#include "perfagent.h"

#define PA_SAMPLE_ID 1 /* of the file's one event */

/* epoll tags */
#define PA_WATCH_STOP 0
#define PA_WATCH_RINGS 1
#define PA_WATCH_PROCESS 2 /* + index into pid_fds */

struct pa_agent {
	struct pa_agent_opts opts;
	struct pa_cpus cpus;
	struct perf_event_attr attr; /* as it is opened */
	struct pd_events *events;    /* as the file describes it */
	struct pa_images *images;
	struct pa_symbolizer *symbolizer;
	struct pa_session *session;
	struct pd_writer *writer;
	struct pa_capture *capture; /* NULL: no profile was asked for */
	struct pa_sched *sched;	    /* NULL: no metrics were asked for */
	struct pa_metrics *metrics;
	struct pa_command command;
	struct pd_blob_capture info;
	struct pa_agent_result result;
	int epoll_fd, stop_fd;
	int *pid_fds;
	size_t pid_fd_cnt, gone_cnt;
	uint64_t progress_ns, metrics_ns; /* when last */
	bool started, running, stop;
	bool perf_data_failed; /* the writer said so, and it was reported */
	char target[128];
	char cache_dir[PATH_MAX]; /* of packed unwind tables; "": none */
	char errmsg[1024];
};

/** Record the first failure. @return err */
__attribute__((format(printf, 3, 4))) int pa_agent_fail(struct pa_agent *a, int err,
							const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void pa_agent_log(struct pa_agent *a, enum pa_log_level level,
							const char *fmt, ...);
/** Refuse outputs that can't be written before anything is captured. */
int pa_agent_check_outputs(struct pa_agent *a);
int pa_agent_open_perf_data(struct pa_agent *a);
/** Is there a profile or a perf.data file to be made? */
static inline bool pa_agent_profiles(const struct pa_agent *a)
{
	return a->opts.profile_output || a->opts.perf_data_output;
}
/** Scheduler and hardware metrics; each does nothing when none were asked for. @return 0, -errno */
int pa_agent_open_metrics(struct pa_agent *a);
int pa_agent_begin_metrics(struct pa_agent *a);
int pa_agent_poll_metrics(struct pa_agent *a, uint64_t now);
int pa_agent_end_metrics(struct pa_agent *a);
int pa_agent_write_metrics(struct pa_agent *a);
void pa_agent_close_metrics(struct pa_agent *a);
/** A pass failed: say whose fault it was. @return err */
int pa_agent_capture_failed(struct pa_agent *a, int err);

#endif
