// SPDX-License-Identifier: GPL-2.0-only
/*
 * enrol.c - the records that make a process known in the file, written before its first sample.
 *
 * Where they come from, best first: the kernel's own records since its exec; a FORK record, where
 * the parent is in the file and readers let the child inherit; /proc/PID, for processes that were
 * there before the capture; the parent's /proc, for a child that ended or exec'd since.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/procfs.h"
#include "capture/proctab_internal.h"

#define START_SLACK_NS 20000000ULL /* start times in /proc are clock ticks of 10 ms */

/* One enrolment under way. */
struct enrolment {
	struct pa_proctab *t;
	struct proc *p;
	struct pa_bytes *out;
	uint32_t source_pid; /* whose /proc is read */
	uint64_t stamp_ns;   /* time of the records that say how things stood */
	bool from_proc;	     /* /proc was read: older history is in it */
};

static struct pd_sample_id make_id(const struct enrolment *e, uint32_t tid)
{
	return (struct pd_sample_id){
		.pid = e->p->pid,
		.tid = tid,
		.time = e->stamp_ns,
		.id = e->t->opts.sample_id,
	};
}

static int put_comm(struct enrolment *e, uint32_t tid, const char *name)
{
	struct pd_comm comm = {.pid = e->p->pid, .tid = tid, .comm = name, .id = make_id(e, tid)};
	void *to = pa_bytes__reserve(e->out, 256);

	if (!to)
		return -ENOMEM;
	return pa_proctab_emit(e->t, e->out, pd_put_comm(to, 256, e->t->opts.events, &comm),
			       PA_NO_FILE);
}

static int put_thread(void *ctx, pid_t tid, const char *comm)
{
	return put_comm(ctx, (uint32_t)tid, comm);
}

static int put_fork(struct enrolment *e)
{
	struct pd_task task = {
		.pid = e->p->pid,
		.tid = e->p->pid,
		.ppid = e->p->parent_pid,
		.ptid = e->p->parent_pid,
		.time = e->stamp_ns,
		.id = make_id(e, e->p->pid),
	};
	void *to = pa_bytes__reserve(e->out, 256);

	if (!to)
		return -ENOMEM;
	return pa_proctab_emit(e->t, e->out,
			       pd_put_task(to, 256, e->t->opts.events, PERF_RECORD_FORK, &task),
			       PA_NO_FILE);
}

static const struct perf_event_header *next_record(const struct pa_bytes *b, size_t *offset)
{
	const struct perf_event_header *hdr = (const void *)(b->data + *offset);

	if (*offset >= b->len)
		return NULL;
	*offset += hdr->size;
	return hdr;
}

/* A mapping that the kernel reports with its own, later time must not be there before it. */
static bool is_reported_later(const struct enrolment *e, const struct pa_proc_map *map)
{
	const struct perf_event_header *hdr;
	struct pd_mmap m;
	size_t offset = 0;

	while ((hdr = next_record(&e->p->history, &offset))) {
		if (hdr->type != PERF_RECORD_MMAP2 && hdr->type != PERF_RECORD_MMAP)
			continue;
		if (pd_mmap__parse(e->t->opts.events, hdr, &m) || m.id.time <= e->stamp_ns)
			continue;
		if (m.start < map->start + map->bytes && map->start < m.start + m.bytes)
			return true;
	}
	return false;
}

static int put_map(void *ctx, const struct pa_proc_map *map)
{
	struct enrolment *e = ctx;
	struct pd_mmap m = {
		.pid = e->source_pid, /* whose files are opened */
		.tid = e->p->pid,
		.start = map->start,
		.bytes = map->bytes,
		.pgoff = map->pgoff,
		.prot = map->prot,
		.flags = map->flags,
		.maj = map->maj,
		.min = map->min,
		.ino = map->ino,
		.filename = map->path,
		.id = make_id(e, e->p->pid),
	};
	uint32_t file;
	void *to;

	if ((int64_t)map->start < 0 || is_reported_later(e, map)) /* [vsyscall] is the kernel's */
		return 0;
	if (pa_images__complete(e->t->opts.images, &m, &file))
		return -ENOMEM;
	m.pid = e->p->pid;
	to = pa_bytes__reserve(e->out, UINT16_MAX);
	if (!to)
		return -ENOMEM;
	return pa_proctab_emit(
		e->t, e->out,
		pd_put_mmap2(to, UINT16_MAX, e->t->opts.events, PERF_RECORD_MISC_USER, &m), file);
}

/* Is the process that /proc shows now the one that was sampled? */
static bool is_same_incarnation(const struct enrolment *e)
{
	uint64_t start_ns;

	if (pa_procfs__start_ns((pid_t)e->p->pid, &start_ns))
		return false;
	return (int64_t)start_ns - e->t->boottime_offset_ns <=
	       (int64_t)(e->p->first_ns + START_SLACK_NS);
}

