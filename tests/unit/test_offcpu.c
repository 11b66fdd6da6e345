// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_offcpu.c - what sessions make of tracepoints: events by name, weights and labels by field,
 * and switches, in any order, paired to times off the CPU. On records made here.
 */
#include <errno.h>

#include "check.h"
#include "convert/session.h"
#include "tracing_data.h"

enum {
	PLAIN_TYPE = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
		     PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN,
	RAW_TYPE = PLAIN_TYPE | PERF_SAMPLE_RAW,
	CYCLES = 1, /* ids of the events */
	SWITCH = 2,
	SW_SWITCH = 3,
	PACKED = 4,
	SUMS = 5,
};

#define CTX_USER ((uint64_t)PERF_CONTEXT_USER)
struct fixture {
	struct pd_events *events;
	struct pa_session *session;
	char warning[512];
	size_t warning_cnt;
};

static void keep_warning(void *ctx, const char *msg)
{
	struct fixture *f = ctx;

	snprintf(f->warning, sizeof(f->warning), "%s", msg);
	f->warning_cnt++;
}

static int add_event(struct fixture *f, __u32 type, __u64 config, __u64 sample_type, __u64 id,
		     const char *name)
{
	struct perf_event_attr attr = {
		.type = type,
		.config = config,
		.size = PD_ATTR_BYTES,
		.sample_period = 1,
		.sample_type = sample_type,
		.sample_id_all = 1,
	};

	return pd_events__add(f->events, &attr, &id, 1, name);
}

static int add_known(struct fixture *f, __u64 id)
{
	switch (id) {
	case CYCLES:
		return add_event(f, PERF_TYPE_HARDWARE, 0, PLAIN_TYPE, id, "cycles:P");
	case SWITCH: /* named by the format */
		return add_event(f, PERF_TYPE_TRACEPOINT, SCHED_SWITCH_ID, RAW_TYPE, id, NULL);
	case SW_SWITCH:
		return add_event(f, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, PLAIN_TYPE,
				 id, NULL);
	case PACKED:
		return add_event(f, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT,
				 RAW_TYPE & ~PERF_SAMPLE_CALLCHAIN, id, "offcpu-time");
	default:
		return add_event(f, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, PLAIN_TYPE, id,
				 "offcpu-time");
	}
}

/* A session whose file has the events of ids, 0-terminated, and the formats above. */
static bool set_up(struct fixture *f, const struct pa_session_opts *opts, const __u64 *ids)
{
	static struct tracing_data data;
	struct pa_session_opts all = *opts;

	memset(f, 0, sizeof(*f));
	all.sz = sizeof(all);
	all.warn = keep_warning;
	all.ctx = f;
	if (pd_events__new(&f->events))
		return false;
	for (; *ids; ids++)
		if (add_known(f, *ids) < 0)
			return false;
	all.events = f->events;
	td_make(&data, false, "sched", (const char *[]){SCHED_SWITCH_FORMAT, NULL});
	return !pa_session__new(&all, &f->session) &&
	       !pa_fields__take_tracing(f->session, data.buf, data.bytes);
}

static void tear_down(struct fixture *f)
{
	pa_session__free(f->session);
	pd_events__free(f->events);
}

/* A sample with two user frames (or none), and raw data. */
static int sample(struct fixture *f, __u64 id, __u32 tid, __u64 time, __u64 ip, const void *raw,
		  size_t raw_bytes)
{
	const __u64 head[] = {0, id, ip, (__u64)tid << 32 | 10, time, 0, 50};
	__u64 buf[256];
	struct perf_event_header *hdr = (void *)buf;
	size_t cnt = 7;

	memcpy(buf, head, sizeof(head));
	if (id != PACKED) {
		buf[cnt++] = 3;
		buf[cnt++] = CTX_USER;
		buf[cnt++] = ip;
		buf[cnt++] = 0x9000;
	}
	if (raw) {
		size_t bytes = ((raw_bytes + 4 + 7) & ~7u) - 4;

		memset(buf + cnt, 0, bytes + 4);
		memcpy(buf + cnt, &(__u32){bytes}, 4);
		memcpy((char *)(buf + cnt) + 4, raw, raw_bytes);
		cnt += (bytes + 4) / 8;
	}
	hdr->type = PERF_RECORD_SAMPLE;
	hdr->misc = PERF_RECORD_MISC_USER;
	hdr->size = cnt * 8;
	return pa_session__feed(f->session, hdr);
}

