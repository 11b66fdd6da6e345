/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * switch.bpf.h - the state in which a thread leaves its CPU.
 */
#ifndef PA_SWITCH_BPF_H
#define PA_SWITCH_BPF_H

#include "kernel.h"

/* TASK_* of include/linux/sched.h */
#define PA_TASK_UNINTERRUPTIBLE 0x2
#define PA_TASK_DEAD 0x80
#define PA_TASK_NOLOAD 0x400 /* idle kernel threads */
#define PA_TASK_NEW 0x800
#define PA_TASK_STATES 0xffff

static __always_inline __u64 state_of(const struct task_struct *task)
{
	if (bpf_core_field_exists(((struct task_struct___state *)0)->__state))
		return ((const struct task_struct___state *)task)->__state;
	return ((const struct task_struct___old_state *)task)->state;
}

static __always_inline bool is_uninterruptible(__u64 state)
{
	return (state & PA_TASK_UNINTERRUPTIBLE) && !(state & PA_TASK_NOLOAD);
}

#endif
