/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * foldlines.h - the lines of folded stacks as lists of name numbers: sorted as their text would
 * be, which exists only while it is written.
 */
#ifndef PA_FOLDLINES_H
#define PA_FOLDLINES_H

#include <stdio.h>

#include "convert/table.h"

struct pa_foldline {
	uint32_t *names; /* root first; ranks of names, once they are known */
	uint32_t name_cnt;
	uint64_t weight;
};

/** Zero-initialized is empty. */
struct pa_foldlines {
	struct pa_foldline *lines;
	size_t cnt, cap;
	struct pa_pool pool;
};

/** Add a line of at least one name; it may be there already. @return 0, -ENOMEM */
int pa_foldlines__add(struct pa_foldlines *l, const uint32_t *names, uint32_t name_cnt,
		      uint64_t weight);
/** Write all lines, in the order of their bytes; the weights of equal lines are added up. Once:
 *  the lines are of no use then. @param names  none holds a ';'
 *  @return 0, -ENOMEM, -errno of the file */
int pa_foldlines__write(struct pa_foldlines *l, const struct pa_strings *names, FILE *out);
void pa_foldlines__free(struct pa_foldlines *l);

#endif
