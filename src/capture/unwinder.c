// SPDX-License-Identifier: GPL-2.0-only
/*
 * unwinder.c - which process has what mapped, for the program that walks stacks and for the walks
 * that are finished here.
 *
 * What the program is told must hold when it uses it, although the process goes on mapping: hooks
 * in the kernel count each mapping of code, and mark what was told as stale as soon as it might
 * be wrong (bpf/unwind.h). So mappings are read between two looks at the count, and opened to the
 * walker only after the second.
 */
#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <uthash.h>

#include "bpf/cpu.h"
#include "capture/procfs.h"
#include "capture/unwind_images.h"
#include "capture/unwinder.h"
#include "convert/procs.h"
#include "unwind/offline.h"

#define PUBLISH_TRIES 3
#define CFI_KEPT_NS 2000000000ULL /* it is used at a program's first samples, and hardly after */
#define LOOK_NS 1000000000ULL	  /* how often what was refused is tried again */
#define SWEEP_NS 5000000000ULL	  /* how often processes are looked for that are gone */
#define IDLE_NS 10000000000ULL	  /* not sampled for so long: others may have its room */
#define RETRY_MAX_NS 64000000000ULL
#define STALE_MAX 256 /* stretches that are told apart */
#define SEQ_BYTES (PA_SEQ_SLOTS * sizeof(struct pa_unwind_seq))
#ifdef __aarch64__
#define MACHINE EM_AARCH64
#define REG_CNT 33
#else
#define MACHINE EM_X86_64
#define REG_CNT 17
#endif

/* A process that the program knows. */
struct process {
	uint32_t pid;
	struct pa_process_blocks blocks;
	uint32_t *images; /* each once for each of its mappings */
	size_t image_cnt, image_cap;
	uint32_t *awaited; /* images whose tables are not there yet */
	size_t awaited_cnt, awaited_cap;
	bool lacks;	 /* some table had no room */
	bool is_fp_only; /* it could not be published: not tried again before retry_ns */
	uint64_t retry_ns, wait_ns;
	uint64_t read_ns;    /* what was mapped by then is known */
	uint64_t sampled_ns; /* last, while room is short */
	UT_hash_handle hh;
};

/* To be published at the end of the pass. */
struct due {
	uint32_t pid;
	UT_hash_handle hh;
};

/* Code that a process mapped over what the program had been told, from one time to another. */
struct stale {
	uint32_t pid;
	uint64_t start, end, from_ns, to_ns;
};

