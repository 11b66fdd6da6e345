// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfcode.c - the code of a function piece by piece: rows of the line table, cut where another
 * inlined function begins.
 */
#include <errno.h>
#include <stdlib.h>

#include "symbolize/dwarfcode.h"
#include "symbolize/dwarfline.h"

int pa_dwarf__code_range(struct pa_dwarf *d, uint64_t vaddr, struct pa_code_range *out)
{
	struct pa_dwarf_unit *u;
	size_t i = 0;
	int err;

	for (;;) {
		struct pa_dwarf_function *f = NULL;

		err = pa_dwarf__next_unit(d, vaddr, &i, &u);
		if (err || !u)
			return err ? err : -ENOENT;
		if (u->index)
			err = pa_dwarf_unit__find(d, u->index, vaddr, &f);
		if (err)
			return err;
		if (!f)
			continue;
		*out = (struct pa_code_range){f->start, f->end, u,
					      (uint32_t)(f - u->index->functions)};
		return 0;
	}
}

/* What is needed for each piece. */
struct walk {
	struct pa_dwarf *d;
	struct pa_dwarf_index *x;
	struct pa_dwarf_body *body;
	pa_code_fn fn;
	void *ctx;
	uint32_t node; /* that frames are of */
	struct pa_code_frame frames[PA_CODE_FRAMES_MAX];
	size_t frame_cnt;
};

/* The functions from a node outwards; of too many, the outermost is kept. */
static int set_frames(struct walk *w, uint32_t node)
{
	uint32_t line = 0, discriminator = 0;
	int err = 0;

	if (node == w->node && w->frame_cnt)
		return 0;
	w->node = node;
	w->frame_cnt = 0;
	while (!err && node != PA_NONE) {
		struct pa_dwarf_node *n = &w->body->nodes[node];
		const struct pa_dwarf_fn *fn;

		if (n->fn == PA_NONE)
			err = pa_dwarf__name(w->d, w->x->unit, n);
		if (err)
			break;
		fn = &w->d->fns[n->fn];
		if (w->frame_cnt == PA_CODE_FRAMES_MAX)
			w->frame_cnt--;
		w->frames[w->frame_cnt++] = (struct pa_code_frame){
			pa_dwarf__system_name(w->d, fn), fn->start_line, line, discriminator};
		line = n->call_line;
		discriminator = n->call_discriminator;
		node = n->parent;
	}
	return err;
}

static int take_row(void *ctx, const struct pa_dwarf_row *row, uint64_t end)
{
	struct pa_code_piece piece;
	struct walk *w = ctx;
	uint64_t at = row->start;
	int err = 0;

	while (!err && at < end) {
		uint64_t node_end;
		uint32_t node;

		err = pa_dwarf_body__next(w->d, w->x, w->body, at, &node, &node_end);
		if (!err)
			err = set_frames(w, node);
		if (err)
			break;
		piece = (struct pa_code_piece){at, node_end < end ? node_end : end, w->frames,
					       w->frame_cnt};
		if (w->frame_cnt) {
			w->frames[0].line = row->line;
			w->frames[0].discriminator = row->discriminator;
			err = w->fn(w->ctx, &piece);
		}
		at = piece.end;
	}
	return err;
}

int pa_dwarf__each_piece(struct pa_dwarf *d, const struct pa_code_range *range, pa_code_fn fn,
			 void *ctx)
{
	struct pa_dwarf_index *x = range->unit->index;
	struct walk *w;
	int err;

	if (!x->lines)
		return 0;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->d = d;
	w->x = x;
	w->body = &x->bodies[x->functions[range->function].body];
	w->fn = fn;
	w->ctx = ctx;
	w->node = PA_NONE;
	w->frame_cnt = 0;
	err = pa_dwarf_lines__each(d, x->lines, range->start, range->end, take_row, w);
	free(w);
	return err;
}

bool pa_dwarf__gave_up(const struct pa_dwarf *d)
{
	return d->work > PA_DWARF_WORK_MAX || d->index_bytes > PA_DWARF_INDEX_MAX_BYTES;
}
