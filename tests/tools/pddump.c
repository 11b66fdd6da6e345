/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pddump.c - what the reader makes of a perf.data, for tests to compare: `pddump FILE...` prints
 * how many records of each type it returned and what was in them, one "key value" a line, and of
 * several files each one's name before. `pddump --records FILE` prints each record instead.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perfdata/perfdata.h"

enum { TYPE_CNT = 256, EVENT_CNT = 64 };

struct counts {
	unsigned long long records, of_type[TYPE_CNT], malformed, unknown_event;
	unsigned long long samples[EVENT_CNT]; /* of the first events */
	unsigned long long frames, branches, period_sum, ip_sum, hash, bytes;
};

/* FNV-1a over the parsed fields, and over all bytes of records, so that two files can be seen to
 * hold the same. */
static unsigned long long fnv(unsigned long long hash, const void *data, size_t bytes)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	return hash;
}

static void mix(struct counts *c, const void *data, size_t bytes)
{
	c->hash = fnv(c->hash, data, bytes);
}

static void mix64(struct counts *c, unsigned long long v)
{
	mix(c, &v, sizeof(v));
}

static int take_sample(struct counts *c, const struct pd_events *t,
		       const struct perf_event_header *hdr)
{
	struct pd_sample s;
	int err = pd_sample__parse(t, hdr, &s);

	if (err)
		return err;
	c->frames += s.ip_cnt;
	c->branches += s.branch_cnt;
	c->period_sum += s.period;
	c->ip_sum += s.ip;
	if (s.id.event < EVENT_CNT)
		c->samples[s.id.event]++;
	mix64(c, s.ip);
	mix64(c, (unsigned long long)s.id.pid << 32 | s.id.tid);
	mix64(c, s.id.time);
	mix64(c, s.id.cpu);
	mix64(c, s.addr);
	mix64(c, s.period);
	mix64(c, s.weight);
	mix64(c, s.cgroup);
	mix64(c, s.phys_addr);
	mix(c, s.ips, 8 * s.ip_cnt);
	mix(c, s.raw, s.raw_bytes);
	mix(c, s.branches, sizeof(*s.branches) * s.branch_cnt);
	mix(c, s.user_regs, 8 * s.user_reg_cnt);
	mix(c, s.user_stack, (size_t)s.user_stack_bytes);
	mix(c, s.read_values, 8 * s.read_cnt);
	mix(c, s.aux, (size_t)s.aux_bytes);
	return 0;
}

static int take_map(struct counts *c, const struct pd_events *t,
		    const struct perf_event_header *hdr)
{
	struct pd_mmap m;
	int err = pd_mmap__parse(t, hdr, &m);

	if (err)
		return err;
	mix64(c, (unsigned long long)m.pid << 32 | m.tid);
	mix64(c, m.start);
	mix64(c, m.bytes);
	mix64(c, m.pgoff);
	mix64(c, m.prot);
	mix64(c, m.ino);
	mix(c, m.build_id, sizeof(m.build_id));
	mix(c, m.filename, strlen(m.filename));
	return 0;
}

static int take_other(struct counts *c, const struct pd_events *t,
		      const struct perf_event_header *hdr)
{
	struct pd_sample_id id;
	struct pd_comm comm;
	struct pd_task task;
	struct pd_lost lost;
	int err;

	switch (hdr->type) {
	case PERF_RECORD_COMM:
		err = pd_comm__parse(t, hdr, &comm);
		if (!err)
			mix(c, comm.comm, strlen(comm.comm));
		return err;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		err = pd_task__parse(t, hdr, &task);
		mix64(c, (unsigned long long)task.pid << 32 | task.ptid);
		mix64(c, task.time);
		return err;
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		err = pd_lost__parse(t, hdr, &lost);
		mix64(c, lost.lost_cnt);
		return err;
	default:
		err = pd_sample_id__parse(t, hdr, &id);
		mix64(c, id.time);
		return err;
	}
}

