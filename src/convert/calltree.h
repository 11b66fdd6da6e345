/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * calltree.h - the inside of a call tree, for those who draw it. Nodes are numbered in the order
 * in which they were added; node 0 is the root, "all", and, since the root is nobody's child, 0
 * also means "none" in first_child and next_sibling.
 */
#ifndef PA_CALLTREE_H
#define PA_CALLTREE_H

#include <stdint.h>

#include "convert/convert.h"

struct pa_calltree_node {
	uint64_t weight; /* of the stacks through here, never less than its children's sum */
	uint64_t before; /* the same of what it is compared with */
	uint64_t start;	 /* scratch of whoever draws */
	uint32_t name;	 /* id, see pa_calltree__name */
	uint32_t parent;
	uint32_t first_child, next_sibling; /* valid after pa_calltree__arrange */
	uint8_t class;			    /* enum pa_frame_class */
};

/** Chain each node's children in the order of their names (as bytes), then of their classes.
 *  @return 0 or -ENOMEM */
int pa_calltree__arrange(struct pa_calltree *t);
/** @param cnt  set to the number of nodes, at least 1
 *  @return the nodes; valid until the next add */
struct pa_calltree_node *pa_calltree__nodes(struct pa_calltree *t, uint32_t *cnt);
/** @return the name, valid until the next add */
const char *pa_calltree__name(const struct pa_calltree *t, uint32_t name);

#endif
