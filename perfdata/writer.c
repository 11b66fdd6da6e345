/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * writer.c - write perf.data, as a file that is valid after every checkpoint or as a stream.
 * Layout of a file: header, ids, attrs, records; at the end the feature table exactly behind
 * the records, its sections, the private blob, and last the header that points to them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perfdata/internal.h"

struct feat {
	void *data;
	size_t bytes;
	bool set;
};

/* A file that grows is given room ahead, RESERVE_BYTES at a time: writing then costs a fifth less.
 * Not the short file of a slow capture, which would hold most of it in vain if the program is
 * killed. */
enum { RESERVE_BYTES = 8 << 20, RESERVE_FROM_BYTES = 4 << 20 };

struct pd_writer {
	int fd;
	bool own_fd, pipe, finished;
	bool no_reserve;    /* the file system has none, or no more */
	__u64 reserved_end; /* 0: nothing was reserved */
	int err;	    /* the first failure; every later call returns it */
	const struct pd_events *events;
	struct pd_file_header header;
	__u64 data_bytes;
	struct feat feats[PD_FEAT_PMU_CAPS + 1];
	unsigned char *blob;
	size_t blob_bytes;
	char errmsg[160];
};

/** A growing buffer. */
struct bytes {
	unsigned char *p;
	size_t cnt, cap;
};

static int bytes_add(struct bytes *b, const void *data, size_t cnt)
{
	if (!cnt)
		return 0;
	if (cnt > b->cap - b->cnt) {
		size_t cap = 2 * b->cap + cnt + 256;
		unsigned char *p = realloc(b->p, cap);

		if (!p)
			return -ENOMEM;
		b->p = p;
		b->cap = cap;
	}
	if (data)
		memcpy(b->p + b->cnt, data, cnt);
	else
		memset(b->p + b->cnt, 0, cnt);
	b->cnt += cnt;
	return 0;
}

static int bytes_pad(struct bytes *b)
{
	return bytes_add(b, NULL, pd_align8(b->cnt) - b->cnt);
}

static int fail(struct pd_writer *w, int err, const char *verb)
{
	errno = -err;
	snprintf(w->errmsg, sizeof(w->errmsg), "failed to %s: %m", verb);
	return err;
}

/* ---- write(2) ------------------------------------------------------------------------ */

/* A closed pipe and a file size limit come with a signal that would end the process, whatever
 * its handlers say: hold both back, and take the one that this write raised. */
static void signals_hold(sigset_t *set, sigset_t *old, bool *had_pipe, bool *had_size)
{
	sigset_t pending;

	sigemptyset(set);
	sigaddset(set, SIGPIPE);
	sigaddset(set, SIGXFSZ);
	sigpending(&pending);
	*had_pipe = sigismember(&pending, SIGPIPE);
	*had_size = sigismember(&pending, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, set, old);
}

