// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pack_cache.c - packed tables on disk: what comes back is what was packed, whoever made the
 * file and whatever lies in the folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "unwind/internal.h"
#include "unwind/pack.h"

static char top[32], dir[64], copy[64];

static void clean_up(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	if (system(cmd))
		abort();
}

/* An empty folder to work in, its subfolder for the cache, and a copy of this program. */
static void set_up(void)
{
	char cmd[160];

	if (top[0])
		clean_up();
	else
		atexit(clean_up);
	strcpy(top, "/tmp/pack-XXXXXX");
	if (!mkdtemp(top))
		abort();
	snprintf(dir, sizeof(dir), "%s/cache", top);
	snprintf(copy, sizeof(copy), "%s/program", top);
	snprintf(cmd, sizeof(cmd), "cp /proc/%d/exe %s", (int)getpid(), copy);
	if (system(cmd))
		abort();
}

static struct pa_pack *pack_file(const char *path, const char *cache)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct pa_pack *p = NULL;

	if (fd < 0 || pa_pack__file(fd, path, cache, &p) || !pa_pack__is_valid(p))
		abort();
	close(fd);
	return p;
}

static bool is_same(const struct pa_pack *a, const struct pa_pack *b)
{
	return a->machine == b->machine && a->range_cnt == b->range_cnt &&
	       a->page_cnt == b->page_cnt && a->row_cnt == b->row_cnt &&
	       a->rule_cnt == b->rule_cnt && a->complex_row_cnt == b->complex_row_cnt &&
	       a->bad_entry_cnt == b->bad_entry_cnt &&
	       !memcmp(a->ranges, b->ranges, a->range_cnt * sizeof(*a->ranges)) &&
	       !memcmp(a->pages, b->pages, a->page_cnt * sizeof(*a->pages)) &&
	       !memcmp(a->rows, b->rows, a->row_cnt * sizeof(*a->rows)) &&
	       !memcmp(a->rules, b->rules, a->rule_cnt * sizeof(*a->rules));
}

/* Whether a file packs to what it packs to without a cache. */
static bool is_right(const char *path)
{
	struct pa_pack *a = pack_file(path, NULL), *b = pack_file(path, dir);
	bool ret = is_same(a, b);

	pa_pack__free(a);
	pa_pack__free(b);
	return ret;
}

/* The first entry of the cache, and their number. */
static size_t entries(char *path, size_t bytes)
{
	DIR *d = opendir(dir);
	const struct dirent *de;
	size_t cnt = 0;

	while (d && (de = readdir(d)))
		if (strstr(de->d_name, ".unwind") && !cnt++)
			snprintf(path, bytes, "%s/%s", dir, de->d_name);
	if (d)
		closedir(d);
	return cnt;
}

/* Write over some bytes of a file. */
static void change(const char *path, off_t at, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, data, bytes, at) != (ssize_t)bytes)
		abort();
	close(fd);
}

static bool is_mode(const char *path, mode_t mode)
{
	struct stat st;

	return !lstat(path, &st) && (st.st_mode & 07777) == mode;
}

TEST(round_trip)
{
	struct stat before, after;
	char path[512];

	set_up();
	CHECK(is_right(copy));
	CHECK(is_mode(dir, 0700));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(is_mode(path, 0600));
	CHECK(!stat(path, &before));
	CHECK(is_right(copy));
	/* found, so not written again */
	CHECK(!stat(path, &after));
	CHECK(before.st_ino == after.st_ino && entries(path, sizeof(path)) == 1);
}

/* That tables really come from the cache: ones that nothing but the cache can have. */
TEST(is_used)
{
	char path[512];
	struct pa_pack *p;
	uint64_t key;
	size_t bytes;
	void *data;
	int fd;

	set_up();
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	p = pack_file(copy, dir);
	p->bad_entry_cnt = 4711;
	key = strtoull(strrchr(path, '-') + 1, NULL, 16);
	CHECK_EQ(pa_pack__encode(p, key, &data, &bytes), 0);
	pa_pack__free(p);
	change(path, 0, data, bytes);
	free(data);
	p = pack_file(copy, dir);
	CHECK_EQ(p->bad_entry_cnt, 4711);
	pa_pack__free(p);
	/* another file's tables under this name are not taken */
	fd = open(path, O_RDONLY);
	CHECK_EQ(pa_pack__read(fd, key + 1, &p), -EBADMSG);
	CHECK(!p);
	CHECK_EQ(pa_pack__read(fd, key, &p), 0);
	pa_pack__free(p);
	close(fd);
}

