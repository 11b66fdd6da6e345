// SPDX-License-Identifier: GPL-2.0-only
/*
 * wholefile.c - output files that are whole or as they were.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wholefile.h"

/* Flush and close; what the kernel says only then counts too. */
static int close_output(FILE *file, int err)
{
	if (fflush(file) && !err)
		err = -errno;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

static int write_in_place(FILE *file, int (*write)(FILE *out, void *ctx), void *ctx)
{
	return close_output(file, write(file, ctx));
}

/* Through a descriptor of its own: closing that one tells of errors, and stdout stays open. */
static int write_stdout(int (*write)(FILE *out, void *ctx), void *ctx)
{
	int fd = fflush(stdout) ? -1 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	int err = -errno;

	if (file)
		return write_in_place(file, write, ctx);
	if (fd >= 0)
		close(fd);
	return err;
}

/* Beside path, so that renaming it does not cross a file system. */
static int write_renamed(const char *path, int (*write)(FILE *out, void *ctx), void *ctx)
{
	mode_t mask = umask(0);
	FILE *file = NULL;
	char *tmp = NULL;
	int fd = -1, err;

	umask(mask);
	if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkstemp(tmp);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	file = fdopen(fd, "w");
	err = !file || fchmod(fd, 0666 & ~mask) ? -errno : write(file, ctx);
	if (file)
		err = close_output(file, err);
	else
		close(fd);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
out:
	free(tmp);
	return err;
}

int pa_wholefile__write(const char *path, int (*write)(FILE *out, void *ctx), void *ctx)
{
	struct stat st;
	FILE *file;
	char *real;
	int err;

	if (!strcmp(path, "-"))
		return write_stdout(write, ctx);
	/* a symbolic link stays one (it may be /dev/stdout): what it leads to is replaced */
	real = lstat(path, &st) || !S_ISLNK(st.st_mode) ? strdup(path) : realpath(path, NULL);
	if (real && (stat(real, &st) || S_ISREG(st.st_mode))) {
		err = write_renamed(real, write, ctx);
		free(real);
		return err;
	}
	free(real);
	file = fopen(path, "we");
	return file ? write_in_place(file, write, ctx) : -errno;
}
