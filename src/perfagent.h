/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * perfagent.h - profile processes of this machine: the library behind the perf-agent command.
 *
 * A pa_agent is one capture: new, start, run, finish, free. Nothing is printed; what a person
 * should know arrives at opts.log. The calling thread does all the work, in pa_agent__run; only
 * pa_agent__request_stop may be called from elsewhere (another thread, a signal handler).
 */
#ifndef PERFAGENT_H
#define PERFAGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pa_agent;

enum pa_log_level {
	PA_LOG_INFO, /* what is being done */
	PA_LOG_WARN, /* the result is less than was asked for */
};

/** How user stacks are walked. */
enum pa_unwind {
	PA_UNWIND_BY_AUTO = 0, /* by tables, made when a process is first sampled (of targets:
				* before), where the kernel can; else frame pointers */
	PA_UNWIND_BY_FP,       /* by frame pointers */
	PA_UNWIND_BY_DWARF,    /* by tables, of all that runs, made before anything is sampled */
};

/** What off-CPU samples in a perf.data file look like. */
enum pa_perf_data_layout {
	PA_LAYOUT_SEPARATE = 0, /* a file of their own, an event for each reason, periods in ns */
	PA_LAYOUT_COMBINED,	/* perf_data_output has them, too: each switch, as hotspot wants */
	PA_LAYOUT_TRACEPOINT,	/* a file of their own: the tracepoint sched:sched_switch */
};

/** Why threads are off their CPUs: bits of pa_agent_opts.offcpu_reasons. */
enum {
	PA_OFFCPU_BLOCKED = 1,	 /* sleep, wait for locks, are stopped */
	PA_OFFCPU_IO = 2,	 /* uninterruptible: disk, for the most part */
	PA_OFFCPU_PREEMPTED = 4, /* could have run on */
};

struct pa_agent_progress {
	uint64_t elapsed_ns;
	uint64_t sample_cnt, lost_cnt;
};

/** What to capture. Strings and arrays are borrowed until pa_agent__free. */
struct pa_agent_opts {
	size_t sz;	   /* sizeof(struct pa_agent_opts) */
	const pid_t *pids; /* processes to sample (thread group ids)... */
	size_t pid_cnt;
	bool all;		 /* ...or every process; or neither: the command and its children */
	char *const *command;	 /* NULL-terminated; the capture ends with it. NULL: none */
	uint64_t duration_ns;	 /* 0: until the command or all targets end, or a stop request */
	const char *event;	 /* "cpu-clock", "cycles:u"...; NULL: cycles, else cpu-clock */
	uint64_t sample_rate_hz; /* per CPU; 0 with period: use period */
	uint64_t period;	 /* events per sample */
	const char *cpus;	 /* list such as "0-3,8"; NULL: all */
	bool kernel_stacks;
	bool branch_stack; /* with the branches before each sample, where the PMU records them */
	enum pa_unwind unwind;
	uint64_t unwind_bytes;	    /* of unwind tables at most; 0: 64 MiB */
	size_t ring_bytes;	    /* per CPU, a power of two of at least a page; 0: by the rate */
	const char *profile_output; /* pprof file, "-" standard output; NULL: none */
	const char *perf_data_output;	     /* perf.data file, "-" standard output; NULL: none */
	const char *offcpu_output;	     /* pprof file of off-CPU time; NULL: none */
	const char *offcpu_perf_data_output; /* its perf.data file; NULL: none */
	unsigned offcpu_reasons;	     /* PA_OFFCPU_*; 0: blocked and io */
	uint64_t offcpu_min_ns;		     /* shorter waits don't count */
	uint64_t offcpu_rate_hz;	     /* about so many waits are recorded per CPU; 0: all */
	double offcpu_probability;	     /* of each wait to be recorded; 0: by offcpu_rate_hz */
	enum pa_perf_data_layout layout;
	bool pmu;		 /* scheduler and hardware metrics */
	bool per_pid;		 /* ...of each process, with all */
	bool pmu_json;		 /* ...as JSON */
	size_t top;		 /* ...of so many processes at most; 0: all */
	const char *pmu_output;	 /* ...into this file; NULL or "-": standard output */
	const char *const *tags; /* "key=value" */
	size_t tag_cnt;
	const char *const *argv; /* for the file's command line; NULL-terminated, or NULL */
	void (*log)(void *ctx, enum pa_log_level level, const char *msg); /* one line, no newline */
	void (*progress)(void *ctx, const struct pa_agent_progress *p);	  /* about once a second */
	void *ctx;
};

