// SPDX-License-Identifier: GPL-2.0-only
/*
 * offcpu.bpf.c - the off-CPU sampler: where a thread leaves its CPU its stack is taken, since only
 * there can its memory be read; when it comes back the sample is put into the ring, with the time
 * in between as its period.
 *
 * Whether a wait is recorded is decided at its begin, when nobody knows how long it will be. The
 * chance is the larger of one that all waits have and one in proportion to how long the thread's
 * waits were before: many short waits don't hide the few that take most of the time.
 */
#include "kernel.h"
#include "cpu.h"
#include "follow.bpf.h"
#include "hooks.bpf.h"
#include "offcpu.h"
#include "switch.bpf.h"

#define PA_SAMPLE_MISS_TYPE PA_RING_TYPE_WAIT
#include "sample.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Settings, fixed at load */
const volatile __u64 reason_ids[PA_OFF_REASON_CNT]; /* of the file's events */
const volatile __u32 left_out;			    /* bits of reasons that don't count */
const volatile bool log_switches;		    /* write switches as they come, not waits */
const volatile bool log_all;			    /* those of no interest, too, when all are */
const volatile __u32 tracepoint_id;
const volatile __u64 min_ns;	      /* shorter waits don't count */
const volatile __u32 fixed_chance;    /* of each wait; 0: by window_max */
const volatile __u32 window_max = 64; /* stacks per CPU and window; 0: no limit */
const volatile __u32 has_prev_state;  /* sched_switch has a fourth argument (Linux 5.18) */
const volatile __u32 slot_mask;	      /* slots of threads - 1 */
const volatile bool knows_sched;      /* where the scheduler's own code is: */
const volatile __u64 sched_start, sched_end;

/* Set by user space, CLOCK_MONOTONIC: nothing counts before and after. 0: not yet */
__u64 begin_ns, end_ns;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_off_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_off_thread);
} threads SEC(".maps");

/* By the kernel's thread number: samples of waits that go on. time is their begin, period their
 * chance. Preallocated: the scheduler's locks are held. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_sample_record);
} waits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_switch_record);
} switches SEC(".maps");

/* Of the thread that the iterator is at */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_miss_record);
} waiting SEC(".maps");

static __always_inline int pa_sample_regs(void *ctx, const struct scratch *s, __u64 *regs)
{
	const struct pt_regs___kernel *saved = pa_saved_at();

	if (!saved)
		return -1;
	pa_miss_regs_saved(saved, regs);
	return 0;
}

/* A wait has none. */
static __always_inline __u32 pa_sample_branches(void *ctx, __u64 *to)
{
	return 0;
}

static __always_inline struct pa_off_thread *slot_at(__u32 number)
{
	__u32 slot = number & slot_mask;

	return bpf_map_lookup_elem(&threads, &slot);
}

/** The slot of a thread that leaves. @return NULL: others have its slots */
static __always_inline struct pa_off_thread *take_slot(__u32 tid)
{
	struct pa_off_thread *t = slot_at(tid), *other;

	if (t && t->tid == tid)
		return t;
	other = slot_at(PA_OFF_SECOND(tid));
	if (other && other->tid == tid)
		return other;
	if (!t || t->out_ns)
		t = other;
	if (!t || t->out_ns)
		return NULL;
	t->tid = tid;
	t->guess_us = 1000; /* nothing is known of it: its first waits are worth a look */
	return t;
}

/** The slot of a thread that comes back. @return NULL: it is of no interest */
static __always_inline struct pa_off_thread *find_slot(__u32 tid)
{
	struct pa_off_thread *t = slot_at(tid);

	if (t && t->tid == tid)
		return t;
	t = slot_at(PA_OFF_SECOND(tid));
	return t && t->tid == tid ? t : NULL;
}

/* ---- the chance ----------------------------------------------------------------------------- */

/** What the last window tells about the next. */
static __noinline int next_window(struct pa_off_cpu *c)
{
	__u64 even = (__u64)window_max * PA_OFF_SURE / 2;
	__u32 begun = c->begun_cnt;

	c->evenly = !begun || even / begun > PA_OFF_SURE ? PA_OFF_SURE : even / begun;
	c->surely_us = c->surely_us * (c->chosen_cnt + window_max) / (2 * window_max);
	c->begun_cnt = c->chosen_cnt = 0;
	return 0;
}

