// SPDX-License-Identifier: GPL-2.0-only
/*
 * session_images.c - which image a mapping shows. Mappings of the same file are one image,
 * whichever process and address they belong to, so that a profile is the same under ASLR.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/session.h"

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* perf-PID.map: what perf itself calls anonymous code. */
static bool is_perf_map(const char *path)
{
	const char *base = strrchr(path, '/');
	int end = 0;

	base = base ? base + 1 : path;
	return starts_with(base, "perf-") && sscanf(base, "perf-%*u.map%n", &end) == 0 && end &&
	       !base[end];
}

/* A memfd may hold an ELF image or a JIT's code. The kernel ends its name in " (deleted)"; our
 * own capture, which looked inside, takes that off an ELF image's and calls the rest "//anon". */
static bool is_memfd_elf(const struct pd_mmap *m)
{
	size_t len = strlen(m->filename);

	return starts_with(m->filename, "/memfd:") &&
	       (m->build_id_bytes || len < 10 || strcmp(m->filename + len - 10, " (deleted)"));
}

/* Code without a file of its own is found in the process's perf-map. */
static enum pa_image_kind kind_of(const struct pd_mmap *m)
{
	const char *path = m->filename;
	static const char *const anonymous[] = {
		"//anon", "/anon_hugepage", "/dev/zero", "/memfd:",	"/SYSV",
		"[heap]", "[stack",	    "[anon",	 "anon_inode:",
	};

	if (!*path || is_perf_map(path))
		return PA_IMAGE_JIT;
	if (is_memfd_elf(m))
		return PA_IMAGE_FILE;
	if (starts_with(path, "[vdso"))
		return PA_IMAGE_VDSO;
	for (size_t i = 0; i < sizeof(anonymous) / sizeof(*anonymous); i++)
		if (starts_with(path, anonymous[i]))
			return PA_IMAGE_JIT;
	return PA_IMAGE_FILE;
}

static uint64_t hash_image(const struct pa_session *s, const struct pa_session_image *img)
{
	uint64_t words[] = {img->kind,
			    img->kind == PA_IMAGE_FILE ? (uintptr_t)img->path : 0,
			    img->dev,
			    img->ino,
			    img->ino_generation,
			    img->pid,
			    img->birth_ns,
			    pa_hash_bytes(img->build_id, sizeof(img->build_id), s->seed)};

	return pa_hash_words(words, sizeof(words) / sizeof(*words), s->seed);
}

static bool is_same_image(const struct pa_session_image *a, const struct pa_session_image *b)
{
	return a->kind == b->kind && (a->kind != PA_IMAGE_FILE || a->path == b->path) &&
	       a->dev == b->dev && a->ino == b->ino && a->ino_generation == b->ino_generation &&
	       a->pid == b->pid && a->birth_ns == b->birth_ns &&
	       a->build_id_bytes == b->build_id_bytes &&
	       !memcmp(a->build_id, b->build_id, sizeof(a->build_id));
}

static uint32_t get_image(struct pa_session *s, const struct pa_session_image *img)
{
	uint64_t hash = hash_image(s, img);
	uint32_t pos = pa_index__start(&s->image_table, hash), i;

	while ((i = pa_index__next(&s->image_table, hash, &pos)) != PA_NONE)
		if (is_same_image(&s->images[i], img))
			return i;
	if (s->image_cnt >= PA_NONE ||
	    pa_array_grow(&s->images, s->image_cnt, &s->image_cap, sizeof(*s->images)) ||
	    pa_index__add(&s->image_table, hash, s->image_cnt))
		return PA_NONE;
	s->images[s->image_cnt] = *img;
	return s->image_cnt++;
}

static uint64_t hash_path(const struct pa_session *s, uint32_t path)
{
	return pa_mix(s->seed ^ path, 0x9e3779b97f4a7c15ULL);
}

static const struct pa_named_build_id *find_build_id(const struct pa_session *s, uint32_t path)
{
	uint64_t hash = hash_path(s, path);
	uint32_t pos = pa_index__start(&s->build_id_table, hash), i;

	while ((i = pa_index__next(&s->build_id_table, hash, &pos)) != PA_NONE)
		if (s->build_ids[i].path == path)
			return &s->build_ids[i];
	return NULL;
}

