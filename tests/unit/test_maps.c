/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_maps.c - mappings of one address space by address and time, against a plain list of who
 * took each page when.
 */
#include "check.h"
#include "convert/maps.h"

enum { PAGES = 48, ROUNDS = 40, MAPS = 300 };

/* By page: what was mapped there at each time; image 0 is none. */
struct model {
	uint32_t image[PAGES][MAPS + 1]; /* [page][time] */
};

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint32_t expected(const struct model *m, unsigned page, uint64_t time_ns)
{
	for (uint64_t t = time_ns; t > 0; t--)
		if (m->image[page][t])
			return m->image[page][t];
	return 0;
}

/* Map at each time from 1 to MAPS once; disorder: how far from its turn a record may come. */
static void fill(struct pa_space *s, struct pa_pieces *pieces, struct model *m, uint32_t *seed,
		 unsigned disorder)
{
	unsigned turn[MAPS];
	uint64_t dropped_cnt = 0;

	for (unsigned i = 0; i < MAPS; i++)
		turn[i] = i + 1;
	for (unsigned i = 0; disorder && i + disorder < MAPS; i++) {
		unsigned k = i + next(seed) % disorder, t = turn[i];

		turn[i] = turn[k];
		turn[k] = t;
	}
	for (unsigned i = 0; i < MAPS; i++) {
		unsigned first = next(seed) % PAGES, cnt = 1 + next(seed) % (PAGES - first);
		struct pa_piece piece = {.start = first, .end = first + cnt, .image = turn[i]};

		piece.from_ns = turn[i];
		CHECK_EQ(pa_space__map(s, pieces, &piece, &dropped_cnt), 0);
		for (unsigned p = first; p < first + cnt; p++)
			m->image[p][turn[i]] = turn[i];
	}
	CHECK_EQ(dropped_cnt, 0);
}

TEST(who_was_there)
{
	static struct model m;
	uint32_t seed = 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct pa_space s = {0};
		struct pa_pieces pieces = {0};

		memset(&m, 0, sizeof(m));
		fill(&s, &pieces, &m, &seed, round % 4 * 3);
		CHECK(s.past_cnt > MAPS);
		for (unsigned page = 0; page < PAGES; page++) {
			for (unsigned t = 1; t <= MAPS; t++) {
				const struct pa_piece *late = NULL;
				const struct pa_piece *p = pa_space__find(&s, page, t, &late);

				CHECK_EQ(p ? p->image : 0, expected(&m, page, t));
			}
		}
		pa_space__clear(&s, &pieces);
		pa_pool__free(&pieces.pool);
	}
}

/* Replaced mappings elsewhere cost an address nothing. */
TEST(past_is_found_by_address)
{
	struct pa_space s = {0};
	struct pa_pieces pieces = {0};
	uint64_t dropped_cnt = 0;
	const struct pa_piece *late = NULL;

	for (unsigned i = 0; i < 4000; i++) {
		struct pa_piece piece = {.start = 0x1000 + i / 2 * 0x100, .image = i + 1};

		piece.end = piece.start + 0x80;
		piece.from_ns = i + 1;
		CHECK_EQ(pa_space__map(&s, &pieces, &piece, &dropped_cnt), 0);
	}
	CHECK_EQ(s.past_cnt, 2000);
	for (unsigned i = 0; i < 1000000; i++) {
		unsigned k = i % 2000;
		const struct pa_piece *p = pa_space__find(&s, 0x1000 + k * 0x100, 2 * k + 1, &late);

		CHECK(p && p->image == 2 * k + 1);
		CHECK(!pa_space__find(&s, 0x1000 + k * 0x100 + 0x90, 5000, &late));
	}
	pa_space__clear(&s, &pieces);
	pa_pool__free(&pieces.pool);
}

TEST_MAIN()
