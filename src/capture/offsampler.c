// SPDX-License-Identifier: GPL-2.0-only
/*
 * offsampler.c - load the off-CPU program, keep a ring for each CPU that is online, and account the
 * waits that the capture's begin and end cut.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/bpfobj.h"
#include "capture/offsampler.h"
#include "capture/procfs.h"
#include "offcpu.skel.h"

#define RING_BYTES (1 << 20)
#define RING_BYTES_MAX (4 << 20)      /* where no rate bounds what comes */
#define RINGS_BYTES_MAX (256UL << 20) /* of all CPUs together, unless asked for */
#define WAITS_MIN 8192		      /* 2 KB each */
#define WAITS_MAX 16384
#define PROCS_OF_TARGETS 4096
#define BATCH_BYTES (1 << 20)

struct pa_offsampler {
	struct pa_offsampler_opts opts;
	struct offcpu_bpf *skel;
	struct bpf_link *links[13];
	size_t link_cnt;
	bool has_tables, has_mmap_hook, has_iter, has_user_iter;
	struct pa_ring **rings; /* by CPU number, made when it is first seen */
	size_t slot_cnt;
	struct pa_cpu_stats *stats; /* by CPU number; these three are the program's maps */
	struct pa_off_cpu *cpus;
	struct pa_off_thread *threads;
	size_t thread_cnt;
	size_t ring_bytes;
	struct bpf_link *iter_link;
	int iter_fd, epoll_fd;
	struct pa_bytes rest; /* of the iterator: the begin of a record */
	uint64_t waiting_cnt, waiting_no_user_cnt, waiting_no_room_cnt, waiting_no_slot_cnt;
	uint64_t ended_cnt, ended_ns, flushed_cnt; /* at the end */
	struct pa_errmsg errmsg;
};

#define fail(x, ...) pa_errmsg__set(&(x)->errmsg, __VA_ARGS__)

/* ---- open ------------------------------------------------------------------------------- */

/* Twice the threads that there are, as /proc/loadavg has them: "0.1 0.2 0.3 1/543 9876". At least
 * so many as a command may start. */
static uint32_t wait_slots(void)
{
	unsigned long threads = 0;
	char buf[128];
	const char *slash;

	if (pa_procfs__read("/proc/loadavg", buf, sizeof(buf)) > 0) {
		slash = strchr(buf, '/');
		threads = slash ? 2 * strtoul(slash + 1, NULL, 10) : 0;
	}
	return threads < WAITS_MIN ? WAITS_MIN : threads > WAITS_MAX ? WAITS_MAX : threads;
}

/* The section of the scheduler's own functions, with which kernel stacks begin. */
static bool find_scheduler(uint64_t *start, uint64_t *end)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char *line = NULL;
	size_t cap = 0;

	*start = *end = 0;
	while (f && !*end && getline(&line, &cap, f) > 0) {
		char *name = strchr(line, ' ');

		if (!name || strlen(name) < 4)
			continue;
		name += 3;
		if (!strncmp(name, "__sched_text_start\n", 19))
			*start = strtoull(line, NULL, 16);
		else if (!strncmp(name, "__sched_text_end\n", 17))
			*end = strtoull(line, NULL, 16);
	}
	free(line);
	if (f)
		fclose(f);
	return *start && *end > *start;
}

static void configure_chances(struct offcpu_bpf *skel, const struct pa_offsampler_opts *opts)
{
	double chance = round(opts->probability * PA_OFF_SURE);

	if (opts->probability > 0)
		skel->rodata->fixed_chance = chance < 1		    ? 1
					     : chance > PA_OFF_SURE ? PA_OFF_SURE
								    : (uint32_t)chance;
	skel->rodata->window_max =
		(uint32_t)((opts->rate_hz + PA_OFF_WINDOWS_HZ - 1) / PA_OFF_WINDOWS_HZ);
	skel->rodata->min_ns = opts->min_ns;
	skel->rodata->left_out = ~opts->reasons;
	for (int i = 0; i < PA_OFF_REASON_CNT; i++)
		skel->rodata->reason_ids[i] = opts->reason_ids[i];
}

