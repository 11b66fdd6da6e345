// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_session.c - processes and mappings by time, the reading of call chains, and aggregation,
 * on records made here. No symbolizer: frames are told apart by mapping and address.
 */
#include <errno.h>

#include "check.h"
#include "convert/convert.h"
#include "convert/procs.h"
#include "convert/session.h"

enum {
	SAMPLE_TYPE = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
		      PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN
};

#define KERNEL_IP 0xffffffff81000010ULL
#define CTX_KERNEL ((uint64_t)PERF_CONTEXT_KERNEL)
#define CTX_USER ((uint64_t)PERF_CONTEXT_USER)

struct fixture {
	struct pd_events *events;
	struct pa_session *session;
	bool has_period; /* in each sample */
	char warning[256];
};

static void keep_warning(void *ctx, const char *msg)
{
	struct fixture *f = ctx;

	snprintf(f->warning, sizeof(f->warning), "%s", msg);
}

/* has_period: whether each sample has its own, or its event one for all */
static bool set_up_filter(struct fixture *f, size_t event_cnt, bool has_period,
			  bool (*filter)(void *, const struct pd_sample *, const char *))
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = PD_ATTR_BYTES,
		.sample_period = 99,
		.freq = has_period,
		.sample_type = SAMPLE_TYPE & (has_period ? ~0ULL : ~(__u64)PERF_SAMPLE_PERIOD),
		.sample_id_all = 1,
	};
	struct pa_session_opts opts = {
		.sz = sizeof(opts), .warn = keep_warning, .filter = filter, .ctx = f};

	memset(f, 0, sizeof(*f));
	f->has_period = has_period;
	if (pd_events__new(&f->events))
		return false;
	for (__u64 id = 1; id <= event_cnt; id++)
		if (pd_events__add(f->events, &attr, &id, 1, NULL) < 0)
			return false;
	opts.events = f->events;
	return !pa_session__new(&opts, &f->session);
}

static bool set_up(struct fixture *f, size_t event_cnt)
{
	return set_up_filter(f, event_cnt, true, NULL);
}

static void tear_down(struct fixture *f)
{
	pa_session__free(f->session);
	pd_events__free(f->events);
}

static int map(struct fixture *f, __u32 pid, __u64 start, const char *path, __u64 time)
{
	struct pd_mmap m = {
		.pid = pid,
		.tid = pid,
		.start = start,
		.bytes = 0x1000,
		.pgoff = 0x3000,
		.prot = 4,
		.filename = path,
		.id = {.pid = pid, .tid = pid, .time = time, .id = 1},
	};
	__u64 buf[512];
	int n = pd_put_mmap2(buf, sizeof(buf), f->events, PERF_RECORD_MISC_USER, &m);

	return n < 0 ? n : pa_session__feed(f->session, (void *)buf);
}

static int comm(struct fixture *f, __u32 pid, __u32 tid, const char *name, bool exec, __u64 time)
{
	struct pd_comm c = {pid, tid, exec, name, {.pid = pid, .tid = tid, .time = time, .id = 1}};
	__u64 buf[64];
	int n = pd_put_comm(buf, sizeof(buf), f->events, &c);

	return n < 0 ? n : pa_session__feed(f->session, (void *)buf);
}

static int task(struct fixture *f, __u32 type, __u32 pid, __u32 ppid, __u64 time)
{
	struct pd_task t = {pid, ppid, pid, ppid, time, {.pid = pid, .time = time, .id = 1}};
	__u64 buf[64];
	int n = pd_put_task(buf, sizeof(buf), f->events, type, &t);

	return n < 0 ? n : pa_session__feed(f->session, (void *)buf);
}

struct at {
	__u32 pid, tid;
	__u64 time;
	__u64 event; /* id; 0 means 1 */
};

