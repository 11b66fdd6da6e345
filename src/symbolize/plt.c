// SPDX-License-Identifier: GPL-2.0-only
/*
 * plt.c - names for the stubs of the procedure linkage table, which no symbol table lists: each
 * stub jumps through a slot of the GOT, and the slot's relocation names the function.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

#define PLT_MAX_BYTES (4u << 20)
#define RELA_MAX_BYTES (16u << 20)
#define STRINGS_MAX_BYTES (64u << 20)
#define NAME_MAX_BYTES 512u
#define NAMES_MAX_BYTES (16u << 20)
#define X86_JUMP_BYTES 6 /* ff 25 disp32: jmp *disp32(%rip) */
#define A64_STUB_BYTES 16
#define A64_HEADER_BYTES 32

struct slot {
	uint64_t addr;	 /* in the GOT */
	uint32_t symbol; /* in .dynsym */
};

struct plt {
	const struct pa_elf *e;
	struct slot *slots; /* by address */
	size_t slot_cnt, slot_cap;
	char *symbols, *strings;
	size_t symbol_cnt, strings_bytes;
	size_t names_bytes; /* made so far: many stubs may claim one long name */
};

static int add_slots(struct plt *p, const char *name, bool jumps_only)
{
	const struct pa_elf_section *s = pa_elf__section(p->e, name, SHT_RELA);
	uint32_t jump = p->e->machine == EM_X86_64 ? R_X86_64_JUMP_SLOT : R_AARCH64_JUMP_SLOT;
	uint32_t data = p->e->machine == EM_X86_64 ? R_X86_64_GLOB_DAT : R_AARCH64_GLOB_DAT;
	void *raw;
	int err;

	if (!s)
		return 0;
	err = pa_elf__load(p->e, s, RELA_MAX_BYTES, &raw);
	if (err)
		return err == -ENOMEM ? err : 0;
	for (size_t i = 0; i < s->bytes / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela;
		uint32_t type;

		memcpy(&rela, (char *)raw + i * sizeof(rela), sizeof(rela));
		type = ELF64_R_TYPE(rela.r_info);
		if (type != jump && (jumps_only || type != data))
			continue;
		err = pa_array_grow(&p->slots, p->slot_cnt, &p->slot_cap, sizeof(*p->slots));
		if (err)
			break;
		p->slots[p->slot_cnt++] =
			(struct slot){rela.r_offset, (uint32_t)ELF64_R_SYM(rela.r_info)};
	}
	free(raw);
	return err;
}

