// SPDX-License-Identifier: GPL-2.0-only
/*
 * options.c - perf-agent's options: the table, the parser that fills struct options, and the
 * check of what goes together.
 */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/procfs.h"
#include "options.h"

#ifndef PA_VERSION
#define PA_VERSION "0.1.0"
#endif

#define DEFAULT_DURATION_NS 10000000000ULL
#define DEFAULT_RATE_HZ 99
#define DEFAULT_OFFCPU_RATE_HZ 1000

enum {
	OPT_PROFILE = 256,
	OPT_PID,
	OPT_DURATION,
	OPT_RATE,
	OPT_PERIOD,
	OPT_EVENT,
	OPT_CPU,
	OPT_KERNEL_STACKS,
	OPT_BRANCH_STACK,
	OPT_UNWIND,
	OPT_UNWIND_MEMORY,
	OPT_RING_SIZE,
	OPT_PROFILE_OUTPUT,
	OPT_PERF_DATA_OUTPUT,
	OPT_TAG,
	OPT_OFFCPU,
	OPT_OFFCPU_OUTPUT,
	OPT_OFFCPU_PERF_DATA_OUTPUT,
	OPT_OFFCPU_REASONS,
	OPT_OFFCPU_MIN,
	OPT_OFFCPU_RATE,
	OPT_OFFCPU_PROBABILITY,
	OPT_LAYOUT,
	OPT_PMU,
	OPT_PER_PID,
	OPT_TOP,
	OPT_PMU_OUTPUT,
	OPT_PMU_FORMAT,
};

const char *argp_program_version = "perf-agent " PA_VERSION;

