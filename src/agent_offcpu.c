// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_offcpu.c - off-CPU samples as part of a capture: what their options ask for, the events
 * that describe them, and what is said of them at the end.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "agent_internal.h"
#include "capture/tracepoint.h"

#define ALL_REASONS (PA_OFFCPU_BLOCKED | PA_OFFCPU_IO | PA_OFFCPU_PREEMPTED)
_Static_assert(PA_OFFCPU_BLOCKED == 1 << PA_OFF_BLOCKED && PA_OFFCPU_IO == 1 << PA_OFF_IO &&
		       PA_OFFCPU_PREEMPTED == 1 << PA_OFF_PREEMPTED,
	       "one set of reasons");

static const char *const event_names[PA_OFF_REASON_CNT] = {
	[PA_OFF_BLOCKED] = "offcpu:blocked",
	[PA_OFF_IO] = "offcpu:io",
	[PA_OFF_PREEMPTED] = "offcpu:preempted",
};

int pa_agent_check_offcpu(struct pa_agent *a)
{
	const struct pa_agent_opts *o = &a->opts;

	if (!pa_agent_offcpus(a))
		return 0;
	if (o->offcpu_reasons & ~(unsigned)ALL_REASONS)
		return pa_agent_fail(a, -EINVAL, "--offcpu-reasons: no such reason");
	if (!(o->offcpu_probability >= 0 && o->offcpu_probability <= 1))
		return pa_agent_fail(a, -EINVAL,
				     "--offcpu-probability must be more than 0, "
				     "and at most 1");
	if (o->layout == PA_LAYOUT_COMBINED && !o->perf_data_output)
		return pa_agent_fail(a, -EINVAL,
				     "--perf-data-layout combined needs "
				     "--perf-data-output");
	if (o->layout != PA_LAYOUT_SEPARATE && (o->offcpu_min_ns || o->offcpu_probability > 0))
		return pa_agent_fail(a, -EINVAL,
				     "this --perf-data-layout has every switch: "
				     "no least time, no probability");
	if (o->cpus)
		return pa_agent_fail(a, -EINVAL,
				     "--cpu and --offcpu are mutually exclusive: a thread that "
				     "waits has no CPU");
	return 0;
}

static int describe_reasons(struct pa_agent *a, struct perf_event_attr *attr)
{
	int err = pd_events__new(&a->off.events);

	for (__u64 i = 0; i < PA_OFF_REASON_CNT && err >= 0; i++) {
		__u64 ids[] = {PA_OFF_ID + i, PA_SAMPLE_ID};

		err = pd_events__add(a->off.events, attr, ids, i ? 1 : 2, event_names[i]);
	}
	return err < 0 ? err : 0;
}

/* As hotspot wants it: the name says that stacks are of switches, SWITCH records say when. Both
 * kinds of samples are in one file, and what is made of it knows both events. */
static int describe_combined(struct pa_agent *a, struct perf_event_attr *attr)
{
	const struct pd_event *on = pd_events__get(a->on.events, 0);
	const __u64 id = PA_SWITCH_ID;
	int err = pd_events__new(&a->off.events);

	if (!err)
		err = pd_events__add(a->off.events, &on->attr, on->ids, on->id_cnt, on->name);
	if (err >= 0)
		err = pd_events__add(a->off.events, attr, &id, 1, "sched:sched_switch");
	if (err >= 0)
		err = pd_events__add(a->on.events, attr, &id, 1, "sched:sched_switch");
	return err < 0 ? err : 0;
}

static int describe_tracepoint(struct pa_agent *a, struct perf_event_attr *attr)
{
	const __u64 ids[] = {PA_SWITCH_ID, PA_SAMPLE_ID};
	int err = pa_tracepoint__sched_switch(&a->off.tracing, &a->tracepoint_id);

	if (err == -ENOENT)
		return pa_agent_fail(a, err,
				     "tracefs: failed to open: it can't be mounted: mount -t "
				     "tracefs tracefs /sys/kernel/tracing");
	if (err)
		return pa_agent_fail(a, err, "tracepoint sched:sched_switch: failed to read: %s",
				     strerror(-err));
	attr->type = PERF_TYPE_TRACEPOINT;
	attr->config = a->tracepoint_id;
	attr->sample_type |= PERF_SAMPLE_RAW;
	err = pd_events__new(&a->off.events);
	if (!err)
		err = pd_events__add(a->off.events, attr, ids, 2, "sched:sched_switch");
	return err < 0 ? err : 0;
}

/* All laid out alike, but for raw data and branches: ids tell them apart. Records that describe
 * processes have the id of on-CPU samples. */
