/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and lines of Go programs from their own function table, compared with what the go
 * command says of the same program with its symbols; tables of older versions made by hand;
 * damaged tables, which must only lose names.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>

#include "symbolize_fixture.h"
#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"
#include "check.h"

static const char program_go[] =
	"package main\n"
	"import (\n\"fmt\"\n\"os\"\n\"strings\"\n)\n"
	"type shape interface{ area() float64 }\n"
	"type square struct{ side float64 }\n"
	"func (s *square) area() float64 { return s.side * s.side }\n"
	"func sum[T int | float64](xs []T) T {\n"
	"	var total T\n"
	"	for _, x := range xs {\n"
	"		total += x\n"
	"	}\n"
	"	return total\n"
	"}\n"
	"//go:noinline\n"
	"func apply(f func(int) int, n int) int {\n"
	"	return f(n) + f(n+1)\n"
	"}\n"
	"func main() {\n"
	"	s := shape(&square{3})\n"
	"	k := len(os.Args)\n"
	"	fmt.Println(s.area(), sum([]int{1, 2, k}), sum([]float64{1, 2}))\n"
	"	fmt.Println(apply(func(n int) int {\n"
	"		return n * k\n"
	"	}, 3), strings.Repeat(\"a\", k))\n"
	"}\n";

static const char cgo_go[] = "package main\n"
			     "/*\n"
			     "static int twice(int a) { return a * 2; }\n"
			     "*/\n"
			     "import \"C\"\n"
			     "import \"fmt\"\n"
			     "func main() { fmt.Println(C.twice(3)) }\n";

static bool has_go(void)
{
	if (!run("test \"$(go env GOVERSION | sed 's/^go1\\.\\([0-9]*\\).*/\\1/')\" -ge 18"))
		return true;
	fprintf(stderr, "skipped: no go command of 1.18 or later\n");
	return false;
}

static bool build_go(const char *output, const char *source, const char *flags)
{
	if (run("mkdir -p prog"))
		return false;
	write_text("prog/main.go", source);
	return !run("cd prog && printf 'module prog\\ngo 1.18\\n' >go.mod && "
		    "go build %s -o ../%s .",
		    flags, output);
}

/* ---- against nm and addr2line ------------------------------------------------------------ */

struct known {
	uint64_t addr, bytes;
	char name[512];
	char places[3][1024]; /* FILE:LINE at its start, middle and last byte */
};

struct known_file {
	struct known *syms;
	size_t cnt, cap;
};

static bool is_wanted(const char *name)
{
	return strcmp(name, "runtime.text") && strcmp(name, "runtime.etext") &&
	       strncmp(name, "go:", 3) && strncmp(name, "_cgo", 4) && strchr(name, '.');
}

static uint64_t known_address(const struct known *k, int i)
{
	return i == 0 ? k->addr : i == 1 ? k->addr + k->bytes / 2 : k->addr + k->bytes - 1;
}

/* Function symbols of a Go program with all symbols. */
static bool read_names(const char *program, struct known_file *f)
{
	char line[4096], cmd[8192];
	FILE *in;

	snprintf(cmd, sizeof(cmd), "cd %s && go tool nm -n -size %s", scratch, program);
	in = popen(cmd, "r");
	while (in && fgets(line, sizeof(line), in)) {
		unsigned long long addr, bytes;
		char type[8], name[512];

		if (sscanf(line, " %llx %llu %7s %511[^\n]", &addr, &bytes, type, name) != 4 ||
		    (type[0] | 0x20) != 't' || !bytes || !is_wanted(name))
			continue;
		if (f->cnt == f->cap) {
			f->cap = f->cap ? f->cap * 2 : 1024;
			f->syms = realloc(f->syms, f->cap * sizeof(*f->syms));
		}
		f->syms[f->cnt] = (struct known){.addr = addr, .bytes = bytes};
		strcpy(f->syms[f->cnt++].name, name);
	}
	if (in)
		pclose(in);
	return f->cnt > 0;
}

static bool read_places(const char *program, struct known_file *f)
{
	char cmd[8192], line[2048];
	bool ok = true;
	FILE *out, *in;

	out = fopen(scratch_path("addresses"), "w");
	for (size_t i = 0; out && i < f->cnt * 3; i++)
		fprintf(out, "0x%llx\n",
			(unsigned long long)known_address(&f->syms[i / 3], (int)(i % 3)));
	if (!out || fclose(out))
		return false;
	snprintf(cmd, sizeof(cmd), "cd %s && go tool addr2line %s <addresses", scratch, program);
	in = popen(cmd, "r");
	for (size_t i = 0; in && ok && i < f->cnt * 3; i++) {
		ok = fgets(line, sizeof(line), in) && fgets(line, sizeof(line), in);
		line[strcspn(line, "\n")] = '\0';
		snprintf(f->syms[i / 3].places[i % 3], 1024, "%.1023s", line);
	}
	if (in)
		pclose(in);
	return ok;
}

