// SPDX-License-Identifier: GPL-2.0-only
/*
 * recover_command.c - `perf-agent recover`: options, and one line on what was done.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recover.h"
#include "recover_command.h"

enum { STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_LOSSY = 3 };

struct recover_options {
	const char *input;
	const char *output;
	bool quiet;
};

static const struct argp_option options[] = {
	{"output", 'o', "OUT", 0,
	 "The new file (default: FILE.recovered). May be FILE, which it then replaces when it is "
	 "complete",
	 0},
	{"quiet", 'q', NULL, 0, "Print nothing but errors", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct recover_options *opts = state->input;

	switch (key) {
	case 'o':
		if (!*arg || !strcmp(arg, "-"))
			argp_error(state, "OUT must be the name of a file");
		opts->output = arg;
		return 0;
	case 'q':
		opts->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (opts->input)
			argp_error(state, "only one FILE can be recovered");
		opts->input = arg;
		return 0;
	case ARGP_KEY_END:
		if (!opts->input)
			argp_error(state, "which FILE?");
		if (!strcmp(opts->input, "-") && !opts->output)
			argp_error(state, "standard input needs -o OUT");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "FILE",
	.doc = "Make a whole perf.data of one that is damaged, was not finished, or is in a form "
	       "that not every tool reads: a directory, a stream, compressed, the other byte "
	       "order, of a newer perf.\v"
	       "FILE is a file, a directory of perf record --threads or --kcore, or - for standard "
	       "input.\n"
	       "Exit status: 0 nothing was lost; 1 failed; 2 usage; 3 written, but something was "
	       "dropped.",
};

/* Names of files are their owners' choice: no control characters. */
static void put_clean(const char *s, FILE *out)
{
	for (; *s; s++)
		fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, out);
}

static void report(const char *output, const struct pa_recover_result *r)
{
	printf("%llu records, %llu of them samples, in ", (unsigned long long)r->record_cnt,
	       (unsigned long long)r->sample_cnt);
	put_clean(output, stdout);
	fputs(r->is_unfinished ? "; the input was not finished by its writer" : "", stdout);
	if (!r->is_lossy) {
		puts("; nothing was dropped");
		return;
	}
	printf("; dropped %llu bytes in %llu place%s and %llu feature sections",
	       (unsigned long long)r->dropped_bytes, (unsigned long long)r->damage_cnt,
	       r->damage_cnt == 1 ? "" : "s", (unsigned long long)r->dropped_feature_cnt);
	if (*r->reason) {
		fputs(", first ", stdout);
		put_clean(r->reason, stdout);
	}
	putchar('\n');
}

/* FILE.recovered; of a directory the slashes behind its name are no part of that. */
static char *default_output(const char *input)
{
	size_t len = strlen(input);
	char *out;

	while (len > 1 && input[len - 1] == '/')
		len--;
	return asprintf(&out, "%.*s.recovered", (int)len, input) < 0 ? NULL : out;
}

int recover_command(int argc, char **argv)
{
	struct recover_options opts = {0};
	static char name[] = "perf-agent recover";
	struct pa_recover_result result;
	char *made = NULL;
	int err;

	argp_err_exit_status = STATUS_USAGE;
	argv[0] = name;
	err = argp_parse(&argp, argc, argv, 0, NULL, &opts);
	if (err)
		return STATUS_FAILED;
	if (!opts.output)
		opts.output = made = default_output(opts.input);
	err = opts.output ? pa_recover(opts.input, opts.output, &result) : -ENOMEM;
	if (err) {
		fputs("perf-agent recover: ", stderr);
		put_clean(opts.output ? result.errmsg : "out of memory", stderr);
		fputc('\n', stderr);
	} else if (!opts.quiet) {
		report(opts.output, &result);
	}
	free(made);
	return err ? STATUS_FAILED : result.is_lossy ? STATUS_LOSSY : 0;
}
