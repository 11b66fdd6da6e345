// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_waits.c - samples of waits that meet their walks, and switches that become records.
 */
#include <linux/perf_event.h>
#include <math.h>

#include "capture/switchlog.h"
#include "capture/waits.h"
#include "check.h"

static struct pa_sample_record sample(uint32_t tid, uint64_t time, uint32_t res, uint64_t nr)
{
	struct pa_sample_record rec = {
		.type = PERF_RECORD_SAMPLE,
		.size = (uint16_t)(64 + 8 * nr),
		.id = 2,
		.pid = 7,
		.tid = tid,
		.time = time,
		.res = res,
		.period = 1000,
		.nr = nr,
	};

	for (uint64_t i = 0; i < nr; i++)
		rec.ips[i] = time * 100 + i;
	return rec;
}

static void add(struct pa_bytes *b, struct pa_sample_record rec)
{
	pa_bytes__append(b, &rec, rec.size);
}

static const struct pa_sample_record *at(const struct pa_bytes *b, size_t i)
{
	size_t offset = 0;

	while (i--)
		offset += ((const struct pa_sample_record *)(b->data + offset))->size;
	return (const void *)(b->data + offset);
}

static void walked(struct pa_waits *w, uint32_t tid, uint64_t time)
{
	struct pa_sample_record rec = sample(tid, time, 0, 4);

	CHECK_EQ(pa_waits__walked(w, &rec), 0);
}

TEST(each_gets_the_walk_of_its_begin)
{
	struct pa_bytes b = {0};
	struct pa_waits_stats st;
	struct pa_waits *w;

	CHECK_EQ(pa_waits__new(&w), 0);
	walked(w, 1, 30);
	walked(w, 1, 10);
	walked(w, 2, 20);
	/* rings are not in order: the later end comes first */
	add(&b, sample(1, 35, PA_OFF_AWAITS, 2));
	add(&b, sample(1, 15, PA_OFF_AWAITS, 2));
	add(&b, sample(1, 50, 0, 1));
	CHECK(pa_waits__is_awaited(&b));
	CHECK_EQ(pa_waits__complete(w, &b), 0);
	CHECK_EQ(at(&b, 0)->nr, 4);
	CHECK_EQ(at(&b, 0)->ips[0], 3000);
	CHECK_EQ(at(&b, 0)->time, 35);
	CHECK_EQ(at(&b, 1)->ips[0], 1000);
	CHECK_EQ(at(&b, 1)->time, 15);
	CHECK_EQ(at(&b, 2)->nr, 1);
	CHECK(!pa_waits__is_awaited(&b));
	/* that of thread 2 still waits, in a later pass */
	b.len = 0;
	add(&b, sample(2, 90, PA_OFF_AWAITS, 2));
	add(&b, sample(3, 91, PA_OFF_AWAITS, 2));
	CHECK_EQ(pa_waits__complete(w, &b), 0);
	CHECK_EQ(at(&b, 0)->ips[0], 2000);
	CHECK_EQ(at(&b, 1)->nr, 2);
	CHECK_EQ(at(&b, 1)->res, 0);
	pa_waits__stats(w, &st);
	CHECK_EQ(st.sample_cnt, 5);
	CHECK_EQ(st.unwalked_cnt, 1);
	pa_waits__free(w);
	pa_bytes__free(&b);
}

/* Walks whose samples never come: those that were too short to count. */
TEST(walks_do_not_pile_up)
{
	struct pa_bytes b = {0};
	struct pa_waits_stats st;
	struct pa_waits *w;

	CHECK_EQ(pa_waits__new(&w), 0);
	for (uint64_t pass = 1; pass < 50; pass++) {
		for (uint64_t i = 0; i < 10; i++)
			walked(w, 1, pass * 100 + i);
		b.len = 0;
		CHECK_EQ(pa_waits__complete(w, &b), 0);
	}
	/* by now there is nothing from so long ago */
	add(&b, sample(1, 4750, PA_OFF_AWAITS, 1));
	CHECK_EQ(pa_waits__complete(w, &b), 0);
	pa_waits__stats(w, &st);
	CHECK_EQ(st.unwalked_cnt, 1);
	pa_waits__free(w);
	pa_bytes__free(&b);
}