/* prev leaves the CPU at ip for next. */
static int switch_to(struct fixture *f, __u64 time, __u32 prev, __u32 next, __u64 ip, int64_t state)
{
	unsigned char raw[64];

	td_switch(raw, prev, state, next);
	return sample(f, SWITCH, prev, time, ip, raw, sizeof(raw));
}

static int switch_record(struct fixture *f, __u32 type, __u16 misc, __u32 tid, __u64 time)
{
	__u64 buf[8] = {0};
	struct perf_event_header *hdr = (void *)buf;
	size_t cnt = 1;

	if (type == PERF_RECORD_SWITCH_CPU_WIDE)
		buf[cnt++] = 0;
	buf[cnt++] = (__u64)tid << 32 | 10;
	buf[cnt++] = time;
	buf[cnt++] = 0; /* cpu */
	buf[cnt++] = SW_SWITCH;
	*hdr = (struct perf_event_header){type, misc, cnt * 8};
	return pa_session__feed(f->session, hdr);
}

static bool finish(struct fixture *f)
{
	return !pa_offcpu__finish(f->session) && !pa_fields__check(f->session) &&
	       !pa_session__resolve(f->session);
}

/* The stack whose leaf is ip. NULL: there is none. */
static const struct pa_stack *find(struct fixture *f, __u64 ip)
{
	static struct pa_stack st;

	for (size_t i = 0; i < pa_session__stack_cnt(f->session); i++) {
		pa_session__stack(f->session, i, &st);
		if (st.frame_cnt && pa_session__frame(f->session, st.frames[0])->address == ip)
			return &st;
	}
	return NULL;
}

static bool is_off(struct fixture *f, __u64 ip, __u64 cnt, __u64 ns)
{
	const struct pa_stack *st = find(f, ip);

	if (st && st->sample_cnt == cnt && st->period_sum == ns)
		return true;
	fprintf(stderr, "stack %llx: %lld times, %lld ns\n", ip,
		st ? (long long)st->sample_cnt : -1, st ? (long long)st->period_sum : -1);
	return false;
}

static struct pa_session_stats stats_of(struct fixture *f)
{
	struct pa_session_stats stats;

	pa_session__stats(f->session, &stats);
	return stats;
}

static const struct pa_session_opts off_cpu = {.off_cpu = true};

TEST(pairs_switches)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){CYCLES, SWITCH, 0}));
	CHECK_STR(pd_events__get(f.events, 1)->name, "sched:sched_switch");
	CHECK_EQ(switch_to(&f, 1000, 11, 0, 0x100, 1), 0);
	CHECK_EQ(sample(&f, CYCLES, 12, 1001, 0x700, NULL, 0), 0);
	CHECK_EQ(switch_to(&f, 1500, 0, 12, 0x600, 0), 0); /* idle is not a thread that waits */
	CHECK_EQ(switch_to(&f, 2000, 12, 11, 0x200, 2), 0);
	CHECK_EQ(switch_to(&f, 2100, 11, 12, 0x100, 1), 0);
	CHECK_EQ(switch_to(&f, 2500, 12, 11, 0x300, 0), 0);
	CHECK_EQ(switch_to(&f, 3000, 11, 12, 0x400, 0x20), 0); /* dies */
	CHECK_EQ(switch_to(&f, 3100, 12, 0, 0x500, 1), 0);     /* never comes back */
	CHECK(finish(&f));
	CHECK_EQ(pa_session__stack_cnt(f.session), 3);
	CHECK(is_off(&f, 0x100, 2, 1000 + 400));
	CHECK(is_off(&f, 0x200, 1, 100));
	CHECK(is_off(&f, 0x300, 1, 500));
	CHECK_EQ(stats_of(&f).sample_cnt, 4);
	CHECK_EQ(stats_of(&f).off_cnt, 5);
	CHECK_EQ(stats_of(&f).unpaired_cnt, 1);
	CHECK_EQ(stats_of(&f).filtered_cnt, 1);
	CHECK_EQ(f.warning_cnt, 0);
	tear_down(&f);
}

