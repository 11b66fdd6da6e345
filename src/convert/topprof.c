// SPDX-License-Identifier: GPL-2.0-only
/*
 * topprof.c - stacks to pprof. Code of a file is identified by its file offset and kernel code
 * by its address; JIT code, whose addresses mean nothing in the next run, by name, source file
 * and line. So two profiles of the same program compare location by location.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"
#include "pprof/pprof.h"

/* A function as the profile shows it, and the location of those that have no address. */
struct function {
	const char *name, *system_name, *file;
	uint32_t start_line;
	const struct pa_map_info *map;
	uint64_t id, location_id;
};

struct mapping {
	const struct pa_map_info *info;
	uint64_t id;
	bool has_functions, has_filenames, has_lines;
};

struct builder {
	const struct pa_session *s;
	struct pprof_profile *profile;
	uint64_t *locations; /* by frame index; 0: not added yet */
	struct function *functions;
	size_t function_cnt, function_cap;
	struct pa_index function_table;
	struct mapping *mappings;
	size_t mapping_cnt, mapping_cap;
	struct pa_index mapping_table;
	struct pa_strings names; /* made-up names: "0x401000" */
	uint64_t *ids;		 /* locations of the stack at hand */
	size_t id_cap;
};

/* How samples become the second value. */
struct weight {
	bool is_time;		/* clock events: periods are nanoseconds */
	uint64_t ns_per_sample; /* other events in frequency mode; 0: count events */
};

static uint64_t hash_string(const struct builder *b, const char *str)
{
	return pa_hash_bytes(str, strlen(str), b->s->seed);
}

static struct mapping *get_mapping(struct builder *b, const struct pa_map_info *info)
{
	uint64_t hash = pa_mix(b->s->seed ^ (uintptr_t)info, 0x9e3779b97f4a7c15ULL);
	uint32_t pos = pa_index__start(&b->mapping_table, hash), i;
	struct pprof_mapping m = {.filename = info->path};
	char build_id[2 * PD_BUILD_ID_MAX + 1] = "";

	while ((i = pa_index__next(&b->mapping_table, hash, &pos)) != PA_NONE)
		if (b->mappings[i].info == info)
			return &b->mappings[i];
	for (size_t k = 0; k < info->build_id_bytes && k < PD_BUILD_ID_MAX; k++)
		snprintf(build_id + 2 * k, 3, "%02x", info->build_id[k]);
	m.build_id = info->build_id_bytes ? build_id : NULL;
	m.start = m.file_offset = info->file_offset;
	m.limit = info->file_offset + info->bytes;
	if (pa_array_grow(&b->mappings, b->mapping_cnt, &b->mapping_cap, sizeof(*b->mappings)))
		return NULL;
	b->mappings[b->mapping_cnt] = (struct mapping){.info = info};
	if (pprof__add_mapping(b->profile, &m, &b->mappings[b->mapping_cnt].id) ||
	    pa_index__add(&b->mapping_table, hash, b->mapping_cnt))
		return NULL;
	return &b->mappings[b->mapping_cnt++];
}

static bool is_library(const char *path)
{
	const char *base = strrchr(path, '/');
	const char *so = strstr(base ? base : path, ".so");

	return so && (so[3] == '\0' || so[3] == '.');
}

/* pprof calls the first mapping the program. Let it be the binary with the most frames, weighted
 * by samples; a library only when there is nothing else. */
static int add_main_mapping(struct builder *b)
{
	const struct pa_map_info *best = NULL;
	uint64_t *weights = calloc(b->s->image_cnt + 1, sizeof(*weights)), best_weight = 0;
	struct pa_stack stack;
	int err = 0;

	if (!weights)
		return -ENOMEM;
	for (size_t i = 0; i < pa_session__stack_cnt(b->s); i++) {
		pa_session__stack(b->s, i, &stack);
		for (size_t k = 0; k < stack.frame_cnt; k++)
			if (stack.frames[k]->map)
				weights[stack.frames[k]->map->index] += stack.sample_cnt;
	}
	for (size_t i = 0; i < b->s->image_cnt; i++) {
		const struct pa_map_info *info = b->s->images[i].info;
		bool better = info && info->kind == PA_IMAGE_FILE && weights[info->index];

		if (better && best && is_library(info->path) != is_library(best->path))
			better = is_library(best->path);
		else if (better && best)
			better = weights[info->index] > best_weight;
		if (!better)
			continue;
		best = info;
		best_weight = weights[info->index];
	}
	if (best && !get_mapping(b, best))
		err = -ENOMEM;
	free(weights);
	return err;
}

