/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proctab.h - the processes of a capture. It alone consumes the kernel's sideband records and
 * reads /proc/PID, and it decides what of them goes into the file: nothing of a process before
 * its first sample ("enrolment"), then its name and executable mappings, then the kernel's own
 * records as they come.
 *
 * The capture drains in passes. In each it feeds the sideband records in order of time, then
 * notes the pass's samples, then asks for the records of the processes to enrol. Until a process
 * is enrolled its records are kept here, so that one that ends first still has its maps; what is
 * older than any sample that can still come is written with a time just before it.
 */
#ifndef PA_CAPTURE_PROCTAB_H
#define PA_CAPTURE_PROCTAB_H

#include <linux/perf_event.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/images.h"
#include "capture/ring.h"
#include "perfdata/perfdata.h"

struct pa_proctab;

struct pa_proctab_opts {
	size_t sz;
	const struct pd_events *events; /* of the file; borrowed */
	uint64_t sample_id;
	struct pa_images *images; /* borrowed */
	/** A process ended and is forgotten. May be NULL. */
	void (*ended)(void *ctx, pid_t pid);
	/** A record goes into the file. May be NULL.
	 *  @param file  of an MMAP2: number of the image (pa_images__complete), else PA_NO_FILE
	 *  @return 0, -ENOMEM */
	int (*record)(void *ctx, const struct perf_event_header *hdr, uint32_t file);
	void *ctx;
};

struct pa_proctab_stats {
	uint64_t enrolled_cnt;	/* process incarnations with records in the file */
	uint64_t maps_read_cnt; /* /proc/PID/maps files read */
	uint64_t gone_cnt;	/* ended before anything was known of them */
	uint64_t process_cnt;	/* in the table now */
};

/** @return 0 or -ENOMEM */
int pa_proctab__new(const struct pa_proctab_opts *opts, struct pa_proctab **out);
void pa_proctab__free(struct pa_proctab *t);

/** A pass begins. No sample that is still to come is older than oldest_ns (CLOCK_MONOTONIC), and
 *  nothing may be written with a time before floor_ns. */
void pa_proctab__begin_pass(struct pa_proctab *t, uint64_t oldest_ns, uint64_t floor_ns);
/** Take in one sideband record; records of enrolled processes are appended to out.
 *  @return 0, -ENOMEM; a malformed record is dropped */
int pa_proctab__feed(struct pa_proctab *t, const struct perf_event_header *hdr,
		     struct pa_bytes *out);
/** The kernel dropped sideband records: what is known is stale, enrol all again. */
void pa_proctab__resync(struct pa_proctab *t);
/** A sample of process pid was drained. @return 0, -ENOMEM */
int pa_proctab__sample(struct pa_proctab *t, uint32_t pid, uint64_t time_ns);
/** Append the records of all processes that were sampled and are not in the file yet.
 *  @return 0, -ENOMEM */
int pa_proctab__enrol(struct pa_proctab *t, struct pa_bytes *out);
/** The pass ends: forget processes that ended long enough ago. */
void pa_proctab__end_pass(struct pa_proctab *t);
void pa_proctab__stats(const struct pa_proctab *t, struct pa_proctab_stats *out);

#endif
