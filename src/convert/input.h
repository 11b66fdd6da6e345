/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * input.h - a perf.data file as the pa2* tools want it: read whole, aggregated and symbolized,
 * with what the file says about its capture.
 */
#ifndef PA_INPUT_H
#define PA_INPUT_H

#include "convert/convert.h"
#include "convert/filter.h"

struct pa_input;

struct pa_input_opts {
	size_t sz;
	bool decl_lines;	 /* find source file and line of functions (slower) */
	bool lines, inlines;	 /* find the line of each address; inlined functions too */
	struct pa_search search; /* as pa_symbolizer_opts has them */
	const char *kallsyms, *vmlinux;
	bool no_symbols; /* look none up: frames keep their binary and address */
	bool addresses;	 /* tell unmapped addresses apart (larger, slower) */
	/* as pa_session_opts has them */
	bool one_event, merge_processes, merge_threads, merge_functions;
	const struct pa_filter *filter; /* borrowed until close; NULL: all samples */
	/** As in struct pa_session_opts. */
	const char *event, *weight_field;
	const char *const *label_fields;
	bool off_cpu;
	bool traces; /* count traces, no stacks: nothing is symbolized */
	/** One line about something that does not stop the conversion, without newline. */
	void (*warn)(void *ctx, const char *msg);
	void *ctx;
};

/** Read, aggregate and symbolize path ("-": standard input).
 *  @param out  set (and must be closed) unless -ENOMEM, so that pa_input__errmsg can be asked
 *  @return 0, -EBADMSG malformed, -ENOMEM, -errno */
int pa_input__open(const char *path, const struct pa_input_opts *opts, struct pa_input **out);
/** The resolved session. Borrowed until close. */
const struct pa_session *pa_input__session(const struct pa_input *in);
/** The events of the file. Borrowed until close. */
const struct pd_events *pa_input__events(const struct pa_input *in);
/** To ask about images, which are opened then. Borrowed until close. */
struct pa_session *pa_input__traced(const struct pa_input *in);
/** False when the file is unfinished or cut short, or records in it had to be skipped: what was
 *  whole is in the session, and a warning was given. */
bool pa_input__is_whole(const struct pa_input *in);
/** Fill in tags, start and duration as far as the file knows them. Tags are borrowed until close.
 */
void pa_input__describe(const struct pa_input *in, struct pa_pprof_opts *out);
/** "failed to VERB: REASON" of a failed open; "" when nothing failed. */
const char *pa_input__errmsg(const struct pa_input *in);
void pa_input__close(struct pa_input *in);

/** Read folded stacks ("a;b;c 42" lines, as pa_folded__write and the stackcollapse scripts print
 *  them) into a call tree. Empty lines and lines that begin with '#' are skipped.
 *  @param line_no  of the last line read, for messages
 *  @return 0, -EBADMSG a line without a weight, -ENOMEM, -errno of the stream */
int pa_folded__read(FILE *in, struct pa_calltree *t, uint64_t *line_no);

#endif
