/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kernel.h - the few kernel types that the BPF programs touch, declared by hand: building needs
 * no BTF of a running kernel, and cross-building works. Fields are found by name when a program
 * loads (CO-RE); a type with ___FLAVOUR in its name is the same kernel type as another kernel
 * version, or another view of it, has it.
 */
#ifndef PA_KERNEL_H
#define PA_KERNEL_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PA_PF_EXITING 0x00000004 /* include/linux/sched.h */
#define PA_PF_IO_WORKER 0x00000010
#define PA_PF_KTHREAD 0x00200000
#define PA_PROT_EXEC 4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct mm_struct {
	unsigned long start_stack;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end;
	void *vm_file;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to exit */
};

struct task_struct {
	unsigned int flags;
	int exit_state;
	/* int; since 7.2 some have 8 bits: libbpf makes such loads smaller, of unsigned ones */
	unsigned int on_cpu, on_rq, wake_cpu;
	int prio;
	int pid;
	int tgid;
	char comm[16];
	void *stack;
	struct mm_struct *mm;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct signal_struct *signal;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct task_struct___state { /* since 5.14 */
	unsigned int __state;
};

struct task_struct___old_state {
	long state;
};

#if defined(__TARGET_ARCH_x86)
/* struct pt_regs on a task's kernel stack */
struct pt_regs___kernel {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax; /* system call that is being made; -1: none */
	unsigned long ip, cs, sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs___kernel {
	__u64 regs[31];
	__u64 sp, pc, pstate;
	int syscallno; /* that is being made; -1: none */
};
#endif

#pragma clang attribute pop

/* The context of a perf_event program: an ABI with fixed offsets, <linux/bpf_perf_event.h>. It
 * is declared here because the header picks the registers of the compiler's target. */
#if defined(__TARGET_ARCH_x86)
struct pa_perf_event_ctx {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	__u64 ip, cs, flags, sp, ss;
	__u64 sample_period, addr;
};
#elif defined(__TARGET_ARCH_arm64)
struct pa_perf_event_ctx {
	__u64 regs[31];
	__u64 sp, pc, pstate;
	__u64 sample_period, addr;
};
#else
#error "no registers known for this architecture"
#endif

#endif
