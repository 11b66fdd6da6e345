// SPDX-License-Identifier: GPL-2.0-only
/*
 * plt.c - names for the stubs of the procedure linkage table, which no symbol table lists: each
 * stub jumps through a slot of the GOT, and the slot's relocation names the function.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/internal.h"

#define PLT_MAX_BYTES (4u << 20)
#define RELA_MAX_BYTES (16u << 20)
#define CHUNK_BYTES 49152 /* of relocations, read at a time; a multiple of 24 */
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

struct stub {
	uint64_t addr, limit; /* limit: of its section */
	uint32_t bytes, symbol;
};

struct plt {
	const struct pa_elf *e;
	struct slot *slots; /* by address */
	size_t slot_cnt, slot_cap;
	struct stub *stubs;
	size_t stub_cnt, stub_cap;
	char *symbols; /* from the first that a stub needs to the last */
	uint32_t first_symbol, symbol_cnt;
	char *strings; /* loaded here, or NULL: those of b */
	size_t strings_bytes;
	size_t names_bytes; /* made so far: many stubs may claim one long name */
};

static int take_slots(struct plt *p, const char *chunk, size_t cnt, bool jumps_only)
{
	uint32_t jump = p->e->machine == EM_X86_64 ? R_X86_64_JUMP_SLOT : R_AARCH64_JUMP_SLOT;
	uint32_t data = p->e->machine == EM_X86_64 ? R_X86_64_GLOB_DAT : R_AARCH64_GLOB_DAT;

	for (size_t i = 0; i < cnt; i++) {
		Elf64_Rela rela;
		uint32_t type;

		memcpy(&rela, chunk + i * sizeof(rela), sizeof(rela));
		type = ELF64_R_TYPE(rela.r_info);
		if (type != jump && (jumps_only || type != data))
			continue;
		if (pa_array_grow(&p->slots, p->slot_cnt, &p->slot_cap, sizeof(*p->slots)))
			return -ENOMEM;
		p->slots[p->slot_cnt++] =
			(struct slot){rela.r_offset, (uint32_t)ELF64_R_SYM(rela.r_info)};
	}
	return 0;
}

static int add_slots(struct plt *p, const char *name, bool jumps_only)
{
	const struct pa_elf_section *s = pa_elf__section(p->e, name, SHT_RELA);
	char *chunk;
	int err = 0;

	if (!s || s->offset > p->e->bytes || s->bytes > p->e->bytes - s->offset ||
	    s->bytes > RELA_MAX_BYTES)
		return 0;
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= s->bytes && !err; at += CHUNK_BYTES) {
		uint64_t n = s->bytes - at < CHUNK_BYTES ? s->bytes - at : CHUNK_BYTES;

		if (pa_elf__read(p->e, s->offset + at, chunk, n))
			break;
		err = take_slots(p, chunk, n / sizeof(Elf64_Rela), jumps_only);
	}
	free(chunk);
	return err;
}

static int compare_slots(const void *pa, const void *pb)
{
	const struct slot *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static int note_stub(struct plt *p, const struct pa_elf_section *s, uint64_t addr, uint32_t bytes,
		     uint32_t symbol)
{
	if (pa_array_grow(&p->stubs, p->stub_cnt, &p->stub_cap, sizeof(*p->stubs)))
		return -ENOMEM;
	p->stubs[p->stub_cnt++] = (struct stub){addr, s->addr + s->bytes, bytes, symbol};
	return 0;
}

/* x86-64: find the jump in each 8 or 16 bytes, with or without endbr64 and bnd before it. */
static int scan_x86(struct plt *p, const struct pa_elf_section *s, const unsigned char *code)
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
				err = note_stub(p, s, s->addr + at, (uint32_t)step, slot->symbol);
			break;
		}
	}
	return err;
}

/* aarch64: stubs are in the order of their relocations, 16 bytes each, after a header. */
static int count_a64(struct plt *p, const struct pa_elf_section *s)
{
	int err = 0;

	for (size_t i = 0; !err && i < p->slot_cnt; i++) {
		uint64_t at = A64_HEADER_BYTES + i * A64_STUB_BYTES;

		if (at + A64_STUB_BYTES > s->bytes)
			break;
		err = note_stub(p, s, s->addr + at, A64_STUB_BYTES, p->slots[i].symbol);
	}
	return err;
}

static int scan(struct plt *p, const char *name)
{
	const struct pa_elf_section *s = pa_elf__section(p->e, name, SHT_PROGBITS);
	void *code;
	int err;

	if (!s)
		return 0;
	err = pa_elf__load(p->e, s, PLT_MAX_BYTES, &code);
	if (err)
		return err == -ENOMEM ? err : 0;
	err = scan_x86(p, s, code);
	free(code);
	return err;
}