static int sample_in(struct fixture *f, __u16 cpumode, struct at at, const __u64 *chain, size_t cnt)
{
	__u64 buf[64] = {0};
	struct perf_event_header *hdr = (void *)buf;
	size_t words_cnt = 6;

	buf[1] = at.event ? at.event : 1;
	buf[2] = cnt ? chain[cnt > 1] : 0x401010;
	buf[3] = (__u64)at.tid << 32 | at.pid;
	buf[4] = at.time;
	if (f->has_period)
		buf[words_cnt++] = 1000;
	buf[words_cnt++] = cnt;
	memcpy(buf + words_cnt, chain, cnt * 8);
	hdr->type = PERF_RECORD_SAMPLE;
	hdr->misc = cpumode;
	hdr->size = (words_cnt + cnt) * 8;
	return pa_session__feed(f->session, hdr);
}

static int sample(struct fixture *f, struct at at, const __u64 *chain, size_t cnt)
{
	return sample_in(f, PERF_RECORD_MISC_USER, at, chain, cnt);
}

/* A user stack of one ip. */
static int hit(struct fixture *f, __u32 pid, __u64 time, __u64 ip)
{
	const __u64 chain[] = {CTX_USER, ip};

	return sample(f, (struct at){pid, pid, time, 0}, chain, 2);
}

/* Path of the mapping of the leaf of stack i; "" unmapped. */
static const char *leaf_path(struct fixture *f, size_t i)
{
	const struct pa_frame *leaf;
	struct pa_stack st;

	if (i >= pa_session__stack_cnt(f->session))
		return "(no such stack)";
	pa_session__stack(f->session, i, &st);
	if (!st.frame_cnt)
		return "(no frames)";
	leaf = pa_session__frame(f->session, st.frames[0]);
	return leaf->map ? leaf->map->path : "";
}

TEST(aggregates_by_thread_and_chain)
{
	const __u64 chain[] = {CTX_USER, 0x401010, 0x401020};
	struct pa_session_stats stats;
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(comm(&f, 10, 10, "one", false, 1), 0);
	CHECK_EQ(comm(&f, 10, 11, "two", false, 1), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(sample(&f, (struct at){10, 10, 100 + i, 0}, chain, 3), 0);
	CHECK_EQ(sample(&f, (struct at){10, 11, 200, 0}, chain, 3), 0);
	CHECK_EQ(sample(&f, (struct at){10, 10, 300, 0}, chain, 2), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 3);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.sample_cnt, 3);
	CHECK_EQ(st.period_sum, 3000);
	CHECK_EQ(st.frame_cnt, 2);
	CHECK_STR(st.comm, "one");
	pa_session__stack(f.session, 1, &st);
	CHECK_STR(st.comm, "two");
	CHECK_EQ(st.tid, 11);
	CHECK_EQ(st.pid, 10);
	pa_session__stats(f.session, &stats);
	CHECK_EQ(stats.sample_cnt, 5);
	CHECK_EQ(stats.first_ns, 100);
	CHECK_EQ(stats.last_ns, 300);
	tear_down(&f);
}

static bool keep_all(void *ctx, const struct pd_sample *sample, const char *comm_name)
{
	(void)ctx;
	(void)sample;
	(void)comm_name;
	return true;
}

/* One of what a file may hold, the same for the same number. @return what the session says */
static int feed_any(struct fixture *f, unsigned int n)
{
	unsigned int dice = n * 2654435761u >> 8;
	__u32 pid = 10 + dice % 16 / 15, tid = pid + dice / 16 % 16 / 15;
	__u64 chain[] = {n % 7 ? CTX_USER : 0x401010,
			 0x401010,
			 0x401020 + dice % 3,
			 CTX_KERNEL,
			 KERNEL_IP,
			 0};
	/* A sample in a batch knows what comes after it but was before it, and where nothing was
	 * mapped then, what was first: neither is left to chance here. */
	__u64 now = 100 + n, time = now - dice / 256 % 8, buf[16] = {0};
	struct perf_event_header *hdr = (void *)buf;

	switch (dice / 2048 % 64) {
	case 0:
		if (comm(f, pid, tid, n % 2 ? "odd" : "even", n % 3 == 0, now))
			return -1;
		/* fallthrough */
	case 1:
		return map(f, pid, 0x401000, n % 2 ? "/odd" : "/even", now);
	case 2:
		return task(f, PERF_RECORD_EXIT, pid, 1, now);
	case 3: /* a chain that its record does not hold, an unknown event, records cut short */
	case 4:
		*hdr = (struct perf_event_header){PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER,
						  8 * (dice / 131072 % 12)};
		buf[1] = 1 + n % 3;
		buf[3] = (__u64)tid << 32 | pid;
		buf[4] = time;
		buf[6 + f->has_period] = dice / 131072 % 5;
		return pa_session__feed(f->session, hdr);
	default:
		/* the mode counts up to a chain's first marker */
		return sample_in(f, n % 11 ? PERF_RECORD_MISC_USER : n % 5 + 1,
				 (struct at){pid, tid, time, 1 + dice / 131072 % 32 / 31}, chain,
				 dice / 131072 % 7);
	}
}

