// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - a binary that a profile is derived for: where its bytes are loaded, its symbols and its
 * debug information.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pgo/file.h"

static const char fs_symbol[] = "__llvm_fs_discriminator__";

/* Compilers mark a binary with flow-sensitive discriminators by a variable of that name.
 * @return 1 e has symbols, 0 it has none, -ENOMEM */
static int look_for_mark(struct pa_pgo_file *f, const struct pa_elf *e)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".strtab", SHT_STRTAB);
	void *names;
	int err;

	if (!s)
		return 0;
	err = pa_elf__load(e, s, PA_STRTAB_MAX_BYTES, &names);
	if (err)
		return err == -ENOMEM ? err : 0;
	f->is_flow_sensitive = memmem(names, s->bytes, fs_symbol, sizeof(fs_symbol));
	free(names);
	return 1;
}

/* In the debug file of a stripped binary. @return 0, -ENOMEM */
static int look_for_mark_elsewhere(struct pa_pgo_file *f, const char *path)
{
	int fd = pa_debugfile__open(&f->elf, path, &f->search), err;
	struct pa_elf e;

	if (fd < 0)
		return fd == -ENOMEM ? fd : 0;
	err = pa_elf__open_fd(&e, fd);
	if (!err)
		err = look_for_mark(f, &e);
	pa_elf__close(&e);
	close(fd);
	return err == -ENOMEM ? err : 0;
}

/* @return 0 (also without debug information), -ENOMEM, -errno of dup */
static int open_dwarf(struct pa_pgo_file *f, const char *path)
{
	struct pa_symbolizer_opts opts = {
		.sz = sizeof(opts), .lines = true, .inlines = true, .search = f->search};
	int fd = dup(f->fd), err;

	if (fd < 0)
		return -errno;
	f->opts = opts;
	err = pa_dwarf__new(fd, path, &f->opts, &f->dwarf);
	return err == -ENOMEM ? err : 0;
}

/* Open what is beside the binary: where it is here, else where it was. */
static int open_beside(struct pa_pgo_file *f, const char *recorded)
{
	char fd_path[64], here[PATH_MAX];
	const char *path = recorded;
	ssize_t n;
	int err = 0;

	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", f->fd);
	n = readlink(fd_path, here, sizeof(here) - 1);
	if (n > 0 && here[0] == '/' && (!f->search.symfs || !*f->search.symfs)) {
		here[n] = '\0';
		path = here;
		err = open_dwarf(f, path);
	}
	if (!err && !f->dwarf) {
		path = recorded;
		err = open_dwarf(f, path);
	}
	if (!err)
		err = pa_elfsyms__load(&f->elf, path, &f->search, &f->syms);
	if (!err)
		err = look_for_mark(f, &f->elf);
	return err ? (err < 0 ? err : 0) : look_for_mark_elsewhere(f, path);
}

int pa_pgo_file__open(int fd, const char *path, const struct pa_search *search,
		      struct pa_pgo_file **out)
{
	struct pa_pgo_file *f = calloc(1, sizeof(*f));
	int err;

	*out = NULL;
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	f->fd = fd;
	if (search)
		f->search = *search;
	err = pa_elf__open_fd(&f->elf, fd);
	if (!err)
		err = pa_elf__loads(&f->elf, &f->loads, &f->load_cnt);
	if (!err)
		err = open_beside(f, path);
	if (err) {
		pa_pgo_file__free(f);
		return err;
	}
	*out = f;
	return 0;
}

void pa_pgo_file__free(struct pa_pgo_file *f)
{
	if (!f)
		return;
	pa_dwarf__free(f->dwarf);
	pa_elfsyms__free(f->syms);
	free(f->loads);
	pa_elf__close(&f->elf);
	close(f->fd);
	free(f);
}

bool pa_pgo_file__vaddr(const struct pa_pgo_file *f, uint64_t offset, uint64_t *vaddr)
{
	return !pa_loads__vaddr(f->loads, f->load_cnt, offset, vaddr);
}

static uint64_t first_of(const struct pa_pgo_file *f, uint32_t flags)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < f->load_cnt; i++)
		if ((f->loads[i].flags & flags) == flags && f->loads[i].vaddr < first)
			first = f->loads[i].vaddr;
	return first == UINT64_MAX ? 0 : first;
}

uint64_t pa_pgo_file__base(const struct pa_pgo_file *f)
{
	return first_of(f, 0);
}

uint64_t pa_pgo_file__text(const struct pa_pgo_file *f)
{
	return first_of(f, PF_X);
}

const char *pa_pgo_file__symbol(const struct pa_pgo_file *f, uint64_t vaddr, uint64_t *start)
{
	ssize_t i = f->syms ? pa_elfsyms__find(f->syms, vaddr) : -1;

	if (i < 0)
		return NULL;
	*start = f->syms->syms[i].addr;
	return f->syms->names + f->syms->syms[i].name;
}

bool pa_pgo_file__has_dwarf(const struct pa_pgo_file *f)
{
	return f->dwarf;
}

bool pa_pgo_file__is_flow_sensitive(const struct pa_pgo_file *f)
{
	return f->is_flow_sensitive;
}
