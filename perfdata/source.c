/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * source.c - where a reader's bytes come from: a file, a pipe, a file that came through a pipe, or
 * a directory as `perf record --threads` and `--kcore` write it, whose file "data" has the header
 * and whose files data.0, data.1... are more records.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perfdata/internal.h"

#define PARTS_MAX 8192 /* perf writes one for each CPU at most */

/* "data.N" as perf prints it. @return whether it is one */
static bool part_number(const char *name, __u32 *number)
{
	char *end, again[24];
	unsigned long n;

	if (strncmp(name, "data.", 5) || name[5] < '0' || name[5] > '9')
		return false;
	n = strtoul(name + 5, &end, 10);
	if (*end || n > INT32_MAX)
		return false;
	*number = (__u32)n;
	snprintf(again, sizeof(again), "data.%u", *number);
	return !strcmp(again, name);
}

static int compare_parts(const void *a, const void *b)
{
	const struct pd_part *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* A link could lead anywhere, and perf makes none. */
static int add_part(struct pd_source *s, const char *name)
{
	struct pd_part part, *more;
	struct stat st;

	if (!part_number(name, &part.number))
		return 0;
	if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ELOOP;
	if (!st.st_size)
		return 0;
	if (s->part_cnt == PARTS_MAX)
		return -E2BIG;
	if (!(s->part_cnt & (s->part_cnt - 1))) {
		more = reallocarray(s->parts, s->part_cnt ? 2 * s->part_cnt : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->parts = more;
	}
	part.bytes = (__u64)st.st_size;
	s->parts[s->part_cnt++] = part;
	return 0;
}

static int list_parts(struct pd_source *s)
{
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir)))
		err = add_part(s, entry->d_name);
	closedir(dir);
	if (s->part_cnt)
		qsort(s->parts, s->part_cnt, sizeof(*s->parts), compare_parts);
	return err;
}

/* fd is a directory: go on with its files. */
static int open_dir(struct pd_source *s, const char *path)
{
	struct stat st;

	s->dir_fd = s->fd;
	s->fd = openat(s->dir_fd, "data", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->fd < 0)
		return errno == ENOENT ? -EISDIR : -errno;
	if (fstat(s->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!fstatat(s->dir_fd, "kcore_dir", &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode) &&
	    asprintf(&s->kcore_dir, "%s/kcore_dir", path) < 0) {
		s->kcore_dir = NULL;
		return -ENOMEM;
	}
	return list_parts(s);
}

int pd_source_open(struct pd_source *s, const char *path)
{
	struct stat st;
	int err;

	*s = (struct pd_source){.fd = -1, .dir_fd = -1, .part_fd = -1};
	s->own_fd = strcmp(path, "-");
	s->fd = s->own_fd ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
	if (s->fd < 0 || fstat(s->fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		if (!s->own_fd)
			return -EISDIR;
		err = open_dir(s, path);
		if (err)
			return err;
		if (fstat(s->fd, &st))
			return -errno;
	}
	s->seekable = S_ISREG(st.st_mode) && st.st_size > 0 && !lseek(s->fd, 0, SEEK_CUR);
	s->bytes = s->seekable ? (__u64)st.st_size : 0;
	return 0;
}

int pd_source_read(const struct pd_source *s, __u64 offset, void *buf, size_t bytes)
{
	if (offset > s->bytes || bytes > s->bytes - offset)
		return -EBADMSG;
	if (s->heap) {
		memcpy(buf, s->heap + offset, bytes);
		return 0;
	}
	while (bytes) {
		ssize_t n = pread(s->fd, buf, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		buf = (char *)buf + n;
		offset += (__u64)n;
		bytes -= (size_t)n;
	}
	return 0;
}

int pd_source_part(struct pd_source *s, size_t part, const struct pd_section *data,
		   struct pd_stream *out)
{
	char name[24];

	if (s->part_fd >= 0)
		close(s->part_fd);
	s->part_fd = -1;
	s->part = part;
	if (!part && s->heap) {
		pd_stream_init_memory(out, s->heap, (size_t)data->offset, (size_t)data->bytes);
		return 0;
	}
	if (!part)
		return pd_stream_init_file(out, s->fd, data->offset, data->bytes);
	s->part_fd = openat(s->dir_fd, pd_source_part_name(s, name),
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->part_fd < 0)
		return -errno;
	return pd_stream_init_file(out, s->part_fd, 0, s->parts[part - 1].bytes);
}

const char *pd_source_part_name(const struct pd_source *s, char *buf)
{
	if (s->part)
		snprintf(buf, 24, "data.%u", s->parts[s->part - 1].number);
	else
		snprintf(buf, 24, "%s", s->dir_fd >= 0 ? "data" : "");
	return buf;
}

void pd_source_close(struct pd_source *s)
{
	if (s->own_fd && s->fd >= 0)
		close(s->fd);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	if (s->part_fd >= 0)
		close(s->part_fd);
	free(s->kcore_dir);
	free(s->parts);
	free(s->heap);
}