/** Too many came in this window already. */
static __always_inline void slow_down(struct pa_off_cpu *c)
{
	c->evenly /= 2;
	c->surely_us = c->surely_us ? 2 * c->surely_us : 1;
	c->chosen_cnt = window_max;
}

/** @return the chance of a wait to be recorded, 1 to PA_OFF_SURE: it depends on the past alone */
static __always_inline __u32 chance_of(struct pa_off_cpu *c, __u64 now, __u64 guess_us)
{
	__u64 window = now / (1000000000 / PA_OFF_WINDOWS_HZ), chance;

	if (fixed_chance)
		return fixed_chance;
	if (!window_max)
		return PA_OFF_SURE;
	if (window != c->window) {
		next_window(c);
		c->window = window;
	}
	if (c->chosen_cnt >= 2 * window_max)
		slow_down(c);
	c->begun_cnt++;
	if (guess_us >= c->surely_us)
		return PA_OFF_SURE;
	chance = guess_us * PA_OFF_SURE / c->surely_us;
	if (chance < c->evenly)
		chance = c->evenly;
	return chance ? chance : 1;
}

static __always_inline bool is_drawn(__u32 chance)
{
	return chance >= PA_OFF_SURE || (bpf_get_prandom_u32() & (PA_OFF_SURE - 1)) < chance;
}

/** A wait's time by its chance. What is left of the division is decided by drawing: on average
 *  nothing is lost. */
static __always_inline __u64 weigh(__u64 ns, __u64 chance)
{
	__u64 scaled = ns * PA_OFF_SURE, period, rest;

	if (chance >= PA_OFF_SURE || !chance)
		return ns;
	if (ns >> 48) /* three days: what is left matters no more, but it may be too much */
		return ns / chance >> 48 ? ~0ULL : ns / chance * PA_OFF_SURE;
	period = scaled / chance;
	rest = scaled - period * chance;
	return period + (bpf_get_prandom_u32() * chance >> 32 < rest);
}

/* ---- out ------------------------------------------------------------------------------------ */

static __always_inline bool in_scheduler(__u64 ip)
{
	return ip - sched_start < sched_end - sched_start;
}

/** Frames of tracing itself, above the scheduler's. Others may come or go with other tracers. */
static __noinline int find_skip(struct pa_off_cpu *c, const struct pa_sample_record *rec)
{
	c->skip = 0;
	for (__u32 i = 0; i < 16; i++) {
		if (!in_scheduler(rec->ips[1 + i]))
			continue;
		c->skip = i;
		return 1;
	}
	c->no_skip = 1;
	return 0;
}

/** Kernel part of the chain. @return number of slots used */
static __always_inline __u32 kernel_chain(void *ctx, struct pa_off_cpu *c,
					  struct pa_sample_record *rec)
{
	const __u32 room = PA_FRAMES_MAX * sizeof(__u64);
	long bytes;

	rec->ips[0] = PERF_CONTEXT_KERNEL;
	bytes = bpf_get_stack(ctx, &rec->ips[1], room, c->skip & 0xff);
	if (knows_sched && !c->no_skip && bytes > 0 && !in_scheduler(rec->ips[1])) {
		bytes = bpf_get_stack(ctx, &rec->ips[1], room, 0);
		if (find_skip(c, rec))
			bytes = bpf_get_stack(ctx, &rec->ips[1], room, c->skip & 0xff);
	}
	if (bytes < (long)sizeof(__u64))
		return 0;
	return 1 + ((__u32)bytes / sizeof(__u64) & (PA_CHAIN_SLOTS / 2 - 1));
}

/** Make the sample of the current thread in its CPU's scratch.
 *  @param period  the chance of a wait, which becomes its time */
static __always_inline void make_sample(void *ctx, struct pa_off_cpu *c, struct scratch *s,
					struct pa_cpu_stats *st, __u64 id, __u64 period)
{
	struct pa_user_regs regs;
	__u32 n = 0, all;

