/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched.h - what the scheduler metrics' programs and user space share: the buckets of histograms,
 * and what is counted of a process or of a CPU. Compiled by both compilers.
 *
 * Buckets are log-linear: values below 128 have one each, above it every power of two has 64, so
 * that a bucket is at most 1/64 of its values wide.
 */
#ifndef PA_BPF_SCHED_H
#define PA_BPF_SCHED_H

#include <linux/types.h>

#define PA_HIST_SUB_BITS 6
#define PA_HIST_SUB (1 << PA_HIST_SUB_BITS)
#define PA_HIST_TOP_BIT 40 /* values from 2^40 ns (18 minutes) on share the last bucket */
#define PA_HIST_BUCKETS ((PA_HIST_TOP_BIT - PA_HIST_SUB_BITS + 1) * PA_HIST_SUB)

#define PA_WAKE_TID_BITS 22 /* PID_MAX_LIMIT is 4194304 */
#define PA_WAKE_TIME_BITS (64 - PA_WAKE_TID_BITS)
#define PA_WAKE_TIME_MASK ((1ULL << PA_WAKE_TIME_BITS) - 1) /* 73 minutes of ns */
#define PA_WAKE_WAIT_MAX (PA_WAKE_TIME_MASK / 2)	    /* more: a clock that stepped back */

#define PA_SCHED_PIDS_MAX (1U << PA_WAKE_TID_BITS)
#define PA_SCHED_EXITS 4096 /* slots of threads that exit, by thread id */

enum pa_counter {
	PA_COUNTER_CYCLES = 0,
	PA_COUNTER_INSTRUCTIONS = 1,
	PA_COUNTER_CACHE_MISSES = 2,
	PA_COUNTER_BRANCH_MISSES = 3,
	PA_COUNTER_CNT = 4,
};

/** Why a thread left its CPU. */
enum pa_switch_reason {
	PA_SWITCH_PREEMPTED = 0, /* could have run on */
	PA_SWITCH_VOLUNTARY = 1, /* sleeps, waits for a lock, is parked */
	PA_SWITCH_IO = 2,	 /* uninterruptible */
	PA_SWITCH_YIELDED = 3,	 /* sched_yield(2) */
	PA_SWITCH_STOPPED = 4,	 /* stopped, traced or frozen */
	PA_SWITCH_EXITED = 5,
	PA_SWITCH_CNT = 6,
};

/** As struct bpf_perf_event_value, summed over slices. */
struct pa_counter_sum {
	__u64 value, enabled_ns, running_ns;
};

/** Beside a histogram, whose buckets say how many there are. */
struct pa_dist_sums {
	__u64 sum_ns;
	__u64 min1_ns; /* smallest + 1; 0: none yet */
	__u64 max_ns;
};

/** What is counted of a process, or of all on a CPU. Sums are exact; the extremes of a process
 *  that runs on several CPUs may have lost a race. */
struct pa_sched_totals {
	struct pa_dist_sums slice, wait;
	__u64 cut_cnt, cut_ns; /* parts of slices that the capture's begin or end cut */
	__u64 reasons[PA_SWITCH_CNT];
	struct pa_counter_sum counters[PA_COUNTER_CNT];
	char comm[16]; /* of a process: its name at its first slice's end, or its own */
	__u32 slices[PA_HIST_BUCKETS], waits[PA_HIST_BUCKETS];
};
_Static_assert(sizeof(struct pa_sched_totals) == 224 + 8 * PA_HIST_BUCKETS, "no padding");

enum pa_sched_off {
	PA_SCHED_OFF = 1,   /* this CPU is not asked for */
	PA_SCHED_ENDED = 2, /* all is accounted */
};

/** The thread that runs on a CPU. */
struct pa_sched_cpu {
	__u64 start_ns; /* of its slice; 0: not known */
	__u64 wait_ns;	/* before it */
	__u8 has_wait;
	__u8 cut; /* began before the capture */
	__u8 off; /* enum pa_sched_off; 0: it is counted */
	__u8 pad;
	__u32 last_tgid;  /* that was counted here last: it passes the filter... */
	__u32 generation; /* ...of then */
	__u32 lost_waits; /* two threads that waited had one slot of the table */
	struct pa_counter_sum last[PA_COUNTER_CNT];
};
_Static_assert(sizeof(struct pa_sched_cpu) == 128, "two cache lines");

/** A thread that waits for a CPU when the capture ends, as the iterator says it. */
struct pa_sched_waiting {
	__u64 wait_ns;
	__u32 tgid, tid; /* tid: the kernel's number */
};
_Static_assert(sizeof(struct pa_sched_waiting) == 16, "no padding");

/** Bucket of a value. */
static inline __u32 pa_hist_bucket(__u64 v)
{
	__u64 rest = v >> (PA_HIST_SUB_BITS + 1);
	__u32 shift = 0;

	if (v >> PA_HIST_TOP_BIT)
		return PA_HIST_BUCKETS - 1;
	if (rest >> 32) {
		shift += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		shift += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		shift += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		shift += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		shift += 2;
		rest >>= 2;
	}
	shift += rest >> 1 ? 2 : rest;
	return (shift << PA_HIST_SUB_BITS) + (__u32)(v >> shift);
}

#endif
