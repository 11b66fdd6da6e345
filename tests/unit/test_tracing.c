// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_tracing.c - formats of tracepoints and the fields of their raw data, in both byte orders,
 * and what damage to them costs.
 */
#include <errno.h>

#include "check.h"
#include "convert/tracing.h"
#include "tracing_data.h"

#define FILENAME_FORMAT                                                                            \
	"name: opened\nID: 77\nformat:\n" COMMON_FIELDS                                            \
	"\tfield:const char __attribute__((btf_type_tag(\"user\"))) * ptr;\toffset:8;\tsize:8;"    \
	"\tsigned:0;\n"                                                                            \
	"\tfield:__data_loc char[] name;\toffset:16;\tsize:4;\tsigned:0;\n"                        \
	"\tfield:__rel_loc char[] rel;\toffset:20;\tsize:4;\tsigned:0;\n"                          \
	"\tfield:unsigned long args[2];\toffset:24;\tsize:16;\tsigned:0;\n"                        \
	"\tfield:s8 tiny;\toffset:40;\tsize:1;\tsigned:1;\n"                                       \
	"\tfield:u16 small;\toffset:42;\tsize:2;\tsigned:0;\n\n"                                   \
	"print fmt: \"%s\", __get_str(name)\n"

static struct tracing_data data;

static struct pa_tracing *make(bool is_big, const char *system, const char *const *formats)
{
	struct pa_tracing *t = NULL;

	td_make(&data, is_big, system, formats);
	return pa_tracing__parse(data.buf, data.bytes, &t) ? NULL : t;
}

/* The field's number; -12345 when there is none. */
static int64_t number(const struct pa_tracing *t, uint64_t config, const char *name,
		      const void *raw, size_t bytes)
{
	const struct tep_format_field *f = pa_tracing__field(t, config, name);
	struct pa_field_value v;

	return f && !pa_tracing__read(t, f, raw, bytes, &v) && v.is_num ? v.num : -12345;
}

static const char *text(const struct pa_tracing *t, uint64_t config, const char *name,
			const void *raw, size_t bytes)
{
	const struct tep_format_field *f = pa_tracing__field(t, config, name);
	static char copy[64];
	struct pa_field_value v;

	if (!f || pa_tracing__read(t, f, raw, bytes, &v) || v.is_num)
		return NULL;
	snprintf(copy, sizeof(copy), "%.*s", (int)v.str_bytes, v.str);
	return copy;
}

TEST(fields_of_a_switch)
{
	struct pa_tracing *t = make(false, "sched", (const char *[]){SCHED_SWITCH_FORMAT, NULL});
	unsigned char raw[64];
	char buf[128];

	CHECK(t);
	CHECK(!pa_tracing__is_damaged(t));
	CHECK_EQ(pa_tracing__name(t, SCHED_SWITCH_ID, buf, sizeof(buf)), 0);
	CHECK_STR(buf, "sched:sched_switch");
	CHECK_EQ(pa_tracing__name(t, SCHED_SWITCH_ID, buf, 5), -EMSGSIZE);
	CHECK_EQ(pa_tracing__name(t, 1, buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(pa_tracing__name(t, SCHED_SWITCH_ID + (1ULL << 32), buf, sizeof(buf)), -ENOENT);
	pa_tracing__field_names(t, SCHED_SWITCH_ID, buf, sizeof(buf));
	CHECK_STR(buf, "prev_comm, prev_pid, prev_prio, prev_state, next_comm, next_pid, "
		       "next_prio");
	td_switch(raw, -7, 0x102, 43);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "prev_pid", raw, 64), -7);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "prev_state", raw, 64), 0x102);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "next_pid", raw, 64), 43);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "common_type", raw, 64), SCHED_SWITCH_ID);
	CHECK_STR(text(t, SCHED_SWITCH_ID, "next_comm", raw, 64), "next43");
	/* a text that fills its field has no end of its own */
	memset(raw + 40, 'x', 16);
	CHECK_STR(text(t, SCHED_SWITCH_ID, "next_comm", raw, 64), "xxxxxxxxxxxxxxxx");
	CHECK(!pa_tracing__field(t, SCHED_SWITCH_ID, "nothing"));
	pa_tracing__free(t);
}

TEST(raw_data_is_too_short)
{
	struct pa_tracing *t = make(false, "sched", (const char *[]){SCHED_SWITCH_FORMAT, NULL});
	const struct tep_format_field *next;
	struct pa_field_value v;
	unsigned char *raw;

	CHECK(t);
	next = pa_tracing__field(t, SCHED_SWITCH_ID, "next_pid");
	for (size_t bytes = 0; bytes < 64; bytes++) {
		raw = calloc(1, bytes ? bytes : 1);
		CHECK(raw);
		CHECK_EQ(pa_tracing__read(t, next, raw, bytes, &v), bytes < 60 ? -EBADMSG : 0);
		free(raw);
	}
	pa_tracing__free(t);
}