int pa_session_images__name_build_id(struct pa_session *s, const struct pd_build_id *id)
{
	struct pa_named_build_id *named;
	uint32_t path;

	if (!id->bytes || id->bytes > PD_BUILD_ID_MAX)
		return 0;
	path = pa_strings__intern(&s->procs.strings, id->filename, strlen(id->filename));
	if (path == PA_NONE)
		return -ENOMEM;
	if (find_build_id(s, path))
		return 0;
	if (pa_array_grow(&s->build_ids, s->build_id_cnt, &s->build_id_cap,
			  sizeof(*s->build_ids)) ||
	    pa_index__add(&s->build_id_table, hash_path(s, path), s->build_id_cnt))
		return -ENOMEM;
	named = &s->build_ids[s->build_id_cnt++];
	*named = (struct pa_named_build_id){.path = path, .bytes = id->bytes};
	memcpy(named->id, id->id, id->bytes);
	return 0;
}

uint8_t pa_session_images__listed(struct pa_session *s, const char *name, const uint8_t **id)
{
	uint32_t path = pa_strings__intern(&s->procs.strings, name, strlen(name));
	const struct pa_named_build_id *named = path == PA_NONE ? NULL : find_build_id(s, path);

	if (!named)
		return 0;
	*id = named->id;
	return named->bytes;
}

static void set_build_id(struct pa_session_image *img, const uint8_t *id, size_t bytes)
{
	if (!bytes || bytes > sizeof(img->build_id))
		return;
	memcpy(img->build_id, id, bytes);
	img->build_id_bytes = bytes;
	img->dev = img->ino = img->ino_generation = 0;
}

int pa_session_images__late_build_ids(struct pa_session *s)
{
	for (uint32_t i = 0; s->build_id_cnt && i < s->image_cnt; i++) {
		struct pa_session_image *img = &s->images[i];
		const struct pa_named_build_id *named;
		uint32_t path;

		if (img->build_id_bytes ||
		    (img->kind != PA_IMAGE_FILE && img->kind != PA_IMAGE_KERNEL))
			continue;
		path = pa_strings__intern(&s->procs.strings, img->path, strlen(img->path));
		if (path == PA_NONE)
			return -ENOMEM;
		named = find_build_id(s, path);
		if (named)
			set_build_id(img, named->id, named->bytes);
	}
	return 0;
}

uint32_t pa_session_images__of_mmap(struct pa_session *s, const struct pd_mmap *m,
				    uint64_t birth_ns)
{
	struct pa_session_image img = {.kind = kind_of(m), .pgoff_min = UINT64_MAX};
	const struct pa_named_build_id *named;
	uint32_t path, i;

	path = pa_strings__intern(&s->procs.strings, m->filename, strlen(m->filename));
	if (path == PA_NONE)
		return PA_NONE;
	img.path = s->procs.strings.strs[path];
	if (img.kind == PA_IMAGE_JIT) {
		img.pid = m->pid;
		img.birth_ns = birth_ns;
	} else if (img.kind == PA_IMAGE_FILE) {
		img.dev = (uint64_t)m->maj << 32 | m->min;
		img.ino = m->ino;
		img.ino_generation = m->ino_generation;
		named = m->build_id_bytes ? NULL : find_build_id(s, path);
		if (named)
			set_build_id(&img, named->id, named->bytes);
		else
			set_build_id(&img, m->build_id, m->build_id_bytes);
	}
	i = get_image(s, &img);
	if (i == PA_NONE)
		return i;
	if (m->pgoff < s->images[i].pgoff_min)
		s->images[i].pgoff_min = m->pgoff;
	if (m->pgoff + m->bytes > s->images[i].pgoff_max)
		s->images[i].pgoff_max = m->pgoff + m->bytes;
	return i;
}

