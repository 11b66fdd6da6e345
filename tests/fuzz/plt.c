// SPDX-License-Identifier: GPL-2.0-only
/*
 * plt.c - fuzz target: names of PLT stubs, x86-64 and aarch64 in turn over the same file.
 */
#include <elf.h>

#include "fuzz.h"
#include "symbolize/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const uint16_t machines[] = {EM_X86_64, EM_AARCH64};
	struct pa_elf e;

	for (size_t i = 0; !pa_elf__open_mem(&e, data, bytes) && i < 2; i++) {
		struct pa_symbuild b = {0};

		e.machine = machines[i];
		pa_plt__add(&b, &e);
		for (size_t j = 0; j < b.cnt; j++)
			fuzz_touch_string(b.names + b.raw[j].name);
		free(b.raw);
		free(b.names);
		pa_elf__close(&e);
	}
	pa_elf__close(&e);
	return 0;
}
