/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stack.bpf.h - user registers of the current task, and its stack, read in windows: one probe
 * read copies PA_WINDOW bytes, a walk goes on inside the copy, and only a frame outside it costs
 * another read. That is a quarter of the price of bpf_get_stack.
 */
#ifndef PA_STACK_BPF_H
#define PA_STACK_BPF_H

#include "kernel.h"

#define PA_WINDOW 1024	  /* a power of two; measured best among 256 to 2048 */
#define PA_FRAME_BYTES 16 /* saved frame pointer, return address: x86-64 and aarch64 alike */
#define PA_PAGE_BYTES                                                                              \
	4096 /* smallest page of any kernel: a read up to its end stays inside one                 \
	      */

struct pa_user_regs {
	__u64 ip, sp, fp;
	__u64 lr;	/* aarch64 */
	bool is_compat; /* a 32-bit task: its frames have another shape */
};

/** What a perf event's context says of the interrupted code. */
struct pa_interrupt {
	struct pa_user_regs regs; /* the kernel's, unless in_user */
	__u64 period;
	bool in_user;
};

/** A walk under way, in a map value. */
struct pa_walk {
	__u64 n;    /* of the chain's slots in use */
	__u64 base; /* user address of bytes[0] */
	__u64 last; /* offset of the last whole frame in it */
	__u8 bytes[PA_WINDOW + PA_FRAME_BYTES];
};

#if defined(__TARGET_ARCH_x86)
#define PA_USER32_CS 0x23
#define PA_STRIP(pc) (pc)
#define PA_USER_BITS 47 /* code is never above, with 5-level page tables neither */

/* All fields are read before the first branch: the verifier wants plain offsets from the context,
 * and a compiler that reads them in several branches adds to the pointer first. */
static __always_inline struct pa_interrupt pa_interrupt_read(const struct pa_perf_event_ctx *ctx)
{
	struct pa_interrupt at = {
		.regs = {.ip = ctx->ip, .sp = ctx->sp, .fp = ctx->bp},
		.period = ctx->sample_period,
	};
	__u64 cs = ctx->cs;

	at.in_user = cs & 3;
	at.regs.is_compat = (cs & 0xffff) == PA_USER32_CS;
	return at;
}

static __always_inline int pa_pt_regs(const struct pt_regs___kernel *saved, struct pa_user_regs *r)
{
	__u64 cs;

	if (bpf_core_read(&r->ip, sizeof(r->ip), &saved->ip) ||
	    bpf_core_read(&r->sp, sizeof(r->sp), &saved->sp) ||
	    bpf_core_read(&r->fp, sizeof(r->fp), &saved->bp) ||
	    bpf_core_read(&cs, sizeof(cs), &saved->cs))
		return -1;
	r->is_compat = (cs & 0xffff) == PA_USER32_CS;
	return 0;
}

#elif defined(__TARGET_ARCH_arm64)
#define PA_PSR_MODE_MASK 0xf
#define PA_PSR_MODE32 0x10
/* pointer authentication codes sit above the 48 bits that a process has unless it asks for more */
#define PA_STRIP(pc) ((pc)&0xffffffffffffULL)
#define PA_USER_BITS 48

static __always_inline struct pa_interrupt pa_interrupt_read(const struct pa_perf_event_ctx *ctx)
{
	struct pa_interrupt at = {
		.regs = {.ip = ctx->pc, .sp = ctx->sp, .fp = ctx->regs[29], .lr = ctx->regs[30]},
		.period = ctx->sample_period,
	};
	__u64 pstate = ctx->pstate;

	at.in_user = !(pstate & PA_PSR_MODE_MASK);
	at.regs.is_compat = pstate & PA_PSR_MODE32;
	return at;
}

static __always_inline int pa_pt_regs(const struct pt_regs___kernel *saved, struct pa_user_regs *r)
{
	__u64 pstate;

	if (bpf_core_read(&r->ip, sizeof(r->ip), &saved->pc) ||
	    bpf_core_read(&r->sp, sizeof(r->sp), &saved->sp) ||
	    bpf_core_read(&r->fp, sizeof(r->fp), &saved->regs[29]) ||
	    bpf_core_read(&r->lr, sizeof(r->lr), &saved->regs[30]) ||
	    bpf_core_read(&pstate, sizeof(pstate), &saved->pstate))
		return -1;
	r->is_compat = pstate & PA_PSR_MODE32;
	return 0;
}
#endif

/* Size of a kernel stack, for kernels without bpf_task_pt_regs (before 5.15): set by user space,
 * which knows the page size. */
const volatile __u64 kernel_stack_bytes = 16384;

/** Where the registers lie with which the current task entered the kernel.
 *  @return NULL: it has no user mode */
static __always_inline const struct pt_regs___kernel *pa_saved_at(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 flags;
	__u64 stack;

	if (bpf_core_read(&flags, sizeof(flags), &task->flags) ||
	    flags & (PA_PF_KTHREAD | PA_PF_IO_WORKER))
		return NULL;
	if (!BPF_CORE_READ(task, mm)) /* exiting */
		return NULL;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
	stack = (__u64)BPF_CORE_READ(task, stack);
	return (void *)(stack + kernel_stack_bytes - bpf_core_type_size(struct pt_regs___kernel));
}

/** Registers with which a task entered the kernel. @return 0, or -1: it has no user mode */
static __always_inline int pa_saved_regs(struct pa_user_regs *r)
{
	const struct pt_regs___kernel *saved = pa_saved_at();

	return saved ? pa_pt_regs(saved, r) : -1;
}

#if defined(__TARGET_ARCH_x86)
#define PA_NR_SCHED_YIELD 24
#define PA_NR_NANOSLEEP 35
#define PA_NR_CLOCK_NANOSLEEP 230
#elif defined(__TARGET_ARCH_arm64)
#define PA_NR_SCHED_YIELD 124
#define PA_NR_NANOSLEEP 101
#define PA_NR_CLOCK_NANOSLEEP 115
#endif

/** The system call that the current thread makes. @return -1: none, or not known */
static __always_inline long pa_syscall_nr(void)
{
	const struct pt_regs___kernel *saved = pa_saved_at();

	if (!saved)
		return -1;
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(saved, orig_ax);
#else
	return BPF_CORE_READ(saved, syscallno);
#endif
}

/** Copy the stack from addr up: as much of a window as can be read in one or two tries.
 *  @return 0, -1: not even one frame can be read */
static __always_inline int pa_window_load(struct pa_walk *w, __u64 addr)
{
	__u64 cnt = PA_PAGE_BYTES - (addr & (PA_PAGE_BYTES - 1));

	w->base = addr;
	w->last = PA_WINDOW - PA_FRAME_BYTES;
	if (!bpf_probe_read_user(w->bytes, PA_WINDOW, (void *)addr))
		return 0;
	/* the window's second page may be absent: the top of a stack, or never touched */
	if (cnt >= PA_WINDOW || cnt < PA_FRAME_BYTES)
		return -1;
	w->last = cnt - PA_FRAME_BYTES;
	return bpf_probe_read_user(w->bytes, cnt & (PA_WINDOW - 1), (void *)addr) ? -1 : 0;
}

#endif
