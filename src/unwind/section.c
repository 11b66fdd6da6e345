// SPDX-License-Identifier: GPL-2.0-only
/*
 * section.c - finds and reads the sections that hold CFI: by name, or, where a file lost its
 * section headers, .eh_frame through the program header of .eh_frame_hdr. A compressed
 * .debug_frame grows with what really comes out, not with what its header claims.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "unwind/internal.h"

#define HDR_MAX_BYTES (64u << 20)

static void describe(const struct pa_elf *e, struct pa_cfi_section *out)
{
	*out = (struct pa_cfi_section){
		.address_bytes = e->is_64 ? 8 : 4,
		.machine = e->machine,
	};
}

/* ---- .eh_frame ------------------------------------------------------------------------------ */

/* The search table behind the header's fields. @return its slots, NULL: not to be used */
static struct pa_cfi_slot *read_table(struct pa_cursor *c, const struct pa_pointer_base *base,
				      uint8_t encoding, uint64_t cnt,
				      const struct pa_cfi_section *s)
{
	struct pa_cfi_slot *slots;

	/* Each of the two pointers of a slot takes a byte at least. */
	if (!cnt || encoding == DW_EH_PE_omit || cnt > (uint64_t)(c->end - c->p) / 2)
		return NULL;
	slots = malloc(cnt * sizeof(*slots));
	if (!slots)
		return NULL;
	for (uint64_t i = 0; i < cnt; i++) {
		uint64_t start = pa_pointer__read(c, base, encoding);
		uint64_t at = pa_pointer__read(c, base, encoding) - s->vaddr;

		if (c->is_bad || at >= s->bytes || (i && start < slots[i - 1].start)) {
			free(slots);
			return NULL;
		}
		slots[i] = (struct pa_cfi_slot){start, (uint32_t)at};
	}
	return slots;
}

/* .eh_frame from a virtual address to the end of its segment. */
static int load_at(const struct pa_elf *e, uint64_t vaddr, struct pa_cfi_section *out)
{
	for (size_t i = 0; i < e->segment_cnt; i++) {
		const struct pa_elf_segment *p = &e->segments[i];
		struct pa_elf_section s = {.type = SHT_PROGBITS};
		int err;

		if (p->type != PT_LOAD || vaddr < p->vaddr || vaddr - p->vaddr >= p->filesz)
			continue;
		s.offset = p->offset + (vaddr - p->vaddr);
		s.bytes = p->filesz - (vaddr - p->vaddr);
		err = pa_elf__load(e, &s, PA_CFI_SECTION_MAX_BYTES, (void **)&out->data);
		if (err)
			return err;
		out->bytes = s.bytes;
		out->vaddr = vaddr;
		out->ends_at_zero = true;
		return 0;
	}
	return -ENOENT;
}

/* Read what PT_GNU_EH_FRAME points to: where .eh_frame is, and a table to search it. */
static int use_header(const struct pa_elf *e, struct pa_cfi_section *out,
		      struct pa_cfi_slot **slots, size_t *slot_cnt)
{
	struct pa_elf_section raw = {.type = SHT_PROGBITS};
	const struct pa_elf_segment *p = NULL;
	struct pa_pointer_base base;
	struct pa_cursor c;
	uint8_t *data, encoding[3];
	uint64_t frame, cnt;
	int err;

	for (size_t i = 0; !p && i < e->segment_cnt; i++)
		if (e->segments[i].type == PT_GNU_EH_FRAME)
			p = &e->segments[i];
	if (!p)
		return -ENOENT;
	raw.offset = p->offset;
	raw.bytes = p->filesz;
	err = pa_elf__load(e, &raw, HDR_MAX_BYTES, (void **)&data);
	if (err)
		return err;
	c = (struct pa_cursor){data, data + raw.bytes, false};
	base = (struct pa_pointer_base){data, p->vaddr, p->vaddr, out->address_bytes};
	err = -EBADMSG;
	if (pa_cursor__fixed(&c, 1) != 1)
		goto out;
	for (int i = 0; i < 3; i++)
		encoding[i] = (uint8_t)pa_cursor__fixed(&c, 1);
	frame = pa_pointer__read(&c, &base, encoding[0]);
	cnt = pa_pointer__read(&c, &base, encoding[1]);
	if (c.is_bad || encoding[0] == DW_EH_PE_omit)
		goto out;
	err = out->data ? 0 : load_at(e, frame, out);
	if (err || encoding[1] == DW_EH_PE_omit || frame != out->vaddr)
		goto out;
	*slots = read_table(&c, &base, encoding[2], cnt, out);
	*slot_cnt = *slots ? cnt : 0;
out:
	free(data);
	return err;
}