/* A session that asks for each sample takes none as it took the one before it. */
static void compare_runs_and_samples(bool has_period)
{
	struct pa_session_stats a, b;
	struct fixture f, g;

	CHECK(set_up_filter(&f, 2, has_period, NULL));
	CHECK(set_up_filter(&g, 2, has_period, keep_all));
	for (__u32 pid = 10; pid <= 11; pid++) {
		CHECK_EQ(map(&f, pid, 0x401000, "/first", 1), 0);
		CHECK_EQ(map(&g, pid, 0x401000, "/first", 1), 0);
	}
	for (unsigned int n = 0; n < 20000; n++)
		CHECK_EQ(feed_any(&f, n), feed_any(&g, n));
	CHECK(f.session->run.pid_tid);
	CHECK(!g.session->run.pid_tid);
	/* without a time they are from after all that is known */
	for (__u64 time = 30000; time != ~0ULL; time = time ? 0 : ~0ULL) {
		CHECK_EQ(hit(&f, 10, time, 0x401010), 0);
		CHECK_EQ(hit(&g, 10, time, 0x401010), 0);
	}
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__resolve(g.session), 0);
	pa_session__stats(f.session, &a);
	pa_session__stats(g.session, &b);
	CHECK(a.malformed_cnt && a.unknown_event_cnt && a.no_stack_cnt);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	CHECK(pa_session__stack_cnt(f.session) > 100);
	CHECK_EQ(pa_session__stack_cnt(f.session), pa_session__stack_cnt(g.session));
	for (size_t i = 0; i < pa_session__stack_cnt(f.session); i++) {
		struct pa_stack x, y;

		pa_session__stack(f.session, i, &x);
		pa_session__stack(g.session, i, &y);
		CHECK_STR(x.comm, y.comm);
		CHECK_EQ(x.pid, y.pid);
		CHECK_EQ(x.tid, y.tid);
		CHECK_EQ(x.event, y.event);
		CHECK_EQ(x.sample_cnt, y.sample_cnt);
		CHECK_EQ(x.period_sum, y.period_sum);
		CHECK_EQ(x.frame_cnt, y.frame_cnt);
		CHECK_EQ(x.kernel_cnt, y.kernel_cnt);
		CHECK_STR(leaf_path(&f, i), leaf_path(&g, i));
	}
	tear_down(&f);
	tear_down(&g);
}

TEST(runs_of_samples_count_like_samples)
{
	compare_runs_and_samples(true);
}

TEST(runs_of_samples_without_a_period_of_their_own)
{
	compare_runs_and_samples(false);
}

/* While a file has one event, any id means that one. */
TEST(run_ends_when_an_event_is_added)
{
	const __u64 chain[] = {CTX_USER, 0x401010}, id = 2;
	struct perf_event_attr attr;
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	for (__u64 time = 10; time < 12; time++)
		CHECK_EQ(sample(&f, (struct at){10, 10, time, id}, chain, 2), 0);
	CHECK(f.session->run.is_on);
	attr = pd_events__get(f.events, 0)->attr;
	CHECK_EQ(pd_events__add(f.events, &attr, &id, 1, NULL), 1);
	for (__u64 time = 12; time < 15; time++)
		CHECK_EQ(sample(&f, (struct at){10, 10, time, id}, chain, 2), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.event, 0);
	CHECK_EQ(st.sample_cnt, 2);
	pa_session__stack(f.session, 1, &st);
	CHECK_EQ(st.event, 1);
	CHECK_EQ(st.sample_cnt, 3);
	tear_down(&f);
}