static void configure_tables(struct pa_offsampler *o)
{
	bool own = o->has_tables && !o->opts.sampler;
	struct offcpu_bpf *skel = o->skel;

	PA_BPFOBJ_LOAD_BOTH(skel, unwind_fork, own);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_exec, own);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_mmap, own && o->has_mmap_hook);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_protect, own && o->has_mmap_hook);
	if (o->has_tables) {
		skel->rodata->unwind_mode = PA_UNWIND_TABLES;
		bpf_map__set_max_entries(skel->maps.misses, (uint32_t)o->slot_cnt);
	}
	if (own && !o->opts.all)
		bpf_map__set_max_entries(skel->maps.procs, PROCS_OF_TARGETS);
	if (o->has_tables)
		return;
	bpf_map__set_max_entries(skel->maps.blocks, 1);
	bpf_map__set_max_entries(skel->maps.procs, 1);
	bpf_map__set_max_entries(skel->maps.rules, 1);
	bpf_map__set_max_entries(skel->maps.unwind_seq, 1);
}

static void configure(struct pa_offsampler *o, bool is_new)
{
	const struct pa_offsampler_opts *opts = &o->opts;
	struct offcpu_bpf *skel = o->skel;
	uint64_t start, end;

	configure_chances(skel, opts);
	skel->rodata->log_switches = opts->log_switches;
	skel->rodata->log_all = opts->tracepoint_id != 0;
	skel->rodata->tracepoint_id = opts->tracepoint_id;
	skel->rodata->filter_pids = !opts->all;
	skel->rodata->want_kernel = opts->kernel_stacks;
	skel->rodata->wake_bytes = (uint32_t)o->ring_bytes / 4;
	skel->rodata->has_prev_state = is_new;
	skel->rodata->slot_mask = (uint32_t)o->thread_cnt - 1;
	if (opts->kernel_stacks && find_scheduler(&start, &end)) {
		skel->rodata->knows_sched = true;
		skel->rodata->sched_start = start;
		skel->rodata->sched_end = end;
	}
	PA_BPFOBJ_CONFIGURE(skel, opts->follow && !opts->sampler);
	bpf_program__set_autoload(skel->progs.off_waiting, o->has_user_iter);
	bpf_program__set_autoload(skel->progs.off_waiting_old, o->has_iter && !o->has_user_iter);
	bpf_map__set_max_entries(skel->maps.rings, (uint32_t)o->slot_cnt);
	bpf_map__set_max_entries(skel->maps.scratch, (uint32_t)o->slot_cnt);
	bpf_map__set_max_entries(skel->maps.stats, (uint32_t)o->slot_cnt);
	bpf_map__set_max_entries(skel->maps.cpus, (uint32_t)o->slot_cnt);
	bpf_map__set_max_entries(skel->maps.threads, (uint32_t)o->thread_cnt);
	bpf_map__set_max_entries(skel->maps.waits, opts->log_switches ? 1 : wait_slots());
	bpf_map__set_max_entries(skel->maps.switches, (uint32_t)o->slot_cnt);
	configure_tables(o);
}

/* What the on-CPU sampler has: tables are published once. */
static int share_maps(struct pa_offsampler *o)
{
	struct pa_unwind_maps maps;
	int err;

	if (!o->opts.sampler)
		return 0;
	err = bpf_map__reuse_fd(o->skel->maps.pids, pa_sampler__pids_fd(o->opts.sampler));
	if (err || pa_sampler__unwind_maps(o->opts.sampler, &maps))
		return err;
	err = bpf_map__reuse_fd(o->skel->maps.blocks, maps.blocks_fd);
	if (!err)
		err = bpf_map__reuse_fd(o->skel->maps.procs, maps.procs_fd);
	if (!err)
		err = bpf_map__reuse_fd(o->skel->maps.rules, maps.rules_fd);
	return err ? err : bpf_map__reuse_fd(o->skel->maps.unwind_seq, maps.seq_fd);
}

static int attach_hooks(struct pa_offsampler *o)
{
	struct bpf_program *progs[] = {
		PA_BPFOBJ_BOTH(o->skel, follow_fork), PA_BPFOBJ_BOTH(o->skel, follow_exit),
		PA_BPFOBJ_BOTH(o->skel, unwind_fork), PA_BPFOBJ_BOTH(o->skel, unwind_exec),
		PA_BPFOBJ_BOTH(o->skel, unwind_mmap), PA_BPFOBJ_BOTH(o->skel, unwind_protect),
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]) && !err; i++)
		err = pa_bpfobj__attach(progs[i], o->links, &o->link_cnt);
	return err;
}