static void signals_release(sigset_t *set, const sigset_t *old, bool had_pipe, bool had_size,
			    int err)
{
	const struct timespec now = {0};

	if (had_pipe)
		sigdelset(set, SIGPIPE);
	if (had_size)
		sigdelset(set, SIGXFSZ);
	if (err == -EPIPE || err == -EFBIG) {
		while (sigtimedwait(set, NULL, &now) < 0 && errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* offset < 0: where the descriptor stands, which is all that a pipe has. */
static int write_loop(int fd, const unsigned char *p, size_t bytes, __s64 offset)
{
	while (bytes) {
		ssize_t n = offset < 0 ? write(fd, p, bytes) : pwrite(fd, p, bytes, offset);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			if (poll(&wait, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		bytes -= (size_t)n;
		if (offset >= 0)
			offset += n;
	}
	return 0;
}

static int write_all(int fd, const void *data, size_t bytes, __s64 offset)
{
	bool had_pipe, had_size;
	sigset_t set, old;
	int err;

	signals_hold(&set, &old, &had_pipe, &had_size);
	err = write_loop(fd, data, bytes, offset);
	signals_release(&set, &old, had_pipe, had_size, err);
	return err;
}

/* ---- open ---------------------------------------------------------------------------- */

static int add_attr(struct bytes *b, const struct perf_event_attr *attr)
{
	struct perf_event_attr copy = *attr;

	copy.size = PD_ATTR_BYTES;
	return bytes_add(b, &copy, PD_ATTR_BYTES);
}

static int start_file(struct pd_writer *w)
{
	const size_t entry = PD_ATTR_BYTES + sizeof(struct pd_section);
	struct bytes b = {0};
	__u64 id_offset = PD_HEADER_BYTES;
	int err = bytes_add(&b, NULL, PD_HEADER_BYTES);

	for (size_t i = 0; !err && i < w->events->cnt; i++)
		err = bytes_add(&b, w->events->list[i].ids, w->events->list[i].id_cnt * 8);
	w->header = (struct pd_file_header){
		.magic = PD_MAGIC,
		.size = PD_HEADER_BYTES,
		.attr_size = entry,
		.attrs = {b.cnt, w->events->cnt * entry},
		.data = {b.cnt + w->events->cnt * entry, 0},
	};
	for (size_t i = 0; !err && i < w->events->cnt; i++) {
		const struct pd_event *e = &w->events->list[i];
		const struct pd_section ids = {id_offset, e->id_cnt * 8};

		err = add_attr(&b, &e->attr);
		if (!err)
			err = bytes_add(&b, &ids, sizeof(ids));
		id_offset += ids.bytes;
	}
	if (!err) {
		memcpy(b.p, &w->header, sizeof(w->header));
		err = write_all(w->fd, b.p, b.cnt, 0);
	}
	free(b.p);
	return err;
}

static int add_header(struct bytes *b, __u32 type, size_t bytes)
{
	const struct perf_event_header hdr = {.type = type, .size = (__u16)bytes};

	if (bytes > PD_RECORD_PUT_MAX)
		return -EMSGSIZE;
	return bytes_add(b, &hdr, sizeof(hdr));
}

/* An attr record carries what ids fit; the rest would need ID_INDEX, which nobody reads. */
static int add_attr_record(struct bytes *b, const struct pd_event *e)
{
	size_t ids_bytes = e->id_cnt * 8;
	int err = add_header(b, PD_RECORD_HEADER_ATTR, 8 + PD_ATTR_BYTES + ids_bytes);

	if (!err)
		err = add_attr(b, &e->attr);
	return err ? err : bytes_add(b, e->ids, ids_bytes);
}

static int add_name_record(struct bytes *b, const struct pd_event *e)
{
	const __u64 fixed[2] = {PD_EVENT_UPDATE_NAME, e->id_cnt ? e->ids[0] : 0};
	size_t name_bytes = strlen(e->name) + 1;
	int err = add_header(b, PD_RECORD_EVENT_UPDATE, pd_align8(8 + sizeof(fixed) + name_bytes));

	if (!err)
		err = bytes_add(b, fixed, sizeof(fixed));
	if (!err)
		err = bytes_add(b, e->name, name_bytes);
	return err ? err : bytes_pad(b);
}

static int start_pipe(struct pd_writer *w)
{
	const __u64 header[2] = {PD_MAGIC, PD_PIPE_HEADER_BYTES};
	struct bytes b = {0};
	int err = bytes_add(&b, header, sizeof(header));

	for (size_t i = 0; !err && i < w->events->cnt; i++)
		err = add_attr_record(&b, &w->events->list[i]);
	for (size_t i = 0; !err && i < w->events->cnt; i++)
		err = add_name_record(&b, &w->events->list[i]);
	if (!err)
		err = write_all(w->fd, b.p, b.cnt, -1);
	free(b.p);
	return err;
}

static bool kind_ok(const struct stat *st, bool pipe)
{
	return S_ISREG(st->st_mode) ||
	       (pipe && (S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode) || S_ISSOCK(st->st_mode)));
}

static int open_output(struct pd_writer *w, const char *path)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
	struct stat st;

	if (!strcmp(path, "-")) {
		w->fd = STDOUT_FILENO;
		return fstat(w->fd, &st) ? -errno : kind_ok(&st, true) ? 0 : -EINVAL;
	}
	/* A FIFO in place of a file must not make open wait for a reader. */
	if (!w->pipe)
		flags |= O_NONBLOCK;
	if (!stat(path, &st) && !kind_ok(&st, w->pipe))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	w->fd = open(path, flags, 0600); /* kernel addresses are in it */
	if (w->fd < 0)
		return -errno;
	w->own_fd = true;
	if (fstat(w->fd, &st))
		return -errno;
	if (!kind_ok(&st, w->pipe))
		return -EINVAL;
	if (S_ISREG(st.st_mode) && ftruncate(w->fd, 0))
		return -errno;
	return 0;
}

int pd_writer__open(const char *path, const struct pd_events *events,
		    const struct pd_writer_opts *opts, struct pd_writer **out)
{
	struct pd_writer *w = calloc(1, sizeof(*w));
	int err;

	*out = w;
	if (!w)
		return -ENOMEM;
	w->fd = -1;
	w->events = events;
	w->pipe = !strcmp(path, "-") ||
		  (opts && opts->sz >= offsetof(struct pd_writer_opts, pipe) + sizeof(opts->pipe) &&
		   opts->pipe);
	err = open_output(w, path);
	if (err) {
		fail(w, err, "open");
		if (err == -EINVAL)
			snprintf(
				w->errmsg, sizeof(w->errmsg),
				"failed to open: not a regular file: - streams to standard output");
		goto out;
	}
	err = w->pipe ? start_pipe(w) : start_file(w);
	if (err)
		fail(w, err, "write");
out:
	w->err = err;
	if (err == -ENOMEM) {
		pd_writer__close(w);
		*out = NULL;
	}
	return err;
}

/* ---- records ------------------------------------------------------------------------- */

/* Whole records of at most max_bytes, at least one. */
static size_t first_records(const char *records, size_t bytes, size_t max_bytes)
{
	struct perf_event_header hdr;
	size_t n = 0;

	while (n + sizeof(hdr) <= bytes) {
		memcpy(&hdr, records + n, sizeof(hdr));
		if (hdr.size < sizeof(hdr) || hdr.size > bytes - n ||
		    (n && n + hdr.size > max_bytes))
			break;
		n += hdr.size;
	}
	return n;
}

/* The disk is full: as many of the records as it still takes. */
static void append_what_fits(struct pd_writer *w, const char *records, size_t bytes)
{
	__u64 end = w->header.data.offset + w->data_bytes;
	size_t n;

	while ((n = first_records(records, bytes, 4096)) &&
	       !write_all(w->fd, records, n, (__s64)end)) {
		records += n;
		bytes -= n;
		end += n;
		w->data_bytes += n;
	}
	if (ftruncate(w->fd, (off_t)end)) {
		/* The header still ends the data before what was cut. */
	}
}

/* What was reserved behind the end is the file's until it is cut there. */
static void unreserve(struct pd_writer *w)
{
	struct stat st;

	if (!w->reserved_end || fstat(w->fd, &st))
		return;
	w->reserved_end = 0;
	if (ftruncate(w->fd, st.st_size)) {
		/* It takes up room on the disk, and has no other effect. */
	}
}

/* Room for what is to be written at end. Without it the write itself finds some, or fails; on a
 * disk that is nearly full a failed call may have kept all that was left. */
static void reserve(struct pd_writer *w, __u64 end, size_t bytes)
{
	__u64 reserve_bytes = bytes > RESERVE_BYTES ? bytes : RESERVE_BYTES;
	bool had_pipe, had_size;
	sigset_t set, old;
	int err = 0;

	if (w->pipe || w->no_reserve || end < RESERVE_FROM_BYTES || end + bytes <= w->reserved_end)
		return;
	signals_hold(&set, &old, &had_pipe, &had_size); /* tmpfs minds the limit of a file's size */
	if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)end, (off_t)reserve_bytes))
		err = -errno;
	signals_release(&set, &old, had_pipe, had_size, err);
	w->reserved_end = end + reserve_bytes;
	if (!err)
		return;
	unreserve(w);
	w->no_reserve = err != -EINTR;
}