	s->in_user = 0;
	s->rec.type = PERF_RECORD_SAMPLE;
	s->rec.misc = PERF_RECORD_MISC_USER;
	s->rec.id = id;
	s->rec.ip = 0;
	s->rec.res = 0;
	s->rec.period = period;
	if (want_kernel)
		n = kernel_chain(ctx, c, &s->rec);
	if (n) {
		s->rec.misc = PERF_RECORD_MISC_KERNEL;
		s->rec.ip = s->rec.ips[1];
	}
	if (want_user && !pa_saved_regs(&regs) && (__s64)regs.ip > 0) {
		regs.ip = PA_STRIP(regs.ip);
		if (!n)
			s->rec.ip = regs.ip;
		all = user_chain(ctx, s, st, &regs, n);
		if (!all)
			s->rec.res = PA_OFF_AWAITS;
		else
			n = all;
	}
	n &= PA_CHAIN_SLOTS - 1;
	s->rec.size = 64 + 8 * n;
	s->rec.nr = n;
}

/** Note how long this took: see own_time. A timer that was set before does not mind. */
static __always_inline void note_time(struct pa_off_cpu *c, __u32 key, __u64 now, __u32 chance)
{
	struct pa_sample_record *rec = bpf_map_lookup_elem(&waits, &key);
	__u64 took = bpf_ktime_get_ns() - now;
	long syscall = pa_syscall_nr();

	if (syscall == PA_NR_NANOSLEEP || syscall == PA_NR_CLOCK_NANOSLEEP)
		took = 0;
	if (rec)
		rec->period = PA_OFF_PERIOD(chance, took, c->idle_cnt);
}

/** Keep the sample of the current thread until its end. @return 0: there is no room for it */
static __always_inline int keep_wait(void *ctx, struct pa_off_cpu *c, __u32 cpu, __u32 key,
				     __u32 tgid, __u32 tid, __u64 now, __u32 chance, __u64 id)
{
	struct scratch *s = bpf_map_lookup_elem(&scratch, &cpu);
	struct pa_cpu_stats *st = bpf_map_lookup_elem(&stats, &cpu);

	if (!s || !st)
		return 0;
	s->rec.pid = tgid;
	s->rec.tid = tid;
	s->rec.time = now;
	s->rec.cpu = cpu;
	make_sample(ctx, c, s, st, id, chance);
	if (bpf_map_update_elem(&waits, &key, &s->rec, BPF_ANY))
		return 0;
	note_time(c, key, now, chance);
	return 1;
}

static __always_inline __u32 off_reason(bool preempt, __u64 state)
{
	if (preempt || !(state & PA_TASK_STATES))
		return PA_OFF_PREEMPTED;
	return is_uninterruptible(state) ? PA_OFF_IO : PA_OFF_BLOCKED;
}

/** One that user space had seen waiting came back before it said so. */
static __always_inline void drop_wait(__u32 key)
{
	struct pa_off_thread *t = find_slot(key);

	if (!t || !t->out_ns)
		return;
	t->out_ns = 0;
	bpf_map_delete_elem(&waits, &key);
}

static __always_inline void leave(void *ctx, const struct task_struct *prev, __u32 cpu,
				  struct pa_off_cpu *c, __u64 now, bool preempt, __u64 state)
{
	__u32 tgid, tid, key = prev->pid, reason = off_reason(preempt, state), chance;
	struct pa_off_thread *t;
	__u64 out_ns = now;

	if (prev->flags & PA_PF_KTHREAD)
		return;
	if ((state & PA_TASK_DEAD) || (left_out >> reason & 1)) {
		drop_wait(key);
		return;
	}
	if (!current_ids(&tgid, &tid))
		return;
	if (filter_pids && !bpf_map_lookup_elem(&pids, &tgid))
		return;
	t = take_slot(key);
	if (!t) {
		c->no_slot++;
		return;
	}
	c->begun++;
	chance = chance_of(c, now, t->guess_us);
	if (is_drawn(chance)) {
		c->chosen++;
		c->chosen_cnt++;
		if (keep_wait(ctx, c, cpu, key, tgid, tid, now, chance, reason_ids[reason]))
			out_ns |= PA_OFF_KEPT;
		else
			c->no_room++;
	}
	t->out_ns = out_ns;
}

/* ---- in ------------------------------------------------------------------------------------- */

/** What a wait owes to its stack being taken. Two threads that wake each other on one CPU wait so
 *  much longer, which would be weighed like the rest; who is woken from elsewhere, or sleeps
 *  for a time, does not.
 *  @return ns: the CPU was busy all the time, and the wait is not much longer */
