// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing.c - reads TRACING_DATA: a head, then formats as in tracefs, each with its size (layout:
 * the kernel's tools/perf/util/trace-event-read.c). libtraceevent trusts its input, so it gets
 * each format written anew from what was understood of it: field lines of plain words and
 * numbers. The print format, which nothing here needs, is left out, as are the symbols and
 * commands behind the formats. At its default log level the library prints nothing.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <traceevent/event-parse.h>

#include "convert/tracing.h"

enum {
	EVENTS_MAX = 1 << 14, /* a kernel has some 2,500; the library's table grows one by one */
	FORMATS_MAX_BYTES = 16 << 20, /* of all; a kernel's are 2 MiB */
	FORMAT_MAX_BYTES = 1 << 17,
	FIELDS_MAX = 256,
	DECL_MAX_BYTES = 192,
	NOTED_MAX_BYTES = 1024, /* with compilers' notes */
	CLEAN_MAX_BYTES = FIELDS_MAX * (DECL_MAX_BYTES + 64) + 512,
	RAW_MAX_BYTES = 1 << 16,
	NAME_MAX_BYTES = 128,
};

struct pa_tracing {
	struct tep_handle *tep;
	bool is_damaged;
};

/* What is left to read. Invariant: p <= end. */
struct cursor {
	const char *p, *end;
	bool swap;
};

static size_t left(const struct cursor *c)
{
	return c->end - c->p;
}

/* @return NULL when so much is not left */
static const char *take(struct cursor *c, uint64_t bytes)
{
	const char *p = c->p;

	if (bytes > left(c))
		return NULL;
	c->p += bytes;
	return p;
}

static const char *take_string(struct cursor *c)
{
	const char *nul = memchr(c->p, 0, left(c));

	return nul ? take(c, nul + 1 - c->p) : NULL;
}

static bool take_u32(struct cursor *c, uint32_t *out)
{
	const char *p = take(c, sizeof(*out));

	if (!p)
		return false;
	memcpy(out, p, sizeof(*out));
	if (c->swap)
		*out = __builtin_bswap32(*out);
	return true;
}

/* Bytes with their size before them. */
static const char *take_sized(struct cursor *c, uint64_t *bytes)
{
	const char *p = take(c, sizeof(*bytes));

	if (!p)
		return NULL;
	memcpy(bytes, p, sizeof(*bytes));
	if (c->swap)
		*bytes = __builtin_bswap64(*bytes);
	return take(c, *bytes);
}

/* ---- one format -------------------------------------------------------------------------- */

/* A text being written; what does not fit makes it unusable. */
struct text {
	char *buf;
	size_t bytes, cap;
	bool is_full;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->bytes, t->cap - t->bytes, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->cap - t->bytes)
		t->is_full = true;
	else
		t->bytes += n;
}

static bool is_word(const char *s)
{
	size_t bytes = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789_.-");

	return bytes && bytes < NAME_MAX_BYTES && !s[bytes];
}

