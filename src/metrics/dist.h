/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dist.h - distributions of times: the buckets of bpf/sched.h that have something in them, with
 * exact count, sum and extremes. They merge without loss.
 */
#ifndef PA_METRICS_DIST_H
#define PA_METRICS_DIST_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/sched.h"

struct pa_dist_bin {
	uint64_t cnt;
	uint32_t bucket;
};

/** Zero-initialized: empty. bins ascend by bucket, none is empty, their counts add up to cnt. */
struct pa_dist {
	uint64_t cnt, sum_ns;
	uint64_t min_ns, max_ns; /* 0 when cnt is 0 */
	struct pa_dist_bin *bins;
	size_t bin_cnt;
};

/** Smallest and largest value of a bucket; the last one has no end but UINT64_MAX. */
uint64_t pa_hist_low(uint32_t bucket);
uint64_t pa_hist_high(uint32_t bucket);

/** Make a distribution of what a BPF map counted while it went on counting: the buckets say how
 *  many there are, and bound the extremes.
 *  @param buckets  PA_HIST_BUCKETS of them
 *  @return 0, -ENOMEM */
int pa_dist__take(struct pa_dist *d, const struct pa_dist_sums *sums, const uint32_t *buckets);
/** Add all of from to d. @return 0, -ENOMEM: d is as it was */
int pa_dist__merge(struct pa_dist *d, const struct pa_dist *from);
/** The value that a share of all values does not exceed, to its bucket: the bucket's largest, and
 *  no more than the maximum.
 *  @param share  0 to 1
 *  @return ns; 0 of an empty distribution */
uint64_t pa_dist__quantile(const struct pa_dist *d, double share);
double pa_dist__mean(const struct pa_dist *d);
void pa_dist__free(struct pa_dist *d);

#endif
