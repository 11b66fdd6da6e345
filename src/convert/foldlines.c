// SPDX-License-Identifier: GPL-2.0-only
/*
 * foldlines.c - sorting and writing of folded stacks. Names are ranked by their text, lines are
 * sorted as lists of ranks, a few of them at a time: what lines have in common is compared once
 * for all of them, and what a line has in common with the one before it is not composed again.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "convert/foldlines.h"

/* A name in the middle of a line has a ';' behind it, the last one nothing: that makes a
 * difference to the order. Number of a name's variant, and the name again: */
#define VARIANT(name, is_last) ((name) << 1 | (is_last))
#define NAME_OF(variant) ((variant) >> 1)
#define IS_LAST(variant) ((variant)&1)

enum { FEW = 48, OUT_BYTES = 1 << 18 };

/* What is sorted, and what it is compared by at the depth at hand. */
struct item {
	uint64_t key;
	uint32_t index;
};

struct sorter {
	const void *ctx;
	/* @return false: it ended before depth, as do all that are equal up to there */
	bool (*key)(const void *ctx, uint32_t index, size_t depth, uint64_t *out);
	struct item *tmp;
};

struct ranking {
	const struct pa_strings *names;
	uint32_t *variants; /* by rank */
	uint32_t cnt;
};

int pa_foldlines__add(struct pa_foldlines *l, const uint32_t *names, uint32_t name_cnt,
		      uint64_t weight)
{
	uint32_t *copy = pa_pool__alloc(&l->pool, name_cnt * sizeof(*copy));

	if (!copy || l->cnt >= PA_NONE ||
	    pa_array_grow(&l->lines, l->cnt, &l->cap, sizeof(*l->lines)))
		return -ENOMEM;
	memcpy(copy, names, name_cnt * sizeof(*copy));
	l->lines[l->cnt++] = (struct pa_foldline){copy, name_cnt, weight};
	return 0;
}

void pa_foldlines__free(struct pa_foldlines *l)
{
	free(l->lines);
	pa_pool__free(&l->pool);
	memset(l, 0, sizeof(*l));
}

/* ---- sorting ------------------------------------------------------------------------------ */

