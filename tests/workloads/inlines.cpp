// SPDX-License-Identifier: GPL-2.0-only
/*
 * inlines [--seconds N]: all time is spent in functions that are inlined, three deep, in two
 * that are not: C++ with templates in a namespace in deep(), a C function in shallow(). Tests
 * find lines by the words in capitals after them.
 */
#include "burn.h"

namespace nest
{
template <typename T> struct Counter {
	T sum = 0;

	__attribute__((always_inline)) void add(T from) // ADD_START
	{
		for (T i = 0; i < 64; i++)
			sum = sum * 31 + (from ^ i); // ADD_BODY
	}
};

inline __attribute__((always_inline)) unsigned long rounds(unsigned long cnt) // ROUNDS_START
{
	Counter<unsigned long> c;

	for (unsigned long i = 0; i < cnt; i++)
		c.add(i); // ROUNDS_CALL
	return c.sum;
}

__attribute__((noinline)) unsigned long deep(unsigned long cnt) // DEEP_START
{
	return rounds(cnt + 1) ^ 5; // DEEP_CALL
}
} // namespace nest

extern "C" {
inline __attribute__((always_inline)) unsigned long square(unsigned long a) // SQUARE_START
{
	for (unsigned long i = 0; i < 64; i++)
		a = a * a + i; // SQUARE_BODY
	return a;
}

__attribute__((noinline)) unsigned long shallow(unsigned long a) // SHALLOW_START
{
	unsigned long sum = 1;

	for (unsigned long i = 0; i < a; i++)
		sum += square(i); // SHALLOW_CALL
	return sum;
}
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	unsigned long sum = 0;

	while (burn_now_ns() < deadline_ns)
		sum += nest::deep(1000 + sum % 2) + shallow(1000 + sum % 3);
	return sum == 42;
}
