/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sample.c - parse PERF_RECORD_SAMPLE and the id fields of the other records. This runs for
 * every sample of a file: no allocation, no copy, and a short way for the layout that most files
 * have. Fields come in the order of <linux/perf_event.h>; every length is checked.
 */
#include "perfdata/internal.h"

/** The words of a record that are not parsed yet. */
struct cursor {
	const __u64 *p, *end;
};

static inline size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

/* PERF_SAMPLE_TID and _CPU are two u32 in a word. */
static inline void get_pair(const __u64 *p, __u32 *a, __u32 *b)
{
	const __u32 *half = (const __u32 *)p;

	*a = half[0];
	*b = half[1];
}

/* The fields of one word each before the variable ones. */
static inline int parse_fixed(const struct pd_layout *l, struct cursor *c, struct pd_sample *out)
{
	const __u64 type = l->sample_type;
	__u32 reserved;

	if (left(c) < l->fixed_cnt)
		return -EBADMSG;
	if (type & PERF_SAMPLE_IDENTIFIER)
		out->id.id = *c->p++;
	if (type & PERF_SAMPLE_IP)
		out->ip = *c->p++;
	if (type & PERF_SAMPLE_TID)
		get_pair(c->p++, &out->id.pid, &out->id.tid);
	if (type & PERF_SAMPLE_TIME)
		out->id.time = *c->p++;
	if (type & PERF_SAMPLE_ADDR)
		out->addr = *c->p++;
	if (type & PERF_SAMPLE_ID)
		out->id.id = *c->p++;
	if (type & PERF_SAMPLE_STREAM_ID)
		out->id.stream_id = *c->p++;
	if (type & PERF_SAMPLE_CPU)
		get_pair(c->p++, &out->id.cpu, &reserved);
	out->period = type & PERF_SAMPLE_PERIOD ? *c->p++ : l->period;
	return 0;
}

static int parse_read(const struct pd_layout *l, struct cursor *c, struct pd_sample *out)
{
	const __u64 format = l->read_format;
	const __u64 times = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	const __u64 ids = PERF_FORMAT_ID | PERF_FORMAT_LOST;
	size_t cnt = 1 + (size_t)__builtin_popcountll(format & times);
	size_t per_value = 1 + (size_t)__builtin_popcountll(format & ids);

	if (left(c) < 1)
		return -EBADMSG;
	if (!(format & PERF_FORMAT_GROUP))
		cnt += per_value - 1;
	else if (c->p[0] > left(c) / per_value)
		return -EBADMSG;
	else
		cnt += c->p[0] * per_value;
	if (cnt > left(c))
		return -EBADMSG;
	out->read_values = c->p;
	out->read_cnt = cnt;
	c->p += cnt;
	return 0;
}

static int parse_callchain(struct cursor *c, struct pd_sample *out)
{
	if (left(c) < 1 || c->p[0] > PD_CALLCHAIN_MAX || c->p[0] > left(c) - 1)
		return -EBADMSG;
	out->ip_cnt = c->p[0];
	out->ips = c->p + 1;
	c->p += 1 + out->ip_cnt;
	return 0;
}

static int parse_raw(struct cursor *c, struct pd_sample *out)
{
	size_t words;

	if (left(c) < 1)
		return -EBADMSG;
	out->raw_bytes = *(const __u32 *)c->p;
	out->raw = (const __u32 *)c->p + 1;
	words = pd_align8(4 + (__u64)out->raw_bytes) / 8;
	if (words > left(c))
		return -EBADMSG;
	c->p += words;
	return 0;
}

static int parse_branches(const struct pd_layout *l, struct cursor *c, struct pd_sample *out)
{
	const size_t entry = sizeof(struct perf_branch_entry) / 8;
	const size_t words = entry + l->branch_counters; /* the counters follow all entries */
	__u64 cnt;

	if (left(c) < 1u + l->hw_idx)
		return -EBADMSG;
	cnt = *c->p++;
	if (l->hw_idx)
		c->p++;
	if (cnt > left(c) / words)
		return -EBADMSG;
	out->branches = (const struct perf_branch_entry *)c->p;
	out->branch_cnt = cnt;
	c->p += cnt * words;
	return 0;
}

