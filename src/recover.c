// SPDX-License-Identifier: GPL-2.0-only
/*
 * recover.c - read all records that are whole, passing over damage, and write them as a file that
 * every consumer reads: file layout, native byte order, not compressed, attrs of 112 bytes, with
 * the feature sections that are left or can be made from the records.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perfdata/perfdata.h"
#include "recover.h"
#include "recover_features.h"

enum { OUT_BYTES = 256 << 10, RECORD_MAX_BYTES = 65536 };

struct recovery {
	const char *in;
	struct pa_recover_result *result;
	struct pd_reader *reader;
	struct pd_reader *events_reader; /* of a stream: read to its end, for all its events */
	struct pd_events *events;	 /* of the new file */
	struct pd_writer *writer;
	struct pa_recover_ids *ids;
	unsigned char *buf; /* records to be written */
	size_t bytes;
	int spool_fd;
	char spool_path[32];
	char *temp_path;
};

__attribute__((format(printf, 3, 4))) static int fail(struct recovery *r, int err, const char *fmt,
						      ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->result->errmsg, sizeof(r->result->errmsg), fmt, ap);
	va_end(ap);
	return err;
}

static void note_damage(struct recovery *r, const char *reason)
{
	struct pa_recover_result *res = r->result;

	res->is_lossy = true;
	res->damage_cnt++;
	if (!*res->reason)
		snprintf(res->reason, sizeof(res->reason), "%s", reason);
}

/* ---- output ---------------------------------------------------------------------------- */

static int flush(struct recovery *r)
{
	int err = r->bytes ? pd_writer__append(r->writer, r->buf, r->bytes) : 0;

	r->bytes = 0;
	return err;
}

static int put(struct recovery *r, const void *data, size_t bytes)
{
	if (bytes > OUT_BYTES - r->bytes) {
		int err = flush(r);

		if (err)
			return err;
	}
	memcpy(r->buf + r->bytes, data, bytes);
	r->bytes += bytes;
	return 0;
}

/* MMAP2 of Linux before 3.16, without prot and flags: later perfs take the name's first letters
 * for them. */
static int put_old_mmap2(struct recovery *r, const struct perf_event_header *hdr,
			 const struct pd_mmap *m)
{
	const size_t name_at = (size_t)(m->filename - (const char *)hdr);
	const __u32 prot_flags[2] = {m->prot | PROT_READ, MAP_PRIVATE};
	struct perf_event_header longer = *hdr;
	int err;

	if (hdr->size > RECORD_MAX_BYTES - 16)
		return put(r, hdr, hdr->size);
	longer.size += sizeof(prot_flags);
	err = put(r, &longer, sizeof(longer));
	if (!err)
		err = put(r, hdr + 1, name_at - sizeof(*hdr));
	if (!err)
		err = put(r, prot_flags, sizeof(prot_flags));
	return err ? err : put(r, m->filename, hdr->size - name_at);
}

static int put_map(struct recovery *r, const struct perf_event_header *hdr)
{
	struct pd_mmap m;
	int err = pd_mmap__parse(pd_reader__events(r->reader), hdr, &m);

	if (!err && m.build_id_bytes)
		err = pa_recover_ids__add(
			r->ids,
			&(struct pd_build_id){.pid = -1,
					      .cpumode = hdr->misc & PERF_RECORD_MISC_CPUMODE_MASK,
					      .bytes = m.build_id_bytes,
					      .filename = m.filename},
			m.build_id);
	if (err)
		return err;
	if (hdr->type == PERF_RECORD_MMAP2 && m.filename == (const char *)hdr + 64)
		return put_old_mmap2(r, hdr, &m);
	return put(r, hdr, hdr->size);
}

/* ---- records --------------------------------------------------------------------------- */

static int drop(struct recovery *r, const struct perf_event_header *hdr, unsigned long long offset,
		const char *why)
{
	char name[24], reason[128];

	snprintf(reason, sizeof(reason), "offset %llu: %s: %s", offset,
		 pd_record_name(hdr->type, name), why);
	note_damage(r, reason);
	r->result->dropped_bytes += hdr->size;
	return 0;
}

