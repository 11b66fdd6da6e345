// SPDX-License-Identifier: GPL-2.0-only
/*
 * pgo.c - fuzz target: an ELF image with DWARF to profiles of compilers and BOLT, of samples,
 * ranges and branches all over it.
 */
#include "fuzz.h"
#include "pgo/pgo.h"

enum { COUNTS = 48, FIRST = 0x1000 };

static void make_counts(struct pa_pgo_counts *c, struct pa_pgo_count *list, uint64_t bytes)
{
	for (size_t i = 0; i < COUNTS; i++)
		list[i] = (struct pa_pgo_count){FIRST + i, FIRST + i + bytes, i + 1, i};
	*c = (struct pa_pgo_counts){list, COUNTS, COUNTS};
}

static void write_profile(const struct pa_pgo_binary *b, struct pa_pgo_file *f, bool by_branches,
			  FILE *out)
{
	struct pa_pgo_profile p = {.seed = 7};
	struct pa_pgo_quality q;

	FUZZ_ASSERT(!pa_pgo_profile__derive(&p, b, f, by_branches));
	FUZZ_ASSERT(!pa_pgo__write_text(&p, out) && !pa_pgo__write_extbinary(&p, out));
	FUZZ_ASSERT(!pa_pgo_profile__judge(&p, &q) && q.function_cnt <= p.function_cnt);
	for (size_t i = 0; i < p.function_cnt; i++)
		FUZZ_ASSERT(p.functions[i].parent == PA_NONE || p.functions[i].parent < i);
	FUZZ_ASSERT(p.with_line <= p.with_function && p.with_function <= p.given);
	pa_pgo_profile__free(&p);
}

static void write_forms(struct pa_pgo_binary *b, struct pa_pgo_file *f)
{
	FILE *out = fopen("/dev/null", "we");

	FUZZ_ASSERT(out);
	write_profile(b, f, true, out);
	write_profile(b, f, false, out);
	FUZZ_ASSERT(!pa_pgo__write_autofdo(b, f, out) && !pa_pgo__write_unsymbolized(b, f, out));
	FUZZ_ASSERT(!pa_pgo__write_bolt(b, f, out) && !pa_pgo__write_bolt_samples(b, f, out));
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char *const no_dirs[] = {NULL};
	struct pa_search search = {.debug_dirs = no_dirs};
	struct pa_pgo_count addresses[COUNTS], ranges[COUNTS], branches[COUNTS];
	struct pa_pgo_binary b = {.path = "/nonexistent/fuzz"};
	struct pa_pgo_file *f;

	make_counts(&b.addresses, addresses, 0);
	make_counts(&b.ranges, ranges, 5);
	make_counts(&b.branches, branches, 7);
	branches[COUNTS / 2].to = PA_PGO_OUTSIDE;
	branches[COUNTS - 1].from = PA_PGO_OUTSIDE;
	if (!pa_pgo_file__open(dup(fuzz_file(data, bytes, 0)), b.path, &search, &f)) {
		write_forms(&b, f);
		pa_pgo_file__free(f);
	}
	return 0;
}
