// SPDX-License-Identifier: GPL-2.0-only
/*
 * session.c - fuzz target: perf.data to folded stacks, pprof and call tree, with the names that
 * the file itself brings, and to the branches of binaries; no image is opened.
 */
#include <errno.h>

#include "convert/convert.h"
#include "fuzz.h"
#include "pgo/pgo.h"

static int refuse_image(void *ctx, const struct pa_image_ref *ref)
{
	(void)ctx;
	fuzz_touch_string(ref->path);
	return -EPERM;
}

static void take_warning(void *ctx, const char *msg)
{
	(void)ctx;
	fuzz_touch_string(msg);
}

static void write_forms(const struct pa_session *s)
{
	struct pa_folded_opts folded = {.sz = sizeof(folded), .periods = true};
	struct pa_pprof_opts pprof = {.sz = sizeof(pprof), .labels = PA_LABEL_ALL};
	struct pa_flame_opts flame = {.sz = sizeof(flame), .min_width_px = 0.1, .width_px = 1200};
	FILE *null = fopen("/dev/null", "we");

	FUZZ_ASSERT(null);
	pa_folded__write(&s, 1, &folded, null);
	pa_flame__write(s, &flame, null);
	fclose(null);
	pa_pprof__write(&s, 1, &pprof, "/dev/null");
}

static void count_branches(struct pa_session *s, const struct pd_events *events)
{
	struct pa_pgo p = {.seed = 7};
	uint64_t ranges = 0, taken = 0;
	size_t cnt = pd_events__cnt(events);
	bool *counts = calloc(cnt + 1, sizeof(*counts));

	FUZZ_ASSERT(counts);
	pa_pgo__choose_events(events, s, counts, cnt);
	FUZZ_ASSERT(!pa_pgo__add(&p, s, counts, cnt) && !pa_pgo__finish(&p));
	for (size_t i = 0; i < p.cnt; i++) {
		const struct pa_pgo_binary *b = &p.binaries[i];

		for (size_t j = 0; j < b->ranges.cnt; j++) {
			FUZZ_ASSERT(b->ranges.list[j].from <= b->ranges.list[j].to);
			ranges += b->ranges.list[j].cnt;
		}
		taken += b->branch_cnt;
	}
	FUZZ_ASSERT(ranges <= taken && taken <= p.branch_cnt);
	pa_pgo__free(&p);
	free(counts);
}

static void convert(struct pd_reader *r, bool traces)
{
	struct pa_symbolizer_opts sym_opts = {
		.sz = sizeof(sym_opts), .open_image = refuse_image, .warn = take_warning};
	struct pa_session_opts opts = {.sz = sizeof(opts), .warn = take_warning, .traces = traces};
	struct pa_session_stats stats;
	struct pa_symbolizer *symbolizer;
	struct pa_session *s;
	void *saved = NULL;
	size_t bytes;
	int err;

	FUZZ_ASSERT(!pa_symbolizer__new(&sym_opts, &symbolizer));
	opts.events = pd_reader__events(r);
	opts.symbolizer = symbolizer;
	FUZZ_ASSERT(!pa_session__new(&opts, &s));
	err = pa_session__feed_reader(s, r);
	pa_symbolizer__set_origin(symbolizer, false, pa_session__kernel_text(s));
	if (traces) {
		count_branches(s, opts.events);
	} else if (!err || err == -ENODATA) {
		FUZZ_ASSERT(!pa_session__resolve(s));
		pa_session__stats(s, &stats);
		FUZZ_ASSERT(stats.stack_cnt <= stats.sample_cnt);
		write_forms(s);
		pa_symbolizer__save(symbolizer, &saved, &bytes);
	}
	free(saved);
	pa_session__free(s);
	pa_symbolizer__free(symbolizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	for (int traces = 0; traces < 2; traces++) {
		struct pd_reader *r;

		if (!pd_reader__open(fuzz_path(fuzz_file(data, bytes, 0)), &r))
			convert(r, traces);
		pd_reader__close(r);
	}
	return 0;
}
