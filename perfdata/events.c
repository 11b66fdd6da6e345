/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * events.c - the events of a perf.data file and the map from a sample's id to its event. The map
 * is an open-addressed table with a seed per table, so that a file can't be made to collide.
 */
#include <errno.h>
#include <stdlib.h>

#include "perfdata/internal.h"

#define PD_BRANCH_COUNTERS (1ULL << 19) /* PERF_SAMPLE_BRANCH_COUNTERS, Linux 6.8 */
#define PD_ATTR_MAX_BYTES 4096		/* a page, as perf_event_open has it */

/* clang-format off */
static const char *const hardware_names[] = {
	"cycles", "instructions", "cache-references", "cache-misses", "branches", "branch-misses",
	"bus-cycles", "stalled-cycles-frontend", "stalled-cycles-backend", "ref-cycles",
};

static const char *const software_names[] = {
	"cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations",
	"minor-faults", "major-faults", "alignment-faults", "emulation-faults", "dummy",
	"bpf-output", "cgroup-switches",
};
/* clang-format on */

int pd_events__new(struct pd_events **out)
{
	struct pd_events *t = calloc(1, sizeof(*t));

	*out = t;
	if (!t)
		return -ENOMEM;
	t->id_word = t->trailer_id_word = -1;
	t->seed = (__u64)(uintptr_t)t * 0x9e3779b97f4a7c15ULL;
	return 0;
}

void pd_events__free(struct pd_events *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cnt; i++) {
		free(t->list[i].ids);
		free(t->list[i].name);
	}
	free(t->list);
	free(t->layouts);
	free(t->slots);
	free(t);
}

static size_t id_slot(const struct pd_events *t, __u64 id)
{
	__extension__ typedef unsigned __int128 u128;
	u128 h = (u128)(id ^ t->seed) * (t->seed ^ 0xff51afd7ed558ccdULL);

	return ((__u64)h ^ (__u64)(h >> 64)) & (t->slot_cnt - 1);
}

static void id_insert(struct pd_events *t, __u64 id, __u32 event_plus1)
{
	size_t i = id_slot(t, id);

	while (t->slots[i].event_plus1) {
		if (t->slots[i].id == id)
			return; /* the first event that lists an id owns it */
		i = (i + 1) & (t->slot_cnt - 1);
	}
	t->slots[i] = (struct pd_id_slot){id, event_plus1};
	t->id_cnt++;
}

static int id_reserve(struct pd_events *t, size_t more_cnt)
{
	struct pd_id_slot *old = t->slots;
	size_t old_cnt = t->slot_cnt, want = 16;

	if (more_cnt > (SIZE_MAX / sizeof(*old)) / 4 - t->id_cnt)
		return -ENOMEM;
	while (want <= 2 * (t->id_cnt + more_cnt))
		want *= 2;
	if (want <= old_cnt)
		return 0;
	t->slots = calloc(want, sizeof(*t->slots));
	if (!t->slots) {
		t->slots = old;
		return -ENOMEM;
	}
	t->slot_cnt = want;
	t->id_cnt = 0;
	for (size_t i = 0; i < old_cnt; i++) {
		if (old[i].event_plus1)
			id_insert(t, old[i].id, old[i].event_plus1);
	}
	free(old);
	return 0;
}

int pd_events__by_id(const struct pd_events *t, __u64 id)
{
	/* Records that perf itself makes have the id 0 and belong to the first event. */
	if (t->cnt == 1 || (t->cnt && (!id || !t->id_cnt)))
		return 0;
	if (!t->id_cnt)
		return -1;
	for (size_t i = id_slot(t, id); t->slots[i].event_plus1; i = (i + 1) & (t->slot_cnt - 1)) {
		if (t->slots[i].id == id)
			return (int)t->slots[i].event_plus1 - 1;
	}
	return -1;
}

int pd_events_of_sample(const struct pd_events *t, const __u64 *words, size_t word_cnt)
{
	if (t->cnt <= 1)
		return (int)t->cnt - 1;
	if ((size_t)t->id_word >= word_cnt)
		return -1;
	return pd_events__by_id(t, words[t->id_word]);
}

static int id_word(__u64 type)
{
	if (type & PERF_SAMPLE_IDENTIFIER)
		return 0;
	if (!(type & PERF_SAMPLE_ID))
		return -1;
	return __builtin_popcountll(
		type & (PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR));
}

static int trailer_id_word(__u64 type)
{
	if (type & PERF_SAMPLE_IDENTIFIER)
		return 1;
	if (!(type & PERF_SAMPLE_ID))
		return -1;
	return 1 + __builtin_popcountll(type & (PERF_SAMPLE_CPU | PERF_SAMPLE_STREAM_ID));
}

static void layout_fill(struct pd_layout *l, const struct perf_event_attr *attr)
{
	const __u64 trailer = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID |
			      PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER;

	l->sample_type = attr->sample_type;
	l->read_format = attr->read_format;
	l->period = !attr->freq && attr->sample_period ? attr->sample_period : 1;
	l->user_reg_cnt = (__u32)__builtin_popcountll(attr->sample_regs_user);
	l->intr_reg_cnt = (__u32)__builtin_popcountll(attr->sample_regs_intr);
	if (attr->sample_id_all)
		l->trailer_bytes = 8 * (__u32)__builtin_popcountll(attr->sample_type & trailer);
	l->hw_idx = attr->branch_sample_type & PERF_SAMPLE_BRANCH_HW_INDEX;
	l->branch_counters = attr->branch_sample_type & PD_BRANCH_COUNTERS;
	l->fixed_cnt = (__u32)__builtin_popcountll(attr->sample_type & PD_FIXED_FIELDS);
	l->common = (attr->sample_type & ~(__u64)PD_FIXED_FIELDS) == PERF_SAMPLE_CALLCHAIN;
}

