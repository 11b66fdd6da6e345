// SPDX-License-Identifier: GPL-2.0-only
/*
 * procfs.c - /proc/PID/{maps,task,stat,status} and CPU lists. A process chooses what stands in
 * most of these (paths, names), and may end while they are read.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/procfs.h"

#define CPU_MAX (1 << 16)		     /* more than any kernel is configured for */
#define MAPS_LINE_BYTES (PATH_MAX * 4 + 128) /* every byte of a path may be printed as \ooo */

ssize_t pa_procfs__read(const char *path, char *buf, size_t cap_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < cap_bytes - 1) {
		n = read(fd, buf + len, cap_bytes - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			close(fd);
			return n;
		}
		if (!n)
			break;
		len += (size_t)n;
	}
	close(fd);
	buf[len] = '\0';
	return (ssize_t)len;
}

/* The kernel prints a newline in a path as \012, and nothing else that way in maps. */
static void unescape_newlines(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		if (!strncmp(from, "\\012", 4)) {
			*to = '\n';
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "start-end perms pgoff maj:min ino    path". @return 1 executable, 0 not wanted */
static int parse_map_line(char *line, struct pa_proc_map *m)
{
	unsigned long long start, end, pgoff, ino;
	unsigned int maj, min;
	int path_at = 0;
	char perms[5];

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, perms, &pgoff, &maj,
		   &min, &ino, &path_at) != 7)
		return 0;
	if (strlen(perms) != 4 || perms[2] != 'x' || end <= start || !path_at)
		return 0;
	unescape_newlines(line + path_at);
	*m = (struct pa_proc_map){
		.start = start,
		.bytes = end - start,
		.pgoff = pgoff,
		.maj = maj,
		.min = min,
		.ino = ino,
		.prot = PROT_EXEC | (perms[0] == 'r' ? PROT_READ : 0) |
			(perms[1] == 'w' ? PROT_WRITE : 0),
		.flags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE,
		.path = line + path_at,
	};
	return 1;
}

/* @return as pa_procfs__exec_maps; -ENODATA the file is empty */
static int read_maps(const char *path, int (*cb)(void *ctx, const struct pa_proc_map *m), void *ctx)
{
	struct pa_proc_map m;
	size_t cap = 65536 + MAPS_LINE_BYTES, len = 0;
	char *buf, *line, *nl;
	bool is_empty = true;
	int fd, err = 0;
	ssize_t n;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	buf = malloc(cap + 1);
	if (!buf) {
		close(fd);
		return -ENOMEM;
	}
	while (!err) {
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : 0;
			break;
		}
		is_empty = false;
		len += (size_t)n;
		buf[len] = '\0';
		for (line = buf; !err && (nl = memchr(line, '\n', len - (size_t)(line - buf)));
		     line = nl + 1) {
			*nl = '\0';
			if (parse_map_line(line, &m))
				err = cb(ctx, &m);
		}
		len -= (size_t)(line - buf);
		if (len == cap) /* no line is that long */
			len = 0;
		memmove(buf, line, len);
	}
	free(buf);
	close(fd);
	return !err && is_empty ? -ENODATA : err;
}

int pa_procfs__exec_maps(pid_t pid, int (*cb)(void *ctx, const struct pa_proc_map *m), void *ctx)
{
	char path[96];
	struct dirent *e;
	DIR *dir;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	err = read_maps(path, cb, ctx);
	if (err != -ENODATA)
		return err;
	/* the first thread has ended: another may still have the memory */
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && err == -ENODATA && (e = readdir(dir))) {
		int tid = atoi(e->d_name);

		if (tid <= 0 || tid == pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", (int)pid, tid);
		err = read_maps(path, cb, ctx);
		if (err == -ENOENT || err == -ESRCH) /* it ended, too */
			err = -ENODATA;
	}
	if (dir)
		closedir(dir);
	return err == -ENODATA ? 0 : err;
}

static void cut_newline(char *s)
{
	size_t len = strlen(s);

	if (len && s[len - 1] == '\n')
		s[len - 1] = '\0';
}

bool pa_procfs__is_there(uint32_t pid)
{
	return !kill((pid_t)pid, 0) || errno != ESRCH;
}