static __always_inline __u64 own_time(const struct pa_sample_record *rec,
				      const struct pa_off_cpu *c, __u32 cpu, __u64 ns)
{
	__u64 took = PA_OFF_TOOK(rec->period);

	if (rec->cpu != cpu || PA_OFF_IDLES(rec->period) != (c->idle_cnt & 0xfffff) ||
	    ns > 4 * took || ns < took)
		return 0;
	return took;
}

/** The end of a wait that was recorded. */
static __always_inline void end_wait(struct pa_sample_record *rec, __u32 cpu, __u64 now, __u64 ns)
{
	struct scratch *s = bpf_map_lookup_elem(&scratch, &cpu);
	struct pa_cpu_stats *st = bpf_map_lookup_elem(&stats, &cpu);
	__u32 n = rec->nr & (PA_CHAIN_SLOTS - 1), chance = PA_OFF_CHANCE(rec->period);

	if (!s || !st)
		return;
	rec->res |= chance & (PA_OFF_SURE - 1);
	rec->time = now;
	rec->cpu = cpu;
	rec->period = weigh(ns, chance);
	emit(s, st, cpu, rec->pid, rec, 64 + 8 * (__u64)n);
}

static __always_inline void come_back(__u32 key, __u32 cpu, struct pa_off_cpu *c, __u64 now)
{
	/* until it begins a slot also tells user space: this one does not wait any more */
	struct pa_off_thread *t = begin_ns ? find_slot(key) : take_slot(key);
	struct pa_sample_record *rec = NULL;
	__u64 out_ns, ns, guess, us;
	bool counts;

	if (!t || !t->out_ns)
		return;
	out_ns = t->out_ns & ~PA_OFF_KEPT;
	ns = now - (out_ns > begin_ns ? out_ns : begin_ns);
	if (t->out_ns & PA_OFF_KEPT)
		rec = bpf_map_lookup_elem(&waits, &key);
	if (rec)
		ns -= own_time(rec, c, cpu, ns);
	/* a long wait is remembered for a while: to be wrong that way does no harm */
	us = ns >> 10;
	guess = (__u64)t->guess_us * 3 / 4;
	if (guess < us)
		guess = us < ~0U ? us : ~0U;
	t->guess_us = guess;
	counts = begin_ns && ns >= min_ns;
	if (counts) {
		c->ended++;
		c->ended_ns += ns;
	}
	if (rec && counts)
		end_wait(rec, cpu, now, ns);
	if (rec)
		bpf_map_delete_elem(&waits, &key);
	t->out_ns = 0;
}

/* ---- switches as they come ------------------------------------------------------------------ */

/** The state as the tracepoint has it. */
static __always_inline __s64 traced_state(const struct task_struct *prev, bool preempt, __u64 state)
{
	__u64 bits = (state | prev->exit_state) & 0x7f;
	__s64 highest = 0;

	if (preempt)
		return 0x100;
	if ((state & (PA_TASK_UNINTERRUPTIBLE | PA_TASK_NOLOAD)) ==
	    (PA_TASK_UNINTERRUPTIBLE | PA_TASK_NOLOAD))
		return 0x80;
	for (__s64 bit = 1; bit < 0x80; bit <<= 1)
		if (bits & bit)
			highest = bit;
	return highest;
}

static __always_inline void fill_raw(struct pa_switch_raw *raw, const struct task_struct *prev,
				     const struct task_struct *next, bool preempt, __u64 state)
{
	raw->common_type = tracepoint_id;
	raw->common_pid = raw->prev_pid = prev->pid;
	raw->prev_prio = prev->prio;
	raw->prev_state = traced_state(prev, preempt, state);
	bpf_core_read(raw->prev_comm, sizeof(raw->prev_comm), &prev->comm);
	raw->next_pid = next->pid;
	raw->next_prio = next->prio;
	bpf_core_read(raw->next_comm, sizeof(raw->next_comm), &next->comm);
}

/** A thread of no interest that leaves is an idle CPU: when it comes back it may be unseen. */
static __always_inline void hide_prev(struct pa_switch_record *w)
{
	w->pid = w->tid = 0;
	w->raw.common_pid = w->raw.prev_pid = 0;
	w->raw.prev_prio = 120;
	w->raw.prev_state = 0;
	__builtin_memset(w->raw.prev_comm, 0, sizeof(w->raw.prev_comm));
	__builtin_memcpy(w->raw.prev_comm, "swapper", 8); /* all 16 would be a section */
}