static void sort_few(struct item *items, size_t cnt)
{
	for (size_t i = 1; i < cnt; i++) {
		struct item item = items[i];
		size_t at = i;

		for (; at && items[at - 1].key > item.key; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/* By the bytes of the keys, the lowest first, that are not the same in all. */
static void sort_by_key(struct item *items, struct item *tmp, size_t cnt)
{
	uint64_t differ = 0;

	if (cnt < FEW) {
		sort_few(items, cnt);
		return;
	}
	for (size_t i = 1; i < cnt; i++)
		differ |= items[i].key ^ items[0].key;
	for (int shift = 0; shift < 64; shift += 8) {
		size_t starts[257] = {0};

		if (!(differ >> shift & 255))
			continue;
		for (size_t i = 0; i < cnt; i++)
			starts[(items[i].key >> shift & 255) + 1]++;
		for (int i = 0; i < 255; i++)
			starts[i + 1] += starts[i];
		for (size_t i = 0; i < cnt; i++)
			tmp[starts[items[i].key >> shift & 255]++] = items[i];
		memcpy(items, tmp, cnt * sizeof(*items));
	}
}

/* Sort items that are equal before depth. Of those that stay equal the most are sorted here, so
 * that recursion is never deep. */
static void sort(const struct sorter *s, struct item *items, size_t cnt, size_t depth)
{
	while (cnt > 1) {
		struct item *most = items;
		size_t most_cnt = 1, run;

		for (size_t i = 0; i < cnt; i++)
			if (!s->key(s->ctx, items[i].index, depth, &items[i].key))
				return;
		sort_by_key(items, s->tmp, cnt);
		for (size_t i = 0; i < cnt; i += run) {
			for (run = 1; i + run < cnt && items[i + run].key == items[i].key;)
				run++;
			if (run <= most_cnt) {
				sort(s, items + i, run, depth + 1);
				continue;
			}
			sort(s, most, most_cnt, depth + 1);
			most = items + i;
			most_cnt = run;
		}
		items = most;
		cnt = most_cnt;
		depth++;
	}
}

/* Eight bytes of a variant's text. */
static bool key_of_variant(const void *ctx, uint32_t variant, size_t depth, uint64_t *out)
{
	const struct pa_strings *names = ctx;
	const char *name = names->strs[NAME_OF(variant)];
	size_t bytes = strlen(name), from = 8 * depth;
	uint64_t key = 0;

	if (from > bytes)
		return false;
	memcpy(&key, name + from, bytes - from < 8 ? bytes - from : 8);
	if (bytes - from < 8 && !IS_LAST(variant))
		((char *)&key)[bytes - from] = ';';
	*out = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(key) : key;
	return true;
}

/* Two ranks of a line. */
static bool key_of_line(const void *ctx, uint32_t index, size_t depth, uint64_t *out)
{
	const struct pa_foldline *line = &((const struct pa_foldline *)ctx)[index];
	size_t from = 2 * depth;

	if (from >= line->name_cnt)
		return false;
	*out = (uint64_t)line->names[from] << 32 |
	       (from + 1 < line->name_cnt ? line->names[from + 1] : 0);
	return true;
}

/* Sort indices [0, cnt), or those of which there are any. @return the sorted ones, NULL: no memory
 */
static struct item *sort_all(struct sorter *s, struct item *items, size_t cnt)
{
	s->tmp = malloc((cnt + 1) * sizeof(*s->tmp));
	if (!items || !s->tmp) {
		free(items);
		free(s->tmp);
		return NULL;
	}
	sort(s, items, cnt, 0);
	free(s->tmp);
	return items;
}

/* ---- ranks -------------------------------------------------------------------------------- */

/* Put ranks in place of names into all lines. ranks: by variant, not 0 for those in use. */
static int use_ranks(struct pa_foldlines *l, struct ranking *r, uint32_t *ranks)
{
	struct sorter sorter = {.ctx = r->names, .key = key_of_variant};
	size_t variant_cnt = 2 * r->names->cnt, cnt = 0;
	struct item *items = malloc((variant_cnt + 1) * sizeof(*items));

	for (size_t i = 0; items && i < variant_cnt; i++)
		if (ranks[i])
			items[cnt++].index = i;
	items = sort_all(&sorter, items, cnt);
	r->variants = malloc((cnt + 1) * sizeof(*r->variants));
	if (!items || !r->variants) {
		free(items);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cnt; i++) {
		r->variants[i] = items[i].index;
		ranks[items[i].index] = i;
	}
	free(items);
	for (size_t i = 0; i < l->cnt; i++) {
		struct pa_foldline *line = &l->lines[i];

		for (uint32_t k = 0; k < line->name_cnt; k++)
			line->names[k] = ranks[VARIANT(line->names[k], k + 1 == line->name_cnt)];
	}
	return 0;
}

static int rank(struct pa_foldlines *l, struct ranking *r)
{
	uint32_t *ranks;
	int err;

	if (r->names->cnt >= PA_NONE / 2)
		return -ENOMEM;
	ranks = calloc(2 * r->names->cnt + 1, sizeof(*ranks));
	if (!ranks)
		return -ENOMEM;
	for (size_t i = 0; i < l->cnt; i++) {
		const struct pa_foldline *line = &l->lines[i];

		for (uint32_t k = 0; k < line->name_cnt; k++)
			ranks[VARIANT(line->names[k], k + 1 == line->name_cnt)] = 1;
	}
	err = use_ranks(l, r, ranks);
	free(ranks);
	return err;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The text of the line at hand, and where each of its names begins. */
struct composer {
	const struct ranking *ranking;
	const struct pa_foldline *line;
	char *text;
	size_t text_cap;
	size_t *starts; /* one more than names */
	size_t start_cap;
	char *out;
	size_t out_bytes;
};

static int reserve(struct composer *c, size_t bytes, size_t start_cnt)
{
	while (bytes > c->text_cap)
		if (pa_array_grow(&c->text, c->text_cap, &c->text_cap, 1))
			return -ENOMEM;
	while (start_cnt > c->start_cap)
		if (pa_array_grow(&c->starts, c->start_cap, &c->start_cap, sizeof(*c->starts)))
			return -ENOMEM;
	return 0;
}

/* Go on to a line: names that it shares with the one before stay where they are. */
static int compose(struct composer *c, const struct pa_foldline *line)
{
	uint32_t i = 0;
	int err = reserve(c, 0, line->name_cnt + 1);

	if (err)
		return err;
	while (c->line && i < line->name_cnt && i < c->line->name_cnt &&
	       c->line->names[i] == line->names[i])
		i++;
	c->starts[0] = 0;
	for (; i < line->name_cnt; i++) {
		uint32_t variant = c->ranking->variants[line->names[i]];
		const char *name = c->ranking->names->strs[NAME_OF(variant)];
		size_t bytes = strlen(name), at = c->starts[i];

		err = reserve(c, at + bytes + 1, 0);
		if (err)
			return err;
		memcpy(c->text + at, name, bytes);
		c->text[at + bytes] = IS_LAST(variant) ? ' ' : ';';
		c->starts[i + 1] = at + bytes + 1;
	}
	c->line = line;
	return 0;
}

static int write_out(struct composer *c, FILE *out)
{
	size_t bytes = c->out_bytes;

	c->out_bytes = 0;
	return fwrite(c->out, 1, bytes, out) == bytes ? 0 : errno ? -errno : -EIO;
}

/* The text at hand, and its weight. */
static int put_line(struct composer *c, uint64_t weight, FILE *out)
{
	size_t bytes = c->starts[c->line->name_cnt];
	char digits[24], *first = digits + sizeof(digits);
	int err = 0;

	*--first = '\n';
	do
		*--first = '0' + weight % 10;
	while (weight /= 10);
	if (c->out_bytes + bytes + sizeof(digits) > OUT_BYTES)
		err = write_out(c, out);
	if (err)
		return err;
	if (bytes + sizeof(digits) > OUT_BYTES) {
		if (fwrite(c->text, 1, bytes, out) != bytes)
			return errno ? -errno : -EIO;
		bytes = 0;
	}
	memcpy(c->out + c->out_bytes, c->text, bytes);
	c->out_bytes += bytes;
	bytes = digits + sizeof(digits) - first;
	memcpy(c->out + c->out_bytes, first, bytes);
	c->out_bytes += bytes;
	return 0;
}

static bool is_same(const struct pa_foldline *a, const struct pa_foldline *b)
{
	return a->name_cnt == b->name_cnt &&
	       !memcmp(a->names, b->names, a->name_cnt * sizeof(*a->names));
}

static int write_sorted(const struct pa_foldlines *l, const struct ranking *r,
			const struct item *items, FILE *out)
{
	struct composer c = {.ranking = r, .out = malloc(OUT_BYTES)};
	int err = c.out ? 0 : -ENOMEM;

	for (size_t i = 0, next; !err && i < l->cnt; i = next) {
		const struct pa_foldline *line = &l->lines[items[i].index];
		uint64_t weight = line->weight;

		for (next = i + 1; next < l->cnt; next++) {
			const struct pa_foldline *other = &l->lines[items[next].index];

			if (!is_same(line, other))
				break;
			weight += other->weight;
		}
		err = compose(&c, line);
		if (!err)
			err = put_line(&c, weight, out);
	}
	if (!err)
		err = write_out(&c, out);
	free(c.text);
	free(c.starts);
	free(c.out);
	return err;
}

int pa_foldlines__write(struct pa_foldlines *l, const struct pa_strings *names, FILE *out)
{
	struct ranking ranking = {.names = names};
	struct sorter sorter = {.key = key_of_line};
	struct item *items = NULL;
	int err = rank(l, &ranking);

	if (!err) {
		sorter.ctx = l->lines;
		items = malloc((l->cnt + 1) * sizeof(*items));
		for (size_t i = 0; items && i < l->cnt; i++)
			items[i].index = i;
		items = sort_all(&sorter, items, l->cnt);
		err = items ? write_sorted(l, &ranking, items, out) : -ENOMEM;
	}
	free(items);
	free(ranking.variants);
	if (err)
		return err;
	return fflush(out) ? -errno : 0;
}
