// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_dist.c - histograms of times: which bucket holds a value, quantiles, merging; and what is
 * said of hardware counters that were scaled, never ran, or stood at zero.
 */
#include "metrics/metrics.h"
#include "check.h"

static uint32_t buckets[PA_HIST_BUCKETS];
static struct pa_dist_sums sums;

static void clear(void)
{
	memset(buckets, 0, sizeof(buckets));
	memset(&sums, 0, sizeof(sums));
}

static void add(uint64_t v)
{
	buckets[pa_hist_bucket(v)]++;
	sums.sum_ns += v;
	if (v < sums.min1_ns - 1)
		sums.min1_ns = v + 1;
	if (v > sums.max_ns)
		sums.max_ns = v;
}

static struct pa_dist take(void)
{
	struct pa_dist d;

	if (pa_dist__take(&d, &sums, buckets))
		abort();
	clear();
	return d;
}

TEST(every_bucket_holds_its_values)
{
	for (uint32_t i = 0; i < PA_HIST_BUCKETS; i++) {
		uint64_t low = pa_hist_low(i), high = pa_hist_high(i);

		CHECK_EQ(pa_hist_bucket(low), i);
		CHECK_EQ(pa_hist_bucket(high), i);
		if (i)
			CHECK_EQ(pa_hist_high(i - 1) + 1, low);
		/* two significant digits: at most a 64th wide, so half of it is below a percent */
		if (i < PA_HIST_BUCKETS - 1)
			CHECK((high - low) * 64 < low || high == low);
	}
	CHECK_EQ(pa_hist_low(0), 0);
	CHECK_EQ(pa_hist_bucket(UINT64_MAX), PA_HIST_BUCKETS - 1);
	CHECK_EQ(pa_hist_bucket(1ULL << PA_HIST_TOP_BIT), PA_HIST_BUCKETS - 1);
	CHECK(pa_hist_low(PA_HIST_BUCKETS - 1) < 1ULL << PA_HIST_TOP_BIT);
}

TEST(quantiles)
{
	struct pa_dist d;

	for (int i = 1; i <= 100; i++) /* up to 127 each value has a bucket */
		add((uint64_t)i);
	d = take();
	CHECK_EQ(d.cnt, 100);
	CHECK_EQ(d.min_ns, 1);
	CHECK_EQ(d.max_ns, 100);
	CHECK_EQ(d.sum_ns, 5050);
	CHECK_EQ(pa_dist__quantile(&d, 0), 1);
	CHECK_EQ(pa_dist__quantile(&d, 0.5), 50);
	CHECK_EQ(pa_dist__quantile(&d, 0.95), 95);
	CHECK_EQ(pa_dist__quantile(&d, 0.99), 99);
	CHECK_EQ(pa_dist__quantile(&d, 0.999), 100);
	CHECK_EQ(pa_dist__quantile(&d, 1), 100);
	CHECK(pa_dist__mean(&d) == 50.5);
	pa_dist__free(&d);
}

TEST(quantiles_of_one_value)
{
	struct pa_dist d;

	add(1234567);
	d = take();
	CHECK_EQ(d.bin_cnt, 1);
	CHECK_EQ(pa_dist__quantile(&d, 0.5), 1234567);
	CHECK_EQ(pa_dist__quantile(&d, 0.999), 1234567);
	pa_dist__free(&d);
	add(0);
	d = take();
	CHECK_EQ(d.min_ns, 0);
	CHECK_EQ(pa_dist__quantile(&d, 0.5), 0);
	pa_dist__free(&d);
	d = take();
	CHECK_EQ(d.cnt, 0);
	CHECK_EQ(pa_dist__quantile(&d, 0.5), 0);
	CHECK(pa_dist__mean(&d) == 0);
}

/* Extremes are kept apart from the buckets, and a race may have lost them. */
TEST(lost_extremes_are_bounded_by_the_buckets)
{
	struct pa_dist d;

	add(1000);
	add(5000000);
	sums.max_ns = 2000;
	sums.min1_ns = 3000;
	d = take();
	CHECK_EQ(pa_hist_bucket(d.min_ns), pa_hist_bucket(1000));
	CHECK_EQ(pa_hist_bucket(d.max_ns), pa_hist_bucket(5000000));
	pa_dist__free(&d);
}

