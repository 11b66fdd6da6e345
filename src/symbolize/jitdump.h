/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * jitdump.h - jit-PID.dump: code that a JIT compiler made, with names, times and source lines, as
 * the kernel's tools/perf/Documentation/jitdump-specification.txt defines it.
 */
#ifndef PA_JITDUMP_H
#define PA_JITDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pa_jitdump;

struct pa_jitdump_stats {
	uint64_t record_cnt, skipped_cnt; /* skipped: of unknown kind, or with senseless content */
	bool damaged;			  /* nothing is read from there on */
	bool too_big;			  /* the same for its size */
};

/** @return 0, -ENOMEM */
int pa_jitdump__new(struct pa_jitdump **out);
void pa_jitdump__free(struct pa_jitdump *d);
/** Read what was appended since the last time. @return 0, -ENOEXEC not a dump, -EBADMSG damaged
 *  (what comes before the damage is kept), -EFBIG, -ENOMEM, -errno */
int pa_jitdump__read(struct pa_jitdump *d, int fd);
size_t pa_jitdump__cnt(const struct pa_jitdump *d);
/** The code that was at addr then.
 *  @param time_ns  of the clock that the compiler stamped with; UINT64_MAX: the latest
 *  @return index of the entry, which it keeps; -ENOENT, -ENOMEM */
ssize_t pa_jitdump__find(struct pa_jitdump *d, uint64_t addr, uint64_t time_ns);
void pa_jitdump__entry(const struct pa_jitdump *d, size_t i, uint64_t *start, uint64_t *bytes,
		       const char **name);
/** Source line of an address in entry i. *file is borrowed until the next read.
 *  @return 0, -ENOENT */
int pa_jitdump__line(const struct pa_jitdump *d, size_t i, uint64_t addr, const char **file,
		     uint32_t *line);
/** The line of the lowest address in entry i that has one. */
int pa_jitdump__first_line(const struct pa_jitdump *d, size_t i, const char **file, uint32_t *line);
void pa_jitdump__stats(const struct pa_jitdump *d, struct pa_jitdump_stats *out);
/** Open the dump that a process has mapped. *refused: a file was refused for its owner.
 *  @param path  as in the mapping. @return descriptor, -ENOENT, -EPERM, -errno */
int pa_jitdump__open(pid_t pid, const char *path, bool *refused);

#endif
