// SPDX-License-Identifier: GPL-2.0-only
/*
 * fields.c - events by name, weights and labels out of tracepoints' fields, and the samples that
 * tell of time off the CPU. What an event is good for is worked out at its first sample.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

enum {
	NAME_BYTES = 160,
	OFF_SEARCHES_MAX = 64,
	STATE_DEAD = 0x30, /* of prev_state: EXIT_DEAD, EXIT_ZOMBIE */
};

/* perf 6.1 gives the sums of its BPF program times from here on, to sort them to the end. */
#define SUM_TIME_MIN (~0ULL << 32)

void pa_fields__init(struct pa_session *s)
{
	s->fields.strings.seed = s->seed;
}

void pa_fields__free(struct pa_session *s)
{
	struct pa_fields *f = &s->fields;

	pa_tracing__free(f->tracing);
	free(f->uses);
	free(f->ips);
	free(f->sets);
	pa_index__free(&f->set_table);
	pa_strings__free(&f->strings);
	pa_pool__free(&f->pool);
}

/* ---- events ------------------------------------------------------------------------------ */

/* perfdata names an event that the file does not name after its type. */
static int name_event(struct pa_session *s, size_t i)
{
	const struct pd_event *e = pd_events__get(s->opts.events, i);
	char name[NAME_BYTES];

	if (!s->fields.tracing || e->attr.type != PERF_TYPE_TRACEPOINT ||
	    strncmp(e->name, "type=", 5) ||
	    pa_tracing__name(s->fields.tracing, e->attr.config, name, sizeof(name)))
		return 0;
	return pd_events__rename(s->opts.events, i, name);
}

int pa_fields__take_tracing(struct pa_session *s, const void *data, size_t bytes)
{
	int err;

	if (s->fields.tracing)
		return 0;
	err = pa_tracing__parse(data, bytes, &s->fields.tracing);
	if (err == -ENOMEM)
		return err;
	if (err || pa_tracing__is_damaged(s->fields.tracing))
		pa_session__warn(s, "failed to read all tracepoint formats: they are damaged");
	err = 0;
	for (size_t i = 0; !err && i < pd_events__cnt(s->opts.events); i++)
		err = name_event(s, i);
	return err;
}

int pa_session__take_tracing(struct pa_session *s, const void *data, size_t bytes)
{
	return pa_fields__take_tracing(s, data, bytes);
}

/* Is name the event's, whose own may have modifiers: "cycles:u", "cpu/cycles/pp"? */
static bool is_named(const char *event, const char *name)
{
	size_t bytes = strlen(name);
	const char *rest = event + bytes;

	if (strncmp(event, name, bytes))
		return false;
	if (*rest == ':' && rest[1])
		rest++;
	else if (*rest && (!bytes || name[bytes - 1] != '/'))
		return false;
	return !rest[strspn(rest, "ukhGHIpPSDWeb")];
}

static bool is_sched_switch(const struct pa_session *s, const struct pd_event *e)
{
	char name[NAME_BYTES];

	if (is_named(e->name, "sched:sched_switch"))
		return true;
	return s->fields.tracing && e->attr.type == PERF_TYPE_TRACEPOINT &&
	       !pa_tracing__name(s->fields.tracing, e->attr.config, name, sizeof(name)) &&
	       !strcmp(name, "sched:sched_switch");
}

const char *pa_fields__off_reason(const struct pd_event *e)
{
	if (e->attr.type != PERF_TYPE_SOFTWARE || strncmp(e->name, "offcpu:", 7))
		return NULL;
	return e->name + 7;
}

/* Of perf record --off-cpu, either kind, or our own: periods are times. */
static bool is_sum(const struct pd_event *e)
{
	return e->attr.type == PERF_TYPE_SOFTWARE &&
	       (is_named(e->name, "offcpu-time") || pa_fields__off_reason(e));
}

static bool is_packed(const struct pd_event *e)
{
	return is_sum(e) && e->attr.config == PERF_COUNT_SW_BPF_OUTPUT &&
	       (e->attr.sample_type & PERF_SAMPLE_RAW);
}

static enum pa_off_source off_source(const struct pa_session *s, const struct pd_event *e)
{
	bool is_software = e->attr.type == PERF_TYPE_SOFTWARE;

