// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfile.c - what a stripped image left elsewhere: the debug file that its build-id or its
 * .gnu_debuglink names, the shared DWARF of dwz, and the mini-debuginfo in .gnu_debugdata. Each
 * is proven to belong to the image (build-id or CRC) before it is used.
 */
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define PATH_BYTES 4352
#define LINK_MAX_BYTES 4352
#define CRC_CHUNK_BYTES 262144
#define CRC_MAX_BYTES (1ull << 30) /* of one candidate: there are a few */
#define XZ_MEMORY_BYTES (128u << 20)

static const char default_dir[] = "/usr/lib/debug";
static const char *const default_dirs[] = {default_dir, NULL};

/* The image's own build-id; the reader's for a file, from the notes for memory. */
static int own_build_id(const struct pa_elf *e, uint8_t id[20])
{
	return e->mem ? 0 : pa_build_id__read_fd(e->fd, id);
}

/* Keep fd if it has that build-id. */
static int accept_id(int fd, const uint8_t *id, size_t bytes)
{
	struct pa_image_ref want = {.build_id_bytes = (uint8_t)bytes};

	if (fd < 0)
		return -ENOENT;
	memcpy(want.build_id, id, bytes);
	if (pa_build_id_matches(fd, &want))
		return fd;
	close(fd);
	return -ENOENT;
}

/* The default directory is part of the system that symfs holds; others are where they are. */
static int open_in_dir(const struct pa_search *search, const char *dir, const char *path)
{
	char full[PATH_BYTES];
	int n = snprintf(full, sizeof(full), "%s%s", dir, path);

	if (n < 0 || (size_t)n >= sizeof(full))
		return -ENOENT;
	return dir == default_dir ? pa_open_searched(search, full) : pa_open_regular(full);
}

static const char *const *debug_dirs(const struct pa_search *search)
{
	return search && search->debug_dirs ? search->debug_dirs : default_dirs;
}

static int open_by_build_id(const uint8_t *id, size_t bytes, const struct pa_search *search)
{
	char path[PATH_BYTES];
	int at, fd = -ENOENT;

	if (bytes < 2 || bytes > 20)
		return -ENOENT;
	at = snprintf(path, sizeof(path), "/.build-id/%02x/", id[0]);
	for (size_t i = 1; i < bytes; i++)
		at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x", id[i]);
	snprintf(path + at, sizeof(path) - (size_t)at, ".debug");
	for (const char *const *dir = debug_dirs(search); fd < 0 && *dir; dir++)
		fd = accept_id(open_in_dir(search, *dir, path), id, bytes);
	if (fd < 0)
		fd = accept_id(pa_open_cached(search, id, bytes, "debug"), id, bytes);
	if (fd < 0 && search && search->debuginfod)
		fd = accept_id(pa_debuginfod__open(search->debuginfod, id, bytes, false), id,
			       bytes);
	return fd;
}

static int crc_of(int fd, uint32_t *crc)
{
	uint8_t *buf = malloc(CRC_CHUNK_BYTES);
	uint64_t at = 0;
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	*crc = 0;
	while (at < CRC_MAX_BYTES) {
		n = pread(fd, buf, CRC_CHUNK_BYTES, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*crc = lzma_crc32(buf, (size_t)n, *crc);
		at += (uint64_t)n;
	}
	free(buf);
	return n ? -EFBIG : 0;
}

/* Keep fd if its contents have that checksum. */
static int accept_crc(int fd, uint32_t want_crc)
{
	uint32_t crc;
	int err;

	if (fd < 0)
		return -ENOENT;
	err = crc_of(fd, &crc);
	if (!err && crc == want_crc)
		return fd;
	close(fd);
	return err == -ENOMEM ? err : -ENOENT;
}

/* The places where a debug link is looked for, as gdb does: beside the image, in .debug there,
 * and in each debug directory under the image's path. */
static int open_link(const struct pa_search *search, const char *path, size_t dir_bytes,
		     const char *name, uint32_t crc)
{
	static const char *const beside[] = {"", "/.debug"};
	char try[PATH_BYTES];
	int fd = -ENOENT;

	for (int i = 0; fd == -ENOENT && i < 2; i++)
		if (snprintf(try, sizeof(try), "%.*s%s/%s", (int)dir_bytes, path, beside[i], name) <
		    (int)sizeof(try))
			fd = accept_crc(pa_open_searched(search, try), crc);
	if (snprintf(try, sizeof(try), "%.*s/%s", (int)dir_bytes, path, name) >= (int)sizeof(try))
		return fd;
	for (const char *const *dir = debug_dirs(search); fd == -ENOENT && *dir; dir++)
		fd = accept_crc(open_in_dir(search, *dir, try), crc);
	return fd;
}

static int open_by_link(const struct pa_elf *e, const char *path, const struct pa_search *search)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".gnu_debuglink", 0);
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *link = NULL;
	uint32_t crc;
	size_t name_bytes;
	int fd;

	if (!s || !slash || path[0] != '/')
		return -ENOENT;
	fd = pa_elf__load(e, s, LINK_MAX_BYTES, (void **)&link);
	if (fd)
		return fd;
	fd = -ENOENT;
	name_bytes = strlen(link);
	/* The name is that of a file in one of our directories, never a way out of them. */
	if (!name_bytes || strchr(link, '/') || !strcmp(link, "..") ||
	    ((name_bytes + 4) & ~(size_t)3) + 4 > s->bytes)
		goto out;
	memcpy(&crc, link + ((name_bytes + 4) & ~(size_t)3), sizeof(crc));
	fd = open_link(search, path, (size_t)(slash - path), link, crc);
