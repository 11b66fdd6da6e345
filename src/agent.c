// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent.c - one capture from its options to its outputs: what is opened in which order, when it
 * ends, and what is still saved when something fails on the way.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent_internal.h"
#include "cachefile.h"
#include "capture/event.h"
#include "capture/hostinfo.h"
#include "capture/procfs.h"
#include "capture/sideband.h"
#include "caps.h"

#define LATE_NS 1000000000ULL /* more than a record is late when it comes to its ring */
#define LAST_SWITCH_NS 1000000
#define PASS_MIN_NS 2000000ULL /* woken passes come no closer */
#define TABLE_BYTES (64ULL << 20)
#define PROGRESS_NS 1000000000ULL
#define IDLE_NS 250000000ULL /* between passes when nothing is sampled */

int pa_agent_fail(struct pa_agent *a, int err, const char *fmt, ...)
{
	va_list ap;

	if (*a->errmsg) /* the first failure is the cause */
		return err;
	va_start(ap, fmt);
	vsnprintf(a->errmsg, sizeof(a->errmsg), fmt, ap);
	va_end(ap);
	return err;
}

void pa_agent_log(struct pa_agent *a, enum pa_log_level level, const char *fmt, ...)
{
	char msg[1024];
	va_list ap;

	if (!a->opts.log)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	a->opts.log(a->opts.ctx, level, msg);
}

/* ---- new: what can be checked without touching the machine ------------------------------ */

static struct pa_event_spec event_spec(const struct pa_agent_opts *o)
{
	return (struct pa_event_spec){
		.name = o->event,
		.freq_hz = o->sample_rate_hz,
		.period = o->period,
		.branches = o->branch_stack,
	};
}

static int check_options(struct pa_agent *a)
{
	const struct pa_agent_opts *o = &a->opts;
	struct pa_event_spec spec = event_spec(o);
	struct perf_event_attr attr;
	char name[64];

	if (o->all && o->pid_cnt)
		return pa_agent_fail(a, -EINVAL, "--pid and -a/--all are mutually exclusive");
	if (!o->all && !o->pid_cnt && !o->command)
		return pa_agent_fail(a, -EINVAL,
				     "Either --pid, -a/--all or -- COMMAND is required");
	for (size_t i = 0; i < o->pid_cnt; i++)
		if (o->pids[i] <= 0)
			return pa_agent_fail(a, -EINVAL, "--pid %d: not a process id",
					     (int)o->pids[i]);
	if (!pa_agent_profiles(a) && !pa_agent_offcpus(a) && !o->pmu)
		return pa_agent_fail(a, -EINVAL, "no output was asked for");
	if (o->per_pid && !o->pmu)
		return pa_agent_fail(a, -EINVAL, "--per-pid is only valid with --pmu");
	if (o->per_pid && !o->all)
		return pa_agent_fail(a, -EINVAL, "--per-pid requires -a/--all");
	if (o->period && !o->event)
		return pa_agent_fail(a, -EINVAL, "--period needs --event: it counts events of it");
	if (!o->period && !o->sample_rate_hz && pa_agent_profiles(a))
		return pa_agent_fail(a, -EINVAL, "--sample-rate must be at least 1");
	if (pa_event__parse(&spec, &attr, name))
		return pa_agent_fail(a, -EINVAL,
				     "--event %s: no such event; known are cycles, instructions, "
				     "cache-misses, branch-misses, cpu-clock, task-clock, "
				     "page-faults, context-switches..., rHEX, with :u or :k",
				     o->event);
	if (pa_agent_check_offcpu(a))
		return -EINVAL;
	if (o->cpus && pa_cpus__parse(o->cpus, &a->cpus))
		return pa_agent_fail(a, -EINVAL, "--cpu %s: not a list of CPUs such as 0-3,8",
				     o->cpus);
	if (o->ring_bytes & (o->ring_bytes - 1) ||
	    (o->ring_bytes && o->ring_bytes < (size_t)sysconf(_SC_PAGESIZE)))
		return pa_agent_fail(
			a, -EINVAL, "ring size of %zu bytes: not a power of two of at least a page",
			o->ring_bytes);
	return 0;
}