static struct pa_gopclntab *load_table(const char *program)
{
	int fd = open(scratch_path(program), O_RDONLY);
	struct pa_gopclntab *t = NULL;
	struct pa_elf e;

	if (!pa_elf__open_fd(&e, fd))
		pa_gopclntab__load(&e, &t);
	pa_elf__close(&e);
	close(fd);
	return t;
}

static bool same_place(const struct known *k, int i, const char *file, uint32_t line)
{
	char place[2048];

	snprintf(place, sizeof(place), "%s:%u", *file ? file : "?", line);
	return !strcmp(place, k->places[i]) || (!strcmp(k->places[i], "?:0") && !line);
}

/* Symbol tables tell calling conventions apart by a suffix, and write the middle dot as one. */
static bool same_name(const char *ours, const char *known)
{
	while (*ours) {
		if (!strncmp(ours, "\xc2\xb7", 2))
			ours++;
		else if (*ours != *known)
			return false;
		ours++;
		known++;
	}
	return !*known || !strcmp(known, ".abi0") || !strcmp(known, ".abiinternal");
}

/* @return functions whose name and lines are right; -1 when one is wrong */
static long compare_all(const char *program, const char *twin)
{
	struct pa_gopclntab *t = load_table(program);
	struct known_file f = {0};
	uint64_t start = 0, end = 0;
	long cnt = t && read_names(twin, &f) && read_places(twin, &f) ? 0 : -1;

	if (t)
		pa_gopclntab__range(t, &start, &end);
	for (size_t i = 0; cnt >= 0 && i < f.cnt * 3; i++) {
		const struct known *k = &f.syms[i / 3];
		uint64_t at = known_address(k, (int)(i % 3));
		const char *name = "", *file = "";
		uint32_t line = 0, start_line = 0;

		if (k->addr < start || k->addr >= end)
			continue; /* C code */
		if (!pa_gopclntab__line(t, at, &name, &file, &line, &start_line) &&
		    same_name(name, k->name) && same_place(k, (int)(i % 3), file, line)) {
			cnt += i % 3 == 0;
			continue;
		}
		fprintf(stderr, "%s: %s at %#llx (%s) is %s at %s:%u\n", program, k->name,
			(unsigned long long)at, k->places[i % 3], name, file, line);
		cnt = -1;
	}
	free(f.syms);
	pa_gopclntab__free(t);
	return cnt;
}

TEST(stripped_program)
{
	if (!has_go())
		return;
	CHECK(build_go("full", program_go, ""));
	CHECK(build_go("stripped", program_go, "-ldflags='-s -w'"));
	CHECK(compare_all("stripped", "full") > 1000);
	CHECK_EQ(run("objcopy -S full full.s"), 0);
	CHECK(compare_all("full.s", "full") > 1000);
}

TEST(position_independent)
{
	if (!has_go())
		return;
	CHECK(build_go("pie", program_go, "-buildmode=pie"));
	CHECK(build_go("pie.s", program_go, "-buildmode=pie -ldflags='-s -w'"));
	CHECK(compare_all("pie.s", "pie") > 1000);
}

/* Its .text begins with C code. */
TEST(linked_by_the_system)
{
	if (!has_go())
		return;
	if (!build_go("cgo", cgo_go, "-ldflags=-linkmode=external")) {
		fprintf(stderr, "skipped: cgo does not work here\n");
		return;
	}
	CHECK_EQ(run("objcopy -S cgo cgo.s"), 0);
	CHECK(compare_all("cgo.s", "cgo") > 1000);
	CHECK(build_go("cgopie", cgo_go, "-buildmode=pie -ldflags=-linkmode=external"));
	CHECK_EQ(run("objcopy -S cgopie cgopie.s"), 0);
	CHECK(compare_all("cgopie.s", "cgopie") > 1000);
}

/* Take the section headers away: e_shoff, e_shnum and e_shstrndx become 0. */
static void drop_sections(const char *from, const char *to)
{
	Elf64_Ehdr h;
	int fd;

	if (run("cp %s %s", from, to))
		abort();
	fd = open(scratch_path(to), O_RDWR);
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		abort();
	h.e_shoff = h.e_shnum = h.e_shstrndx = 0;
	if (pwrite(fd, &h, sizeof(h), 0) != sizeof(h))
		abort();
	close(fd);
}

