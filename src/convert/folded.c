// SPDX-License-Identifier: GPL-2.0-only
/*
 * folded.c - stacks as lines of text, "comm;root;...;leaf count", with the names that
 * stackcollapse-perf.pl makes of perf script's. Stacks are merged as lists of name numbers; the
 * text exists only while it is written.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/foldlines.h"
#include "convert/session.h"

/* In of_frame: not a name, but a place in lists. */
#define IS_LIST (1u << 31)

struct folder {
	struct pa_folded_opts opts;
	uint64_t seed;
	const struct pa_session *s; /* at hand */
	bool periods;		    /* of s */
	struct pa_strings names;
	/* By frame index: name number + 1, or IS_LIST and where in lists its count and then its
	 * names, outermost first, are. [1] in java processes. */
	uint32_t *of_frame[2];
	uint32_t *lists;
	size_t list_cnt, list_cap;
	/* names of symbols: many places are in one function */
	struct named_symbol {
		const struct pa_symbol *sym;
		uint32_t name;
		bool is_java;
	} * symbols;
	size_t symbol_cnt, symbol_cap;
	struct pa_index symbol_table;
	struct pa_foldlines lines;
	uint32_t *stack; /* the line at hand */
	size_t stack_cap;
	char *buf; /* the name at hand */
	size_t buf_cap;
};

static int reserve(struct folder *f, size_t bytes)
{
	char *buf;

	if (bytes <= f->buf_cap)
		return 0;
	buf = realloc(f->buf, bytes * 2);
	if (!buf)
		return -ENOMEM;
	f->buf = buf;
	f->buf_cap = bytes * 2;
	return 0;
}

/* A Go method, "net/http.(*Client).Do": its parentheses are part of the name. */
static bool is_go_method(const char *name)
{
	const char *open = strstr(name, ".("), *close, *next;

	if (!open)
		return false;
	for (close = NULL, next = open + 2; (next = strstr(next, ").")); next++)
		close = next;
	return close;
}

/* Write name to buf as it stands in a line: no separators or quotes, no parameter list. */
static size_t tidy(const char *name, bool is_java, char *buf)
{
	static const char anonymous[] = "(anonymous namespace)";
	bool keep_parens = is_go_method(name);
	size_t used = 0;

	if (is_java && *name == 'L' && strchr(name, '/'))
		name++;
	for (; *name; name++) {
		if (*name == '(' && !keep_parens && strncmp(name, anonymous, sizeof(anonymous) - 1))
			break;
		if (*name == '"' || *name == '\'')
			continue;
		if (*name == ';')
			buf[used++] = ':';
		else
			buf[used++] = (unsigned char)*name < ' ' ? '_' : *name;
	}
	return used;
}

/* The comm, a process or a thread, as the options say. */
static uint32_t root_name(struct folder *f, const struct pa_stack *stack)
{
	enum pa_folded_root root = f->opts.root;
	const char *comm = root == PA_ROOT_PID || root == PA_ROOT_TID ? "" : stack->comm;
	size_t bytes = strlen(comm);

	if (reserve(f, bytes + 32))
		return PA_NONE;
	for (size_t i = 0; i < bytes; i++) {
		char c = comm[i];

		f->buf[i] = c == ';' ? ':' : c == ' ' || (unsigned char)c < ' ' ? '_' : c;
	}
	if (root == PA_ROOT_COMM_PID || root == PA_ROOT_COMM_TID)
		f->buf[bytes++] = '-';
	if (root == PA_ROOT_COMM_PID || root == PA_ROOT_COMM_TID || root == PA_ROOT_PID)
		bytes += sprintf(f->buf + bytes, "%d", (int)stack->pid);
	if (root == PA_ROOT_COMM_TID)
		f->buf[bytes++] = '/';
	if (root == PA_ROOT_COMM_TID || root == PA_ROOT_TID)
		bytes += sprintf(f->buf + bytes, "%d", (int)stack->tid);
	return pa_strings__intern(&f->names, f->buf, bytes);
}

/* "next_comm=bash" */
static uint32_t label_name(struct folder *f, const struct pa_label *label)
{
	int bytes = pa_label__print(label, NULL, 0);

	if (bytes < 0 || reserve(f, (size_t)bytes + 1))
		return PA_NONE;
	pa_label__print(label, f->buf, (size_t)bytes + 1);
	for (char *p = f->buf; *p; p++)
		*p = *p == ';' ? ':' : (unsigned char)*p < ' ' ? '_' : *p;
	return pa_strings__intern(&f->names, f->buf, bytes);
}

