// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallcache.c - parsed kernel symbols on disk, for the next start in the same boot with the same
 * modules. Layout, little endian: u32 magic, u32 version 2, u8 boot_id[16], u32 n, u32 0,
 * u64 hash of /proc/modules, u64 bytes and u64 FNV-1a hash of what follows; then n times
 * u64 addr, u16 name_len, u16 mod_len, name, module. Of several names at one address the
 * preferred one is last. Addresses are a secret of the kernel: only the owner may read the file.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define CACHE_MAGIC 0x4B414C53u
#define CACHE_VERSION 2u
#define CACHE_NAME "kallsyms.cache"
#define CACHE_MAX_BYTES (256u << 20)
#define ENTRY_BYTES 12
#define READ_BYTES 65536

struct cache_header {
	uint32_t magic, version;
	uint8_t boot_id[16];
	uint32_t cnt, zero;
	uint64_t modules_hash;
	uint64_t body_bytes, body_hash;
};
_Static_assert(sizeof(struct cache_header) == 56, "cache header has no padding");
#define HEADER_BYTES sizeof(struct cache_header)

/* FNV-1a over words of eight bytes: the file is megabytes, and damage is all that it finds. */
static uint64_t hash_body(const char *p, size_t bytes)
{
	uint64_t h = 0xcbf29ce484222325ull, word;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		memcpy(&word, p, 8);
		h = (h ^ le64toh(word)) * 0x100000001b3ull;
		h ^= h >> 29;
	}
	for (; bytes; bytes--, p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
	return h;
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

/* The directory's path; its parent is made when that is ~/.cache. */
static int directory_path(char *path, size_t bytes, bool create)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (cache && cache[0] == '/') {
		n = snprintf(path, bytes, "%s", cache);
	} else if (home && home[0] == '/') {
		n = snprintf(path, bytes, "%s/.cache", home);
	} else {
		n = snprintf(path, bytes, "/tmp/perf-agent-%u", (unsigned)geteuid());
		return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
	}
	if (n < 0 || (size_t)n >= bytes)
		return -ENAMETOOLONG;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	n = snprintf(path + n, bytes - (size_t)n, "/perf-agent");
	return strlen(path) + 1 >= bytes || n < 0 ? -ENAMETOOLONG : 0;
}

static bool is_ours(int fd, mode_t type)
{
	struct stat st;

	return !fstat(fd, &st) && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_directory(bool create)
{
	char path[PATH_MAX];
	int err = directory_path(path, sizeof(path), create), fd;

	if (err)
		return err;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_ours(fd, S_IFDIR) && (!create || !fchmod(fd, 0700)))
		return fd;
	close(fd);
	return -EPERM;
}

static int read_file(char **out, size_t *bytes)
{
	int dir = open_directory(false), fd = -1, err = 0;
	struct stat st;
	char *p = NULL;

	if (dir < 0)
		return dir;
	fd = openat(dir, CACHE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = -EPERM;
	if (!is_ours(fd, S_IFREG) || fstat(fd, &st))
		goto out;
	err = -EBADMSG;
	if (st.st_size < (off_t)HEADER_BYTES || st.st_size > CACHE_MAX_BYTES)
		goto out;
	p = malloc((size_t)st.st_size);
	err = -ENOMEM;
	if (!p)
		goto out;
	err = read(fd, p, (size_t)st.st_size) == st.st_size ? 0 : -EBADMSG;
	*bytes = (size_t)st.st_size;
out:
	if (err)
		free(p);
	else
		*out = p;
	if (fd >= 0)
		close(fd);
	close(dir);
	return err;
}

static int parse_body(struct pa_kallsyms *k, const char *p, size_t bytes, uint32_t cnt)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		uint64_t addr;
		uint16_t name_bytes, module_bytes;
		size_t strings;
		int err;

		if (bytes < ENTRY_BYTES)
			return -EBADMSG;
		memcpy(&addr, p, 8);
		memcpy(&name_bytes, p + 8, 2);
		memcpy(&module_bytes, p + 10, 2);
		addr = le64toh(addr);
		name_bytes = le16toh(name_bytes);
		module_bytes = le16toh(module_bytes);
		strings = (size_t)name_bytes + module_bytes;
		if (addr < last || !name_bytes || strings > bytes - ENTRY_BYTES)
			return -EBADMSG;
		err = pa_kallsyms__append(k, addr, p + ENTRY_BYTES, name_bytes,
					  p + ENTRY_BYTES + name_bytes, module_bytes, 0);
		if (err)
			return err;
		last = addr;
		p += ENTRY_BYTES + strings;
		bytes -= ENTRY_BYTES + strings;
	}
	return bytes || !cnt ? -EBADMSG : 0;
}