static void unload(struct pa_offsampler *o)
{
	pa_bpfobj__detach(o->links, &o->link_cnt);
	offcpu_bpf__destroy(o->skel);
	o->skel = NULL;
}

static int load_one(struct pa_offsampler *o, bool is_new)
{
	struct pa_ring *model = NULL;
	int err;

	o->skel = offcpu_bpf__open();
	if (!o->skel)
		return -errno;
	configure(o, is_new);
	err = share_maps(o);
	if (!err)
		err = pa_bpfobj__set_model_ring(o->skel->maps.rings, o->ring_bytes, &model);
	if (!err)
		err = offcpu_bpf__load(o->skel);
	if (!err)
		err = attach_hooks(o);
	pa_ring__free(model);
	if (err)
		unload(o);
	return err;
}

/* With its fourth argument and the iterator that sleeps, of Linux 5.18, or without. */
static int load_new_or_old(struct pa_offsampler *o)
{
	int err;

	o->has_iter = o->has_user_iter = !o->opts.log_switches;
	err = load_one(o, true);
	if (err && err != -EPERM) {
		o->has_user_iter = false;
		err = load_one(o, false);
	}
	return err;
}

/* As new as it gets: then what older kernels, and those that forbid some of it, don't have. */
static int load_best(struct pa_offsampler *o)
{
	bool shares = o->opts.sampler != NULL;
	struct pa_unwind_maps maps;
	int err;

	o->has_tables = shares ? !pa_sampler__unwind_maps(o->opts.sampler, &maps) : o->opts.tables;
	o->has_mmap_hook = o->has_tables;
	err = load_new_or_old(o);
	if (err && o->has_mmap_hook && !shares) {
		o->has_mmap_hook = false;
		err = load_new_or_old(o);
	}
	if (err) {
		o->has_iter = o->has_user_iter = false;
		err = load_one(o, false);
	}
	if (err && o->has_tables && o->opts.tables_optional && !shares) {
		o->has_tables = false;
		err = load_new_or_old(o);
	}
	return err;
}

static int map_array(struct pa_offsampler *o, struct bpf_map *map, size_t bytes, int prot,
		     void **out)
{
	*out = mmap(NULL, (bytes + 4095) / 4096 * 4096, prot, MAP_SHARED, bpf_map__fd(map), 0);
	if (*out == MAP_FAILED) {
		*out = NULL;
		return fail(o, -errno, "BPF counters: failed to map: %s", strerror(errno));
	}
	return 0;
}

static int load(struct pa_offsampler *o)
{
	int err;

	err = pa_bpfobj__prepare("--offcpu", &o->errmsg);
	if (err)
		return err;
	err = load_best(o);
	if (err)
		return pa_bpfobj__explain(err, &o->errmsg);
	err = map_array(o, o->skel->maps.stats, o->slot_cnt * sizeof(*o->stats), PROT_READ,
			(void **)&o->stats);
	if (!err)
		err = map_array(o, o->skel->maps.cpus, o->slot_cnt * sizeof(*o->cpus), PROT_READ,
				(void **)&o->cpus);
	if (!err)
		err = map_array(o, o->skel->maps.threads, o->thread_cnt * sizeof(*o->threads),
				PROT_READ | PROT_WRITE, (void **)&o->threads);
	return err;
}

static int make_ring(struct pa_offsampler *o, int cpu)
{
	if ((size_t)cpu >= o->slot_cnt)
		return 0;
	return pa_bpfobj__add_ring(o->skel->maps.rings, o->epoll_fd, cpu, o->ring_bytes,
				   &o->rings[cpu], &o->errmsg);
}

int pa_offsampler__update_cpus(struct pa_offsampler *o)
{
	struct pa_cpus online;
	int err = pa_cpus__online(&online);

	if (err)
		return fail(o, err, "/sys/devices/system/cpu/online: failed to read: %s",
			    strerror(-err));
	for (size_t i = 0; i < online.cnt && !err; i++)
		err = make_ring(o, online.ids[i]);
	pa_cpus__free(&online);
	return err;
}

