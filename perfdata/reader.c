/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * reader.c - open a perf.data of either layout and walk its records. A seekable file is mapped;
 * a stream is read through a window; COMPRESSED records are replaced by what they hold. What the
 * header and the feature sections say is read in meta.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perfdata/internal.h"

#define TRACING_MAX_BYTES (64 * 1024 * 1024) /* of TRACING_DATA kept from a stream */

int pd_reader_fail(struct pd_reader *r, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->errmsg, sizeof(r->errmsg), fmt, args);
	va_end(args);
	return err;
}

static int fail_errno(struct pd_reader *r, int err, const char *verb)
{
	errno = -err;
	return pd_reader_fail(r, err, "failed to %s: %m", verb);
}

static int fail_at(struct pd_reader *r, int err, __u64 offset, const struct perf_event_header *hdr,
		   const char *reason)
{
	char name[24];

	return pd_reader_fail(r, err, "offset %llu: %s: %s", (unsigned long long)offset,
			      hdr ? pd_record_name(hdr->type, name) : "record", reason);
}

/* ---- open ---------------------------------------------------------------------------- */

/* What the first 16 bytes tell. @return 0, -EBADMSG, -EOPNOTSUPP */
static int check_magic(struct pd_reader *r, const unsigned char *p, size_t bytes)
{
	__u64 magic = bytes >= 8 ? pd_get64(p, false) : 0, size;

	if (!bytes)
		return pd_reader_fail(r, -EBADMSG, "not perf.data: the file is empty");
	if (magic == PD_MAGIC_V1 || magic == __builtin_bswap64(PD_MAGIC_V1))
		return pd_reader_fail(r, -EOPNOTSUPP,
				      "perf.data version 1 (before Linux 2.6.34) is not supported");
	r->swap = magic == __builtin_bswap64(PD_MAGIC);
	if (magic != PD_MAGIC && !r->swap)
		return pd_reader_fail(r, -EBADMSG, "not perf.data: no PERFILE2 at its beginning");
	if (bytes < PD_PIPE_HEADER_BYTES)
		return pd_reader_fail(r, -EBADMSG, "offset 8: the header is cut off");
	size = pd_get64(p + 8, r->swap);
	r->pipe = size == PD_PIPE_HEADER_BYTES;
	if (!r->pipe && size != PD_HEADER_BYTES && size != offsetof(struct pd_file_header, flags))
		return pd_reader_fail(r, -EBADMSG, "offset 8: unknown header size %llu",
				      (unsigned long long)size);
	return 0;
}

/* A stream turns out to be a file that can't be mapped: hold it in memory. */
static int slurp(struct pd_reader *r)
{
	int err = pd_stream_slurp(&r->stream, &r->file_heap, &r->file_bytes);

	if (err)
		return fail_errno(r, err, "read");
	r->file = r->file_heap;
	pd_stream_free(&r->stream);
	return 0;
}

static int open_stream(struct pd_reader *r)
{
	int err = pd_stream_init(&r->stream, r->fd);
	size_t bytes;

	if (err)
		return err;
	err = pd_stream_want(&r->stream, PD_PIPE_HEADER_BYTES);
	if (err < 0)
		return fail_errno(r, err, "read");
	bytes = r->stream.end - r->stream.begin;
	err = check_magic(r, r->stream.buf, bytes);
	if (err)
		return err;
	if (!r->pipe)
		return slurp(r);
	pd_stream_consume(&r->stream, PD_PIPE_HEADER_BYTES);
	return 0;
}

static int open_mapped(struct pd_reader *r, size_t bytes)
{
	int err;

	r->map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, r->fd, 0);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return open_stream(r);
	}
	r->file = r->map;
	r->file_bytes = bytes;
	err = check_magic(r, r->file, bytes);
	if (err || !r->pipe) {
		madvise(r->map, bytes, MADV_SEQUENTIAL);
		return err;
	}
	munmap(r->map, bytes);
	r->map = NULL;
	r->file = NULL;
	r->file_bytes = 0;
	return open_stream(r);
}

