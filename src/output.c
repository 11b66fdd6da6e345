// SPDX-License-Identifier: GPL-2.0-only
/*
 * output.c - the end of a capture: resolve the session, write the profile, finish perf.data with
 * what a later reader could not look up again.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_internal.h"
#include "capture/hostinfo.h"

static int check_writable(struct pa_agent *a, const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	if (!path || !strcmp(path, "-"))
		return 0;
	if (strlen(path) >= sizeof(dir) || !*path)
		return pa_agent_fail(a, -ENAMETOOLONG, "%.100s: failed to write: %s", path,
				     *path ? strerror(ENAMETOOLONG) : "the name is empty");
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return pa_agent_fail(a, -EISDIR, "%s: failed to write: it is a directory", path);
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return 0; /* a pipe or a device: opening it tells */
	strcpy(dir, path);
	if (access(dirname(dir), W_OK))
		return pa_agent_fail(a, -errno, "%s: failed to write: %s: choose another directory",
				     path, strerror(errno));
	return 0;
}

int pa_agent_check_outputs(struct pa_agent *a)
{
	int err = check_writable(a, a->opts.profile_output);

	if (!err)
		err = check_writable(a, a->opts.perf_data_output);
	return err ? err : check_writable(a, a->opts.pmu_output);
}

int pa_agent_open_perf_data(struct pa_agent *a)
{
	const char *path = a->opts.perf_data_output;
	struct pd_writer_opts opts = {.sz = sizeof(opts)};
	int err;

	if (!path)
		return 0;
	err = pd_writer__open(path, a->events, &opts, &a->writer);
	if (!err)
		err = pa_hostinfo__add(a->writer, a->events, a->opts.argv);
	if (err)
		return pa_agent_fail(a, err, "%s: %s", path,
				     a->writer ? pd_writer__errmsg(a->writer) : "out of memory");
	return 0;
}

static int perf_data_failed(struct pa_agent *a, int err)
{
	a->perf_data_failed = true;
	return pa_agent_fail(a, err, "%s: %s: what was captured before is in it",
			     a->opts.perf_data_output, pd_writer__errmsg(a->writer));
}

int pa_agent_capture_failed(struct pa_agent *a, int err)
{
	if (a->writer && *pd_writer__errmsg(a->writer))
		return perf_data_failed(a, err);
	return pa_agent_fail(a, err, "capture: failed: %s", pa_capture__errmsg(a->capture));
}

static int write_profile(struct pa_agent *a)
{
	struct pa_pprof_opts opts = {
		.sz = sizeof(opts),
		.tags = a->opts.tags,
		.tag_cnt = a->opts.tag_cnt,
		.time_ns = a->info.start_wall_ns,
		.duration_ns = a->info.end_ns - a->info.start_ns,
		.labels = PA_LABEL_ALL,
	};
	const struct pa_session *const session = a->session;
	const char *path = a->opts.profile_output;
	int err;

	if (!path)
		return 0;
	err = pa_pprof__write(&session, 1, &opts, path);
	if (err)
		return pa_agent_fail(a, err, "%s: failed to write: %s", path, strerror(-err));
	if (strcmp(path, "-"))
		pa_agent_log(a, PA_LOG_INFO, "Profile written to %s", path);
	return 0;
}

static int add_tags(struct pa_agent *a)
{
	struct pa_bytes b = {0};
	int err = 0;

	for (size_t i = 0; i < a->opts.tag_cnt && !err; i++)
		err = pa_bytes__append(&b, a->opts.tags[i], strlen(a->opts.tags[i]) + 1);
	if (!err && b.len)
		err = pd_writer__blob(a->writer, PD_BLOB_TAGS, 1, b.data, b.len);
	pa_bytes__free(&b);
	return err;
}

static int add_build_ids(struct pa_agent *a)
{
	struct pd_build_id *ids = NULL;
	void *data = NULL;
	size_t cnt = 0, bytes = 0;
	int err = pa_capture__build_ids(a->capture, &ids, &cnt);

	if (!err && cnt) {
		err = pd_feat_build_ids(ids, cnt, &data, &bytes);
		if (!err)
			err = pd_writer__feature(a->writer, PD_FEAT_BUILD_ID, data, bytes);
	}
	free(data);
	free(ids);
	return err;
}

static int add_symbols(struct pa_agent *a)
{
	void *data = NULL;
	size_t bytes = 0;
	int err = pa_symbolizer__save(a->symbolizer, &data, &bytes);

	if (!err && bytes)
		err = pd_writer__blob(a->writer, PD_BLOB_SYMBOLS, 1, data, bytes);
	free(data);
	return err;
}

