// SPDX-License-Identifier: GPL-2.0-only
/*
 * profile.c - counts per function and line, found by hash while they are made and put in order
 * once when they are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pgo/pgo.h"

uint32_t pa_pgo_profile__name(struct pa_pgo_profile *p, const char *name)
{
	p->names.seed = p->seed;
	return pa_strings__intern(&p->names, name, strlen(name));
}

static uint64_t hash_of(const struct pa_pgo_profile *p, uint32_t a, uint32_t b, uint32_t c,
			uint32_t d)
{
	uint64_t words[] = {(uint64_t)a << 32 | b, (uint64_t)c << 32 | d};

	return pa_hash_words(words, 2, p->seed);
}

uint32_t pa_pgo_profile__function(struct pa_pgo_profile *p, const struct pa_pgo_function *key)
{
	uint64_t hash = hash_of(p, key->name, key->parent, key->line, key->discriminator);
	uint32_t pos = pa_index__start(&p->function_table, hash), i;

	while ((i = pa_index__next(&p->function_table, hash, &pos)) != PA_NONE) {
		const struct pa_pgo_function *f = &p->functions[i];

		if (f->name == key->name && f->parent == key->parent && f->line == key->line &&
		    f->discriminator == key->discriminator)
			return i;
	}
	if (p->function_cnt >= PA_NONE - 1 ||
	    pa_array_grow(&p->functions, p->function_cnt, &p->function_cap,
			  sizeof(*p->functions)) ||
	    pa_index__add(&p->function_table, hash, (uint32_t)p->function_cnt))
		return PA_NONE;
	p->functions[p->function_cnt] = *key;
	return (uint32_t)p->function_cnt++;
}

uint32_t pa_pgo_profile__line(struct pa_pgo_profile *p, const struct pa_pgo_line *key)
{
	uint64_t hash = hash_of(p, key->function, key->line, key->discriminator, 0);
	uint32_t pos = pa_index__start(&p->line_table, hash), i;

	while ((i = pa_index__next(&p->line_table, hash, &pos)) != PA_NONE) {
		const struct pa_pgo_line *l = &p->lines[i];

		if (l->function == key->function && l->line == key->line &&
		    l->discriminator == key->discriminator)
			return i;
	}
	if (p->line_cnt >= PA_NONE - 1 ||
	    pa_array_grow(&p->lines, p->line_cnt, &p->line_cap, sizeof(*p->lines)) ||
	    pa_index__add(&p->line_table, hash, (uint32_t)p->line_cnt))
		return PA_NONE;
	p->lines[p->line_cnt] = *key;
	return (uint32_t)p->line_cnt++;
}

uint32_t pa_pgo_profile__target(struct pa_pgo_profile *p, const struct pa_pgo_target *key)
{
	uint64_t hash = hash_of(p, key->line, key->name, 0, 1);
	uint32_t pos = pa_index__start(&p->target_table, hash), i;

	while ((i = pa_index__next(&p->target_table, hash, &pos)) != PA_NONE)
		if (p->targets[i].line == key->line && p->targets[i].name == key->name)
			return i;
	if (p->target_cnt >= PA_NONE - 1 ||
	    pa_array_grow(&p->targets, p->target_cnt, &p->target_cap, sizeof(*p->targets)) ||
	    pa_index__add(&p->target_table, hash, (uint32_t)p->target_cnt))
		return PA_NONE;
	p->targets[p->target_cnt] = *key;
	return (uint32_t)p->target_cnt++;
}

void pa_pgo_profile__free(struct pa_pgo_profile *p)
{
	pa_strings__free(&p->names);
	free(p->functions);
	free(p->lines);
	free(p->targets);
	pa_index__free(&p->function_table);
	pa_index__free(&p->line_table);
	pa_index__free(&p->target_table);
	*p = (struct pa_pgo_profile){0};
}

/* ---- order ------------------------------------------------------------------------------------
 */

static int compare_names(const struct pa_pgo_profile *p, uint32_t a, uint32_t b)
{
	return a == b ? 0 : strcmp(p->names.strs[a], p->names.strs[b]);
}

static int compare_outer(const void *pa, const void *pb, void *ctx)
{
	const struct pa_pgo_profile *p = ctx;
	const struct pa_pgo_function *a = &p->functions[*(const uint32_t *)pa],
				     *b = &p->functions[*(const uint32_t *)pb];

	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	return compare_names(p, a->name, b->name);
}