static char *default_name(const struct perf_event_attr *attr)
{
	const char *base = NULL;
	char buf[64];

	if (attr->type == PERF_TYPE_HARDWARE &&
	    attr->config < sizeof(hardware_names) / sizeof(hardware_names[0]))
		base = hardware_names[attr->config];
	else if (attr->type == PERF_TYPE_SOFTWARE &&
		 attr->config < sizeof(software_names) / sizeof(software_names[0]))
		base = software_names[attr->config];
	if (base)
		snprintf(buf, sizeof(buf), "%s%s", base,
			 attr->exclude_kernel && !attr->exclude_user ? ":u" : "");
	else
		snprintf(buf, sizeof(buf), "type=%u/config=%#llx", attr->type,
			 (unsigned long long)attr->config);
	return strdup(buf);
}

/* Sizes that no kernel knows, and fields behind the attr's own end, are damage. */
static bool attr_ok(const struct perf_event_attr *attr)
{
	size_t bytes = attr->size ? attr->size : PERF_ATTR_SIZE_VER0;
	const unsigned char *p = (const unsigned char *)attr;

	if (bytes < PERF_ATTR_SIZE_VER0 || bytes > PD_ATTR_MAX_BYTES || bytes % 8)
		return false;
	for (size_t i = bytes; i < sizeof(*attr); i++) {
		if (p[i])
			return false;
	}
	return true;
}

static int events_grow(struct pd_events *t)
{
	size_t cap = t->cap ? 2 * t->cap : 4;
	void *p;

	if (t->cnt < t->cap)
		return 0;
	p = reallocarray(t->list, cap, sizeof(*t->list));
	if (!p)
		return -ENOMEM;
	t->list = p;
	p = reallocarray(t->layouts, cap, sizeof(*t->layouts));
	if (!p)
		return -ENOMEM;
	t->layouts = p;
	t->cap = cap;
	return 0;
}

int pd_events__add(struct pd_events *t, const struct perf_event_attr *attr, const __u64 *ids,
		   size_t id_cnt, const char *name)
{
	struct pd_event e = {.attr = *attr, .id_cnt = id_cnt};
	int word = id_word(attr->sample_type), trailer = trailer_id_word(attr->sample_type);
	int err = -EINVAL;

	if (!attr_ok(attr) || t->cnt >= INT32_MAX)
		goto out;
	if (t->cnt && (word < 0 || word != t->id_word || trailer != t->trailer_id_word))
		goto out;
	err = -ENOMEM;
	e.ids = reallocarray(NULL, id_cnt ? id_cnt : 1, sizeof(*ids));
	e.name = name ? strdup(name) : default_name(attr);
	if (!e.ids || !e.name || events_grow(t) || id_reserve(t, id_cnt))
		goto out;
	if (id_cnt)
		memcpy(e.ids, ids, id_cnt * sizeof(*ids));
	for (size_t i = 0; i < id_cnt; i++)
		id_insert(t, ids[i], (__u32)t->cnt + 1);
	t->id_word = word;
	t->trailer_id_word = trailer;
	t->list[t->cnt] = e;
	memset(&t->layouts[t->cnt], 0, sizeof(*t->layouts));
	layout_fill(&t->layouts[t->cnt], attr);
	return (int)t->cnt++;
out:
	free(e.ids);
	free(e.name);
	return err;
}

size_t pd_events__cnt(const struct pd_events *t)
{
	return t->cnt;
}

const struct pd_event *pd_events__get(const struct pd_events *t, size_t i)
{
	return i < t->cnt ? &t->list[i] : NULL;
}

/* Of the fields of one word each, in the order of <linux/perf_event.h>. */
static int word_of(__u64 type, __u64 field)
{
	static const __u64 order[] = {PERF_SAMPLE_IDENTIFIER, PERF_SAMPLE_IP,	PERF_SAMPLE_TID,
				      PERF_SAMPLE_TIME,	      PERF_SAMPLE_ADDR, PERF_SAMPLE_ID,
				      PERF_SAMPLE_STREAM_ID,  PERF_SAMPLE_CPU,	PERF_SAMPLE_PERIOD};
	int word = 0;

	if (!(type & field))
		return -1;
	for (size_t i = 0; order[i] != field; i++)
		word += !!(type & order[i]);
	return word;
}

bool pd_events__sample_words(const struct pd_events *t, size_t i, struct pd_sample_words *out)
{
	__u64 type;

	if (i >= t->cnt || !t->layouts[i].common)
		return false;
	type = t->layouts[i].sample_type;
	*out = (struct pd_sample_words){
		.id = t->id_word,
		.tid = word_of(type, PERF_SAMPLE_TID),
		.time = word_of(type, PERF_SAMPLE_TIME),
		.period = word_of(type, PERF_SAMPLE_PERIOD),
		.callchain = (int)t->layouts[i].fixed_cnt,
	};
	return true;
}

int pd_events__rename(struct pd_events *t, size_t i, const char *name)
{
	char *copy;

	if (i >= t->cnt)
		return -ENOENT;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(t->list[i].name);
	t->list[i].name = copy;
	return 0;
}
