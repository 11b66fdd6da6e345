// SPDX-License-Identifier: GPL-2.0-only
/*
 * elfsyms.c - the function symbols of one image as a sorted array of 16-byte entries over raw
 * names. A symbol inside another (an entry point, a local label with a size) is the one that is
 * found for its own bytes; `outer` leads from there to the function around it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"

#define CHUNK_BYTES 49152 /* of a symbol table, read at a time; a multiple of 16 and 24 */
#define NESTING_MAX 64
#define STUB_NAMES_BYTES 16384 /* of most images */

int pa_symbuild__append(struct pa_symbuild *b, const struct pa_rawsym *sym)
{
	if (b->cnt >= PA_SYMBOLS_MAX)
		return -EFBIG;
	if (pa_array_grow(&b->raw, b->cnt, &b->cap, sizeof(*b->raw)))
		return -ENOMEM;
	b->raw[b->cnt++] = *sym;
	return 0;
}

/* Make room behind the names. @return where, or NULL: *err is -EFBIG or -ENOMEM */
static char *reserve_names(struct pa_symbuild *b, size_t bytes, int *err)
{
	size_t cap = b->names_cap;
	char *p;

	*err = -EFBIG;
	if (bytes > PA_STRTAB_MAX_BYTES || b->names_bytes > 3ull * PA_STRTAB_MAX_BYTES)
		return NULL;
	*err = -ENOMEM;
	if (b->names_bytes + bytes > cap) {
		/* The first table is the big one; the names of stubs follow it. */
		cap = cap ? cap + cap / 2 : bytes + STUB_NAMES_BYTES;
		if (cap < b->names_bytes + bytes)
			cap = b->names_bytes + bytes;
		p = realloc(b->names, cap);
		if (!p)
			return NULL;
		b->names = p;
		b->names_cap = cap;
	}
	*err = 0;
	return b->names + b->names_bytes;
}

int pa_symbuild__names(struct pa_symbuild *b, const void *data, size_t bytes, uint32_t *at)
{
	int err;
	char *to = reserve_names(b, bytes, &err);

	if (!to)
		return err;
	if (bytes)
		memcpy(to, data, bytes);
	*at = (uint32_t)b->names_bytes;
	b->names_bytes += bytes;
	return 0;
}

/* Append a string table and a NUL. */
static int read_names(struct pa_symbuild *b, const struct pa_elf *e,
		      const struct pa_elf_section *strings, uint32_t *at)
{
	char *to;
	int err;

	if (strings->offset > e->bytes || strings->bytes > e->bytes - strings->offset)
		return -ENODATA;
	if (strings->bytes >= PA_STRTAB_MAX_BYTES)
		return -EFBIG;
	to = reserve_names(b, strings->bytes + 1, &err);
	if (!to)
		return err;
	err = pa_elf__read(e, strings->offset, to, strings->bytes);
	if (err)
		return err;
	to[strings->bytes] = '\0';
	*at = (uint32_t)b->names_bytes;
	b->names_bytes += strings->bytes + 1;
	return 0;
}

/* Labels for linkers and annotations: no function begins there. */
static bool is_marker(const char *name)
{
	if (name[0] == '$')
		return name[1] && strchr("adtx", name[1]) && (!name[2] || name[2] == '.');
	return !strncmp(name, ".annobin", 8);
}

/* Take one symbol of either class, where base is the place of its string table in b->names. */
static int add_symbol(struct pa_symbuild *b, const struct pa_elf *e, const Elf64_Sym *sym,
		      uint32_t base, uint64_t names_bytes)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	const struct pa_elf_section *section = NULL;
	struct pa_rawsym raw = {.addr = sym->st_value, .bytes = sym->st_size};
	const char *name;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return 0;
	if (sym->st_shndx == SHN_UNDEF || sym->st_name >= names_bytes)
		return 0;
	if (sym->st_shndx < e->section_cnt && sym->st_shndx < SHN_LORESERVE)
		section = &e->sections[sym->st_shndx];
	raw.notype = type == STT_NOTYPE;
	if (!section && sym->st_shndx != SHN_XINDEX)
		return 0;
	if (raw.notype && (!section || !(section->flags & SHF_EXECINSTR)))
		return 0;
	name = b->names + base + sym->st_name;
	if (!*name || (raw.notype && is_marker(name)))
		return 0;
	if (e->machine == EM_ARM && !raw.notype)
		raw.addr &= ~1ull;
	if (e->type == ET_REL) { /* addresses are relative to the section */
		if (!section || section->addr == PA_SECTION_NOWHERE)
			return 0;
		raw.addr += section->addr;
	}
	raw.limit = UINT64_MAX;
	if (section && section->addr <= UINT64_MAX - section->bytes)
		raw.limit = section->addr + section->bytes;
	raw.name = base + sym->st_name;
	raw.rank = pa_aliases__rank(ELF64_ST_BIND(sym->st_info), raw.notype, raw.bytes > 0);
	return pa_symbuild__append(b, &raw);
}

