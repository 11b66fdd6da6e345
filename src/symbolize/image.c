// SPDX-License-Identifier: GPL-2.0-only
/*
 * image.c - the images of a symbolizer: which references are the same image, opening its file,
 * and reading its symbols. Two images that turn out to be the same file (dev, inode, size and
 * times) share one table of symbols.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"
#include "symbolize/jitdump.h"

#define KEY_BYTES 4608
#define VDSO_MAX_BYTES 65536

void pa_warn(struct pa_symbolizer *s, const char *fmt, ...)
{
	char msg[4608];
	va_list args;

	if (!s->opts.warn)
		return;
	va_start(args, fmt);
	vsnprintf(msg, sizeof(msg), fmt, args);
	va_end(args);
	s->opts.warn(s->opts.ctx, msg);
}

bool pa_path_is_gone(const char *path)
{
	size_t bytes = strlen(path);
	static const char deleted[] = " (deleted)";

	if (path[0] != '/' || !strncmp(path, "/memfd:", 7) || !strncmp(path, "//", 2))
		return true;
	return bytes > sizeof(deleted) && !strcmp(path + bytes - sizeof(deleted) + 1, deleted);
}

/* ---- keys ------------------------------------------------------------------------------- */

static size_t put(char *key, size_t at, const void *data, size_t bytes)
{
	if (bytes > KEY_BYTES - at)
		bytes = KEY_BYTES - at;
	memcpy(key + at, data, bytes);
	return at + bytes;
}

/* What an image is found by when its file has not been looked at. A path without a build-id
 * says little on a live machine, where processes may have roots of their own. */
static size_t image_key(const struct pa_symbolizer *s, const struct pa_image_ref *ref, char *key)
{
	const char *path = ref->path ? ref->path : "";
	size_t at = put(key, 0, &(char){(char)ref->kind}, 1);

	if (ref->kind == PA_IMAGE_JIT) {
		at = put(key, at, &ref->pid, sizeof(ref->pid));
		return put(key, at, &ref->start_ns, sizeof(ref->start_ns));
	}
	if (ref->kind != PA_IMAGE_FILE)
		return at;
	at = put(key, at, &ref->build_id_bytes, 1);
	at = put(key, at, ref->build_id, 20);
	if (!ref->build_id_bytes && (s->opts.live || pa_path_is_gone(path)))
		at = put(key, at, &ref->pid, sizeof(ref->pid));
	return put(key, at, path, strlen(path));
}

/* One mapping of one process: what a held image is found by, before its file is opened. */
static size_t mapping_key(const struct pa_image_ref *ref, char *key)
{
	const char *path = ref->path ? ref->path : "";
	size_t at = put(key, 0, "m", 1);

	at = put(key, at, &ref->pid, sizeof(ref->pid));
	at = put(key, at, &ref->start_ns, sizeof(ref->start_ns));
	at = put(key, at, &ref->map_start, sizeof(ref->map_start));
	at = put(key, at, &ref->map_bytes, sizeof(ref->map_bytes));
	at = put(key, at, &ref->build_id_bytes, 1);
	at = put(key, at, ref->build_id, 20);
	return put(key, at, path, strlen(path));
}

static size_t id_key(char prefix, const struct pa_file_id *id, char *key)
{
	size_t at = put(key, 0, &prefix, 1);

	return put(key, at, id, sizeof(*id));
}

/* ---- images ----------------------------------------------------------------------------- */

static int new_image(struct pa_symbolizer *s, const struct pa_image_ref *ref, struct pa_image **out)
{
	struct pa_image *image = calloc(1, sizeof(*image));

	*out = NULL;
	if (!image)
		return -ENOMEM;
	image->fd = image->jitdump_fd = -1;
	image->kind = ref->kind;
	image->path = strdup(ref->path ? ref->path : "");
	if (!image->path) {
		free(image);
		return -ENOMEM;
	}
	memcpy(image->build_id, ref->build_id, sizeof(image->build_id));
	image->build_id_bytes = ref->build_id_bytes <= 20 ? ref->build_id_bytes : 20;
	image->pid = ref->pid;
	image->start_ns = ref->start_ns;
	image->map_start = ref->map_start;
	image->map_bytes = ref->map_bytes;
	image->map_pgoff = ref->map_pgoff;
	image->next = s->images;
	s->images = image;
	s->stats.images++;
	*out = image;
	return 0;
}

