// SPDX-License-Identifier: GPL-2.0-only
/*
 * pool.c - chunked memory and growing arrays. Nothing here is on the path of a sample whose stack
 * is known, nor of a repeated lookup.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

#define CHUNK_BYTES 65536
#define ARRAY_FIRST 8

struct pa_pool_chunk {
	struct pa_pool_chunk *next;
	size_t used, bytes;
	uint64_t data[];
};

void *pa_pool__alloc(struct pa_pool *p, size_t bytes)
{
	struct pa_pool_chunk *c = p->chunks;
	size_t room = CHUNK_BYTES;
	void *at;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + 7) & ~(size_t)7;
	if (!c || c->bytes - c->used < bytes) {
		if (bytes > room)
			room = bytes;
		c = calloc(1, sizeof(*c) + room);
		if (!c)
			return NULL;
		c->bytes = room;
		/* a large piece goes behind the chunk in use, whose room is still wanted */
		if (p->chunks && room > CHUNK_BYTES) {
			c->next = p->chunks->next;
			p->chunks->next = c;
		} else {
			c->next = p->chunks;
			p->chunks = c;
		}
	}
	at = (char *)c->data + c->used;
	c->used += bytes;
	return at;
}

char *pa_pool__strndup(struct pa_pool *p, const char *s, size_t bytes)
{
	char *copy = pa_pool__alloc(p, bytes + 1);

	if (copy)
		memcpy(copy, s, bytes);
	return copy;
}

void pa_pool__free(struct pa_pool *p)
{
	while (p->chunks) {
		struct pa_pool_chunk *c = p->chunks;

		p->chunks = c->next;
		free(c);
	}
}

int pa_array_grow(void *array, size_t cnt, size_t *cap, size_t element_bytes)
{
	size_t want = *cap ? *cap * 2 : ARRAY_FIRST;
	void *old, *grown;

	if (cnt < *cap)
		return 0;
	if (want > SIZE_MAX / 2 / element_bytes)
		return -ENOMEM;
	memcpy(&old, array, sizeof(old));
	grown = realloc(old, want * element_bytes);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = want;
	return 0;
}
