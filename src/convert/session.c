// SPDX-License-Identifier: GPL-2.0-only
/*
 * session.c - takes in records, one at a time: sideband records into procs and images, samples
 * into stacks.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "convert/session.h"

#ifndef PERF_RECORD_MISC_FORK_EXEC
#define PERF_RECORD_MISC_FORK_EXEC (1 << 13)
#endif

enum { PID_KERNEL = 0xffffffff, EVENTS_MAX = UINT16_MAX };

static uint64_t new_seed(void)
{
	struct timespec now;
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		return seed;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return pa_mix(now.tv_nsec, (uintptr_t)&seed | 1);
}

static void forget_moment(struct pa_session *s)
{
	s->moment.from_ns = UINT64_MAX;
	s->moment.to_ns = 0;
}

int pa_session__new(const struct pa_session_opts *opts, struct pa_session **out)
{
	struct pa_session *s;

	*out = NULL;
	if (!opts->events)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(&s->opts, opts, opts->sz < sizeof(s->opts) ? opts->sz : sizeof(s->opts));
	s->seed = s->readings.seed = new_seed();
	pa_procs__init(&s->procs, s->seed);
	pa_fields__init(s);
	forget_moment(s);
	*out = s;
	return 0;
}

void pa_session__free(struct pa_session *s)
{
	if (!s)
		return;
	pa_procs__free(&s->procs);
	pa_session_unwind__free(s);
	pa_session_images__free(s);
	pa_fields__free(s);
	pa_offcpu__free(&s->offcpu);
	pa_readings__free(&s->readings);
	pa_traces__free(&s->traces);
	free(s->stacks);
	pa_stacks__free_queue(s);
	pa_index__free(&s->stack_table);
	pa_pool__free(&s->chains);
	pa_places__free(&s->places);
	pa_functions__free(&s->functions);
	free(s->frames);
	free(s->scratch);
	free(s);
}

void pa_session__warn(const struct pa_session *s, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	if (!s->opts.warn)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	s->opts.warn(s->opts.ctx, msg);
}

int pa_session__fail(struct pa_session *s, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->errmsg, sizeof(s->errmsg), fmt, ap);
	va_end(ap);
	return err;
}

bool pa_session__is_weighted(const struct pa_session *s)
{
	return s->opts.off_cpu || s->opts.weight_field;
}

const char *pa_session__errmsg(const struct pa_session *s)
{
	return s->errmsg;
}

/* Records that come in the order of samples, and count like them. */
bool pa_session__is_switch(const struct pa_session *s, __u32 type)
{
	return s->opts.off_cpu &&
	       (type == PERF_RECORD_SWITCH || type == PERF_RECORD_SWITCH_CPU_WIDE);
}

bool pa_session__is_sideband(__u32 type)
{
	switch (type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_COMM:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
	case PERF_RECORD_THROTTLE:
		return true;
	default:
		return false;
	}
}

/* FORK and EXIT have a time of their own, but to mix it with records that have none would put
 * those before everything else. */
static bool has_sideband_times(const struct pa_session *s)
{
	const struct pd_event *e = pd_events__get(s->opts.events, 0);

	return e && e->attr.sample_id_all && (e->attr.sample_type & PERF_SAMPLE_TIME);
}

uint64_t pa_session__sideband_time(const struct pa_session *s, const struct perf_event_header *hdr)
{
	struct pd_sample_id id;
	struct pd_task task;

	if (!has_sideband_times(s))
		return 0;
	if (hdr->type == PERF_RECORD_FORK || hdr->type == PERF_RECORD_EXIT)
		return pd_task__parse(s->opts.events, hdr, &task) ? 0 : task.time;
	return pd_sample_id__parse(s->opts.events, hdr, &id) ? 0 : id.time;
}

/* A module: its functions may have to be looked for in its file. */
static int feed_module(struct pa_session *s, const struct pd_mmap *m)
{
	struct pa_kmodule_ref ref = {m->filename, m->start, m->bytes, m->build_id,
				     m->build_id_bytes};

	if (!s->opts.symbolizer)
		return 0;
	if (!ref.build_id_bytes)
		ref.build_id_bytes = pa_session_images__listed(s, m->filename, &ref.build_id);
	return pa_symbolizer__add_module(s->opts.symbolizer, &ref);
}