TEST(no_section_headers)
{
	if (!has_go())
		return;
	CHECK(build_go("full", program_go, ""));
	drop_sections("full", "bare");
	CHECK(compare_all("bare", "full") > 1000);
	CHECK(build_go("pie", program_go, "-buildmode=pie"));
	drop_sections("pie", "barepie");
	CHECK(compare_all("barepie", "pie") > 1000);
}

TEST(symbolizer)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .decl_lines = true};
	static const char *const programs[] = {"decl.s", "decl.nodwarf"};
	struct known_file f = {0};

	if (!has_go())
		return;
	CHECK(build_go("decl", program_go, ""));
	CHECK(build_go("decl.s", program_go, "-ldflags='-s -w'"));
	CHECK(build_go("decl.nodwarf", program_go, "-ldflags=-w"));
	CHECK(read_names("decl", &f));
	for (size_t i = 0; i < f.cnt * 2; i++) {
		const struct known *k = &f.syms[i / 2];
		const struct pa_symbol *sym;
		struct pa_symbolizer *s;
		struct pa_image *image;
		uint32_t line;

		if (strncmp(k->name, "main.", 5))
			continue;
		line = !strcmp(k->name, "main.main")	     ? 21
		       : !strcmp(k->name, "main.apply")	     ? 18
		       : !strcmp(k->name, "main.main.func1") ? 25
							     : 0;
		CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
		CHECK_EQ(pa_symbolizer__image(
				 s,
				 &(struct pa_image_ref){.kind = PA_IMAGE_FILE,
							.path = scratch_path(programs[i % 2])},
				 false, &image),
			 0);
		CHECK_EQ(pa_symbolizer__lookup(s, image, k->addr + k->bytes / 2 - 0x400000, &sym),
			 0);
		CHECK(sym);
		CHECK_STR(sym->system_name, k->name);
		CHECK_EQ(sym->start, k->addr);
		if (line) {
			CHECK_EQ(sym->start_line, line);
			CHECK(strstr(sym->file, "/prog/main.go"));
		}
		pa_symbolizer__free(s);
	}
	free(f.syms);
}

/* The names at an address, the innermost first. */
static void names_at(struct pa_symbolizer *s, struct pa_image *image, uint64_t offset, char *out,
		     size_t bytes)
{
	const struct pa_line *lines;
	size_t cnt, at = 0;

	*out = '\0';
	if (pa_symbolizer__lines(s, image, offset, &lines, &cnt))
		return;
	for (size_t i = 0; i < cnt && at < bytes; i++) {
		const char *name = lines[i].system_name, *abi = strstr(name, ".abi0");

		at += (size_t)snprintf(out + at, bytes - at, "%.*s %u\n",
				       abi ? (int)(abi - name) : (int)strlen(name), name,
				       lines[i].line);
	}
}

/* What a stripped program knows of inlined calls is what DWARF tells of the whole one. */
TEST(inlined_calls)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .lines = true, .inlines = true};
	static const char *const programs[] = {"whole", "whole.s"};
	struct pa_image *images[2];
	struct pa_symbolizer *s;
	struct known_file f = {0};
	size_t cnt = 0, nested_cnt = 0, other_cnt = 0;

	if (!has_go() || run("test \"$(go env GOVERSION | cut -d. -f2)\" -ge 20"))
		return;
	CHECK(build_go("whole", program_go, ""));
	CHECK(build_go("whole.s", program_go, "-ldflags='-s -w'"));
	CHECK(read_names("whole", &f));
	CHECK_EQ(pa_symbolizer__new(&opts, &s), 0);
	for (int i = 0; i < 2; i++) {
		struct pa_image_ref ref = {.kind = PA_IMAGE_FILE,
					   .path = scratch_path(programs[i])};

		CHECK_EQ(pa_symbolizer__image(s, &ref, false, &images[i]), 0);
	}
	for (size_t i = 0; i < f.cnt; i++) {
		for (uint64_t at = 0; at < f.syms[i].bytes; at += 1 + f.syms[i].bytes / 8) {
			uint64_t offset = f.syms[i].addr + at - 0x400000;
			char whole[8192], stripped[8192];

			names_at(s, images[0], offset, whole, sizeof(whole));
			names_at(s, images[1], offset, stripped, sizeof(stripped));
			if (!*whole || strstr(whole, " 0\n")) /* made by the compiler */
				continue;
			cnt++;
			nested_cnt += strchr(whole, '\n')[1] != '\0';
			if (strcmp(whole, stripped) && other_cnt++ < 5)
				fprintf(stderr, "%s+%#llx:\n%s---\n%s\n", f.syms[i].name,
					(unsigned long long)at, whole, stripped);
		}
	}
	free(f.syms);
	pa_symbolizer__free(s);
	CHECK(nested_cnt > 500);
	CHECK(other_cnt < cnt / 1000); /* "·" is "." in DWARF */
}

