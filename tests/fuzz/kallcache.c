// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallcache.c - fuzz target: the cache of kernel symbols. Its key, sizes and hash are made right,
 * so that what is behind them is reached.
 */
#include "fuzz.h"
#include "cachefile.h"
#include "symbolize/internal.h"

enum { HEADER_BYTES = 72, KEY_AT = 8, MODULES_HASH_AT = 32, BODY_BYTES_AT = 40, HASH_AT = 48 };

static void look_up(const struct pa_kallsyms *k)
{
	const char *name, *module;
	uint64_t start, bytes;

	for (size_t i = 0; i < k->cnt; i++) {
		uint64_t addr = k->syms[i].addr;

		if (!pa_kallsyms__lookup(k, addr, &name, &module, &start, &bytes)) {
			fuzz_touch_string(name);
			fuzz_touch_string(module);
		}
		pa_kallsyms__lookup(k, addr - 1, &name, &module, &start, &bytes);
	}
	for (uint64_t addr = 1; addr; addr <<= 1)
		pa_kallsyms__lookup(k, addr, &name, &module, &start, &bytes);
	pa_kallsyms__address(k, "_stext", &start);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pa_kallcache_key key;
	uint64_t body_bytes, hash;
	struct pa_kallsyms *k;
	uint8_t *copy;

	if (bytes < HEADER_BYTES)
		return 0;
	copy = malloc(bytes);
	FUZZ_ASSERT(copy);
	memcpy(copy, data, bytes);
	body_bytes = bytes - HEADER_BYTES;
	hash = pa_cachefile__hash(data + HEADER_BYTES, body_bytes);
	memcpy(copy + BODY_BYTES_AT, &body_bytes, sizeof(body_bytes));
	memcpy(copy + HASH_AT, &hash, sizeof(hash));
	memcpy(key.boot_id, data + KEY_AT, sizeof(key.boot_id));
	memcpy(&key.modules_hash, data + MODULES_HASH_AT, sizeof(key.modules_hash));
	if (!pa_kallcache__map(&key, fuzz_file(copy, bytes, 0), &k)) {
		look_up(k);
		pa_kallsyms__free(k);
	}
	free(copy);
	return 0;
}