/* As EVENT_UPDATE in a stream does. The label is of the name that the event had first. */
TEST(event_renamed_between_samples)
{
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(pd_events__rename(f.events, 0, "offcpu:first"), 0);
	CHECK_EQ(hit(&f, 10, 10, 0x401010), 0);
	CHECK_EQ(pd_events__rename(f.events, 0, "offcpu:second"), 0);
	CHECK_EQ(hit(&f, 11, 11, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	pa_session__stack(f.session, 1, &st);
	CHECK_EQ(st.label_cnt, 1);
	CHECK_STR(st.labels[0].str, "first");
	tear_down(&f);
}

TEST(comm_follows_time)
{
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(comm(&f, 10, 10, "before", false, 10), 0);
	CHECK_EQ(comm(&f, 10, 10, "after", false, 50), 0);
	CHECK_EQ(hit(&f, 10, 20, 0x1000), 0);
	CHECK_EQ(hit(&f, 10, 60, 0x1000), 0);
	CHECK_EQ(hit(&f, 99, 60, 0x1000), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &st);
	CHECK_STR(st.comm, "before");
	pa_session__stack(f.session, 1, &st);
	CHECK_STR(st.comm, "after");
	pa_session__stack(f.session, 2, &st);
	CHECK_STR(st.comm, ":99");
	tear_down(&f);
}

/* Another moment of the same thread, and of its process, at every time. */
TEST(moment_holds_as_long_as_it_says)
{
	struct pa_piece piece = {.start = 0x1000, .end = 0x2000, .to_ns = UINT64_MAX};
	struct pa_procs p;

	pa_procs__init(&p, 1);
	CHECK_EQ(pa_procs__set_comm(&p, 10, 10, "leader", false, 20), 0);
	CHECK_EQ(pa_procs__set_comm(&p, 10, 10, "exec", true, 50), 0);
	CHECK_EQ(pa_procs__set_comm(&p, 10, 11, "thread", false, 30), 0);
	for (piece.from_ns = 60; piece.from_ns < 90; piece.from_ns += 10) {
		piece.image++;
		CHECK_EQ(pa_procs__map(&p, pa_procs__space(&p, 10, 60), &piece), 0);
	}
	for (uint32_t tid = 10; tid <= 12; tid++) {
		for (uint64_t at = 0; at < 100; at++) {
			struct pa_moment m;

			CHECK_EQ(pa_procs__moment(&p, 10, tid, at, &m), 0);
			CHECK(m.from_ns <= at && at <= m.to_ns);
			for (uint64_t t = m.from_ns; t <= m.to_ns && t < 100; t++) {
				CHECK(pa_procs__comm(&p, 10, tid, t) == m.comm);
				CHECK_EQ(pa_procs__space(&p, 10, t), m.space);
				CHECK_EQ(pa_space__epoch(pa_procs__at(&p, m.space), t), m.epoch_ns);
			}
		}
	}
	pa_procs__free(&p);
}

TEST(sideband_between_samples_of_a_thread)
{
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 10, 0x401000, "/old", 1), 0);
	CHECK_EQ(comm(&f, 10, 10, "one", false, 1), 0);
	CHECK_EQ(hit(&f, 10, 5, 0x401010), 0);
	CHECK_EQ(comm(&f, 10, 10, "two", false, 6), 0);
	CHECK_EQ(hit(&f, 10, 7, 0x401010), 0);
	CHECK_EQ(map(&f, 10, 0x401000, "/new", 8), 0);
	CHECK_EQ(hit(&f, 10, 9, 0x401010), 0);
	CHECK_EQ(hit(&f, 10, 7, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 3);
	pa_session__stack(f.session, 0, &st);
	CHECK_STR(st.comm, "one");
	pa_session__stack(f.session, 1, &st);
	CHECK_STR(st.comm, "two");
	CHECK_EQ(st.sample_cnt, 2);
	CHECK_STR(leaf_path(&f, 1), "/old");
	CHECK_STR(leaf_path(&f, 2), "/new");
	tear_down(&f);
}

TEST(file_offset_and_return_addresses)
{
	/* 0x402000 is the first byte past the mapping, where a call that is its last
	 * instruction returns to */
	const __u64 chain[] = {CTX_KERNEL, KERNEL_IP, KERNEL_IP + 16, CTX_USER, 0x401010, 0x402000};
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 10, 0x401000, "/bin/a", 1), 0);
	CHECK_EQ(sample(&f, (struct at){10, 10, 100, 0}, chain, 6), 0);
	CHECK_EQ(hit(&f, 10, 101, 0x402000), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.kernel_cnt, 2);
	CHECK_EQ(st.frame_cnt, 4);
	CHECK_STR(pa_session__frame(f.session, st.frames[0])->map->path, "[kernel]");
	CHECK_EQ(pa_session__frame(f.session, st.frames[0])->address, KERNEL_IP);
	CHECK_STR(pa_session__frame(f.session, st.frames[2])->map->path, "/bin/a");
	CHECK_EQ(pa_session__frame(f.session, st.frames[2])->address, 0x3010);
	CHECK_EQ(pa_session__frame(f.session, st.frames[3])->address, 0x4000);
	CHECK_STR(pa_session__frame(f.session, st.frames[3])->map->path, "/bin/a");
	CHECK_STR(leaf_path(&f, 1), "");
	tear_down(&f);
}