/* The record, and the trace behind it. */
static int put_auxtrace(struct recovery *r, const struct perf_event_header *hdr)
{
	static const size_t piece = 64 << 10;
	unsigned char *p = malloc(piece);
	int err = p ? put(r, hdr, hdr->size) : -ENOMEM;
	ssize_t n = 0;

	while (!err && (n = pd_reader__payload(r->reader, p, piece)) > 0)
		err = put(r, p, (size_t)n);
	free(p);
	return err ? err : (int)n;
}

/* Records that say what the header and the features of a file say. */
static bool is_meta(const struct recovery *r, const struct perf_event_header *hdr)
{
	__u64 kind;

	switch (hdr->type) {
	case PD_RECORD_HEADER_ATTR:
	case PD_RECORD_HEADER_FEATURE:
	case PD_RECORD_EVENT_TYPE:
	case PD_RECORD_BUILD_ID:
	case PD_RECORD_TRACING_DATA:
		return true;
	case PD_RECORD_EVENT_UPDATE:
		if (!pd_reader__is_pipe(r->reader) || hdr->size < 16)
			return false;
		memcpy(&kind, hdr + 1, sizeof(kind));
		return kind == 2; /* a name: in EVENT_DESC */
	default:
		return false;
	}
}

static int take(struct recovery *r, const struct perf_event_header *hdr, unsigned long long offset)
{
	int err;

	if (is_meta(r, hdr))
		return 0;
	/* The parts of a directory have rounds of their own. */
	if (hdr->type == PD_RECORD_FINISHED_ROUND && pd_reader__has_parts(r->reader))
		return 0;
	err = pd_record_check(pd_reader__events(r->reader), hdr);
	if (err)
		return drop(r, hdr, offset, err == -ENOENT ? "its event is unknown" : "malformed");
	if (hdr->type == PD_RECORD_AUXTRACE)
		err = put_auxtrace(r, hdr);
	else if (hdr->type == PERF_RECORD_MMAP || hdr->type == PERF_RECORD_MMAP2)
		err = put_map(r, hdr);
	else
		err = put(r, hdr, hdr->size);
	r->result->record_cnt += !err;
	r->result->sample_cnt += !err && hdr->type == PERF_RECORD_SAMPLE;
	return err;
}

/* @param writing  false: look at all records, for what the reader learns of them */
static int walk(struct recovery *r, struct pd_reader *reader, bool writing)
{
	const struct perf_event_header *hdr;
	__u64 offset, skipped;
	int rc, more;

	while ((rc = pd_reader__next(reader, &hdr, &offset))) {
		if (rc > 0) {
			rc = writing ? take(r, hdr, offset) : 0;
			if (rc && rc != -ENODATA)
				return rc;
			continue;
		}
		more = pd_reader__skip_damage(reader, &skipped);
		if (more < 0)
			return more;
		if (writing) {
			note_damage(r, pd_reader__errmsg(reader));
			r->result->dropped_bytes += skipped;
		}
		if (!more)
			return 0;
	}
	return 0;
}

/* ---- files ----------------------------------------------------------------------------- */

static int read_failed(struct recovery *r, struct pd_reader *reader, int err, const char *verb)
{
	const char *msg = reader ? pd_reader__errmsg(reader) : "";
	const char *name = strcmp(r->in, "-") ? r->in : "standard input";

	if (!strncmp(msg, "failed to ", 10))
		return fail(r, err, "%s: %s", name, msg);
	return fail(r, err, "%s: failed to %s: %s", name, verb, *msg ? msg : strerror(-err));
}

static int write_failed(struct recovery *r, const char *out, int err)
{
	const char *msg = r->writer ? pd_writer__errmsg(r->writer) : "";

	if (*msg)
		return fail(r, err, "%s: %s", out, msg);
	return fail(r, err, "%s: failed to write: %s", out, strerror(-err));
}