/* Of threads that end: nothing of theirs follows. */
TEST(walks_go_with_their_threads)
{
	struct pa_bytes b = {0};
	struct pa_waits_stats st;
	struct pa_waits *w;

	CHECK_EQ(pa_waits__new(&w), 0);
	for (uint32_t tid = 1; tid <= 100; tid++) {
		walked(w, tid, tid * 10);
		pa_waits__exited(w, tid, tid * 10 + 5);
		b.len = 0;
		if (tid == 50) /* its sample is late */
			add(&b, sample(49, 49 * 10 + 3, PA_OFF_AWAITS, 1));
		CHECK_EQ(pa_waits__complete(w, &b), 0);
	}
	/* who has a number again is another */
	walked(w, 100, 2000);
	for (int i = 0; i < 3; i++) {
		b.len = 0;
		CHECK_EQ(pa_waits__complete(w, &b), 0);
	}
	pa_waits__stats(w, &st);
	CHECK_EQ(st.thread_cnt, 1);
	CHECK_EQ(st.unwalked_cnt, 0);
	add(&b, sample(100, 2500, PA_OFF_AWAITS, 1));
	CHECK_EQ(pa_waits__complete(w, &b), 0);
	CHECK_EQ(at(&b, 0)->nr, 4);
	pa_waits__free(w);
	pa_bytes__free(&b);
}

TEST(variance)
{
	struct pa_bytes b = {0};
	struct pa_waits_stats st;
	struct pa_waits *w;

	CHECK_EQ(pa_waits__new(&w), 0);
	add(&b, sample(1, 1, PA_OFF_SURE / 4, 1));
	add(&b, sample(1, 2, 0, 1)); /* sure */
	CHECK_EQ(pa_waits__complete(w, &b), 0);
	pa_waits__stats(w, &st);
	CHECK_EQ(st.period_sum_ns, 2000);
	CHECK(fabs(st.variance_ns2 - 750000) < 1e-6);
	pa_waits__free(w);
	pa_bytes__free(&b);
}

static void add_switch(struct pa_bytes *b, uint64_t time, bool leaves, bool comes)
{
	const struct pa_switch_record w = {
		.type = PA_RING_TYPE_SWITCH,
		.size = sizeof(w),
		.pid = 7,
		.tid = 1,
		.time = time,
		.next_pid = 7,
		.next_tid = 2,
		.leaves = leaves,
		.comes = comes,
		.raw = {.prev_pid = 1, .next_pid = 2},
	};

	pa_bytes__append(b, &w, sizeof(w));
}

TEST(switches)
{
	struct pa_switchlog l = {.id = 5};
	struct pa_bytes b = {0}, next = {0};
	const struct pa_sample_record *rec;

	add_switch(&b, 10, true, true);
	add(&b, sample(1, 10, 0, 3)); /* finished in user space: after its switch */
	add(&b, sample(1, 20, 0, 3)); /* its switch is still to come */
	CHECK_EQ(pa_switchlog__join(&l, &b, &next), 0);
	CHECK_EQ(at(&b, 0)->type, PERF_RECORD_SAMPLE);
	CHECK_EQ(at(&b, 0)->id, 5);
	CHECK_EQ(at(&b, 1)->type, PERF_RECORD_SWITCH);
	CHECK_EQ(at(&b, 1)->misc, PERF_RECORD_MISC_SWITCH_OUT);
	CHECK_EQ(at(&b, 2)->misc, 0);
	CHECK_EQ(b.len, 64 + 24 + 40 + 40);
	CHECK_EQ(next.len, 64 + 24);
	/* it came; the other sample never gets its own */
	add(&next, sample(1, 30, 0, 3));
	add_switch(&next, 20, true, false);
	b.len = 0;
	CHECK_EQ(pa_switchlog__join(&l, &next, &b), 0);
	CHECK_EQ(next.len, 64 + 24 + 40);
	CHECK_EQ(pa_switchlog__join(&l, &b, &next), 0);
	CHECK_EQ(b.len, 0);
	CHECK_EQ(l.sample_cnt, 2);
	CHECK_EQ(l.lost_cnt, 0); /* the ring counted it */
	/* a switch whose sample never came */
	b.len = 0;
	add_switch(&b, 35, true, false);
	CHECK_EQ(pa_switchlog__join(&l, &b, &next), 0);
	CHECK_EQ(l.lost_cnt, 1);
	/* as a tracepoint: with raw data, and one of no interest too */
	l.tracepoint = true;
	b.len = next.len = 0;
	add(&b, sample(1, 40, 0, 1));
	add_switch(&b, 40, true, false);
	add_switch(&b, 50, false, true);
	CHECK_EQ(pa_switchlog__join(&l, &b, &next), 0);
	rec = at(&b, 0);
	CHECK_EQ(rec->size, 64 + 8 + 72);
	CHECK_EQ((uint32_t)rec->ips[1], 68);
	CHECK_EQ(at(&b, 1)->nr, 0);
	CHECK_EQ(at(&b, 1)->size, 64 + 72);
	pa_switchlog__clear(&l);
	pa_bytes__free(&b);
	pa_bytes__free(&next);
}

TEST_MAIN()
