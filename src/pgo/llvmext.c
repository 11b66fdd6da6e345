// SPDX-License-Identifier: GPL-2.0-only
/*
 * llvmext.c - LLVM's sample profile in its extensible binary format, version 103: a table of
 * sections, then a summary (which counts make how much of all), the names, where each function's
 * profile begins, and the profiles.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pgo/pgo.h"

#define MAGIC 0x5350524f46343204ull /* "SPROF42", format 4 */
#define VERSION 103

/* As numbered by the format. */
enum section { SUMMARY = 1, NAMES = 2, OFFSETS = 4, PROFILES = 32 };
#define FLAG_FLOW_SENSITIVE (4ull << 32) /* of SUMMARY */

enum { SECTION_CNT = 4 };

struct part {
	enum section type;
	uint64_t flags;
	char *data;
	size_t bytes;
};

struct ext {
	const struct pa_pgo_profile *p;
	struct pa_pgo_order order;
	uint64_t *at; /* by place in order.functions: where its profile begins */
};

static void put_uleb(FILE *out, uint64_t v)
{
	do {
		fputc((int)(v & 0x7f) | (v >> 7 ? 0x80 : 0), out);
		v >>= 7;
	} while (v);
}

static void put_u64(FILE *out, uint64_t v)
{
	v = htole64(v);
	fwrite(&v, sizeof(v), 1, out);
}

/* ---- the summary ------------------------------------------------------------------------------
 */

/* Millionths of all counts. */
static const uint32_t cutoffs[] = {10000,  100000, 200000, 300000, 400000, 500000, 600000, 700000,
				   800000, 900000, 950000, 990000, 999000, 999900, 999990, 999999};
enum { CUTOFF_CNT = sizeof(cutoffs) / sizeof(*cutoffs) };

static int compare_falling(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a > b ? -1 : a < b;
}

static int put_summary(struct ext *e, FILE *out)
{
	const struct pa_pgo_profile *p = e->p;
	uint64_t *counts = malloc((p->line_cnt + 1) * sizeof(*counts));
	uint64_t all = 0, head = 0, sum = 0;
	size_t seen = 0;

	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; i < p->line_cnt; i++)
		all += counts[i] = p->lines[i].cnt;
	for (size_t i = 0; i < p->function_cnt; i++)
		if (p->functions[i].head > head)
			head = p->functions[i].head;
	if (p->line_cnt)
		qsort(counts, p->line_cnt, sizeof(*counts), compare_falling);
	put_uleb(out, all);
	put_uleb(out, p->line_cnt ? counts[0] : 0);
	put_uleb(out, head);
	put_uleb(out, p->line_cnt);
	put_uleb(out, e->order.function_cnt);
	put_uleb(out, CUTOFF_CNT);
	for (size_t i = 0; i < CUTOFF_CNT; i++) {
		__extension__ typedef unsigned __int128 u128;
		uint64_t want = (uint64_t)((u128)all * cutoffs[i] / 1000000);

		while (sum < want && seen < p->line_cnt) { /* equal counts come together */
			uint64_t cnt = counts[seen];

			for (; seen < p->line_cnt && counts[seen] == cnt; seen++)
				sum += cnt;
		}
		put_uleb(out, cutoffs[i]);
		put_uleb(out, seen ? counts[seen - 1] : 0);
		put_uleb(out, seen);
	}
	free(counts);
	return 0;
}

/* ---- names, profiles, offsets -----------------------------------------------------------------
 */

static int put_names(struct ext *e, FILE *out)
{
	const struct pa_strings *names = &e->p->names;

	put_uleb(out, names->cnt);
	for (size_t i = 0; i < names->cnt; i++)
		fwrite(names->strs[i], strlen(names->strs[i]) + 1, 1, out);
	return 0;
}