TEST(kinds_of_fields)
{
	struct pa_tracing *t = make(false, "fs", (const char *[]){FILENAME_FORMAT, NULL});
	unsigned char raw[64] = {[40] = 0xfe, [42] = 0xff, [43] = 0xff};
	uint64_t ptr = 0xffff888000000000;
	struct pa_field_value v;

	CHECK(t);
	CHECK(!pa_tracing__is_damaged(t));
	memcpy(raw + 8, &ptr, 8);
	memcpy(raw + 16, &(uint32_t){6 << 16 | 48}, 4);
	memcpy(raw + 20, &(uint32_t){4 << 16 | 32}, 4); /* from its own end, 24 */
	memcpy(raw + 48, "hello", 6);
	memcpy(raw + 56, "rel", 4);
	CHECK_EQ(number(t, 77, "ptr", raw, 64), (int64_t)ptr);
	CHECK_EQ(number(t, 77, "tiny", raw, 64), -2);
	CHECK_EQ(number(t, 77, "small", raw, 64), 0xffff);
	CHECK_STR(text(t, 77, "name", raw, 64), "hello");
	CHECK_STR(text(t, 77, "rel", raw, 64), "rel");
	CHECK_EQ(pa_tracing__read(t, pa_tracing__field(t, 77, "args"), raw, 64, &v), -EOPNOTSUPP);
	/* text that lies outside */
	memcpy(raw + 16, &(uint32_t){17 << 16 | 48}, 4);
	CHECK_EQ(pa_tracing__read(t, pa_tracing__field(t, 77, "name"), raw, 64, &v), -EBADMSG);
	memcpy(raw + 16, &(uint32_t){0xffffffff}, 4);
	CHECK_EQ(pa_tracing__read(t, pa_tracing__field(t, 77, "name"), raw, 64, &v), -EBADMSG);
	memcpy(raw + 20, &(uint32_t){1 << 16 | 0xfff0}, 4);
	CHECK_EQ(pa_tracing__read(t, pa_tracing__field(t, 77, "rel"), raw, 64, &v), -EBADMSG);
	memcpy(raw + 16, &(uint32_t){64}, 4);
	CHECK_STR(text(t, 77, "name", raw, 64), "");
	pa_tracing__free(t);
}

TEST(other_byte_order)
{
	struct pa_tracing *t = make(true, "sched", (const char *[]){SCHED_SWITCH_FORMAT, NULL});
	unsigned char raw[64] = {[24] = 0xff, [25] = 0xff, [26] = 0xff, [27] = 0xfe, [59] = 43};

	CHECK(t);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "prev_pid", raw, 64), -2);
	CHECK_EQ(number(t, SCHED_SWITCH_ID, "next_pid", raw, 64), 43);
	pa_tracing__free(t);
}

/* Each damaged format costs itself only. */
TEST(damaged_formats)
{
	static const char *const bad[] = {
		"",
		"\n",
		"name: a b\nID: 3\nformat:\n" COMMON_FIELDS "\nprint fmt: \"\"\n",
		"name: x\nID: 70000\nformat:\n" COMMON_FIELDS "\nprint fmt: \"\"\n",
		"name: x\nID: 3x\nformat:\n" COMMON_FIELDS "\nprint fmt: \"\"\n",
		"name: x\nID: -3\nformat:\n" COMMON_FIELDS "\nprint fmt: \"\"\n",
		"name: x\nID: 3\nformat:\n",
		"name: x\nID: 3\nformat:\n\tfield:int a;\toffset:99999;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int a;\toffset:-4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int a;\toffset:4;\tsize:999999999999;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int a[[[;\toffset:4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int a];\toffset:4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int \"a;\toffset:4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int;\toffset:4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:int __attribute__((((;\toffset:4;\tsize:4;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:__attribute__;\toffset:4;\tsize:4;\n\n",
		"name: x\nID: 3\nformat:\n\tfield:char[] a;\toffset:4;\tsize:4;\tsigned:1;\n\n",
		"name: x\nID: 3\nformat:\n\tfoo\n\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pa_tracing *t =
			make(false, "sched", (const char *[]){bad[i], SCHED_SWITCH_FORMAT, NULL});
		bool ok = t && pa_tracing__is_damaged(t) &&
			  pa_tracing__field(t, SCHED_SWITCH_ID, "next_pid") &&
			  !pa_tracing__field(t, 3, "a");

		pa_tracing__free(t);
		if (!ok)
			CHECK_FAIL("format %zu: %s", i, bad[i]);
	}
}