int pd_writer__append(struct pd_writer *w, const void *records, size_t bytes)
{
	__u64 end = w->header.data.offset + w->data_bytes;

	if (w->err)
		return w->err;
	if (w->finished)
		return fail(w, -EINVAL, "write");
	reserve(w, end, bytes);
	w->err = write_all(w->fd, records, bytes, w->pipe ? -1 : (__s64)end);
	if (!w->err) {
		w->data_bytes += bytes;
		return 0;
	}
	if (!w->pipe && !ftruncate(w->fd, (off_t)end))
		append_what_fits(w, records, bytes);
	return fail(w, w->err, "write");
}

static int write_data_size(struct pd_writer *w)
{
	w->header.data.bytes = w->data_bytes;
	return write_all(w->fd, &w->header.data.bytes, sizeof(w->header.data.bytes),
			 offsetof(struct pd_file_header, data.bytes));
}

int pd_writer__checkpoint(struct pd_writer *w)
{
	if (w->err || w->pipe || w->finished)
		return w->err;
	if (w->header.data.bytes == w->data_bytes)
		return 0;
	w->err = write_data_size(w);
	return w->err ? fail(w, w->err, "write the header") : 0;
}

__u64 pd_writer__data_bytes(const struct pd_writer *w)
{
	return w->data_bytes;
}

