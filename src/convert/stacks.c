// SPDX-License-Identifier: GPL-2.0-only
/*
 * stacks.c - the aggregation of samples: one hash of the raw call chain, one probe, and for a
 * stack that is known nothing else. Also the rules of how a chain is read.
 */
#include <string.h>

#include "convert/session.h"

/* Newer than the oldest headers that we build with; the entry after it is a cookie. */
#define CONTEXT_USER_DEFERRED ((uint64_t)-640)

static bool is_same_stack(const struct pa_stack_entry *e, uint64_t hash,
			  const struct pa_stack_key *key, const void *ips, size_t ip_cnt)
{
	return e->hash == hash && e->space == key->space && e->tid == key->tid &&
	       e->comm == key->comm && e->epoch_ns == key->epoch_ns && e->ip_cnt == ip_cnt &&
	       e->event == key->event && e->cpumode == key->cpumode &&
	       !memcmp(e->chain, ips, ip_cnt * sizeof(*e->chain));
}

uint32_t pa_stacks__add(struct pa_session *s, const struct pa_stack_key *key, const void *ips,
			size_t ip_cnt, uint64_t period, bool *is_new)
{
	uint64_t seed = pa_mix(s->seed ^ ((uint64_t)key->space << 32 | key->tid),
			       key->epoch_ns ^ (uintptr_t)key->comm ^
				       ((uint64_t)key->event << 40 | key->cpumode));
	uint64_t hash = pa_hash_words(ips, ip_cnt, seed);
	uint32_t pos = pa_index__start(&s->stack_table, hash), i;
	struct pa_stack_entry *e;

	while ((i = pa_index__next(&s->stack_table, hash, &pos)) != PA_NONE) {
		e = &s->stacks[i];
		if (!is_same_stack(e, hash, key, ips, ip_cnt))
			continue;
		e->sample_cnt++;
		e->period_sum += period;
		return i;
	}
	*is_new = true;
	if (s->stack_cnt >= PA_NONE ||
	    pa_array_grow(&s->stacks, s->stack_cnt, &s->stack_cap, sizeof(*s->stacks)))
		return PA_NONE;
	e = &s->stacks[s->stack_cnt];
	*e = (struct pa_stack_entry){
		.hash = hash,
		.epoch_ns = key->epoch_ns,
		.comm = key->comm,
		.sample_cnt = 1,
		.period_sum = period,
		.space = key->space,
		.tid = key->tid,
		.ip_cnt = ip_cnt,
		.event = key->event,
		.cpumode = key->cpumode,
	};
	e->chain = pa_pool__alloc(&s->chains, ip_cnt * sizeof(*e->chain));
	if (!e->chain || pa_index__add(&s->stack_table, hash, s->stack_cnt))
		return PA_NONE;
	memcpy(e->chain, ips, ip_cnt * sizeof(*e->chain));
	return s->stack_cnt++;
}

void pa_chain_walk__start(struct pa_chain_walk *w, const uint64_t *ips, size_t cnt, uint8_t cpumode)
{
	*w = (struct pa_chain_walk){.ips = ips, .cnt = cnt, .cpumode = cpumode, .is_first = true};
}

bool pa_chain_walk__next(struct pa_chain_walk *w, uint64_t *ip)
{
	while (w->i < w->cnt) {
		uint64_t v = w->ips[w->i++];

		if (v < (uint64_t)PERF_CONTEXT_MAX) {
			*ip = v;
			w->is_return = !w->is_first;
			w->is_first = false;
			return true;
		}
		switch (v) {
		case (uint64_t)PERF_CONTEXT_HV:
			w->cpumode = PERF_RECORD_MISC_HYPERVISOR;
			break;
		case (uint64_t)PERF_CONTEXT_KERNEL:
			w->cpumode = PERF_RECORD_MISC_KERNEL;
			break;
		case CONTEXT_USER_DEFERRED:
			w->i++; /* its cookie */
				/* fall through */
		case (uint64_t)PERF_CONTEXT_USER:
			w->cpumode = PERF_RECORD_MISC_USER;
			break;
		case (uint64_t)PERF_CONTEXT_GUEST_KERNEL:
			w->cpumode = PERF_RECORD_MISC_GUEST_KERNEL;
			break;
		case (uint64_t)PERF_CONTEXT_GUEST:
		case (uint64_t)PERF_CONTEXT_GUEST_USER:
			w->cpumode = PERF_RECORD_MISC_GUEST_USER;
			break;
		default: /* a marker of a later kernel: the context stays */
			continue;
		}
		w->is_first = true;
	}
	return false;
}

bool pa_is_kernel(uint8_t cpumode, uint64_t ip)
{
	switch (cpumode) {
	case PERF_RECORD_MISC_KERNEL:
	case PERF_RECORD_MISC_HYPERVISOR:
		return true;
	case PERF_RECORD_MISC_CPUMODE_UNKNOWN: /* the upper half belongs to the kernel */
		return ip >> 63;
	default:
		return false;
	}
}