static int compare_slots(const void *pa, const void *pb)
{
	const struct slot *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int add_stub(struct pa_symbuild *b, struct plt *p, const struct pa_elf_section *s,
		    uint64_t addr, uint64_t bytes, uint32_t symbol)
{
	struct pa_rawsym raw = {.addr = addr, .bytes = bytes, .rank = 1 << 8};
	char name[NAME_MAX_BYTES + sizeof("@plt")];
	Elf64_Sym sym;
	int n, err;

	if (symbol >= p->symbol_cnt)
		return 0;
	memcpy(&sym, p->symbols + symbol * sizeof(sym), sizeof(sym));
	if (sym.st_name >= p->strings_bytes || !p->strings[sym.st_name])
		return 0;
	n = (int)strnlen(p->strings + sym.st_name, NAME_MAX_BYTES + 1);
	if (n > (int)NAME_MAX_BYTES || p->names_bytes > NAMES_MAX_BYTES)
		return 0;
	n = snprintf(name, sizeof(name), "%s@plt", p->strings + sym.st_name);
	p->names_bytes += (size_t)n;
	raw.limit = s->addr + s->bytes;
	err = pa_symbuild__names(b, name, (size_t)n + 1, &raw.name);
	return err ? err : pa_symbuild__append(b, &raw);
}

/* x86-64: find the jump in each 8 or 16 bytes, with or without endbr64 and bnd before it. */
static int scan_x86(struct pa_symbuild *b, struct plt *p, const struct pa_elf_section *s,
		    const unsigned char *code)
{
	size_t step = s->entsize == 8 ? 8 : 16;
	int err = 0;

	for (size_t at = 0; !err && at + step <= s->bytes; at += step) {
		for (size_t i = 0; i + X86_JUMP_BYTES <= step; i++) {
			struct slot want = {0}, *slot;
			int32_t disp;

			if (code[at + i] != 0xff || code[at + i + 1] != 0x25)
				continue;
			memcpy(&disp, code + at + i + 2, sizeof(disp));
			want.addr = s->addr + at + i + X86_JUMP_BYTES + (uint64_t)(int64_t)disp;
			slot = bsearch(&want, p->slots, p->slot_cnt, sizeof(want), compare_slots);
			if (slot)
				err = add_stub(b, p, s, s->addr + at, step, slot->symbol);
			break;
		}
	}
	return err;
}

/* aarch64: stubs are in the order of their relocations, 16 bytes each, after a header. */
static int count_a64(struct pa_symbuild *b, struct plt *p, const struct pa_elf_section *s)
{
	int err = 0;

	for (size_t i = 0; !err && i < p->slot_cnt; i++) {
		uint64_t at = A64_HEADER_BYTES + i * A64_STUB_BYTES;

		if (at + A64_STUB_BYTES > s->bytes)
			break;
		err = add_stub(b, p, s, s->addr + at, A64_STUB_BYTES, p->slots[i].symbol);
	}
	return err;
}

static int scan(struct pa_symbuild *b, struct plt *p, const char *name)
{
	const struct pa_elf_section *s = pa_elf__section(p->e, name, SHT_PROGBITS);
	void *code;
	int err;

	if (!s)
		return 0;
	err = pa_elf__load(p->e, s, PLT_MAX_BYTES, &code);
	if (err)
		return err == -ENOMEM ? err : 0;
	err = scan_x86(b, p, s, code);
	free(code);
	return err;
}

static int load_symbols(struct plt *p)
{
	const struct pa_elf_section *s = pa_elf__section(p->e, ".dynsym", SHT_DYNSYM);
	int err;

	if (!s || s->link >= p->e->section_cnt)
		return -ENOENT;
	err = pa_elf__load(p->e, s, STRINGS_MAX_BYTES, (void **)&p->symbols);
	if (err)
		return err;
	p->symbol_cnt = s->bytes / sizeof(Elf64_Sym);
	s = &p->e->sections[s->link];
	err = pa_elf__load(p->e, s, STRINGS_MAX_BYTES, (void **)&p->strings);
	p->strings_bytes = s->bytes;
	return err;
}

int pa_plt__add(struct pa_symbuild *b, const struct pa_elf *e)
{
	struct plt p = {.e = e};
	bool is_x86 = e->machine == EM_X86_64;
	int err;

	if (!e->is_64 || (!is_x86 && e->machine != EM_AARCH64))
		return 0;
	err = load_symbols(&p);
	if (!err)
		err = add_slots(&p, ".rela.plt", !is_x86);
	if (!err && is_x86)
		err = add_slots(&p, ".rela.dyn", false);
	if (!err && p.slot_cnt && is_x86) {
		qsort(p.slots, p.slot_cnt, sizeof(*p.slots), compare_slots);
		err = scan(b, &p, ".plt");
		if (!err)
			err = scan(b, &p, ".plt.sec");
		if (!err)
			err = scan(b, &p, ".plt.got");
	} else if (!err && p.slot_cnt) {
		const struct pa_elf_section *s = pa_elf__section(e, ".plt", SHT_PROGBITS);

		if (s)
			err = count_a64(b, &p, s);
	}
	free(p.slots);
	free(p.symbols);
	free(p.strings);
	return err == -ENOMEM ? err : 0;
}