	if (s->opts.event && !is_named(e->name, s->opts.event))
		return PA_OFF_NONE;
	if (is_sum(e))
		return PA_OFF_PERF;
	if (!(e->attr.sample_type & PERF_SAMPLE_TIME) || !(e->attr.sample_type & PERF_SAMPLE_TID))
		return PA_OFF_NONE;
	if (is_sched_switch(s, e))
		return PA_OFF_SCHED_SWITCH;
	if (is_software && e->attr.config == PERF_COUNT_SW_CONTEXT_SWITCHES && !e->attr.freq &&
	    e->attr.sample_period == 1)
		return PA_OFF_CONTEXT_SWITCH;
	return PA_OFF_NONE;
}

static enum pa_off_source best_off_source(const struct pa_session *s)
{
	enum pa_off_source best = PA_OFF_NONE;

	for (size_t i = 0; i < pd_events__cnt(s->opts.events); i++) {
		enum pa_off_source source = off_source(s, pd_events__get(s->opts.events, i));

		if (source && (!best || source < best))
			best = source;
	}
	return best;
}

static const struct tep_format_field *find_field(const struct pa_session *s,
						 const struct pd_event *e, const char *name)
{
	if (!s->fields.tracing || e->attr.type != PERF_TYPE_TRACEPOINT ||
	    !(e->attr.sample_type & PERF_SAMPLE_RAW))
		return NULL;
	return pa_tracing__field(s->fields.tracing, e->attr.config, name);
}

/* Kept apart: a stream may rename the event. @return 0, -ENOMEM */
static int keep_reason(struct pa_session *s, const struct pd_event *e, struct pa_event_use *use)
{
	struct pa_strings *strings = &s->fields.strings;
	const char *reason = pa_fields__off_reason(e);
	uint32_t str;

	if (!reason)
		return 0;
	str = pa_strings__intern(strings, reason, strlen(reason));
	if (str == PA_NONE)
		return -ENOMEM;
	use->reason = strings->strs[str];
	return 0;
}

static int work_out(struct pa_session *s, const struct pd_event *e, struct pa_event_use *use)
{
	struct pa_fields *f = &s->fields;

	if (keep_reason(s, e, use))
		return -ENOMEM;
	use->is_known = true;
	use->is_wanted = !s->opts.event || is_named(e->name, s->opts.event);
	use->is_packed = is_packed(e);
	if (s->opts.off_cpu) {
		/* a stream may name more events later; a file with very many has none to find */
		if (!f->off_source && f->off_search_cnt++ < OFF_SEARCHES_MAX)
			f->off_source = best_off_source(s);
		use->off = off_source(s, e);
		use->is_wanted &= use->off && use->off == f->off_source;
	}
	if (use->off == PA_OFF_SCHED_SWITCH) {
		use->prev_pid = find_field(s, e, "prev_pid");
		use->next_pid = find_field(s, e, "next_pid");
		use->prev_state = find_field(s, e, "prev_state");
	}
	if (s->opts.weight_field && !s->opts.off_cpu)
		use->weight = find_field(s, e, s->opts.weight_field);
	for (size_t i = 0; s->opts.label_fields && s->opts.label_fields[i] && i < PA_LABELS_MAX;
	     i++) {
		use->labels[i] = find_field(s, e, s->opts.label_fields[i]);
		if (use->labels[i] ||
		    (use->prev_state && !strcmp(s->opts.label_fields[i], "state")))
			f->label_seen |= 1u << i;
	}
	use->is_plain = use->is_wanted && !use->off && !s->opts.weight_field &&
			!(s->opts.label_fields && *s->opts.label_fields) && !is_sum(e);
	return 0;
}

/* @return NULL without memory */
static const struct pa_event_use *use_of(struct pa_session *s, size_t event)
{
	struct pa_fields *f = &s->fields;
	struct pa_event_use *uses;
	size_t cnt;

	if (event >= f->use_cnt) {
		cnt = pd_events__cnt(s->opts.events);
		uses = reallocarray(f->uses, cnt, sizeof(*uses));
		if (!uses)
			return NULL;
		memset(uses + f->use_cnt, 0, (cnt - f->use_cnt) * sizeof(*uses));
		f->uses = uses;
		f->use_cnt = cnt;
	}
	if (!f->uses[event].is_known) {
		if (name_event(s, event) == -ENOMEM ||
		    work_out(s, pd_events__get(s->opts.events, event), &f->uses[event]))
			return NULL;
	}
	return &f->uses[event];
}

