// SPDX-License-Identifier: GPL-2.0-only
/*
 * decl.c - fuzz target: declarations of functions in the DWARF of an ELF file, read through libdw.
 */
#include <fcntl.h>

#include "fuzz.h"
#include "symbolize/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	int fd = fcntl(fuzz_file(data, bytes, 0), F_DUPFD_CLOEXEC, 0);
	struct pa_decl *d;

	FUZZ_ASSERT(fd >= 0);
	/* no debug file is looked for in a directory that is none */
	if (pa_decl__new(fd, NULL, "/dev/null", &d))
		return 0;
	for (uint64_t vaddr = 0; vaddr < 0x2000; vaddr += 8) {
		uint32_t line = 0;
		char *file = NULL;

		if (!pa_decl__find(d, vaddr, &file, &line))
			fuzz_touch_string(file);
		free(file);
	}
	pa_decl__free(d);
	return 0;
}
