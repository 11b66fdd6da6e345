/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_perfdata.c - what the writer of perf.data writes, its reader reads: files and streams,
 * features, private data, checkpoints, and what happens when a write fails.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <zstd.h>

#include "check.h"
#include "perfdata_files.h"

static char *ours(bool pipe, size_t sample_cnt, char **path)
{
	size_t bytes;

	*path = temp_file("", 0);
	if (write_ours(*path, pipe, sample_cnt))
		abort();
	return slurp_file(*path, &bytes);
}

static void done(char *path)
{
	unlink(path);
	free(path);
}

static int first_build_id(void *ctx, const struct pd_build_id *id)
{
	*(__u8 *)ctx = id->pid == -1 && id->bytes == 20 && !strcmp(id->filename, "/usr/bin/worker")
			       ? id->id[2]
			       : 0;
	return 7;
}

static void check_contents(const char *path, bool pipe)
{
	const struct perf_event_header *hdr;
	struct pd_reader *r = NULL;
	struct pd_events *t;
	struct pd_sample s;
	struct pd_mmap m;
	struct pd_comm c;
	__u8 third = 0;
	__u64 offset, last = 0;
	int rc;

	CHECK_EQ(pd_reader__open(path, &r), 0);
	CHECK_EQ(pd_reader__is_pipe(r), pipe);
	CHECK(!pd_reader__is_unfinished(r));
	t = pd_reader__events(r);
	while ((rc = pd_reader__next(r, &hdr, &offset)) > 0) {
		CHECK(offset > last);
		last = offset;
		if (hdr->type == PERF_RECORD_COMM) {
			CHECK_EQ(pd_comm__parse(t, hdr, &c), 0);
			CHECK_STR(c.comm, "worker");
			CHECK_EQ(c.id.time, 999);
			CHECK_EQ(c.id.id, 41);
		} else if (hdr->type == PERF_RECORD_MMAP2) {
			CHECK_EQ(pd_mmap__parse(t, hdr, &m), 0);
			CHECK_STR(m.filename, "/usr/bin/worker");
			CHECK_EQ(m.bytes, 0x10000);
			CHECK_EQ(m.build_id_bytes, 20);
			CHECK_EQ(m.build_id[1], 2);
		} else if (hdr->type == PERF_RECORD_SAMPLE) {
			CHECK_EQ(pd_sample__parse(t, hdr, &s), 0);
		}
	}
	CHECK_EQ(rc, 0);
	CHECK_EQ(s.id.pid, 4242);
	CHECK_EQ(s.id.tid, 4243);
	CHECK_EQ(s.id.time, 1009);
	CHECK_EQ(s.id.cpu, 3);
	CHECK_EQ(s.id.event, 0);
	CHECK_EQ(s.cpumode, PERF_RECORD_MISC_KERNEL);
	CHECK_EQ(s.period, 10101010);
	CHECK_EQ(s.ip_cnt, 6);
	CHECK_EQ(s.ips[5], 0x405678);
	CHECK_EQ(pd_events__cnt(t), 1);
	CHECK_STR(pd_events__get(t, 0)->name, "cpu-clock");
	CHECK_EQ(pd_events__get(t, 0)->id_cnt, 2);
	CHECK_EQ(pd_events__get(t, 0)->attr.size, PD_ATTR_BYTES);
	CHECK_STR(pd_reader__feature_string(r, PD_FEAT_HOSTNAME), "host");
	CHECK_STR(pd_reader__feature_string(r, PD_FEAT_ARCH), "x86_64");
	CHECK(!pd_reader__feature_string(r, PD_FEAT_CPUID));
	CHECK_EQ(pd_reader__build_ids(r, first_build_id, &third), 7);
	CHECK_EQ(third, 3);
	pd_reader__close(r);
}

TEST(file_round_trip)
{
	char *path, *bytes = ours(false, 10, &path);

	check_contents(path, false);
	free(bytes);
	done(path);
}

TEST(pipe_round_trip)
{
	char *path, *bytes = ours(true, 10, &path);

	check_contents(path, true);
	free(bytes);
	done(path);
}

