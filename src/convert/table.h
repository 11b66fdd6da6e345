/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * table.h - the hash function, the open-addressed table and the strings that the conversion code
 * shares. The table maps a hash to indices that its owner gave out; the owner compares keys.
 * Hashes are seeded per session, because a profiled process chooses the bytes that are hashed.
 */
#ifndef PA_TABLE_H
#define PA_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pool.h"

#define PA_NONE UINT32_MAX

static inline uint64_t pa_mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 u128;
	/* not the low half of the other product: gcc 12 would take it through memory */
	return a * b ^ (uint64_t)((u128)a * b >> 64);
}

static inline uint64_t pa_load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t pa_hash_key(uint64_t seed, unsigned i)
{
	static const uint64_t odd[8] = {0x9e3779b97f4a7c15ULL, 0xd6e8feb86659fd93ULL,
					0xc2b2ae3d27d4eb4fULL, 0x165667b19e3779f9ULL,
					0xff51afd7ed558ccdULL, 0xc4ceb9fe1a85ec53ULL,
					0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL};

	return (seed << (7 * i) | seed >> (64 - 7 * i) % 64) * odd[i];
}

/** Hash cnt 64-bit words at p (any alignment), four lanes at a time, the last eight words perhaps
 *  twice. Each lane has keys of its own: who does not know the seed can't make lanes or factors
 *  cancel each other out. */
static inline uint64_t pa_hash_words(const void *p, size_t cnt, uint64_t seed)
{
	const uint64_t k0 = pa_hash_key(seed, 0), k1 = pa_hash_key(seed, 1);
	const unsigned char *b = p, *last;
	uint64_t x = k0 + cnt, y, z, w, k3, k5, k7;

	if (cnt < 8) {
		for (; cnt >= 2; cnt -= 2, b += 16)
			x = pa_mix(x ^ pa_load64(b), pa_load64(b + 8) ^ k1);
		if (cnt)
			x = pa_mix(x ^ pa_load64(b), k1);
		return pa_mix(x, pa_hash_key(seed, 2));
	}
	y = pa_hash_key(seed, 2);
	k3 = pa_hash_key(seed, 3);
	z = pa_hash_key(seed, 4);
	k5 = pa_hash_key(seed, 5);
	w = pa_hash_key(seed, 6);
	k7 = pa_hash_key(seed, 7);
	for (last = b + 8 * (cnt - 8);; b += 64) {
		if (b > last)
			b = last;
		x = pa_mix(x ^ pa_load64(b), pa_load64(b + 8) ^ k1);
		y = pa_mix(y ^ pa_load64(b + 16), pa_load64(b + 24) ^ k3);
		z = pa_mix(z ^ pa_load64(b + 32), pa_load64(b + 40) ^ k5);
		w = pa_mix(w ^ pa_load64(b + 48), pa_load64(b + 56) ^ k7);
		if (b == last)
			return pa_mix(x ^ z, y ^ w);
	}
}

static inline uint64_t pa_hash_bytes(const void *p, size_t bytes, uint64_t seed)
{
	uint64_t tail = bytes;
	size_t words = bytes / 8;

	if (bytes % 8) {
		uint64_t last = 0;

		memcpy(&last, (const char *)p + words * 8, bytes % 8);
		tail = pa_mix(tail ^ seed, last ^ 0x9e3779b97f4a7c15ULL);
	}
	return pa_hash_words(p, words, seed ^ tail);
}

/** An open-addressed multimap from hash to index. Zero-initialized is empty.
 *  Invariant: at most half of the slots are used; a free slot has val_plus1 0. */
struct pa_index {
	struct pa_slot {
		uint32_t tag, val_plus1;
	} * slots;
	uint32_t mask, cnt;
};

/** @return the next candidate with that hash, PA_NONE at the end. Start with
 *  *pos = pa_index__start(t, hash). The caller compares the key: a candidate may be another's. */
static inline uint32_t pa_index__start(const struct pa_index *t, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & t->mask;
}

static inline uint32_t pa_index__next(const struct pa_index *t, uint64_t hash, uint32_t *pos)
{
	uint32_t tag = (uint32_t)(hash >> 32);

	if (!t->slots)
		return PA_NONE;
	for (;;) {
		const struct pa_slot *slot = &t->slots[*pos];

		if (!slot->val_plus1)
			return PA_NONE;
		*pos = (*pos + 1) & t->mask;
		if (slot->tag == tag)
			return slot->val_plus1 - 1;
	}
}

/** @return 0, -ENOMEM. val < PA_NONE. Does not look for equal keys. */
int pa_index__add(struct pa_index *t, uint64_t hash, uint32_t val);
void pa_index__free(struct pa_index *t);

/** Strings, each kept once: equal strings have equal pointers. */
struct pa_strings {
	struct pa_index table;
	struct pa_pool pool;
	const char **strs;
	size_t cnt, cap;
	uint64_t seed;
};

/** @return index of the string, PA_NONE without memory */
uint32_t pa_strings__intern(struct pa_strings *s, const char *str, size_t bytes);
void pa_strings__free(struct pa_strings *s);

#endif