out:
	free(link);
	return fd;
}

int pa_debugfile__open_id(const struct pa_search *search, const uint8_t *id, size_t bytes)
{
	return open_by_build_id(id, bytes, search);
}

int pa_debugfile__open(const struct pa_elf *e, const char *path, const struct pa_search *search)
{
	uint8_t id[20];
	int n = own_build_id(e, id);
	int fd = -ENOENT;

	if (n > 0)
		fd = open_by_build_id(id, (size_t)n, search);
	if (fd == -ENOENT)
		fd = open_by_link(e, path, search);
	/* perf may have kept the binary before it was stripped */
	if (fd == -ENOENT && n > 0)
		fd = accept_id(pa_open_cached(search, id, (size_t)n, "elf"), id, (size_t)n);
	return fd;
}

/* The file that a link names: an absolute path, or one from where the linking file is. */
static int open_alt_path(const struct pa_elf *e, const struct pa_search *search, const char *link)
{
	char fd_path[64], path[2 * PATH_BYTES];
	const char *slash;
	ssize_t n;

	if (link[0] == '/')
		return pa_open_searched(search, link);
	if (!*link || e->mem)
		return -ENOENT;
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", e->fd);
	n = readlink(fd_path, path, PATH_BYTES);
	if (n <= 0 || n >= PATH_BYTES)
		return -ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || path[0] != '/')
		return -ENOENT;
	n = slash + 1 - path;
	snprintf(path + n, sizeof(path) - (size_t)n, "%s", link);
	return pa_open_regular(path);
}

int pa_debugfile__open_alt(const struct pa_elf *e, const struct pa_search *search, bool *has_alt)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".gnu_debugaltlink", 0);
	char *link = NULL;
	size_t name_bytes;
	int fd;

	*has_alt = s != NULL;
	if (!s)
		return -ENOENT;
	fd = pa_elf__load(e, s, LINK_MAX_BYTES, (void **)&link);
	if (fd)
		return fd;
	name_bytes = strlen(link);
	fd = -ENOENT;
	if (name_bytes < s->bytes && s->bytes - name_bytes - 1 <= 20) {
		const uint8_t *id = (const uint8_t *)link + name_bytes + 1;
		struct pa_image_ref want = {.build_id_bytes = (uint8_t)(s->bytes - name_bytes - 1)};

		memcpy(want.build_id, id, want.build_id_bytes);
		fd = open_by_build_id(id, want.build_id_bytes, search);
		if (fd < 0 && want.build_id_bytes) {
			fd = open_alt_path(e, search, link);
			if (fd >= 0 && !pa_build_id_matches(fd, &want)) {
				close(fd);
				fd = -ENOENT;
			}
		}
	}
	free(link);
	return fd;
}

/* Decompress all of in; the output doubles with what really comes out, up to the limit. */
static int decompress(const void *in, size_t in_bytes, uint8_t **out, size_t *out_bytes)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	size_t cap = 0;
	lzma_ret ret = LZMA_OK;
	int err = 0;

	if (lzma_stream_decoder(&xz, XZ_MEMORY_BYTES, 0) != LZMA_OK)
		return -ENOMEM;
	xz.next_in = in;
	xz.avail_in = in_bytes;
	while (ret == LZMA_OK && !err) {
		if (!xz.avail_out) {
			size_t have = cap;
			uint8_t *p;

			cap = cap ? cap * 2 : 65536;
			p = cap <= PA_DEBUGDATA_MAX_BYTES ? realloc(*out, cap) : NULL;
			if (!p) {
				err = cap <= PA_DEBUGDATA_MAX_BYTES ? -ENOMEM : -EFBIG;
				break;
			}
			*out = p;
			xz.next_out = p + have;
			xz.avail_out = cap - have;
		}
		ret = lzma_code(&xz, LZMA_FINISH);
	}
	*out_bytes = cap - xz.avail_out;
	if (!err && ret != LZMA_STREAM_END)
		err = ret == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
	lzma_end(&xz);
	return err;
}

int pa_debugdata__load(const struct pa_elf *e, void **out, size_t *bytes)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".gnu_debugdata", 0);
	void *in = NULL;
	uint8_t *data = NULL;
	int err;

	*out = NULL;
	*bytes = 0;
	if (!s)
		return -ENOENT;
	err = pa_elf__load(e, s, PA_DEBUGDATA_MAX_BYTES, &in);
	if (!err)
		err = decompress(in, s->bytes, &data, bytes);
	free(in);
	if (err) {
		free(data);
		return err;
	}
	*out = data;
	return 0;
}
