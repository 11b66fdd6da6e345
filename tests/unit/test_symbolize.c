/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Symbols of ELF files, compared with what readelf says of the same file: real libraries, and
 * small programs in each of the forms that symbols come in. Damaged files must only lose names.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "symbolize_fixture.h"
#include "check.h"

static const char program_c[] =
	"#include <stdlib.h>\n"
	"#include <stdio.h>\n"
	"int global_one(int a) { return a * 3 + 1; }\n"
	"static __attribute__((noinline)) int local_two(int a)\n"
	"{\n"
	"	return global_one(a) - 7;\n"
	"}\n"
	"int alias_three(int a) __attribute__((alias(\"global_one\")));\n"
	"int __weak_four(int a) __attribute__((weak, alias(\"global_one\")));\n"
	"__asm__(\".text\\n.type sizeless,@function\\nsizeless: nop\\nnop\\nnop\\nret\\n\"\n"
	"	\"label_only: nop\\nnop\\nret\\n.type after,@function\\nafter: ret\\n\"\n"
	"	\".size after,1\\n\");\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	printf(\"%d\\n\", local_two(argc));\n"
	"	return atoi(argv[0]) + getpid_like(argc);\n"
	"}\n"
	"int getpid_like(int a) { return alias_three(a); }\n"
	"__attribute__((used)) static int __local_over_weak(int a) { return a * 5; }\n"
	"int weak_and_longer_five(int a)\n"
	"	__attribute__((weak, alias(\"__local_over_weak\")));\n"
	"int _ZN1AC1Ev(void) { return 3; }\n" /* A::A() */
	"int _ZN1B8longnameEv(void) __attribute__((alias(\"_ZN1AC1Ev\")));\n"
	"int plainlongname(void) __attribute__((alias(\"_ZN1AC1Ev\")));\n";

static char warning[4096];
static unsigned warning_cnt;

static void on_warn(void *ctx, const char *msg)
{
	(void)ctx;
	warning_cnt++;
	snprintf(warning, sizeof(warning), "%s", msg);
}

static struct pa_symbolizer *new_symbolizer(bool decl, bool live)
{
	struct pa_symbolizer_opts opts = {
		.sz = sizeof(opts), .decl_lines = decl, .live = live, .warn = on_warn};
	struct pa_symbolizer *s = NULL;

	return pa_symbolizer__new(&opts, &s) ? NULL : s;
}

static struct pa_image *image_of(struct pa_symbolizer *s, const char *path)
{
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .path = path};
	struct pa_image *image = NULL;

	return pa_symbolizer__image(s, &ref, false, &image) ? NULL : image;
}

static bool build(const char *output, const char *flags)
{
	write_text("program.c", program_c);
	return !run("gcc -w %s -o %s program.c", flags, output);
}

/* ---- all symbols of a file, against readelf --------------------------------------------- */

struct known {
	uint64_t addr, bytes;
	char name[256];
};

struct load {
	uint64_t offset, vaddr, bytes;
};

struct known_file {
	struct known *syms;
	size_t cnt, cap;
	struct load loads[16];
	size_t load_cnt;
};

