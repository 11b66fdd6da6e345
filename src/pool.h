/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool.h - memory that is freed all at once, and growing arrays.
 */
#ifndef PA_POOL_H
#define PA_POOL_H

#include <stddef.h>

/** Zero-initialized is empty. */
struct pa_pool {
	struct pa_pool_chunk *chunks;
};

/** @return zeroed memory, aligned to 8 bytes, owned by the pool; NULL: out of memory */
void *pa_pool__alloc(struct pa_pool *p, size_t bytes);
/** Copy of the first bytes of s, with a NUL. @return NULL: out of memory */
char *pa_pool__strndup(struct pa_pool *p, const char *s, size_t bytes);
void pa_pool__free(struct pa_pool *p);

/** Make room for one more of cnt elements in an array that doubles.
 *  @param array  address of the pointer to its elements
 *  @return 0, -ENOMEM */
int pa_array_grow(void *array, size_t cnt, size_t *cap, size_t element_bytes);

#endif
