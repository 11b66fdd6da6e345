// SPDX-License-Identifier: GPL-2.0-only
/*
 * buildid.c - the GNU build-id of an ELF file. The capture asks for it once per mapped file, so
 * this reads the first page (in which headers and note usually lie) and nothing else, without
 * any allocation. All lengths are the file's claims and are checked before use.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define PAGE_BYTES 4096
#define HEADERS_MAX 4096      /* program or section headers that are looked at */
#define NOTES_MAX_BYTES 65536 /* of one segment or section */
#define NOTES_ALL_MAX_BYTES (4 * NOTES_MAX_BYTES) /* many headers may claim the same ones */

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define NATIVE_DATA ELFDATA2LSB
#else
#define NATIVE_DATA ELFDATA2MSB
#endif

/* The part of the file that was read last. */
struct window {
	int fd;
	uint64_t offset;
	size_t bytes;
	uint64_t notes_left_bytes; /* that may be looked at */
	uint8_t data[PAGE_BYTES];
};

/* bytes of the file at offset, at most a page, or NULL beyond its end. */
static const void *window_at(struct window *w, uint64_t offset, size_t bytes)
{
	ssize_t n;

	if (offset >= w->offset && offset - w->offset <= w->bytes &&
	    bytes <= w->bytes - (offset - w->offset))
		return w->data + (offset - w->offset);
	if (offset > INT64_MAX - PAGE_BYTES || bytes > PAGE_BYTES)
		return NULL;
	do {
		n = pread(w->fd, w->data, PAGE_BYTES, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	w->offset = offset;
	w->bytes = n > 0 ? (size_t)n : 0;
	return bytes <= w->bytes ? w->data : NULL;
}

static bool is_build_id(const Elf64_Nhdr *n, const char *name)
{
	return n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && !memcmp(name, "GNU", 4) &&
	       n->n_descsz >= 1 && n->n_descsz <= 20;
}

static uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

int pa_build_id__parse_notes(const void *notes, size_t bytes, uint8_t id[20])
{
	const char *p = notes;
	uint64_t pos = 0;

	memset(id, 0, 20);
	while (pos < bytes && bytes - pos >= sizeof(Elf64_Nhdr) + 4) {
		Elf64_Nhdr n;
		uint64_t desc;

		memcpy(&n, p + pos, sizeof(n));
		desc = pos + sizeof(n) + align_up(n.n_namesz, 4);
		if (is_build_id(&n, p + pos + sizeof(n)) && desc <= bytes &&
		    n.n_descsz <= bytes - desc) {
			memcpy(id, p + desc, n.n_descsz);
			return (int)n.n_descsz;
		}
		pos = desc + align_up(n.n_descsz, 4);
	}
	return 0;
}

/* As above, from the file, of any size; align is that of the segment: 8 for property notes. */
static int notes_in_file(struct window *w, uint64_t offset, uint64_t bytes, uint64_t align,
			 uint8_t id[20])
{
	uint64_t pos = 0;

	align = align == 8 ? 8 : 4;
	if (bytes > NOTES_MAX_BYTES)
		bytes = NOTES_MAX_BYTES;
	if (bytes > w->notes_left_bytes)
		bytes = w->notes_left_bytes;
	w->notes_left_bytes -= bytes;
	if (offset > INT64_MAX - NOTES_MAX_BYTES)
		return 0;
	while (pos < bytes && bytes - pos >= sizeof(Elf64_Nhdr) + 4) {
		const char *p = window_at(w, offset + pos, sizeof(Elf64_Nhdr) + 4);
		Elf64_Nhdr n;
		uint64_t desc;

		if (!p)
			return 0;
		memcpy(&n, p, sizeof(n));
		desc = align_up(pos + sizeof(n) + n.n_namesz, align);
		if (is_build_id(&n, p + sizeof(n)) && desc <= bytes && n.n_descsz <= bytes - desc) {
			p = window_at(w, offset + desc, n.n_descsz);
			if (!p)
				return 0;
			memcpy(id, p, n.n_descsz);
			return (int)n.n_descsz;
		}
		pos = align_up(desc + n.n_descsz, align);
	}
	return 0;
}

struct header_table {
	uint64_t offset;
	size_t cnt, entry_bytes;
};

static int from_segments(struct window *w, bool is_64, const struct header_table *t, uint8_t id[20])
{
	for (size_t i = 0; i < t->cnt && i < HEADERS_MAX; i++) {
		const void *p = window_at(w, t->offset + i * t->entry_bytes, t->entry_bytes);
		Elf64_Phdr h = {0};
		Elf32_Phdr h32;
		int n;

		if (!p)
			return 0;
		if (is_64) {
			memcpy(&h, p, sizeof(h));
		} else {
			memcpy(&h32, p, sizeof(h32));
			h.p_type = h32.p_type;
			h.p_offset = h32.p_offset;
			h.p_filesz = h32.p_filesz;
			h.p_align = h32.p_align;
		}
		if (h.p_type != PT_NOTE)
			continue;
		n = notes_in_file(w, h.p_offset, h.p_filesz, h.p_align, id);
		if (n)
			return n;
	}
	return 0;
}

static int from_sections(struct window *w, bool is_64, const struct header_table *t, uint8_t id[20])
{
	for (size_t i = 0; i < t->cnt && i < HEADERS_MAX; i++) {
		const void *p = window_at(w, t->offset + i * t->entry_bytes, t->entry_bytes);
		Elf64_Shdr h = {0};
		Elf32_Shdr h32;
		int n;

		if (!p)
			return 0;
		if (is_64) {
			memcpy(&h, p, sizeof(h));
		} else {
			memcpy(&h32, p, sizeof(h32));
			h.sh_type = h32.sh_type;
			h.sh_offset = h32.sh_offset;
			h.sh_size = h32.sh_size;
			h.sh_addralign = h32.sh_addralign;
		}
		if (h.sh_type != SHT_NOTE)
			continue;
		n = notes_in_file(w, h.sh_offset, h.sh_size, h.sh_addralign, id);
		if (n)
			return n;
	}
	return 0;
}

int pa_build_id__read_fd(int fd, uint8_t id[20])
{
	struct window w = {.fd = fd, .notes_left_bytes = NOTES_ALL_MAX_BYTES};
	struct header_table segments, sections;
	unsigned char ident[EI_NIDENT];
	const void *p;
	bool is_64;
	int n = 0;

	memset(id, 0, 20);
	errno = 0;
	p = window_at(&w, 0, sizeof(Elf32_Ehdr));
	if (!p)
		return errno ? -errno : -ENOEXEC;
	memcpy(ident, p, sizeof(ident));
	if (memcmp(ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	if (ident[EI_DATA] != NATIVE_DATA)
		return 0;
	is_64 = ident[EI_CLASS] == ELFCLASS64;
	if (is_64) {
		Elf64_Ehdr h;

		p = window_at(&w, 0, sizeof(h));
		if (!p)
			return -ENOEXEC;
		memcpy(&h, p, sizeof(h));
		segments = (struct header_table){h.e_phoff, h.e_phnum, h.e_phentsize};
		sections = (struct header_table){h.e_shoff, h.e_shnum, h.e_shentsize};
	} else {
		Elf32_Ehdr h;

		memcpy(&h, p, sizeof(h));
		segments = (struct header_table){h.e_phoff, h.e_phnum, h.e_phentsize};
		sections = (struct header_table){h.e_shoff, h.e_shnum, h.e_shentsize};
	}
	if (segments.entry_bytes == (is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		n = from_segments(&w, is_64, &segments, id);
	if (!n && sections.offset &&
	    sections.entry_bytes == (is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)))
		n = from_sections(&w, is_64, &sections, id);
	return n;
}