static int compare_known(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool read_known(const char *path, const char *symbols_from, struct known_file *f)
{
	char line[4096], cmd[16384];
	FILE *in;

	memset(f, 0, sizeof(*f));
	snprintf(cmd, sizeof(cmd), "readelf -lW %s; readelf -sW %s", path, symbols_from);
	in = popen(cmd, "r");
	if (!in)
		return false;
	while (fgets(line, sizeof(line), in)) {
		unsigned long long offset, vaddr, paddr, bytes, addr;
		char size[32], type[32], bind[32], vis[64], index[32], name[1024];

		if (sscanf(line, " LOAD %llx %llx %llx %llx", &offset, &vaddr, &paddr, &bytes) ==
			    4 &&
		    f->load_cnt < 16 && strstr(line, " E "))
			f->loads[f->load_cnt++] = (struct load){offset, vaddr, bytes};
		if (sscanf(line, " %*d: %llx %31s %31s %31s %63s %31s %1023s", &addr, size, type,
			   bind, vis, index, name) != 7)
			continue;
		bytes = strtoull(size, NULL, 0);
		if ((strcmp(type, "FUNC") && strcmp(type, "IFUNC")) || !strcmp(index, "UND") ||
		    !bytes)
			continue;
		if (f->cnt == f->cap) {
			f->cap = f->cap ? f->cap * 2 : 1024;
			f->syms = realloc(f->syms, f->cap * sizeof(*f->syms));
		}
		f->syms[f->cnt].addr = addr;
		f->syms[f->cnt].bytes = bytes;
		snprintf(f->syms[f->cnt++].name, 256, "%.255s", name);
	}
	pclose(in);
	qsort(f->syms, f->cnt, sizeof(*f->syms), compare_known);
	return f->cnt > 0 && f->load_cnt > 0;
}

static bool same_name(const char *a, const char *b)
{
	size_t la = strcspn(a, "@"), lb = strcspn(b, "@");

	if (la > 250)
		return !strncmp(a, b, 250);
	return la == lb && !strncmp(a, b, la);
}

/* Is sym one of the right answers for vaddr: the innermost of those that hold it? */
static bool is_right(const struct known_file *f, uint64_t vaddr, const struct pa_symbol *sym)
{
	uint64_t best = 0;
	bool named = false;

	for (size_t i = 0; i < f->cnt && f->syms[i].addr <= vaddr; i++)
		if (vaddr - f->syms[i].addr < f->syms[i].bytes)
			best = f->syms[i].addr;
	if (sym->start > best && vaddr - sym->start < sym->bytes)
		return true; /* a function without a size inside */
	for (size_t i = 0; i < f->cnt; i++)
		named |= f->syms[i].addr == best && same_name(f->syms[i].name, sym->system_name);
	return sym->start == best && vaddr - best < sym->bytes && named;
}

static bool vaddr_to_offset(const struct known_file *f, uint64_t vaddr, uint64_t *offset)
{
	for (size_t i = 0; i < f->load_cnt; i++) {
		if (vaddr < f->loads[i].vaddr || vaddr - f->loads[i].vaddr >= f->loads[i].bytes)
			continue;
		*offset = vaddr - f->loads[i].vaddr + f->loads[i].offset;
		return true;
	}
	return false;
}

/* @return symbols that were checked; -1 when one is wrong. step leaves out some. */
static long check_file(const char *path, const char *symbols_from, size_t step)
{
	struct pa_symbolizer *s = new_symbolizer(false, false);
	struct pa_image *image = image_of(s, path);
	struct known_file f;
	long cnt = 0;

	if (!read_known(path, symbols_from, &f))
		cnt = -1;
	for (size_t i = 0; i < f.cnt && cnt >= 0; i += step) {
		const struct known *k = &f.syms[i];
		uint64_t at[] = {k->addr, k->addr + k->bytes / 2, k->addr + k->bytes - 1};

		for (int j = 0; j < 3; j++) {
			const struct pa_symbol *sym = NULL;
			uint64_t offset;

			if (!vaddr_to_offset(&f, at[j], &offset))
				continue;
			if (pa_symbolizer__lookup(s, image, offset, &sym) || !sym ||
			    !is_right(&f, at[j], sym)) {
				fprintf(stderr, "%s: %s+%#llx is %s\n", path, k->name,
					(unsigned long long)(at[j] - k->addr),
					sym ? sym->system_name : "(none)");
				cnt = -1;
				break;
			}
		}
		cnt += cnt >= 0;
	}
	free(f.syms);
	pa_symbolizer__free(s);
	return cnt;
}

TEST(libc_dynsym)
{
	char path[4096], symbols[9216];

	CHECK(realpath("/lib/x86_64-linux-gnu/libc.so.6", path) ||
	      realpath("/lib/aarch64-linux-gnu/libc.so.6", path));
	/* its debug file, where that is installed, has more */
	snprintf(symbols, sizeof(symbols),
		 "%s $(readelf -n %s | sed -n 's,.*Build ID: \\(..\\)\\(.*\\),"
		 "/usr/lib/debug/.build-id/\\1/\\2.debug,p' | xargs ls 2>/dev/null)",
		 path, path);
	CHECK(check_file(path, symbols, 1) > 1000);
}

TEST(libstdcxx)
{
	char path[4096];

	if (!realpath("/lib/x86_64-linux-gnu/libstdc++.so.6", path) &&
	    !realpath("/lib/aarch64-linux-gnu/libstdc++.so.6", path))
		return;
	CHECK(check_file(path, path, 7) > 100);
}

TEST(python)
{
	char path[4096];

	if (!realpath("/usr/bin/python3", path))
		return;
	CHECK(check_file(path, path, 3) > 100);
}

TEST(static_pie)
{
	CHECK(build("static-pie", "-O1 -static-pie"));
	CHECK(check_file(scratch_path("static-pie"), scratch_path("static-pie"), 1) > 500);
}

TEST(no_pie_and_large_pages)
{
	CHECK(build("no-pie", "-O1 -no-pie -Wl,-z,max-page-size=65536"));
	CHECK(check_file(scratch_path("no-pie"), scratch_path("no-pie"), 1) > 5);
	CHECK(build("packed", "-O1 -Wl,-z,noseparate-code"));
	CHECK(check_file(scratch_path("packed"), scratch_path("packed"), 1) > 5);
}

TEST(separate_debug_file)
{
	CHECK(build("linked.full", "-O1 -g -Wl,--build-id=none"));
	CHECK_EQ(run("objcopy --only-keep-debug linked.full linked.dbg && "
		     "objcopy -S --add-gnu-debuglink=linked.dbg linked.full linked"),
		 0);
	CHECK(check_file(scratch_path("linked"), scratch_path("linked.full"), 1) > 5);
	CHECK_EQ(run("mkdir -p .debug && mv linked.dbg .debug"), 0);
	CHECK(check_file(scratch_path("linked"), scratch_path("linked.full"), 1) > 5);
	/* another file of that name is not believed */
	CHECK_EQ(run("printf x >>.debug/linked.dbg"), 0);
	CHECK(check_file(scratch_path("linked"), scratch_path("linked.full"), 1) < 0);
}

TEST(mini_debuginfo)
{
	CHECK(build("mini.full", "-O1 -Wl,--build-id=none"));
	CHECK_EQ(run("objcopy -S --keep-symbol=main --keep-symbol=local_two "
		     "--keep-symbol=global_one mini.full mini.syms && "
		     "objcopy -S mini.full mini && xz -k mini.syms && "
		     "objcopy --add-section .gnu_debugdata=mini.syms.xz mini"),
		 0);
	CHECK(check_file(scratch_path("mini"), scratch_path("mini.syms"), 1) >= 3);
}

/* ---- single cases ------------------------------------------------------------------------ */

static const struct pa_symbol *by_vaddr(struct pa_symbolizer *s, const char *path, uint64_t vaddr)
{
	const struct pa_symbol *sym = NULL;
	struct known_file f;
	uint64_t offset;

	if (read_known(path, path, &f) && vaddr_to_offset(&f, vaddr, &offset))
		pa_symbolizer__lookup(s, image_of(s, path), offset, &sym);
	free(f.syms);
	return sym;
}

static uint64_t address_of(const char *path, const char *name)
{
	char cmd[8192];
	unsigned long long addr = 0;
	FILE *in;

	snprintf(cmd, sizeof(cmd), "nm %s | awk '$3 == \"%s\" {print $1}'", path, name);
	in = popen(cmd, "r");
	if (in && fscanf(in, "%llx", &addr) != 1)
		addr = 0;
	if (in)
		pclose(in);
	return addr;
}

TEST(aliases_labels_and_missing_sizes)
{
	struct pa_symbolizer *s = new_symbolizer(false, false);
	const struct pa_symbol *sym;
	const char *path = scratch_path("alias");

	CHECK(build("alias", "-O1"));
	sym = by_vaddr(s, path, address_of(path, "global_one"));
	CHECK(sym);
	CHECK_STR(sym->name, "alias_three"); /* the longer of two globals, not the weak one */
	sym = by_vaddr(s, path, address_of(path, "weak_and_longer_five"));
	CHECK(sym);
	CHECK_STR(sym->name, "__local_over_weak");
	sym = by_vaddr(s, path, address_of(path, "_ZN1AC1Ev"));
	CHECK(sym);
	CHECK_STR(sym->system_name, "plainlongname"); /* longer than what is read of the others */
	sym = by_vaddr(s, path, address_of(path, "sizeless") + 3);
	CHECK(sym);
	CHECK_STR(sym->name, "sizeless");
	CHECK_EQ(sym->bytes, 4);
	sym = by_vaddr(s, path, address_of(path, "label_only") + 2);
	CHECK(sym);
	CHECK_STR(sym->name, "label_only");
	CHECK_EQ(sym->bytes, 3);
	CHECK(by_vaddr(s, path, address_of(path, "label_only") + 2) == sym);
	CHECK_STR(sym->file, "");
	CHECK_STR(sym->module, "");
	pa_symbolizer__free(s);
}

#ifdef __x86_64__
TEST(plt)
{
	static const char *const flags[] = {"-O1 -Wl,-z,lazy", "-O1 -Wl,-z,now",
					    "-O1 -fcf-protection -Wl,-z,ibtplt"};

	for (int i = 0; i < 3; i++) {
		struct pa_symbolizer *s = new_symbolizer(false, false);
		const char *path = scratch_path("plt");
		unsigned long long addr = 0;
		const struct pa_symbol *sym;
		FILE *in;
		char cmd[8192];

		CHECK(build("plt", flags[i]));
		snprintf(cmd, sizeof(cmd), "objdump -d %s | awk '/<printf@plt>:/{print $1}'", path);
		in = popen(cmd, "r");
		CHECK(in && fscanf(in, "%llx", &addr) == 1);
		pclose(in);
		sym = by_vaddr(s, path, addr + 3);
		CHECK(sym);
		CHECK_STR(sym->name, "printf@plt");
		CHECK_EQ(sym->start, addr);
		pa_symbolizer__free(s);
	}
}
#endif

TEST(declarations)
{
	static const char *const flags[] = {"-O1 -g", "-O1 -g -gdwarf-4 -fno-pie -no-pie",
					    "-O1 -g -gz", "-O1 -g -flto"};

	for (int i = 0; i < 4; i++) {
		struct pa_symbolizer *s = new_symbolizer(true, false);
		const char *path = scratch_path("decl");
		const struct pa_symbol *sym;

		CHECK(build("decl", flags[i]));
		sym = by_vaddr(s, path, address_of(path, "main"));
		CHECK(sym);
		CHECK_STR(sym->file, scratch_path("program.c"));
		CHECK_EQ(sym->start_line, 13);
		if (i != 3) {
			sym = by_vaddr(s, path, address_of(path, "local_two") + 1);
			CHECK(sym);
			CHECK_STR(sym->file, scratch_path("program.c"));
			CHECK_EQ(sym->start_line, 4);
		}
		pa_symbolizer__free(s);
	}
}

TEST(declarations_of_methods_and_in_debug_file)
{
	struct pa_symbolizer *s = new_symbolizer(true, false);
	const char *path = scratch_path("cxx");
	const struct pa_symbol *sym;

	write_text("cxx.cc", "namespace outer {\n"
			     "struct Thing {\n"
			     "	int method(int a);\n"
			     "	template <class T> int inside(T a);\n"
			     "};\n"
			     "int\n"
			     "Thing::method(int a) { return a + 2; }\n"
			     "template <class T> int Thing::inside(T a) { return a * method(a); }\n"
			     "template int Thing::inside<long>(long);\n"
			     "}\n"
			     "int main() { outer::Thing t; return t.method(1); }\n");
	CHECK_EQ(run("g++ -O0 -g -o cxx cxx.cc && objcopy --only-keep-debug cxx cxx.dbg && "
		     "objcopy --strip-debug --add-gnu-debuglink=cxx.dbg cxx"),
		 0);
	sym = by_vaddr(s, path, address_of(path, "_ZN5outer5Thing6methodEi"));
	CHECK(sym);
	CHECK_STR(sym->name, "outer::Thing::method");
	CHECK_STR(sym->system_name, "_ZN5outer5Thing6methodEi");
	CHECK_STR(sym->file, scratch_path("cxx.cc"));
	CHECK_EQ(sym->start_line, 7);
	sym = by_vaddr(s, path, address_of(path, "_ZN5outer5Thing6insideIlEEiT_"));
	CHECK(sym);
	CHECK_EQ(sym->start_line, 8);
	pa_symbolizer__free(s);
}

TEST(build_id_must_match)
{
	struct pa_symbolizer *s = new_symbolizer(false, false);
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE};
	struct pa_image *image;
	const struct pa_symbol *sym;
	int fd;

	CHECK(build("id", "-O1 -Wl,--build-id"));
	ref.path = scratch_path("id");
	fd = open(ref.path, O_RDONLY);
	ref.build_id_bytes = (uint8_t)pa_build_id__read_fd(fd, ref.build_id);
	close(fd);
	CHECK_EQ(ref.build_id_bytes, 20);
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &sym), 0);
	CHECK(sym);
	ref.build_id[3] ^= 1;
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	warning_cnt = 0;
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &sym), 0);
	CHECK(!sym);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &sym), 0);
	CHECK_EQ(warning_cnt, 1);
	CHECK(strstr(warning, "build-id"));
	pa_symbolizer__free(s);
}

