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

#define CFI_MAX_BYTES (64ULL << 20)	   /* kept from walk to walk */
#define CFI_WALK_BYTES (4 * CFI_MAX_BYTES) /* with this much at hand a walk gets no more */
#define ASKED_MAX 32
/* A table is not evicted before: who needs its room comes back, whose processes come and go soon
 * does, too, and each return of a table is work. */
#define IDLE_NS 3000000000ULL

void pa_unwind_images__free(struct pa_unwind_images *t)
{
	for (size_t i = 0; i < t->cnt; i++) {
		free(t->images[i].loads);
		pa_cfi__free(t->images[i].cfi);
	}
	free(t->images);
	free(t->queue);
}

uint32_t pa_unwind_images__number(const char *name, uint32_t file)
{
	if (file != PA_NO_FILE)
		return file + 1;
	return strcmp(name, "[vdso]") ? PA_NO_IMAGE : PA_IMAGE_OF_VDSO;
}

/* ---- room for tables ------------------------------------------------------------------------ */

static bool may_evict(const struct pa_unwind_images *t, const struct pa_unwind_image *image)
{
	return image->table && !image->process_cnt && t->now_ns >= image->used_ns + IDLE_NS;
}

static struct pa_unwind_image *oldest_idle(struct pa_unwind_images *t)
{
	struct pa_unwind_image *oldest = NULL;

	for (size_t i = 0; i < t->cnt; i++) {
		struct pa_unwind_image *image = &t->images[i];

		if (may_evict(t, image) && (!oldest || image->used_ns < oldest->used_ns))
			oldest = image;
	}
	return oldest;
}

bool pa_unwind_images__evict(struct pa_unwind_images *t)
{
	struct pa_unwind_image *image = oldest_idle(t);

	if (!image)
		return false;
	pa_tables__unload(t->tables, image->table);
	image->table = NULL;
	t->loaded_cnt--;
	t->evicted_cnt++;
	return true;
}

/* Nothing is evicted in vain. What is comes free a second later. */
static void make_room(struct pa_unwind_images *t, uint64_t need_bytes)
{
	struct pa_tables_room room;
	uint64_t idle_bytes = 0;

	pa_tables__room(t->tables, &room);
	for (size_t i = 0; i < t->cnt; i++)
		if (may_evict(t, &t->images[i]))
			idle_bytes += pa_table__bytes(t->images[i].table);
	if (need_bytes > room.soon_bytes + idle_bytes)
		return;
	while (room.soon_bytes < need_bytes && pa_unwind_images__evict(t))
		pa_tables__room(t->tables, &room);
}

static bool has_room(const struct pa_unwind_images *t, const struct pa_unwind_image *image)
{
	struct pa_tables_room room;

	pa_tables__room(t->tables, &room);
	return image->need_bytes <= room.now_bytes;
}

static void refuse(struct pa_unwind_images *t, struct pa_unwind_image *image)
{
	t->over_budget_cnt += !image->was_refused;
	image->was_refused = image->is_wanted = true;
	make_room(t, image->need_bytes);
}

