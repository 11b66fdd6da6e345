/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind.bpf.h - the walk by unwind tables: the maps of unwind.h, the search for the rule that
 * holds at a pc, and the step to the caller.
 *
 * The loop over frames calls a global function, which the verifier looks at once; it takes a
 * CPU's number, since kernels before 5.12 allow no pointers. All state is in this CPU's scratch,
 * whose frames of the stack are read in windows (stack.bpf.h). Searches are free of branches,
 * which would double the verifier's states at every step: the sign of a difference is the mask.
 * What they find is kept by pc, so that stacks which are seen again cost no search.
 */
#ifndef PA_UNWIND_BPF_H
#define PA_UNWIND_BPF_H

#include "kernel.h"
#include "cpu.h"
#include "stack.bpf.h"
#include "unwind.h"

/* ---- tables --------------------------------------------------------------------------------- */

struct pa_segment {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PA_SEGMENT_BLOCKS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, 4);
	__uint(value_size, PA_BLOCK_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PA_SEGMENTS_MAX);
	__type(key, __u32);
	__array(values, struct pa_segment);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct pa_unwind_proc);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PA_RULES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_unwind_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PA_SEQ_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pa_unwind_seq);
} unwind_seq SEC(".maps");

/* ---- scratch -------------------------------------------------------------------------------- */

#define PA_CACHE_SLOTS 1024

/** What was found for a pc of a process as it was then. */
struct pa_cached {
	__u64 tag; /* pc, process, its seq and block, and whether pc is exact, in one number */
	struct pa_unwind_rule rule;
	__u64 keeps_start; /* with PA_CFA_KEEPS_FP: rule.cfa_off pages from here on keep it */
};
_Static_assert(sizeof(struct pa_cached) == 32, "cache slot layout");
#define PA_CFA_KEEPS_FP 255 /* beside enum pa_cfa_kind */

/** A frame, and what the last lookup found. */
struct pa_unwind {
	__u64 pc, sp, fp, lr;
	__u64 back; /* 1: pc is a return address, and its call is looked up; 0: it is exact */
	/* return addresses in here have a frame pointer's frame */
	__u64 keeps_start, keeps_bytes;
	/* the last pc's mapping */
	__u64 map_start, map_bytes, map_base;
	__u32 index_block, map_kind, map_keeps_fp;
	__u32 proc_block, is_directory;
	__u64 salt; /* of the cache: process, seq, block and turn */
	__u32 fp_ok, lr_ok;
	__u32 is_guess; /* the pc was found where nothing says that frame pointers are kept */
	__u32 used_rows;
	__u64 first_sp;	  /* of the first frame */
	__u64 window_for; /* address that the stack's window is to hold */
};

struct scratch {
	struct pa_sample_record rec;
	__u64 rec_rest[PA_CHAIN_SLOTS]; /* of one with branches */
	struct pa_walk walk;
	struct pa_unwind unwind;
	__u64 unread_bytes; /* of records since the reader was woken, or the ring asked */
	bool has_news;	    /* wake it at the next record */
	__u64 miss_period;  /* in which misses were left to user space: */
	__u32 miss_cnt;
	__u32 in_user; /* the event hit user mode */
	struct pa_cached cache[PA_CACHE_SLOTS];
};

/* By CPU number, as plain arrays: the lookup is inlined on every kernel. A CPU has one sampling
 * event, and the kernel does not nest BPF programs of perf events. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* ---- search --------------------------------------------------------------------------------- */

static __always_inline void *pa_block(__u32 number)
{
	__u32 segment = number / PA_SEGMENT_BLOCKS, slot = number % PA_SEGMENT_BLOCKS;
	void *map = bpf_map_lookup_elem(&blocks, &segment);

	return map ? bpf_map_lookup_elem(map, &slot) : NULL;
}

/** step where value is at most limit, else 0, by the sign of the difference of two numbers below
 *  2^63. Clang must not see that it is a comparison. */
static __always_inline __u64 pa_if_le(__u64 value, __u64 limit, __u64 step)
{
	__s64 over = (__s64)(limit - value) >> 63;

	asm volatile("" : "+r"(over));
	return step & ~over;
}

/** An index that the verifier, too, sees to be bounded: that of old kernels loses count in what
 *  clang makes of the above, and clang leaves out a mask that it can prove is not needed. */
