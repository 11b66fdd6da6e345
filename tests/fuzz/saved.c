// SPDX-License-Identifier: GPL-2.0-only
/*
 * saved.c - fuzz target: the saved symbols of a perf.data file, restored, looked up, and saved
 * and restored once more.
 */
#include <errno.h>

#include "fuzz.h"
#include "symbolize/internal.h"

static int refuse_image(void *ctx, const struct pa_image_ref *ref)
{
	(void)ctx;
	(void)ref;
	return -EPERM;
}

static void look_up(struct pa_symbolizer *s)
{
	for (struct pa_image *image = s->images; image; image = image->next) {
		const struct pa_symbol *sym;

		for (size_t i = 0; i < image->saved_cnt; i++) {
			/* sorted by the first lookup */
			FUZZ_ASSERT(!pa_symbolizer__lookup(s, image, image->saved[i]->key, &sym));
			if (!sym)
				continue;
			fuzz_touch_string(sym->name);
			fuzz_touch_string(sym->system_name);
			fuzz_touch_string(sym->file);
			fuzz_touch_string(sym->module);
		}
		FUZZ_ASSERT(!pa_symbolizer__lookup(s, image, UINT64_MAX, &sym));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .open_image = refuse_image};
	struct pa_symbolizer *s;
	void *again = NULL;
	size_t again_bytes;

	FUZZ_ASSERT(!pa_symbolizer__new(&opts, &s));
	pa_symbolizer__restore(s, data, bytes);
	look_up(s);
	FUZZ_ASSERT(!pa_symbolizer__save(s, &again, &again_bytes));
	if (again)
		FUZZ_ASSERT(!pa_symbolizer__restore(s, again, again_bytes));
	free(again);
	pa_symbolizer__free(s);
	return 0;
}
