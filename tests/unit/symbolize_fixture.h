/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * symbolize_fixture.h - what the tests of src/symbolize/ share: a scratch directory, programs
 * built with the system's compiler, and a count of allocations.
 */
#ifndef SYMBOLIZE_FIXTURE_H
#define SYMBOLIZE_FIXTURE_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolize/symbolize.h"

#if defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 0 /* the sanitizer has its own allocator */
#else
#define COUNTS_ALLOCATIONS 1
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
static unsigned long allocation_cnt;

void *malloc(size_t n)
{
	allocation_cnt++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
	allocation_cnt++;
	return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
	allocation_cnt++;
	return __libc_realloc(p, n);
}
#endif

static char scratch[] = "/tmp/symbolize-test-XXXXXX";

static inline void scratch_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", scratch);
	if (system(cmd))
		return;
}

__attribute__((constructor)) static void scratch_make(void)
{
	if (!mkdtemp(scratch))
		abort();
	atexit(scratch_remove);
}

/** Run a shell command in the scratch directory. @return its exit status */
__attribute__((format(printf, 1, 2))) static inline int run(const char *fmt, ...)
{
	char cmd[8192];
	va_list args;
	int n = snprintf(cmd, sizeof(cmd), "cd %s && { ", scratch);

	va_start(args, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - (size_t)n, fmt, args);
	va_end(args);
	snprintf(cmd + n, sizeof(cmd) - (size_t)n, "; } >>log 2>&1");
	return system(cmd);
}

static inline const char *scratch_path(const char *name)
{
	static char path[4][4096];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", scratch, name);
	return path[i];
}

static inline void write_file(const char *name, const void *data, size_t bytes)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
}

static inline void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

#endif