TEST(header_layout)
{
	char *path, *file = ours(false, 2, &path);
	__u64 h[13], table, next;

	memcpy(h, file, sizeof(h));
	CHECK_EQ(h[0], PD_MAGIC);
	CHECK_EQ(h[1], 104);
	CHECK_EQ(h[2], PD_ATTR_BYTES + 16);
	CHECK_EQ(h[3], 104 + 16);
	CHECK_EQ(h[5], h[3] + h[4]);
	CHECK_EQ(h[9], 1ULL << PD_FEAT_HOSTNAME | 1ULL << PD_FEAT_OSRELEASE |
			       1ULL << PD_FEAT_VERSION | 1ULL << PD_FEAT_ARCH |
			       1ULL << PD_FEAT_NRCPUS | 1ULL << PD_FEAT_CMDLINE |
			       1ULL << PD_FEAT_EVENT_DESC | 1ULL << PD_FEAT_BUILD_ID |
			       1ULL << PD_FEAT_CLOCK_DATA);
	/* The table stands exactly behind the data, the first section exactly behind the table. */
	table = h[5] + h[6];
	memcpy(&next, file + table, 8);
	CHECK_EQ(next, table + 16 * (__u64)__builtin_popcountll(h[9]));
	CHECK_EQ(h[8], 24);
	free(file);
	done(path);
}

TEST(private_data)
{
	const void *data;
	char *path, *file = ours(false, 2, &path);
	struct pd_reader *r = NULL;
	__u32 version = 0;
	size_t bytes;

	CHECK_EQ(pd_reader__open(path, &r), 0);
	CHECK_EQ(pd_reader__blob(r, PD_BLOB_TAGS, &version, &data, &bytes), 0);
	CHECK_EQ(version, 1);
	CHECK_EQ(bytes, 4);
	CHECK_STR((const char *)data, "a=b");
	CHECK_EQ(pd_reader__blob(r, PD_BLOB_SYMBOLS, NULL, &data, &bytes), -ENOENT);
	pd_reader__close(r);
	free(file);
	done(path);
}

TEST(rewind)
{
	const struct perf_event_header *hdr;
	char *path, *file = ours(false, 3, &path);
	struct pd_reader *r = NULL;

	CHECK_EQ(pd_reader__open(path, &r), 0);
	for (int pass = 0; pass < 2; pass++) {
		size_t cnt = 0;

		while (pd_reader__next(r, &hdr, NULL) > 0)
			cnt++;
		CHECK_EQ(cnt, 5);
		CHECK_EQ(pd_reader__rewind(r), 0);
	}
	pd_reader__close(r);
	free(file);
	done(path);
}

TEST(checkpoints)
{
	static __u64 records[4096];
	struct pd_events *t = our_events();
	char *path = temp_file("left over from before", 21);
	struct pd_writer *w = NULL;
	struct outcome o;
	size_t bytes = our_records((char *)records, sizeof(records), t, 4);

	CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
	read_path(path, &o);
	CHECK(!o.open_err && !o.next_rc && !o.record_cnt && o.unfinished);
	CHECK_EQ(pd_writer__append(w, records, bytes), 0);
	CHECK_EQ(pd_writer__checkpoint(w), 0);
	CHECK_EQ(pd_writer__append(w, records, bytes), 0);
	/* Killed now: what the checkpoint covers is there, the rest is not looked at. */
	read_path(path, &o);
	CHECK(!o.open_err && !o.next_rc && o.unfinished);
	CHECK_EQ(o.sample_cnt, 4);
	CHECK_EQ(pd_writer__finish(w), 0);
	CHECK_EQ(pd_writer__data_bytes(w), 2 * bytes);
	pd_writer__close(w);
	read_path(path, &o);
	CHECK_EQ(o.sample_cnt, 8);
	done(path);
	pd_events__free(t);
}

TEST(empty_capture)
{
	struct pd_events *t = our_events();
	char *path = temp_file("", 0);
	struct pd_writer *w = NULL;
	struct outcome o;

	CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
	CHECK_EQ(pd_writer__feature(w, PD_FEAT_NRCPUS, "12345678", 8), 0);
	CHECK_EQ(pd_writer__finish(w), 0);
	CHECK_EQ(pd_writer__append(w, "x", 1), -EINVAL);
	pd_writer__close(w);
	read_path(path, &o);
	CHECK(!o.open_err && !o.next_rc && !o.record_cnt);
	CHECK(!o.unfinished);
	done(path);
	pd_events__free(t);
}

