// SPDX-License-Identifier: GPL-2.0-only
/*
 * sched.bpf.c - scheduler metrics: how long threads run and how long they wait for a CPU, as
 * histograms that stay in the kernel, with what the hardware counted meanwhile.
 *
 * All is accounted when a thread leaves its CPU: it is the current one then, whose ids are cheap
 * to ask for, in a pid namespace until it has exited. What is known before, its wait and the
 * counters at its start, is kept with the CPU. When a thread became runnable is kept in a table
 * with a slot for each thread id (modulo its size), which costs less than a map that allocates.
 */
#include "kernel.h"
#include "sched.h"
#include "follow.bpf.h"
#include "stack.bpf.h"
#include "switch.bpf.h"
#include "twice.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Settings, fixed at load */
const volatile bool filter_pids;     /* only processes in pids */
const volatile bool per_process;     /* count in processes, not in totals */
const volatile __u32 has_prev_state; /* sched_switch has a fourth argument (Linux 5.18) */
const volatile __u32 wake_mask;	     /* slots of wakes - 1 */
const volatile __u32 zero_totals;    /* index of the one in totals that stays zero */

__u32 counters;	 /* bits of enum pa_counter: those that some CPU has */
bool counting;	 /* set by user space when all is attached */
__u64 ending_ns; /* set by user space: nothing is accounted after a CPU's last cut */

/* With use_pidns: thread id << 32 | process id there, 0 of who is elsewhere, of threads that exit
 */
__u64 exits[PA_SCHED_EXITS];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_sched_cpu);
} cpus SEC(".maps");

/* thread id << PA_WAKE_TIME_BITS | time since when it waits */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} wakes SEC(".maps");

/* By CPU: everything, or with per_process what found no room there; the last one stays zero. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_sched_totals);
} totals SEC(".maps");

/* A byte by process id, 1: it was counted. For their number alone. Bytes, as storing one takes no
 * other CPU's back; bits need an atomic or, which BPF has since Linux 5.12. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PA_SCHED_PIDS_MAX / 8);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pa_sched_totals);
} processes SEC(".maps");

/* Those of processes whose last thread has exited: user space takes them soon */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} ended SEC(".maps");

/* By CPU and enum pa_counter */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

/* Those of a process are added to by several CPUs at once. */
#define ADD(field, by)                                                                             \
	do {                                                                                       \
		if (per_process)                                                                   \
			__sync_fetch_and_add(&(field), by);                                        \
		else                                                                               \
			(field) += (by);                                                           \
	} while (0)

static __always_inline struct pa_sched_totals *totals_of(__u32 tgid, __u32 cpu)
{
	struct pa_sched_totals *t, *zero;
	__u32 zero_at = zero_totals;

	if (per_process) {
		t = bpf_map_lookup_elem(&processes, &tgid);
		if (t)
			return t;
		zero = bpf_map_lookup_elem(&totals, &zero_at);
		if (zero) {
			bpf_map_update_elem(&processes, &tgid, zero, BPF_NOEXIST);
			t = bpf_map_lookup_elem(&processes, &tgid);
			if (t) {
				bpf_get_current_comm(t->comm, sizeof(t->comm));
				return t;
			}
		}
	}
	return bpf_map_lookup_elem(&totals, &cpu);
}

static __always_inline void add_value(struct pa_dist_sums *sums, __u32 *buckets, __u64 ns)
{
	__u32 bucket = pa_hist_bucket(ns);

	ADD(sums->sum_ns, ns);
	if (ns > sums->max_ns)
		sums->max_ns = ns;
	if (ns < sums->min1_ns - 1)
		sums->min1_ns = ns + 1;
	if (bucket < PA_HIST_BUCKETS)
		ADD(buckets[bucket], 1);
}

/** What this CPU's counters counted since last time. */
static __always_inline void read_hardware(struct pa_sched_cpu *c, __u32 cpu,
					  struct pa_counter_sum *since)
{
	struct bpf_perf_event_value v;