TEST(held_and_shared)
{
	struct pa_symbolizer *s = new_symbolizer(false, true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .pid = getpid()};
	struct pa_image *a, *b, *c;
	const struct pa_symbol *sa, *sb;

	CHECK(build("held", "-O1"));
	CHECK_EQ(run("ln held held2"), 0);
	ref.path = scratch_path("held");
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &a), 0);
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &b), 0);
	CHECK(a == b);
	ref.path = scratch_path("held2");
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &b), 0);
	CHECK(a == b);
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &c), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, c, 0x1100, &sb), 0);
	CHECK_EQ(run("rm held held2"), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, a, 0x1100, &sa), 0);
	CHECK(sa);
	CHECK(sa == sb); /* two images, one file, one table */
	pa_symbolizer__free(s);
}

TEST(map_files)
{
	struct pa_symbolizer *s = new_symbolizer(false, true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .pid = getpid(), .map_bytes = 8192};
	const struct pa_symbol *sym;
	struct pa_image *image;
	void *map;
	int fd;

	CHECK(build("mapped", "-O1"));
	fd = open(scratch_path("mapped"), O_RDONLY);
	map = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	close(fd);
	CHECK_EQ(run("rm mapped"), 0);
	ref.map_start = (uintptr_t)map;
	ref.path = "/nowhere/mapped (deleted)";
	CHECK_EQ(pa_symbolizer__image(s, &ref, false, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &sym), 0);
	munmap(map, 8192);
	if (!sym && geteuid()) {
		fprintf(stderr, "skipped: map_files needs a capability\n");
	} else {
		CHECK(sym);
	}
	pa_symbolizer__free(s);
}

