// SPDX-License-Identifier: GPL-2.0-only
/*
 * proctab.c - the table of processes: sideband records in, incarnations told apart, records of
 * enrolled processes passed on, those of others kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/procfs.h"
#include "capture/proctab_internal.h"

#define HISTORY_MAX_BYTES (256 << 10) /* of one process that is not sampled */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

int pa_proctab__new(const struct pa_proctab_opts *opts, struct pa_proctab **out)
{
	struct pa_proctab *t = calloc(1, sizeof(*t));

	*out = t;
	if (!t)
		return -ENOMEM;
	t->opts = *opts;
	t->boottime_offset_ns = (int64_t)(clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC));
	return 0;
}

static void free_proc(struct proc *p)
{
	pa_bytes__free(&p->history);
	free(p);
}

void pa_proctab__free(struct pa_proctab *t)
{
	struct proc *p, *next, *older;

	if (!t)
		return;
	HASH_ITER (hh, t->procs, p, next) {
		HASH_DEL(t->procs, p);
		for (; p; p = older) {
			older = p->older;
			free_proc(p);
		}
	}
	free(t);
}

struct proc *pa_proctab_find(struct pa_proctab *t, uint32_t pid)
{
	struct proc *p;

	HASH_FIND(hh, t->procs, &pid, sizeof(pid), p);
	return p;
}

static struct proc *add(struct pa_proctab *t, uint32_t pid, uint64_t start_ns, uint64_t seen_ns)
{
	struct proc *old = pa_proctab_find(t, pid), *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pid = pid;
	p->start_ns = start_ns;
	p->seen_ns = seen_ns;
	if (old) {
		HASH_DEL(t->procs, old);
		p->older = old;
		if (!old->end_ns) { /* its EXIT was lost */
			old->end_ns = start_ns ? start_ns : t->oldest_ns;
			old->next_ended = t->ended;
			t->ended = old;
		}
	}
	HASH_ADD(hh, t->procs, pid, sizeof(p->pid), p);
	if (t->enrolled_pid[pid % PA_CACHE_SLOTS] == pid)
		t->enrolled_pid[pid % PA_CACHE_SLOTS] = 0;
	t->stats.process_cnt++;
	return p;
}

static struct proc *find_or_add(struct pa_proctab *t, uint32_t pid, uint64_t seen_ns)
{
	struct proc *p = pa_proctab_find(t, pid);

	return p ? p : add(t, pid, 0, seen_ns);
}

/* A FORK record names a new process, or one that is known already: its first records on another
 * CPU can be drained a pass before it. */
static struct proc *add_forked(struct pa_proctab *t, const struct pd_task *task)
{
	struct proc *p = pa_proctab_find(t, task->pid);

	if (!p || p->start_ns || p->seen_ns < task->time)
		return add(t, task->pid, task->time, task->time);
	p->start_ns = task->time;
	return p;
}

void pa_proctab__begin_pass(struct pa_proctab *t, uint64_t oldest_ns, uint64_t floor_ns)
{
	t->oldest_ns = oldest_ns;
	t->floor_ns = floor_ns;
}

int pa_proctab_emit(struct pa_proctab *t, struct pa_bytes *out, int bytes, uint32_t file)
{
	const void *rec = out->data + out->len;

	if (bytes <= 0)
		return 0;
	out->len += (size_t)bytes;
	return t->opts.record ? t->opts.record(t->opts.ctx, rec, file) : 0;
}

/* MMAP2 of the kernel: dev and inode become a build-id, names become what readers understand. */
static int write_mmap2(struct pa_proctab *t, const struct perf_event_header *hdr, uint64_t time_ns,
		       struct pa_bytes *out)
{
	struct pd_mmap m;
	uint32_t file;
	void *to;

	if (pd_mmap__parse(t->opts.events, hdr, &m))
		return 0;
	if (time_ns)
		m.id.time = time_ns;
	if (pa_images__complete(t->opts.images, &m, &file))
		return -ENOMEM;
	to = pa_bytes__reserve(out, UINT16_MAX);
	if (!to)
		return -ENOMEM;
	return pa_proctab_emit(
		t, out, pd_put_mmap2(to, UINT16_MAX, t->opts.events, PERF_RECORD_MISC_USER, &m),
		file);
}