static void note_kernel_text(struct pa_session *s, const struct pd_mmap *m)
{
	static const char *const names[] = {"_text", "_stext"};

	for (size_t i = 0; i < 2 && !s->kernel_text.addr; i++)
		if (!strncmp(m->filename, "[kernel.kallsyms]", 17) &&
		    !strcmp(m->filename + 17, names[i]))
			s->kernel_text = (struct pa_kernel_text){names[i], m->pgoff};
}

/* Kernel text and modules are one image; its records tell its build-id and where modules are. */
static int feed_kernel_map(struct pa_session *s, const struct pd_mmap *m)
{
	uint32_t i = pa_session_images__kernel(s);

	if (i == PA_NONE)
		return -ENOMEM;
	if (m->filename[0] == '/')
		return feed_module(s, m);
	/* perf names the map after its first symbol, whose address is pgoff */
	note_kernel_text(s, m);
	if (m->build_id_bytes && m->build_id_bytes <= PD_BUILD_ID_MAX &&
	    !strncmp(m->filename, "[kernel.kallsyms]", 17)) {
		memcpy(s->images[i].build_id, m->build_id, m->build_id_bytes);
		s->images[i].build_id_bytes = m->build_id_bytes;
	}
	return 0;
}

/* jit-PID.dump: a JIT compiler maps it so that a profile names it. */
static bool is_jitdump(const char *path)
{
	const char *base = strrchr(path, '/');
	int end = 0;

	return base && sscanf(base, "/jit-%*u.dump%n", &end) == 0 && end && !base[end];
}

static int feed_mmap(struct pa_session *s, const struct perf_event_header *hdr)
{
	__u16 cpumode = hdr->misc & PERF_RECORD_MISC_CPUMODE_MASK;
	struct pa_piece piece;
	struct pd_mmap m;
	uint32_t space, image;
	int err = pd_mmap__parse(s->opts.events, hdr, &m);

	if (err)
		return err;
	if (cpumode == PERF_RECORD_MISC_GUEST_KERNEL || cpumode == PERF_RECORD_MISC_GUEST_USER)
		return 0;
	if (cpumode == PERF_RECORD_MISC_KERNEL || m.pid == PID_KERNEL)
		return feed_kernel_map(s, &m);
	if (!(m.prot & 4 /* PROT_EXEC */) || !m.bytes)
		return 0;
	if (m.start + m.bytes < m.start || m.pgoff + m.bytes < m.pgoff)
		return -EBADMSG;
	space = pa_procs__space_of_sideband(&s->procs, m.pid, m.tid, m.id.time);
	if (space == PA_NONE)
		return -ENOMEM;
	if (is_jitdump(m.filename) && s->opts.symbolizer &&
	    pa_symbolizer__set_jitdump(s->opts.symbolizer, (pid_t)m.pid,
				       pa_procs__at(&s->procs, space)->birth_ns, m.filename))
		return -ENOMEM;
	image = pa_session_images__of_mmap(s, &m, pa_procs__at(&s->procs, space)->birth_ns);
	if (image == PA_NONE)
		return -ENOMEM;
	piece = (struct pa_piece){
		.start = m.start,
		.end = m.start + m.bytes,
		.pgoff = m.pgoff,
		.from_ns = m.id.time,
		.to_ns = UINT64_MAX,
		.image = image,
		.is_jit = s->images[image].kind == PA_IMAGE_JIT,
	};
	return pa_procs__map(&s->procs, space, &piece);
}

static int feed_comm(struct pa_session *s, const struct perf_event_header *hdr)
{
	struct pd_comm c;
	int err = pd_comm__parse(s->opts.events, hdr, &c);

	return err ? err : pa_procs__set_comm(&s->procs, c.pid, c.tid, c.comm, c.exec, c.id.time);
}

static int feed_task(struct pa_session *s, const struct perf_event_header *hdr)
{
	struct pd_task t;
	int err = pd_task__parse(s->opts.events, hdr, &t);

	if (err)
		return err;
	if (!has_sideband_times(s))
		t.time = 0;
	if (hdr->type == PERF_RECORD_EXIT)
		return pa_procs__exit(&s->procs, t.pid, t.tid, t.time);
	return pa_procs__fork(&s->procs, t.pid, t.tid, t.ppid, t.ptid,
			      !(hdr->misc & PERF_RECORD_MISC_FORK_EXEC), t.time);
}

static int feed_lost(struct pa_session *s, const struct perf_event_header *hdr)
{
	struct pd_lost l;
	int err = pd_lost__parse(s->opts.events, hdr, &l);

	if (err)
		return err;
	if (hdr->type == PERF_RECORD_LOST)
		s->lost_records_cnt += l.lost_cnt;
	else
		s->lost_samples_cnt += l.lost_cnt;
	return 0;
}