int pa_cfi_section__load_eh(const struct pa_elf *e, struct pa_cfi_section *out,
			    struct pa_cfi_slot **slots, size_t *slot_cnt)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".eh_frame", 0);
	int err;

	describe(e, out);
	out->is_eh = true;
	*slots = NULL;
	*slot_cnt = 0;
	if (s && !pa_elf__load(e, s, PA_CFI_SECTION_MAX_BYTES, (void **)&out->data)) {
		out->bytes = s->bytes;
		out->vaddr = s->addr;
	}
	err = use_header(e, out, slots, slot_cnt);
	return out->data ? 0 : err;
}

/* ---- .debug_frame --------------------------------------------------------------------------- */

/* A growing buffer. @return 0, -EFBIG, -ENOMEM */
static int grow(uint8_t **data, size_t *cap)
{
	size_t want = *cap ? *cap * 2 : 65536;
	uint8_t *p;

	if (want > PA_CFI_SECTION_MAX_BYTES)
		return -EFBIG;
	p = realloc(*data, want);
	if (!p)
		return -ENOMEM;
	*data = p;
	*cap = want;
	return 0;
}

static int inflate_zlib(const uint8_t *in, size_t in_bytes, uint8_t **data, size_t *bytes)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)in, .avail_in = (uInt)in_bytes};
	size_t cap = 0;
	int ret = Z_OK, err = 0;

	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	while (!err && ret == Z_OK) {
		if (z.total_out == cap)
			err = grow(data, &cap);
		if (err)
			break;
		z.next_out = *data + z.total_out;
		z.avail_out = (uInt)(cap - z.total_out);
		ret = inflate(&z, Z_NO_FLUSH);
	}
	*bytes = z.total_out;
	inflateEnd(&z);
	return err ? err : ret == Z_STREAM_END ? 0 : -EBADMSG;
}

static int inflate_zstd(const uint8_t *in, size_t in_bytes, uint8_t **data, size_t *bytes)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer src = {in, in_bytes, 0};
	ZSTD_outBuffer dst = {NULL, 0, 0};
	size_t ret = 1;
	int err = z ? 0 : -ENOMEM;

	while (!err && ret) {
		if (dst.pos == dst.size) {
			err = grow(data, &dst.size);
			dst.dst = *data;
		} else if (src.pos == src.size) {
			err = -EBADMSG;
		}
		if (err)
			break;
		ret = ZSTD_decompressStream(z, &dst, &src);
		if (ZSTD_isError(ret))
			err = -EBADMSG;
	}
	*bytes = dst.pos;
	ZSTD_freeDStream(z);
	return err;
}

static int decompress(const struct pa_elf *e, struct pa_cfi_section *s)
{
	size_t header_bytes = e->is_64 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr), bytes = 0;
	uint8_t *data = NULL;
	uint32_t type;
	int err;

	if (s->bytes < header_bytes)
		return -EBADMSG;
	memcpy(&type, s->data, sizeof(type)); /* ch_type comes first in both */
	if (type == ELFCOMPRESS_ZLIB)
		err = inflate_zlib(s->data + header_bytes, s->bytes - header_bytes, &data, &bytes);
	else if (type == 2 /* ELFCOMPRESS_ZSTD */)
		err = inflate_zstd(s->data + header_bytes, s->bytes - header_bytes, &data, &bytes);
	else
		err = -EBADMSG;
	if (err) {
		free(data);
		return err;
	}
	free(s->data);
	s->data = data;
	s->bytes = bytes;
	return 0;
}

int pa_cfi_section__load_debug(const struct pa_elf *e, struct pa_cfi_section *out)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".debug_frame", 0);
	int err;

	describe(e, out);
	if (!s)
		return -ENOENT;
	err = pa_elf__load(e, s, PA_CFI_SECTION_MAX_BYTES, (void **)&out->data);
	if (err)
		return err;
	out->bytes = s->bytes;
	out->vaddr = s->addr;
	if (s->flags & SHF_COMPRESSED)
		err = decompress(e, out);
	if (err) {
		free(out->data);
		out->data = NULL;
		out->bytes = 0;
	}
	return err;
}