TEST(replaced_mapping_keeps_earlier_samples)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 10, 0x401000, "/lib/a.so", 10), 0);
	CHECK_EQ(map(&f, 10, 0x401000, "/lib/b.so", 50), 0);
	CHECK_EQ(hit(&f, 10, 60, 0x401010), 0);
	CHECK_EQ(hit(&f, 10, 20, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	CHECK_STR(leaf_path(&f, 0), "/lib/b.so");
	CHECK_STR(leaf_path(&f, 1), "/lib/a.so");
	tear_down(&f);
}

TEST(older_mapping_fed_late)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 10, 0x401000, "/lib/b.so", 50), 0);
	CHECK_EQ(map(&f, 10, 0x401800, "/lib/a.so", 10), 0);
	CHECK_EQ(hit(&f, 10, 60, 0x401810), 0);
	CHECK_EQ(hit(&f, 10, 20, 0x401810), 0);
	CHECK_EQ(hit(&f, 10, 60, 0x402010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_STR(leaf_path(&f, 0), "/lib/b.so");
	CHECK_STR(leaf_path(&f, 1), "/lib/a.so");
	CHECK_STR(leaf_path(&f, 2), "/lib/a.so");
	tear_down(&f);
}

TEST(same_content_does_not_split_stacks)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	for (__u64 t = 10; t < 1000; t += 10) {
		CHECK_EQ(map(&f, 10, 0x401000, "/lib/a.so", t), 0);
		CHECK_EQ(map(&f, 10, 0x7f0000, "//anon", t), 0);
		CHECK_EQ(hit(&f, 10, t + 1, 0x401010), 0);
		CHECK_EQ(hit(&f, 10, t + 1, 0x7f0010), 0);
	}
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	CHECK_STR(leaf_path(&f, 0), "/lib/a.so");
	CHECK_STR(leaf_path(&f, 1), "[jit]");
	tear_down(&f);
}

TEST(middle_of_mapping_replaced)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 10, 0x400800, "/lib/a.so", 10), 0);
	CHECK_EQ(map(&f, 10, 0x401000, "/lib/b.so", 20), 0);
	CHECK_EQ(hit(&f, 10, 30, 0x400900), 0);
	CHECK_EQ(hit(&f, 10, 30, 0x401100), 0);
	CHECK_EQ(hit(&f, 10, 15, 0x401100), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_STR(leaf_path(&f, 0), "/lib/a.so");
	CHECK_STR(leaf_path(&f, 1), "/lib/b.so");
	CHECK_STR(leaf_path(&f, 2), "/lib/a.so");
	tear_down(&f);
}

