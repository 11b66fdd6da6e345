// SPDX-License-Identifier: GPL-2.0-only
/*
 * counts.c - the traces of sessions, added up per binary. A binary is known by its build-id, so
 * that captures of several machines and containers meet; without one, by its path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addrsort.h"
#include "pgo/pgo.h"

/* What is executed between two branches is not longer; data that says so is damaged. */
#define RANGE_MAX_BYTES (1u << 20)

/* ---- which events count -----------------------------------------------------------------------
 */

static bool has_branches(const struct perf_event_attr *attr)
{
	return attr->sample_type & PERF_SAMPLE_BRANCH_STACK &&
	       !(attr->branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK);
}

/* How well an event tells where time on the CPU goes; 0: it does not. */
static int rank_event(const struct pd_event *e)
{
	const struct perf_event_attr *attr = &e->attr;

	switch (attr->type) {
	case PERF_TYPE_HARDWARE:
		/* above 32 bits: which PMU of several */
		if ((uint32_t)attr->config == PERF_COUNT_HW_CPU_CYCLES)
			return 9;
		if ((uint32_t)attr->config == PERF_COUNT_HW_REF_CPU_CYCLES)
			return 8;
		return (uint32_t)attr->config == PERF_COUNT_HW_INSTRUCTIONS ? 4 : 3;
	case PERF_TYPE_SOFTWARE:
		if (attr->config == PERF_COUNT_SW_CPU_CLOCK)
			return 7;
		return attr->config == PERF_COUNT_SW_TASK_CLOCK ? 6 : 0;
	case PERF_TYPE_TRACEPOINT:
	case PERF_TYPE_BREAKPOINT:
		return 0;
	default:
		return strstr(e->name, "cycles") ? 9 : 2;
	}
}

size_t pa_pgo__choose_events(const struct pd_events *events, const struct pa_session *s,
			     bool *counts, size_t cnt)
{
	size_t trace_cnt, chosen = 0;
	const struct pa_trace *traces = pa_session__traces(s, &trace_cnt);
	int best = 1;

	memset(counts, 0, cnt * sizeof(*counts));
	for (size_t i = 0; i < trace_cnt; i++)
		if (traces[i].event < cnt)
			counts[traces[i].event] = true;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < cnt; i++) {
			const struct pd_event *e = pd_events__get(events, i);
			int rank = counts[i] && e ? rank_event(e) : 0;

			if (rank && has_branches(&e->attr))
				rank += 10;
			if (!pass && rank > best)
				best = rank;
			if (pass)
				counts[i] = rank == best;
			chosen += pass && counts[i];
		}
	}
	return chosen;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

static bool is_same(const struct pa_pgo_binary *b, const struct pa_map_info *m)
{
	if (b->build_id_bytes || m->build_id_bytes)
		return b->build_id_bytes == m->build_id_bytes &&
		       !memcmp(b->build_id, m->build_id, m->build_id_bytes);
	return !strcmp(b->path, m->path);
}

/* Index of the binary of an image. @return PA_NONE without memory */
static uint32_t get_binary(struct pa_pgo *p, struct pa_session *s, size_t image,
			   const struct pa_map_info *m)
{
	struct pa_pgo_binary *b;
	uint64_t hash = m->build_id_bytes ? pa_hash_bytes(m->build_id, m->build_id_bytes, p->seed)
					  : pa_hash_bytes(m->path, strlen(m->path), p->seed);
	uint32_t pos = pa_index__start(&p->table, hash), i;

	while ((i = pa_index__next(&p->table, hash, &pos)) != PA_NONE)
		if (is_same(&p->binaries[i], m))
			return i;
	if (p->cnt >= PA_NONE - 1 ||
	    pa_array_grow(&p->binaries, p->cnt, &p->cap, sizeof(*p->binaries)) ||
	    pa_index__add(&p->table, hash, (uint32_t)p->cnt))
		return PA_NONE;
	b = &p->binaries[p->cnt];
	*b = (struct pa_pgo_binary){.path = m->path, .session = s, .image = image};
	if (m->build_id_bytes) {
		memcpy(b->build_id, m->build_id, m->build_id_bytes);
		b->build_id_bytes = m->build_id_bytes;
	}
	return (uint32_t)p->cnt++;
}

/* The binaries of a session's images; PA_NONE: of none, or left out. */
static int map_images(struct pa_pgo *p, struct pa_session *s, uint32_t **out)
{
	size_t cnt = pa_session__image_cnt(s);
	uint32_t *map = malloc((cnt ? cnt : 1) * sizeof(*map));

	*out = map;
	if (!map)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++) {
		struct pa_map_info m;
		int err = pa_session__image(s, i, &m);

		map[i] = PA_NONE;
		if (err == -ENOMEM)
			return err;
		if (err || (p->needs_build_ids && !m.build_id_bytes))
			continue;
		map[i] = get_binary(p, s, i, &m);
		if (map[i] == PA_NONE)
			return -ENOMEM;
	}
	return 0;
}

static int add_count(struct pa_pgo_counts *c, uint64_t from, uint64_t to, const struct pa_trace *t)
{
	if (pa_array_grow(&c->list, c->cnt, &c->cap, sizeof(*c->list)))
		return -ENOMEM;
	c->list[c->cnt++] = (struct pa_pgo_count){from, to, t->cnt, t->mispredicted_cnt};
	return 0;
}

static int add_sample(struct pa_pgo *p, const struct pa_trace *t, uint32_t binary)
{
	struct pa_pgo_binary *b;

	p->sample_cnt += t->cnt;
	if (t->is_kernel)
		p->kernel_cnt += t->cnt;
	else if (t->to.image == PA_NONE)
		p->unmapped_cnt += t->cnt;
	else if (binary == PA_NONE)
		p->nameless_cnt += t->cnt;
	if (binary == PA_NONE)
		return 0;
	b = &p->binaries[binary];
	b->sample_cnt += t->cnt;
	return add_count(&b->addresses, t->to.offset, 0, t);
}

