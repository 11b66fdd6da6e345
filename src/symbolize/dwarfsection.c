// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfsection.c - the bytes of sections with DWARF. They are read with pread by pieces, never
 * mapped: a file that is cut under us would be SIGBUS, and one that is much larger than what is
 * asked of it is not read whole. Only compressed sections are held in memory.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "symbolize/dwarfindex.h"

#define WHOLE_BYTES (64u << 10) /* of a section that is read at once */
#define PIECE_BYTES 1024	/* read at least */
#define DEFLATE_RATIO_MAX 1040	/* what zlib can make of a byte */
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

const char *pa_dwarf_section__name(enum pa_dwarf_section_id id)
{
	static const char *const names[PA_DWARF_SECTION_CNT] = {
		[PA_DWARF_INFO] = "info",	  [PA_DWARF_ABBREV] = "abbrev",
		[PA_DWARF_LINE] = "line",	  [PA_DWARF_STR] = "str",
		[PA_DWARF_LINE_STR] = "line_str", [PA_DWARF_STR_OFFSETS] = "str_offsets",
		[PA_DWARF_ADDR] = "addr",	  [PA_DWARF_RANGES] = "ranges",
		[PA_DWARF_RNGLISTS] = "rnglists", [PA_DWARF_ARANGES] = "aranges"};

	return names[id];
}

/* ---- pieces --------------------------------------------------------------------------- */