static int compare_places(uint32_t line_a, uint32_t discr_a, uint32_t line_b, uint32_t discr_b)
{
	if (line_a != line_b)
		return line_a < line_b ? -1 : 1;
	return discr_a < discr_b ? -1 : discr_a > discr_b;
}

static int compare_children(const void *pa, const void *pb, void *ctx)
{
	const struct pa_pgo_profile *p = ctx;
	const struct pa_pgo_function *a = &p->functions[*(const uint32_t *)pa],
				     *b = &p->functions[*(const uint32_t *)pb];
	int order;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	order = compare_places(a->line, a->discriminator, b->line, b->discriminator);
	return order ? order : compare_names(p, a->name, b->name);
}

static int compare_lines(const void *pa, const void *pb, void *ctx)
{
	const struct pa_pgo_profile *p = ctx;
	const struct pa_pgo_line *a = &p->lines[*(const uint32_t *)pa],
				 *b = &p->lines[*(const uint32_t *)pb];

	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;
	return compare_places(a->line, a->discriminator, b->line, b->discriminator);
}

static int compare_targets(const void *pa, const void *pb, void *ctx)
{
	const struct pa_pgo_profile *p = ctx;
	const struct pa_pgo_target *a = &p->targets[*(const uint32_t *)pa],
				   *b = &p->targets[*(const uint32_t *)pb];

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->cnt != b->cnt)
		return a->cnt > b->cnt ? -1 : 1;
	return compare_names(p, a->name, b->name);
}

static uint32_t *numbers(size_t cnt)
{
	uint32_t *list = malloc((cnt + 1) * sizeof(*list));

	for (size_t i = 0; list && i < cnt; i++)
		list[i] = (uint32_t)i;
	return list;
}

/* Where the group of each owner begins, in a list that is in order of owners. */
static uint32_t *groups(const uint32_t *list, size_t cnt, size_t owner_cnt, const void *items,
			size_t item_bytes, size_t owner_at)
{
	uint32_t *first = malloc((owner_cnt + 1) * sizeof(*first));
	size_t at = 0;

	for (size_t owner = 0; first && owner <= owner_cnt; owner++) {
		for (; at < cnt; at++) {
			const char *item = (const char *)items + list[at] * item_bytes;
			uint32_t of;

			memcpy(&of, item + owner_at, sizeof(of));
			if (of >= owner)
				break;
		}
		first[owner] = (uint32_t)at;
	}
	return first;
}

int pa_pgo_order__make(const struct pa_pgo_profile *p, struct pa_pgo_order *out)
{
	void *ctx = (void *)p;

	*out = (struct pa_pgo_order){
		.functions = numbers(p->function_cnt),
		.lines = numbers(p->line_cnt),
		.targets = numbers(p->target_cnt),
		.children = numbers(p->function_cnt),
	};
	if (!out->functions || !out->lines || !out->targets || !out->children)
		goto no_memory;
	qsort_r(out->lines, p->line_cnt, sizeof(uint32_t), compare_lines, ctx);
	qsort_r(out->targets, p->target_cnt, sizeof(uint32_t), compare_targets, ctx);
	qsort_r(out->children, p->function_cnt, sizeof(uint32_t), compare_children, ctx);
	for (size_t i = 0; i < p->function_cnt; i++)
		if (p->functions[i].parent == PA_NONE)
			out->functions[out->function_cnt++] = (uint32_t)i;
	qsort_r(out->functions, out->function_cnt, sizeof(uint32_t), compare_outer, ctx);
	out->first_line = groups(out->lines, p->line_cnt, p->function_cnt, p->lines,
				 sizeof(*p->lines), offsetof(struct pa_pgo_line, function));
	out->first_child = groups(out->children, p->function_cnt, p->function_cnt, p->functions,
				  sizeof(*p->functions), offsetof(struct pa_pgo_function, parent));
	out->first_target = groups(out->targets, p->target_cnt, p->line_cnt, p->targets,
				   sizeof(*p->targets), offsetof(struct pa_pgo_target, line));
	if (out->first_line && out->first_child && out->first_target)
		return 0;
no_memory:
	pa_pgo_order__free(out);
	return -ENOMEM;
}

void pa_pgo_order__free(struct pa_pgo_order *o)
{
	free(o->functions);
	free(o->lines);
	free(o->targets);
	free(o->children);
	free(o->first_line);
	free(o->first_child);
	free(o->first_target);
	*o = (struct pa_pgo_order){0};
}
