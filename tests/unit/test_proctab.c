// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is written of a process, and when: sideband records in odd orders, with process ids that
 * no machine has, so that /proc never helps.
 */
#include <errno.h>
#include <linux/perf_event.h>

#include "capture/proctab.h"
#include "capture/sideband.h"
#include "check.h"

#define PID 4194001 /* above any pid_max but the largest */
#define PARENT 4194002
#define ID 1

static struct pd_events *events;
static struct pa_images *images;
static struct pa_proctab *table;
static struct pa_bytes out;
static unsigned ended_cnt;

static void on_ended(void *ctx, pid_t pid)
{
	(void)ctx;
	(void)pid;
	ended_cnt++;
}

static void set_up(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = PD_ATTR_BYTES,
		.sample_type = PA_SAMPLE_TYPE,
		.sample_id_all = 1,
	};
	__u64 id = ID;
	struct pa_proctab_opts opts = {.sz = sizeof(opts), .sample_id = ID, .ended = on_ended};

	out.len = 0;
	ended_cnt = 0;
	if (pd_events__new(&events) || pd_events__add(events, &attr, &id, 1, "e") < 0 ||
	    pa_images__new(&images))
		abort();
	opts.events = events;
	opts.images = images;
	if (pa_proctab__new(&opts, &table))
		abort();
}

static void tear_down(void)
{
	pa_proctab__free(table);
	pa_images__free(images);
	pd_events__free(events);
	pa_bytes__free(&out);
}

static struct pd_sample_id at(uint32_t pid, uint64_t time_ns)
{
	return (struct pd_sample_id){.pid = pid, .tid = pid, .time = time_ns, .id = ID};
}

static int feed(int bytes, const void *record)
{
	return bytes < 0 ? bytes : pa_proctab__feed(table, record, &out);
}

static int fork_at(uint32_t pid, uint32_t parent, uint64_t time_ns)
{
	struct pd_task t = {
		.pid = pid, .tid = pid, .ppid = parent, .ptid = parent, .time = time_ns};
	__u64 buf[64];

	t.id = at(parent, time_ns);
	return feed(pd_put_task(buf, sizeof(buf), events, PERF_RECORD_FORK, &t), buf);
}

static int exit_at(uint32_t pid, uint64_t time_ns)
{
	struct pd_task t = {.pid = pid, .tid = pid, .ppid = 1, .ptid = 1, .time = time_ns};
	__u64 buf[64];

	t.id = at(pid, time_ns);
	return feed(pd_put_task(buf, sizeof(buf), events, PERF_RECORD_EXIT, &t), buf);
}

static int comm_at(uint32_t pid, const char *name, bool exec, uint64_t time_ns)
{
	struct pd_comm c = {.pid = pid, .tid = pid, .exec = exec, .comm = name};
	__u64 buf[64];

	c.id = at(pid, time_ns);
	return feed(pd_put_comm(buf, sizeof(buf), events, &c), buf);
}

static int map_at(uint32_t pid, const char *name, uint64_t time_ns)
{
	struct pd_mmap m = {.pid = pid,
			    .tid = pid,
			    .start = 0x1000,
			    .bytes = 0x1000,
			    .prot = 5,
			    .filename = name};
	__u64 buf[64];

	m.id = at(pid, time_ns);
	return feed(pd_put_mmap2(buf, sizeof(buf), events, PERF_RECORD_MISC_USER, &m), buf);
}

static int exec_at(uint32_t pid, const char *name, uint64_t time_ns)
{
	int err = comm_at(pid, name, true, time_ns);

	return err ? err : map_at(pid, "/nonexistent/image", time_ns + 1);
}

/* One pass: sampled at time_ns (0: not), oldest possible sample, what was flushed. */
static int pass(uint32_t pid, uint64_t time_ns, uint64_t oldest_ns)
{
	int err = 0;

	if (time_ns)
		err = pa_proctab__sample(table, pid, time_ns);
	if (!err)
		err = pa_proctab__enrol(table, &out);
	pa_proctab__end_pass(table);
	pa_proctab__begin_pass(table, oldest_ns, oldest_ns / 2);
	return err;
}

/* How many records of a type are in out; *max_ns: the latest time among all records. */
static unsigned count(uint32_t type, uint64_t *max_ns)
{
	unsigned cnt = 0;

	*max_ns = 0;
	for (size_t i = 0; i < out.len;) {
		const struct perf_event_header *hdr = (const void *)(out.data + i);
		struct pd_sample_id id;

		if (pd_sample_id__parse(events, hdr, &id))
			return 999;
		if (id.time > *max_ns)
			*max_ns = id.time;
		cnt += hdr->type == type;
		i += hdr->size;
	}
	return cnt;
}

