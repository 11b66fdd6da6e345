// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2flame.c - perf.data, or folded stacks, to a flame graph: one SVG file.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

enum { OPT_SUBTITLE = 256, OPT_WIDTH, OPT_MIN_WIDTH, OPT_FOLDED };
enum { WIDTH_MIN_PX = 100, WIDTH_MAX_PX = 100000 };

struct options {
	struct tool_files files;
	struct pa_flame_opts flame;
	bool folded;
};

/* What the writer needs: a session, or a call tree read from text. */
struct job {
	const struct pa_session *session;
	struct pa_calltree *tree;
	const struct options *opts;
};

static const struct argp_option options[] = {
	{"title", 't', "TEXT", 0, "Title (default \"Flame Graph\")", 0},
	{"subtitle", OPT_SUBTITLE, "TEXT", 0, "Second line (default none)", 0},
	{"width", OPT_WIDTH, "PX", 0, "Width in pixels, 100 to 100000 (default 1200)", 0},
	{"min-width", OPT_MIN_WIDTH, "PX", 0,
	 "Leave out frames narrower than PX pixels (default 0.1)", 0},
	{"folded", OPT_FOLDED, NULL, 0, "FILE is folded stacks (default - then), not perf.data", 0},
	{0},
};

static void parse_width(const char *arg, struct argp_state *state, unsigned *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || v < WIDTH_MIN_PX || v > WIDTH_MAX_PX)
		argp_error(state, "a width is %d to %d: %s", WIDTH_MIN_PX, WIDTH_MAX_PX, arg);
	*out = v;
}

static void parse_min_width(const char *arg, struct argp_state *state, double *out)
{
	char *end;

	*out = strtod(arg, &end);
	if (end == arg || *end || !isfinite(*out) || *out < 0 || *out > WIDTH_MAX_PX)
		argp_error(state, "a minimal width is 0 to %d: %s", WIDTH_MAX_PX, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		opts->flame = (struct pa_flame_opts){
			.sz = sizeof(opts->flame),
			.unit = "samples",
			.min_width_px = 0.1,
			.width_px = 1200,
		};
		return 0;
	case 't':
		opts->flame.title = arg;
		return 0;
	case OPT_SUBTITLE:
		opts->flame.subtitle = arg;
		return 0;
	case OPT_WIDTH:
		parse_width(arg, state, &opts->flame.width_px);
		return 0;
	case OPT_MIN_WIDTH:
		parse_min_width(arg, state, &opts->flame.min_width_px);
		return 0;
	case OPT_FOLDED:
		opts->folded = true;
		return 0;
	case ARGP_KEY_END:
		if (opts->folded && !opts->files.input_given)
			opts->files.inputs[0] = "-";
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
	.doc = "Draw a flame graph of perf.data: one SVG file with zoom and search.\v"
	       "FILE is perf.data in file or pipe layout, - standard input.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

static int write_flame(FILE *out, void *ctx)
{
	const struct job *job = ctx;

	if (job->tree)
		return pa_calltree__write_svg(job->tree, &job->opts->flame, out);
	return pa_flame__write(job->session, &job->opts->flame, out);
}

/* @return NULL when it failed, which was said */
static struct pa_calltree *read_folded(const char *path)
{
	struct pa_calltree *tree = NULL;
	uint64_t line_no = 0;
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int err = file ? pa_calltree__new(&tree) : -errno;

	if (!file) {
		tool_message(path, "failed to open: %s", strerror(-err));
		return NULL;
	}
	if (!err)
		err = pa_folded__read(file, tree, &line_no);
	if (err == -EBADMSG)
		tool_message(tool_input_name(path), "failed to read: line %llu is no folded stack",
			     (unsigned long long)line_no);
	else if (err)
		tool_message(tool_input_name(path), "failed to read: %s", strerror(-err));
	if (file != stdin)
		fclose(file);
	if (!err)
		return tree;
	pa_calltree__free(tree);
	return NULL;
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct tool_inputs in = {0};
	struct job job = {.opts = &opts};
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2flame " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		return TOOL_FAILED;
	opts.files.opts.one_event = true;
	opts.files.opts.merge_processes = opts.files.opts.merge_threads = true;
	if (opts.folded)
		job.tree = read_folded(opts.files.inputs[0]);
	else if (!tool_read_all(&opts.files, &in))
		job.session = in.sessions[0];
	if (job.tree || job.session)
		status = tool_finish(&in, opts.files.output,
				     tool_write(opts.files.output, write_flame, &job));
	pa_calltree__free(job.tree);
	tool_inputs_close(&in);
	tool_files_free(&opts.files);
	return status;
}