TEST(bad_features)
{
	struct pd_events *t = our_events();
	char *path = temp_file("", 0);
	struct pd_writer *w = NULL;

	CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
	CHECK_EQ(pd_writer__feature(w, (enum pd_feature)0, "", 0), -EINVAL);
	CHECK_EQ(pd_writer__feature(w, (enum pd_feature)32, "", 0), -EINVAL);
	pd_writer__close(w);
	done(path);
	pd_events__free(t);
}

/* ---- writes that fail ---------------------------------------------------------------- */

TEST(unwritable_paths)
{
	struct pd_events *t = our_events();
	struct pd_writer *w = NULL;

	CHECK_EQ(pd_writer__open("/nonexistent/dir/x", t, NULL, &w), -ENOENT);
	CHECK_STR(pd_writer__errmsg(w), "failed to open: No such file or directory");
	CHECK_EQ(pd_writer__finish(w), -ENOENT);
	pd_writer__close(w);
	CHECK_EQ(pd_writer__open("/tmp", t, NULL, &w), -EISDIR);
	pd_writer__close(w);
	/* File layout needs a file. */
	CHECK_EQ(pd_writer__open("/dev/null", t, NULL, &w), -EINVAL);
	CHECK_STR(pd_writer__errmsg(w),
		  "failed to open: not a regular file: - streams to standard output");
	pd_writer__close(w);
	pd_events__free(t);
}

TEST(full_device)
{
	const struct pd_writer_opts opts = {.sz = sizeof(opts), .pipe = true};
	struct pd_events *t = our_events();
	struct pd_writer *w = NULL;

	CHECK_EQ(pd_writer__open("/dev/full", t, &opts, &w), -ENOSPC);
	CHECK_STR(pd_writer__errmsg(w), "failed to write: No space left on device");
	CHECK_EQ(pd_writer__append(w, "12345678", 8), -ENOSPC);
	pd_writer__close(w);
	pd_events__free(t);
}

TEST(closed_pipe)
{
	const struct pd_writer_opts opts = {.sz = sizeof(opts), .pipe = true};
	struct pd_events *t = our_events();
	struct pd_writer *w = NULL;
	char path[64];
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	signal(SIGPIPE, SIG_DFL);
	CHECK_EQ(pd_writer__open(path, t, &opts, &w), 0);
	close(fds[0]);
	CHECK_EQ(pd_writer__append(w, "12345678", 8), -EPIPE);
	CHECK_STR(pd_writer__errmsg(w), "failed to write: Broken pipe");
	CHECK_EQ(pd_writer__append(w, "12345678", 8), -EPIPE);
	CHECK_EQ(pd_writer__finish(w), -EPIPE);
	pd_writer__close(w);
	close(fds[1]);
	pd_events__free(t);
}

/* A disk that fills: the file keeps its last whole record, and features if they fit. */
TEST(size_limit)
{
	static __u64 records[4096];
	struct pd_events *t = our_events();
	size_t bytes = our_records((char *)records, sizeof(records), t, 4);
	char *path = temp_file("", 0);
	struct pd_writer *w = NULL;
	struct rlimit old, limit;
	struct outcome o;
	struct stat st;

	CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
	CHECK_EQ(pd_writer__feature(w, PD_FEAT_NRCPUS, "12345678", 8), 0);
	CHECK_EQ(pd_writer__feature(w, PD_FEAT_CPUDESC, records, bytes), 0);
	CHECK_EQ(pd_writer__blob(w, PD_BLOB_TAGS, 1, "a=b", 4), 0);
	CHECK_EQ(pd_writer__append(w, records, bytes), 0);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK_EQ(stat(path, &st), 0);
	limit = old;
	limit.rlim_cur = (rlim_t)st.st_size + bytes / 2;
	setrlimit(RLIMIT_FSIZE, &limit);
	CHECK_EQ(pd_writer__append(w, records, bytes), -EFBIG);
	CHECK_STR(pd_writer__errmsg(w), "failed to write: File too large");
	CHECK_EQ(pd_writer__checkpoint(w), -EFBIG);
	CHECK_EQ(pd_writer__finish(w), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	CHECK_EQ(pd_writer__data_bytes(w), bytes);
	pd_writer__close(w);
	read_path(path, &o);
	CHECK(!o.open_err && !o.next_rc && !o.unfinished);
	CHECK_EQ(o.sample_cnt, 4);
	done(path);
	pd_events__free(t);
}

static __u64 blocks_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (__u64)st.st_blocks * 512;
}

