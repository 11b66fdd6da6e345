/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * swap.c - turn records and attrs of the other byte order into native ones, in place. A sample
 * is swapped as words of 8 bytes first; the fields that are something else are then put right.
 */
#include "perfdata/internal.h"

static void swap16(void *p)
{
	__u16 v;

	memcpy(&v, p, sizeof(v));
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static void swap32(void *p)
{
	__u32 v = pd_get32(p, true);

	memcpy(p, &v, sizeof(v));
}

static void swap64(void *p)
{
	__u64 v = pd_get64(p, true);

	memcpy(p, &v, sizeof(v));
}

/* Bit fields are laid out from the other end of each byte. precise_ip, the only one of two bits,
 * ends up with its bits exchanged. */
static void swap_attr_bits(unsigned char *p)
{
	unsigned int precise_low, precise_high;

	for (int i = 0; i < 8; i++) {
		unsigned char in = p[i], out = 0;

		for (int bit = 0; bit < 8; bit++)
			out |= (unsigned char)(((in >> bit) & 1) << (7 - bit));
		p[i] = out;
	}
	precise_low = p[1] >> 7;
	precise_high = p[2] & 1;
	p[1] = (unsigned char)((p[1] & 0x7f) | precise_high << 7);
	p[2] = (unsigned char)((p[2] & 0xfe) | precise_low);
}

void pd_swap_attr(void *attr, size_t bytes)
{
	/* Width of each field in order; 0 is the bit fields. */
	static const unsigned char widths[] = {4, 4, 8, 8, 8, 8, 0, 4, 4, 8, 8,
					       8, 8, 4, 4, 8, 4, 2, 2, 4, 4, 8};
	unsigned char *p = attr, *end = p + bytes;

	for (size_t i = 0; i < sizeof(widths) && p < end; i++) {
		if (widths[i] == 8)
			swap64(p);
		else if (widths[i] == 4)
			swap32(p);
		else if (widths[i] == 2)
			swap16(p);
		else
			swap_attr_bits(p);
		p += widths[i] ? widths[i] : 8;
	}
}

/* ---- samples ------------------------------------------------------------------------- */

/* After a swap as one u64, the two halves of a word are exchanged. */
static void fix_pair(__u64 *word)
{
	*word = *word << 32 | *word >> 32;
}

/* Bytes without an order of their own: undo the swap. */
static void fix_opaque(__u64 *words, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		words[i] = __builtin_bswap64(words[i]);
}

/* mispred, predicted, in_tx, abort, cycles, type, spec, new_type, priv, from the other end. */
static __u64 fix_branch_flags(__u64 v)
{
	static const unsigned char bits[] = {1, 1, 1, 1, 16, 4, 2, 4, 3};
	unsigned int high = 64, low = 0;
	__u64 out = 0;

	for (size_t i = 0; i < sizeof(bits); i++) {
		high -= bits[i];
		out |= (v >> high & ((1ULL << bits[i]) - 1)) << low;
		low += bits[i];
	}
	return out;
}

/* The parser knows where the parts of a sample are: let it find what needs mending. A sample
 * that it refuses is refused again by whoever parses it. */
static void fix_sample_tail(const struct pd_events *t, struct perf_event_header *hdr)
{
	struct pd_sample s;
	__u64 *word;

	if (pd_sample__parse(t, hdr, &s))
		return;
	for (size_t i = 0; i < s.branch_cnt; i++) {
		word = (__u64 *)(uintptr_t)&s.branches[i] + 2;
		*word = fix_branch_flags(*word);
	}
	if (s.user_stack) {
		word = (__u64 *)(uintptr_t)s.user_stack;
		fix_opaque(word, word[-1] / 8);
	}
	if (s.aux)
		fix_opaque((__u64 *)(uintptr_t)s.aux, s.aux_bytes / 8);
	if (s.raw) {
		/* The first word is the size, right by now, and 4 opaque bytes. */
		__u32 *half = (__u32 *)(uintptr_t)s.raw;

		*half = __builtin_bswap32(*half);
		fix_opaque((__u64 *)(half + 1), (pd_align8(4 + (__u64)s.raw_bytes) - 8) / 8);
	}
}

/* RAW's size is the first half of its word, and parsing beyond depends on it. What comes before
 * can be parsed already, as a sample without the rest. */
static void fix_raw_size(const struct pd_layout *l, struct perf_event_header *hdr, size_t fixed_cnt)
{
	struct pd_layout until_raw = *l;
	const struct pd_events one = {.layouts = &until_raw, .cnt = 1};
	const __u64 *words = (const __u64 *)(hdr + 1);
	size_t cnt = (hdr->size - 8) / 8, at = fixed_cnt;
	struct pd_sample s;

	until_raw.sample_type &= (PERF_SAMPLE_RAW - 1) | PERF_SAMPLE_IDENTIFIER;
	until_raw.common = false;
	if (pd_sample__parse(&one, hdr, &s))
		return;
	if (s.ips)
		at = (size_t)(s.ips + s.ip_cnt - words);
	else if (s.read_values)
		at = (size_t)(s.read_values + s.read_cnt - words);
	if (at < cnt)
		fix_pair((__u64 *)(hdr + 1) + at);
}

static void swap_sample(const struct pd_events *t, struct perf_event_header *hdr)
{
	__u64 *words = (__u64 *)(hdr + 1), type;
	size_t cnt = (hdr->size - 8) / 8, i;
	const struct pd_layout *l;
	int event;

	for (i = 0; i < cnt; i++)
		swap64(&words[i]);
	event = pd_events_of_sample(t, words, cnt);
	if (event < 0)
		return;
	l = &t->layouts[event];
	type = l->sample_type;
	i = (size_t)__builtin_popcountll(type & (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP));
	if (type & PERF_SAMPLE_TID && i++ < cnt)
		fix_pair(&words[i - 1]);
	i += (size_t)__builtin_popcountll(type & (PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |
						  PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID));
	if (type & PERF_SAMPLE_CPU && i++ < cnt)
		fix_pair(&words[i - 1]);
	i += !!(type & PERF_SAMPLE_PERIOD);
	if (type & PERF_SAMPLE_RAW)
		fix_raw_size(l, hdr, i);
	fix_sample_tail(t, hdr);
}

/* ---- other records ------------------------------------------------------------------- */

/** Layout of a record's body: digits are fields of that many bytes; '*' repeats 8-byte words to
 *  the end of the body; anything behind the last field is left as it is. */
static const char *body_layout(const struct perf_event_header *hdr)
{
	switch (hdr->type) {
	case PERF_RECORD_MMAP:
		return "44888";
	case PERF_RECORD_MMAP2: /* a build-id: bytes, but prot and flags behind it */
		if (pd_mmap2_is_old(hdr))
			return "448884488";
		return hdr->misc & PERF_RECORD_MISC_MMAP_BUILD_ID ? "44888------44" : "44888448844";
	case PERF_RECORD_LOST:
		return "88";
	case PERF_RECORD_COMM:
	case PERF_RECORD_ITRACE_START:
	case PERF_RECORD_SWITCH_CPU_WIDE:
	case PD_RECORD_TRACING_DATA:
		return "44";
	case PERF_RECORD_EXIT:
	case PERF_RECORD_FORK:
		return "44448";
	case PERF_RECORD_THROTTLE:
	case PERF_RECORD_UNTHROTTLE:
	case PERF_RECORD_AUX:
		return "888";
	case PERF_RECORD_READ:
	case PERF_RECORD_NAMESPACES:
		return "44*";
	case PERF_RECORD_LOST_SAMPLES:
	case PERF_RECORD_CGROUP:
	case PERF_RECORD_AUX_OUTPUT_HW_ID:
	case PD_RECORD_HEADER_FEATURE:
	case PD_RECORD_COMPRESSED2:
	case PD_RECORD_EVENT_TYPE:
		return "8";
	case PERF_RECORD_KSYMBOL:
		return "8422";
	case PERF_RECORD_BPF_EVENT:
		return "224";
	case PERF_RECORD_TEXT_POKE:
		return "822";
	case PD_RECORD_BUILD_ID:
		return "4";
	case PD_RECORD_EVENT_UPDATE: /* of kind 1: a double; of others: text */
		return hdr->size >= 16 && pd_get64(hdr + 1, true) == 1 ? "888" : "88";
	case PD_RECORD_ID_INDEX:
	case PD_RECORD_STAT_CONFIG:
	case PD_RECORD_STAT_ROUND:
		return "*";
	case PD_RECORD_AUXTRACE_INFO:
		return "44*";
	case PD_RECORD_AUXTRACE:
		return "8884444";
	case PD_RECORD_AUXTRACE_ERROR:
		return "44444488";
	case PD_RECORD_STAT:
		return "844888";
	case PD_RECORD_TIME_CONV:
		return "88888";
	default:
		return "";
	}
}

static void swap_fields(unsigned char *p, unsigned char *end, const char *layout)
{
	for (; *layout; layout++) {
		size_t bytes = *layout == '*' ? 8 : *layout == '-' ? 4 : (size_t)(*layout - '0');

		if ((size_t)(end - p) < bytes)
			return;
		if (*layout == '*' || bytes == 8)
			swap64(p);
		else if (*layout == '2')
			swap16(p);
		else if (*layout == '4')
			swap32(p);
		p += bytes;
		if (*layout == '*')
			layout--;
	}
}

/* @return the trailer's size */
static size_t swap_trailer(const struct pd_events *t, struct perf_event_header *hdr)
{
	unsigned char *end = (unsigned char *)hdr + (hdr->size & ~7u), *p;
	const struct pd_layout *l;
	int event = 0;

	if (!t->cnt || hdr->type >= PD_RECORD_HEADER_ATTR)
		return 0;
	if (t->cnt > 1 && hdr->size >= 8 + 8 * (unsigned int)t->trailer_id_word)
		event = pd_events__by_id(t, pd_get64(end - 8 * t->trailer_id_word, true));
	l = &t->layouts[event < 0 ? 0 : event];
	if (!l->trailer_bytes || hdr->size < 8 + l->trailer_bytes)
		return 0;
	for (p = end - l->trailer_bytes; p < end; p += 8)
		swap64(p);
	if (l->sample_type & PERF_SAMPLE_TID)
		fix_pair((__u64 *)(end - l->trailer_bytes));
	if (l->sample_type & PERF_SAMPLE_CPU)
		fix_pair((__u64 *)(end - (l->sample_type & PERF_SAMPLE_IDENTIFIER ? 16 : 8)));
	return l->trailer_bytes;
}

static void swap_attr_record(struct perf_event_header *hdr)
{
	unsigned char *p = (unsigned char *)(hdr + 1), *end = (unsigned char *)hdr + hdr->size;
	__u32 bytes;

	if (end - p < PERF_ATTR_SIZE_VER0)
		return;
	bytes = pd_get32(p + 4, true);
	if (!bytes)
		bytes = PERF_ATTR_SIZE_VER0;
	if (bytes < PERF_ATTR_SIZE_VER0 || bytes % 8 || bytes > (size_t)(end - p))
		return;
	pd_swap_attr(p, bytes);
	swap_fields(p + bytes, end, "*");
}

/* u64 count; for each u64 pid and 16 bytes of name. */
static void swap_thread_map(unsigned char *p, unsigned char *end)
{
	swap_fields(p, end, "8");
	for (p += 8; end - p >= 24; p += 24)
		swap64(p);
}

/* u16 kind; 0: u16 count and numbers; 1: u16 count, u16 4 or 8 and masks of that many bytes, the
 * latter aligned; 2: two u8, u16 first and last. */
static void swap_cpu_map(unsigned char *p, unsigned char *end)
{
	unsigned int kind, width = 0;

	if (end - p < 8)
		return;
	swap16(p);
	kind = p[0] | p[1]; /* less than 256: in either order */
	if (kind == 1) {
		width = p[4] | p[5]; /* 4 or 8, in either order */
		swap_fields(p + 2, end, "22");
		p += width == 8 ? 8 : 6;
	} else {
		p += kind == 2 ? 4 : 2;
	}
	for (; width == 8 && end - p >= 8; p += 8)
		swap64(p);
	for (; width == 4 && end - p >= 4; p += 4)
		swap32(p);
	for (; !width && end - p >= 2; p += 2)
		swap16(p);
}

void pd_swap_record(const struct pd_events *t, struct perf_event_header *hdr)
{
	unsigned char *body = (unsigned char *)(hdr + 1), *end = (unsigned char *)hdr + hdr->size;

	if (hdr->type == PERF_RECORD_SAMPLE)
		swap_sample(t, hdr);
	else if (hdr->type == PD_RECORD_HEADER_ATTR)
		swap_attr_record(hdr);
	else if (hdr->type == PD_RECORD_THREAD_MAP)
		swap_thread_map(body, end);
	else if (hdr->type == PD_RECORD_CPU_MAP)
		swap_cpu_map(body, end);
	else /* words that repeat up to the end must not take the trailer with them */
		swap_fields(body, end - swap_trailer(t, hdr), body_layout(hdr));
}
