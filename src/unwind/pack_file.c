// SPDX-License-Identifier: GPL-2.0-only
/*
 * pack_file.c - the cache of packed tables. An entry's name is the file's build-id and a hash of
 * what is packed. Who makes an ELF file chooses both, so the hash is SipHash under a secret that
 * lies in the folder: no other file can be made to find an entry, or to leave one to be found.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cachefile.h"
#include "unwind/internal.h"
#include "unwind/pack.h"

#define SECRET_NAME "secret"
#define SUFFIX ".unwind"
#define CACHE_MAX_BYTES (256ll << 20)
#define TRIM_ODDS 16		     /* one write in so many looks at the size of all */
#define TRIM_ALWAYS_BYTES (1u << 20) /* and each of a file of this size */
#define TOUCH_AFTER_S 3600

/* ---- SipHash-1-3 ---------------------------------------------------------------------------- */

struct sip {
	uint64_t v[4];
};

static inline uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_start(struct sip *s, const uint64_t secret[2])
{
	*s = (struct sip){{
		secret[0] ^ 0x736f6d6570736575ull,
		secret[1] ^ 0x646f72616e646f6dull,
		secret[0] ^ 0x6c7967656e657261ull,
		secret[1] ^ 0x7465646279746573ull,
	}};
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* Each piece stands for itself, as its length is hashed behind it. */
static void sip_add(struct sip *s, const void *data, size_t bytes)
{
	uint64_t v[4] = {s->v[0], s->v[1], s->v[2], s->v[3]}, word;
	const char *p = data;
	size_t left = bytes;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		sip_word(v, word);
	}
	word = 0;
	if (left)
		memcpy(&word, p, left);
	sip_word(v, word);
	sip_word(v, bytes);
	memcpy(s->v, v, sizeof(v));
}

