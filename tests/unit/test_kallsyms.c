/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's symbols: text of the form of /proc/kallsyms, the running kernel where it shows
 * addresses, and the cache with its ways of being wrong.
 */
#include <errno.h>
#include <time.h>

#include "symbolize_fixture.h"
#include "check.h"

#include "cachefile.h"
#include "symbolize/internal.h"

static const char text[] = "0000000000000000 A fixed_percpu_data\n"
			   "ffffffff81000000 T _stext\n"
			   "ffffffff81000000 t __local_same\n"
			   "ffffffff81000000 W same_weak\n"
			   "ffffffff81000000 T same\n"
			   "ffffffff81000100 t two\n"
			   "ffffffff81000180 D data_in_between\n"
			   "ffffffff81000180 t local\n"
			   "ffffffff81000180 W longer_weak\n"
			   "ffffffff81000180 t longer\n"
			   "ffffffff81000200 W weak\n"
			   "ffffffff81000300 i ifunc\n"
			   "ffffffff81000400 T _etext\n"
			   "garbage\n"
			   "\n"
			   "12 T\n"
			   "ffffffffc0000000 t xfs_a\t[xfs]\n"
			   "ffffffffc0000010 t xfs_b\t[xfs]\n"
			   "ffffffffc0001000 t ext4_a\t[ext4]\n"
			   "ffffffffa0000000 t early\t[early]";

static const char *name_at(struct pa_kallsyms *k, uint64_t addr, const char **module,
			   uint64_t *start)
{
	const char *name;
	uint64_t bytes;

	return pa_kallsyms__lookup(k, addr, &name, module, start, &bytes) ? NULL : name;
}

TEST(end_of_text_that_is_called_data)
{
	struct pa_kallsyms *k;
	uint64_t addr;

	write_text("kallsyms", "ffffd7bb70010000 T _stext\n"
			       "ffffd7bb70be0000 D __start_rodata\n"
			       "ffffd7bb70be0000 D _etext\n"
			       "ffffd7bb70be0000 D _etext_of_all\n");
	CHECK_EQ(pa_kallsyms__load(scratch_path("kallsyms"), &k), 0);
	CHECK_EQ(pa_kallsyms__address(k, "_etext", &addr), 0);
	CHECK_EQ(addr, 0xffffd7bb70be0000);
	CHECK_EQ(pa_kallsyms__address(k, "__start_rodata", &addr), -ENOENT);
	CHECK_EQ(pa_kallsyms__address(k, "_etext_of_all", &addr), -ENOENT);
	pa_kallsyms__free(k);
}

TEST(parse)
{
	struct pa_kallsyms *k;
	const char *module, *name;
	uint64_t start, bytes;

	write_text("kallsyms", text);
	CHECK_EQ(pa_kallsyms__load(scratch_path("kallsyms"), &k), 0);
	CHECK_STR(name_at(k, 0xffffffff81000000, &module, &start), "same");
	CHECK_STR(module, "[kernel.kallsyms]");
	CHECK_STR(name_at(k, 0xffffffff8100017f, &module, &start), "two");
	CHECK_STR(name_at(k, 0xffffffff810001ff, &module, &start), "longer");
	CHECK_STR(name_at(k, 0xffffffff81000210, &module, &start), "weak");
	CHECK_STR(name_at(k, 0xffffffff81000310, &module, &start), "ifunc");
	CHECK_STR(name_at(k, 0xffffffff81010400, &module, &start), "_etext");
	CHECK(!name_at(k, 0xffffffff81010401, &module, &start));
	CHECK(!name_at(k, 0x1000, &module, &start));
	CHECK_STR(name_at(k, 0xffffffffc0000011, &module, &start), "xfs_b");
	CHECK_STR(module, "[xfs]");
	CHECK_EQ(start, 0xffffffffc0000010);
	CHECK_STR(name_at(k, 0xffffffffa0000001, &module, &start), "early");
	CHECK_EQ(pa_kallsyms__address(k, "_stext", &start), 0);
	CHECK_EQ(start, 0xffffffff81000000);
	CHECK_EQ(pa_kallsyms__address(k, "nothing", &start), -ENOENT);
	CHECK_EQ(pa_kallsyms__lookup(k, 0xffffffff81000001, &name, &module, &start, &bytes), 0);
	CHECK_EQ(bytes, 0x100);
	pa_kallsyms__free(k);
}