/* One field with a declaration of that many words. */
static bool reads_words(size_t cnt)
{
	struct pa_tracing *t;
	char format[8192];
	size_t used = sprintf(format, "name: x\nID: 3\nformat:\n\tfield:");
	bool ok;

	for (size_t i = 0; i < cnt; i++)
		used += sprintf(format + used, "w ");
	sprintf(format + used, "a;\toffset:4;\tsize:4;\tsigned:1;\n\n\nprint fmt: \"\"\n");
	t = make(false, "sched", (const char *[]){format, NULL});
	ok = t && pa_tracing__field(t, 3, "a");
	pa_tracing__free(t);
	return ok;
}

TEST(limits)
{
	char *format = malloc(40000);
	struct pa_tracing *t;
	size_t used;

	CHECK(format);
	CHECK(reads_words(3));
	CHECK(!reads_words(2000));
	used = sprintf(format, "name: x\nID: 3\nformat:\n");
	for (int i = 0; i < 500; i++)
		used += sprintf(format + used, "\tfield:int f%d;\toffset:0;\tsize:4;\tsigned:1;\n",
				i);
	t = make(false, "sched", (const char *[]){format, SCHED_SWITCH_FORMAT, NULL});
	CHECK(t);
	CHECK(!pa_tracing__field(t, 3, "f1"));
	CHECK(pa_tracing__field(t, SCHED_SWITCH_ID, "next_pid"));
	pa_tracing__free(t);
	free(format);
}

/* In memory of exactly that size, so that a sanitizer sees one byte too many. */
static int parse_copy(const void *p, size_t bytes, struct pa_tracing **out)
{
	void *copy = malloc(bytes ? bytes : 1);
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, p, bytes);
	err = pa_tracing__parse(copy, bytes, out);
	free(copy);
	return err;
}

TEST(truncated_anywhere)
{
	const char *const formats[] = {FILENAME_FORMAT, SCHED_SWITCH_FORMAT, NULL};
	size_t known_cnt = 0;

	td_make(&data, false, "sched", formats);
	for (size_t bytes = 0; bytes < data.bytes; bytes++) {
		struct pa_tracing *t;
		int err = parse_copy(data.buf, bytes, &t);

		CHECK(!err == !!t);
		CHECK(!err || err == -EBADMSG);
		known_cnt += t && pa_tracing__field(t, SCHED_SWITCH_ID, "next_pid");
		CHECK(!t || pa_tracing__is_damaged(t) ||
		      pa_tracing__field(t, SCHED_SWITCH_ID, "next_pid"));
		pa_tracing__free(t);
	}
	CHECK_EQ(known_cnt, 4 + 4 + 8); /* what stands behind the last format */
}

TEST(sizes_too_large)
{
	static const unsigned char highest[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static struct tracing_data bad;

	td_make(&data, false, "sched",
		(const char *[]){FILENAME_FORMAT, SCHED_SWITCH_FORMAT, NULL});
	CHECK_EQ(data.size_cnt, 12);
	for (size_t i = 0; i < data.size_cnt; i++) {
		/* off by one, by a byte of each weight, and by everything */
		for (size_t k = 0; k <= data.size_bytes[i]; k++) {
			struct pa_tracing *t;
			int err;

			bad = data;
			if (k < data.size_bytes[i])
				bad.buf[data.size_at[i] + k]++;
			else
				memcpy(bad.buf + data.size_at[i], highest, data.size_bytes[i]);
			err = parse_copy(bad.buf, bad.bytes, &t);
			CHECK(!err == !!t);
			/* the first is the page's, the last three are not read; one more may fit */
			CHECK(i == 0 || i >= 9 || k < data.size_bytes[i] || err ||
			      pa_tracing__is_damaged(t));
			pa_tracing__free(t);
		}
	}
}

TEST(any_byte_changed)
{
	static struct tracing_data bad;
	uint32_t random = 12345;

	td_make(&data, false, "sched",
		(const char *[]){FILENAME_FORMAT, SCHED_SWITCH_FORMAT, NULL});
	for (size_t i = 0; i < 20000; i++) {
		unsigned char raw[64];
		struct pa_tracing *t;

		bad = data;
		for (int k = 0; k < 1 + (int)(i % 4); k++) {
			random = random * 1664525 + 1013904223;
			bad.buf[(random >> 8) % bad.bytes] = random;
		}
		parse_copy(bad.buf, bad.bytes, &t);
		memset(raw, (int)i, sizeof(raw));
		if (t) {
			number(t, SCHED_SWITCH_ID, "prev_state", raw, sizeof(raw));
			text(t, 77, "name", raw, sizeof(raw));
			text(t, 77, "rel", raw, sizeof(raw));
		}
		pa_tracing__free(t);
	}
}

TEST_MAIN()
