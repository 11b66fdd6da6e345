// SPDX-License-Identifier: GPL-2.0-only
/*
 * elffile.c - a bounded reader of ELF headers and sections. Files of profiled processes are read
 * with pread only: a mapping would turn a file that is cut under us into SIGBUS, and a library
 * that believes the header's counts would allocate what a sparse file merely claims.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define SECTIONS_MAX 65536
#define SEGMENTS_MAX 4096
#define NAMES_MAX_BYTES (4u << 20)
#define PAGE_SLACK 65535ull /* the kernel maps whole pages, of at most 64 KiB */

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define NATIVE_DATA ELFDATA2LSB
#else
#define NATIVE_DATA ELFDATA2MSB
#endif

int pa_elf__read(const struct pa_elf *e, uint64_t offset, void *buf, size_t bytes)
{
	char *p = buf;

	if (offset > e->bytes || bytes > e->bytes - offset || offset + bytes > INT64_MAX)
		return -ENODATA;
	if (e->mem) {
		memcpy(buf, e->mem + offset, bytes);
		return 0;
	}
	while (bytes) {
		ssize_t n = pread(e->fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static void section_from(struct pa_elf_section *s, const void *raw, bool is_64)
{
	if (is_64) {
		const Elf64_Shdr *h = raw;

		*s = (struct pa_elf_section){
			h->sh_name, h->sh_type,	  h->sh_link, h->sh_info,    h->sh_flags,
			h->sh_addr, h->sh_offset, h->sh_size, h->sh_entsize, h->sh_addralign};
	} else {
		const Elf32_Shdr *h = raw;

		*s = (struct pa_elf_section){
			h->sh_name, h->sh_type,	  h->sh_link, h->sh_info,    h->sh_flags,
			h->sh_addr, h->sh_offset, h->sh_size, h->sh_entsize, h->sh_addralign};
	}
}

static void segment_from(struct pa_elf_segment *s, const void *raw, bool is_64)
{
	if (is_64) {
		const Elf64_Phdr *h = raw;

		*s = (struct pa_elf_segment){h->p_type,	  h->p_flags, h->p_offset, h->p_vaddr,
					     h->p_filesz, h->p_memsz, h->p_align};
	} else {
		const Elf32_Phdr *h = raw;

		*s = (struct pa_elf_segment){h->p_type,	  h->p_flags, h->p_offset, h->p_vaddr,
					     h->p_filesz, h->p_memsz, h->p_align};
	}
}

/* Read cnt headers of entry_bytes each; what lies beyond the file is left out, not an error. */
static int read_table(const struct pa_elf *e, uint64_t offset, size_t cnt, size_t entry_bytes,
		      size_t want_bytes, char **out)
{
	int err;

	*out = NULL;
	if (entry_bytes != want_bytes || !cnt)
		return -ENOENT;
	*out = malloc(cnt * entry_bytes);
	if (!*out)
		return -ENOMEM;
	err = pa_elf__read(e, offset, *out, cnt * entry_bytes);
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

static int read_segments(struct pa_elf *e, uint64_t offset, size_t cnt, size_t entry_bytes)
{
	size_t want = e->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	char *raw;
	int err;

	if (cnt > SEGMENTS_MAX)
		return -EBADMSG;
	err = read_table(e, offset, cnt, entry_bytes, want, &raw);
	if (err)
		return err == -ENOENT ? 0 : err;
	e->segments = calloc(cnt, sizeof(*e->segments));
	if (e->segments) {
		for (size_t i = 0; i < cnt; i++)
			segment_from(&e->segments[i], raw + i * want, e->is_64);
		e->segment_cnt = cnt;
	}
	free(raw);
	return e->segments ? 0 : -ENOMEM;
}

static int read_sections(struct pa_elf *e, uint64_t offset, size_t cnt, size_t entry_bytes,
			 size_t names_index)
{
	size_t want = e->is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	struct pa_elf_section *names;
	char *raw;
	int err;

	if (!offset)
		return 0;
	if (cnt > SECTIONS_MAX)
		return -EBADMSG;
	err = read_table(e, offset, cnt, entry_bytes, want, &raw);
	/* A file without its section headers still has segments, so only its names are lost. */
	if (err)
		return err == -ENOMEM ? err : 0;
	e->sections = calloc(cnt, sizeof(*e->sections));
	if (e->sections) {
		for (size_t i = 0; i < cnt; i++)
			section_from(&e->sections[i], raw + i * want, e->is_64);
		e->section_cnt = cnt;
	}
	free(raw);
	if (!e->sections)
		return -ENOMEM;
	if (names_index >= cnt)
		return 0;
	names = &e->sections[names_index];
	if (pa_elf__load(e, names, NAMES_MAX_BYTES, (void **)&e->names))
		return 0;
	e->names_bytes = names->bytes;
	return 0;
}

static int open_common(struct pa_elf *e)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr h64;
		Elf32_Ehdr h32;
	} h;
	int err;

	memset(&h, 0, sizeof(h));
	if (pa_elf__read(e, 0, &h, sizeof(Elf32_Ehdr)) || memcmp(h.ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	if (h.ident[EI_DATA] != NATIVE_DATA)
		return -ENOEXEC;
	e->is_64 = h.ident[EI_CLASS] == ELFCLASS64;
	if (!e->is_64) {
		e->type = h.h32.e_type;
		e->machine = h.h32.e_machine;
		e->entry = h.h32.e_entry;
		err = read_segments(e, h.h32.e_phoff, h.h32.e_phnum, h.h32.e_phentsize);
		return err ? err
			   : read_sections(e, h.h32.e_shoff, h.h32.e_shnum, h.h32.e_shentsize,
					   h.h32.e_shstrndx);
	}
	if (pa_elf__read(e, 0, &h, sizeof(Elf64_Ehdr)))
		return -ENOEXEC;
	e->type = h.h64.e_type;
	e->machine = h.h64.e_machine;
	e->entry = h.h64.e_entry;
	err = read_segments(e, h.h64.e_phoff, h.h64.e_phnum, h.h64.e_phentsize);
	return err ? err
		   : read_sections(e, h.h64.e_shoff, h.h64.e_shnum, h.h64.e_shentsize,
				   h.h64.e_shstrndx);
}

int pa_elf__open_fd(struct pa_elf *e, int fd)
{
	struct stat st;

	memset(e, 0, sizeof(*e));
	e->fd = fd;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0)
		return -ENOEXEC;
	e->bytes = (uint64_t)st.st_size;
	return open_common(e);
}

int pa_elf__open_mem(struct pa_elf *e, const void *mem, size_t bytes)
{
	memset(e, 0, sizeof(*e));
	e->fd = -1;
	e->mem = mem;
	e->bytes = bytes;
	return open_common(e);
}

void pa_elf__close(struct pa_elf *e)
{
	free(e->sections);
	free(e->segments);
	free(e->names);
	memset(e, 0, sizeof(*e));
	e->fd = -1;
}

const char *pa_elf__section_name(const struct pa_elf *e, const struct pa_elf_section *s)
{
	return s->name < e->names_bytes ? e->names + s->name : "";
}

const struct pa_elf_section *pa_elf__section(const struct pa_elf *e, const char *name,
					     uint32_t type)
{
	for (size_t i = 0; i < e->section_cnt; i++) {
		const struct pa_elf_section *s = &e->sections[i];

		if (type && s->type != type)
			continue;
		if (!name || !strcmp(pa_elf__section_name(e, s), name))
			return s;
	}
	return NULL;
}

int pa_elf__load(const struct pa_elf *e, const struct pa_elf_section *s, size_t max_bytes,
		 void **out)
{
	char *p;
	int err;

	*out = NULL;
	if (s->type == SHT_NOBITS || s->offset > e->bytes || s->bytes > e->bytes - s->offset)
		return -ENODATA;
	if (s->bytes > max_bytes)
		return -EFBIG;
	p = malloc(s->bytes + 1);
	if (!p)
		return -ENOMEM;
	err = pa_elf__read(e, s->offset, p, s->bytes);
	if (err) {
		free(p);
		return err;
	}
	p[s->bytes] = '\0';
	*out = p;
	return 0;
}

int pa_elf__loads(const struct pa_elf *e, struct pa_elf_segment **out, size_t *cnt)
{
	*cnt = 0;
	*out = calloc(e->segment_cnt + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (int executable = 1; executable >= 0; executable--) {
		for (size_t i = 0; i < e->segment_cnt; i++) {
			const struct pa_elf_segment *s = &e->segments[i];

			if (s->type == PT_LOAD && !(s->flags & PF_X) == !executable && s->filesz)
				(*out)[(*cnt)++] = *s;
		}
	}
	return 0;
}

int pa_loads__vaddr(const struct pa_elf_segment *loads, size_t cnt, uint64_t offset,
		    uint64_t *vaddr)
{
	for (int slack = 0; slack < 2; slack++) {
		for (size_t i = 0; i < cnt; i++) {
			const struct pa_elf_segment *s = &loads[i];
			uint64_t before = 0, after = s->filesz;

			if (slack) {
				before = s->offset & PAGE_SLACK;
				after = s->filesz <= UINT64_MAX - PAGE_SLACK
						? s->filesz + PAGE_SLACK
						: s->filesz;
			}
			if (offset < s->offset - before ||
			    (offset >= s->offset && offset - s->offset >= after))
				continue;
			*vaddr = s->vaddr + (offset - s->offset);
			return 0;
		}
	}
	return -ENOENT;
}