/* The merge of two halves is what one histogram of all would have been. */
TEST(merged_is_as_if_counted_together)
{
	struct pa_dist all, half[2], none = {0};
	uint64_t x = 42;

	for (int part = 0; part < 3; part++) {
		x = 42;
		for (int i = 0; i < 20000; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			/* one half is of short times, the other of long ones */
			uint64_t v = (x >> 33) % (i & 1 ? 1000 : 100000000);

			if (part == 2 || (i & 1) == part)
				add(v);
		}
		*(part == 2 ? &all : &half[part]) = take();
	}
	CHECK_EQ(pa_dist__merge(&half[0], &none), 0);
	CHECK_EQ(pa_dist__merge(&half[0], &half[1]), 0);
	CHECK_EQ(pa_dist__merge(&none, &half[1]), 0);
	CHECK_EQ(none.cnt, half[1].cnt);
	CHECK_EQ(none.min_ns, half[1].min_ns);
	CHECK_EQ(half[0].cnt, all.cnt);
	CHECK_EQ(half[0].sum_ns, all.sum_ns);
	CHECK_EQ(half[0].min_ns, all.min_ns);
	CHECK_EQ(half[0].max_ns, all.max_ns);
	CHECK_EQ(half[0].bin_cnt, all.bin_cnt);
	CHECK(!memcmp(half[0].bins, all.bins, all.bin_cnt * sizeof(*all.bins)));
	CHECK_EQ(pa_dist__quantile(&half[0], 0.75), pa_dist__quantile(&all, 0.75));
	CHECK(pa_dist__quantile(&all, 0.45) < 1000 && pa_dist__quantile(&all, 0.55) > 1000);
	pa_dist__free(&all);
	pa_dist__free(&none);
	pa_dist__free(&half[0]);
	pa_dist__free(&half[1]);
}

TEST(counters)
{
	struct pa_metrics_item it = {0}, other = {0};
	double v;

	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_CYCLES, &v), PA_NOT_THERE);
	it.counters[PA_COUNTER_CYCLES] = (struct pa_counter_sum){1000000, 4000000, 1000000};
	it.counters[PA_COUNTER_INSTRUCTIONS] = (struct pa_counter_sum){6000000, 3000000, 3000000};
	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_CYCLES, &v), PA_COUNTED);
	CHECK(v == 4000000);
	CHECK(pa_metrics_ratio(&it, PA_RATIO_IPC, &v) && v == 1.5);
	CHECK(!pa_metrics_ratio(&it, PA_RATIO_CACHE_MISSES, &v));
	it.counters[PA_COUNTER_CACHE_MISSES] = (struct pa_counter_sum){300, 1000000, 500000};
	CHECK(pa_metrics_ratio(&it, PA_RATIO_CACHE_MISSES, &v) && v == 0.1);
	/* few instructions may miss nowhere; many can't */
	it.counters[PA_COUNTER_BRANCH_MISSES] = (struct pa_counter_sum){0, 3000000, 3000000};
	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_BRANCH_MISSES, &v), PA_COUNTED);
	it.counters[PA_COUNTER_INSTRUCTIONS].value = 60000000;
	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_BRANCH_MISSES, &v), PA_ZERO);
	it.counters[PA_COUNTER_CACHE_MISSES] = it.counters[PA_COUNTER_BRANCH_MISSES];
	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_CACHE_MISSES, &v), PA_COUNTED);
	it.counters[PA_COUNTER_INSTRUCTIONS].value = 600000000;
	CHECK_EQ(pa_metrics_counter(&it, PA_COUNTER_CACHE_MISSES, &v), PA_ZERO);
	CHECK(!pa_metrics_ratio(&it, PA_RATIO_BRANCH_MISSES, &v));
	other.counters[PA_COUNTER_CYCLES] = (struct pa_counter_sum){0, 9000000, 9000000};
	CHECK_EQ(pa_metrics_counter(&other, PA_COUNTER_CYCLES, &v), PA_ZERO);
	other.counters[PA_COUNTER_CYCLES].running_ns = 0;
	CHECK_EQ(pa_metrics_counter(&other, PA_COUNTER_CYCLES, &v), PA_NEVER_RAN);
	other.counters[PA_COUNTER_CYCLES] = (struct pa_counter_sum){0, 900, 900};
	CHECK_EQ(pa_metrics_counter(&other, PA_COUNTER_CYCLES, &v), PA_COUNTED);
	it.reasons[PA_SWITCH_IO] = 2;
	other.reasons[PA_SWITCH_IO] = 3;
	other.cut_ns = 7;
	CHECK_EQ(pa_metrics_item__merge(&it, &other), 0);
	CHECK_EQ(pa_metrics_item__switches(&it), 5);
	CHECK_EQ(pa_metrics_item__cpu_ns(&it), 7);
	CHECK_EQ(it.counters[PA_COUNTER_CYCLES].enabled_ns, 4000900);
}

/* ---- reports -------------------------------------------------------------------------------- */

static char *report(const struct pa_metrics *m, bool all, bool json)
{
	struct pa_metrics_report r = {
		.target = all ? "System-Wide" : "PID: 42", .all = all, .top = 1};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	(json ? pa_metrics__json : pa_metrics__text)(m, &r, out);
	fclose(out);
	return text;
}

TEST(report_of_nothing)
{
	struct pa_metrics m = {0};
	char *text = report(&m, true, false);

	CHECK_STR(text, "\nNo PMU metrics collected\n");
	free(text);
}

