// SPDX-License-Identifier: GPL-2.0-only
/*
 * empty.bpf.c - the program of the bare interrupt: what is left when a sampler does nothing.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("perf_event")
int empty_sample(void *ctx)
{
	return 0;
}
