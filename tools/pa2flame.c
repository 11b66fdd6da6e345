// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2flame.c - perf.data, or folded stacks, to a flame graph: one SVG file.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "wholefile.h"

enum { OPT_SUBTITLE = 256, OPT_WIDTH, OPT_MIN_WIDTH, OPT_FOLDED, OPT_INVERTED, OPT_REVERSE };
enum { OPT_DIFF = 300, OPT_NORMALIZE, OPT_NEGATE, OPT_FORMAT };
enum { WIDTH_MIN_PX = 100, WIDTH_MAX_PX = 100000 };

struct options {
	struct tool_files files;
	struct pa_flame_opts flame;
	bool folded, diff, format_given;
};

/* What the writer needs. */
struct job {
	struct pa_calltree *tree;
	const struct options *opts;
};

static const struct argp_option options[] = {
	{"title", 't', "TEXT", 0, "Title (default \"Flame Graph\")", 0},
	{"subtitle", OPT_SUBTITLE, "TEXT", 0, "Second line (default none)", 0},
	{"width", OPT_WIDTH, "PX", 0, "Width in pixels, 100 to 100000 (default 1200)", 0},
	{"periods", 'p', NULL, 0, "Weight by the samples' periods (default: count samples)", 0},
	{"min-width", OPT_MIN_WIDTH, "PX", 0,
	 "Leave out frames narrower than PX pixels (default 0.1)", 0},
	{"folded", OPT_FOLDED, NULL, 0, "FILE is folded stacks (default - then), not perf.data", 0},
	{"format", OPT_FORMAT, "FORMAT", 0,
	 "svg, or html: a page (default: by the name of the output, else svg)", 0},
	{"inverted", OPT_INVERTED, NULL, 0, "Put the root at the top (icicle graph)", 0},
	{"reverse", OPT_REVERSE, NULL, 0, "Begin stacks with their leaf: who calls it is above", 0},
	{"diff", OPT_DIFF, NULL, 0,
	 "Two FILEs, before and after: widths of after, red what has grown, blue what shrank", 0},
	{"normalize", OPT_NORMALIZE, NULL, 0, "With --diff: scale before to the sum of after", 0},
	{"negate", OPT_NEGATE, NULL, 0,
	 "With --diff: blue what has grown (for FILEs given as after, before)", 0},
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

/* What the options mean together. */
static void finish_options(struct options *opts, struct argp_state *state)
{
	const char *suffix = strrchr(opts->files.output, '.');

	if (opts->diff != (opts->files.input_given && opts->files.input_cnt == 2))
		argp_error(state, opts->diff ? "--diff needs two files, before and after"
					     : "more than 1 input file: compare two with --diff");
	if (!opts->diff && (opts->flame.normalize || opts->flame.negate))
		argp_error(state, "--normalize and --negate are for --diff");
	if (opts->folded && opts->flame.periods)
		argp_error(state, "folded stacks have one weight: --periods is for perf.data");
	if (opts->folded && !opts->files.input_given)
		opts->files.inputs[0] = "-";
	if (!opts->format_given)
		opts->flame.html = suffix && (!strcmp(suffix, ".html") || !strcmp(suffix, ".htm"));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		opts->files.max_inputs = 2;
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
	case 'p':
		opts->flame.periods = true;
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
	case OPT_FORMAT:
		if (strcmp(arg, "svg") && strcmp(arg, "html"))
			argp_error(state, "a format is svg or html: %s", arg);
		opts->flame.html = !strcmp(arg, "html");
		opts->format_given = true;
		return 0;
	case OPT_INVERTED:
		opts->flame.inverted = true;
		return 0;
	case OPT_REVERSE:
		opts->flame.reverse = true;
		return 0;
	case OPT_DIFF:
		opts->diff = true;
		return 0;
	case OPT_NORMALIZE:
		opts->flame.normalize = true;
		return 0;
	case OPT_NEGATE:
		opts->flame.negate = true;
		return 0;
	case ARGP_KEY_END:
		finish_options(opts, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&tool_files_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE]\n--diff BEFORE AFTER",
	.doc = "Draw a flame graph of perf.data: one file with zoom and search.\v"
	       "FILE is perf.data in file or pipe layout, - standard input.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

static int write_flame(FILE *out, void *ctx)
{
	const struct job *job = ctx;

	return pa_calltree__write_svg(job->tree, &job->opts->flame, out);
}

/* @return false when it failed, which was said */
static bool add_folded(const char *path, struct pa_calltree *tree)
{
	uint64_t line_no = 0;
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int err = file ? pa_folded__read(file, tree, &line_no) : -errno;

	if (!file)
		tool_message(path, "failed to open: %s", strerror(-err));
	else if (err == -EBADMSG)
		tool_message(tool_input_name(path), "failed to read: line %llu is no folded stack",
			     (unsigned long long)line_no);
	else if (err)
		tool_message(tool_input_name(path), "failed to read: %s", strerror(-err));
	if (file && file != stdin)
		fclose(file);
	return !err;
}

/* Add input i. What is read of perf.data is closed at once, but for what says if it was whole. */
static bool add_input(struct options *opts, size_t i, struct pa_calltree *tree,
		      struct tool_inputs *in)
{
	const char *path = opts->files.inputs[i];
	int err;

	if (opts->folded)
		return add_folded(path, tree);
	if (tool_read_one(&opts->files, i, in))
		return false;
	err = pa_flame__add(in->sessions[0], opts->flame.periods, tree);
	if (err)
		tool_message(tool_input_name(path), "failed to read: %s", strerror(-err));
	if (!err && opts->files.opts.off_cpu)
		opts->flame.unit = "ns";
	else if (!err && opts->files.opts.weight_field)
		opts->flame.unit = opts->files.opts.weight_field;
	else if (!err && opts->flame.periods)
		opts->flame.unit = "of period";
	return !err;
}

/* A picture has no place for what is gone. */
static void say_vanished(const struct options *opts, struct pa_calltree *tree)
{
	uint64_t total, gone = pa_calltree__vanished(tree, &total);

	if (gone)
		tool_message(tool_input_name(opts->files.inputs[0]),
			     "%.2f %% of it is gone and not drawn: exchange the files and use "
			     "--negate to see it",
			     100.0 * gone / total);
}

static int draw(struct options *opts, struct pa_calltree *tree)
{
	struct tool_inputs in[2] = {0};
	struct job job = {tree, opts};
	int status = TOOL_FAILED, first = TOOL_OK;

	pa_calltree__set_reverse(tree, opts->flame.reverse);
	pa_calltree__set_before(tree, opts->diff);
	if (!add_input(opts, 0, tree, &in[0]))
		goto out;
	pa_calltree__set_before(tree, false);
	if (opts->diff && !add_input(opts, 1, tree, &in[1]))
		goto out;
	if (opts->diff)
		say_vanished(opts, tree);
	first = tool_finish(&in[1], "", 0);
	status = tool_finish(&in[0], opts->files.output,
			     pa_wholefile__write(opts->files.output, write_flame, &job));
	status = status ? status : first;
out:
	tool_inputs_close(&in[0]);
	tool_inputs_close(&in[1]);
	return status;
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct pa_calltree *tree = NULL;
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2flame " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		return TOOL_FAILED;
	opts.files.opts.one_event = true;
	opts.files.opts.merge_functions = true;
	opts.files.opts.merge_processes = opts.files.opts.merge_threads = true;
	if (pa_calltree__new(&tree))
		tool_message(opts.files.inputs[0], "failed to read: out of memory");
	else
		status = draw(&opts, tree);
	pa_calltree__free(tree);
	tool_files_free(&opts.files);
	return status;
}
