/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * common.h - what the pa2* commands share: messages, exit statuses, the output file, the
 * options that name input and output and that say which samples are wanted.
 */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

#include "convert/input.h"

enum tool_status {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_INCOMPLETE = 3, /* output is written, but the input was not whole */
};

/** Options that every tool has; the parser's child fills them in. */
struct tool_files {
	size_t max_inputs;   /* set before argp_parse; 0 is 1 */
	const char **inputs; /* input_cnt >= 1 names; "perf.data" unless given */
	size_t input_cnt;
	bool input_given;
	const char *output; /* "-": standard output */
	struct pa_filter filter;
	const char **label_fields; /* NULL-terminated */
	const char **debug_dirs;   /* NULL-terminated */
	char *buildid_dir;	   /* the default */
	bool debuginfod;
	unsigned debuginfod_s;	   /* 0: the default */
	struct pa_input_opts opts; /* without warn and ctx */
};

/** argp of -i, -o, FILE..., the filters and where symbols come from: a child of the tool's own,
 *  whose input is a struct tool_files. */
extern const struct argp tool_files_argp;

/** Before argp_parse: usage errors exit with TOOL_USAGE, a closed pipe is an error of write. */
void tool_init(void);
void tool_files_free(struct tool_files *files);
/** Print "TOOL: OBJECT: MESSAGE". */
void tool_message(const char *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A pa_input_opts.warn; ctx is the name of the input. */
void tool_warn(void *ctx, const char *msg);
/** Name of a file in messages. */
const char *tool_input_name(const char *path);
const char *tool_output_name(const char *path);

/** What was read. Zero-initialized is nothing. */
struct tool_inputs {
	struct pa_input **inputs;
	const struct pa_session **sessions; /* of the inputs */
	size_t cnt;
};

/** Read all inputs, or say why not. @return 0, -1 when one failed */
int tool_read_all(struct tool_files *files, struct tool_inputs *out);
/** Read input i alone; to be closed as what tool_read_all gives. */
int tool_read_one(struct tool_files *files, size_t i, struct tool_inputs *out);
void tool_inputs_close(struct tool_inputs *in);
/** Exit status after the output was written with result err; says what failed. A reader that
 *  closed its pipe is told nothing. @param in  NULL: the input was whole */
int tool_finish(const struct tool_inputs *in, const char *output, int err);

#endif
