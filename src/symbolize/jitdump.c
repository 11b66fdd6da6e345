// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitdump.c - read a jitdump, again and again while it grows. Entries never move, so that symbols
 * made from them stay. Code is replaced over time: the index, made anew after reading, finds the
 * newest entry at an address that is no newer than asked for. The profiled process writes this
 * file: the code in it is skipped, all that is kept is bounded.
 */
#define _GNU_SOURCE
#include <byteswap.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"
#include "symbolize/jitdump.h"

#define READ_BYTES 131072u /* at a time; more than what is looked at in most records */
#define MAGIC 0x4a695444u  /* "JiTD" */
#define HEADER_BYTES 40u
#define PREFIX_BYTES 16u
#define LOAD_BYTES 56u /* before the name */
#define MOVE_BYTES 64u
#define DEBUG_BYTES 32u	      /* before its entries */
#define DEBUG_ENTRY_BYTES 16u /* before the name */
#define DEBUG_MAX_BYTES (16u << 20)
#define FLAG_ARCH_TIMESTAMP 1ull
#define ENTRIES_MAX (8u << 20)
#define LINES_MAX (16u << 20)
#define TEXTS_MAX_BYTES (256u << 20)
#define VISITS_MAX 65536	    /* of one search */
#define MOVE_VISITS_MAX (64u << 20) /* of all records that move code */
#define NODE_V8_SHIFT 64

enum { CODE_LOAD = 0, CODE_MOVE = 1, CODE_DEBUG_INFO = 2, CODE_CLOSE = 3, CODE_UNWINDING_INFO = 4 };

struct entry {
	uint64_t start, time_ns;
	uint64_t lines_base; /* what its lines' addresses count from */
	uint64_t code_index;
	uint32_t bytes, name;
	uint32_t line, line_cnt; /* in lines */
};

struct line {
	uint64_t addr;
	uint32_t line, file;
};

struct pa_jitdump {
	struct entry *entries; /* by time, as in the file */
	size_t entry_cnt, entry_cap;
	struct line *lines; /* of one entry together, by address */
	size_t line_cnt, line_cap;
	char *texts; /* names of functions and files */
	size_t texts_bytes, texts_cap;
	uint32_t pending_line, pending_cnt; /* lines for the next load */
	uint64_t pending_addr;
	uint32_t move_visits;

	uint32_t *by_start; /* the index: entries by start, ... */
	uint64_t *max_end;  /* ... and for each middle of a half what its half reaches to */
	uint32_t *newest;   /* ... and the newest entry in it */
	bool stale;

	bool started, swap, timed;
	uint64_t ino, dev, offset; /* what was read, and up to where */
	struct pa_jitdump_stats stats;
};

