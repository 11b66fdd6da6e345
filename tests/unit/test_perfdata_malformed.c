/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_perfdata_malformed.c - tiny bad files: a good one with a few bytes changed or cut off,
 * each with the error and message that the reader must give, and what it must read before.
 */
#include "check.h"
#include "perfdata_files.h"

/** What to do to a file that has COMM, MMAP2 and three samples, and what comes out. */
struct damage {
	const char *what;
	bool pipe;
	size_t at; /* of the 8 bytes to write; from the start of the data if data */
	bool data;
	__u64 value;
	size_t cut_bytes; /* kept of the file; 0: all */
	int open_err, next_rc;
	size_t sample_cnt;  /* read all the same */
	const char *errmsg; /* its beginning */
};

#define HDR(type, size) ((__u64)(type) | (__u64)(size) << 48)
/* Offsets in the data: COMM 56 bytes, MMAP2 120, then samples of 112. */
#define SAMPLES (56 + 120)

/* clang-format off */
static const struct damage damages[] = {
	{.what = "magic", .at = 0, .value = 0x1234, .open_err = -EBADMSG,
	 .errmsg = "not perf.data: no PERFILE2"},
	{.what = "header size", .at = 8, .value = 105, .open_err = -EBADMSG,
	 .errmsg = "offset 8: unknown header size 105"},
	{.what = "half a magic", .cut_bytes = 5, .open_err = -EBADMSG, .errmsg = "not perf.data"},
	{.what = "no header size", .cut_bytes = 12, .open_err = -EBADMSG,
	 .errmsg = "offset 8: the header is cut off"},
	{.what = "half a header", .cut_bytes = 50, .open_err = -EBADMSG,
	 .errmsg = "offset 16: the header is cut off"},
	{.what = "attr size 0", .at = 16, .value = 0, .open_err = -EBADMSG,
	 .errmsg = "offset 16: bad attr size 0"},
	{.what = "attr size huge", .at = 16, .value = ~0ULL, .open_err = -EBADMSG,
	 .errmsg = "offset 16: bad attr size"},
	{.what = "attrs beyond the file", .at = 24, .value = 1 << 30, .open_err = -EBADMSG,
	 .errmsg = "offset 24: the attrs lie outside"},
	{.what = "attrs wrap around", .at = 32, .value = ~0ULL - 64, .open_err = -EBADMSG,
	 .errmsg = "offset 24: the attrs lie outside"},
	{.what = "attr's own size", .at = 120, .value = 112ULL << 33 | 1, .open_err = -EBADMSG,
	 .errmsg = "offset 120: bad event attr"},
	{.what = "ids beyond the file", .at = 240, .value = 1 << 30, .open_err = -EBADMSG,
	 .errmsg = "offset 120: the event's ids lie outside"},
	{.what = "data beyond the file", .at = 40, .value = 1 << 30, .open_err = -EBADMSG,
	 .errmsg = "offset 40: the data lie outside"},
	{.what = "data longer than the file", .at = 48, .value = ~0ULL, .next_rc = -EBADMSG,
	 .sample_cnt = 3, .errmsg = "offset "},
	{.what = "file cut inside a sample", .cut_bytes = 248 + SAMPLES + 112 + 50,
	 .next_rc = -ENODATA, .sample_cnt = 1,
	 .errmsg = "offset 536: SAMPLE: the data end inside the record"},
	{.what = "file cut inside a record header", .cut_bytes = 248 + SAMPLES + 112 + 5,
	 .next_rc = -ENODATA, .sample_cnt = 1,
	 .errmsg = "offset 536: record: the data end inside a record"},
	{.what = "file cut between samples", .cut_bytes = 248 + SAMPLES + 112, .next_rc = -ENODATA,
	 .sample_cnt = 1, .errmsg = "offset 536: record: the file ends before its data do"},
	{.what = "record of size 0", .data = true, .at = SAMPLES, .value = HDR(9, 0),
	 .next_rc = -EBADMSG, .errmsg = "offset 424: SAMPLE: its size is less than its header's"},
	{.what = "record of size 7", .data = true, .at = SAMPLES, .value = HDR(9, 7),
	 .next_rc = -EBADMSG, .errmsg = "offset 424: SAMPLE: its size is less"},
	{.what = "record beyond the data", .data = true, .at = SAMPLES + 224,
	 .value = HDR(9, 65528), .next_rc = -ENODATA, .sample_cnt = 2,
	 .errmsg = "offset 648: SAMPLE: the data end inside the record"},
	{.what = "unknown record", .data = true, .at = SAMPLES, .value = HDR(1000, 112),
	 .sample_cnt = 2, .errmsg = ""},
	{.what = "call chain too long", .data = true, .at = SAMPLES + 56, .value = 8,
	 .sample_cnt = 2, .errmsg = ""},
	{.what = "call chain wraps around", .data = true, .at = SAMPLES + 56,
	 .value = 1ULL << 61, .sample_cnt = 2, .errmsg = ""},
	{.what = "short AUXTRACE", .data = true, .at = SAMPLES, .value = HDR(71, 8),
	 .next_rc = -EBADMSG, .errmsg = "offset 424: AUXTRACE: too short"},
	{.what = "AUXTRACE payload", .data = true, .at = SAMPLES, .value = HDR(71, 112),
	 .next_rc = 0, .sample_cnt = 2, .errmsg = ""},
	{.what = "COMPRESSED rubbish", .data = true, .at = SAMPLES, .value = HDR(81, 112),
	 .next_rc = -EBADMSG, .errmsg = "offset 424: COMPRESSED: failed to decompress"},
	{.what = "COMPRESSED2 length", .data = true, .at = SAMPLES, .value = HDR(83, 16),
	 .next_rc = -EBADMSG, .errmsg = "offset 424: COMPRESSED2: its data do not fit"},
	{.what = "stream: attr record", .pipe = true, .at = 16, .value = HDR(64, 64),
	 .next_rc = -EBADMSG, .errmsg = "offset 16: HEADER_ATTR: malformed"},
	{.what = "stream: name record", .pipe = true, .at = 16, .value = HDR(78, 16),
	 .next_rc = -EBADMSG, .errmsg = "offset 16: EVENT_UPDATE: malformed"},
	{.what = "stream: feature record", .pipe = true, .at = 16, .value = HDR(80, 8),
	 .next_rc = -EBADMSG, .errmsg = "offset 16: HEADER_FEATURE: malformed"},
	{.what = "stream: record of size 0", .pipe = true, .at = 16, .value = HDR(9, 0),
	 .next_rc = -EBADMSG, .errmsg = "offset 16: SAMPLE: its size is less"},
	{.what = "stream: cut inside a record", .pipe = true, .cut_bytes = 50, .next_rc = -ENODATA,
	 .errmsg = "offset 16: HEADER_ATTR: the stream ends inside the record"},
	{.what = "stream: cut inside a header", .pipe = true, .cut_bytes = 20, .next_rc = -ENODATA,
	 .errmsg = "offset 16: record: the stream ends inside a record"},
	{.what = "stream: nothing but a header", .pipe = true, .cut_bytes = 16, .errmsg = ""},
};
/* clang-format on */

