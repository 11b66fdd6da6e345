// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must not allocate: a sample whose stack is known, a repeated lookup of a symbol, a line of
 * kallsyms, a sample of a process that is enrolled, a sample written to the file. Each case first
 * makes the counter count, so that a counter that is not linked in fails it.
 */
#include <time.h>

#include "check.h"
#include "symbolize_fixture.h"

#include "capture/proctab.h"
#include "convert/convert.h"

#if COUNTS_ALLOCATIONS
#define SAMPLE_ID 1
#define REPEAT 10000

static unsigned long now(void)
{
	return __atomic_load_n(&allocation_cnt, __ATOMIC_RELAXED);
}

/* All three ways to memory are counted. */
static bool counter_works(void)
{
	unsigned long before = now();
	void *volatile a = malloc(1), *volatile b = calloc(1, 1);

	a = realloc(a, 100000);
	free(a);
	free(b);
	return now() == before + 3;
}

static struct pd_events *new_events(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = PD_ATTR_BYTES,
		.sample_freq = 99,
		.freq = 1,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD |
			       PERF_SAMPLE_CALLCHAIN,
		.sample_id_all = 1,
	};
	__u64 id = SAMPLE_ID;
	struct pd_events *events;

	if (pd_events__new(&events))
		return NULL;
	if (pd_events__add(events, &attr, &id, 1, "cpu-clock") < 0) {
		pd_events__free(events);
		return NULL;
	}
	return events;
}

enum { DEPTH = 22, SAMPLE_WORDS = 9 + DEPTH };

/* A sample of process pid, its stack told from others by which. */
static const struct perf_event_header *fill(__u64 *buf, __u32 pid, __u64 time, unsigned which)
{
	struct perf_event_header *hdr = (void *)buf;

	memset(buf, 0, SAMPLE_WORDS * sizeof(*buf));
	buf[1] = SAMPLE_ID;
	buf[2] = 0x401000 + which;
	buf[3] = (__u64)pid << 32 | pid;
	buf[4] = time;
	buf[6] = 1000000;
	buf[7] = DEPTH + 1;
	buf[8] = (__u64)PERF_CONTEXT_USER;
	for (unsigned i = 0; i < DEPTH; i++)
		buf[9 + i] = 0x401000 + which + i * 16;
	hdr->type = PERF_RECORD_SAMPLE;
	hdr->misc = PERF_RECORD_MISC_USER;
	hdr->size = SAMPLE_WORDS * sizeof(*buf);
	return hdr;
}

/* ---- the session -------------------------------------------------------------------------- */

TEST(known_stack)
{
	struct pd_events *events = new_events();
	struct pa_session_opts opts = {.sz = sizeof(opts), .events = events};
	struct pa_session_stats stats;
	struct pa_session *s;
	__u64 buf[SAMPLE_WORDS];
	unsigned long before;
	int err = 0;

	CHECK(counter_works());
	CHECK(events);
	CHECK_EQ(pa_session__new(&opts, &s), 0);
	before = now();
	for (unsigned i = 0; i < 50; i++)
		CHECK_EQ(pa_session__feed(s, fill(buf, 10 + i % 5, i + 1, i)), 0);
	/* some samples wait for a few that come after them */
	for (unsigned i = 0; i < 50; i++)
		CHECK_EQ(pa_session__feed(s, fill(buf, 10 + i % 5, i + 1, i)), 0);
	CHECK(now() > before); /* new stacks are counted */
	before = now();
	for (unsigned i = 0; i < REPEAT && !err; i++)
		err = pa_session__feed(s, fill(buf, 10 + i % 5, i + 100, i % 50));
	CHECK_EQ(now() - before, 0);
	CHECK_EQ(err, 0);
	pa_session__stats(s, &stats);
	CHECK_EQ(stats.sample_cnt, REPEAT + 100);
	CHECK_EQ(stats.stack_cnt, 50);
	pa_session__free(s);
	pd_events__free(events);
}

/* ---- the symbolizer ------------------------------------------------------------------------ */

static int lookup_span(struct pa_symbolizer *s, struct pa_image *image, uint64_t *found_cnt)
{
	const struct pa_symbol *sym;
	int err = 0;

	for (uint64_t addr = 0; addr < 0x4000 && !err; addr += 4) {
		err = pa_symbolizer__lookup(s, image, addr, &sym);
		*found_cnt += sym != NULL;
	}
	return err;
}

