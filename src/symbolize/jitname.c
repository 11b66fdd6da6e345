// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitname.c - split the names that Python and Node write to perf-maps into name, file and line.
 *   py::QUALNAME:/abs/path        -> name "py::QUALNAME", file
 *   LazyCompile:*NAME FILE:LINE:COLUMN  -> name "LazyCompile:*NAME", file, line
 *   LazyCompile:* FILE:LINE:COLUMN      -> all of it as the name, file, line
 * Builtin:, Code: and Script: have no file, nor has anything else.
 */
#include <string.h>

#include "symbolize/internal.h"

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static void decode_python(const char *raw, struct pa_jit_name *out)
{
	const char *at = NULL;

	for (const char *p = strstr(raw, ":/"); p; p = strstr(p + 1, ":/"))
		at = p;
	if (!at || at == raw)
		return;
	out->name_bytes = (size_t)(at - raw);
	out->file = at + 1;
	out->file_bytes = strlen(at + 1);
}

/* Cut ":DIGITS" off the end of s. @return false when it does not end like this */
static bool cut_number(const char *s, size_t *bytes, uint32_t *number)
{
	uint64_t value = 0, scale = 1;
	size_t at = *bytes;

	while (at && s[at - 1] >= '0' && s[at - 1] <= '9' && *bytes - at < 9) {
		value += scale * (uint64_t)(s[at - 1] - '0');
		scale *= 10;
		at--;
	}
	if (at == *bytes || at < 2 || s[at - 1] != ':')
		return false;
	*number = (uint32_t)value;
	*bytes = at - 1;
	return true;
}

static void decode_node(const char *raw, struct pa_jit_name *out)
{
	const char *space = strchr(raw, ' '), *file;
	uint32_t line, column;
	size_t bytes;

	if (!space)
		return;
	file = space + 1;
	bytes = strlen(file);
	if (!cut_number(file, &bytes, &line))
		return;
	column = line;
	if (!cut_number(file, &bytes, &line))
		line = column; /* it was the line: there is no column */
	/* without a name of its own, a function is told from others by its place */
	if (space > raw && !strchr(":*~^+", space[-1]))
		out->name_bytes = (size_t)(space - raw);
	out->file = file;
	out->file_bytes = bytes;
	out->line = line;
}

void pa_jit_name__decode(const char *raw, struct pa_jit_name *out)
{
	*out = (struct pa_jit_name){.name_bytes = strlen(raw)};
	if (has_prefix(raw, "py::"))
		decode_python(raw, out);
	else if (has_prefix(raw, "JS:") || has_prefix(raw, "LazyCompile:") ||
		 has_prefix(raw, "Function:"))
		decode_node(raw, out);
}