static void damage_one(const struct damage *d)
{
	char *path = temp_file("", 0), *file;
	struct outcome o;
	size_t bytes, at = d->at;

	if (write_ours(path, d->pipe, 3))
		abort();
	file = slurp_file(path, &bytes);
	unlink(path);
	free(path);
	if (d->data)
		at += 248;
	if (!d->cut_bytes)
		memcpy(file + at, &d->value, 8);
	/* AUXTRACE's size takes the place of the sample's id. */
	if (!strcmp(d->what, "AUXTRACE payload"))
		memset(file + at + 8, 0, 8);
	read_bytes(file, d->cut_bytes ? d->cut_bytes : bytes, &o);
	free(file);
	if (o.open_err != d->open_err || o.next_rc != d->next_rc || o.sample_cnt != d->sample_cnt ||
	    strncmp(o.errmsg, d->errmsg, strlen(d->errmsg)))
		CHECK_FAIL("%s: open %d, next %d, %zu samples, \"%s\"", d->what, o.open_err,
			   o.next_rc, o.sample_cnt, o.errmsg);
}

TEST(damages)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		damage_one(&damages[i]);
}

TEST(empty_file)
{
	struct outcome o;

	read_bytes("", 0, &o);
	CHECK_EQ(o.open_err, -EBADMSG);
	CHECK_STR(o.errmsg, "not perf.data: the file is empty");
}

TEST(missing_file)
{
	struct outcome o;

	read_path("/nonexistent/perf.data", &o);
	CHECK_EQ(o.open_err, -ENOENT);
	CHECK_STR(o.errmsg, "failed to open: No such file or directory");
	read_path("/tmp", &o);
	CHECK_EQ(o.open_err, -EISDIR);
}

