/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_perfdata_records.c - single records: every field that a sample can have, samples that are
 * too short, which event an id means, the builders, and files of the other byte order.
 */
#include <limits.h>

#include "check.h"
#include "perfdata_files.h"

/* Fields between PERIOD and the end, each with its words. */
static size_t full_sample(__u64 *words)
{
	/* clang-format off */
	const __u64 w[] = {
		41, 0x1111, 7 | 8ULL << 32, 99, 0xadd2, 41, 55, 3, 1000, /* ..., PERIOD */
		2, 10, 20, 100, 41, 9, 200, 42, 8,	/* READ: nr, times, {value, id, lost} */
		2, 0xa, 0xb,				/* CALLCHAIN */
		12 | 0x64636261ULL << 32, 0x6c6b6a6968676665, /* RAW: 12 bytes */
		1, 0x77, 0xf0, 0x70, 1,			/* BRANCH_STACK: nr, hw_idx, entry */
		2, 11, 12, 13,				/* REGS_USER */
		16, 1, 2, 8,				/* STACK_USER: size, data, dynamic size */
		0x0003000200000009,			/* WEIGHT_STRUCT */
		0xd5, 0x7a,				/* DATA_SRC, TRANSACTION */
		2, 21,					/* REGS_INTR */
		0x9a, 0xc6, 4096, 4097,			/* PHYS_ADDR, CGROUP, page sizes */
		8, 0xaa,				/* AUX */
	};
	/* clang-format on */

	memcpy(words, w, sizeof(w));
	return sizeof(w) / sizeof(w[0]);
}

static struct perf_event_attr full_attr(void)
{
	struct perf_event_attr attr = our_attr();

	attr.size = sizeof(attr);
	attr.sample_type = (PERF_SAMPLE_MAX - 1) & ~(__u64)PERF_SAMPLE_WEIGHT;
	attr.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING |
			   PERF_FORMAT_ID | PERF_FORMAT_GROUP | PERF_FORMAT_LOST;
	attr.branch_sample_type = PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_HW_INDEX;
	attr.sample_regs_user = 7;
	attr.sample_regs_intr = 1;
	attr.sample_stack_user = 16;
	return attr;
}

static struct pd_events *events_of(const struct perf_event_attr *attr)
{
	const __u64 id = 41;
	struct pd_events *t = NULL;

	if (pd_events__new(&t) || pd_events__add(t, attr, &id, 1, NULL) < 0)
		abort();
	return t;
}

TEST(every_field)
{
	static __u64 record[128];
	struct perf_event_attr attr = full_attr();
	struct pd_events *t = events_of(&attr);
	struct pd_sample s;
	__u64 words[128];
	size_t cnt = full_sample(words);

	put_words(record, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER, words, cnt);
	CHECK_EQ(pd_sample__parse(t, (void *)record, &s), 0);
	CHECK_EQ(s.ip, 0x1111);
	CHECK_EQ(s.addr, 0xadd2);
	CHECK_EQ(s.id.stream_id, 55);
	CHECK_EQ(s.period, 1000);
	CHECK_EQ(s.read_cnt, 9);
	CHECK_EQ(s.read_values[8], 8);
	CHECK_EQ(s.ip_cnt, 2);
	CHECK_EQ(s.ips[1], 0xb);
	CHECK_EQ(s.raw_bytes, 12);
	CHECK(!memcmp(s.raw, "abcdefghijkl", 12));
	CHECK_EQ(s.branch_cnt, 1);
	CHECK_EQ(s.branches[0].from, 0xf0);
	CHECK_EQ(s.branches[0].mispred, 1);
	CHECK_EQ(s.user_abi, 2);
	CHECK_EQ(s.user_reg_cnt, 3);
	CHECK_EQ(s.user_regs[2], 13);
	CHECK_EQ(s.user_stack_bytes, 8);
	CHECK_EQ(((const __u64 *)s.user_stack)[0], 1);
	CHECK_EQ(s.weight, 9);
	CHECK_EQ(s.phys_addr, 0x9a);
	CHECK_EQ(s.cgroup, 0xc6);
	pd_events__free(t);
}