int pa_agent__new(const struct pa_agent_opts *opts, struct pa_agent **out)
{
	struct pa_agent *a = calloc(1, sizeof(*a));

	*out = a;
	if (!a)
		return -ENOMEM;
	a->opts = *opts;
	a->on.profile = opts->profile_output;
	a->on.perf_data = opts->perf_data_output;
	a->off.profile = opts->offcpu_output;
	a->off.perf_data = opts->offcpu_perf_data_output;
	a->epoll_fd = -1;
	a->command = (struct pa_command){.go_fd = -1, .error_fd = -1};
	a->result.command_status = -1;
	a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->stop_fd < 0)
		return pa_agent_fail(a, -errno, "eventfd: failed to create: %s", strerror(errno));
	return check_options(a);
}

/* ---- start ----------------------------------------------------------------------------- */

static int check_privileges(struct pa_agent *a)
{
	char missing[128], degraded[128];
	int err = pa_caps__raise(missing, sizeof(missing), degraded, sizeof(degraded));

	if (*missing)
		return pa_agent_fail(a, err,
				     "sampling: failed to start: missing %s: run as root, or: sudo "
				     "setcap cap_bpf,cap_perfmon,cap_sys_ptrace,"
				     "cap_checkpoint_restore,cap_syslog,cap_dac_read_search+ep "
				     "PATH-OF-PERF-AGENT",
				     missing);
	if (*degraded && (pa_agent_profiles(a) || pa_agent_offcpus(a)))
		pa_agent_log(
			a, PA_LOG_WARN,
			"missing %s: other users' processes may keep addresses instead of names",
			degraded);
	return 0;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	/* an event and a ring per CPU, and descriptors of files that were deleted */
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int check_rate(struct pa_agent *a)
{
	uint64_t max_hz = pa_event__max_rate_hz();

	if (a->opts.period || !max_hz || a->opts.sample_rate_hz <= max_hz || !pa_agent_profiles(a))
		return 0;
	return pa_agent_fail(a, -EINVAL,
			     "--sample-rate %llu: failed to set: the kernel allows at most %llu: "
			     "sysctl kernel.perf_event_max_sample_rate=%llu",
			     (unsigned long long)a->opts.sample_rate_hz, (unsigned long long)max_hz,
			     (unsigned long long)a->opts.sample_rate_hz);
}

static int check_targets(struct pa_agent *a)
{
	for (size_t i = 0; i < a->opts.pid_cnt; i++) {
		pid_t pid = a->opts.pids[i], tgid = pa_procfs__tgid(pid);

		if (tgid < 0)
			return pa_agent_fail(
				a, -ESRCH, "process %d: failed to profile: %s: see ps -e", (int)pid,
				tgid == -ENOENT ? strerror(ESRCH) : strerror(-tgid));
		if (tgid != pid)
			return pa_agent_fail(a, -EINVAL,
					     "process %d: failed to profile: it is a thread of "
					     "process %d: use --pid %d",
					     (int)pid, (int)tgid, (int)tgid);
	}
	return 0;
}

static int choose_event(struct pa_agent *a, char *name)
{
	struct pa_event_spec spec = event_spec(&a->opts);
	struct pa_cpus online = {0};
	int cpu = 0;

	if (!pa_cpus__online(&online))
		cpu = a->cpus.cnt ? a->cpus.ids[0] : online.ids[0];
	pa_cpus__free(&online);
	return pa_event__choose(&spec, cpu, &a->attr, name);
}

void pa_agent_set_layout(struct perf_event_attr *attr)
{
	attr->size = PD_ATTR_BYTES;
	attr->sample_type |= PA_SAMPLE_TYPE;
	attr->sample_id_all = 1;
	attr->mmap = attr->mmap2 = attr->comm = attr->comm_exec = attr->task = 1;
	attr->use_clockid = 1;
	attr->clockid = CLOCK_MONOTONIC;
}

/* The file's event: what is sampled, described as its records are laid out. */
static int describe_event(struct pa_agent *a)
{
	__u64 id = PA_SAMPLE_ID;
	struct perf_event_attr attr;
	char name[64];
	int err = choose_event(a, name);

	if (!err)
		err = pd_events__new(&a->on.events);
	if (err)
		return pa_agent_fail(a, err, "event: failed to set up: %s", strerror(-err));
	attr = a->attr;
	pa_agent_set_layout(&attr);
	err = pd_events__add(a->on.events, &attr, &id, 1, name);
	if (err < 0)
		return pa_agent_fail(a, err, "event: failed to set up: %s", strerror(-err));
	pa_agent_log(a, PA_LOG_INFO, "CPU profiler enabled (%s, %s)", a->target, name);
	return 0;
}

static int open_held_image(void *ctx, const struct pa_image_ref *ref)
{
	struct pa_agent *a = ctx;

	return pa_images__open_held(a->images, ref);
}

static void warn(void *ctx, const char *msg)
{
	pa_agent_log(ctx, PA_LOG_WARN, "%s", msg);
}

/* What all sessions share. */
static int make_symbolizer(struct pa_agent *a)
{
	struct pa_symbolizer_opts symbolizer = {
		.sz = sizeof(symbolizer),
		.open_image = open_held_image,
		.warn = warn,
		.ctx = a,
		.live = true,
		.decl_lines = true,
		.lines = true,
		.inlines = true, /* as pa2pprof makes a profile of the file */
		.force_kallsyms = getenv("PERFAGENT_FORCE_KERNEL_FALLBACK") != NULL,
	};
	int err = pa_images__new(&a->images);

	if (!err)
		err = pa_symbolizer__new(&symbolizer, &a->symbolizer);
	return err ? pa_agent_fail(a, err, "out of memory") : 0;
}

static int make_session(struct pa_agent *a, struct pa_output *o)
{
	struct pa_session_opts session = {
		.sz = sizeof(session),
		.events = o->events,
		.symbolizer = a->symbolizer,
		.hold_images = true,
		.lines = true,
		.off_cpu = o == &a->off,
		.warn = warn,
		.ctx = a,
	};
	int err = o->events ? pa_session__new(&session, &o->session) : 0;

	if (!err && o->tracing.len)
		err = pa_session__take_tracing(o->session, o->tracing.data, o->tracing.len);
	return err ? pa_agent_fail(a, err, "out of memory") : 0;
}

static int make_sessions(struct pa_agent *a)
{
	int err = make_symbolizer(a);

	if (!err)
		err = make_session(a, &a->on);
	return err ? err : make_session(a, &a->off);
}

static int open_perf_data(struct pa_agent *a)
{
	int err = pa_agent_open_perf_data(a, &a->on);

	return err ? err : pa_agent_open_perf_data(a, &a->off);
}

/* No place for a cache is no reason to fail. */
static void find_cache(struct pa_agent *a)
{
	char *path = a->cache_dir;
	int fd, err = pa_cachefile__directory(path, sizeof(a->cache_dir), true);
	size_t len;

	fd = err ? err : pa_cachefile__open_dir(path, true);
	len = fd < 0 ? sizeof(a->cache_dir) : strlen(path);
	if (fd >= 0)
		close(fd);
	if (len + sizeof("/unwind") > sizeof(a->cache_dir))
		*path = '\0';
	else
		strcpy(path + len, "/unwind");
}

static bool follows(const struct pa_agent *a)
{
	return a->opts.command && !a->opts.all && !a->opts.pid_cnt;
}

static struct pa_sampler_opts sampler_opts(const struct pa_agent *a)
{
	return (struct pa_sampler_opts){
		.sz = sizeof(struct pa_sampler_opts),
		.attr = &a->attr,
		.sample_id = PA_SAMPLE_ID,
		.kernel_stacks = a->opts.kernel_stacks,
		.all = a->opts.all,
		.follow = follows(a),
		.cpus = &a->cpus,
		.ring_bytes = a->opts.ring_bytes,
		.tables = a->opts.unwind != PA_UNWIND_BY_FP,
		.tables_optional = a->opts.unwind == PA_UNWIND_BY_AUTO,
	};
}

static int open_capture(struct pa_agent *a)
{
	struct pa_sampler_opts sampler = sampler_opts(a);
	struct pa_offsampler_opts offcpu = pa_agent_offcpu_opts(a, &sampler);
	struct pa_capture_opts opts = {
		.sz = sizeof(opts),
		.sampler = a->on.events ? &sampler : NULL,
		.offcpu = a->off.events ? &offcpu : NULL,
		.all = sampler.all,
		.follow = sampler.follow,
		.sample_id = PA_SAMPLE_ID,
		.events = a->on.events ? a->on.events : a->off.events,
		.images = a->images,
		.on = {a->on.writer, a->on.session},
		.off = {a->off.writer, a->off.session},
		.one_file = a->opts.layout == PA_LAYOUT_COMBINED,
		.pids = a->opts.pids,
		.pid_cnt = a->opts.pid_cnt,
		.table_bytes = a->opts.unwind_bytes ? a->opts.unwind_bytes : TABLE_BYTES,
		.tables_first = a->opts.unwind == PA_UNWIND_BY_DWARF,
	};
	int err;

	if (a->opts.unwind != PA_UNWIND_BY_FP)
		find_cache(a);
	opts.cache_dir = *a->cache_dir ? a->cache_dir : NULL;
	if (opts.follow) {
		opts.pids = &a->command.pid;
		opts.pid_cnt = 1;
	}
	err = pa_capture__open(&opts, &a->capture);
	if (err)
		return pa_agent_fail(a, err, "%s",
				     a->capture ? pa_capture__errmsg(a->capture) : "out of memory");
	if (a->opts.unwind != PA_UNWIND_BY_FP && !pa_capture__has_tables(a->capture))
		pa_agent_log(a, PA_LOG_WARN,
			     "this kernel does not load the walk by unwind tables; user stacks are "
			     "walked by frame pointers: PERFAGENT_DEBUG=1 shows why");
	if (a->opts.kernel_stacks && pa_capture__kernel_hidden(a->capture))
		pa_agent_log(a, PA_LOG_WARN,
			     "kernel symbols unavailable; kernel frames will be raw addresses: "
			     "sysctl kernel.kptr_restrict=1 and cap_syslog, or run as root");
	return 0;
}

static int watch(struct pa_agent *a, int fd, uint32_t tag)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* Who has its id later is no target. */
static int forget_process(struct pa_agent *a, pid_t pid)
{
	if (a->capture)
		pa_capture__remove_pid(a->capture, pid);
	return pa_agent_forget_in_metrics(a, pid);
}

static int watch_process(struct pa_agent *a, pid_t pid)
{
	struct pa_watched *watched;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return errno == ESRCH ? forget_process(a, pid) : -errno;
	watched = reallocarray(a->watched, a->watched_cnt + 1, sizeof(*watched));
	if (!watched) {
		close(fd);
		return -ENOMEM;
	}
	a->watched = watched;
	a->watched[a->watched_cnt++] = (struct pa_watched){fd, pid};
	return watch(a, fd, PA_WATCH_PROCESS + (uint32_t)a->watched_cnt - 1);
}

static int watch_all(struct pa_agent *a)
{
	int err;

	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = a->epoll_fd < 0 ? -errno : watch(a, a->stop_fd, PA_WATCH_STOP);
	if (!err && a->capture)
		err = watch(a, pa_capture__epoll_fd(a->capture), PA_WATCH_RINGS);
	if (!err && a->command.pid)
		err = watch_process(a, a->command.pid);
	for (size_t i = 0; !a->opts.command && i < a->opts.pid_cnt && !err; i++)
		err = watch_process(a, a->opts.pids[i]);
	return err ? pa_agent_fail(a, err, "epoll: failed to set up: %s", strerror(-err)) : 0;
}

static int begin(struct pa_agent *a)
{
	int err = a->capture ? pa_capture__enable(a->capture) : 0;

	if (err)
		return pa_agent_fail(a, err, "%s", pa_capture__errmsg(a->capture));
	err = pa_agent_begin_metrics(a);
	if (err)
		return err;
	a->info.start_ns = pa_monotonic_ns();
	a->info.start_wall_ns = pa_wall_ns();
	if (a->on.writer)
		pa_hostinfo__add_clock(a->on.writer, a->info.start_wall_ns, a->info.start_ns);
	if (a->off.writer)
		pa_hostinfo__add_clock(a->off.writer, a->info.start_wall_ns, a->info.start_ns);
	err = a->command.pid ? pa_command__go(&a->command) : 0;
	if (err)
		return pa_agent_fail(a, err, "%s: failed to execute: %s", a->opts.command[0],
				     strerror(-err));
	a->running = true;
	return 0;
}

static bool samples(const struct pa_agent *a)
{
	return a->on.events || a->off.events;
}

static void name_target(struct pa_agent *a)
{
	if (a->opts.all)
		snprintf(a->target, sizeof(a->target), "system-wide");
	else if (a->opts.pid_cnt == 1)
		snprintf(a->target, sizeof(a->target), "PID: %d", (int)a->opts.pids[0]);
	else if (a->opts.pid_cnt)
		snprintf(a->target, sizeof(a->target), "%zu processes", a->opts.pid_cnt);
	else
		snprintf(a->target, sizeof(a->target), "%.100s", a->opts.command[0]);
}

int pa_agent__start(struct pa_agent *a)
{
	int err;

	if (a->started)
		return pa_agent_fail(a, -EALREADY, "agent already started");
	a->started = true;
	name_target(a);
	err = check_privileges(a);
	if (!err)
		err = check_rate(a);
	if (!err)
		err = check_targets(a);
	if (!err)
		err = pa_agent_check_outputs(a);
	raise_file_limit();
	if (!err && pa_agent_profiles(a))
		err = describe_event(a);
	if (!err)
		err = pa_agent_describe_offcpu(a);
	if (!err && samples(a))
		err = make_sessions(a);
	if (!err && a->opts.command) {
		err = pa_command__prepare(&a->command, a->opts.command);
		if (err)
			pa_agent_fail(a, err, "%s: failed to start: %s", a->opts.command[0],
				      strerror(-err));
	}
	if (!err)
		err = open_perf_data(a);
	if (!err && samples(a))
		err = open_capture(a);
	if (!err)
		err = pa_agent_open_metrics(a);
	if (!err)
		err = watch_all(a);
	return err ? err : begin(a);
}

/* ---- run ------------------------------------------------------------------------------- */

static void report_progress(struct pa_agent *a, uint64_t now)
{
	struct pa_agent_progress p = {.elapsed_ns = now - a->info.start_ns};
	struct pa_capture_stats st;

	if (!a->opts.progress || now - a->progress_ns < PROGRESS_NS)
		return;
	a->progress_ns = now;
	if (a->capture) {
		pa_capture__stats(a->capture, &st);
		p.sample_cnt = st.drained_cnt + st.off_drained_cnt;
		p.lost_cnt = st.sampler.lost + st.offcpu.walks.lost;
	}
	a->opts.progress(a->opts.ctx, &p);
}

/* A process says that it ended some microseconds before it leaves its CPU for good: time for that,
 * so that its last slice is in the capture that its end ends. */
static void wait_for_last_switch(void)
{
	struct timespec left = {0, LAST_SWITCH_NS};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static int process_gone(struct pa_agent *a, uint32_t i)
{
	epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, a->watched[i].fd, NULL);
	if (++a->gone_cnt < a->watched_cnt)
		return forget_process(a, a->watched[i].pid);
	a->stop = true;
	wait_for_last_switch();
	if (!a->opts.command)
		pa_agent_log(a, PA_LOG_INFO, "%s ended",
			     a->watched_cnt == 1 ? "The process" : "All processes");
	return 0;
}

static int wait_for_work(struct pa_agent *a, uint64_t now)
{
	uint64_t wait_ns = a->capture ? pa_capture__interval_ns(a->capture) : IDLE_NS;
	struct epoll_event ev[16];
	int n, err = 0;

	if (wait_ns > pa_agent_metrics_interval_ns(a))
		wait_ns = pa_agent_metrics_interval_ns(a);
	if (a->opts.duration_ns) {
		uint64_t end = a->info.start_ns + a->opts.duration_ns;

		if (now >= end) {
			a->stop = true;
			return 0;
		}
		if (end - now < wait_ns)
			wait_ns = end - now;
	}
	n = epoll_wait(a->epoll_fd, ev, 16, (int)((wait_ns + 999999) / 1000000));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n && !err; i++) {
		if (ev[i].data.u32 == PA_WATCH_STOP)
			a->stop = true;
		else if (ev[i].data.u32 >= PA_WATCH_PROCESS)
			err = process_gone(a, ev[i].data.u32 - PA_WATCH_PROCESS);
	}
	return err;
}