TEST(report_of_one_process)
{
	struct pa_metrics m = {.missing = {"no cycles here"}};
	char *text;

	add(2000000);
	m.all.slices = take();
	add(500000);
	m.all.waits = take();
	m.all.reasons[PA_SWITCH_VOLUNTARY] = 3;
	m.all.reasons[PA_SWITCH_EXITED] = 1;
	text = report(&m, false, false);
	CHECK_STR(text, "\n=== PMU Metrics (PID: 42) ===\n"
			"Samples: 4\n"
			"\nOn-CPU Time (time slice per context switch):\n"
			"  Min:    2.000 ms\n"
			"  Max:    2.000 ms\n"
			"  Mean:   2.000 ms\n"
			"  P50:    2.000 ms\n"
			"  P95:    2.000 ms\n"
			"  P99:    2.000 ms\n"
			"  P99.9:  2.000 ms\n"
			"  Total:  2.000 ms\n"
			"\nRunqueue Latency (time waiting for CPU):\n"
			"  Min:    0.500 ms\n"
			"  Max:    0.500 ms\n"
			"  Mean:   0.500 ms\n"
			"  P50:    0.500 ms\n"
			"  P95:    0.500 ms\n"
			"  P99:    0.500 ms\n"
			"  P99.9:  0.500 ms\n"
			"  Total:  0.500 ms (1 times)\n"
			"\nContext Switch Reasons:\n"
			"  Preempted (running):     0.0%  (0 times)\n"
			"  Voluntary (sleep/mutex): 75.0%  (3 times)\n"
			"  I/O Wait (D state):      0.0%  (0 times)\n"
			"  Exited:                  25.0%  (1 times)\n"
			"\nHardware Counters: not available: no cycles here\n");
	free(text);
	m.all.counters[PA_COUNTER_CYCLES] = (struct pa_counter_sum){1000, 2000, 1000};
	m.all.counters[PA_COUNTER_INSTRUCTIONS] = (struct pa_counter_sum){0, 5000000, 5000000};
	m.all.counters[PA_COUNTER_CACHE_MISSES] = (struct pa_counter_sum){7, 10, 10};
	text = report(&m, false, false);
	CHECK(strstr(
		text,
		"\nHardware Counters:\n"
		"  Total Cycles:       2000 (scaled: counted 50.0% of the time)\n"
		"  Total Instructions: not counted: it stood at 0 for 5.000 ms, which can't be\n"
		"  Total Cache Misses: 7\n"
		"  Total Branch Misses: not available\n"));
	CHECK(!strstr(text, "IPC"));
	free(text);
	pa_metrics_item__free(&m.all);
}

TEST(buckets_that_overflowed)
{
	struct pa_metrics m = {.missing = {""}};
	char *text;

	add(2000000);
	m.all.slices = take();
	m.all.cut_cnt = 2;
	m.all.reasons[PA_SWITCH_VOLUNTARY] = 3;
	CHECK(!pa_metrics_item__overflowed(&m.all));
	m.all.reasons[PA_SWITCH_VOLUNTARY] = (1ULL << 32) + 3;
	CHECK(pa_metrics_item__overflowed(&m.all));
	text = report(&m, false, false);
	CHECK(strstr(text, "more than 4 billion times"));
	free(text);
	text = report(&m, false, true);
	CHECK(strstr(text, "\"overflowed\":true,"));
	free(text);
	pa_metrics_item__free(&m.all);
}

TEST(report_of_processes)
{
	struct pa_metrics_item procs[2] = {
		{.pid = 7, .comm = "na\n\"me", .reasons = {1}},
		{.pid = 8, .comm = "second", .reasons = {1}},
	};
	struct pa_metrics m = {
		.procs = procs, .proc_cnt = 2, .process_cnt = 2, .per_process = true};
	char *text;

	m.all.reasons[0] = 2;
	text = report(&m, true, false);
	CHECK(strstr(text,
		     "\n=== PMU Metrics (System-Wide, Per-PID) ===\nProfiled 2 processes; the "
		     "1 that waited longest for a CPU\n\n--- PID 7 ---\nName: na?\"me\nSamples: "
		     "1\n"));
	CHECK(!strstr(text, "second"));
	free(text);
	text = report(&m, true, true);
	CHECK(strstr(text,
		     "\"processes\":[{\"pid\":7,\"comm\":\"na\\u000a\\\"me\",\"switches\":1,"));
	CHECK(!strstr(text, "second"));
	free(text);
	/* UTF-8 stays; a lone byte, a surrogate and a character that is cut do not count as such */
	strcpy(procs[0].comm, "\xc3\xa9\xf0\x9f\x98\x80|\xff\xed\xa0\x80\xe2\x82");
	text = report(&m, true, true);
	CHECK(strstr(text, "\"comm\":\"\xc3\xa9\xf0\x9f\x98\x80|\\u00ff\\u00ed\\u00a0\\u0080\\u00e2"
			   "\\u0082\","));
	free(text);
}

TEST_MAIN()
