/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * file.h - what a pa_pgo_file holds, for the files of this folder only.
 */
#ifndef PA_PGO_FILE_H
#define PA_PGO_FILE_H

#include "pgo/pgo.h"
#include "symbolize/dwarfcode.h"

struct pa_pgo_file {
	int fd;
	struct pa_elf elf;
	struct pa_elf_segment *loads; /* executable ones first */
	size_t load_cnt;
	struct pa_elfsyms *syms;
	struct pa_dwarf *dwarf; /* NULL: there is none */
	struct pa_search search;
	struct pa_symbolizer_opts opts;
	bool is_flow_sensitive;
};

#endif