/* ---- labels ------------------------------------------------------------------------------ */

static bool is_same_label(const struct pa_label *a, const struct pa_label *b)
{
	return a->key == b->key && a->str == b->str && a->num == b->num;
}

/* Index of a set + 1; 0: out of memory. */
static uint32_t intern_labels(struct pa_session *s, const struct pa_label *labels, size_t cnt)
{
	struct pa_fields *f = &s->fields;
	uint64_t hash = s->seed;
	uint32_t pos, i;
	size_t k;

	for (k = 0; k < cnt; k++)
		hash = pa_mix(hash ^ (uintptr_t)labels[k].key ^ 0x9e3779b97f4a7c15ULL,
			      (uintptr_t)labels[k].str ^ labels[k].num ^ 0xd6e8feb86659fd93ULL);
	pos = pa_index__start(&f->set_table, hash);
	while ((i = pa_index__next(&f->set_table, hash, &pos)) != PA_NONE) {
		for (k = 0; k < cnt && f->sets[i].cnt == cnt; k++)
			if (!is_same_label(&f->sets[i].labels[k], &labels[k]))
				break;
		if (f->sets[i].hash == hash && k == cnt)
			return i + 1;
	}
	if (f->set_cnt >= PA_NONE - 1 ||
	    pa_array_grow(&f->sets, f->set_cnt, &f->set_cap, sizeof(*f->sets)))
		return 0;
	f->sets[f->set_cnt] = (struct pa_label_set){
		.hash = hash,
		.labels = pa_pool__alloc(&f->pool, cnt * sizeof(*labels)),
		.cnt = cnt,
	};
	if (!f->sets[f->set_cnt].labels || pa_index__add(&f->set_table, hash, f->set_cnt))
		return 0;
	memcpy(f->sets[f->set_cnt].labels, labels, cnt * sizeof(*labels));
	return ++f->set_cnt;
}

/* The letter that ps shows; a thread that is ready to run was preempted. */
static const char *state_name(int64_t prev_state)
{
	static const char *const names[] = {"S", "D", "T", "t", "X", "Z", "P", "I"};

	for (unsigned int bit = 0; bit < sizeof(names) / sizeof(*names); bit++)
		if (prev_state >> bit & 1)
			return names[bit];
	return "R";
}

/* Every sample has labels of these names. */
static const char *label_key(const char *field)
{
	if (!strcmp(field, "pid"))
		return "field:pid";
	if (!strcmp(field, "tid"))
		return "field:tid";
	return strcmp(field, "comm") ? field : "field:comm";
}

/* @return 1 there is one, 0 none, -EBADMSG, -ENOMEM */
static int get_label(struct pa_session *s, const struct pa_event_use *use, size_t i,
		     const struct pd_sample *sample, struct pa_label *out)
{
	struct pa_fields *f = &s->fields;
	const struct tep_format_field *field = use->labels[i];
	struct pa_field_value v;
	uint32_t str;
	int err;

	*out = (struct pa_label){.key = label_key(s->opts.label_fields[i])};
	if (!field && use->prev_state && !strcmp(out->key, "state"))
		field = use->prev_state;
	if (!field)
		return 0;
	err = pa_tracing__read(f->tracing, field, sample->raw, sample->raw_bytes, &v);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	if (v.is_num && field == use->labels[i]) {
		out->num = v.num;
		return 1;
	}
	if (v.is_num)
		v = (struct pa_field_value){.str = state_name(v.num), .str_bytes = 1};
	str = pa_strings__intern(&f->strings, v.str, v.str_bytes);
	if (str == PA_NONE)
		return -ENOMEM;
	out->str = f->strings.strs[str];
	return 1;
}

