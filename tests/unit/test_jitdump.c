/* SPDX-License-Identifier: GPL-2.0-only */
/* Jitdumps: names by address and time, lines, growth, both byte orders, damage. */
#define _GNU_SOURCE
#include <byteswap.h>
#include <errno.h>
#include <sys/mman.h>

#include "symbolize_fixture.h"
#include "symbolize/internal.h"
#include "symbolize/jitdump.h"
#include "check.h"

static uint8_t file[1 << 16];
static size_t file_bytes;
static bool swapped;

static void put(unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		file[file_bytes + i] = (uint8_t)(value >> 8 * (swapped ? width - 1 - i : i));
	file_bytes += width;
}

static void put_text(const char *text)
{
	memcpy(file + file_bytes, text, strlen(text) + 1);
	file_bytes += strlen(text) + 1;
}

static void put_header(uint64_t flags)
{
	file_bytes = 0;
	put(4, 0x4a695444);
	put(4, 1);
	put(4, 40);
	put(4, 62);
	put(4, 0);
	put(4, (uint64_t)getpid());
	put(8, 1);
	put(8, flags);
}

static size_t begin_record(uint32_t id, uint64_t time_ns)
{
	size_t at = file_bytes;

	put(4, id);
	put(4, 0);
	put(8, time_ns);
	return at;
}

static void end_record(size_t at)
{
	size_t end = file_bytes;

	file_bytes = at + 4;
	put(4, end - at);
	file_bytes = end;
}

static void put_load(uint64_t time_ns, uint64_t start, uint64_t bytes, uint64_t index,
		     const char *name)
{
	size_t at = begin_record(0, time_ns);

	put(4, 1);
	put(4, 1);
	put(8, start);
	put(8, start);
	put(8, bytes);
	put(8, index);
	put_text(name);
	file_bytes += bytes < 4096 ? bytes : 4096;
	end_record(at);
}

static void put_move(uint64_t time_ns, uint64_t from, uint64_t to, uint64_t index)
{
	size_t at = begin_record(1, time_ns);

	put(8, 0);
	put(8, to);
	put(8, from);
	put(8, to);
	put(8, 64);
	put(8, index);
	end_record(at);
}

static void put_lines(uint64_t time_ns, uint64_t start, uint64_t shift)
{
	size_t at = begin_record(2, time_ns);

	put(8, start);
	put(8, 3);
	for (uint64_t i = 0; i < 3; i++) {
		put(8, start + shift + i * 16);
		put(4, 10 + i);
		put(4, 0);
		put_text(i == 0 ? "/src/a.x" : i == 1 ? "\xff" : "/src/b.x");
	}
	end_record(at);
}

static int read_all(struct pa_jitdump *d)
{
	int fd, err;

	fd = open(scratch_path("dump"), O_RDWR | O_CREAT, 0600);
	if (fd < 0 || pwrite(fd, file, file_bytes, 0) != (ssize_t)file_bytes ||
	    ftruncate(fd, (off_t)file_bytes))
		abort();
	err = pa_jitdump__read(d, fd);
	close(fd);
	return err;
}

static const char *name_at(struct pa_jitdump *d, uint64_t addr, uint64_t time_ns)
{
	ssize_t i = pa_jitdump__find(d, addr, time_ns);
	uint64_t start, bytes;
	const char *name = "(none)";

	if (i >= 0)
		pa_jitdump__entry(d, (size_t)i, &start, &bytes, &name);
	return name;
}

static void check_times(void)
{
	struct pa_jitdump *d;

	put_header(0);
	put_load(100, 0x1000, 64, 0, "one");
	put_load(100, 0x1040, 64, 1, "two");
	put_load(200, 0x1020, 64, 2, "three"); /* over the end of one, the start of two */
	put_move(300, 0x1000, 0x5000, 0);
	end_record(begin_record(3, 400));
	CHECK_EQ(pa_jitdump__new(&d), 0);
	CHECK_EQ(read_all(d), 0);
	CHECK_EQ(pa_jitdump__cnt(d), 4);
	CHECK_STR(name_at(d, 0x1000, UINT64_MAX), "one");
	CHECK_STR(name_at(d, 0x103f, 150), "one");
	CHECK_STR(name_at(d, 0x103f, 200), "three");
	CHECK_STR(name_at(d, 0x103f, UINT64_MAX), "three");
	CHECK_STR(name_at(d, 0x1040, 199), "two");
	CHECK_STR(name_at(d, 0x1060, UINT64_MAX), "two");
	CHECK_STR(name_at(d, 0x1080, UINT64_MAX), "(none)");
	CHECK_STR(name_at(d, 0x0fff, UINT64_MAX), "(none)");
	CHECK_STR(name_at(d, 0x1000, 99), "(none)");
	CHECK_STR(name_at(d, 0x503f, 299), "(none)");
	CHECK_STR(name_at(d, 0x503f, 300), "one");
	pa_jitdump__free(d);
}

TEST(times)
{
	check_times();
}

