// SPDX-License-Identifier: GPL-2.0-only
/*
 * addrsort.c - sort by address, by its digits: they come by the hundred thousand, and most of a
 * comparing sort's time goes to comparisons whose outcome can't be foreseen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addrsort.h"

#define DIGIT_BITS 11
#define DIGITS_CNT (1u << DIGIT_BITS)

int pa_addrkeys__sort(struct pa_addrkey *keys, size_t cnt)
{
	struct pa_addrkey *other, *from = keys, *to;
	uint64_t low = UINT64_MAX, high = 0;

	other = to = malloc((cnt + 1) * sizeof(*other));
	if (!other)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++) {
		low = keys[i].addr < low ? keys[i].addr : low;
		high = keys[i].addr > high ? keys[i].addr : high;
	}
	for (unsigned shift = 0; cnt && shift < 64 && (high - low) >> shift; shift += DIGIT_BITS) {
		uint32_t at[DIGITS_CNT] = {0}, sum = 0;
		struct pa_addrkey *swap = from;

		for (size_t i = 0; i < cnt; i++)
			at[(from[i].addr - low) >> shift & (DIGITS_CNT - 1)]++;
		for (size_t i = 0; i < DIGITS_CNT; i++) {
			uint32_t n = at[i];

			at[i] = sum;
			sum += n;
		}
		for (size_t i = 0; i < cnt; i++)
			to[at[(from[i].addr - low) >> shift & (DIGITS_CNT - 1)]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != keys)
		memcpy(keys, from, cnt * sizeof(*keys));
	free(other);
	return 0;
}
