// SPDX-License-Identifier: GPL-2.0-only
/*
 * folded.c - fuzz target: folded stacks to a flame graph.
 */
#include "convert/input.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_flame_opts opts = {.sz = sizeof(opts), .min_width_px = 0.1, .width_px = 1200};
	FILE *in = bytes ? fmemopen((void *)data, bytes, "r") : NULL;
	FILE *null = fopen("/dev/null", "we");
	struct pa_calltree *t;
	uint64_t line_no;

	FUZZ_ASSERT(null && !pa_calltree__new(&t));
	if (in && !pa_folded__read(in, t, &line_no))
		pa_calltree__write_svg(t, &opts, null);
	pa_calltree__free(t);
	if (in)
		fclose(in);
	fclose(null);
	return 0;
}