TEST(repeated_lookup)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .decl_lines = true};
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .path = scratch_path("a.so")};
	uint64_t first_cnt = 0, second_cnt = 0;
	struct pa_symbolizer *s;
	struct pa_image *image, *again;
	unsigned long before;

	CHECK(counter_works());
	write_text("a.cc", "namespace n { int f(int a) { return a * 3; }\n"
			   "int g(int a) { return f(a) - 1; } }\nint h() { return n::g(2); }\n");
	CHECK(!run("g++ -g -O1 -fPIC -shared -o a.so a.cc"));
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &image), 0);
	before = now();
	CHECK_EQ(lookup_span(s, image, &first_cnt), 0);
	CHECK(now() > before); /* loading, demangling */
	CHECK(first_cnt > 0);
	before = now();
	for (int i = 0; i < 10; i++)
		CHECK_EQ(lookup_span(s, image, &second_cnt), 0);
	CHECK_EQ(now() - before, 0);
	CHECK_EQ(second_cnt, 10 * first_cnt);
	before = now();
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &again), 0);
	CHECK(again == image);
	CHECK_EQ(now() - before, 0);
	pa_symbolizer__free(s);
}

/* Allocations of loading cnt lines. */
static long load_lines(unsigned cnt)
{
	const char *path = scratch_path("kallsyms");
	FILE *out = fopen(path, "w");
	unsigned long before;
	struct pa_kallsyms *k;
	const char *name, *module;
	uint64_t start, bytes;
	char want[32];
	long used;

	if (!out)
		return -1;
	fprintf(out, "ffffffff81000000 T _stext\n");
	for (unsigned i = 1; i < cnt; i++)
		fprintf(out, "%016llx t function_%u%s\n", 0xffffffff81000000ULL + i * 16ULL, i,
			i > cnt / 2 ? "\t[module]" : "");
	fclose(out);
	before = now();
	if (pa_kallsyms__load(path, &k))
		return -1;
	used = (long)(now() - before);
	snprintf(want, sizeof(want), "function_%u", cnt - 1);
	if (pa_kallsyms__lookup(k, 0xffffffff81000000ULL + (cnt - 1) * 16ULL, &name, &module,
				&start, &bytes) ||
	    strcmp(name, want))
		used = -1;
	pa_kallsyms__free(k);
	return used;
}

TEST(kallsyms_lines)
{
	long few, many;

	CHECK(counter_works());
	few = load_lines(1000);
	many = load_lines(100000);
	fprintf(stderr, "allocations: %ld for 1000 lines, %ld for 100000\n", few, many);
	CHECK(few > 0);
	CHECK(many > 0);
	/* 7 doublings lie between them; a pool of chunks of 64 KB and more may add some 100 */
	CHECK(many - few < 150);
}

/* ---- the capture -------------------------------------------------------------------------- */

TEST(enrolled_process)
{
	struct pd_events *events = new_events();
	struct pa_proctab_opts opts = {
		.sz = sizeof(opts), .events = events, .sample_id = SAMPLE_ID};
	struct pa_proctab_stats stats;
	struct pa_bytes out = {0};
	struct pa_proctab *t;
	unsigned long before;
	uint32_t self = (uint32_t)getpid(), parent = (uint32_t)getppid();
	struct timespec ts;
	uint64_t time;
	int err = 0;

	CHECK(counter_works());
	CHECK(events);
	CHECK_EQ(pa_images__new(&opts.images), 0);
	CHECK_EQ(pa_proctab__new(&opts, &t), 0);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	time = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	pa_proctab__begin_pass(t, time, 0);
	before = now();
	CHECK_EQ(pa_proctab__sample(t, self, time), 0);
	CHECK_EQ(pa_proctab__sample(t, parent, time), 0);
	CHECK(now() > before); /* two processes */
	CHECK_EQ(pa_proctab__enrol(t, &out), 0);
	CHECK(out.len > 0);
	before = now();
	for (unsigned i = 0; i < REPEAT && !err; i++)
		err = pa_proctab__sample(t, i % 2 ? self : parent, time + i);
	CHECK_EQ(now() - before, 0);
	CHECK_EQ(err, 0);
	pa_proctab__stats(t, &stats);
	CHECK_EQ(stats.enrolled_cnt, 2);
	pa_proctab__end_pass(t);
	pa_proctab__free(t);
	pa_images__free(opts.images);
	pa_bytes__free(&out);
	pd_events__free(events);
}

TEST(written_sample)
{
	struct pd_events *events = new_events();
	struct pd_writer_opts opts = {.sz = sizeof(opts)};
	__u64 buf[SAMPLE_WORDS];
	unsigned long before;
	struct pd_writer *w;
	int err = 0;

	CHECK(counter_works());
	CHECK(events);
	before = now();
	CHECK_EQ(pd_writer__open(scratch_path("perf.data"), events, &opts, &w), 0);
	CHECK(now() > before);
	CHECK_EQ(pd_writer__append(w, fill(buf, 10, 1, 0), sizeof(buf)), 0);
	before = now();
	for (unsigned i = 0; i < REPEAT && !err; i++) {
		err = pd_writer__append(w, fill(buf, 10, i + 2, i % 50), sizeof(buf));
		if (!err && i % 1000 == 0)
			err = pd_writer__checkpoint(w);
	}
	CHECK_EQ(now() - before, 0);
	CHECK_EQ(err, 0);
	pd_writer__close(w);
	pd_events__free(events);
}
#else
TEST(not_counted_under_a_sanitizer)
{
}
#endif

TEST_MAIN()
