/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offcpu.h - what the off-CPU sampler and user space share. Compiled by both compilers.
 *
 * A wait is from a thread's switch out to its switch in. Each has a chance to be recorded, a
 * number of 65536ths that is fixed before it is drawn; the sample's period is its time divided by
 * the chance, so that sums of periods are right on average.
 */
#ifndef PA_BPF_OFFCPU_H
#define PA_BPF_OFFCPU_H

#include <linux/types.h>

#include "cpu.h"

/** Why a thread is off its CPU. Each is an event of the file. */
enum pa_off_reason {
	PA_OFF_BLOCKED = 0,   /* sleeps, waits for a lock, is stopped */
	PA_OFF_IO = 1,	      /* uninterruptible */
	PA_OFF_PREEMPTED = 2, /* could have run on */
	PA_OFF_REASON_CNT = 3,
};

#define PA_OFF_SURE 65536    /* the chance of what is always recorded */
#define PA_OFF_WINDOWS_HZ 16 /* how often chances are worked out */
#define PA_OFF_SLOTS_MAX (1 << 17)
#define PA_OFF_SECOND(tid) ((tid)*0x9e3779b1U >> 8) /* its other slot */

/* period of a sample in waits: its chance, how long the taking of its stack took (ns), and how
 * often its CPU had been idle then */
#define PA_OFF_CHANCE(period) ((__u32)(period)&0xfffff)
#define PA_OFF_TOOK(period) ((period) >> 20 & 0xffffff)
#define PA_OFF_IDLES(period) ((__u32)((period) >> 44))
#define PA_OFF_PERIOD(chance, took, idles)                                                         \
	((chance) | ((took) < 0xffffff ? (took) : 0xffffff) << 20 | (__u64)(idles) << 44)

/* Ring entry: struct pa_miss_record of a wait that goes on. Its sample comes later, with the
 * kernel's part of the chain and PA_OFF_AWAITS in res. */
#define PA_RING_TYPE_WAIT 0x10003
#define PA_OFF_AWAITS 0x80000000U /* the rest of res: the chance */

/* Ring entry: struct pa_switch_record, after the sample of the same time and CPU. */
#define PA_RING_TYPE_SWITCH 0x10004

/** Raw data of the tracepoint sched:sched_switch. */
struct pa_switch_raw {
	__u16 common_type;
	__u8 common_flags, common_preempt_count;
	__s32 common_pid;
	char prev_comm[16];
	__s32 prev_pid, prev_prio;
	__s64 prev_state;
	char next_comm[16];
	__s32 next_pid, next_prio;
};
_Static_assert(sizeof(struct pa_switch_raw) == 64, "tracepoint layout");

/** A switch of threads, where all are written. Begins as a sample does. */
struct pa_switch_record {
	__u32 type;
	__u16 misc;
	__u16 size;
	__u64 id, ip;
	__u32 pid, tid; /* that leaves */
	__u64 time;
	__u32 cpu, res;
	__u32 next_pid, next_tid;
	__u8 leaves, comes; /* does the one, the other count? */
	__u8 preempted;
	__u8 pad[5];
	struct pa_switch_raw raw;
};
_Static_assert(sizeof(struct pa_switch_record) == 128, "switch layout");

/* Time of the waits that had begun before the capture. */
#define PA_OFF_BEFORE 1
/* Of the stacks of threads that wait then: a record must fit the iterator's buffer of 32 KB. */
#define PA_OFF_STACK_PAGES 6

/** A thread, in one of two slots by its number. A slot is free when out_ns is 0. */
struct pa_off_thread {
	__u32 tid;
	__u32 guess_us; /* how long its next wait will be: by those before */
	__u64 out_ns;	/* since when it is off its CPU; 0: it is not, or of no interest */
};
#define PA_OFF_KEPT (1ULL << 63) /* in out_ns: its stack is in waits */
_Static_assert(sizeof(struct pa_off_thread) == 16, "slot layout");

/** Of one CPU. */
struct pa_off_cpu {
	__u64 begun;	/* waits */
	__u64 chosen;	/* of these, to be recorded */
	__u64 ended;	/* not shorter than the least that counts */
	__u64 ended_ns; /* their time, recorded or not */
	__u64 no_room;	/* chosen, but too many threads wait */
	__u64 no_slot;	/* not even looked at: other threads have its slots */
	/* the current window */
	__u64 window; /* its number */
	__u32 begun_cnt, chosen_cnt;
	__u64 surely_us; /* waits that may be longer than this are always recorded */
	__u32 evenly;	 /* the chance that each has at least */
	__u32 skip;	 /* of the kernel's chain: frames of tracing itself */
	__u32 no_skip;	 /* their number can't be found out */
	__u32 idle_cnt;	 /* times that it had nothing to do */
	__u64 pad[5];
};
_Static_assert(sizeof(struct pa_off_cpu) == 128, "two cache lines");

#endif