static size_t ring_bytes_for(const struct pa_offsampler_opts *opts)
{
	bool is_bound = opts->rate_hz && !(opts->probability > 0) && !opts->log_switches;
	size_t cpu_cnt = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	size_t bytes = is_bound ? RING_BYTES : RING_BYTES_MAX;

	while (bytes > RING_BYTES / 4 && bytes * cpu_cnt > RINGS_BYTES_MAX)
		bytes /= 2;
	return opts->ring_bytes ? opts->ring_bytes : bytes;
}

int pa_offsampler__open(const struct pa_offsampler_opts *opts, struct pa_offsampler **out)
{
	struct pa_offsampler *o = calloc(1, sizeof(*o));
	int err;

	*out = o;
	if (!o)
		return -ENOMEM;
	o->opts = *opts;
	o->iter_fd = -1;
	o->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (o->epoll_fd < 0)
		return fail(o, -errno, "epoll: failed to create: %s", strerror(errno));
	err = pa_bpfobj__count_cpus(&o->slot_cnt, &o->errmsg);
	if (err)
		return err;
	o->ring_bytes = ring_bytes_for(opts);
	o->thread_cnt = pa_bpfobj__thread_slots(PA_OFF_SLOTS_MAX, !pa_bpf_host__read().use_pidns);
	o->rings = calloc(o->slot_cnt, sizeof(struct pa_ring *));
	if (!o->rings)
		return fail(o, -ENOMEM, "out of memory");
	err = load(o);
	return err ? err : pa_offsampler__update_cpus(o);
}

int pa_offsampler__enable(struct pa_offsampler *o)
{
	int err = pa_bpfobj__attach(o->skel->progs.off_switch, o->links, &o->link_cnt);

	return err ? fail(o, err, "sched_switch: failed to attach: %s", strerror(-err)) : 0;
}

/* ---- waits that the begin cuts ------------------------------------------------------------ */

static int open_iter(struct pa_offsampler *o)
{
	struct bpf_program *prog =
		o->has_user_iter ? o->skel->progs.off_waiting : o->skel->progs.off_waiting_old;

	o->iter_link = bpf_program__attach_iter(prog, NULL);
	if (!o->iter_link)
		return -errno;
	o->iter_fd = bpf_iter_create(bpf_link__fd(o->iter_link));
	return o->iter_fd < 0 ? -errno : 0;
}

/* Bytes of the whole records at the begin. A record is never empty. */
static size_t whole_records(const struct pa_bytes *b)
{
	const size_t head = offsetof(struct pa_miss_record, ip);
	size_t offset = 0;

	while (offset + head <= b->len) {
		const struct pa_miss_record *rec = (const void *)(b->data + offset);

		if (rec->size < head || rec->size > b->len - offset)
			break;
		offset += rec->size;
	}
	return offset;
}

int pa_offsampler__read_waiting(struct pa_offsampler *o, struct pa_bytes *out)
{
	ssize_t n = 1;
	size_t whole;
	int err;

	out->len = 0;
	if (!o->has_iter)
		return 0;
	err = o->iter_fd < 0 ? open_iter(o) : 0;
	if (!err)
		err = pa_bytes__append(out, o->rest.data, o->rest.len);
	if (err)
		return err;
	o->rest.len = 0;
	while (n > 0 && out->len < BATCH_BYTES) {
		if (!pa_bytes__reserve(out, 1 << 16))
			return -ENOMEM;
		n = read(o->iter_fd, out->data + out->len, 1 << 16);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			n = 1;
		else
			out->len += (size_t)n;
	}
	whole = whole_records(out);
	err = pa_bytes__append(&o->rest, out->data + whole, out->len - whole);
	out->len = whole;
	return err ? err : whole > 0;
}

/* A free slot that becomes its. A thread that has one already has come back since.
 * @return NULL: it does not wait any more, or others have its slots */
static struct pa_off_thread *slot_of_waiting(struct pa_offsampler *o, uint32_t tid)
{
	struct pa_off_thread *a = &o->threads[tid & (o->thread_cnt - 1)];
	struct pa_off_thread *b = &o->threads[PA_OFF_SECOND(tid) & (o->thread_cnt - 1)];