struct pa_unwinder {
	struct pa_unwinder_opts opts;
	struct pa_tables *tables;
	struct pa_unwind_images images;
	struct pa_packer *packer;
	const volatile struct pa_unwind_seq *seq; /* the program's map */
	struct process *processes;
	struct pa_procs procs; /* what was mapped when; images by number */
	struct due *due;
	struct stale *stale; /* only without news of mappings */
	size_t stale_cnt, stale_cap;
	uint64_t pass_ns; /* end of the last pass */
	uint64_t walk_ns; /* of the last pass that finished a walk */
	uint64_t look_ns, sweep_ns;
	bool is_full;	   /* the map of processes was */
	bool is_short;	   /* of room: some process lacks tables... */
	uint64_t short_ns; /* ...since then */
	uint16_t turn;
	/* of the mappings that are being read */
	struct pa_mapping_list list;
	struct process *reading;
	/* of the walk that is being finished */
	uint32_t space;
	uint64_t time_ns;
	struct pa_unwind_chain chain;
	struct pa_unwinder_stats stats;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

int pa_unwinder__new(const struct pa_unwinder_opts *opts, struct pa_unwinder **out)
{
	struct pa_unwinder *u = calloc(1, sizeof(*u));
	struct pa_tables_opts tables = {
		.sz = sizeof(tables),
		.blocks_fd = opts->maps.blocks_fd,
		.rules_fd = opts->maps.rules_fd,
		.budget_bytes = opts->budget_bytes,
	};
	void *map;
	int err;

	*out = u;
	if (!u)
		return -ENOMEM;
	u->opts = *opts;
	pa_procs__init(&u->procs, (uint64_t)(uintptr_t)u);
	map = mmap(NULL, SEQ_BYTES, PROT_READ,
		   MAP_SHARED | (opts->maps.seq_fd < 0 ? MAP_ANONYMOUS : 0), opts->maps.seq_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	u->seq = map;
	err = pa_tables__new(&tables, &u->tables);
	u->images = (struct pa_unwind_images){
		.files = opts->images,
		.tables = u->tables,
		.cache_dir = opts->cache_dir,
		.now_ns = now(),
	};
	return err;
}

int pa_unwinder__start_thread(struct pa_unwinder *u)
{
	int err = pa_packer__new(u->opts.cache_dir, &u->packer);

	if (!err)
		u->images.packer = u->packer;
	return err;
}

int pa_unwinder__fd(const struct pa_unwinder *u)
{
	return u->packer ? pa_packer__fd(u->packer) : -1;
}

static void free_process(struct pa_unwinder *u, struct process *p)
{
	for (size_t i = 0; i < p->image_cnt; i++) {
		struct pa_unwind_image *image = &u->images.images[p->images[i]];

		image->process_cnt--;
		image->used_ns = u->images.now_ns;
	}
	pa_tables__drop_mappings(u->tables, &p->blocks);
	free(p->images);
	free(p->awaited);
	free(p);
}

static void forget_due(struct pa_unwinder *u, struct due *d)
{
	HASH_DEL(u->due, d);
	free(d);
}

void pa_unwinder__free(struct pa_unwinder *u)
{
	struct process *p, *next;
	struct due *d, *next_due;

	if (!u)
		return;
	HASH_ITER (hh, u->due, d, next_due)
		forget_due(u, d);
	HASH_ITER (hh, u->processes, p, next) {
		HASH_DEL(u->processes, p);
		free_process(u, p);
	}
	pa_packer__free(u->packer);
	pa_unwind_images__free(&u->images);
	pa_tables__free(u->tables);
	pa_procs__free(&u->procs);
	if (u->seq)
		munmap((void *)u->seq, SEQ_BYTES);
	free(u->list.entries);
	free(u->stale);
	free(u);
}

static void withdraw(struct pa_unwinder *u, uint32_t pid)
{
	struct process *p;

	if (u->opts.maps.procs_fd >= 0)
		bpf_map_delete_elem(u->opts.maps.procs_fd, &pid);
	HASH_FIND(hh, u->processes, &pid, sizeof(pid), p);
	if (!p)
		return;
	HASH_DEL(u->processes, p);
	free_process(u, p);
}

static struct process *find_process(const struct pa_unwinder *u, uint32_t pid)
{
	struct process *p;

	HASH_FIND(hh, u->processes, &pid, sizeof(pid), p);
	return p;
}

static int make_due(struct pa_unwinder *u, uint32_t pid)
{
	struct due *d;

	HASH_FIND(hh, u->due, &pid, sizeof(pid), d);
	if (d)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->pid = pid;
	HASH_ADD(hh, u->due, pid, sizeof(d->pid), d);
	return 0;
}

/* Each stretch for itself as long as there are few: then one that holds all of a process's. */
static int make_stale(struct pa_unwinder *u, const struct stale *stale)
{
	for (size_t i = u->stale_cnt; i-- > 0 && u->stale_cnt >= STALE_MAX;) {
		struct stale *s = &u->stale[i];

		if (s->pid != stale->pid || s->to_ns != UINT64_MAX)
			continue;
		s->start = stale->start < s->start ? stale->start : s->start;
		s->end = stale->end > s->end ? stale->end : s->end;
		return 0;
	}
	if (pa_array_grow(&u->stale, u->stale_cnt, &u->stale_cap, sizeof(*u->stale)))
		return -ENOMEM;
	u->stale[u->stale_cnt++] = *stale;
	return 0;
}

/* Without the hook in the kernel this is the first that is heard of it. */
static int note_mapping(struct pa_unwinder *u, const struct pd_mmap *m)
{
	const struct process *p = find_process(u, m->pid);
	struct stale stale = {
		.pid = m->pid,
		.start = m->start,
		.end = m->start + m->bytes,
		.from_ns = m->id.time,
		.to_ns = UINT64_MAX,
	};

	if (!p || m->id.time < p->read_ns)
		return 0;
	if (make_due(u, m->pid))
		return -ENOMEM;
	if (!pa_tables__overlaps(u->tables, &p->blocks, stale.start, stale.end))
		return 0;
	return make_stale(u, &stale);
}

static uint64_t cut_at(const struct stale *stale, const struct pa_sample_record *rec)
{
	bool is_user = false;

	if (rec->pid != stale->pid || rec->time < stale->from_ns || rec->time > stale->to_ns)
		return rec->nr;
	for (uint64_t i = 0; i < rec->nr; i++) {
		if (rec->ips[i] == (uint64_t)PERF_CONTEXT_USER)
			is_user = true;
		else if (is_user && rec->ips[i] >= stale->start && rec->ips[i] < stale->end)
			return i + 1;
	}
	return rec->nr;
}

/* Keep so much of the chain, and the branches behind it. */
static void cut(struct pa_sample_record *rec, uint64_t nr)
{
	size_t less = (rec->nr - nr) * sizeof(*rec->ips);
	size_t end = offsetof(struct pa_sample_record, ips) + rec->nr * sizeof(*rec->ips);

	if (rec->size > end)
		memmove(&rec->ips[nr], &rec->ips[rec->nr], rec->size - end);
	rec->size = (uint16_t)(rec->size - less);
	rec->nr = nr;
}

void pa_unwinder__cut_stale(struct pa_unwinder *u, struct pa_bytes *samples)
{
	size_t offset = 0, kept = 0;

	while (u->stale_cnt && offset < samples->len) {
		struct pa_sample_record *rec = (void *)(samples->data + offset);
		uint64_t nr = rec->nr;
		size_t bytes = rec->size;

		offset += bytes;
		for (size_t i = 0; i < u->stale_cnt; i++)
			if (cut_at(&u->stale[i], rec) < nr)
				nr = cut_at(&u->stale[i], rec);
		u->stats.stale_cnt += nr != rec->nr;
		cut(rec, nr);
		bytes = rec->size;
		memmove(samples->data + kept, rec, bytes);
		kept += bytes;
	}
	if (u->stale_cnt)
		samples->len = kept;
}

/* What was told since is right, and no sample from before is still to come. */
static void forget_stale(struct pa_unwinder *u, uint64_t now_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->stale_cnt; i++) {
		struct stale stale = u->stale[i];

		if (stale.to_ns < u->pass_ns)
			continue;
		if (stale.to_ns == UINT64_MAX)
			stale.to_ns = now_ns;
		u->stale[kept++] = stale;
	}
	u->stale_cnt = kept;
	u->pass_ns = now_ns;
}

/* ---- what was mapped when ------------------------------------------------------------------- */

static int record_mmap(struct pa_unwinder *u, const struct perf_event_header *hdr, uint32_t file)
{
	struct pa_piece piece = {.to_ns = UINT64_MAX};
	struct pd_mmap m;
	uint32_t space;

	if (pd_mmap__parse(u->opts.events, hdr, &m) || !(m.prot & PROT_EXEC) || !m.bytes ||
	    m.start + m.bytes < m.start)
		return 0;
	space = pa_procs__space_of_sideband(&u->procs, m.pid, m.tid, m.id.time);
	if (space == PA_NONE || (!u->opts.maps.has_mmap_hook && note_mapping(u, &m)))
		return -ENOMEM;
	piece.start = m.start;
	piece.end = m.start + m.bytes;
	piece.pgoff = m.pgoff;
	piece.from_ns = m.id.time;
	piece.image = pa_unwind_images__number(m.filename, file);
	return pa_procs__map(&u->procs, space, &piece);
}

int pa_unwinder__record(struct pa_unwinder *u, const struct perf_event_header *hdr, uint32_t file)
{
	struct pd_comm comm;
	struct pd_task task;
	struct process *p;

	switch (hdr->type) {
	case PERF_RECORD_MMAP2:
		return record_mmap(u, hdr, file);
	case PERF_RECORD_COMM:
		if (pd_comm__parse(u->opts.events, hdr, &comm) || !comm.exec)
			return 0;
		p = find_process(u, comm.pid);
		if (p && p->read_ns < comm.id.time)
			withdraw(u, comm.pid);
		return pa_procs__set_comm(&u->procs, comm.pid, comm.tid, "", true, comm.id.time);
	case PERF_RECORD_FORK:
		if (pd_task__parse(u->opts.events, hdr, &task) || task.pid == task.ppid)
			return 0;
		return pa_procs__fork(&u->procs, task.pid, task.tid, task.ppid, task.ptid, true,
				      task.time);
	case PERF_RECORD_EXIT:
		if (pd_task__parse(u->opts.events, hdr, &task) || task.pid != task.tid)
			return 0;
		return pa_procs__exit(&u->procs, task.pid, task.tid, task.time);
	default:
		return 0;
	}
}

/* ---- what is mapped now --------------------------------------------------------------------- */

static int refer(struct process *p, struct pa_unwind_image *image, uint32_t number)
{
	if (pa_array_grow(&p->images, p->image_cnt, &p->image_cap, sizeof(*p->images)))
		return -ENOMEM;
	p->images[p->image_cnt++] = number;
	image->process_cnt++;
	return 0;
}

static int await(struct process *p, uint32_t number)
{
	if (pa_array_grow(&p->awaited, p->awaited_cnt, &p->awaited_cap, sizeof(*p->awaited)))
		return -ENOMEM;
	p->awaited[p->awaited_cnt++] = number;
	return 0;
}

static int read_map(void *ctx, const struct pa_proc_map *map)
{
	struct pa_unwinder *u = ctx;
	struct pd_mmap m = {
		.pid = u->reading->pid,
		.start = map->start,
		.bytes = map->bytes,
		.maj = map->maj,
		.min = map->min,
		.ino = map->ino,
		.filename = map->path,
	};
	struct pa_unwind_image *image;
	uint32_t file, number;
	uint64_t vaddr;

	if ((int64_t)map->start < 0) /* [vsyscall] is the kernel's */
		return 0;
	if (pa_images__complete(u->opts.images, &m, &file))
		return -ENOMEM;
	number = pa_unwind_images__number(map->path, file);
	if (number == PA_NO_IMAGE)
		return pa_mapping_list__add(&u->list, NULL, map->start, map->bytes, 0);
	image = pa_unwind_images__get(&u->images, number);
	if (!image)
		return -ENOMEM;
	if (image->is_awaited)
		return await(u->reading, number)
			       ? -ENOMEM
			       : pa_mapping_list__add_absent(&u->list, map->start, map->bytes);
	u->reading->lacks |= image->is_wanted;
	if (!image->table || pa_loads__vaddr(image->loads, image->load_cnt,
					     number == PA_IMAGE_OF_VDSO ? 0 : map->pgoff, &vaddr))
		return pa_mapping_list__add(&u->list, NULL, map->start, map->bytes, 0);
	if (refer(u->reading, image, number))
		return -ENOMEM;
	return pa_mapping_list__add(&u->list, image->table, map->start, map->bytes, vaddr);
}

static int tell(struct pa_unwinder *u, uint32_t pid, struct pa_unwind_proc *proc, bool is_open)
{
	proc->is_open = is_open;
	if (u->opts.maps.procs_fd < 0)
		return 0;
	return bpf_map_update_elem(u->opts.maps.procs_fd, &pid, proc, BPF_ANY) ? -errno : 0;
}

/* @return 0, -EAGAIN it mapped code meanwhile, -ESRCH gone, -ENOSPC, -ENOMEM, -errno */
static int publish_once(struct pa_unwinder *u, struct process *p)
{
	const volatile struct pa_unwind_seq *seq = &u->seq[p->pid % PA_SEQ_SLOTS];
	struct pa_unwind_proc proc = {.seq = seq->stale, .turn = ++u->turn};
	uint32_t mapped = seq->mapped;
	int err;

	p->read_ns = now();
	__sync_synchronize(); /* before /proc is read */
	u->list.cnt = 0;
	u->reading = p;
	err = pa_procfs__exec_maps((pid_t)p->pid, read_map, u);
	if (!err && !u->list.cnt)
		err = -ESRCH; /* a kernel thread, or on its way out */
	if (!err)
		err = pa_tables__put_mappings(u->tables, &u->list, &p->blocks, &proc);
	if (!err)
		err = tell(u, p->pid, &proc, false);
	/* from here on the hooks see what was told */
	if (!err && (__atomic_load_n(&seq->mapped, __ATOMIC_SEQ_CST) != mapped ||
		     __atomic_load_n(&seq->stale, __ATOMIC_SEQ_CST) != proc.seq))
		err = -EAGAIN;
	return err ? err : tell(u, p->pid, &proc, true);
}

static void replace(struct pa_unwinder *u, struct process *p)
{
	struct process *old;

	HASH_REPLACE(hh, u->processes, pid, sizeof(p->pid), p, old);
	if (old)
		free_process(u, old);
}

/* It can't be read, or does not fit: else each of its samples would be left to user space. */
static int publish_fp_only(struct pa_unwinder *u, uint32_t pid, uint64_t retry_ns, uint64_t wait_ns)
{
	struct pa_unwind_proc proc = {
		.seq = u->seq[pid % PA_SEQ_SLOTS].stale,
		.turn = ++u->turn,
	};
	struct process *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->pid = pid;
	p->is_fp_only = true;
	p->read_ns = now();
	p->retry_ns = retry_ns;
	p->wait_ns = wait_ns;
	err = pa_tables__put_fp_only(u->tables, &proc);
	if (!err)
		err = tell(u, pid, &proc, true);
	if (err)
		free_process(u, p);
	else
		replace(u, p);
	return err == -ENOMEM ? err : 0;
}

/* The longer it stays so the less often it is tried again. */
static uint64_t wait_after(const struct process *old)
{
	if (!old || !old->is_fp_only)
		return LOOK_NS;
	return old->wait_ns < RETRY_MAX_NS ? 2 * old->wait_ns : RETRY_MAX_NS;
}

int pa_unwinder__publish(struct pa_unwinder *u, pid_t pid)
{
	const struct process *old = find_process(u, (uint32_t)pid);
	uint64_t start_ns = now(), wait_ns = wait_after(old);
	bool was_fp_only = old && old->is_fp_only;
	struct process *p;
	int err = -EAGAIN;

	if (was_fp_only && start_ns < old->retry_ns) /* for what it may be by now */
		return publish_fp_only(u, old->pid, old->retry_ns, old->wait_ns);
	for (int i = 0; i < PUBLISH_TRIES && err == -EAGAIN; i++) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->pid = (uint32_t)pid;
		err = publish_once(u, p);
		if (!err) {
			replace(u, p);
			u->stats.published_cnt++;
			return 0;
		}
		withdraw(u, p->pid); /* what it was told before is no better */
		free_process(u, p);
	}
	u->is_full |= err == -E2BIG;
	if (err != -ENOSPC && err != -EACCES && err != -EPERM)
		return err == -ENOMEM ? err : 0;
	if (err == -ENOSPC) {
		u->stats.over_budget_cnt += !was_fp_only;
		pa_unwind_images__evict(&u->images); /* for the next try */
	}
	return publish_fp_only(u, (uint32_t)pid, start_ns + wait_ns, wait_ns);
}

