// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfbody.c - what is inlined in one function: spans of nested nodes, in the order of their
 * entries. Of a function that is asked often they are flattened into disjoint segments, each with
 * its innermost node, from which parents lead outwards.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/dwarfindex.h"

#define FILE_MAX (PA_NONE >> 1)
/* When it is cheaper to search segments. */
#define SPANS_FEW 32
#define ASKED_OFTEN 16

/* Of a function while it is read. */
struct build {
	struct pa_dwarf *d;
	struct pa_dwarf_unit *unit;
	struct pa_dwarf_node *nodes;
	struct pa_dwarf_span *spans;
	struct pa_dwarf_segment *segments;
	struct pa_dwarf_span *open; /* those around the sweep's position */
	size_t node_cnt, node_cap, span_cnt, span_cap;
	size_t segment_cnt, segment_cap, open_cnt, open_cap;
	bool found; /* a range of the newest node */
};

static int add_span(void *ctx, uint64_t start, uint64_t end)
{
	struct build *b = ctx;

	if (start >= end || !start ||
	    b->d->index_bytes + b->span_cnt * sizeof(*b->spans) > PA_DWARF_INDEX_MAX_BYTES)
		return 0;
	if (pa_array_grow(&b->spans, b->span_cnt, &b->span_cap, sizeof(*b->spans)))
		return -ENOMEM;
	b->spans[b->span_cnt++] = (struct pa_dwarf_span){start, end, (uint32_t)b->node_cnt};
	b->found = true;
	return 0;
}

static uint32_t number(const struct pa_dwarf_value *v, uint32_t max, uint32_t missing)
{
	return v->kind == PA_DWARF_NUMBER && v->number < max ? (uint32_t)v->number : missing;
}

/* *node: what it is, for its children; stays what it was when it has no code. */
static int add_node(struct build *b, const struct pa_dwarf_entry *e, uint32_t parent,
		    uint32_t *node)
{
	struct pa_dwarf_node n = {.origin = e->at, .fn = PA_NONE, .parent = parent};
	const struct pa_dwarf_value *v = e->values, *origin = &v[PA_DWARF_ORIGIN];
	int err;

	b->found = false;
	err = pa_dwarf__each_range(b->d, b->unit, &v[PA_DWARF_LOW], &v[PA_DWARF_HIGH],
				   &v[PA_DWARF_LIST], add_span, b);
	if (err || !b->found || b->node_cnt >= PA_NONE)
		return err;
	/* where a function is specified is not where it is: its own entry knows both */
	if (origin->kind == PA_DWARF_REF || origin->kind == PA_DWARF_REF_ALT) {
		n.origin = origin->number;
		n.is_alt = origin->kind == PA_DWARF_REF_ALT;
	}
	n.call_file = number(&v[PA_DWARF_CALL_FILE], FILE_MAX, FILE_MAX) & FILE_MAX;
	n.call_line = number(&v[PA_DWARF_CALL_LINE], PA_NONE, 0);
	n.call_discriminator = number(&v[PA_DWARF_CALL_DISCRIMINATOR], PA_NONE, 0);
	if (pa_array_grow(&b->nodes, b->node_cnt, &b->node_cap, sizeof(*b->nodes)))
		return -ENOMEM;
	*node = (uint32_t)b->node_cnt;
	b->nodes[b->node_cnt++] = n;
	return 0;
}

