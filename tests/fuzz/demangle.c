// SPDX-License-Identifier: GPL-2.0-only
/*
 * demangle.c - fuzz target: demangling, which must give text of bounded length or nothing.
 */
#include "fuzz.h"
#include "symbolize/symbolize.h"

enum { LENGTH_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *raw = strndup((const char *)data, bytes), *readable;

	FUZZ_ASSERT(raw);
	readable = pa_demangle(raw);
	if (readable)
		FUZZ_ASSERT(strlen(readable) < LENGTH_MAX);
	free(readable);
	free(raw);
	return 0;
}