/* "[libc.so.6]" where the module is known. Anonymous code is named after its perf-map. */
static void unknown_name(const struct folder *f, const struct pa_frame *frame, char *buf,
			 size_t cap)
{
	static const char deleted[] = " (deleted)";
	const char *path = frame->map ? frame->map->path : "unknown", *base;
	enum pa_image_kind kind = frame->map ? frame->map->kind : 0;
	size_t bytes, suffix = sizeof(deleted) - 1;
	char address[32] = "";

	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	if (kind == PA_IMAGE_KERNEL)
		base = "[kernel.kallsyms]";
	bytes = strlen(base);
	if (bytes > suffix && !strcmp(base + bytes - suffix, deleted))
		bytes -= suffix;
	if (f->opts.addresses)
		snprintf(address, sizeof(address), " <%llx>", (unsigned long long)frame->address);
	if (kind == PA_IMAGE_JIT)
		snprintf(buf, cap, "[perf-%u.map%s]", frame->pid, address);
	else
		snprintf(buf, cap, "[%.*s%s]", (int)bytes, base, address);
}

/* Number of a function's name, with its annotation. @return PA_NONE without memory */
static uint32_t name_number(struct folder *f, const char *name, const char *note, bool is_java)
{
	size_t bytes;

	if (reserve(f, strlen(name) + 8))
		return PA_NONE;
	bytes = tidy(name, is_java, f->buf);
	if (f->opts.annotate && *note) {
		memcpy(f->buf + bytes, note, 4);
		bytes += 4;
	}
	return pa_strings__intern(&f->names, f->buf, bytes);
}

static const char *note_of(const struct pa_frame *frame)
{
	if (!frame->map)
		return "";
	return frame->map->kind == PA_IMAGE_KERNEL ? "_[k]"
	       : frame->map->kind == PA_IMAGE_JIT  ? "_[j]"
						   : "";
}

static uint32_t symbol_name(struct folder *f, const struct pa_frame *frame, bool is_java)
{
	uint64_t hash = pa_mix(f->seed ^ (uintptr_t)frame->sym, 0x9e3779b97f4a7c15ULL ^ is_java);
	uint32_t pos = pa_index__start(&f->symbol_table, hash), i;

	while ((i = pa_index__next(&f->symbol_table, hash, &pos)) != PA_NONE)
		if (f->symbols[i].sym == frame->sym && f->symbols[i].is_java == is_java)
			return f->symbols[i].name;
	i = name_number(f, frame->sym->name, note_of(frame), is_java);
	if (i == PA_NONE ||
	    pa_array_grow(&f->symbols, f->symbol_cnt, &f->symbol_cap, sizeof(*f->symbols)) ||
	    pa_index__add(&f->symbol_table, hash, f->symbol_cnt))
		return PA_NONE;
	f->symbols[f->symbol_cnt++] = (struct named_symbol){frame->sym, i, is_java};
	return i;
}

static uint32_t frame_name(struct folder *f, const struct pa_frame *frame, bool is_java)
{
	char unknown[4096];

	if (frame->sym)
		return symbol_name(f, frame, is_java);
	unknown_name(f, frame, unknown, sizeof(unknown));
	return name_number(f, unknown, note_of(frame), is_java);
}

/* Inlined functions are frames of their own: a list of names, the outermost first.
 * @return 0, -ENOMEM */
static int add_list(struct folder *f, const struct pa_frame *frame, bool is_java, uint32_t *out)
{
	uint32_t at = f->list_cnt;

	for (size_t i = 0; i <= frame->line_cnt; i++)
		if (pa_array_grow(&f->lists, f->list_cnt + i, &f->list_cap, sizeof(*f->lists)))
			return -ENOMEM;
	if (f->list_cnt + frame->line_cnt >= IS_LIST)
		return -ENOMEM;
	f->lists[f->list_cnt++] = frame->line_cnt;
	for (size_t i = frame->line_cnt; i--;) {
		const char *name = frame->lines[i].name;
		bool is_inlined = i + 1 < frame->line_cnt;
		uint32_t number = name_number(f, *name ? name : "[inlined]",
					      is_inlined ? "_[i]" : "", is_java);

		if (number == PA_NONE)
			return -ENOMEM;
		f->lists[f->list_cnt++] = number;
	}
	*out = at | IS_LIST;
	return 0;
}

