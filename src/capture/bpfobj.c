// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpfobj.c - the parts of loading that are the same for each BPF object.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/bpfobj.h"

#define INIT_PIDNS_INO 0xEFFFFFFCU /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
#define THREAD_SLOTS_MIN 1024

int pa_errmsg__set(struct pa_errmsg *e, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return err;
}

static int silent_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN && getenv("PERFAGENT_DEBUG"))
		vfprintf(stderr, fmt, ap);
	return 0;
}

int pa_bpfobj__prepare(const char *who, struct pa_errmsg *e)
{
	libbpf_set_print(silent_print);
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	return pa_errmsg__set(e, -errno,
			      "/sys/kernel/btf/vmlinux: failed to read: %s: this kernel has no "
			      "BTF, which %s needs (CONFIG_DEBUG_INFO_BTF=y)",
			      strerror(errno), who);
}

int pa_bpfobj__explain(int err, struct pa_errmsg *e)
{
	if (err == -EPERM)
		return pa_errmsg__set(
			e, err,
			"BPF program: failed to load: %s: run as root or give the "
			"binary cap_bpf and cap_perfmon (before Linux 5.11 also raise "
			"ulimit -l)",
			strerror(-err));
	if (err == -ENOMEM)
		return pa_errmsg__set(e, err,
				      "BPF program: failed to load: %s: its tables take up to 100 "
				      "MB: raise the memory limit (of the cgroup)",
				      strerror(-err));
	return pa_errmsg__set(e, err,
			      "BPF program: failed to load: %s: Linux 5.8 or later is needed; "
			      "PERFAGENT_DEBUG=1 shows the verifier's log",
			      strerror(-err));
}

struct pa_bpf_host pa_bpf_host__read(void)
{
	struct pa_bpf_host host = {0};
	struct stat ns;

	if (sysconf(_SC_PAGESIZE) > 16384) /* THREAD_SIZE is at least a page */
		host.kernel_stack_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	if (!stat("/proc/self/ns/pid", &ns) && ns.st_ino != INIT_PIDNS_INO) {
		host.use_pidns = true;
		host.pidns_dev = ns.st_dev;
		host.pidns_ino = ns.st_ino;
	}
	return host;
}

int pa_pids__add(const struct bpf_map *pids, pid_t pid)
{
	uint32_t key = (uint32_t)pid;
	uint8_t one = 1;

	return bpf_map_update_elem(bpf_map__fd(pids), &key, &one, BPF_ANY) ? -errno : 0;
}

int pa_pids__remove(const struct bpf_map *pids, pid_t pid)
{
	uint32_t key = (uint32_t)pid;

	return bpf_map_delete_elem(bpf_map__fd(pids), &key) ? -errno : 0;
}

int pa_bpfobj__check_online(const struct pa_cpus *cpus, const char *what, struct pa_errmsg *e)
{
	struct pa_cpus online;
	int err = pa_cpus__online(&online);

	if (err)
		return pa_errmsg__set(e, err, "/sys/devices/system/cpu/online: failed to read: %s",
				      strerror(-err));
	for (size_t i = 0; i < cpus->cnt && !err; i++)
		if (!pa_cpus__has(&online, cpus->ids[i]))
			err = pa_errmsg__set(e, -ENODEV, "CPU %d: failed to %s: it is not online",
					     cpus->ids[i], what);
	pa_cpus__free(&online);
	return err;
}

int pa_bpfobj__count_cpus(size_t *slot_cnt, struct pa_errmsg *e)
{
	struct pa_cpus possible;
	int err = pa_cpus__possible(&possible);

	if (err)
		return pa_errmsg__set(e, err,
				      "/sys/devices/system/cpu/possible: failed to read: %s",
				      strerror(-err));
	*slot_cnt = (size_t)possible.ids[possible.cnt - 1] + 1;
	pa_cpus__free(&possible);
	return 0;
}

uint32_t pa_bpfobj__thread_slots(uint32_t max, bool is_system)
{
	uint32_t slots = THREAD_SLOTS_MIN;
	unsigned long pids = max;
	char buf[32];

	if (is_system && pa_procfs__read("/proc/sys/kernel/pid_max", buf, sizeof(buf)) > 0)
		pids = strtoul(buf, NULL, 10);
	while (slots < pids && slots < max)
		slots *= 2;
	return slots;
}

int pa_bpfobj__set_model_ring(struct bpf_map *rings, size_t ring_bytes, struct pa_ring **out)
{
	int err = pa_ring__new(ring_bytes, out);

	return err ? err : bpf_map__set_inner_map_fd(rings, pa_ring__fd(*out));
}

int pa_bpfobj__add_ring(struct bpf_map *rings, int epoll_fd, int cpu, size_t ring_bytes,
			struct pa_ring **ring, struct pa_errmsg *e)
{
	/* edge-triggered: a ring with anything in it polls as readable, woken for or not */
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	uint32_t key = (uint32_t)cpu, fd;
	int err;

	if (*ring)
		return 0;
	err = pa_ring__new(ring_bytes, ring);
	if (err)
		return pa_errmsg__set(e, err,
				      "ring buffer of %zu bytes for CPU %d: failed to create: %s",
				      ring_bytes, cpu, strerror(-err));
	fd = (uint32_t)pa_ring__fd(*ring);
	if (bpf_map_update_elem(bpf_map__fd(rings), &key, &fd, BPF_ANY) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, (int)fd, &ev))
		return pa_errmsg__set(e, -errno, "ring buffer for CPU %d: failed to set up: %s",
				      cpu, strerror(errno));
	return 0;
}

int pa_bpfobj__attach(struct bpf_program *prog, struct bpf_link **links, size_t *link_cnt)
{
	struct bpf_link *link;

	if (bpf_program__fd(prog) < 0) /* not loaded */
		return 0;
	link = bpf_program__attach(prog);
	if (!link)
		return -errno;
	links[(*link_cnt)++] = link;
	return 0;
}

void pa_bpfobj__detach(struct bpf_link **links, size_t *link_cnt)
{
	while (*link_cnt)
		bpf_link__destroy(links[--*link_cnt]);
}
