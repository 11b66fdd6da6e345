// SPDX-License-Identifier: GPL-2.0-only
/*
 * perfmap.c - /tmp/perf-PID.map: what a JIT compiler says about the code that it made. Lines are
 * appended for as long as the process runs, and a later line takes over the addresses of earlier
 * ones. Entries never move, so that symbols made from them stay; only the index of disjoint
 * ranges is made anew after reading. The profiled process writes this file: all is bounded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"
#include "symbolize/jitdump.h"

#define READ_BYTES 262144
#define ENTRIES_MAX (16u << 20)
#define ENTRY_SPAN_MAX (1ull << 32)

struct entry {
	uint64_t start;
	uint32_t bytes;
	uint32_t name;
};

struct range {
	uint64_t start, end;
	uint32_t entry;
};

struct pa_perfmap {
	struct entry *entries; /* in the order of the file */
	size_t entry_cnt, entry_cap;
	char *names;
	size_t names_bytes, names_cap;
	struct range *ranges; /* disjoint, by address */
	size_t range_cnt;
	bool stale;		   /* entries were added since ranges were made */
	uint64_t ino, dev, offset; /* what was read, and up to where */
	uint64_t total_bytes;	   /* in all files read for this process */
	struct pa_perfmap_stats stats;
};

int pa_perfmap__new(struct pa_perfmap **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void pa_perfmap__free(struct pa_perfmap *m)
{
	if (!m)
		return;
	free(m->entries);
	free(m->names);
	free(m->ranges);
	free(m);
}

static const char *parse_hex(const char *p, const char *end, uint64_t *value)
{
	int digits = 0;

	*value = 0;
	if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	for (; p < end; p++, digits++) {
		char c = *p | 0x20;

		if (*p >= '0' && *p <= '9')
			*value = *value << 4 | (unsigned)(*p - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (unsigned)(c - 'a' + 10);
		else
			break;
	}
	return digits > 0 && digits <= 16 && p < end && *p == ' ' ? p + 1 : NULL;
}

static int add_entry(struct pa_perfmap *m, uint64_t start, uint64_t bytes, const char *name,
		     size_t name_bytes)
{
	int err;

	if (m->entry_cnt >= ENTRIES_MAX)
		return -EFBIG;
	err = pa_array_grow(&m->entries, m->entry_cnt, &m->entry_cap, sizeof(*m->entries));
	if (err)
		return err;
	if (m->names_bytes + name_bytes + 1 > m->names_cap) {
		size_t cap = (m->names_cap ? m->names_cap * 2 : 4096) + name_bytes + 1;
		char *p = realloc(m->names, cap);

		if (!p)
			return -ENOMEM;
		m->names = p;
		m->names_cap = cap;
	}
	m->entries[m->entry_cnt++] =
		(struct entry){start, (uint32_t)bytes, (uint32_t)m->names_bytes};
	memcpy(m->names + m->names_bytes, name, name_bytes);
	m->names[m->names_bytes + name_bytes] = '\0';
	m->names_bytes += name_bytes + 1;
	m->stale = true;
	return 0;
}

static int parse_line(struct pa_perfmap *m, const char *p, const char *end)
{
	uint64_t start, bytes;

	m->stats.line_cnt++;
	if (end > p && end[-1] == '\r')
		end--;
	p = parse_hex(p, end, &start);
	if (p)
		p = parse_hex(p, end, &bytes);
	if (!p || p == end || (size_t)(end - p) > PA_JIT_NAME_MAX_BYTES || !bytes ||
	    bytes >= ENTRY_SPAN_MAX || start > UINT64_MAX - bytes ||
	    memchr(p, '\0', (size_t)(end - p))) {
		m->stats.skipped_cnt++;
		return 0;
	}
	return add_entry(m, start, bytes, p, (size_t)(end - p));
}

ssize_t pa_perfmap__feed(struct pa_perfmap *m, const char *text, size_t bytes, bool at_end)
{
	const char *p = text, *end = text + bytes, *newline;
	int err;

	while (p < end && (newline = memchr(p, '\n', (size_t)(end - p)))) {
		err = parse_line(m, p, newline);
		if (err)
			return err;
		p = newline + 1;
	}
	if (at_end && p < end) {
		err = parse_line(m, p, end);
		if (err)
			return err;
	}
	return p - text;
}

static int read_from(struct pa_perfmap *m, int fd, char *buf)
{
	bool skipping = false; /* within a line that is longer than the buffer */

	for (;;) {
		ssize_t n = pread(fd, buf, READ_BYTES, (off_t)m->offset);
		ssize_t used;
		bool at_end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		at_end = n < READ_BYTES;
		if (m->total_bytes + (uint64_t)n > PA_PERFMAP_MAX_BYTES)
			return -EFBIG;
		if (skipping) {
			char *newline = memchr(buf, '\n', (size_t)n);

			used = newline ? newline + 1 - buf : n;
			skipping = !newline;
			at_end = false;
		} else {
			used = pa_perfmap__feed(m, buf, (size_t)n, at_end);
			if (used < 0)
				return (int)used;
			if (!used && !at_end) {
				m->stats.line_cnt++;
				m->stats.skipped_cnt++;
				skipping = true;
				used = n;
			}
		}
		m->offset += (uint64_t)used;
		m->total_bytes += (uint64_t)used;
		if (at_end)
			return 0;
	}
}

int pa_perfmap__read(struct pa_perfmap *m, int fd)
{
	struct stat st;
	char *buf;
	int err;

	if (m->stats.too_big)
		return 0;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_ino != m->ino || st.st_dev != m->dev || (uint64_t)st.st_size < m->offset)
		m->offset = 0; /* another file, or written anew */
	m->ino = st.st_ino;
	m->dev = st.st_dev;
	if ((uint64_t)st.st_size <= m->offset)
		return 0;
	buf = malloc(READ_BYTES);
	if (!buf)
		return -ENOMEM;
	err = read_from(m, fd, buf);
	free(buf);
	m->stats.too_big = err == -EFBIG;
	return err;
}

/* ---- the index: a sweep over the ends of all entries, the newest open one is on top ------- */

struct sweep {
	const struct entry *entries;
	uint32_t *by_start; /* entries by start address */
	uint32_t *heap;	    /* open entries, greatest index first */
	size_t heap_cnt;
};

static int compare_starts(const void *pa, const void *pb, void *ctx)
{
	const struct entry *e = ctx;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	if (e[a].start != e[b].start)
		return e[a].start < e[b].start ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void heap_push(struct sweep *s, uint32_t v)
{
	size_t i = s->heap_cnt++;

	while (i && s->heap[(i - 1) / 2] < v) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = v;
}

static void heap_pop(struct sweep *s)
{
	uint32_t v = s->heap[--s->heap_cnt];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->heap_cnt) {
		if (child + 1 < s->heap_cnt && s->heap[child + 1] > s->heap[child])
			child++;
		if (s->heap[child] <= v)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = v;
}

/* Fill out with what is on top, up to limit, from address at on. */
static uint64_t emit(struct sweep *s, uint64_t at, uint64_t limit, struct range *out, size_t *cnt)
{
	while (s->heap_cnt && at < limit) {
		uint32_t top = s->heap[0];
		uint64_t end = s->entries[top].start + s->entries[top].bytes;

		if (end <= at) {
			heap_pop(s);
			continue;
		}
		if (end > limit)
			end = limit;
		if (*cnt && out[*cnt - 1].entry == top && out[*cnt - 1].end == at)
			out[*cnt - 1].end = end;
		else
			out[(*cnt)++] = (struct range){at, end, top};
		at = end;
	}
	return limit;
}

static int make_ranges(struct pa_perfmap *m)
{
	size_t cnt = m->entry_cnt, out_cnt = 0;
	struct sweep s = {.entries = m->entries};
	struct range *out = malloc((2 * cnt + 1) * sizeof(*out));
	uint64_t at = 0;

	s.by_start = malloc((cnt + 1) * sizeof(*s.by_start));
	s.heap = malloc((cnt + 1) * sizeof(*s.heap));
	if (!out || !s.by_start || !s.heap) {
		free(out);
		free(s.by_start);
		free(s.heap);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cnt; i++)
		s.by_start[i] = (uint32_t)i;
	qsort_r(s.by_start, cnt, sizeof(*s.by_start), compare_starts, m->entries);
	for (size_t i = 0; i < cnt; i++) {
		at = emit(&s, at, m->entries[s.by_start[i]].start, out, &out_cnt);
		heap_push(&s, s.by_start[i]);
	}
	emit(&s, at, UINT64_MAX, out, &out_cnt);
	free(s.by_start);
	free(s.heap);
	free(m->ranges);
	m->ranges = out;
	m->range_cnt = out_cnt;
	m->stale = false;
	return 0;
}

ssize_t pa_perfmap__find(struct pa_perfmap *m, uint64_t addr)
{
	size_t low = 0, high;

	if (m->stale && make_ranges(m))
		return -ENOMEM;
	high = m->range_cnt;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->ranges[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low && addr < m->ranges[low - 1].end ? (ssize_t)m->ranges[low - 1].entry : -ENOENT;
}

size_t pa_perfmap__cnt(const struct pa_perfmap *m)
{
	return m->entry_cnt;
}

void pa_perfmap__entry(const struct pa_perfmap *m, size_t i, uint64_t *start, uint64_t *bytes,
		       const char **name)
{
	*start = m->entries[i].start;
	*bytes = m->entries[i].bytes;
	*name = m->names + m->entries[i].name;
}

void pa_perfmap__stats(const struct pa_perfmap *m, struct pa_perfmap_stats *out)
{
	*out = m->stats;
}

/* ---- finding the file ------------------------------------------------------------------- */

struct process {
	bool alive;
	long ns_pid;
	uid_t uid, fs_uid;
};

static void parse_status(const char *text, struct process *p)
{
	const char *ns = strstr(text, "\nNSpid:"), *uid = strstr(text, "\nUid:");
	unsigned ids[4];

	if (ns) {
		const char *end = strchr(ns + 1, '\n'), *last = ns + 7;

		for (const char *c = last; end && c < end; c++)
			if ((*c == '\t' || *c == ' ') && c + 1 < end)
				last = c + 1;
		p->ns_pid = strtol(last, NULL, 10);
	}
	if (uid && sscanf(uid + 5, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4) {
		p->uid = ids[1];
		p->fs_uid = ids[3];
		p->alive = p->ns_pid > 0;
	}
}

static void read_status(pid_t pid, struct process *p)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	memset(p, 0, sizeof(*p));
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	parse_status(text, p);
}

static bool owner_is_right(int fd, const struct process *p)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	if (!st.st_uid)
		return true;
	/* Of a process that is gone nothing is known: then only our own files, as in perf. */
	return p->alive ? st.st_uid == p->uid || st.st_uid == p->fs_uid : st.st_uid == geteuid();
}

static int accept_owned(int fd, const struct process *p, bool *refused)
{
	if (fd < 0 || owner_is_right(fd, p))
		return fd;
	close(fd);
	*refused = true;
	return -EPERM;
}

int pa_perfmap__open(pid_t pid, bool *refused)
{
	struct process p;
	char root[64], path[64];
	int fd = -ENOENT;

	*refused = false;
	read_status(pid, &p);
	if (p.alive) {
		snprintf(root, sizeof(root), "/proc/%d/root", pid);
		snprintf(path, sizeof(path), "/tmp/perf-%ld.map", p.ns_pid);
		fd = pa_open_plain_in(root, path);
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
		fd = pa_open_plain_in("/", path);
	}
	return accept_owned(fd, &p, refused);
}

int pa_jitdump__open(pid_t pid, const char *path, bool *refused)
{
	struct process p;
	char root[64];
	int fd = -ENOENT;

	*refused = false;
	if (path[0] != '/')
		return -ENOENT;
	read_status(pid, &p);
	if (p.alive) {
		snprintf(root, sizeof(root), "/proc/%d/root", pid);
		fd = pa_open_plain_in(root, path);
	}
	if (fd < 0)
		fd = pa_open_plain_in("/", path);
	return accept_owned(fd, &p, refused);
}
