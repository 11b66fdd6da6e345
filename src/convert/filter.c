// SPDX-License-Identifier: GPL-2.0-only
/*
 * filter.c - parses what to keep, and decides for each sample.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/filter.h"
#include "pool.h"

enum { NS_DIGITS = 9, S_MAX = UINT32_MAX };

/* Digits at *text, moved past them. @return 0, -EINVAL none or more than max */
static int parse_number(const char **text, uint64_t max, uint64_t *out)
{
	const char *p = *text;

	*out = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (*out > (max - (*p - '0')) / 10)
			return -EINVAL;
		*out = *out * 10 + (*p - '0');
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static void sort_and_join(struct pa_ranges *r)
{
	size_t cnt = 0;

	qsort(r->ranges, r->cnt, sizeof(*r->ranges), compare_ranges);
	for (size_t i = 0; i < r->cnt; i++) {
		struct pa_range *last = cnt ? &r->ranges[cnt - 1] : NULL;

		if (last && r->ranges[i].first <= last->last) {
			if (r->ranges[i].last > last->last)
				last->last = r->ranges[i].last;
		} else {
			r->ranges[cnt++] = r->ranges[i];
		}
	}
	r->cnt = cnt;
}

int pa_ranges__parse(struct pa_ranges *r, const char *text, uint64_t max)
{
	size_t before = r->cnt;
	int err = 0;

	for (;; text++) {
		struct pa_range range;

		err = parse_number(&text, max, &range.first);
		range.last = range.first;
		if (!err && *text == '-') {
			text++;
			err = parse_number(&text, max, &range.last);
		}
		if (!err && (range.last < range.first || (*text && *text != ',')))
			err = -EINVAL;
		if (!err && pa_array_grow(&r->ranges, r->cnt, &r->cap, sizeof(*r->ranges)))
			err = -ENOMEM;
		if (err) {
			r->cnt = before;
			return err;
		}
		r->ranges[r->cnt++] = range;
		if (!*text)
			break;
	}
	sort_and_join(r);
	return 0;
}

static bool has(const struct pa_ranges *r, uint64_t v)
{
	size_t lo = 0, hi = r->cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->ranges[mid].last < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->cnt && r->ranges[lo].first <= v;
}

int pa_filter__parse_comms(struct pa_filter *f, char *text)
{
	char *name;

	while ((name = strsep(&text, ","))) {
		if (!*name)
			return -EINVAL;
		if (pa_array_grow(&f->comms, f->comm_cnt, &f->comm_cap, sizeof(*f->comms)))
			return -ENOMEM;
		f->comms[f->comm_cnt++] = name;
	}
	return 0;
}

/* "12.5" to nanoseconds; digits beyond the ninth decimal are left out. */
static int parse_seconds(const char **text, uint64_t *ns)
{
	int err = parse_number(text, S_MAX, ns);

	if (err)
		return err;
	*ns *= 1000000000;
	if (**text != '.')
		return 0;
	++*text;
	for (uint64_t unit = 100000000; **text >= '0' && **text <= '9'; unit /= 10, ++*text)
		*ns += (**text - '0') * unit;
	return 0;
}

int pa_filter__parse_time(struct pa_filter *f, const char *text)
{
	uint64_t from_ns = 0, to_ns = 0;

	if (!strcmp(text, ",") || !*text)
		return -EINVAL;
	if (*text != ',' && parse_seconds(&text, &from_ns))
		return -EINVAL;
	if (*text++ != ',')
		return -EINVAL;
	if (*text && (parse_seconds(&text, &to_ns) || *text || to_ns < from_ns || !to_ns))
		return -EINVAL;
	f->from_ns = from_ns;
	f->to_ns = to_ns;
	return 0;
}

bool pa_filter__is_empty(const struct pa_filter *f)
{
	return !f->pids.cnt && !f->tids.cnt && !f->cpus.cnt && !f->comm_cnt && !f->from_ns &&
	       !f->to_ns;
}

static bool has_comm(const struct pa_filter *f, const char *comm)
{
	for (size_t i = 0; i < f->comm_cnt; i++)
		if (!strcmp(f->comms[i], comm))
			return true;
	return false;
}

bool pa_filter__keeps(const struct pa_filter *f, const struct pd_sample *s, const char *comm)
{
	if (f->pids.cnt && !has(&f->pids, s->id.pid))
		return false;
	if (f->tids.cnt && !has(&f->tids, s->id.tid))
		return false;
	if (f->cpus.cnt && !has(&f->cpus, s->id.cpu))
		return false;
	if (f->comm_cnt && !has_comm(f, comm))
		return false;
	if ((f->from_ns || f->to_ns) && !s->id.time)
		return false;
	return s->id.time >= f->from_ns && (!f->to_ns || s->id.time <= f->to_ns);
}

void pa_filter__clear(struct pa_filter *f)
{
	free(f->pids.ranges);
	free(f->tids.ranges);
	free(f->cpus.ranges);
	free(f->comms);
	memset(f, 0, sizeof(*f));
}
