// SPDX-License-Identifier: GPL-2.0-only
/*
 * resolve.c - names for the stacks: each distinct place is looked up once and becomes one frame,
 * shared by all stacks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addrsort.h"
#include "convert/session.h"

/* "cycles, instructions": the events of the stacks that are left out. */
static void warn_left_out(const struct pa_session *s, uint16_t kept)
{
	const struct pd_event *e = pd_events__get(s->opts.events, kept);
	bool *seen = calloc(UINT16_MAX + 1, sizeof(*seen));
	uint64_t left_out_cnt = 0;
	char names[256] = "";

	for (size_t i = 0; seen && i < s->stack_cnt; i++) {
		const struct pa_stack_entry *stack = &s->stacks[i];
		const struct pd_event *other = pd_events__get(s->opts.events, stack->event);
		size_t used = strlen(names);

		if (stack->event == kept)
			continue;
		left_out_cnt += stack->sample_cnt;
		if (other && !seen[stack->event])
			snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
				 other->name);
		seen[stack->event] = true;
	}
	free(seen);
	pa_session__warn(s, "several events were sampled: using %s, leaving out %llu samples of %s",
			 e ? e->name : "the first", (unsigned long long)left_out_cnt, names);
}

static void keep_one_event(struct pa_session *s)
{
	size_t kept_cnt = 0, first_cnt = 0;
	uint16_t first = UINT16_MAX;

	for (size_t i = 0; i < s->stack_cnt; i++)
		if (s->stacks[i].event < first)
			first = s->stacks[i].event;
	for (size_t i = 0; i < s->stack_cnt; i++)
		first_cnt += s->stacks[i].event == first;
	if (first_cnt == s->stack_cnt)
		return;
	warn_left_out(s, first);
	for (size_t i = 0; i < s->stack_cnt; i++)
		if (s->stacks[i].event == first)
			s->stacks[kept_cnt++] = s->stacks[i];
	s->stack_cnt = kept_cnt;
}

/* The map of an unmapped place may have come after its first sample. */
static int find_late(struct pa_session *s, struct pa_place *place)
{
	const struct pa_piece *piece;

	if (place->image != PA_NONE || place->space == PA_NONE)
		return 0;
	piece = pa_procs__find(&s->procs, place->space, place->address - place->is_return,
			       UINT64_MAX);
	if (!piece)
		return 0;
	place->image = piece->image;
	if (!piece->is_jit)
		place->address = place->address - piece->start + piece->pgoff;
	return pa_session_images__hit(s, piece->image, pa_procs__at(&s->procs, place->space)->pid,
				      piece);
}

static int find_lines(struct pa_session *s, struct pa_image *image, uint64_t addr,
		      struct pa_frame *frame)
{
	const struct pa_line *lines;
	struct pa_line *copy;
	size_t cnt;
	int err = pa_symbolizer__lines(s->opts.symbolizer, image, addr, &lines, &cnt);

	if (err || !cnt)
		return err;
	copy = pa_pool__alloc(&s->infos, cnt * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	frame->lines = memcpy(copy, lines, cnt * sizeof(*copy));
	frame->line_cnt = cnt;
	return 0;
}

int pa_session_resolve__place(struct pa_session *s, struct pa_place *place, struct pa_frame *frame)
{
	const struct pa_session_image *image;
	int err = find_late(s, place);

	frame->address = place->address;
	if (err || place->image == PA_NONE)
		return err;
	frame->map = pa_session_images__info(s, place->image);
	if (!frame->map || pa_session_images__open(s, place->image))
		return -ENOMEM;
	image = &s->images[place->image];
	frame->pid = image->pid;
	if (!image->image)
		return 0;
	err = pa_symbolizer__lookup(s->opts.symbolizer, image->image,
				    place->address - place->is_return, &frame->sym);
	if (!err && s->opts.lines && image->kind == PA_IMAGE_FILE)
		err = find_lines(s, image->image, place->address - place->is_return, frame);
	return err;
}

struct weighed_image {
	uint64_t weight;
	uint32_t image, place; /* place: one that is in it */
};

static int compare_weights(const void *a, const void *b)
{
	const struct weighed_image *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->image < y->image ? -1 : x->image > y->image;
}

static void weigh_images(const struct pa_session *s, struct weighed_image *images)
{
	for (size_t i = 0; i < s->stack_cnt; i++) {
		const struct pa_stack_entry *e = &s->stacks[i];

		for (size_t k = 0; k < e->place_cnt; k++) {
			uint32_t image = s->places.places[e->places[k]].image;

			if (image == PA_NONE)
				continue;
			images[image].weight += e->sample_cnt;
			images[image].place = e->places[k];
		}
	}
}

/* Servers have little time: what most samples are in is asked for first. */
static int load_hottest_first(struct pa_session *s)
{
	struct weighed_image *images = calloc(s->image_cnt + 1, sizeof(*images));
	struct pa_frame unused;
	int err = images ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < s->image_cnt; i++)
		images[i].image = i;
	if (!err)
		weigh_images(s, images);
	if (!err)
		qsort(images, s->image_cnt, sizeof(*images), compare_weights);
	for (size_t i = 0; !err && i < s->image_cnt && images[i].weight; i++) {
		unused = (struct pa_frame){0};
		err = pa_session_resolve__place(s, &s->places.places[images[i].place], &unused);
	}
	free(images);
	return err;
}