TEST(fork_inherits_exec_drops)
{
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(comm(&f, 10, 10, "sh", false, 1), 0);
	CHECK_EQ(map(&f, 10, 0x401000, "/bin/sh", 1), 0);
	CHECK_EQ(task(&f, PERF_RECORD_FORK, 20, 10, 100), 0);
	CHECK_EQ(map(&f, 10, 0x501000, "/lib/later.so", 150), 0);
	CHECK_EQ(comm(&f, 20, 20, "ls", true, 200), 0);
	CHECK_EQ(map(&f, 20, 0x601000, "/bin/ls", 201), 0);
	CHECK_EQ(hit(&f, 20, 160, 0x401010), 0);
	CHECK_EQ(hit(&f, 20, 160, 0x501010), 0);
	CHECK_EQ(hit(&f, 20, 260, 0x601010), 0);
	CHECK_EQ(hit(&f, 20, 260, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_STR(leaf_path(&f, 0), "/bin/sh");
	pa_session__stack(f.session, 0, &st);
	CHECK_STR(st.comm, "sh");
	CHECK_STR(leaf_path(&f, 1), "");
	CHECK_STR(leaf_path(&f, 2), "/bin/ls");
	pa_session__stack(f.session, 2, &st);
	CHECK_STR(st.comm, "ls");
	CHECK_STR(leaf_path(&f, 3), "");
	tear_down(&f);
}

TEST(reused_pid_has_its_own_maps)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 20, 0x401000, "/bin/old", 10), 0);
	CHECK_EQ(task(&f, PERF_RECORD_EXIT, 20, 20, 100), 0);
	CHECK_EQ(task(&f, PERF_RECORD_FORK, 20, 10, 200), 0);
	CHECK_EQ(hit(&f, 20, 50, 0x401010), 0);
	CHECK_EQ(hit(&f, 20, 110, 0x401010), 0); /* drained after its exit */
	CHECK_EQ(hit(&f, 20, 250, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 2);
	CHECK_STR(leaf_path(&f, 0), "/bin/old");
	CHECK_STR(leaf_path(&f, 1), "");
	tear_down(&f);
}