static int open_input(struct pd_reader *r, const char *path)
{
	struct stat st;

	r->own_fd = strcmp(path, "-");
	r->fd = r->own_fd ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
	if (r->fd < 0 || fstat(r->fd, &st))
		return fail_errno(r, -errno, "open");
	if (S_ISDIR(st.st_mode))
		return fail_errno(r, -EISDIR, "open");
	if (S_ISREG(st.st_mode) && st.st_size > 0 && !lseek(r->fd, 0, SEEK_CUR))
		return open_mapped(r, (size_t)st.st_size);
	return open_stream(r);
}

int pd_reader__open(const char *path, struct pd_reader **out)
{
	struct pd_reader *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	*out = r;
	if (!r)
		return -ENOMEM;
	r->fd = -1;
	if (pd_events__new(&r->events))
		goto out;
	err = open_input(r, path);
	if (!err && !r->pipe)
		err = pd_reader_load_meta(r);
	r->pos = r->data.offset;
	r->open_err = r->err = err;
out:
	if (err == -ENOMEM) {
		pd_reader__close(r);
		*out = NULL;
	}
	return err;
}

void pd_reader__close(struct pd_reader *r)
{
	if (!r)
		return;
	if (r->map)
		munmap(r->map, r->file_bytes);
	if (r->own_fd && r->fd >= 0)
		close(r->fd);
	for (size_t i = 0; i < PD_FEATURE_BITS; i++)
		free(r->feat_heap[i]);
	pd_stream_free(&r->stream);
	pd_unzip_free(r->unzip);
	pd_events__free(r->events);
	free(r->file_heap);
	free(r->scratch);
	free(r->build_ids);
	free(r);
}

/* ---- records ------------------------------------------------------------------------- */

static struct perf_event_header header_at(const unsigned char *p, bool swap)
{
	struct perf_event_header hdr;

	memcpy(&hdr, p, sizeof(hdr));
	if (swap) {
		hdr.type = __builtin_bswap32(hdr.type);
		hdr.misc = __builtin_bswap16(hdr.misc);
		hdr.size = __builtin_bswap16(hdr.size);
	}
	return hdr;
}

/* Native and aligned: as it lies there, or else a copy. */
static int present(struct pd_reader *r, const unsigned char *p,
		   const struct perf_event_header *native, const struct perf_event_header **out)
{
	if (!r->swap && !((uintptr_t)p & 7)) {
		*out = (const struct perf_event_header *)p;
		return 1;
	}
	if (!r->scratch)
		r->scratch = malloc(PD_RECORD_MAX_BYTES + 1);
	if (!r->scratch)
		return -ENOMEM;
	memcpy(r->scratch, p, native->size);
	memcpy(r->scratch, native, sizeof(*native));
	if (r->swap)
		pd_swap_record(r->events, (struct perf_event_header *)r->scratch);
	*out = (const struct perf_event_header *)r->scratch;
	return 1;
}

/* Bytes behind a record that belong to it, but not to its 16-bit size. */
static int payload_bytes(struct pd_reader *r, const struct perf_event_header *hdr, __u64 offset,
			 __u64 *bytes)
{
	const unsigned char *body = (const unsigned char *)(hdr + 1);

	*bytes = 0;
	if (hdr->type == PD_RECORD_AUXTRACE) {
		if (hdr->size < 16)
			return fail_at(r, -EBADMSG, offset, hdr, "too short");
		*bytes = pd_get64(body, false);
	} else if (hdr->type == PD_RECORD_TRACING_DATA) {
		if (hdr->size < 12)
			return fail_at(r, -EBADMSG, offset, hdr, "too short");
		*bytes = pd_align8(pd_get32(body, false));
	}
	return 0;
}

/* Nothing but zeros is what a crash leaves of blocks that were never written. */
static bool only_zeros(const unsigned char *p, size_t bytes)
{
	return bytes && !p[0] && !memcmp(p, p + 1, bytes - 1);
}

static int end_of_file(struct pd_reader *r)
{
	__u64 end = r->data.offset + r->data.bytes;

	if (!r->cut)
		return 0;
	return fail_at(r, -ENODATA, end, NULL, "the file ends before its data do");
}