/* A JIT image of a process, whatever its start: one with saved symbols, or the newest. */
static size_t process_key(const struct pa_image_ref *ref, char *key)
{
	size_t at = put(key, 0, "j", 1);

	return put(key, at, &ref->pid, sizeof(ref->pid));
}

/* A start that is unknown on one side is no difference. */
static struct pa_image *find_jit(struct pa_symbolizer *s, const struct pa_image_ref *ref)
{
	struct pa_image_ref any = *ref;
	char key[KEY_BYTES];
	struct pa_image *i;

	any.start_ns = 0;
	i = pa_table__get(&s->table, key,
			  ref->start_ns ? image_key(s, &any, key) : process_key(ref, key));
	return i && i->saved_cnt ? i : NULL;
}

int pa_image__get(struct pa_symbolizer *s, const struct pa_image_ref *ref, struct pa_image **out)
{
	char key[KEY_BYTES];
	size_t bytes = image_key(s, ref, key);
	struct pa_image *newest;
	int err = 0;

	*out = pa_table__get(&s->table, key, bytes);
	if (*out)
		return 0;
	if (ref->kind == PA_IMAGE_JIT && s->has_saved)
		*out = find_jit(s, ref);
	if (!*out)
		err = new_image(s, ref, out);
	if (!err)
		err = pa_table__set(&s->table, key, bytes, *out);
	if (err || ref->kind != PA_IMAGE_JIT)
		return err;
	bytes = process_key(ref, key);
	newest = pa_table__get(&s->table, key, bytes);
	return newest && newest->saved_cnt ? 0 : pa_table__set(&s->table, key, bytes, *out);
}

static struct pa_image_ref ref_of(const struct pa_image *image)
{
	struct pa_image_ref ref = {
		.kind = image->kind,
		.path = image->path,
		.build_id_bytes = image->build_id_bytes,
		.pid = image->pid,
		.start_ns = image->start_ns,
		.map_start = image->map_start,
		.map_bytes = image->map_bytes,
		.map_pgoff = image->map_pgoff,
	};

	memcpy(ref.build_id, image->build_id, sizeof(ref.build_id));
	return ref;
}

/* Processes whose mappings have one path and one build-id share an image. Which file names it must
 * not be the choice of one of them, which may have a root of its own: what is here comes first, as
 * when a perf.data file is read. */
