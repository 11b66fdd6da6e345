// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_procs.c - processes that have ended, in a capture without end.
 */
#include "check.h"
#include "convert/procs.h"

enum { SHELL = 10, LEADERLESS = 11, ORPHAN = 12, LATE = 13, FIRST = 100, LIVES = 5000 };

static bool is_there(uint32_t pid)
{
	return pid == LEADERLESS || pid == ORPHAN;
}

static bool is_none_there(uint32_t pid)
{
	(void)pid;
	return false;
}

static void begin(struct pa_procs *p, uint32_t pid, uint32_t ppid, uint64_t ns)
{
	CHECK_EQ(pa_procs__fork(p, pid, pid, ppid, ppid, true, ns), 0);
}

static void map(struct pa_procs *p, uint32_t pid, uint64_t start, uint32_t image, uint64_t ns)
{
	struct pa_piece piece = {
		.start = start, .end = start + 0x1000, .from_ns = ns, .image = image};

	CHECK_EQ(pa_procs__map(p, pa_procs__space(p, pid, ns), &piece), 0);
}

static uint32_t image_at(struct pa_procs *p, uint32_t pid, uint64_t addr, uint64_t ns)
{
	const struct pa_piece *piece = pa_procs__find(p, pa_procs__space(p, pid, ns), addr, ns);

	return piece ? piece->image : PA_NONE;
}

TEST(what_has_ended_is_dropped)
{
	struct pa_procs p;
	const char *thread;
	uint32_t gone;

	pa_procs__init(&p, 1);
	for (uint32_t i = 0; i < LIVES; i++) {
		uint64_t ns = 1000 + 10 * i;

		begin(&p, FIRST + i, SHELL, ns);
		CHECK_EQ(pa_procs__set_comm(&p, FIRST + i, FIRST + i, "life", true, ns + 1), 0);
		for (uint32_t k = 0; k < 8; k++)
			map(&p, FIRST + i, 0x1000 * (k + 1), k, ns + 2);
		CHECK_EQ(pa_procs__exit(&p, FIRST + i, FIRST + i, ns + 9), 0);
	}
	gone = pa_procs__space(&p, FIRST, 1005);
	/* the last one's child lives on with what it inherited */
	map(&p, FIRST + LIVES, 0x1000, 20, 60000);
	begin(&p, ORPHAN, FIRST + LIVES, 60001);
	CHECK_EQ(pa_procs__exit(&p, FIRST + LIVES, FIRST + LIVES, 60002), 0);
	/* and this one's threads */
	CHECK_EQ(pa_procs__set_comm(&p, LEADERLESS, LEADERLESS, "leader", false, 60000), 0);
	map(&p, LEADERLESS, 0x1000, 30, 60000);
	CHECK_EQ(pa_procs__exit(&p, LEADERLESS, LEADERLESS, 60002), 0);
	map(&p, LATE, 0x1000, 40, 60000);
	CHECK_EQ(pa_procs__exit(&p, LATE, LATE, 70000), 0);

	CHECK(pa_procs__is_due(&p));
	CHECK_EQ(pa_procs__drop_exited(&p, 70000, is_there), 0);
	CHECK(!pa_procs__is_due(&p));
	CHECK_EQ(pa_procs__drop_exited(&p, 70000, is_there), 0);
	CHECK(p.proc_cnt <= 4);
	CHECK(p.thread_cnt <= 4);
	CHECK_EQ(image_at(&p, ORPHAN, 0x1000, 70001), 20);
	CHECK_EQ(image_at(&p, LEADERLESS, 0x1000, 70001), 30);
	thread = pa_procs__comm(&p, LEADERLESS, 99, 70001);
	CHECK_STR(thread, "leader");
	CHECK_EQ(image_at(&p, LATE, 0x1000, 69999), 40);
	CHECK(!pa_procs__at(&p, gone));
	CHECK(!pa_procs__find(&p, gone, 0x1000, 1005));

	/* ids are given out again, and memory is */
	for (uint32_t i = 0; i < LIVES; i++) {
		begin(&p, FIRST + i, SHELL, 80000);
		map(&p, FIRST + i, 0x1000, 50, 80001);
		CHECK_EQ(image_at(&p, FIRST + i, 0x1000, 80002), 50);
		CHECK_EQ(image_at(&p, FIRST + i, 0x2000, 80002), PA_NONE);
	}
	pa_procs__free(&p);
}

/* The threads that outlived the first end: their last samples come after their id has gone. */
TEST(last_threads_keep_their_process_once)
{
	struct pa_procs p;

	pa_procs__init(&p, 1);
	map(&p, LEADERLESS, 0x1000, 30, 1000);
	CHECK_EQ(pa_procs__exit(&p, LEADERLESS, LEADERLESS, 2000), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pa_procs__drop_exited(&p, 70000, is_there), 0);
	CHECK_EQ(pa_procs__drop_exited(&p, 80000, is_none_there), 0);
	CHECK_EQ(image_at(&p, LEADERLESS, 0x1000, 80001), 30);
	CHECK_EQ(p.proc_cnt, 1);
	CHECK_EQ(pa_procs__drop_exited(&p, 90000, is_none_there), 0);
	CHECK_EQ(p.proc_cnt, 0);
	pa_procs__free(&p);
}

/* What is left of those that were dropped does not grow with their number. */
TEST(chunks_of_dropped_spaces_go)
{
	struct pa_procs p;
	size_t there = 0;

	pa_procs__init(&p, 1);
	for (uint32_t i = 0; i < 6 * LIVES; i++) {
		begin(&p, FIRST + i % LIVES, SHELL, 1000 + 10 * i);
		CHECK_EQ(pa_procs__exit(&p, FIRST + i % LIVES, FIRST + i % LIVES, 1005 + 10 * i),
			 0);
		if (i % LIVES == LIVES - 1)
			for (int k = 0; k < 2; k++)
				CHECK_EQ(pa_procs__drop_exited(&p, 1010 + 10 * i, is_none_there),
					 0);
	}
	CHECK(p.chunk_cnt > 6 * LIVES / PA_CHUNK_SPACES);
	for (size_t i = 0; i < p.chunk_cnt; i++)
		there += p.chunks[i] != NULL;
	CHECK(there <= 2); /* the first process lives on */
	pa_procs__free(&p);
}

/* An exec leaves nothing of what was mapped before it, but for those that inherited that. */
TEST(replaced_spaces_are_dropped)
{
	struct pa_procs p;
	size_t left = 0;

	pa_procs__init(&p, 1);
	for (uint32_t i = 1; i <= 100; i++) {
		CHECK_EQ(pa_procs__set_comm(&p, 10, 10, "again", true, 10 * i), 0);
		map(&p, 10, 0x1000, i, 10 * i + 1);
		if (i == 50)
			begin(&p, ORPHAN, 10, 505);
	}
	CHECK_EQ(pa_procs__drop_exited(&p, 2000, is_there), 0);
	for (size_t i = 0; i < p.space_cnt; i++)
		left += pa_procs__at(&p, (uint32_t)i) != NULL;
	CHECK_EQ(left, 3);
	CHECK_EQ(image_at(&p, 10, 0x1000, 2000), 100);
	CHECK_EQ(image_at(&p, ORPHAN, 0x1000, 2000), 50);
	pa_procs__free(&p);
}

TEST_MAIN()