/* The user half of the stack as the branch records of perf record --call-graph lbr have it: each
 * branch is a call, newest first; where the newest went is the leaf. */
static int use_call_branches(struct pa_session *s, struct pd_sample *sample)
{
	size_t cnt = 0;

	if (!s->scratch)
		s->scratch = malloc(PD_CALLCHAIN_MAX * sizeof(*s->scratch));
	if (!s->scratch)
		return -ENOMEM;
	while (cnt < sample->ip_cnt && sample->ips[cnt] != (uint64_t)PERF_CONTEXT_USER) {
		s->scratch[cnt] = sample->ips[cnt];
		cnt++;
	}
	if (cnt + sample->branch_cnt + 2 > PD_CALLCHAIN_MAX)
		return 0;
	s->scratch[cnt++] = (uint64_t)PERF_CONTEXT_USER;
	s->scratch[cnt++] = sample->branches[0].to;
	/* beyond the call's first byte, as a return address is beyond its last */
	for (size_t i = 0; i < sample->branch_cnt; i++)
		s->scratch[cnt++] = sample->branches[i].from + 1;
	sample->ips = (const __u64 *)s->scratch;
	sample->ip_cnt = cnt;
	return 0;
}

/* The chain as perf would show it. */
static int complete_chain(struct pa_session *s, struct pd_sample *sample)
{
	const struct perf_event_attr *attr =
		&pd_events__get(s->opts.events, sample->id.event)->attr;

	if (sample->branch_cnt && sample->ip_cnt &&
	    (attr->branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK))
		return use_call_branches(s, sample);
	if (!sample->ip_cnt) {
		sample->ips = &sample->ip;
		sample->ip_cnt = 1;
		s->stats.no_stack_cnt++;
	}
	return 0;
}

void pa_session__note_time(struct pa_session *s, uint64_t time_ns)
{
	if (time_ns && (!s->stats.first_ns || time_ns < s->stats.first_ns))
		s->stats.first_ns = time_ns;
	if (time_ns > s->stats.last_ns)
		s->stats.last_ns = time_ns;
}

static int add_stack(struct pa_session *s, const struct pd_sample *sample,
		     const struct pa_place_context *context, const struct pa_stack_key *key,
		     const struct pa_sample_use *use)
{
	const struct pa_chain chain = {sample->ips, sample->ip_cnt, sample->period,
				       sample->cpumode};
	int err = pa_stacks__add(s, key, context, &chain);

	if (!err && use->is_off)
		err = pa_stacks__flush(s);
	if (!err && use->is_off)
		err = pa_offcpu__begin(s, use->off_tid, sample, s->last_stack);
	if (err)
		return err;
	s->stats.sample_cnt += !use->is_off;
	pa_session__note_time(s, sample->id.time);
	return 0;
}

/* What the sample's thread was then. Samples come in runs: mostly what it was for the last one. */
static int find_moment(struct pa_session *s, const struct pd_sample *sample, uint64_t time_ns,
		       struct pa_place_context *out)
{
	const struct pa_moment *m = &s->moment;
	int err = 0;

	out->time_ns = time_ns;
	if (m->pid == sample->id.pid && m->tid == sample->id.tid && m->from_ns <= time_ns &&
	    time_ns <= m->to_ns) {
		out->space = m->space;
		out->epoch_ns = m->epoch_ns;
		out->number = s->moment_context;
		return 0;
	}
	err = pa_procs__moment(&s->procs, sample->id.pid, sample->id.tid, time_ns, &s->moment);
	out->space = m->space;
	out->epoch_ns = m->epoch_ns;
	if (!err)
		err = pa_places__number(s, out);
	if (err)
		forget_moment(s);
	s->moment_context = out->number;
	return err;
}

static int feed_sample(struct pa_session *s, const struct perf_event_header *hdr,
		       const struct pd_sample *counted);

/* Each counter that the sample has the value of counts, not its own event alone. */
static int feed_readings(struct pa_session *s, const struct perf_event_header *hdr,
			 const struct pd_sample *sample, size_t cnt)
{
	struct pd_sample one;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < cnt; i++) {
		rc = pa_readings__take(&s->readings, s->opts.events, sample, i, &one);
		if (rc > 0)
			rc = feed_sample(s, hdr, &one);
		if (rc == -ENOENT) {
			s->stats.unknown_event_cnt++;
			rc = 0;
		}
	}
	return rc < 0 ? rc : 0;
}