int pa_jitdump__new(struct pa_jitdump **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void free_index(struct pa_jitdump *d)
{
	free(d->by_start);
	free(d->max_end);
	free(d->newest);
	d->by_start = d->newest = NULL;
	d->max_end = NULL;
}

void pa_jitdump__free(struct pa_jitdump *d)
{
	if (!d)
		return;
	free_index(d);
	free(d->entries);
	free(d->lines);
	free(d->texts);
	free(d);
}

static uint32_t get32(const struct pa_jitdump *d, const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return d->swap ? bswap_32(v) : v;
}

static uint64_t get64(const struct pa_jitdump *d, const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return d->swap ? bswap_64(v) : v;
}

/* ---- records --------------------------------------------------------------------------- */

static int add_text(struct pa_jitdump *d, const void *text, size_t bytes, uint32_t *at)
{
	if (d->texts_bytes + bytes + 1 > TEXTS_MAX_BYTES)
		return -EFBIG;
	if (d->texts_bytes + bytes + 1 > d->texts_cap) {
		size_t cap = (d->texts_cap ? d->texts_cap * 2 : 4096) + bytes + 1;
		char *p = realloc(d->texts, cap);

		if (!p)
			return -ENOMEM;
		d->texts = p;
		d->texts_cap = cap;
	}
	memcpy(d->texts + d->texts_bytes, text, bytes);
	d->texts[d->texts_bytes + bytes] = '\0';
	*at = (uint32_t)d->texts_bytes;
	d->texts_bytes += bytes + 1;
	return 0;
}

static int add_entry(struct pa_jitdump *d, const struct entry *entry)
{
	struct entry *e;

	if (d->entry_cnt >= ENTRIES_MAX)
		return -EFBIG;
	if (pa_array_grow(&d->entries, d->entry_cnt, &d->entry_cap, sizeof(*d->entries)))
		return -ENOMEM;
	e = &d->entries[d->entry_cnt];
	*e = *entry;
	/* records of several threads may be a little out of order */
	if (d->entry_cnt && e->time_ns < e[-1].time_ns)
		e->time_ns = e[-1].time_ns;
	d->entry_cnt++;
	d->stale = true;
	return 0;
}

/* Node's compiler adds the ELF header that perf inject puts before the code to its addresses. */
static bool is_node(const char *name)
{
	static const char *const prefixes[] = {
		"JS:", "LazyCompile:", "Function:", "Script:", "Eval:"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void attach_lines(struct pa_jitdump *d, struct entry *e)
{
	const struct line *first;

	if (d->pending_cnt && d->pending_addr == e->start) {
		first = d->lines + d->pending_line;
		e->line = d->pending_line;
		e->line_cnt = d->pending_cnt;
		e->lines_base = e->start;
		if (is_node(d->texts + e->name) && first->addr >= e->start + NODE_V8_SHIFT)
			e->lines_base += NODE_V8_SHIFT;
	}
	d->pending_cnt = 0;
}

static int take_load(struct pa_jitdump *d, const uint8_t *p, size_t bytes, uint64_t time_ns)
{
	struct entry e = {.time_ns = time_ns};
	uint64_t code_bytes;
	size_t name_bytes;
	int err;

	if (bytes < LOAD_BYTES + 1)
		return -EINVAL;
	e.start = get64(d, p + 32);
	code_bytes = get64(d, p + 40);
	e.code_index = get64(d, p + 48);
	name_bytes = strnlen((const char *)p + LOAD_BYTES, bytes - LOAD_BYTES);
	if (name_bytes == bytes - LOAD_BYTES || !name_bytes || name_bytes > PA_JIT_NAME_MAX_BYTES ||
	    !code_bytes || code_bytes > UINT32_MAX || e.start > UINT64_MAX - code_bytes)
		return -EINVAL;
	e.bytes = (uint32_t)code_bytes;
	err = add_text(d, p + LOAD_BYTES, name_bytes, &e.name);
	if (err)
		return err;
	attach_lines(d, &e);
	return add_entry(d, &e);
}

/* The same function at another place. The old place stays: samples were taken there. */
static int take_move(struct pa_jitdump *d, const uint8_t *p, size_t bytes, uint64_t time_ns)
{
	uint64_t from, index;
	struct entry e;
	ssize_t i;

	if (bytes < MOVE_BYTES)
		return -EINVAL;
	from = get64(d, p + 32);
	index = get64(d, p + 56);
	/* what moves is seldom old */
	for (i = (ssize_t)d->entry_cnt - 1; i >= 0; i--) {
		if (d->entries[i].start == from && d->entries[i].code_index == index)
			break;
		if (d->move_visits++ > MOVE_VISITS_MAX)
			return -EINVAL;
	}
	if (i < 0)
		return -EINVAL;
	e = d->entries[i];
	e.start = get64(d, p + 40);
	e.time_ns = time_ns;
	if (e.start > UINT64_MAX - e.bytes)
		return -EINVAL;
	return add_entry(d, &e);
}

static int compare_lines(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int take_debug_entry(struct pa_jitdump *d, const uint8_t *p, const char *file, size_t bytes)
{
	const struct line *last = d->line_cnt ? &d->lines[d->line_cnt - 1] : NULL;
	struct line line = {.addr = get64(d, p), .line = get32(d, p + 8)};
	int err;

	if (d->line_cnt >= LINES_MAX)
		return -EFBIG;
	/* "\xff" is the file of the one before */
	if (last && ((bytes == 1 && *file == (char)0xff) || !strcmp(file, d->texts + last->file))) {
		line.file = last->file;
	} else {
		err = add_text(d, file, bytes, &line.file);
		if (err)
			return err;
	}
	if (line.line > INT32_MAX)
		line.line = 0;
	if (pa_array_grow(&d->lines, d->line_cnt, &d->line_cap, sizeof(*d->lines)))
		return -ENOMEM;
	d->lines[d->line_cnt++] = line;
	d->pending_cnt++;
	return 0;
}

static int take_debug_entries(struct pa_jitdump *d, const uint8_t *p, size_t bytes, uint64_t cnt)
{
	size_t at = DEBUG_BYTES;
	int err = 0;

	for (uint64_t i = 0; !err && i < cnt; i++) {
		const char *file = (const char *)p + at + DEBUG_ENTRY_BYTES;
		size_t file_bytes, left;

		if (bytes - at <= DEBUG_ENTRY_BYTES)
			return -EINVAL;
		left = bytes - at - DEBUG_ENTRY_BYTES;
		file_bytes = strnlen(file, left);
		if (file_bytes == left || file_bytes > PA_JIT_NAME_MAX_BYTES)
			return -EINVAL;
		err = take_debug_entry(d, p + at, file, file_bytes);
		at += DEBUG_ENTRY_BYTES + file_bytes + 1;
	}
	return err;
}

/* The lines of the code that is loaded next. */
static int take_debug_info(struct pa_jitdump *d, const uint8_t *p, size_t bytes)
{
	int err;

	/* those of code that was never loaded go */
	if (d->pending_cnt)
		d->line_cnt = d->pending_line;
	d->pending_cnt = 0;
	d->pending_line = (uint32_t)d->line_cnt;
	if (bytes < DEBUG_BYTES)
		return -EINVAL;
	d->pending_addr = get64(d, p + 16);
	err = take_debug_entries(d, p, bytes, get64(d, p + 24));
	if (err) {
		d->line_cnt = d->pending_line;
		d->pending_cnt = 0;
	} else if (d->pending_cnt) {
		qsort(d->lines + d->pending_line, d->pending_cnt, sizeof(*d->lines), compare_lines);
	}
	return err;
}

/* @param bytes  of the record, as far as it was read */
static int take_record(struct pa_jitdump *d, const uint8_t *p, size_t bytes)
{
	uint64_t time_ns = get64(d, p + 8);
	int err;

	d->stats.record_cnt++;
	switch (get32(d, p)) {
	case CODE_LOAD:
		err = take_load(d, p, bytes, d->timed ? time_ns : 0);
		break;
	case CODE_MOVE:
		err = take_move(d, p, bytes, d->timed ? time_ns : 0);
		break;
	case CODE_DEBUG_INFO:
		err = take_debug_info(d, p, bytes);
		break;
	case CODE_CLOSE:
	case CODE_UNWINDING_INFO:
		return 0;
	default:
		err = -EINVAL;
	}
	if (err != -EINVAL)
		return err;
	d->stats.skipped_cnt++;
	return 0;
}

/* ---- the file -------------------------------------------------------------------------- */

static ssize_t read_at(int fd, uint64_t offset, void *buf, size_t bytes)
{
	size_t got = 0;

	if (offset > INT64_MAX - bytes)
		return -EBADMSG;
	while (got < bytes) {
		ssize_t n = pread(fd, (char *)buf + got, bytes - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* @return 0, -EAGAIN not written yet, -ENOEXEC, -EBADMSG, -errno */
static int read_header(struct pa_jitdump *d, int fd)
{
	uint8_t h[HEADER_BYTES];
	ssize_t n = read_at(fd, 0, h, sizeof(h));
	uint32_t bytes;

	if (n < 0)
		return (int)n;
	if ((size_t)n < sizeof(h))
		return -EAGAIN;
	d->swap = false;
	if (get32(d, h) != MAGIC) {
		d->swap = true;
		if (get32(d, h) != MAGIC)
			return get32(d, h) ? -ENOEXEC : -EAGAIN;
	}
	bytes = get32(d, h + 8);
	if (get32(d, h + 4) < 1 || bytes < HEADER_BYTES || bytes > READ_BYTES)
		return -EBADMSG;
	/* stamps of a counter can't be compared with the samples' */
	d->timed = !(get64(d, h + 32) & FLAG_ARCH_TIMESTAMP);
	d->offset = bytes;
	d->started = true;
	return 0;
}

/* A record that the buffer can't hold. Of code only the beginning matters. */
static int take_large(struct pa_jitdump *d, int fd, uint32_t id, size_t bytes)
{
	size_t want = id == CODE_DEBUG_INFO || bytes < READ_BYTES ? bytes : READ_BYTES;
	uint8_t *p;
	ssize_t n;
	int err;

	if (want > DEBUG_MAX_BYTES) {
		d->stats.record_cnt++;
		d->stats.skipped_cnt++;
		return 0;
	}
	p = malloc(want);
	if (!p)
		return -ENOMEM;
	n = read_at(fd, d->offset, p, want);
	err = n < 0 ? (int)n : (size_t)n == want ? take_record(d, p, want) : -EAGAIN;
	free(p);
	return err;
}

/* Take the whole records in buf, which shows the file at d->offset. A record that goes on beyond
 * it is left for the next time, unless it can't fit. @return 0, -EAGAIN needs more */
static int take_buffer(struct pa_jitdump *d, int fd, const uint8_t *buf, size_t bytes,
		       uint64_t file_bytes)
{
	uint64_t begin = d->offset;

	while (d->offset - begin + PREFIX_BYTES <= bytes) {
		const uint8_t *p = buf + (d->offset - begin);
		size_t left = bytes - (size_t)(d->offset - begin);
		uint32_t total = get32(d, p + 4);
		int err;

		if (total < PREFIX_BYTES)
			return -EBADMSG;
		if (d->offset + total > file_bytes)
			return -EAGAIN; /* not all of it is written yet */
		if (total <= left)
			err = take_record(d, p, total);
		else if (p != buf)
			return 0;
		else
			err = take_large(d, fd, get32(d, p), total);
		if (err)
			return err;
		d->offset += total;
	}
	return d->offset == begin ? -EAGAIN : 0;
}

static int read_records(struct pa_jitdump *d, int fd, uint64_t file_bytes)
{
	uint8_t *buf = malloc(READ_BYTES);
	int err = buf ? 0 : -ENOMEM;

	while (!err && d->offset < file_bytes) {
		ssize_t n = read_at(fd, d->offset, buf, READ_BYTES);

		err = n < 0 ? (int)n : take_buffer(d, fd, buf, (size_t)n, file_bytes);
	}
	free(buf);
	return err;
}

int pa_jitdump__read(struct pa_jitdump *d, int fd)
{
	struct stat st;
	int err = 0;

	if (fstat(fd, &st))
		return -errno;
	if (d->started &&
	    (st.st_ino != d->ino || st.st_dev != d->dev || (uint64_t)st.st_size < d->offset)) {
		d->started = false; /* another file, or written anew */
		d->stats.damaged = false;
	}
	d->ino = st.st_ino;
	d->dev = st.st_dev;
	if (d->stats.damaged || d->stats.too_big)
		return 0;
	if (!d->started)
		err = read_header(d, fd);
	if (!err)
		err = read_records(d, fd, (uint64_t)st.st_size);
	d->stats.damaged = err == -EBADMSG || err == -ENOEXEC;
	d->stats.too_big = err == -EFBIG;
	return err == -EAGAIN ? 0 : err;
}

/* ---- the index: a balanced tree in an array of entries by start; the middle of each half is its
 * root, and knows how far the half reaches and which of its entries is the newest ------------- */

static int compare_starts(const void *pa, const void *pb, void *ctx)
{
	const struct entry *e = ctx;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	if (e[a].start != e[b].start)
		return e[a].start < e[b].start ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void make_half(struct pa_jitdump *d, size_t low, size_t high)
{
	size_t mid = low + (high - low) / 2;
	const struct entry *e = &d->entries[d->by_start[mid]];

	d->max_end[mid] = e->start + e->bytes;
	d->newest[mid] = d->by_start[mid];
	for (int side = 0; side < 2; side++) {
		size_t from = side ? mid + 1 : low, to = side ? high : mid, child;

		if (from >= to)
			continue;
		make_half(d, from, to); /* as deep as the logarithm of the entries */
		child = from + (to - from) / 2;
		if (d->max_end[child] > d->max_end[mid])
			d->max_end[mid] = d->max_end[child];
		if (d->newest[child] > d->newest[mid])
			d->newest[mid] = d->newest[child];
	}
}

static int make_index(struct pa_jitdump *d)
{
	size_t cnt = d->entry_cnt;

	free_index(d);
	d->by_start = malloc(cnt * sizeof(*d->by_start));
	d->max_end = malloc(cnt * sizeof(*d->max_end));
	d->newest = malloc(cnt * sizeof(*d->newest));
	if (!d->by_start || !d->max_end || !d->newest)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		d->by_start[i] = (uint32_t)i;
	qsort_r(d->by_start, cnt, sizeof(*d->by_start), compare_starts, d->entries);
	make_half(d, 0, cnt);
	d->stale = false;
	return 0;
}

struct query {
	uint64_t addr;
	size_t limit; /* entries from here on are too new */
	ssize_t best;
	unsigned visits;
};

static void search(const struct pa_jitdump *d, struct query *q, size_t low, size_t high)
{
	size_t mid = low + (high - low) / 2;
	const struct entry *e;
	uint32_t i;

	if (low >= high || d->max_end[mid] <= q->addr || (ssize_t)d->newest[mid] <= q->best ||
	    q->visits++ > VISITS_MAX)
		return;
	i = d->by_start[mid];
	e = &d->entries[i];
	if (e->start <= q->addr) {
		if (q->addr - e->start < e->bytes && i < q->limit && (ssize_t)i > q->best)
			q->best = (ssize_t)i;
		search(d, q, mid + 1, high);
	}
	search(d, q, low, mid);
}

ssize_t pa_jitdump__find(struct pa_jitdump *d, uint64_t addr, uint64_t time_ns)
{
	struct query q = {.addr = addr, .best = -1};
	size_t low = 0, high = d->entry_cnt;

	if (!d->entry_cnt)
		return -ENOENT;
	if (d->stale && make_index(d))
		return -ENOMEM;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->entries[mid].time_ns <= time_ns)
			low = mid + 1;
		else
			high = mid;
	}
	q.limit = low;
	search(d, &q, 0, d->entry_cnt);
	return q.best >= 0 ? q.best : -ENOENT;
}

size_t pa_jitdump__cnt(const struct pa_jitdump *d)
{
	return d->entry_cnt;
}

void pa_jitdump__entry(const struct pa_jitdump *d, size_t i, uint64_t *start, uint64_t *bytes,
		       const char **name)
{
	*start = d->entries[i].start;
	*bytes = d->entries[i].bytes;
	*name = d->texts + d->entries[i].name;
}

int pa_jitdump__line(const struct pa_jitdump *d, size_t i, uint64_t addr, const char **file,
		     uint32_t *line)
{
	const struct entry *e = &d->entries[i];
	const struct line *lines;
	uint64_t at = addr - e->start + e->lines_base;
	size_t low = 0, high = e->line_cnt;

	*file = "";
	*line = 0;
	if (!high)
		return -ENOENT;
	lines = d->lines + e->line;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (lines[mid].addr <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return -ENOENT;
	*file = d->texts + lines[low - 1].file;
	*line = lines[low - 1].line;
	return 0;
}

int pa_jitdump__first_line(const struct pa_jitdump *d, size_t i, const char **file, uint32_t *line)
{
	const struct entry *e = &d->entries[i];

	if (!e->line_cnt)
		return -ENOENT;
	*file = d->texts + d->lines[e->line].file;
	*line = d->lines[e->line].line;
	return 0;
}

void pa_jitdump__stats(const struct pa_jitdump *d, struct pa_jitdump_stats *out)
{
	*out = d->stats;
}
