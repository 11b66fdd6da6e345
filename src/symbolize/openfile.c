// SPDX-License-Identifier: GPL-2.0-only
/*
 * openfile.c - open files that a profiled process has named. Only regular files are opened for
 * reading: each is first taken as a place (O_PATH), so that no FIFO blocks and no device driver
 * runs; links below /proc/PID/root stay inside that root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define PATH_BYTES 4352

/* Take over place (an O_PATH descriptor) and open it for reading if it is a regular file. */
static int reopen(int place)
{
	char path[64];
	struct stat st;
	int fd;

	if (place < 0)
		return -errno;
	if (fstat(place, &st)) {
		fd = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		fd = -EINVAL;
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			fd = -errno;
	}
	close(place);
	return fd;
}

int pa_open_regular(const char *path)
{
	return reopen(open(path, O_PATH | O_CLOEXEC));
}

static int open_in(const char *root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int dir, fd;

	if (!strcmp(root, "/"))
		return reopen(open(path, (int)how.flags));
	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = reopen((int)syscall(SYS_openat2, dir, path, &how, sizeof(how)));
	close(dir);
	return fd;
}

int pa_open_regular_in(const char *root, const char *path)
{
	return open_in(root, path, 0);
}

int pa_open_plain_in(const char *root, const char *path)
{
	return open_in(root, path, O_NOFOLLOW);
}

bool pa_build_id_matches(int fd, const struct pa_image_ref *ref)
{
	uint8_t id[20];
	int n;

	if (!ref->build_id_bytes)
		return true;
	n = pa_build_id__read_fd(fd, id);
	/* perf.data knows 20 bytes of a build-id; shorter ones may have been padded. */
	return n > 0 && n <= ref->build_id_bytes && ref->build_id_bytes <= 20 &&
	       !memcmp(id, ref->build_id, ref->build_id_bytes);
}

/* Keep fd if it is what ref wants. */
static int accept_image(int fd, const struct pa_image_ref *ref, bool *mismatch)
{
	if (fd < 0 || pa_build_id_matches(fd, ref))
		return fd;
	close(fd);
	*mismatch = true;
	return -ENOENT;
}

int pa_open_searched(const struct pa_search *search, const char *path)
{
	if (search && search->symfs && *search->symfs)
		return pa_open_regular_in(search->symfs, path);
	return pa_open_regular(path);
}

int pa_open_cached(const struct pa_search *search, const uint8_t *id, size_t bytes,
		   const char *name)
{
	char hex[41] = "", path[PATH_BYTES];
	int fd;

	if (!search || !search->buildid_dir || !*search->buildid_dir || bytes < 2 || bytes > 20)
		return -ENOENT;
	for (size_t i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	snprintf(path, sizeof(path), "%.4000s/.build-id/%.2s/%s/%s", search->buildid_dir, hex,
		 hex + 2, name);
	fd = pa_open_regular(path);
	if (fd >= 0 || strcmp(name, "elf"))
		return fd;
	/* of an older perf: a link to the file itself */
	snprintf(path, sizeof(path), "%.4000s/.build-id/%.2s/%s", search->buildid_dir, hex,
		 hex + 2);
	return pa_open_regular(path);
}

/* A binary that is found by its build-id alone. */
static int open_by_id(const struct pa_search *search, const struct pa_image_ref *ref)
{
	bool unused;
	int fd = accept_image(pa_open_cached(search, ref->build_id, ref->build_id_bytes, "elf"),
			      ref, &unused);

	if (fd < 0 && search->debuginfod && ref->build_id_bytes)
		fd = accept_image(pa_debuginfod__open(search->debuginfod, ref->build_id,
						      ref->build_id_bytes, true),
				  ref, &unused);
	return fd;
}

int pa_open_here(const struct pa_search *search, const struct pa_image_ref *ref)
{
	bool unused;

	if (!ref->build_id_bytes || !ref->path || ref->path[0] != '/')
		return -ENOENT;
	return accept_image(pa_open_searched(search, ref->path), ref, &unused);
}

int pa_open_image(const struct pa_symbolizer_opts *opts, const struct pa_image_ref *ref,
		  bool *mismatch)
{
	char path[PATH_BYTES];
	int fd = -ENOENT;

	*mismatch = false;
	if (opts->live && ref->pid > 0 && ref->map_bytes) {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, ref->pid,
			 ref->map_start, ref->map_start + ref->map_bytes);
		fd = accept_image(pa_open_regular(path), ref, mismatch);
	}
	if (!ref->path || ref->path[0] != '/' || strlen(ref->path) >= PATH_BYTES - 512)
		return fd >= 0 ? fd : open_by_id(&opts->search, ref);
	if (fd < 0 && opts->live && ref->pid > 0) {
		snprintf(path, sizeof(path), "/proc/%d/root", ref->pid);
		fd = accept_image(pa_open_regular_in(path, ref->path), ref, mismatch);
	}
	if (fd < 0)
		fd = accept_image(pa_open_searched(&opts->search, ref->path), ref, mismatch);
	if (fd < 0)
		fd = open_by_id(&opts->search, ref);
	return fd;
}