static int take(struct counts *c, const struct pd_events *t, const struct perf_event_header *hdr)
{
	int err;

	c->records++;
	c->of_type[hdr->type < TYPE_CNT ? hdr->type : TYPE_CNT - 1]++;
	mix64(c, hdr->type);
	c->bytes = fnv(c->bytes, hdr, hdr->size);
	if (hdr->type == PERF_RECORD_SAMPLE)
		err = take_sample(c, t, hdr);
	else if (hdr->type == PERF_RECORD_MMAP || hdr->type == PERF_RECORD_MMAP2)
		err = take_map(c, t, hdr);
	else
		err = take_other(c, t, hdr);
	c->malformed += err == -EBADMSG;
	c->unknown_event += err == -ENOENT;
	return err;
}

static void print_record(const struct perf_event_header *hdr, unsigned long long offset, int err,
			 unsigned long long bytes)
{
	char name[24];

	printf("%llu %s %u %016llx%s\n", offset, pd_record_name(hdr->type, name), hdr->size, bytes,
	       err == -EBADMSG ? " malformed"
	       : err	       ? " unknown-event"
			       : "");
}

static int print_build_id(void *ctx, const struct pd_build_id *id)
{
	(void)ctx;
	fputs("build-id ", stdout);
	for (size_t i = 0; i < id->bytes; i++)
		printf("%02x", id->id[i]);
	printf(" %s\n", id->filename);
	return 0;
}

static void print(struct pd_reader *r, const struct counts *c, int end)
{
	struct pd_events *t = pd_reader__events(r);
	char name[24];

	for (size_t i = 0; i < pd_events__cnt(t); i++)
		printf("event %s ids=%zu samples=%llu\n", pd_events__get(t, i)->name,
		       pd_events__get(t, i)->id_cnt, i < EVENT_CNT ? c->samples[i] : 0);
	for (unsigned int i = 0; i < TYPE_CNT; i++) {
		if (c->of_type[i])
			printf("%s %llu\n", pd_record_name(i, name), c->of_type[i]);
	}
	printf("records %llu\nmalformed %llu\nunknown-event %llu\nframes %llu\nbranches %llu\n"
	       "period %llu\nips %llu\nhash %016llx\nbytes %016llx\n",
	       c->records, c->malformed, c->unknown_event, c->frames, c->branches, c->period_sum,
	       c->ip_sum, c->hash, c->bytes);
	pd_reader__build_ids(r, print_build_id, NULL);
	if (pd_reader__kcore_dir(r))
		printf("kcore %s\n", pd_reader__kcore_dir(r));
	printf("layout %s%s\n", pd_reader__is_pipe(r) ? "pipe" : "file",
	       pd_reader__is_unfinished(r) ? " unfinished" : "");
	printf("end %d\n", end);
}

static int dump(const char *path, bool records)
{
	const struct perf_event_header *hdr;
	struct counts c = {.hash = 0xcbf29ce484222325ULL};
	struct pd_reader *r = NULL;
	__u64 offset;
	int err = pd_reader__open(path, &r);

	while (!err && (err = pd_reader__next(r, &hdr, &offset)) > 0) {
		err = take(&c, pd_reader__events(r), hdr);
		if (records)
			print_record(hdr, offset, err, fnv(0, hdr, hdr->size));
		err = 0;
	}
	if (r && !records)
		print(r, &c, err);
	if (err)
		printf("error %s\n", r ? pd_reader__errmsg(r) : strerror(-err));
	pd_reader__close(r);
	return err;
}

int main(int argc, char **argv)
{
	bool records = argc > 1 && !strcmp(argv[1], "--records");
	int failed = 0;

	for (int i = 1 + records; i < argc; i++) {
		if (argc - records > 2)
			printf("file %s\n", argv[i]);
		failed |= dump(argv[i], records) < 0;
	}
	return failed;
}
