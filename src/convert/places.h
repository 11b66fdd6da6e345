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
	struct pa_place_slot *cache;	      /* what an address meant last time */
	struct pa_place_context_slot *spaces; /* numbers of contexts */
	uint32_t context_cnt;		      /* and reserved ones */
	uint32_t nowhere_plus1; /* number of the place of all that is not mapped, if it has one */
};

/** Whose addresses are meant, and when. */
struct pa_place_context {
	uint32_t space;
	uint32_t number;	    /* of space and epoch, from pa_places__number */
	uint64_t time_ns, epoch_ns; /* pa_space__epoch of time_ns */
};

/** An address of a chain. */
struct pa_place_step {
	uint64_t ip;
	uint32_t key;  /* the number of whose address it is, twice; 1 more for a return address */
	uint32_t slot; /* where the cache would know it */
};

/** One that the cache does not know. */
struct pa_place_miss {
	const struct pa_place_context *context;
	uint64_t hash; /* of place */
	struct pa_place place;
	uint32_t at; /* whose it is, in the batch */
};

enum { PA_PLACES_MAX = INT32_MAX - 1 };
enum { PA_BATCH_PLACES = 2048, PA_BATCH_MISSES = 256 };

/** Addresses of some chains, one chain after the other, on their way to numbers: each step is
 *  taken for all of them, so that the fetches from memory overlap. */
struct pa_place_batch {
	struct pa_place_step *steps; /* of each, room for PA_BATCH_PLACES and a chain */
	uint32_t *numbers;
	size_t cnt;
	struct pa_place_miss misses[PA_BATCH_MISSES]; /* whose numbers are not there yet */
	size_t miss_cnt;
};

/* Newer than the oldest headers that we build with; the entry after it is a cookie. */
#define PA_CONTEXT_USER_DEFERRED ((uint64_t)-640)
/** Does cpumode (or, where that is unknown, the address) mean the kernel? */
bool pa_is_kernel(uint8_t cpumode, uint64_t ip);

/** Number a context: cached addresses belong to one. @return 0, -ENOMEM */
int pa_places__number(struct pa_session *s, struct pa_place_context *c);
/** First step: put a chain into the batch, behind what is there.
 *  @param kernel_cnt  how many at the chain's start are the kernel's
 *  @return how many numbers it makes, at most ip_cnt */
uint32_t pa_places__take(const struct pa_session *s, struct pa_place_batch *b,
			 const struct pa_place_context *c, const uint64_t *ips, size_t ip_cnt,
			 uint8_t cpumode, uint32_t *kernel_cnt);
/** Second: ask the cache for the numbers of cnt addresses from first on, which are of one chain.
 *  @param c  the chain's; must stay where it is until the batch is settled
 *  @return 0, -ENOMEM */
int pa_places__ask(struct pa_session *s, struct pa_place_batch *b, const struct pa_place_context *c,
		   size_t first, size_t cnt);
/** Last: find the numbers that are still missing. @return 0, -ENOMEM */
int pa_places__settle(struct pa_session *s, struct pa_place_batch *b);
void pa_places__free(struct pa_places *p);

#endif
