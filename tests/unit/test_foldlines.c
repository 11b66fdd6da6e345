// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_foldlines.c - folded stacks are in the order of their text however names share prefixes,
 * and are the same whether functions are told apart while a file is read or at the end.
 */
#include "check.h"
#include "convert/foldlines.h"
#include "convert/input.h"
#include "perfdata_files.h"

enum { LINE_CNT = 3000, NAME_MAX_CNT = 9, TEXT_BYTES = 256 };

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

/* Bytes before and after ';', names that begin as others do, names of more than eight bytes. */
static const char *const parts[] = {"a", "ab", "a b", "a<", "abcdefgh", "abcdefgh:i", "\xc3\xa4"};

static int compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* What the lines should be: texts are sorted, and all weigh 1. */
static char *expect(char (*texts)[TEXT_BYTES], size_t cnt)
{
	char *all = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&all, &bytes);

	for (size_t i = 0, run; out && i < cnt; i += run) {
		for (run = 1; i + run < cnt && !strcmp(texts[i], texts[i + run]);)
			run++;
		fprintf(out, "%s %zu\n", texts[i], run);
	}
	if (out)
		fclose(out);
	return all;
}

TEST(lines_are_in_the_order_of_their_text)
{
	static char texts[LINE_CNT][TEXT_BYTES];
	struct pa_strings names = {.seed = 1};
	struct pa_foldlines lines = {0};
	char *text = NULL, *expected;
	unsigned state = 1;
	size_t bytes;
	FILE *out;

	for (size_t i = 0; i < LINE_CNT; i++) {
		uint32_t line[NAME_MAX_CNT], cnt = 1 + next_random(&state) % NAME_MAX_CNT;
		char *at = texts[i];

		for (uint32_t k = 0; k < cnt; k++) {
			/* most lines begin alike */
			const char *part =
				parts[k < 4 && i % 8 ? 1
						     : next_random(&state) %
							       (sizeof(parts) / sizeof(*parts))];

			line[k] = pa_strings__intern(&names, part, strlen(part));
			at += sprintf(at, "%s%s", k ? ";" : "", part);
		}
		CHECK_EQ(pa_foldlines__add(&lines, line, cnt, 1), 0);
	}
	qsort(texts, LINE_CNT, sizeof(*texts), compare_text);
	expected = expect(texts, LINE_CNT);
	out = open_memstream(&text, &bytes);
	CHECK(expected && out);
	CHECK_EQ(pa_foldlines__write(&lines, &names, out), 0);
	fclose(out);
	CHECK_STR(text, expected);
	free(text);
	free(expected);
	pa_foldlines__free(&lines);
	pa_strings__free(&names);
}

TEST(long_lines_and_none)
{
	static uint32_t line[70000];
	struct pa_strings names = {.seed = 1};
	struct pa_foldlines lines = {0};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out);
	CHECK_EQ(pa_strings__intern(&names, "name", 4), 0);
	CHECK_EQ(pa_foldlines__write(&lines, &names, out), 0);
	CHECK_EQ(ftell(out), 0);
	for (uint32_t cnt = 69990; cnt <= 70000; cnt++)
		CHECK_EQ(pa_foldlines__add(&lines, line, cnt, UINT64_MAX), 0);
	CHECK_EQ(pa_foldlines__write(&lines, &names, out), 0);
	fclose(out);
	CHECK_EQ(bytes, 11 * (5 * 69995 + 21));
	CHECK(!strncmp(text + 5 * 69990, "18446744073709551615\nname;", 26));
	free(text);
	pa_foldlines__free(&lines);
	pa_strings__free(&names);
}

static int put_map(char *buf, size_t bytes, const struct pd_events *t, __u64 start,
		   const char *path)
{
	const struct pd_mmap map = {.pid = 7,
				    .tid = 7,
				    .start = start,
				    .bytes = 0x10000,
				    .prot = 5,
				    .filename = path,
				    .id = {.pid = 7, .tid = 7, .time = 1}};

	return pd_put_mmap2(buf, bytes, t, PERF_RECORD_MISC_USER, &map);
}

/* Samples of one process: kernel, two binaries, JIT code, and addresses of nothing. */
static char *write_file(void)
{
	static __u64 records[1 << 16];
	const struct pd_writer_opts opts = {.sz = sizeof(opts)};
	char *buf = (char *)records, *path = temp_file("", 0);
	struct pd_events *t = our_events();
	struct pd_writer *w = NULL;
	size_t cap = sizeof(records), at = 0;
	unsigned state = 5;

	at += put_map(buf, cap, t, 0x400000, "/opt/one");
	at += put_map(buf + at, cap - at, t, 0x500000, "/opt/two");
	at += put_map(buf + at, cap - at, t, 0x600000, "//anon");
	for (unsigned i = 0; i < 2000; i++) {
		__u64 words[] = {41,
				 0,
				 7 | 7ULL << 32,
				 100 + i,
				 0,
				 10,
				 6,
				 PERF_CONTEXT_KERNEL,
				 0xffffffff81000000 + next_random(&state) % 64,
				 PERF_CONTEXT_USER,
				 0x400000 + next_random(&state) % 4 * 0x100000,
				 0x400001 + next_random(&state) % 64,
				 0x500001 + next_random(&state) % 64};

		at += put_words(buf + at, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL, words, 13);
	}
	if (pd_writer__open(path, t, &opts, &w) || pd_writer__append(w, records, at) ||
	    pd_writer__finish(w))
		abort();
	pd_writer__close(w);
	pd_events__free(t);
	return path;
}

static char *fold_file(const char *path, bool merge_functions, size_t *stack_cnt)
{
	struct pa_input_opts opts = {
		.sz = sizeof(opts), .no_symbols = true, .merge_functions = merge_functions};
	struct pa_folded_opts folded = {.sz = sizeof(folded), .annotate = true};
	const struct pa_session *session;
	struct pa_input *in;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out || pa_input__open(path, &opts, &in))
		abort();
	session = pa_input__session(in);
	*stack_cnt = pa_session__stack_cnt(session);
	if (pa_folded__write(&session, 1, &folded, out))
		abort();
	fclose(out);
	pa_input__close(in);
	return text;
}

TEST(functions_fold_as_addresses_do)
{
	size_t function_stacks, address_stacks;
	char *path = write_file();
	char *functions = fold_file(path, true, &function_stacks);
	char *addresses = fold_file(path, false, &address_stacks);

	unlink(path);
	CHECK_STR(functions, addresses);
	CHECK(strstr(functions, ";[two];[one];[perf-7.map]_[j];[[kernel.kallsyms]]_[k] "));
	CHECK(strstr(functions, ";[two];[one];[unknown];[[kernel.kallsyms]]_[k] "));
	CHECK_EQ(function_stacks, 4);
	CHECK(address_stacks > 1000);
	free(functions);
	free(addresses);
	free(path);
}

TEST_MAIN()