/* ---- features and blob --------------------------------------------------------------- */

/* In a stream a build-id is a record of its own. */
static int add_build_id_records(struct bytes *b, const unsigned char *data, size_t bytes)
{
	struct perf_event_header hdr;

	while (bytes) {
		int err;

		if (bytes < sizeof(hdr))
			return -EINVAL;
		memcpy(&hdr, data, sizeof(hdr));
		if (hdr.size < PD_BUILD_ID_NAME || hdr.size > bytes)
			return -EINVAL;
		hdr.type = PD_RECORD_BUILD_ID;
		err = bytes_add(b, &hdr, sizeof(hdr));
		if (!err)
			err = bytes_add(b, data + sizeof(hdr), hdr.size - sizeof(hdr));
		if (err)
			return err;
		data += hdr.size;
		bytes -= hdr.size;
	}
	return 0;
}

static int pipe_feature(struct pd_writer *w, __u64 f, const void *data, size_t bytes)
{
	struct bytes b = {0};
	int err;

	if (w->err)
		return w->err;
	if (f == PD_FEAT_BUILD_ID) {
		err = add_build_id_records(&b, data, bytes);
	} else {
		err = bytes > PD_RECORD_PUT_MAX
			      ? -EINVAL
			      : add_header(&b, PD_RECORD_HEADER_FEATURE, pd_align8(16 + bytes));
		if (err == -EMSGSIZE)
			err = -EINVAL;
		if (!err)
			err = bytes_add(&b, &f, sizeof(f));
		if (!err)
			err = bytes_add(&b, data, bytes);
		if (!err)
			err = bytes_pad(&b);
	}
	if (err) {
		fail(w, err, "make a feature record");
	} else if (b.cnt) {
		err = w->err = write_all(w->fd, b.p, b.cnt, -1);
		if (err)
			fail(w, err, "write");
	}
	free(b.p);
	return err;
}

int pd_writer__feature(struct pd_writer *w, enum pd_feature f, const void *data, size_t bytes)
{
	struct feat *feat;
	void *copy;

	/* Bits that perf 6.1 doesn't know make its inject crash. */
	if (f < PD_FEAT_TRACING_DATA || f > PD_FEAT_PMU_CAPS)
		return fail(w, -EINVAL, "add a feature");
	if (w->pipe)
		return pipe_feature(w, f, data, bytes);
	copy = malloc(bytes ? bytes : 1);
	if (!copy)
		return fail(w, -ENOMEM, "add a feature");
	if (bytes)
		memcpy(copy, data, bytes);
	feat = &w->feats[f];
	free(feat->data);
	*feat = (struct feat){copy, bytes, true};
	return 0;
}

