// SPDX-License-Identifier: GPL-2.0-only
/*
 * demangle.c - readable names, the same as `perf script` prints: C++ without parameters, Rust
 * without its hash. A few hundred hostile bytes can expand to gigabytes, so libiberty hands out
 * the text in pieces and is left with longjmp once there is too much (it holds no memory then).
 */
#include <ctype.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

#define MANGLED_MAX_BYTES 4096
#define DEMANGLED_MAX_BYTES 32768
/* Nested conversion operators of templates take libiberty six times longer with each, without a
 * word of output: 29 take ten seconds. Names have one, or two. */
#define CONVERSIONS_MAX 8

struct sink {
	jmp_buf full;
	bool too_long;
	size_t bytes;
	char text[DEMANGLED_MAX_BYTES + 1];
};

static bool is_ascii(const char *s, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

static void take(const char *text, size_t bytes, void *ctx)
{
	struct sink *s = ctx;

	if (!bytes) /* the text may be NULL then */
		return;
	if (!s->too_long && bytes <= DEMANGLED_MAX_BYTES - s->bytes) {
		memcpy(s->text + s->bytes, text, bytes);
		s->bytes += bytes;
		return;
	}
	s->too_long = true;
	/* Only while it prints a decoded (never ASCII) Rust identifier does the demangler own
	 * memory: leave at the next piece. */
	if (is_ascii(text, bytes))
		longjmp(s->full, 1);
}

static bool is_legacy_rust(const char *s, size_t bytes)
{
	/* _ZN ... 17h and 16 hexadecimal digits, E, perhaps a suffix */
	const char *hash = NULL;

	if (strncmp(s, "_ZN", 3) || bytes < 24)
		return false;
	for (const char *p = strstr(s, "17h"); p; p = strstr(p + 1, "17h"))
		hash = p;
	if (!hash || strnlen(hash, 20) < 20 || hash[19] != 'E')
		return false;
	for (int i = 3; i < 19; i++)
		if (!isxdigit((unsigned char)hash[i]))
			return false;
	return true;
}

static bool looks_mangled(const char *s)
{
	while (*s == '_' && s[1] == '_')
		s++;
	return s[0] == '_' && (s[1] == 'Z' || s[1] == 'R' || !strncmp(s, "_GLOBAL_", 8));
}

/* "cv" is a conversion operator, unless it is part of an identifier. */
static bool has_many_conversions(const char *s)
{
	unsigned cnt = 0;

	while ((s = strstr(s, "cv"))) {
		cnt++;
		s += 2;
	}
	return cnt > CONVERSIONS_MAX;
}

char *pa_demangle(const char *mangled)
{
	struct sink *s;
	size_t bytes = strnlen(mangled, MANGLED_MAX_BYTES + 1);
	char *out = NULL;

	if (bytes > MANGLED_MAX_BYTES)
		return NULL;
	if (!looks_mangled(mangled))
		return pa_vm_name(mangled, bytes);
	s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	s->bytes = 0;
	s->too_long = false;
	if (!setjmp(s->full)) {
		int ok = 0;

		if (!strncmp(mangled, "_R", 2) || is_legacy_rust(mangled, bytes))
			ok = rust_demangle_callback(mangled, DMGL_NO_OPTS, take, s);
		if (!ok && !has_many_conversions(mangled)) {
			s->bytes = 0;
			ok = cplus_demangle_v3_callback(mangled, DMGL_NO_OPTS, take, s);
		}
		if (ok && s->bytes && !s->too_long) {
			out = malloc(s->bytes + 1);
			if (out) {
				memcpy(out, s->text, s->bytes);
				out[s->bytes] = '\0';
			}
		}
	}
	free(s);
	return out;
}