TEST(nothing_before_the_first_sample)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(exec_at(PID, "one", 1200), 0);
	CHECK_EQ(pass(0, 0, 2000), 0);
	CHECK_EQ(out.len, 0);
	/* many passes later: what is older than any sample comes with a time just before it */
	CHECK_EQ(pass(0, 0, 9000), 0);
	CHECK_EQ(pass(PID, 9500, 10000), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK_EQ(count(PERF_RECORD_MMAP2, &max_ns), 1);
	CHECK(max_ns < 9500 && max_ns > 4500);
	tear_down();
}

TEST(exec_in_the_same_pass_keeps_its_time)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(exec_at(PID, "one", 1200), 0);
	CHECK_EQ(pass(PID, 1300, 2000), 0);
	CHECK_EQ(count(PERF_RECORD_MMAP2, &max_ns), 1);
	CHECK_EQ(max_ns, 1201);
	tear_down();
}

TEST(records_of_an_enrolled_process_pass)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(exec_at(PID, "one", 1200), 0);
	CHECK_EQ(pass(PID, 1300, 2000), 0);
	out.len = 0;
	CHECK_EQ(comm_at(PID, "renamed", false, 2100), 0);
	CHECK_EQ(map_at(PID, "/nonexistent/library", 2200), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK_EQ(count(PERF_RECORD_MMAP2, &max_ns), 1);
	CHECK_EQ(exit_at(PID, 2300), 0);
	CHECK_EQ(count(PERF_RECORD_EXIT, &max_ns), 1);
	CHECK_EQ(pass(0, 0, 3000), 0);
	CHECK_EQ(pass(0, 0, 4000), 0);
	CHECK_EQ(ended_cnt, 1);
	tear_down();
}

TEST(fork_drained_after_the_childs_exec)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(exec_at(PID, "one", 1200), 0);
	CHECK_EQ(pass(0, 0, 1250), 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(pass(PID, 1300, 2000), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK_EQ(count(PERF_RECORD_MMAP2, &max_ns), 1);
	tear_down();
}

TEST(a_reused_pid_is_enrolled_again)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(exec_at(PID, "one", 1200), 0);
	CHECK_EQ(pass(PID, 1300, 1350), 0);
	out.len = 0;
	CHECK_EQ(exit_at(PID, 1400), 0);
	CHECK_EQ(fork_at(PID, PARENT, 1500), 0);
	CHECK_EQ(exec_at(PID, "two", 1600), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 0);
	/* a late sample of the first one does not bring the second in */
	CHECK_EQ(pa_proctab__sample(table, PID, 1390), 0);
	CHECK_EQ(pa_proctab__enrol(table, &out), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 0);
	CHECK_EQ(pass(PID, 1700, 2000), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK(max_ns < 1700);
	tear_down();
}

TEST(a_child_without_exec_inherits)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PARENT, 1, 1100), 0);
	CHECK_EQ(exec_at(PARENT, "parent", 1200), 0);
	CHECK_EQ(fork_at(PID, PARENT, 1250), 0);
	/* both are sampled in one pass, the child first */
	CHECK_EQ(pa_proctab__sample(table, PID, 1300), 0);
	CHECK_EQ(pass(PARENT, 1310, 2000), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK_EQ(count(PERF_RECORD_FORK, &max_ns), 1);
	CHECK(max_ns < 1300);
	tear_down();
}

TEST(an_old_exec_is_forgotten_with_its_maps)
{
	uint64_t max_ns;

	set_up();
	pa_proctab__begin_pass(table, 1000, 0);
	CHECK_EQ(fork_at(PID, PARENT, 1100), 0);
	CHECK_EQ(exec_at(PID, "shell", 1200), 0);
	CHECK_EQ(exec_at(PID, "program", 1300), 0);
	CHECK_EQ(pass(0, 0, 5000), 0);
	CHECK_EQ(map_at(PID, "/nonexistent/library", 5100), 0);
	CHECK_EQ(pass(PID, 5200, 6000), 0);
	CHECK_EQ(count(PERF_RECORD_COMM, &max_ns), 1);
	CHECK_EQ(count(PERF_RECORD_MMAP2, &max_ns), 2);
	CHECK(memmem(out.data, out.len, "program", sizeof("program")));
	CHECK(!memmem(out.data, out.len, "shell", sizeof("shell")));
	tear_down();
}

TEST(processes_that_were_never_sampled_are_forgotten)
{
	struct pa_proctab_stats stats;

	set_up();
	for (uint64_t i = 0, now = 1000; i < 1000; i++, now += 100) {
		pa_proctab__begin_pass(table, now, now / 2);
		CHECK_EQ(fork_at(PID, PARENT, now), 0);
		CHECK_EQ(exec_at(PID, "short", now + 10), 0);
		CHECK_EQ(exit_at(PID, now + 20), 0);
		pa_proctab__end_pass(table);
	}
	pa_proctab__begin_pass(table, 1000000, 0);
	pa_proctab__end_pass(table);
	pa_proctab__stats(table, &stats);
	CHECK_EQ(stats.process_cnt, 0);
	CHECK_EQ(out.len, 0);
	tear_down();
}

TEST_MAIN()