static bool may_hold_inlined(unsigned tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Visit the function and what is in it; outer has the node around the entries of each depth. */
static int walk(struct build *b, uint64_t die)
{
	uint32_t outer[PA_DWARF_DEPTH_MAX + 1];
	struct pa_dwarf_entry e;
	struct pa_dwarf_scan s;
	int err = pa_dwarf_scan__open(&s, b->d, b->unit, die, PA_DWARF_SMALL_BYTES);

	outer[0] = PA_NONE;
	while (!err && pa_dwarf_scan__next(&s, &e)) {
		uint32_t node;

		if (e.depth > PA_DWARF_DEPTH_MAX)
			continue;
		node = outer[e.depth];
		if (!e.depth || (e.tag == DW_TAG_inlined_subroutine && node != PA_NONE))
			err = add_node(b, &e, node, &node);
		else if (e.tag == DW_TAG_subprogram)
			node = PA_NONE;
		if (e.has_children && e.depth < PA_DWARF_DEPTH_MAX)
			outer[e.depth + 1] = node;
		if (e.depth && !may_hold_inlined(e.tag))
			pa_dwarf_scan__skip(&s, &e);
	}
	return err == -ENOMEM ? err : 0;
}

/* ---- nested ranges become segments ---------------------------------------------------- */

static int compare_spans(const void *pa, const void *pb)
{
	const struct pa_dwarf_span *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

static int add_segment(struct build *b, uint64_t start, uint32_t node)
{
	struct pa_dwarf_segment *last = b->segment_cnt ? &b->segments[b->segment_cnt - 1] : NULL;

	if (last && last->start == start) {
		last->node = node;
		return 0;
	}
	if (last ? last->node == node : node == PA_NONE)
		return 0;
	if (pa_array_grow(&b->segments, b->segment_cnt, &b->segment_cap, sizeof(*b->segments)))
		return -ENOMEM;
	b->segments[b->segment_cnt++] = (struct pa_dwarf_segment){start, node};
	return 0;
}

/* Leave the ranges that end before addr. */
static int close_spans(struct build *b, uint64_t addr)
{
	int err = 0;

	while (!err && b->open_cnt && b->open[b->open_cnt - 1].end <= addr) {
		uint64_t end = b->open[--b->open_cnt].end;

		err = add_segment(b, end, b->open_cnt ? b->open[b->open_cnt - 1].node : PA_NONE);
	}
	return err;
}

/* Ranges nest; in a damaged file those that don't end with what is around them. */
static int make_segments(struct build *b)
{
	int err = 0;

	if (b->span_cnt > 1)
		qsort(b->spans, b->span_cnt, sizeof(*b->spans), compare_spans);
	for (size_t i = 0; !err && i < b->span_cnt; i++) {
		struct pa_dwarf_span s = b->spans[i];

		err = close_spans(b, s.start);
		if (err)
			return err;
		if (b->open_cnt && b->open[b->open_cnt - 1].end < s.end)
			s.end = b->open[b->open_cnt - 1].end;
		if (pa_array_grow(&b->open, b->open_cnt, &b->open_cap, sizeof(*b->open)))
			return -ENOMEM;
		b->open[b->open_cnt++] = s;
		err = add_segment(b, s.start, s.node);
	}
	return err ? err : close_spans(b, UINT64_MAX);
}

/* ---- asking --------------------------------------------------------------------------- */

/* Give back what an array has too much. */
static void *fit(void *array, size_t cnt, size_t element_bytes)
{
	void *smaller;

	if (!cnt) {
		free(array);
		return NULL;
	}
	smaller = realloc(array, cnt * element_bytes);
	return smaller ? smaller : array;
}

static int load(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct pa_dwarf_body *body)
{
	struct build b = {.d = d, .unit = u};
	int err = walk(&b, u->at + body->die);

	body->loaded = true;
	body->nodes = fit(b.nodes, b.node_cnt, sizeof(*b.nodes));
	body->spans = fit(b.spans, b.span_cnt, sizeof(*b.spans));
	body->node_cnt = (uint32_t)b.node_cnt;
	body->span_cnt = (uint32_t)b.span_cnt;
	d->index_bytes += b.node_cnt * sizeof(*b.nodes) + b.span_cnt * sizeof(*b.spans);
	return err;
}

static int flatten(struct pa_dwarf *d, struct pa_dwarf_body *body)
{
	struct build b = {.d = d, .spans = body->spans, .span_cnt = body->span_cnt};
	int err = make_segments(&b);

	free(b.spans);
	free(b.open);
	body->spans = NULL;
	body->span_cnt = 0;
	body->segments = fit(b.segments, b.segment_cnt, sizeof(*b.segments));
	body->segment_cnt = (uint32_t)b.segment_cnt;
	d->index_bytes += b.segment_cnt * sizeof(*b.segments);
	return err;
}

/* What is inside of a node comes after it: the last that holds the address is the innermost. */
static uint32_t node_in_spans(const struct pa_dwarf_body *body, uint64_t vaddr)
{
	for (uint32_t i = body->span_cnt; i-- > 0;)
		if (vaddr >= body->spans[i].start && vaddr < body->spans[i].end)
			return body->spans[i].node;
	return PA_NONE;
}

/* How many segments begin at vaddr or before. */
static uint32_t segments_until(const struct pa_dwarf_body *body, uint64_t vaddr)
{
	uint32_t low = 0, high = body->segment_cnt;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (body->segments[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t node_in_segments(const struct pa_dwarf_body *body, uint64_t vaddr)
{
	uint32_t cnt = segments_until(body, vaddr);

	return cnt ? body->segments[cnt - 1].node : PA_NONE;
}

int pa_dwarf_body__find(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_body *body,
			uint64_t vaddr, uint32_t *out)
{
	int err = body->loaded ? 0 : load(d, x->unit, body);

	if (!err && body->span_cnt > SPANS_FEW && ++body->asked_cnt > ASKED_OFTEN)
		err = flatten(d, body);
	*out = body->spans ? node_in_spans(body, vaddr) : node_in_segments(body, vaddr);
	if (*out >= body->node_cnt)
		*out = PA_NONE;
	return err;
}

int pa_dwarf_body__next(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_body *body,
			uint64_t vaddr, uint32_t *node, uint64_t *end)
{
	int err = body->loaded ? 0 : load(d, x->unit, body);
	uint32_t cnt;

	if (!err && body->spans)
		err = flatten(d, body);
	cnt = segments_until(body, vaddr);
	*node = cnt ? body->segments[cnt - 1].node : PA_NONE;
	*end = cnt < body->segment_cnt ? body->segments[cnt].start : UINT64_MAX;
	if (*node >= body->node_cnt)
		*node = PA_NONE;
	return err;
}

void pa_dwarf_body__free(struct pa_dwarf_body *body)
{
	free(body->nodes);
	free(body->spans);
	free(body->segments);
}