	for (__u32 i = 0; i < PA_COUNTER_CNT; i++) {
		struct pa_counter_sum *last = &c->last[i];

		if (!(counters & 1U << i))
			continue;
		if (bpf_perf_event_read_value(&events, cpu * PA_COUNTER_CNT + i, &v, sizeof(v))) {
			last->enabled_ns = 0;
			continue;
		}
		/* an event that was opened anew begins at 0 */
		if (last->enabled_ns && v.enabled > last->enabled_ns && v.counter >= last->value) {
			since[i].value = v.counter - last->value;
			since[i].enabled_ns = v.enabled - last->enabled_ns;
			since[i].running_ns = v.running - last->running_ns;
		}
		last->value = v.counter;
		last->enabled_ns = v.enabled;
		last->running_ns = v.running;
	}
}

static __always_inline void add_hardware(struct pa_sched_totals *t,
					 const struct pa_counter_sum *since)
{
	for (__u32 i = 0; i < PA_COUNTER_CNT; i++) {
		if (!since[i].enabled_ns)
			continue;
		ADD(t->counters[i].value, since[i].value);
		ADD(t->counters[i].enabled_ns, since[i].enabled_ns);
		ADD(t->counters[i].running_ns, since[i].running_ns);
	}
}

/* A thread that nobody waits for has no number in a pid namespace any more when it leaves its CPU
 * for the last time. Here it still has. */
PA_TWICE("tp_btf/sched_process_exit", sched_exits)
{
	__u32 own = bpf_get_current_pid_tgid(), tgid, tid;

	if (!current_ids(&tgid, &tid))
		tgid = 0;
	exits[own & (PA_SCHED_EXITS - 1)] = (__u64)own << 32 | tgid;
	return 0;
}

/** Process id of the current thread. @return 0: it is not counted */
static __always_inline __u32 current_process(void)
{
	const struct task_struct *task;
	__u32 tgid, tid;
	__u64 noted;

	if (current_ids(&tgid, &tid))
		return tgid;
	task = use_pidns ? (void *)bpf_get_current_task() : NULL;
	if (!task || !(BPF_CORE_READ(task, flags) & PA_PF_EXITING))
		return 0;
	tid = bpf_get_current_pid_tgid();
	noted = exits[tid & (PA_SCHED_EXITS - 1)];
	return noted >> 32 == tid ? (__u32)noted : 0;
}

static __always_inline bool passes(struct pa_sched_cpu *c, __u32 tgid)
{
	__u32 generation = pids_generation;

	if (!filter_pids || (c->last_tgid == tgid && c->generation == generation))
		return true;
	if (!bpf_map_lookup_elem(&pids, &tgid))
		return false;
	c->last_tgid = tgid;
	c->generation = generation;
	return true;
}

/** The current thread's totals. @return NULL: it is not counted */
static __always_inline struct pa_sched_totals *current_totals(struct pa_sched_cpu *c, __u32 cpu)
{
	__u32 tgid = current_process(), slot;
	__u8 *was;

	if (!tgid)
		return NULL;
	if (!passes(c, tgid))
		return NULL;
	slot = tgid / 8;
	was = bpf_map_lookup_elem(&seen, &slot);
	if (was && !was[tgid & 7])
		was[tgid & 7] = 1;
	return totals_of(tgid, cpu);
}

/** Account the current thread's time until now. @return its totals */
static __always_inline struct pa_sched_totals *account(struct pa_sched_cpu *c, __u32 cpu, __u64 now,
						       bool ended)
{
	struct pa_counter_sum since[PA_COUNTER_CNT] = {};
	struct pa_sched_totals *t;

	if (counters)
		read_hardware(c, cpu, since);
	t = c->start_ns ? current_totals(c, cpu) : NULL;
	if (!t)
		return NULL;
	if (counters)
		add_hardware(t, since);
	if (c->has_wait)
		add_value(&t->wait, t->waits, c->wait_ns);
	if (ended && !c->cut) {
		add_value(&t->slice, t->slices, now - c->start_ns);
	} else {
		ADD(t->cut_cnt, 1);
		ADD(t->cut_ns, now - c->start_ns);
	}
	return t;
}

