/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * out.c - packed protobuf on its way out: the growing buffer that it is packed into, gzip, and
 * writing whole to a descriptor or, through a temporary file, to a path.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "internal.h"

#define OUT_BYTES (64 * 1024)
#define DEFLATE_BYTES ((size_t)1 << 30) /* at once: zlib counts in 32 bits */
/* On profiles a third faster than the default, for 2 % more bytes. */
#define GZIP_LEVEL 1		   /* 6 takes three times as long and saves an eighth */
#define GZIP_WINDOW_BITS (15 + 16) /* zlib: + 16 asks for a gzip header; its mtime is 0 */

int pprof_buf__reserve(struct pprof_buf *b, size_t more_bytes)
{
	size_t cap_bytes = b->cap_bytes ? b->cap_bytes : 4096;
	uint8_t *data;

	if (more_bytes <= b->cap_bytes - b->bytes)
		return 0;
	if (more_bytes > SIZE_MAX / 2 - b->bytes)
		return -ENOMEM;
	while (cap_bytes - b->bytes < more_bytes)
		cap_bytes += cap_bytes / 2;
	data = realloc(b->data, cap_bytes);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap_bytes = cap_bytes;
	return 0;
}

int pprof_buf__pack(struct pprof_buf *b, const Perftools__Profiles__Profile *piece)
{
	size_t bytes = perftools__profiles__profile__get_packed_size(piece);
	int err = pprof_buf__reserve(b, bytes);

	if (err)
		return err;
	b->bytes += perftools__profiles__profile__pack(piece, b->data + b->bytes);
	return 0;
}

void pprof_buf__free(struct pprof_buf *b)
{
	free(b->data);
	*b = (struct pprof_buf){0};
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = {.fd = fd, .events = POLLOUT};

			poll(&pfd, 1, -1);
			continue;
		}
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		data += n;
		bytes -= n;
	}
	return 0;
}

/* Compress the bytes that z has been given and write what comes out. */
static int deflate_some(z_stream *z, int flush, int fd, uint8_t *out)
{
	int ret, err;

	do {
		z->next_out = out;
		z->avail_out = OUT_BYTES;
		ret = deflate(z, flush);
		if (ret == Z_STREAM_ERROR)
			return -EIO;
		err = write_all(fd, out, OUT_BYTES - z->avail_out);
		if (err)
			return err;
	} while (flush == Z_FINISH ? ret != Z_STREAM_END : !z->avail_out);
	return 0;
}

static int write_gzip(int fd, const struct pprof_buf *parts, size_t part_cnt)
{
	uint8_t *out = malloc(OUT_BYTES);
	z_stream z = {0};
	int err = 0;

	if (!out)
		return -ENOMEM;
	if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK) {
		free(out);
		return -ENOMEM;
	}
	for (size_t i = 0; i < part_cnt && !err; i++) {
		size_t at = 0;

		while (at < parts[i].bytes && !err) {
			size_t left = parts[i].bytes - at;

			z.next_in = parts[i].data + at;
			z.avail_in = left > DEFLATE_BYTES ? DEFLATE_BYTES : left;
			at += z.avail_in;
			err = deflate_some(&z, Z_NO_FLUSH, fd, out);
		}
	}
	if (!err)
		err = deflate_some(&z, Z_FINISH, fd, out);
	deflateEnd(&z);
	free(out);
	return err;
}

int pprof_out__fd(int fd, const struct pprof_buf *parts, size_t part_cnt, bool gzip)
{
	int err = 0;

	if (gzip)
		return write_gzip(fd, parts, part_cnt);
	for (size_t i = 0; i < part_cnt && !err; i++)
		err = write_all(fd, parts[i].data, parts[i].bytes);
	return err;
}

/* Open a new file in path's folder, so that renaming it does not cross a file system.
 * tmp: PATH_MAX bytes, set to its name. Returns the descriptor or -errno. */
static int open_tmp(const char *path, char *tmp)
{
	const char *base = strrchr(path, '/');
	int dir_bytes = base ? (int)(base + 1 - path) : 0;

	for (unsigned int i = 0; i < 100; i++) {
		int n = snprintf(tmp, PATH_MAX, "%.*s.pprof-%d-%u.tmp", dir_bytes, path,
				 (int)getpid(), i);
		int fd;

		if (n < 0 || n >= PATH_MAX)
			return -ENAMETOOLONG;
		fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int write_in_place(const char *path, const struct pprof_buf *parts, size_t part_cnt)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	int err;

	if (fd < 0)
		return -errno;
	err = pprof_out__fd(fd, parts, part_cnt, true);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int write_and_rename(const char *path, const struct pprof_buf *parts, size_t part_cnt)
{
	char tmp[PATH_MAX];
	int fd, err;

	fd = open_tmp(path, tmp);
	if (fd < 0)
		return fd;
	err = pprof_out__fd(fd, parts, part_cnt, true);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int pprof_out__path(const char *path, const struct pprof_buf *parts, size_t part_cnt)
{
	struct stat st;
	char *real = NULL;
	int err;

	if (!strcmp(path, "-"))
		return pprof_out__fd(STDOUT_FILENO, parts, part_cnt, true);
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_in_place(path, parts, part_cnt);
	/* A symbolic link stays one (it may be /dev/stdout): what it leads to is replaced. */
	if (!lstat(path, &st) && S_ISLNK(st.st_mode)) {
		real = realpath(path, NULL);
		if (!real)
			return write_in_place(path, parts, part_cnt);
	}
	err = write_and_rename(real ? real : path, parts, part_cnt);
	free(real);
	return err;
}