static int get_labels(struct pa_session *s, const struct pa_event_use *use,
		      const struct pd_sample *sample, uint32_t *out)
{
	struct pa_label labels[PA_LABELS_MAX + 1];
	size_t cnt = 0;
	int rc;

	for (size_t i = 0; i < PA_LABELS_MAX && s->opts.label_fields && s->opts.label_fields[i];
	     i++) {
		rc = get_label(s, use, i, sample, &labels[cnt]);
		if (rc < 0)
			return rc;
		cnt += rc;
	}
	if (use->reason)
		labels[cnt++] = (struct pa_label){.key = "reason", .str = use->reason};
	if (!cnt)
		return 0;
	*out = intern_labels(s, labels, cnt);
	return *out ? 0 : -ENOMEM;
}

/* ---- samples ----------------------------------------------------------------------------- */

/* {u32 pid, tid; u64 ns, ip_cnt, ips[ip_cnt], cgroup}, after 4 bytes of size: unaligned. */
static int unpack(struct pa_fields *f, struct pd_sample *sample)
{
	const char *p = sample->raw;
	uint64_t head[3];
	uint32_t ids[2];

	if (sample->raw_bytes < sizeof(head))
		return -EBADMSG;
	memcpy(head, p, sizeof(head));
	memcpy(ids, p, sizeof(ids));
	if (head[2] > PD_CALLCHAIN_MAX ||
	    head[2] > (sample->raw_bytes - sizeof(head)) / sizeof(uint64_t))
		return -EBADMSG;
	if (!f->ips)
		f->ips = malloc(PD_CALLCHAIN_MAX * sizeof(*f->ips));
	if (!f->ips)
		return -ENOMEM;
	memcpy(f->ips, p + sizeof(head), head[2] * sizeof(*f->ips));
	sample->id.pid = ids[0];
	sample->id.tid = ids[1];
	sample->period = head[1];
	sample->ips = (const __u64 *)f->ips;
	sample->ip_cnt = head[2];
	return 0;
}

/* A number of a switch's raw data; fallback where it has none. */
static int64_t get_number(const struct pa_session *s, const struct tep_format_field *field,
			  const struct pd_sample *sample, int64_t fallback)
{
	struct pa_field_value v;

	if (!field ||
	    pa_tracing__read(s->fields.tracing, field, sample->raw, sample->raw_bytes, &v) ||
	    !v.is_num)
		return fallback;
	return v.num;
}

static int take_switch(struct pa_session *s, const struct pa_event_use *use,
		       const struct pd_sample *sample, struct pa_sample_use *out)
{
	int64_t next = get_number(s, use->next_pid, sample, 0);
	int64_t state = get_number(s, use->prev_state, sample, 0);

	/* a thread's number in its raw data is the kernel's, in the sample perf's namespace's */
	out->off_tid = get_number(s, use->prev_pid, sample, sample->id.tid);
	out->is_off = out->off_tid != 0 && !(state & STATE_DEAD);
	if (next && pa_offcpu__in(s, next, sample->id.time))
		return -ENOMEM;
	return out->is_off ? 0 : 1; /* an idle CPU and the dead don't wait for anything */
}

/* @return 0, 1 leave it out, -EBADMSG */
static int take_weight(struct pa_session *s, const struct pa_event_use *use,
		       struct pd_sample *sample)
{
	struct pa_field_value v;

	if (!use->weight) {
		s->fields.weightless_cnt++;
		return 1;
	}
	if (pa_tracing__read(s->fields.tracing, use->weight, sample->raw, sample->raw_bytes, &v))
		return -EBADMSG;
	if (!v.is_num) {
		s->fields.weightless_cnt++;
		return 1;
	}
	s->fields.negative_cnt += v.num < 0;
	sample->period = v.num < 0 ? 0 : v.num;
	return 0;
}

int pa_fields__of_sample(struct pa_session *s, struct pd_sample *sample, struct pa_sample_use *out)
{
	const struct pa_event_use *use = use_of(s, sample->id.event);
	int rc = 0;

	*out = (struct pa_sample_use){0};
	if (!use)
		return -ENOMEM;
	if (!use->is_wanted) {
		s->stats.filtered_cnt++;
		return 1;
	}
	if (use->is_packed)
		rc = unpack(&s->fields, sample);
	else if (use->off == PA_OFF_SCHED_SWITCH || use->off == PA_OFF_CONTEXT_SWITCH)
		rc = take_switch(s, use, sample, out);
	else if (s->opts.weight_field && !s->opts.off_cpu)
		rc = take_weight(s, use, sample);
	if (sample->id.time >= SUM_TIME_MIN)
		sample->id.time = 0;
	if (!rc && (s->opts.label_fields || use->reason))
		rc = get_labels(s, use, sample, &out->label);
	return rc;
}

