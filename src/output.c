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

/* However it is spelled, there already or not. Devices and pipes take more than one. */
static bool is_same_file(const char *a, const char *b)
{
	char a_path[PATH_MAX], b_path[PATH_MAX];
	struct stat a_st, b_st;

	if (!stat(a, &a_st))
		return S_ISREG(a_st.st_mode) && !stat(b, &b_st) && a_st.st_dev == b_st.st_dev &&
		       a_st.st_ino == b_st.st_ino;
	snprintf(a_path, sizeof(a_path), "%s", a);
	snprintf(b_path, sizeof(b_path), "%s", b);
	if (strcmp(basename(a_path), basename(b_path)))
		return false;
	snprintf(a_path, sizeof(a_path), "%s", a);
	snprintf(b_path, sizeof(b_path), "%s", b);
	return !stat(dirname(a_path), &a_st) && !stat(dirname(b_path), &b_st) &&
	       a_st.st_dev == b_st.st_dev && a_st.st_ino == b_st.st_ino;
}

static int check_distinct(struct pa_agent *a, const char *const *paths, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < i && paths[i] && strcmp(paths[i], "-"); k++)
			if (paths[k] && is_same_file(paths[i], paths[k]))
				return pa_agent_fail(a, -EINVAL,
						     "%s: failed to write: another output has the "
						     "same file: choose another name",
						     paths[i]);
	return 0;
}

int pa_agent_check_outputs(struct pa_agent *a)
{
	const char *const paths[] = {
		a->opts.profile_output,		 a->opts.perf_data_output, a->opts.offcpu_output,
		a->opts.offcpu_perf_data_output, a->opts.pmu_output,
	};
	const size_t cnt = sizeof(paths) / sizeof(paths[0]);
	int err = 0;

	for (size_t i = 0; i < cnt && !err; i++)
		err = check_writable(a, paths[i]);
	return err ? err : check_distinct(a, paths, cnt);
}

int pa_agent_open_perf_data(struct pa_agent *a, struct pa_output *o)
{
	const char *path = o->perf_data;
	struct pd_writer_opts opts = {.sz = sizeof(opts)};
	int err;

	if (!path)
		return 0;
	err = pd_writer__open(path, o->events, &opts, &o->writer);
	if (!err)
		err = pa_hostinfo__add(o->writer, o->events, a->opts.argv);
	if (err)
		return pa_agent_fail(a, err, "%s: %s", path,
				     o->writer ? pd_writer__errmsg(o->writer) : "out of memory");
	return 0;
}

static int perf_data_failed(struct pa_agent *a, struct pa_output *o, int err)
{
	o->failed = true;
	return pa_agent_fail(a, err, "%s: %s: what was captured before is in it",
			     pa_agent_output_name(o->perf_data), pd_writer__errmsg(o->writer));
}

int pa_agent_capture_failed(struct pa_agent *a, int err)
{
	if (a->on.writer && *pd_writer__errmsg(a->on.writer))
		return perf_data_failed(a, &a->on, err);
	if (a->off.writer && *pd_writer__errmsg(a->off.writer))
		return perf_data_failed(a, &a->off, err);
	return pa_agent_fail(a, err, "capture: failed: %s", pa_capture__errmsg(a->capture));
}

static int write_profile(struct pa_agent *a, const struct pa_output *o)
{
	struct pa_pprof_opts opts = {
		.sz = sizeof(opts),
		.tags = a->opts.tags,
		.tag_cnt = a->opts.tag_cnt,
		.time_ns = a->info.start_wall_ns,
		.duration_ns = a->info.end_ns - a->info.start_ns,
		.labels = PA_LABEL_ALL,
	};
	const struct pa_session *const session = o->session;
	const char *path = o->profile;
	int err;

	if (!session || !path)
		return 0;
	err = pa_pprof__write(&session, 1, &opts, path);
	if (err)
		return pa_agent_fail(a, err, "%s: failed to write: %s", pa_agent_output_name(path),
				     strerror(-err));
	if (strcmp(path, "-"))
		pa_agent_log(a, PA_LOG_INFO, "%s written to %s",
			     o == &a->off ? "Off-CPU profile" : "Profile", path);
	return 0;
}

static int add_tags(struct pa_agent *a, struct pa_output *o)
{
	struct pa_bytes b = {0};
	int err = 0;

	for (size_t i = 0; i < a->opts.tag_cnt && !err; i++)
		err = pa_bytes__append(&b, a->opts.tags[i], strlen(a->opts.tags[i]) + 1);
	if (!err && b.len)
		err = pd_writer__blob(o->writer, PD_BLOB_TAGS, 1, b.data, b.len);
	pa_bytes__free(&b);
	return err;
}

static int add_build_ids(struct pa_agent *a, struct pa_output *o)
{
	struct pd_build_id *ids = NULL;
	void *data = NULL;
	size_t cnt = 0, bytes = 0;
	int err = pa_capture__build_ids(a->capture, &ids, &cnt);

	if (!err && cnt) {
		err = pd_feat_build_ids(ids, cnt, &data, &bytes);
		if (!err)
			err = pd_writer__feature(o->writer, PD_FEAT_BUILD_ID, data, bytes);
	}
	free(data);
	free(ids);
	return err;
}

static int add_symbols(struct pa_agent *a, struct pa_output *o)
{
	void *data = NULL;
	size_t bytes = 0;
	int err = pa_symbolizer__save(a->symbolizer, &data, &bytes);

	if (!err && bytes)
		err = pd_writer__blob(o->writer, PD_BLOB_SYMBOLS, 1, data, bytes);
	free(data);
	return err;
}