static const struct argp_option table[] = {
	{NULL, 0, NULL, 0, "What to do:", 1},
	{"profile", OPT_PROFILE, "BOOL", OPTION_ARG_OPTIONAL, "Profile CPU time (default: off)", 0},
	{"offcpu", OPT_OFFCPU, "BOOL", OPTION_ARG_OPTIONAL,
	 "Profile the time that threads are off their CPUs: what they wait for (default: off)", 0},
	{"pmu", OPT_PMU, "BOOL", OPTION_ARG_OPTIONAL,
	 "Time slices, waits for a CPU, reasons of context switches, hardware counters "
	 "(default: off)",
	 0},

	{NULL, 0, NULL, 0, "Whom to profile:", 2},
	{"pid", OPT_PID, "PID[,PID...]", 0,
	 "Processes, with all their threads, without their children; may be repeated", 0},
	{"all", 'a', "BOOL", OPTION_ARG_OPTIONAL, "The whole system", 0},
	{"cpu", OPT_CPU, "LIST", 0, "Only on these CPUs, such as 0-3,8 (default: all)", 0},

	{NULL, 0, NULL, 0, "How:", 3},
	{"duration", OPT_DURATION, "TIME", 0,
	 "Such as 10s, 1m30s, 500ms (default: 10s; with a command, until it ends)", 0},
	{"sample-rate", OPT_RATE, "HZ", 0,
	 "Samples per second and CPU (default: 99; at most kernel.perf_event_max_sample_rate)", 0},
	{"event", OPT_EVENT, "EVENT", 0,
	 "What to sample on, as perf names it, with :u or :k for user or kernel mode only "
	 "(default: cycles where the machine counts them, else cpu-clock)",
	 0},
	{"period", OPT_PERIOD, "N", 0,
	 "Sample each N occurrences of --event (clocks: ns) instead of by rate", 0},
	{"kernel-stacks", OPT_KERNEL_STACKS, "BOOL", OPTION_ARG_OPTIONAL,
	 "Kernel part of call chains (default: on)", 0},
	{"branch-stack", OPT_BRANCH_STACK, "BOOL", OPTION_ARG_OPTIONAL,
	 "Record the branches before each sample, where the CPU does (LBR and its like), for "
	 "pa2autofdo and perf report (default: off)",
	 0},
	{"unwind", OPT_UNWIND, "auto|fp|dwarf", 0,
	 "How user stacks are walked: by tables made of the programs' own unwind information, at "
	 "their first samples (auto, the default) or before the first (dwarf), or by frame "
	 "pointers (fp)",
	 0},
	{"unwind-memory", OPT_UNWIND_MEMORY, "MIB", 0,
	 "Unwind tables take at most so much memory (default: 64)", 0},
	{"ring-size", OPT_RING_SIZE, "KIB", 0,
	 "Ring buffer of each CPU, in KiB, a power of two (default: by the rate, 256 to 4096; with "
	 "unwind tables from 1024)",
	 0},

	{"offcpu-reasons", OPT_OFFCPU_REASONS, "LIST", 0,
	 "Which waits count: blocked (sleeps, locks), io (uninterruptible), preempted (could have "
	 "run on) (default: blocked,io)",
	 0},
	{"offcpu-min", OPT_OFFCPU_MIN, "TIME", 0,
	 "Shorter waits don't count, such as 10us (default: all do)", 0},
	{"offcpu-rate", OPT_OFFCPU_RATE, "N", 0,
	 "Record about so many waits per second and CPU; where there are more, the short ones by "
	 "chance, and weigh what was drawn accordingly. 0: all (default: 1000)",
	 0},
	{"offcpu-probability", OPT_OFFCPU_PROBABILITY, "P", 0,
	 "Record each wait with this chance instead, above 0 and at most 1", 0},

	{NULL, 0, NULL, 0, "What to write:", 4},
	{"profile-output", OPT_PROFILE_OUTPUT, "FILE", 0,
	 "pprof file, - for standard output (default: COMM-YYYYMMDDHHMM-on-cpu.pb.gz; with -a "
	 "without COMM-)",
	 0},
	{"perf-data-output", OPT_PERF_DATA_OUTPUT, "FILE", 0,
	 "perf.data file, - for standard output in pipe layout (default: none)", 0},
	{"offcpu-output", OPT_OFFCPU_OUTPUT, "FILE", 0,
	 "pprof file of --offcpu (default: COMM-YYYYMMDDHHMM-offcpu.pb.gz)", 0},
	{"offcpu-perf-data-output", OPT_OFFCPU_PERF_DATA_OUTPUT, "FILE", 0,
	 "perf.data file of --offcpu (default: none)", 0},
	{"perf-data-layout", OPT_LAYOUT, "separate|combined|tracepoint", 0,
	 "Off-CPU samples in perf.data: in the file of --offcpu-perf-data-output, an event for "
	 "each "
	 "reason, weighed by time (separate, the default) or each switch as the tracepoint "
	 "sched:sched_switch has it (tracepoint); or in that of --perf-data-output, each switch, "
	 "for hotspot (combined)",
	 0},
	{"pmu-output", OPT_PMU_OUTPUT, "FILE", 0,
	 "Report of --pmu: a file, or auto for COMM-YYYYMMDDHHMM-pmu.txt (default: standard "
	 "output)",
	 0},
	{"pmu-format", OPT_PMU_FORMAT, "text|json", 0, "Form of that report (default: text)", 0},
	{"per-pid", OPT_PER_PID, "BOOL", OPTION_ARG_OPTIONAL,
	 "With --pmu -a: each process by itself, sorted by its total wait for a CPU (default: "
	 "merged)",
	 0},
	{"top", OPT_TOP, "N", 0, "With --per-pid: so many processes at most (default: all)", 0},
	{"tag", OPT_TAG, "KEY=VALUE", 0, "Comment of the profile; may be repeated", 0},
	{"quiet", 'q', NULL, 0, "Print warnings and errors only", 0},
	{0},
};

/* ---- values ---------------------------------------------------------------------------- */

static bool parse_bool(struct argp_state *state, const char *name, const char *arg)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", "yes", "on"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", "no", "off"};

	if (!arg)
		return true;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!strcmp(arg, yes[i]))
			return true;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcmp(arg, no[i]))
			return false;
	argp_error(state, "--%s=%s: not true or false", name, arg);
	return false;
}

static unsigned long long parse_number(struct argp_state *state, const char *name, const char *arg,
				       unsigned long long min, unsigned long long max)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || errno || v < min || v > max)
		argp_error(state, "--%s %s: not a number from %llu to %llu", name, arg, min, max);
	return v;
}

/* A sequence of numbers with units, as in 1m30s; a number alone is seconds.
 * @return ns, or 0 when it isn't one */