/* A process with a root of its own has another file there, of the same build-id. */
TEST(forged_build_id)
{
	struct pa_symbolizer *s = new_symbolizer(false, true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .pid = getpid(), .map_bytes = 8192};
	const struct pa_symbol *sym;
	struct pa_image *image;
	uint64_t vaddr, offset;
	struct known_file f;
	void *map;
	int fd;

	CHECK(build("true", "-O1 -Wl,--build-id"));
	CHECK_EQ(run("objcopy --redefine-sym local_two=forged true forged"), 0);
	fd = open(scratch_path("forged"), O_RDONLY);
	map = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	ref.map_start = (uintptr_t)map;
	ref.build_id_bytes = (uint8_t)pa_build_id__read_fd(fd, ref.build_id);
	close(fd);
	CHECK_EQ(ref.build_id_bytes, 20);
	ref.path = scratch_path("true");
	vaddr = address_of(ref.path, "local_two");
	CHECK(read_known(ref.path, ref.path, &f) && vaddr_to_offset(&f, vaddr, &offset));
	free(f.syms);
	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, image, offset, &sym), 0);
	munmap(map, 8192);
	CHECK(sym);
	CHECK_STR(sym->name, "local_two");
	pa_symbolizer__free(s);
}

TEST(odd_files)
{
	static const char *const paths[] = {"/dev/null", "/dev/zero", "/",	    "/nowhere",
					    "",		 "//anon",    "/etc/passwd"};
	struct pa_symbolizer *s = new_symbolizer(true, true);
	const struct pa_symbol *sym;
	struct pa_image *image;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		image = image_of(s, paths[i]);
		CHECK(image);
		CHECK_EQ(pa_symbolizer__lookup(s, image, 0, &sym), 0);
		CHECK(!sym);
	}
	CHECK_EQ(mkfifo(scratch_path("fifo"), 0600), 0);
	image = image_of(s, scratch_path("fifo"));
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0, &sym), 0);
	CHECK(!sym);
	pa_symbolizer__free(s);
}

