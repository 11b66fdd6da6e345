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
#include "follow.bpf.h"
#include "hooks.bpf.h"

#define PA_SAMPLE_MISS_TYPE PA_RING_TYPE_MISS
#include "sample.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u64 sample_id; /* id of the file's event */

static __always_inline int pa_sample_regs(void *ctx, const struct scratch *s, __u64 *regs)
{
	const struct pt_regs___kernel *saved;

	if (s->in_user) {
		pa_miss_regs_ctx(ctx, regs);
		return 0;
	}
	saved = pa_saved_at();
	if (!saved)
		return -1;
	pa_miss_regs_saved(saved, regs);
	return 0;
}

static __always_inline __u32 pa_sample_branches(void *ctx, __u64 *to)
{
	long bytes = bpf_read_branch_records(ctx, to + 1,
					     PA_BRANCHES_MAX * sizeof(struct perf_branch_entry), 0);

	if (bytes < 0) /* it had none */
		bytes = 0;
	to[0] = (__u32)bytes / sizeof(struct perf_branch_entry);
	return 1 + (__u32)bytes / sizeof(__u64);
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
	s->in_user = at.in_user;
	s->rec.misc = PERF_RECORD_MISC_USER;
	s->rec.id = sample_id;
	s->rec.ip = regs.ip;
	s->rec.pid = tgid;
	s->rec.tid = tid;
	s->rec.time = bpf_ktime_get_ns();
	s->rec.cpu = cpu;
	s->rec.res = 0;
	s->rec.period = at.period;
	if (!at.in_user && want_kernel) {
		s->rec.misc = PERF_RECORD_MISC_KERNEL;
		s->rec.ip = at.regs.ip;
		n = kernel_chain(ctx, at.regs.ip, &s->rec);
	} else if (!has_user) {
		return 0;
	}
	if (has_user && want_user) {
		n = user_chain(ctx, s, st, &regs, n);
		if (!n)
			return 0;
	}
	emit_sample(s, st, cpu, ctx, n);
	return 0;
}