/* @return 0 done, -ENOMEM, other: /proc does not have it */
static int put_snapshot(struct enrolment *e, uint32_t source_pid)
{
	size_t before = e->out->len;
	char comm[PA_COMM_BYTES];
	int err;

	e->source_pid = source_pid;
	if (source_pid == e->p->pid) {
		if (!is_same_incarnation(e))
			return -ESRCH;
		err = pa_procfs__threads((pid_t)source_pid, put_thread, e);
	} else {
		err = pa_procfs__comm((pid_t)source_pid, comm);
		if (!err)
			err = put_comm(e, e->p->pid, comm);
	}
	if (!err) {
		e->t->stats.maps_read_cnt++;
		err = pa_procfs__exec_maps((pid_t)source_pid, put_map, e);
	}
	if (err && err != -ENOMEM && e->out->len > before)
		err = 0; /* it ended while being read: part is better than nothing */
	return err;
}

/* The parent as it was when it forked p, or NULL. */
static struct proc *parent_at_fork(const struct enrolment *e)
{
	struct proc *parent;

	if (!e->p->start_ns)
		return NULL;
	parent = pa_proctab_find(e->t, e->p->parent_pid);
	while (parent && parent->start_ns > e->p->start_ns)
		parent = parent->older;
	if (parent && parent->exec_ns > e->p->start_ns)
		return NULL; /* another image by now */
	return parent;
}

/* Nothing tells what it was before its exec: the name that it took then. */
static int put_first_name(struct enrolment *e)
{
	const struct perf_event_header *hdr;
	struct pd_comm comm;
	size_t offset = 0;

	while ((hdr = next_record(&e->p->history, &offset)))
		if (hdr->type == PERF_RECORD_COMM &&
		    !pd_comm__parse(e->t->opts.events, hdr, &comm) && comm.tid == e->p->pid)
			return put_comm(e, comm.tid, comm.comm);
	return -ESRCH;
}

/* How the process stood at stamp_ns, before what its history adds. */
static int put_base(struct enrolment *e)
{
	struct proc *parent = parent_at_fork(e);
	bool own_image = !e->p->exec_ns || e->p->history_cut; /* what /proc shows of p is right */
	int err = -ESRCH;

	if (parent && parent->enrolled && !parent->end_ns && !e->p->history_cut)
		return put_fork(e);
	if (own_image)
		err = put_snapshot(e, e->p->pid);
	if (!err) {
		e->from_proc = true;
		return 0;
	}
	if (err != -ENOMEM && parent && parent->enrolled)
		return put_fork(e);
	if (err != -ENOMEM && e->p->start_ns &&
	    (parent || !pa_proctab_find(e->t, e->p->parent_pid)))
		err = put_snapshot(e, e->p->parent_pid);
	if (err && err != -ENOMEM)
		err = put_first_name(e);
	if (err && err != -ENOMEM && !e->p->history.len)
		e->t->stats.gone_cnt++;
	return err == -ENOMEM ? err : 0;
}

static int put_history(struct enrolment *e)
{
	const struct perf_event_header *hdr;
	struct pd_sample_id id;
	size_t offset = 0;
	int err = 0;

	while (!err && (hdr = next_record(&e->p->history, &offset))) {
		if (pd_sample_id__parse(e->t->opts.events, hdr, &id))
			continue;
		if (id.time > e->stamp_ns)
			err = pa_proctab_write(e->t, hdr, 0, e->out);
		else if (!e->from_proc)
			err = pa_proctab_write(e->t, hdr, e->stamp_ns, e->out);
	}
	return err;
}

int pa_proctab_enrol_one(struct pa_proctab *t, struct proc *p, struct pa_bytes *out)
{
	struct enrolment e = {.t = t, .p = p, .out = out, .stamp_ns = t->oldest_ns};
	bool exec_known = p->exec_ns && p->exec_ns <= p->first_ns && !p->history_cut;
	struct proc *parent;
	int err = 0;

	if (p->start_ns > e.stamp_ns)
		e.stamp_ns = p->start_ns;
	if (e.stamp_ns <= t->floor_ns)
		e.stamp_ns = t->floor_ns + 1;
	if (e.stamp_ns >= p->first_ns)
		e.stamp_ns = p->first_ns - 1;
	if (!exec_known) {
		err = put_base(&e);
	} else {
		/* for who forked whom, and for samples in execve(2) itself, which still have the
		 * registers of the image before */
		parent = parent_at_fork(&e);
		if (parent && parent->enrolled && !parent->end_ns)
			err = put_fork(&e);
	}
	return err ? err : put_history(&e);
}
