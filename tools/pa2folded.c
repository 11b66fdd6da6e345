// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2folded.c - perf.data to folded stacks, one line of text per distinct stack.
 */
#include "common.h"

struct options {
	struct tool_files files;
	bool periods;
};

/* What the writer needs. */
struct job {
	const struct pa_input *in;
	const struct options *opts;
};

static const struct argp_option options[] = {
	{"periods", 'p', NULL, 0, "Weight by the samples' periods (default: count samples)", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		return 0;
	case 'p':
		opts->periods = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&tool_files_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE]",
	.doc = "Convert perf.data to folded stacks: \"comm;root;...;leaf count\" lines, sorted.\v"
	       "FILE is perf.data in file or pipe layout, - standard input.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

static int write_folded(FILE *out, void *ctx)
{
	const struct job *job = ctx;
	struct pa_folded_opts opts = {.sz = sizeof(opts), .periods = job->opts->periods};

	return pa_folded__write(pa_input__session(job->in), &opts, out);
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct job job = {.opts = &opts};
	struct pa_input *in;
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2folded " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		return TOOL_FAILED;
	in = tool_read(opts.files.input, false);
	job.in = in;
	if (in)
		status = tool_finish(in, opts.files.output,
				     tool_write(opts.files.output, write_folded, &job));
	pa_input__close(in);
	return status;
}
