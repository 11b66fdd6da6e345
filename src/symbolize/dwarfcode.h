/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dwarfcode.h - the code of a binary piece by piece, for who derives a profile that a compiler
 * reads: each piece is of one row of the line table and of one inlined function.
 */
#ifndef PA_DWARFCODE_H
#define PA_DWARFCODE_H

#include "symbolize/internal.h"

/** A piece has at most so many frames. */
#define PA_CODE_FRAMES_MAX 128

/** A function, and where in it: the innermost by its row, the others by what they call. */
struct pa_code_frame {
	const char *name;    /* linkage name, else the name in the source; "" unknown */
	uint32_t start_line; /* of its declaration; 0 unknown */
	uint32_t line;	     /* 0 unknown */
	uint32_t discriminator;
};

/** Bytes from start to end, of frame_cnt functions, the innermost first. All is borrowed for the
 *  call; names live as long as the pa_dwarf. */
struct pa_code_piece {
	uint64_t start, end;
	const struct pa_code_frame *frames;
	size_t frame_cnt;
};

/** @return 0, -errno ends the enumeration */
typedef int (*pa_code_fn)(void *ctx, const struct pa_code_piece *piece);

/** A range of the code of one function. */
struct pa_code_range {
	uint64_t start, end;
	struct pa_dwarf_unit *unit;
	uint32_t function;
};

/** The range of a function that holds an address. @return 0, -ENOENT, -ENOMEM */
int pa_dwarf__code_range(struct pa_dwarf *d, uint64_t vaddr, struct pa_code_range *out);
/** Call fn for all pieces of a range, in order of addresses; what has no row is left out.
 *  @return 0, what fn returned, -ENOMEM */
int pa_dwarf__each_piece(struct pa_dwarf *d, const struct pa_code_range *range, pa_code_fn fn,
			 void *ctx);
/** Was a limit on work or memory reached? What was asked since may be missing. */
bool pa_dwarf__gave_up(const struct pa_dwarf *d);

#endif
