// SPDX-License-Identifier: GPL-2.0-only
/*
 * gopclntab.c - fuzz target: Go's table of functions, by itself and in an ELF file.
 */
#include "fuzz.h"
#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"

enum { ADDRESSES = 64 };

static void use(const struct pa_gopclntab *t)
{
	struct pa_go_line lines[PA_GO_LINES_MAX];
	const char *name, *file;
	struct pa_symbuild b = {0};
	uint64_t start, end;
	uint32_t line, start_line;
	size_t cnt;

	pa_gopclntab__range(t, &start, &end);
	for (uint64_t i = 0; i < ADDRESSES; i++) {
		uint64_t vaddr = start + (end - start) / ADDRESSES * i;

		if (!pa_gopclntab__line(t, vaddr, &name, &file, &line, &start_line)) {
			fuzz_touch_string(name);
			fuzz_touch_string(file);
		}
		if (!pa_gopclntab__decl(t, vaddr, &file, &line))
			fuzz_touch_string(file);
		cnt = pa_gopclntab__lines(t, vaddr, lines);
		for (size_t k = 0; k < cnt; k++) {
			fuzz_touch_string(lines[k].name);
			fuzz_touch_string(lines[k].file);
		}
	}
	pa_gopclntab__add(t, &b);
	free(b.raw);
	free(b.names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_gopclntab *t;
	struct pa_elf e;
	char *copy;

	if (!pa_elf__open_mem(&e, data, bytes) && !pa_gopclntab__load(&e, &t)) {
		use(t);
		pa_gopclntab__free(t);
	}
	pa_elf__close(&e);
	copy = malloc(bytes + 1);
	FUZZ_ASSERT(copy);
	memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	if (!pa_gopclntab__parse(copy, bytes, &t)) {
		/* trees of inlined calls anywhere in it */
		t->inlines = malloc(bytes);
		FUZZ_ASSERT(t->inlines);
		memcpy(t->inlines, data, bytes);
		t->inlines_bytes = bytes;
		use(t);
		pa_gopclntab__free(t);
	}
	return 0;
}