static uint64_t sip_end(struct sip *s)
{
	s->v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(s->v);
	return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

/* ---- the key -------------------------------------------------------------------------------- */

struct key {
	char name[96];
	uint64_t hash;
};

/* All that tables are made of, as it was read: a file that changes meanwhile has another hash. */
static void hash_cfi(struct sip *s, const struct pa_cfi *c)
{
	uint16_t machine = pa_cfi__machine(c);
	size_t cnt;
	const struct pa_elf_segment *loads = pa_cfi__loads(c, &cnt);

	sip_add(s, &machine, sizeof(machine));
	sip_add(s, loads, cnt * sizeof(*loads));
	for (unsigned i = 0; i < 2; i++) {
		const struct pa_cfi_slot *slots;
		const struct pa_cfi_section *section = pa_cfi__section(c, i, &slots, &cnt);

		sip_add(s, &section->vaddr, sizeof(section->vaddr));
		sip_add(s, &section->address_bytes, sizeof(section->address_bytes));
		sip_add(s, section->data, section->bytes);
		for (size_t k = 0; k < cnt; k++) {
			sip_word(s->v, slots[k].start);
			sip_word(s->v, slots[k].offset);
		}
		sip_word(s->v, cnt);
	}
}

static void make_key(const uint64_t secret[2], const struct pa_cfi *c, int fd, struct key *out)
{
	char hex[2 * 20 + 1] = "";
	uint8_t id[20];
	struct sip s;
	int n = pa_build_id__read_fd(fd, id);

	if (n < 0 || n > (int)sizeof(id))
		n = 0;
	sip_start(&s, secret);
	sip_add(&s, id, (size_t)n);
	hash_cfi(&s, c);
	out->hash = sip_end(&s);
	for (int i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	snprintf(out->name, sizeof(out->name), "%s-%016llx" SUFFIX, hex,
		 (unsigned long long)out->hash);
}

static int read_secret(int dir, uint64_t secret[2])
{
	int fd = pa_cachefile__open(dir, SECRET_NAME), err = -EBADMSG;
	struct stat st;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && !(st.st_mode & (S_IRWXG | S_IRWXO)) && st.st_size == 16 &&
	    pread(fd, secret, 16, 0) == 16)
		err = 0;
	close(fd);
	return err;
}

static int get_secret(int dir, uint64_t secret[2])
{
	int err = read_secret(dir, secret);

	if (!err)
		return 0;
	if (err != -ENOENT)
		unlinkat(dir, SECRET_NAME, 0);
	if (getrandom(secret, 16, GRND_NONBLOCK) != 16)
		return -EAGAIN;
	err = pa_cachefile__write(dir, SECRET_NAME, secret, 16, false);
	/* Another may have made one meanwhile. */
	return err == -EEXIST ? read_secret(dir, secret) : err;
}

/* ---- the size of all ------------------------------------------------------------------------ */

struct kept {
	char *name; /* owned */
	long long bytes;
	struct timespec used;
};

static int compare_kept(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && !strcmp(name + n - k, suffix);
}

/* The entries of the folder; temporary files that nobody writes any more are removed. */
static int list_entries(int dir, DIR *d, struct kept **out, size_t *cnt)
{
	const struct dirent *de;
	size_t cap = 0;
	struct stat st;

	while ((de = readdir(d))) {
		if (fstatat(dir, de->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		if (has_suffix(de->d_name, ".tmp") && st.st_mtime < time(NULL) - TOUCH_AFTER_S)
			unlinkat(dir, de->d_name, 0);
		if (!has_suffix(de->d_name, SUFFIX))
			continue;
		if (pa_array_grow(out, *cnt, &cap, sizeof(**out)))
			return -ENOMEM;
		(*out)[*cnt] = (struct kept){strdup(de->d_name), st.st_size, st.st_mtim};
		if (!(*out)[*cnt].name)
			return -ENOMEM;
		++*cnt;
	}
	return 0;
}

void pa_pack__trim(int dir, long long max_bytes)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct kept *kept = NULL;
	long long sum = 0;
	size_t cnt = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	if (!list_entries(dir, d, &kept, &cnt)) {
		if (cnt)
			qsort(kept, cnt, sizeof(*kept), compare_kept);
		for (size_t i = 0; i < cnt; i++)
			sum += kept[i].bytes;
		for (size_t i = 0; i < cnt && sum > max_bytes; i++) {
			unlinkat(dir, kept[i].name, 0);
			sum -= kept[i].bytes;
		}
	}
	for (size_t i = 0; i < cnt; i++)
		free(kept[i].name);
	free(kept);
	closedir(d);
}

/* ---- files ---------------------------------------------------------------------------------- */

static int load(int dir, const struct key *key, struct pa_pack **out)
{
	int fd = pa_cachefile__open(dir, key->name), err;
	struct stat st;

	if (fd < 0)
		return fd;
	err = pa_pack__read(fd, key->hash, out);
	/* Its time of use: the cache drops what was not used for longest. */
	if (!err && !fstat(fd, &st) && st.st_mtime < time(NULL) - TOUCH_AFTER_S)
		futimens(fd, NULL);
	close(fd);
	return err;
}

/* What fails here costs the next start its time, no more. */
static void store(int dir, const struct key *key, const struct pa_pack *p)
{
	void *data;
	size_t bytes;

	if (pa_pack__encode(p, key->hash, &data, &bytes))
		return;
	pa_cachefile__write(dir, key->name, data, bytes, true);
	free(data);
	if (key->hash % TRIM_ODDS == 0 || bytes > TRIM_ALWAYS_BYTES)
		pa_pack__trim(dir, CACHE_MAX_BYTES);
}

int pa_pack__file(int fd, const char *path, const char *cache_dir, struct pa_pack **out)
{
	bool has_key = false;
	uint64_t secret[2];
	struct pa_cfi *c;
	struct key key;
	int dir = -1, err = pa_cfi__open_fd(fd, path, NULL, &c);

	*out = NULL;
	if (err)
		return err;
	if (cache_dir)
		dir = pa_cachefile__open_dir(cache_dir, true);
	if (dir >= 0 && !get_secret(dir, secret)) {
		make_key(secret, c, fd, &key);
		has_key = true;
	}
	err = has_key ? load(dir, &key, out) : -ENOENT;
	if (err) {
		err = pa_pack__build(c, out);
		if (!err && has_key)
			store(dir, &key, *out);
	}
	if (dir >= 0)
		close(dir);
	pa_cfi__free(c);
	return err;
}