/* TASK_* of include/linux/sched.h */
static __always_inline __u32 reason_of(bool preempt, __u64 state)
{
	if (preempt)
		return PA_SWITCH_PREEMPTED;
	if (!(state & 0xffff))
		/* else preempted on the way back to user mode: sched_switch does not tell */
		return pa_syscall_nr() == PA_NR_SCHED_YIELD ? PA_SWITCH_YIELDED
							    : PA_SWITCH_PREEMPTED;
	if (state & 0x80)
		return PA_SWITCH_EXITED;
	if (state & (0x4 | 0x8 | 0x8000)) /* __TASK_STOPPED, __TASK_TRACED, TASK_FROZEN */
		return PA_SWITCH_STOPPED;
	if (is_uninterruptible(state))
		return PA_SWITCH_IO;
	return PA_SWITCH_VOLUNTARY;
}

/* Two threads that wait had one slot. */
static __noinline int count_lost_wait(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct pa_sched_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);

	if (c)
		c->lost_waits++;
	return 0;
}

static __always_inline __u64 *wake_of(__u32 tid)
{
	__u32 slot = tid & wake_mask;

	return bpf_map_lookup_elem(&wakes, &slot);
}

static __always_inline void wait_from(__u64 *wake, __u32 tid, __u64 now)
{
	if (*wake && *wake >> PA_WAKE_TIME_BITS != tid)
		count_lost_wait();
	*wake = (__u64)tid << PA_WAKE_TIME_BITS | (now & PA_WAKE_TIME_MASK);
}

/** Take since when a thread waits. @return ns waited; -1: not known */
static __always_inline __s64 waited(__u32 tid, __u64 now)
{
	__u64 *wake = wake_of(tid), since, ns;

	if (!wake)
		return -1;
	since = *wake;
	if (!since || since >> PA_WAKE_TIME_BITS != tid)
		return -1;
	*wake = 0;
	ns = (now - since) & PA_WAKE_TIME_MASK;
	return ns > PA_WAKE_WAIT_MAX ? 0 : ns;
}

/** The current thread exits, of a process with a place of its own. */
static __always_inline void note_exit(const struct task_struct *task, struct pa_sched_totals *t)
{
	__u32 tgid = current_process();
	__u8 one = 1;

	/* the name that it had last, when its /proc is gone */
	if (task->pid == task->tgid)
		bpf_get_current_comm(t->comm, sizeof(t->comm));
	if (!BPF_CORE_READ(task, signal, live.counter))
		bpf_map_update_elem(&ended, &tgid, &one, BPF_ANY);
}

SEC("tp_btf/sched_switch")
int sched_leave(__u64 *ctx)
{
	const struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	__u32 cpu = bpf_get_smp_processor_id(), prev_tid = prev->pid, next_tid = next->pid;
	struct pa_sched_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	__u64 now = bpf_ktime_get_ns(), state = state_of(prev);
	struct pa_sched_totals *t;
	bool preempt = ctx[0];
	__u64 *wake;
	__s64 wait = -1;
	__u32 reason;

	if (!c)
		return 0;
	if (!c->off) {
		t = account(c, cpu, now, true);
		if (t) {
			reason = reason_of(preempt, has_prev_state ? ctx[3] : state);
			if (reason < PA_SWITCH_CNT)
				ADD(t->reasons[reason], 1);
			if (per_process && reason == PA_SWITCH_EXITED)
				note_exit(prev, t);
		}
	}
	/* A signal that came makes it runnable again, which the argument does not show. */
	wake = prev_tid ? wake_of(prev_tid) : NULL;
	if (wake && (preempt || !state))
		wait_from(wake, prev_tid, now);
	else if (wake && *wake >> PA_WAKE_TIME_BITS == prev_tid)
		*wake = 0; /* it was woken before it slept */
	if (next_tid)
		wait = waited(next_tid, now);
	c->start_ns = counting ? now : 0;
	c->cut = false;
	c->has_wait = wait >= 0;
	c->wait_ns = wait;
	return 0;
}

