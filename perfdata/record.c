/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * record.c - sideband records (MMAP, COMM, FORK, LOST...): their parsers, the builders of those
 * that we write, and the names of record types.
 */
#include <limits.h>
#include <sys/mman.h>

#include "perfdata/internal.h"

/* Offsets of the fixed part's end; what follows is a name or the sample_id trailer. */
#define MMAP_NAME 40
#define MMAP2_NAME 72
#define MMAP2_OLD_NAME 64 /* Linux before 3.16: no prot and flags */
#define COMM_NAME 16
#define TASK_BYTES 32

/* clang-format off */
static const char *const kernel_names[] = {
	[1] = "MMAP", "LOST", "COMM", "EXIT", "THROTTLE", "UNTHROTTLE", "FORK", "READ", "SAMPLE",
	"MMAP2", "AUX", "ITRACE_START", "LOST_SAMPLES", "SWITCH", "SWITCH_CPU_WIDE", "NAMESPACES",
	"KSYMBOL", "BPF_EVENT", "CGROUP", "TEXT_POKE", "AUX_OUTPUT_HW_ID", "CALLCHAIN_DEFERRED",
};

static const char *const user_names[] = {
	"HEADER_ATTR", "EVENT_TYPE", "TRACING_DATA", "BUILD_ID", "FINISHED_ROUND", "ID_INDEX",
	"AUXTRACE_INFO", "AUXTRACE", "AUXTRACE_ERROR", "THREAD_MAP", "CPU_MAP", "STAT_CONFIG",
	"STAT", "STAT_ROUND", "EVENT_UPDATE", "TIME_CONV", "HEADER_FEATURE", "COMPRESSED",
	"FINISHED_INIT", "COMPRESSED2",
};
/* clang-format on */

const char *pd_record_name(__u32 type, char *buf)
{
	if (type && type < sizeof(kernel_names) / sizeof(kernel_names[0]))
		return kernel_names[type];
	if (type >= 64 && type - 64 < sizeof(user_names) / sizeof(user_names[0]))
		return user_names[type - 64];
	snprintf(buf, 24, "record type %u", type);
	return buf;
}

/* ---- parsers ------------------------------------------------------------------------- */

/* Parse the trailer and find where the payload before it ends. */
static int payload(const struct pd_events *t, const struct perf_event_header *hdr, size_t fixed,
		   struct pd_sample_id *id, size_t *end)
{
	size_t trailer = 0;
	int err = pd_sample_id__parse(t, hdr, id);

	if (err)
		return err;
	if (t->cnt)
		trailer = t->layouts[id->event < 0 ? 0 : id->event].trailer_bytes;
	if (hdr->size < fixed + trailer)
		return -EBADMSG;
	*end = hdr->size - trailer;
	return 0;
}

static const char *name_at(const struct perf_event_header *hdr, size_t offset, size_t end)
{
	const char *name = (const char *)hdr + offset;

	return offset < end && memchr(name, 0, end - offset) ? name : NULL;
}

bool pd_mmap2_is_old(const struct perf_event_header *hdr)
{
	const unsigned char *p = (const unsigned char *)hdr + MMAP2_OLD_NAME;

	if (hdr->type != PERF_RECORD_MMAP2 || hdr->size < MMAP2_OLD_NAME + 4 ||
	    (hdr->misc & PERF_RECORD_MISC_MMAP_BUILD_ID))
		return false;
	/* Four letters of a name are four large bytes. A prot has one, small; or two where perf
	 * inject --jit has put a file's mode. */
	for (int i = 0; i < 4; i++)
		if (p[i] < ' ')
			return false;
	return true;
}

static __u32 prot_by_misc(const struct perf_event_header *hdr)
{
	return hdr->misc & PERF_RECORD_MISC_MMAP_DATA ? 0 : PROT_EXEC;
}