static int next_in_file(struct pd_reader *r, const struct perf_event_header **out, __u64 *offset)
{
	__u64 end = r->data.offset + r->data.bytes, left = end - r->pos, skip;
	const unsigned char *p = r->file + r->pos;
	struct perf_event_header hdr;
	int rc;

	*offset = r->pos;
	if (!left)
		return end_of_file(r);
	if ((r->unfinished || r->cut) && only_zeros(p, left))
		return end_of_file(r);
	if (left < sizeof(hdr))
		return fail_at(r, -ENODATA, r->pos, NULL, "the data end inside a record");
	hdr = header_at(p, r->swap);
	if (hdr.size < sizeof(hdr))
		return fail_at(r, -EBADMSG, r->pos, &hdr, "its size is less than its header's");
	if (hdr.size > left)
		return fail_at(r, -ENODATA, r->pos, &hdr, "the data end inside the record");
	rc = present(r, p, &hdr, out);
	if (rc < 0)
		return rc;
	rc = payload_bytes(r, *out, r->pos, &skip);
	if (rc)
		return rc;
	if (skip > left - hdr.size)
		return fail_at(r, -ENODATA, r->pos, &hdr, "the data end inside its payload");
	r->pos += hdr.size + skip;
	return 1;
}

/* Take the payload of a TRACING_DATA record, just returned as *out, out of the stream: it is
 * a feature section in the other layout. The first is kept. */
static int take_tracing_data(struct pd_reader *r, const struct perf_event_header **out)
{
	struct pd_feat *feat = &r->feats[PD_FEAT_TRACING_DATA];
	void **heap = &r->feat_heap[PD_FEAT_TRACING_DATA];
	size_t bytes = (size_t)r->pending_skip;
	unsigned char *data;
	int rc;

	if (feat->data || bytes > TRACING_MAX_BYTES)
		return 1;
	/* what follows moves the window */
	if (!r->scratch)
		r->scratch = malloc(PD_RECORD_MAX_BYTES + 1);
	if (!r->scratch)
		return -ENOMEM;
	if (*out != (const struct perf_event_header *)r->scratch)
		memcpy(r->scratch, *out, (*out)->size);
	*out = (const struct perf_event_header *)r->scratch;
	pd_stream_consume(&r->stream, r->pending_bytes);
	r->pending_bytes = 0;
	r->pending_skip = 0;
	rc = pd_stream_copy(&r->stream, bytes, &data);
	free(*heap);
	*heap = data;
	if (rc > 0)
		*feat = (struct pd_feat){data, bytes, 0};
	else if (!rc)
		return fail_at(r, -ENODATA, r->stream.offset, *out,
			       "the stream ends inside its payload");
	return rc < 0 ? fail_errno(r, rc, "read") : rc;
}

static int next_in_stream(struct pd_reader *r, const struct perf_event_header **out, __u64 *offset)
{
	struct pd_stream *s = &r->stream;
	struct perf_event_header hdr;
	__u64 skip = r->pending_skip;
	int rc;

	pd_stream_consume(s, r->pending_bytes);
	r->pending_bytes = 0;
	r->pending_skip = 0;
	rc = pd_stream_skip(s, skip);
	*offset = s->offset;
	if (rc == 0)
		return fail_at(r, -ENODATA, s->offset, NULL, "the stream ends inside a payload");
	if (rc > 0)
		rc = pd_stream_want(s, sizeof(hdr));
	if (rc < 0)
		return fail_errno(r, rc, "read");
	if (!rc && s->begin == s->end)
		return 0;
	if (!rc)
		return fail_at(r, -ENODATA, s->offset, NULL, "the stream ends inside a record");
	hdr = header_at(s->buf + s->begin, r->swap);
	if (hdr.size < sizeof(hdr))
		return fail_at(r, -EBADMSG, s->offset, &hdr, "its size is less than its header's");
	rc = pd_stream_want(s, hdr.size);
	if (rc < 0)
		return fail_errno(r, rc, "read");
	if (!rc)
		return fail_at(r, -ENODATA, s->offset, &hdr, "the stream ends inside the record");
	rc = present(r, s->buf + s->begin, &hdr, out);
	if (rc < 0)
		return rc;
	r->pending_bytes = hdr.size;
	rc = payload_bytes(r, *out, s->offset, &r->pending_skip);
	if (!rc && hdr.type == PD_RECORD_TRACING_DATA)
		return take_tracing_data(r, out);
	return rc ? rc : 1;
}

