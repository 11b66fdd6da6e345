// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitname.c - fuzz target: the name of JIT code, split into name, file and line.
 */
#include "fuzz.h"
#include "symbolize/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *raw = strndup((const char *)data, bytes);
	struct pa_jit_name jit;

	FUZZ_ASSERT(raw);
	pa_jit_name__decode(raw, &jit);
	FUZZ_ASSERT(jit.name_bytes <= strlen(raw));
	if (jit.file)
		FUZZ_ASSERT(jit.file_bytes <= strlen(jit.file));
	free(raw);
	return 0;
}