/** Walks of user stacks by how they ended. Their sum is that of the samples that had a user stack
 *  to walk (not of kernel threads, nor of 32-bit processes). */
struct pa_agent_unwound {
	uint64_t complete_cnt;	  /* at the outermost frame, by unwind tables... */
	uint64_t complete_fp_cnt; /* ...or by frame pointers alone */
	uint64_t finished_cnt;	  /* complete, of those that were finished in user space */
	uint64_t truncated_cnt;	  /* tables and stack don't fit, or no way to go on is known */
	uint64_t faulted_cnt;	  /* memory that could not be read */
	uint64_t deep_cnt;	  /* more than 127 frames */
	/* of these, those that came to code without a table and were not left to user space,
	 * since there were too many: frame pointers were followed from there */
	uint64_t missing_table_cnt;
	uint64_t over_budget_cnt; /* images and processes without tables for want of memory */
	uint64_t image_cnt, table_bytes;
	bool by_tables;
};

/** Waits: times off the CPU, from switch out to switch in. */
struct pa_agent_offcpu {
	bool is_log;		    /* switches were written as they came: samples alone count */
	uint64_t wait_cnt, wait_ns; /* all that ended, or were cut by the capture's end */
	uint64_t sample_cnt;	    /* recorded */
	uint64_t estimate_ns;	    /* sum of their periods... */
	uint64_t error_ns;	    /* ...and its standard error, since not all are recorded */
	uint64_t lost_cnt;	    /* rings were full */
	uint64_t left_out_cnt;	    /* too many threads waited */
	uint64_t waiting_cnt;	    /* when the capture began... */
	uint64_t no_user_cnt;	    /* ...without their user stack */
	uint64_t stack_cnt;	    /* distinct */
};

struct pa_agent_result {
	uint64_t sample_cnt;	      /* in the outputs */
	uint64_t fired_cnt, lost_cnt; /* fired = drained + lost */
	uint64_t stack_cnt;	      /* distinct */
	uint64_t process_cnt;	      /* sampled */
	struct pa_agent_unwound unwound;
	struct pa_agent_offcpu offcpu;
	uint64_t perf_data_bytes;
	int command_status; /* of waitpid(2); -1: no command, or stopped by the agent */
};

/** Check the options and make an agent; nothing is opened yet. *out is set (free it) unless
 *  -ENOMEM, so that pa_agent__errmsg can be asked.
 *  @return 0, -EINVAL bad options, -ENOMEM */
int pa_agent__new(const struct pa_agent_opts *opts, struct pa_agent **out);
/** Open everything, start the command, and sample from here on. After an error only errmsg and
 *  free may be called. @return 0, -EALREADY, -errno */
int pa_agent__start(struct pa_agent *a);
/** Capture until the duration is over, the command or all targets ended, or a stop is requested.
 *  @return 0, -EINVAL not started, -errno: the capture broke off; finish saves what there is */
int pa_agent__run(struct pa_agent *a);
/** End pa_agent__run soon. Async-signal-safe; may be called before run. */
void pa_agent__request_stop(struct pa_agent *a);
/** Stop sampling and write the outputs. @return 0, -errno of the first output that failed */
int pa_agent__finish(struct pa_agent *a);
void pa_agent__result(const struct pa_agent *a, struct pa_agent_result *out);
/** "OBJECT: failed to VERB: REASON: remedy" of the first failure; "" when nothing failed. */
const char *pa_agent__errmsg(const struct pa_agent *a);
/** Release everything. An agent that was started and not finished leaves perf.data as it was at
 *  the last pass. */
void pa_agent__free(struct pa_agent *a);

#ifdef __cplusplus
}
#endif
#endif
