// SPDX-License-Identifier: GPL-2.0-only
/*
 * gofile.c - find the Go function table of an ELF file, with or without section headers, and the
 * address that its functions count from. That address is in the header up to Go 1.25, and in the
 * runtime's moduledata in each version; of a position-independent file both are in relocations.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"

#define CHUNK_BYTES 65536
#define SCAN_MAX_BYTES (512ull << 20) /* of one file, when looking for something */
#define TABLES_MAX 4		      /* tried: what looks like a header may be none */
#define MODULES_MAX 4
#define RELOCS_MAX (16u << 20)

/* Words of moduledata, since Go 1.18. */
enum { MODULE_HEADER = 0, MODULE_NAMES = 1, MODULE_TEXT = 22, MODULE_INLINE = 40, MODULE_CNT = 41 };

struct finder {
	const struct pa_elf *e;
	bool relocs_known;
	uint64_t relocs, reloc_bytes; /* offset and size of Elf64_Rela entries; 0 none */
	uint64_t scanned_bytes;
	uint8_t *chunk;
};

static bool to_offset(const struct pa_elf *e, uint64_t vaddr, uint64_t *offset)
{
	for (size_t i = 0; i < e->segment_cnt; i++) {
		const struct pa_elf_segment *s = &e->segments[i];

		if (s->type == PT_LOAD && vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz) {
			*offset = s->offset + (vaddr - s->vaddr);
			return true;
		}
	}
	return false;
}

/* ---- relocations ----------------------------------------------------------------------- */

static void find_relocs(struct finder *f)
{
	const struct pa_elf_segment *dynamic = NULL;
	uint64_t vaddr = 0, bytes = 0;

	f->relocs_known = true;
	for (size_t i = 0; i < f->e->segment_cnt && !dynamic; i++)
		if (f->e->segments[i].type == PT_DYNAMIC)
			dynamic = &f->e->segments[i];
	if (!dynamic || !f->e->is_64)
		return;
	for (uint64_t at = 0; at < dynamic->filesz && at < CHUNK_BYTES; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn d;

		if (pa_elf__read(f->e, dynamic->offset + at, &d, sizeof(d)) || d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_RELA)
			vaddr = d.d_un.d_ptr;
		else if (d.d_tag == DT_RELASZ)
			bytes = d.d_un.d_val;
	}
	if (vaddr && bytes && bytes <= RELOCS_MAX * sizeof(Elf64_Rela) &&
	    to_offset(f->e, vaddr, &f->relocs))
		f->reloc_bytes = bytes;
}

typedef void (*reloc_fn)(void *ctx, const Elf64_Rela *r);

static void each_reloc(struct finder *f, reloc_fn fn, void *ctx)
{
	const uint64_t whole = CHUNK_BYTES / sizeof(Elf64_Rela) * sizeof(Elf64_Rela);

	if (!f->relocs_known)
		find_relocs(f);
	for (uint64_t at = 0; at < f->reloc_bytes;) {
		uint64_t n = f->reloc_bytes - at < whole ? f->reloc_bytes - at : whole;

		if (pa_elf__read(f->e, f->relocs + at, f->chunk, n))
			return;
		for (uint64_t i = 0; i + sizeof(Elf64_Rela) <= n; i += sizeof(Elf64_Rela)) {
			Elf64_Rela r;

			memcpy(&r, f->chunk + i, sizeof(r));
			fn(ctx, &r);
		}
		at += n;
	}
}

struct window {
	uint64_t vaddr, bytes;
	uint8_t *data;
};

static void patch(void *ctx, const Elf64_Rela *r)
{
	const struct window *w = ctx;

	if (r->r_addend && w->bytes >= 8 && r->r_offset >= w->vaddr &&
	    r->r_offset - w->vaddr <= w->bytes - 8)
		memcpy(w->data + (r->r_offset - w->vaddr), &r->r_addend, 8);
}

/* ---- moduledata ------------------------------------------------------------------------ */

struct modules {
	uint64_t want; /* address of the table's header */
	uint64_t at[MODULES_MAX];
	unsigned cnt;
};

static void note_module(void *ctx, const Elf64_Rela *r)
{
	struct modules *m = ctx;

	if ((uint64_t)r->r_addend == m->want && m->cnt < MODULES_MAX)
		m->at[m->cnt++] = r->r_offset;
}

