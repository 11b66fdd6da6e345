// SPDX-License-Identifier: GPL-2.0-only
/*
 * sampler.c - load the on-CPU program, and keep an event and a ring for each CPU that is online.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/cpu.h"
#include "capture/bpfobj.h"
#include "capture/event.h"
#include "capture/sampler.h"
#include "cpu.skel.h"

#define RING_BYTES_MIN (256 << 10)
#define RING_BYTES_MIN_TABLES (1 << 20) /* a walk left to user space is up to 32 KB */
#define RING_BYTES_MAX (4 << 20)
#define PROCS_OF_TARGETS 4096
#define RINGS_BYTES_MAX (256UL << 20) /* of all CPUs together, unless asked for */

struct cpu_slot {
	struct pa_ring *ring;  /* made when the CPU is first seen, kept */
	struct bpf_link *link; /* owns event_fd */
	int event_fd;	       /* -1: none */
};

struct pa_sampler {
	struct cpu_bpf *skel;
	struct bpf_link *links[12]; /* of programs beside the sampler */
	size_t link_cnt;
	bool has_tables, has_mmap_hook;
	struct perf_event_attr attr;
	struct pa_cpus wanted;	/* empty: all */
	struct cpu_slot *slots; /* by CPU number */
	size_t slot_cnt;
	struct pa_cpu_stats *stats; /* by CPU number, mapped from the program's map */
	size_t stats_map_bytes;
	size_t ring_bytes;
	int epoll_fd;
	bool enabled;
	struct pa_errmsg errmsg;
};

#define fail(x, ...) pa_errmsg__set(&(x)->errmsg, __VA_ARGS__)

static bool has_branches(const struct pa_sampler_opts *opts)
{
	return opts->attr->sample_type & PERF_SAMPLE_BRANCH_STACK;
}

/* Room for a quarter of a second and more at the frequency's usual record size. */
static size_t ring_bytes_for(const struct pa_sampler_opts *opts)
{
	size_t cpu_cnt = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t hz = opts->attr->freq ? opts->attr->sample_freq : 10000;
	size_t bytes = RING_BYTES_MIN, usual = has_branches(opts) ? 1280 : 512;

	if (opts->ring_bytes)
		return opts->ring_bytes;
	if (opts->tables && RING_BYTES_MIN_TABLES * cpu_cnt <= RINGS_BYTES_MAX)
		bytes = RING_BYTES_MIN_TABLES;
	while (bytes < RING_BYTES_MAX && bytes < hz * usual / 2 &&
	       bytes * 2 * cpu_cnt <= RINGS_BYTES_MAX)
		bytes *= 2;
	return bytes;
}

/* What only a walk by tables uses is not loaded, or small, without it. */
static void configure_tables(struct pa_sampler *s, const struct pa_sampler_opts *opts)
{
	struct cpu_bpf *skel = s->skel;

	PA_BPFOBJ_LOAD_BOTH(skel, unwind_fork, s->has_tables);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_exec, s->has_tables);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_mmap, s->has_mmap_hook);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_protect, s->has_mmap_hook);
	if (s->has_tables) {
		skel->rodata->unwind_mode = PA_UNWIND_TABLES;
		bpf_map__set_max_entries(skel->maps.misses, (uint32_t)s->slot_cnt);
		if (!opts->all)
			bpf_map__set_max_entries(skel->maps.procs, PROCS_OF_TARGETS);
		return;
	}
	bpf_map__set_max_entries(skel->maps.blocks, 1);
	bpf_map__set_max_entries(skel->maps.procs, 1);
	bpf_map__set_max_entries(skel->maps.rules, 1);
	bpf_map__set_max_entries(skel->maps.unwind_seq, 1);
}

static void configure(struct pa_sampler *s, const struct pa_sampler_opts *opts)
{
	struct cpu_bpf *skel = s->skel;

	skel->rodata->sample_id = opts->sample_id;
	skel->rodata->filter_pids = !opts->all;
	skel->rodata->want_kernel = opts->kernel_stacks;
	skel->rodata->want_branches = has_branches(opts);
	/* The reader comes by its own timer; it is woken only when that would be too late. */
	skel->rodata->wake_bytes = (uint32_t)s->ring_bytes / 4;
	PA_BPFOBJ_CONFIGURE(skel, opts->follow);
	bpf_map__set_max_entries(skel->maps.rings, (uint32_t)s->slot_cnt);
	bpf_map__set_max_entries(skel->maps.scratch, (uint32_t)s->slot_cnt);
	bpf_map__set_max_entries(skel->maps.stats, (uint32_t)s->slot_cnt);
	configure_tables(s, opts);
}

