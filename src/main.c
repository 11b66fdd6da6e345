// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - the perf-agent command: parse, start, run, finish.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "recover_command.h"

/* What the handlers and the callbacks need; set once, before the handlers are. */
struct command {
	struct options options;
	struct pa_agent *agent;
	FILE *info; /* standard error when standard output carries data */
	bool progress_shown;
};

static struct pa_agent *volatile signalled_agent;
static volatile sig_atomic_t got_signal;

static void on_signal(int signo)
{
	int saved = errno;

	if (got_signal) { /* the second one does not wait for outputs */
		sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
		raise(signo);
	}
	got_signal = signo;
	if (signalled_agent)
		pa_agent__request_stop(signalled_agent);
	errno = saved;
}

static void clear_progress(struct command *c)
{
	if (c->progress_shown)
		fputs("\r\033[K", stderr);
	c->progress_shown = false;
}

/* Names of files and processes are their owners' choice: no control characters. */
static void print_clean(const char *msg)
{
	for (; *msg; msg++)
		fputc((unsigned char)*msg < ' ' || *msg == 0x7f ? '?' : *msg, stderr);
	fputc('\n', stderr);
}

static void log_line(void *ctx, enum pa_log_level level, const char *msg)
{
	struct command *c = ctx;

	if (level == PA_LOG_INFO && c->options.quiet)
		return;
	clear_progress(c);
	fflush(c->info);
	fprintf(stderr, "perf-agent: %s", level == PA_LOG_WARN ? "warning: " : "");
	print_clean(msg);
}

static void show_progress(void *ctx, const struct pa_agent_progress *p)
{
	struct command *c = ctx;

	fprintf(stderr, "\r\033[K%llus", (unsigned long long)(p->elapsed_ns / 1000000000ULL));
	if (c->options.profile || c->options.offcpu)
		fprintf(stderr, ": %llu samples, %llu lost", (unsigned long long)p->sample_cnt,
			(unsigned long long)p->lost_cnt);
	fflush(stderr);
	c->progress_shown = true;
}

__attribute__((format(printf, 2, 3))) static void say(struct command *c, const char *fmt, ...)
{
	va_list ap;

	if (c->options.quiet)
		return;
	clear_progress(c);
	va_start(ap, fmt);
	vfprintf(c->info, fmt, ap);
	va_end(ap);
	fflush(c->info);
}

/* As Go prints durations: 1m40s, 1.5s, 500ms. */
static void format_duration(uint64_t ns, char *out, size_t bytes)
{
	unsigned long long minutes = ns / 60000000000ULL;
	double seconds = (double)(ns % 60000000000ULL) / 1e9;

	if (ns < 1000000ULL)
		snprintf(out, bytes, "%.9gus", (double)ns / 1e3);
	else if (ns < 1000000000ULL)
		snprintf(out, bytes, "%.9gms", (double)ns / 1e6);
	else if (minutes >= 60)
		snprintf(out, bytes, "%lluh%llum%.9gs", minutes / 60, minutes % 60, seconds);
	else if (minutes)
		snprintf(out, bytes, "%llum%.9gs", minutes, seconds);
	else
		snprintf(out, bytes, "%.9gs", seconds);
}

static void catch_signals(struct pa_agent *agent)
{
	struct sigaction sa = {.sa_handler = on_signal}, hup;

	signalled_agent = agent;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (!sigaction(SIGHUP, NULL, &hup) && hup.sa_handler != SIG_IGN) /* nohup means it */
		sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN); /* a write says it, with the output's name */
}

static int failed(struct command *c)
{
	const char *msg = c->agent ? pa_agent__errmsg(c->agent) : "out of memory";

	clear_progress(c);
	fflush(c->info);
	fputs("perf-agent: ", stderr);
	print_clean(*msg ? msg : "failed");
	return 1;
}

static void say_start(struct command *c)
{
	char duration[64];

	if (c->options.agent.duration_ns) {
		format_duration(c->options.agent.duration_ns, duration, sizeof(duration));
		say(c, "Collecting data for %s (Ctrl+C to stop early)...\n", duration);
	} else {
		say(c, "Collecting data until %s ends (Ctrl+C to stop early)...\n",
		    c->options.agent.command[0]);
	}
}