int pa_unwinder__publish_all(struct pa_unwinder *u)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir)))
		if (isdigit((unsigned char)*entry->d_name))
			err = pa_unwinder__publish(u, (pid_t)strtol(entry->d_name, NULL, 10));
	closedir(dir);
	return err;
}

void pa_unwinder__forget(struct pa_unwinder *u, pid_t pid)
{
	withdraw(u, (uint32_t)pid);
}

/* ---- walks that are finished here ----------------------------------------------------------- */

static int find_map(void *ctx, uint64_t pc, struct pa_unwind_map *out)
{
	struct pa_unwinder *u = ctx;
	const struct pa_piece *piece = pa_procs__find(&u->procs, u->space, pc, u->time_ns);
	const struct pa_unwind_image *image;
	uint64_t offset, vaddr;
	int err;

	if (!piece)
		return -ENOENT;
	if (piece->image == PA_NO_IMAGE)
		return 0;
	out->is_vdso = piece->image == PA_IMAGE_OF_VDSO;
	err = pa_unwind_images__cfi(&u->images, piece->image, &out->cfi);
	if (err || !out->cfi)
		return err;
	image = &u->images.images[piece->image];
	offset = pc - piece->start + (out->is_vdso ? 0 : piece->pgoff);
	if (pa_loads__vaddr(image->loads, image->load_cnt, offset, &vaddr))
		out->cfi = NULL;
	else
		out->bias = pc - vaddr;
	return 0;
}

