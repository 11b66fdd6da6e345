/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * swap.h - one of the libraries that dlswap loads in turns at one address. They have functions of
 * the same size at the same places, but frames of different sizes, and no frame pointers: a walk
 * by the other one's unwind information goes astray.
 */
#pragma GCC optimize("omit-frame-pointer")
#define BURN_NO_FRAME
#include "burn.h"

void swap_entry(void (*callback)(uint64_t deadline_ns), uint64_t deadline_ns);

BURN_FN static void SWAP_NAME(inner)(void (*callback)(uint64_t deadline_ns), uint64_t deadline_ns)
{
	volatile char frame[SWAP_BYTES] UNUSED;

	frame[0] = 1;
	callback(deadline_ns);
	frame[1] = 1;
}

BURN_FN static void SWAP_NAME(outer)(void (*callback)(uint64_t deadline_ns), uint64_t deadline_ns)
{
	volatile char frame[2 * SWAP_BYTES] UNUSED;

	frame[0] = 1;
	SWAP_NAME(inner)(callback, deadline_ns);
	frame[1] = 1;
}

BURN_FN void swap_entry(void (*callback)(uint64_t deadline_ns), uint64_t deadline_ns)
{
	SWAP_NAME(outer)(callback, deadline_ns);
	burn_units(1);
}
