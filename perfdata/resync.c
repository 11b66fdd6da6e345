/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * resync.c - ways around damage: where do records go on behind bytes that are none, and where do
 * they end in a file that its writer did not finish.
 */
#include <stdlib.h>

#include "perfdata/internal.h"

#define NAME_SLACK_MAX 64 /* perf has padded more than it had to at times */
#define KERNEL_TYPES_END (PERF_RECORD_AUX_OUTPUT_HW_ID + 2) /* CALLCHAIN_DEFERRED, Linux 6.19 */

static bool header_plausible(const struct perf_event_header *hdr)
{
	bool known = hdr->type && hdr->type < KERNEL_TYPES_END;

	known |= hdr->type >= PD_RECORD_HEADER_ATTR && hdr->type <= PD_RECORD_COMPRESSED2;
	return known && hdr->size >= sizeof(*hdr);
}

/* A name is padded to a multiple of 8, and the trailer follows. */
static bool name_fills(const struct pd_events *t, const struct perf_event_header *hdr)
{
	const char *end = (const char *)hdr + hdr->size, *name;
	struct pd_sample_id id;
	struct pd_mmap m;
	struct pd_comm c;

	if (hdr->type == PERF_RECORD_COMM && !pd_comm__parse(t, hdr, &c)) {
		name = c.comm;
		id = c.id;
	} else if ((hdr->type == PERF_RECORD_MMAP || hdr->type == PERF_RECORD_MMAP2) &&
		   !pd_mmap__parse(t, hdr, &m)) {
		name = m.filename;
		id = m.id;
	} else {
		return true;
	}
	if (t->cnt)
		end -= t->layouts[id.event < 0 ? 0 : id.event].trailer_bytes;
	return end - (name + strlen(name) + 1) < NAME_SLACK_MAX;
}

bool pd_record_plausible(const struct pd_events *t, const struct perf_event_header *hdr)
{
	if (!header_plausible(hdr))
		return false;
	if (hdr->type == PERF_RECORD_SAMPLE) /* with a size that is too large it would parse, too */
		return pd_sample_fills(t, hdr);
	return pd_record_check(t, hdr) != -EBADMSG && name_fills(t, hdr);
}

/* Behind damage more is asked: nothing says that a record begins here. */
static bool record_certain(const struct pd_events *t, const struct perf_event_header *hdr)
{
	struct pd_sample_id id;

	if (hdr->type >= PD_RECORD_HEADER_ATTR)
		return true;
	return pd_record_plausible(t, hdr) && !pd_sample_id__parse(t, hdr, &id) &&
	       (id.event >= 0 || !t->cnt);
}

int pd_record_check(const struct pd_events *t, const struct perf_event_header *hdr)
{
	struct pd_sample_id id;
	struct pd_sample s;
	struct pd_mmap m;
	struct pd_comm c;
	struct pd_task task;
	struct pd_lost lost;

	switch (hdr->type) {
	case PERF_RECORD_SAMPLE:
		return pd_sample__parse(t, hdr, &s);
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		return pd_mmap__parse(t, hdr, &m);
	case PERF_RECORD_COMM:
		return pd_comm__parse(t, hdr, &c);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return pd_task__parse(t, hdr, &task);
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		return pd_lost__parse(t, hdr, &lost);
	default:
		return pd_sample_id__parse(t, hdr, &id);
	}
}

/* Is there a record at the window's begin, and (unless something else says that one begins there)
 * behind it another or the end? @return 1, 0, -errno */
static int record_here(struct pd_reader *r, bool expected)
{
	struct pd_stream *s = &r->stream;
	struct perf_event_header hdr = pd_header_at(s->buf + s->begin, r->swap), next;
	const struct perf_event_header *native;
	int rc;

	if (!header_plausible(&hdr) || hdr.size % 8)
		return 0;
	rc = pd_stream_want(s, hdr.size);
	if (rc <= 0)
		return rc;
	rc = pd_reader_present(r, s->buf + s->begin, &hdr, &native);
	if (rc < 0)
		return rc;
	if (!record_certain(r->events, native))
		return 0;
	if (expected)
		return 1;
	rc = pd_stream_want(s, hdr.size + sizeof(next));
	if (rc < 0)
		return rc;
	if (!rc)
		return s->end - s->begin == hdr.size;
	if (hdr.type == PD_RECORD_AUXTRACE || hdr.type == PD_RECORD_TRACING_DATA)
		return 1; /* a payload is next */
	next = pd_header_at(s->buf + s->begin + hdr.size, r->swap);
	return header_plausible(&next);
}

