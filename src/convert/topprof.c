// SPDX-License-Identifier: GPL-2.0-only
/*
 * topprof.c - stacks to pprof. Code of a file is identified by its file offset and kernel code
 * by its address; JIT code, whose addresses mean nothing in the next run, by name, source file
 * and line. So two profiles of the same program compare location by location, and those of
 * several sessions merge.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/pprof_types.h"

/* A function as the profile shows it, and the location of those that have no address. */
struct function {
	const char *name, *system_name, *file;
	uint32_t start_line;
	uint32_t mapping; /* index + 1; 0: none */
	uint64_t id, location_id;
};

/* Functions of symbols met lately: most locations are in one that has others. */
enum { MEMO_CNT = 1 << 14 };
struct memo {
	const struct pa_symbol *sym; /* NULL: none */
	uint32_t mapping;
	uint32_t function; /* its index */
};

/* A binary of one or more sessions. */
struct mapping {
	const struct pa_map_info *info; /* of the first session that has it */
	uint64_t start, limit;		/* of all sessions */
	uint64_t weight;
	uint64_t id; /* 0: not in the profile yet */
	bool has_functions, has_filenames, has_lines, has_inlines;
};

/* go tool pprof does not look into a mapping that starts at 0: code at the beginning of its file,
 * as Go's linker puts it, is shown from here on. */
#define CODE_AT_START 0x400000

/* What is added to the mapping's file offsets. */
static uint64_t bias_of(const struct mapping *m)
{
	return m->info->kind == PA_IMAGE_FILE && !m->start && m->limit ? CODE_AT_START : 0;
}

/* A location that another frame (a return address, another session's) may have too. What is inlined
 * at an address is not what is inlined at the call before it, so lines tell them apart. */
struct location {
	uint64_t address, id;
	const struct pprof_line *lines;
	uint32_t line_cnt;
	uint32_t mapping; /* index + 1; 0: none */
};

/* One sample of the profile. */
struct sample {
	const uint32_t *ids; /* locations, leaf first */
	uint32_t id_cnt, pid, tid;
	const char *comm;
	const struct pa_label *labels; /* fields, of the session */
	uint32_t label_cnt;
	int64_t *values;
};

/* Of a location without an address: frames at other addresses may be the same location, so that
 * different stacks become one sample. */
#define IS_SHARED (1u << 31)

struct session_part {
	const struct pa_session *s;
	uint32_t *locations; /* by frame index, maybe with IS_SHARED; 0: not added yet */
	uint32_t *mappings;  /* by index of pa_map_info: index + 1 */
};

struct builder {
	const struct pa_pprof_opts *opts;
	uint64_t seed;
	struct pprof_profile *profile;
	struct pa_pprof_types types;
	struct session_part *parts;
	size_t part_cnt;
	struct function *functions;
	size_t function_cnt, function_cap;
	struct pa_index function_table;
	struct memo *memos; /* MEMO_CNT */
	struct mapping *mappings;
	size_t mapping_cnt, mapping_cap;
	struct location *locations;
	size_t location_cnt, location_cap;
	struct pa_index location_table;
	struct sample *samples;
	size_t sample_cnt, sample_cap;
	struct pa_index sample_table;
	struct pa_pool pool;
	bool is_merging; /* any stack may be another's sample, too */
	int64_t pid_id, tid_id, comm_id, last_comm_id;
	const char *last_comm;
	struct pprof_line *lines; /* of the location at hand */
	size_t line_cap;
	struct pa_strings names; /* made-up names: "0x401000" */
	uint32_t *ids;		 /* locations of the stack at hand */
	uint64_t *wide_ids;
	size_t id_cap, wide_cap;
};

static uint64_t hash_string(const struct builder *b, const char *str)
{
	return pa_hash_bytes(str, strlen(str), b->seed);
}

/* ---- mappings ------------------------------------------------------------------------------ */

static bool is_same_binary(const struct pa_map_info *a, const struct pa_map_info *b)
{
	return a->kind == b->kind && a->build_id_bytes == b->build_id_bytes &&
	       !strcmp(a->path, b->path) &&
	       (!a->build_id_bytes || !memcmp(a->build_id, b->build_id, a->build_id_bytes));
}