static __always_inline __u64 pa_bound(__u64 index, __u64 mask)
{
	asm volatile("" : "+r"(index));
	return index & mask;
}

/** The last start that is not above pc, or 0. */
static __always_inline __u32 pa_search_starts(const struct pa_mapping_block *b, __u64 pc)
{
	__u64 at = 0;

#pragma unroll
	for (__u64 step = PA_BLOCK_MAPPINGS / 2; step; step /= 2) {
		__u64 start = b->start[pa_bound(at + step, PA_BLOCK_MAPPINGS - 1)];

		/* unused ones are ~0 */
		at += pa_if_le(start & (~0ULL >> 1), pc, step);
	}
	return pa_bound(at, PA_BLOCK_MAPPINGS - 1);
}

/** Is a row in the upper part? @return step, or 0 */
static __always_inline __u64 pa_row_step(const __u32 *rows, __u64 at, __u64 key, __u64 step)
{
	return pa_if_le(rows[pa_bound(at, PA_BLOCK_ROWS - 1)], key, step);
}

/** One round of four-way search in n rows from first on: three independent loads take no longer
 *  than one. What is left: 1024 rows, 256, 64, 18 at most, 6, 3. */
#define PA_ROW_ROUND(rows, key, first, n)                                                          \
	do {                                                                                       \
		__u64 quarter_ = (n) / 4;                                                          \
		(first) += pa_row_step(rows, (first) + quarter_, key, quarter_) +                  \
			   pa_row_step(rows, (first) + 2 * quarter_, key, quarter_) +              \
			   pa_row_step(rows, (first) + 3 * quarter_, key, quarter_);               \
		(n) -= 3 * quarter_;                                                               \
	} while (0)

/** The last row of first ... first + n - 1 that is not beyond an offset in its page. */
static __always_inline __u32 pa_search_rows(const __u32 *rows, __u64 first, __u64 n, __u64 offset)
{
	__u64 key = PA_ROW(offset, 0xffff), half;

	if (n > 64) {
		PA_ROW_ROUND(rows, key, first, n);
		PA_ROW_ROUND(rows, key, first, n);
	}
	if (n > 6) {
		PA_ROW_ROUND(rows, key, first, n);
		PA_ROW_ROUND(rows, key, first, n);
	}
	PA_ROW_ROUND(rows, key, first, n);
	half = n / 2; /* of at most 3 */
	first += pa_row_step(rows, first + half, key, half) +
		 pa_row_step(rows, first + half + (n + 1) / 4, key, (n + 1) / 4);
	return rows[pa_bound(first, PA_BLOCK_ROWS - 1)];
}

static __always_inline struct scratch *pa_scratch(__u32 cpu)
{
	return bpf_map_lookup_elem(&scratch, &cpu);
}

/** Find the mapping of unwind.pc - unwind.back. What no code lies at is no return address, if
 *  frame pointers were a guess: it is taken back.
 *  @return 0, or how the walk ends */
__noinline int pa_unwind_mapping(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	const struct pa_mapping_block *b;
	const struct pa_mapping *m;
	struct pa_unwind *u;
	__u64 pc, start;
	__u32 at;

	if (!s)
		return PA_WALK_TRUNCATED;
	u = &s->unwind;
	pc = u->pc - u->back;
	u->map_bytes = 0;
	b = pa_block(u->proc_block);
	if (b && u->is_directory) {
		at = pa_search_starts(b, pc);
		b = pa_block(b->map[at].index_block);
	}
	if (!b)
		return PA_WALK_MISS + PA_MISS_PROCESS;
	at = pa_search_starts(b, pc);
	m = &b->map[at];
	start = b->start[at];
	if ((pc < start || pc >= m->end) && u->is_guess) {
		s->walk.n--;
		return PA_WALK_TRUNCATED;
	}
	if (pc < start || pc >= m->end || m->kind == PA_MAPPING_ABSENT)
		return PA_WALK_MISS + PA_MISS_MAPPING;
	u->map_start = start;
	u->map_bytes = m->end - start;
	u->map_base = m->base;
	u->index_block = m->index_block;
	u->map_kind = m->kind;
	u->map_keeps_fp = m->keeps_fp;
	return 0;
}