/* What is left of a COMPRESSED record that the end cuts may hold whole records. */
static bool feed_cut(struct pd_reader *r)
{
	struct pd_stream *s = &r->stream;
	size_t left = s->end - s->begin, head = sizeof(struct perf_event_header);
	struct perf_event_header hdr;

	if (left < head)
		return false;
	hdr = pd_header_at(s->buf + s->begin, r->swap);
	if (hdr.type == PD_RECORD_COMPRESSED2)
		head += 8;
	else if (hdr.type != PD_RECORD_COMPRESSED)
		return false;
	if (left <= head || (!r->unzip && pd_unzip_new(&r->unzip)))
		return false;
	r->unzip_offset = s->offset;
	pd_unzip_feed(r->unzip, s->buf + s->begin + head, left - head);
	r->pending_bytes = left;
	return true;
}

/* Of a record whose size fits, but not its contents: is the next one where the size says?
 * @return 1 the window begins there, 0 it stays, -errno */
static int step_over(struct pd_reader *r)
{
	struct pd_stream *s = &r->stream;
	struct perf_event_header hdr = pd_header_at(s->buf + s->begin, r->swap);
	__u64 offset = s->offset;
	size_t begin;
	/* All that is looked at: asking for more would drop what is stepped over. */
	int rc = pd_stream_want(s, hdr.size + PD_RECORD_MAX_BYTES + sizeof(hdr));

	if (rc < 0)
		return rc;
	if (hdr.size < sizeof(hdr) || s->end - s->begin < hdr.size + sizeof(hdr))
		return 0;
	begin = s->begin;
	pd_stream_consume(s, hdr.size);
	rc = record_here(r, true);
	if (!rc) {
		s->begin = begin;
		s->offset = offset;
	}
	return rc;
}

/* @return 1 the window begins with a record, 0 there is none up to the end, -errno */
static int search(struct pd_reader *r)
{
	struct pd_stream *s = &r->stream;
	int rc = pd_stream_want(s, sizeof(struct perf_event_header));

	if (rc > 0)
		rc = step_over(r);
	while (!rc) {
		if (s->end - s->begin < sizeof(struct perf_event_header))
			break;
		pd_stream_consume(s, 8);
		rc = pd_stream_want(s, sizeof(struct perf_event_header));
		if (rc > 0)
			rc = record_here(r, false);
	}
	if (!rc)
		pd_stream_consume(s, s->end - s->begin);
	return rc;
}

int pd_reader__skip_damage(struct pd_reader *r, __u64 *skipped)
{
	struct pd_stream *s = &r->stream;
	__u64 start = s->offset;
	bool cut = r->err == -ENODATA;
	int rc = 1;

	*skipped = 0;
	if (r->open_err || (r->err != -EBADMSG && !cut))
		return r->err ? r->err : -EINVAL;
	if (cut && s->begin == s->end)
		return 0;
	r->err = r->late_err = 0;
	if (cut && feed_cut(r)) {
		*skipped = r->pending_bytes;
		return 1;
	}
	pd_unzip_free(r->unzip);
	r->unzip = NULL;
	/* What was in a COMPRESSED record is damaged, or what the reader itself takes in: the
	 * record as such is whole. */
	pd_stream_consume(s, r->pending_bytes);
	if (!r->pending_bytes)
		rc = search(r);
	r->pending_bytes = 0;
	r->pending_skip = 0;
	*skipped = s->offset - start;
	r->err = rc < 0 ? rc : 0;
	return rc < 0 ? rc : 1;
}

void pd_reader__salvage(struct pd_reader *r)
{
	r->wary = true;
	if (r->pipe || !r->unfinished || r->cut || r->err)
		return;
	r->data.bytes = r->src.bytes - r->data.offset;
	r->err = pd_reader__rewind(r);
}

ssize_t pd_reader__payload(struct pd_reader *r, void *buf, size_t cap_bytes)
{
	struct pd_stream *s = &r->stream;
	size_t n;
	int rc;

	if (r->err || !r->pending_skip)
		return r->err;
	pd_stream_consume(s, r->pending_bytes);
	r->pending_bytes = 0;
	rc = pd_stream_want(s, 1);
	if (rc <= 0)
		return rc ? rc : -ENODATA;
	n = s->end - s->begin;
	n = n < cap_bytes ? n : cap_bytes;
	n = n < r->pending_skip ? n : (size_t)r->pending_skip;
	memcpy(buf, s->buf + s->begin, n);
	pd_stream_consume(s, n);
	r->pending_skip -= n;
	return (ssize_t)n;
}
