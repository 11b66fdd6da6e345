// SPDX-License-Identifier: GPL-2.0-only
/*
 * images.c - identify the files behind executable mappings. All of it is the processes' own
 * choice: a name may be anything, a file may change or go, so a file is only believed when device
 * and inode are those of the mapping, and only regular files are opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <uthash.h>

#include "capture/images.h"
#include "pool.h"

#define HELD_MAX 1024
#define DELETED " (deleted)"

struct file_key {
	uint64_t dev, ino, size;
	struct timespec mtime, ctime;
};

struct file {
	struct file_key key;
	char *name; /* first name that it was seen by */
	uint8_t build_id[PD_BUILD_ID_MAX];
	uint8_t build_id_bytes;
	bool is_elf;
	uint32_t number;
	int fd; /* held, or -1 */
	UT_hash_handle hh;
};

struct pa_images {
	struct file *files; /* uthash keeps the order of insertion */
	struct file **by_number;
	size_t file_cnt, file_cap;
	size_t held_cnt, held_max;
	char name[PATH_MAX]; /* of the last mapping completed, when it had to be changed */
};

int pa_images__new(struct pa_images **out)
{
	struct pa_images *t = calloc(1, sizeof(*t));
	struct rlimit limit;

	*out = t;
	if (!t)
		return -ENOMEM;
	t->held_max = HELD_MAX;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur / 4 < t->held_max)
		t->held_max = limit.rlim_cur / 4;
	return 0;
}

void pa_images__free(struct pa_images *t)
{
	struct file *f, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->files, f, next) {
		HASH_DEL(t->files, f);
		if (f->fd >= 0)
			close(f->fd);
		free(f->name);
		free(f);
	}
	free(t->by_number);
	free(t);
}

static void make_key(const struct stat *st, struct file_key *key)
{
	memset(key, 0, sizeof(*key)); /* padding is hashed too */
	key->dev = st->st_dev;
	key->ino = st->st_ino;
	key->size = (uint64_t)st->st_size;
	key->mtime = st->st_mtim;
	key->ctime = st->st_ctim;
}

static bool is_of_mapping(const struct stat *st, const struct pd_mmap *m)
{
	return S_ISREG(st->st_mode) && st->st_ino == m->ino && major(st->st_dev) == m->maj &&
	       minor(st->st_dev) == m->min;
}

static struct file *find(struct pa_images *t, const struct stat *st)
{
	struct file_key key;
	struct file *f;

	make_key(st, &key);
	HASH_FIND(hh, t->files, &key, sizeof(key), f);
	return f;
}

/* Where the file may be opened, best first: the mapping itself can't be anything else. */
enum place { PLACE_MAP_FILES, PLACE_ROOT, PLACE_PATH, PLACE_CNT };

static int open_place(enum place place, const struct pd_mmap *m, const char *name)
{
	char path[96];

	switch (place) {
	case PLACE_MAP_FILES:
		snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", m->pid,
			 (unsigned long long)m->start, (unsigned long long)(m->start + m->bytes));
		return pa_open_regular(path);
	case PLACE_ROOT:
		snprintf(path, sizeof(path), "/proc/%u/root", m->pid);
		return pa_open_regular_in(path, name);
	default:
		return pa_open_regular(name);
	}
}

