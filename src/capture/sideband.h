/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sideband.h - the kernel's own COMM, MMAP2, FORK and EXIT records of all processes, from a dummy
 * event on each CPU (libperf), on the samples' clock.
 */
#ifndef PA_CAPTURE_SIDEBAND_H
#define PA_CAPTURE_SIDEBAND_H

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/procfs.h"
#include "capture/ring.h"

/** sample_type of the records' trailer, and of the file's samples. */
#define PA_SAMPLE_TYPE                                                                             \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN)

struct pa_sideband;

/** Open the dummy event on every online CPU and start it. *out is set (close it) unless -ENOMEM,
 *  for pa_sideband__errmsg. @return 0, -errno */
int pa_sideband__open(struct pa_sideband **out);
/** CPUs may have come or gone. @return 0, -errno */
int pa_sideband__update_cpus(struct pa_sideband *s);

/** One record that was drained: bytes at offset of the buffer. */
struct pa_sideband_entry {
	uint64_t time_ns;
	size_t offset;
};
struct pa_sideband_batch {
	struct pa_bytes bytes;
	struct pa_sideband_entry *entries; /* in order of time */
	size_t cnt, cap;
	uint64_t lost_cnt; /* records that the kernel had no room for */
};
/** Replace batch by all records that are in the rings, their ids rewritten to id.
 *  @return 0, -ENOMEM */
int pa_sideband__drain(struct pa_sideband *s, uint64_t id, struct pa_sideband_batch *batch);
void pa_sideband_batch__free(struct pa_sideband_batch *batch);

const char *pa_sideband__errmsg(const struct pa_sideband *s);
void pa_sideband__close(struct pa_sideband *s);

#endif