/* ---- tables made by hand: two functions in two files ---------------------------------------- */

struct maker {
	uint8_t data[1024];
	size_t end;
	bool big_endian;
	unsigned ptr_bytes;
};

static void put(struct maker *m, size_t at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		m->data[at + i] = (uint8_t)(value >> 8 * (m->big_endian ? width - 1 - i : i));
	if (at + width > m->end)
		m->end = at + width;
}

static size_t put_bytes(struct maker *m, const void *data, size_t bytes)
{
	size_t at = m->end;

	memcpy(m->data + at, data, bytes);
	m->end += bytes;
	return at;
}

#define PUT_TEXT(m, text) put_bytes(m, text, sizeof(text))

/* lines: 10 for 4 quanta, 12 for 12 more; 9 for the next function */
static const uint8_t line_steps[2][6] = {{22, 4, 4, 12, 0}, {20, 48, 0}};
/* file 1 or 2 for the whole function: values begin at -1 */
static const uint8_t file_steps[2][3] = {{4, 16, 0}, {6, 48, 0}};

/* Streams for function i, relative to base. */
static void put_streams(struct maker *m, size_t base, int i, uint32_t *file, uint32_t *line)
{
	*file = (uint32_t)(put_bytes(m, file_steps[i], 3) - base);
	*line = (uint32_t)(put_bytes(m, line_steps[i], i ? 3 : 5) - base);
}

static void put_func(struct maker *m, unsigned start_bytes, uint64_t start, const uint32_t *words,
		     unsigned cnt)
{
	put(m, m->end, start_bytes, start);
	for (unsigned i = 0; i < cnt; i++)
		put(m, m->end, 4, words[i]);
}

static void make_12(struct maker *m, const uint64_t *starts, unsigned quantum)
{
	size_t functab = 8 + m->ptr_bytes, files_at = functab + 5 * m->ptr_bytes, files;
	uint32_t words[8] = {0};

	put(m, 0, 4, 0xfffffffb);
	put(m, 6, 1, quantum);
	put(m, 7, 1, m->ptr_bytes);
	put(m, 8, m->ptr_bytes, 2);
	put(m, functab + 4 * m->ptr_bytes, m->ptr_bytes, starts[2]);
	put(m, files_at, 4, 0);
	for (int i = 0; i < 2; i++) {
		words[0] = (uint32_t)(i ? PUT_TEXT(m, "main.second") : PUT_TEXT(m, "main.first"));
		put_streams(m, 0, i, &words[4], &words[5]);
		put(m, functab + (size_t)(2 * i) * m->ptr_bytes, m->ptr_bytes, starts[i]);
		put(m, functab + (size_t)(2 * i + 1) * m->ptr_bytes, m->ptr_bytes, m->end);
		put_func(m, m->ptr_bytes, starts[i], words, 8);
	}
	files = m->end;
	put(m, files_at, 4, files);
	put(m, files, 4, 3);
	put(m, files + 8, 4, 0);
	put(m, files + 4, 4, PUT_TEXT(m, "/src/one.go"));
	put(m, files + 8, 4, PUT_TEXT(m, "/src/two.go"));
}

/* 1.16 and later; what depends on the version is how functions are found and how long their
 * structs are. */