TEST(other_byte_order)
{
	swapped = true;
	check_times();
	swapped = false;
}

TEST(counter_timestamps)
{
	struct pa_jitdump *d;

	put_header(1);
	put_load(1ull << 50, 0x1000, 64, 0, "one");
	CHECK_EQ(pa_jitdump__new(&d), 0);
	CHECK_EQ(read_all(d), 0);
	CHECK_STR(name_at(d, 0x1000, 5), "one");
	pa_jitdump__free(d);
}

static void check_line(struct pa_jitdump *d, uint64_t addr, const char *want, uint32_t want_line)
{
	ssize_t i = pa_jitdump__find(d, addr, UINT64_MAX);
	const char *path;
	uint32_t line;

	CHECK(i >= 0);
	if (!want) {
		CHECK_EQ(pa_jitdump__line(d, (size_t)i, addr, &path, &line), -ENOENT);
		return;
	}
	CHECK_EQ(pa_jitdump__line(d, (size_t)i, addr, &path, &line), 0);
	CHECK_STR(path, want);
	CHECK_EQ(line, want_line);
}

TEST(lines)
{
	struct pa_jitdump *d;

	put_header(0);
	put_lines(1, 0x7000, 0); /* never loaded */
	put_lines(1, 0x1000, 0);
	put_load(1, 0x1000, 64, 0, "one");
	put_load(1, 0x2000, 64, 1, "none");
	put_lines(1, 0x3000, 64); /* as Node writes them */
	put_load(1, 0x3000, 64, 2, "JS:*f /a.js:1:2");
	put_move(1, 0x1000, 0x4000, 0);
	CHECK_EQ(pa_jitdump__new(&d), 0);
	CHECK_EQ(read_all(d), 0);
	check_line(d, 0x1000, "/src/a.x", 10);
	check_line(d, 0x100f, "/src/a.x", 10);
	check_line(d, 0x1010, "/src/a.x", 11);
	check_line(d, 0x103f, "/src/b.x", 12);
	check_line(d, 0x2000, NULL, 0);
	check_line(d, 0x3000, "/src/a.x", 10);
	check_line(d, 0x3010, "/src/a.x", 11);
	check_line(d, 0x4010, "/src/a.x", 11);
	pa_jitdump__free(d);
}

TEST(growth)
{
	struct pa_jitdump *d;
	size_t whole;

	CHECK_EQ(pa_jitdump__new(&d), 0);
	file_bytes = 0;
	CHECK_EQ(read_all(d), 0); /* not even a header yet */
	put_header(0);
	CHECK_EQ(read_all(d), 0);
	put_load(1, 0x1000, 64, 0, "one");
	put_load(2, 0x2000, 64, 1, "two");
	whole = file_bytes;
	file_bytes -= 30; /* two is being written */
	CHECK_EQ(read_all(d), 0);
	CHECK_EQ(pa_jitdump__cnt(d), 1);
	CHECK_STR(name_at(d, 0x2000, 9), "(none)");
	file_bytes = whole;
	CHECK_EQ(read_all(d), 0);
	CHECK_EQ(pa_jitdump__cnt(d), 2);
	CHECK_STR(name_at(d, 0x2000, 9), "two");
	CHECK_STR(name_at(d, 0x1000, 9), "one");
	pa_jitdump__free(d);
}

TEST(large_records)
{
	static uint8_t code[400000];
	struct pa_jitdump *d;
	int fd;

	put_header(0);
	put_load(1, 0x1000, 1, 0, "one");
	file_bytes -= 1;
	((uint32_t *)(void *)file)[10 + 1] += sizeof(code) - 1;
	CHECK_EQ(run("rm -f dump"), 0);
	fd = open(scratch_path("dump"), O_RDWR | O_CREAT, 0600);
	CHECK(write(fd, file, file_bytes) == (ssize_t)file_bytes);
	CHECK(write(fd, code, sizeof(code)) == sizeof(code));
	put_header(0);
	file_bytes = 0;
	put_load(2, 0x2000, 64, 1, "two");
	CHECK(write(fd, file, file_bytes) == (ssize_t)file_bytes);
	CHECK_EQ(pa_jitdump__new(&d), 0);
	CHECK_EQ(pa_jitdump__read(d, fd), 0);
	close(fd);
	CHECK_STR(name_at(d, 0x1000, 9), "one");
	CHECK_STR(name_at(d, 0x2000, 9), "two");
	pa_jitdump__free(d);
}

