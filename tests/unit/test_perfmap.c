/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of JIT code: the text of perf-maps, overlaps, growth, hostile files, and what Python
 * and Node write in names.
 */
#include <errno.h>
#include <sys/wait.h>

#include "symbolize/internal.h"
#include "symbolize_fixture.h"
#include "check.h"

static const char *name_at(struct pa_perfmap *m, uint64_t addr)
{
	ssize_t i = pa_perfmap__find(m, addr);
	uint64_t start, bytes;
	const char *name;

	if (i < 0)
		return NULL;
	pa_perfmap__entry(m, (size_t)i, &start, &bytes, &name);
	return name;
}

static void feed(struct pa_perfmap *m, const char *text)
{
	pa_perfmap__feed(m, text, strlen(text), true);
}

TEST(lines)
{
	struct pa_perfmap *m;
	struct pa_perfmap_stats stats;

	CHECK_EQ(pa_perfmap__new(&m), 0);
	feed(m, "1000 10 one\n0x2000 0x20 two words here\nzz 10 bad\n3000 zz bad\n4000 10\n"
		"5000 0 empty\nfffffffffffffff0 100 wraps\n6000 100000000 huge\n\n"
		"7000 10 crlf\r\n8000 8 unfinished");
	CHECK_STR(name_at(m, 0x1000), "one");
	CHECK_STR(name_at(m, 0x100f), "one");
	CHECK(!name_at(m, 0x1010));
	CHECK(!name_at(m, 0xfff));
	CHECK_STR(name_at(m, 0x201f), "two words here");
	CHECK_STR(name_at(m, 0x7001), "crlf");
	CHECK_STR(name_at(m, 0x8007), "unfinished");
	CHECK(!name_at(m, 0x6000));
	pa_perfmap__stats(m, &stats);
	CHECK_EQ(stats.line_cnt, 11);
	CHECK_EQ(stats.skipped_cnt, 7);
	pa_perfmap__free(m);
}

TEST(later_wins)
{
	struct pa_perfmap *m;
	uint8_t owner[512] = {0};
	char text[64];
	uint32_t seed = 7;

	CHECK_EQ(pa_perfmap__new(&m), 0);
	for (unsigned i = 1; i < 200; i++) {
		unsigned start, bytes;

		seed = seed * 1664525 + 1013904223;
		start = (seed >> 8) % 400;
		bytes = 1 + (seed >> 20) % 100;
		snprintf(text, sizeof(text), "%x %x %u\n", start, bytes, i);
		feed(m, text);
		memset(owner + start, (int)i, bytes);
		for (unsigned a = 0; a < 512 && i % 10 == 0; a++) {
			const char *name = name_at(m, a);

			CHECK_EQ(name ? atoi(name) : 0, owner[a]);
		}
	}
	pa_perfmap__free(m);
}

TEST(growth_is_read_from_where_it_ended)
{
	struct pa_perfmap *m;
	struct pa_perfmap_stats stats;
	int fd;

	CHECK_EQ(pa_perfmap__new(&m), 0);
	write_text("map", "1000 10 one\n2000 10 tw");
	fd = open(scratch_path("map"), O_RDONLY);
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	CHECK_STR(name_at(m, 0x2000), "tw");
	CHECK_EQ(run("printf 'o\\n3000 10 three\\n' >>map"), 0);
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	CHECK_STR(name_at(m, 0x1000), "one");
	CHECK_STR(name_at(m, 0x2000), "two");
	CHECK_STR(name_at(m, 0x3000), "three");
	pa_perfmap__stats(m, &stats);
	CHECK_EQ(stats.line_cnt, 4);
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	write_text("map", "1000 10 anew\n");
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	CHECK_STR(name_at(m, 0x1000), "anew");
	close(fd);
	pa_perfmap__free(m);
}

TEST(very_long_lines)
{
	struct pa_perfmap *m;
	struct pa_perfmap_stats stats;
	int fd;

	CHECK_EQ(pa_perfmap__new(&m), 0);
	CHECK_EQ(run("{ echo 1000 10 one; printf '2000 10 '; head -c 900000 /dev/zero | tr '\\0' x;"
		     "echo; echo 3000 10 three; head -c 300000 /dev/zero; } >long"),
		 0);
	fd = open(scratch_path("long"), O_RDONLY);
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	CHECK_STR(name_at(m, 0x1000), "one");
	CHECK(!name_at(m, 0x2000));
	CHECK_STR(name_at(m, 0x3000), "three");
	pa_perfmap__stats(m, &stats);
	CHECK(stats.skipped_cnt >= 1);
	close(fd);
	/* a hole is not text: what is read of it is bounded */
	CHECK_EQ(truncate(scratch_path("long"), 1ll << 40), 0);
	fd = open(scratch_path("long"), O_RDONLY);
	CHECK_EQ(pa_perfmap__read(m, fd), -EFBIG);
	CHECK_EQ(pa_perfmap__read(m, fd), 0);
	CHECK_STR(name_at(m, 0x1000), "one");
	close(fd);
	pa_perfmap__free(m);
}

