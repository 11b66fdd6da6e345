/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * stream.c - the two windows that a reader looks through: over a file or a pipe, and over the
 * contents of COMPRESSED records. Both hold a few records and no more, whatever the input claims.
 * Files are read, not mapped: one that is cut while it is mapped kills who looks at it.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "perfdata/internal.h"

#define WINDOW_BYTES (256 * 1024)

int pd_stream_init(struct pd_stream *s, int fd)
{
	unsigned char *buf = s->borrowed || !s->buf ? malloc(WINDOW_BYTES) : s->buf;

	*s = (struct pd_stream){.fd = fd, .buf = buf};
	return s->buf ? 0 : -ENOMEM;
}

int pd_stream_init_file(struct pd_stream *s, int fd, __u64 offset, __u64 bytes)
{
	int err = pd_stream_init(s, fd);

	s->seekable = true;
	s->offset = s->pos = offset;
	s->limit = offset + bytes;
	return err;
}

void pd_stream_init_memory(struct pd_stream *s, unsigned char *data, size_t offset, size_t bytes)
{
	pd_stream_free(s);
	*s = (struct pd_stream){.fd = -1,
				.buf = data,
				.borrowed = true,
				.begin = offset,
				.end = offset + bytes,
				.offset = offset,
				.eof = true};
}

void pd_stream_free(struct pd_stream *s)
{
	if (!s->borrowed)
		free(s->buf);
	s->buf = NULL;
}

static ssize_t read_some(struct pd_stream *s, void *buf, size_t bytes)
{
	ssize_t n;

	if (s->seekable && bytes > s->limit - s->pos)
		bytes = (size_t)(s->limit - s->pos);
	do
		n = s->seekable ? pread(s->fd, buf, bytes, (off_t)s->pos) : read(s->fd, buf, bytes);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		s->pos += (size_t)n;
	return n < 0 ? -errno : n;
}

int pd_stream_want(struct pd_stream *s, size_t n)
{
	while (s->end - s->begin < n) {
		ssize_t got;

		if (s->eof)
			return 0;
		if (s->begin) {
			memmove(s->buf, s->buf + s->begin, s->end - s->begin);
			s->end -= s->begin;
			s->begin = 0;
		}
		got = read_some(s, s->buf + s->end, WINDOW_BYTES - s->end);
		if (got < 0)
			return (int)got;
		s->eof = !got;
		s->end += (size_t)got;
	}
	return 1;
}

void pd_stream_consume(struct pd_stream *s, size_t n)
{
	s->begin += n;
	s->offset += n;
}

int pd_stream_skip(struct pd_stream *s, __u64 n)
{
	while (n) {
		size_t step = s->end - s->begin;
		int err;

		if (!step && s->seekable && n <= s->limit - s->pos) {
			s->pos += n;
			s->offset += n;
			return 1;
		}
		if (!step) {
			err = pd_stream_want(s, 1);
			if (err <= 0)
				return err;
			continue;
		}
		if (step > n)
			step = (size_t)n;
		pd_stream_consume(s, step);
		n -= step;
	}
	return 1;
}

int pd_stream_copy(struct pd_stream *s, size_t n, unsigned char **out)
{
	size_t cnt = 0, cap = n < WINDOW_BYTES ? n : WINDOW_BYTES;

	*out = malloc(cap ? cap : 1);
	while (*out && cnt < n) {
		size_t step = s->end - s->begin;
		int err;

		if (!step) {
			err = pd_stream_want(s, 1);
			if (err <= 0)
				return err;
			continue;
		}
		if (cnt == cap) {
			unsigned char *more = realloc(*out, n - cap < cap ? n : 2 * cap);

			if (!more)
				return -ENOMEM;
			*out = more;
			cap = n - cap < cap ? n : 2 * cap;
		}
		if (step > cap - cnt)
			step = cap - cnt;
		memcpy(*out + cnt, s->buf + s->begin, step);
		pd_stream_consume(s, step);
		cnt += step;
	}
	return *out ? 1 : -ENOMEM;
}

int pd_stream_slurp(struct pd_stream *s, unsigned char **out, size_t *bytes)
{
	size_t cnt = s->end - s->begin, cap = WINDOW_BYTES;
	unsigned char *p = malloc(cap);
	ssize_t got = 1;

	if (!p)
		return -ENOMEM;
	memcpy(p, s->buf + s->begin, cnt);
	while (got > 0) {
		if (cnt == cap) {
			unsigned char *more = realloc(p, 2 * cap);

			if (!more) {
				free(p);
				return -ENOMEM;
			}
			p = more;
			cap *= 2;
		}
		got = read_some(s, p + cnt, cap - cnt);
		if (got > 0)
			cnt += (size_t)got;
	}
	if (got < 0) {
		free(p);
		return (int)got;
	}
	*out = p;
	*bytes = cnt;
	return 0;
}

/* ---- COMPRESSED ---------------------------------------------------------------------- */

struct pd_unzip {
	ZSTD_DStream *zstd;
	ZSTD_inBuffer in;
	unsigned char *buf;
	size_t begin, end;
	bool more; /* zstd may hold back output that did not fit */
};

int pd_unzip_new(struct pd_unzip **out)
{
	struct pd_unzip *u = calloc(1, sizeof(*u));

	*out = u;
	if (!u)
		return -ENOMEM;
	u->zstd = ZSTD_createDStream();
	u->buf = malloc(WINDOW_BYTES);
	if (u->zstd && u->buf)
		return 0;
	pd_unzip_free(u);
	*out = NULL;
	return -ENOMEM;
}

void pd_unzip_free(struct pd_unzip *u)
{
	if (!u)
		return;
	ZSTD_freeDStream(u->zstd);
	free(u->buf);
	free(u);
}

void pd_unzip_feed(struct pd_unzip *u, const void *data, size_t bytes)
{
	u->in = (ZSTD_inBuffer){data, bytes, 0};
}

int pd_unzip_want(struct pd_unzip *u, size_t n, const unsigned char **p)
{
	while (u->end - u->begin < n) {
		ZSTD_outBuffer out;
		size_t rc, before = u->in.pos;

		if (u->in.pos == u->in.size && !u->more)
			return 0;
		if (u->begin) {
			memmove(u->buf, u->buf + u->begin, u->end - u->begin);
			u->end -= u->begin;
			u->begin = 0;
		}
		out = (ZSTD_outBuffer){u->buf, WINDOW_BYTES, u->end};
		rc = ZSTD_decompressStream(u->zstd, &out, &u->in);
		if (ZSTD_isError(rc))
			return -EBADMSG;
		u->more = out.pos == out.size && rc;
		if (out.pos == u->end && u->in.pos == before)
			return u->in.pos == u->in.size ? 0 : -EBADMSG;
		u->end = out.pos;
	}
	*p = u->buf + u->begin;
	return 1;
}

void pd_unzip_consume(struct pd_unzip *u, size_t n)
{
	u->begin += n;
}

size_t pd_unzip_left(const struct pd_unzip *u)
{
	return u->end - u->begin;
}
