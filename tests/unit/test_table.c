// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_table.c - the hash function: equal hashes are as rare as chance has them, whatever bytes who
 * does not know the seed comes up with.
 */
#include <stdlib.h>

#include "check.h"
#include "convert/table.h"

enum { SEEDS = 2000, WORDS = 30, VALUES = 1 << 16 };

static uint64_t state = 1;

static uint64_t any(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return pa_mix(state, 0x9e3779b97f4a7c15ULL);
}

/* Seeds for which two texts that differ, one made of the other by a rule, have one hash. */
static int equal_cnt(size_t cnt, void (*rule)(uint64_t *, size_t))
{
	int equal = 0;

	for (int i = 0; i < SEEDS; i++) {
		uint64_t a[WORDS], b[WORDS], seed = any();

		for (size_t k = 0; k < cnt; k++)
			a[k] = b[k] = any();
		rule(b, cnt);
		equal += memcmp(a, b, cnt * 8) &&
			 pa_hash_words(a, cnt, seed) == pa_hash_words(b, cnt, seed);
	}
	return equal;
}

static size_t from, to;
static uint64_t mask;

static void swap(uint64_t *w, size_t cnt)
{
	uint64_t kept = w[from % cnt];

	w[from % cnt] = w[to % cnt] ^ mask;
	w[to % cnt] = kept ^ mask;
}

/* Two lanes given the same. */
static void repeat(uint64_t *w, size_t cnt)
{
	for (size_t i = 0; i + 8 <= cnt; i += 8)
		for (size_t k = 0; k < 2; k++)
			w[i + to % 8 + k] = w[i + from % 8 + k] ^ (k || i ? 0 : mask);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

TEST(rules_make_no_equal_hashes)
{
	static const uint64_t masks[] = {0, ~0ULL, 8, ~8ULL,
					 0x9e3779b97f4a7c15ULL ^ 0xd6e8feb86659fd93ULL};

	for (size_t m = 0; m < sizeof(masks) / sizeof(*masks); m++) {
		mask = masks[m];
		for (from = 0; from < 8; from++) {
			for (to = 0; to < from; to++) {
				for (size_t cnt = 2; cnt < 25; cnt += 11)
					CHECK_EQ(equal_cnt(cnt, swap), 0);
			}
		}
	}
}

/* How many seeds give a text of that kind the hash 0. */
static int zero_cnt(void)
{
	int zero = 0;

	for (int i = 0; i < 200; i++) {
		uint64_t w[24], seed = any();

		for (size_t k = 0; k < 24; k++)
			w[k] = any();
		repeat(w, 24);
		zero += !pa_hash_words(w, 24, seed);
	}
	return zero;
}

/* Equal lanes that cancel each other out would leave nothing. */
TEST(lanes_do_not_cancel)
{
	for (int inverted = 0; inverted < 2; inverted++) {
		mask = inverted ? ~0ULL : 0;
		for (from = 0; from < 8; from += 2)
			for (to = 0; to < 8; to += 2)
				CHECK_EQ(zero_cnt(), 0);
	}
}

TEST(like_texts)
{
	static uint64_t hashes[VALUES];

	for (size_t cnt = 0; cnt < WORDS; cnt++) {
		uint64_t w[WORDS] = {0};

		for (uint32_t i = 0; i < VALUES; i++) {
			if (cnt)
				w[i % cnt] = 0x7f0000000000 + 16 * i;
			hashes[i] = pa_hash_words(w, cnt, cnt ? 12345 : i) >> 16;
		}
		qsort(hashes, VALUES, sizeof(*hashes), by_value);
		for (uint32_t i = 1; i < VALUES; i++)
			CHECK(hashes[i] != hashes[i - 1]);
	}
}

TEST_MAIN()
