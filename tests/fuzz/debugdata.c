// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugdata.c - fuzz target: the input is the .gnu_debugdata section of an ELF file: an xz
 * stream that holds a symbol table.
 */
#include <elf.h>
#include <errno.h>

#include "fuzz.h"
#include "symbolize/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static char names[] = ".gnu_debugdata";
	struct pa_elf_section section = {.type = SHT_PROGBITS, .bytes = bytes};
	struct pa_elf e = {
		.fd = -1,
		.mem = data,
		.bytes = bytes,
		.is_64 = true,
		.machine = EM_X86_64,
		.sections = &section,
		.section_cnt = 1,
		.names = names,
		.names_bytes = sizeof(names),
	};
	struct pa_elfsyms *t;

	if (!bytes)
		return 0;
	FUZZ_ASSERT(!pa_elfsyms__load(&e, NULL, NULL, &t));
	for (size_t i = 0; i < t->cnt; i++)
		fuzz_touch_string(t->names + t->syms[i].name);
	pa_elfsyms__free(t);
	return 0;
}