/* Pointers to the header in the writable segments of the file. */
static void scan_modules(struct finder *f, struct modules *m)
{
	unsigned word = f->e->is_64 ? 8 : 4;

	for (size_t i = 0; i < f->e->segment_cnt; i++) {
		const struct pa_elf_segment *s = &f->e->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_W))
			continue;
		for (uint64_t at = 0; at < s->filesz && f->scanned_bytes < SCAN_MAX_BYTES;) {
			uint64_t n = s->filesz - at < CHUNK_BYTES ? s->filesz - at : CHUNK_BYTES;

			if (pa_elf__read(f->e, s->offset + at, f->chunk, n))
				break;
			for (uint64_t j = 0; j + word <= n && m->cnt < MODULES_MAX; j += word) {
				uint64_t value = 0;

				memcpy(&value, f->chunk + j, word);
				if (value == m->want)
					m->at[m->cnt++] = s->vaddr + at + j;
			}
			at += n;
			f->scanned_bytes += n;
		}
	}
}

static bool is_in_code(const struct pa_elf *e, const struct pa_gopclntab *t)
{
	uint64_t start, end;

	pa_gopclntab__range(t, &start, &end);
	for (size_t i = 0; i < e->segment_cnt; i++) {
		const struct pa_elf_segment *s = &e->segments[i];

		if (s->type == PT_LOAD && (s->flags & PF_X) && start >= s->vaddr &&
		    start - s->vaddr < s->filesz && end > start && end - s->vaddr <= s->filesz)
			return true;
	}
	return false;
}

static bool use_module(struct finder *f, uint64_t vaddr, uint64_t header, struct pa_gopclntab *t)
{
	unsigned word = f->e->is_64 ? 8 : 4;
	uint8_t data[MODULE_CNT * 8] = {0};
	struct window w = {vaddr, (uint64_t)MODULE_CNT * word, data};
	uint64_t words[MODULE_CNT] = {0}, offset;

	if (!to_offset(f->e, vaddr, &offset) || pa_elf__read(f->e, offset, data, w.bytes))
		return false;
	each_reloc(f, patch, &w);
	for (unsigned i = 0; i < MODULE_CNT; i++)
		memcpy(&words[i], data + i * word, word);
	if (words[MODULE_HEADER] != header || words[MODULE_NAMES] != header + t->names)
		return false;
	t->text = words[MODULE_TEXT];
	if (!is_in_code(f->e, t))
		return false;
	t->inline_base = t->version >= PA_GO_120 ? words[MODULE_INLINE] : 0;
	return true;
}

static bool find_module(struct finder *f, uint64_t header, struct pa_gopclntab *t)
{
	struct modules m = {.want = header};

	scan_modules(f, &m);
	each_reloc(f, note_module, &m);
	for (unsigned i = 0; i < m.cnt; i++)
		if (use_module(f, m.at[i], header, t))
			return true;
	return false;
}

/* Where moduledata is unknown: the first code, if that makes the program begin as Go's do. */
static bool begins_right(const struct pa_elf *e, struct pa_gopclntab *t)
{
	const struct pa_elf_section *code = pa_elf__section(e, ".text", SHT_PROGBITS);
	const char *name, *file;
	uint32_t line, start_line;

	if (!code)
		return false;
	t->text = code->addr;
	return is_in_code(e, t) &&
	       !pa_gopclntab__line(t, e->entry, &name, &file, &line, &start_line) &&
	       !strncmp(name, "_rt0_", 5);
}

static bool place_text(struct finder *f, uint64_t header, struct pa_gopclntab *t)
{
	if (t->version < PA_GO_118)
		return is_in_code(f->e, t);
	if (find_module(f, header, t))
		return true;
	t->inline_base = 0;
	t->text = t->header_text;
	return (t->text && is_in_code(f->e, t)) || begins_right(f->e, t);
}

/* ---- the table ------------------------------------------------------------------------- */

/* The trees of inlined calls lie among the read-only data. Without them no more than those calls
 * is unknown. @return 0, -ENOMEM */
static int load_inlines(const struct finder *f, struct pa_gopclntab *t)
{
	uint64_t reach = pa_gopclntab__inlines_reach(t), left;
	struct pa_elf_section s = {.type = SHT_PROGBITS};
	int err;

	for (size_t i = 0; reach && i < f->e->segment_cnt; i++) {
		const struct pa_elf_segment *p = &f->e->segments[i];

		if (p->type != PT_LOAD || t->inline_base < p->vaddr ||
		    t->inline_base - p->vaddr >= p->filesz)
			continue;
		left = p->filesz - (t->inline_base - p->vaddr);
		s.offset = p->offset + (t->inline_base - p->vaddr);
		s.bytes = reach < left ? reach : left;
		err = pa_elf__load(f->e, &s, PA_GOPCLNTAB_MAX_BYTES, (void **)&t->inlines);
		if (!err)
			t->inlines_bytes = s.bytes;
		return err == -ENOMEM ? err : 0;
	}
	return 0;
}

