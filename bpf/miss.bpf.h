/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * miss.bpf.h - walks that user space is to finish: all registers of user mode, and a copy of the
 * stack, beside what a sample has. The record is made in a map value, since most stacks are much
 * smaller than the room that would have to be reserved in the ring.
 */
#ifndef PA_MISS_BPF_H
#define PA_MISS_BPF_H

#include "kernel.h"
#include "cpu.h"
#include "stack.bpf.h"
#include "unwind.h"

/* For each CPU and tenth of a second; more would cost more than they are worth. */
const volatile __u32 misses_max = 100;
const volatile __u32 miss_stack_bytes = 32768; /* at most so many; a multiple of 8 */

#define PA_MISS_PERIOD_NS 100000000

/* By CPU number */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_miss_record);
} misses SEC(".maps");

#if defined(__TARGET_ARCH_x86)
/* In the order of DWARF's numbers. The fields of the context are read without a branch between
 * them, so that their offsets stay constants. */
static __noinline __attribute__((unused)) void pa_miss_regs_ctx(const struct pa_perf_event_ctx *ctx,
								__u64 *regs)
{
	regs[0] = ctx->ax;
	regs[1] = ctx->dx;
	regs[2] = ctx->cx;
	regs[3] = ctx->bx;
	regs[4] = ctx->si;
	regs[5] = ctx->di;
	regs[6] = ctx->bp;
	regs[7] = ctx->sp;
	regs[8] = ctx->r8;
	regs[9] = ctx->r9;
	regs[10] = ctx->r10;
	regs[11] = ctx->r11;
	regs[12] = ctx->r12;
	regs[13] = ctx->r13;
	regs[14] = ctx->r14;
	regs[15] = ctx->r15;
	regs[16] = ctx->ip;
}

static __noinline void pa_miss_regs_saved(const struct pt_regs___kernel *saved, __u64 *regs)
{
	regs[0] = BPF_CORE_READ(saved, ax);
	regs[1] = BPF_CORE_READ(saved, dx);
	regs[2] = BPF_CORE_READ(saved, cx);
	regs[3] = BPF_CORE_READ(saved, bx);
	regs[4] = BPF_CORE_READ(saved, si);
	regs[5] = BPF_CORE_READ(saved, di);
	regs[6] = BPF_CORE_READ(saved, bp);
	regs[7] = BPF_CORE_READ(saved, sp);
	regs[8] = BPF_CORE_READ(saved, r8);
	regs[9] = BPF_CORE_READ(saved, r9);
	regs[10] = BPF_CORE_READ(saved, r10);
	regs[11] = BPF_CORE_READ(saved, r11);
	regs[12] = BPF_CORE_READ(saved, r12);
	regs[13] = BPF_CORE_READ(saved, r13);
	regs[14] = BPF_CORE_READ(saved, r14);
	regs[15] = BPF_CORE_READ(saved, r15);
	regs[16] = BPF_CORE_READ(saved, ip);
}
#elif defined(__TARGET_ARCH_arm64)
static __noinline __attribute__((unused)) void pa_miss_regs_ctx(const struct pa_perf_event_ctx *ctx,
								__u64 *regs)
{
#pragma unroll
	for (int i = 0; i < 31; i++)
		regs[i] = ctx->regs[i];
	regs[31] = ctx->sp;
	regs[32] = ctx->pc;
}

static __noinline void pa_miss_regs_saved(const struct pt_regs___kernel *saved, __u64 *regs)
{
#pragma unroll
	for (int i = 0; i < 31; i++)
		bpf_core_read(&regs[i], sizeof(regs[i]), &saved->regs[i]);
	regs[31] = BPF_CORE_READ(saved, sp);
	regs[32] = BPF_CORE_READ(saved, pc);
}
#endif

/** Bytes from sp up to where main's caller found argc, if this is the first thread's stack. */
static __always_inline __u32 pa_miss_want(__u64 sp)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 bytes = BPF_CORE_READ(task, mm, start_stack) + 8 - sp;

	return bytes < miss_stack_bytes ? (bytes + 7) & ~7 : miss_stack_bytes;
}

/** Copy the stack from sp up, page by page if something in it can't be read. Sizes are of 32 bits,
 *  as the helper takes them: old kernels lose bounds from one width to the other. */
static __always_inline void pa_miss_stack(struct pa_miss_record *m, __u8 *to, __u64 sp)
{
	__u32 bytes = pa_miss_want(sp), piece = PA_PAGE_BYTES - (sp & (PA_PAGE_BYTES - 1));

	m->stack_bytes = 0;
	asm volatile("" : "+r"(bytes));
	if (bytes <= PA_MISS_STACK_BYTES && !bpf_probe_read_user(to, bytes, (void *)sp)) {
		m->stack_bytes = bytes;
		return;
	}
	for (int i = 0; i < PA_MISS_STACK_BYTES / PA_PAGE_BYTES; i++) {
		__u64 at = m->stack_bytes;

		asm volatile("" : "+r"(piece), "+r"(at));
		if (piece > PA_PAGE_BYTES || at > PA_MISS_STACK_BYTES - PA_PAGE_BYTES ||
		    bpf_probe_read_user(to + at, piece, (void *)(sp + at)))
			break;
		m->stack_bytes += piece;
		piece = PA_PAGE_BYTES;
	}
	m->stack_bytes &= ~7;
}

/** Take over from a sample's record, and cnt slots of its chain. */
static __always_inline void pa_miss_take(struct pa_miss_record *m,
					 const struct pa_sample_record *rec, __u32 from, __u32 cnt)
{
	for (__u32 i = 0; i < PA_MISS_KERNEL_SLOTS; i++) {
		if (i >= cnt)
			break;
		m->ips[i] = rec->ips[(from + i) & (PA_CHAIN_SLOTS - 1)];
	}
	m->misc = rec->misc;
	m->id = rec->id;
	m->ip = rec->ip;
	m->pid = rec->pid;
	m->tid = rec->tid;
	m->time = rec->time;
	m->cpu = rec->cpu;
	m->res = 0;
	m->period = rec->period;
	m->nr = cnt;
}

#endif
