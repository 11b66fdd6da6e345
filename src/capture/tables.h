/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tables.h - unwind tables in the kernel: packed images and processes' mappings in the blocks of
 * bpf/unwind.h, within a budget of memory. Segments of blocks are made as they are needed and
 * mapped, so that writing costs no system calls. What is given up is used again only when no
 * program can be reading it any more.
 */
#ifndef PA_CAPTURE_TABLES_H
#define PA_CAPTURE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/unwind.h"
#include "unwind/pack.h"

struct pa_tables;
struct pa_table; /* of one image */

struct pa_tables_opts {
	size_t sz;
	/** Maps of the program; borrowed. -1: none, for tests */
	int blocks_fd, rules_fd;
	uint64_t budget_bytes; /* for blocks; an eighth is kept for processes */
};

/** @return 0, -ENOMEM, -errno of mapping the rules */
int pa_tables__new(const struct pa_tables_opts *opts, struct pa_tables **out);
/** Tables that were loaded are freed too. */
void pa_tables__free(struct pa_tables *t);

/** Blocks that an image takes, in bytes. */
uint64_t pa_tables__need(const struct pa_pack *p);
/** Room for tables of images: now, once what was given up can be used again, and in all. */
struct pa_tables_room {
	uint64_t now_bytes, soon_bytes, max_bytes;
};
void pa_tables__room(const struct pa_tables *t, struct pa_tables_room *out);

/** Copy a packed image into blocks.
 *  @return 0, -ENOSPC over the budget (nothing is taken then), -ENOMEM, -errno of making a map */
int pa_tables__load(struct pa_tables *t, const struct pa_pack *p, struct pa_table **out);
/** Give an image's blocks back. No process may refer to it any more. */
void pa_tables__unload(struct pa_tables *t, struct pa_table *table);
size_t pa_table__bytes(const struct pa_table *table);

/** Mappings of a process, by start, disjoint. Zero-initialized is empty. */
struct pa_mapping_list {
	struct pa_mapping_entry {
		uint64_t start;
		struct pa_mapping map;
	} * entries;
	size_t cnt, cap;
};

/** Append the mappings of addresses [start, start + bytes): to table where it has pages for them,
 *  of frame pointers elsewhere. Ranges come in the order of addresses.
 *  @param table  NULL: frame pointers
 *  @param vaddr  of start in the image
 *  @return 0, -ENOMEM */
int pa_mapping_list__add(struct pa_mapping_list *l, const struct pa_table *table, uint64_t start,
			 uint64_t bytes, uint64_t vaddr);

/** The same for an image whose table is not there yet. */
int pa_mapping_list__add_absent(struct pa_mapping_list *l, uint64_t start, uint64_t bytes);

/** The blocks of one process. Zero-initialized has none. */
struct pa_process_blocks {
	uint32_t *blocks; /* of mappings, then of the directory */
	size_t cnt;
};
/** Write a list into blocks; proc's block, cnt and is_directory are set.
 *  @return 0, -ENOSPC over the budget, or too many mappings, -ENOMEM, -errno */
int pa_tables__put_mappings(struct pa_tables *t, const struct pa_mapping_list *l,
			    struct pa_process_blocks *out, struct pa_unwind_proc *proc);
/** Let proc say that all of a process is walked by frame pointers: the block is shared.
 *  @return 0, -ENOSPC, -ENOMEM, -errno */
int pa_tables__put_fp_only(struct pa_tables *t, struct pa_unwind_proc *proc);
/** Does any of the mappings lie in [start, end)? */
bool pa_tables__overlaps(const struct pa_tables *t, const struct pa_process_blocks *b,
			 uint64_t start, uint64_t end);
void pa_tables__drop_mappings(struct pa_tables *t, struct pa_process_blocks *b);

/** Time goes by: what was given up a while ago can be used again. */
void pa_tables__tick(struct pa_tables *t, uint64_t now_ns);
/** Blocks in use, those that wait to be used again included. */
uint64_t pa_tables__bytes(const struct pa_tables *t);
/** Numbers of rules that are given out, of PA_RULES_MAX. */
uint32_t pa_tables__rule_cnt(const struct pa_tables *t);

#endif