static void make_116(struct maker *m, const uint64_t *starts, unsigned quantum, uint32_t magic)
{
	unsigned field = magic == 0xfffffffa ? m->ptr_bytes : 4, header = 8, word = 0;
	uint64_t base = magic == 0xfffffffa ? 0 : starts[0];
	uint32_t words[2][11] = {0};
	size_t places[5], pctab;

	put(m, 0, 4, magic);
	put(m, 6, 1, quantum);
	put(m, 7, 1, m->ptr_bytes);
	put(m, header, m->ptr_bytes, 2);
	put(m, header + m->ptr_bytes, m->ptr_bytes, 2);
	header += 2 * m->ptr_bytes;
	if (base) {
		put(m, header, m->ptr_bytes, base);
		header += m->ptr_bytes;
	}
	m->end = header + 5 * m->ptr_bytes;
	places[word++] = PUT_TEXT(m, "\0main.first");
	words[0][0] = 1;
	words[1][0] = (uint32_t)(PUT_TEXT(m, "main.second") - places[0]);
	places[word++] = m->end;
	for (uint32_t i = 0; i < 4; i++) /* no file, no file, one, two */
		put(m, m->end, 4, i < 2 ? UINT32_MAX : (i - 2) * 12);
	places[word++] = PUT_TEXT(m, "/src/one.go");
	PUT_TEXT(m, "/src/two.go");
	pctab = places[word++] = PUT_TEXT(m, "");
	for (int i = 0; i < 2; i++) {
		put_streams(m, pctab, i, &words[i][4], &words[i][5]);
		words[i][7] = 1; /* where its unit begins */
		words[i][8] = i ? 8 : 7;
	}
	places[word] = m->end;
	m->end += 5 * field;
	for (int i = 0; i < 2; i++) {
		put(m, places[4] + (size_t)(2 * i) * field, field, starts[i] - base);
		put(m, places[4] + (size_t)(2 * i + 1) * field, field, m->end - places[4]);
		put_func(m, field, starts[i] - base, words[i], magic == 0xfffffff1 ? 10 : 8);
	}
	put(m, places[4] + 4 * field, field, starts[2] - base);
	for (word = 0; word < 5; word++)
		put(m, header + word * m->ptr_bytes, m->ptr_bytes, places[word]);
}

static const uint32_t magics[] = {0xfffffffb, 0xfffffffa, 0xfffffff0, 0xfffffff1};

static void make_table(struct maker *m, int version, bool big_endian, unsigned ptr_bytes)
{
	static const uint64_t starts[] = {0x40001000, 0x40001040, 0x40001100};

	*m = (struct maker){.big_endian = big_endian, .ptr_bytes = ptr_bytes};
	if (version)
		make_116(m, starts, 4, magics[version]);
	else
		make_12(m, starts, 4);
}

static int parse_copy(const void *data, size_t bytes, struct pa_gopclntab **out)
{
	uint8_t *copy = malloc(bytes + 1);

	memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	return pa_gopclntab__parse(copy, bytes, out);
}

static void check_line(const struct pa_gopclntab *t, uint64_t vaddr, const char *want_name,
		       const char *want_file, uint32_t want_line, uint32_t want_start)
{
	const char *name, *file;
	uint32_t line, start_line;

	CHECK_EQ(pa_gopclntab__line(t, vaddr, &name, &file, &line, &start_line), 0);
	CHECK_STR(name, want_name);
	CHECK_STR(file, want_file);
	CHECK_EQ(line, want_line);
	CHECK_EQ(start_line, want_start);
}

TEST(versions)
{
	for (int i = 0; i < 16; i++) {
		int version = i / 4;
		struct pa_gopclntab *t;
		struct maker m;
		const char *text;
		uint32_t n, start;

		make_table(&m, version, i & 1, i & 2 ? 4 : 8);
		CHECK_EQ(parse_copy(m.data, m.end, &t), 0);
		CHECK_EQ(t->func_cnt, 2);
		/* before 1.20 the line of its first instruction, else the line of its name */
		start = version == 3 ? 7 : 10;
		check_line(t, 0x40001000, "main.first", "/src/one.go", 10, start);
		check_line(t, 0x4000100f, "main.first", "/src/one.go", 10, start);
		check_line(t, 0x40001010, "main.first", "/src/one.go", 12, start);
		check_line(t, 0x4000103f, "main.first", "/src/one.go", 12, start);
		start = version == 3 ? 8 : 9;
		check_line(t, 0x40001040, "main.second", "/src/two.go", 9, start);
		check_line(t, 0x400010ff, "main.second", "/src/two.go", 9, start);
		CHECK_EQ(pa_gopclntab__line(t, 0x40001100, &text, &text, &n, &n), -ENOENT);
		CHECK_EQ(pa_gopclntab__line(t, 0x40000fff, &text, &text, &n, &n), -ENOENT);
		pa_gopclntab__free(t);
	}
}

/* ---- damage -----------------------------------------------------------------------------------
 */