/* Index + 1 of the mapping. There are few, and each is looked for once per session. */
static uint32_t find_mapping(struct builder *b, const struct session_part *part,
			     const struct pa_map_info *info)
{
	uint64_t limit = info->file_offset + info->bytes;

	/* a session's own mappings are distinct */
	for (size_t i = 0; b->part_cnt > 1 && part != b->parts && i < b->mapping_cnt; i++) {
		struct mapping *m = &b->mappings[i];

		if (!is_same_binary(m->info, info))
			continue;
		m->start = info->file_offset < m->start ? info->file_offset : m->start;
		m->limit = limit > m->limit ? limit : m->limit;
		return i + 1;
	}
	if (pa_array_grow(&b->mappings, b->mapping_cnt, &b->mapping_cap, sizeof(*b->mappings)))
		return 0;
	b->mappings[b->mapping_cnt++] =
		(struct mapping){.info = info, .start = info->file_offset, .limit = limit};
	return b->mapping_cnt;
}

/* How many samples each frame of a session is in. */
static void weigh_frames(const struct pa_session *s, uint64_t *weights)
{
	struct pa_stack stack;

	for (size_t i = 0; i < pa_session__stack_cnt(s); i++) {
		pa_session__stack(s, i, &stack);
		for (size_t k = 0; k < stack.frame_cnt; k++)
			weights[stack.frames[k]] += stack.sample_cnt;
	}
}

/* Find the mappings of a session that samples are in, and how many. */
static int collect_mappings(struct builder *b, struct session_part *part)
{
	const struct pa_session *s = part->s;
	size_t frame_cnt = pa_session__frame_cnt(s);
	uint64_t *weights = calloc(frame_cnt + 1, sizeof(*weights));
	int err = 0;

	part->mappings = calloc(s->info_cnt + 1, sizeof(*part->mappings));
	if (weights)
		weigh_frames(s, weights);
	if (!weights || !part->mappings)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < frame_cnt; i++) {
		const struct pa_map_info *info = pa_session__frame(s, i)->map;

		if (!info || !weights[i])
			continue;
		if (!part->mappings[info->index])
			part->mappings[info->index] = find_mapping(b, part, info);
		if (!part->mappings[info->index])
			err = -ENOMEM;
		else
			b->mappings[part->mappings[info->index] - 1].weight += weights[i];
	}
	free(weights);
	return err;
}

static int add_mapping(struct builder *b, struct mapping *mapping)
{
	const struct pa_map_info *info = mapping->info;
	struct pprof_mapping m = {
		.start = mapping->start + bias_of(mapping),
		.limit = mapping->limit + bias_of(mapping),
		.file_offset = mapping->start,
		.filename = info->path,
	};
	char build_id[2 * PD_BUILD_ID_MAX + 1] = "";

	for (size_t k = 0; k < info->build_id_bytes && k < PD_BUILD_ID_MAX; k++)
		snprintf(build_id + 2 * k, 3, "%02x", info->build_id[k]);
	m.build_id = info->build_id_bytes ? build_id : NULL;
	return pprof__add_mapping(b->profile, &m, &mapping->id);
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
	struct mapping *best = NULL;

	for (size_t i = 0; i < b->mapping_cnt; i++) {
		struct mapping *m = &b->mappings[i];
		bool better = m->info->kind == PA_IMAGE_FILE;

		if (better && best && is_library(m->info->path) != is_library(best->info->path))
			better = is_library(best->info->path);
		else if (better && best)
			better = m->weight > best->weight;
		if (better)
			best = m;
	}
	return best ? add_mapping(b, best) : 0;
}

/* ---- functions and locations ----------------------------------------------------------------- */

static bool is_same_function(const struct function *a, const struct function *b)
{
	return a->mapping == b->mapping && a->start_line == b->start_line &&
	       !strcmp(a->name, b->name) && !strcmp(a->system_name, b->system_name) &&
	       !strcmp(a->file, b->file);
}