static __always_inline void pa_found_fp(struct pa_cached *to, __u64 start, __u64 bytes)
{
	to->rule.cfa = PA_CFA_KEEPS_FP;
	to->rule.cfa_off = bytes >> PA_TEXT_PAGE_SHIFT;
	to->keeps_start = start;
}

/** Number of the rule at pc, which lies in the last mapping; or that frame pointers are kept. */
static __always_inline __u32 pa_unwind_rule_at(struct pa_unwind *u, __u64 pc, struct pa_cached *to)
{
	const struct pa_text_page *pages;
	struct pa_text_page page;
	const __u32 *rows;

	if (u->map_kind != PA_MAPPING_TABLE)
		return PA_RULE_ID_NONE;
	if (u->back && u->map_keeps_fp) {
		pa_found_fp(to, u->map_start, u->map_bytes);
		return PA_RULES_MAX;
	}
	pages = pa_block(u->index_block);
	if (!pages)
		return PA_RULE_ID_NONE;
	page = pages[((pc - u->map_base) >> PA_TEXT_PAGE_SHIFT) & (PA_BLOCK_PAGES - 1)];
	if (u->back && page.cnt & PA_PAGE_KEEPS_FP) {
		pa_found_fp(to, pc & ~((1ULL << PA_TEXT_PAGE_SHIFT) - 1), 1 << PA_TEXT_PAGE_SHIFT);
		return PA_RULES_MAX;
	}
	page.cnt &= ~PA_PAGE_KEEPS_FP;
	rows = pa_block(page.block);
	if (!page.cnt || !rows)
		return PA_RULE_ID_NONE;
	return PA_ROW_RULE(
		pa_search_rows(rows, page.first, page.cnt, pc & ((1 << PA_TEXT_PAGE_SHIFT) - 1)));
}

static __always_inline __u64 pa_cache_tag(const struct pa_unwind *u)
{
	return u->pc ^ u->salt ^ u->back << 63;
}

static __always_inline struct pa_cached *pa_cached_at(struct scratch *s, __u64 tag)
{
	return &s->cache[pa_bound(tag ^ tag >> 10, PA_CACHE_SLOTS - 1)];
}

/** Put what holds at unwind.pc into its slot of the cache. @return 0, or how the walk ends */
__noinline int pa_unwind_find(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	const struct pa_unwind_rule *rule;
	struct pa_cached *to;
	struct pa_unwind *u;
	__u32 id;
	__u64 pc;

	if (!s)
		return PA_WALK_TRUNCATED;
	u = &s->unwind;
	pc = u->pc - u->back;
	to = pa_cached_at(s, pa_cache_tag(u));
	if (pc - u->map_start >= u->map_bytes) {
		int end = pa_unwind_mapping(cpu);

		if (end)
			return end;
	}
	to->tag = pa_cache_tag(u);
	id = pa_unwind_rule_at(u, pc, to);
	if (id == PA_RULES_MAX)
		return 0;
	rule = bpf_map_lookup_elem(&rules, &id);
	if (!rule)
		return PA_WALK_TRUNCATED;
	to->rule = *rule;
	if (id || !u->back || u->pc - u->map_start >= u->map_bytes)
		return 0;
	/* Returns to the first byte of a function: no call, but what a coroutine was begun with */
	if (pa_unwind_rule_at(u, u->pc, to) != PA_RULE_ID_NONE)
		to->rule.cfa = PA_CFA_STOP;
	return 0;
}

/* ---- the stack ------------------------------------------------------------------------------ */

/* What the registers saved below a return address take, more often than not. */
#define PA_BELOW_RETURN 128

/** Load a window that holds the 8 bytes at unwind.window_for. It begins at the stack pointer if
 *  that is near: the rest of the frame will be wanted too. @return 0, PA_WALK_FAULTED */
__noinline int pa_unwind_window(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	__u64 addr, base;

	if (!s)
		return PA_WALK_FAULTED;
	addr = s->unwind.window_for;
	base = addr - PA_BELOW_RETURN;
	if (addr - s->unwind.sp < PA_WINDOW - PA_BELOW_RETURN)
		base = s->unwind.sp;
	if (!pa_window_load(&s->walk, base) && addr - base <= s->walk.last + 8)
		return 0;
	return pa_window_load(&s->walk, addr) ? PA_WALK_FAULTED : 0;
}