/* What of_frame says of a frame. @return 0, -ENOMEM */
static int describe(struct folder *f, uint32_t index, bool is_java, uint32_t *out)
{
	const struct pa_frame *frame = pa_session__frame(f->s, index);

	if (frame->line_cnt > 1)
		return add_list(f, frame, is_java, out);
	*out = frame_name(f, frame, is_java) + 1;
	return !*out || *out >= IS_LIST ? -ENOMEM : 0;
}

static int put_name(struct folder *f, uint32_t number, uint32_t *cnt)
{
	while (*cnt + 1 >= f->stack_cap)
		if (pa_array_grow(&f->stack, f->stack_cap, &f->stack_cap, sizeof(*f->stack)))
			return -ENOMEM;
	f->stack[(*cnt)++] = number;
	return number == PA_NONE ? -ENOMEM : 0;
}

static int put_list(struct folder *f, uint32_t at, uint32_t *cnt)
{
	int err = 0;

	for (uint32_t i = 1; !err && i <= f->lists[at]; i++)
		err = put_name(f, f->lists[at + i], cnt);
	return err;
}

/* Put frames [from, to) of a stack, leaf first there, at the end of the line at hand. */
static int put_frames(struct folder *f, const struct pa_stack *stack, size_t from, size_t to,
		      uint32_t *cnt)
{
	bool is_java = !strcmp(stack->comm, "java");
	int err = 0;

	while (!err && to-- > from) {
		uint32_t *known = &f->of_frame[is_java][stack->frames[to]];

		if (!*known)
			err = describe(f, stack->frames[to], is_java, known);
		if (!err && (*known & IS_LIST))
			err = put_list(f, *known & ~IS_LIST, cnt);
		else if (!err)
			err = put_name(f, *known - 1, cnt);
	}
	return err;
}

static int fold(struct folder *f, const struct pa_stack *stack)
{
	size_t kernel_cnt = stack->kernel_cnt;
	uint32_t cnt = 0;
	int err = 0;

	if (f->opts.root != PA_ROOT_NONE)
		err = put_name(f, root_name(f, stack), &cnt);
	for (size_t i = 0; !err && i < stack->label_cnt; i++)
		err = put_name(f, label_name(f, &stack->labels[i]), &cnt);
	if (!err && !f->opts.kernel_only)
		err = put_frames(f, stack, kernel_cnt, stack->frame_cnt, &cnt);
	if (!err && f->opts.delimiter && !f->opts.user_only && !f->opts.kernel_only && kernel_cnt &&
	    kernel_cnt < stack->frame_cnt)
		err = put_name(f, pa_strings__intern(&f->names, "-", 1), &cnt);
	if (!err && !f->opts.user_only)
		err = put_frames(f, stack, 0, kernel_cnt, &cnt);
	if (err || !cnt)
		return err;
	return pa_foldlines__add(&f->lines, f->stack, cnt,
				 f->periods ? stack->period_sum : stack->sample_cnt);
}

static int fold_session(struct folder *f, const struct pa_session *s)
{
	struct pa_stack stack;
	int err = 0;

	f->s = s;
	f->periods = f->opts.periods || pa_session__is_weighted(s);
	f->of_frame[0] = calloc(pa_session__frame_cnt(s) + 1, sizeof(*f->of_frame[0]));
	f->of_frame[1] = calloc(pa_session__frame_cnt(s) + 1, sizeof(*f->of_frame[1]));
	if (!f->of_frame[0] || !f->of_frame[1])
		err = -ENOMEM;
	for (size_t i = 0; !err && i < pa_session__stack_cnt(s); i++) {
		pa_session__stack(s, i, &stack);
		err = fold(f, &stack);
	}
	free(f->of_frame[0]);
	free(f->of_frame[1]);
	f->list_cnt = 0;
	return err;
}

int pa_folded__write(const struct pa_session *const *sessions, size_t cnt,
		     const struct pa_folded_opts *opts, FILE *out)
{
	struct folder f = {0};
	int err = 0;

	if (!cnt)
		return -EINVAL;
	memcpy(&f.opts, opts, opts->sz < sizeof(f.opts) ? opts->sz : sizeof(f.opts));
	f.seed = f.names.seed = sessions[0]->seed;
	for (size_t i = 0; !err && i < cnt; i++)
		err = fold_session(&f, sessions[i]);
	if (!err)
		err = pa_foldlines__write(&f.lines, &f.names, out);
	pa_foldlines__free(&f.lines);
	pa_strings__free(&f.names);
	free(f.stack);
	free(f.lists);
	pa_index__free(&f.symbol_table);
	free(f.symbols);
	free(f.buf);
	return err;
}