static int find_stubs(struct plt *p)
{
	bool is_x86 = p->e->machine == EM_X86_64;
	const struct pa_elf_section *s;
	int err = add_slots(p, ".rela.plt", !is_x86);

	if (!err && is_x86)
		err = add_slots(p, ".rela.dyn", false);
	if (err || !p->slot_cnt)
		return err;
	if (!is_x86) {
		s = pa_elf__section(p->e, ".plt", SHT_PROGBITS);
		return s ? count_a64(p, s) : 0;
	}
	qsort(p->slots, p->slot_cnt, sizeof(*p->slots), compare_slots);
	err = scan(p, ".plt");
	if (!err)
		err = scan(p, ".plt.sec");
	return err ? err : scan(p, ".plt.got");
}

/* The symbols of the stubs, and the strings unless b has them. */
static int load_symbols(struct plt *p, const struct pa_symbuild *b,
			const struct pa_elf_section *dynsym)
{
	const struct pa_elf_section *strings = &p->e->sections[dynsym->link];
	struct pa_elf_section part = *dynsym;
	uint64_t cnt = dynsym->bytes / sizeof(Elf64_Sym), first = cnt, end = 0;
	int err;

	for (size_t i = 0; i < p->stub_cnt; i++) {
		uint64_t symbol = p->stubs[i].symbol;

		if (symbol >= cnt)
			continue;
		first = symbol < first ? symbol : first;
		end = symbol >= end ? symbol + 1 : end;
	}
	if (first >= end || dynsym->offset > p->e->bytes)
		return -ENOENT;
	part.offset += first * sizeof(Elf64_Sym);
	part.bytes = (end - first) * sizeof(Elf64_Sym);
	p->first_symbol = (uint32_t)first;
	p->symbol_cnt = (uint32_t)(end - first);
	err = pa_elf__load(p->e, &part, STRINGS_MAX_BYTES, (void **)&p->symbols);
	if (err)
		return err;
	p->strings_bytes = strings->bytes;
	return b->dynstr == strings
		       ? 0
		       : pa_elf__load(p->e, strings, STRINGS_MAX_BYTES, (void **)&p->strings);
}

static int add_stub(struct pa_symbuild *b, struct plt *p, const struct stub *stub)
{
	struct pa_rawsym raw = {
		.addr = stub->addr, .bytes = stub->bytes, .limit = stub->limit, .rank = 1 << 8};
	const char *strings = p->strings ? p->strings : b->names + b->dynstr_at;
	char name[NAME_MAX_BYTES + sizeof("@plt")];
	uint32_t i = stub->symbol - p->first_symbol;
	Elf64_Sym sym;
	size_t bytes;
	int err;

	if (stub->symbol < p->first_symbol || i >= p->symbol_cnt)
		return 0;
	memcpy(&sym, p->symbols + i * sizeof(sym), sizeof(sym));
	if (sym.st_name >= p->strings_bytes || !strings[sym.st_name])
		return 0;
	bytes = strnlen(strings + sym.st_name, NAME_MAX_BYTES + 1);
	if (bytes > NAME_MAX_BYTES || p->names_bytes > NAMES_MAX_BYTES)
		return 0;
	memcpy(name, strings + sym.st_name, bytes);
	memcpy(name + bytes, "@plt", sizeof("@plt"));
	bytes += sizeof("@plt") - 1;
	p->names_bytes += bytes;
	err = pa_symbuild__names(b, name, bytes + 1, &raw.name);
	return err ? err : pa_symbuild__append(b, &raw);
}

int pa_plt__add(struct pa_symbuild *b, const struct pa_elf *e)
{
	const struct pa_elf_section *dynsym = pa_elf__section(e, ".dynsym", SHT_DYNSYM);
	struct plt p = {.e = e};
	int err;

	if (!e->is_64 || (e->machine != EM_X86_64 && e->machine != EM_AARCH64) || !dynsym ||
	    dynsym->link >= e->section_cnt)
		return 0;
	err = find_stubs(&p);
	if (!err && p.stub_cnt)
		err = load_symbols(&p, b, dynsym);
	for (size_t i = 0; i < p.stub_cnt && !err; i++)
		err = add_stub(b, &p, &p.stubs[i]);
	free(p.slots);
	free(p.stubs);
	free(p.symbols);
	free(p.strings);
	return err == -ENOMEM ? err : 0;
}
