// SPDX-License-Identifier: GPL-2.0-only
/*
 * report.c - whether a profile rests on enough samples. A count of n has an error of about its
 * square root: what matters are the lines that make most of the profile.
 */
#include <errno.h>
#include <stdlib.h>

#include "pgo/pgo.h"

/* 10 samples are within a third of the truth, 4 within a half. */
enum { LEAST_ENOUGH = 10, LEAST_FEW = 4 };

static int compare_falling(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a > b ? -1 : a < b;
}

int pa_pgo_profile__judge(const struct pa_pgo_profile *p, struct pa_pgo_quality *out)
{
	uint64_t *counts = malloc((p->line_cnt + 1) * sizeof(*counts));
	uint64_t all = 0, sum = 0;

	*out = (struct pa_pgo_quality){0};
	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; i < p->line_cnt; i++)
		all += counts[i] = p->lines[i].cnt;
	for (size_t i = 0; i < p->function_cnt; i++)
		out->function_cnt += p->functions[i].parent == PA_NONE;
	if (p->line_cnt)
		qsort(counts, p->line_cnt, sizeof(*counts), compare_falling);
	while (out->line_cnt < p->line_cnt && sum < all - all / 10) {
		out->least = counts[out->line_cnt++];
		sum += out->least;
	}
	out->verdict = out->least >= LEAST_ENOUGH ? PA_PGO_ENOUGH
		       : out->least >= LEAST_FEW  ? PA_PGO_FEW
						  : PA_PGO_TOO_FEW;
	free(counts);
	return 0;
}
