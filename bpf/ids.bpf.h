/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ids.bpf.h - process and thread ids as the agent's /proc shows them.
 */
#ifndef PA_IDS_BPF_H
#define PA_IDS_BPF_H

#include "kernel.h"

const volatile bool use_pidns; /* report ids of the agent's own pid namespace: */
const volatile __u64 pidns_dev, pidns_ino;

/** Ids of the current thread. @return false: not to be sampled */
static __always_inline bool current_ids(__u32 *tgid, __u32 *tid)
{
	__u64 both;

	if (use_pidns) {
		struct bpf_pidns_info ns = {};

		if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns, sizeof(ns)))
			return false;
		*tgid = ns.tgid;
		*tid = ns.pid;
		return ns.tgid && ns.pid; /* another CPU may take them just now: it has exited */
	}
	both = bpf_get_current_pid_tgid();
	*tgid = both >> 32;
	*tid = (__u32)both;
	return *tid != 0; /* the idle threads */
}

/** Number of a thread; of a process's first thread that is the process's. */
static __always_inline __u32 thread_id(const struct task_struct *task)
{
	if (use_pidns) {
		struct pid *pid = BPF_CORE_READ(task, thread_pid);
		unsigned int level = BPF_CORE_READ(pid, level);
		struct upid nr = {};

		/* numbers[] ends the struct and grows with the depth of the namespace */
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					      level * bpf_core_type_size(struct upid));
		return nr.nr;
	}
	return BPF_CORE_READ(task, pid);
}

/** Process id of any thread. @return 0: it is in another pid namespace, or has exited */
static __always_inline __u32 own_process_id(const struct task_struct *task)
{
	struct upid nr = {};
	unsigned int level;
	struct pid *pid;

	if (!use_pidns)
		return BPF_CORE_READ(task, tgid);
	pid = BPF_CORE_READ(task, group_leader, thread_pid);
	level = BPF_CORE_READ(pid, level);
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid));
	return BPF_CORE_READ(nr.ns, ns.inum) == pidns_ino ? nr.nr : 0;
}

/** Process id of a process's first thread. */
static __always_inline __u32 task_id(const struct task_struct *task)
{
	return use_pidns ? thread_id(task) : BPF_CORE_READ(task, tgid);
}

#endif