bool pa_unwind_images__has_news(struct pa_unwind_images *t)
{
	bool has_news = false;

	for (size_t i = 0; i < t->cnt; i++) {
		struct pa_unwind_image *image = &t->images[i];

		if (!image->is_wanted)
			continue;
		if (has_room(t, image)) {
			image->is_wanted = false;
			has_news = true;
		} else {
			make_room(t, image->need_bytes);
		}
	}
	return has_news;
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

static int put_in_queue(struct pa_unwind_images *t, uint32_t i)
{
	if (t->queue_at == t->queue_cnt)
		t->queue_at = t->queue_cnt = 0;
	if (pa_array_grow(&t->queue, t->queue_cnt, &t->queue_cap, sizeof(*t->queue)))
		return -ENOMEM;
	t->queue[t->queue_cnt++] = i;
	return 0;
}

/* The packer takes the descriptor; who has to wait, for others not to run out of them, is opened
 * again. */
static int ask_packer(struct pa_unwind_images *t, uint32_t file, int fd, const char *path)
{
	int err;

	if (t->asked_cnt >= ASKED_MAX) {
		close(fd);
		return put_in_queue(t, file);
	}
	err = pa_packer__ask(t->packer, file + 1, fd, path);
	t->asked_cnt += !err;
	return err;
}

static int pack_file(struct pa_unwind_images *t, struct pa_unwind_image *image, uint32_t file,
		     struct pa_pack **out)
{
	const char *path;
	int fd = open_file(t, image, file, &path), err;

	if (fd < 0)
		return fd;
	if (t->packer) {
		err = ask_packer(t, file, fd, path);
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
	if (!err) {
		image->need_bytes = pa_tables__need(p);
		err = pa_tables__load(t->tables, p, &image->table);
	}
	if (!err) {
		t->loaded_cnt++;
		image->used_ns = t->now_ns;
	} else if (err == -ENOSPC) {
		refuse(t, image);
	} else if (err == -EMFILE || err == -ENFILE) {
		image->is_tried = false;
	}
	return err == -ENOMEM ? err : 0;
}

static int load(struct pa_unwind_images *t, uint32_t i)
{
	struct pa_unwind_image *image = &t->images[i];
	struct pa_pack *pack = NULL;
	int err;

	image->is_tried = true;
	image->is_wanted = false;
	if (i == PA_IMAGE_OF_VDSO)
		err = pack_vdso(image, &pack);
	else
		err = pack_file(t, image, i - 1, &pack);
	if (err != -EINPROGRESS)
		err = put(t, image, pack, err);
	pa_pack__free(pack);
	return err == -ENOMEM ? err : 0;
}

/* @return number of those that can't be opened any more, -ENOMEM */
static int ask_more(struct pa_unwind_images *t)
{
	int err = 0, cnt = 0;

	while (!err && t->queue_at < t->queue_cnt && t->asked_cnt < ASKED_MAX) {
		uint32_t file = t->queue[t->queue_at++];
		struct pa_unwind_image *image = &t->images[file + 1];

		err = pack_file(t, image, file, NULL);
		if (err == -EINPROGRESS) {
			err = 0;
			continue;
		}
		err = put(t, image, NULL, err);
		cnt++;
	}
	return err ? err : cnt;
}

int pa_unwind_images__take(struct pa_unwind_images *t)
{
	struct pa_pack *pack;
	int err = 0, pack_err, cnt = 0, failed_cnt;
	uint32_t i;

	while (t->packer && !err && pa_packer__take(t->packer, &i, &pack, &pack_err)) {
		t->asked_cnt--;
		t->images[i].is_awaited = false;
		err = put(t, &t->images[i], pack, pack_err);
		pa_pack__free(pack);
		cnt++;
	}
	failed_cnt = err ? err : ask_more(t);
	return failed_cnt < 0 ? failed_cnt : cnt + failed_cnt;
}

/* One that is known not to fit is not packed again before it does. */
static bool is_to_be_loaded(struct pa_unwind_images *t, struct pa_unwind_image *image)
{
	if (!image->is_tried)
		return true;
	if (image->table || image->is_awaited || !image->need_bytes)
		return false;
	if (has_room(t, image))
		return true;
	refuse(t, image);
	return false;
}

struct pa_unwind_image *pa_unwind_images__get(struct pa_unwind_images *t, uint32_t i)
{
	while (t->cnt <= i) {
		if (pa_array_grow(&t->images, t->cnt, &t->cap, sizeof(*t->images)))
			return NULL;
		t->images[t->cnt++] = (struct pa_unwind_image){0};
	}
	if (is_to_be_loaded(t, &t->images[i]) && load(t, i))
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
	if (!image->cfi_tried && t->cfi_bytes <= CFI_WALK_BYTES) {
		image->cfi_tried = true;
		err = open_cfi(t, i, &image->cfi);
		image->cfi_bytes = image->cfi ? pa_cfi__memory_bytes(image->cfi) : 0;
		t->cfi_bytes += image->cfi_bytes;
		if (err == -EMFILE || err == -ENFILE)
			image->cfi_tried = false;
	}
	image->cfi_used_at = t->walk_cnt;
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

void pa_unwind_images__drop_cfi(struct pa_unwind_images *t)
{
	if (!t->cfi_bytes)
		return;
	for (size_t i = 0; i < t->cnt; i++)
		if (t->images[i].cfi)
			drop_cfi(t, &t->images[i]);
	malloc_trim(0);
}

void pa_unwind_images__trim(struct pa_unwind_images *t)
{
	t->walk_cnt++;
	while (t->cfi_bytes > CFI_MAX_BYTES) {
		struct pa_unwind_image *oldest = NULL;

		for (size_t i = 0; i < t->cnt; i++)
			if (t->images[i].cfi &&
			    (!oldest || t->images[i].cfi_used_at < oldest->cfi_used_at))
				oldest = &t->images[i];
		if (!oldest)
			break;
		drop_cfi(t, oldest);
	}
}
