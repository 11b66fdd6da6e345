/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dwarfline.h - a line table: its header (dwarfline.c) and its rows (dwarfrow.c).
 */
#ifndef PA_DWARFLINE_H
#define PA_DWARFLINE_H

#include "symbolize/dwarfindex.h"

/** A name in the header: of a directory, or of a file in one. */
struct pa_dwarf_line_name {
	struct pa_dwarf_value where;
	uint32_t dir;
	uint32_t id; /* in d->files; PA_NONE: not asked yet, or none */
	bool tried;
};

/** The machine behind a row: what comes next is made from here. */
struct pa_dwarf_mark {
	uint64_t addr;
	uint32_t at; /* of the next instruction, from the beginning of the program */
	uint32_t file, line, discriminator;
};

/** Rows of ascending addresses. Its marks are made when it is first asked. */
struct pa_dwarf_sequence {
	uint64_t start, end;
	uint32_t at, end_at; /* its instructions */
	uint32_t mark, mark_cnt;
	bool loaded;
};

struct pa_dwarf_lines {
	struct pa_dwarf_unit *unit;
	struct pa_dwarf_section *section;
	uint64_t program, end;
	uint16_t version;
	uint8_t offset_bytes, address_bytes, min_bytes, line_range, opcode_base;
	int8_t line_base;
	uint8_t operand_cnts[256]; /* of standard instructions */
	uint16_t advances[256];	   /* of the address, by special instructions */
	int16_t steps[256];	   /* of the line */
	struct pa_dwarf_line_name *dirs, *files;
	size_t dir_cnt, dir_cap, file_cnt, file_cap;
	struct pa_dwarf_mark *marks;
	struct pa_dwarf_sequence *sequences; /* by start */
	size_t mark_cnt, mark_cap, sequence_cnt, sequence_cap;
	bool all_loaded;
};

/** A row of the table: from start to the next row's. */
struct pa_dwarf_row {
	uint64_t start;
	uint32_t file, line, discriminator;
};
/** It must not ask the section of the table. @return 0, -errno ends the enumeration */
typedef int (*pa_dwarf_row_fn)(void *ctx, const struct pa_dwarf_row *row, uint64_t end);
/** The rows that have addresses from from to to, in order, the first and the last cut to those.
 *  @return 0, what fn returned, -ENOMEM */
int pa_dwarf_lines__each(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t from, uint64_t to,
			 pa_dwarf_row_fn fn, void *ctx);

/** Find the sequences of a program. @return 0 (also for damage), -ENOMEM */
int pa_dwarf_rows__find(struct pa_dwarf *d, struct pa_dwarf_lines *t);

#endif