static int parse_regs(struct cursor *c, size_t cnt, __u64 *abi, const __u64 **regs, size_t *out_cnt)
{
	if (left(c) < 1)
		return -EBADMSG;
	*abi = *c->p++;
	if (!*abi)
		return 0;
	if (left(c) < cnt)
		return -EBADMSG;
	*regs = c->p;
	*out_cnt = cnt;
	c->p += cnt;
	return 0;
}

static int parse_stack(struct cursor *c, struct pd_sample *out)
{
	__u64 bytes;

	if (left(c) < 1)
		return -EBADMSG;
	bytes = *c->p++;
	if (!bytes)
		return 0;
	/* The kernel rounds the size to 8 bytes; the dynamic size follows the copy. */
	if (bytes % 8 || bytes / 8 >= left(c))
		return -EBADMSG;
	out->user_stack = c->p;
	c->p += bytes / 8;
	out->user_stack_bytes = *c->p++;
	if (out->user_stack_bytes > bytes)
		return -EBADMSG;
	return 0;
}

/* The fields behind the user stack, which few events ask for. */
static int parse_rest(const struct pd_layout *l, struct cursor *c, struct pd_sample *out)
{
	const __u64 type = l->sample_type;
	const __u64 *regs;
	size_t reg_cnt;
	__u64 abi;

	if (type & (PERF_SAMPLE_WEIGHT_TYPE | PERF_SAMPLE_DATA_SRC | PERF_SAMPLE_TRANSACTION)) {
		size_t cnt = !!(type & PERF_SAMPLE_WEIGHT_TYPE) + !!(type & PERF_SAMPLE_DATA_SRC) +
			     !!(type & PERF_SAMPLE_TRANSACTION);

		if (left(c) < cnt)
			return -EBADMSG;
		if (type & PERF_SAMPLE_WEIGHT)
			out->weight = *c->p;
		else if (type & PERF_SAMPLE_WEIGHT_STRUCT)
			out->weight = *c->p & 0xffffffff;
		c->p += cnt;
	}
	if (type & PERF_SAMPLE_REGS_INTR && parse_regs(c, l->intr_reg_cnt, &abi, &regs, &reg_cnt))
		return -EBADMSG;
	if (left(c) <
	    (size_t)__builtin_popcountll(type & (PERF_SAMPLE_PHYS_ADDR | PERF_SAMPLE_CGROUP |
						 PERF_SAMPLE_DATA_PAGE_SIZE |
						 PERF_SAMPLE_CODE_PAGE_SIZE | PERF_SAMPLE_AUX)))
		return -EBADMSG;
	if (type & PERF_SAMPLE_PHYS_ADDR)
		out->phys_addr = *c->p++;
	if (type & PERF_SAMPLE_CGROUP)
		out->cgroup = *c->p++;
	c->p += !!(type & PERF_SAMPLE_DATA_PAGE_SIZE) + !!(type & PERF_SAMPLE_CODE_PAGE_SIZE);
	if (type & PERF_SAMPLE_AUX) {
		__u64 bytes = *c->p++;

		if (bytes > left(c) * 8)
			return -EBADMSG;
		out->aux = c->p;
		out->aux_bytes = bytes;
		c->p += pd_align8(bytes) / 8;
	}
	return 0;
}

static int parse_variable(const struct pd_layout *l, struct cursor *c, struct pd_sample *out)
{
	const __u64 type = l->sample_type;

	if (type & PERF_SAMPLE_READ && parse_read(l, c, out))
		return -EBADMSG;
	if (type & PERF_SAMPLE_CALLCHAIN && parse_callchain(c, out))
		return -EBADMSG;
	if (type & PERF_SAMPLE_RAW && parse_raw(c, out))
		return -EBADMSG;
	if (type & PERF_SAMPLE_BRANCH_STACK && parse_branches(l, c, out))
		return -EBADMSG;
	if (type & PERF_SAMPLE_REGS_USER &&
	    parse_regs(c, l->user_reg_cnt, &out->user_abi, &out->user_regs, &out->user_reg_cnt))
		return -EBADMSG;
	if (type & PERF_SAMPLE_STACK_USER && parse_stack(c, out))
		return -EBADMSG;
	if (type >= PERF_SAMPLE_WEIGHT)
		return parse_rest(l, c, out);
	return 0;
}