/* Those that were loaded. */
static int attach_hooks(struct pa_sampler *s)
{
	struct bpf_program *progs[] = {
		PA_BPFOBJ_BOTH(s->skel, follow_fork), PA_BPFOBJ_BOTH(s->skel, follow_exit),
		PA_BPFOBJ_BOTH(s->skel, unwind_fork), PA_BPFOBJ_BOTH(s->skel, unwind_exec),
		PA_BPFOBJ_BOTH(s->skel, unwind_mmap), PA_BPFOBJ_BOTH(s->skel, unwind_protect),
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]) && !err; i++)
		err = pa_bpfobj__attach(progs[i], s->links, &s->link_cnt);
	return err;
}

static void unload(struct pa_sampler *s)
{
	pa_bpfobj__detach(s->links, &s->link_cnt);
	cpu_bpf__destroy(s->skel);
	s->skel = NULL;
}

static int load_one(struct pa_sampler *s, const struct pa_sampler_opts *opts)
{
	struct pa_ring *model = NULL;
	int err;

	s->skel = cpu_bpf__open();
	if (!s->skel)
		return -errno;
	configure(s, opts);
	err = pa_bpfobj__set_model_ring(s->skel->maps.rings, s->ring_bytes, &model);
	if (!err)
		err = cpu_bpf__load(s->skel);
	pa_ring__free(model);
	if (!err)
		err = attach_hooks(s);
	if (err)
		unload(s);
	return err;
}

/* With tables and news of mappings; without these, which need fentry (aarch64: Linux 6.0, and
 * some systems forbid it); or with frame pointers. */
static int load_best(struct pa_sampler *s, const struct pa_sampler_opts *opts)
{
	int err;

	s->has_tables = s->has_mmap_hook = opts->tables;
	err = load_one(s, opts);
	if (err && s->has_mmap_hook) {
		s->has_mmap_hook = false;
		err = load_one(s, opts);
	}
	if (err && s->has_tables && opts->tables_optional) {
		s->has_tables = false;
		err = load_one(s, opts);
	}
	return err;
}

static int load(struct pa_sampler *s, const struct pa_sampler_opts *opts)
{
	void *map;
	int err;

	err = pa_bpfobj__prepare("the sampler", &s->errmsg);
	if (err)
		return err;
	err = load_best(s, opts);
	if (err)
		return pa_bpfobj__explain(err, &s->errmsg);
	s->stats_map_bytes = (s->slot_cnt * sizeof(struct pa_cpu_stats) + 4095) / 4096 * 4096;
	map = mmap(NULL, s->stats_map_bytes, PROT_READ, MAP_SHARED,
		   bpf_map__fd(s->skel->maps.stats), 0);
	if (map == MAP_FAILED)
		return fail(s, -errno, "BPF counters: failed to map: %s", strerror(errno));
	s->stats = map;
	return 0;
}

static int attach(struct pa_sampler *s, int cpu)
{
	struct cpu_slot *slot = &s->slots[cpu];

	slot->link = bpf_program__attach_perf_event(s->skel->progs.cpu_sample, slot->event_fd);
	if (!slot->link)
		return fail(s, -errno, "event on CPU %d: failed to attach the BPF program: %s", cpu,
			    strerror(errno));
	return 0;
}

static void drop_event(struct cpu_slot *slot)
{
	if (slot->link)
		bpf_link__destroy(slot->link); /* closes the event too */
	else if (slot->event_fd >= 0)
		close(slot->event_fd);
	slot->link = NULL;
	slot->event_fd = -1;
}

