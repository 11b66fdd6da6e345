// SPDX-License-Identifier: GPL-2.0-only
/*
 * recover.c - fuzz target: a damaged perf.data made whole. What comes out must be read to its end.
 */
#include "fuzz.h"
#include "perfdata/perfdata.h"
#include "recover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const char *in = fuzz_path(fuzz_file(data, bytes, 0));
	const struct perf_event_header *hdr;
	struct pa_recover_result result;
	struct pd_reader *r = NULL;
	char from[64], out[64];
	int err;

	snprintf(from, sizeof(from), "%s", in);
	snprintf(out, sizeof(out), "/dev/shm/pa-fuzz-recover-%d", (int)getpid());
	memset(&result, 0, sizeof(result));
	if (pa_recover(from, out, &result) >= 0 && !access(out, F_OK)) {
		err = pd_reader__open(out, &r);
		FUZZ_ASSERT(!err);
		while ((err = pd_reader__next(r, &hdr, NULL)) == 1)
			fuzz_touch(hdr, hdr->size);
		FUZZ_ASSERT(!err);
		pd_reader__close(r);
	}
	unlink(out);
	return 0;
}
