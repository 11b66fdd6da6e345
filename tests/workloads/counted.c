// SPDX-License-Identifier: GPL-2.0-only
/*
 * counted [--millions N]: runs N (1000) million instructions in a loop of two, and next to nothing
 * else: a known answer for hardware counters.
 */
#include "burn.h"

int main(int argc, char **argv)
{
	uint64_t cnt = strtoull(burn_option(argc, argv, "--millions", "1000"), NULL, 10) * 500000;

	if (!cnt)
		return 1;
#if defined(__x86_64__)
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(cnt) : : "cc");
#elif defined(__aarch64__)
	__asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(cnt) : : "cc");
#else
#error "no loop known for this architecture"
#endif
	return 0;
}