TEST(hidden_addresses)
{
	struct pa_kallsyms *k;

	write_text("hidden", "0000000000000000 T _stext\n0000000000000000 t two\n");
	CHECK_EQ(pa_kallsyms__load(scratch_path("hidden"), &k), -EPERM);
	CHECK(!k);
	CHECK_EQ(pa_kallsyms__load(scratch_path("absent"), &k), -ENOENT);
}

TEST(long_lines)
{
	struct pa_kallsyms *k;
	FILE *out = fopen(scratch_path("long"), "w");
	const char *module;
	uint64_t start;

	CHECK(out);
	fprintf(out, "ffffffff81000000 T first\nffffffff81000001 T ");
	for (int i = 0; i < 700000; i++)
		fputc('x', out);
	fprintf(out, "\nffffffff81000010 T last\n");
	fclose(out);
	CHECK_EQ(pa_kallsyms__load(scratch_path("long"), &k), 0);
	CHECK_STR(name_at(k, 0xffffffff8100000f, &module, &start), "first");
	CHECK_STR(name_at(k, 0xffffffff81000010, &module, &start), "last");
	pa_kallsyms__free(k);
}

TEST(no_allocation_per_line)
{
#if COUNTS_ALLOCATIONS
	struct pa_kallsyms *k;
	FILE *out = fopen(scratch_path("many"), "w");
	unsigned long before;

	CHECK(out);
	for (unsigned i = 0; i < 200000; i++)
		fprintf(out, "%016llx t function_number_%u%s\n", 0xffffffff81000000ull + i * 32, i,
			i > 190000 ? i > 195000 ? "\t[two]" : "\t[one]" : "");
	fclose(out);
	before = allocation_cnt;
	CHECK_EQ(pa_kallsyms__load(scratch_path("many"), &k), 0);
	CHECK(allocation_cnt - before < 20);
	pa_kallsyms__free(k);
#endif
}

enum { RANDOM_CNT = 3000 };

/* Symbols in no order, some at one address, in regions far apart, some lines of odd form. */
static size_t random_text(char *out, uint64_t *addrs)
{
	uint64_t seed = 7;
	size_t at = 0;

	for (unsigned i = 0; i < RANDOM_CNT; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		addrs[i] = 0xffffffff80000000ull + (seed >> 60 << 26) + (seed >> 40 & 0x7ff) * 0x31;
		if (i % 100 == 99)
			at += (size_t)sprintf(out + at, "%s", "nonsense\n00000000ffffffff t \n");
		at += (size_t)sprintf(out + at, i % 7 ? "%016llx t " : "%llX t ",
				      (unsigned long long)addrs[i]);
		at += (size_t)sprintf(out + at, "f%u_%0*d%s\n", i, (int)(i % 60), 0,
				      i % 7 ? "" : "\t[m]");
	}
	return at;
}

static size_t random_name_bytes(unsigned i)
{
	return (size_t)snprintf(NULL, 0, "f%u_%0*d", i, (int)(i % 60), 0);
}

/* The same as a search of all. */
static bool is_right(const struct pa_kallsyms *k, const uint64_t *addrs, uint64_t addr)
{
	uint64_t best = 0, next = UINT64_MAX, start, bytes;
	const char *name, *module;
	unsigned number;

	for (unsigned i = 0; i < RANDOM_CNT; i++) {
		if (addrs[i] <= addr && addrs[i] > best)
			best = addrs[i];
		if (addrs[i] > addr && addrs[i] < next)
			next = addrs[i];
	}
	if (pa_kallsyms__lookup(k, addr, &name, &module, &start, &bytes))
		return !best || addr - best > 0x10000;
	/* of the names at one address the first of the longest is taken */
	if (sscanf(name, "f%u_", &number) != 1 || number >= RANDOM_CNT || addrs[number] != best)
		return false;
	for (unsigned i = 0; i < RANDOM_CNT; i++)
		if (addrs[i] == best && random_name_bytes(i) + (i < number) > strlen(name))
			return false;
	return start == best && bytes == (next == UINT64_MAX ? 0 : next - best) &&
	       !strcmp(module, number % 7 ? "[kernel.kallsyms]" : "[m]");
}