/* Of the branches in front of its stack; 0 without. */
static size_t branch_bytes_of(const struct pa_miss_record *miss)
{
	uint64_t cnt;

	if (miss->branch_slots != PA_BRANCH_SLOTS)
		return 0;
	memcpy(&cnt, miss->stack, sizeof(cnt));
	if (cnt > PA_BRANCHES_MAX)
		cnt = PA_BRANCHES_MAX;
	return sizeof(cnt) + cnt * sizeof(struct perf_branch_entry);
}

/* The record's own part of the chain, then what was walked, then its branches. */
static int append_sample(struct pa_unwinder *u, const struct pa_miss_record *miss,
			 struct pa_bytes *out)
{
	size_t kernel_cnt = miss->nr <= PA_MISS_KERNEL_SLOTS ? miss->nr : PA_MISS_KERNEL_SLOTS;
	size_t cnt = u->chain.cnt <= PA_FRAMES_MAX ? u->chain.cnt : PA_FRAMES_MAX;
	size_t branch_bytes = branch_bytes_of(miss);
	struct pa_sample_record *rec = pa_bytes__reserve(out, sizeof(*rec) + branch_bytes);
	size_t head = offsetof(struct pa_sample_record, ips);

	if (!rec)
		return -ENOMEM;
	memcpy(rec, miss, head + kernel_cnt * sizeof(*rec->ips));
	rec->type = PERF_RECORD_SAMPLE;
	rec->nr = kernel_cnt;
	rec->ips[rec->nr++] = PERF_CONTEXT_USER;
	memcpy(&rec->ips[rec->nr], u->chain.ips, cnt * sizeof(*rec->ips));
	rec->nr += cnt;
	memcpy(&rec->ips[rec->nr], miss->stack, branch_bytes);
	rec->size = (uint16_t)(head + rec->nr * sizeof(*rec->ips) + branch_bytes);
	out->len += rec->size;
	return 0;
}

