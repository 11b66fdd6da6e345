/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * strtab.c - the string table of a profile. Strings are packed as they come, once each; a hash
 * table over the packed bytes finds those that are there already.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

#define FIRST_SLOTS 1024
/* Of protobuf: a field is number << 3 | type, then a length and bytes. */
enum { PROFILE_STRING_TABLE = 6, TYPE_BYTES = 2, VARINT_MAX_BYTES = 10 };

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_bytes(const char *s, size_t bytes, uint64_t seed)
{
	uint64_t h = seed ^ bytes, w;

	for (; bytes >= 8; s += 8, bytes -= 8) {
		memcpy(&w, s, 8);
		h = mix(h ^ w, 0x9e3779b97f4a7c15 ^ seed);
	}
	w = 0;
	memcpy(&w, s, bytes);
	h = mix(h ^ w, 0xd6e8feb86659fd93 ^ seed);
	return h ^ h >> 32;
}

/* Length of the valid UTF-8 sequence at s, 0 when there is none. Reads no further than a NUL. */
static size_t utf8_len(const unsigned char *s)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		hi = 0x8f; /* past U+10FFFF */
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static bool utf8_valid(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len;

	for (; *p; p += len) {
		len = utf8_len(p);
		if (!len)
			return false;
	}
	return true;
}

/* A malloc'd copy of s with each bad byte as U+FFFD. */
static char *utf8_repair(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t bytes = strlen(s), len;
	char *copy, *to;

	if (bytes > SIZE_MAX / 3 - 1)
		return NULL;
	copy = to = malloc(bytes * 3 + 1);
	if (!copy)
		return NULL;
	while (*p) {
		len = utf8_len(p);
		if (len) {
			memcpy(to, p, len);
			to += len;
			p += len;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			p++;
		}
	}
	*to = '\0';
	return copy;
}

static int grow_slots(struct pprof_strtab *t)
{
	size_t slot_cnt = t->slot_cnt ? t->slot_cnt * 2 : FIRST_SLOTS;
	struct pprof_str_slot *slots = calloc(slot_cnt, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->slot_cnt; i++) {
		size_t at = t->slots[i].hash & (slot_cnt - 1);

		if (!t->slots[i].id)
			continue;
		while (slots[at].id)
			at = (at + 1) & (slot_cnt - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->slot_cnt = slot_cnt;
	return 0;
}

static int append(struct pprof_strtab *t, const char *s, size_t bytes)
{
	size_t left = bytes;
	uint8_t *to;
	int err;

	if (t->str_cnt == UINT32_MAX)
		return -ENOMEM;
	if (t->str_cnt == t->str_cap) {
		size_t cap = t->str_cap ? (size_t)t->str_cap * 2 : FIRST_SLOTS / 2;
		void *strs;

		if (cap > UINT32_MAX)
			cap = UINT32_MAX;
		strs = realloc(t->strs, cap * sizeof(*t->strs));
		if (!strs)
			return -ENOMEM;
		t->strs = strs;
		t->str_cap = cap;
	}
	err = pprof_buf__reserve(&t->packed, 1 + VARINT_MAX_BYTES + bytes);
	if (err)
		return err;
	to = t->packed.data + t->packed.bytes;
	*to++ = PROFILE_STRING_TABLE << 3 | TYPE_BYTES;
	for (; left >= 0x80; left >>= 7)
		*to++ = left | 0x80;
	*to++ = left;
	memcpy(to, s, bytes);
	t->packed.bytes = to + bytes - t->packed.data;
	t->strs[t->str_cnt].off = t->packed.bytes - bytes;
	t->strs[t->str_cnt++].bytes = bytes;
	return 0;
}

static int find_or_append(struct pprof_strtab *t, const char *s, int64_t *id)
{
	size_t bytes = strlen(s), at;
	uint64_t hash = hash_bytes(s, bytes, t->seed);
	int err;

	if (bytes > INT32_MAX)
		return -EINVAL;
	if ((t->str_cnt + 1) > t->slot_cnt / 2) {
		err = grow_slots(t);
		if (err)
			return err;
	}
	for (at = hash & (t->slot_cnt - 1); t->slots[at].id; at = (at + 1) & (t->slot_cnt - 1)) {
		uint32_t i = t->slots[at].id;

		if (t->slots[at].hash == hash && t->strs[i].bytes == bytes &&
		    !memcmp(t->packed.data + t->strs[i].off, s, bytes)) {
			*id = i;
			return 0;
		}
	}
	err = append(t, s, bytes);
	if (err)
		return err;
	t->slots[at].hash = hash;
	t->slots[at].id = t->str_cnt - 1;
	*id = t->str_cnt - 1;
	return 0;
}

int pprof_strtab__init(struct pprof_strtab *t)
{
	*t = (struct pprof_strtab){0};
	/* Without random bytes (early boot, seccomp) the table works as well, only guessably. */
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uintptr_t)t;
	return append(t, "", 0);
}

void pprof_strtab__free(struct pprof_strtab *t)
{
	pprof_buf__free(&t->packed);
	free(t->slots);
	free(t->strs);
	*t = (struct pprof_strtab){0};
}

int pprof_strtab__id(struct pprof_strtab *t, const char *s, int64_t *id)
{
	char *repaired;
	int err;

	*id = 0;
	if (!s || !*s)
		return 0;
	if (utf8_valid(s))
		return find_or_append(t, s, id);
	repaired = utf8_repair(s);
	if (!repaired)
		return -ENOMEM;
	err = find_or_append(t, repaired, id);
	free(repaired);
	return err;
}