/* Each prefix of a sample is too short, in a buffer that ends where the record does. */
TEST(short_samples)
{
	struct perf_event_attr attrs[] = {full_attr(), our_attr()};

	for (size_t a = 0; a < 2; a++) {
		struct pd_events *t = events_of(&attrs[a]);
		char ours[256];
		__u64 words[128];
		size_t cnt = full_sample(words);

		if (a == 1) {
			cnt = ((size_t)our_sample(ours, 1) - 8) / 8;
			memcpy(words, ours + 8, 8 * cnt);
		}
		for (size_t n = 0; n < cnt; n++) {
			void *record = malloc(8 + 8 * n);
			struct pd_sample s;

			put_words(record, PERF_RECORD_SAMPLE, 0, words, n);
			CHECK_EQ(pd_sample__parse(t, record, &s), -EBADMSG);
			free(record);
		}
		pd_events__free(t);
	}
}

TEST(huge_lengths)
{
	struct perf_event_attr attr = full_attr();
	struct pd_events *t = events_of(&attr);
	__u64 words[128], record[129];
	size_t cnt = full_sample(words);

	/* Whatever word is a length, none may be believed. */
	for (size_t i = 0; i < cnt; i++) {
		const __u64 evil[] = {~0ULL, 1ULL << 63, 1ULL << 61, (1ULL << 61) + 1, 0xffffffff};

		for (size_t e = 0; e < sizeof(evil) / sizeof(evil[0]); e++) {
			__u64 saved = words[i];
			struct pd_sample s;
			int rc;

			words[i] = evil[e];
			put_words(record, PERF_RECORD_SAMPLE, 0, words, cnt);
			words[i] = saved;
			rc = pd_sample__parse(t, (void *)record, &s);
			CHECK(rc == 0 || rc == -EBADMSG);
			CHECK(s.ip_cnt < cnt && s.branch_cnt < cnt && s.read_cnt < cnt);
		}
	}
	pd_events__free(t);
}

TEST(no_period)
{
	struct perf_event_attr attr = our_attr();
	const __u64 ip = 0x1234;
	struct pd_events *t;
	struct pd_sample s;
	__u64 record[2];

	attr.sample_type = PERF_SAMPLE_IP;
	attr.freq = 0;
	attr.sample_period = 1000;
	t = events_of(&attr);
	put_words(record, PERF_RECORD_SAMPLE, 0, &ip, 1);
	CHECK_EQ(pd_sample__parse(t, (void *)record, &s), 0);
	CHECK_EQ(s.period, 1000);
	pd_events__free(t);
}

/* ---- events -------------------------------------------------------------------------- */

TEST(several_events)
{
	struct perf_event_attr attr = our_attr();
	struct pd_events *t = NULL;
	__u64 ids[300], record[32];
	struct pd_sample s;

	CHECK_EQ(pd_events__new(&t), 0);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 300; j++)
			ids[j] = (__u64)(1 + i * 300 + j);
		CHECK_EQ(pd_events__add(t, &attr, ids, 300, NULL), i);
		attr.config++;
	}
	CHECK_STR(pd_events__get(t, 1)->name, "task-clock");
	CHECK(!pd_events__get(t, 3));
	our_sample(record, 1);
	for (int i = 0; i < 900; i++) {
		record[1] = (__u64)i + 1;
		CHECK_EQ(pd_sample__parse(t, (void *)record, &s), 0);
		CHECK_EQ(s.id.event, i / 300);
	}
	record[1] = 0;
	CHECK_EQ(pd_sample__parse(t, (void *)record, &s), 0);
	CHECK_EQ(s.id.event, 0);
	record[1] = 901;
	CHECK_EQ(pd_sample__parse(t, (void *)record, &s), -ENOENT);
	CHECK_EQ(s.id.event, -1);
	CHECK_EQ(pd_events__rename(t, 2, "other"), 0);
	CHECK_STR(pd_events__get(t, 2)->name, "other");
	CHECK_EQ(pd_events__rename(t, 3, "other"), -ENOENT);
	pd_events__free(t);
}

TEST(attrs_refused)
{
	struct perf_event_attr attr = our_attr(), other = our_attr();
	struct pd_events *t = events_of(&attr);

	/* The id must stand in the same place for all. */
	other.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_ID;
	CHECK_EQ(pd_events__add(t, &other, NULL, 0, NULL), -EINVAL);
	other.sample_type = PERF_SAMPLE_IP;
	CHECK_EQ(pd_events__add(t, &other, NULL, 0, NULL), -EINVAL);
	other.sample_type = attr.sample_type | PERF_SAMPLE_RAW;
	CHECK_EQ(pd_events__add(t, &other, NULL, 0, NULL), 1);
	other.size = 32;
	CHECK_EQ(pd_events__add(t, &other, NULL, 0, NULL), -EINVAL);
	other.size = 104;
	other.sample_max_stack = 1;
	CHECK_EQ(pd_events__add(t, &other, NULL, 0, NULL), -EINVAL);
	pd_events__free(t);
}

