/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * waits.h - samples of waits on their way into the file: those whose walk was left to user space
 * get it, from where the wait began; and how far the sums may be off is counted.
 */
#ifndef PA_CAPTURE_WAITS_H
#define PA_CAPTURE_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/offcpu.h"
#include "capture/ring.h"
#include "capture/unwinder.h"

struct pa_waits;

struct pa_waits_stats {
	uint64_t sample_cnt;
	uint64_t period_sum_ns;
	double variance_ns2;   /* of that sum, since not every wait is recorded */
	uint64_t unwalked_cnt; /* whose walk never came */
	uint64_t thread_cnt;   /* with walks in hand */
};

/** @return 0, -ENOMEM */
int pa_waits__new(struct pa_waits **out);
void pa_waits__free(struct pa_waits *w);
/** Walk a wait's stack and append its sample to out: without end, its time the begin.
 *  @param u  NULL: by frame pointers @return 0, -ENOMEM */
int pa_waits__walk(struct pa_unwinder *u, const struct pa_miss_record *miss, struct pa_bytes *out);
/** A walk was finished, of a wait that began at the sample's time. Copied. @return 0, -ENOMEM */
int pa_waits__walked(struct pa_waits *w, const struct pa_sample_record *rec);
/** A thread ended: walks whose samples don't come are of no use any more. */
void pa_waits__exited(struct pa_waits *w, uint32_t tid, uint64_t time_ns);
/** Is there a sample among them that awaits its walk? */
bool pa_waits__is_awaited(const struct pa_bytes *samples);
/** Complete samples, which may grow: what the kernel's program noted in res goes.
 *  @return 0, -ENOMEM */
int pa_waits__complete(struct pa_waits *w, struct pa_bytes *samples);
void pa_waits__stats(const struct pa_waits *w, struct pa_waits_stats *out);

#endif