/* @param counted  what hdr counts as, when it is not to be parsed */
static int feed_sample(struct pa_session *s, const struct perf_event_header *hdr,
		       const struct pd_sample *counted)
{
	struct pa_stack_key key = {0};
	struct pa_place_context context;
	struct pa_sample_use use = {0};
	struct pd_sample sample;
	uint64_t time_ns;
	size_t cnt;
	int err = 0;

	if (counted)
		sample = *counted;
	else
		err = pd_sample__parse(s->opts.events, hdr, &sample);
	if (err)
		return err;
	cnt = counted ? 0 : pa_readings__cnt(s->opts.events, &sample);
	if (cnt)
		return feed_readings(s, hdr, &sample, cnt);
	if (sample.id.event < 0 || sample.id.event > EVENTS_MAX)
		return -ENOENT;
	if (!pa_fields__is_plain(&s->fields, sample.id.event)) {
		err = pa_fields__of_sample(s, &sample, &use);
		if (err)
			return err < 0 ? err : 0;
	}
	/* Without times every sideband record counts. */
	time_ns = sample.id.time ? sample.id.time : UINT64_MAX;
	err = find_moment(s, &sample, time_ns, &context);
	if (err)
		return err;
	key.comm = s->moment.comm;
	if (s->opts.filter && !s->opts.filter(s->opts.ctx, &sample, key.comm)) {
		s->stats.filtered_cnt++;
		return 0;
	}
	if (s->opts.traces)
		return pa_traces__add(s, &sample, &context);
	key.pid = s->opts.merge_processes ? 0 : sample.id.pid;
	key.tid = s->opts.merge_threads ? 0 : sample.id.tid;
	key.event = sample.id.event;
	key.label = use.label;
	err = pa_session_unwind__sample(s, &sample, context.space, time_ns);
	if (!err)
		err = complete_chain(s, &sample);
	if (!err)
		err = add_stack(s, &sample, &context, &key, &use);
	if (!err && !counted)
		pa_run__begin(s, hdr, &sample, &key, &context);
	return err;
}

int pa_session__feed(struct pa_session *s, const struct perf_event_header *hdr)
{
	int err = 0;

	if (s->resolved)
		return -EINVAL;
	if (hdr->type != PERF_RECORD_SAMPLE)
		forget_moment(s);
	switch (hdr->type) {
	case PERF_RECORD_SAMPLE:
		err = pa_run__feed(s, hdr);
		if (err)
			return err < 0 ? err : 0;
		s->run.is_on = false;
		err = feed_sample(s, hdr, NULL);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		err = feed_mmap(s, hdr);
		break;
	case PERF_RECORD_COMM:
		err = feed_comm(s, hdr);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		err = feed_task(s, hdr);
		break;
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		err = feed_lost(s, hdr);
		break;
	case PERF_RECORD_THROTTLE:
		s->stats.throttle_cnt++;
		break;
	case PERF_RECORD_SWITCH:
	case PERF_RECORD_SWITCH_CPU_WIDE:
		err = pa_offcpu__feed(s, hdr);
		break;
	default:
		break;
	}
	if (err == -ENOENT) {
		s->stats.unknown_event_cnt++;
		return 0;
	}
	if (err == -EBADMSG)
		s->stats.malformed_cnt++;
	return err;
}

int pa_session__drop_exited(struct pa_session *s, uint64_t before_ns, bool (*is_there)(uint32_t))
{
	int err;

	if (!pa_procs__is_due(&s->procs))
		return 0;
	err = pa_stacks__flush(s); /* they name their spaces */
	forget_moment(s);
	return err ? err : pa_procs__drop_exited(&s->procs, before_ns, is_there);
}

void pa_session__stats(const struct pa_session *s, struct pa_session_stats *out)
{
	*out = s->stats;
	out->stack_cnt = s->stack_cnt;
	out->off_cnt = s->offcpu.out_cnt;
	out->unpaired_cnt = s->offcpu.unpaired_cnt;
	out->dropped_cnt = s->procs.dropped_map_cnt + s->procs.dropped_late_cnt;
	out->lost_cnt = s->lost_samples_cnt ? s->lost_samples_cnt : s->lost_records_cnt;
}

struct pa_kernel_text pa_session__kernel_text(const struct pa_session *s)
{
	return s->kernel_text;
}
