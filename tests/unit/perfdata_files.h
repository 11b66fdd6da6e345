/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * perfdata_files.h - small perf.data files for the tests of perfdata: events, samples, and a
 * whole file in memory that a test may then damage.
 */
#ifndef PERFDATA_FILES_H
#define PERFDATA_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perfdata/perfdata.h"

#define OUR_SAMPLE_TYPE                                                                            \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN)

static inline struct perf_event_attr our_attr(void)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = PD_ATTR_BYTES,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = 99,
		.freq = 1,
		.sample_type = OUR_SAMPLE_TYPE,
		.sample_id_all = 1,
		.exclude_guest = 1,
		.use_clockid = 1,
		.clockid = 1,
	};
}

static inline struct pd_events *our_events(void)
{
	const struct perf_event_attr attr = our_attr();
	const __u64 ids[] = {41, 42};
	struct pd_events *t = NULL;

	if (pd_events__new(&t) || pd_events__add(t, &attr, ids, 2, "cpu-clock"))
		abort();
	return t;
}

/* A sample of our_events: two kernel and two user frames. @return its size */
static inline int our_sample(void *buf, __u64 time)
{
	const __u64 words[] = {
		41,
		0xffffffff81000010,
		4242 | 4243ULL << 32,
		time,
		3,
		10101010,
		6,
		PERF_CONTEXT_KERNEL,
		0xffffffff81000010,
		0xffffffff81000020,
		PERF_CONTEXT_USER,
		0x401234,
		0x405678,
	};
	const struct perf_event_header hdr = {
		.type = PERF_RECORD_SAMPLE,
		.misc = PERF_RECORD_MISC_KERNEL,
		.size = sizeof(hdr) + sizeof(words),
	};

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy((char *)buf + sizeof(hdr), words, sizeof(words));
	return hdr.size;
}

/* A record of any type around words. @return its size */
static inline int put_words(void *buf, __u32 type, __u16 misc, const __u64 *words, size_t cnt)
{
	const struct perf_event_header hdr = {
		.type = type, .misc = misc, .size = (__u16)(sizeof(hdr) + 8 * cnt)};

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy((char *)buf + sizeof(hdr), words, 8 * cnt);
	return hdr.size;
}

/* Records of a short capture: COMM, MMAP2, samples. @return their size */
static inline size_t our_records(char *buf, size_t cap_bytes, const struct pd_events *t,
				 size_t sample_cnt)
{
	const struct pd_sample_id id = {.pid = 4242, .tid = 4242, .time = 999};
	const struct pd_comm comm = {.pid = 4242, .tid = 4242, .comm = "worker", .id = id};
	const struct pd_mmap map = {.pid = 4242,
				    .tid = 4242,
				    .start = 0x400000,
				    .bytes = 0x10000,
				    .prot = 5,
				    .flags = MAP_PRIVATE,
				    .build_id = {1, 2, 3},
				    .build_id_bytes = 20,
				    .filename = "/usr/bin/worker",
				    .id = id};
	size_t at = 0;
	int n = pd_put_comm(buf, cap_bytes, t, &comm);

	at += n > 0 ? (size_t)n : 0;
	n = pd_put_mmap2(buf + at, cap_bytes - at, t, PERF_RECORD_MISC_USER, &map);
	at += n > 0 ? (size_t)n : 0;
	for (size_t i = 0; i < sample_cnt; i++)
		at += (size_t)our_sample(buf + at, 1000 + i);
	return at;
}

/* A temporary file with these bytes; unlink and free the name. */
static inline char *temp_file(const void *data, size_t bytes)
{
	char *path = strdup("/tmp/perfdata-test-XXXXXX");
	int fd = path ? mkstemp(path) : -1;

	if (fd < 0 || (bytes && write(fd, data, bytes) != (ssize_t)bytes))
		abort();
	close(fd);
	return path;
}

static inline char *slurp_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st))
		abort();
	p = malloc((size_t)st.st_size + 8);
	if (!p || read(fd, p, (size_t)st.st_size) != st.st_size)
		abort();
	close(fd);
	*bytes = (size_t)st.st_size;
	return p;
}