static void reset(struct pa_kallsyms *k)
{
	free(k->syms);
	free(k->names);
	free(k->modules);
	memset(k, 0, sizeof(*k));
}

int pa_kallcache__read(const struct pa_kallcache_key *key, struct pa_kallsyms *k)
{
	struct cache_header h;
	char *data = NULL;
	size_t bytes = 0;
	int err = read_file(&data, &bytes);

	if (err)
		return err;
	memcpy(&h, data, sizeof(h));
	if (le32toh(h.magic) != CACHE_MAGIC)
		err = -EBADMSG;
	else if (le32toh(h.version) != CACHE_VERSION || memcmp(h.boot_id, key->boot_id, 16) ||
		 le64toh(h.modules_hash) != key->modules_hash)
		err = -ESTALE;
	else if (le64toh(h.body_bytes) != bytes - HEADER_BYTES ||
		 le64toh(h.body_hash) != hash_body(data + HEADER_BYTES, bytes - HEADER_BYTES))
		err = -EBADMSG;
	if (!err)
		err = parse_body(k, data + HEADER_BYTES, bytes - HEADER_BYTES, le32toh(h.cnt));
	free(data);
	if (err)
		reset(k);
	k->cached = !err;
	return err;
}

/* Encode all but transient symbols behind room for the header. */
static int encode(const struct pa_kallcache_key *key, const struct pa_kallsyms *k, char **out,
		  size_t *bytes)
{
	struct cache_header h = {.magic = htole32(CACHE_MAGIC), .version = htole32(CACHE_VERSION)};
	size_t cap = HEADER_BYTES, at = HEADER_BYTES;
	uint32_t cnt = 0;
	char *p;

	for (size_t i = 0; i < k->cnt; i++)
		cap += ENTRY_BYTES + strlen(k->names + k->syms[i].name) +
		       strlen(k->names + k->modules[k->syms[i].module]);
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < k->cnt; i++) {
		const struct pa_ksym *s = &k->syms[i];
		const char *name = k->names + s->name, *module = k->names + k->modules[s->module];
		size_t name_bytes = strlen(name), module_bytes = s->module ? strlen(module) : 0;
		uint64_t addr = htole64(s->addr);
		uint16_t lengths[2] = {htole16((uint16_t)name_bytes),
				       htole16((uint16_t)module_bytes)};

		if (pa_kallsyms__is_transient(module))
			continue;
		memcpy(p + at, &addr, 8);
		memcpy(p + at + 8, lengths, 4);
		memcpy(p + at + ENTRY_BYTES, name, name_bytes);
		memcpy(p + at + ENTRY_BYTES + name_bytes, module, module_bytes);
		at += ENTRY_BYTES + name_bytes + module_bytes;
		cnt++;
	}
	memcpy(h.boot_id, key->boot_id, 16);
	h.cnt = htole32(cnt);
	h.modules_hash = htole64(key->modules_hash);
	h.body_bytes = htole64(at - HEADER_BYTES);
	h.body_hash = htole64(hash_body(p + HEADER_BYTES, at - HEADER_BYTES));
	memcpy(p, &h, sizeof(h));
	*out = p;
	*bytes = at;
	return 0;
}

static int write_all(int fd, const char *p, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int pa_kallcache__write(const struct pa_kallcache_key *key, const struct pa_kallsyms *k)
{
	char temporary[64], *data = NULL;
	int dir = open_directory(true), fd = -1, err;
	size_t bytes;

	if (dir < 0)
		return dir;
	err = encode(key, k, &data, &bytes);
	if (err)
		goto out;
	snprintf(temporary, sizeof(temporary), CACHE_NAME ".%d.tmp", (int)getpid());
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = write_all(fd, data, bytes);
	if (!err && renameat(dir, temporary, dir, CACHE_NAME))
		err = -errno;
	if (err)
		unlinkat(dir, temporary, 0);
out:
	free(data);
	if (fd >= 0)
		close(fd);
	close(dir);
	return err;
}