static uint64_t parse_duration(const char *arg)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1},	 {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6},
		     {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	double total = 0;
	const char *p = arg;

	while (*p) {
		size_t i, len;
		double v;
		char *end;

		if (!isdigit((unsigned char)*p) && *p != '.')
			return 0;
		if (strspn(p, "0123456789.") > 18) /* also keeps strtod from hex and exponents */
			return 0;
		len = strspn(p, "0123456789.");
		v = strtod(p, &end);
		if (end != p + len)
			return 0;
		p = end;
		if (!*p && arg + len == p)
			return v > 0 && v < 1e9 ? (uint64_t)(v * 1e9) : 0;
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
			len = strlen(units[i].unit);
			if (!strncmp(p, units[i].unit, len) &&
			    (!p[len] || isdigit((unsigned char)p[len]) || p[len] == '.'))
				break;
		}
		if (i == sizeof(units) / sizeof(units[0]))
			return 0;
		total += v * units[i].ns;
		p += len;
	}
	return total >= 1 && total < 1e18 ? (uint64_t)total : 0;
}

static void *grow(struct argp_state *state, void *array, size_t cnt, size_t bytes)
{
	void *p = reallocarray(array, cnt + 1, bytes);

	if (!p)
		argp_failure(state, 1, ENOMEM, "options");
	return p;
}

static void parse_pids(struct argp_state *state, struct options *o, const char *arg)
{
	const char *p = arg;

	do {
		unsigned long v;
		char *end;
		bool known = false;

		errno = 0;
		v = strtoul(p, &end, 10);
		if (!isdigit((unsigned char)*p) || errno || !v || v > INT_MAX ||
		    (*end && *end != ','))
			argp_error(state, "--pid %s: not a process id or a list of them", arg);
		for (size_t i = 0; i < o->agent.pid_cnt; i++)
			known |= o->pids[i] == (pid_t)v;
		if (!known) {
			o->pids = grow(state, o->pids, o->agent.pid_cnt, sizeof(*o->pids));
			o->pids[o->agent.pid_cnt++] = (pid_t)v;
		}
		p = *end ? end + 1 : NULL;
	} while (p);
}

static enum pa_unwind parse_unwind(struct argp_state *state, const char *arg)
{
	if (!strcmp(arg, "auto"))
		return PA_UNWIND_BY_AUTO;
	if (!strcmp(arg, "fp"))
		return PA_UNWIND_BY_FP;
	if (strcmp(arg, "dwarf"))
		argp_error(state, "--unwind %s: not auto, fp or dwarf", arg);
	return PA_UNWIND_BY_DWARF;
}

static enum pa_perf_data_layout parse_layout(struct argp_state *state, const char *arg)
{
	if (!strcmp(arg, "separate"))
		return PA_LAYOUT_SEPARATE;
	if (!strcmp(arg, "combined"))
		return PA_LAYOUT_COMBINED;
	if (strcmp(arg, "tracepoint"))
		argp_error(state, "--perf-data-layout %s: not separate, combined or tracepoint",
			   arg);
	return PA_LAYOUT_TRACEPOINT;
}

static unsigned parse_reasons(struct argp_state *state, const char *arg)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {{"blocked", PA_OFFCPU_BLOCKED},
		     {"io", PA_OFFCPU_IO},
		     {"preempted", PA_OFFCPU_PREEMPTED}};
	unsigned reasons = 0;

	for (const char *p = arg; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t len = strcspn(p, ","), i = 0;

		while (i < 3 && (strlen(known[i].name) != len || strncmp(p, known[i].name, len)))
			i++;
		if (i == 3)
			argp_error(state,
				   "--offcpu-reasons %s: not a list of blocked, io and preempted",
				   arg);
		else
			reasons |= known[i].bit;
	}
	return reasons;
}

static double parse_probability(struct argp_state *state, const char *arg)
{
	size_t len = strspn(arg, "0123456789."); /* no hex, no exponents */
	char *end;
	double p = strtod(arg, &end);

	if (!(p > 0 && p <= 1) || *end || end != arg + len)
		argp_error(state, "--offcpu-probability %s: not a number above 0 and up to 1", arg);
	return p;
}

static void parse_tag(struct argp_state *state, struct options *o, char *arg)
{
	char *eq = strchr(arg, '=');

	if (!eq || eq == arg)
		argp_error(state, "--tag %s: tag must be in key=value format", arg);
	o->tags = grow(state, o->tags, o->agent.tag_cnt, sizeof(*o->tags));
	o->tags[o->agent.tag_cnt++] = arg;
}