static bool read_all(int fd, uint64_t offset, uint8_t *to, size_t bytes)
{
	while (bytes) {
		ssize_t n = pread(fd, to, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return true;
}

static bool fill(struct pa_dwarf_section *s, struct pa_dwarf_window *w, uint64_t at, size_t bytes)
{
	uint8_t *grown;

	w->bytes = 0;
	if (bytes > w->cap) {
		grown = malloc(bytes);
		if (!grown) {
			s->no_memory = true;
			return false;
		}
		free(w->data);
		w->data = grown;
		w->cap = bytes;
	}
	if (!read_all(s->fd, s->offset + at, w->data, bytes))
		return false;
	w->at = at;
	w->bytes = bytes;
	return true;
}

static bool has(const struct pa_dwarf_window *w, uint64_t at, size_t bytes)
{
	return at >= w->at && at - w->at <= w->bytes && w->bytes - (at - w->at) >= bytes;
}

/* ---- compressed sections -------------------------------------------------------------- */

static bool inflate_zlib(const uint8_t *from, size_t from_bytes, uint8_t *to, size_t *to_bytes)
{
	struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
	size_t room = *to_bytes;
	bool ok = z && libdeflate_zlib_decompress(z, from, from_bytes, to, room, to_bytes) ==
			       LIBDEFLATE_SUCCESS;

	libdeflate_free_decompressor(z);
	return ok;
}

static bool inflate_zstd(const uint8_t *from, size_t from_bytes, uint8_t *to, size_t *to_bytes)
{
	size_t made = ZSTD_decompress(to, *to_bytes, from, from_bytes);

	if (ZSTD_isError(made))
		return false;
	*to_bytes = made;
	return true;
}

/* How a section says that it is compressed. @return bytes of that, 0: it is not */
static size_t compression(const struct pa_elf *e, const struct pa_elf_section *from,
			  const uint8_t *data, uint32_t *type, uint64_t *bytes)
{
	Elf64_Chdr chdr64;
	Elf32_Chdr chdr32;

	if (from->flags & SHF_COMPRESSED) {
		if (e->is_64 && from->bytes >= sizeof(chdr64)) {
			memcpy(&chdr64, data, sizeof(chdr64));
			*type = chdr64.ch_type;
			*bytes = chdr64.ch_size;
			return sizeof(chdr64);
		}
		if (!e->is_64 && from->bytes >= sizeof(chdr32)) {
			memcpy(&chdr32, data, sizeof(chdr32));
			*type = chdr32.ch_type;
			*bytes = chdr32.ch_size;
			return sizeof(chdr32);
		}
		*type = 0;
		return from->bytes;
	}
	/* .zdebug_...: "ZLIB" and the size, big endian */
	if (from->bytes < 12 || memcmp(data, "ZLIB", 4))
		return 0;
	memcpy(bytes, data + 4, sizeof(*bytes));
	*bytes = be64toh(*bytes);
	*type = ELFCOMPRESS_ZLIB;
	return 12;
}

/* Now that it is asked for. @return false: it has no bytes then */
static bool inflate_section(struct pa_dwarf_section *s)
{
	uint8_t *data = malloc(s->packed_bytes), *made = malloc(s->bytes);
	size_t head = s->packed_head, bytes = s->bytes;
	bool ok = data && made;

	s->no_memory |= !ok;
	ok = ok && read_all(s->fd, s->offset, data, s->packed_bytes);
	if (ok && s->packing == ELFCOMPRESS_ZLIB)
		ok = inflate_zlib(data + head, s->packed_bytes - head, made, &bytes);
	else if (ok)
		ok = inflate_zstd(data + head, s->packed_bytes - head, made, &bytes);
	free(data);
	s->packing = 0;
	s->bytes = ok ? bytes : 0;
	if (ok)
		s->mem = s->owned = made;
	else
		free(made);
	return ok;
}

static int open_packed(struct pa_dwarf_section *s, const struct pa_elf *e,
		       const struct pa_elf_section *from)
{
	uint8_t data[sizeof(Elf64_Chdr)] = {0};
	size_t bytes = from->bytes < sizeof(data) ? from->bytes : sizeof(data);

	if (pa_elf__read(e, from->offset, data, bytes))
		return -EBADMSG;
	s->packed_bytes = from->bytes;
	s->packed_head = compression(e, from, data, &s->packing, &s->bytes);
	if (!s->packed_head || !s->bytes || s->packed_head >= from->bytes ||
	    s->bytes > PA_DWARF_SECTION_MAX_BYTES || s->packed_bytes > PA_DWARF_SECTION_MAX_BYTES ||
	    (s->packing != ELFCOMPRESS_ZLIB && s->packing != ELFCOMPRESS_ZSTD) ||
	    (s->packing == ELFCOMPRESS_ZLIB && s->bytes / DEFLATE_RATIO_MAX > from->bytes))
		return -EBADMSG;
	return 0;
}

/* ---- asking --------------------------------------------------------------------------- */

int pa_dwarf_section__keep(struct pa_dwarf_section *s, size_t max_bytes)
{
	uint8_t *data;

	if (s->packing && !inflate_section(s))
		return s->no_memory ? -ENOMEM : -EBADMSG;
	if (s->mem)
		return 0;
	if (s->bytes > max_bytes)
		return -EFBIG;
	data = malloc(s->bytes + 1);
	if (!data)
		return -ENOMEM;
	if (!read_all(s->fd, s->offset, data, s->bytes)) {
		free(data);
		return -EBADMSG;
	}
	s->mem = s->owned = data;
	return 0;
}

const uint8_t *pa_dwarf_section__at(struct pa_dwarf_section *s, uint64_t at, size_t need,
				    size_t want, size_t *got)
{
	struct pa_dwarf_window *w;

	*got = 0;
	if (at >= s->bytes || (s->packing && !inflate_section(s)) || at >= s->bytes)
		return NULL;
	if (!s->mem && s->bytes <= WHOLE_BYTES)
		pa_dwarf_section__keep(s, WHOLE_BYTES);
	if (s->mem) {
		*got = s->bytes - at;
		return s->mem + at;
	}
	if (need > s->bytes - at)
		need = s->bytes - at;
	if (want > s->bytes - at)
		want = s->bytes - at;
	w = has(&s->large, at, need) ? &s->large : &s->small;
	if (!has(w, at, need)) {
		w = want > PA_DWARF_SMALL_BYTES ? &s->large : &s->small;
		if (!fill(s, w, at, want > need ? want : need))
			return NULL;
	}
	*got = w->bytes - (at - w->at);
	return w->data + (at - w->at);
}

const char *pa_dwarf_section__string(struct pa_dwarf_section *s, uint64_t at, size_t *bytes)
{
	const uint8_t *p, *nul = NULL;
	size_t got = 0;

	if (!s)
		return NULL;
	for (size_t need = 128; need <= PA_DWARF_STRING_MAX_BYTES; need *= 8) {
		p = pa_dwarf_section__at(s, at, need, PIECE_BYTES, &got);
		if (!p)
			return NULL;
		got = got < PA_DWARF_STRING_MAX_BYTES ? got : PA_DWARF_STRING_MAX_BYTES;
		nul = memchr(p, 0, got);
		if (nul) {
			*bytes = (size_t)(nul - p);
			return (const char *)p;
		}
		if (got < need)
			return NULL;
	}
	return NULL;
}

bool pa_dwarf_section__number(struct pa_dwarf_section *s, uint64_t at, unsigned bytes,
			      uint64_t *out)
{
	size_t got;
	const uint8_t *p =
		s && bytes <= 8 ? pa_dwarf_section__at(s, at, bytes, PIECE_BYTES, &got) : NULL;

	if (!p || got < bytes)
		return false;
	*out = pa_read_le(p, bytes);
	return true;
}

/* ---- opening -------------------------------------------------------------------------- */

int pa_dwarf_section__open(struct pa_dwarf_section *s, const struct pa_elf *e,
			   const struct pa_elf_section *from)
{
	if (from->type == SHT_NOBITS || from->offset > e->bytes ||
	    from->bytes > e->bytes - from->offset)
		return -EBADMSG;
	s->fd = e->fd;
	s->offset = from->offset;
	s->bytes = from->bytes;
	if (from->flags & SHF_COMPRESSED || !strncmp(pa_elf__section_name(e, from), ".zdebug", 7))
		return open_packed(s, e, from);
	return 0;
}

void pa_dwarf_section__close(struct pa_dwarf_section *s)
{
	free(s->owned);
	free(s->small.data);
	free(s->large.data);
}

/* ---- cursors -------------------------------------------------------------------------- */

bool pa_dwarf_cursor__seek(struct pa_dwarf_cursor *c, uint64_t at)
{
	size_t need = c->need, want = c->want, got;

	c->p = c->end = NULL;
	c->end_at = at;
	if (at >= c->limit)
		return false;
	need = c->limit - at < need ? c->limit - at : need;
	want = c->limit - at < want ? c->limit - at : want;
	c->p = pa_dwarf_section__at(c->section, at, need, want, &got);
	if (!c->p) {
		c->end_at = c->limit;
		return false;
	}
	if (got > c->limit - at)
		got = c->limit - at;
	c->end = c->p + got;
	c->end_at = at + got;
	return true;
}

bool pa_dwarf_cursor__open(struct pa_dwarf_cursor *c, struct pa_dwarf_section *s, uint64_t at,
			   uint64_t limit, size_t need, size_t want)
{
	memset(c, 0, sizeof(*c));
	if (!s)
		return false;
	c->section = s;
	c->limit = limit < s->bytes ? limit : s->bytes;
	c->need = need;
	c->want = want;
	return pa_dwarf_cursor__seek(c, at);
}

bool pa_dwarf_cursor__long_uleb(struct pa_dwarf_cursor *c, uint64_t *out)
{
	unsigned shift = 0;

	*out = 0;
	while (c->p < c->end) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			*out |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

bool pa_dwarf_cursor__sleb(struct pa_dwarf_cursor *c, int64_t *out)
{
	unsigned shift = 0;
	uint64_t v = 0;

	while (c->p < c->end) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && byte & 0x40)
			v |= ~0ull << shift;
		*out = (int64_t)v;
		return true;
	}
	return false;
}
