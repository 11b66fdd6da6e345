// SPDX-License-Identifier: GPL-2.0-only
/*
 * table.c - growing of the shared table and string store. Nothing here is on the path of
 * a sample whose stack is known already.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/table.h"

enum { TABLE_FIRST_SLOTS = 64 };

static void put_slot(struct pa_slot *slots, uint32_t mask, uint32_t tag, uint32_t val_plus1)
{
	uint32_t pos = tag & mask;

	while (slots[pos].val_plus1)
		pos = (pos + 1) & mask;
	slots[pos].tag = tag;
	slots[pos].val_plus1 = val_plus1;
}

static int table_grow(struct pa_index *t)
{
	size_t slot_cnt = t->slots ? ((size_t)t->mask + 1) * 2 : TABLE_FIRST_SLOTS;
	struct pa_slot *slots;

	if (slot_cnt > (size_t)UINT32_MAX + 1)
		return -ENOMEM;
	slots = calloc(slot_cnt, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; t->slots && i <= t->mask; i++)
		if (t->slots[i].val_plus1)
			put_slot(slots, slot_cnt - 1, t->slots[i].tag, t->slots[i].val_plus1);
	free(t->slots);
	t->slots = slots;
	t->mask = slot_cnt - 1;
	return 0;
}

int pa_index__add(struct pa_index *t, uint64_t hash, uint32_t val)
{
	if (val == PA_NONE)
		return -ENOMEM;
	if ((!t->slots || t->cnt > t->mask / 2) && table_grow(t))
		return -ENOMEM;
	put_slot(t->slots, t->mask, (uint32_t)(hash >> 32), val + 1);
	t->cnt++;
	return 0;
}

void pa_index__free(struct pa_index *t)
{
	free(t->slots);
	memset(t, 0, sizeof(*t));
}

uint32_t pa_strings__intern(struct pa_strings *s, const char *str, size_t bytes)
{
	uint64_t hash = pa_hash_bytes(str, bytes, s->seed);
	uint32_t pos = pa_index__start(&s->table, hash), i;
	char *copy;

	while ((i = pa_index__next(&s->table, hash, &pos)) != PA_NONE)
		if (!strncmp(s->strs[i], str, bytes) && !s->strs[i][bytes])
			return i;
	if (s->cnt >= PA_NONE || pa_array_grow(&s->strs, s->cnt, &s->cap, sizeof(*s->strs)))
		return PA_NONE;
	copy = pa_pool__alloc(&s->pool, bytes + 1);
	if (!copy || pa_index__add(&s->table, hash, s->cnt))
		return PA_NONE;
	memcpy(copy, str, bytes);
	copy[bytes] = '\0';
	s->strs[s->cnt] = copy;
	return s->cnt++;
}

void pa_strings__free(struct pa_strings *s)
{
	pa_index__free(&s->table);
	pa_pool__free(&s->pool);
	free(s->strs);
	memset(s, 0, sizeof(*s));
}