/** Read 8 bytes of the stack. @return 0, PA_WALK_FAULTED */
static __always_inline int pa_unwind_read(struct scratch *s, __u32 cpu, __u64 addr, __u64 *out)
{
	__u64 off = addr - s->walk.base;

	if (off > s->walk.last + 8) {
		s->unwind.window_for = addr;
		if (pa_unwind_window(cpu))
			return PA_WALK_FAULTED;
		off = addr - s->walk.base;
	}
	*out = *(__u64 *)(s->walk.bytes + (off & (PA_WINDOW - 1)));
	return 0;
}

/* ---- steps ---------------------------------------------------------------------------------- */

#if defined(__TARGET_ARCH_x86)
/* from the stack pointer at a signal's trampoline to the registers that it interrupted: ucontext_t
 * lies there */
#define PA_SIGNAL_FP 120
#define PA_SIGNAL_SP 160
#define PA_SIGNAL_PC 168
#elif defined(__TARGET_ARCH_arm64)
/* siginfo_t, then ucontext_t with x0 to x30, sp and pc */
#define PA_SIGNAL_REGS (128 + 176 + 8)
#define PA_SIGNAL_FP (PA_SIGNAL_REGS + 8 * 29)
#define PA_SIGNAL_LR (PA_SIGNAL_REGS + 8 * 30)
#define PA_SIGNAL_SP (PA_SIGNAL_REGS + 8 * 31)
#define PA_SIGNAL_PC (PA_SIGNAL_REGS + 8 * 32)
#endif

/** The next frame's pc is known. @return 0, or how the walk ends */
static __always_inline int pa_unwind_arrive(struct scratch *s, __u64 pc)
{
	pc = PA_STRIP(pc);
	if (!pc || pc >> PA_USER_BITS)
		return pc ? PA_WALK_TRUNCATED : PA_WALK_COMPLETE;
	if (s->walk.n >= PA_CHAIN_SLOTS - 1)
		return PA_WALK_DEEP;
	s->unwind.pc = pc;
	s->rec.ips[s->walk.n & (PA_CHAIN_SLOTS - 1)] = pc;
	s->walk.n++;
	return 0;
}

/** By a frame pointer's frame. @return 0, or how the walk ends */
static __always_inline int pa_unwind_fp(struct scratch *s)
{
	struct pa_unwind *u = &s->unwind;
	struct pa_walk *w = &s->walk;
	__u64 fp = u->fp, off = fp - w->base;

	if (!u->fp_ok)
		return PA_WALK_TRUNCATED;
	if (!fp) /* as the ABIs mark the outermost frame */
		return PA_WALK_COMPLETE;
	if (fp < u->sp || fp & 7)
		return PA_WALK_TRUNCATED;
	if (off > w->last) {
		if (pa_window_load(w, fp))
			return PA_WALK_FAULTED;
		off = 0;
	}
	off &= PA_WINDOW - 1;
	u->fp = *(__u64 *)(w->bytes + off);
	u->sp = fp + PA_FRAME_BYTES;
	u->back = 1;
	u->lr_ok = 0;
	return pa_unwind_arrive(s, *(__u64 *)(w->bytes + off + 8));
}

/** By frame pointers' frames, as long as return addresses lie where such are kept.
 *  @return 0 at one that does not, or how the walk ends */
__noinline int pa_unwind_run(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	__u64 fp, sp, pc, start, bytes;
	struct pa_unwind *u;
	struct pa_walk *w;
	int end;

	if (!s)
		return PA_WALK_TRUNCATED;
	u = &s->unwind;
	w = &s->walk;
	end = pa_unwind_fp(s);
	if (end)
		return end;
	fp = u->fp;
	sp = u->sp;
	pc = u->pc;
	start = u->keeps_start + 1;
	bytes = u->keeps_bytes;
	for (int i = 0; i < PA_FRAMES_MAX - 2; i++) {
		__u64 off = fp - w->base, ra;

		/* what is unusual, the next step looks at */
		if (pc - start >= bytes || off > w->last || fp < sp || fp & 7)
			break;
		off &= PA_WINDOW - 1;
		ra = PA_STRIP(*(__u64 *)(w->bytes + off + 8));
		if (!ra || ra >> PA_USER_BITS || w->n >= PA_CHAIN_SLOTS - 1)
			break;
		sp = fp + PA_FRAME_BYTES;
		fp = *(__u64 *)(w->bytes + off);
		pc = ra;
		s->rec.ips[w->n & (PA_CHAIN_SLOTS - 1)] = ra;
		w->n++;
	}
	u->fp = fp;
	u->sp = sp;
	u->pc = pc;
	return 0;
}