/* Two CPUs, whose records come one CPU after the other, in two rounds. */
TEST(orders_rounds)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SWITCH, 0}));
	CHECK_EQ(switch_to(&f, 100, 11, 12, 0x100, 1), 0);
	CHECK_EQ(switch_to(&f, 400, 12, 0, 0x300, 1), 0);
	CHECK_EQ(switch_to(&f, 200, 0, 11, 0, 0), 0); /* other CPU */
	CHECK_EQ(switch_to(&f, 300, 11, 0, 0x200, 1), 0);
	CHECK_EQ(pa_offcpu__end_round(f.session), 0);
	CHECK_EQ(switch_to(&f, 600, 0, 11, 0, 0), 0);
	CHECK_EQ(switch_to(&f, 350, 0, 13, 0, 0), 0);
	CHECK_EQ(switch_to(&f, 500, 13, 12, 0x400, 1), 0);
	CHECK_EQ(pa_offcpu__end_round(f.session), 0);
	CHECK_EQ(f.session->offcpu.cnt, 3); /* later than all of the first round */
	CHECK_EQ(pa_offcpu__end_round(f.session), 0);
	CHECK_EQ(f.session->offcpu.cnt, 0);
	CHECK(finish(&f));
	CHECK(is_off(&f, 0x100, 1, 100));
	CHECK(is_off(&f, 0x200, 1, 300));
	CHECK(is_off(&f, 0x300, 1, 100));
	CHECK_EQ(stats_of(&f).unpaired_cnt, 1);
	tear_down(&f);
}

/* Without rounds the window is bounded, whatever the times are. */
TEST(window_is_bounded)
{
	struct fixture f;
	size_t cnt = 1 << 20;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SWITCH, 0}));
	for (size_t i = 0; i < cnt; i++) {
		/* pairs of two CPUs, 10,000 apart */
		__u64 time = 1000 + 100 * i + (i / 10000 % 2 ? 0 : 2000000);

		CHECK_EQ(switch_to(&f, time, 20 + (i & 1), 20 + (~i & 1), 0x100, 1), 0);
		CHECK(f.session->offcpu.cap <= 1 << 20);
	}
	CHECK(finish(&f));
	CHECK_EQ(stats_of(&f).off_cnt, cnt);
	CHECK(stats_of(&f).sample_cnt + stats_of(&f).unpaired_cnt == cnt);
	tear_down(&f);
}

TEST(lost_and_late_switches)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SWITCH, 0}));
	CHECK_EQ(switch_to(&f, 100, 11, 0, 0x100, 1), 0);
	CHECK_EQ(switch_to(&f, 200, 11, 0, 0x200, 1), 0);
	CHECK_EQ(switch_to(&f, 300, 0, 11, 0, 0), 0);
	CHECK_EQ(switch_to(&f, 900, 12, 0, 0x300, 1), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pa_offcpu__end_round(f.session), 0);
	CHECK_EQ(switch_to(&f, 500, 0, 12, 0, 0), 0);
	CHECK(finish(&f));
	CHECK_EQ(pa_session__stack_cnt(f.session), 1);
	CHECK(is_off(&f, 0x200, 1, 100));
	CHECK_EQ(stats_of(&f).unpaired_cnt, 2);
	tear_down(&f);
}

TEST(switch_records)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SW_SWITCH, 0}));
	CHECK_EQ(sample(&f, SW_SWITCH, 11, 100, 0x100, NULL, 0), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH, PERF_RECORD_MISC_SWITCH_OUT, 11, 101), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH, 0, 11, 300), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH, 0, 11, 400), 0);
	CHECK_EQ(sample(&f, SW_SWITCH, 11, 500, 0x200, NULL, 0), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH_CPU_WIDE, 0, 11, 700), 0);
	CHECK(finish(&f));
	CHECK(is_off(&f, 0x100, 1, 200));
	CHECK(is_off(&f, 0x200, 1, 200));
	tear_down(&f);
}

/* Perf in a container: raw data have the kernel's numbers, samples and records the container's. */
TEST(pid_namespaces)
{
	unsigned char raw[64];
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SWITCH, 0}));
	td_switch(raw, 5011, 1, 0);
	CHECK_EQ(sample(&f, SWITCH, 11, 100, 0x100, raw, sizeof(raw)), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH, 0, 11, 300), 0);
	td_switch(raw, 5011, 1, 5012);
	CHECK_EQ(sample(&f, SWITCH, 11, 400, 0x200, raw, sizeof(raw)), 0);
	td_switch(raw, 5012, 1, 5011);
	CHECK_EQ(sample(&f, SWITCH, 12, 500, 0x300, raw, sizeof(raw)), 0);
	CHECK(finish(&f));
	CHECK(is_off(&f, 0x100, 1, 200));
	CHECK(is_off(&f, 0x200, 1, 100));
	CHECK_EQ(find(&f, 0x100)->tid, 11);
	tear_down(&f);
}