/* Room is reserved behind a long file while it grows, and given back. */
TEST(reserved_room)
{
	static __u64 records[1 << 16];
	struct pd_events *t = our_events();
	size_t bytes = our_records((char *)records, sizeof(records), t, 4000);
	char *path = temp_file("", 0);
	struct pd_writer *w = NULL;
	__u64 reserved_bytes = 0;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool can = !fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
	unsigned cnt = 0;
	struct outcome o;
	struct stat st;

	close(fd);
	CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
	CHECK_EQ(pd_writer__feature(w, PD_FEAT_NRCPUS, "12345678", 8), 0);
	for (; pd_writer__data_bytes(w) < 3 << 20; cnt++)
		CHECK_EQ(pd_writer__append(w, records, bytes), 0);
	CHECK(blocks_bytes(path) < 4 << 20);
	for (; pd_writer__data_bytes(w) < 20 << 20; cnt++) {
		CHECK_EQ(pd_writer__append(w, records, bytes), 0);
		CHECK_EQ(stat(path, &st), 0);
		if (blocks_bytes(path) > (__u64)st.st_size + reserved_bytes)
			reserved_bytes = blocks_bytes(path) - (__u64)st.st_size;
	}
	CHECK(reserved_bytes > 4 << 20 || !can);
	CHECK_EQ(pd_writer__finish(w), 0);
	CHECK(blocks_bytes(path) < 21 << 20);
	pd_writer__close(w);
	read_path(path, &o);
	CHECK(!o.open_err && !o.next_rc && !o.unfinished);
	CHECK_EQ(o.sample_cnt, 4000 * cnt);
	done(path);
	pd_events__free(t);
}

/* As size_limit, where room is reserved: on tmpfs, whose fallocate(2) minds the limit, too. */
TEST(size_limit_of_a_long_file)
{
	static __u64 records[1 << 16];
	const char *folders[] = {"/tmp", "/dev/shm"};

	for (size_t i = 0; i < 2; i++) {
		struct pd_events *t = our_events();
		size_t bytes = our_records((char *)records, sizeof(records), t, 4000);
		struct pd_writer *w = NULL;
		struct rlimit old, limit;
		char path[64];
		int err = 0;
		struct outcome o;
		struct stat st;

		if (access(folders[i], W_OK))
			continue;
		snprintf(path, sizeof(path), "%s/perfdata-limit-%d", folders[i], (int)getpid());
		CHECK_EQ(pd_writer__open(path, t, NULL, &w), 0);
		CHECK_EQ(pd_writer__feature(w, PD_FEAT_NRCPUS, "12345678", 8), 0);
		CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
		limit = old;
		limit.rlim_cur = 10 << 20;
		setrlimit(RLIMIT_FSIZE, &limit);
		while (!err && pd_writer__data_bytes(w) < 20 << 20)
			err = pd_writer__append(w, records, bytes);
		CHECK_EQ(err, -EFBIG);
		setrlimit(RLIMIT_FSIZE, &old);
		CHECK(pd_writer__data_bytes(w) > (10 << 20) - 8192);
		CHECK_EQ(pd_writer__finish(w), -EFBIG);
		CHECK_EQ(stat(path, &st), 0);
		CHECK((__u64)st.st_blocks * 512 < 11 << 20);
		pd_writer__close(w);
		read_path(path, &o);
		CHECK(!o.open_err && !o.next_rc && !o.unfinished);
		unlink(path);
		pd_events__free(t);
	}
}

/* ---- other inputs -------------------------------------------------------------------- */