/* The trailer is u32 pid, tid; u64 time; u32 cpu, res; u64 id. FORK and EXIT have a time of
 * their own too, after four u32. */
#define TRAILER_TIME_FROM_END 24
#define TASK_TIME_OFFSET (sizeof(struct perf_event_header) + 16)

int pa_proctab_write(struct pa_proctab *t, const struct perf_event_header *hdr, uint64_t time_ns,
		     struct pa_bytes *out)
{
	uint8_t *rec;

	if (hdr->type == PERF_RECORD_MMAP || hdr->type == PERF_RECORD_MMAP2)
		return write_mmap2(t, hdr, time_ns, out);
	rec = pa_bytes__reserve(out, hdr->size);
	if (!rec)
		return -ENOMEM;
	memcpy(rec, hdr, hdr->size);
	if (time_ns) {
		memcpy(rec + hdr->size - TRAILER_TIME_FROM_END, &time_ns, sizeof(time_ns));
		if (hdr->type == PERF_RECORD_FORK || hdr->type == PERF_RECORD_EXIT)
			memcpy(rec + TASK_TIME_OFFSET, &time_ns, sizeof(time_ns));
	}
	return pa_proctab_emit(t, out, hdr->size, PA_NO_FILE);
}

static int to_process(struct pa_proctab *t, struct proc *p, const struct perf_event_header *hdr,
		      struct pa_bytes *out)
{
	if (p->enrolled)
		return pa_proctab_write(t, hdr, 0, out);
	if (p->exec_offset && p->exec_ns <= t->oldest_ns) {
		/* no sample that is still to come saw the image before the exec */
		p->history.len -= p->exec_offset;
		memmove(p->history.data, p->history.data + p->exec_offset, p->history.len);
		p->exec_offset = 0;
	}
	if (p->history.len + hdr->size > HISTORY_MAX_BYTES) {
		p->history.len = 0;
		p->exec_offset = 0;
		p->history_cut = true;
	}
	return pa_bytes__append(&p->history, hdr, hdr->size);
}

static int feed_task(struct pa_proctab *t, const struct perf_event_header *hdr,
		     struct pa_bytes *out)
{
	struct pd_task task;
	struct proc *p;
	int err;

	if (pd_task__parse(t->opts.events, hdr, &task))
		return 0;
	if (hdr->type == PERF_RECORD_FORK && task.pid != task.ppid) {
		p = add_forked(t, &task);
		if (!p)
			return -ENOMEM;
		p->parent_pid = task.ppid;
		return 0; /* enrolment writes it, if it must be known */
	}
	p = pa_proctab_find(t, task.pid);
	if (!p)
		return 0;
	err = to_process(t, p, hdr, out);
	if (hdr->type == PERF_RECORD_EXIT && task.pid == task.tid && !p->end_ns) {
		p->end_ns = task.time;
		p->next_ended = t->ended;
		t->ended = p;
	}
	return err;
}

static int feed_comm(struct pa_proctab *t, const struct perf_event_header *hdr,
		     struct pa_bytes *out)
{
	struct pd_comm comm;
	struct proc *p;

	if (pd_comm__parse(t->opts.events, hdr, &comm))
		return 0;
	p = find_or_add(t, comm.pid, comm.id.time);
	if (!p)
		return -ENOMEM;
	if (comm.exec) {
		p->exec_ns = comm.id.time;
		p->exec_offset = p->history.len;
		p->history_cut = false; /* all that counts from here on follows */
	}
	return to_process(t, p, hdr, out);
}

int pa_proctab__feed(struct pa_proctab *t, const struct perf_event_header *hdr,
		     struct pa_bytes *out)
{
	struct pd_mmap m;
	struct proc *p;