TEST(vdso)
{
	struct pa_symbolizer *s = new_symbolizer(false, true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_VDSO, .path = "[vdso]", .pid = getpid()};
	struct pa_image *image;
	const struct pa_symbol *sym;
	bool found = false;

	CHECK_EQ(pa_symbolizer__image(s, &ref, true, &image), 0);
	for (uint64_t offset = 0; offset < 8192; offset += 16) {
		CHECK_EQ(pa_symbolizer__lookup(s, image, offset, &sym), 0);
		found |= sym && (strstr(sym->name, "clock_gettime") != NULL);
	}
	CHECK(found || !getauxval(AT_SYSINFO_EHDR));
	pa_symbolizer__free(s);
}

TEST(repeated_lookup_allocates_nothing)
{
#if COUNTS_ALLOCATIONS
	struct pa_symbolizer *s = new_symbolizer(true, true);
	struct pa_image_ref kernel = {.kind = PA_IMAGE_KERNEL};
	struct pa_image *image, *k;
	const struct pa_symbol *first, *sym;
	unsigned long before;

	CHECK(build("again", "-O1 -g"));
	image = image_of(s, scratch_path("again"));
	CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &first), 0);
	CHECK_EQ(pa_symbolizer__image(s, &kernel, false, &k), 0);
	CHECK_EQ(pa_symbolizer__lookup(s, k, 0xffffffff81000100, &sym), 0);
	before = allocation_cnt;
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(pa_symbolizer__lookup(s, image, 0x1100, &sym), 0);
		CHECK(sym == first);
		CHECK_EQ(pa_symbolizer__lookup(s, k, 0xffffffff81000100, &sym), 0);
	}
	CHECK_EQ(allocation_cnt - before, 0);
	pa_symbolizer__free(s);
