// SPDX-License-Identifier: GPL-2.0-only
/*
 * unwind_images.c - from an image's number to its table and to its CFI. A file that can't be
 * read, or has no CFI, has neither: its frames are followed by frame pointers.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/unwind_images.h"

#define CFI_KEPT_NS 2000000000ULL
#define CFI_MAX_BYTES (256ULL << 20) /* kept from pass to pass */

void pa_unwind_images__free(struct pa_unwind_images *t)
{
	for (size_t i = 0; i < t->cnt; i++) {
		free(t->images[i].loads);
		pa_cfi__free(t->images[i].cfi);
	}
	free(t->images);
}

uint32_t pa_unwind_images__number(const char *name, uint32_t file)
{
	if (file != PA_NO_FILE)
		return file + 1;
	return strcmp(name, "[vdso]") ? PA_NO_IMAGE : PA_IMAGE_OF_VDSO;
}

bool pa_unwind_images__evict(struct pa_unwind_images *t)
{
	struct pa_unwind_image *oldest = NULL;

	for (size_t i = 0; i < t->cnt; i++) {
		struct pa_unwind_image *image = &t->images[i];

		if (image->table && !image->process_cnt &&
		    (!oldest || image->used_ns < oldest->used_ns))
			oldest = image;
	}
	if (!oldest)
		return false;
	pa_tables__unload(t->tables, oldest->table);
	oldest->table = NULL;
	oldest->is_evicted = true;
	t->loaded_cnt--;
	t->evicted_cnt++;
	return true;
}

/* ---- tables --------------------------------------------------------------------------------- */

static int pack_vdso(struct pa_unwind_image *image, struct pa_pack **out)
{
	struct pa_cfi *cfi = NULL;
	const void *mem;
	struct pa_elf e;
	size_t bytes;
	int err = pa_own_vdso(&mem, &bytes);

	if (err)
		return err;
	err = pa_elf__open_mem(&e, mem, bytes);
	if (!err && !image->loads)
		err = pa_elf__loads(&e, &image->loads, &image->load_cnt);
	pa_elf__close(&e);
	if (!err)
		err = pa_cfi__open_mem(mem, bytes, &cfi);
	if (!err)
		err = pa_pack__build_vdso(cfi, out);
	pa_cfi__free(cfi);
	return err;
}

/* The file of an image, its segments read. @return descriptor, -errno */
static int open_file(struct pa_unwind_images *t, struct pa_unwind_image *image, uint32_t file,
		     const char **path)
{
	int fd = pa_images__open(t->files, file, path), err;
	struct pa_elf e;

	if (fd < 0)
		return fd;
	err = pa_elf__open_fd(&e, fd);
	if (!err && !image->loads)
		err = pa_elf__loads(&e, &image->loads, &image->load_cnt);
	pa_elf__close(&e);
	if (err)
		close(fd);
	return err ? err : fd;
}

static int pack_file(struct pa_unwind_images *t, struct pa_unwind_image *image, uint32_t file,
		     struct pa_pack **out)
{
	const char *path;
	int fd = open_file(t, image, file, &path), err;

	if (fd < 0)
		return fd;
	if (t->packer) {
		err = pa_packer__ask(t->packer, file + 1, fd, path);
		image->is_awaited = !err;
		return err ? err : -EINPROGRESS;
	}
	err = pa_pack__file(fd, path, t->cache_dir, out);
	close(fd);
	return err;
}

/* @return 0 also when there is no table to be had */
static int put(struct pa_unwind_images *t, struct pa_unwind_image *image, const struct pa_pack *p,
	       int err)
{
	if (!err)
		err = pa_tables__load(t->tables, p, &image->table);
	t->loaded_cnt += !err;
	if (err == -ENOSPC) {
		t->over_budget_cnt++;
		/* for the next one, or for this one's next process: it is not free at once */
		image->is_evicted = pa_unwind_images__evict(t);
	}
	return err == -ENOMEM ? err : 0;
}

