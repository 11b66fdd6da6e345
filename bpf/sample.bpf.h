/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sample.bpf.h - what samplers have in common: settings, rings, counters, and the user part of a
 * call chain. Each sampler has its own, since one may interrupt another. Who includes it defines
 * PA_SAMPLE_MISS_TYPE, the type of the records of walks that user space is to finish (those of
 * PA_RING_TYPE_MISS are samples), pa_sample_regs and pa_sample_branches.
 */
#ifndef PA_SAMPLE_BPF_H
#define PA_SAMPLE_BPF_H

#include "kernel.h"
#include "cpu.h"
#include "ids.bpf.h"
#include "miss.bpf.h"
#include "unwind.bpf.h"

/* Settings, fixed at load */
const volatile bool filter_pids;	 /* only processes in pids */
const volatile bool want_kernel = true;	 /* kernel part of call chains */
const volatile bool want_user = true;	 /* user part */
const volatile __u32 wake_bytes = 65536; /* wake the reader when so much is unread */
const volatile __u32 unwind_mode;	 /* enum pa_unwind_mode */
const volatile bool want_branches;	 /* the branch stack of each sample */
const volatile bool log_walks;		 /* records of PA_RING_TYPE_WALK instead of samples */

/* Processes that have woken the reader at their first sample. User space clears the bit of a
 * process that ends. */
__u64 seen[PA_SEEN_BITS / 64];

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_cpu_stats);
} stats SEC(".maps");

/** First sample of a process since its bit was cleared? */
static __always_inline bool first_of_process(__u32 tgid)
{
	__u64 *word = &seen[(tgid / 64) & (PA_SEEN_BITS / 64 - 1)];
	__u64 bit = 1ULL << (tgid & 63);

	if (*word & bit)
		return false;
	*word |= bit; /* a race costs an early wake-up, or a late one */
	return true;
}

/** Registers of user mode of who is sampled, in the order of struct pa_miss_record: the sampler
 *  knows where they are. @return 0, -1 there are none */
static __always_inline int pa_sample_regs(void *ctx, const struct scratch *s, __u64 *regs);

/** Put a branch stack of up to PA_BRANCH_SLOTS to where it should be. @return slots, 0 none */
static __always_inline __u32 pa_sample_branches(void *ctx, __u64 *to);

/** Is it time to wake the reader? It comes by its timer, too: bytes that were written since it was
 *  woken may be read already, which the ring is asked for before it is woken for them. */
static __always_inline bool is_reader_due(struct scratch *s, void *ring, __u32 tgid, __u64 bytes)
{
	bool is_new = first_of_process(tgid);

	s->unread_bytes += bytes;
	if (s->unread_bytes >= wake_bytes)
		s->unread_bytes = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + bytes;
	if (s->unread_bytes < wake_bytes && !s->has_news && !is_new)
		return false;
	s->unread_bytes = 0;
	s->has_news = false;
	return true;
}

/** Put a record of a process into this CPU's ring. @return 0: it has no room */
static __always_inline int put_record(struct scratch *s, __u32 cpu, __u32 tgid, void *rec,
				      __u64 bytes)
{
	void *ring = bpf_map_lookup_elem(&rings, &cpu);
	__u64 flags;

	if (!ring)
		return 0;
	flags = is_reader_due(s, ring, tgid, bytes) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (!bpf_ringbuf_output(ring, rec, bytes, flags))
		return 1;
	s->has_news |= flags == BPF_RB_FORCE_WAKEUP; /* nobody was woken */
	return 0;
}

/** The same, counted as a sample. */
static __always_inline void emit(struct scratch *s, struct pa_cpu_stats *st, __u32 cpu, __u32 tgid,
				 void *rec, __u64 bytes)
{
	st->fired++;
	if (put_record(s, cpu, tgid, rec, bytes))
		st->written++;
	else
		st->lost++;
}

static __always_inline void emit_sample(struct scratch *s, struct pa_cpu_stats *st, __u32 cpu,
					void *ctx, __u32 n)
{
	__u32 more = 0;

	n &= PA_CHAIN_SLOTS - 1;
	s->rec.type = PERF_RECORD_SAMPLE;
	s->rec.nr = n;
	if (want_branches)
		more = pa_sample_branches(ctx, &s->rec.ips[n]) & (PA_CHAIN_SLOTS - 1);
	s->rec.size = 64 + 8 * (n + more);
	emit(s, st, cpu, s->rec.pid, &s->rec, 64 + 8 * ((__u64)n + more));
}

/* ---- user stacks ---------------------------------------------------------------------------- */

/** May another walk be left to user space in this tenth of a second? */
static __always_inline bool may_miss(struct scratch *s)
{
	__u64 period = s->rec.time / PA_MISS_PERIOD_NS;

	if (log_walks)
		return true;
	if (s->miss_period != period) {
		s->miss_period = period;
		s->miss_cnt = 0;
	}
	return s->miss_cnt++ < misses_max;
}

