// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2pprof.c - perf.data to a gzip-compressed pprof profile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

struct options {
	struct tool_files files;
	const char **tags; /* as many as there are arguments */
	size_t tag_cnt;
};

static const struct argp_option options[] = {
	{"tag", 't', "KEY=VALUE", 0,
	 "Add a comment to the profile, after the file's own tags; may be repeated", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;
	const char *equals;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		opts->tags = calloc(state->argc, sizeof(*opts->tags));
		return opts->tags ? 0 : ENOMEM;
	case 't':
		equals = strchr(arg, '=');
		if (!equals || equals == arg)
			argp_error(state, "a tag is KEY=VALUE: %s", arg);
		opts->tags[opts->tag_cnt++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!strcmp(opts->files.output, "-") && isatty(STDOUT_FILENO))
			argp_error(state,
				   "a profile is binary: redirect standard output or use -o");
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
	.doc = "Convert perf.data to a profile in pprof's format.\v"
	       "FILE is perf.data in file or pipe layout, - standard input.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

/* The file's tags, then the command line's. */
static int write_profile(const struct pa_input *in, const struct options *opts)
{
	struct pa_pprof_opts pprof = {.sz = sizeof(pprof)};
	const char **tags;
	int err;

	pa_input__describe(in, &pprof);
	tags = calloc(pprof.tag_cnt + opts->tag_cnt + 1, sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	if (pprof.tag_cnt)
		memcpy(tags, pprof.tags, pprof.tag_cnt * sizeof(*tags));
	memcpy(tags + pprof.tag_cnt, opts->tags, opts->tag_cnt * sizeof(*tags));
	pprof.tags = tags;
	pprof.tag_cnt += opts->tag_cnt;
	err = pa_pprof__write(pa_input__session(in), &pprof, opts->files.output);
	free(tags);
	return err;
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct pa_input *in = NULL;
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2pprof " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		goto out;
	in = tool_read(opts.files.input, true);
	if (in)
		status = tool_finish(in, opts.files.output, write_profile(in, &opts));
out:
	pa_input__close(in);
	free(opts.tags);
	return status;
}