static int load(struct pa_unwind_images *t, uint32_t i)
{
	struct pa_unwind_image *image = &t->images[i];
	struct pa_pack *pack = NULL;
	int err;

	image->is_tried = true;
	image->is_evicted = false;
	if (i == PA_IMAGE_OF_VDSO)
		err = pack_vdso(image, &pack);
	else
		err = pack_file(t, image, i - 1, &pack);
	if (err != -EINPROGRESS)
		err = put(t, image, pack, err);
	pa_pack__free(pack);
	return err == -ENOMEM ? err : 0;
}

int pa_unwind_images__take(struct pa_unwind_images *t)
{
	struct pa_pack *pack;
	int err = 0, pack_err, cnt = 0;
	uint32_t i;

	while (t->packer && !err && pa_packer__take(t->packer, &i, &pack, &pack_err)) {
		t->images[i].is_awaited = false;
		err = put(t, &t->images[i], pack, pack_err);
		pa_pack__free(pack);
		cnt++;
	}
	return err ? err : cnt;
}

struct pa_unwind_image *pa_unwind_images__get(struct pa_unwind_images *t, uint32_t i)
{
	while (t->cnt <= i) {
		if (pa_array_grow(&t->images, t->cnt, &t->cap, sizeof(*t->images)))
			return NULL;
		t->images[t->cnt++] = (struct pa_unwind_image){0};
	}
	if ((!t->images[i].is_tried || t->images[i].is_evicted) && load(t, i))
		return NULL;
	return &t->images[i];
}

/* ---- CFI ------------------------------------------------------------------------------------ */

static int open_cfi(struct pa_unwind_images *t, uint32_t i, struct pa_cfi **out)
{
	const char *path;
	const void *mem;
	size_t bytes;
	int fd, err;

	if (i == PA_IMAGE_OF_VDSO) {
		err = pa_own_vdso(&mem, &bytes);
		return err ? err : pa_cfi__open_mem(mem, bytes, out);
	}
	fd = pa_images__open(t->files, i - 1, &path);
	if (fd < 0)
		return fd;
	err = pa_cfi__open_fd(fd, path, NULL, out);
	close(fd);
	return err;
}

int pa_unwind_images__cfi(struct pa_unwind_images *t, uint32_t i, struct pa_cfi **out)
{
	struct pa_unwind_image *image = pa_unwind_images__get(t, i);
	int err = 0;

	*out = NULL;
	if (!image)
		return -ENOMEM;
	if (!image->cfi_tried) {
		image->cfi_tried = true;
		err = open_cfi(t, i, &image->cfi);
		image->cfi_bytes = image->cfi ? pa_cfi__memory_bytes(image->cfi) : 0;
		t->cfi_bytes += image->cfi_bytes;
	}
	image->cfi_used_ns = t->now_ns;
	*out = image->cfi;
	return err == -ENOMEM ? err : 0;
}

static void drop_cfi(struct pa_unwind_images *t, struct pa_unwind_image *image)
{
	t->cfi_bytes -= image->cfi_bytes;
	pa_cfi__free(image->cfi);
	image->cfi = NULL;
	image->cfi_bytes = 0;
	image->cfi_tried = false;
}

/* A program's CFI is used at its first samples, and hardly ever again. */
void pa_unwind_images__end_pass(struct pa_unwind_images *t, uint64_t now_ns)
{
	bool dropped = false;

	t->now_ns = now_ns;
	for (size_t i = 0; t->cfi_bytes && i < t->cnt; i++)
		if (t->images[i].cfi && (now_ns - t->images[i].cfi_used_ns > CFI_KEPT_NS ||
					 t->cfi_bytes > CFI_MAX_BYTES)) {
			drop_cfi(t, &t->images[i]);
			dropped = true;
		}
	if (dropped)
		malloc_trim(0);
}