static int load_at(struct finder *f, uint64_t offset, uint64_t vaddr, uint64_t bytes,
		   struct pa_gopclntab **out)
{
	struct pa_elf_section s = {.type = SHT_PROGBITS, .offset = offset, .bytes = bytes};
	struct window w = {vaddr, bytes, NULL};
	void *data;
	int err = pa_elf__load(f->e, &s, PA_GOPCLNTAB_MAX_BYTES, &data);

	*out = NULL;
	if (err)
		return err;
	w.data = data;
	each_reloc(f, patch, &w);
	err = pa_gopclntab__parse(data, bytes, out);
	if (!err && !place_text(f, vaddr, *out)) {
		pa_gopclntab__free(*out);
		*out = NULL;
		err = -EBADMSG;
	}
	if (!err && load_inlines(f, *out)) {
		pa_gopclntab__free(*out);
		*out = NULL;
		err = -ENOMEM;
	}
	return err;
}

/* The first bytes of any version: magic number, two zeros, quantum and pointer size. */
static bool looks_like_header(const uint8_t *p, bool is_64)
{
	uint32_t magic;

	memcpy(&magic, p, sizeof(magic));
	return (magic == 0xfffffff1 || magic == 0xfffffff0 || magic == 0xfffffffa ||
		magic == 0xfffffffb) &&
	       !p[4] && !p[5] && (p[6] == 1 || p[6] == 2 || p[6] == 4) && p[7] == (is_64 ? 8 : 4);
}

static int scan_segment(struct finder *f, const struct pa_elf_segment *s, unsigned *tries,
			struct pa_gopclntab **out)
{
	for (uint64_t at = 0; at < s->filesz && f->scanned_bytes < SCAN_MAX_BYTES;) {
		uint64_t n = s->filesz - at < CHUNK_BYTES ? s->filesz - at : CHUNK_BYTES;
		uint64_t next = at + n;

		if (pa_elf__read(f->e, s->offset + at, f->chunk, n))
			return -ENOENT;
		for (uint64_t i = 0; i + 8 <= n; i += 4) {
			int err;

			if (!looks_like_header(f->chunk + i, f->e->is_64))
				continue;
			if ((*tries)++ >= TABLES_MAX)
				return -ENOENT;
			err = load_at(f, s->offset + at + i, s->vaddr + at + i, s->filesz - at - i,
				      out);
			if (!err || err == -ENOMEM)
				return err;
			next = at + i + 4; /* the chunk was used for something else */
			break;
		}
		f->scanned_bytes += next - at;
		at = next;
	}
	return -ENOENT;
}

static int scan(struct finder *f, struct pa_gopclntab **out)
{
	unsigned tries = 0;

	for (size_t i = 0; i < f->e->segment_cnt; i++) {
		const struct pa_elf_segment *s = &f->e->segments[i];
		int err = -ENOENT;

		if (s->type == PT_LOAD && !(s->flags & PF_X))
			err = scan_segment(f, s, &tries, out);
		if (err != -ENOENT)
			return err;
	}
	return -ENOENT;
}

static int find_table(struct finder *f, struct pa_gopclntab **out)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	const struct pa_elf *e = f->e;

	for (int i = 0; i < 2; i++) {
		const struct pa_elf_section *s = pa_elf__section(e, names[i], SHT_PROGBITS);

		if (s)
			return load_at(f, s->offset, s->addr, s->bytes, out);
	}
	/* Position-independent programs of some versions have it in .data.rel.ro. */
	if (!e->section_cnt || pa_elf__section(e, ".go.buildinfo", 0) ||
	    pa_elf__section(e, ".note.go.buildid", 0))
		return scan(f, out);
	return -ENOENT;
}

int pa_gopclntab__load(const struct pa_elf *e, struct pa_gopclntab **out)
{
	struct finder f = {.e = e};
	int err;

	*out = NULL;
	f.chunk = malloc(CHUNK_BYTES);
	if (!f.chunk)
		return -ENOMEM;
	err = find_table(&f, out);
	free(f.chunk);
	return err;
}