static void check_name(const char *raw, const char *name, const char *file, uint32_t line)
{
	struct pa_jit_name n;
	char text[256];

	pa_jit_name__decode(raw, &n);
	snprintf(text, sizeof(text), "%.*s|%.*s|%u", (int)n.name_bytes, raw, (int)n.file_bytes,
		 n.file ? n.file : "", n.line);
	snprintf(text + 128, 128, "%s|%s|%u", name, file, line);
	CHECK_STR(text, text + 128);
}

TEST(names)
{
	check_name("py::Class.method:/srv/app/x.py", "py::Class.method", "/srv/app/x.py", 0);
	check_name("py::<module>:/a:/b.py", "py::<module>:/a", "/b.py", 0);
	check_name("py::method:<frozen importlib>", "py::method:<frozen importlib>", "", 0);
	check_name("LazyCompile:*run /srv/a.js:12:3", "LazyCompile:*run", "/srv/a.js", 12);
	check_name("LazyCompile:~ /srv/a.js:12", "LazyCompile:~ /srv/a.js:12", "/srv/a.js", 12);
	check_name("JS:* /srv/a.js:1:7", "JS:* /srv/a.js:1:7", "/srv/a.js", 1);
	check_name("JS:*f file:///srv/a b.mjs:7:1", "JS:*f", "file:///srv/a b.mjs", 7);
	check_name("Function:~g node:internal/x:9:20", "Function:~g", "node:internal/x", 9);
	check_name("Function:no_place", "Function:no_place", "", 0);
	check_name("JS:odd :12", "JS:odd :12", "", 0);
	check_name("Builtin:ArrayMap a:1:2", "Builtin:ArrayMap a:1:2", "", 0);
	check_name("Script:~ /srv/a.js:1:1", "Script:~ /srv/a.js:1:1", "", 0);
	check_name("std::vector foo:1:2", "std::vector foo:1:2", "", 0);
	check_name("", "", "", 0);
}

TEST(image)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .live = true};
	struct pa_image_ref ref = {.kind = PA_IMAGE_JIT, .path = "//anon", .pid = getpid()};
	struct pa_symbolizer *s;
	struct pa_image *image;
	const struct pa_symbol *a, *b;
	char path[64];
	FILE *out;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	out = fopen(path, "w");
	CHECK(out);
	fprintf(out, "1000 20 LazyCompile:*run /srv/a.js:12:3\n");
	fflush(out);
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1010, &a), 0);
	CHECK(a);
	CHECK_STR(a->name, "LazyCompile:*run");
	CHECK_STR(a->system_name, "LazyCompile:*run /srv/a.js:12:3");
	CHECK_STR(a->file, "/srv/a.js");
	CHECK_EQ(a->start_line, 12);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x2000, &b), 0);
	CHECK(!b);
	fprintf(out, "2000 20 later\n");
	fclose(out);
	unlink(path); /* the descriptor is held */
	CHECK_EQ(pa_symbolizer__refresh(s, image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x2000, &b), 0);
	CHECK(b);
	CHECK_STR(b->name, "later");
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1011, &b), 0);
	CHECK(a == b);
	pa_symbolizer__free(s);
}

TEST(only_the_owner_is_believed)
{
	bool refused;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	CHECK_EQ(symlink("/etc/passwd", path), 0);
	fd = pa_perfmap__open(getpid(), &refused);
	unlink(path);
	CHECK(fd < 0);
	CHECK_EQ(mkfifo(path, 0600), 0);
	fd = pa_perfmap__open(getpid(), &refused);
	unlink(path);
	CHECK(fd < 0);
	if (geteuid())
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0);
	CHECK_EQ(fchown(fd, 12345, 12345), 0);
	close(fd);
	fd = pa_perfmap__open(getpid(), &refused);
	unlink(path);
	CHECK_EQ(fd, -EPERM);
	CHECK(refused);
}

/* A process in a pid namespace of its own, which knows itself as pid 1. */
TEST(pid_namespace)
{
	char path[4096];
	FILE *in;
	int pid = 0, fd;
	bool refused;

	if (geteuid() || system("unshare -pf --mount-proc true >/dev/null 2>&1")) {
		fprintf(stderr, "skipped: needs unshare\n");
		return;
	}
	snprintf(path, sizeof(path),
		 "rm -f /tmp/perf-1.map; "
		 "unshare -pf sh -c 'echo 1000 10 inside >/tmp/perf-1.map; exec sleep 3' "
		 ">/dev/null 2>&1 & for i in $(seq 200); do [ -s /tmp/perf-1.map ] && break; "
		 "sleep 0.05; done; cat /proc/$!/task/$!/children");
	in = popen(path, "r");
	CHECK(in);
	fd = fscanf(in, "%d", &pid) == 1 ? pa_perfmap__open(pid, &refused) : -1;
	unlink("/tmp/perf-1.map");
	CHECK(fd >= 0);
	close(fd);
	pclose(in);
}

TEST_MAIN()
