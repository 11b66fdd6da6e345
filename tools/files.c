// SPDX-License-Identifier: GPL-2.0-only
/*
 * files.c - the options that all pa2* commands have: input and output, which samples are wanted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

enum {
	OPT_PID = 0x1000,
	OPT_TID,
	OPT_COMM,
	OPT_CPU,
	OPT_TIME,
	OPT_EVENT,
	OPT_INLINE,
	OPT_NO_SYMBOLS
};
enum { OPT_WEIGHT_FIELD = 0x1100, OPT_LABEL_FIELD, OPT_OFF_CPU };
enum {
	OPT_SYMFS = 0x1200,
	OPT_DEBUG_DIR,
	OPT_BUILDID_DIR,
	OPT_KALLSYMS,
	OPT_VMLINUX,
	OPT_DEBUGINFOD
};
enum { LABEL_FIELDS_MAX = 16, SECONDS_MAX = 86400 };

static const struct argp_option options[] = {
	{"input", 'i', "FILE", 0, "Read FILE, like the argument (default perf.data)", 1},
	{"output", 'o', "FILE", 0, "Write to FILE (default -, standard output)", 1},
	{NULL, 0, NULL, 0, "Which samples (all that is given must match):", 2},
	{"pid", OPT_PID, "LIST", 0, "Of these processes: 1,5-7", 2},
	{"tid", OPT_TID, "LIST", 0, "Of these threads", 2},
	{"comm", OPT_COMM, "NAMES", 0, "Of threads of these names, separated by commas", 2},
	{"cpu", OPT_CPU, "LIST", 0, "Taken on these CPUs: 0-3,8", 2},
	{"time", OPT_TIME, "A,B", 0,
	 "Taken from A to B, in seconds as perf script prints them; either may be left out", 2},
	{"event", OPT_EVENT, "NAME", 0, "Of this event only, named as in perf: sched:sched_switch",
	 2},
	{NULL, 0, NULL, 0, "What they weigh:", 3},
	{"weight-field", OPT_WEIGHT_FIELD, "FIELD", 0,
	 "This field of their tracepoint instead of their period", 3},
	{"label-field", OPT_LABEL_FIELD, "FIELD", 0,
	 "Label them with this field of their tracepoint; may be repeated", 3},
	{"off-cpu", OPT_OFF_CPU, NULL, 0,
	 "The time that threads were switched out: of sched:sched_switch, context switches or "
	 "perf's offcpu-time",
	 3},
	{NULL, 0, NULL, 0, "Symbols:", 4},
	{"inline", OPT_INLINE, NULL, 0, "Show inlined functions, where debug information tells", 4},
	{"symfs", OPT_SYMFS, "DIR", 0, "Look for binaries and their debug files below DIR only", 4},
	{"debug-dir", OPT_DEBUG_DIR, "DIR", 0,
	 "Look for debug files in DIR (by build-id, and by path); may be repeated (default "
	 "/usr/lib/debug)",
	 4},
	{"buildid-dir", OPT_BUILDID_DIR, "DIR", 0, "perf's build-id cache (default ~/.debug)", 4},
	{"kallsyms", OPT_KALLSYMS, "FILE", 0, "Name kernel functions from a copy of /proc/kallsyms",
	 4},
	{"vmlinux", OPT_VMLINUX, "FILE", 0, "Name kernel functions from the kernel's vmlinux", 4},
	{"debuginfod", OPT_DEBUGINFOD, "SECONDS", OPTION_ARG_OPTIONAL,
	 "Ask the servers in DEBUGINFOD_URLS for what is missing, for so long at most (default "
	 "120)",
	 4},
	{"no-symbols", OPT_NO_SYMBOLS, NULL, 0, "Look none up: frames are named after binaries", 4},
	{0},
};

static void need(struct argp_state *state, int err, const char *what, const char *arg)
{
	if (err == -ENOMEM)
		argp_failure(state, TOOL_FAILED, ENOMEM, "%s", arg);
	else if (err)
		argp_error(state, "%s: %s", what, arg);
}

static void add_input(struct tool_files *files, char *arg, struct argp_state *state)
{
	if (!*arg)
		argp_error(state, "empty name of the input file");
	if (!files->input_given)
		files->input_cnt = 0;
	if (files->input_cnt == (files->max_inputs ? files->max_inputs : 1))
		argp_error(state, "more than %zu input file%s: %s", files->input_cnt,
			   files->input_cnt == 1 ? "" : "s", arg);
	files->inputs[files->input_cnt++] = arg;
	files->input_given = true;
}

static unsigned parse_seconds(const char *arg, struct argp_state *state)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 10);

	if (*arg < '0' || *arg > '9' || *end || !v || v > SECONDS_MAX)
		argp_error(state, "a time limit is 1 to %d seconds: %s", SECONDS_MAX, arg);
	return v;
}

static void add_label(struct tool_files *files, const char *arg, struct argp_state *state)
{
	size_t cnt = 0;

	while (files->label_fields[cnt])
		cnt++;
	if (cnt == LABEL_FIELDS_MAX)
		argp_error(state, "more than %d label fields: %s", LABEL_FIELDS_MAX, arg);
	else
		files->label_fields[cnt] = arg;
}

static int start(struct tool_files *files, const struct argp_state *state)
{
	const char *home = getenv("HOME");

	files->inputs = calloc(state->argc + 1, sizeof(*files->inputs));
	files->label_fields = calloc(LABEL_FIELDS_MAX + 1, sizeof(*files->label_fields));
	files->debug_dirs = calloc(state->argc + 1, sizeof(*files->debug_dirs));
	if (!files->inputs || !files->label_fields || !files->debug_dirs)
		return ENOMEM;
	if (home && *home && asprintf(&files->buildid_dir, "%s/.debug", home) < 0)
		return ENOMEM;
	files->opts.search.buildid_dir = files->buildid_dir;
	files->opts.label_fields = files->label_fields;
	files->inputs[0] = "perf.data";
	files->input_cnt = 1;
	files->output = "-";
	files->opts.sz = sizeof(files->opts);
	files->opts.filter = &files->filter;
	return 0;
}

/* Options that say where symbols come from. @return false: key is none of them */
static bool parse_symbols(int key, char *arg, struct argp_state *state)
{
	struct tool_files *files = state->input;
	size_t cnt = 0;

	switch (key) {
	case OPT_SYMFS:
		files->opts.search.symfs = arg;
		return true;
	case OPT_DEBUG_DIR:
		while (files->debug_dirs[cnt])
			cnt++;
		files->debug_dirs[cnt] = arg;
		files->opts.search.debug_dirs = files->debug_dirs;
		return true;
	case OPT_BUILDID_DIR:
		files->opts.search.buildid_dir = arg;
		return true;
	case OPT_KALLSYMS:
		files->opts.kallsyms = arg;
		return true;
	case OPT_VMLINUX:
		files->opts.vmlinux = arg;
		return true;
	case OPT_DEBUGINFOD:
		files->debuginfod = true;
		files->debuginfod_s = arg ? parse_seconds(arg, state) : 0;
		return true;
	case OPT_INLINE:
		files->opts.inlines = true;
		return true;
	case OPT_NO_SYMBOLS:
		files->opts.no_symbols = true;
		return true;
	default:
		return false;
	}
}