static bool is_same_function(const struct function *a, const struct function *b)
{
	return a->map == b->map && a->start_line == b->start_line && !strcmp(a->name, b->name) &&
	       !strcmp(a->system_name, b->system_name) && !strcmp(a->file, b->file);
}

/* Index of the function, added when it is new. @return PA_NONE without memory */
static uint32_t get_function(struct builder *b, const struct function *f)
{
	uint64_t hash = pa_mix(hash_string(b, f->name) ^ f->start_line,
			       hash_string(b, f->file) ^ (uintptr_t)f->map ^ 1);
	uint32_t pos = pa_index__start(&b->function_table, hash), i;
	struct pprof_function pf = {
		.name = f->name,
		.system_name = f->system_name,
		.filename = *f->file ? f->file : NULL,
		.start_line = f->start_line,
	};

	while ((i = pa_index__next(&b->function_table, hash, &pos)) != PA_NONE)
		if (is_same_function(&b->functions[i], f))
			return i;
	if (pa_array_grow(&b->functions, b->function_cnt, &b->function_cap, sizeof(*b->functions)))
		return PA_NONE;
	b->functions[b->function_cnt] = *f;
	if (pprof__add_function(b->profile, &pf, &b->functions[b->function_cnt].id) ||
	    pa_index__add(&b->function_table, hash, b->function_cnt))
		return PA_NONE;
	return b->function_cnt++;
}

/* The frame's symbol, or its address for a name. */
static int describe(struct builder *b, const struct pa_frame *frame, struct function *out)
{
	const struct pa_symbol *sym = frame->sym;
	char hex[2 + 16 + 1];
	uint32_t i;

	*out = (struct function){.map = frame->map, .file = ""};
	if (sym) {
		out->name = sym->name;
		out->system_name = *sym->system_name ? sym->system_name : sym->name;
		out->file = sym->file;
		out->start_line = sym->start_line;
		return 0;
	}
	snprintf(hex, sizeof(hex), "0x%" PRIx64, frame->address);
	i = pa_strings__intern(&b->names, hex, strlen(hex));
	if (i == PA_NONE)
		return -ENOMEM;
	out->name = out->system_name = b->names.strs[i];
	return 0;
}

static int add_location(struct builder *b, const struct pa_frame *frame, uint64_t *out)
{
	bool has_address = !frame->map || frame->map->kind != PA_IMAGE_JIT;
	struct mapping *mapping = NULL;
	struct pprof_line line = {0};
	struct function f;
	uint32_t i;
	int err = describe(b, frame, &f);

	if (err)
		return err;
	if (frame->map) {
		mapping = get_mapping(b, frame->map);
		if (!mapping)
			return -ENOMEM;
	}
	i = get_function(b, &f);
	if (i == PA_NONE)
		return -ENOMEM;
	if (!has_address && b->functions[i].location_id) {
		*out = b->functions[i].location_id;
		return 0;
	}
	if (mapping && frame->sym) {
		mapping->has_functions = true;
		mapping->has_filenames |= *f.file != '\0';
		mapping->has_lines |= f.start_line != 0;
	}
	line.function_id = b->functions[i].id;
	line.line = f.start_line; /* of the declaration: the nearest that is known */
	err = pprof__add_location(b->profile, mapping ? mapping->id : 0,
				  has_address ? frame->address : 0, &line, 1, out);
	if (!err && !has_address)
		b->functions[i].location_id = *out;
	return err;
}

