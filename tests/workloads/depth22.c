// SPDX-License-Identifier: GPL-2.0-only
/*
 * depth22 [--seconds N] [--window S]: a target for measuring what a profiler costs.
 *
 * Burns 22 user frames deep (_start and libc's two, main, d17 down to d01, leaf) and prints one
 * number a line: the units of work done in each window of 0.1 s. The numbers are kept in memory
 * and printed at the end, so that nothing but work happens in between.
 */
#include "burn.h"

#define WINDOW_MAX 100000

static uint64_t deadline_ns, window_ns;
static unsigned windows[WINDOW_MAX];
static unsigned window_cnt;

BURN_FN static unsigned leaf(uint64_t end_ns)
{
	unsigned done = 0;

	for (; burn_now_ns() < end_ns; done++) {
		uint64_t x = done;

		for (int i = 0; i < 1000; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			__asm__ volatile("" : "+r"(x));
		}
	}
	return done;
}

BURN_FN static void d01(void)
{
	uint64_t now = burn_now_ns();

	while (now < deadline_ns && window_cnt < WINDOW_MAX) {
		windows[window_cnt++] = leaf(now + window_ns);
		now = burn_now_ns();
	}
}

#define LEVEL(upper, lower)                                                                        \
	BURN_FN static void upper(void)                                                            \
	{                                                                                          \
		lower();                                                                           \
	}
LEVEL(d02, d01)
LEVEL(d03, d02)
LEVEL(d04, d03)
LEVEL(d05, d04)
LEVEL(d06, d05)
LEVEL(d07, d06)
LEVEL(d08, d07)
LEVEL(d09, d08)
LEVEL(d10, d09)
LEVEL(d11, d10)
LEVEL(d12, d11)
LEVEL(d13, d12)
LEVEL(d14, d13)
LEVEL(d15, d14)
LEVEL(d16, d15)
LEVEL(d17, d16)

int main(int argc, char **argv)
{
	deadline_ns = burn_deadline_ns(argc, argv);
	window_ns = (uint64_t)(atof(burn_option(argc, argv, "--window", "0.1")) * 1e9);
	if (window_ns < 1000000)
		return 2;
	d17();
	for (unsigned i = 0; i < window_cnt; i++)
		printf("%u\n", windows[i]);
	return 0;
}
