// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallcache.c - the table of kernel symbols on disk, for the next start in the same boot with the
 * same modules. The file holds the arrays as they are in memory (docs/perfdata.md), so that to
 * load it is to map it and to compare one hash. Addresses are a secret of the kernel: only the
 * owner may read the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cachefile.h"
#include "symbolize/internal.h"

#define CACHE_MAGIC 0x4B414C53u
#define CACHE_VERSION 5u
#define CACHE_NAME "kallsyms.cache"
#define CACHE_MAX_BYTES (1u << 30)
#define READ_BYTES 65536

/* In native byte order: no other machine boots with this id. */
struct cache_header {
	uint32_t magic, version;
	uint8_t boot_id[16];
	uint32_t cnt, module_cnt;
	uint64_t modules_hash;
	uint64_t body_bytes, body_hash;
	uint32_t region_cnt, cell_cnt, names_bytes, zero;
};
_Static_assert(sizeof(struct cache_header) == 72, "cache header has no padding");
_Static_assert(sizeof(struct pa_ksym) == 16 && sizeof(struct pa_kregion) == 24, "on disk");
#define HEADER_BYTES sizeof(struct cache_header)

/* The body: regions, symbols, cells, modules, names, by their alignment. */
enum { PART_CNT = 5 };

static void lay_out(const struct cache_header *h, size_t bytes[PART_CNT])
{
	bytes[0] = (size_t)h->region_cnt * sizeof(struct pa_kregion);
	bytes[1] = ((size_t)h->cnt + PA_KSYMS_PAD) * sizeof(struct pa_ksym);
	bytes[2] = (size_t)h->cell_cnt * sizeof(uint32_t);
	bytes[3] = (size_t)h->module_cnt * sizeof(uint32_t);
	bytes[4] = h->names_bytes;
}

static int read_boot_id(uint8_t id[16])
{
	char text[64];
	size_t nibbles = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	close(fd);
	memset(id, 0, 16);
	for (ssize_t i = 0; i < n && nibbles < 32; i++) {
		const char *hex = "0123456789abcdef", *at = strchr(hex, text[i]);

		if (!text[i] || !at)
			continue;
		id[nibbles / 2] |= (uint8_t)((at - hex) << (nibbles % 2 ? 0 : 4));
		nibbles++;
	}
	return nibbles == 32 ? 0 : -EBADMSG;
}

/* Names, sizes and addresses of the modules (columns 1, 2 and 6); the use counts between them
 * change all the time. A kernel without modules has no such file. */
static int hash_modules(uint64_t *hash)
{
	char buf[READ_BYTES];
	uint64_t h = 0xcbf29ce484222325ull;
	unsigned column = 0;
	ssize_t n = 0;
	int fd = open("/proc/modules", O_RDONLY | O_CLOEXEC);

	*hash = h;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (column == 0 || column == 1 || column == 5)
				h = (h ^ (uint8_t)buf[i]) * 0x100000001b3ull;
			column = buf[i] == '\n' ? 0 : column + (buf[i] == ' ');
		}
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	*hash = h;
	return (int)n;
}

int pa_kallcache__key(struct pa_kallcache_key *key)
{
	int err = read_boot_id(key->boot_id);

	return err ? err : hash_modules(&key->modules_hash);
}

static int open_directory(bool create)
{
	char path[PATH_MAX];
	int err = pa_cachefile__directory(path, sizeof(path), create);

	return err ? err : pa_cachefile__open_dir(path, create);
}

static int open_file(void)
{
	int dir = open_directory(false), fd;

	if (dir < 0)
		return dir;
	fd = pa_cachefile__open(dir, CACHE_NAME);
	close(dir);
	return fd;
}

/* Point k's arrays into the mapping. What an index in them means is checked when it is used. */
static int attach(struct pa_kallsyms *k, const struct cache_header *h)
{
	char *p = (char *)k->map + HEADER_BYTES;
	size_t bytes[PART_CNT], sum = 0;

	lay_out(h, bytes);
	for (int i = 0; i < PART_CNT; i++)
		sum += bytes[i];
	if (sum != k->map_bytes - HEADER_BYTES || !h->cnt || h->region_cnt > PA_KREGIONS_MAX ||
	    !h->region_cnt || !h->names_bytes || ((char *)k->map)[k->map_bytes - 1])
		return -EBADMSG;
	memcpy(k->regions, p, bytes[0]);
	for (uint32_t i = 0; i < h->region_cnt; i++) {
		const struct pa_kregion *r = &k->regions[i];

		if (r->shift > 63 || !r->cell_cnt ||
		    (uint64_t)r->first_cell + r->cell_cnt + 1 > h->cell_cnt)
			return -EBADMSG;
	}
	k->region_cnt = h->region_cnt;
	k->syms = (struct pa_ksym *)(p += bytes[0]);
	k->cells = (uint32_t *)(p += bytes[1]);
	k->modules = (uint32_t *)(p += bytes[2]);
	k->names = p + bytes[3];
	k->cnt = h->cnt;
	k->cell_cnt = h->cell_cnt;
	k->module_cnt = h->module_cnt;
	k->names_bytes = h->names_bytes;
	k->cached = true;
	return 0;
}

