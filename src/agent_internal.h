/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * agent_internal.h - shared by agent.c (the capture's course), agent_offcpu.c and agent_metrics.c
 * (what belongs to these), and output.c (what it leaves).
 */
#ifndef PA_AGENT_INTERNAL_H
#define PA_AGENT_INTERNAL_H

#include <limits.h>
#include <linux/perf_event.h>

#include "capture/capture.h"
#include "command.h"
#include "metrics/metrics.h"
#include "perfagent.h"

#define PA_SAMPLE_ID 1 /* of the on-CPU event, and of all records that describe processes */
#define PA_OFF_ID 2    /* + enum pa_off_reason */
#define PA_SWITCH_ID 5

/* epoll tags */
#define PA_WATCH_STOP 0
#define PA_WATCH_RINGS 1
#define PA_WATCH_PROCESS 2 /* + index into watched */

/** What samples of one kind become. */
struct pa_output {
	const char *profile, *perf_data; /* paths; NULL: none */
	struct pd_events *events;	 /* as the file describes them; NULL: no such samples */
	struct pa_session *session;
	struct pd_writer *writer;
	bool failed;		 /* the writer said so, and it was reported */
	struct pa_bytes tracing; /* TRACING_DATA; empty: none */
	uint64_t fired_cnt, written_cnt, lost_cnt;
};

/** A process whose end is awaited. */
struct pa_watched {
	int fd; /* pidfd */
	pid_t pid;
};

struct pa_agent {
	struct pa_agent_opts opts;
	struct pa_cpus cpus;
	struct perf_event_attr attr; /* as it is opened */
	struct pa_images *images;
	struct pa_symbolizer *symbolizer;
	struct pa_output on, off;
	uint32_t tracepoint_id;	    /* of sched:sched_switch; 0: not used */
	struct pa_capture *capture; /* NULL: no profile was asked for */
	struct pa_sched *sched;	    /* NULL: no metrics were asked for */
	struct pa_metrics *metrics;
	struct pa_command command;
	struct pd_blob_capture info;
	struct pa_agent_result result;
	int epoll_fd, stop_fd;
	struct pa_watched *watched;
	size_t watched_cnt, gone_cnt;
	uint64_t progress_ns, metrics_ns; /* when last */
	bool started, running, stop;
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
int pa_agent_open_perf_data(struct pa_agent *a, struct pa_output *o);
/** An output as messages name it. */
static inline const char *pa_agent_output_name(const char *path)
{
	return path[0] == '-' && !path[1] ? "standard output" : path;
}
/** Is there a profile or a perf.data file to be made? */
static inline bool pa_agent_profiles(const struct pa_agent *a)
{
	return a->opts.profile_output || a->opts.perf_data_output;
}
/** Are there off-CPU samples to be made? */
static inline bool pa_agent_offcpus(const struct pa_agent *a)
{
	return a->opts.offcpu_output || a->opts.offcpu_perf_data_output ||
	       a->opts.layout == PA_LAYOUT_COMBINED;
}
/** Samples and what describes processes are laid out alike in all files. */
void pa_agent_set_layout(struct perf_event_attr *attr);
/** Off-CPU samples; each does nothing when none were asked for. @return 0, -errno */
int pa_agent_check_offcpu(struct pa_agent *a);
int pa_agent_describe_offcpu(struct pa_agent *a);
struct pa_offsampler_opts pa_agent_offcpu_opts(const struct pa_agent *a,
					       const struct pa_sampler_opts *sampler);
void pa_agent_take_offcpu(struct pa_agent *a, const struct pa_capture_stats *st);
/** Scheduler and hardware metrics; each does nothing when none were asked for. @return 0, -errno */
int pa_agent_open_metrics(struct pa_agent *a);
int pa_agent_begin_metrics(struct pa_agent *a);
int pa_agent_poll_metrics(struct pa_agent *a, uint64_t now);
/** How long the next poll may wait. */
uint64_t pa_agent_metrics_interval_ns(const struct pa_agent *a);
int pa_agent_forget_in_metrics(struct pa_agent *a, pid_t pid);
int pa_agent_end_metrics(struct pa_agent *a);
int pa_agent_write_metrics(struct pa_agent *a);
void pa_agent_close_metrics(struct pa_agent *a);
/** A pass failed: say whose fault it was. @return err */
int pa_agent_capture_failed(struct pa_agent *a, int err);

#endif
