// SPDX-License-Identifier: GPL-2.0-only
/*
 * buildid.c - fuzz target: the build-id of an ELF file, and of the same bytes as raw notes.
 */
#include "fuzz.h"
#include "symbolize/symbolize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t id[20];

	FUZZ_ASSERT(pa_build_id__read_fd(fuzz_file(data, bytes, 0), id) <= 20);
	FUZZ_ASSERT(pa_build_id__parse_notes(data, bytes, id) <= 20);
	return 0;
}
