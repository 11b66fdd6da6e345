/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_pgo.c - counts of binaries from traces, and the written forms of a profile made by hand.
 * What is derived from real programs is in tests/golden/test_autofdo.py.
 */
#include <errno.h>

#include "check.h"
#include "pgo/pgo.h"

static struct pa_pgo_profile p;

static uint32_t function(const char *name, uint32_t parent, uint32_t line, uint64_t total,
			 uint64_t head)
{
	struct pa_pgo_function key = {pa_pgo_profile__name(&p, name), parent, line, 0, 0, 0, 0};
	uint32_t i = pa_pgo_profile__function(&p, &key);

	p.functions[i].total += total;
	p.functions[i].head += head;
	return i;
}

static uint32_t line(uint32_t of, uint32_t number, uint32_t discriminator, uint64_t cnt)
{
	struct pa_pgo_line key = {of, number, discriminator, 0};
	uint32_t i = pa_pgo_profile__line(&p, &key);

	p.lines[i].cnt += cnt;
	return i;
}

static void call(uint32_t from, const char *name, uint64_t cnt)
{
	struct pa_pgo_target key = {from, pa_pgo_profile__name(&p, name), 0};
	uint32_t i = pa_pgo_profile__target(&p, &key);

	p.targets[i].cnt += cnt;
}

static void make(void)
{
	uint32_t small, big, in;

	p = (struct pa_pgo_profile){.seed = 42};
	small = function("small", PA_NONE, 0, 7, 3);
	big = function("big", PA_NONE, 0, 300, 1);
	in = function("inner", big, 4, 50, 0);
	line(big, 10, 0, 200);
	line(big, 2, 3, 0);
	line(small, 1, 0, 7);
	call(line(big, 2, 0, 20), "small", 3);
	call(line(big, 2, 0, 0), "other", 9);
	line(in, 1, 0, 50);
	function("deeper", in, 2, 5, 0);
	function("big", PA_NONE, 0, 0, 0); /* the same again */
}

static size_t written(int (*write)(const struct pa_pgo_profile *, FILE *), char **out)
{
	size_t bytes = 0;
	FILE *file = open_memstream(out, &bytes);

	if (!file || write(&p, file) || fclose(file))
		return 0;
	return bytes;
}

TEST(text)
{
	char *text = NULL;

	make();
	CHECK(written(pa_pgo__write_text, &text));
	CHECK_STR(text, "big:300:1\n"
			" 2: 20 other:9 small:3\n"
			" 2.3: 0\n"
			" 10: 200\n"
			" 4: inner:50\n"
			"  1: 50\n"
			"  2: deeper:5\n"
			"small:7:3\n"
			" 1: 7\n");
	free(text);
	pa_pgo_profile__free(&p);
}

static uint64_t uleb(const uint8_t **at)
{
	uint64_t v = 0;
	unsigned shift = 0;

	do
		v |= (uint64_t)(**at & 0x7f) << shift;
	while (shift += 7, *(*at)++ & 0x80);
	return v;
}

static uint64_t u64(const uint8_t *at)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | at[i];
	return v;
}

TEST(extbinary)
{
	static const uint64_t types[] = {1, 2, 4, 32};
	const uint8_t *at, *table;
	char *data = NULL;
	size_t bytes;
	uint64_t end;

	make();
	bytes = written(pa_pgo__write_extbinary, &data);
	CHECK(bytes > 100);
	at = (const uint8_t *)data;
	CHECK_EQ(uleb(&at), 0x5350524f46343204ull);
	CHECK_EQ(uleb(&at), 103);
	CHECK_EQ(u64(at), 4);
	table = at + 8;
	end = (uint64_t)(table + 4 * 32 - (const uint8_t *)data);
	for (int i = 0; i < 4; i++) { /* no gaps, in the order in which readers go on */
		CHECK_EQ(u64(table + 32 * i), types[i]);
		CHECK_EQ(u64(table + 32 * i + 16), end);
		end += u64(table + 32 * i + 24);
	}
	CHECK_EQ(end, bytes);
	at = (const uint8_t *)data + u64(table + 16); /* the summary */
	CHECK_EQ(uleb(&at), 277);
	CHECK_EQ(uleb(&at), 200);
	CHECK_EQ(uleb(&at), 3);
	CHECK_EQ(uleb(&at), 5);
	CHECK_EQ(uleb(&at), 2);
	free(data);
	pa_pgo_profile__free(&p);
}

TEST(quality)
{
	struct pa_pgo_quality q;

	make();
	CHECK_EQ(pa_pgo_profile__judge(&p, &q), 0);
	CHECK_EQ(q.least, 50); /* 200 + 50 of 277 */
	CHECK_EQ(q.line_cnt, 2);
	CHECK_EQ(q.function_cnt, 2);
	CHECK_EQ(q.verdict, PA_PGO_ENOUGH);
	pa_pgo_profile__free(&p);
	CHECK_EQ(pa_pgo_profile__judge(&p, &q), 0);
	CHECK_EQ(q.verdict, PA_PGO_TOO_FEW);
}

TEST(empty_profile)
{
	char *data = NULL;

	p = (struct pa_pgo_profile){0};
	CHECK_EQ(written(pa_pgo__write_text, &data), 0);
	free(data);
	CHECK(written(pa_pgo__write_extbinary, &data) > 0);
	free(data);
}

TEST_MAIN()