static void say_unwound(struct command *c, const struct pa_agent_unwound *u)
{
	uint64_t complete = u->complete_cnt + u->complete_fp_cnt + u->finished_cnt;
	uint64_t all = complete + u->truncated_cnt + u->faulted_cnt + u->deep_cnt;

	if (!all)
		return;
	say(c,
	    "%llu user stacks, %.1f%% complete (%llu by tables, %llu by frame pointers, %llu "
	    "finished in user space); %llu truncated, %llu unreadable, %llu too deep, %llu without "
	    "a table",
	    (unsigned long long)all, 100.0 * (double)complete / (double)all,
	    (unsigned long long)u->complete_cnt, (unsigned long long)u->complete_fp_cnt,
	    (unsigned long long)u->finished_cnt, (unsigned long long)u->truncated_cnt,
	    (unsigned long long)u->faulted_cnt, (unsigned long long)u->deep_cnt,
	    (unsigned long long)u->missing_table_cnt);
	if (u->by_tables)
		say(c, "; tables of %llu images in %.1f MiB", (unsigned long long)u->image_cnt,
		    (double)u->table_bytes / (1 << 20));
	say(c, "\n");
}

static void say_offcpu(struct command *c, const struct pa_agent_offcpu *o)
{
	if (o->is_log) {
		say(c, "%llu switches written, %llu lost, %llu distinct stacks\n",
		    (unsigned long long)o->sample_cnt, (unsigned long long)o->lost_cnt,
		    (unsigned long long)o->stack_cnt);
		return;
	}
	say(c,
	    "%.3f s off the CPU in %llu waits; %llu recorded, %llu lost, %llu distinct stacks; "
	    "estimate %.3f s, standard error %.3f s\n",
	    (double)o->wait_ns / 1e9, (unsigned long long)o->wait_cnt,
	    (unsigned long long)o->sample_cnt, (unsigned long long)o->lost_cnt,
	    (unsigned long long)o->stack_cnt, (double)o->estimate_ns / 1e9,
	    (double)o->error_ns / 1e9);
	if (o->waiting_cnt)
		say(c, "%llu threads waited when it began, %llu of them without user stack\n",
		    (unsigned long long)o->waiting_cnt, (unsigned long long)o->no_user_cnt);
}

static bool is_stdout(const char *path)
{
	return path && !strcmp(path, "-");
}

static int run(struct command *c)
{
	struct pa_agent_result result;
	int err, run_err;

	err = pa_agent__new(&c->options.agent, &c->agent);
	if (err) {
		failed(c);
		return err == -EINVAL ? 2 : 1;
	}
	catch_signals(c->agent);
	if (pa_agent__start(c->agent))
		return failed(c);
	if (c->options.agent.pmu_output && !is_stdout(c->options.agent.pmu_output))
		say(c, "PMU metrics will be written to %s\n", c->options.agent.pmu_output);
	say_start(c);
	run_err = pa_agent__run(c->agent);
	if (got_signal)
		say(c, "\nReceived signal: %s\n",
		    got_signal == SIGINT    ? "interrupt"
		    : got_signal == SIGTERM ? "terminated"
					    : "hangup");
	else if (!run_err)
		say(c, "Collection duration completed\n");
	err = pa_agent__finish(c->agent);
	if (run_err || err)
		return failed(c);
	pa_agent__result(c->agent, &result);
	if (c->options.profile)
		say(c, "%llu samples, %llu lost, %llu distinct stacks, %llu processes\n",
		    (unsigned long long)result.sample_cnt, (unsigned long long)result.lost_cnt,
		    (unsigned long long)result.stack_cnt, (unsigned long long)result.process_cnt);
	if (c->options.offcpu)
		say_offcpu(c, &result.offcpu);
	say_unwound(c, &result.unwound);
	say(c, "Exiting program.\n");
	if (result.command_status != -1)
		return WIFSIGNALED(result.command_status) ? 128 + WTERMSIG(result.command_status)
							  : WEXITSTATUS(result.command_status);
	return 0;
}

int main(int argc, char **argv)
{
	struct command c = {.info = stdout};
	int status;

	if (argc > 1 && !strcmp(argv[1], "recover"))
		return recover_command(argc - 1, argv + 1);
	status = options__parse(argc, argv, &c.options);
	if (!status) {
		struct pa_agent_opts *o = &c.options.agent;

		/* a report as text is for who reads these lines */
		if (is_stdout(o->profile_output) || is_stdout(o->perf_data_output) ||
		    is_stdout(o->offcpu_output) || is_stdout(o->offcpu_perf_data_output) ||
		    is_stdout(o->pmu_output) || (o->pmu_json && !o->pmu_output))
			c.info = stderr;
		o->log = log_line;
		o->ctx = &c;
		if (isatty(STDERR_FILENO) && !c.options.quiet)
			o->progress = show_progress;
		status = run(&c);
	}
	signalled_agent = NULL;
	pa_agent__free(c.agent);
	options__free(&c.options);
	return status;
}
