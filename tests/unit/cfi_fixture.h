/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cfi_fixture.h - call frame information by hand, for the tests of src/unwind/: bytes, entries
 * and the smallest ELF image around them.
 */
#ifndef CFI_FIXTURE_H
#define CFI_FIXTURE_H

#include <dwarf.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/cfi.h"

struct bytes {
	uint8_t d[1 << 20];
	size_t n;
};

static inline void put(struct bytes *b, uint64_t v, size_t bytes)
{
	if (b->n + bytes > sizeof(b->d))
		abort();
	memcpy(b->d + b->n, &v, bytes);
	b->n += bytes;
}

static inline void put_uleb(struct bytes *b, uint64_t v)
{
	do {
		put(b, (v & 0x7f) | (v > 0x7f ? 0x80 : 0), 1);
		v >>= 7;
	} while (v);
}

static inline void put_sleb(struct bytes *b, int64_t v)
{
	for (;;) {
		uint8_t low = v & 0x7f;

		v >>= 7;
		if ((!v && !(low & 0x40)) || (v == -1 && low & 0x40)) {
			put(b, low, 1);
			return;
		}
		put(b, low | 0x80, 1);
	}
}

/** Bytes given one by one, up to END. */
enum { END = 0x1000 };
static inline void put_list(struct bytes *b, ...)
{
	va_list args;
	int v;

	va_start(args, b);
	while ((v = va_arg(args, int)) != END)
		put(b, (uint8_t)v, 1);
	va_end(args);
}

/** How entries are to be written. Zero-initialized: .eh_frame of x86-64, addresses of 8 bytes. */
struct style {
	bool is_debug, is_64;
	uint8_t version;	  /* 0: 1 */
	const char *augmentation; /* NULL: "zR", of .debug_frame "" */
	uint8_t encoding;
	uint8_t ra_reg; /* 0: 16 */
};

static inline size_t entry_begin(struct bytes *b, const struct style *s)
{
	size_t at = b->n;

	if (s->is_64)
		put(b, 0xffffffff, 4);
	put(b, 0, s->is_64 ? 8 : 4);
	return at;
}

static inline void entry_end(struct bytes *b, const struct style *s, size_t at)
{
	uint64_t length;

	while (b->n % 4)
		put(b, DW_CFA_nop, 1);
	length = b->n - at - (s->is_64 ? 12 : 4);
	memcpy(b->d + at + (s->is_64 ? 4 : 0), &length, s->is_64 ? 8 : 4);
}

/** A CIE; code alignment 1, data alignment -8. @return its offset; end it with entry_end */
static inline size_t cie_begin(struct bytes *b, const struct style *s)
{
	const char *letters = s->augmentation ? s->augmentation : s->is_debug ? "" : "zR";
	size_t at = entry_begin(b, s);

	put(b, s->is_debug ? UINT64_MAX : 0, s->is_64 && s->is_debug ? 8 : 4);
	put(b, s->version ? s->version : 1, 1);
	for (const char *l = letters; *l; l++)
		put(b, (uint8_t)*l, 1);
	put(b, 0, 1);
	if (s->version >= 4)
		put_list(b, 8, 0, END);
	put_uleb(b, 1);
	put_sleb(b, -8);
	put(b, s->ra_reg ? s->ra_reg : 16, 1);
	if (!strcmp(letters, "zR"))
		put_list(b, 1, s->encoding, END);
	return at;
}

/** The usual CIE of x86-64: at an entry the CFA is rsp + 8, the return address below it. */
static inline size_t cie_x86(struct bytes *b, const struct style *s)
{
	size_t at = cie_begin(b, s);

	put_list(b, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1, END);
	entry_end(b, s, at);
	return at;
}

/** An FDE with an absolute address; put the instructions, then entry_end. */
static inline size_t fde_begin(struct bytes *b, const struct style *s, size_t cie, uint64_t start,
			       uint64_t length)
{
	size_t at = entry_begin(b, s);

	if (s->is_debug)
		put(b, cie, s->is_64 ? 8 : 4);
	else
		put(b, b->n - cie, 4);
	put(b, start, 8);
	put(b, length, 8);
	if (!s->is_debug && (!s->augmentation || s->augmentation[0] == 'z'))
		put(b, 0, 1);
	return at;
}

