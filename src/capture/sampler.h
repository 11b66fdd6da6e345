/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sampler.h - the on-CPU sampler: one perf event, one BPF program run and one ring per CPU. What
 * comes out of it are finished PERF_RECORD_SAMPLEs (bpf/cpu.h).
 */
#ifndef PA_CAPTURE_SAMPLER_H
#define PA_CAPTURE_SAMPLER_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/procfs.h"
#include "capture/ring.h"
#include "capture/unwinder.h"

struct pa_sampler;

struct pa_sampler_opts {
	size_t sz;
	const struct perf_event_attr *attr; /* type, config, exclude bits, frequency or period,
					     * branch stack */
	uint64_t sample_id;		    /* for the records' id field */
	bool kernel_stacks;
	bool all;		    /* every process; else those that were added */
	bool follow;		    /* added processes' children join them */
	const struct pa_cpus *cpus; /* NULL: those that are online, also later */
	size_t ring_bytes;	    /* per CPU, a power of two; 0: by the frequency */
	bool tables;		    /* walk user stacks by unwind tables, else frame pointers */
	bool tables_optional;	    /* where that can't be loaded, frame pointers will do */
};

/** Sums of struct pa_cpu_stats (bpf/cpu.h). */
struct pa_sampler_stats {
	uint64_t fired, written, lost, no_user_stack;
	uint64_t complete_tables, complete_fp, truncated, faulted, deep, missed;
	uint64_t no_process, no_table, complex, capped;
	uint64_t unfollowed; /* children of a command that found no room in the set */
};

/** Load the program and open the events, disabled. *out is set (close it) unless -ENOMEM, for
 *  pa_sampler__errmsg. @return 0, -errno */
int pa_sampler__open(const struct pa_sampler_opts *opts, struct pa_sampler **out);
/** Sample from now on. @return 0, -errno */
int pa_sampler__enable(struct pa_sampler *s);
/** Stop sampling; what is in the rings can still be drained. */
void pa_sampler__disable(struct pa_sampler *s);
/** Add a process to, or remove it from, the set that is sampled. Also while running.
 *  @return 0, -E2BIG the set is full (16,384), -errno */
int pa_sampler__add_pid(struct pa_sampler *s, pid_t pid);
int pa_sampler__remove_pid(struct pa_sampler *s, pid_t pid);
/** The next first sample of a process with this id wakes the reader again. */
void pa_sampler__forget_pid(struct pa_sampler *s, pid_t pid);
/** CPUs may have come or gone: open and close events to match. @return 0, -errno */
int pa_sampler__update_cpus(struct pa_sampler *s);
/** Append all records that are in the rings. @return bytes, -ENOMEM */
int64_t pa_sampler__drain(struct pa_sampler *s, struct pa_bytes *out);
/** Readable when there is something worth draining. */
int pa_sampler__epoll_fd(const struct pa_sampler *s);
/** Maps of the walk by tables, and whether the program says when processes map code.
 *  @return 0, -ENOENT stacks are walked by frame pointers */
int pa_sampler__unwind_maps(const struct pa_sampler *s, struct pa_unwind_maps *out);
/** Map of the processes that are sampled. */
int pa_sampler__pids_fd(const struct pa_sampler *s);
struct pa_cpu_stats;
/** @param stats  by CPU, cnt of them; NULL: none */
void pa_cpu_stats__sum(const struct pa_cpu_stats *stats, size_t cnt, struct pa_sampler_stats *out);
void pa_sampler__stats(const struct pa_sampler *s, struct pa_sampler_stats *out);
/** What failed and what to do about it; "" when nothing did. */
const char *pa_sampler__errmsg(const struct pa_sampler *s);
void pa_sampler__close(struct pa_sampler *s);

#endif