/* The next line, without its end. NULL at the end of the text. */
static char *next_line(char **at)
{
	char *line = *at, *end;

	if (!*line)
		return NULL;
	end = line + strcspn(line, "\n");
	*at = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

/* Compilers' notes ("__attribute__((user))") go, in place. @return false: no end to one */
static bool drop_attributes(char *decl)
{
	char *from;

	while ((from = strstr(decl, "__attribute__"))) {
		char *to = from + strlen("__attribute__");
		int depth = 0;

		do {
			depth += (*to == '(') - (*to == ')');
			if (!*to)
				return false;
			to++;
		} while (depth > 0 || *to == ')');
		memmove(from, to, strlen(to) + 1);
	}
	return true;
}

/* "unsigned long args[6]", "__data_loc char[] name": words, stars and one pair of brackets; at
 * least two words before them, where the library expects type and name (else it leaks memory). */
static bool is_decl(const char *decl)
{
	const char *open = strchr(decl, '['), *close = strchr(decl, ']');
	size_t word_cnt = 0;

	if (strlen(decl) > DECL_MAX_BYTES || (!isalpha((unsigned char)*decl) && *decl != '_'))
		return false;
	if (!open != !close || close < open || (open && strchr(open + 1, '[')) ||
	    (close && strchr(close + 1, ']')))
		return false;
	for (const char *p = decl; *p; p++) {
		bool is_inside = open && p > open && p < close;

		if (!isalnum((unsigned char)*p) && !strchr(is_inside ? "_ ()+-*/<>" : "_ *[]", *p))
			return false;
		word_cnt += (!open || p < open) && !strchr(" *", *p) &&
			    (p == decl || strchr(" *", p[-1]));
	}
	return word_cnt >= 2;
}

/* Write a field's line anew. @return false: not a field */
static bool clean_field(char *line, struct text *out)
{
	unsigned int offset, size, is_signed = 0;
	char *decl, *rest;
	int n = 0;

	if (strncmp(line, "\tfield:", 7))
		return false;
	decl = line + 7;
	/* a note may hold anything but a semicolon */
	rest = strchr(decl, ';');
	if (!rest)
		return false;
	*rest++ = '\0';
	if (sscanf(rest, " offset:%6u; size:%6u;%n", &offset, &size, &n) != 2 || !n ||
	    offset > RAW_MAX_BYTES || size > RAW_MAX_BYTES)
		return false;
	sscanf(rest + n, " signed:%1u;", &is_signed);
	if (strlen(decl) > NOTED_MAX_BYTES || !drop_attributes(decl) || !is_decl(decl))
		return false;
	put(out, "\tfield:%s;\toffset:%u;\tsize:%u;\tsigned:%u;\n", decl, offset, size, is_signed);
	return true;
}

/* A format as the library expects it, of what can be understood in text. @return false: none */
static bool clean_format(char *text, struct text *out)
{
	char *line = next_line(&text), *end;
	unsigned long id;
	size_t field_cnt = 0;

	if (!line || strncmp(line, "name: ", 6) || !is_word(line + 6))
		return false;
	put(out, "name: %s\n", line + 6);
	line = next_line(&text);
	if (!line || strncmp(line, "ID: ", 4) || !isdigit((unsigned char)line[4]))
		return false;
	id = strtoul(line + 4, &end, 10);
	line = next_line(&text);
	if (*end || id > UINT16_MAX || !line || strcmp(line, "format:"))
		return false;
	put(out, "ID: %lu\nformat:\n", id);
	while ((line = next_line(&text)) && strncmp(line, "print fmt:", 10)) {
		if (!*line) /* between the common fields and the event's own */
			put(out, "\n");
		else if (++field_cnt > FIELDS_MAX || !clean_field(line, out))
			return false;
	}
	return field_cnt && !out->is_full;
}

/* The library wants the common fields, an empty line, the event's own (maybe none), an empty line
 * and a print format. */
static bool parse_format(struct pa_tracing *t, const char *system, const char *data, uint64_t bytes)
{
	struct text out = {.cap = CLEAN_MAX_BYTES};
	char *text = NULL;
	bool ok = false;

	if (bytes > FORMAT_MAX_BYTES)
		return false;
	text = strndup(data, bytes);
	out.buf = malloc(out.cap);
	if (!text || !out.buf || !clean_format(text, &out))
		goto out;
	put(&out, "print fmt: \"\"\n");
	ok = !out.is_full && !tep_parse_event(t->tep, out.buf, out.bytes, system);
out:
	free(text);
	free(out.buf);
	return ok;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* @return false: not TRACING_DATA, or its head is damaged */
static bool parse_head(struct pa_tracing *t, struct cursor *c)
{
	static const char magic[] = "\x17\x08\x44tracing";
	const char *p = take(c, sizeof(magic) - 1);
	bool is_big;
	uint32_t page_bytes;
	uint64_t bytes;

	if (!p || memcmp(p, magic, sizeof(magic) - 1) || !take_string(c) || left(c) < 2)
		return false;
	is_big = *take(c, 1);
	c->swap = is_big != tep_is_bigendian();
	tep_set_file_bigendian(t->tep, is_big ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(t->tep, tep_is_bigendian() ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	tep_set_long_size(t->tep, *take(c, 1) == 4 ? 4 : 8);
	if (!take_u32(c, &page_bytes))
		return false;
	p = take_string(c);
	if (!p || strcmp(p, "header_page") || !take_sized(c, &bytes))
		return false;
	p = take_string(c);
	return p && !strcmp(p, "header_event") && take_sized(c, &bytes);
}

/* @return false: the data end before they should */
static bool parse_formats(struct pa_tracing *t, struct cursor *c)
{
	uint32_t system_cnt, cnt, event_cnt = 0;
	uint64_t bytes, budget = FORMATS_MAX_BYTES;

	if (!take_u32(c, &cnt))
		return false;
	while (cnt--) /* of ftrace itself: not events */
		if (!take_sized(c, &bytes))
			return false;
	if (!take_u32(c, &system_cnt))
		return false;
	while (system_cnt--) {
		const char *system = take_string(c), *format;

		if (!system || !take_u32(c, &cnt))
			return false;
		while (cnt--) {
			format = take_sized(c, &bytes);
			if (!format || ++event_cnt > EVENTS_MAX || bytes > budget)
				return false;
			budget -= bytes;
			if (!is_word(system) || !parse_format(t, system, format, bytes))
				t->is_damaged = true;
		}
	}
	return true;
}

int pa_tracing__parse(const void *data, size_t bytes, struct pa_tracing **out)
{
	struct cursor c = {.p = data, .end = (const char *)data + bytes};
	struct pa_tracing *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	*out = NULL;
	if (!t)
		return -ENOMEM;
	t->tep = tep_alloc();
	if (!t->tep)
		goto out;
	err = -EBADMSG;
	if (!parse_head(t, &c))
		goto out;
	if (!parse_formats(t, &c))
		t->is_damaged = true;
	err = 0;
	*out = t;
	t = NULL;
out:
	pa_tracing__free(t);
	return err;
}

void pa_tracing__free(struct pa_tracing *t)
{
	if (!t)
		return;
	if (t->tep)
		tep_free(t->tep);
	free(t);
}

bool pa_tracing__is_damaged(const struct pa_tracing *t)
{
	return t->is_damaged;
}

/* ---- asking ------------------------------------------------------------------------------ */

static struct tep_event *find_event(const struct pa_tracing *t, uint64_t config)
{
	return config <= UINT16_MAX ? tep_find_event(t->tep, (int)config) : NULL;
}

int pa_tracing__name(const struct pa_tracing *t, uint64_t config, char *buf, size_t bytes)
{
	const struct tep_event *event = find_event(t, config);
	int n;

	if (!event)
		return -ENOENT;
	n = snprintf(buf, bytes, "%s:%s", event->system, event->name);
	return n < 0 || (size_t)n >= bytes ? -EMSGSIZE : 0;
}

const struct tep_format_field *pa_tracing__field(const struct pa_tracing *t, uint64_t config,
						 const char *name)
{
	struct tep_event *event = find_event(t, config);

	return event ? tep_find_any_field(event, name) : NULL;
}

void pa_tracing__field_names(const struct pa_tracing *t, uint64_t config, char *buf, size_t bytes)
{
	const struct tep_event *event = find_event(t, config);
	const struct tep_format_field *f = event ? event->format.fields : NULL;

	buf[0] = '\0';
	for (; f; f = f->next) {
		size_t used = strlen(buf);

		snprintf(buf + used, bytes - used, "%s%s", used ? ", " : "", f->name);
	}
}

/* Where the bytes of a __data_loc or __rel_loc field are: offset in the low, size in the high
 * half of a word. @return false: outside */
static bool locate(const struct pa_tracing *t, const struct tep_format_field *field,
		   const void *raw, size_t raw_bytes, size_t *offset, size_t *bytes)
{
	uint32_t loc;

	if (!(field->flags & TEP_FIELD_IS_DYNAMIC))
		return true;
	if (*bytes != sizeof(loc))
		return false;
	loc = tep_read_number(t->tep, (const char *)raw + *offset, sizeof(loc));
	*offset = (loc & 0xffff) + (field->flags & TEP_FIELD_IS_RELATIVE ? *offset + *bytes : 0);
	*bytes = loc >> 16;
	return *offset <= raw_bytes && *bytes <= raw_bytes - *offset;
}

static int64_t extend_sign(uint64_t v, size_t bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (int64_t)(v << shift) >> shift;
}

int pa_tracing__read(const struct pa_tracing *t, const struct tep_format_field *field,
		     const void *raw, size_t raw_bytes, struct pa_field_value *out)
{
	size_t offset, bytes;

	*out = (struct pa_field_value){0};
	if (field->offset < 0 || field->size < 0)
		return -EBADMSG;
	offset = field->offset;
	bytes = field->size;
	if (offset > raw_bytes || bytes > raw_bytes - offset ||
	    !locate(t, field, raw, raw_bytes, &offset, &bytes))
		return -EBADMSG;
	if (field->flags & TEP_FIELD_IS_STRING) {
		out->str = (const char *)raw + offset;
		out->str_bytes = strnlen(out->str, bytes);
		return 0;
	}
	if ((field->flags & (TEP_FIELD_IS_ARRAY | TEP_FIELD_IS_DYNAMIC)) ||
	    (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8))
		return -EOPNOTSUPP;
	out->is_num = true;
	out->num = tep_read_number(t->tep, (const char *)raw + offset, bytes);
	if (field->flags & TEP_FIELD_IS_SIGNED)
		out->num = extend_sign(out->num, bytes);
	return 0;
}