int pa_unwinder__finish(struct pa_unwinder *u, const struct pa_miss_record *miss,
			struct pa_bytes *out)
{
	struct pa_unwind_sample in = {
		.machine = MACHINE,
		.abi = PERF_SAMPLE_REGS_ABI_64,
		.dwarf_regs = (const uint64_t *)miss->regs,
		.dwarf_reg_cnt = REG_CNT,
		.stack = miss->stack +
			 (miss->branch_slots == PA_BRANCH_SLOTS ? 8 * PA_BRANCH_SLOTS : 0),
		.stack_bytes = miss->stack_bytes <= PA_MISS_STACK_BYTES ? miss->stack_bytes : 0,
		.find_map = find_map,
		.ctx = u,
	};
	struct process *p = find_process(u, miss->pid);
	int err = 0;

	if (p)
		p->sampled_ns = miss->time;
	/* one that waits for a table is published again when that comes */
	if (miss->reason == PA_MISS_PROCESS ||
	    (miss->reason == PA_MISS_MAPPING && !(p && p->awaited_cnt)))
		err = make_due(u, miss->pid);
	pa_unwind_images__trim(&u->images);
	u->space = pa_procs__space(&u->procs, miss->pid, miss->time);
	if (err || u->space == PA_NONE)
		return -ENOMEM;
	u->time_ns = miss->time;
	u->walk_ns = u->images.now_ns;
	err = pa_unwind(&in, &u->chain);
	if (err)
		return err;
	u->stats.finished_cnt++;
	u->stats.complete_cnt += u->chain.end == PA_UNWIND_COMPLETE;
	return append_sample(u, miss, out);
}

