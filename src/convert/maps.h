/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * maps.h - one address space: what was mapped where, and when. Replaced mappings are kept, so
 * that samples taken before the replacement still find them.
 */
#ifndef PA_MAPS_H
#define PA_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/table.h"

/** A range of addresses that belongs to one image for some time. */
struct pa_piece {
	uint64_t start, end;	 /* end is exclusive; start < end */
	uint64_t pgoff;		 /* file offset at start */
	uint64_t from_ns, to_ns; /* to_ns is exclusive; UINT64_MAX while current */
	uint32_t image;		 /* index into the session's images */
	bool is_jit;		 /* the content is found by address: pgoff says nothing */
};

/** Where current pieces live, and those that were given back. Zero-initialized is empty. */
struct pa_pieces {
	struct pa_pool pool;
	void *unused; /* a list through the pieces themselves */
};

/** Pieces by time. Invariants: cur is sorted by start and does not overlap; past holds what was
 *  replaced, sorted by start, past_reach[i] being the highest end of past[0] to past[i];
 *  replaced_ns is sorted, one entry per moment at which something else took over an
 *  address. A forked space sees its parent's pieces of before parent_ns below its own. */
struct pa_space {
	uint32_t pid;
	uint32_t parent; /* index of the parent's space, PA_NONE */
	uint64_t parent_ns;
	uint64_t from_ns;  /* fork or exec */
	uint64_t birth_ns; /* of the process; tells a reused pid apart */
	bool is_needed;	   /* for pa_procs__drop_exited */
	struct pa_piece **cur;
	size_t cur_cnt, cur_cap;
	struct pa_piece *past;
	uint64_t *past_reach;
	size_t past_cnt, past_cap, past_reach_cap;
	uint64_t *replaced_ns;
	size_t replaced_cnt, replaced_cap;
};

/** Map a range. piece->to_ns is ignored. Out of time order is allowed.
 *  @param dropped_cnt  incremented for what does not fit the limits of one space
 *  @return 0, -ENOMEM */
int pa_space__map(struct pa_space *s, struct pa_pieces *pieces, const struct pa_piece *piece,
		  uint64_t *dropped_cnt);
/** The piece that holds addr at time_ns, in this space alone; *late is set to a current piece
 *  that came only later, when there is no other. */
const struct pa_piece *pa_space__find(const struct pa_space *s, uint64_t addr, uint64_t time_ns,
				      const struct pa_piece **late);
/** Start of the period around time_ns in which no address changed hands: samples of one epoch
 *  with the same addresses have the same stack. 0 before the first change. */
uint64_t pa_space__epoch(const struct pa_space *s, uint64_t time_ns);
/** Last nanosecond of the epoch that starts at epoch_ns. */
uint64_t pa_space__epoch_end(const struct pa_space *s, uint64_t epoch_ns);
void pa_space__clear(struct pa_space *s, struct pa_pieces *pieces);

#endif
