// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpu.bpf.c - the on-CPU sampler: on each overflow of a perf event, write the finished
 * PERF_RECORD_SAMPLE, byte for byte, into this CPU's ring.
 *
 * The event is opened without PERF_SAMPLE_CALLCHAIN (with it, the kernel walks the stack before
 * the program runs) and the program returns 0, so that the kernel writes nothing of its own.
 */
#include "kernel.h"
#include "cpu.h"
#include "fpwalk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Settings, fixed at load */
const volatile __u64 sample_id;		/* id of the file's event */
const volatile bool filter_pids;	/* only processes in pids */
const volatile bool want_kernel = true; /* kernel part of call chains */
const volatile bool want_user = true;	/* user part */
const volatile bool use_pidns;		/* report ids of the agent's own pid namespace: */
const volatile __u64 pidns_dev, pidns_ino;
const volatile __u32 wake_bytes = 65536; /* wake the reader when so much is unread */

/* Processes that have woken the reader at their first sample. User space clears the bit of a
 * process that ends. */
__u64 seen[PA_SEEN_BITS / 64];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} pids SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct scratch {
	struct pa_sample_record rec;
	struct pa_walk walk;
	__u64 unread_bytes; /* written since the reader was last woken */
};

/* By CPU number, as plain arrays: the lookup is inlined on every kernel. A CPU has one sampling
 * event, and the kernel does not nest BPF programs of perf events. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_cpu_stats);
} stats SEC(".maps");

/** Ids of the current thread, as the agent's /proc shows them. @return false: not to be sampled */
static __always_inline bool current_ids(__u32 *tgid, __u32 *tid)
{
	__u64 both;

	if (use_pidns) {
		struct bpf_pidns_info ns = {};

		if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns, sizeof(ns)))
			return false;
		*tgid = ns.tgid;
		*tid = ns.pid;
		return true;
	}
	both = bpf_get_current_pid_tgid();
	*tgid = both >> 32;
	*tid = (__u32)both;
	return *tid != 0; /* the idle threads */
}

/** Kernel part of the chain. @return number of slots used */
static __always_inline __u32 kernel_chain(struct pa_perf_event_ctx *ctx, __u64 ip,
					  struct pa_sample_record *rec)
{
	long bytes;

	rec->ips[0] = PERF_CONTEXT_KERNEL;
	bytes = bpf_get_stack(ctx, &rec->ips[1], PA_FRAMES_MAX * sizeof(__u64), 0);
	if (bytes < (long)sizeof(__u64)) {
		rec->ips[1] = ip;
		return 2;
	}
	return 1 + ((__u32)bytes / sizeof(__u64) & (PA_CHAIN_SLOTS / 2 - 1));
}

/** First sample of a process since its bit was cleared? */
static __always_inline bool first_of_process(__u32 tgid)
{
	__u64 *word = &seen[(tgid / 64) & (PA_SEEN_BITS / 64 - 1)];
	__u64 bit = 1ULL << (tgid & 63);

	if (*word & bit)
		return false;
	*word |= bit; /* a race costs an early wake-up, or a late one */
	return true;
}

static __always_inline void emit(struct scratch *s, struct pa_cpu_stats *st, __u32 cpu, __u32 n)
{
	__u64 flags = BPF_RB_NO_WAKEUP, bytes = 64 + 8 * (__u64)(n & (PA_CHAIN_SLOTS - 1));
	void *ring = bpf_map_lookup_elem(&rings, &cpu);

	s->rec.type = PERF_RECORD_SAMPLE;
	s->rec.size = bytes;
	s->rec.nr = n & (PA_CHAIN_SLOTS - 1);
	s->unread_bytes += bytes;
	if (s->unread_bytes >= wake_bytes || first_of_process(s->rec.pid)) {
		flags = BPF_RB_FORCE_WAKEUP;
		s->unread_bytes = 0;
	}
	st->fired++;
	if (ring && !bpf_ringbuf_output(ring, &s->rec, bytes, flags))
		st->written++;
	else
		st->lost++;
}

SEC("perf_event")
int cpu_sample(struct pa_perf_event_ctx *ctx)
{
	struct pa_interrupt at = pa_interrupt_read(ctx);
	struct pa_user_regs regs = at.regs;
	struct pa_cpu_stats *st;
	__u32 tgid, tid, cpu, n = 0;
	bool has_user = true;
	struct scratch *s;

	if (!current_ids(&tgid, &tid))
		return 0;
	if (filter_pids && !bpf_map_lookup_elem(&pids, &tgid))
		return 0;
	cpu = bpf_get_smp_processor_id();
	s = bpf_map_lookup_elem(&scratch, &cpu);
	st = bpf_map_lookup_elem(&stats, &cpu);
	if (!s || !st)
		return 0;

	if (!at.in_user && (pa_saved_regs(&regs) || (__s64)regs.ip <= 0))
		has_user = false;
	regs.ip = PA_STRIP(regs.ip);
	s->rec.misc = PERF_RECORD_MISC_USER;
	s->rec.ip = regs.ip;
	if (!at.in_user && want_kernel) {
		s->rec.misc = PERF_RECORD_MISC_KERNEL;
		s->rec.ip = at.regs.ip;
		n = kernel_chain(ctx, at.regs.ip, &s->rec);
	} else if (!has_user) {
		return 0;
	}
	if (has_user && want_user) {
		s->rec.ips[n++ & (PA_CHAIN_SLOTS - 1)] = PERF_CONTEXT_USER;
		s->rec.ips[n++ & (PA_CHAIN_SLOTS - 1)] = regs.ip;
		if (!regs.is_compat)
			n = pa_fp_walk(&s->walk, &regs, s->rec.ips, n, &st->no_user_stack);
	}
	s->rec.id = sample_id;
	s->rec.pid = tgid;
	s->rec.tid = tid;
	s->rec.time = bpf_ktime_get_ns();
	s->rec.cpu = cpu;
	s->rec.res = 0;
	s->rec.period = at.period;
	emit(s, st, cpu, n);
	return 0;
}

/* ---- follow the children of a command: they join the filter before their first instruction --- */

static __always_inline __u32 task_id(const struct task_struct *task)
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
	return BPF_CORE_READ(task, tgid);
}

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