static int explain_open(struct pa_sampler *s, int cpu, int err)
{
	if (s->attr.sample_type & PERF_SAMPLE_BRANCH_STACK &&
	    (err == -ENOENT || err == -EOPNOTSUPP || err == -EINVAL))
		return fail(s, err,
			    "event on CPU %d: failed to open: %s: --branch-stack: this machine's "
			    "PMU records no branches with this event (in a virtual machine it "
			    "hardly ever does); pa2autofdo takes profiles without them, too",
			    cpu, strerror(-err));
	if (err == -EACCES || err == -EPERM)
		return fail(s, err,
			    "event on CPU %d: failed to open: %s: run as root or give the binary "
			    "cap_perfmon (kernel.perf_event_paranoid is in force)",
			    cpu, strerror(-err));
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return fail(s, err,
			    "event on CPU %d: failed to open: %s: this machine does not count it; "
			    "try --event cpu-clock",
			    cpu, strerror(-err));
	if (err == -EBUSY)
		return fail(s, err, "event on CPU %d: failed to open: %s: its counter is in use",
			    cpu, strerror(-err));
	return fail(s, err, "event on CPU %d: failed to open: %s", cpu, strerror(-err));
}

/* @return 1 opened, 0 the CPU is not there (any more) */
static int open_cpu(struct pa_sampler *s, int cpu)
{
	struct cpu_slot *slot = &s->slots[cpu];
	int fd, err;

	fd = pa_event__open(&s->attr, -1, cpu);
	if (fd == -ENODEV || fd == -ESRCH || fd == -ENXIO)
		return 0;
	if (fd < 0)
		return explain_open(s, cpu, fd);
	slot->event_fd = fd;
	err = pa_bpfobj__add_ring(s->skel->maps.rings, s->epoll_fd, cpu, s->ring_bytes, &slot->ring,
				  &s->errmsg);
	if (!err && s->enabled)
		err = attach(s, cpu);
	return err ? err : 1;
}

int pa_sampler__update_cpus(struct pa_sampler *s)
{
	struct pa_cpus online;
	int err = pa_cpus__online(&online);

	if (err)
		return fail(s, err, "/sys/devices/system/cpu/online: failed to read: %s",
			    strerror(-err));
	for (size_t cpu = 0; cpu < s->slot_cnt && err >= 0; cpu++) {
		struct cpu_slot *slot = &s->slots[cpu];

		if (s->wanted.cnt && !pa_cpus__has(&s->wanted, (int)cpu))
			continue;
		if (!pa_cpus__has(&online, (int)cpu))
			drop_event(slot); /* the kernel let go of it */
		else if (slot->event_fd < 0)
			err = open_cpu(s, (int)cpu);
	}
	pa_cpus__free(&online);
	return err < 0 ? err : 0;
}

static int check_wanted(struct pa_sampler *s, const struct pa_cpus *cpus)
{
	int err = pa_bpfobj__check_online(cpus, "sample", &s->errmsg);

	if (err)
		return err;
	s->wanted.ids = calloc(cpus->cnt, sizeof(int));
	if (!s->wanted.ids)
		return -ENOMEM;
	memcpy(s->wanted.ids, cpus->ids, cpus->cnt * sizeof(int));
	s->wanted.cnt = cpus->cnt;
	return 0;
}

int pa_sampler__open(const struct pa_sampler_opts *opts, struct pa_sampler **out)
{
	struct pa_sampler *s = calloc(1, sizeof(*s));
	int err;

	*out = s;
	if (!s)
		return -ENOMEM;
	s->attr = *opts->attr;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return fail(s, -errno, "epoll: failed to create: %s", strerror(errno));
	err = pa_bpfobj__count_cpus(&s->slot_cnt, &s->errmsg);
	if (err)
		return err;
	s->ring_bytes = ring_bytes_for(opts);
	s->slots = calloc(s->slot_cnt, sizeof(*s->slots));
	if (!s->slots)
		return fail(s, -ENOMEM, "out of memory");
	for (size_t cpu = 0; cpu < s->slot_cnt; cpu++)
		s->slots[cpu].event_fd = -1;
	if (opts->cpus && opts->cpus->cnt)
		err = check_wanted(s, opts->cpus);
	if (!err)
		err = load(s, opts);
	return err ? err : pa_sampler__update_cpus(s);
}

