/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proctab_internal.h - shared by proctab.c (the table) and enrol.c (what enrolment writes).
 */
#ifndef PA_CAPTURE_PROCTAB_INTERNAL_H
#define PA_CAPTURE_PROCTAB_INTERNAL_H

#include <stdbool.h>
#include <uthash.h>

#include "capture/proctab.h"

#define PA_CACHE_SLOTS 4096

/** One incarnation of a process. */
struct proc {
	uint32_t pid;
	uint64_t start_ns; /* of its FORK record; 0: before the capture */
	uint64_t seen_ns;  /* time of the record or sample that it was first known by */
	uint64_t end_ns;   /* of its leader's EXIT record; 0: lives */
	uint64_t exec_ns;  /* of its last exec; 0: none seen */
	uint64_t first_ns; /* earliest sample while pending */
	uint32_t parent_pid;
	bool enrolled;
	bool pending;	  /* sampled, to be enrolled in this pass */
	bool history_cut; /* history is incomplete: too long, or the kernel dropped records */
	struct pa_bytes history; /* records until it is enrolled */
	size_t exec_offset;	 /* of its last exec in history */
	struct proc *older;	 /* earlier incarnation of the same pid */
	struct proc *next_pending, *next_ended;
	UT_hash_handle hh;
};

struct pa_proctab {
	struct pa_proctab_opts opts;
	struct proc *procs; /* current incarnations by pid */
	struct proc *pending, *ended;
	uint64_t oldest_ns, floor_ns;
	int64_t boottime_offset_ns;	       /* CLOCK_BOOTTIME - CLOCK_MONOTONIC */
	uint32_t enrolled_pid[PA_CACHE_SLOTS]; /* by pid modulo: current incarnation enrolled? */
	struct pa_proctab_stats stats;
};

/** Current incarnation, or NULL. */
struct proc *pa_proctab_find(struct pa_proctab *t, uint32_t pid);
/** A record of bytes was written at the end of out: append it, unless bytes is an error, and tell
 *  who listens. @return 0, -ENOMEM */
int pa_proctab_emit(struct pa_proctab *t, struct pa_bytes *out, int bytes, uint32_t file);
/** Append a record as it goes into the file. time_ns 0: the record's own. */
int pa_proctab_write(struct pa_proctab *t, const struct perf_event_header *hdr, uint64_t time_ns,
		     struct pa_bytes *out);
/** Append the records that make p known. @return 0, -ENOMEM */
int pa_proctab_enrol_one(struct pa_proctab *t, struct proc *p, struct pa_bytes *out);

#endif
