// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2pprof.c - perf.data to a gzip-compressed pprof profile.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "convert/table.h"

enum { OPT_DEFAULT_TYPE = 256, OPT_LABELS, OPT_ADDRESSES, OPT_FUNCTIONS };

struct options {
	struct tool_files files;
	const char **tags; /* as many as there are arguments */
	size_t tag_cnt;
	struct pa_pprof_opts pprof;
	bool functions;
};

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "The profile:", 5},
	{"tag", 't', "KEY=VALUE", 0,
	 "Add a comment to the profile, after the file's own tags; may be repeated", 5},
	{"default-sample-type", OPT_DEFAULT_TYPE, "TYPE", 0,
	 "The sample type that viewers show first (default: the first event's weight)", 5},
	{"labels", OPT_LABELS, "LIST", 0,
	 "Labels of samples: pid, tid, comm, separated by commas, or none (default pid,tid,comm)",
	 5},
	{"functions", OPT_FUNCTIONS, NULL, 0,
	 "Leave out source lines and inlined functions (faster, smaller)", 5},
	{"addresses", OPT_ADDRESSES, NULL, 0,
	 "Tell addresses apart where nothing is mapped (default: all are [unknown])", 5},
	{0},
};

static unsigned parse_labels(char *arg, struct argp_state *state)
{
	static const struct {
		const char *name;
		unsigned bit;
	} labels[] = {
		{"pid", PA_LABEL_PID},
		{"tid", PA_LABEL_TID},
		{"comm", PA_LABEL_COMM},
		{"none", 0},
	};
	const size_t cnt = sizeof(labels) / sizeof(*labels);
	unsigned bits = 0;
	char *name;

	while ((name = strsep(&arg, ","))) {
		size_t i = 0;

		while (i < cnt && strcmp(labels[i].name, name))
			i++;
		if (i == cnt)
			argp_error(state, "a label is pid, tid or comm: %s", name);
		else
			bits |= labels[i].bit;
	}
	return bits;
}

static int start(struct options *opts, struct argp_state *state)
{
	state->child_inputs[0] = &opts->files;
	opts->files.max_inputs = INT_MAX;
	opts->pprof.sz = sizeof(opts->pprof);
	opts->pprof.labels = PA_LABEL_ALL;
	opts->tags = calloc(state->argc, sizeof(*opts->tags));
	return opts->tags ? 0 : ENOMEM;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;
	const char *equals;

	switch (key) {
	case ARGP_KEY_INIT:
		return start(opts, state);
	case 't':
		equals = strchr(arg, '=');
		if (!equals || equals == arg)
			argp_error(state, "a tag is KEY=VALUE: %s", arg);
		opts->tags[opts->tag_cnt++] = arg;
		return 0;
	case OPT_DEFAULT_TYPE:
		opts->pprof.default_sample_type = arg;
		return 0;
	case OPT_LABELS:
		opts->pprof.labels = parse_labels(arg, state);
		return 0;
	case OPT_FUNCTIONS:
		opts->functions = true;
		return 0;
	case OPT_ADDRESSES:
		opts->pprof.addresses = opts->files.opts.addresses = true;
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
	.args_doc = "[FILE...]",
	.doc = "Convert perf.data to a profile in pprof's format.\v"
	       "FILE is perf.data in file or pipe layout, or a directory of perf record; - is "
	       "standard input. Several are merged.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but a FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

/* The tags of input i: each once, but what one file repeats is its own business. */
static int add_tags(size_t i, const struct pa_pprof_opts *one, struct pa_strings *seen,
		    struct pa_pprof_opts *out, const char ***tags, size_t *tag_cap)
{
	for (size_t k = 0; k < one->tag_cnt; k++) {
		size_t seen_cnt = seen->cnt;
		uint32_t n = pa_strings__intern(seen, one->tags[k], strlen(one->tags[k]));

		if (n == PA_NONE)
			return -ENOMEM;
		if (i && n < seen_cnt)
			continue;
		if (pa_array_grow(tags, out->tag_cnt, tag_cap, sizeof(**tags)))
			return -ENOMEM;
		(*tags)[out->tag_cnt++] = one->tags[k];
	}
	return 0;
}

/* What the inputs say of their captures: the earliest start, all durations, each tag once. */
static int describe(const struct tool_inputs *in, struct pa_pprof_opts *out, const char ***tags,
		    size_t *tag_cap)
{
	struct pa_strings seen = {.seed = (uintptr_t)in->inputs};
	int err = 0;

	for (size_t i = 0; !err && i < in->cnt; i++) {
		struct pa_pprof_opts one = {.sz = sizeof(one)};

		pa_input__describe(in->inputs[i], &one);
		if (one.time_ns && (!out->time_ns || one.time_ns < out->time_ns))
			out->time_ns = one.time_ns;
		out->duration_ns += one.duration_ns;
		err = add_tags(i, &one, &seen, out, tags, tag_cap);
	}
	pa_strings__free(&seen);
	return err;
}

/* The files' tags, then the command line's. */
static int write_profile(const struct tool_inputs *in, struct options *opts)
{
	struct pa_pprof_opts pprof = opts->pprof;
	const char **tags = NULL;
	size_t tag_cap = 0;
	int err = describe(in, &pprof, &tags, &tag_cap);

	for (size_t i = 0; !err && i < opts->tag_cnt; i++) {
		if (pa_array_grow(&tags, pprof.tag_cnt, &tag_cap, sizeof(*tags)))
			err = -ENOMEM;
		else
			tags[pprof.tag_cnt++] = opts->tags[i];
	}
	pprof.tags = tags;
	pprof.warn = tool_warn;
	pprof.ctx = (void *)tool_input_name(opts->files.inputs[0]);
	if (!err)
		err = pa_pprof__write(in->sessions, in->cnt, &pprof, opts->files.output);
	free(tags);
	return err;
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct tool_inputs in = {0};
	int status = TOOL_FAILED, err;

	tool_init();
	argp_program_version = "pa2pprof " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		goto out;
	opts.files.opts.lines = opts.files.opts.inlines = !opts.functions;
	opts.files.opts.decl_lines = !opts.functions;
	opts.files.opts.merge_processes = !(opts.pprof.labels & PA_LABEL_PID);
	opts.files.opts.merge_threads = !(opts.pprof.labels & PA_LABEL_TID);
	if (!tool_read_all(&opts.files, &in)) {
		err = write_profile(&in, &opts);
		if (err != -EINVAL && err != -E2BIG) /* pa_pprof__write said why */
			status = tool_finish(&in, opts.files.output, err);
	}
out:
	tool_inputs_close(&in);
	tool_files_free(&opts.files);
	free(opts.tags);
	return status;
}