int pa_sampler__enable(struct pa_sampler *s)
{
	size_t attached_cnt = 0;
	int err;

	s->enabled = true;
	for (size_t cpu = 0; cpu < s->slot_cnt; cpu++) {
		if (s->slots[cpu].event_fd < 0)
			continue;
		err = attach(s, (int)cpu);
		if (err)
			return err;
		attached_cnt++;
	}
	return attached_cnt ? 0 : fail(s, -ENODEV, "no CPU could be sampled");
}

void pa_sampler__disable(struct pa_sampler *s)
{
	s->enabled = false;
	for (size_t cpu = 0; cpu < s->slot_cnt; cpu++)
		if (s->slots[cpu].event_fd >= 0)
			ioctl(s->slots[cpu].event_fd, PERF_EVENT_IOC_DISABLE, 0);
}

int pa_sampler__add_pid(struct pa_sampler *s, pid_t pid)
{
	return pa_pids__add(s->skel->maps.pids, pid);
}

int pa_sampler__remove_pid(struct pa_sampler *s, pid_t pid)
{
	return pa_pids__remove(s->skel->maps.pids, pid);
}

void pa_sampler__forget_pid(struct pa_sampler *s, pid_t pid)
{
	uint32_t bit = (uint32_t)pid % PA_SEEN_BITS;

	s->skel->bss->seen[bit / 64] &= ~(1ULL << (bit % 64));
}

int64_t pa_sampler__drain(struct pa_sampler *s, struct pa_bytes *out)
{
	struct epoll_event edges[16];
	int64_t total = 0, n;

	while (epoll_wait(s->epoll_fd, edges, 16, 0) == 16)
		; /* take the wake-ups that this drain answers */
	for (size_t cpu = 0; cpu < s->slot_cnt; cpu++) {
		if (!s->slots[cpu].ring)
			continue;
		n = pa_ring__drain(s->slots[cpu].ring, out);
		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

int pa_sampler__epoll_fd(const struct pa_sampler *s)
{
	return s->epoll_fd;
}

void pa_cpu_stats__sum(const struct pa_cpu_stats *stats, size_t cnt, struct pa_sampler_stats *out)
{
	*out = (struct pa_sampler_stats){0};
	for (size_t cpu = 0; stats && cpu < cnt; cpu++) {
		const volatile struct pa_cpu_stats *st = &stats[cpu];

		out->fired += st->fired;
		out->written += st->written;
		out->lost += st->lost;
		out->no_user_stack += st->no_user_stack;
		out->complete_tables += st->complete_tables;
		out->complete_fp += st->complete_fp;
		out->truncated += st->truncated;
		out->faulted += st->faulted;
		out->deep += st->deep;
		out->missed += st->missed;
		out->no_process += st->no_process;
		out->no_table += st->no_table;
		out->complex += st->complex;
		out->capped += st->capped;
	}
}

void pa_sampler__stats(const struct pa_sampler *s, struct pa_sampler_stats *out)
{
	pa_cpu_stats__sum(s->stats, s->slot_cnt, out);
	out->unfollowed = s->skel->bss->unfollowed_cnt;
}

int pa_sampler__pids_fd(const struct pa_sampler *s)
{
	return bpf_map__fd(s->skel->maps.pids);
}

int pa_sampler__unwind_maps(const struct pa_sampler *s, struct pa_unwind_maps *out)
{
	if (!s->has_tables)
		return -ENOENT;
	*out = (struct pa_unwind_maps){
		.blocks_fd = bpf_map__fd(s->skel->maps.blocks),
		.procs_fd = bpf_map__fd(s->skel->maps.procs),
		.rules_fd = bpf_map__fd(s->skel->maps.rules),
		.seq_fd = bpf_map__fd(s->skel->maps.unwind_seq),
		.has_mmap_hook = s->has_mmap_hook,
	};
	return 0;
}

const char *pa_sampler__errmsg(const struct pa_sampler *s)
{
	return s->errmsg.text;
}

void pa_sampler__close(struct pa_sampler *s)
{
	if (!s)
		return;
	for (size_t cpu = 0; s->slots && cpu < s->slot_cnt; cpu++) {
		drop_event(&s->slots[cpu]);
		pa_ring__free(s->slots[cpu].ring);
	}
	if (s->stats)
		munmap(s->stats, s->stats_map_bytes);
	unload(s);
	pa_cpus__free(&s->wanted);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s->slots);
	free(s);
}