/* A branch within a binary, into it, or out of it; and the code that led to it. */
static int add_branch(struct pa_pgo *p, const struct pa_trace *t, uint32_t prev, uint32_t from,
		      uint32_t to)
{
	struct pa_pgo_binary *b = from == PA_NONE ? NULL : &p->binaries[from];
	int err = 0;

	p->branch_cnt += t->cnt;
	p->has_branches = true;
	if (b)
		b->branch_cnt += t->cnt;
	if (b && prev == from && t->prev.image == t->from.image &&
	    t->from.offset >= t->prev.offset && t->from.offset - t->prev.offset <= RANGE_MAX_BYTES)
		err = add_count(&b->ranges, t->prev.offset, t->from.offset, t);
	else if (t->prev.image != PA_NONE)
		p->broken_cnt += t->cnt;
	if (b && !err)
		err = add_count(&b->branches, t->from.offset,
				from == to ? t->to.offset : PA_PGO_OUTSIDE, t);
	if (to != PA_NONE && to != from && !err)
		err = add_count(&p->binaries[to].branches, PA_PGO_OUTSIDE, t->to.offset, t);
	return err;
}

static uint32_t binary_of(const uint32_t *map, const struct pa_spot *spot)
{
	return spot->image == PA_NONE ? PA_NONE : map[spot->image];
}

int pa_pgo__add(struct pa_pgo *p, struct pa_session *s, const bool *counts, size_t event_cnt)
{
	size_t cnt;
	const struct pa_trace *traces = pa_session__traces(s, &cnt);
	uint64_t branches_before = p->branch_cnt, samples_before = p->sample_cnt;
	uint32_t *map;
	int err = map_images(p, s, &map);

	for (size_t i = 0; !err && i < cnt; i++) {
		const struct pa_trace *t = &traces[i];

		if (t->event >= event_cnt || !counts[t->event])
			continue;
		if (t->is_sample)
			err = add_sample(p, t, binary_of(map, &t->to));
		else
			err = add_branch(p, t, binary_of(map, &t->prev), binary_of(map, &t->from),
					 binary_of(map, &t->to));
	}
	if (p->sample_cnt > samples_before && p->branch_cnt == branches_before)
		p->lacks_branches = true;
	free(map);
	return err;
}

/* ---- adding up --------------------------------------------------------------------------------
 */

/* Sort keys of counts by one of their ends; what is equal keeps its order. */
static int sort_keys(struct pa_addrkey *keys, const struct pa_pgo_counts *c, bool by_to)
{
	for (size_t i = 0; i < c->cnt; i++) {
		const struct pa_pgo_count *count = &c->list[keys[i].index];

		keys[i].addr = by_to ? count->to : count->from;
	}
	return pa_addrkeys__sort(keys, c->cnt);
}

/* In order of from, then of to. */
static int sort_counts(struct pa_pgo_counts *c, bool has_to)
{
	struct pa_addrkey *keys = malloc((c->cnt + 1) * sizeof(*keys));
	struct pa_pgo_count *list = malloc((c->cnt + 1) * sizeof(*list));
	int err = keys && list && c->cnt < UINT32_MAX ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < c->cnt; i++)
		keys[i] = (struct pa_addrkey){.index = (uint32_t)i};
	if (!err && has_to)
		err = sort_keys(keys, c, true);
	if (!err)
		err = sort_keys(keys, c, false);
	for (size_t i = 0; !err && i < c->cnt; i++)
		list[i] = c->list[keys[i].index];
	free(keys);
	if (err) {
		free(list);
		return err;
	}
	free(c->list);
	c->list = list;
	c->cap = c->cnt + 1;
	return 0;
}

static int add_up(struct pa_pgo_counts *c, bool has_to)
{
	size_t kept = 0;
	int err = c->cnt > 1 ? sort_counts(c, has_to) : 0;

	for (size_t i = 0; !err && i < c->cnt; i++) {
		struct pa_pgo_count *last = kept ? &c->list[kept - 1] : NULL;

		if (last && last->from == c->list[i].from && last->to == c->list[i].to) {
			last->cnt += c->list[i].cnt;
			last->mispredicted_cnt += c->list[i].mispredicted_cnt;
		} else {
			c->list[kept++] = c->list[i];
		}
	}
	c->cnt = err ? c->cnt : kept;
	return err;
}

static int compare_binaries(const void *pa, const void *pb)
{
	const struct pa_pgo_binary *a = pa, *b = pb;

	if (a->sample_cnt != b->sample_cnt)
		return a->sample_cnt > b->sample_cnt ? -1 : 1;
	return strcmp(a->path, b->path);
}

int pa_pgo__finish(struct pa_pgo *p)
{
	int err = 0;

	for (size_t i = 0; !err && i < p->cnt; i++) {
		err = add_up(&p->binaries[i].addresses, false);
		if (!err)
			err = add_up(&p->binaries[i].ranges, true);
		if (!err)
			err = add_up(&p->binaries[i].branches, true);
	}
	if (p->cnt > 1)
		qsort(p->binaries, p->cnt, sizeof(*p->binaries), compare_binaries);
	return err;
}

void pa_pgo__free(struct pa_pgo *p)
{
	for (size_t i = 0; i < p->cnt; i++) {
		free(p->binaries[i].addresses.list);
		free(p->binaries[i].ranges.list);
		free(p->binaries[i].branches.list);
	}
	free(p->binaries);
	pa_index__free(&p->table);
	*p = (struct pa_pgo){0};
}