/* Both kinds tell of the same switches: one of them counts. */
TEST(one_kind_of_switches)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SW_SWITCH, SWITCH, SUMS, 0}));
	CHECK_EQ(switch_to(&f, 100, 11, 0, 0x100, 1), 0);
	CHECK_EQ(sample(&f, SW_SWITCH, 11, 101, 0x200, NULL, 0), 0);
	CHECK_EQ(sample(&f, SUMS, 11, ~0ULL << 32, 0x300, NULL, 0), 0);
	CHECK_EQ(switch_record(&f, PERF_RECORD_SWITCH, 0, 11, 300), 0);
	CHECK(finish(&f));
	CHECK_EQ(pa_session__stack_cnt(f.session), 1);
	CHECK(is_off(&f, 0x100, 1, 200));
	tear_down(&f);
}

TEST(ends_are_missing)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){SWITCH, 0}));
	for (int i = 0; i < 10; i++)
		CHECK_EQ(switch_to(&f, 100 + i, 11, 0, 0x100, 1), 0);
	CHECK(finish(&f));
	CHECK(strstr(f.warning, "10 of 10 times off the CPU"));
	CHECK_EQ(pa_session__stack_cnt(f.session), 0);
	tear_down(&f);
}

TEST(nothing_to_pair)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){CYCLES, 0}));
	CHECK_EQ(sample(&f, CYCLES, 11, 100, 0x100, NULL, 0), 0);
	CHECK_EQ(pa_fields__check(f.session), -ENOENT);
	CHECK(strstr(pa_session__errmsg(f.session), "perf record -a -g -e sched:sched_switch"));
	tear_down(&f);
}

TEST(sums_of_perf)
{
	struct fixture f;

	CHECK(set_up(&f, &off_cpu, (const __u64[]){CYCLES, SUMS, 0}));
	CHECK_EQ(sample(&f, CYCLES, 11, 100, 0x200, NULL, 0), 0);
	for (__u64 i = 0; i < 2; i++)
		CHECK_EQ(sample(&f, SUMS, 11, (~0ULL << 32) + i, 0x100, NULL, 0), 0);
	CHECK(finish(&f));
	CHECK_EQ(pa_session__stack_cnt(f.session), 1);
	CHECK(is_off(&f, 0x100, 2, 100));
	CHECK_EQ(stats_of(&f).last_ns, 0); /* made up by perf */
	tear_down(&f);
}

TEST(packed_sums)
{
	struct {
		__u32 pid, tid;
		__u64 ns, cnt, ips[3], cgroup;
	} raw = {77, 78, 5000, 3, {CTX_USER, 0x100, 0x200}, 1};
	struct fixture f;

	for (int with = 0; with < 2; with++) {
		struct pa_session_opts opts = {.off_cpu = with};

		CHECK(set_up(&f, &opts, (const __u64[]){PACKED, 0}));
		CHECK_EQ(sample(&f, PACKED, 11, 100, 0x900, &raw, sizeof(raw)), 0);
		for (__u64 cnt = 5; cnt; cnt = cnt == 5 ? 1ULL << 61 : cnt == ~0ULL ? 0 : ~0ULL) {
			__u64 good = raw.cnt;

			raw.cnt = cnt;
			CHECK_EQ(sample(&f, PACKED, 11, 100, 0x900, &raw, sizeof(raw)), -EBADMSG);
			raw.cnt = good;
		}
		CHECK_EQ(sample(&f, PACKED, 11, 100, 0x900, &raw, 12), -EBADMSG);
		CHECK(finish(&f));
		CHECK(is_off(&f, 0x100, 1, 5000));
		CHECK_EQ(find(&f, 0x100)->pid, 77);
		CHECK_EQ(find(&f, 0x100)->tid, 78);
		CHECK_EQ(find(&f, 0x100)->frame_cnt, 2);
		tear_down(&f);
	}
}