static int add_chunk(struct pa_symbuild *b, const struct pa_elf *e, const char *chunk, size_t cnt,
		     uint32_t base, uint64_t names_bytes)
{
	for (size_t i = 0; i < cnt; i++) {
		Elf64_Sym sym;
		Elf32_Sym sym32;
		int err;

		if (e->is_64) {
			memcpy(&sym, chunk + i * sizeof(sym), sizeof(sym));
		} else {
			memcpy(&sym32, chunk + i * sizeof(sym32), sizeof(sym32));
			sym = (Elf64_Sym){sym32.st_name,  sym32.st_info,  sym32.st_other,
					  sym32.st_shndx, sym32.st_value, sym32.st_size};
		}
		err = add_symbol(b, e, &sym, base, names_bytes);
		if (err)
			return err;
	}
	return 0;
}

/* Add the functions of a symbol table. Damage ends the table; only -ENOMEM is an error. */
static int add_table(struct pa_symbuild *b, const struct pa_elf *e,
		     const struct pa_elf_section *table)
{
	size_t entry = e->is_64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	const struct pa_elf_section *strings;
	char *chunk = NULL;
	uint64_t cnt;
	uint32_t base = 0;
	int err;

	if (!table || table->type == SHT_NOBITS || table->link >= e->section_cnt ||
	    table->flags & SHF_COMPRESSED)
		return 0;
	strings = &e->sections[table->link];
	if (strings->type != SHT_STRTAB || table->offset > e->bytes)
		return 0;
	err = read_names(b, e, strings, &base);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (table->type == SHT_DYNSYM) {
		b->dynstr = strings;
		b->dynstr_at = base;
	}
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	cnt = table->bytes < e->bytes - table->offset ? table->bytes : e->bytes - table->offset;
	cnt /= entry;
	if (cnt > 4 * (uint64_t)PA_SYMBOLS_MAX) /* a sparse file claims what it likes */
		cnt = 4 * (uint64_t)PA_SYMBOLS_MAX;
	for (uint64_t i = 0; i < cnt && !err;) {
		uint64_t n = CHUNK_BYTES / entry;

		if (n > cnt - i)
			n = cnt - i;
		err = pa_elf__read(e, table->offset + i * entry, chunk, n * entry);
		if (!err)
			err = add_chunk(b, e, chunk, n, base, strings->bytes + 1);
		i += n;
	}
	free(chunk);
	return err == -ENOMEM ? err : 0;
}

/* A symbol without a size ends at the next address that has one, or with its section. */
static void set_sizes(struct pa_symbuild *b)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = b->cnt; i-- > 0;) {
		struct pa_rawsym *s = &b->raw[i];

		if (i + 1 < b->cnt && b->raw[i + 1].addr != s->addr)
			next = b->raw[i + 1].addr;
		if (!s->bytes) {
			uint64_t end = next < s->limit ? next : s->limit;

			s->bytes = end > s->addr && end != UINT64_MAX ? end - s->addr : 0;
		}
		if (s->bytes > UINT32_MAX)
			s->bytes = UINT32_MAX;
		if (s->bytes > UINT64_MAX - s->addr)
			s->bytes = UINT64_MAX - s->addr;
	}
}

static int set_outer(struct pa_elfsyms *t)
{
	uint32_t *stack = NULL;
	size_t depth = 0, nested_cnt = 0;

	t->outer = malloc((t->cnt + 1) * sizeof(*t->outer));
	stack = malloc((t->cnt + 1) * sizeof(*stack));
	if (!t->outer || !stack) {
		free(stack);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->cnt; i++) {
		const struct pa_elfsym *s = &t->syms[i];

		while (depth &&
		       t->syms[stack[depth - 1]].addr + t->syms[stack[depth - 1]].bytes <= s->addr)
			depth--;
		t->outer[i] = depth ? stack[depth - 1] : UINT32_MAX;
		nested_cnt += depth > 0;
		stack[depth++] = (uint32_t)i;
	}
	free(stack);
	if (!nested_cnt) {
		free(t->outer);
		t->outer = NULL;
	}
	return 0;
}

static int finish(struct pa_symbuild *b, struct pa_elfsyms *t)
{
	size_t cnt = 0;
	int err;

	if (!b->cnt)
		return 0;
	err = pa_aliases__drop(b);
	if (err)
		return err;
	set_sizes(b);
	t->syms = malloc(b->cnt * sizeof(*t->syms));
	if (!t->syms)
		return -ENOMEM;
	for (size_t i = 0; i < b->cnt; i++) {
		const struct pa_rawsym *s = &b->raw[i];

		if (s->bytes)
			t->syms[cnt++] = (struct pa_elfsym){s->addr, (uint32_t)s->bytes, s->name};
	}
	t->cnt = cnt;
	t->names = b->names;
	t->names_bytes = b->names_bytes;
	b->names = NULL;
	return set_outer(t);
}

