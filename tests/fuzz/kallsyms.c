// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallsyms.c - fuzz target: the text of /proc/kallsyms, and lookups in what it gave.
 */
#include "fuzz.h"
#include "symbolize/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const char *name, *module;
	uint64_t start, size, last = 0;
	struct pa_kallsyms *k, *again;

	if (pa_kallsyms__load(fuzz_path(fuzz_file(data, bytes, 0)), &k))
		return 0;
	for (size_t i = 0; i < k->cnt; i++) {
		uint64_t addr = k->syms[i].addr;

		FUZZ_ASSERT(addr >= last);
		last = addr;
		FUZZ_ASSERT(!pa_kallsyms__lookup(k, addr, &name, &module, &start, &size));
		FUZZ_ASSERT(start == addr);
		fuzz_touch_string(name);
		fuzz_touch_string(module);
		pa_kallsyms__lookup(k, addr - 1, &name, &module, &start, &size);
		pa_kallsyms__lookup(k, addr + 4096, &name, &module, &start, &size);
	}
	pa_kallsyms__lookup(k, UINT64_MAX, &name, &module, &start, &size);
	/* in memory and read in pieces, it is the same text */
	FUZZ_ASSERT(!pa_kallsyms__parse((const char *)data, bytes, &again));
	FUZZ_ASSERT(again->cnt == k->cnt &&
		    !memcmp(again->syms, k->syms, k->cnt * sizeof(*k->syms)));
	pa_kallsyms__free(again);
	pa_kallsyms__free(k);
	return 0;
}
