/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * procfs.h - what the capture reads of /proc and /sys: executable mappings, thread names, start
 * times, lists of CPUs. Nothing is kept between calls.
 */
#ifndef PA_CAPTURE_PROCFS_H
#define PA_CAPTURE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PA_COMM_BYTES 16

/** One executable mapping, as /proc/PID/maps shows it. */
struct pa_proc_map {
	uint64_t start, bytes, pgoff;
	uint32_t maj, min;
	uint64_t ino;
	uint32_t prot, flags; /* PROT_*, MAP_SHARED or MAP_PRIVATE */
	const char *path;     /* borrowed during the callback; "" when anonymous */
};

/** Call cb for each executable mapping of a process (also when its first thread has ended), in
 *  order of address. cb returns non-zero to
 *  stop. Lines that can't be parsed are skipped.
 *  @return 0, cb's value, -errno of open or read (-ENOENT, -ESRCH: gone; -EACCES), -ENOMEM */
int pa_procfs__exec_maps(pid_t pid, int (*cb)(void *ctx, const struct pa_proc_map *m), void *ctx);
/** Is there a process, or a thread, of this id? (One that nobody has waited for is.) */
bool pa_procfs__is_there(uint32_t pid);
/** Call cb for each thread of a process with its name.
 *  @return 0, cb's value, -errno */
int pa_procfs__threads(pid_t pid, int (*cb)(void *ctx, pid_t tid, const char *comm), void *ctx);
/** Name of a process (its leader's). @return 0, -errno */
int pa_procfs__comm(pid_t pid, char comm[PA_COMM_BYTES]);
/** Start of a process, CLOCK_BOOTTIME, to a clock tick (10 ms). @return 0, -errno, -EBADMSG */
int pa_procfs__start_ns(pid_t pid, uint64_t *boottime_ns);
/** Thread group of a task. @return tgid, -errno, -EBADMSG */
pid_t pa_procfs__tgid(pid_t pid);

/** Read a small file whole, NUL-terminated, at most cap_bytes - 1 of it.
 *  @return bytes read, -errno */
ssize_t pa_procfs__read(const char *path, char *buf, size_t cap_bytes);

/** A set of CPUs in ascending order. */
struct pa_cpus {
	int *ids;
	size_t cnt;
};
/** Parse a list such as "0-3,8". @return 0, -EINVAL, -ENOMEM */
int pa_cpus__parse(const char *list, struct pa_cpus *out);
/** CPUs that are online / that the kernel may ever bring up. @return 0, -errno, -EINVAL, -ENOMEM */
int pa_cpus__online(struct pa_cpus *out);
int pa_cpus__possible(struct pa_cpus *out);
bool pa_cpus__has(const struct pa_cpus *c, int cpu);
void pa_cpus__free(struct pa_cpus *c);

#endif
