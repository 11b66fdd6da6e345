// SPDX-License-Identifier: GPL-2.0-only
/*
 * dist.c - distributions of times: made of a map's buckets, merged, asked for quantiles.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/dist.h"

uint64_t pa_hist_low(uint32_t bucket)
{
	uint32_t shift = bucket / PA_HIST_SUB;

	if (shift <= 1)
		return bucket;
	shift--;
	return (uint64_t)(bucket - shift * PA_HIST_SUB) << shift;
}

uint64_t pa_hist_high(uint32_t bucket)
{
	return bucket >= PA_HIST_BUCKETS - 1 ? UINT64_MAX : pa_hist_low(bucket + 1) - 1;
}

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
	return v < low ? low : v > high ? high : v;
}

int pa_dist__take(struct pa_dist *d, const struct pa_dist_sums *sums, const uint32_t *buckets)
{
	uint32_t first, last;
	size_t cnt = 0;

	*d = (struct pa_dist){0};
	for (uint32_t i = 0; i < PA_HIST_BUCKETS; i++)
		cnt += buckets[i] != 0;
	if (!cnt)
		return 0;
	d->bins = calloc(cnt, sizeof(*d->bins));
	if (!d->bins)
		return -ENOMEM;
	for (uint32_t i = 0; i < PA_HIST_BUCKETS && d->bin_cnt < cnt; i++) {
		if (!buckets[i])
			continue;
		d->bins[d->bin_cnt++] = (struct pa_dist_bin){buckets[i], i};
		d->cnt += buckets[i];
	}
	first = d->bins[0].bucket;
	last = d->bins[d->bin_cnt - 1].bucket;
	d->min_ns = clamp(sums->min1_ns - 1, pa_hist_low(first), pa_hist_high(first));
	d->max_ns = clamp(sums->max_ns, pa_hist_low(last), pa_hist_high(last));
	d->sum_ns = sums->sum_ns;
	return 0;
}

int pa_dist__merge(struct pa_dist *d, const struct pa_dist *from)
{
	struct pa_dist_bin *bins;
	size_t i = 0, j = 0, n = 0;

	if (!from->cnt)
		return 0;
	bins = calloc(d->bin_cnt + from->bin_cnt, sizeof(*bins));
	if (!bins)
		return -ENOMEM;
	while (i < d->bin_cnt || j < from->bin_cnt) {
		if (j == from->bin_cnt ||
		    (i < d->bin_cnt && d->bins[i].bucket < from->bins[j].bucket)) {
			bins[n++] = d->bins[i++];
		} else {
			bins[n] = from->bins[j++];
			if (i < d->bin_cnt && d->bins[i].bucket == bins[n].bucket)
				bins[n].cnt += d->bins[i++].cnt;
			n++;
		}
	}
	if (!d->cnt || from->min_ns < d->min_ns)
		d->min_ns = from->min_ns;
	if (from->max_ns > d->max_ns)
		d->max_ns = from->max_ns;
	d->cnt += from->cnt;
	d->sum_ns += from->sum_ns;
	free(d->bins);
	d->bins = bins;
	d->bin_cnt = n;
	return 0;
}

uint64_t pa_dist__quantile(const struct pa_dist *d, double share)
{
	double wanted = ceil(share * (double)d->cnt);
	uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted, seen = 0;

	for (size_t i = 0; i < d->bin_cnt; i++) {
		seen += d->bins[i].cnt;
		if (seen >= rank)
			return clamp(pa_hist_high(d->bins[i].bucket), d->min_ns, d->max_ns);
	}
	return d->max_ns;
}

double pa_dist__mean(const struct pa_dist *d)
{
	return d->cnt ? (double)d->sum_ns / (double)d->cnt : 0;
}

void pa_dist__free(struct pa_dist *d)
{
	free(d->bins);
	*d = (struct pa_dist){0};
}