#endif
}

/* ---- damage -------------------------------------------------------------------------------- */

static void try_all(const char *path, bool decl)
{
	struct pa_symbolizer *s = new_symbolizer(decl, false);
	struct pa_image *image = image_of(s, path);
	const struct pa_symbol *sym;
	uint8_t id[20];
	int fd = open(path, O_RDONLY);

	pa_build_id__read_fd(fd, id);
	close(fd);
	for (uint64_t offset = 0; offset < 0x3000; offset += 24)
		pa_symbolizer__lookup(s, image, offset, &sym);
	pa_symbolizer__free(s);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Flip bits of a file, mostly in its headers and in the tables at its end. */
static void damage(const char *name, const char *flags, unsigned rounds, bool decl)
{
	struct stat st;
	uint8_t *good, *bad;
	uint32_t seed = 12345;
	int fd;

	if (!build(name, flags))
		return;
	fd = open(scratch_path(name), O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		abort();
	good = malloc((size_t)st.st_size);
	bad = malloc((size_t)st.st_size);
	if (read(fd, good, (size_t)st.st_size) != st.st_size)
		abort();
	close(fd);
	for (unsigned i = 0; i < rounds; i++) {
		size_t bytes = (size_t)st.st_size;

		memcpy(bad, good, bytes);
		for (unsigned j = next_random(&seed) % 12; j < 12; j++) {
			size_t at = next_random(&seed) % bytes;

			if (j % 3 == 0)
				at %= 1024;
			else if (j % 3 == 1)
				at = bytes - 1 - at % (bytes / 2);
			bad[at] ^= (uint8_t)(1u << next_random(&seed) % 8);
		}
		if (i % 16 == 0)
			bytes = next_random(&seed) % bytes;
		write_file("damaged", bad, bytes);
		try_all(scratch_path("damaged"), decl);
	}
	free(good);
	free(bad);
}

/* A name as long as the file would be written for each address. */
TEST(very_long_names)
{
	struct pa_symbolizer *s = new_symbolizer(false, false);
	const struct pa_symbol *sym = NULL;
	struct pa_image *image;

	CHECK_EQ(run("n=$(printf 'x%%099999d' 0); printf '.globl %%s\n.type %%s,@function\n%%s: "
		     "ret\n"
		     ".size %%s,1\n' $n $n $n $n >long.s && gcc -shared -nostdlib -o long.so "
		     "long.s"),
		 0);
	image = image_of(s, scratch_path("long.so"));
	CHECK(image);
	for (uint64_t offset = 0; offset < 1 << 20 && !sym; offset++)
		CHECK_EQ(pa_symbolizer__lookup(s, image, offset, &sym), 0);
	CHECK(sym);
	CHECK_EQ(strlen(sym->name), 16384);
	pa_symbolizer__free(s);
}

TEST(damaged_files)
{
	damage("small", "-O1 -Wl,--build-id", 1500, false);
}

TEST(damaged_dwarf)
{
	damage("dwarf", "-O1 -g", 800, true);
	damage("dwarf4", "-O1 -g -gdwarf-4 -fno-pie -no-pie", 400, true);
}

TEST(sparse_claims)
{
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 3,
			.e_shoff = sizeof(h)};
	Elf64_Shdr s[3] = {{0},
			   {.sh_type = SHT_SYMTAB,
			    .sh_offset = 4096,
			    .sh_size = 1ull << 40,
			    .sh_link = 2,
			    .sh_entsize = 24},
			   {.sh_type = SHT_STRTAB, .sh_offset = 4096, .sh_size = 1ull << 40}};
	char file[sizeof(h) + sizeof(s)];

	memcpy(file, &h, sizeof(h));
	memcpy(file + sizeof(h), s, sizeof(s));
	write_file("sparse", file, sizeof(file));
	CHECK_EQ(truncate(scratch_path("sparse"), 1ll << 41), 0);
	try_all(scratch_path("sparse"), true);
}

TEST_MAIN()
