/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * burn.h - what the workloads share: CPU work in units of equal cost, time, options.
 *
 * A workload has a known answer: which functions run, in which proportion, below which callers.
 * BURN_FN keeps a function a frame of its own (not inlined, cloned or analysed away). Every
 * workload ends by itself after --seconds N (5).
 */
#ifndef BURN_H
#define BURN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__clang__)
#define BURN_FN __attribute__((noinline, optnone))
#else
#define BURN_FN __attribute__((noipa))
#endif
#define UNUSED __attribute__((unused))

UNUSED static uint64_t burn_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The value after option, else fallback. */
UNUSED static const char *burn_option(int argc, char **argv, const char *option,
				      const char *fallback)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (!strcmp(argv[i], option))
			return argv[i + 1];
	}
	return fallback;
}

UNUSED static bool burn_flag(int argc, char **argv, const char *flag)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], flag))
			return true;
	}
	return false;
}

/* The end of this workload on burn_now_ns's clock. */
UNUSED static uint64_t burn_deadline_ns(int argc, char **argv)
{
	return burn_now_ns() + (uint64_t)(atof(burn_option(argc, argv, "--seconds", "5")) * 1e9);
}

UNUSED static void burn_sleep(double seconds)
{
	struct timespec left = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};

	while (nanosleep(&left, &left))
		;
}

/*
 * gcc gives a leaf no frame, even with -fno-omit-frame-pointer, unless it asks for its address;
 * without, its caller would be missing from stacks that are walked by frame pointers.
 */
#ifdef BURN_NO_FRAME
#define BURN_FRAME()
#else
#define BURN_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))
#endif

/* The one leaf of all work: cnt units, each the same number of dependent steps (some 6 us). */
UNUSED BURN_FN static void burn_units(unsigned cnt)
{
	uint64_t x = cnt + 1;

	BURN_FRAME();
	for (unsigned i = 0; i < cnt * 4096; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		__asm__ volatile("" : "+r"(x));
	}
}

/* Burn until the deadline, below the caller. */
UNUSED BURN_FN static void burn_until(uint64_t deadline_ns)
{
	while (burn_now_ns() < deadline_ns)
		burn_units(10);
}

#endif