static void use_table(struct pa_gopclntab *t)
{
	struct pa_symbuild b = {0};

	for (uint64_t vaddr = 0x40000ff0; vaddr < 0x40001110; vaddr += 8) {
		const char *name = "", *file = "";
		uint32_t line, start_line;
		size_t used;

		pa_gopclntab__line(t, vaddr, &name, &file, &line, &start_line);
		used = strlen(name) + strlen(file);
		pa_gopclntab__decl(t, vaddr, &file, &line);
		used += strlen(file);
		if (used > 3 * t->bytes)
			abort();
	}
	if (pa_gopclntab__add(t, &b) == 0 && b.names_bytes > t->bytes + 1)
		abort();
	free(b.raw);
	free(b.names);
	pa_gopclntab__free(t);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

TEST(damaged_tables)
{
	uint32_t seed = 4711, used_cnt = 0;

	for (int i = 0; i < 16; i++) {
		struct pa_gopclntab *t;
		struct maker m;

		make_table(&m, i / 4, i & 1, i & 2 ? 4 : 8);
		for (size_t bytes = 0; bytes < m.end; bytes++)
			if (!parse_copy(m.data, bytes, &t))
				use_table(t);
		for (int round = 0; round < 3000; round++) {
			uint8_t bad[sizeof(m.data)];

			memcpy(bad, m.data, m.end);
			for (uint32_t n = next_random(&seed) % 4; n < 4; n++) {
				/* places of tables are at the beginning */
				size_t at = next_random(&seed) % (n % 2 ? m.end : 120);

				if (round % 3)
					bad[at] ^= (uint8_t)(1u << next_random(&seed) % 8);
				else
					bad[at] = (uint8_t)next_random(&seed);
			}
			if (!parse_copy(bad, m.end, &t)) {
				used_cnt++;
				use_table(t);
			}
		}
	}
	CHECK(used_cnt > 1000);
}

/* Claims of a table that is all varints, of function counts, and of nothing. */
TEST(claims)
{
	struct pa_gopclntab *t;
	struct maker m;
	uint8_t *big = malloc(1 << 20);
	const char *name, *file;
	uint32_t line, start_line;

	make_table(&m, 2, false, 8);
	put(&m, 8, 8, UINT64_MAX / 8 + 1);
	CHECK_EQ(parse_copy(m.data, m.end, &t), -EBADMSG);
	put(&m, 8, 8, 0);
	CHECK_EQ(parse_copy(m.data, m.end, &t), -EBADMSG);
	CHECK_EQ(parse_copy(m.data, 0, &t), -EBADMSG);
	make_table(&m, 2, false, 8);
	memset(big, 1, 1 << 20); /* a step of one byte, one line back, for ever */
	memcpy(big, m.data, m.end);
	m.end = 1 << 20;
	CHECK_EQ(parse_copy(big, m.end, &t), 0);
	for (int i = 0; i < 1000; i++)
		pa_gopclntab__line(t, 0x40001040 + (unsigned)i, &name, &file, &line, &start_line);
	pa_gopclntab__free(t);
	free(big);
}

static void try_program(const char *name)
{
	struct pa_gopclntab *t = load_table(name);

	if (t)
		use_table(t);
}

TEST(damaged_programs)
{
	uint32_t seed = 99;
	struct stat st;
	uint8_t *good;
	int fd;

	if (!has_go())
		return;
	CHECK(build_go("pie", program_go, "-buildmode=pie -ldflags='-s -w'"));
	drop_sections("pie", "bare");
	for (int which = 0; which < 2; which++) {
		fd = open(scratch_path(which ? "bare" : "pie"), O_RDWR);
		CHECK(fd >= 0 && !fstat(fd, &st));
		good = malloc((size_t)st.st_size);
		CHECK(pread(fd, good, (size_t)st.st_size, 0) == st.st_size);
		for (int round = 0; round < 60; round++) {
			uint64_t at[8];

			for (int i = 0; i < 8; i++) {
				at[i] = next_random(&seed) % (i < 4 ? 1024 : (size_t)st.st_size);
				if (pwrite(fd, &(uint8_t){(uint8_t)next_random(&seed)}, 1,
					   (off_t)at[i]) != 1)
					abort();
			}
			try_program(which ? "bare" : "pie");
			for (int i = 0; i < 8; i++)
				if (pwrite(fd, good + at[i], 1, (off_t)at[i]) != 1)
					abort();
		}
		for (int i = 1; i < 16; i++) {
			CHECK_EQ(ftruncate(fd, st.st_size * (16 - i) / 16), 0);
			try_program(which ? "bare" : "pie");
		}
		close(fd);
		free(good);
	}
}

TEST_MAIN()