static void put_body(const struct ext *e, uint32_t function, FILE *out)
{
	const struct pa_pgo_profile *p = e->p;
	const struct pa_pgo_order *o = &e->order;

	put_uleb(out, p->functions[function].name);
	put_uleb(out, p->functions[function].total);
	put_uleb(out, o->first_line[function + 1] - o->first_line[function]);
	for (uint32_t i = o->first_line[function]; i < o->first_line[function + 1]; i++) {
		uint32_t line = o->lines[i];

		put_uleb(out, p->lines[line].line);
		put_uleb(out, p->lines[line].discriminator);
		put_uleb(out, p->lines[line].cnt);
		put_uleb(out, o->first_target[line + 1] - o->first_target[line]);
		for (uint32_t j = o->first_target[line]; j < o->first_target[line + 1]; j++) {
			put_uleb(out, p->targets[o->targets[j]].name);
			put_uleb(out, p->targets[o->targets[j]].cnt);
		}
	}
	put_uleb(out, o->first_child[function + 1] - o->first_child[function]);
	for (uint32_t i = o->first_child[function]; i < o->first_child[function + 1]; i++) {
		uint32_t child = o->children[i];

		put_uleb(out, p->functions[child].line);
		put_uleb(out, p->functions[child].discriminator);
		put_body(e, child, out);
	}
}

static int put_profiles(struct ext *e, FILE *out)
{
	for (size_t i = 0; i < e->order.function_cnt; i++) {
		uint32_t function = e->order.functions[i];
		long at = ftell(out);

		if (at < 0)
			return -errno;
		e->at[i] = (uint64_t)at;
		put_uleb(out, e->p->functions[function].head);
		put_body(e, function, out);
	}
	return 0;
}

static int put_offsets(struct ext *e, FILE *out)
{
	put_uleb(out, e->order.function_cnt);
	for (size_t i = 0; i < e->order.function_cnt; i++) {
		put_uleb(out, e->p->functions[e->order.functions[i]].name);
		put_uleb(out, e->at[i]);
	}
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static int make_part(struct ext *e, struct part *part, int (*put)(struct ext *, FILE *))
{
	FILE *out = open_memstream(&part->data, &part->bytes);
	int err;

	if (!out)
		return -ENOMEM;
	err = put(e, out);
	if (ferror(out))
		err = err ? err : -ENOMEM;
	if (fclose(out) && !err)
		err = -ENOMEM;
	return err;
}

static size_t uleb_bytes(uint64_t v)
{
	size_t bytes = 1;

	while (v >>= 7)
		bytes++;
	return bytes;
}

static int write_parts(const struct part *parts, FILE *out)
{
	uint64_t at = uleb_bytes(MAGIC) + uleb_bytes(VERSION) + 8 + SECTION_CNT * 4 * 8;

	put_uleb(out, MAGIC);
	put_uleb(out, VERSION);
	put_u64(out, SECTION_CNT);
	for (size_t i = 0; i < SECTION_CNT; i++) {
		put_u64(out, parts[i].type);
		put_u64(out, parts[i].flags);
		put_u64(out, at);
		put_u64(out, parts[i].bytes);
		at += parts[i].bytes;
	}
	for (size_t i = 0; i < SECTION_CNT; i++)
		fwrite(parts[i].data, parts[i].bytes, 1, out);
	return ferror(out) ? -EIO : 0;
}

int pa_pgo__write_extbinary(const struct pa_pgo_profile *p, FILE *out)
{
	struct part parts[SECTION_CNT] = {{SUMMARY, 0, NULL, 0},
					  {NAMES, 0, NULL, 0},
					  {OFFSETS, 0, NULL, 0}, /* readers want it before: */
					  {PROFILES, 0, NULL, 0}};
	struct ext e = {.p = p};
	int err = pa_pgo_order__make(p, &e.order);

	if (err)
		return err;
	if (p->is_flow_sensitive)
		parts[0].flags |= FLAG_FLOW_SENSITIVE;
	e.at = calloc(e.order.function_cnt + 1, sizeof(*e.at));
	err = e.at ? make_part(&e, &parts[0], put_summary) : -ENOMEM;
	if (!err)
		err = make_part(&e, &parts[1], put_names);
	if (!err)
		err = make_part(&e, &parts[3], put_profiles);
	if (!err)
		err = make_part(&e, &parts[2], put_offsets);
	if (!err)
		err = write_parts(parts, out);
	for (size_t i = 0; i < SECTION_CNT; i++)
		free(parts[i].data);
	free(e.at);
	pa_pgo_order__free(&e.order);
	return err;
}