TEST(random_tables)
{
	static char random[RANDOM_CNT * 120];
	static uint64_t addrs[RANDOM_CNT];
	size_t bytes = random_text(random, addrs);
	struct pa_kallsyms *k;

	CHECK_EQ(pa_kallsyms__parse(random, bytes, &k), 0);
	CHECK_EQ(k->cnt, RANDOM_CNT);
	CHECK(k->region_cnt == PA_KREGIONS_MAX);
	for (unsigned i = 0; i < RANDOM_CNT; i++) {
		CHECK(is_right(k, addrs, addrs[i]));
		CHECK(is_right(k, addrs, addrs[i] - 1));
		CHECK(is_right(k, addrs, addrs[i] + i));
		CHECK(is_right(k, addrs, addrs[i] + 0x10000));
	}
	CHECK(is_right(k, addrs, 0));
	CHECK(is_right(k, addrs, UINT64_MAX));
	pa_kallsyms__free(k);
}

/* A table of the cache that is no table, but has the right hash: nothing is read out of bounds. */
TEST(caches_that_lie)
{
	struct pa_kallcache_key key = {{0}, 1};
	struct pa_kallsyms *k, *again;
	const char *name, *module, *file;
	uint64_t start, bytes, hash;
	char data[4096];
	ssize_t n;
	int fd;

	setenv("XDG_CACHE_HOME", scratch_path("cache4"), 1);
	CHECK_EQ(pa_kallsyms__parse(text, sizeof(text) - 1, &k), 0);
	CHECK_EQ(pa_kallcache__write(&key, k), 0);
	CHECK_EQ(pa_kallcache__read(&key, &again), 0);
	CHECK_EQ(again->cnt, k->cnt);
	pa_kallsyms__free(again);
	file = scratch_path("cache4/perf-agent/kallsyms.cache");
	fd = open(file, O_RDWR);
	n = read(fd, data, sizeof(data));
	CHECK(n > 72 && n < (ssize_t)sizeof(data));
	for (ssize_t at = 72; at < n - 1; at++) {
		char byte = data[at];

		data[at] = (char)0xff;
		hash = pa_cachefile__hash(data + 72, (size_t)n - 72);
		memcpy(data + 48, &hash, sizeof(hash));
		CHECK_EQ(pwrite(fd, data, (size_t)n, 0), n);
		data[at] = byte;
		if (pa_kallcache__read(&key, &again))
			continue;
		for (size_t i = 0; i < k->cnt; i++)
			if (!pa_kallsyms__lookup(again, k->syms[i].addr, &name, &module, &start,
						 &bytes))
				CHECK(strlen(name) + strlen(module) < sizeof(data));
		pa_kallsyms__address(again, "nothing", &start);
		pa_kallsyms__free(again);
	}
	close(fd);
	pa_kallsyms__free(k);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Load the running kernel's symbols. @return NULL where they are hidden */
static struct pa_kallsyms *load_running(const char *path, double *ms)
{
	struct pa_kallsyms *k = NULL;
	double start = now_ms();
	int err = pa_kallsyms__load(path, &k);

	*ms = now_ms() - start;
	if (err)
		fprintf(stderr, "skipped: /proc/kallsyms: %s\n", strerror(-err));
	return k;
}

static uint64_t some_address(struct pa_kallsyms *k)
{
	uint64_t addr = 0;

	if (pa_kallsyms__address(k, "vfs_read", &addr))
		pa_kallsyms__address(k, "_stext", &addr);
	return addr + 5;
}

TEST(cache)
{
	struct pa_kallsyms *k, *cached;
	const char *module, *a, *b, *file;
	uint64_t start;
	double parse_ms, cached_ms;
	struct stat st;

	setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
	k = load_running(NULL, &parse_ms);
	if (!k)
		return;
	cached = load_running(NULL, &cached_ms);
	CHECK(cached);
	fprintf(stderr, "parse %.1f ms, from the cache %.1f ms\n", parse_ms, cached_ms);
	a = name_at(k, some_address(k), &module, &start);
	b = name_at(cached, some_address(k), &module, &start);
	CHECK(a);
	CHECK_STR(b, a);
	file = scratch_path("cache/perf-agent/kallsyms.cache");
	CHECK_EQ(stat(file, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(stat(scratch_path("cache/perf-agent"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0700);
	pa_kallsyms__free(k);
	pa_kallsyms__free(cached);
}

/* A cache that names the wrong function if it is believed; spoil it, and it must not be. */
static void check_ignored(const char *spoil)
{
	struct pa_kallsyms *k;
	double ms;
	uint64_t addr;

	setenv("XDG_CACHE_HOME", scratch_path("cache2"), 1);
	k = load_running(NULL, &ms);
	if (!k)
		return;
	pa_kallsyms__free(k);
	CHECK_EQ(run("cd cache2/perf-agent && %s", spoil), 0);
	k = load_running(NULL, &ms);
	CHECK(k);
	CHECK_EQ(pa_kallsyms__address(k, "_stext", &addr), 0);
	pa_kallsyms__free(k);
	run("rm -rf cache2");
}

TEST(bad_caches_are_ignored)
{
	check_ignored("truncate -s -1 kallsyms.cache");
	check_ignored("truncate -s 20 kallsyms.cache");
	check_ignored("truncate -s 0 kallsyms.cache");
	check_ignored("printf x >>kallsyms.cache");
	check_ignored("sed -i s/_stext/_sTEXT/ kallsyms.cache");
	check_ignored("sed -i s/_stext/_sTEXT/ kallsyms.cache && chmod 666 kallsyms.cache");
	check_ignored("rm kallsyms.cache && mkfifo kallsyms.cache");
	check_ignored("rm kallsyms.cache && ln -s /etc/passwd kallsyms.cache");
	check_ignored("printf '\\1' | dd of=kallsyms.cache bs=1 seek=9 conv=notrunc");
	check_ignored("printf '\\377' | dd of=kallsyms.cache bs=1 seek=33 conv=notrunc");
	check_ignored("chmod 777 .");
}

TEST(kernel_image)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .live = true, .force_kallsyms = true};
	struct pa_image_ref ref = {.kind = PA_IMAGE_KERNEL, .path = "[kernel.kallsyms]_text"};
	struct pa_symbolizer *s;
	struct pa_image *image;
	const struct pa_symbol *a, *b;
	struct pa_kallsyms *k;
	uint64_t addr;
	double ms;

	k = load_running("/proc/kallsyms", &ms);
	if (!k)
		return;
	addr = some_address(k);
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, addr, &a), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, addr + 1, &b), 0);
	CHECK(a && a == b);
	CHECK_STR(a->module, "[kernel.kallsyms]");
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1234, &b), 0);
	CHECK(!b);
	pa_symbolizer__free(s);
	pa_kallsyms__free(k);
}

TEST(cached_kernel_is_read_again_for_unknown_code)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .live = true};
	struct pa_image_ref ref = {.kind = PA_IMAGE_KERNEL};
	struct pa_symbolizer *s;
	struct pa_image *image;
	const struct pa_symbol *a, *b;
	struct pa_kallsyms *k;
	uint64_t addr;
	double ms;

	setenv("XDG_CACHE_HOME", scratch_path("cache3"), 1);
	k = load_running(NULL, &ms);
	if (!k)
		return;
	addr = some_address(k);
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, addr, &a), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1234, &b), 0);
	CHECK(!b);
	CHECK_EQ(pa_symbolizer__lookup(s, image, addr, &b), 0);
	CHECK(a && a == b);
	pa_symbolizer__free(s);
	pa_kallsyms__free(k);
}

TEST_MAIN()