/* ---- builders and side-band ---------------------------------------------------------- */

TEST(builders)
{
	const struct pd_sample_id id = {.pid = 1, .tid = 2, .time = 3, .cpu = 4};
	const struct pd_task task = {.pid = 5, .ppid = 6, .tid = 7, .ptid = 8, .time = 9, .id = id};
	const struct pd_lost lost = {.id_value = 41, .lost_cnt = 77, .id = id};
	const struct pd_mmap map = {.pid = 1,
				    .tid = 2,
				    .start = 3,
				    .bytes = 4,
				    .pgoff = 5,
				    .prot = 1,
				    .maj = 6,
				    .min = 7,
				    .ino = 8,
				    .filename = "",
				    .id = id};
	struct pd_events *t = our_events();
	struct perf_event_header *hdr;
	__u64 buf[1024];
	struct pd_task task_out;
	struct pd_lost lost_out;
	struct pd_mmap map_out;

	hdr = (void *)buf;
	CHECK_EQ(pd_put_task(buf, sizeof(buf), t, PERF_RECORD_EXIT, &task), 64);
	CHECK_EQ(hdr->size, 64);
	CHECK_EQ(pd_task__parse(t, hdr, &task_out), 0);
	CHECK_EQ(task_out.ptid, 8);
	CHECK_EQ(task_out.id.cpu, 4);
	CHECK_EQ(pd_put_task(buf, sizeof(buf), t, PERF_RECORD_COMM, &task), -EINVAL);
	CHECK_EQ(pd_put_lost(buf, sizeof(buf), t, &lost), 56);
	CHECK_EQ(pd_lost__parse(t, hdr, &lost_out), 0);
	CHECK_EQ(lost_out.lost_cnt, 77);
	CHECK_EQ(lost_out.id_value, 41);
	CHECK_EQ(pd_put_lost_samples(buf, sizeof(buf), t, &lost), 48);
	CHECK_EQ(pd_lost__parse(t, hdr, &lost_out), 0);
	CHECK_EQ(lost_out.lost_cnt, 77);
	CHECK_EQ(lost_out.id.time, 3);
	CHECK_EQ(pd_put_finished_round(buf, sizeof(buf)), 8);
	CHECK_EQ(pd_put_finished_round(buf, 7), -EMSGSIZE);
	CHECK_EQ(pd_put_mmap2(buf, 111, t, PERF_RECORD_MISC_USER, &map), -EMSGSIZE);
	CHECK_EQ(pd_put_mmap2(buf, sizeof(buf), t, PERF_RECORD_MISC_USER, &map), 112);
	CHECK_EQ(pd_mmap__parse(t, hdr, &map_out), 0);
	CHECK_EQ(map_out.ino, 8);
	CHECK_STR(map_out.filename, "");
	CHECK_EQ(pd_comm__parse(t, hdr, &(struct pd_comm){0}), -EINVAL);
	pd_events__free(t);
}

TEST(long_names)
{
	char *name = malloc(10001);
	struct pd_mmap map = {.filename = name}, out;
	struct pd_events *t = our_events();
	__u64 buf[1024];

	CHECK(name);
	memset(name, 'x', 10000);
	name[10000] = '\0';
	CHECK_EQ(pd_put_mmap2(buf, sizeof(buf), t, PERF_RECORD_MISC_USER, &map), PATH_MAX);
	CHECK_EQ(pd_mmap__parse(t, (void *)buf, &out), 0);
	CHECK_EQ(strlen(out.filename), PATH_MAX - 72 - 32 - 1);
	free(name);
	pd_events__free(t);
}