/* Each damage is seen, and the entry is then replaced by a good one. */
TEST(damaged)
{
	char path[512];
	struct stat st;

	set_up();
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(!stat(path, &st));
	for (off_t at = 0; at < st.st_size; at += at < 80 ? 1 : st.st_size / 50) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		struct pa_pack *p;
		uint8_t was;

		CHECK(pread(fd, &was, 1, at) == 1);
		was ^= 0x10;
		CHECK(pwrite(fd, &was, 1, at) == 1);
		CHECK_EQ(pa_pack__read(fd, strtoull(strrchr(path, '-') + 1, NULL, 16), &p),
			 -EBADMSG);
		close(fd);
		if (at % 7 == 0)
			CHECK(is_right(copy));
		else
			change(path, at, &(uint8_t){was ^ 0x10}, 1);
	}
	for (off_t bytes = 0; bytes < st.st_size; bytes += 1 + st.st_size / 10) {
		CHECK(!truncate(path, bytes));
		CHECK(is_right(copy));
		CHECK(!stat(path, &st));
	}
	CHECK_EQ(entries(path, sizeof(path)), 1);
}

/* A file with the build-id of another, but not its CFI, has an entry of its own. */
TEST(same_build_id)
{
	const struct pa_elf_section *s;
	struct pa_elf e;
	char path[512];
	int fd;

	set_up();
	CHECK(is_right(copy));
	fd = open(copy, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(pa_elf__open_fd(&e, fd), 0);
	s = pa_elf__section(&e, ".eh_frame", 0);
	CHECK(s && s->bytes > 4096);
	/* an instruction in the middle of some entry */
	change(copy, (off_t)(s->offset + s->bytes / 2), "\x0a\x0a\x0a\x0a", 4);
	pa_elf__close(&e);
	close(fd);
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 2);
	CHECK(is_right("/proc/self/exe"));
	CHECK_EQ(entries(path, sizeof(path)), 2);
}

/* Without the secret no name can be told in advance. */
TEST(secret)
{
	char path[512], first[512], secret[128];
	struct stat st;

	set_up();
	CHECK(is_right(copy));
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	CHECK(is_mode(secret, 0600));
	CHECK_EQ(entries(first, sizeof(first)), 1);
	CHECK(!unlink(first) && !unlink(secret));
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(strcmp(first, path) != 0);
	/* one that others may have read, or that is cut short, is replaced */
	CHECK(!chmod(secret, 0644));
	CHECK(is_right(copy));
	CHECK(is_mode(secret, 0600));
	CHECK(!truncate(secret, 3));
	CHECK(is_right(copy));
	CHECK(!stat(secret, &st) && st.st_size == 16);
	CHECK_EQ(entries(path, sizeof(path)), 3);
}

TEST(untrusted_folder)
{
	char path[512], link_path[80];

	set_up();
	/* a symbolic link */
	CHECK(!mkdir(dir, 0700));
	snprintf(link_path, sizeof(link_path), "%s.link", dir);
	CHECK(!symlink(dir, link_path));
	pa_pack__free(pack_file(copy, link_path));
	CHECK_EQ(entries(path, sizeof(path)), 0);
	/* others could have written to it */
	CHECK(!chmod(dir, 0777));
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 0);
	/* another's */
	CHECK(!chmod(dir, 0755));
	if (!geteuid()) {
		CHECK(!chown(dir, 12345, 12345));
		CHECK(is_right(copy));
		CHECK_EQ(entries(path, sizeof(path)), 0);
		CHECK(!chown(dir, 0, 0));
	}
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(is_mode(dir, 0700));
}