/* All from before has come. @param before_ns  not after the last pass: what ended since then, the
 * process table may still give to children, for as long as the pass was late */
static int drop_exited(struct pa_agent *a, uint64_t before_ns)
{
	struct pa_session *sessions[] = {a->on.session, a->off.session};
	int err = 0;

	for (size_t i = 0; i < sizeof(sessions) / sizeof(*sessions) && !err; i++)
		if (sessions[i])
			err = pa_session__drop_exited(sessions[i], before_ns, pa_procfs__is_there);
	return err ? pa_agent_fail(a, err, "processes that ended: failed to drop: %s",
				   strerror(-err))
		   : 0;
}

int pa_agent__run(struct pa_agent *a)
{
	uint64_t now = pa_monotonic_ns(), last = now;
	int err = 0;

	if (!a->running)
		return pa_agent_fail(a, -EINVAL, "agent not started");
	while (!a->stop && !err) {
		err = wait_for_work(a, now);
		now = pa_monotonic_ns();
		if (now - last < PASS_MIN_NS) {
			struct timespec rest = {0, (long)(PASS_MIN_NS - (now - last))};

			nanosleep(&rest, NULL);
			now = pa_monotonic_ns();
		}
		if (!err && a->capture)
			err = pa_capture__pass(a->capture);
		if (!err)
			err = drop_exited(a, last < now - LATE_NS ? last : now - LATE_NS);
		if (!err)
			err = pa_agent_poll_metrics(a, now);
		last = now;
		now = pa_monotonic_ns();
		report_progress(a, now);
	}
	if (err && a->capture) /* what failed first was said first */
		return pa_agent_capture_failed(a, err);
	return err ? pa_agent_fail(a, err, "capture: failed: %s", strerror(-err)) : 0;
}

void pa_agent__request_stop(struct pa_agent *a)
{
	uint64_t one = 1;

	if (write(a->stop_fd, &one, sizeof(one)) < 0)
		return; /* it is set already */
}

void pa_agent__result(const struct pa_agent *a, struct pa_agent_result *out)
{
	*out = a->result;
}

const char *pa_agent__errmsg(const struct pa_agent *a)
{
	return a->errmsg;
}

static void free_output(struct pa_output *o)
{
	pd_writer__close(o->writer);
	pa_session__free(o->session);
	pa_bytes__free(&o->tracing);
}

void pa_agent__free(struct pa_agent *a)
{
	int status;

	if (!a)
		return;
	pa_command__end(&a->command, &status);
	pa_capture__close(a->capture);
	pa_agent_close_metrics(a);
	free_output(&a->on);
	free_output(&a->off);
	pa_symbolizer__free(a->symbolizer);
	pa_images__free(a->images);
	pd_events__free(a->on.events);
	pd_events__free(a->off.events);
	pa_cpus__free(&a->cpus);
	for (size_t i = 0; i < a->watched_cnt; i++)
		close(a->watched[i].fd);
	free(a->watched);
	if (a->epoll_fd >= 0)
		close(a->epoll_fd);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	free(a);
}
