/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * check.h - the cases of one unit-test program. `test_X --list` names them, `test_X NAME...`
 * runs those (all without arguments); pytest collects each as a test. A failed CHECK prints
 * where and ends its case; the exit status is the number of failed cases, at most 99.
 *
 *   TEST(round_trip)
 *   {
 *           CHECK_EQ(pd_events__new(&t), 0);
 *   }
 *   TEST_MAIN()
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*run)(void);
	struct test_case *next;
};

static struct test_case *test_first, **test_last = &test_first;
static bool test_failed;

#define TEST(id)                                                                                   \
	static void test_##id(void);                                                               \
	__attribute__((constructor)) static void test_register_##id(void)                          \
	{                                                                                          \
		static struct test_case c = {#id, test_##id, NULL};                                \
		*test_last = &c;                                                                   \
		test_last = &c.next;                                                               \
	}                                                                                          \
	static void test_##id(void)

#define CHECK_FAIL(...)                                                                            \
	do {                                                                                       \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                    \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		test_failed = true;                                                                \
		return;                                                                            \
	} while (0)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			CHECK_FAIL("failed: %s", #cond);                                           \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		long long a_ = (long long)(a), b_ = (long long)(b);                                \
		if (a_ != b_)                                                                      \
			CHECK_FAIL("%s is %lld (0x%llx), not %lld", #a, a_, a_, b_);               \
	} while (0)

#define CHECK_STR(a, b)                                                                            \
	do {                                                                                       \
		const char *a_ = (a), *b_ = (b);                                                   \
		if (!a_ || strcmp(a_, b_))                                                         \
			CHECK_FAIL("%s is \"%s\", not \"%s\"", #a, a_ ? a_ : "(null)", b_);        \
	} while (0)

static int test_run(int argc, char **argv)
{
	int failed_cnt = 0;

	for (struct test_case *c = test_first; c; c = c->next) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= !strcmp(argv[i], c->name);
		if (argc == 2 && !strcmp(argv[1], "--list")) {
			puts(c->name);
			continue;
		}
		if (!wanted)
			continue;
		test_failed = false;
		c->run();
		fprintf(stderr, "%s %s\n", test_failed ? "FAIL" : "ok  ", c->name);
		failed_cnt += test_failed;
	}
	return failed_cnt > 99 ? 99 : failed_cnt;
}

#define TEST_MAIN()                                                                                \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return test_run(argc, argv);                                                       \
	}

#endif