	if (a->tid == tid || b->tid == tid)
		return NULL;
	o->waiting_no_slot_cnt += a->out_ns && b->out_ns;
	return !a->out_ns ? a : !b->out_ns ? b : NULL;
}

static bool has_user_part(const struct pa_sample_record *rec)
{
	for (uint64_t i = 0; i + 1 < rec->nr; i++)
		if (rec->ips[i] == (uint64_t)PERF_CONTEXT_USER)
			return true;
	return false;
}

void pa_offsampler__keep_waiting(struct pa_offsampler *o, uint32_t tid,
				 struct pa_sample_record *rec)
{
	struct pa_off_thread *slot = slot_of_waiting(o, tid);
	int fd = bpf_map__fd(o->skel->maps.waits);

	rec->time = PA_OFF_BEFORE;
	rec->res = 0;
	rec->period = PA_OFF_SURE;
	if (!slot)
		return;
	if (bpf_map_update_elem(fd, &tid, rec, BPF_NOEXIST)) {
		o->waiting_no_room_cnt += errno == E2BIG;
		return;
	}
	o->waiting_cnt++;
	o->waiting_no_user_cnt += !has_user_part(rec);
	slot->tid = tid;
	slot->guess_us = UINT32_MAX;
	__atomic_store_n(&slot->out_ns, PA_OFF_BEFORE | PA_OFF_KEPT, __ATOMIC_RELEASE);
}

void pa_offsampler__begin(struct pa_offsampler *o, uint64_t now_ns)
{
	if (o->iter_fd >= 0)
		close(o->iter_fd);
	o->iter_fd = -1;
	bpf_link__destroy(o->iter_link);
	o->iter_link = NULL;
	__atomic_store_n(&o->skel->bss->begin_ns, now_ns, __ATOMIC_SEQ_CST);
}

/* ---- while it runs -------------------------------------------------------------------------- */

int pa_offsampler__add_pid(struct pa_offsampler *o, pid_t pid)
{
	return pa_pids__add(o->skel->maps.pids, pid);
}

int pa_offsampler__remove_pid(struct pa_offsampler *o, pid_t pid)
{
	return pa_pids__remove(o->skel->maps.pids, pid);
}

void pa_offsampler__forget_pid(struct pa_offsampler *o, pid_t pid)
{
	uint32_t bit = (uint32_t)pid % PA_SEEN_BITS;

	o->skel->bss->seen[bit / 64] &= ~(1ULL << (bit % 64));
}

int64_t pa_offsampler__drain(struct pa_offsampler *o, struct pa_bytes *out)
{
	struct epoll_event edges[16];
	int64_t total = 0, n;

	while (epoll_wait(o->epoll_fd, edges, 16, 0) == 16)
		; /* take the wake-ups that this drain answers */
	for (size_t cpu = 0; cpu < o->slot_cnt; cpu++) {
		if (!o->rings[cpu])
			continue;
		n = pa_ring__drain(o->rings[cpu], out);
		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

int pa_offsampler__epoll_fd(const struct pa_offsampler *o)
{
	return o->epoll_fd;
}

int pa_offsampler__unwind_maps(const struct pa_offsampler *o, struct pa_unwind_maps *out)
{
	if (!o->has_tables)
		return -ENOENT;
	*out = (struct pa_unwind_maps){
		.blocks_fd = bpf_map__fd(o->skel->maps.blocks),
		.procs_fd = bpf_map__fd(o->skel->maps.procs),
		.rules_fd = bpf_map__fd(o->skel->maps.rules),
		.seq_fd = bpf_map__fd(o->skel->maps.unwind_seq),
		.has_mmap_hook = o->has_mmap_hook,
	};
	return 0;
}

/* ---- the end -------------------------------------------------------------------------------- */

void pa_offsampler__end(struct pa_offsampler *o, uint64_t now_ns)
{
	__atomic_store_n(&o->skel->bss->end_ns, now_ns, __ATOMIC_SEQ_CST);
	usleep(1000); /* programs that began before run to their end */
	pa_bpfobj__detach(o->links, &o->link_cnt);
}

static uint64_t weigh(uint64_t ns, uint64_t chance)
{
	double period = (double)ns * PA_OFF_SURE / (double)chance;

	if (!chance || chance >= PA_OFF_SURE)
		return ns;
	return period < 0x1p63 ? (uint64_t)round(period) : UINT64_MAX;
}

static int flush_one(struct pa_offsampler *o, const struct pa_off_thread *t, uint64_t ns,
		     struct pa_bytes *out)
{
	struct pa_sample_record *rec = pa_bytes__reserve(out, sizeof(*rec));
	uint32_t tid = t->tid;
	uint64_t chance;

	if (!rec)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(o->skel->maps.waits), &tid, rec) ||
	    rec->nr > PA_CHAIN_SLOTS || rec->size != 64 + 8 * rec->nr)
		return 0;
	chance = PA_OFF_CHANCE(rec->period);
	rec->time = o->skel->bss->end_ns;
	rec->res |= chance & (PA_OFF_SURE - 1);
	rec->period = weigh(ns, chance);
	out->len += rec->size;
	o->flushed_cnt++;
	return 0;
}