/* Options that say what samples weigh. @return false: key is none of them */
static bool parse_weights(int key, char *arg, struct argp_state *state)
{
	struct tool_files *files = state->input;

	switch (key) {
	case OPT_EVENT:
		files->opts.event = arg;
		return true;
	case OPT_WEIGHT_FIELD:
		files->opts.weight_field = arg;
		return true;
	case OPT_LABEL_FIELD:
		add_label(files, arg, state);
		return true;
	case OPT_OFF_CPU:
		files->opts.off_cpu = true;
		return true;
	default:
		return false;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tool_files *files = state->input;
	struct pa_filter *filter = &files->filter;

	switch (key) {
	case ARGP_KEY_INIT:
		return start(files, state);
	case 'i':
	case ARGP_KEY_ARG:
		add_input(files, arg, state);
		return 0;
	case 'o':
		if (!*arg)
			argp_error(state, "empty name of the output file");
		files->output = arg;
		return 0;
	case OPT_PID:
		need(state, pa_ranges__parse(&filter->pids, arg, UINT32_MAX),
		     "process ids are like 1,5-7", arg);
		return 0;
	case OPT_TID:
		need(state, pa_ranges__parse(&filter->tids, arg, UINT32_MAX),
		     "thread ids are like 1,5-7", arg);
		return 0;
	case OPT_CPU:
		need(state, pa_ranges__parse(&filter->cpus, arg, UINT32_MAX), "CPUs are like 0-3,8",
		     arg);
		return 0;
	case OPT_COMM:
		need(state, pa_filter__parse_comms(filter, arg), "an empty name of a thread", arg);
		return 0;
	case OPT_TIME:
		need(state, pa_filter__parse_time(filter, arg),
		     "times are like 12.5,13 or 12.5, or ,13", arg);
		return 0;
	case ARGP_KEY_END:
		if (files->opts.off_cpu && files->opts.weight_field)
			argp_error(state, "--off-cpu and --weight-field are two weights");
		return 0;
	default:
		return parse_weights(key, arg, state) || parse_symbols(key, arg, state)
			       ? 0
			       : ARGP_ERR_UNKNOWN;
	}
}

const struct argp tool_files_argp = {.options = options, .parser = parse};

void tool_files_free(struct tool_files *files)
{
	pa_filter__clear(&files->filter);
	free(files->inputs);
	free(files->label_fields);
	free(files->debug_dirs);
	free(files->buildid_dir);
	pa_debuginfod__free(files->opts.search.debuginfod);
}