int pa_kallcache__map(const struct pa_kallcache_key *key, int fd, struct pa_kallsyms **out)
{
	struct pa_kallsyms *k = calloc(1, sizeof(*k));
	const struct cache_header *h;
	struct stat st;
	int err = -EBADMSG;

	*out = NULL;
	if (!k)
		return -ENOMEM;
	if (fstat(fd, &st) || st.st_size <= (off_t)HEADER_BYTES || st.st_size > CACHE_MAX_BYTES)
		goto out;
	k->map_bytes = (size_t)st.st_size;
	k->map = mmap(NULL, k->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (k->map == MAP_FAILED) {
		k->map = NULL;
		err = -errno;
		goto out;
	}
	h = k->map;
	if (h->magic != CACHE_MAGIC)
		goto out;
	err = -ESTALE;
	if (h->version != CACHE_VERSION || memcmp(h->boot_id, key->boot_id, 16) ||
	    h->modules_hash != key->modules_hash)
		goto out;
	err = -EBADMSG;
	if (h->body_bytes == k->map_bytes - HEADER_BYTES &&
	    h->body_hash == pa_cachefile__hash(h + 1, h->body_bytes))
		err = attach(k, h);
out:
	if (err)
		pa_kallsyms__free(k);
	else
		*out = k;
	return err;
}

int pa_kallcache__read(const struct pa_kallcache_key *key, struct pa_kallsyms **out)
{
	int fd = open_file(), err;

	*out = NULL;
	if (fd < 0)
		return fd;
	err = pa_kallcache__map(key, fd, out);
	close(fd);
	return err;
}

static void free_filtered(struct pa_kallsyms *k)
{
	free(k->syms);
	free(k->cells);
}

/* A copy of the table without transient symbols. Names are shared. */
static int filter(const struct pa_kallsyms *k, struct pa_kallsyms *out)
{
	bool *transient = calloc(k->module_cnt + 1, sizeof(*transient));
	int err = -ENOMEM;

	*out = *k;
	out->cells = NULL;
	out->syms = calloc(k->cnt + PA_KSYMS_PAD, sizeof(*k->syms));
	if (!transient || !out->syms)
		goto out;
	for (size_t i = 0; i < k->module_cnt; i++)
		transient[i] = pa_kallsyms__is_transient(k->names + k->modules[i]);
	out->cnt = 0;
	for (size_t i = 0; i < k->cnt; i++)
		if (!transient[k->syms[i].module])
			out->syms[out->cnt++] = k->syms[i];
	err = out->cnt ? pa_kallsyms__index(out) : -ENODATA;
out:
	free(transient);
	if (err)
		free_filtered(out);
	return err;
}

/* Encode the table, header and all. @return 0, -EFBIG, -ENOMEM */
static int encode(const struct pa_kallcache_key *key, const struct pa_kallsyms *k, char **out,
		  size_t *bytes)
{
	struct cache_header h = {
		.magic = CACHE_MAGIC,
		.version = CACHE_VERSION,
		.cnt = (uint32_t)k->cnt,
		.module_cnt = (uint32_t)k->module_cnt,
		.modules_hash = key->modules_hash,
		.region_cnt = k->region_cnt,
		.cell_cnt = k->cell_cnt,
		.names_bytes = (uint32_t)k->names_bytes,
	};
	const void *parts[PART_CNT] = {k->regions, k->syms, k->cells, k->modules, k->names};
	size_t part_bytes[PART_CNT], at = HEADER_BYTES;

	lay_out(&h, part_bytes);
	for (int i = 0; i < PART_CNT; i++)
		h.body_bytes += part_bytes[i];
	if (h.body_bytes > CACHE_MAX_BYTES - HEADER_BYTES)
		return -EFBIG;
	*bytes = HEADER_BYTES + h.body_bytes;
	*out = malloc(*bytes);
	if (!*out)
		return -ENOMEM;
	for (int i = 0; i < PART_CNT; i++) {
		memcpy(*out + at, parts[i], part_bytes[i]);
		at += part_bytes[i];
	}
	memcpy(h.boot_id, key->boot_id, sizeof(h.boot_id));
	h.body_hash = pa_cachefile__hash(*out + HEADER_BYTES, h.body_bytes);
	memcpy(*out, &h, sizeof(h));
	return 0;
}

int pa_kallcache__write(const struct pa_kallcache_key *key, const struct pa_kallsyms *k)
{
	int dir = open_directory(true), err;
	struct pa_kallsyms kept;
	char *data = NULL;
	size_t bytes;

	if (dir < 0)
		return dir;
	err = filter(k, &kept);
	if (err)
		goto out;
	err = encode(key, &kept, &data, &bytes);
	free_filtered(&kept);
	if (!err)
		err = pa_cachefile__write(dir, CACHE_NAME, data, bytes, true);
out:
	free(data);
	close(dir);
	return err;
}
