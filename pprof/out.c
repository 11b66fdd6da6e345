/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * out.c - packed protobuf on its way out: the growing buffer that it is packed into, gzip, and
 * writing whole to a descriptor or, through a temporary file, to a path.
 */
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define LARGE_BYTES (2u << 20)
#define MAPPED_BYTES (40u << 20)
#define GZIP_LEVEL 1 /* 2 takes a third longer and saves a twentieth */
/* Not all readers know files of several members, so that only huge profiles become one. */
#define MEMBER_BYTES ((size_t)64 << 20)

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
	/* What is this large is mapped memory, which grows without being copied. */
	if (b->bytes >= LARGE_BYTES && cap_bytes < MAPPED_BYTES)
		cap_bytes = MAPPED_BYTES;
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

int pprof_buf__append(struct pprof_buf *b, const struct pprof_buf *from)
{
	int err = pprof_buf__reserve(b, from->bytes);

	if (err || !from->bytes)
		return err;
	memcpy(b->data + b->bytes, from->data, from->bytes);
	b->bytes += from->bytes;
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

static int write_gzip(int fd, const uint8_t *data, size_t bytes)
{
	struct libdeflate_compressor *z = libdeflate_alloc_compressor(GZIP_LEVEL);
	size_t first_bytes = bytes < MEMBER_BYTES ? bytes : MEMBER_BYTES, room = 0;
	uint8_t *out = NULL;
	int err = -ENOMEM;

	if (!z)
		goto out;
	/* What is never written to takes no memory: a third of this is used. */
	room = libdeflate_gzip_compress_bound(z, first_bytes);
	out = malloc(room);
	if (!out)
		goto out;
	do {
		size_t some = bytes < MEMBER_BYTES ? bytes : MEMBER_BYTES;
		size_t packed_bytes = libdeflate_gzip_compress(z, data, some, out, room);

		err = packed_bytes ? write_all(fd, out, packed_bytes) : -EIO;
		data += some;
		bytes -= some;
	} while (bytes && !err);
out:
	free(out);
	libdeflate_free_compressor(z);
	return err;
}

int pprof_out__fd(int fd, const struct pprof_buf *b, bool gzip)
{
	return gzip ? write_gzip(fd, b->data, b->bytes) : write_all(fd, b->data, b->bytes);
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

static int write_in_place(const char *path, const struct pprof_buf *b)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	int err;

	if (fd < 0)
		return -errno;
	err = pprof_out__fd(fd, b, true);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int write_and_rename(const char *path, const struct pprof_buf *b)
{
	char tmp[PATH_MAX];
	int fd, err;

	fd = open_tmp(path, tmp);
	if (fd < 0)
		return fd;
	err = pprof_out__fd(fd, b, true);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int pprof_out__path(const char *path, const struct pprof_buf *b)
{
	struct stat st;
	char *real = NULL;
	int err;

	if (!strcmp(path, "-"))
		return pprof_out__fd(STDOUT_FILENO, b, true);
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_in_place(path, b);
	/* A symbolic link stays one (it may be /dev/stdout): what it leads to is replaced. */
	if (!lstat(path, &st) && S_ISLNK(st.st_mode)) {
		real = realpath(path, NULL);
		if (!real)
			return write_in_place(path, b);
	}
	err = write_and_rename(real ? real : path, b);
	free(real);
	return err;
}