int pa_offsampler__flush(struct pa_offsampler *o, struct pa_bytes *out)
{
	uint64_t begin_ns = o->skel->bss->begin_ns, end_ns = o->skel->bss->end_ns;
	int err = 0;

	for (size_t i = 0; i < o->thread_cnt && !err && !o->opts.log_switches; i++) {
		struct pa_off_thread *t = &o->threads[i];
		uint64_t out_ns = t->out_ns & ~PA_OFF_KEPT, ns;

		if (!out_ns)
			continue;
		ns = out_ns > begin_ns ? out_ns : begin_ns;
		ns = end_ns > ns ? end_ns - ns : 0;
		if (ns < o->opts.min_ns || !ns)
			continue;
		o->ended_cnt++;
		o->ended_ns += ns;
		if (t->out_ns & PA_OFF_KEPT)
			err = flush_one(o, t, ns, out);
		t->out_ns = 0;
	}
	return err;
}

void pa_offsampler__stats(const struct pa_offsampler *o, struct pa_offsampler_stats *out)
{
	*out = (struct pa_offsampler_stats){
		.waiting = o->waiting_cnt,
		.waiting_no_user = o->waiting_no_user_cnt,
		.ended = o->ended_cnt,
		.ended_ns = o->ended_ns,
		.flushed = o->flushed_cnt,
		.no_room = o->waiting_no_room_cnt,
		.no_slot = o->waiting_no_slot_cnt,
	};
	if (!o->stats || !o->cpus)
		return;
	pa_cpu_stats__sum(o->stats, o->slot_cnt, &out->walks);
	out->walks.unfollowed = o->skel->bss->unfollowed_cnt;
	for (size_t cpu = 0; cpu < o->slot_cnt; cpu++) {
		const volatile struct pa_off_cpu *c = &o->cpus[cpu];

		out->begun += c->begun;
		out->chosen += c->chosen;
		out->ended += c->ended;
		out->ended_ns += c->ended_ns;
		out->no_room += c->no_room;
		out->no_slot += c->no_slot;
	}
}

const char *pa_offsampler__errmsg(const struct pa_offsampler *o)
{
	return o->errmsg.text;
}

static void unmap(void *map, size_t bytes)
{
	if (map)
		munmap(map, (bytes + 4095) / 4096 * 4096);
}

void pa_offsampler__close(struct pa_offsampler *o)
{
	if (!o)
		return;
	for (size_t cpu = 0; o->rings && cpu < o->slot_cnt; cpu++)
		pa_ring__free(o->rings[cpu]);
	unmap(o->stats, o->slot_cnt * sizeof(*o->stats));
	unmap(o->cpus, o->slot_cnt * sizeof(*o->cpus));
	unmap(o->threads, o->thread_cnt * sizeof(*o->threads));
	if (o->iter_fd >= 0)
		close(o->iter_fd);
	bpf_link__destroy(o->iter_link);
	unload(o);
	pa_bytes__free(&o->rest);
	if (o->epoll_fd >= 0)
		close(o->epoll_fd);
	free(o->rings);
	free(o);
}
