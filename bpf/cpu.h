/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpu.h - what the on-CPU sampler and user space share. Compiled by both compilers.
 */
#ifndef PA_BPF_CPU_H
#define PA_BPF_CPU_H

#include <linux/types.h>

#define PA_FRAMES_MAX 127  /* of each context, kernel and user: perf's default */
#define PA_CHAIN_SLOTS 256 /* 2 context markers, 2 x 127 frames; a power of two, to mask with */
#define PA_BRANCHES_MAX 64 /* of a sample; no CPU has more */
#define PA_BRANCH_SLOTS (1 + 3 * PA_BRANCHES_MAX)
#define PA_SEEN_BITS 65536	     /* processes that woke the reader, by tgid modulo this */
#define PA_RING_TYPE_PRIVATE 0x10000 /* ring entry types from here on never reach a file */

/** A ring entry: a finished PERF_RECORD_SAMPLE of sample_type IDENTIFIER | IP | TID | TIME | CPU |
 *  PERIOD | CALLCHAIN. Only the first 64 + 8 * nr bytes are written, and behind these, if they were
 *  asked for (BRANCH_STACK), the branches: their number in 8 bytes, and so many struct
 *  perf_branch_entry of 24 bytes. They may reach beyond ips. */
struct pa_sample_record {
	__u32 type;
	__u16 misc;
	__u16 size;
	__u64 id;
	__u64 ip;
	__u32 pid, tid;
	__u64 time;
	__u32 cpu, res;
	__u64 period;
	__u64 nr;
	__u64 ips[PA_CHAIN_SLOTS];
};
_Static_assert(sizeof(struct pa_sample_record) == 64 + 8 * PA_CHAIN_SLOTS, "record layout");

/** Counters of one CPU, in its own cache lines. fired = written + lost. Each walk of a user stack
 *  counts in one of those from complete_tables to missed. */
struct pa_cpu_stats {
	__u64 fired;	       /* passed the filters */
	__u64 written;	       /* samples, and walks for user space to finish */
	__u64 lost;	       /* ring full or absent */
	__u64 no_user_stack;   /* a user task whose stack could not be read at its first frame */
	__u64 complete_tables; /* up to the outermost frame, with rows of tables */
	__u64 complete_fp;     /* by frame pointers alone */
	__u64 truncated;
	__u64 faulted; /* ended by memory that could not be read */
	__u64 deep;    /* ended at PA_FRAMES_MAX */
	__u64 missed;  /* left to user space to finish */
	/* why they were, or would have been but for the cap */
	__u64 no_process, no_table, complex;
	__u64 capped; /* these were walked on by frame pointers */
	__u64 pad[2];
};
_Static_assert(sizeof(struct pa_cpu_stats) == 128, "two cache lines");

#endif
