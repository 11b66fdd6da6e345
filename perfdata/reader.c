/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * reader.c - open a perf.data of either layout and walk its records through a window; COMPRESSED
 * records are replaced by what they hold. What the header and the feature sections say is read in
 * meta.c, where the bytes come from is known in source.c, ways around damage are in resync.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdlib.h>

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
	char name[24], part[24];

	pd_source_part_name(&r->src, part);
	return pd_reader_fail(r, err, "%s%soffset %llu: %s: %s", part, *part ? ": " : "",
			      (unsigned long long)offset,
			      hdr ? pd_record_name(hdr->type, name) : "record", reason);
}

/* ---- open ---------------------------------------------------------------------------- */

/* Sizes that a header has had. A version 1 file says its byte order by that alone. */
static bool header_size_known(__u64 size)
{
	return size == PD_HEADER_BYTES || size == PD_PIPE_HEADER_BYTES ||
	       size == offsetof(struct pd_file_header, flags);
}

/* What the first 16 bytes tell. @return 0, -EBADMSG */
static int check_magic(struct pd_reader *r, const unsigned char *p, size_t bytes)
{
	__u64 magic = bytes >= 8 ? pd_get64(p, false) : 0, size;

	if (!bytes)
		return pd_reader_fail(r, -EBADMSG, "not perf.data: the file is empty");
	r->swap = magic == __builtin_bswap64(PD_MAGIC);
	if (magic != PD_MAGIC && magic != PD_MAGIC_V1 && !r->swap)
		return pd_reader_fail(r, -EBADMSG, "not perf.data: no PERFILE2 at its beginning");
	if (bytes < PD_PIPE_HEADER_BYTES)
		return pd_reader_fail(r, -EBADMSG, "offset 8: the header is cut off");
	if (magic == PD_MAGIC_V1)
		r->swap = !header_size_known(pd_get64(p + 8, false));
	size = pd_get64(p + 8, r->swap);
	r->pipe = size == PD_PIPE_HEADER_BYTES;
	if (!header_size_known(size))
		return pd_reader_fail(r, -EBADMSG, "offset 8: unknown header size %llu",
				      (unsigned long long)size);
	return 0;
}

/* A stream turns out to be a file that can't be read twice: hold it in memory. */
static int slurp(struct pd_reader *r)
{
	size_t bytes;
	int err = pd_stream_slurp(&r->stream, &r->src.heap, &bytes);

	if (err)
		return fail_errno(r, err, "read");
	r->src.bytes = bytes;
	return 0;
}

