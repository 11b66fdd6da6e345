/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpfobj.h - what the BPF objects of samplers and metrics have in common when they are configured,
 * loaded and attached, so that they also say the same of the same failure.
 */
#ifndef PA_CAPTURE_BPFOBJ_H
#define PA_CAPTURE_BPFOBJ_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/procfs.h"
#include "capture/ring.h"

/** What failed and what to do about it, for the user; "" when nothing did. */
struct pa_errmsg {
	char text[512];
};

/** @return err */
__attribute__((format(printf, 3, 4))) int pa_errmsg__set(struct pa_errmsg *e, int err,
							 const char *fmt, ...);

/** Is there BTF? And from now on libbpf is silent, but for PERFAGENT_DEBUG=1.
 *  @param who  needs it, such as "--pmu"
 *  @return 0, -errno with a message */
int pa_bpfobj__prepare(const char *who, struct pa_errmsg *e);
/** Say why an object was not loaded. @return err */
int pa_bpfobj__explain(int err, struct pa_errmsg *e);

/** What programs must know of this process's pid namespace and of the kernel's stacks. */
struct pa_bpf_host {
	bool use_pidns; /* it is not the machine's own */
	uint64_t pidns_dev, pidns_ino;
	uint64_t kernel_stack_bytes; /* 0: the usual ones */
};
struct pa_bpf_host pa_bpf_host__read(void);

/** Load what PA_TWICE (bpf/twice.bpf.h) made, or not. */
#define PA_BPFOBJ_LOAD_BOTH(skel, name, is_wanted)                                                 \
	do {                                                                                       \
		bpf_program__set_autoload((skel)->progs.name, is_wanted);                          \
		bpf_program__set_autoload((skel)->progs.name##_again, is_wanted);                  \
	} while (0)
/** Both of them, in a list. */
#define PA_BPFOBJ_BOTH(skel, name) (skel)->progs.name, (skel)->progs.name##_again

/** Set these in a skeleton, and whether children of the processes in pids join them
 *  (bpf/follow.bpf.h). */
#define PA_BPFOBJ_CONFIGURE(skel, follows)                                                         \
	do {                                                                                       \
		struct pa_bpf_host host_ = pa_bpf_host__read();                                    \
                                                                                                   \
		(skel)->rodata->use_pidns = host_.use_pidns;                                       \
		(skel)->rodata->pidns_dev = host_.pidns_dev;                                       \
		(skel)->rodata->pidns_ino = host_.pidns_ino;                                       \
		if (host_.kernel_stack_bytes)                                                      \
			(skel)->rodata->kernel_stack_bytes = host_.kernel_stack_bytes;             \
		PA_BPFOBJ_LOAD_BOTH(skel, follow_fork, follows);                                   \
		PA_BPFOBJ_LOAD_BOTH(skel, follow_exit, follows);                                   \
		if (!(follows) || !host_.use_pidns)                                                \
			bpf_map__set_max_entries((skel)->maps.followed, 1);                        \
	} while (0)

/** Add a process to, or remove it from, a map of processes. @return 0, -E2BIG it is full, -errno */
int pa_pids__add(const struct bpf_map *pids, pid_t pid);
int pa_pids__remove(const struct bpf_map *pids, pid_t pid);
/** Are these CPUs online? @param what  can't be done else, such as "sample".
 *  @return 0, -ENODEV, -errno with a message */
int pa_bpfobj__check_online(const struct pa_cpus *cpus, const char *what, struct pa_errmsg *e);
/** @param slot_cnt  1 + the highest number that a CPU may have. @return 0, -errno with a message */
int pa_bpfobj__count_cpus(size_t *slot_cnt, struct pa_errmsg *e);
/** Slots for threads by their ids: a power of two, 1024 to max (one, too).
 *  @param is_system  ids are the machine's: since Linux 6.14 a namespace has a limit of its own */
uint32_t pa_bpfobj__thread_slots(uint32_t max, bool is_system);
/** Give the map of rings its model; kernels before 5.10 compare sizes too.
 *  @param out  free it when the object is loaded. @return 0, -errno */
int pa_bpfobj__set_model_ring(struct bpf_map *rings, size_t ring_bytes, struct pa_ring **out);
/** Make a CPU's ring, unless it has one, and put it into the map and the epoll set.
 *  @return 0, -errno with a message */
int pa_bpfobj__add_ring(struct bpf_map *rings, int epoll_fd, int cpu, size_t ring_bytes,
			struct pa_ring **ring, struct pa_errmsg *e);
/** Attach a program, if it was loaded, and put the link behind the others. @return 0, -errno */
int pa_bpfobj__attach(struct bpf_program *prog, struct bpf_link **links, size_t *link_cnt);
void pa_bpfobj__detach(struct bpf_link **links, size_t *link_cnt);

#endif