static int add_sample(struct builder *b, const struct pa_stack *stack, const struct weight *w)
{
	uint64_t second = w->is_time || !w->ns_per_sample ? stack->period_sum
							  : stack->sample_cnt * w->ns_per_sample;
	int64_t values[] = {stack->sample_cnt, second};
	struct pprof_label labels[] = {
		{.key = "pid", .num = (int32_t)stack->pid},
		{.key = "tid", .num = (int32_t)stack->tid},
		{.key = "comm", .str = stack->comm},
	};

	while (stack->frame_cnt > b->id_cap)
		if (pa_array_grow(&b->ids, b->id_cap, &b->id_cap, sizeof(*b->ids)))
			return -ENOMEM;
	for (size_t i = 0; i < stack->frame_cnt; i++) {
		uint64_t *id = &b->locations[stack->frames[i]->index];
		int err = *id ? 0 : add_location(b, stack->frames[i], id);

		if (err)
			return err;
		b->ids[i] = *id;
	}
	return pprof__add_sample(b->profile, b->ids, stack->frame_cnt, values, labels,
				 sizeof(labels) / sizeof(*labels));
}

static bool is_clock(const struct perf_event_attr *attr)
{
	return attr->type == PERF_TYPE_SOFTWARE && (attr->config == PERF_COUNT_SW_CPU_CLOCK ||
						    attr->config == PERF_COUNT_SW_TASK_CLOCK);
}

/* The event of the stacks decides what a sample is worth, and how often there was one. */
static int new_profile(struct builder *b, struct weight *w)
{
	struct pprof_value_type types[2] = {{"samples", "count"}, {"cpu", "nanoseconds"}};
	const struct pd_event *event = NULL;
	struct pa_stack stack;
	uint64_t period = 0;
	int err;

	if (pa_session__stack_cnt(b->s)) {
		pa_session__stack(b->s, 0, &stack);
		event = pd_events__get(b->s->opts.events, stack.event);
	} else {
		event = pd_events__get(b->s->opts.events, 0);
	}
	*w = (struct weight){.is_time = !event || is_clock(&event->attr)};
	if (event && event->attr.freq && event->attr.sample_freq)
		period = 1000000000 / event->attr.sample_freq;
	else if (event)
		period = event->attr.sample_period;
	if (event && !w->is_time && event->attr.freq) {
		w->ns_per_sample = period;
	} else if (!w->is_time) {
		types[1] = (struct pprof_value_type){event->name, "count"};
	}
	err = pprof__new(types, 2, &b->profile);
	if (!err)
		err = pprof__set_period(b->profile, types[1], period);
	if (!err)
		err = pprof__set_default_sample_type(b->profile, types[1].type);
	return err;
}

static int set_flags(struct builder *b)
{
	int err = 0;

	for (size_t i = 0; !err && i < b->mapping_cnt; i++)
		err = pprof__set_mapping_flags(
			b->profile, b->mappings[i].id, b->mappings[i].has_functions,
			b->mappings[i].has_filenames, b->mappings[i].has_lines, false);
	return err;
}

int pa_pprof__write(const struct pa_session *s, const struct pa_pprof_opts *opts, const char *path)
{
	struct builder b = {.s = s, .names.seed = s->seed};
	struct pa_stack stack;
	struct weight weight;
	int err;

	b.locations = calloc(s->frame_cnt + 1, sizeof(*b.locations));
	err = b.locations ? new_profile(&b, &weight) : -ENOMEM;
	if (err)
		goto out;
	pprof__set_time(b.profile, opts->time_ns, opts->duration_ns);
	for (size_t i = 0; !err && i < opts->tag_cnt; i++)
		err = pprof__add_comment(b.profile, opts->tags[i]);
	if (!err)
		err = add_main_mapping(&b);
	for (size_t i = 0; !err && i < pa_session__stack_cnt(s); i++) {
		pa_session__stack(s, i, &stack);
		err = add_sample(&b, &stack, &weight);
	}
	if (!err)
		err = set_flags(&b);
	if (!err)
		err = pprof__write_path(b.profile, path);
out:
	pprof__free(b.profile);
	free(b.locations);
	free(b.functions);
	pa_index__free(&b.function_table);
	free(b.mappings);
	pa_index__free(&b.mapping_table);
	pa_strings__free(&b.names);
	free(b.ids);
	return err;
}
