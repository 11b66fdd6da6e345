// SPDX-License-Identifier: GPL-2.0-only
/*
 * emptyprobe RATE-HZ OBJECT - sample every CPU with a BPF program that returns at once. The floor
 * of any sampler: the timer interrupt alone. Prints "ready" and stays until its input ends.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int attach(struct bpf_program *prog, unsigned long rate_hz, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = PERF_ATTR_SIZE_VER5,
		.sample_freq = rate_hz,
		.freq = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return errno == ENODEV ? 0 : -errno; /* an offline CPU */
	return bpf_program__attach_perf_event(prog, fd) ? 0 : -errno;
}

int main(int argc, char **argv)
{
	unsigned long rate_hz = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	struct bpf_object *obj;
	struct bpf_program *prog;
	int err = 0;

	if (!rate_hz) {
		fprintf(stderr, "Usage: emptyprobe RATE-HZ OBJECT\n");
		return 2;
	}
	obj = bpf_object__open(argv[2]);
	prog = obj ? bpf_object__next_program(obj, NULL) : NULL;
	if (!prog || bpf_object__load(obj)) {
		fprintf(stderr, "emptyprobe: %s: failed to load: %s\n", argv[2], strerror(errno));
		return 1;
	}
	for (int cpu = 0; cpu < libbpf_num_possible_cpus() && !err; cpu++)
		err = attach(prog, rate_hz, cpu);
	if (err) {
		fprintf(stderr, "emptyprobe: event: failed to open: %s\n", strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