static int parse_mmap2(const struct perf_event_header *hdr, bool old, struct pd_mmap *out)
{
	const unsigned char *p = (const unsigned char *)hdr;

	out->prot = old ? prot_by_misc(hdr) : pd_get32(p + 64, false);
	out->flags = old ? 0 : pd_get32(p + 68, false);
	if (!(hdr->misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
		out->maj = pd_get32(p + 40, false);
		out->min = pd_get32(p + 44, false);
		out->ino = pd_get64(p + 48, false);
		out->ino_generation = pd_get64(p + 56, false);
		return 0;
	}
	if (p[40] > PD_BUILD_ID_MAX)
		return -EBADMSG;
	out->build_id_bytes = p[40];
	memcpy(out->build_id, p + 44, out->build_id_bytes);
	return 0;
}

int pd_mmap__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_mmap *out)
{
	const unsigned char *p = (const unsigned char *)hdr;
	bool v2 = hdr->type == PERF_RECORD_MMAP2, old = pd_mmap2_is_old(hdr);
	size_t fixed = old ? MMAP2_OLD_NAME : v2 ? MMAP2_NAME : MMAP_NAME, end;
	int err;

	memset(out, 0, sizeof(*out));
	if (!v2 && hdr->type != PERF_RECORD_MMAP)
		return -EINVAL;
	err = payload(t, hdr, fixed, &out->id, &end);
	if (err)
		return err;
	out->pid = pd_get32(p + 8, false);
	out->tid = pd_get32(p + 12, false);
	out->start = pd_get64(p + 16, false);
	out->bytes = pd_get64(p + 24, false);
	out->pgoff = pd_get64(p + 32, false);
	out->filename = name_at(hdr, fixed, end);
	if (!out->filename)
		return -EBADMSG;
	if (v2)
		return parse_mmap2(hdr, old, out);
	out->prot = prot_by_misc(hdr);
	return 0;
}

int pd_comm__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_comm *out)
{
	const unsigned char *p = (const unsigned char *)hdr;
	size_t end;
	int err;

	memset(out, 0, sizeof(*out));
	if (hdr->type != PERF_RECORD_COMM)
		return -EINVAL;
	err = payload(t, hdr, COMM_NAME, &out->id, &end);
	if (err)
		return err;
	out->pid = pd_get32(p + 8, false);
	out->tid = pd_get32(p + 12, false);
	out->exec = hdr->misc & PERF_RECORD_MISC_COMM_EXEC;
	out->comm = name_at(hdr, COMM_NAME, end);
	return out->comm ? 0 : -EBADMSG;
}

int pd_task__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_task *out)
{
	const unsigned char *p = (const unsigned char *)hdr;
	size_t end;
	int err;

	memset(out, 0, sizeof(*out));
	if (hdr->type != PERF_RECORD_FORK && hdr->type != PERF_RECORD_EXIT)
		return -EINVAL;
	err = payload(t, hdr, TASK_BYTES, &out->id, &end);
	if (err)
		return err;
	out->pid = pd_get32(p + 8, false);
	out->ppid = pd_get32(p + 12, false);
	out->tid = pd_get32(p + 16, false);
	out->ptid = pd_get32(p + 20, false);
	out->time = pd_get64(p + 24, false);
	return 0;
}

int pd_lost__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_lost *out)
{
	const unsigned char *p = (const unsigned char *)hdr;
	bool samples = hdr->type == PERF_RECORD_LOST_SAMPLES;
	size_t end;
	int err;

	memset(out, 0, sizeof(*out));
	if (!samples && hdr->type != PERF_RECORD_LOST)
		return -EINVAL;
	err = payload(t, hdr, samples ? 16 : 24, &out->id, &end);
	if (err)
		return err;
	if (!samples)
		out->id_value = pd_get64(p + 8, false);
	out->lost_cnt = pd_get64(p + (samples ? 8 : 16), false);
	return 0;
}

/* ---- builders ------------------------------------------------------------------------ */

/** A record being built. Once it does not fit, cap_bytes is 0 and nothing more is stored. */
struct builder {
	unsigned char *buf;
	size_t bytes, cap_bytes;
};

static void put(struct builder *b, const void *data, size_t bytes)
{
	if (bytes > b->cap_bytes - b->bytes || !b->cap_bytes) {
		b->cap_bytes = b->bytes = 0;
		return;
	}
	memcpy(b->buf + b->bytes, data, bytes);
	b->bytes += bytes;
}

static void put32(struct builder *b, __u32 v)
{
	put(b, &v, sizeof(v));
}

static void put64(struct builder *b, __u64 v)
{
	put(b, &v, sizeof(v));
}

static void put_header(struct builder *b, void *buf, size_t cap_bytes, __u32 type, __u16 misc)
{
	const struct perf_event_header hdr = {.type = type, .misc = misc};

	*b = (struct builder){buf, 0,
			      cap_bytes < PD_RECORD_PUT_MAX ? cap_bytes : PD_RECORD_PUT_MAX};
	put(b, &hdr, sizeof(hdr));
}

static const struct pd_layout *put_layout(const struct pd_events *t)
{
	return t && t->cnt ? &t->layouts[0] : NULL;
}

/* The name, its NUL and padding; cut so that the whole record is no longer than PATH_MAX, which
 * is what perf has room for. */
static void put_name(struct builder *b, const struct pd_events *t, const char *name)
{
	const struct pd_layout *l = put_layout(t);
	size_t room = PATH_MAX - b->bytes - (l ? l->trailer_bytes : 0);
	size_t bytes = strnlen(name ? name : "", room - 1);

	put(b, name, bytes);
	put(b, "\0\0\0\0\0\0\0", pd_align8(bytes + 1) - bytes);
}