TEST(events_by_name)
{
	static const struct {
		const char *event;
		bool found;
	} cases[] = {
		{"cycles", true},    {"cycles:P", true},      {"sched:sched_switch", true},
		{"cycle", false},    {"cycles:", false},      {"sched", false},
		{"cycles:u", false}, {"instructions", false}, {"", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pa_session_opts opts = {.event = cases[i].event};
		struct fixture f;

		CHECK(set_up(&f, &opts, (const __u64[]){CYCLES, SWITCH, 0}));
		CHECK_EQ(sample(&f, CYCLES, 11, 100, 0x100, NULL, 0), 0);
		CHECK_EQ(switch_to(&f, 100, 11, 0, 0x100, 1), 0);
		CHECK_EQ(stats_of(&f).sample_cnt, cases[i].found);
		if (pa_fields__check(f.session) != (cases[i].found ? 0 : -ENOENT))
			CHECK_FAIL("event %s", cases[i].event);
		CHECK(cases[i].found || strstr(pa_session__errmsg(f.session),
					       "the file has cycles:P, sched:sched_switch"));
		tear_down(&f);
	}
}

TEST(weights)
{
	struct pa_session_opts opts = {.weight_field = "next_pid"};
	struct fixture f;

	CHECK(set_up(&f, &opts, (const __u64[]){CYCLES, SWITCH, 0}));
	CHECK_EQ(sample(&f, CYCLES, 11, 100, 0x100, NULL, 0), 0);
	CHECK_EQ(switch_to(&f, 100, 11, 1000, 0x100, 1), 0);
	CHECK_EQ(switch_to(&f, 100, 11, 234, 0x100, 1), 0);
	CHECK_EQ(switch_to(&f, 100, 11, -5, 0x100, 1), 0);
	CHECK_EQ(sample(&f, SWITCH, 11, 100, 0x100, "short", 5), -EBADMSG);
	CHECK(finish(&f));
	CHECK(is_off(&f, 0x100, 3, 1234));
	CHECK(pa_session__is_weighted(f.session));
	CHECK_EQ(f.warning_cnt, 2); /* the event without the field, the negative one */
	tear_down(&f);

	opts.weight_field = "next_comm"; /* not a number */
	CHECK(set_up(&f, &opts, (const __u64[]){SWITCH, 0}));
	CHECK_EQ(switch_to(&f, 100, 11, 1000, 0x100, 1), 0);
	CHECK_EQ(pa_fields__check(f.session), -ENOENT);
	CHECK(strstr(pa_session__errmsg(f.session), "sched:sched_switch has prev_comm, prev_pid"));
	tear_down(&f);
}

TEST(labels)
{
	const char *const fields[] = {"next_comm", "next_pid", "no_such", NULL};
	struct pa_session_opts opts = {.label_fields = fields};
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, &opts, (const __u64[]){SWITCH, CYCLES, 0}));
	for (int i = 0; i < 6; i++)
		CHECK_EQ(switch_to(&f, 100 + i, 11, 40 + i % 2, 0x100, 1), 0);
	CHECK_EQ(pa_fields__check(f.session), 0);
	CHECK(strstr(f.warning, "no sample has a field no_such: sched:sched_switch has prev_comm"));
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	for (int i = 0; i < 2; i++) {
		pa_session__stack(f.session, i, &st);
		CHECK_EQ(st.sample_cnt, 3);
		CHECK_EQ(st.label_cnt, 2);
		CHECK_STR(st.labels[0].key, "next_comm");
		CHECK_STR(st.labels[0].str, i ? "next41" : "next40");
		CHECK_STR(st.labels[1].key, "next_pid");
		CHECK(!st.labels[1].str);
		CHECK_EQ(st.labels[1].num, 40 + i);
	}
	tear_down(&f);
}

TEST(states)
{
	const char *const fields[] = {"state", NULL};
	struct pa_session_opts opts = {.label_fields = fields, .off_cpu = true};
	static const int64_t states[] = {0, 1, 2, 0x100, 0x80, 0x40};
	static const char *const names[] = {"R", "S", "D", "R", "I", "P"};
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, &opts, (const __u64[]){SWITCH, 0}));
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(switch_to(&f, 100 * i, 11, 0, 0x100 + i, states[i]), 0);
		CHECK_EQ(switch_to(&f, 100 * i + 10, 0, 11, 0, 0), 0);
	}
	CHECK(finish(&f));
	CHECK_EQ(pa_session__stack_cnt(f.session), 6);
	for (int i = 0; i < 6; i++) {
		pa_session__stack(f.session, i, &st);
		CHECK_EQ(st.label_cnt, 1);
		CHECK_STR(st.labels[0].str, names[i]);
	}
	CHECK_EQ(f.warning_cnt, 0);
	tear_down(&f);
}

TEST_MAIN()
