/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * places.h - where code is: an offset in a binary, an address in the kernel or in a process's
 * JIT code. Each is kept once and has a number; stacks are lists of these, so that processes
 * that run the same code at different addresses share their stacks.
 */
#ifndef PA_PLACES_H
#define PA_PLACES_H

#include <sys/types.h>

#include "convert/procs.h"

struct pa_session;

struct pa_place {
	uint64_t address; /* as pa_frame has it */
	uint32_t image;	  /* PA_NONE: unmapped */
	uint32_t space;	  /* whose, where unmapped: its map may still come. PA_NONE: guest code */
	bool is_return;	  /* address is behind the call that is meant */
};

/** Zero-initialized is empty. Numbers are dense, in order of first appearance. */
struct pa_places {
	struct pa_place *places;
	size_t cnt, cap;
	struct pa_index table;
	struct pa_place_slot *cache; /* what an address meant last time */
};

/** Whose addresses are meant, and when. */
struct pa_place_context {
	uint32_t space;
	uint64_t time_ns, epoch_ns; /* pa_space__epoch of time_ns */
};

/** An address on its way to a number. */
struct pa_place_step {
	uint64_t ip;
	uint64_t hash;	       /* of place */
	struct pa_place place; /* looked up, unless the cache knew the number */
	uint32_t slot, number;
	uint8_t cpumode;
	bool in_kernel, is_return;
};

/* Newer than the oldest headers that we build with; the entry after it is a cookie. */
#define PA_CONTEXT_USER_DEFERRED ((uint64_t)-640)
/** Does cpumode (or, where that is unknown, the address) mean the kernel? */
bool pa_is_kernel(uint8_t cpumode, uint64_t ip);

/** Part a chain into steps. @param steps  room for ip_cnt
 *  @param kernel_cnt  how many at its start are the kernel's
 *  @return how many there are, -ENOMEM */
ssize_t pa_places__start(struct pa_session *s, const struct pa_place_context *c,
			 const uint64_t *ips, size_t ip_cnt, uint8_t cpumode,
			 struct pa_place_step *steps, uint32_t *kernel_cnt);
/** Second: ask the cache, else the maps. @return 0, -ENOMEM */
int pa_places__locate(struct pa_session *s, const struct pa_place_context *c,
		      struct pa_place_step *steps, size_t cnt);
/** Third, optional: fetch the places that are probably meant. */
void pa_places__fetch(const struct pa_session *s, const struct pa_place_step *steps, size_t cnt);
/** Last: the numbers. @return 0, -ENOMEM */
int pa_places__finish(struct pa_session *s, const struct pa_place_context *c,
		      struct pa_place_step *steps, size_t cnt, uint32_t *chain);
void pa_places__free(struct pa_places *p);

#endif