/* A writer that died: data size and feature bits may both be missing. */
TEST(unfinished)
{
	char *path = temp_file("", 0), *file;
	struct outcome o;
	size_t bytes, data_end = 248 + SAMPLES + 3 * 112;

	CHECK_EQ(write_ours(path, false, 3), 0);
	file = slurp_file(path, &bytes);
	unlink(path);
	free(path);
	memset(file + 56, 0, 48); /* event_types and the feature bits */
	read_bytes(file, data_end, &o);
	CHECK(o.unfinished && !o.next_rc);
	CHECK_EQ(o.sample_cnt, 3);
	memset(file + 48, 0, 8); /* the data size */
	read_bytes(file, data_end, &o);
	CHECK(o.unfinished && !o.next_rc);
	CHECK_EQ(o.sample_cnt, 3);
	read_bytes(file, data_end - 8, &o);
	CHECK(o.unfinished);
	CHECK_EQ(o.next_rc, -ENODATA);
	CHECK_EQ(o.sample_cnt, 2);
	/* A crash of the machine leaves zeros where blocks were not written. */
	memset(file + data_end, 0, bytes - data_end);
	read_bytes(file, bytes, &o);
	CHECK(o.unfinished && !o.next_rc);
	CHECK_EQ(o.sample_cnt, 3);
	free(file);
}

/* Many attrs that all claim one large section of ids must not multiply it. */
TEST(shared_ids)
{
	enum { CNT = 1000, IDS = 100000 };
	size_t bytes = 104 + CNT * 128 + IDS, attr_bytes = PD_ATTR_BYTES;
	__u64 header[13] = {PD_MAGIC, 104, 128, 104, CNT * 128, bytes, 0};
	struct perf_event_attr attr = our_attr();
	char *file = calloc(1, bytes);
	struct outcome o;

	CHECK(file);
	memcpy(file, header, sizeof(header));
	for (size_t i = 0; i < CNT; i++) {
		const __u64 ids[2] = {104 + CNT * 128, IDS};

		memcpy(file + 104 + i * 128, &attr, attr_bytes);
		memcpy(file + 104 + i * 128 + attr_bytes, ids, 16);
	}
	read_bytes(file, bytes, &o);
	CHECK_EQ(o.open_err, -EBADMSG);
	free(file);
}

static int count_build_ids(void *ctx, const struct pd_build_id *id)
{
	(void)id;
	++*(int *)ctx;
	return 0;
}

/* Ask for everything; errors are fine, crashes are not. */
static void ask_all(const char *path)
{
	struct pd_reader *r = NULL;
	struct outcome o;

	read_path(path, &o);
	if (!pd_reader__open(path, &r)) {
		for (int f = 0; f < 64; f++) {
			const void *data;
			size_t bytes;
			unsigned int sum = 0;

			if (!pd_reader__feature(r, (enum pd_feature)f, &data, &bytes)) {
				for (size_t i = 0; i < bytes; i++)
					sum += ((const unsigned char *)data)[i];
			}
			if (pd_reader__feature_string(r, (enum pd_feature)f))
				sum += strlen(pd_reader__feature_string(r, (enum pd_feature)f));
			if (!pd_reader__blob(r, (enum pd_blob_type)f, NULL, &data, &bytes) && bytes)
				sum += ((const unsigned char *)data)[bytes - 1];
			(void)sum;
		}
		pd_reader__build_ids(r, count_build_ids, &(int){0});
	}
	pd_reader__close(r);
}

/* Every byte of a good file turned over, and every length of it. */
TEST(all_bytes)
{
	for (int pipe = 0; pipe < 2; pipe++) {
		char *path = temp_file("", 0), *file;
		size_t bytes;
		int fd;

		CHECK_EQ(write_ours(path, pipe, 1), 0);
		file = slurp_file(path, &bytes);
		fd = open(path, O_RDWR);
		CHECK(fd >= 0);
		for (size_t i = 0; i < bytes; i++) {
			char evil = (char)~file[i];

			CHECK_EQ(pwrite(fd, &evil, 1, (off_t)i), 1);
			ask_all(path);
			CHECK_EQ(pwrite(fd, &file[i], 1, (off_t)i), 1);
		}
		for (size_t i = bytes; i-- > 0;) {
			CHECK_EQ(ftruncate(fd, (off_t)i), 0);
			ask_all(path);
		}
		close(fd);
		unlink(path);
		free(path);
		free(file);
	}
}

TEST_MAIN()