struct elf_parts {
	uint16_t machine;	/* 0: EM_X86_64 */
	const struct bytes *eh; /* at EH_VADDR */
	const struct bytes *debug;
	const struct bytes *hdr; /* PT_GNU_EH_FRAME, at HDR_VADDR */
	uint64_t debug_flags;
	bool no_sections;
};
enum { HDR_OFFSET = 0x400, EH_OFFSET = 0x1000, BASE_VADDR = 0x8000 };
enum { EH_VADDR = BASE_VADDR + EH_OFFSET, HDR_VADDR = BASE_VADDR + HDR_OFFSET };

/** An ELF image, to be freed. One PT_LOAD maps all of it at BASE_VADDR. */
static inline uint8_t *make_elf(const struct elf_parts *p, size_t *bytes)
{
	static const char names[] = "\0.eh_frame\0.debug_frame\0.shstrtab";
	uint8_t *image;
	Elf64_Ehdr h = {.e_type = ET_DYN, .e_machine = p->machine ? p->machine : EM_X86_64};
	Elf64_Phdr ph[2] = {{.p_type = PT_LOAD, .p_flags = PF_X, .p_vaddr = BASE_VADDR}};
	Elf64_Shdr sh[4] = {{0}};
	size_t debug_offset, names_offset;

	debug_offset = EH_OFFSET + (p->eh ? p->eh->n : 0);
	names_offset = debug_offset + (p->debug ? p->debug->n : 0);
	h.e_shoff = (names_offset + sizeof(names) + 7) & ~7ull;
	*bytes = h.e_shoff + sizeof(sh);
	image = calloc(1, *bytes);
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	h.e_phoff = sizeof(h);
	h.e_phentsize = sizeof(*ph);
	h.e_phnum = p->hdr ? 2 : 1;
	ph[0].p_filesz = ph[0].p_memsz = *bytes;
	if (p->hdr) {
		ph[1] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME,
				     .p_offset = HDR_OFFSET,
				     .p_vaddr = HDR_VADDR,
				     .p_filesz = p->hdr->n};
		memcpy(image + HDR_OFFSET, p->hdr->d, p->hdr->n);
	}
	if (p->eh) {
		sh[1] = (Elf64_Shdr){.sh_name = 1,
				     .sh_type = SHT_PROGBITS,
				     .sh_addr = EH_VADDR,
				     .sh_offset = EH_OFFSET,
				     .sh_size = p->eh->n};
		memcpy(image + EH_OFFSET, p->eh->d, p->eh->n);
	}
	if (p->debug) {
		sh[2] = (Elf64_Shdr){.sh_name = 11,
				     .sh_type = SHT_PROGBITS,
				     .sh_flags = p->debug_flags,
				     .sh_offset = debug_offset,
				     .sh_size = p->debug->n};
		memcpy(image + debug_offset, p->debug->d, p->debug->n);
	}
	sh[3] = (Elf64_Shdr){.sh_name = 24,
			     .sh_type = SHT_STRTAB,
			     .sh_offset = names_offset,
			     .sh_size = sizeof(names)};
	memcpy(image + names_offset, names, sizeof(names));
	if (p->no_sections) {
		h.e_shoff = 0;
	} else {
		h.e_shentsize = sizeof(*sh);
		h.e_shnum = 4;
		h.e_shstrndx = 3;
		memcpy(image + h.e_shoff, sh, sizeof(sh));
	}
	memcpy(image, &h, sizeof(h));
	memcpy(image + h.e_phoff, ph, sizeof(ph));
	return image;
}

static inline struct pa_cfi *open_parts(const struct elf_parts *p)
{
	struct pa_cfi *cfi;
	size_t bytes;
	uint8_t *image = make_elf(p, &bytes);
	int err = pa_cfi__open_mem(image, bytes, &cfi);

	free(image);
	return err ? NULL : cfi;
}

static inline struct pa_cfi *open_eh(const struct bytes *eh)
{
	return open_parts(&(struct elf_parts){.eh = eh});
}

#endif