int pd_writer__blob(struct pd_writer *w, enum pd_blob_type type, __u32 version, const void *data,
		    size_t bytes)
{
	const struct pd_chunk chunk = {type, version, bytes};
	size_t padded = pd_align8(bytes);
	unsigned char *p;

	if (w->pipe)
		return 0;
	if (padded < bytes || padded > SIZE_MAX - w->blob_bytes - sizeof(chunk))
		return fail(w, -ENOMEM, "add to the private data");
	p = realloc(w->blob, w->blob_bytes + sizeof(chunk) + padded);
	if (!p)
		return fail(w, -ENOMEM, "add to the private data");
	w->blob = p;
	p += w->blob_bytes;
	memcpy(p, &chunk, sizeof(chunk));
	if (bytes)
		memcpy(p + sizeof(chunk), data, bytes);
	memset(p + sizeof(chunk) + bytes, 0, padded - bytes);
	w->blob_bytes += sizeof(chunk) + padded;
	return 0;
}

/* ---- finish -------------------------------------------------------------------------- */

/* The table, the sections and the blob, and where they will be, in *header. */
static int meta_build(const struct pd_writer *w, bool with_blob, struct pd_file_header *header,
		      struct bytes *b)
{
	const size_t feat_cnt = sizeof(w->feats) / sizeof(w->feats[0]);
	__u64 start = header->data.offset + w->data_bytes;
	size_t cnt = 0, nth = 0;
	int err;

	for (size_t i = 0; i < feat_cnt; i++)
		cnt += w->feats[i].set;
	err = bytes_add(b, NULL, cnt * sizeof(struct pd_section));
	for (size_t i = 0; !err && i < feat_cnt; i++) {
		const struct pd_section s = {start + b->cnt, w->feats[i].bytes};

		if (!w->feats[i].set)
			continue;
		memcpy(b->p + nth++ * sizeof(s), &s, sizeof(s));
		header->flags[i / 64] |= 1ULL << (i % 64);
		err = bytes_add(b, w->feats[i].data, w->feats[i].bytes);
		if (!err)
			err = bytes_pad(b);
	}
	if (!err && with_blob && w->blob_bytes) {
		header->event_types = (struct pd_section){start + b->cnt, w->blob_bytes};
		err = bytes_add(b, w->blob, w->blob_bytes);
	}
	return err;
}

static int meta_write(struct pd_writer *w, bool with_blob)
{
	struct pd_file_header header = w->header;
	struct bytes b = {0};
	__u64 start = header.data.offset + w->data_bytes;
	int err;

	header.data.bytes = w->data_bytes;
	err = meta_build(w, with_blob, &header, &b);
	if (!err)
		err = write_all(w->fd, b.p, b.cnt, (__s64)start);
	if (!err)
		err = write_all(w->fd, &header, sizeof(header), 0);
	if (err && ftruncate(w->fd, (off_t)start)) {
		/* No feature bit is set: what could not be cut is never looked at. */
	}
	free(b.p);
	return err;
}

/* @return whether there was one to drop */
static bool drop_largest_feature(struct pd_writer *w)
{
	struct feat *largest = NULL;

	for (size_t i = 0; i < sizeof(w->feats) / sizeof(w->feats[0]); i++) {
		if (w->feats[i].set && (!largest || w->feats[i].bytes > largest->bytes))
			largest = &w->feats[i];
	}
	if (!largest)
		return false;
	largest->set = false;
	return true;
}

int pd_writer__finish(struct pd_writer *w)
{
	bool with_blob = true;
	int err;

	if (w->pipe || w->finished || w->fd < 0 || !w->header.size)
		return w->err;
	w->finished = true;
	while ((err = meta_write(w, with_blob))) {
		if (!w->err) {
			w->err = err;
			fail(w, err, "write the feature sections");
		}
		if (with_blob)
			with_blob = false;
		else if (!drop_largest_feature(w))
			break;
	}
	unreserve(w);
	return w->err;
}

const char *pd_writer__errmsg(const struct pd_writer *w)
{
	return w->errmsg;
}

void pd_writer__close(struct pd_writer *w)
{
	if (!w)
		return;
	/* Abandoned: leave what was appended readable. */
	if (!w->pipe && w->fd >= 0 && !w->finished && w->header.data.bytes != w->data_bytes)
		write_data_size(w);
	unreserve(w);
	for (size_t i = 0; i < sizeof(w->feats) / sizeof(w->feats[0]); i++)
		free(w->feats[i].data);
	free(w->blob);
	if (w->own_fd)
		close(w->fd);
	free(w);
}