static int open_mapping(const struct pd_mmap *m, const char *name, struct stat *st)
{
	for (enum place place = PLACE_MAP_FILES; place < PLACE_CNT; place++) {
		int fd = open_place(place, m, name);

		if (fd < 0)
			continue;
		if (!fstat(fd, st) && (place == PLACE_MAP_FILES || is_of_mapping(st, m)))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

/* Keep the descriptor when the name would not lead back to the file. */
static bool must_hold(const struct pa_images *t, const char *name, const struct stat *st)
{
	struct stat by_name;

	if (t->held_cnt >= t->held_max)
		return false;
	return !st->st_nlink || stat(name, &by_name) || by_name.st_dev != st->st_dev ||
	       by_name.st_ino != st->st_ino;
}

static struct file *add(struct pa_images *t, const char *name, int fd, const struct stat *st)
{
	struct file *f;
	int n;

	if (pa_array_grow(&t->by_number, t->file_cnt, &t->file_cap, sizeof(*t->by_number)))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->name = strdup(name);
	if (!f->name) {
		free(f);
		return NULL;
	}
	make_key(st, &f->key);
	n = pa_build_id__read_fd(fd, f->build_id);
	f->is_elf = n >= 0;
	f->build_id_bytes = n > 0 ? (uint8_t)n : 0;
	f->fd = -1;
	if (f->is_elf && must_hold(t, name, st)) {
		f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		t->held_cnt += f->fd >= 0;
	}
	f->number = (uint32_t)t->file_cnt;
	t->by_number[t->file_cnt++] = f;
	HASH_ADD(hh, t->files, key, sizeof(f->key), f);
	return f;
}

static int identify(struct pa_images *t, const struct pd_mmap *m, const char *name,
		    struct file **out)
{
	struct stat st;
	int fd;

	/* most often the name leads to a file that is known: no need to open it */
	*out = NULL;
	if (!stat(name, &st) && is_of_mapping(&st, m))
		*out = find(t, &st);
	if (*out)
		return 0;
	fd = open_mapping(m, name, &st);
	if (fd < 0)
		return 0;
	*out = find(t, &st);
	if (!*out)
		*out = add(t, name, fd, &st);
	close(fd);
	return *out ? 0 : -ENOMEM;
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Code without a file, by the names that the kernel gives such memory. */
static bool is_anonymous(const char *name)
{
	return !*name || starts_with(name, "//anon") || starts_with(name, "/dev/zero") ||
	       starts_with(name, "/anon_hugepage") || starts_with(name, "/SYSV") ||
	       starts_with(name, "[anon") || starts_with(name, "[heap]") ||
	       starts_with(name, "[stack");
}

static void become_anonymous(struct pd_mmap *m)
{
	m->filename = "//anon";
	m->maj = m->min = 0;
	m->ino = 0;
}

int pa_images__complete(struct pa_images *t, struct pd_mmap *m, uint32_t *file)
{
	const char *name = m->filename;
	size_t len = strlen(name);
	struct file *f;
	struct stat st;
	int err;

	m->build_id_bytes = 0;
	*file = PA_NO_FILE;
	if (is_anonymous(name)) {
		become_anonymous(m);
		return 0;
	}
	if (*name != '/') /* [vdso] and its like */
		return 0;
	if (len > strlen(DELETED) && len < sizeof(t->name) &&
	    !strcmp(name + len - strlen(DELETED), DELETED) &&
	    (stat(name, &st) || !is_of_mapping(&st, m))) {
		snprintf(t->name, sizeof(t->name), "%.*s", (int)(len - strlen(DELETED)), name);
		m->filename = t->name;
	}
	err = identify(t, m, m->filename, &f);
	if (err)
		return err;
	/* A memfd that holds no ELF image is a JIT's: it has a perf-map, if anything. */
	if (starts_with(m->filename, "/memfd:") && (!f || !f->is_elf)) {
		become_anonymous(m);
		return 0;
	}
	if (f && f->is_elf)
		*file = f->number;
	if (f && f->build_id_bytes) {
		memcpy(m->build_id, f->build_id, sizeof(m->build_id));
		m->build_id_bytes = f->build_id_bytes;
	}
	return 0;
}

int pa_images__open(const struct pa_images *t, uint32_t file, const char **path)
{
	const struct file *f = t->by_number[file];
	struct file_key key;
	struct stat st;
	int fd;

	*path = f->name;
	if (f->fd >= 0) {
		fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	fd = pa_open_regular(f->name);
	if (fd < 0)
		return fd;
	if (!fstat(fd, &st)) {
		make_key(&st, &key);
		if (!memcmp(&key, &f->key, sizeof(key)))
			return fd;
	}
	close(fd);
	return -ESTALE;
}

int pa_images__open_held(struct pa_images *t, const struct pa_image_ref *ref)
{
	struct file *f, *next;
	int fd;

	HASH_ITER (hh, t->files, f, next) {
		if (f->fd < 0 || f->build_id_bytes != ref->build_id_bytes ||
		    memcmp(f->build_id, ref->build_id, f->build_id_bytes) ||
		    strcmp(f->name, ref->path))
			continue;
		fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

void pa_images__each(const struct pa_images *t,
		     void (*cb)(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes),
		     void *ctx)
{
	for (const struct file *f = t->files; f; f = f->hh.next)
		if (f->build_id_bytes)
			cb(ctx, f->name, f->build_id, f->build_id_bytes);
}
