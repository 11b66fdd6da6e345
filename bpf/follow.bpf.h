/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * follow.bpf.h - the filter by process, and the children of a command, which join it before their
 * first instruction.
 */
#ifndef PA_FOLLOW_BPF_H
#define PA_FOLLOW_BPF_H

#include "ids.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} pids SEC(".maps");

SEC("tp_btf/sched_process_fork")
int follow_fork(__u64 *ctx)
{
	const struct task_struct *child = (void *)ctx[1];
	__u32 parent_id, parent_tid, id;
	__u8 one = 1;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid)) /* a thread */
		return 0;
	/* the forking thread is the current one */
	if (!current_ids(&parent_id, &parent_tid) || !bpf_map_lookup_elem(&pids, &parent_id))
		return 0;
	id = task_id(child);
	bpf_map_update_elem(&pids, &id, &one, BPF_ANY);
	return 0;
}

/* When the last reference to the leader's pid goes: all threads are gone before it */
SEC("tp_btf/sched_process_free")
int follow_exit(__u64 *ctx)
{
	const struct task_struct *task = (void *)ctx[0];
	__u32 id;

	if (use_pidns || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0; /* thread_pid is gone by now */
	id = BPF_CORE_READ(task, tgid);
	bpf_map_delete_elem(&pids, &id);
	return 0;
}

#endif