static int open_ref(struct pa_symbolizer *s, const struct pa_image_ref *ref, struct pa_file_id *id)
{
	bool mismatch = false;
	struct stat st;
	int fd = s->opts.live ? pa_open_here(&s->opts.search, ref) : -ENOENT;

	if (fd < 0)
		fd = -ENOENT;
	if (fd < 0 && s->opts.open_image) {
		fd = s->opts.open_image(s->opts.ctx, ref);
		mismatch = fd >= 0 && !pa_build_id_matches(fd, ref);
		if (mismatch) {
			close(fd);
			fd = -EIO;
		}
	}
	if (fd == -ENOENT)
		fd = pa_open_image(&s->opts, ref, &mismatch);
	if (fd < 0) {
		if (mismatch)
			pa_warn(s,
				"%s: another file now: its build-id differs from the one recorded",
				ref->path ? ref->path : "image");
		return mismatch ? -ESTALE : fd;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	pa_file_id__from(id, &st);
	return fd;
}

void pa_file_id__from(struct pa_file_id *id, const struct stat *st)
{
	*id = (struct pa_file_id){st->st_dev,	      st->st_ino,	   (uint64_t)st->st_size,
				  st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
				  st->st_ctim.tv_nsec};
}

int pa_image__get_held(struct pa_symbolizer *s, const struct pa_image_ref *ref,
		       struct pa_image **out)
{
	char mapping[KEY_BYTES], key[KEY_BYTES];
	size_t mapping_bytes = mapping_key(ref, mapping), key_bytes;
	struct pa_file_id id;
	int fd, err = 0;

	*out = pa_table__get(&s->table, mapping, mapping_bytes);
	if (*out)
		return 0;
	fd = open_ref(s, ref, &id);
	if (fd < 0) {
		err = pa_image__get(s, ref, out);
		return err ? err : pa_table__set(&s->table, mapping, mapping_bytes, *out);
	}
	key_bytes = id_key('i', &id, key);
	*out = pa_table__get(&s->table, key, key_bytes);
	if (!*out) {
		err = new_image(s, ref, out);
		if (!err)
			err = pa_table__set(&s->table, key, key_bytes, *out);
		if (!err) {
			(*out)->id = id;
			(*out)->has_id = true;
		}
		if (!err && s->held_cnt < s->held_max) {
			(*out)->fd = fd;
			s->held_cnt++;
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	return err ? err : pa_table__set(&s->table, mapping, mapping_bytes, *out);
}

void pa_image__close(struct pa_symbolizer *s, struct pa_image *image)
{
	if (image->fd < 0)
		return;
	close(image->fd);
	image->fd = -1;
	s->held_cnt--;
}

static void object_free(struct pa_object *o)
{
	pa_elfsyms__free(o->syms);
	pa_dwarf__free(o->dwarf);
	free(o->made);
	free(o);
}

void pa_objects__free(struct pa_symbolizer *s)
{
	while (s->objects) {
		struct pa_object *o = s->objects;

		s->objects = o->next;
		object_free(o);
	}
}

void pa_image__destroy(struct pa_symbolizer *s, struct pa_image *image)
{
	pa_image__close(s, image);
	if (image->jitdump_fd >= 0)
		close(image->jitdump_fd);
	pa_perfmap__free(image->perfmap);
	pa_jitdump__free(image->jitdump);
	free(image->jitdump_path);
	free(image->jitdump_made);
	free(image->path);
	free(image->made);
	free(image->saved);
	free(image);
}

/* ---- symbols of files ---------------------------------------------------------------------- */

static int new_object(struct pa_symbolizer *s, struct pa_object **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->next = s->objects;
	s->objects = *out;
	return 0;
}

/* A Go program with symbols but without DWARF: its own table knows its lines. */
static int load_go_lines(const struct pa_elf *e, struct pa_elfsyms *syms)
{
	int err = 0;

	if (!syms->go && syms->cnt && pa_elf__section(e, ".gopclntab", 0) &&
	    !pa_elf__section(e, ".debug_info", 0) && !pa_elf__section(e, ".zdebug_info", 0))
		err = pa_gopclntab__load(e, &syms->go);
	return err == -ENOMEM ? err : 0;
}

/* Read the tables of fd into o. Takes fd over for the DWARF, when that is wanted. */
static int fill_object(struct pa_symbolizer *s, struct pa_object *o, const struct pa_image *image,
		       int fd)
{
	bool want_dwarf = s->opts.decl_lines || s->opts.lines || s->opts.inlines;
	struct pa_elf e;
	int err = -EFBIG;

	if (s->table_bytes < PA_TABLES_MAX_BYTES) {
		err = pa_elf__open_fd(&e, fd);
		if (!err)
			err = pa_elfsyms__load(&e, image->path, &s->opts.search, &o->syms);
		if (!err && want_dwarf)
			err = load_go_lines(&e, o->syms);
		pa_elf__close(&e);
	}
	if (o->syms)
		s->table_bytes += pa_elfsyms__memory_bytes(o->syms);
	if (err || !want_dwarf || !o->syms->cnt || s->held_cnt + 2 > s->held_max) {
		close(fd);
		return err;
	}
	err = pa_dwarf__new(fd, image->path, &s->opts, &o->dwarf);
	if (!err)
		s->held_cnt += 2;
	return err == -ENOMEM ? err : 0;
}

static void count_object(struct pa_symbolizer *s, const struct pa_image *image, int err)
{
	if (err) {
		s->stats.images_failed++;
		if (err != -ESTALE && err != -ENOENT)
			pa_warn(s, "%s: failed to read symbols: %s", image->path, strerror(-err));
	} else if (!image->object->syms->cnt) {
		s->stats.images_without_symbols++;
	}
}

static int open_own(struct pa_symbolizer *s, struct pa_image *image, struct pa_file_id *id)
{
	struct pa_image_ref ref = ref_of(image);
	int fd = image->is_stale ? -ESTALE : open_ref(s, &ref, id);

	image->is_stale = fd == -ESTALE;
	return fd;
}

int pa_symbolizer__open_file(struct pa_symbolizer *s, struct pa_image *image)
{
	struct pa_file_id id;
	int fd;

	if (image->kind != PA_IMAGE_FILE)
		return -ENOENT;
	if (image->fd < 0)
		return open_own(s, image, &id);
	fd = fcntl(image->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int load_file(struct pa_symbolizer *s, struct pa_image *image)
{
	char key[KEY_BYTES];
	size_t key_bytes;
	int fd = image->fd, err;

	if (fd >= 0) {
		image->fd = -1;
		s->held_cnt--;
	} else {
		fd = open_own(s, image, &image->id);
	}
	if (fd < 0) {
		count_object(s, image, fd);
		return 0;
	}
	image->has_id = true;
	key_bytes = id_key('o', &image->id, key);
	image->object = pa_table__get(&s->table, key, key_bytes);
	if (image->object) {
		close(fd);
		return 0;
	}
	err = new_object(s, &image->object);
	if (err) {
		close(fd);
		return err;
	}
	err = pa_table__set(&s->table, key, key_bytes, image->object);
	if (err) {
		close(fd);
		return err;
	}
	err = fill_object(s, image->object, image, fd);
	if (err == -ENOMEM)
		return err;
	count_object(s, image, err);
	return 0;
}

int pa_symbolizer__vdso(const struct pa_symbolizer *s, const void **out, size_t *bytes)
{
	return s->opts.live ? pa_own_vdso(out, bytes) : -ENOENT;
}

int pa_own_vdso(const void **out, size_t *bytes)
{
	const void *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
	Elf64_Ehdr h;

	if (!vdso)
		return -ENOENT;
	memcpy(&h, vdso, sizeof(h));
	*out = vdso;
	*bytes = h.e_shoff + (size_t)h.e_shnum * h.e_shentsize;
	return *bytes < sizeof(h) || *bytes > VDSO_MAX_BYTES ? -ENOENT : 0;
}

static int load_vdso(struct pa_symbolizer *s, struct pa_image *image)
{
	const void *vdso;
	size_t bytes;
	struct pa_elf e;
	int err;

	if (pa_symbolizer__vdso(s, &vdso, &bytes))
		return 0;
	err = new_object(s, &image->object);
	if (err)
		return err;
	err = pa_elf__open_mem(&e, vdso, bytes);
	if (!err)
		err = pa_elfsyms__load(&e, NULL, NULL, &image->object->syms);
	pa_elf__close(&e);
	if (err == -ENOMEM)
		return err;
	count_object(s, image, err);
	return 0;
}

int pa_image__load(struct pa_symbolizer *s, struct pa_image *image)
{
	if (image->loaded)
		return 0;
	image->loaded = true;
	if (image->kind == PA_IMAGE_FILE)
		return load_file(s, image);
	return image->kind == PA_IMAGE_VDSO ? load_vdso(s, image) : 0;
}

/* ---- perf-maps ------------------------------------------------------------------------------ */

static void warn_perfmap(struct pa_symbolizer *s, struct pa_image *image, const char *why)
{
	if (!image->map_warned)
		pa_warn(s, "perf-map of process %d: %s", image->pid, why);
	image->map_warned = true;
}

/* Prefer the file of that name now over the one that is held: it may have been made anew. */
static int open_perfmap(struct pa_symbolizer *s, struct pa_image *image, bool *owned)
{
	bool refused = false;
	int fd = pa_perfmap__open(image->pid, &refused);

	*owned = fd >= 0;
	if (refused)
		warn_perfmap(s, image, "not owned by the user of the process: not used");
	if (fd < 0)
		return image->fd >= 0 ? image->fd : fd;
	return fd;
}

static void hold_perfmap(struct pa_symbolizer *s, struct pa_image *image, int fd)
{
	pa_image__close(s, image);
	if (s->held_cnt >= s->held_max) {
		close(fd);
		return;
	}
	image->fd = fd;
	s->held_cnt++;
}

void pa_image__hold_perfmap(struct pa_symbolizer *s, struct pa_image *image)
{
	bool owned;
	int fd;

	if (!s->opts.live || image->pid <= 0 || image->fd >= 0)
		return;
	fd = open_perfmap(s, image, &owned);
	if (fd >= 0 && owned)
		hold_perfmap(s, image, fd);
}

int pa_image__read_perfmap(struct pa_symbolizer *s, struct pa_image *image)
{
	struct pa_file_id id;
	struct stat st;
	bool owned;
	int fd, err = 0;

	image->loaded = true;
	if (!s->opts.live || image->pid <= 0)
		return 0;
	fd = open_perfmap(s, image, &owned);
	if (fd < 0)
		return 0;
	if (!image->perfmap)
		err = pa_perfmap__new(&image->perfmap);
	if (!err && !fstat(fd, &st)) {
		pa_file_id__from(&id, &st);
		if (memcmp(&id, &image->map_id, sizeof(id)))
			err = pa_perfmap__read(image->perfmap, fd);
		image->map_id = id;
		if (err == -EFBIG)
			warn_perfmap(s, image, "too large: its end is not read");
	}
	if (owned)
		hold_perfmap(s, image, fd);
	return err == -ENOMEM ? err : 0;
}

/* ---- jitdumps ------------------------------------------------------------------------------- */

static void open_jitdump(struct pa_symbolizer *s, struct pa_image *image)
{
	bool refused;
	int fd;

	if (!s->opts.live || image->pid <= 0 || image->jitdump_fd >= 0)
		return;
	fd = pa_jitdump__open(image->pid, image->jitdump_path, &refused);
	if (refused)
		pa_warn(s, "%s: not owned by the user of process %d: not used", image->jitdump_path,
			image->pid);
	if (fd >= 0)
		s->held_cnt++;
	image->jitdump_fd = fd < 0 ? -1 : fd;
}

int pa_image__set_jitdump(struct pa_symbolizer *s, struct pa_image *image, const char *path)
{
	if (image->jitdump_path)
		return 0;
	image->jitdump_path = strdup(path);
	if (!image->jitdump_path)
		return -ENOMEM;
	if (s->held_cnt < s->held_max)
		open_jitdump(s, image);
	return 0;
}

int pa_image__read_jitdump(struct pa_symbolizer *s, struct pa_image *image)
{
	int err = 0;

	if (!image->jitdump_path)
		return 0;
	open_jitdump(s, image);
	if (image->jitdump_fd < 0)
		return 0;
	if (!image->jitdump)
		err = pa_jitdump__new(&image->jitdump);
	if (!err)
		err = pa_jitdump__read(image->jitdump, image->jitdump_fd);
	if (s->held_cnt > s->held_max) {
		close(image->jitdump_fd);
		image->jitdump_fd = -1;
		s->held_cnt--;
	}
	if (err && err != -ENOMEM)
		pa_warn(s, "%s: %s", image->jitdump_path,
			err == -EFBIG	  ? "too large: its end is not read"
			: err == -EBADMSG ? "damaged: the rest is not read"
					  : strerror(-err));
	return err == -ENOMEM ? err : 0;
}
