// SPDX-License-Identifier: GPL-2.0-only
/*
 * branchagent.c - perf-agent for machines whose PMU records no branches: its event is opened
 * without them, and its program (branches.bpf.c) makes some up. All else is perf-agent's own.
 */
#include "tests/tools/branches.skel.h" /* has the names, and the guard, of cpu.skel.h */

#include "capture/event.h"

static int open_without_branches(struct perf_event_attr *attr, int pid, int cpu)
{
	struct perf_event_attr plain = *attr;

	plain.sample_type &= ~(__u64)PERF_SAMPLE_BRANCH_STACK;
	plain.branch_sample_type = 0;
	return pa_event__open(&plain, pid, cpu);
}

#define pa_event__open open_without_branches
#include "capture/sampler.c"