TEST(reused_pid_without_fork_record)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 20, 0x401000, "/bin/old", 10), 0);
	CHECK_EQ(task(&f, PERF_RECORD_EXIT, 20, 20, 100), 0);
	CHECK_EQ(map(&f, 20, 0x501000, "/bin/new", 200), 0);
	CHECK_EQ(hit(&f, 20, 250, 0x401010), 0);
	CHECK_EQ(hit(&f, 20, 250, 0x501010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_STR(leaf_path(&f, 0), "");
	CHECK_STR(leaf_path(&f, 1), "/bin/new");
	tear_down(&f);
}

TEST(long_chain_of_forks)
{
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(map(&f, 1, 0x401000, "/bin/init", 1), 0);
	for (__u32 pid = 2; pid < 5000; pid++)
		CHECK_EQ(task(&f, PERF_RECORD_FORK, pid, pid - 1, pid * 10), 0);
	CHECK_EQ(hit(&f, 4999, 60000, 0x401010), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_STR(leaf_path(&f, 0), "/bin/init");
	tear_down(&f);
}

/* Times that descend: each record belongs before all others. Counted, not timed. */
TEST(descending_times_move_little)
{
	enum { CNT = 20000, LATE_MAX = 256 };
	struct pa_procs p;
	char name[16];
	uint64_t time;

	pa_procs__init(&p, 1);
	for (unsigned i = 0; i < CNT; i++) {
		time = 1000000 - i;
		snprintf(name, sizeof(name), "name%u", i % 7);
		CHECK_EQ(pa_procs__set_comm(&p, 10, 11, name, true, time), 0);
		CHECK_EQ(pa_procs__fork(&p, 12, 12, 10, 10, true, time), 0);
	}
	CHECK(p.moved_cnt <= 3ull * LATE_MAX * LATE_MAX);
	CHECK(p.space_cnt <= 2 * (LATE_MAX + 2) + 2);
	CHECK(p.dropped_late_cnt >= 2 * (CNT - LATE_MAX - 2));
	/* what was in time is still right */
	CHECK_STR(pa_procs__comm(&p, 10, 11, 1000000), "name0");
	CHECK_STR(pa_procs__comm(&p, 10, 11, 1000000 - 100), "name2");
	pa_procs__free(&p);
}

/* An early mapping over very many later ones: only so many of them are looked at. */
TEST(mapping_over_very_many)
{
	struct pa_piece piece = {.from_ns = 100, .image = 1}, whole = {.from_ns = 50, .image = 2};
	const struct pa_piece *late = NULL, *found;
	struct pa_space space = {0};
	struct pa_pieces pieces = {0};
	uint64_t dropped_cnt = 0;

	for (unsigned i = 0; i < 4000; i++) {
		piece.start = 0x1000 + i * 0x20;
		piece.end = piece.start + 0x10;
		CHECK_EQ(pa_space__map(&space, &pieces, &piece, &dropped_cnt), 0);
	}
	CHECK_EQ(space.cur_cnt, 4000);
	whole.end = UINT64_MAX;
	CHECK_EQ(pa_space__map(&space, &pieces, &whole, &dropped_cnt), 0);
	CHECK_EQ(dropped_cnt, 1);
	CHECK_EQ(space.past_cnt, 1024);
	CHECK(space.cur_cnt > 5000 && space.cur_cnt < 5100);
	found = pa_space__find(&space, 0x1000 + 5 * 0x20 + 0x18, 60, &late);
	CHECK(found && found->image == 2); /* between two of them */
	found = pa_space__find(&space, 0x1000 + 5 * 0x20, 60, &late);
	CHECK(found && found->image == 2); /* before one of them */
	found = pa_space__find(&space, 0x1000 + 3999 * 0x20, 200, &late);
	CHECK(found && found->image == 1);
	pa_space__clear(&space, &pieces);
	pa_pool__free(&pieces.pool);
}

TEST(hostile_chains)
{
	const __u64 markers[] = {CTX_USER, CTX_KERNEL, CTX_USER};
	const __u64 garbage[] = {~0ULL, 0, (__u64)-3000, (__u64)-640, 0x1234, 0x401010};
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 1));
	CHECK_EQ(sample(&f, (struct at){1, 1, 5, 0}, markers, 3), 0);
	CHECK_EQ(sample(&f, (struct at){1, 1, 5, 0}, garbage, 6), 0);
	CHECK_EQ(sample(&f, (struct at){1, 1, 5, 0}, garbage, 4), 0);
	CHECK_EQ(sample(&f, (struct at){1, 1, 5, 0}, garbage, 0), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.frame_cnt, 0);
	pa_session__stack(f.session, 1, &st);
	CHECK_EQ(st.frame_cnt, 2); /* 0, then, past the deferred context's cookie, 0x401010 */
	CHECK_EQ(pa_session__frame(f.session, st.frames[1])->address, 0x401010);
	pa_session__stack(f.session, 2, &st);
	CHECK_EQ(st.frame_cnt, 1);
	pa_session__stack(f.session, 3, &st); /* no chain: the ip */
	CHECK_EQ(st.frame_cnt, 1);
	CHECK_EQ(pa_session__frame(f.session, st.frames[0])->address, 0x401010);
	tear_down(&f);
}

TEST(malformed_records_are_counted)
{
	struct pa_session_stats stats;
	struct fixture f;
	__u64 buf[64] = {0};
	struct perf_event_header *hdr = (void *)buf;

	CHECK(set_up(&f, 2));
	hdr->type = PERF_RECORD_SAMPLE;
	hdr->size = 64;
	buf[1] = 1;
	buf[7] = 1ULL << 61; /* entries that the record does not hold */
	CHECK_EQ(pa_session__feed(f.session, hdr), -EBADMSG);
	hdr->type = PERF_RECORD_MMAP2;
	hdr->size = 16;
	CHECK_EQ(pa_session__feed(f.session, hdr), -EBADMSG);
	CHECK_EQ(map(&f, 10, ~0ULL - 0x100, "/bin/wraps", 1), -EBADMSG);
	CHECK_EQ(sample(&f, (struct at){1, 1, 5, 77}, buf, 0), 0);
	pa_session__stats(f.session, &stats);
	CHECK_EQ(stats.malformed_cnt, 3);
	CHECK_EQ(stats.unknown_event_cnt, 1);
	CHECK_EQ(stats.sample_cnt, 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 0);
	tear_down(&f);
}