/* @param left_cnt  words behind the last field */
static int parse_sample(const struct pd_events *t, const struct perf_event_header *hdr,
			struct pd_sample *out, size_t *left_cnt)
{
	const __u64 *words = (const __u64 *)(hdr + 1);
	struct cursor c = {words, words + (hdr->size < 8 ? 0 : (hdr->size - 8) / 8)};
	const struct pd_layout *l;
	int event, err;

	memset(out, 0, sizeof(*out));
	out->id.event = -1;
	out->cpumode = hdr->misc & PERF_RECORD_MISC_CPUMODE_MASK;
	event = pd_events_of_sample(t, words, left(&c));
	if (event < 0)
		return -ENOENT;
	out->id.event = event;
	l = &t->layouts[event];
	if (parse_fixed(l, &c, out))
		return -EBADMSG;
	err = l->common ? parse_callchain(&c, out) : parse_variable(l, &c, out);
	*left_cnt = left(&c);
	return err;
}

int pd_sample__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		     struct pd_sample *out)
{
	size_t left_cnt;

	return parse_sample(t, hdr, out, &left_cnt);
}

bool pd_sample_fills(const struct pd_events *t, const struct perf_event_header *hdr)
{
	struct pd_sample s;
	size_t left_cnt = 0;
	int err = parse_sample(t, hdr, &s, &left_cnt);

	/* A newer kernel's fields are behind those that are known here. */
	if (err || t->layouts[s.id.event].sample_type >= 2 * PERF_SAMPLE_WEIGHT_STRUCT)
		return err != -EBADMSG;
	return !left_cnt;
}

static int trailer_event(const struct pd_events *t, const struct perf_event_header *hdr)
{
	const __u64 *end = (const __u64 *)((const char *)hdr + (hdr->size & ~7u));

	if (t->cnt <= 1)
		return (int)t->cnt - 1;
	if (!t->layouts[0].trailer_bytes)
		return 0;
	if (hdr->size < 8 + 8 * (unsigned int)t->trailer_id_word)
		return -1;
	return pd_events__by_id(t, end[-t->trailer_id_word]);
}

int pd_sample_id__parse(const struct pd_events *t, const struct perf_event_header *hdr,
			struct pd_sample_id *out)
{
	const struct pd_layout *l;
	const __u64 *p;
	__u32 reserved;

	if (hdr->type == PERF_RECORD_SAMPLE) {
		struct pd_sample sample;
		int err = pd_sample__parse(t, hdr, &sample);

		*out = sample.id;
		return err == -ENOENT ? 0 : err;
	}
	memset(out, 0, sizeof(*out));
	out->event = -1;
	if (hdr->size < sizeof(*hdr))
		return -EBADMSG;
	if (hdr->type >= PD_RECORD_HEADER_ATTR || !t->cnt)
		return 0;
	out->event = trailer_event(t, hdr);
	l = &t->layouts[out->event < 0 ? 0 : out->event];
	if (!l->trailer_bytes)
		return 0;
	if (hdr->size < sizeof(*hdr) + l->trailer_bytes)
		return -EBADMSG;
	p = (const __u64 *)((const char *)hdr + (hdr->size & ~7u) - l->trailer_bytes);
	if (l->sample_type & PERF_SAMPLE_TID)
		get_pair(p++, &out->pid, &out->tid);
	if (l->sample_type & PERF_SAMPLE_TIME)
		out->time = *p++;
	if (l->sample_type & PERF_SAMPLE_ID)
		out->id = *p++;
	if (l->sample_type & PERF_SAMPLE_STREAM_ID)
		out->stream_id = *p++;
	if (l->sample_type & PERF_SAMPLE_CPU)
		get_pair(p++, &out->cpu, &reserved);
	if (l->sample_type & PERF_SAMPLE_IDENTIFIER)
		out->id = *p++;
	return 0;
}
