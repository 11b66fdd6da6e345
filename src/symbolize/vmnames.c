// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmnames.c - names of OCaml functions (camlStdlib__List__map_12 is Stdlib.List.map_12) and of
 * Java methods as their descriptors tell them, in just the form that perf prints: without the
 * result, and with no dot before a method that does not begin with a letter.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

#define LONGEST 9 /* bytes that one byte can become: ", boolean" */

struct text {
	char *start, *end;
};

static void put(struct text *t, const char *s)
{
	t->end = stpcpy(t->end, s);
}

static int hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* "__" separates modules; "$" and two hexadecimal digits is a character. */
static bool put_ocaml(struct text *t, const char *s)
{
	while (*s) {
		int c;

		if (s[0] == '_' && s[1] == '_') {
			put(t, ".");
			s += 2;
			continue;
		}
		if (s[0] == '$' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
			c = hex_value(s[1]) << 4 | hex_value(s[2]);
			if (c >= ' ' && c < 0x7f) {
				*t->end++ = (char)c;
				s += 3;
				continue;
			}
		}
		*t->end++ = *s++;
	}
	*t->end = '\0';
	return true;
}

/* java/lang/String; @return what follows it, NULL when it does not end */
static const char *put_class(struct text *t, const char *s)
{
	for (; *s && *s != ';'; s++) {
		if (strchr("()[", *s))
			return NULL;
		*t->end++ = *s == '/' ? '.' : *s;
	}
	return *s ? s + 1 : NULL;
}

static const char *primitive(char c)
{
	switch (c) {
	case 'B':
		return "byte";
	case 'C':
		return "char";
	case 'D':
		return "double";
	case 'F':
		return "float";
	case 'I':
		return "int";
	case 'J':
		return "long";
	case 'S':
		return "short";
	case 'V':
		return "void";
	case 'Z':
		return "boolean";
	default:
		return NULL;
	}
}

/* Parameters up to the closing parenthesis. @return false: they don't end there */
static bool put_parameters(struct text *t, const char *s, const char *end)
{
	unsigned cnt = 0, dimensions = 0;

	while (s && s < end) {
		const char *name = primitive(*s);

		if (*s == '[') {
			dimensions++;
			s++;
			continue;
		}
		if ((name || *s == 'L') && cnt++)
			put(t, ", ");
		if (*s == 'L') {
			s = put_class(t, s + 1); /* dimensions go to the next primitive */
			continue;
		}
		if (name)
			put(t, name);
		else if (strchr("();/", *s))
			return false;
		else
			*t->end++ = *s;
		for (; name && dimensions; dimensions--)
			put(t, "[]");
		s++;
	}
	put(t, ")");
	return s == end;
}

static bool put_java(struct text *t, const char *s)
{
	const char *end = strrchr(s, ')');

	if (!end)
		return false;
	s = put_class(t, s);
	if (!s)
		return false;
	if (isalpha((unsigned char)*s))
		put(t, ".");
	for (; *s && *s != '('; s++) {
		if (strchr("[);/", *s))
			return false;
		*t->end++ = *s;
	}
	if (!*s)
		return false;
	put(t, "(");
	return put_parameters(t, s + 1, end);
}

char *pa_vm_name(const char *raw, size_t bytes)
{
	bool is_ocaml = !strncmp(raw, "caml", 4) && isupper((unsigned char)raw[4]);
	struct text t;

	if (!is_ocaml && raw[0] != 'L')
		return NULL;
	t.start = t.end = malloc(bytes * LONGEST + 1);
	if (!t.start)
		return NULL;
	if (is_ocaml ? put_ocaml(&t, raw + 4) : put_java(&t, raw + 1))
		return t.start;
	free(t.start);
	return NULL;
}
