// SPDX-License-Identifier: GPL-2.0-only
/*
 * perfmap.c - fuzz target: a perf-map, given at once and as a file that grows, with lookups in
 * between; and the JIT names in it.
 */
#include "fuzz.h"
#include "symbolize/internal.h"

static void look_up(struct pa_perfmap *m)
{
	struct pa_jit_name jit;
	uint64_t start, bytes;
	const char *name;
	ssize_t at;

	for (size_t i = 0; i < pa_perfmap__cnt(m); i++) {
		pa_perfmap__entry(m, i, &start, &bytes, &name);
		FUZZ_ASSERT(bytes && *name);
		pa_jit_name__decode(name, &jit);
		at = pa_perfmap__find(m, start);
		FUZZ_ASSERT(at >= (ssize_t)i); /* itself, or what came later */
		at = pa_perfmap__find(m, start + bytes - 1);
		FUZZ_ASSERT(at >= (ssize_t)i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_perfmap *whole, *grown;
	ssize_t used;
	int fd;

	FUZZ_ASSERT(!pa_perfmap__new(&whole) && !pa_perfmap__new(&grown));
	used = pa_perfmap__feed(whole, (const char *)data, bytes, true);
	FUZZ_ASSERT(used <= (ssize_t)bytes);
	look_up(whole);
	fd = fuzz_file(data, bytes / 2, 0);
	pa_perfmap__read(grown, fd);
	look_up(grown);
	FUZZ_ASSERT(pwrite(fd, data, bytes, 0) == (ssize_t)bytes);
	pa_perfmap__read(grown, fd);
	look_up(grown);
	pa_perfmap__free(whole);
	pa_perfmap__free(grown);
	return 0;
}
