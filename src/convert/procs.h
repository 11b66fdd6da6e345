/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * procs.h - processes and threads of a session, by time: which address space a pid had, and
 * which name a thread. Fed by sideband records, asked by samples.
 */
#ifndef PA_PROCS_H
#define PA_PROCS_H

#include "convert/maps.h"

struct pa_proc;
struct pa_thread;

enum { PA_CHUNK_SPACES = 4096 };

/** Spaces by index: what stays of those that are dropped is a pointer for all of a chunk. */
struct pa_space_chunk {
	struct pa_space *spaces[PA_CHUNK_SPACES]; /* NULL: dropped, or not given out yet */
	uint32_t there_cnt;
};

/** Everything that lives here is freed with pa_procs__free. */
struct pa_procs {
	uint64_t seed;
	struct pa_index by_pid, by_tid;
	struct pa_proc *procs;
	size_t proc_cnt, proc_cap;
	struct pa_thread *threads;
	size_t thread_cnt, thread_cap;
	struct pa_space_chunk **chunks; /* NULL: all of it was dropped */
	size_t chunk_cnt, chunk_cap;
	size_t space_cnt;	   /* indexes given out; none ever is again */
	struct pa_strings strings; /* comms and paths */
	struct pa_pieces pieces;
	size_t exit_cnt; /* EXIT records since pa_procs__drop_exited */
	uint64_t dropped_map_cnt;
	uint64_t dropped_late_cnt;	 /* names and spaces from before many that are known */
	uint64_t moved_cnt;		 /* entries that late ones displaced */
	uint32_t last_proc, last_thread; /* of the last question: samples come in runs */
};

void pa_procs__init(struct pa_procs *p, uint64_t seed);
void pa_procs__free(struct pa_procs *p);

/** The space of an index that was given out. @return NULL: it was dropped */
static inline struct pa_space *pa_procs__at(const struct pa_procs *p, uint32_t space)
{
	const struct pa_space_chunk *chunk = p->chunks[space / PA_CHUNK_SPACES];

	return chunk ? chunk->spaces[space % PA_CHUNK_SPACES] : NULL;
}

/** Index of the pid's space at time_ns; made when the pid is new.
 *  @return PA_NONE without memory */
uint32_t pa_procs__space(struct pa_procs *p, uint32_t pid, uint64_t time_ns);
/** Name of the thread at time_ns: its own, else its process's; ":TID" when neither is known.
 *  Equal names are equal pointers. @return NULL without memory */
const char *pa_procs__comm(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns);

/** What a thread was at some time, and from when to when (both inclusive) it stayed that, as far
 *  as is known before the next sideband record. */
struct pa_moment {
	uint32_t pid, tid;
	uint64_t from_ns, to_ns;
	const char *comm;
	uint32_t space;
	uint64_t epoch_ns;
};

/** Comm and space of a thread, as pa_procs__comm and pa_procs__space have them, and the space's
 *  epoch. @return 0, -ENOMEM */
int pa_procs__moment(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns,
		     struct pa_moment *out);

/** The space that a sideband record of pid at time_ns belongs to: as pa_procs__space, but a
 * leader's record after its EXIT begins a new incarnation. @return PA_NONE without memory */
uint32_t pa_procs__space_of_sideband(struct pa_procs *p, uint32_t pid, uint32_t tid,
				     uint64_t time_ns);

/** All: @return 0, -ENOMEM */
int pa_procs__map(struct pa_procs *p, uint32_t space, const struct pa_piece *piece);
int pa_procs__set_comm(struct pa_procs *p, uint32_t pid, uint32_t tid, const char *comm, bool exec,
		       uint64_t time_ns);
/** @param keep_maps  the child starts with its parent's mappings */
int pa_procs__fork(struct pa_procs *p, uint32_t pid, uint32_t tid, uint32_t ppid, uint32_t ptid,
		   bool keep_maps, uint64_t time_ns);
int pa_procs__exit(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns);

/** Have so many ended that to drop them is worth its time? */
bool pa_procs__is_due(const struct pa_procs *p);
/** Has the system such a process? */
typedef bool pa_is_there_fn(uint32_t pid);

/** Drop what no sample at or after before_ns can ask for: threads and processes that had ended
 *  (and are not there, as those are whose first thread has ended: nor were the last time), address
 *  spaces that an exec or a new process of the pid had replaced. Names that were returned stay.
 *  Costs time in proportion to what there is.
 *  @return 0, -ENOMEM */
int pa_procs__drop_exited(struct pa_procs *p, uint64_t before_ns, pa_is_there_fn *is_there);

/** What addr of a space means at time_ns, ancestors included. NULL: nothing was mapped, or the
 *  space was dropped. */
const struct pa_piece *pa_procs__find(const struct pa_procs *p, uint32_t space, uint64_t addr,
				      uint64_t time_ns);

#endif