/** Where nothing is known of the code: perhaps it has a frame pointer. */
static __always_inline int pa_unwind_guess(struct scratch *s)
{
	struct pa_unwind *u = &s->unwind;

	u->is_guess = 1;
#if defined(__TARGET_ARCH_arm64)
	/* interrupted code may have its return address in the register yet */
	if (!u->back && u->lr_ok && u->lr) {
		u->back = 1;
		u->lr_ok = 0;
		return pa_unwind_arrive(s, u->lr);
	}
#endif
	return pa_unwind_fp(s);
}

static __always_inline int pa_unwind_signal(struct scratch *s, __u32 cpu)
{
	struct pa_unwind *u = &s->unwind;
	__u64 at = u->sp, fp, sp, pc;

	if (pa_unwind_read(s, cpu, at + PA_SIGNAL_FP, &fp) ||
	    pa_unwind_read(s, cpu, at + PA_SIGNAL_SP, &sp) ||
	    pa_unwind_read(s, cpu, at + PA_SIGNAL_PC, &pc))
		return PA_WALK_FAULTED;
#if defined(__TARGET_ARCH_arm64)
	if (pa_unwind_read(s, cpu, at + PA_SIGNAL_LR, &u->lr))
		return PA_WALK_FAULTED;
	u->lr_ok = 1;
#endif
	u->fp = fp;
	u->fp_ok = 1;
	u->sp = sp;
	u->back = 0;
	return pa_unwind_arrive(s, pc);
}

/** @return 0, or how the walk ends */
static __always_inline int pa_unwind_cfa(struct scratch *s, __u32 cpu,
					 const struct pa_unwind_rule *rule, __u64 *cfa)
{
	struct pa_unwind *u = &s->unwind;
	__u64 at;

	switch (rule->cfa) {
	case PA_CFA_SP:
		*cfa = u->sp + rule->cfa_off;
		return 0;
	case PA_CFA_FP:
	case PA_CFA_DEREF_FP:
		if (!u->fp_ok)
			return PA_WALK_TRUNCATED;
		at = u->fp;
		break;
	case PA_CFA_DEREF_SP:
		at = u->sp;
		break;
	case PA_CFA_PLT:
		*cfa = u->sp + 8 + ((__s64)(u->pc & 15) >= rule->cfa_off ? 8 : 0);
		return 0;
	default:
		return PA_WALK_MISS + PA_MISS_COMPLEX;
	}
	*cfa = at + rule->cfa_off;
	if (rule->cfa == PA_CFA_FP)
		return 0;
	if (pa_unwind_read(s, cpu, *cfa, &at))
		return PA_WALK_FAULTED;
	*cfa = at + rule->cfa_add;
	return 0;
}

/** The caller's frame pointer. One that can't be had is no reason to stop. */
static __always_inline void pa_unwind_saved_fp(struct scratch *s, __u32 cpu,
					       const struct pa_unwind_rule *rule, __u64 cfa)
{
	struct pa_unwind *u = &s->unwind;
	__u64 at = cfa, fp;

	if (rule->fp == PA_FP_SAME)
		return;
	if (rule->fp == PA_FP_AT_FP)
		at = u->fp;
	if (rule->fp == PA_FP_UNKNOWN || (rule->fp == PA_FP_AT_FP && !u->fp_ok) ||
	    pa_unwind_read(s, cpu, at + rule->fp_off, &fp)) {
		u->fp_ok = 0;
		return;
	}
	u->fp = fp;
	u->fp_ok = 1;
}

static __always_inline int pa_unwind_apply(struct scratch *s, __u32 cpu,
					   const struct pa_unwind_rule *rule)
{
	struct pa_unwind *u = &s->unwind;
	__u64 cfa, pc;
	int end;

	u->is_guess = 0;
	end = pa_unwind_cfa(s, cpu, rule, &cfa);
	if (end)
		return end;
	/* Stacks grow downward. Only what was interrupted may be at its caller's stack pointer. */
	if (cfa < u->sp + u->back)
		return PA_WALK_TRUNCATED;
	if (rule->ra == PA_RA_LR) {
		if (!u->lr_ok)
			return PA_WALK_TRUNCATED;
		pc = u->lr;
	} else if (pa_unwind_read(s, cpu, cfa + rule->ra_off, &pc)) {
		return PA_WALK_FAULTED;
	}
	pa_unwind_saved_fp(s, cpu, rule, cfa);
	u->sp = cfa;
	u->back = 1;
	u->lr_ok = 0;
	return pa_unwind_arrive(s, pc);
}