static __always_inline int woken(const struct task_struct *task)
{
	__u32 tid = task->pid;
	__u64 *wake = wake_of(tid);

	/* one that waits already, having been preempted on its way to sleep, waits on */
	if (wake && !(*wake && *wake >> PA_WAKE_TIME_BITS == tid))
		wait_from(wake, tid, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_wakeup")
int sched_woken(__u64 *ctx)
{
	return woken((void *)ctx[0]);
}

SEC("tp_btf/sched_wakeup_new")
int sched_new(__u64 *ctx)
{
	return woken((void *)ctx[0]);
}

/* Run by user space on each CPU, when the capture begins and when it ends: the slices in between
 * are cut there, and what was counted of them is not lost. */
SEC("raw_tp/sched_switch")
int sched_cut(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id(), tid = bpf_get_current_pid_tgid();
	struct pa_sched_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	__u64 now = bpf_ktime_get_ns();

	if (!c)
		return 0;
	if (ending_ns)
		waited(tid, now); /* who runs does not wait, whatever its slot says */
	if (c->off)
		return 0;
	account(c, cpu, now, false);
	c->start_ns = now; /* slices of who runs when the capture begins, too */
	c->cut = true;
	c->has_wait = false;
	if (ending_ns)
		c->off = PA_SCHED_ENDED;
	return 0;
}

/** A thread that waits for a CPU since before the capture began. It may get one just now: then
 *  its slot is wrong until it leaves that CPU, or until the last cut. */
static __always_inline void note_waiting(const struct task_struct *task, __u32 tid, __u64 *wake)
{
	if (state_of(task) || task->on_rq != 1 || task->on_cpu) /* TASK_ON_RQ_QUEUED */
		return;
	if (*wake && *wake >> PA_WAKE_TIME_BITS == tid)
		return;
	wait_from(wake, tid, bpf_ktime_get_ns());
	asm volatile("" ::: "memory"); /* read again */
	if (task->on_cpu)
		*wake = 0;
}

/** Is it on a CPU that is not asked for? */
static __always_inline bool waits_elsewhere(const struct task_struct *task)
{
	__u32 cpu = task->wake_cpu;
	struct pa_sched_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);

	return c && c->off == PA_SCHED_OFF;
}

/* Run by user space when the capture has begun, for threads that wait already; and when it ends,
 * for those that wait on. */
SEC("iter/task")
int sched_waiting(__u64 *ctx)
{
	const struct bpf_iter_meta *meta = (void *)ctx[0];
	const struct task_struct *task = (void *)ctx[1];
	struct pa_sched_waiting out = {};
	__u64 *wake;

	if (!task)
		return 0;
	out.tid = task->pid;
	wake = wake_of(out.tid);
	if (!wake)
		return 0;
	if (!ending_ns) {
		note_waiting(task, out.tid, wake);
		return 0;
	}
	if (!*wake || *wake >> PA_WAKE_TIME_BITS != out.tid || waits_elsewhere(task))
		return 0;
	out.wait_ns = (ending_ns - *wake) & PA_WAKE_TIME_MASK;
	out.tgid = own_process_id(task);
	if (!out.tgid || out.wait_ns > PA_WAKE_WAIT_MAX ||
	    (filter_pids && !bpf_map_lookup_elem(&pids, &out.tgid)))
		return 0;
	bpf_seq_write(meta->seq, &out, sizeof(out));
	return 0;
}