TEST(symbolizer)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .live = true};
	struct pa_image_ref ref = {.kind = PA_IMAGE_JIT, .pid = getpid(), .start_ns = 7};
	const struct pa_symbol *sym;
	struct pa_symbolizer *s;
	struct pa_image *image;
	char map[64];
	FILE *out;

	CHECK_EQ(run("rm -f dump"), 0);
	put_header(0);
	put_lines(1, 0x1000, 0);
	put_load(1, 0x1000, 64, 0, "one");
	put_load(1, 0x3000, 64, 0, "JS:*f /a.js:1:2");
	put_load(1, 0x4000, 64, 0, "Ljava/lang/Math;max(II)I");
	write_file("jit-1.dump", file, file_bytes);
	snprintf(map, sizeof(map), "/tmp/perf-%d.map", getpid());
	out = fopen(map, "w");
	CHECK(out);
	fprintf(out, "1000 100 from_map\n2000 10 only_map\n");
	fclose(out);
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	CHECK_EQ(pa_symbolizer__set_jitdump(s, getpid(), 7, scratch_path("jit-1.dump")), 0);
	CHECK_EQ(run("rm jit-1.dump"), 0); /* it is held */
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1020, &sym), 0);
	CHECK(sym);
	CHECK_STR(sym->name, "one");
	CHECK_STR(sym->file, "/src/a.x");
	CHECK_EQ(sym->start_line, 10);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1050, &sym), 0);
	CHECK(sym);
	CHECK_STR(sym->name, "from_map");
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x2000, &sym), 0);
	CHECK(sym);
	CHECK_STR(sym->name, "only_map");
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x3000, &sym), 0);
	CHECK(sym);
	CHECK_STR(sym->name, "JS:*f");
	CHECK_STR(sym->file, "/a.js");
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x4000, &sym), 0);
	CHECK(sym);
	CHECK_STR(sym->name, "java.lang.Math.max(int, int)");
	CHECK_STR(sym->system_name, "Ljava/lang/Math;max(II)I");
	unlink(map);
	pa_symbolizer__free(s);
}

/* Another user's dump is refused; so is a link. */
TEST(owners)
{
	bool refused;
	int fd;

	put_header(0);
	write_file("jit-2.dump", file, file_bytes);
	CHECK_EQ(run("ln -s jit-2.dump jit-3.dump && mkfifo jit-4.dump"), 0);
	fd = pa_jitdump__open(getpid(), scratch_path("jit-2.dump"), &refused);
	CHECK(fd >= 0);
	close(fd);
	CHECK(pa_jitdump__open(getpid(), scratch_path("jit-3.dump"), &refused) < 0);
	CHECK(pa_jitdump__open(getpid(), scratch_path("jit-4.dump"), &refused) < 0);
	CHECK(!refused);
	if (geteuid()) {
		fprintf(stderr, "skipped in part: only root can give files away\n");
		return;
	}
	CHECK_EQ(run("chown 12345 jit-2.dump"), 0);
	CHECK(pa_jitdump__open(getpid(), scratch_path("jit-2.dump"), &refused) < 0);
	CHECK(refused);
}

/* ---- damage -------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

TEST(damage)
{
	static uint8_t good[sizeof(file)];
	uint32_t seed = 815;
	size_t good_bytes, used = 0;

	put_header(0);
	for (uint64_t i = 0; i < 8; i++) {
		put_lines(i, 0x1000 + i * 64, 0);
		put_load(i, 0x1000 + i * 64, 64, i, "some_name");
		put_move(i, 0x1000 + i * 64, 0x4000 + i * 32, i);
	}
	memcpy(good, file, file_bytes);
	good_bytes = file_bytes;
	for (int round = 0; round < 4000; round++) {
		struct pa_jitdump *d;

		memcpy(file, good, good_bytes);
		file_bytes = round % 4 ? good_bytes : next_random(&seed) % good_bytes;
		for (uint32_t n = next_random(&seed) % 6; n < 6; n++)
			file[next_random(&seed) % good_bytes] ^=
				(uint8_t)(1u << next_random(&seed) % 8);
		CHECK_EQ(pa_jitdump__new(&d), 0);
		read_all(d);
		read_all(d);
		for (uint64_t addr = 0x0ff0; addr < 0x1300; addr += 24) {
			ssize_t i = pa_jitdump__find(d, addr, addr % 9);
			const char *path;
			uint32_t line;

			if (i >= 0 && !pa_jitdump__line(d, (size_t)i, addr, &path, &line))
				used += strlen(path);
		}
		pa_jitdump__free(d);
	}
	CHECK(used > 1000);
}

TEST(not_a_dump)
{
	struct pa_jitdump_stats stats;
	struct pa_jitdump *d;

	CHECK_EQ(pa_jitdump__new(&d), 0);
	memset(file, 'x', 4096);
	file_bytes = 4096;
	CHECK_EQ(read_all(d), -ENOEXEC);
	CHECK_EQ(read_all(d), 0); /* said once */
	pa_jitdump__stats(d, &stats);
	CHECK(stats.damaged);
	pa_jitdump__free(d);
	put_header(0);
	put_load(1, 0x1000, 64, 0, "one");
	put(8, 0); /* a record of no bytes: no way on */
	put(8, 0);
	CHECK_EQ(pa_jitdump__new(&d), 0);
	CHECK_EQ(read_all(d), -EBADMSG);
	CHECK_STR(name_at(d, 0x1000, 9), "one");
	pa_jitdump__free(d);
}

TEST_MAIN()