/* The symbol table of the separate debug file, if there is one. */
static int add_debug_file(struct pa_symbuild *b, const struct pa_elf *e, const char *path,
			  const struct pa_search *search)
{
	struct pa_elf debug;
	int fd = pa_debugfile__open(e, path, search);
	int err;

	if (fd < 0)
		return fd == -ENOMEM ? fd : 0;
	err = pa_elf__open_fd(&debug, fd);
	if (!err)
		err = add_table(b, &debug, pa_elf__section(&debug, NULL, SHT_SYMTAB));
	pa_elf__close(&debug);
	close(fd);
	return err == -ENOMEM ? err : 0;
}

static int add_debugdata(struct pa_symbuild *b, const struct pa_elf *e)
{
	struct pa_elf mini;
	void *data = NULL;
	size_t bytes;
	int err = pa_debugdata__load(e, &data, &bytes);

	if (err)
		return err == -ENOMEM ? err : 0;
	err = pa_elf__open_mem(&mini, data, bytes);
	if (!err)
		err = add_table(b, &mini, pa_elf__section(&mini, NULL, SHT_SYMTAB));
	pa_elf__close(&mini);
	free(data);
	return err == -ENOMEM ? err : 0;
}

/* A Go program without symbols still has its function table. */
static int add_go(struct pa_symbuild *b, const struct pa_elf *e, struct pa_elfsyms *t)
{
	int err = pa_gopclntab__load(e, &t->go);

	if (!err)
		err = pa_gopclntab__add(t->go, b);
	return err == -ENOMEM ? err : 0;
}

int pa_elfsyms__load(const struct pa_elf *e, const char *path, const struct pa_search *search,
		     struct pa_elfsyms **out)
{
	struct pa_symbuild b = {0};
	struct pa_elfsyms *t = calloc(1, sizeof(*t));
	int err = t ? pa_elf__loads(e, &t->loads, &t->load_cnt) : -ENOMEM;

	if (!err)
		err = add_table(&b, e, pa_elf__section(e, NULL, SHT_SYMTAB));
	if (!err && !b.cnt && !e->mem)
		err = add_debug_file(&b, e, path, search);
	if (!err && !b.cnt) {
		err = add_debugdata(&b, e);
		if (!err && !b.cnt)
			err = add_go(&b, e, t);
		if (!err)
			err = add_table(&b, e, pa_elf__section(e, NULL, SHT_DYNSYM));
	}
	if (!err)
		err = pa_plt__add(&b, e);
	if (!err)
		err = finish(&b, t);
	free(b.raw);
	free(b.names);
	if (err) {
		pa_elfsyms__free(t);
		t = NULL;
	}
	*out = t;
	return err;
}

int pa_elfsyms__value(const struct pa_elf *e, const char *name, uint64_t *value)
{
	struct pa_symbuild b = {0};
	int err = add_table(&b, e, pa_elf__section(e, NULL, SHT_SYMTAB));
	size_t i = 0;

	while (!err && i < b.cnt && strcmp(b.names + b.raw[i].name, name))
		i++;
	if (!err && i == b.cnt)
		err = -ENOENT;
	if (!err)
		*value = b.raw[i].addr;
	free(b.raw);
	free(b.names);
	return err;
}

void pa_elfsyms__free(struct pa_elfsyms *t)
{
	if (!t)
		return;
	free(t->syms);
	free(t->outer);
	free(t->names);
	free(t->loads);
	pa_gopclntab__free(t->go);
	free(t);
}

size_t pa_elfsyms__memory_bytes(const struct pa_elfsyms *t)
{
	return t->cnt * (sizeof(*t->syms) + (t->outer ? sizeof(*t->outer) : 0)) + t->names_bytes +
	       pa_gopclntab__memory_bytes(t->go);
}

int pa_elfsyms__vaddr(const struct pa_elfsyms *t, uint64_t offset, uint64_t *vaddr)
{
	return pa_loads__vaddr(t->loads, t->load_cnt, offset, vaddr);
}

int pa_elfsyms__offset(const struct pa_elfsyms *t, uint64_t vaddr, uint64_t *offset)
{
	for (size_t i = 0; i < t->load_cnt; i++) {
		const struct pa_elf_segment *s = &t->loads[i];

		if (vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz)
			continue;
		*offset = s->offset + (vaddr - s->vaddr);
		return 0;
	}
	return -ENOENT;
}

ssize_t pa_elfsyms__find(const struct pa_elfsyms *t, uint64_t vaddr)
{
	size_t low = 0, high = t->cnt;
	uint32_t i;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->syms[mid].addr <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return -1;
	i = (uint32_t)(low - 1);
	for (int depth = 0; i != UINT32_MAX && depth < NESTING_MAX; depth++) {
		if (vaddr - t->syms[i].addr < t->syms[i].bytes)
			return (ssize_t)i;
		i = t->outer ? t->outer[i] : UINT32_MAX;
	}
	return -1;
}
