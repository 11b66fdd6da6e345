// SPDX-License-Identifier: GPL-2.0-only
/*
 * common.c - messages, exit statuses and output files of the pa2* commands.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

static const struct argp_option options[] = {
	{"input", 'i', "FILE", 0, "Read FILE, like the argument (default perf.data)", 0},
	{"output", 'o', "FILE", 0, "Write to FILE (default -, standard output)", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tool_files *files = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		files->input = "perf.data";
		files->output = "-";
		return 0;
	case 'i':
	case ARGP_KEY_ARG:
		if (files->input_given)
			argp_error(state, "more than one input file: %s", arg);
		if (!*arg)
			argp_error(state, "empty name of the input file");
		files->input = arg;
		files->input_given = true;
		return 0;
	case 'o':
		if (!*arg)
			argp_error(state, "empty name of the output file");
		files->output = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp tool_files_argp = {.options = options, .parser = parse};

void tool_init(void)
{
	argp_err_exit_status = TOOL_USAGE;
	signal(SIGPIPE, SIG_IGN);
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

struct pa_input *tool_read(const char *path, bool decl_lines)
{
	const char *name = tool_input_name(path);
	struct pa_input_opts opts = {
		.sz = sizeof(opts),
		.decl_lines = decl_lines,
		.warn = tool_warn,
		.ctx = (void *)name,
	};
	struct pa_input *in;
	int err = pa_input__open(path, &opts, &in);

	if (!err)
		return in;
	tool_message(name, "%s", in ? pa_input__errmsg(in) : "failed to read: out of memory");
	pa_input__close(in);
	return NULL;
}

int tool_finish(const struct pa_input *in, const char *output, int err)
{
	if (err && err != -EPIPE)
		tool_message(tool_output_name(output), "failed to write: %s", strerror(-err));
	if (err)
		return TOOL_FAILED;
	return !in || pa_input__is_whole(in) ? TOOL_OK : TOOL_INCOMPLETE;
}

/* Flush and close; what the kernel says only then counts too. */
static int close_output(FILE *file, int err)
{
	if (fflush(file) && !err)
		err = -errno;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

static int write_in_place(FILE *file, int (*write)(FILE *out, void *ctx), void *ctx)
{
	return close_output(file, write(file, ctx));
}

static int write_renamed(const char *path, int (*write)(FILE *out, void *ctx), void *ctx)
{
	mode_t mask = umask(0);
	FILE *file = NULL;
	char *tmp = NULL;
	int fd = -1, err;

	umask(mask);
	if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkstemp(tmp);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	file = fdopen(fd, "w");
	err = !file || fchmod(fd, 0666 & ~mask) ? -errno : write(file, ctx);
	if (file)
		err = close_output(file, err);
	else
		close(fd);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
out:
	free(tmp);
	return err;
}

int tool_write(const char *path, int (*write)(FILE *out, void *ctx), void *ctx)
{
	struct stat st;
	FILE *file;
	char *real;
	int err;

	if (!strcmp(path, "-"))
		return write_in_place(stdout, write, ctx);
	/* a symbolic link stays one (it may be /dev/stdout): what it leads to is replaced */
	real = lstat(path, &st) || !S_ISLNK(st.st_mode) ? strdup(path) : realpath(path, NULL);
	if (real && (stat(real, &st) || S_ISREG(st.st_mode))) {
		err = write_renamed(real, write, ctx);
		free(real);
		return err;
	}
	free(real);
	file = fopen(path, "we");
	return file ? write_in_place(file, write, ctx) : -errno;
}
