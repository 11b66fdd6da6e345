/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pgo.h - profiles that compilers and linkers optimise by, derived from where samples and branches
 * were (the session's traces).
 *
 *   sessions -> pa_pgo__add -> pa_pgo__finish: counts per binary, by file offset
 *   -> pa_pgo_file__open: the binary, its symbols and debug information
 *   -> pa_pgo_profile__derive: counts per function and line -> the writers
 *
 * Captures of several machines are added up by build-id. Memory grows with the distinct branches
 * and addresses, and with the functions that were hit. One thread at a time.
 */
#ifndef PA_PGO_H
#define PA_PGO_H

#include <stdio.h>

#include "convert/convert.h"
#include "convert/table.h"

/* ---- counts.c: what was seen in each binary -------------------------------------------------- */

/** A range of code or a branch, or (to 0) an address. */
struct pa_pgo_count {
	uint64_t from, to; /* inclusive */
	uint64_t cnt, mispredicted_cnt;
};

/** Invariant: after pa_pgo__finish sorted by from, then to, each pair once. */
struct pa_pgo_counts {
	struct pa_pgo_count *list;
	size_t cnt, cap;
};

/* The other end of a branch that comes from elsewhere, or leads there. */
#define PA_PGO_OUTSIDE UINT64_MAX

/** A binary, and what is known of it, by offsets in its file. */
struct pa_pgo_binary {
	const char *path; /* as recorded first */
	uint8_t build_id[PD_BUILD_ID_MAX];
	uint8_t build_id_bytes;	    /* 0: unknown */
	struct pa_session *session; /* that knows how to open it */
	size_t image;
	struct pa_pgo_counts addresses; /* of samples */
	struct pa_pgo_counts ranges;	/* executed from from to the branch at to */
	struct pa_pgo_counts branches;
	uint64_t sample_cnt, branch_cnt;
};

/** All binaries of some captures. Zero-initialized is empty, but for the seed. */
struct pa_pgo {
	uint64_t seed; /* of hashes: hard to guess */
	struct pa_index table;
	struct pa_pgo_binary *binaries; /* after finish: most samples first */
	size_t cnt, cap;
	uint64_t sample_cnt, kernel_cnt, unmapped_cnt; /* of the events that count */
	uint64_t branch_cnt;			       /* entries of branch stacks */
	uint64_t broken_cnt;   /* of these: what led there was no range of code; left out */
	uint64_t nameless_cnt; /* samples that were left out: whose is not known elsewhere */
	bool needs_build_ids;  /* set it before: captures of several machines */
	bool has_branches;     /* some capture has */
	bool lacks_branches;   /* some capture has not */
};

/** Which events say where time on the CPU goes.
 *  @param counts  by index of the event: whether it does, and should count. Of several kinds the
 *                 best counts: those with branches, then cycles, then clocks
 *  @return how many count */
size_t pa_pgo__choose_events(const struct pd_events *events, const struct pa_session *s,
			     bool *counts, size_t cnt);
/** Add what a session has seen, of the events that count. It must live as long as p.
 *  @return 0, -ENOMEM */
int pa_pgo__add(struct pa_pgo *p, struct pa_session *s, const bool *counts, size_t event_cnt);
/** Sort and add up. @return 0, -ENOMEM */
int pa_pgo__finish(struct pa_pgo *p);
void pa_pgo__free(struct pa_pgo *p);

/* ---- file.c: the binary -----------------------------------------------------------------------
 */

struct pa_pgo_file;

/** @param fd    of the binary; owned by the new object, also on failure
 *  @param path  where it was recorded; its debug file, .dwp and .dwo files are looked for beside
 *               the file of fd first
 *  @return 0, -ENOEXEC not an ELF file, -ENOMEM, -errno */
int pa_pgo_file__open(int fd, const char *path, const struct pa_search *search,
		      struct pa_pgo_file **out);
void pa_pgo_file__free(struct pa_pgo_file *f);
/** Offset in the file to virtual address. @return false: it is not loaded */
bool pa_pgo_file__vaddr(const struct pa_pgo_file *f, uint64_t offset, uint64_t *vaddr);
/** Start of the first segment, and of the first executable one, as they ask to be loaded. */
uint64_t pa_pgo_file__base(const struct pa_pgo_file *f);
uint64_t pa_pgo_file__text(const struct pa_pgo_file *f);
/** What an ELF function symbol at an address is called. @return NULL: none holds it */
const char *pa_pgo_file__symbol(const struct pa_pgo_file *f, uint64_t vaddr, uint64_t *start);
bool pa_pgo_file__has_dwarf(const struct pa_pgo_file *f);
/** Does the binary tell instructions apart by flow-sensitive discriminators? */
bool pa_pgo_file__is_flow_sensitive(const struct pa_pgo_file *f);

/* ---- profile.c: counts per function and line --------------------------------------------------
 */

/** A function, or (parent not PA_NONE) what is inlined in one. */
struct pa_pgo_function {
	uint32_t name; /* index in names */
	uint32_t parent;
	uint32_t line, discriminator; /* of the call in the parent */
	uint64_t total, head;
	uint64_t given; /* of an outer one: how much of the profile's given is in it */
};

/** A line of a function: relative to its declaration. */
struct pa_pgo_line {
	uint32_t function;
	uint32_t line, discriminator;
	uint64_t cnt;
};

/** What a line calls. */
struct pa_pgo_target {
	uint32_t line; /* index in lines */
	uint32_t name;
	uint64_t cnt;
};

/** Zero-initialized is empty, but for the names' seed. */
struct pa_pgo_profile {
	uint64_t seed;
	struct pa_strings names;
	struct pa_pgo_function *functions;
	struct pa_pgo_line *lines;
	struct pa_pgo_target *targets;
	size_t function_cnt, function_cap, line_cnt, line_cap, target_cnt, target_cap;
	struct pa_index function_table, line_table, target_table;
	bool is_flow_sensitive;
	bool is_partial; /* the debug information was more than is read of a file */
	/* of the counts that were given: samples, or executed bytes of ranges */
	uint64_t given, with_function, with_line, without_start;
};

/** All find or make. @return PA_NONE without memory */
uint32_t pa_pgo_profile__name(struct pa_pgo_profile *p, const char *name);
uint32_t pa_pgo_profile__function(struct pa_pgo_profile *p, const struct pa_pgo_function *key);
uint32_t pa_pgo_profile__line(struct pa_pgo_profile *p, const struct pa_pgo_line *key);
uint32_t pa_pgo_profile__target(struct pa_pgo_profile *p, const struct pa_pgo_target *key);
void pa_pgo_profile__free(struct pa_pgo_profile *p);

/** Lines and targets in order, functions by what they are inlined in: what writers go through. */
struct pa_pgo_order {
	uint32_t *functions; /* outer ones, by falling total, then by name */
	size_t function_cnt;
	uint32_t *lines, *targets, *children; /* grouped by function, line, parent; in order */
	uint32_t *first_line, *first_child;   /* by function: where its group begins; one more */
	uint32_t *first_target;		      /* by line */
};
/** @return 0, -ENOMEM */
int pa_pgo_order__make(const struct pa_pgo_profile *p, struct pa_pgo_order *out);
void pa_pgo_order__free(struct pa_pgo_order *o);

/* ---- derive.c ---------------------------------------------------------------------------------
 */

/** Count the functions and lines of a binary.
 *  @param by_branches  by ranges and branches instead of by the samples' addresses
 *  @return 0 (also without debug information: nothing has a function then), -ENOMEM */
int pa_pgo_profile__derive(struct pa_pgo_profile *p, const struct pa_pgo_binary *b,
			   struct pa_pgo_file *f, bool by_branches);

/* ---- report.c ---------------------------------------------------------------------------------
 */

/** How good a profile is. */
struct pa_pgo_quality {
	/** Of the lines that make nine tenths of all counts, the lowest count: its square root is
	 *  how much chance it has. */
	uint64_t least;
	size_t line_cnt; /* how many lines these are */
	size_t function_cnt;
	enum { PA_PGO_ENOUGH, PA_PGO_FEW, PA_PGO_TOO_FEW } verdict;
};
/** @return 0, -ENOMEM */
int pa_pgo_profile__judge(const struct pa_pgo_profile *p, struct pa_pgo_quality *out);

/* ---- the writers: @return 0, -ENOMEM, -errno of the stream -------------------------------------
 */

/** LLVM's sample profile as text (llvmtext.c). */
int pa_pgo__write_text(const struct pa_pgo_profile *p, FILE *out);
/** The same as extensible binary, version 103 (llvmext.c). */
int pa_pgo__write_extbinary(const struct pa_pgo_profile *p, FILE *out);
/** Ranges, addresses and branches, as create_llvm_prof --profiler=text reads them (rawforms.c). */
int pa_pgo__write_autofdo(const struct pa_pgo_binary *b, const struct pa_pgo_file *f, FILE *out);
/** What llvm-profgen --unsymbolized-profile reads. */
int pa_pgo__write_unsymbolized(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out);
/** What perf2bolt -pa reads (bolt.c). */
int pa_pgo__write_bolt(const struct pa_pgo_binary *b, const struct pa_pgo_file *f, FILE *out);
/** What llvm-bolt -data reads where there are no branches. */
int pa_pgo__write_bolt_samples(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			       FILE *out);

#endif