/** From unwind's frame to its caller. @return 0, or how the walk ends */
__noinline int pa_unwind_step(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	const struct pa_cached *found;
	struct pa_unwind *u;
	__u64 tag;

	if (!s)
		return PA_WALK_TRUNCATED;
	u = &s->unwind;
	tag = pa_cache_tag(u);
	found = pa_cached_at(s, tag);
	if (found->tag != tag) {
		int end = pa_unwind_find(cpu);

		if (end)
			return end;
	}
	if (found->rule.cfa == PA_CFA_KEEPS_FP) {
		u->keeps_start = found->keeps_start;
		u->keeps_bytes = (__u64)found->rule.cfa_off << PA_TEXT_PAGE_SHIFT;
		return pa_unwind_run(cpu);
	}
	if (found->rule.cfa == PA_CFA_NONE)
		return pa_unwind_guess(s);
	u->used_rows = 1;
	if (found->rule.cfa == PA_CFA_STOP)
		return PA_WALK_COMPLETE;
	if (found->rule.cfa == PA_CFA_SIGNAL)
		return pa_unwind_signal(s, cpu);
	return pa_unwind_apply(s, cpu, &found->rule);
}

/** 1 if 8 bytes at an offset are not in the window, else 0. */
static __always_inline __u64 pa_outside(const struct pa_walk *w, __u64 at)
{
	return (at | (w->last + 8 - at)) >> 63;
}

/** What pa_unwind_step does, of what most frames are: a rule that is in the cache, from the stack
 *  or frame pointer, and memory that is in the window. There is but one branch, at the end, since
 *  the verifier looks at this for each round of the loop.
 *  @return false: it's not such a frame */
static __always_inline bool pa_unwind_fast(struct scratch *s)
{
	struct pa_unwind *u = &s->unwind;
	struct pa_walk *w = &s->walk;
	__u64 tag = pa_cache_tag(u), bad, cfa, at, pc, fp = u->fp;
	const struct pa_cached *found = pa_cached_at(s, tag);
	/* the kinds as one number: bytes in the order of struct pa_unwind_rule */
	__u64 kinds = *(__u32 *)&found->rule, by_fp, saves_fp = kinds >> 8 & PA_FP_AT_CFA;

	by_fp = (kinds & ~(PA_FP_AT_CFA << 8)) - PA_CFA_SP;
	bad = (found->tag ^ tag) | (by_fp & ~1ULL) | (by_fp & (u->fp_ok ^ 1));
	cfa = (u->sp ^ ((u->sp ^ fp) & -(by_fp & 1))) + found->rule.cfa_off;
	bad |= (cfa - u->sp - u->back) >> 63;
	at = cfa + found->rule.ra_off - w->base;
	bad |= pa_outside(w, at);
	pc = PA_STRIP(*(__u64 *)(w->bytes + pa_bound(at, PA_WINDOW - 1)));
	bad |= (pc - 1) >> PA_USER_BITS | (PA_CHAIN_SLOTS - 2 - w->n) >> 63;
	at = cfa + found->rule.fp_off - w->base;
	bad |= pa_outside(w, at) & saves_fp;
	fp ^= (fp ^ *(__u64 *)(w->bytes + pa_bound(at, PA_WINDOW - 1))) & -saves_fp;
	asm volatile("" : "+r"(bad));
	if (bad)
		return false;
	u->sp = cfa;
	u->fp = fp;
	u->fp_ok |= saves_fp;
	u->pc = pc;
	u->back = 1;
	u->lr_ok = u->is_guess = 0;
	u->used_rows = 1;
	s->rec.ips[w->n & (PA_CHAIN_SLOTS - 1)] = pc;
	w->n++;
	return true;
}
_Static_assert(PA_CFA_SP == 1 && PA_CFA_FP == 2 && PA_FP_AT_CFA == 1, "masks are made of these");