TEST(untrusted_entry)
{
	char path[512], target[520];
	struct stat st;

	set_up();
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(!chmod(path, 0666));
	CHECK(is_right(copy));
	CHECK(is_mode(path, 0600));
	/* a link leads nowhere, and is replaced, not followed */
	snprintf(target, sizeof(target), "%s.target", dir);
	CHECK(!rename(path, target) && !symlink(target, path));
	CHECK(is_right(copy));
	CHECK(!lstat(path, &st) && S_ISREG(st.st_mode));
	if (geteuid())
		return;
	CHECK(!chown(path, 12345, 12345));
	CHECK(is_right(copy));
	CHECK(!lstat(path, &st) && st.st_uid == 0);
}

static void put_entry(int at, const char *name, size_t bytes, time_t used)
{
	struct timespec times[2] = {{used, 0}, {used, 0}};
	int fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) || futimens(fd, times))
		abort();
	close(fd);
}

TEST(bounded)
{
	time_t now = time(NULL);
	int at;

	set_up();
	CHECK(!mkdir(dir, 0700));
	at = open(dir, O_RDONLY | O_DIRECTORY);
	put_entry(at, "a.unwind", 400, now - 10);
	put_entry(at, "b.unwind", 400, now - 1000);
	put_entry(at, "c.unwind", 400, now - 100);
	put_entry(at, "secret", 16, now - 10000);
	put_entry(at, "other", 5000, now - 10000);
	put_entry(at, "c.unwind.1.tmp", 100, now - 10000);
	put_entry(at, "c.unwind.2.tmp", 100, now);
	pa_pack__trim(at, 1200);
	CHECK(!faccessat(at, "b.unwind", F_OK, 0));
	CHECK(faccessat(at, "c.unwind.1.tmp", F_OK, 0));
	CHECK(!faccessat(at, "c.unwind.2.tmp", F_OK, 0));
	pa_pack__trim(at, 900);
	CHECK(faccessat(at, "b.unwind", F_OK, 0));
	CHECK(!faccessat(at, "a.unwind", F_OK, 0) && !faccessat(at, "c.unwind", F_OK, 0));
	pa_pack__trim(at, 400);
	CHECK(!faccessat(at, "a.unwind", F_OK, 0) && faccessat(at, "c.unwind", F_OK, 0));
	CHECK(!faccessat(at, "secret", F_OK, 0) && !faccessat(at, "other", F_OK, 0));
	close(at);
}

/* What is used stays longest. */
TEST(use_is_noted)
{
	char path[512];
	struct stat st;

	set_up();
	CHECK(is_right(copy));
	CHECK_EQ(entries(path, sizeof(path)), 1);
	CHECK(!utimensat(AT_FDCWD, path, (struct timespec[2]){{1000, 0}, {1000, 0}}, 0));
	CHECK(is_right(copy));
	CHECK(!stat(path, &st) && st.st_mtime > time(NULL) - 100);
}

/* Processes that fill one cache at once, while its entries and its secret come and go. */
TEST(many_at_once)
{
	enum { CHILDREN = 4, ROUNDS = 40 };
	char path[512], secret[128];
	int failed_cnt = 0, status;

	set_up();
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	for (int i = 0; i < CHILDREN; i++) {
		if (fork())
			continue;
		for (int k = 0; k < ROUNDS; k++) {
			if (!is_right(copy))
				_exit(1);
			if (k % CHILDREN == i && entries(path, sizeof(path)))
				unlink(path);
			if (k % 16 == i)
				unlink(secret);
		}
		_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++)
		failed_cnt += wait(&status) < 0 || status;
	CHECK_EQ(failed_cnt, 0);
	CHECK(is_right(copy));
	CHECK(is_mode(secret, 0600));
}

TEST(no_elf)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct pa_pack *p = (void *)1;

	CHECK_EQ(pa_pack__file(fd, NULL, NULL, &p), -ENOEXEC);
	CHECK(!p);
	close(fd);
}

TEST_MAIN()
