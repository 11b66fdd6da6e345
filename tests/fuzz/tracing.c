// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing.c - fuzz target: the formats of TRACING_DATA, and fields of raw data, which is the
 * input's end.
 */
#include "convert/tracing.h"
#include "fuzz.h"

enum { RAW_MAX = 256, CONFIGS = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char *const fields[] = {"common_pid", "prev_comm", "prev_pid", "prev_state",
					     "next_pid",   "filename",	"ret"};
	size_t raw_bytes = bytes < RAW_MAX ? bytes : RAW_MAX;
	struct pa_field_value v;
	struct pa_tracing *t;
	char text[512];

	if (pa_tracing__parse(data, bytes, &t))
		return 0;
	pa_tracing__is_damaged(t);
	for (uint64_t config = 0; config < CONFIGS; config++) {
		if (pa_tracing__name(t, config, text, sizeof(text)))
			continue;
		fuzz_touch_string(text);
		pa_tracing__field_names(t, config, text, sizeof(text));
		fuzz_touch_string(text);
		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
			const struct tep_format_field *f = pa_tracing__field(t, config, fields[i]);

			if (f && !pa_tracing__read(t, f, data + bytes - raw_bytes, raw_bytes, &v) &&
			    !v.is_num)
				fuzz_touch(v.str, v.str_bytes);
		}
	}
	pa_tracing__free(t);
	return 0;
}
