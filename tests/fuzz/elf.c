// SPDX-License-Identifier: GPL-2.0-only
/*
 * elf.c - fuzz target: the headers of an ELF file and its table of functions, from .symtab,
 * .dynsym, the PLT and .gnu_debugdata.
 */
#include "fuzz.h"
#include "symbolize/internal.h"

static void check_symbols(const struct pa_elfsyms *t)
{
	uint64_t vaddr, offset, last = 0;

	for (size_t i = 0; i < t->cnt; i++) {
		const struct pa_elfsym *s = &t->syms[i];

		FUZZ_ASSERT(s->addr >= last && s->bytes && s->name < t->names_bytes);
		last = s->addr;
		fuzz_touch_string(t->names + s->name);
		pa_elfsyms__find(t, s->addr + s->bytes / 2);
		if (!pa_elfsyms__offset(t, s->addr, &offset))
			pa_elfsyms__vaddr(t, offset, &vaddr);
	}
	pa_elfsyms__find(t, UINT64_MAX);
	pa_elfsyms__vaddr(t, UINT64_MAX, &vaddr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_elfsyms *t;
	struct pa_elf e;

	if (!pa_elf__open_mem(&e, data, bytes)) {
		for (size_t i = 0; i < e.section_cnt; i++)
			fuzz_touch_string(pa_elf__section_name(&e, &e.sections[i]));
		FUZZ_ASSERT(!pa_elfsyms__load(&e, NULL, NULL, &t));
		check_symbols(t);
		pa_elfsyms__free(t);
	}
	pa_elf__close(&e);
	return 0;
}