uint32_t pa_session_images__kernel(struct pa_session *s)
{
	struct pa_session_image img = {.kind = PA_IMAGE_KERNEL};
	const struct pa_named_build_id *named;
	uint32_t path, i;

	if (s->kernel_plus1)
		return s->kernel_plus1 - 1;
	i = get_image(s, &img);
	if (i == PA_NONE)
		return i;
	path = pa_strings__intern(&s->procs.strings, "[kernel.kallsyms]", 17);
	if (path == PA_NONE)
		return PA_NONE;
	s->images[i].path = s->procs.strings.strs[path];
	named = find_build_id(s, path);
	if (named) /* not part of the key: there is one kernel */
		s->images[i].build_id_bytes = named->bytes;
	if (named)
		memcpy(s->images[i].build_id, named->id, named->bytes);
	s->kernel_plus1 = i + 1;
	return i;
}

int pa_session_images__open(struct pa_session *s, uint32_t i)
{
	struct pa_session_image *img = &s->images[i];
	struct pa_image_ref ref = {
		.kind = img->kind,
		.path = img->path,
		.build_id_bytes = img->build_id_bytes,
		.pid = (pid_t)img->hit_pid,
		.start_ns = img->birth_ns,
		.map_start = img->hit_start,
		.map_bytes = img->hit_bytes,
		.map_pgoff = img->hit_pgoff,
	};

	if (img->image || !s->opts.symbolizer)
		return 0;
	memcpy(ref.build_id, img->build_id, sizeof(ref.build_id));
	return pa_symbolizer__image(s->opts.symbolizer, &ref, s->opts.hold_images, &img->image);
}

int pa_session_images__hit(struct pa_session *s, uint32_t i, uint32_t pid,
			   const struct pa_piece *piece)
{
	struct pa_session_image *img = &s->images[i];

	if (img->hit_bytes)
		return 0;
	img->hit_pid = pid;
	img->hit_start = piece->start;
	img->hit_bytes = piece->end - piece->start;
	img->hit_pgoff = piece->pgoff;
	return s->opts.hold_images ? pa_session_images__open(s, i) : 0;
}

/* " (deleted)" is left out of the name only where a build-id still tells which file it was. */
static const char *shown_path(struct pa_session *s, const struct pa_session_image *img)
{
	static const char deleted[] = " (deleted)";
	size_t bytes = strlen(img->path), suffix = sizeof(deleted) - 1;
	uint32_t path;

	if (img->kind == PA_IMAGE_KERNEL)
		return "[kernel]";
	if (img->kind == PA_IMAGE_VDSO)
		return "[vdso]";
	if (img->kind == PA_IMAGE_JIT)
		return "[jit]";
	if (!img->build_id_bytes || bytes <= suffix || strcmp(img->path + bytes - suffix, deleted))
		return img->path;
	path = pa_strings__intern(&s->procs.strings, img->path, bytes - suffix);
	return path == PA_NONE ? NULL : s->procs.strings.strs[path];
}

const struct pa_map_info *pa_session_images__info(struct pa_session *s, uint32_t i)
{
	struct pa_session_image *img = &s->images[i];
	struct pa_map_info *info = img->info;

	if (info)
		return info;
	if (img->kind == PA_IMAGE_JIT && s->jit_info)
		return img->info = s->jit_info;
	info = pa_pool__alloc(&s->infos, sizeof(*info));
	if (!info)
		return NULL;
	*info = (struct pa_map_info){
		.kind = img->kind,
		.path = shown_path(s, img),
		.index = s->info_cnt++,
	};
	if (!info->path)
		return NULL;
	if (img->build_id_bytes && img->kind != PA_IMAGE_JIT) {
		uint8_t *id = pa_pool__alloc(&s->infos, sizeof(img->build_id));

		if (!id)
			return NULL;
		memcpy(id, img->build_id, sizeof(img->build_id));
		info->build_id = id;
		info->build_id_bytes = img->build_id_bytes;
	}
	if (img->kind == PA_IMAGE_FILE && img->pgoff_max > img->pgoff_min) {
		info->file_offset = img->pgoff_min;
		info->bytes = img->pgoff_max - img->pgoff_min;
	}
	if (img->kind == PA_IMAGE_JIT)
		s->jit_info = info;
	return img->info = info;
}

void pa_session_images__free(struct pa_session *s)
{
	free(s->images);
	pa_index__free(&s->image_table);
	free(s->build_ids);
	pa_index__free(&s->build_id_table);
	pa_pool__free(&s->infos);
}