/* Index of the function, added when it is new. @return PA_NONE without memory */
static uint32_t get_function(struct builder *b, const struct function *f)
{
	uint64_t hash = pa_mix(hash_string(b, f->name) ^ f->start_line,
			       hash_string(b, f->file) ^ ((uint64_t)f->mapping << 1 | 1));
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

	*out = (struct function){.file = ""};
	if (!frame->map && !b->opts->addresses) {
		out->name = out->system_name = "[unknown]";
		return 0;
	}
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

/* The function that a frame without lines shows. @return its index, PA_NONE: no memory */
static uint32_t function_of_frame(struct builder *b, const struct pa_frame *frame, uint32_t mapping)
{
	const struct pa_symbol *sym = frame->map ? frame->sym : NULL;
	struct memo *memo =
		&b->memos[pa_mix(b->seed ^ (uintptr_t)sym, mapping ^ 0x9e3779b97f4a7c15ULL) %
			  MEMO_CNT];
	struct function f;
	uint32_t i;

	if (sym && memo->sym == sym && memo->mapping == mapping)
		return memo->function;
	if (describe(b, frame, &f))
		return PA_NONE;
	f.mapping = mapping;
	i = get_function(b, &f);
	if (sym && i != PA_NONE)
		*memo = (struct memo){sym, mapping, i};
	return i;
}

static uint32_t function_of_line(struct builder *b, const struct pa_line *line, uint32_t mapping)
{
	const struct function f = {
		.name = *line->name ? line->name : "[inlined]",
		.system_name = *line->system_name ? line->system_name : line->name,
		.file = line->file,
		.start_line = line->start_line,
		.mapping = mapping,
	};

	return get_function(b, &f);
}

static bool is_same_location(const struct location *a, const struct location *b)
{
	return a->address == b->address && a->mapping == b->mapping && a->line_cnt == b->line_cnt &&
	       !memcmp(a->lines, b->lines, a->line_cnt * sizeof(*a->lines));
}

/* A location with an address, once. */
static int put_location(struct builder *b, uint32_t mapping, uint64_t address,
			const struct pprof_line *lines, size_t cnt, uint32_t *out)
{
	struct location location = {address, 0, lines, (uint32_t)cnt, mapping};
	uint64_t hash = pa_mix(pa_hash_words(lines, cnt * sizeof(*lines) / 8, b->seed) ^ address,
			       b->seed ^ mapping);
	uint32_t pos = pa_index__start(&b->location_table, hash), i;
	struct pprof_line *copy;
	int err;

	while ((i = pa_index__next(&b->location_table, hash, &pos)) != PA_NONE) {
		if (is_same_location(&b->locations[i], &location)) {
			*out = b->locations[i].id;
			return 0;
		}
	}
	copy = pa_pool__alloc(&b->pool, cnt * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	location.lines = memcpy(copy, lines, cnt * sizeof(*copy));
	err = pprof__add_location(b->profile, mapping ? b->mappings[mapping - 1].id : 0, address,
				  lines, cnt, &location.id);
	*out = location.id;
	if (err)
		return err;
	if (location.id >= IS_SHARED)
		return -E2BIG;
	if (pa_array_grow(&b->locations, b->location_cnt, &b->location_cap,
			  sizeof(*b->locations)) ||
	    pa_index__add(&b->location_table, hash, b->location_cnt))
		return -ENOMEM;
	b->locations[b->location_cnt++] = location;
	return 0;
}

/* The mapping of a frame, in the profile. @return its index + 1, 0 none; -ENOMEM */
static int use_mapping(struct builder *b, const struct session_part *part,
		       const struct pa_frame *frame, uint32_t *out)
{
	*out = frame->map ? part->mappings[frame->map->index] : 0;
	return *out && !b->mappings[*out - 1].id ? add_mapping(b, &b->mappings[*out - 1]) : 0;
}

static int reserve_lines(struct builder *b, size_t cnt)
{
	while (cnt > b->line_cap)
		if (pa_array_grow(&b->lines, b->line_cap, &b->line_cap, sizeof(*b->lines)))
			return -ENOMEM;
	return 0;
}

/* The functions of a frame into b->lines. @return index of the outermost, PA_NONE: no memory */
static uint32_t put_functions(struct builder *b, const struct pa_frame *frame, uint32_t mapping)
{
	struct mapping *m = mapping ? &b->mappings[mapping - 1] : NULL;
	size_t cnt = frame->line_cnt ? frame->line_cnt : 1;
	uint32_t i = PA_NONE;

	if (reserve_lines(b, cnt))
		return PA_NONE;
	for (size_t k = 0; k < cnt; k++) {
		const struct pa_line *line = frame->line_cnt ? &frame->lines[k] : NULL;

		i = line ? function_of_line(b, line, mapping)
			 : function_of_frame(b, frame, mapping);
		if (i == PA_NONE)
			return PA_NONE;
		b->lines[k].function_id = b->functions[i].id;
		/* without lines that of the declaration: the nearest that is known */
		b->lines[k].line = line ? line->line : b->functions[i].start_line;
		if (!m || (!frame->sym && !line))
			continue;
		m->has_functions = true;
		m->has_filenames |= *b->functions[i].file != '\0';
		m->has_lines |= b->lines[k].line != 0;
		m->has_inlines |= cnt > 1;
	}
	return i;
}

static int add_location(struct builder *b, const struct session_part *part, uint32_t index,
			uint32_t *out)
{
	const struct pa_frame *frame = pa_session__frame(part->s, index);
	bool has_address = !frame->map || frame->map->kind != PA_IMAGE_JIT;
	size_t cnt = frame->line_cnt ? frame->line_cnt : 1;
	uint64_t address = 0;
	uint32_t mapping, i;
	int err = use_mapping(b, part, frame, &mapping);

	if (err)
		return err;
	if (mapping || b->opts->addresses)
		address = frame->address + (mapping ? bias_of(&b->mappings[mapping - 1]) : 0);
	i = put_functions(b, frame, mapping);
	if (i == PA_NONE)
		return -ENOMEM;
	if (has_address)
		return put_location(b, mapping, address, b->lines, cnt, out);
	if (!b->functions[i].location_id)
		err = pprof__add_location(b->profile, b->mappings[mapping - 1].id, 0, b->lines, cnt,
					  &b->functions[i].location_id);
	*out = b->functions[i].location_id | IS_SHARED;
	return err || b->functions[i].location_id < IS_SHARED ? err : -E2BIG;
}

/* ---- samples --------------------------------------------------------------------------------- */

static bool has_same_labels(const struct sample *a, const struct sample *b)
{
	if (a->label_cnt != b->label_cnt)
		return false;
	for (size_t i = 0; i < a->label_cnt && a->labels != b->labels; i++) {
		const struct pa_label *x = &a->labels[i], *y = &b->labels[i];

		if (strcmp(x->key, y->key) || !x->str != !y->str || x->num != y->num ||
		    (x->str && strcmp(x->str, y->str)))
			return false;
	}
	return true;
}

static bool is_same_sample(const struct sample *a, const struct sample *b)
{
	return a->id_cnt == b->id_cnt && a->pid == b->pid && a->tid == b->tid &&
	       (a->comm == b->comm || !strcmp(a->comm, b->comm)) && has_same_labels(a, b) &&
	       !memcmp(a->ids, b->ids, a->id_cnt * sizeof(*a->ids));
}

/* The sample of these locations and labels, made when it is new. @return NULL without memory */
static struct sample *get_sample(struct builder *b, const struct sample *want)
{
	uint64_t seed = pa_mix(b->seed ^ want->pid, (uint64_t)want->tid << 1 | 1);
	uint64_t hash = pa_hash_bytes(want->ids, want->id_cnt * sizeof(*want->ids), seed);
	uint32_t pos = pa_index__start(&b->sample_table, hash), i;
	uint32_t *ids;

	while ((i = pa_index__next(&b->sample_table, hash, &pos)) != PA_NONE)
		if (is_same_sample(&b->samples[i], want))
			return &b->samples[i];
	if (b->sample_cnt >= PA_NONE ||
	    pa_array_grow(&b->samples, b->sample_cnt, &b->sample_cap, sizeof(*b->samples)) ||
	    pa_index__add(&b->sample_table, hash, b->sample_cnt))
		return NULL;
	ids = pa_pool__alloc(&b->pool, (want->id_cnt + 1) * sizeof(*ids));
	b->samples[b->sample_cnt] = *want;
	b->samples[b->sample_cnt].ids = ids;
	b->samples[b->sample_cnt].values =
		pa_pool__alloc(&b->pool, b->types.type_cnt * sizeof(*want->values));
	if (!ids || !b->samples[b->sample_cnt].values)
		return NULL;
	memcpy(ids, want->ids, want->id_cnt * sizeof(*ids));
	return &b->samples[b->sample_cnt++];
}

static int write_sample(struct builder *b, const struct sample *sample)
{
	struct pprof_label labels[3 + PA_LABELS_MAX + 1];
	size_t label_cnt = 0;
	int err = 0;

	if (b->opts->labels & PA_LABEL_PID)
		labels[label_cnt++] =
			(struct pprof_label){.key_id = b->pid_id, .num = (int32_t)sample->pid};
	if (b->opts->labels & PA_LABEL_TID)
		labels[label_cnt++] =
			(struct pprof_label){.key_id = b->tid_id, .num = (int32_t)sample->tid};
	if (b->last_comm != sample->comm)
		err = pprof__string(b->profile, sample->comm, &b->last_comm_id);
	b->last_comm = sample->comm;
	if (b->opts->labels & PA_LABEL_COMM)
		labels[label_cnt++] = (struct pprof_label){
			.key_id = b->comm_id, .str = sample->comm, .str_id = b->last_comm_id};
	for (size_t i = 0; i < sample->label_cnt; i++)
		labels[label_cnt++] = (struct pprof_label){
			.key = sample->labels[i].key,
			.str = sample->labels[i].str,
			.num = sample->labels[i].num,
			/* readers drop the number 0 if it has no unit */
			.num_unit = sample->labels[i].str ? NULL : "count",
		};
	while (sample->id_cnt > b->wide_cap)
		if (pa_array_grow(&b->wide_ids, b->wide_cap, &b->wide_cap, sizeof(*b->wide_ids)))
			return -ENOMEM;
	for (size_t i = 0; i < sample->id_cnt; i++)
		b->wide_ids[i] = sample->ids[i];
	return err ? err
		   : pprof__add_sample(b->profile, b->wide_ids, sample->id_cnt, sample->values,
				       labels, label_cnt);
}

/* The locations of a stack into b->ids. *is_shared: may another stack have the same? */
static int locate(struct builder *b, size_t part, const struct pa_stack *stack, bool *is_shared)
{
	uint32_t all = 0;

	while (stack->frame_cnt > b->id_cap)
		if (pa_array_grow(&b->ids, b->id_cap, &b->id_cap, sizeof(*b->ids)))
			return -ENOMEM;
	for (size_t i = 0; i < stack->frame_cnt; i++) {
		uint32_t *id = &b->parts[part].locations[stack->frames[i]];
		int err = *id ? 0 : add_location(b, &b->parts[part], stack->frames[i], id);

		if (err)
			return err;
		b->ids[i] = *id & ~IS_SHARED;
		all |= *id;
	}
	*is_shared = b->is_merging || (all & IS_SHARED);
	return 0;
}

static int take_stack(struct builder *b, size_t part, const struct pa_stack *stack)
{
	unsigned labels = b->opts->labels;
	struct sample want = {
		.id_cnt = stack->frame_cnt,
		.pid = labels & PA_LABEL_PID ? stack->pid : 0,
		.tid = labels & PA_LABEL_TID ? stack->tid : 0,
		.comm = labels & PA_LABEL_COMM ? stack->comm : "",
		.labels = stack->labels,
		.label_cnt = stack->label_cnt,
	};
	int64_t values[2 * PA_COLUMNS_MAX] = {0};
	struct sample *sample;
	bool is_shared;
	int err = locate(b, part, stack, &is_shared);

	if (err)
		return err;
	want.ids = b->ids;
	if (!is_shared) {
		want.values = values;
		pa_pprof_types__add(&b->types, part, stack, values);
		return write_sample(b, &want);
	}
	sample = get_sample(b, &want);
	if (!sample)
		return -ENOMEM;
	pa_pprof_types__add(&b->types, part, stack, sample->values);
	return 0;
}

/* ---- the profile ----------------------------------------------------------------------------- */

static void refuse_type(const struct builder *b, const char *wanted)
{
	char msg[1024];
	size_t used;

	used = snprintf(msg, sizeof(msg), "no sample type \"%.100s\": there are", wanted);
	for (size_t i = 0; i < b->types.type_cnt && used < sizeof(msg); i++)
		used += snprintf(msg + used, sizeof(msg) - used, "%s %s", i ? "," : "",
				 b->types.types[i].type);
	if (b->opts->warn)
		b->opts->warn(b->opts->ctx, msg);
}

static int new_profile(struct builder *b)
{
	const struct pa_pprof_types *t = &b->types;
	const char *wanted = b->opts->default_sample_type;
	size_t i = 1;
	int err;

	if (wanted)
		for (i = 0; i < t->type_cnt && strcmp(t->types[i].type, wanted);)
			i++;
	if (i >= t->type_cnt) {
		refuse_type(b, wanted);
		return -EINVAL;
	}
	err = pprof__new(t->types, t->type_cnt, &b->profile);
	if (!err)
		err = pprof__set_period(b->profile, t->period_type, t->period);
	if (!err)
		err = pprof__set_default_sample_type(b->profile, t->types[i].type);
	if (!err)
		err = pprof__string(b->profile, "pid", &b->pid_id);
	if (!err)
		err = pprof__string(b->profile, "tid", &b->tid_id);
	if (!err)
		err = pprof__string(b->profile, "comm", &b->comm_id);
	if (err)
		return err;
	pprof__set_time(b->profile, b->opts->time_ns, b->opts->duration_ns);
	for (i = 0; !err && i < b->opts->tag_cnt; i++)
		err = pprof__add_comment(b->profile, b->opts->tags[i]);
	return err;
}

static int set_up(struct builder *b, const struct pa_session *const *sessions, size_t cnt)
{
	int err;

	b->parts = calloc(cnt, sizeof(*b->parts));
	b->memos = calloc(MEMO_CNT, sizeof(*b->memos));
	if (!b->parts || !b->memos)
		return -ENOMEM;
	b->part_cnt = cnt;
	err = pa_pprof_types__init(&b->types, sessions, cnt);
	if (err == -E2BIG && b->opts->warn)
		b->opts->warn(b->opts->ctx,
			      "too many events for one profile: choose some with --event");
	for (size_t i = 0; !err && i < cnt; i++) {
		b->parts[i].s = sessions[i];
		b->parts[i].locations = calloc(pa_session__frame_cnt(sessions[i]) + 1,
					       sizeof(*b->parts[i].locations));
		err = b->parts[i].locations ? collect_mappings(b, &b->parts[i]) : -ENOMEM;
	}
	b->is_merging = cnt > 1 || b->types.column_cnt > 1;
	return err;
}

static int build(struct builder *b)
{
	struct pa_stack stack;
	int err = add_main_mapping(b);

	for (size_t k = 0; k < b->part_cnt; k++) {
		for (size_t i = 0; !err && i < pa_session__stack_cnt(b->parts[k].s); i++) {
			pa_session__stack(b->parts[k].s, i, &stack);
			err = take_stack(b, k, &stack);
		}
	}
	for (size_t i = 0; !err && i < b->sample_cnt; i++)
		err = write_sample(b, &b->samples[i]);
	for (size_t i = 0; !err && i < b->mapping_cnt; i++)
		if (b->mappings[i].id)
			err = pprof__set_mapping_flags(
				b->profile, b->mappings[i].id, b->mappings[i].has_functions,
				b->mappings[i].has_filenames, b->mappings[i].has_lines,
				b->mappings[i].has_inlines);
	return err;
}

static void tear_down(struct builder *b)
{
	pprof__free(b->profile);
	pa_pprof_types__clear(&b->types);
	for (size_t i = 0; i < b->part_cnt; i++) {
		free(b->parts[i].locations);
		free(b->parts[i].mappings);
	}
	free(b->parts);
	free(b->functions);
	free(b->memos);
	pa_index__free(&b->function_table);
	free(b->mappings);
	free(b->locations);
	pa_index__free(&b->location_table);
	free(b->samples);
	pa_index__free(&b->sample_table);
	pa_pool__free(&b->pool);
	pa_strings__free(&b->names);
	free(b->ids);
	free(b->wide_ids);
	free(b->lines);
}

int pa_pprof__write(const struct pa_session *const *sessions, size_t cnt,
		    const struct pa_pprof_opts *opts, const char *path)
{
	struct builder b = {.opts = opts};
	int err;

	if (!cnt)
		return -EINVAL;
	b.seed = b.names.seed = sessions[0]->seed;
	err = set_up(&b, sessions, cnt);
	if (!err)
		err = new_profile(&b);
	if (!err)
		err = build(&b);
	if (!err)
		err = pprof__write_path(b.profile, path);
	tear_down(&b);
	return err;
}
