// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_metrics.c - scheduler and hardware metrics as part of a capture: when they begin and end,
 * and where the report goes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_internal.h"
#include "metrics/sched.h"
#include "wholefile.h"

#define POLL_NS 1000000000ULL
#define POLL_ENDED_NS 50000000ULL      /* processes that ended give their places back... */
#define POLL_PROCESSES_NS 250000000ULL /* ...also those whose end was not seen */

static int failed(struct pa_agent *a, int err)
{
	return pa_agent_fail(a, err, "%s", a->sched ? pa_sched__errmsg(a->sched) : "out of memory");
}

int pa_agent_open_metrics(struct pa_agent *a)
{
	struct pa_sched_opts opts = {
		.sz = sizeof(opts),
		.all = a->opts.all,
		.follow = a->opts.command && !a->opts.all && !a->opts.pid_cnt,
		.per_process = a->opts.per_pid,
		.cpus = &a->cpus,
	};
	int err;

	if (!a->opts.pmu)
		return 0;
	err = pa_sched__open(&opts, &a->sched);
	for (size_t i = 0; i < a->opts.pid_cnt && !err; i++)
		err = pa_sched__add_pid(a->sched, a->opts.pids[i]);
	if (!err && opts.follow)
		err = pa_sched__add_pid(a->sched, a->command.pid);
	if (err)
		return failed(a, err);
	pa_agent_log(a, PA_LOG_INFO, "PMU monitor enabled (%s)", a->target);
	if (*pa_sched__missing(a->sched))
		pa_agent_log(a, PA_LOG_INFO, "Hardware perf counters unavailable: %s",
			     pa_sched__missing(a->sched));
	else
		pa_agent_log(a, PA_LOG_INFO, "Hardware perf counters enabled");
	return 0;
}

int pa_agent_begin_metrics(struct pa_agent *a)
{
	int err = a->sched ? pa_sched__enable(a->sched) : 0;

	return err ? failed(a, err) : 0;
}

uint64_t pa_agent_metrics_interval_ns(const struct pa_agent *a)
{
	return a->sched && a->opts.per_pid ? POLL_ENDED_NS : UINT64_MAX;
}

int pa_agent_poll_metrics(struct pa_agent *a, uint64_t now)
{
	int err = a->sched ? pa_sched__poll_ended(a->sched) : 0;

	if (err)
		return failed(a, err);
	if (!a->sched || now - a->metrics_ns < (a->opts.per_pid ? POLL_PROCESSES_NS : POLL_NS))
		return 0;
	a->metrics_ns = now;
	err = pa_sched__poll(a->sched);
	return err ? failed(a, err) : 0;
}

int pa_agent_forget_in_metrics(struct pa_agent *a, pid_t pid)
{
	int err = a->sched ? pa_sched__forget_pid(a->sched, pid) : 0;

	return err ? failed(a, err) : 0;
}

int pa_agent_end_metrics(struct pa_agent *a)
{
	int err = a->sched ? pa_sched__finish(a->sched, &a->metrics) : 0;

	if (err)
		return failed(a, err);
	if (a->metrics && a->metrics->unfollowed_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu processes of the command were not counted: too many at once",
			     (unsigned long long)a->metrics->unfollowed_cnt);
	return 0;
}

void pa_agent_close_metrics(struct pa_agent *a)
{
	pa_sched__close(a->sched);
	pa_metrics__free(a->metrics);
}

/* ---- the report ----------------------------------------------------------------------------- */

static int render(struct pa_agent *a, char **text, size_t *bytes)
{
	struct pa_metrics_report report = {
		.target = a->opts.all ? "System-Wide" : a->target,
		.all = a->opts.all,
		.top = a->opts.top,
	};
	FILE *out = open_memstream(text, bytes);

	if (!out)
		return -ENOMEM;
	if (a->opts.pmu_json)
		pa_metrics__json(a->metrics, &report, out);
	else
		pa_metrics__text(a->metrics, &report, out);
	return fclose(out) ? -ENOMEM : 0;
}

struct text {
	char *p;
	size_t bytes;
};

static int write_text(FILE *out, void *ctx)
{
	const struct text *text = ctx;

	return fwrite(text->p, 1, text->bytes, out) == text->bytes ? 0 : -errno;
}

int pa_agent_write_metrics(struct pa_agent *a)
{
	const char *path = a->opts.pmu_output ? a->opts.pmu_output : "-";
	struct text text = {0};
	int err;

	if (!a->metrics)
		return 0;
	err = render(a, &text.p, &text.bytes);
	if (!err)
		err = pa_wholefile__write(path, write_text, &text);
	free(text.p);
	if (err)
		return pa_agent_fail(a, err, "%s: failed to write: %s", pa_agent_output_name(path),
				     strerror(-err));
	if (strcmp(path, "-"))
		pa_agent_log(a, PA_LOG_INFO, "PMU metrics written to %s", path);
	return 0;
}
