// SPDX-License-Identifier: GPL-2.0-only
/*
 * bytetable.c - the table of byte strings that images and files are found by. Not on the path of a
 * repeated lookup.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

struct pa_table_node {
	struct pa_table_node *next;
	void *value;
	uint64_t hash;
	size_t bytes;
	uint8_t key[];
};

/* Keys hold names that a file or a process chose: where the table lies is what they don't know. */
static uint64_t hash_bytes(const struct pa_table *t, const void *key, size_t bytes)
{
	const uint8_t *p = key;
	uint64_t h = 0xcbf29ce484222325ull ^ (uintptr_t)t * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h ^ h >> 32;
}

static struct pa_table_node *table_find(const struct pa_table *t, const void *key, size_t bytes,
					uint64_t hash)
{
	struct pa_table_node *n;

	if (!t->bucket_cnt)
		return NULL;
	for (n = t->buckets[hash & (t->bucket_cnt - 1)]; n; n = n->next)
		if (n->hash == hash && n->bytes == bytes && !memcmp(n->key, key, bytes))
			return n;
	return NULL;
}

void *pa_table__get(const struct pa_table *t, const void *key, size_t bytes)
{
	struct pa_table_node *n = table_find(t, key, bytes, hash_bytes(t, key, bytes));

	return n ? n->value : NULL;
}

static int table_grow(struct pa_table *t)
{
	size_t cnt = t->bucket_cnt ? t->bucket_cnt * 2 : 64;
	struct pa_table_node **buckets = calloc(cnt, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->bucket_cnt; i++) {
		struct pa_table_node *n = t->buckets[i], *next;

		for (; n; n = next) {
			next = n->next;
			n->next = buckets[n->hash & (cnt - 1)];
			buckets[n->hash & (cnt - 1)] = n;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->bucket_cnt = cnt;
	return 0;
}

int pa_table__set(struct pa_table *t, const void *key, size_t bytes, void *value)
{
	uint64_t hash = hash_bytes(t, key, bytes);
	struct pa_table_node *n = table_find(t, key, bytes, hash);

	if (n) {
		n->value = value;
		return 0;
	}
	if (t->cnt >= t->bucket_cnt && table_grow(t))
		return -ENOMEM;
	n = malloc(sizeof(*n) + bytes);
	if (!n)
		return -ENOMEM;
	n->value = value;
	n->hash = hash;
	n->bytes = bytes;
	memcpy(n->key, key, bytes);
	n->next = t->buckets[hash & (t->bucket_cnt - 1)];
	t->buckets[hash & (t->bucket_cnt - 1)] = n;
	t->cnt++;
	return 0;
}

void pa_table__free(struct pa_table *t)
{
	for (size_t i = 0; i < t->bucket_cnt; i++) {
		struct pa_table_node *n = t->buckets[i], *next;

		for (; n; n = next) {
			next = n->next;
			free(n);
		}
	}
	free(t->buckets);
	memset(t, 0, sizeof(*t));
}