/* ---- at the end -------------------------------------------------------------------------- */

/* "cycles, sched:sched_switch" */
static void list_events(const struct pa_session *s, char *buf, size_t bytes)
{
	buf[0] = '\0';
	for (size_t i = 0; i < pd_events__cnt(s->opts.events); i++) {
		size_t used = strlen(buf);

		snprintf(buf + used, bytes - used, "%s%s", used ? ", " : "",
			 pd_events__get(s->opts.events, i)->name);
	}
}

static int check_event(struct pa_session *s)
{
	char names[256];

	for (size_t i = 0; i < pd_events__cnt(s->opts.events); i++)
		if (is_named(pd_events__get(s->opts.events, i)->name, s->opts.event))
			return 0;
	list_events(s, names, sizeof(names));
	return pa_session__fail(s, -ENOENT, "no event is named %s: the file has %s", s->opts.event,
				*names ? names : "none");
}

/* Fields of the wanted tracepoints, for a message. */
static void list_fields(const struct pa_session *s, char *buf, size_t bytes)
{
	buf[0] = '\0';
	for (size_t i = 0; s->fields.tracing && i < pd_events__cnt(s->opts.events); i++) {
		const struct pd_event *e = pd_events__get(s->opts.events, i);
		size_t used = strlen(buf);
		char names[256];

		if (e->attr.type != PERF_TYPE_TRACEPOINT ||
		    (s->opts.event && !is_named(e->name, s->opts.event)))
			continue;
		pa_tracing__field_names(s->fields.tracing, e->attr.config, names, sizeof(names));
		if (*names)
			snprintf(buf + used, bytes - used, "%s%s has %s", used ? "; " : ": ",
				 e->name, names);
	}
}

static int check_fields(struct pa_session *s)
{
	struct pa_fields *f = &s->fields;
	char names[384];

	list_fields(s, names, sizeof(names));
	if (s->opts.weight_field && !s->opts.off_cpu && f->weightless_cnt) {
		if (!s->stats.sample_cnt)
			return pa_session__fail(s, -ENOENT, "no sample has a number %s%s",
						s->opts.weight_field, names);
		pa_session__warn(s, "left out %llu samples without a number %s",
				 (unsigned long long)f->weightless_cnt, s->opts.weight_field);
	}
	if (f->negative_cnt)
		pa_session__warn(s, "%llu samples have a negative %s: they weigh 0",
				 (unsigned long long)f->negative_cnt, s->opts.weight_field);
	for (size_t i = 0; s->opts.label_fields && s->opts.label_fields[i] && i < PA_LABELS_MAX;
	     i++)
		if (!(f->label_seen >> i & 1))
			pa_session__warn(s, "no sample has a field %s%s", s->opts.label_fields[i],
					 names);
	return 0;
}

/* Each thread may wait at the end, and some switches get lost; many more means that switches in
 * were not recorded. */
static void check_pairs(const struct pa_session *s)
{
	const struct pa_offcpu *o = &s->offcpu;

	if (o->unpaired_cnt > o->thread_cnt + o->out_cnt / 10)
		pa_session__warn(s,
				 "left out %llu of %llu times off the CPU, because their end is "
				 "not in the file: record all CPUs (perf record -a), or with "
				 "--switch-events",
				 (unsigned long long)o->unpaired_cnt,
				 (unsigned long long)o->out_cnt);
}

int pa_fields__check(struct pa_session *s)
{
	int err = 0;

	if (s->opts.event)
		err = check_event(s);
	if (!err && s->opts.off_cpu && !best_off_source(s))
		err = pa_session__fail(s, -ENOENT,
				       "no context switches with times: record them with perf "
				       "record -a -g -e sched:sched_switch, or for one program "
				       "with --switch-events -g -e context-switches -c 1");
	if (!err && s->opts.off_cpu)
		check_pairs(s);
	return err ? err : check_fields(s);
}