static int put_trailer(struct builder *b, const struct pd_events *t, const struct pd_sample_id *id)
{
	const struct pd_layout *l = put_layout(t);
	struct perf_event_header *hdr = (struct perf_event_header *)b->buf;

	if (l && l->trailer_bytes) {
		__u64 value = id->id;

		/* Some readers look the id of every record up. */
		if (!value && t->list[0].id_cnt)
			value = t->list[0].ids[0];
		if (l->sample_type & PERF_SAMPLE_TID) {
			put32(b, id->pid);
			put32(b, id->tid);
		}
		if (l->sample_type & PERF_SAMPLE_TIME)
			put64(b, id->time);
		if (l->sample_type & PERF_SAMPLE_ID)
			put64(b, value);
		if (l->sample_type & PERF_SAMPLE_STREAM_ID)
			put64(b, id->stream_id);
		if (l->sample_type & PERF_SAMPLE_CPU) {
			put32(b, id->cpu);
			put32(b, 0);
		}
		if (l->sample_type & PERF_SAMPLE_IDENTIFIER)
			put64(b, value);
	}
	if (!b->cap_bytes)
		return -EMSGSIZE;
	hdr->size = (__u16)b->bytes;
	return (int)b->bytes;
}

int pd_put_comm(void *buf, size_t cap_bytes, const struct pd_events *t, const struct pd_comm *c)
{
	struct builder b;

	put_header(&b, buf, cap_bytes, PERF_RECORD_COMM, c->exec ? PERF_RECORD_MISC_COMM_EXEC : 0);
	put32(&b, c->pid);
	put32(&b, c->tid);
	put_name(&b, t, c->comm);
	return put_trailer(&b, t, &c->id);
}

int pd_put_mmap2(void *buf, size_t cap_bytes, const struct pd_events *t, __u16 cpumode,
		 const struct pd_mmap *m)
{
	__u16 misc = cpumode & PERF_RECORD_MISC_CPUMODE_MASK;
	__u8 id[24] = {0};
	struct builder b;

	if (!(m->prot & PROT_EXEC) && misc == PERF_RECORD_MISC_USER)
		misc |= PERF_RECORD_MISC_MMAP_DATA;
	if (m->build_id_bytes)
		misc |= PERF_RECORD_MISC_MMAP_BUILD_ID;
	put_header(&b, buf, cap_bytes, PERF_RECORD_MMAP2, misc);
	put32(&b, m->pid);
	put32(&b, m->tid);
	put64(&b, m->start);
	put64(&b, m->bytes);
	put64(&b, m->pgoff);
	if (m->build_id_bytes) {
		id[0] = m->build_id_bytes < PD_BUILD_ID_MAX ? m->build_id_bytes : PD_BUILD_ID_MAX;
		memcpy(id + 4, m->build_id, id[0]);
		put(&b, id, sizeof(id));
	} else {
		put32(&b, m->maj);
		put32(&b, m->min);
		put64(&b, m->ino);
		put64(&b, m->ino_generation);
	}
	put32(&b, m->prot);
	put32(&b, m->flags);
	put_name(&b, t, m->filename);
	return put_trailer(&b, t, &m->id);
}

int pd_put_task(void *buf, size_t cap_bytes, const struct pd_events *t, __u32 type,
		const struct pd_task *task)
{
	struct builder b;

	if (type != PERF_RECORD_FORK && type != PERF_RECORD_EXIT)
		return -EINVAL;
	put_header(&b, buf, cap_bytes, type, 0);
	put32(&b, task->pid);
	put32(&b, task->ppid);
	put32(&b, task->tid);
	put32(&b, task->ptid);
	put64(&b, task->time);
	return put_trailer(&b, t, &task->id);
}

int pd_put_lost(void *buf, size_t cap_bytes, const struct pd_events *t, const struct pd_lost *l)
{
	struct builder b;

	put_header(&b, buf, cap_bytes, PERF_RECORD_LOST, 0);
	put64(&b, l->id_value);
	put64(&b, l->lost_cnt);
	return put_trailer(&b, t, &l->id);
}

int pd_put_lost_samples(void *buf, size_t cap_bytes, const struct pd_events *t,
			const struct pd_lost *l)
{
	struct builder b;

	put_header(&b, buf, cap_bytes, PERF_RECORD_LOST_SAMPLES, 0);
	put64(&b, l->lost_cnt);
	return put_trailer(&b, t, &l->id);
}

int pd_put_finished_round(void *buf, size_t cap_bytes)
{
	struct builder b;

	put_header(&b, buf, cap_bytes, PD_RECORD_FINISHED_ROUND, 0);
	return put_trailer(&b, NULL, NULL);
}
