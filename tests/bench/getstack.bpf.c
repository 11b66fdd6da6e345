// SPDX-License-Identifier: GPL-2.0-only
/*
 * getstack.bpf.c - a sampler that has the kernel walk the user's stack and does no more: what our
 * own walks are measured against.
 */
#include "kernel.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 target;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} frames SEC(".maps");

SEC("perf_event")
int sample(void *ctx)
{
	__u32 zero = 0;
	void *to = bpf_map_lookup_elem(&frames, &zero);

	if (to && bpf_get_current_pid_tgid() >> 32 == target)
		bpf_get_stack(ctx, to, 127 * 8, BPF_F_USER_STACK);
	return 0;
}
