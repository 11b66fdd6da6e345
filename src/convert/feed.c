// SPDX-License-Identifier: GPL-2.0-only
/*
 * feed.c - the order in which a file's records reach the session. Sideband records are small:
 * they are copied, sorted by time and fed before the samples that they explain. When they are many
 * the earlier half is fed without waiting for the rest: they come nearly in order. A file that can
 * be rewound is read twice; a stream's samples wait until the round after theirs is complete
 * (perf's rule), or until the buffer is full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

/* Of each queue: compressed records can claim what they like. */
enum { WAITING_MAX_BYTES = 64 << 20 };

/* Copied records, each 8-aligned. */
struct queue {
	struct queued {
		uint64_t time_ns;
		size_t offset, seq;
	} * recs;
	size_t cnt, cap;
	char *data;
	size_t bytes, data_cap;
};

struct feeder {
	struct pa_session *s;
	struct pd_reader *r;
	struct queue sideband;
	struct queue samples[2]; /* of this round and of the one before */
};

static int enqueue(struct queue *q, const struct perf_event_header *hdr, uint64_t time_ns)
{
	size_t room = ((size_t)hdr->size + 7) & ~(size_t)7;

	if (pa_array_grow(&q->recs, q->cnt, &q->cap, sizeof(*q->recs)))
		return -ENOMEM;
	while (q->data_cap - q->bytes < room) {
		size_t cap = q->data_cap ? q->data_cap * 2 : 1 << 16;
		char *data = realloc(q->data, cap);

		if (!data)
			return -ENOMEM;
		q->data = data;
		q->data_cap = cap;
	}
	memcpy(q->data + q->bytes, hdr, hdr->size);
	q->recs[q->cnt] = (struct queued){time_ns, q->bytes, q->cnt};
	q->cnt++;
	q->bytes += room;
	return 0;
}

static void free_queue(struct queue *q)
{
	free(q->recs);
	free(q->data);
	memset(q, 0, sizeof(*q));
}

