/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * twice.bpf.h - programs that are attached twice, so that none is left out.
 */
#ifndef PA_TWICE_BPF_H
#define PA_TWICE_BPF_H

#include "kernel.h"

/** A program, and a second one that does the same: what is done when something happens must be fit
 *  to be done twice. Programs at functions may be preempted, and those at tracepoints, too, since
 *  Linux 7.2; a kernel leaves a program out for what comes on that CPU meanwhile
 *  (recursion_misses), but not the second one, which then isn't begun yet. */
#define PA_TWICE(section, name)                                                                    \
	static __always_inline int name##_body(__u64 *ctx);                                        \
	SEC(section)                                                                               \
	int name(__u64 *ctx)                                                                       \
	{                                                                                          \
		return name##_body(ctx);                                                           \
	}                                                                                          \
	SEC(section)                                                                               \
	int name##_again(__u64 *ctx)                                                               \
	{                                                                                          \
		return name##_body(ctx);                                                           \
	}                                                                                          \
	static __always_inline int name##_body(__u64 *ctx)

#endif
