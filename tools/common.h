/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * common.h - what the pa2* commands share: messages, exit statuses, the output file, the
 * options that name input and output.
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
	const char *input; /* "perf.data" unless given */
	bool input_given;
	const char *output; /* "-": standard output */
};

/** argp of -i, -o and FILE: a child of the tool's own, whose input is a struct tool_files. */
extern const struct argp tool_files_argp;

/** Before argp_parse: usage errors exit with TOOL_USAGE, a closed pipe is an error of write. */
void tool_init(void);
/** Print "TOOL: OBJECT: MESSAGE". */
void tool_message(const char *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A pa_input_opts.warn; ctx is the name of the input. */
void tool_warn(void *ctx, const char *msg);
/** Name of a file in messages. */
const char *tool_input_name(const char *path);
const char *tool_output_name(const char *path);

/** Read path, or say why not. @return NULL when it failed */
struct pa_input *tool_read(const char *path, bool decl_lines);
/** Exit status after the output was written with result err; says what failed. A reader that
 *  closed its pipe is told nothing. */
int tool_finish(const struct pa_input *in, const char *output, int err);

/** Write to path through write(out, ctx): "-" is standard output, a device or pipe is written in
 *  place, anything else to a temporary name that is renamed when it is whole.
 *  @return 0, -errno */
int tool_write(const char *path, int (*write)(FILE *out, void *ctx), void *ctx);

#endif