/* Read path through standard input, which a child fills, as a pipe. */
static void read_stdin(const char *file, size_t bytes, struct outcome *o)
{
	int saved = dup(STDIN_FILENO), fds[2];

	if (pipe(fds))
		abort();
	if (!fork()) {
		close(fds[0]);
		_exit(write(fds[1], file, bytes) != (ssize_t)bytes);
	}
	close(fds[1]);
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	read_path("-", o);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

TEST(file_through_a_pipe)
{
	char *path = temp_file("", 0), *file;
	struct outcome o;
	size_t bytes;

	CHECK_EQ(write_ours(path, false, 3000), 0);
	file = slurp_file(path, &bytes);
	read_stdin(file, bytes, &o);
	CHECK(!o.open_err && !o.next_rc && !o.pipe);
	CHECK_EQ(o.sample_cnt, 3000);
	free(file);
	done(path);
}

TEST(stream_through_a_pipe)
{
	char *path = temp_file("", 0), *file;
	struct outcome o;
	size_t bytes;

	CHECK_EQ(write_ours(path, true, 3000), 0);
	file = slurp_file(path, &bytes);
	read_stdin(file, bytes, &o);
	CHECK(!o.open_err && !o.next_rc && o.pipe);
	CHECK_EQ(o.sample_cnt, 3000);
	free(file);
	done(path);
}

TEST(stdin_is_a_file)
{
	char *path, *file = ours(false, 5, &path);
	int saved = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
	struct outcome o;

	CHECK(fd >= 0);
	dup2(fd, STDIN_FILENO);
	close(fd);
	read_path("-", &o);
	dup2(saved, STDIN_FILENO);
	close(saved);
	CHECK(!o.open_err && !o.next_rc);
	CHECK_EQ(o.sample_cnt, 5);
	free(file);
	done(path);
}

/* A stream of 5 samples with bytes of TRACING_DATA, which claims to be claim bytes. */
static char *stream_with_tracing_data(size_t bytes, __u32 claim, size_t *total)
{
	const struct perf_event_header hdr = {.type = PD_RECORD_TRACING_DATA, .size = 12};
	char *path, *file = ours(true, 5, &path), *out, *p;
	size_t file_bytes;

	free(file);
	file = slurp_file(path, &file_bytes);
	done(path);
	*total = file_bytes + sizeof(hdr) + sizeof(claim) + bytes;
	p = out = malloc(*total);
	if (!out)
		abort();
	p = mempcpy(p, file, PD_PIPE_HEADER_BYTES);
	p = mempcpy(p, &hdr, sizeof(hdr));
	p = mempcpy(p, &claim, sizeof(claim));
	for (size_t i = 0; i < bytes; i++)
		*p++ = (char)(i * 7 + i / 256);
	memcpy(p, file + PD_PIPE_HEADER_BYTES, file_bytes - PD_PIPE_HEADER_BYTES);
	free(file);
	return out;
}

/* In pipe layout the payload of the record is what the section is in a file. */
TEST(stream_tracing_data)
{
	static const size_t sizes[] = {0, 8, 1000, 300000, 2000000};
	const struct perf_event_header *hdr;
	const unsigned char *data;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t total, bytes, wrong_cnt = 0, sample_cnt = 0;
		char *file = stream_with_tracing_data(sizes[i], (__u32)sizes[i], &total);
		char *path = temp_file(file, total);
		struct pd_reader *r;
		int rc;

		CHECK_EQ(pd_reader__open(path, &r), 0);
		CHECK_EQ(pd_reader__feature(r, PD_FEAT_TRACING_DATA, (const void **)&data, &bytes),
			 -ENOENT);
		CHECK_EQ(pd_reader__next(r, &hdr, NULL), 1);
		CHECK_EQ(hdr->type, PD_RECORD_TRACING_DATA);
		CHECK_EQ(hdr->size, 12);
		CHECK_EQ(pd_reader__feature(r, PD_FEAT_TRACING_DATA, (const void **)&data, &bytes),
			 0);
		CHECK_EQ(bytes, sizes[i]);
		for (size_t k = 0; k < bytes; k++)
			wrong_cnt += data[k] != (unsigned char)(k * 7 + k / 256);
		CHECK_EQ(wrong_cnt, 0);
		while ((rc = pd_reader__next(r, &hdr, NULL)) > 0)
			sample_cnt += hdr->type == PERF_RECORD_SAMPLE;
		CHECK_EQ(rc, 0);
		CHECK_EQ(sample_cnt, 5);
		pd_reader__close(r);
		free(file);
		done(path);
	}
}