/** @param tgid  0: it is in another pid namespace */
static __always_inline bool counts(const struct task_struct *task, __u32 tgid)
{
	if (!tgid || task->flags & PA_PF_KTHREAD)
		return false;
	return !filter_pids || bpf_map_lookup_elem(&pids, &tgid);
}

/** A thread leaves or comes: is it to be written? */
static __always_inline void see_switch(struct pa_switch_record *w, struct pa_off_cpu *c,
				       const struct task_struct *prev,
				       const struct task_struct *next, __u64 state)
{
	__u32 reason = off_reason(w->preempted, state);
	struct pa_off_thread *t;

	w->leaves = counts(prev, w->pid);
	w->comes = counts(next, w->next_pid);
	if (log_all)
		return;
	w->leaves &= !(state & PA_TASK_DEAD) && !(left_out >> reason & 1);
	t = w->leaves ? take_slot(prev->pid) : NULL;
	c->no_slot += w->leaves && !t;
	w->leaves = t != NULL;
	if (t)
		t->out_ns = w->time;
	t = w->comes ? find_slot(next->pid) : NULL;
	w->comes = t && t->out_ns;
	if (t)
		t->out_ns = 0;
}

static __always_inline void log_switch(__u64 *ctx, __u32 cpu, struct pa_off_cpu *c, __u64 now,
				       __u64 state)
{
	const struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	struct scratch *s = bpf_map_lookup_elem(&scratch, &cpu);
	struct pa_cpu_stats *st = bpf_map_lookup_elem(&stats, &cpu);
	struct pa_switch_record *w = bpf_map_lookup_elem(&switches, &cpu);

	if (!s || !st || !w)
		return;
	w->type = PA_RING_TYPE_SWITCH;
	w->size = sizeof(*w);
	w->pid = own_process_id(prev);
	w->tid = thread_id(prev);
	w->time = now;
	w->cpu = cpu;
	w->next_pid = own_process_id(next);
	w->next_tid = thread_id(next);
	w->preempted = ctx[0];
	see_switch(w, c, prev, next, state);
	if (!w->leaves && !w->comes && (filter_pids || !log_all))
		return;
	c->begun += w->leaves;
	s->rec.pid = w->pid;
	s->rec.tid = w->tid;
	s->rec.time = now;
	s->rec.cpu = cpu;
	if (w->leaves) {
		c->chosen++;
		make_sample((void *)ctx, c, s, st, reason_ids[0], 1);
		if (!(s->rec.res & PA_OFF_AWAITS))
			put_record(s, cpu, w->pid, &s->rec,
				   64 + 8 * (s->rec.nr & (PA_CHAIN_SLOTS - 1)));
	}
	fill_raw(&w->raw, prev, next, w->preempted, state);
	if (prev->pid && !w->leaves && (filter_pids || !w->pid))
		hide_prev(w);
	emit(s, st, cpu, w->leaves || !w->comes ? w->pid : w->next_pid, w, sizeof(*w));
}

SEC("tp_btf/sched_switch")
int off_switch(__u64 *ctx)
{
	const struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	__u32 cpu = bpf_get_smp_processor_id(), next_tid = next->pid;
	struct pa_off_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	__u64 now, state;

	if (!c || end_ns)
		return 0;
	now = bpf_ktime_get_ns();
	state = has_prev_state ? ctx[3] : state_of(prev);
	if (log_switches) {
		if (begin_ns)
			log_switch(ctx, cpu, c, now, state);
		return 0;
	}
	if (prev->pid)
		leave(ctx, prev, cpu, c, now, ctx[0], state);
	if (next_tid)
		come_back(next_tid, cpu, c, now);
	else
		c->idle_cnt++;
	return 0;
}

/* ---- threads that wait when the capture begins ---------------------------------------------- */