TEST(damaged_sideband)
{
	const struct pd_sample_id id = {.pid = 1, .tid = 2};
	const struct pd_comm comm = {.comm = "1234567", .id = id};
	struct pd_events *t = our_events();
	struct perf_event_header *hdr;
	__u64 buf[64];
	struct pd_comm out;
	struct pd_sample_id trailer;

	hdr = (void *)buf;
	CHECK_EQ(pd_put_comm(buf, sizeof(buf), t, &comm), 56);
	((char *)buf)[23] = 'x'; /* the NUL: the name would run into the trailer */
	CHECK_EQ(pd_comm__parse(t, hdr, &out), -EBADMSG);
	for (__u16 size = 8; size < 48; size += 8) {
		hdr->size = size;
		CHECK_EQ(pd_comm__parse(t, hdr, &out), -EBADMSG);
	}
	hdr->size = 32;
	CHECK_EQ(pd_sample_id__parse(t, hdr, &trailer), -EBADMSG);
	hdr->size = 56;
	hdr->type = PERF_RECORD_MMAP2;
	CHECK_EQ(pd_mmap__parse(t, hdr, &(struct pd_mmap){0}), -EBADMSG);
	hdr->type = PERF_RECORD_FORK;
	hdr->size = 56;
	CHECK_EQ(pd_task__parse(t, hdr, &(struct pd_task){0}), -EBADMSG);
	hdr->type = PD_RECORD_THREAD_MAP; /* has no trailer */
	hdr->size = 8;
	CHECK_EQ(pd_sample_id__parse(t, hdr, &trailer), 0);
	pd_events__free(t);
}

TEST(record_names)
{
	char buf[24];

	CHECK_STR(pd_record_name(PERF_RECORD_SAMPLE, buf), "SAMPLE");
	CHECK_STR(pd_record_name(PERF_RECORD_AUX_OUTPUT_HW_ID, buf), "AUX_OUTPUT_HW_ID");
	CHECK_STR(pd_record_name(PD_RECORD_COMPRESSED2, buf), "COMPRESSED2");
	CHECK_STR(pd_record_name(0, buf), "record type 0");
	CHECK_STR(pd_record_name(4000000000u, buf), "record type 4000000000");
}

/* ---- the other byte order ------------------------------------------------------------ */

/** A file as the other kind of machine writes it. */
struct swapped {
	unsigned char bytes[2048];
	size_t cnt;
};

static void sw(struct swapped *f, __u64 v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		f->bytes[f->cnt++] = (unsigned char)(v >> 8 * (bytes - 1 - i));
}

static void sw_header(struct swapped *f, __u32 type, __u16 misc, __u16 size)
{
	sw(f, type, 4);
	sw(f, misc, 2);
	sw(f, size, 2);
}

static void sw_attr(struct swapped *f, __u64 sample_type)
{
	sw(f, PERF_TYPE_HARDWARE, 4);
	sw(f, 112, 4);
	sw(f, 0, 8);	/* config */
	sw(f, 4000, 8); /* sample_freq */
	sw(f, sample_type, 8);
	sw(f, 0, 8); /* read_format */
	/* Bits from the top: freq is the 11th, precise_ip (2) the 16th and 17th, sample_id_all
	 * the 19th. */
	sw(f, 1ULL << (63 - 10) | 2ULL << (63 - 16) | 1ULL << (63 - 18), 8);
	sw(f, 1, 4); /* wakeup_events */
	sw(f, 0, 4);
	sw(f, 0, 8);
	sw(f, 0, 8);
	sw(f, PERF_SAMPLE_BRANCH_ANY, 8);
	sw(f, 0, 8);
	sw(f, 16, 4); /* sample_stack_user */
	sw(f, 1, 4);  /* clockid */
	sw(f, 0, 8);
	sw(f, 0, 4);
	sw(f, 77, 2); /* sample_max_stack */
	sw(f, 0, 2);
}

static void sw_sample(struct swapped *f)
{
	sw_header(f, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER, 8 + 20 * 8);
	sw(f, 0x401000, 8);
	sw(f, 42, 4);
	sw(f, 43, 4);
	sw(f, 1234567, 8);
	sw(f, 5, 4);
	sw(f, 0, 4);
	sw(f, 2, 8); /* CALLCHAIN */
	sw(f, PERF_CONTEXT_USER, 8);
	sw(f, 0x401000, 8);
	sw(f, 20, 4); /* RAW */
	memcpy(f->bytes + f->cnt, "abcdefghijklmnopqrst", 20);
	f->cnt += 20;
	sw(f, 1, 8); /* BRANCH_STACK: predicted, 300 cycles */
	sw(f, 0xf0, 8);
	sw(f, 0x70, 8);
	sw(f, 1ULL << 62 | 300ULL << 44, 8);
	sw(f, 16, 8); /* STACK_USER */
	memcpy(f->bytes + f->cnt, "0123456789abcdef", 16);
	f->cnt += 16;
	sw(f, 12, 8);
	sw(f, 99, 8); /* CGROUP */
	sw(f, 0, 8);  /* more than is asked for */
}