/* Write our events, records, some features and tags to path. @return of finish */
static inline int write_ours(const char *path, bool pipe, size_t sample_cnt)
{
	const struct pd_writer_opts opts = {.sz = sizeof(opts), .pipe = pipe};
	const struct pd_build_id id = {.pid = -1,
				       .cpumode = PERF_RECORD_MISC_USER,
				       .bytes = 20,
				       .id = {1, 2, 3},
				       .filename = "/usr/bin/worker"};
	const char *const argv[] = {"perf-agent", "--tag", "a=b"};
	static __u64 records[1 << 16];
	struct pd_events *t = our_events();
	struct pd_writer *w = NULL;
	size_t bytes = our_records((char *)records, sizeof(records), t, sample_cnt);
	void *data = NULL;
	int err = pd_writer__open(path, t, &opts, &w);

	if (err)
		goto out;
	pd_feat_string("host", &data, &bytes);
	pd_writer__feature(w, PD_FEAT_HOSTNAME, data, bytes);
	free(data);
	pd_feat_string("6.1.0", &data, &bytes);
	pd_writer__feature(w, PD_FEAT_OSRELEASE, data, bytes);
	pd_writer__feature(w, PD_FEAT_VERSION, data, bytes);
	free(data);
	pd_feat_string("x86_64", &data, &bytes);
	pd_writer__feature(w, PD_FEAT_ARCH, data, bytes);
	free(data);
	pd_feat_nrcpus(8, 4, &data, &bytes);
	pd_writer__feature(w, PD_FEAT_NRCPUS, data, bytes);
	free(data);
	pd_feat_cmdline(3, argv, &data, &bytes);
	pd_writer__feature(w, PD_FEAT_CMDLINE, data, bytes);
	free(data);
	pd_feat_event_desc(t, &data, &bytes);
	pd_writer__feature(w, PD_FEAT_EVENT_DESC, data, bytes);
	free(data);
	pd_feat_build_ids(&id, 1, &data, &bytes);
	pd_writer__feature(w, PD_FEAT_BUILD_ID, data, bytes);
	free(data);
	pd_feat_clock_data(1, 1700000000000000000, 1000, &data, &bytes);
	pd_writer__feature(w, PD_FEAT_CLOCK_DATA, data, bytes);
	free(data);
	pd_writer__blob(w, PD_BLOB_TAGS, 1, "a=b", 4);
	bytes = our_records((char *)records, sizeof(records), t, sample_cnt);
	err = pd_writer__append(w, records, bytes);
	if (!err)
		err = pd_writer__checkpoint(w);
	if (!err)
		err = pd_writer__finish(w);
out:
	pd_writer__close(w);
	pd_events__free(t);
	return err;
}

/** What a reader said of a file. */
struct outcome {
	int open_err, next_rc;
	size_t record_cnt, sample_cnt, comm_cnt;
	bool unfinished, pipe;
	char errmsg[256];
};

static inline void read_path(const char *path, struct outcome *out)
{
	const struct perf_event_header *hdr;
	struct pd_reader *r = NULL;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	out->open_err = pd_reader__open(path, &r);
	while (!out->open_err && (rc = pd_reader__next(r, &hdr, NULL)) > 0) {
		struct pd_sample s;
		struct pd_comm c;

		out->record_cnt++;
		if (hdr->type == PERF_RECORD_SAMPLE)
			out->sample_cnt += !pd_sample__parse(pd_reader__events(r), hdr, &s);
		if (hdr->type == PERF_RECORD_COMM)
			out->comm_cnt += !pd_comm__parse(pd_reader__events(r), hdr, &c);
	}
	out->next_rc = out->open_err ? 0 : rc;
	if (r) {
		out->unfinished = pd_reader__is_unfinished(r);
		out->pipe = pd_reader__is_pipe(r);
		snprintf(out->errmsg, sizeof(out->errmsg), "%s", pd_reader__errmsg(r));
	}
	pd_reader__close(r);
}

static inline void read_bytes(const void *data, size_t bytes, struct outcome *out)
{
	char *path = temp_file(data, bytes);

	read_path(path, out);
	unlink(path);
	free(path);
}

#endif