static int open_stream(struct pd_reader *r)
{
	int err = r->src.seekable ? pd_stream_init_file(&r->stream, r->src.fd, 0, r->src.bytes)
				  : pd_stream_init(&r->stream, r->src.fd);
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

static int open_file(struct pd_reader *r)
{
	unsigned char first[PD_PIPE_HEADER_BYTES];
	size_t bytes = r->src.bytes < sizeof(first) ? (size_t)r->src.bytes : sizeof(first);
	int err = pd_source_read(&r->src, 0, first, bytes);

	if (err)
		return fail_errno(r, err, "read");
	err = check_magic(r, first, bytes);
	return !err && r->pipe ? open_stream(r) : err;
}

/* Walk the records of a part, or of the file with the header: 0. */
static int start_part(struct pd_reader *r, size_t part)
{
	int err = pd_source_part(&r->src, part, &r->data, &r->stream);

	pd_unzip_free(r->unzip);
	r->unzip = NULL;
	r->pending_bytes = 0;
	r->pending_skip = 0;
	return err && err != -ENOMEM ? fail_errno(r, err, "open") : err;
}

static int open_source(struct pd_reader *r, const char *path)
{
	int err = pd_source_open(&r->src, path);

	if (err == -ELOOP)
		return pd_reader_fail(r, err, "failed to open: a link in place of a data file");
	if (err)
		return fail_errno(r, err, "open");
	err = r->src.seekable ? open_file(r) : open_stream(r);
	if (err || r->pipe)
		return err;
	err = pd_reader_load_meta(r);
	return err ? err : start_part(r, 0);
}

int pd_reader__open(const char *path, struct pd_reader **out)
{
	struct pd_reader *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	*out = r;
	if (!r)
		return -ENOMEM;
	r->src = (struct pd_source){.fd = -1, .dir_fd = -1, .part_fd = -1};
	if (pd_events__new(&r->events))
		goto out;
	err = open_source(r, path);
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
	for (size_t i = 0; i < PD_FEATURE_BITS; i++)
		free(r->feats[i].data);
	pd_stream_free(&r->stream);
	pd_source_close(&r->src);
	pd_unzip_free(r->unzip);
	pd_events__free(r->events);
	free(r->blob_heap);
	free(r->scratch);
	free(r->build_ids);
	free(r);
}

/* ---- records ------------------------------------------------------------------------- */

struct perf_event_header pd_header_at(const unsigned char *p, bool swap)
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

int pd_reader_present(struct pd_reader *r, const unsigned char *p,
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

/* Nothing but zeros is what a crash leaves of blocks that were never written.
 * @return 1 there is nothing else up to the end, 0, -errno */
static int only_zeros(struct pd_stream *s)
{
	static const unsigned char zeros[4096];
	int rc;

	while ((rc = pd_stream_want(s, 1)) > 0) {
		size_t cnt = s->end - s->begin;

		cnt = cnt < sizeof(zeros) ? cnt : sizeof(zeros);
		if (memcmp(s->buf + s->begin, zeros, cnt))
			return 0;
		pd_stream_consume(s, cnt);
	}
	return rc ? rc : 1;
}

static const char *ends_inside(const struct pd_reader *r, const char *of_data,
			       const char *of_stream)
{
	return r->pipe ? of_stream : of_data;
}

/* The window has no more records. */
static int end_of_window(struct pd_reader *r)
{
	const struct pd_stream *s = &r->stream;

	if ((r->cut && !r->src.part) || (s->seekable && s->pos < s->limit))
		return fail_at(r, -ENODATA, s->offset, NULL, "the file ends before its data do");
	return 0;
}

/* Less than a header is left, or a header of zeros. @return 0 the end, 1 a record, -errno */
static int check_end(struct pd_reader *r, int rc)
{
	struct pd_stream *s = &r->stream;
	__u64 offset = s->offset;
	size_t left = s->end - s->begin;

	if (rc < 0)
		return fail_errno(r, rc, "read");
	if (!rc && !left)
		return end_of_window(r);
	if ((r->unfinished || r->cut) && !s->buf[s->begin] &&
	    (left < sizeof(struct perf_event_header) || !pd_get64(s->buf + s->begin, false))) {
		int zeros = only_zeros(s);

		if (zeros < 0)
			return fail_errno(r, zeros, "read");
		if (zeros)
			return end_of_window(r);
		if (rc)
			return fail_at(r, -EBADMSG, offset, NULL, "zeros, and more behind them");
	}
	if (!rc)
		return fail_at(r, -ENODATA, offset, NULL,
			       ends_inside(r, "the data end inside a record",
					   "the stream ends inside a record"));
	return 1;
}

/* Take the payload of a TRACING_DATA record, just returned as *out, out of the stream: it is
 * a feature section in the other layout. The first is kept. */
static int take_tracing_data(struct pd_reader *r, const struct perf_event_header **out)
{
	struct pd_feat *feat = &r->feats[PD_FEAT_TRACING_DATA];
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
	if (rc > 0) {
		feat->data = data;
		feat->bytes = bytes;
		return 1;
	}
	free(data);
	if (!rc)
		return fail_at(r, -ENODATA, r->stream.offset, *out,
			       "the stream ends inside its payload");
	return fail_errno(r, rc, "read");
}

static int next_in_window(struct pd_reader *r, const struct perf_event_header **out, __u64 *offset)
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
		return fail_at(r, -ENODATA, s->offset, NULL,
			       ends_inside(r, "the data end inside a payload",
					   "the stream ends inside a payload"));
	rc = check_end(r, rc < 0 ? rc : pd_stream_want(s, sizeof(hdr)));
	if (rc <= 0)
		return rc;
	hdr = pd_header_at(s->buf + s->begin, r->swap);
	if (hdr.size < sizeof(hdr))
		return fail_at(r, -EBADMSG, s->offset, &hdr, "its size is less than its header's");
	rc = pd_stream_want(s, hdr.size);
	if (rc < 0)
		return fail_errno(r, rc, "read");
	if (!rc)
		return fail_at(r, -ENODATA, s->offset, &hdr,
			       ends_inside(r, "the data end inside the record",
					   "the stream ends inside the record"));
	rc = pd_reader_present(r, s->buf + s->begin, &hdr, out);
	if (rc < 0)
		return rc;
	if (r->wary && !pd_record_plausible(r->events, *out))
		return fail_at(r, -EBADMSG, s->offset, &hdr, "unknown or malformed");
	r->pending_bytes = hdr.size;
	rc = payload_bytes(r, *out, s->offset, &r->pending_skip);
	if (rc)
		return rc;
	if (s->seekable && r->pending_skip > s->limit - s->offset - hdr.size)
		return fail_at(r, -ENODATA, s->offset, &hdr, "the data end inside its payload");
	if (r->pipe && hdr.type == PD_RECORD_TRACING_DATA)
		return take_tracing_data(r, out);
	return 1;
}

/* The next record of any part. A part that is cut short does not keep the others away. */
static int next_in_parts(struct pd_reader *r, const struct perf_event_header **out, __u64 *offset)
{
	for (;;) {
		int rc = next_in_window(r, out, offset), err;

		if (!rc && r->unzip && pd_unzip_left(r->unzip))
			rc = fail_at(r, -ENODATA, r->unzip_offset, NULL,
				     "the compressed data end inside a record");
		if (rc == -ENODATA && !r->late_err) {
			r->late_err = rc;
			memcpy(r->late_errmsg, r->errmsg, sizeof(r->late_errmsg));
		}
		if (rc && rc != -ENODATA)
			return rc;
		if (r->src.part >= r->src.part_cnt) {
			if (r->late_err)
				memcpy(r->errmsg, r->late_errmsg, sizeof(r->errmsg));
			return r->late_err;
		}
		err = start_part(r, r->src.part + 1);
		if (err)
			return err;
	}
}

/* The next record inside COMPRESSED ones. @return 1, 0 none is whole, -errno */
static int next_unzipped(struct pd_reader *r, const struct perf_event_header **out)
{
	struct perf_event_header hdr;
	const unsigned char *p;
	int rc = pd_unzip_want(r->unzip, sizeof(hdr), &p);

	if (rc > 0) {
		hdr = pd_header_at(p, r->swap);
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
	rc = pd_reader_present(r, p, &hdr, out);
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
		rc = next_in_parts(r, hdr, offset);
		if (rc <= 0)
			return rc;
		if ((*hdr)->type != PD_RECORD_COMPRESSED && (*hdr)->type != PD_RECORD_COMPRESSED2)
			return 1;
		rc = feed(r, *hdr, *offset);
		if (rc)
			return rc;
	}
}

/* The next record, if nothing needs to be done for it: one of the kernel's own types, native,
 * whole in the window. The slow way does the same for it. */
static inline bool next_plain(struct pd_reader *r, const struct perf_event_header **hdr)
{
	struct pd_stream *s = &r->stream;
	size_t at = s->begin + r->pending_bytes;
	const struct perf_event_header *h = (const struct perf_event_header *)(s->buf + at);

	if (r->swap || r->wary || r->unzip || r->pending_skip || s->end - at < sizeof(*h) ||
	    ((uintptr_t)h & 7) || h->type >= PD_RECORD_HEADER_ATTR || h->size < sizeof(*h) ||
	    s->end - at < h->size)
		return false;
	pd_stream_consume(s, r->pending_bytes);
	r->pending_bytes = h->size;
	*hdr = h;
	return true;
}

int pd_reader__next_sideband(struct pd_reader *r, const struct perf_event_header **hdr,
			     __u64 *offset)
{
	int rc;

	do {
		while (!r->err && next_plain(r, hdr)) {
			if ((*hdr)->type == PERF_RECORD_SAMPLE)
				continue;
			if (offset)
				*offset = r->stream.offset;
			return 1;
		}
		rc = pd_reader__next(r, hdr, offset);
	} while (rc == 1 && (*hdr)->type == PERF_RECORD_SAMPLE);
	return rc;
}

int pd_reader__next(struct pd_reader *r, const struct perf_event_header **hdr, __u64 *offset)
{
	__u64 at = 0;
	int rc;

	if (r->err)
		return r->err;
	if (next_plain(r, hdr)) {
		if (offset)
			*offset = r->stream.offset;
		return 1;
	}
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
	r->err = start_part(r, 0);
	r->late_err = 0;
	if (!r->err)
		r->errmsg[0] = '\0';
	return r->err;
}

struct pd_events *pd_reader__events(struct pd_reader *r)
{
	return r->events;
}

bool pd_reader__is_pipe(const struct pd_reader *r)
{
	return r->pipe;
}

const char *pd_reader__kcore_dir(const struct pd_reader *r)
{
	return r->src.kcore_dir;
}

bool pd_reader__has_parts(const struct pd_reader *r)
{
	return r->src.part_cnt;
}

bool pd_reader__is_foreign(const struct pd_reader *r)
{
	return r->swap;
}

bool pd_reader__is_unfinished(const struct pd_reader *r)
{
	return r->unfinished;
}

const char *pd_reader__errmsg(const struct pd_reader *r)
{
	return r->errmsg;
}