/** Copy a thread's stack from sp up, page by page, as far as it can be read. */
static __always_inline void copy_stack(struct task_struct *task, struct pa_miss_record *m, __u64 sp)
{
	__u64 left = BPF_CORE_READ(task, mm, start_stack) + 8 - sp;
	__u32 piece = PA_PAGE_BYTES - (sp & (PA_PAGE_BYTES - 1));

	if (left > PA_OFF_STACK_PAGES * PA_PAGE_BYTES) /* not the first thread's */
		left = PA_OFF_STACK_PAGES * PA_PAGE_BYTES;
	for (int i = 0; i < PA_OFF_STACK_PAGES; i++) {
		__u64 at = m->stack_bytes;

		asm volatile("" : "+r"(piece), "+r"(at));
		if (at >= left || piece > PA_PAGE_BYTES ||
		    at > (PA_OFF_STACK_PAGES - 1) * PA_PAGE_BYTES ||
		    bpf_copy_from_user_task(m->stack + at, piece, (void *)(sp + at), task, 0))
			break;
		m->stack_bytes += piece;
		piece = PA_PAGE_BYTES;
	}
	m->stack_bytes &= ~7;
}

static __always_inline void read_user(struct task_struct *task, struct pa_miss_record *m)
{
	const struct pt_regs___kernel *saved;
	struct pa_user_regs regs;

	if (!BPF_CORE_READ(task, mm) || BPF_CORE_READ(task, flags) & PA_PF_IO_WORKER)
		return;
	saved = (void *)bpf_task_pt_regs(task);
	if (pa_pt_regs(saved, &regs) || (__s64)regs.ip <= 0)
		return;
	pa_miss_regs_saved(saved, m->regs);
	m->reason = PA_MISS_PROCESS; /* there is something to walk */
	if (!m->nr)
		m->ip = regs.ip;
	if (!regs.is_compat)
		copy_stack(task, m, regs.sp);
}

static __always_inline void read_kernel(struct task_struct *task, struct pa_miss_record *m)
{
	long bytes;

	if (!want_kernel || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_task_stack))
		return;
	bytes = bpf_get_task_stack(task, &m->ips[1], (PA_MISS_KERNEL_SLOTS - 1) * sizeof(__u64), 0);
	if (bytes < (long)sizeof(__u64))
		return;
	m->ips[0] = PERF_CONTEXT_KERNEL;
	m->nr = 1 + ((__u32)bytes / sizeof(__u64) & (PA_MISS_KERNEL_SLOTS - 1));
	m->misc = PERF_RECORD_MISC_KERNEL;
	m->ip = m->ips[1];
}

/** @param with_user  its memory may be read: that sleeps */
static __always_inline int see_waiting(__u64 *ctx, bool with_user)
{
	const struct bpf_iter_meta *meta = (void *)ctx[0];
	struct task_struct *task = (void *)ctx[1];
	struct pa_miss_record *m;
	__u32 zero = 0, reason, tgid;
	__u64 state, bytes;

	if (!task || task->flags & PA_PF_KTHREAD)
		return 0;
	state = state_of(task);
	reason = off_reason(false, state);
	if ((left_out >> reason & 1) || state & (PA_TASK_DEAD | PA_TASK_NEW))
		return 0;
	if (reason == PA_OFF_PREEMPTED && (task->on_cpu || task->on_rq != 1)) /* queued */
		return 0;
	tgid = own_process_id(task);
	if (!tgid || (filter_pids && !bpf_map_lookup_elem(&pids, &tgid)))
		return 0;
	m = bpf_map_lookup_elem(&waiting, &zero);
	if (!m)
		return 0;
	m->type = PA_RING_TYPE_WAIT;
	m->misc = PERF_RECORD_MISC_USER;
	m->id = reason_ids[reason];
	m->ip = 0;
	m->pid = tgid;
	m->tid = thread_id(task);
	m->time = bpf_ktime_get_ns();
	m->cpu = 0;
	m->res = task->pid;
	m->period = PA_OFF_SURE;
	m->nr = m->reason = m->branch_slots = m->stack_bytes = 0;
	read_kernel(task, m);
	if (with_user && want_user)
		read_user(task, m);
	bytes = offsetof(struct pa_miss_record, stack) + m->stack_bytes;
	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(*m))
		return 0;
	m->size = bytes;
	bpf_seq_write(meta->seq, m, bytes);
	return 0;
}

/* Linux 5.18 */
SEC("iter.s/task")
int off_waiting(__u64 *ctx)
{
	return see_waiting(ctx, true);
}

SEC("iter/task")
int off_waiting_old(__u64 *ctx)
{
	return see_waiting(ctx, false);
}