/** Walk from unwind's frame on, into rec.ips[walk.n ...]. @return enum pa_walk_end */
__noinline int pa_unwind_walk(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);

	if (!s)
		return PA_WALK_TRUNCATED;
	for (int i = 0; i < PA_FRAMES_MAX - 1; i++) {
		int end = 0;

		if (!pa_unwind_fast(s))
			end = pa_unwind_step(cpu);
		if (end)
			return end;
	}
	return PA_WALK_DEEP;
}

/** Walk by frame pointers alone, from unwind's frame on, into rec.ips[walk.n ...]. What changes
 *  from round to round is in the map value, not in registers: the verifier then sees every round
 *  alike. @return enum pa_walk_end */
__noinline int pa_fp_walk(__u32 cpu)
{
	struct scratch *s = pa_scratch(cpu);
	struct pa_walk *w;
	__u64 fp, first;

	if (!s)
		return PA_WALK_TRUNCATED;
	w = &s->walk;
	fp = s->unwind.fp;
	if ((__s64)fp <= 0 || fp < s->unwind.sp)
		return fp ? PA_WALK_TRUNCATED : PA_WALK_COMPLETE;
	/* the leaf's frame is most often near the stack pointer, and so are its callers' */
	first = fp - s->unwind.sp <= PA_WINDOW - PA_FRAME_BYTES ? s->unwind.sp : fp;
	if (pa_window_load(w, first))
		return PA_WALK_FAULTED;
	for (int i = 0; i < PA_FRAMES_MAX - 1; i++) {
		__u64 off = fp - w->base, next, ra;

		if (off > w->last) {
			if (pa_window_load(w, fp))
				return PA_WALK_FAULTED;
			off = 0;
		}
		off &= PA_WINDOW - 1;
		next = *(__u64 *)(w->bytes + off);
		ra = PA_STRIP(*(__u64 *)(w->bytes + off + 8));
		/* the end of the chain, or no frame: never an address that code can't have */
		if (!ra || ra >> PA_USER_BITS)
			return ra ? PA_WALK_TRUNCATED : PA_WALK_COMPLETE;
		s->rec.ips[w->n & (PA_CHAIN_SLOTS - 1)] = ra;
		w->n++;
		if (next <= fp || (__s64)next <= 0)
			return next ? PA_WALK_TRUNCATED : PA_WALK_COMPLETE;
		if (w->n >= PA_CHAIN_SLOTS - 1)
			break;
		fp = next;
	}
	return PA_WALK_DEEP;
}

/** The process's block of mappings, if user space knows it as it is now. */
static __always_inline bool pa_unwind_enter(struct pa_unwind *u, __u32 tgid)
{
	__u32 slot = tgid % PA_SEQ_SLOTS;
	const struct pa_unwind_proc *proc = bpf_map_lookup_elem(&procs, &tgid);
	const struct pa_unwind_seq *seq = bpf_map_lookup_elem(&unwind_seq, &slot);

	if (!proc || !seq || !proc->is_open || proc->seq != seq->stale)
		return false;
	u->proc_block = proc->block;
	u->is_directory = proc->is_directory;
	u->salt = ((__u64)tgid << 32 | proc->seq) * 0x9e3779b97f4a7c15ULL ^
		  ((__u64)proc->turn << 32 | proc->block) * 0xd6e8feb86659fd93ULL;
	return true;
}

/** Begin at these registers; rec.ips[n - 1] is their pc. */
static __always_inline void pa_unwind_start(struct scratch *s, const struct pa_user_regs *regs,
					    __u32 n)
{
	struct pa_unwind *u = &s->unwind;

	u->pc = regs->ip;
	u->sp = u->first_sp = regs->sp;
	u->fp = regs->fp;
	u->lr = regs->lr;
	u->fp_ok = u->lr_ok = 1;
	u->back = 0;
	u->map_bytes = 0;
	u->is_guess = u->used_rows = 0;
	s->walk.n = n;
	s->walk.base = ~0ULL; /* no window yet */
	s->walk.last = 0;
}

/** Walk by tables. @return enum pa_walk_end */
static __always_inline int pa_unwind_user(struct scratch *s, __u32 cpu, __u32 tgid)
{
	if (!pa_unwind_enter(&s->unwind, tgid))
		return PA_WALK_MISS + PA_MISS_PROCESS;
	return pa_unwind_walk(cpu);
}

#endif
