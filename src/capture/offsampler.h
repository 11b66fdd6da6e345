/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offsampler.h - the off-CPU sampler: one BPF program at each switch of threads, and a ring per
 * CPU. What comes out of it are finished PERF_RECORD_SAMPLEs, at the end of a wait, and walks of
 * waits that go on (bpf/offcpu.h).
 */
#ifndef PA_CAPTURE_OFFSAMPLER_H
#define PA_CAPTURE_OFFSAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/offcpu.h"
#include "capture/ring.h"
#include "capture/sampler.h"

struct pa_offsampler;

struct pa_offsampler_opts {
	size_t sz;
	uint64_t reason_ids[PA_OFF_REASON_CNT]; /* for the records' id field */
	unsigned reasons;			/* bits of enum pa_off_reason: those that count */
	uint64_t min_ns;			/* shorter waits don't count */
	double probability;			/* of each wait to be recorded; 0: by rate_hz */
	uint64_t rate_hz;			/* waits recorded per CPU, about; 0: all */
	bool kernel_stacks, all, follow, tables, tables_optional; /* as of the sampler */
	size_t ring_bytes; /* per CPU, a power of two; 0: by what is written */
	/** Write switches as they come (struct pa_switch_record), and samples with the first of
	 *  the ids: no waits, no chances. */
	bool log_switches;
	uint32_t tracepoint_id; /* of sched:sched_switch: log those of no interest, too; 0: don't */
	/** Share its processes and unwind tables; NULL: own ones. Borrowed */
	const struct pa_sampler *sampler;
};

struct pa_offsampler_stats {
	struct pa_sampler_stats walks;
	uint64_t begun, chosen;	   /* waits */
	uint64_t ended, ended_ns;  /* between begin and end, recorded or not, no shorter than min */
	uint64_t flushed;	   /* samples at the end */
	uint64_t no_room, no_slot; /* left out */
	uint64_t waiting, waiting_no_user; /* when it began; of these, without user stack */
};

/** Load the program. *out is set (close it) unless -ENOMEM, for pa_offsampler__errmsg.
 *  @return 0, -errno */
int pa_offsampler__open(const struct pa_offsampler_opts *opts, struct pa_offsampler **out);
/** Follow switches from now on; nothing counts before pa_offsampler__begin. @return 0, -errno */
int pa_offsampler__enable(struct pa_offsampler *o);
/** Read some of the threads that wait, as struct pa_miss_record with the kernel's thread number
 *  in res. @param out  replaced
 *  @return 1, 0 there are no more, -errno */
int pa_offsampler__read_waiting(struct pa_offsampler *o, struct pa_bytes *out);
/** Keep the sample of one of these until the wait ends, unless it has ended.
 *  @param tid  the kernel's number */
void pa_offsampler__keep_waiting(struct pa_offsampler *o, uint32_t tid,
				 struct pa_sample_record *rec);
/** Waits count from now on (CLOCK_MONOTONIC); of those that have begun, the rest. */
void pa_offsampler__begin(struct pa_offsampler *o, uint64_t now_ns);
/** Nothing counts from now on. */
void pa_offsampler__end(struct pa_offsampler *o, uint64_t now_ns);
/** Append the samples of waits that go on at the end. Once, after pa_offsampler__end.
 *  @return 0, -ENOMEM */
int pa_offsampler__flush(struct pa_offsampler *o, struct pa_bytes *out);
/** As of the sampler. */
int pa_offsampler__add_pid(struct pa_offsampler *o, pid_t pid);
int pa_offsampler__remove_pid(struct pa_offsampler *o, pid_t pid);
void pa_offsampler__forget_pid(struct pa_offsampler *o, pid_t pid);
int pa_offsampler__update_cpus(struct pa_offsampler *o);
int64_t pa_offsampler__drain(struct pa_offsampler *o, struct pa_bytes *out);
int pa_offsampler__epoll_fd(const struct pa_offsampler *o);
int pa_offsampler__unwind_maps(const struct pa_offsampler *o, struct pa_unwind_maps *out);
void pa_offsampler__stats(const struct pa_offsampler *o, struct pa_offsampler_stats *out);
const char *pa_offsampler__errmsg(const struct pa_offsampler *o);
void pa_offsampler__close(struct pa_offsampler *o);

#endif
