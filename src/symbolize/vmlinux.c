// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmlinux.c - names of a kernel that is not the running one: a copy of its kallsyms, or its
 * vmlinux, whose addresses are moved to where the kernel lay when the data was recorded. Both are
 * found by the kernel's build-id in perf's cache and among debug files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

/* By way of the text that the kernel itself would show. */
static int convert(const struct pa_elfsyms *t, uint64_t shift, struct pa_kallsyms **out)
{
	char *buf = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&buf, &bytes);
	int err;

	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < t->cnt; i++)
		fprintf(to, "%016" PRIx64 " T %s\n", t->syms[i].addr + shift,
			t->names + t->syms[i].name);
	err = ferror(to) ? -ENOMEM : 0;
	if (fclose(to))
		err = -ENOMEM;
	if (!err)
		err = pa_kallsyms__parse(buf, bytes, out);
	free(buf);
	return err;
}

/* Takes fd over. */
static int load_fd(int fd, struct pa_kernel_text kernel_text, struct pa_kallsyms **out)
{
	struct pa_elfsyms *t = NULL;
	uint64_t text = kernel_text.addr;
	struct pa_elf e;
	int err = pa_elf__open_fd(&e, fd);

	if (!err && kernel_text.addr)
		err = pa_elfsyms__value(&e, kernel_text.name, &text);
	if (err == -ENOENT)
		err = -ENODATA;
	if (!err)
		err = pa_elfsyms__load(&e, NULL, NULL, &t);
	pa_elf__close(&e);
	close(fd);
	if (!err)
		err = t->cnt ? convert(t, kernel_text.addr - text, out) : -ENODATA;
	pa_elfsyms__free(t);
	return err;
}

int pa_vmlinux__load_path(const char *path, struct pa_kernel_text kernel_text,
			  struct pa_kallsyms **out)
{
	int fd = pa_open_regular(path);

	*out = NULL;
	return fd < 0 ? fd : load_fd(fd, kernel_text, out);
}

int pa_vmlinux__find(const struct pa_search *search, const uint8_t *id, size_t bytes,
		     struct pa_kernel_text kernel_text, struct pa_kallsyms **out)
{
	int fd = pa_open_cached(search, id, bytes, "kallsyms"), err;

	*out = NULL;
	if (fd >= 0) {
		err = pa_kallsyms__parse_fd(fd, out);
		close(fd);
		if (!err || err == -ENOMEM)
			return err;
	}
	fd = pa_open_cached(search, id, bytes, "vmlinux");
	if (fd < 0)
		fd = pa_debugfile__open_id(search, id, bytes);
	return fd < 0 ? -ENOENT : load_fd(fd, kernel_text, out);
}