int pa_agent_describe_offcpu(struct pa_agent *a)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
		.sample_period = 1,
		.exclude_guest = 1,
	};
	int err;

	if (!pa_agent_offcpus(a))
		return 0;
	pa_agent_set_layout(&attr);
	attr.context_switch = a->opts.layout == PA_LAYOUT_COMBINED;
	if (a->opts.layout == PA_LAYOUT_COMBINED)
		err = describe_combined(a, &attr);
	else if (a->opts.layout == PA_LAYOUT_TRACEPOINT)
		err = describe_tracepoint(a, &attr);
	else
		err = describe_reasons(a, &attr);
	if (err < 0)
		return pa_agent_fail(a, err, "events: failed to set up: %s", strerror(-err));
	pa_agent_log(a, PA_LOG_INFO, "Off-CPU profiler enabled (%s)", a->target);
	return 0;
}

struct pa_offsampler_opts pa_agent_offcpu_opts(const struct pa_agent *a,
					       const struct pa_sampler_opts *sampler)
{
	const struct pa_agent_opts *o = &a->opts;
	struct pa_offsampler_opts out = {
		.sz = sizeof(out),
		.reasons = o->offcpu_reasons ? o->offcpu_reasons : PA_OFFCPU_BLOCKED | PA_OFFCPU_IO,
		.min_ns = o->offcpu_min_ns,
		.probability = o->offcpu_probability,
		.rate_hz = o->offcpu_rate_hz,
		.kernel_stacks = sampler->kernel_stacks,
		.all = sampler->all,
		.follow = sampler->follow,
		.ring_bytes = sampler->ring_bytes,
		.tables = sampler->tables,
		.tables_optional = sampler->tables_optional,
		.log_switches = o->layout != PA_LAYOUT_SEPARATE,
		.tracepoint_id = a->tracepoint_id,
	};

	for (uint64_t i = 0; i < PA_OFF_REASON_CNT; i++)
		out.reason_ids[i] = out.log_switches ? PA_SWITCH_ID : PA_OFF_ID + i;
	return out;
}

static void warn_of_losses(struct pa_agent *a, const struct pa_capture_stats *st)
{
	const bool is_log = a->opts.layout != PA_LAYOUT_SEPARATE;
	const char *fewer = is_log			     ? "fewer processes"
			    : a->opts.offcpu_probability > 0 ? "a lower --offcpu-probability"
			    : !a->opts.offcpu_rate_hz	     ? "--offcpu-rate"
							     : "a lower --offcpu-rate";

	if (st->offcpu.walks.lost)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu of %llu off-CPU samples were lost: use a larger --ring-size or "
			     "%s",
			     (unsigned long long)st->offcpu.walks.lost,
			     (unsigned long long)a->off.fired_cnt, fewer);
	if (a->result.offcpu.left_out_cnt)
		pa_agent_log(
			a, PA_LOG_WARN,
			"%llu waits are left out, of the estimate too: too many threads waited "
			"at once: use %s",
			(unsigned long long)a->result.offcpu.left_out_cnt,
			st->offcpu.no_slot ? "fewer processes" : fewer);
}

void pa_agent_take_offcpu(struct pa_agent *a, const struct pa_capture_stats *st)
{
	struct pa_session_stats session;

	pa_session__stats(a->off.session, &session);
	a->off.fired_cnt = st->offcpu.walks.fired + st->offcpu.flushed;
	a->off.lost_cnt = st->offcpu.walks.lost;
	a->off.written_cnt = st->off_drained_cnt;
	if (a->opts.layout != PA_LAYOUT_SEPARATE) /* one that came and did not leave is no sample */
		a->off.fired_cnt = a->off.written_cnt + a->off.lost_cnt;
	a->result.offcpu = (struct pa_agent_offcpu){
		.wait_cnt = st->offcpu.ended,
		.wait_ns = st->offcpu.ended_ns,
		.sample_cnt = st->waits.sample_cnt,
		.estimate_ns = st->waits.period_sum_ns,
		.error_ns = (uint64_t)sqrt(st->waits.variance_ns2),
		.lost_cnt = st->offcpu.walks.lost,
		.left_out_cnt = st->offcpu.no_room + st->offcpu.no_slot,
		.is_log = a->opts.layout != PA_LAYOUT_SEPARATE,
		.waiting_cnt = st->offcpu.waiting,
		.no_user_cnt = st->offcpu.waiting_no_user,
		.stack_cnt = session.stack_cnt,
	};
	warn_of_losses(a, st);
	if (!st->waits.sample_cnt)
		pa_agent_log(a, PA_LOG_WARN, "no thread of the target waited meanwhile");
}