/** Put the user's registers and stack into the ring: for user space to walk, or to check a walk
 *  with.
 *  @param slots  of the chain that go with them: the first << 16 | their number
 *  @param end    enum pa_walk_end
 *  @return 0: can't be done */
static __noinline int ship(void *ctx, struct scratch *s, struct pa_cpu_stats *st, __u32 slots,
			   __u32 end)
{
	__u32 cpu = s->rec.cpu;
	struct pa_miss_record *m = bpf_map_lookup_elem(&misses, &cpu);
	void *ring = bpf_map_lookup_elem(&rings, &cpu);
	__u32 branch_bytes = want_branches ? 8 * PA_BRANCH_SLOTS : 0;
	__u64 bytes;

	/* half of the ring is for samples: none is lost for the sake of a walk */
	if (!m || !ring ||
	    (!log_walks && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > 2 * (__u64)wake_bytes))
		return 0;
	if (pa_sample_regs(ctx, s, m->regs))
		return 0;
	m->branch_slots = branch_bytes / 8;
	if (want_branches)
		pa_sample_branches(ctx, (__u64 *)m->stack);
	pa_miss_stack(m, m->stack + branch_bytes, s->unwind.first_sp);
	pa_miss_take(m, &s->rec, slots >> 16, slots & 0xffff);
	m->type = log_walks ? PA_RING_TYPE_WALK : PA_SAMPLE_MISS_TYPE;
	m->reason = log_walks ? end : end - PA_WALK_MISS;
	if (m->reason != PA_MISS_COMPLEX) /* user space can do better for the next sample */
		s->has_news = true;
	bytes = offsetof(struct pa_miss_record, stack) + branch_bytes + m->stack_bytes;
	asm volatile("" : "+r"(bytes)); /* whole, as it is compared */
	if (bytes > sizeof(*m))
		return 0;
	m->size = bytes;
	/* The reader is woken when the sample comes: now it would prolong what is measured. */
	if (PA_SAMPLE_MISS_TYPE != PA_RING_TYPE_MISS) {
		s->unread_bytes += bytes;
		return !bpf_ringbuf_output(ring, m, bytes, BPF_RB_NO_WAKEUP);
	}
	emit(s, st, cpu, s->rec.pid, m, bytes);
	return 1;
}

static __always_inline void count_walk(struct pa_cpu_stats *st, int end, bool used_rows)
{
	if (end == PA_WALK_COMPLETE && used_rows)
		st->complete_tables++;
	else if (end == PA_WALK_COMPLETE)
		st->complete_fp++;
	else if (end == PA_WALK_FAULTED)
		st->faulted++;
	else if (end == PA_WALK_DEEP)
		st->deep++;
	else
		st->truncated++;
}

static __always_inline void count_reason(struct pa_cpu_stats *st, int reason)
{
	if (reason == PA_MISS_PROCESS)
		st->no_process++;
	else if (reason == PA_MISS_MAPPING)
		st->no_table++;
	else
		st->complex++;
}

/** User part of the chain, from slot n on. @return the new n; 0: user space makes the sample */
static __always_inline __u32 user_chain(void *ctx, struct scratch *s, struct pa_cpu_stats *st,
					struct pa_user_regs *regs, __u32 n)
{
	__u32 kernel_n = n, cpu = s->rec.cpu;
	int end;

	s->rec.ips[n++ & (PA_CHAIN_SLOTS - 1)] = PERF_CONTEXT_USER;
	s->rec.ips[n++ & (PA_CHAIN_SLOTS - 1)] = regs->ip;
	if (regs->is_compat)
		return n;
	pa_unwind_start(s, regs, n);
	if (unwind_mode == PA_UNWIND_FP) {
		end = pa_fp_walk(cpu);
		n = s->walk.n;
		st->no_user_stack += end == PA_WALK_FAULTED && n == kernel_n + 2;
		count_walk(st, end, false);
		return n;
	}
	end = pa_unwind_user(s, cpu, s->rec.pid);
	n = s->walk.n;
	if (log_walks && ship(ctx, s, st, kernel_n << 16 | (n - kernel_n), end))
		return 0;
	if (end >= PA_WALK_MISS) {
		count_reason(st, end - PA_WALK_MISS);
		if (may_miss(s) && ship(ctx, s, st, kernel_n, end)) {
			st->missed++;
			return 0;
		}
		st->capped++;
		end = s->unwind.fp_ok ? pa_fp_walk(cpu) : PA_WALK_TRUNCATED;
		n = s->walk.n;
	}
	st->no_user_stack += end == PA_WALK_FAULTED && n == kernel_n + 2;
	count_walk(st, end, s->unwind.used_rows);
	return n;
}

#endif
