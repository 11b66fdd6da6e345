/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * filter.h - which samples of a file are wanted: by process, thread, name, CPU and time, as
 * perf script's options of these names. All kinds that are given must match.
 */
#ifndef PA_FILTER_H
#define PA_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perfdata/perfdata.h"

/** Numbers, as ranges. Zero-initialized is empty, which filters nothing. */
struct pa_ranges {
	struct pa_range {
		uint64_t first, last; /* inclusive */
	} * ranges;		      /* sorted by first, disjoint */
	size_t cnt, cap;
};

struct pa_filter {
	struct pa_ranges pids, tids, cpus;
	const char **comms; /* comm_cnt names, borrowed; the array is freed */
	size_t comm_cnt, comm_cap;
	uint64_t from_ns, to_ns; /* of the file's clock, inclusive; to_ns 0: no end */
};

/** Add "1,5-7,9". @param max  the greatest number that is allowed
 *  @return 0, -EINVAL not such a list (nothing was added), -ENOMEM */
int pa_ranges__parse(struct pa_ranges *r, const char *text, uint64_t max);
/** Add comma-separated names. Borrows text, whose commas become NULs. @return 0, -EINVAL an empty
 *  name, -ENOMEM */
int pa_filter__parse_comms(struct pa_filter *f, char *text);
/** Set the times from "A,B" in seconds with up to nine decimals; either may be missing.
 *  @return 0, -EINVAL */
int pa_filter__parse_time(struct pa_filter *f, const char *text);
bool pa_filter__is_empty(const struct pa_filter *f);
/** Is the sample wanted? A sample without a time passes no filter by time. */
bool pa_filter__keeps(const struct pa_filter *f, const struct pd_sample *s, const char *comm);
/** Frees what it holds and empties it. */
void pa_filter__clear(struct pa_filter *f);

#endif