static error_t parse_offcpu_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct pa_agent_opts *a = &o->agent;

	switch (key) {
	case OPT_OFFCPU:
		o->offcpu = parse_bool(state, "offcpu", arg);
		return 0;
	case OPT_OFFCPU_OUTPUT:
		o->offcpu_output = arg;
		return 0;
	case OPT_OFFCPU_PERF_DATA_OUTPUT:
		o->offcpu_perf_data_output = arg;
		return 0;
	case OPT_LAYOUT:
		a->layout = parse_layout(state, arg);
		break;
	case OPT_OFFCPU_REASONS:
		a->offcpu_reasons = parse_reasons(state, arg);
		break;
	case OPT_OFFCPU_MIN:
		a->offcpu_min_ns = parse_duration(arg);
		if (!a->offcpu_min_ns && strcmp(arg, "0"))
			argp_error(state, "--offcpu-min %s: not a time such as 10us or 1ms", arg);
		break;
	case OPT_OFFCPU_RATE:
		a->offcpu_rate_hz = parse_number(state, "offcpu-rate", arg, 0, 1000000);
		o->offcpu_rate_given = true;
		break;
	case OPT_OFFCPU_PROBABILITY:
		a->offcpu_probability = parse_probability(state, arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	o->offcpu_tuned = true;
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct pa_agent_opts *a = &o->agent;

	switch (key) {
	case OPT_PROFILE:
		o->profile = parse_bool(state, "profile", arg);
		break;
	case OPT_PMU:
		a->pmu = parse_bool(state, "pmu", arg);
		break;
	case OPT_PER_PID:
		a->per_pid = parse_bool(state, "per-pid", arg);
		break;
	case OPT_TOP:
		a->top = parse_number(state, "top", arg, 1, INT_MAX);
		break;
	case OPT_PMU_OUTPUT:
		a->pmu_output = arg;
		break;
	case OPT_PMU_FORMAT:
		if (strcmp(arg, "text") && strcmp(arg, "json"))
			argp_error(state, "--pmu-format %s: not text or json", arg);
		a->pmu_json = !strcmp(arg, "json");
		o->pmu_format_given = true;
		break;
	case OPT_PID:
		parse_pids(state, o, arg);
		break;
	case 'a':
		a->all = parse_bool(state, "all", arg);
		break;
	case OPT_CPU:
		a->cpus = arg;
		break;
	case OPT_DURATION:
		a->duration_ns = parse_duration(arg);
		if (!a->duration_ns)
			argp_error(state, "--duration %s: not a time such as 10s, 1m30s or 500ms",
				   arg);
		break;
	case OPT_RATE:
		a->sample_rate_hz = parse_number(state, "sample-rate", arg, 1, 100000000);
		break;
	case OPT_EVENT:
		a->event = arg;
		break;
	case OPT_PERIOD:
		a->period = parse_number(state, "period", arg, 1, LLONG_MAX);
		break;
	case OPT_KERNEL_STACKS:
		a->kernel_stacks = parse_bool(state, "kernel-stacks", arg);
		break;
	case OPT_BRANCH_STACK:
		a->branch_stack = parse_bool(state, "branch-stack", arg);
		break;
	case OPT_UNWIND:
		a->unwind = parse_unwind(state, arg);
		o->unwind_given = true;
		break;
	case OPT_UNWIND_MEMORY:
		a->unwind_bytes = parse_number(state, "unwind-memory", arg, 1, 1024) << 20;
		break;
	case OPT_RING_SIZE:
		a->ring_bytes = parse_number(state, "ring-size", arg, 4, 1 << 20) * 1024;
		break;
	case OPT_PROFILE_OUTPUT:
		o->profile_output = arg;
		break;
	case OPT_PERF_DATA_OUTPUT:
		o->perf_data_output = arg;
		break;
	case OPT_TAG:
		parse_tag(state, o, arg);
		break;
	case 'q':
		o->quiet = true;
		break;
	case ARGP_KEY_ARGS: /* the command and its arguments, as they are */
		a->command = state->argv + state->next;
		break;
	default:
		return parse_offcpu_option(key, arg, state);
	}
	return 0;
}

/* ---- what goes together ------------------------------------------------------------------ */

static int conflict(const char *msg)
{
	fprintf(stderr, "perf-agent: %s\nTry `perf-agent --help' for more information.\n", msg);
	return 2;
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static int check_offcpu(const struct options *o)
{
	if (!o->offcpu && o->offcpu_output)
		return conflict("--offcpu-output is only valid with --offcpu");
	if (!o->offcpu && o->offcpu_perf_data_output)
		return conflict("--offcpu-perf-data-output is only valid with --offcpu");
	if (!o->offcpu && o->offcpu_tuned)
		return conflict("--offcpu-... and --perf-data-layout are only valid with --offcpu");
	if (o->agent.layout == PA_LAYOUT_COMBINED && !(o->profile && o->perf_data_output))
		return conflict("--perf-data-layout combined needs --profile and "
				"--perf-data-output");
	if (o->agent.layout == PA_LAYOUT_COMBINED && o->offcpu_perf_data_output)
		return conflict("--perf-data-layout combined and --offcpu-perf-data-output are "
				"mutually exclusive");
	if (o->agent.layout == PA_LAYOUT_TRACEPOINT && o->agent.offcpu_reasons)
		return conflict("--offcpu-reasons and --perf-data-layout tracepoint are mutually "
				"exclusive: it has all reasons");
	if (o->agent.layout == PA_LAYOUT_TRACEPOINT && same(o->offcpu_perf_data_output, "-"))
		return conflict("--perf-data-layout tracepoint can't be written to -");
	if (o->agent.layout != PA_LAYOUT_SEPARATE &&
	    (o->offcpu_rate_given || o->agent.offcpu_min_ns || o->agent.offcpu_probability > 0))
		return conflict("--offcpu-rate, --offcpu-probability and --offcpu-min are only "
				"valid with --perf-data-layout separate: others have every switch");
	if (o->offcpu_rate_given && o->agent.offcpu_probability > 0)
		return conflict("--offcpu-rate and --offcpu-probability are mutually exclusive");
	if (o->offcpu && o->agent.cpus)
		return conflict("--cpu and --offcpu are mutually exclusive: a thread that waits "
				"has no CPU");
	return 0;
}

/* No two outputs in one place. */
static int check_outputs(const struct options *o)
{
	const struct {
		const char *name, *path;
	} outputs[] = {
		{"--profile-output", o->profile_output},
		{"--perf-data-output", o->perf_data_output},
		{"--offcpu-output", o->offcpu_output},
		{"--offcpu-perf-data-output", o->offcpu_perf_data_output},
		{"--pmu-output", o->agent.pmu && !o->agent.pmu_output ? "-" : o->agent.pmu_output},
	};
	char msg[160];

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		for (size_t k = 0; k < i; k++) {
			if (!same(outputs[i].path, outputs[k].path))
				continue;
			if (!strcmp(outputs[i].path, "auto") && i == 4)
				continue;
			snprintf(msg, sizeof(msg),
				 strcmp(outputs[i].path, "-") ? "%s and %s name the same file"
							      : "%s and %s can't both be -",
				 outputs[k].name, outputs[i].name);
			return conflict(msg);
		}
	}
	return 0;
}

static int check(const struct options *o)
{
	const struct pa_agent_opts *a = &o->agent;

	if (!a->pid_cnt && !a->all && !a->command)
		return conflict("Either --pid, -a/--all or -- COMMAND is required");
	if (a->pid_cnt && a->all)
		return conflict("--pid and -a/--all are mutually exclusive");
	if (a->per_pid && !a->pmu)
		return conflict("--per-pid is only valid with --pmu");
	if (a->per_pid && !a->all)
		return conflict("--per-pid requires -a/--all");
	if (a->top && !a->per_pid)
		return conflict("--top is only valid with --per-pid");
	if (!a->pmu && a->pmu_output)
		return conflict("--pmu-output is only valid with --pmu");
	if (!a->pmu && o->pmu_format_given)
		return conflict("--pmu-format is only valid with --pmu");
	if (!o->profile && o->perf_data_output)
		return conflict("--perf-data-output is only valid with --profile");
	if (!o->profile && o->profile_output)
		return conflict("--profile-output is only valid with --profile");
	if (!o->profile && !o->offcpu && !a->pmu)
		return conflict("At least one of --profile, --offcpu, or --pmu must be specified");
	if (!o->profile && (a->sample_rate_hz || a->event || a->period))
		return conflict("--sample-rate, --event and --period are only valid with "
				"--profile");
	if (!o->profile && a->branch_stack)
		return conflict("--branch-stack is only valid with --profile");
	if (!o->profile && !o->offcpu && (o->unwind_given || a->tag_cnt))
		return conflict("--unwind and --tag are only valid with --profile or --offcpu");
	if (a->period && a->sample_rate_hz)
		return conflict("--period and --sample-rate are mutually exclusive");
	if (a->period && !a->event)
		return conflict("--period needs --event: it counts occurrences of it");
	if (a->ring_bytes & (a->ring_bytes - 1))
		return conflict("--ring-size must be a power of two");
	if (check_offcpu(o))
		return 2;
	return check_outputs(o);
}

/* ---- automatic names ----------------------------------------------------------------------- */

/* The name of a process or a command, as a file name can hold it. */
static void target_name(const struct options *o, char *out, size_t bytes)
{
	const struct pa_agent_opts *a = &o->agent;
	char comm[PA_COMM_BYTES];
	const char *slash;

	if (a->pid_cnt) {
		if (pa_procfs__comm(a->pids[0], comm))
			snprintf(out, bytes, "pid%d", (int)a->pids[0]);
		else
			snprintf(out, bytes, "%s", comm);
	} else {
		slash = strrchr(a->command[0], '/');
		snprintf(out, bytes, "%.64s", slash ? slash + 1 : a->command[0]);
	}
	for (char *p = out; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-+", *p))
			*p = '_';
	if (*out == '.' || *out == '-')
		*out = '_';
}

static void name_output(const struct options *o, const char *what, char *out, size_t bytes)
{
	char target[80], when[32];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%d%H%M", &tm);
	if (o->agent.all) {
		snprintf(out, bytes, "%s-%s", when, what);
	} else {
		target_name(o, target, sizeof(target));
		snprintf(out, bytes, "%s-%s-%s", target, when, what);
	}
}

static void name_outputs(struct options *o)
{
	struct pa_agent_opts *a = &o->agent;

	if (o->profile) {
		name_output(o, "on-cpu.pb.gz", o->profile_name, sizeof(o->profile_name));
		a->profile_output = o->profile_output ? o->profile_output : o->profile_name;
		a->perf_data_output = o->perf_data_output;
	}
	if (o->offcpu) {
		name_output(o, "offcpu.pb.gz", o->offcpu_name, sizeof(o->offcpu_name));
		a->offcpu_output = o->offcpu_output ? o->offcpu_output : o->offcpu_name;
		a->offcpu_perf_data_output = o->offcpu_perf_data_output;
	}
	if (same(a->pmu_output, "auto")) {
		name_output(o, a->pmu_json ? "pmu.json" : "pmu.txt", o->pmu_name,
			    sizeof(o->pmu_name));
		a->pmu_output = o->pmu_name;
	}
}

int options__parse(int argc, char **argv, struct options *o)
{
	static const struct argp argp = {
		.options = table,
		.parser = parse_option,
		.args_doc = "[-- COMMAND [ARG...]]",
		.doc = "Profile processes with eBPF into perf.data and pprof."
		       "\vExamples:\n"
		       "  perf-agent --profile --pid 1234\n"
		       "  perf-agent --profile -a --duration 30s --perf-data-output perf.data\n"
		       "  perf-agent --profile --perf-data-output perf.data -- ./server --port "
		       "80\n"
		       "  perf-agent --offcpu --pid 1234 --offcpu-min 100us\n"
		       "  perf-agent --pmu -a --per-pid --top 10\n\n"
		       "Exit status: 0 done (with a command: its own), 1 the job failed, 2 wrong "
		       "usage.",
	};
	int err;

	memset(o, 0, sizeof(*o));
	o->agent.sz = sizeof(o->agent);
	o->agent.kernel_stacks = true;
	o->agent.argv = (const char *const *)argv;
	argp_err_exit_status = 2;
	/* in order: what follows the first word that is no option belongs to the command */
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_LONG_ONLY, NULL, o);
	o->agent.pids = o->pids;
	o->agent.tags = o->tags;
	err = check(o);
	if (err)
		return err;
	if (!o->agent.duration_ns && !o->agent.command)
		o->agent.duration_ns = DEFAULT_DURATION_NS;
	if (!o->agent.sample_rate_hz && !o->agent.period)
		o->agent.sample_rate_hz = DEFAULT_RATE_HZ;
	if (!o->offcpu_rate_given)
		o->agent.offcpu_rate_hz = DEFAULT_OFFCPU_RATE_HZ;
	name_outputs(o);
	return 0;
}

void options__free(struct options *o)
{
	free(o->pids);
	free(o->tags);
}