/* A claim that the stream does not keep ends the reading, no more. */
TEST(stream_tracing_data_cut_off)
{
	static const __u32 claims[] = {1 << 20, 1 << 26, (1 << 26) + 8, UINT32_MAX - 7, UINT32_MAX};

	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		struct outcome o;
		size_t total;
		char *file = stream_with_tracing_data(100, claims[i], &total);

		read_bytes(file, total, &o);
		CHECK_EQ(o.open_err, 0);
		CHECK_EQ(o.next_rc, -ENODATA);
		CHECK(strstr(o.errmsg, "inside"));
		free(file);
	}
}

/* A record whose size is no multiple of 8 puts the next ones at odd addresses. */
TEST(unaligned_records)
{
	char *path = temp_file("", 0), *file;
	struct perf_event_header hdr = {.type = PD_RECORD_FINISHED_ROUND, .size = 13};
	char more[512];
	struct outcome o;
	size_t bytes;

	CHECK_EQ(write_ours(path, true, 1), 0);
	file = slurp_file(path, &bytes);
	file = realloc(file, bytes + sizeof(more));
	CHECK(file);
	memset(file + bytes, 0, 13);
	memcpy(file + bytes, &hdr, sizeof(hdr));
	bytes += 13;
	bytes += (size_t)our_sample(file + bytes, 2000);
	read_bytes(file, bytes, &o);
	CHECK_EQ(o.next_rc, 0);
	CHECK_EQ(o.sample_cnt, 2);
	free(file);
	done(path);
}

/* Records and payloads that don't follow the 16-bit size. */
TEST(payload_behind_record)
{
	char *path = temp_file("", 0), *file;
	const __u64 trace[] = {21}, aux[] = {100000, 0, 0, 0, 0};
	struct outcome o;
	size_t bytes;

	CHECK_EQ(write_ours(path, true, 1), 0);
	file = slurp_file(path, &bytes);
	file = realloc(file, bytes + 200000);
	CHECK(file);
	bytes += (size_t)put_words(file + bytes, PD_RECORD_TRACING_DATA, 0, trace, 1);
	memset(file + bytes, 0xff, 24);
	bytes += 24;
	bytes += (size_t)our_sample(file + bytes, 2000);
	bytes += (size_t)put_words(file + bytes, PD_RECORD_AUXTRACE, 0, aux, 5);
	memset(file + bytes, 0xff, 100000);
	bytes += 100000;
	bytes += (size_t)our_sample(file + bytes, 3000);
	read_bytes(file, bytes, &o);
	CHECK_EQ(o.next_rc, 0);
	CHECK_EQ(o.sample_cnt, 3);
	free(file);
	done(path);
}

/* One frame over three records, cut without regard to the records in it. */
TEST(compressed_records)
{
	static char samples[100 * 112], packed[8192];
	char *path = temp_file("", 0), *file;
	size_t bytes, packed_bytes, at = 0;
	struct outcome o;

	CHECK_EQ(write_ours(path, true, 1), 0);
	file = slurp_file(path, &bytes);
	file = realloc(file, bytes + sizeof(packed) + 64);
	CHECK(file);
	for (size_t i = 0; i < 100; i++)
		our_sample(samples + i * 112, i);
	packed_bytes = ZSTD_compress(packed, sizeof(packed), samples, sizeof(samples), 1);
	CHECK(!ZSTD_isError(packed_bytes));
	for (int i = 0; i < 3; i++) {
		size_t n = i < 2 ? packed_bytes / 3 : packed_bytes - at;
		struct perf_event_header hdr = {.type = PD_RECORD_COMPRESSED,
						.size = (__u16)(sizeof(hdr) + n)};

		memcpy(file + bytes, &hdr, sizeof(hdr));
		memcpy(file + bytes + sizeof(hdr), packed + at, n);
		at += n;
		bytes += hdr.size;
	}
	read_bytes(file, bytes, &o);
	CHECK_EQ(o.next_rc, 0);
	CHECK_EQ(o.sample_cnt, 101);
	free(file);
	done(path);
}

TEST_MAIN()
