/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hooks.bpf.h - programs that say when what "procs" has of a process is no longer so: it was
 * forked, exec'd, or mapped code. User space's own news of these come too late for the samples in
 * between. One BPF object of a capture has them.
 */
#ifndef PA_HOOKS_BPF_H
#define PA_HOOKS_BPF_H

#include "ids.bpf.h"
#include "twice.bpf.h"
#include "unwind.bpf.h"

static __always_inline struct pa_unwind_seq *pa_seq(__u32 tgid)
{
	__u32 slot = tgid % PA_SEQ_SLOTS;

	return bpf_map_lookup_elem(&unwind_seq, &slot);
}

PA_TWICE("tp_btf/sched_process_fork", unwind_fork)
{
	const struct task_struct *child = (void *)ctx[1];
	struct pa_unwind_seq *seq;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid)) /* a thread */
		return 0;
	seq = pa_seq(task_id(child));
	if (seq)
		__sync_fetch_and_add(&seq->stale, 1);
	return 0;
}

PA_TWICE("tp_btf/sched_process_exec", unwind_exec)
{
	struct pa_unwind_seq *seq;
	__u32 tgid, tid;

	if (!current_ids(&tgid, &tid))
		return 0;
	seq = pa_seq(tgid);
	if (seq)
		__sync_fetch_and_add(&seq->stale, 1);
	return 0;
}

/* Mappings that an anonymous one may lie over without being looked at by user space. */
#define PA_OLD_MAX 8

/** Does a new mapping contradict what the process's block says? One of anonymous memory over some
 *  that are walked by frame pointers does not: JIT compilers change protections all the time. */
static __always_inline bool pa_is_news(const struct pa_unwind_proc *proc, __u64 start, __u64 end,
				       bool is_anonymous)
{
	const struct pa_mapping_block *b = pa_block(proc->block);
	__u64 at;

	if (b && proc->is_directory)
		b = pa_block(b->map[pa_search_starts(b, end - 1)].index_block);
	if (!b)
		return false;
	at = pa_search_starts(b, end - 1);
	if (b->start[at] >= end)
		return false;
	for (__u64 i = 0; i < PA_OLD_MAX; i++) {
		const struct pa_mapping *old = &b->map[pa_bound(at - i, PA_BLOCK_MAPPINGS - 1)];

		if (old->end <= start)
			return false;
		if (!is_anonymous || old->kind != PA_MAPPING_FP)
			return true;
		if (at == i)
			return proc->is_directory; /* the block before this one may have more */
	}
	return true;
}

static __always_inline void pa_mapped(__u64 start, __u64 end, bool is_anonymous)
{
	const struct pa_unwind_proc *proc;
	struct pa_unwind_seq *seq;
	__u32 tgid, tid;

	if (!current_ids(&tgid, &tid))
		return;
	seq = pa_seq(tgid);
	if (!seq)
		return;
	__sync_fetch_and_add(&seq->mapped, 1);
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (proc && pa_is_news(proc, start, end, is_anonymous))
		__sync_fetch_and_add(&seq->stale, 1);
}

/* mmap(2), and what exec maps: file, address, bytes, protection, flags, page; result. The function
 * where perf's own event is made, perf_event_mmap, can't be attached to: its file is not traced. */
PA_TWICE("fexit/vm_mmap_pgoff", unwind_mmap)
{
	__u64 bytes = ctx[2], start = ctx[6];

	if (ctx[3] & PA_PROT_EXEC && (__s64)start > 0)
		pa_mapped(start, start + bytes, !ctx[0]);
	return 0;
}

/* mprotect(2), for each mapping that it changes: mapping, protections */
PA_TWICE("fentry/security_file_mprotect", unwind_protect)
{
	const struct vm_area_struct *vma = (void *)ctx[0];

	if (ctx[2] & PA_PROT_EXEC)
		pa_mapped(BPF_CORE_READ(vma, vm_start), BPF_CORE_READ(vma, vm_end),
			  !BPF_CORE_READ(vma, vm_file));
	return 0;
}

#endif
