/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * follow.bpf.h - the filter by process, and the children of a command, which join it before their
 * first instruction.
 */
#ifndef PA_FOLLOW_BPF_H
#define PA_FOLLOW_BPF_H

#include "ids.bpf.h"
#include "twice.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} pids SEC(".maps");

/* With use_pidns: by the kernel's number of a process that joined, its number in the namespace,
 * which it has no more when it is freed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} followed SEC(".maps");

#define PA_UNFOLLOWED_SLOTS 64
__u64 unfollowed_cnt;		       /* children that found no room in pids */
__u32 unfollowed[PA_UNFOLLOWED_SLOTS]; /* the last of them by id, for who comes second */
__u32 pids_generation; /* changes when one has left pids: who remembers a look-up asks again */

static __always_inline void pa_not_followed(__u32 own)
{
	__u32 *last = &unfollowed[own % PA_UNFOLLOWED_SLOTS];

	if (*last == own)
		return;
	*last = own;
	__sync_fetch_and_add(&unfollowed_cnt, 1);
}

PA_TWICE("tp_btf/sched_process_fork", follow_fork)
{
	const struct task_struct *child = (void *)ctx[1];
	__u32 parent_id, parent_tid, id, own = BPF_CORE_READ(child, tgid);
	__u8 one = 1;

	if ((__u32)BPF_CORE_READ(child, pid) != own) /* a thread */
		return 0;
	/* the forking thread is the current one */
	if (!current_ids(&parent_id, &parent_tid) || !bpf_map_lookup_elem(&pids, &parent_id))
		return 0;
	id = own_process_id(child);
	if (!id) /* in a namespace of its own, where its children have no ids of ours */
		return 0;
	if (use_pidns && bpf_map_update_elem(&followed, &own, &id, BPF_ANY)) {
		pa_not_followed(own);
		return 0;
	}
	if (bpf_map_update_elem(&pids, &id, &one, BPF_ANY)) {
		pa_not_followed(own);
		bpf_map_delete_elem(&followed, &own);
	}
	return 0;
}

/* When the last reference to the leader's pid goes: all threads are gone before it */
PA_TWICE("tp_btf/sched_process_free", follow_exit)
{
	const struct task_struct *task = (void *)ctx[0];
	__u32 own = BPF_CORE_READ(task, tgid), id = own, *noted;

	if ((__u32)BPF_CORE_READ(task, pid) != own)
		return 0;
	if (use_pidns) {
		noted = bpf_map_lookup_elem(&followed, &own);
		if (!noted)
			return 0;
		id = *noted;
		bpf_map_delete_elem(&followed, &own);
	}
	if (!bpf_map_delete_elem(&pids, &id))
		__sync_fetch_and_add(&pids_generation, 1);
	return 0;
}

#endif
