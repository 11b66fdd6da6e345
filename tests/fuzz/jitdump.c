// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitdump.c - fuzz target: a jitdump, its entries, lookups by address and time, lines.
 */
#include "fuzz.h"
#include "symbolize/jitdump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_jitdump_stats stats;
	uint64_t start, size;
	struct pa_jitdump *d;
	const char *name;
	uint32_t line;

	FUZZ_ASSERT(!pa_jitdump__new(&d));
	pa_jitdump__read(d, fuzz_file(data, bytes, 0));
	for (size_t i = 0; i < pa_jitdump__cnt(d); i++) {
		pa_jitdump__entry(d, i, &start, &size, &name);
		fuzz_touch_string(name);
		FUZZ_ASSERT(pa_jitdump__find(d, start, UINT64_MAX) < (ssize_t)pa_jitdump__cnt(d));
		pa_jitdump__find(d, start + size / 2, i);
		if (!pa_jitdump__line(d, i, start + size / 2, &name, &line))
			fuzz_touch_string(name);
		if (!pa_jitdump__first_line(d, i, &name, &line))
			fuzz_touch_string(name);
	}
	pa_jitdump__find(d, UINT64_MAX, 0);
	pa_jitdump__stats(d, &stats);
	pa_jitdump__free(d);
	return 0;
}
