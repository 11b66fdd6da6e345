/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fuzz.h - what the fuzz targets share. Each NAME.c here is one libFuzzer target, built by
 * `make fuzz`; `make check` runs the same targets over the files of corpus/NAME and of
 * tests/malformed/NAME (replay.c). A target opens no file but those that it makes, and keeps
 * nothing from one input to the next.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What a correct target can't see go wrong. */
#define FUZZ_ASSERT(cond)                                                                          \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/** Put data, behind skip bytes, into a file in memory, whose descriptor is kept and returned. */
static inline int fuzz_file(const uint8_t *data, size_t bytes, size_t skip)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_ASSERT(fd >= 0 && !ftruncate(fd, 0) && !ftruncate(fd, (off_t)(skip + bytes)));
	FUZZ_ASSERT(pwrite(fd, data, bytes, (off_t)skip) == (ssize_t)bytes);
	FUZZ_ASSERT(lseek(fd, (off_t)skip, SEEK_SET) == (off_t)skip);
	return fd;
}

/** The path of a descriptor. */
static inline const char *fuzz_path(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/** Read every byte, so that a sanitizer sees whether all of them are there. */
static inline void fuzz_touch(const void *data, size_t bytes)
{
	static volatile uint8_t sink;
	const uint8_t *p = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum ^= p[i];
	sink = sum;
	(void)sink;
}

static inline void fuzz_touch_string(const char *s)
{
	if (s)
		fuzz_touch(s, strlen(s));
}

#endif
