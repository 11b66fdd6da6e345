// SPDX-License-Identifier: GPL-2.0-only
/*
 * cursor.c - reads numbers from DWARF bytes and never leaves them.
 */
#include <string.h>

#include "unwind/internal.h"

static uint64_t fail(struct pa_cursor *c)
{
	c->is_bad = true;
	c->p = c->end;
	return 0;
}

uint64_t pa_cursor__fixed(struct pa_cursor *c, unsigned bytes)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;
	const uint8_t *p = pa_cursor__skip(c, bytes);

	if (!p)
		return 0;
	switch (bytes) {
	case 1:
		return *p;
	case 2:
		memcpy(&v16, p, sizeof(v16));
		return v16;
	case 4:
		memcpy(&v32, p, sizeof(v32));
		return v32;
	case 8:
		memcpy(&v64, p, sizeof(v64));
		return v64;
	default:
		return fail(c);
	}
}

/* Bits beyond the 64th are dropped. */
static uint64_t leb(struct pa_cursor *c, bool is_signed)
{
	const uint8_t *begin = c->p;
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (c->p == c->end || c->p - begin == PA_CFI_LEB_MAX_BYTES)
			return fail(c);
		byte = *c->p++;
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += shift < 64 ? 7 : 0;
	} while (byte & 0x80);
	if (is_signed && byte & 0x40 && shift < 64)
		v |= ~0ull << shift;
	return v;
}

uint64_t pa_cursor__uleb(struct pa_cursor *c)
{
	return leb(c, false);
}

int64_t pa_cursor__sleb(struct pa_cursor *c)
{
	return (int64_t)leb(c, true);
}

const uint8_t *pa_cursor__skip(struct pa_cursor *c, uint64_t bytes)
{
	const uint8_t *p = c->p;

	if (bytes > (uint64_t)(c->end - c->p)) {
		fail(c);
		return NULL;
	}
	c->p += bytes;
	return p;
}
