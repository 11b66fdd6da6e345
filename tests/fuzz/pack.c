// SPDX-License-Identifier: GPL-2.0-only
/*
 * pack.c - fuzz target: an ELF image's CFI as packed tables, whose invariants must hold and which
 * must come back from a cache file as they were; and a cache file with a right checksum, which is
 * either refused or holds valid tables.
 */
#include "cachefile.h"
#include "fuzz.h"
#include "unwind/internal.h"
#include "unwind/pack.h"

enum { KEY = 42, KEY_AT = 16 };

static void look_up(const struct pa_pack *p)
{
	FUZZ_ASSERT(pa_pack__is_valid(p));
	for (size_t i = 0; i < p->range_cnt; i++) {
		uint64_t start = p->ranges[i].vaddr, bytes = (uint64_t)p->ranges[i].cnt << 12;

		FUZZ_ASSERT(pa_pack__rule(p, start) && pa_pack__rule(p, start + bytes - 1));
		FUZZ_ASSERT(pa_pack__rule(p, start + bytes / 2));
	}
	for (uint64_t at = 1; at; at <<= 1)
		pa_pack__rule(p, at);
	fuzz_touch(p->rows, p->row_cnt * sizeof(*p->rows));
}

static void compare(const struct pa_pack *a, const struct pa_pack *b)
{
	FUZZ_ASSERT(a->row_cnt == b->row_cnt && a->page_cnt == b->page_cnt);
	FUZZ_ASSERT(!a->row_cnt || !memcmp(a->rows, b->rows, a->row_cnt * sizeof(*a->rows)));
	FUZZ_ASSERT(!memcmp(a->pages, b->pages, a->page_cnt * sizeof(*a->pages)));
	FUZZ_ASSERT(!memcmp(a->rules, b->rules, a->rule_cnt * sizeof(*a->rules)));
	FUZZ_ASSERT(!memcmp(a->ranges, b->ranges, a->range_cnt * sizeof(*a->ranges)));
}

static void build(const uint8_t *data, size_t bytes, bool is_vdso)
{
	struct pa_pack *p = NULL, *back;
	struct pa_cfi *c;
	size_t encoded_bytes;
	void *encoded;

	if (pa_cfi__open_mem(data, bytes, &c))
		return;
	if (!(is_vdso ? pa_pack__build_vdso(c, &p) : pa_pack__build(c, &p))) {
		look_up(p);
		FUZZ_ASSERT(!pa_pack__encode(p, KEY, &encoded, &encoded_bytes));
		FUZZ_ASSERT(!pa_pack__read(fuzz_file(encoded, encoded_bytes, 0), KEY, &back));
		compare(p, back);
		pa_pack__free(back);
		free(encoded);
	}
	pa_pack__free(p);
	pa_cfi__free(c);
}

static void load(const uint8_t *data, size_t bytes)
{
	enum { SUMMED_AT = PA_PACK_CHECKSUM_AT + 8 };
	uint64_t key = KEY, sum;
	struct pa_pack *p;
	uint8_t *copy;

	if (bytes < KEY_AT + sizeof(key))
		return;
	copy = malloc(bytes);
	FUZZ_ASSERT(copy);
	memcpy(copy, data, bytes);
	memcpy(copy + KEY_AT, &key, sizeof(key));
	sum = pa_cachefile__hash(copy + SUMMED_AT, bytes - SUMMED_AT);
	memcpy(copy + PA_PACK_CHECKSUM_AT, &sum, sizeof(sum));
	if (!pa_pack__read(fuzz_file(copy, bytes, 0), KEY, &p)) {
		look_up(p);
		pa_pack__free(p);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	build(data, bytes, false);
	build(data, bytes, true);
	load(data, bytes);
	return 0;
}