/* Those that waited for one of the tables that came are read again. */
static int take_tables(struct pa_unwinder *u)
{
	int cnt = pa_unwind_images__take(&u->images), err = cnt < 0 ? cnt : 0;

	for (struct process *p = u->processes; cnt > 0 && p && !err; p = p->hh.next) {
		for (size_t i = 0; i < p->awaited_cnt; i++) {
			if (u->images.images[p->awaited[i]].is_awaited)
				continue;
			err = make_due(u, p->pid);
			break;
		}
	}
	return err;
}

/* A process that sleeps is withdrawn: its tables stay for as long as nobody needs the room, and its
 * next sample is finished here. */
static void withdraw_idle(struct pa_unwinder *u, uint64_t now_ns)
{
	struct process *p, *next;

	HASH_ITER (hh, u->processes, p, next) {
		uint64_t used_ns = p->sampled_ns > p->read_ns ? p->sampled_ns : p->read_ns;

		if (!p->is_fp_only && now_ns >= used_ns + IDLE_NS)
			withdraw(u, p->pid);
	}
}

void pa_unwinder__note_samples(struct pa_unwinder *u, const struct pa_bytes *samples)
{
	struct process *p = NULL;

	for (size_t offset = 0; u->is_short && offset < samples->len;) {
		const struct pa_sample_record *rec = (const void *)(samples->data + offset);

		if (!p || p->pid != rec->pid)
			p = find_process(u, rec->pid);
		if (p)
			p->sampled_ns = rec->time;
		offset += rec->size;
	}
}

