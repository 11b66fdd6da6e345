// SPDX-License-Identifier: GPL-2.0-only
/*
 * cachefile.c - files in a folder of the user's own. What is there may be another's work, half
 * written or damaged; a name never leads elsewhere.
 */
#include "cachefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline uint64_t hash_word(uint64_t lane, const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return (lane ^ word) * 0x9e3779b97f4a7c15ull;
}

/* In four lanes, so that their multiplications overlap. */
uint64_t pa_cachefile__hash(const void *data, size_t bytes)
{
	uint64_t a = bytes, b = 1, c = 2, d = 3;
	const char *p = data;
	char tail[32] = {0};

	for (; bytes >= 32; bytes -= 32, p += 32) {
		a = hash_word(a, p);
		b = hash_word(b, p + 8);
		c = hash_word(c, p + 16);
		d = hash_word(d, p + 24);
	}
	if (bytes)
		memcpy(tail, p, bytes);
	for (size_t i = 0; i < sizeof(tail); i += 8)
		a = hash_word(a, tail + i);
	a = hash_word(a, (const char *)&b);
	a = hash_word(a, (const char *)&c);
	return hash_word(a, (const char *)&d);
}

static bool is_ours(int fd, mode_t type)
{
	struct stat st;

	return !fstat(fd, &st) && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int pa_cachefile__directory(char *path, size_t bytes, bool create)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (cache && cache[0] == '/') {
		n = snprintf(path, bytes, "%s", cache);
	} else if (home && home[0] == '/') {
		n = snprintf(path, bytes, "%s/.cache", home);
	} else {
		n = snprintf(path, bytes, "/tmp/perf-agent-%u", (unsigned)geteuid());
		return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
	}
	if (n < 0 || (size_t)n >= bytes)
		return -ENAMETOOLONG;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	n = snprintf(path + n, bytes - (size_t)n, "/perf-agent");
	return strlen(path) + 1 >= bytes || n < 0 ? -ENAMETOOLONG : 0;
}

int pa_cachefile__open_dir(const char *path, bool create)
{
	int fd;

	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_ours(fd, S_IFDIR) && (!create || !fchmod(fd, 0700)))
		return fd;
	close(fd);
	return -EPERM;
}

int pa_cachefile__open(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (is_ours(fd, S_IFREG))
		return fd;
	close(fd);
	return -EPERM;
}

static int write_all(int fd, const char *p, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int pa_cachefile__write(int dir, const char *name, const void *data, size_t bytes, bool replace)
{
	char temporary[NAME_MAX + 1];
	int n = snprintf(temporary, sizeof(temporary), "%s.%d.tmp", name, (int)gettid()), fd, err;

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return -ENAMETOOLONG;
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, data, bytes);
	if (close(fd) && !err)
		err = -errno;
	if (!err &&
	    (replace ? renameat(dir, temporary, dir, name) : linkat(dir, temporary, dir, name, 0)))
		err = -errno;
	if (err || !replace)
		unlinkat(dir, temporary, 0);
	return err;
}