int pa_procfs__threads(pid_t pid, int (*cb)(void *ctx, pid_t tid, const char *comm), void *ctx)
{
	char path[96], comm[64];
	struct dirent *e;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!err && (e = readdir(dir))) {
		int tid = atoi(e->d_name);

		if (tid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, tid);
		if (pa_procfs__read(path, comm, sizeof(comm)) < 0)
			continue; /* ended meanwhile */
		cut_newline(comm);
		err = cb(ctx, tid, comm);
	}
	closedir(dir);
	return err;
}

int pa_procfs__comm(pid_t pid, char comm[PA_COMM_BYTES])
{
	char path[64], buf[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	n = pa_procfs__read(path, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	cut_newline(buf);
	snprintf(comm, PA_COMM_BYTES, "%s", buf);
	return 0;
}

int pa_procfs__start_ns(pid_t pid, uint64_t *boottime_ns)
{
	unsigned long long ticks;
	char path[64], buf[1024];
	const char *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = pa_procfs__read(path, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	p = strrchr(buf, ')'); /* the name may hold anything */
	if (!p)
		return -EBADMSG;
	/* field 3 follows the name, starttime is field 22 */
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return -EBADMSG;
	}
	ticks = strtoull(p + 1, NULL, 10);
	*boottime_ns = ticks * (1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK));
	return 0;
}

pid_t pa_procfs__tgid(pid_t pid)
{
	char path[64], buf[4096];
	const char *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	n = pa_procfs__read(path, buf, sizeof(buf));
	if (n < 0)
		return (pid_t)n;
	p = strstr(buf, "\nTgid:");
	return p ? atoi(p + 6) : -EBADMSG;
}

static int compare_cpus(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void sort_unique(struct pa_cpus *c)
{
	size_t kept = 0;

	if (c->cnt)
		qsort(c->ids, c->cnt, sizeof(*c->ids), compare_cpus);
	for (size_t i = 0; i < c->cnt; i++)
		if (!kept || c->ids[i] != c->ids[kept - 1])
			c->ids[kept++] = c->ids[i];
	c->cnt = kept;
}

int pa_cpus__parse(const char *list, struct pa_cpus *out)
{
	const char *p = list;
	int err = -EINVAL;

	*out = (struct pa_cpus){0};
	while (*p && *p != '\n') {
		unsigned long first, last;
		char *end;
		int *ids;

		if (!isdigit((unsigned char)*p))
			goto out;
		first = last = strtoul(p, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				goto out;
			last = strtoul(end + 1, &end, 10);
		}
		if (last < first || last >= CPU_MAX || out->cnt >= CPU_MAX)
			goto out;
		ids = reallocarray(out->ids, out->cnt + last - first + 1, sizeof(*ids));
		if (!ids) {
			err = -ENOMEM;
			goto out;
		}
		out->ids = ids;
		while (first <= last)
			out->ids[out->cnt++] = (int)first++;
		if (*end == ',' && end[1])
			end++;
		else if (*end && *end != '\n')
			goto out;
		p = end;
	}
	err = out->cnt ? 0 : -EINVAL;
	sort_unique(out);
out:
	if (err)
		pa_cpus__free(out);
	return err;
}

static int read_cpus(const char *path, struct pa_cpus *out)
{
	char buf[65536];
	ssize_t n = pa_procfs__read(path, buf, sizeof(buf));

	*out = (struct pa_cpus){0};
	return n < 0 ? (int)n : pa_cpus__parse(buf, out);
}

int pa_cpus__online(struct pa_cpus *out)
{
	return read_cpus("/sys/devices/system/cpu/online", out);
}

int pa_cpus__possible(struct pa_cpus *out)
{
	return read_cpus("/sys/devices/system/cpu/possible", out);
}

bool pa_cpus__has(const struct pa_cpus *c, int cpu)
{
	for (size_t i = 0; i < c->cnt; i++)
		if (c->ids[i] == cpu)
			return true;
	return false;
}

void pa_cpus__free(struct pa_cpus *c)
{
	free(c->ids);
	*c = (struct pa_cpus){0};
}
