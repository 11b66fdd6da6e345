// SPDX-License-Identifier: GPL-2.0-only
/*
 * vdso.c - call frame information for the vdso of aarch64, which has none since Linux 5.10. Its
 * functions call nothing and leave the stack pointer alone, so that the caller is in the link
 * register, signed where the CPU signs; only the trampoline that signal handlers return to is
 * something else, and left out (pack.h and offline.h know what to do where a vdso has no rows).
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/internal.h"

#define TRAMPOLINE "__kernel_rt_sigreturn"
#define INSN_BYTES 4
#define TABLE_MAX_BYTES 65536
#define NEGATE_RA_STATE 0x2d /* DW_CFA_AARCH64_negate_ra_state */
#define CIE_BYTES 20
#define FDE_BYTES 24

/* Where the trampoline is; its caller seems to be the instruction before it. */
static void find_trampoline(const struct pa_elf *e, uint64_t *start, uint64_t *end)
{
	const struct pa_elf_section *syms = pa_elf__section(e, NULL, SHT_DYNSYM);
	const struct pa_elf_section *strs = pa_elf__section(e, ".dynstr", SHT_STRTAB);
	Elf64_Sym *sym = NULL;
	char *names = NULL;

	*start = *end = 0;
	if (!syms || !strs || pa_elf__load(e, syms, TABLE_MAX_BYTES, (void **)&sym) ||
	    pa_elf__load(e, strs, TABLE_MAX_BYTES, (void **)&names))
		goto out;
	for (size_t i = 0; i < syms->bytes / sizeof(*sym); i++) {
		if (sym[i].st_name >= strs->bytes || strcmp(names + sym[i].st_name, TRAMPOLINE) ||
		    sym[i].st_value < INSN_BYTES)
			continue;
		*start = sym[i].st_value - INSN_BYTES;
		*end = sym[i].st_value + 2 * INSN_BYTES;
		break;
	}
out:
	free(sym);
	free(names);
}

static uint8_t *put(uint8_t *p, uint64_t value, size_t bytes)
{
	memcpy(p, &value, bytes); /* of this machine's byte order, as the vdso is */
	return p + bytes;
}

static uint8_t *put_cie(uint8_t *p)
{
	static const uint8_t rest[] = {
		1,
		0, /* version, no augmentation */
		4,
		0x78,
		30, /* factors of code (4) and data (-8), the return address's register */
		DW_CFA_def_cfa,
		31,
		0,
		NEGATE_RA_STATE,
		DW_CFA_nop,
		DW_CFA_nop,
		DW_CFA_nop,
	};

	_Static_assert(sizeof(rest) == CIE_BYTES - 8, "length and id come before");
	p = put(p, CIE_BYTES - 4, 4);
	p = put(p, 0, 4);
	memcpy(p, rest, sizeof(rest));
	return p + sizeof(rest);
}

static uint8_t *put_fde(uint8_t *section, uint8_t *p, uint64_t start, uint64_t end)
{
	if (start >= end)
		return p;
	p = put(p, FDE_BYTES - 4, 4);
	p = put(p, (uint64_t)(p - section), 4);
	p = put(p, start, 8);
	return put(p, end - start, 8);
}

int pa_cfi_section__make_vdso(const struct pa_elf *e, struct pa_cfi_section *out)
{
	const struct pa_elf_segment *text = NULL;
	uint64_t start, end, text_end;
	uint8_t *p;

	for (size_t i = 0; i < e->segment_cnt && !text; i++)
		if (e->segments[i].type == PT_LOAD && e->segments[i].flags & PF_X)
			text = &e->segments[i];
	if (!text || !e->is_64 || e->machine != EM_AARCH64 ||
	    text->vaddr + text->filesz < text->vaddr)
		return -ENOENT;
	find_trampoline(e, &start, &end);
	text_end = text->vaddr + text->filesz;
	if (start < text->vaddr || end > text_end)
		start = end = text_end;
	*out = (struct pa_cfi_section){
		.data = malloc(CIE_BYTES + 2 * FDE_BYTES),
		.is_eh = true,
		.address_bytes = 8,
		.machine = e->machine,
	};
	if (!out->data)
		return -ENOMEM;
	p = put_cie(out->data);
	p = put_fde(out->data, p, text->vaddr, start);
	p = put_fde(out->data, p, end, text_end);
	out->bytes = (size_t)(p - out->data);
	return 0;
}
