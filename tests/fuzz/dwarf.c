// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarf.c - fuzz target: lines, inlined functions and declarations of an ELF image with DWARF, and
 * its code piece by piece.
 */
#include <errno.h>

#include "fuzz.h"
#include "symbolize/dwarfcode.h"

enum { ADDRESSES = 32 };

static int open_image(void *ctx, const struct pa_image_ref *ref)
{
	(void)ref;
	return dup(*(int *)ctx);
}

static void ask(struct pa_symbolizer *s, struct pa_image *image, uint64_t offset)
{
	const struct pa_symbol *sym;
	const struct pa_line *lines;
	size_t cnt;

	if (pa_symbolizer__lookup(s, image, offset, &sym) ||
	    pa_symbolizer__lines(s, image, offset, &lines, &cnt))
		return;
	for (size_t i = 0; i < cnt; i++) {
		fuzz_touch_string(lines[i].name);
		fuzz_touch_string(lines[i].system_name);
		fuzz_touch_string(lines[i].file);
	}
	if (sym)
		fuzz_touch_string(sym->file);
}

static int touch_piece(void *ctx, const struct pa_code_piece *piece)
{
	size_t *left = ctx;

	FUZZ_ASSERT(piece->start < piece->end);
	FUZZ_ASSERT(piece->frame_cnt && piece->frame_cnt <= PA_CODE_FRAMES_MAX);
	for (size_t i = 0; i < piece->frame_cnt; i++)
		fuzz_touch_string(piece->frames[i].name);
	return (*left)-- ? 0 : -ECANCELED;
}

static void go_through(int fd, const struct pa_symbolizer_opts *opts)
{
	struct pa_dwarf *d;

	if (pa_dwarf__new(dup(fd), "/nonexistent/fuzz", opts, &d))
		return;
	for (size_t i = 0; i < ADDRESSES; i++) {
		struct pa_code_range range;
		size_t left = 4096;

		if (!pa_dwarf__code_range(d, 0x1000 + i * 0x18, &range))
			pa_dwarf__each_piece(d, &range, touch_piece, &left);
	}
	pa_dwarf__free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	int fd = fuzz_file(data, bytes, 0);
	struct pa_symbolizer_opts opts = {
		.sz = sizeof(opts),
		.open_image = open_image,
		.ctx = &fd,
		.decl_lines = true,
		.lines = true,
		.inlines = true,
	};
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .path = "/nonexistent/fuzz"};
	struct pa_symbolizer *s;
	struct pa_image *image;

	FUZZ_ASSERT(!pa_symbolizer__new(&opts, &s));
	if (!pa_symbolizer__image(s, &ref, false, &image))
		for (size_t i = 0; i < ADDRESSES; i++)
			ask(s, image, 0x1000 + i * 0x18);
	pa_symbolizer__free(s);
	go_through(fd, &opts);
	return 0;
}
