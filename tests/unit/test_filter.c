/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_filter.c - lists of numbers and times as options give them, and what they keep.
 */
#include <errno.h>

#include "check.h"
#include "convert/filter.h"

static bool keeps(const struct pa_filter *f, __u32 pid, __u32 tid, __u32 cpu, __u64 time)
{
	struct pd_sample s = {.id = {.pid = pid, .tid = tid, .cpu = cpu, .time = time}};

	return pa_filter__keeps(f, &s, "comm");
}

TEST(empty_keeps_all)
{
	struct pa_filter f = {0};

	CHECK(pa_filter__is_empty(&f));
	CHECK(keeps(&f, 1, 2, 3, 0));
}

TEST(ranges)
{
	struct pa_filter f = {0};

	CHECK_EQ(pa_ranges__parse(&f.pids, "7,1-3,2-5,9", UINT32_MAX), 0);
	CHECK_EQ(pa_ranges__parse(&f.pids, "4294967295", UINT32_MAX), 0);
	CHECK_EQ(f.pids.cnt, 4);
	CHECK(!pa_filter__is_empty(&f));
	for (__u32 pid = 0; pid < 12; pid++)
		CHECK_EQ(keeps(&f, pid, 0, 0, 0), (pid >= 1 && pid <= 5) || pid == 7 || pid == 9);
	CHECK(keeps(&f, UINT32_MAX, 0, 0, 0));
	pa_filter__clear(&f);
	CHECK(pa_filter__is_empty(&f));
}

TEST(bad_ranges)
{
	static const char *const bad[] = {
		"",   ",",  "1,",  ",1",  "1,,2", "5-3",    "x",   "1x",
		"-1", "1-", "1 2", "0x1", "4096", "1-4096", "1;2", "18446744073709551616"};
	struct pa_ranges r = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQ(pa_ranges__parse(&r, bad[i], 4095), -EINVAL);
	CHECK_EQ(r.cnt, 0);
	free(r.ranges);
}

TEST(comms)
{
	struct pd_sample s = {0};
	struct pa_filter f = {0};
	char names[] = "a,my app", empty[] = "a,,b";

	CHECK_EQ(pa_filter__parse_comms(&f, names), 0);
	CHECK(pa_filter__keeps(&f, &s, "a"));
	CHECK(pa_filter__keeps(&f, &s, "my app"));
	CHECK(!pa_filter__keeps(&f, &s, "my"));
	CHECK_EQ(pa_filter__parse_comms(&f, empty), -EINVAL);
	pa_filter__clear(&f);
}

TEST(times)
{
	struct pa_filter f = {0};

	CHECK_EQ(pa_filter__parse_time(&f, "1.5,2"), 0);
	CHECK(!keeps(&f, 0, 0, 0, 0));
	CHECK(!keeps(&f, 0, 0, 0, 1499999999));
	CHECK(keeps(&f, 0, 0, 0, 1500000000));
	CHECK(keeps(&f, 0, 0, 0, 2000000000));
	CHECK(!keeps(&f, 0, 0, 0, 2000000001));
	CHECK_EQ(pa_filter__parse_time(&f, ",0.000000001"), 0);
	CHECK(keeps(&f, 0, 0, 0, 1) && !keeps(&f, 0, 0, 0, 2));
	CHECK_EQ(pa_filter__parse_time(&f, "3.0000000019,"), 0);
	CHECK(keeps(&f, 0, 0, 0, 3000000001));
	CHECK(keeps(&f, 0, 0, 0, UINT64_MAX) && !keeps(&f, 0, 0, 0, 3000000000));
}

TEST(bad_times)
{
	static const char *const bad[] = {"",	   ",",	   "1",	   "2,1", "a,b",
					  "1,2,3", "1,2x", "-1,2", ",0",  "99999999999,"};
	struct pa_filter f = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQ(pa_filter__parse_time(&f, bad[i]), -EINVAL);
}

TEST(all_kinds_must_match)
{
	struct pa_filter f = {0};

	CHECK_EQ(pa_ranges__parse(&f.tids, "11", UINT32_MAX), 0);
	CHECK_EQ(pa_ranges__parse(&f.cpus, "0-1", UINT32_MAX), 0);
	CHECK(keeps(&f, 10, 11, 1, 5));
	CHECK(!keeps(&f, 10, 10, 1, 5));
	CHECK(!keeps(&f, 10, 11, 2, 5));
	pa_filter__clear(&f);
}

TEST_MAIN()