	switch (hdr->type) {
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return feed_task(t, hdr, out);
	case PERF_RECORD_COMM:
		return feed_comm(t, hdr, out);
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		if (pd_mmap__parse(t->opts.events, hdr, &m))
			return 0;
		p = find_or_add(t, m.pid, m.id.time);
		return p ? to_process(t, p, hdr, out) : -ENOMEM;
	default:
		return 0;
	}
}

void pa_proctab__resync(struct pa_proctab *t)
{
	memset(t->enrolled_pid, 0, sizeof(t->enrolled_pid));
	for (struct proc *p = t->procs; p; p = p->hh.next) {
		p->enrolled = false;
		p->history_cut = true;
		p->history.len = 0;
		p->exec_offset = 0;
	}
}

int pa_proctab__sample(struct pa_proctab *t, uint32_t pid, uint64_t time_ns)
{
	uint32_t *cached = &t->enrolled_pid[pid % PA_CACHE_SLOTS];
	struct proc *p;

	if (*cached == pid)
		return 0;
	p = find_or_add(t, pid, time_ns);
	if (!p)
		return -ENOMEM;
	if (p->enrolled)
		*cached = pid;
	while (p->start_ns > time_ns && p->older)
		p = p->older;
	if (p->enrolled)
		return 0;
	if (!p->pending) {
		p->pending = true;
		p->first_ns = time_ns;
		p->next_pending = t->pending;
		t->pending = p;
	}
	if (time_ns < p->first_ns)
		p->first_ns = time_ns;
	return 0;
}

/* An unenrolled parent that is to be enrolled in the same pass comes first, so that its child can
 * inherit from it. */
static int enrol_with_parents(struct pa_proctab *t, struct proc *p, struct pa_bytes *out)
{
	struct proc *chain[64];
	size_t cnt = 0;
	int err = 0;

	while (p && p->pending && !p->enrolled && cnt < 64) {
		chain[cnt++] = p;
		p = p->start_ns ? pa_proctab_find(t, p->parent_pid) : NULL;
	}
	while (cnt && !err) {
		p = chain[--cnt];
		if (p->enrolled) /* twice in the chain: ids were reused */
			continue;
		err = pa_proctab_enrol_one(t, p, out);
		p->enrolled = true;
		p->pending = false;
		pa_bytes__free(&p->history);
		t->stats.enrolled_cnt++;
	}
	return err;
}

int pa_proctab__enrol(struct pa_proctab *t, struct pa_bytes *out)
{
	int err = 0;

	while (t->pending && !err) {
		struct proc *p = t->pending;

		t->pending = p->next_pending;
		p->next_pending = NULL;
		err = enrol_with_parents(t, p, out);
	}
	return err;
}

static void forget(struct pa_proctab *t, struct proc *p)
{
	struct proc *head = pa_proctab_find(t, p->pid);

	if (head == p) {
		HASH_DEL(t->procs, p);
		if (t->enrolled_pid[p->pid % PA_CACHE_SLOTS] == p->pid)
			t->enrolled_pid[p->pid % PA_CACHE_SLOTS] = 0;
		if (p->older) /* an incarnation that is on the list of ended ones itself */
			HASH_ADD(hh, t->procs, pid, sizeof(p->older->pid), p->older);
	} else {
		while (head && head->older != p)
			head = head->older;
		if (head)
			head->older = p->older;
	}
	if (t->opts.ended)
		t->opts.ended(t->opts.ctx, (pid_t)p->pid);
	free_proc(p);
	t->stats.process_cnt--;
}

void pa_proctab__end_pass(struct pa_proctab *t)
{
	struct proc **link = &t->ended, *p;

	while ((p = *link)) {
		/* its samples are in; a leader may end before its threads, which keep the id */
		bool settled = p->end_ns < t->oldest_ns;

		if (settled && (pa_proctab_find(t, p->pid) != p || !pa_procfs__is_there(p->pid))) {
			*link = p->next_ended;
			forget(t, p);
		} else {
			link = &p->next_ended;
		}
	}
}

void pa_proctab__stats(const struct pa_proctab *t, struct pa_proctab_stats *out)
{
	*out = t->stats;
}