static int compare_time(const void *a, const void *b)
{
	const struct queued *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

/* One damaged record costs that record: it is counted by the session. */
static int feed_one(struct pa_session *s, const struct perf_event_header *hdr)
{
	int err = pa_session__feed(s, hdr);

	return err == -EBADMSG ? 0 : err;
}

static int drain(struct pa_session *s, struct queue *q)
{
	int err = 0;

	for (size_t i = 0; !err && i < q->cnt; i++)
		err = feed_one(s, (const void *)(q->data + q->recs[i].offset));
	q->cnt = 0;
	q->bytes = 0;
	return err;
}

static int drain_sideband(struct feeder *f)
{
	if (f->sideband.cnt)
		qsort(f->sideband.recs, f->sideband.cnt, sizeof(*f->sideband.recs), compare_time);
	return drain(f->s, &f->sideband);
}

static bool is_full(const struct queue *q)
{
	return q->bytes + q->cnt * sizeof(*q->recs) >= WAITING_MAX_BYTES;
}

/* Feed the earlier half of the sideband records. */
static int drain_half(struct queue *q, struct pa_session *s)
{
	struct queue rest = {0};
	size_t half = q->cnt / 2;
	int err = 0;

	qsort(q->recs, q->cnt, sizeof(*q->recs), compare_time);
	for (size_t i = 0; !err && i < q->cnt; i++) {
		const void *hdr = q->data + q->recs[i].offset;

		err = i < half ? feed_one(s, hdr) : enqueue(&rest, hdr, q->recs[i].time_ns);
	}
	free_queue(q);
	*q = rest;
	return err;
}

/* Keep a sideband record for later. Without times the order of the file remains. */
static int take_sideband(struct feeder *f, const struct perf_event_header *hdr)
{
	int err = is_full(&f->sideband) ? drain_half(&f->sideband, f->s) : 0;

	return err ? err : enqueue(&f->sideband, hdr, pa_session__sideband_time(f->s, hdr));
}

static int feed_file(struct feeder *f)
{
	const struct perf_event_header *hdr;
	int err, end;

	while ((end = pd_reader__next_sideband(f->r, &hdr, NULL)) == 1) {
		if (!pa_session__is_sideband(hdr->type))
			continue;
		err = take_sideband(f, hdr);
		if (err)
			return err;
	}
	if (end < 0 && end != -ENODATA)
		return end;
	err = drain_sideband(f);
	pa_functions__start(f->s);
	if (!err)
		err = pd_reader__rewind(f->r);
	if (err)
		return err;
	while ((end = pd_reader__next(f->r, &hdr, NULL)) == 1) {
		err = 0;
		if (hdr->type == PERF_RECORD_SAMPLE || pa_session__is_switch(f->s, hdr->type))
			err = feed_one(f->s, hdr);
		else if (hdr->type == PD_RECORD_FINISHED_ROUND)
			err = pa_offcpu__end_round(f->s);
		if (err)
			return err;
	}
	return end;
}

static int take_tracing(struct feeder *f)
{
	const void *data;
	size_t bytes;
	int err = pd_reader__feature(f->r, PD_FEAT_TRACING_DATA, &data, &bytes);

	return err ? 0 : pa_fields__take_tracing(f->s, data, bytes);
}

/* A round is complete: the samples of the one before it can be looked up. */
static int end_round(struct feeder *f, bool is_last)
{
	struct queue previous;
	int err = drain_sideband(f);

	if (!err)
		err = drain(f->s, &f->samples[1]);
	if (!err)
		err = pa_offcpu__end_round(f->s);
	if (!err && is_last)
		err = drain(f->s, &f->samples[0]);
	previous = f->samples[1];
	f->samples[1] = f->samples[0];
	f->samples[0] = previous;
	return err;
}

static int take_build_id(void *ctx, const struct pd_build_id *id)
{
	return pa_session_images__name_build_id(ctx, id);
}

/* perf writes a stream's build-ids at its end. */
static int late_build_ids(struct feeder *f)
{
	int err = pd_reader__build_ids(f->r, take_build_id, f->s);

	return err == -ENOMEM ? err : pa_session_images__late_build_ids(f->s);
}

static int feed_stream(struct feeder *f)
{
	const struct perf_event_header *hdr;
	int err, end;

	while ((end = pd_reader__next(f->r, &hdr, NULL)) == 1) {
		err = 0;
		if (hdr->type == PERF_RECORD_SAMPLE || pa_session__is_switch(f->s, hdr->type)) {
			err = enqueue(&f->samples[0], hdr, 0);
		} else if (hdr->type == PD_RECORD_TRACING_DATA) {
			err = take_tracing(f);
		} else if (pa_session__is_sideband(hdr->type)) {
			err = take_sideband(f, hdr);
		}
		if (!err && (hdr->type == PD_RECORD_FINISHED_ROUND || is_full(&f->samples[0])))
			err = end_round(f, false);
		if (err)
			return err;
	}
	if (end < 0 && end != -ENODATA)
		return end;
	err = end_round(f, true);
	if (!err)
		err = late_build_ids(f);
	return err ? err : end;
}

static int restore_symbols(struct pa_session *s, struct pd_reader *r)
{
	const void *data;
	size_t bytes;
	int err = pd_reader__blob(r, PD_BLOB_SYMBOLS, NULL, &data, &bytes);

	if (err || !s->opts.symbolizer)
		return 0; /* none, or a damaged blob: names are found as for a file without */
	err = pa_symbolizer__restore(s->opts.symbolizer, data, bytes);
	if (err == -EBADMSG)
		pa_session__warn(s, "failed to read all saved symbols: they are damaged");
	return err == -ENOMEM ? err : 0;
}

int pa_session__feed_reader(struct pa_session *s, struct pd_reader *r)
{
	struct feeder f = {.s = s, .r = r};
	int err, missing;

	err = pd_reader__build_ids(r, take_build_id, s);
	if (err == -ENOMEM)
		goto out;
	err = restore_symbols(s, r);
	if (!err)
		err = take_tracing(&f);
	if (err)
		goto out;
	err = pd_reader__is_pipe(r) ? feed_stream(&f) : feed_file(&f);
	if (!err || err == -ENODATA) {
		missing = s->opts.off_cpu ? pa_offcpu__finish(s) : 0;
		if (!missing)
			missing = pa_fields__check(s);
		err = missing ? missing : err;
	}
out:
	free_queue(&f.sideband);
	free_queue(&f.samples[0]);
	free_queue(&f.samples[1]);
	return err;
}
