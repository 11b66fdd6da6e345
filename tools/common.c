// SPDX-License-Identifier: GPL-2.0-only
/*
 * common.c - messages, exit statuses and output files of the pa2* commands.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

#ifdef M_TRIM_THRESHOLD
#define HEAP_BYTES (64ul << 20) /* address space: what is not used takes no memory */
#define LARGE_PAGE_BYTES (2ul << 20)

/* Large pages for the first of the heap: a twentieth of the time went to being given small ones.
 * With more of them some runs took far longer, in a virtual machine. */
static void reserve_heap(void)
{
	void *volatile grows; /* the heap; not to be optimized away */
	char *start, *end;

	mallopt(M_TOP_PAD, HEAP_BYTES);
	start = sbrk(0);
	grows = malloc(LARGE_PAGE_BYTES);
	free(grows);
	end = sbrk(0);
	mallopt(M_TOP_PAD, 4 << 20);
	start += -(uintptr_t)start & (LARGE_PAGE_BYTES - 1);
	if (end > start)
		madvise(start, (size_t)(end - start), MADV_HUGEPAGE);
}
#endif

void tool_init(void)
{
	argp_err_exit_status = TOOL_USAGE;
	signal(SIGPIPE, SIG_IGN);
#ifdef M_TRIM_THRESHOLD
	/* A command lives for a moment: memory that it frees is kept for what it needs next, which
	 * costs less than to have the kernel clear pages again. */
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	reserve_heap();
#endif
}

/* What a file says goes to a terminal: no control characters. */
static void put_clean(const char *s)
{
	for (; *s; s++)
		fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, stderr);
}

void tool_message(const char *object, const char *fmt, ...)
{
	char msg[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	put_clean(object);
	fputs(": ", stderr);
	put_clean(msg);
	fputc('\n', stderr);
}

void tool_warn(void *ctx, const char *msg)
{
	tool_message(ctx, "%s", msg);
}

const char *tool_input_name(const char *path)
{
	return strcmp(path, "-") ? path : "standard input";
}

const char *tool_output_name(const char *path)
{
	return strcmp(path, "-") ? path : "standard output";
}

static struct pa_input *read_input(const struct tool_files *files, size_t i)
{
	const char *name = tool_input_name(files->inputs[i]);
	struct pa_input_opts opts = files->opts;
	struct pa_input *in;
	int err;

	opts.warn = tool_warn;
	opts.ctx = (void *)name;
	err = pa_input__open(files->inputs[i], &opts, &in);
	if (!err)
		return in;
	tool_message(name, "%s", in ? pa_input__errmsg(in) : "failed to read: out of memory");
	pa_input__close(in);
	return NULL;
}

/* Servers that can't be asked are no reason not to convert. */
static void start_debuginfod(struct tool_files *files)
{
	int err = 0;

	if (files->debuginfod && !files->opts.search.debuginfod)
		err = pa_debuginfod__new(files->debuginfod_s, &files->opts.search.debuginfod);
	if (err)
		tool_message("debuginfod", "not asked: %s",
			     err == -EDESTADDRREQ ? "DEBUGINFOD_URLS is not set"
			     : err == -ENOSYS	  ? "libdebuginfod.so.1 is not installed"
						  : strerror(-err));
}

/* Say what the servers could not give in time. */
static void judge_debuginfod(const struct tool_files *files)
{
	struct pa_debuginfod_stats stats;

	if (!files->opts.search.debuginfod)
		return;
	pa_debuginfod__stats(files->opts.search.debuginfod, &stats);
	if (stats.late_cnt)
		tool_message("debuginfod",
			     "%llu files were not fetched in time: raise "
			     "--debuginfod=SECONDS",
			     (unsigned long long)stats.late_cnt);
}

static int read_range(struct tool_files *files, size_t first, size_t cnt, struct tool_inputs *out)
{
	out->inputs = calloc(cnt, sizeof(*out->inputs));
	out->sessions = calloc(cnt, sizeof(*out->sessions));
	if (!out->inputs || !out->sessions) {
		tool_message(tool_input_name(files->inputs[first]),
			     "failed to read: out of memory");
		return -1;
	}
	start_debuginfod(files);
	while (out->cnt < cnt) {
		struct pa_input *in = read_input(files, first + out->cnt);

		if (!in)
			return -1;
		out->sessions[out->cnt] = pa_input__session(in);
		out->inputs[out->cnt++] = in;
	}
	judge_debuginfod(files);
	return 0;
}

int tool_read_all(struct tool_files *files, struct tool_inputs *out)
{
	return read_range(files, 0, files->input_cnt, out);
}

int tool_read_one(struct tool_files *files, size_t i, struct tool_inputs *out)
{
	return read_range(files, i, 1, out);
}

void tool_inputs_close(struct tool_inputs *in)
{
	for (size_t i = 0; i < in->cnt; i++)
		pa_input__close(in->inputs[i]);
	free(in->inputs);
	free(in->sessions);
	*in = (struct tool_inputs){0};
}

int tool_finish(const struct tool_inputs *in, const char *output, int err)
{
	if (err && err != -EPIPE)
		tool_message(tool_output_name(output), "failed to write: %s", strerror(-err));
	if (err)
		return TOOL_FAILED;
	for (size_t i = 0; in && i < in->cnt; i++)
		if (!pa_input__is_whole(in->inputs[i]))
			return TOOL_INCOMPLETE;
	return TOOL_OK;
}