/* By image, then by address. */
static int sort_places(const struct pa_session *s, struct pa_addrkey *keys)
{
	const struct pa_place *places = s->places.places;
	size_t cnt = s->places.cnt;
	int err;

	for (size_t i = 0; i < cnt; i++)
		keys[i] = (struct pa_addrkey){places[i].address, (uint32_t)i, 0};
	err = pa_addrkeys__sort(keys, cnt);
	for (size_t i = 0; i < cnt; i++) {
		uint32_t image = places[keys[i].index].image;

		keys[i].addr = image == PA_NONE ? s->image_cnt : image;
	}
	return err ? err : pa_addrkeys__sort(keys, cnt);
}

/* In the order of their addresses: what was read of a file for one is at hand for the next. */
static int resolve_places(struct pa_session *s)
{
	size_t cnt = s->places.cnt;
	struct pa_addrkey *keys = malloc((cnt + 1) * sizeof(*keys));
	int err = keys ? sort_places(s, keys) : -ENOMEM;

	for (size_t i = 0; !err && i < cnt; i++)
		err = pa_session_resolve__place(s, &s->places.places[keys[i].index],
						&s->frames[keys[i].index]);
	free(keys);
	return err;
}

static int resolve_all(struct pa_session *s)
{
	int err = 0;

	s->frames = calloc(s->places.cnt + 1, sizeof(*s->frames));
	if (!s->frames)
		return -ENOMEM;
	if (s->opts.symbolizer && pa_symbolizer__search(s->opts.symbolizer)->debuginfod)
		err = load_hottest_first(s);
	if (!err)
		err = resolve_places(s);
	return err;
}

int pa_session__resolve(struct pa_session *s)
{
	int err;

	if (s->resolved)
		return 0;
	s->resolved = true;
	err = pa_stacks__flush(s);
	pa_index__free(&s->stack_table);
	pa_index__free(&s->places.table);
	if (!err && s->opts.off_cpu)
		err = pa_offcpu__finish(s);
	if (s->opts.off_cpu)
		pa_offcpu__drop_stacks(s);
	if (s->opts.one_event && !s->opts.off_cpu)
		keep_one_event(s);
	if (!err && !s->functions.on)
		err = resolve_all(s);
	pa_functions__free(&s->functions);
	if (err)
		s->stack_cnt = 0;
	return err;
}

size_t pa_session__stack_cnt(const struct pa_session *s)
{
	return s->resolved ? s->stack_cnt : 0;
}

void pa_session__stack(const struct pa_session *s, size_t i, struct pa_stack *out)
{
	const struct pa_stack_entry *e = &s->stacks[i];

	*out = (struct pa_stack){
		.pid = e->pid,
		.tid = e->tid,
		.comm = e->comm,
		.event = e->event,
		.kernel_cnt = e->kernel_cnt,
		.frame_cnt = e->place_cnt,
		.frames = e->places,
		.sample_cnt = e->sample_cnt,
		.period_sum = e->period_sum,
	};
	if (e->label) {
		out->labels = s->fields.sets[e->label - 1].labels;
		out->label_cnt = s->fields.sets[e->label - 1].cnt;
	}
}

size_t pa_session__frame_cnt(const struct pa_session *s)
{
	return s->places.cnt;
}

const struct pa_frame *pa_session__frame(const struct pa_session *s, size_t i)
{
	return &s->frames[i];
}
