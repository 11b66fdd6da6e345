// SPDX-License-Identifier: GPL-2.0-only
/*
 * branches.bpf.c - the on-CPU sampler of the agent in branchagent.c: where it asks the kernel for
 * the branches of a sample, it gets some that can be told from the sample's address.
 */
#include "bpf/kernel.h"

static long emulated_branches(void *ctx, void *buf, __u32 bytes, __u64 flags);
#define bpf_read_branch_records emulated_branches
#include "bpf/cpu.bpf.c"

/* From ip - 16 i to ip - 16 i - 8 for the ith, so that code lies between each two, and a number of
 * them that changes: none, too. */
static long emulated_branches(void *ctx, void *buf, __u32 bytes, __u64 flags)
{
	const struct scratch *s = pa_scratch(bpf_get_smp_processor_id());
	__u64 ip = s ? s->rec.ip : 0;
	__u32 cnt = bpf_get_prandom_u32() % 40;
	__u64 *to = buf;

	for (__u32 i = 0; i < 40; i++) {
		if (i >= cnt)
			break;
		to[3 * i] = ip - 16 * i;
		to[3 * i + 1] = ip - 16 * i - 8;
		to[3 * i + 2] = i & 1; /* mispred */
	}
	return cnt ? (long)(cnt * sizeof(struct perf_branch_entry)) : -2; /* ENOENT */
}