static int finish_perf_data(struct pa_agent *a)
{
	const char *path = a->opts.perf_data_output;
	int err;

	if (!a->writer)
		return 0;
	err = add_tags(a);
	if (!err)
		err = add_build_ids(a);
	if (!err)
		err = add_symbols(a);
	if (!err)
		err = pd_writer__blob(a->writer, PD_BLOB_CAPTURE, 1, &a->info, sizeof(a->info));
	if (!err)
		err = pd_writer__finish(a->writer);
	else
		pd_writer__finish(a->writer);
	a->result.perf_data_bytes = pd_writer__data_bytes(a->writer);
	if (err)
		return perf_data_failed(a, err);
	if (strcmp(path, "-"))
		pa_agent_log(a, PA_LOG_INFO, "perf.data written to %s", path);
	return 0;
}

static void take_unwound(struct pa_agent *a, const struct pa_capture_stats *st)
{
	const struct pa_sampler_stats *walks = &st->sampler;

	a->result.unwound = (struct pa_agent_unwound){
		.complete_cnt = walks->complete_tables,
		.complete_fp_cnt = walks->complete_fp,
		.finished_cnt = st->unwinder.complete_cnt,
		.truncated_cnt = walks->truncated + walks->missed - st->unwinder.complete_cnt,
		.faulted_cnt = walks->faulted,
		.deep_cnt = walks->deep,
		.missing_table_cnt = walks->capped,
		.over_budget_cnt = st->unwinder.over_budget_cnt,
		.image_cnt = st->unwinder.image_cnt,
		.table_bytes = st->unwinder.table_bytes,
		.by_tables = st->has_tables,
	};
	if (st->unwinder.over_budget_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "unwind tables of %llu programs and libraries did not fit: a larger "
			     "--unwind-memory makes their stacks complete",
			     (unsigned long long)st->unwinder.over_budget_cnt);
}

static void take_result(struct pa_agent *a)
{
	struct pa_capture_stats capture;
	struct pa_session_stats session;

	pa_capture__stats(a->capture, &capture);
	pa_session__stats(a->session, &session);
	a->info.fired_cnt = capture.sampler.fired;
	a->info.lost_cnt = capture.sampler.lost;
	a->info.written_cnt = capture.drained_cnt;
	a->result.sample_cnt = session.sample_cnt;
	a->result.fired_cnt = capture.sampler.fired;
	a->result.lost_cnt = capture.sampler.lost;
	a->result.stack_cnt = session.stack_cnt;
	a->result.process_cnt = capture.enrolled_cnt;
	take_unwound(a, &capture);
	if (capture.sampler.lost)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu of %llu samples were lost: use a larger --ring-size or a lower "
			     "--sample-rate",
			     (unsigned long long)capture.sampler.lost,
			     (unsigned long long)capture.sampler.fired);
	if (capture.sideband_lost_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu process events were lost by the kernel: maps were read again",
			     (unsigned long long)capture.sideband_lost_cnt);
	if (!session.sample_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "no samples were taken: the target did not run on a CPU meanwhile");
}

static void end_command(struct pa_agent *a)
{
	pid_t left;
	int status;

	/* its own status counts only when it ended by itself */
	if (pa_command__ended(&a->command, &a->result.command_status))
		return;
	left = pa_command__end(&a->command, &status);
	if (left)
		pa_agent_log(a, PA_LOG_WARN, "%s goes on running as process %d: it ignores SIGTERM",
			     a->opts.command[0], (int)left);
}

static int last_passes(struct pa_agent *a)
{
	/* twice: what was on its way into a ring when the first began */
	int err = pa_capture__pass(a->capture);

	if (!err)
		err = pa_capture__pass(a->capture);
	return err ? pa_agent_capture_failed(a, err) : 0;
}

/* What was sampled, into the profile and perf.data. @return 0, -errno of the first that failed */
static int finish_profile(struct pa_agent *a)
{
	int err = pa_session__resolve(a->session), first;

	take_result(a);
	if (err)
		return pa_agent_fail(a, err, "out of memory");
	first = write_profile(a);
	err = a->perf_data_failed ? 0 : finish_perf_data(a);
	if (a->perf_data_failed && a->writer)
		pd_writer__finish(a->writer); /* whole up to its last record */
	return first ? first : err;
}

int pa_agent__finish(struct pa_agent *a)
{
	int err = 0, first, metrics_err;
	bool whole = !*a->errmsg;

	if (!a->running)
		return pa_agent_fail(a, -EINVAL, "agent not started");
	a->running = false;
	if (a->capture)
		pa_capture__disable(a->capture);
	a->info.end_ns = pa_monotonic_ns();
	metrics_err = pa_agent_end_metrics(a);
	if (a->capture && whole)
		err = last_passes(a);
	end_command(a);
	first = a->capture ? finish_profile(a) : 0;
	if (!err)
		err = first;
	if (!err)
		err = metrics_err;
	first = pa_agent_write_metrics(a);
	if (!err)
		err = first;
	return *a->errmsg && !err ? -EIO : err;
}