/* A stream is read twice: what is not a file becomes one. */
static int spool(struct recovery *r, const char *out)
{
	int in = strcmp(r->in, "-") ? open(r->in, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
	char *path = NULL, *p = malloc(OUT_BYTES);
	int err = in < 0 ? -errno : 0;
	ssize_t n = 1;

	if (err) {
		read_failed(r, NULL, err, "open");
		goto out;
	}
	err = -ENOMEM;
	if (!p || asprintf(&path, "%s.XXXXXX", out) < 0)
		goto out;
	r->spool_fd = mkostemp(path, O_CLOEXEC);
	err = r->spool_fd < 0 || unlink(path) ? -errno : 0;
	while (!err && (n = read(in, p, OUT_BYTES))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = read_failed(r, NULL, -errno, "read");
		for (ssize_t at = 0; !err && at < n;) {
			ssize_t done = write(r->spool_fd, p + at, (size_t)(n - at));

			if (done < 0)
				err = -errno;
			at += done;
		}
	}
	if (err && !*r->result->errmsg)
		write_failed(r, out, err);
	snprintf(r->spool_path, sizeof(r->spool_path), "/proc/self/fd/%d", r->spool_fd);
out:
	if (in > STDIN_FILENO)
		close(in);
	free(path);
	free(p);
	return err;
}

static int open_input(struct recovery *r, const char *out)
{
	const char *path = r->in;
	struct stat st;
	int err = 0;

	if (!strcmp(path, "-") ||
	    (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
		err = spool(r, out);
		path = r->spool_path;
	}
	if (err)
		return err;
	err = pd_reader__open(path, &r->reader);
	if (err)
		return read_failed(r, r->reader, err, "open");
	r->result->is_unfinished = pd_reader__is_unfinished(r->reader);
	pd_reader__salvage(r->reader);
	if (!pd_reader__is_pipe(r->reader))
		return 0;
	err = pd_reader__open(path, &r->events_reader);
	if (!err) {
		pd_reader__salvage(r->events_reader);
		err = walk(r, r->events_reader, false);
	}
	return err ? read_failed(r, r->events_reader, err, "read") : 0;
}

static int open_output(struct recovery *r, const char *out)
{
	const struct pd_writer_opts opts = {.sz = sizeof(opts)};
	int fd, err;

	err = pa_recover_events__new(r->events_reader ? r->events_reader : r->reader, &r->events);
	if (err)
		return err;
	if (!pd_events__cnt(r->events))
		return fail(r, -EBADMSG, "%s: failed to recover: it names no event", r->in);
	if (asprintf(&r->temp_path, "%s.XXXXXX", out) < 0) {
		r->temp_path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(r->temp_path, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		free(r->temp_path);
		r->temp_path = NULL;
		return write_failed(r, out, err);
	}
	close(fd);
	err = pd_writer__open(r->temp_path, r->events, &opts, &r->writer);
	return err ? write_failed(r, out, err) : 0;
}

/* Features, the private data, the header; then the name. */
static int finish(struct recovery *r, const char *out)
{
	const struct pa_recover_features f = {
		.input = r->in,
		.reader = r->reader,
		.events = r->events,
		.ids = r->ids,
	};
	int err = flush(r);

	if (!err)
		err = pa_recover_features__copy(&f, r->writer, &r->result->dropped_feature_cnt);
	if (!err)
		err = pd_writer__finish(r->writer);
	if (err)
		return write_failed(r, out, err);
	r->result->is_lossy |= r->result->dropped_feature_cnt;
	if (rename(r->temp_path, out))
		return write_failed(r, out, -errno);
	free(r->temp_path);
	r->temp_path = NULL;
	return 0;
}

static int copy(struct recovery *r, const char *out)
{
	int err = walk(r, r->reader, true);

	if (!err || *r->result->errmsg)
		return err;
	if (*pd_writer__errmsg(r->writer))
		return write_failed(r, out, err);
	return read_failed(r, r->reader, err, "read");
}

int pa_recover(const char *in, const char *out, struct pa_recover_result *result)
{
	struct recovery r = {.in = in, .result = result, .spool_fd = -1};
	int err = -ENOMEM;

	memset(result, 0, sizeof(*result));
	r.buf = malloc(OUT_BYTES);
	if (!r.buf || pa_recover_ids__new(&r.ids))
		goto out;
	err = open_input(&r, out);
	if (!err)
		err = open_output(&r, out);
	if (!err)
		err = copy(&r, out);
	if (!err)
		err = finish(&r, out);
out:
	if (err && !*result->errmsg)
		fail(&r, err, "%s: failed to recover: %s", in, strerror(-err));
	pd_writer__close(r.writer);
	if (r.temp_path)
		unlink(r.temp_path);
	free(r.temp_path);
	pd_reader__close(r.reader);
	pd_reader__close(r.events_reader);
	pa_recover_ids__free(r.ids);
	pd_events__free(r.events);
	if (r.spool_fd >= 0)
		close(r.spool_fd);
	free(r.buf);
	return err;
}