static void sample_two_events(struct fixture *f)
{
	const __u64 chain[] = {CTX_USER, 0x401010};

	pd_events__rename(f->events, 0, "cycles");
	pd_events__rename(f->events, 1, "faults");
	CHECK_EQ(comm(f, 1, 1, "app", false, 1), 0);
	CHECK_EQ(sample(f, (struct at){1, 1, 5, 2}, chain, 2), 0);
	CHECK_EQ(sample(f, (struct at){1, 1, 5, 1}, chain, 2), 0);
	CHECK_EQ(sample(f, (struct at){1, 2, 6, 1}, chain, 2), 0);
}

TEST(events_are_not_mixed)
{
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 2));
	sample_two_events(&f);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 3);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.event, 1);
	pa_session__stack(f.session, 2, &st);
	CHECK_EQ(st.event, 0);
	CHECK_EQ(st.tid, 2);
	tear_down(&f);
}

TEST(one_event_and_merged_threads)
{
	struct pa_session_opts opts = {
		.sz = sizeof(opts), .one_event = true, .merge_threads = true};
	struct pa_stack st;
	struct fixture f;

	CHECK(set_up(&f, 2));
	pa_session__free(f.session);
	opts.events = f.events;
	opts.warn = keep_warning;
	opts.ctx = &f;
	CHECK_EQ(pa_session__new(&opts, &f.session), 0);
	sample_two_events(&f);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 1);
	pa_session__stack(f.session, 0, &st);
	CHECK_EQ(st.event, 0);
	CHECK_EQ(st.tid, 0);
	CHECK_EQ(st.sample_cnt, 2);
	CHECK(strstr(f.warning, "using cycles"));
	CHECK(strstr(f.warning, "1 samples of faults"));
	tear_down(&f);
}

TEST(many_distinct_stacks)
{
	struct pa_session_stats stats;
	struct fixture f;

	CHECK(set_up(&f, 1));
	for (int round = 0; round < 2; round++)
		for (__u64 i = 0; i < 50000; i++)
			CHECK_EQ(hit(&f, 1, 10, 0x400000 + i), 0);
	pa_session__stats(f.session, &stats);
	CHECK_EQ(stats.stack_cnt, 50000);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__frame_cnt(f.session), 50000);
	tear_down(&f);
}

TEST(folded_lines)
{
	/* perf names anonymous code after its perf-map; names lose what separates them */
	static const char expected[] = "a_b:c;[[kernel.kallsyms]] 1\n"
				       "a_b:c;[lib:c.so] 2\n"
				       "a_b:c;[perf-10.map] 1\n";
	const __u64 kernel[] = {CTX_KERNEL, KERNEL_IP};
	struct pa_folded_opts opts = {.sz = sizeof(opts)};
	const struct pa_session *session;
	struct fixture f;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out && set_up(&f, 1));
	CHECK_EQ(comm(&f, 10, 10, "a b;c", false, 1), 0);
	CHECK_EQ(map(&f, 10, 0x401000, "/opt/a b/lib;\"c.so", 1), 0);
	CHECK_EQ(map(&f, 10, 0x501000, "//anon", 1), 0);
	CHECK_EQ(hit(&f, 10, 5, 0x501010), 0);
	CHECK_EQ(hit(&f, 10, 5, 0x401010), 0);
	CHECK_EQ(hit(&f, 10, 5, 0x401018), 0);
	CHECK_EQ(sample(&f, (struct at){10, 10, 6, 0}, kernel, 2), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	session = f.session;
	CHECK_EQ(pa_folded__write(&session, 1, &opts, out), 0);
	fclose(out);
	CHECK_STR(text, expected);
	free(text);
	tear_down(&f);
}

TEST_MAIN()
