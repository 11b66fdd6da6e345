// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2folded.c - perf.data to folded stacks, one line of text per distinct stack.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "wholefile.h"

enum { OPT_WITH_PID = 256, OPT_WITH_TID, OPT_ROOT, OPT_ADDRESSES };

struct options {
	struct tool_files files;
	struct pa_folded_opts folded;
};

/* What the writer needs. */
struct job {
	const struct pa_session **sessions;
	size_t cnt;
	const struct pa_folded_opts *opts;
};

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "What a line shows:", 5},
	{"periods", 'p', NULL, 0, "Weight by the samples' periods (default: count samples)", 5},
	{"kernel-only", 'K', NULL, 0, "Only the kernel's part of each stack", 5},
	{"user-only", 'U', NULL, 0, "Only the user's part", 5},
	{"delimiter", 'd', NULL, 0, "Put - between the user's and the kernel's part", 5},
	{"annotate", 'a', NULL, 0,
	 "Put _[k] after kernel functions, _[j] after those of a JIT compiler", 5},
	{"addresses", OPT_ADDRESSES, NULL, 0, "Show the address of a frame without symbol", 5},
	{"with-pid", OPT_WITH_PID, NULL, 0, "Begin with comm-PID", 5},
	{"with-tid", OPT_WITH_TID, NULL, 0, "Begin with comm-PID/TID", 5},
	{"root", OPT_ROOT, "WHAT", 0, "Begin with comm (the default), pid, tid or none", 5},
	{0},
};

static enum pa_folded_root parse_root(const char *arg, struct argp_state *state)
{
	static const struct {
		const char *name;
		enum pa_folded_root root;
	} roots[] = {
		{"comm", PA_ROOT_COMM},
		{"pid", PA_ROOT_PID},
		{"tid", PA_ROOT_TID},
		{"none", PA_ROOT_NONE},
	};

	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
		if (!strcmp(arg, roots[i].name))
			return roots[i].root;
	argp_error(state, "a root is comm, pid, tid or none: %s", arg);
	return PA_ROOT_COMM;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;
	struct pa_folded_opts *folded = &opts->folded;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		opts->files.max_inputs = INT_MAX;
		folded->sz = sizeof(*folded);
		return 0;
	case 'p':
		folded->periods = true;
		return 0;
	case 'K':
		folded->kernel_only = true;
		return 0;
	case 'U':
		folded->user_only = true;
		return 0;
	case 'd':
		folded->delimiter = true;
		return 0;
	case 'a':
		folded->annotate = true;
		return 0;
	case OPT_ADDRESSES:
		folded->addresses = opts->files.opts.addresses = true;
		return 0;
	case OPT_WITH_PID:
		if (folded->root != PA_ROOT_COMM_TID)
			folded->root = PA_ROOT_COMM_PID;
		return 0;
	case OPT_WITH_TID:
		folded->root = PA_ROOT_COMM_TID;
		return 0;
	case OPT_ROOT:
		folded->root = parse_root(arg, state);
		return 0;
	case ARGP_KEY_END:
		if (folded->kernel_only && folded->user_only)
			argp_error(state, "--kernel-only and --user-only leave nothing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&tool_files_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE...]",
	.doc = "Convert perf.data to folded stacks: \"comm;root;...;leaf count\" lines, sorted.\v"
	       "FILE is perf.data in file or pipe layout, or a directory of perf record; - is "
	       "standard input. Several are added up.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but a FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

static int write_folded(FILE *out, void *ctx)
{
	const struct job *job = ctx;

	return pa_folded__write(job->sessions, job->cnt, job->opts, out);
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct tool_inputs in = {0};
	struct job job = {.opts = &opts.folded};
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2folded " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		return TOOL_FAILED;
	opts.files.opts.one_event = true;
	opts.files.opts.merge_functions = true;
	opts.files.opts.merge_threads =
		opts.folded.root != PA_ROOT_COMM_TID && opts.folded.root != PA_ROOT_TID;
	opts.files.opts.merge_processes = opts.files.opts.merge_threads &&
					  opts.folded.root != PA_ROOT_COMM_PID &&
					  opts.folded.root != PA_ROOT_PID;
	if (!tool_read_all(&opts.files, &in)) {
		job.sessions = in.sessions;
		job.cnt = in.cnt;
		status = tool_finish(&in, opts.files.output,
				     pa_wholefile__write(opts.files.output, write_folded, &job));
	}
	tool_inputs_close(&in);
	tool_files_free(&opts.files);
	return status;
}