static int finish_perf_data(struct pa_agent *a, struct pa_output *o)
{
	const char *path = o->perf_data;
	struct pd_blob_capture info = a->info;
	int err;

	if (!o->session || !o->writer)
		return 0;
	if (o->failed) {
		pd_writer__finish(o->writer); /* whole up to its last record */
		return 0;
	}
	info.fired_cnt = o->fired_cnt;
	info.written_cnt = o->written_cnt;
	info.lost_cnt = o->lost_cnt;
	err = add_tags(a, o);
	if (!err && o->tracing.len)
		err = pd_writer__feature(o->writer, PD_FEAT_TRACING_DATA, o->tracing.data,
					 o->tracing.len);
	if (!err)
		err = add_build_ids(a, o);
	if (!err && o == &a->on && a->opts.branch_stack)
		err = pd_writer__feature(o->writer, PD_FEAT_BRANCH_STACK, NULL, 0);
	if (!err)
		err = add_symbols(a, o);
	if (!err)
		err = pd_writer__blob(o->writer, PD_BLOB_CAPTURE, 1, &info, sizeof(info));
	if (!err)
		err = pd_writer__finish(o->writer);
	else
		pd_writer__finish(o->writer);
	a->result.perf_data_bytes += pd_writer__data_bytes(o->writer);
	if (err)
		return perf_data_failed(a, o, err);
	if (strcmp(path, "-"))
		pa_agent_log(a, PA_LOG_INFO, "perf.data written to %s", path);
	return 0;
}

/* Of samples of both kinds. */
static void take_unwound(struct pa_agent *a, const struct pa_capture_stats *st)
{
	const struct pa_sampler_stats *on = &st->sampler, *off = &st->offcpu.walks;
	uint64_t left_cnt = on->missed + off->missed + st->waiting_walked_cnt;

	a->result.unwound = (struct pa_agent_unwound){
		.complete_cnt = on->complete_tables + off->complete_tables,
		.complete_fp_cnt = on->complete_fp + off->complete_fp,
		.finished_cnt = st->unwinder.complete_cnt,
		.truncated_cnt =
			on->truncated + off->truncated + left_cnt - st->unwinder.complete_cnt,
		.faulted_cnt = on->faulted + off->faulted,
		.deep_cnt = on->deep + off->deep,
		.missing_table_cnt = on->capped + off->capped,
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

static void take_oncpu(struct pa_agent *a, const struct pa_capture_stats *st)
{
	struct pa_session_stats session;

	pa_session__stats(a->on.session, &session);
	a->on.fired_cnt = a->result.fired_cnt = st->sampler.fired;
	a->on.lost_cnt = a->result.lost_cnt = st->sampler.lost;
	a->on.written_cnt = st->drained_cnt;
	a->result.sample_cnt = session.sample_cnt;
	a->result.stack_cnt = session.stack_cnt;
	if (st->sampler.lost)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu of %llu samples were lost: use a larger --ring-size or a lower "
			     "--sample-rate",
			     (unsigned long long)st->sampler.lost,
			     (unsigned long long)st->sampler.fired);
	if (!session.sample_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "no samples were taken: the target did not run on a CPU meanwhile");
}

static void take_result(struct pa_agent *a)
{
	struct pa_capture_stats st;
	uint64_t unfollowed_cnt;

	pa_capture__stats(a->capture, &st);
	unfollowed_cnt = st.sampler.unfollowed + st.offcpu.walks.unfollowed; /* one follows */
	if (unfollowed_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu processes of the command were not sampled: too many at once",
			     (unsigned long long)unfollowed_cnt);
	a->result.process_cnt = st.enrolled_cnt;
	take_unwound(a, &st);
	if (a->on.session)
		take_oncpu(a, &st);
	if (a->off.session)
		pa_agent_take_offcpu(a, &st);
	if (st.sideband_lost_cnt)
		pa_agent_log(a, PA_LOG_WARN,
			     "%llu process events were lost by the kernel: maps were read again",
			     (unsigned long long)st.sideband_lost_cnt);
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
	if (!err)
		err = pa_capture__flush(a->capture);
	return err ? pa_agent_capture_failed(a, err) : 0;
}

static int resolve(struct pa_agent *a, struct pa_output *o)
{
	int err = o->session ? pa_session__resolve(o->session) : 0;

	return err ? pa_agent_fail(a, err, "out of memory") : 0;
}

/* What was sampled, into perf.data and profiles: in this order, for the first give back what was
 * reserved of the disk. @return 0, -errno of the first that failed */
static int finish_outputs(struct pa_agent *a)
{
	int err = resolve(a, &a->on), off_err = resolve(a, &a->off), profile_err;

	take_result(a);
	if (err || off_err)
		return -ENOMEM;
	err = finish_perf_data(a, &a->on);
	off_err = finish_perf_data(a, &a->off);
	err = err ? err : off_err;
	profile_err = write_profile(a, &a->on);
	off_err = write_profile(a, &a->off);
	return err ? err : profile_err ? profile_err : off_err;
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
	first = a->capture ? finish_outputs(a) : 0;
	if (!err)
		err = first;
	if (!err)
		err = metrics_err;
	first = pa_agent_write_metrics(a);
	if (!err)
		err = first;
	return *a->errmsg && !err ? -EIO : err;
}