static void sw_file(struct swapped *f)
{
	const __u64 type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |
			   PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW | PERF_SAMPLE_BRANCH_STACK |
			   PERF_SAMPLE_STACK_USER | PERF_SAMPLE_CGROUP;
	const size_t comm_bytes = 8 + 8 + 8 + 24;

	f->cnt = 0;
	sw(f, PD_MAGIC, 8);
	sw(f, 104, 8);
	sw(f, 128, 8);
	sw(f, 104, 8); /* attrs */
	sw(f, 128, 8);
	sw(f, 232, 8); /* data */
	sw(f, comm_bytes + 168, 8);
	sw(f, 0, 8);
	sw(f, 0, 8);
	sw(f, 1 << PD_FEAT_HOSTNAME, 8);
	sw(f, 0, 8);
	sw(f, 0, 8);
	sw(f, 0, 8);
	sw_attr(f, type);
	sw(f, 0, 8);
	sw(f, 0, 8);
	sw_header(f, PERF_RECORD_COMM, 0, (__u16)comm_bytes);
	sw(f, 42, 4);
	sw(f, 43, 4);
	memcpy(f->bytes + f->cnt, "swapped", 8);
	f->cnt += 8;
	sw(f, 42, 4);
	sw(f, 43, 4);
	sw(f, 1000, 8);
	sw(f, 5, 4);
	sw(f, 0, 4);
	sw_sample(f);
	sw(f, f->cnt + 16, 8); /* features */
	sw(f, 8, 8);
	sw(f, 4, 4);
	sw(f, 0x62696700, 4);
}

TEST(other_byte_order)
{
	const struct perf_event_header *hdr;
	const struct perf_event_attr *attr;
	struct pd_reader *r = NULL;
	struct pd_sample s;
	struct swapped f;
	struct pd_comm c;
	char *path;

	sw_file(&f);
	path = temp_file(f.bytes, f.cnt);
	CHECK_EQ(pd_reader__open(path, &r), 0);
	CHECK_STR(pd_reader__feature_string(r, PD_FEAT_HOSTNAME), "big");
	attr = &pd_events__get(pd_reader__events(r), 0)->attr;
	CHECK_EQ(attr->sample_freq, 4000);
	CHECK(attr->freq && attr->sample_id_all && !attr->mmap && !attr->inherit);
	CHECK_EQ(attr->precise_ip, 2);
	CHECK_EQ(attr->sample_stack_user, 16);
	CHECK_EQ(attr->clockid, 1);
	CHECK_EQ(attr->sample_max_stack, 77);
	CHECK_EQ(pd_reader__next(r, &hdr, NULL), 1);
	CHECK_EQ(pd_comm__parse(pd_reader__events(r), hdr, &c), 0);
	CHECK_STR(c.comm, "swapped");
	CHECK_EQ(c.tid, 43);
	CHECK_EQ(c.id.tid, 43);
	CHECK_EQ(c.id.time, 1000);
	CHECK_EQ(c.id.cpu, 5);
	CHECK_EQ(pd_reader__next(r, &hdr, NULL), 1);
	CHECK_EQ(pd_sample__parse(pd_reader__events(r), hdr, &s), 0);
	CHECK_EQ(s.ip, 0x401000);
	CHECK_EQ(s.id.pid, 42);
	CHECK_EQ(s.id.tid, 43);
	CHECK_EQ(s.id.cpu, 5);
	CHECK_EQ(s.ips[1], 0x401000);
	CHECK_EQ(s.raw_bytes, 20);
	CHECK(!memcmp(s.raw, "abcdefghijklmnopqrst", 20));
	CHECK_EQ(s.branches[0].to, 0x70);
	CHECK(s.branches[0].predicted && !s.branches[0].mispred);
	CHECK_EQ(s.branches[0].cycles, 300);
	CHECK(!memcmp(s.user_stack, "0123456789abcdef", 16));
	CHECK_EQ(s.user_stack_bytes, 12);
	CHECK_EQ(s.cgroup, 99);
	CHECK_EQ(pd_reader__next(r, &hdr, NULL), 0);
	pd_reader__close(r);
	unlink(path);
	free(path);
}

/* Any byte wrong, in either byte order: an error or other values, but nothing worse. */
TEST(swapped_damage)
{
	struct swapped good, bad;
	struct outcome o;

	sw_file(&good);
	for (size_t i = 8; i < good.cnt; i++) {
		bad = good;
		bad.bytes[i] ^= 0xff;
		read_bytes(bad.bytes, bad.cnt, &o);
		CHECK(o.record_cnt <= 64);
	}
}

TEST_MAIN()