/* What there was no room for may have some by now. */
static int look_for_room(struct pa_unwinder *u, uint64_t now_ns)
{
	bool has_news, is_short = u->is_full;
	int err = 0;

	if (now_ns - u->look_ns < LOOK_NS)
		return 0;
	u->look_ns = now_ns;
	if (u->is_short && now_ns >= u->short_ns + IDLE_NS)
		withdraw_idle(u, now_ns);
	has_news = pa_unwind_images__has_news(&u->images);
	for (struct process *p = u->processes; p && !err; p = p->hh.next) {
		is_short |= p->lacks || p->is_fp_only;
		if (p->is_fp_only ? now_ns >= p->retry_ns : has_news && p->lacks)
			err = make_due(u, p->pid);
	}
	if (is_short && !u->is_short)
		u->short_ns = now_ns;
	u->is_short = is_short;
	u->is_full = false;
	return err;
}

/* Not every end of a process is heard of. */
static void sweep(struct pa_unwinder *u, uint64_t now_ns)
{
	struct process *p, *next;

	if (now_ns - u->sweep_ns < SWEEP_NS)
		return;
	u->sweep_ns = now_ns;
	HASH_ITER (hh, u->processes, p, next)
		if (!pa_procfs__is_there(p->pid))
			withdraw(u, p->pid);
}

int pa_unwinder__end_pass(struct pa_unwinder *u, uint64_t now_ns)
{
	struct due *d, *next;
	int err;

	u->images.now_ns = now_ns;
	pa_tables__tick(u->tables, now_ns);
	sweep(u, now_ns);
	err = take_tables(u);
	if (!err)
		err = look_for_room(u, now_ns);
	HASH_ITER (hh, u->due, d, next) {
		err = err ? err : pa_unwinder__publish(u, (pid_t)d->pid);
		forget_due(u, d);
	}
	/* all from before the end of the last pass has come */
	if (!err && pa_procs__is_due(&u->procs))
		err = pa_procs__drop_exited(&u->procs, u->pass_ns, pa_procfs__is_there);
	forget_stale(u, now());
	if (now_ns - u->walk_ns > CFI_KEPT_NS)
		pa_unwind_images__drop_cfi(&u->images);
	return err;
}

void pa_unwinder__stats(const struct pa_unwinder *u, struct pa_unwinder_stats *out)
{
	*out = u->stats;
	out->over_budget_cnt += u->images.over_budget_cnt;
	out->image_cnt = u->images.loaded_cnt;
	out->evicted_cnt = u->images.evicted_cnt;
	out->table_bytes = pa_tables__bytes(u->tables);
}
