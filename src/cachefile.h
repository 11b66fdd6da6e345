/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cachefile.h - files that are kept on disk from one run to the next, in a folder that nobody but
 * their owner writes to.
 */
#ifndef PA_CACHEFILE_H
#define PA_CACHEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Path of the user's folder for caches: perf-agent in $XDG_CACHE_HOME or ~/.cache, or without
 *  these /tmp/perf-agent-UID.
 *  @param create  make the folder that it is to be in
 *  @return 0, -ENAMETOOLONG, -errno */
int pa_cachefile__directory(char *path, size_t bytes, bool create);
/** Open a folder that belongs to the user alone.
 *  @param create  make it where it is not there, and make its mode 0700
 *  @return descriptor, -EPERM it is another's or others may write to it, -errno */
int pa_cachefile__open_dir(const char *path, bool create);
/** Open a file of such a folder. @return descriptor, -EPERM it is another's, -errno */
int pa_cachefile__open(int dir, const char *name);
/** Put a file there, whole or not at all.
 *  @param replace  take the place of one that is there; else it is left
 *  @return 0, -EEXIST, -errno */
int pa_cachefile__write(int dir, const char *name, const void *data, size_t bytes, bool replace);
/** Finds damage, at some GB/s; no help against who chooses the bytes. */
uint64_t pa_cachefile__hash(const void *data, size_t bytes);

#endif