/* The next record inside COMPRESSED ones. @return 1, 0 none is whole, -errno */
static int next_unzipped(struct pd_reader *r, const struct perf_event_header **out)
{
	struct perf_event_header hdr;
	const unsigned char *p;
	int rc = pd_unzip_want(r->unzip, sizeof(hdr), &p);

	if (rc > 0) {
		hdr = header_at(p, r->swap);
		if (hdr.size < sizeof(hdr))
			return fail_at(r, -EBADMSG, r->unzip_offset, &hdr,
				       "compressed: its size is less than its header's");
		rc = pd_unzip_want(r->unzip, hdr.size, &p);
	}
	if (rc < 0)
		return pd_reader_fail(r, rc, "offset %llu: COMPRESSED: failed to decompress",
				      (unsigned long long)r->unzip_offset);
	if (!rc)
		return 0;
	if (hdr.type == PD_RECORD_AUXTRACE || hdr.type == PD_RECORD_TRACING_DATA ||
	    hdr.type == PD_RECORD_COMPRESSED || hdr.type == PD_RECORD_COMPRESSED2)
		return fail_at(r, -EBADMSG, r->unzip_offset, &hdr, "inside a COMPRESSED record");
	rc = present(r, p, &hdr, out);
	if (rc > 0)
		pd_unzip_consume(r->unzip, hdr.size);
	return rc;
}

static int feed(struct pd_reader *r, const struct perf_event_header *hdr, __u64 offset)
{
	const unsigned char *data = (const unsigned char *)(hdr + 1);
	size_t bytes = hdr->size - sizeof(*hdr);

	if (!r->unzip && pd_unzip_new(&r->unzip))
		return -ENOMEM;
	if (hdr->type == PD_RECORD_COMPRESSED2) {
		if (bytes < 8 || pd_get64(data, false) > bytes - 8)
			return fail_at(r, -EBADMSG, offset, hdr, "its data do not fit");
		bytes = (size_t)pd_get64(data, false);
		data += 8;
	}
	r->unzip_offset = offset;
	pd_unzip_feed(r->unzip, data, bytes);
	return 0;
}

static int next_record(struct pd_reader *r, const struct perf_event_header **hdr, __u64 *offset)
{
	int rc;

	for (;;) {
		if (r->unzip) {
			*offset = r->unzip_offset;
			rc = next_unzipped(r, hdr);
			if (rc)
				return rc;
		}
		rc = r->pipe ? next_in_stream(r, hdr, offset) : next_in_file(r, hdr, offset);
		if (!rc && r->unzip && pd_unzip_left(r->unzip))
			return fail_at(r, -ENODATA, r->unzip_offset, NULL,
				       "the compressed data end inside a record");
		if (rc <= 0)
			return rc;
		if ((*hdr)->type != PD_RECORD_COMPRESSED && (*hdr)->type != PD_RECORD_COMPRESSED2)
			return 1;
		rc = feed(r, *hdr, *offset);
		if (rc)
			return rc;
	}
}

int pd_reader__next(struct pd_reader *r, const struct perf_event_header **hdr, __u64 *offset)
{
	__u64 at = 0;
	int rc;

	if (r->err)
		return r->err;
	rc = next_record(r, hdr, &at);
	if (offset)
		*offset = at;
	if (rc > 0 && ((*hdr)->type == PD_RECORD_EVENT_UPDATE || r->pipe) &&
	    (*hdr)->type >= PD_RECORD_HEADER_ATTR) {
		int err = pd_reader_intake(r, *hdr);

		if (err == -EBADMSG)
			fail_at(r, err, at, *hdr, "malformed");
		if (err)
			rc = err;
	}
	if (rc < 0) {
		if (rc == -ENOMEM)
			fail_errno(r, rc, "read");
		r->err = rc;
	}
	return rc;
}

int pd_reader__rewind(struct pd_reader *r)
{
	if (r->open_err)
		return r->open_err;
	if (r->pipe)
		return -ESPIPE;
	r->pos = r->data.offset;
	r->err = 0;
	r->errmsg[0] = '\0';
	pd_unzip_free(r->unzip);
	r->unzip = NULL;
	return 0;
}

struct pd_events *pd_reader__events(struct pd_reader *r)
{
	return r->events;
}

bool pd_reader__is_pipe(const struct pd_reader *r)
{
	return r->pipe;
}

bool pd_reader__is_unfinished(const struct pd_reader *r)
{
	return r->unfinished;
}

const char *pd_reader__errmsg(const struct pd_reader *r)
{
	return r->errmsg;
}
