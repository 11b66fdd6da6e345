/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines and inlined functions of addresses: tests/workloads/inlines.cpp in each of the forms that
 * DWARF comes in, and all of its addresses against addr2line, which perf asks. Damage only loses
 * lines.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>

#include "symbolize_fixture.h"
#include "symbolize/internal.h"
#include "check.h"

#define SOURCE "tests/workloads/inlines.cpp"

static struct pa_symbolizer *new_symbolizer(bool lines, bool inlines)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .lines = lines, .inlines = inlines};
	struct pa_symbolizer *s = NULL;

	return pa_symbolizer__new(&opts, &s) ? NULL : s;
}

static struct pa_image *image_of(struct pa_symbolizer *s, const char *path)
{
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .path = path};
	const struct pa_symbol *sym;
	struct pa_image *image = NULL;

	if (pa_symbolizer__image(s, &ref, false, &image) ||
	    pa_symbolizer__lookup(s, image, 0, &sym))
		return NULL;
	return image;
}

static const char *source_path(void)
{
	static char *path;

	if (!path)
		path = realpath(SOURCE, NULL);
	return path ? path : "";
}

/* The line of the source that ends in a word. */
static uint32_t line_of(const char *word)
{
	FILE *in = fopen(source_path(), "r");
	char text[512];
	uint32_t line = 0, found = 0;

	while (in && fgets(text, sizeof(text), in)) {
		const char *at = strstr(text, word);

		line++;
		if (at && !strcmp(at + strlen(word), "\n"))
			found = line;
	}
	if (in)
		fclose(in);
	return found;
}

static bool build(const char *compiler, const char *flags, const char *name)
{
	return !run("%s -O2 -Wl,--build-id -I%.*s -o %s %s %s", compiler,
		    (int)(strrchr(source_path(), '/') - source_path()), source_path(), name, flags,
		    source_path());
}

/* ---- a known chain ----------------------------------------------------------------------------
 */

struct want {
	const char *name, *system_name, *at, *start;
};

static bool is_line(const struct pa_line *l, const struct want *w)
{
	return !strcmp(l->name, w->name) && !strcmp(l->system_name, w->system_name) &&
	       !strcmp(l->file, source_path()) && l->line == line_of(w->at) &&
	       l->start_line == line_of(w->start);
}

/* Has some address of the function that is last in want this chain? */
static bool has_chain(struct pa_symbolizer *s, struct pa_image *image, const struct want *want,
		      size_t want_cnt)
{
	const struct pa_elfsyms *syms = image->object ? image->object->syms : NULL;

	for (size_t i = 0; syms && i < syms->cnt; i++) {
		uint64_t start;

		if (strcmp(syms->names + syms->syms[i].name, want[want_cnt - 1].system_name) ||
		    pa_elfsyms__offset(syms, syms->syms[i].addr, &start))
			continue;
		for (uint64_t at = start; at < start + syms->syms[i].bytes; at++) {
			const struct pa_line *lines;
			size_t cnt, same = 0;

			if (pa_symbolizer__lines(s, image, at, &lines, &cnt) || cnt != want_cnt)
				continue;
			while (same < cnt && is_line(&lines[same], &want[same]))
				same++;
			if (same == cnt)
				return true;
		}
	}
	return false;
}

static const struct want deep[] = {
	{"nest::Counter<unsigned long>::add", "_ZN4nest7CounterImE3addEm", "ADD_BODY", "ADD_START"},
	{"nest::rounds", "_ZN4nest6roundsEm", "ROUNDS_CALL", "ROUNDS_START"},
	{"nest::deep", "_ZN4nest4deepEm", "DEEP_CALL", "DEEP_START"}};
static const struct want shallow[] = {{"square", "square", "SQUARE_BODY", "SQUARE_START"},
				      {"shallow", "shallow", "SHALLOW_CALL", "SHALLOW_START"}};

static bool has_chains(const char *path)
{
	struct pa_symbolizer *s = new_symbolizer(true, true);
	struct pa_image *image = image_of(s, path);
	bool both = image && has_chain(s, image, deep, 3) && has_chain(s, image, shallow, 2);

	pa_symbolizer__free(s);
	return both;
}

TEST(forms_of_dwarf)
{
	static const char *const forms[][2] = {
		{"g++", "-g -gdwarf-5"},
		{"g++", "-g -gdwarf-4 -fno-pie -no-pie"},
		{"g++", "-g -gz"},
		{"g++", "-g -gdwarf-4 -gz=zlib-gnu"},
		{"g++", "-g -flto"},
		{"g++", "-g -ffunction-sections -Wl,--gc-sections"},
		{"clang++", "-g -fstandalone-debug -gdwarf-5"},
		{"clang++", "-g -gdwarf-4 -ffunction-sections"},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		CHECK(build(forms[i][0], forms[i][1], "form"));
		if (!has_chains(scratch_path("form")))
			CHECK_FAIL("%s %s: a chain is missing", forms[i][0], forms[i][1]);
	}
}

TEST(separate_debug_file)
{
	CHECK(build("g++", "-g", "linked"));
	CHECK_EQ(run("objcopy --only-keep-debug linked linked.dbg && "
		     "objcopy --strip-debug --add-gnu-debuglink=linked.dbg linked"),
		 0);
	CHECK(has_chains(scratch_path("linked")));
	CHECK_EQ(run("rm linked.dbg"), 0);
	CHECK(!has_chains(scratch_path("linked")));
}

TEST(split_dwarf)
{
	static const char *const forms[][2] = {
		{"g++", "-gdwarf-5"},
		{"g++", "-gdwarf-4"},
		{"g++", "-gdwarf-5 -ffunction-sections"},
		{"clang++", "-gdwarf-5"},
		{"clang++", "-gdwarf-4"},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		char flags[128];

		snprintf(flags, sizeof(flags), "-g -gsplit-dwarf %s", forms[i][1]);
		run("rm -f *.dwo split*");
		CHECK(build(forms[i][0], flags, "split"));
		if (!has_chains(scratch_path("split")))
			CHECK_FAIL("%s %s: a chain is missing", forms[i][0], flags);
		CHECK_EQ(run("llvm-dwp -e split -o split.dwp && rm *.dwo"), 0);
		if (!has_chains(scratch_path("split")))
			CHECK_FAIL("%s %s: a chain is missing in .dwp", forms[i][0], flags);
		CHECK_EQ(run("rm split.dwp"), 0);
		CHECK(!has_chains(scratch_path("split")));
	}
}

TEST(dwarf_shared_by_dwz)
{
	CHECK(build("g++", "-g -gdwarf-4", "shared1"));
	CHECK_EQ(run("cp shared1 shared2 && dwz -m $PWD/common.debug -M $PWD/common.debug "
		     "shared1 shared2 && readelf -SW shared1 | grep -q gnu_debugaltlink"),
		 0);
	CHECK(has_chains(scratch_path("shared1")));
	CHECK_EQ(run("rm common.debug"), 0);
	CHECK(!has_chains(scratch_path("shared1")));
}

/* ---- what is asked for ------------------------------------------------------------------------
 */

TEST(only_the_line)
{
	static const struct want want = {"nest::deep", "_ZN4nest4deepEm", "ADD_BODY", "DEEP_START"};
	struct pa_symbolizer *s = new_symbolizer(true, false);
	struct pa_image *image;

	CHECK(build("g++", "-g", "plain"));
	image = image_of(s, scratch_path("plain"));
	CHECK(image);
	CHECK(has_chain(s, image, &want, 1));
	pa_symbolizer__free(s);
}

TEST(nothing_is_known)
{
	struct pa_symbolizer *s = new_symbolizer(true, true);
	struct pa_image_ref jit = {.kind = PA_IMAGE_JIT, .pid = 1};
	const struct pa_line *lines;
	struct pa_image *image;
	size_t cnt = 1;

	CHECK_EQ(pa_symbolizer__image(s, &jit, false, &image), 0);
	CHECK_EQ(pa_symbolizer__lines(s, image, 4096, &lines, &cnt), 0);
	CHECK_EQ(cnt, 0);
	CHECK(build("g++", "-g0", "none"));
	image = image_of(s, scratch_path("none"));
	CHECK(image);
	for (uint64_t at = 0; at < 0x2000; at += 16) {
		CHECK_EQ(pa_symbolizer__lines(s, image, at, &lines, &cnt), 0);
		CHECK_EQ(cnt, 0);
	}
	pa_symbolizer__free(s);
}

/* ---- all addresses, against addr2line -----------------------------------------------------------
 */

/* What addr2line says is right, but that it gives the innermost function the name of the symbol
 * around it when DWARF has no linkage name for it. */
static bool same_line(FILE *in, const struct pa_line *lines, size_t i, size_t cnt)
{
	char name[8192], place[8192], *end;
	const struct pa_line *l = &lines[i];
	unsigned long line;
	bool same;

	if (!fgets(name, sizeof(name), in) || !fgets(place, sizeof(place), in))
		return false;
	name[strcspn(name, "\n")] = '\0';
	end = strchr(place, ':');
	if (!end)
		return false;
	*end = '\0';
	line = strtoul(end + 1, NULL, 10);
	same = !strcmp(name, l->system_name) || (!i && strncmp(l->system_name, "_Z", 2) &&
						 !strcmp(name, lines[cnt - 1].system_name));
	if (same && line == l->line && !strcmp(place, *l->file ? l->file : "??"))
		return true;
	fprintf(stderr, "%s %s:%lu, not %s %s:%u\n", name, place, line, l->system_name, l->file,
		l->line);
	return false;
}

TEST(all_addresses)
{
	struct pa_symbolizer *s = new_symbolizer(true, true);
	const struct pa_elfsyms *syms;
	struct pa_image *image;
	size_t checked_cnt = 0;

	CHECK(build("g++", "-g", "all"));
	image = image_of(s, scratch_path("all"));
	CHECK(image && image->object);
	syms = image->object->syms;
	for (size_t i = 0; i < syms->cnt; i++) {
		const struct pa_elfsym *sym = &syms->syms[i];
		char cmd[8192];
		FILE *in;

		snprintf(cmd, sizeof(cmd),
			 "for i in $(seq %llu %llu); do printf '0x%%x\\n' $i; "
			 "done | addr2line -a -i -f -e %s",
			 (unsigned long long)sym->addr,
			 (unsigned long long)(sym->addr + sym->bytes - 1), scratch_path("all"));
		in = popen(cmd, "r");
		CHECK(in);
		for (uint64_t at = sym->addr; at < sym->addr + sym->bytes; at++) {
			const struct pa_line *lines;
			uint64_t offset;
			char text[64];
			size_t cnt;

			CHECK_EQ(pa_elfsyms__offset(syms, at, &offset), 0);
			CHECK_EQ(pa_symbolizer__lines(s, image, offset, &lines, &cnt), 0);
			if (!cnt)
				break;
			CHECK(fgets(text, sizeof(text), in));
			CHECK_EQ(strtoull(text, NULL, 16), at);
			for (size_t j = 0; j < cnt; j++)
				CHECK(same_line(in, lines, j, cnt));
			checked_cnt++;
		}
		pclose(in);
	}
	CHECK(checked_cnt > 200);
	pa_symbolizer__free(s);
}

/* ---- damage -------------------------------------------------------------------------------------
 */

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void try_all(const char *path)
{
	struct pa_symbolizer *s = new_symbolizer(true, true);
	struct pa_image *image = image_of(s, path);
	const struct pa_elfsyms *syms = image && image->object ? image->object->syms : NULL;

	for (size_t i = 0; syms && i < syms->cnt; i++) {
		uint64_t at;

		if (pa_elfsyms__offset(syms, syms->syms[i].addr, &at))
			continue;
		for (uint64_t end = at + syms->syms[i].bytes % 1024; at < end; at += 3) {
			const struct pa_line *lines;
			size_t cnt;

			if (pa_symbolizer__lines(s, image, at, &lines, &cnt))
				abort();
			for (size_t j = 0; j < cnt; j++)
				if (strlen(lines[j].name) + strlen(lines[j].file) > 1u << 20)
					abort();
		}
	}
	pa_symbolizer__free(s);
}

/* Flip bits of the debug sections of a file, a few or many. */
static void damage(const char *from, const char *to, unsigned round_cnt)
{
	struct pa_elf e;
	int fd = open(scratch_path(from), O_RDONLY);
	uint32_t seed = 4711;
	uint8_t *good, *bad;

	if (fd < 0 || pa_elf__open_fd(&e, fd))
		abort();
	good = malloc(e.bytes);
	bad = malloc(e.bytes);
	if (pa_elf__read(&e, 0, good, e.bytes))
		abort();
	for (unsigned i = 0; i < round_cnt; i++) {
		memcpy(bad, good, e.bytes);
		for (size_t j = 0; j < e.section_cnt; j++) {
			const struct pa_elf_section *s = &e.sections[j];
			unsigned flip_cnt = next_random(&seed) % 16;

			if (strncmp(pa_elf__section_name(&e, s), ".debug_", 7) || !s->bytes ||
			    (i % 3 && next_random(&seed) % 3))
				continue;
			while (flip_cnt--)
				bad[s->offset + next_random(&seed) % s->bytes] ^=
					(uint8_t)(1u << next_random(&seed) % 8);
		}
		write_file(to, bad, e.bytes);
		try_all(scratch_path("hurt"));
	}
	free(good);
	free(bad);
	pa_elf__close(&e);
	close(fd);
}

TEST(damaged_dwarf)
{
	static const char *const flags[] = {"-g -gdwarf-5", "-g -gdwarf-4", "-g -gz", "-g -flto"};

	for (size_t i = 0; i < 4; i++) {
		CHECK(build("g++", flags[i], "whole"));
		damage("whole", "hurt", 300);
	}
}

TEST(damaged_split_dwarf)
{
	CHECK(build("clang++", "-g -gdwarf-5 -gsplit-dwarf", "hurt"));
	CHECK_EQ(run("cp inlines.dwo whole.dwo"), 0);
	damage("whole.dwo", "inlines.dwo", 300);
	CHECK_EQ(run("cp whole.dwo inlines.dwo && llvm-dwp -e hurt -o whole.dwp && rm inlines.dwo"),
		 0);
	damage("whole.dwp", "hurt.dwp", 300);
}

/* A function that is its own origin, one that is called in a circle. */
TEST(circles)
{
	struct pa_symbolizer *s = new_symbolizer(true, true);
	const struct pa_line *lines;
	const struct pa_symbol *sym;
	struct pa_image *image;
	size_t cnt;

	write_text("circle.s",
		   ".globl _start\n.type _start,@function\n.text\n_start: nop\nnop\nnop\nret\n"
		   ".Lend: .size _start,.-_start\n"
		   ".section .debug_abbrev,\"\",@progbits\n"
		   ".byte 1,0x11,1,0x11,1,0x12,7,0,0\n"		  /* compile_unit: low, high */
		   ".byte 2,0x2e,1,0x31,0x13,0x11,1,0x12,7,0,0\n" /* subprogram: origin */
		   ".byte 3,0x1d,0,0x31,0x13,0x11,1,0x12,7,0,0\n" /* inlined */
		   ".byte 0\n"
		   ".section .debug_info,\"\",@progbits\n"
		   ".Lcu: .long .Lcuend-.-4\n.short 4\n.long .debug_abbrev\n.byte 8\n"
		   ".byte 1\n.quad _start\n.quad 4\n"
		   ".Lf: .byte 2\n.long .Lf-.Lcu\n.quad _start\n.quad 4\n"
		   ".Lg: .byte 3\n.long .Lh-.Lcu\n.quad _start\n.quad 4\n"
		   ".Lh: .byte 3\n.long .Lg-.Lcu\n.quad _start\n.quad 4\n"
		   ".byte 0,0\n.Lcuend:\n");
	CHECK_EQ(run("gcc -nostdlib -static -o circle circle.s"), 0);
	image = image_of(s, scratch_path("circle"));
	CHECK(image && image->object && image->object->syms);
	for (size_t i = 0; i < image->object->syms->cnt; i++) {
		uint64_t at;

		CHECK_EQ(pa_elfsyms__offset(image->object->syms, image->object->syms->syms[i].addr,
					    &at),
			 0);
		CHECK_EQ(pa_symbolizer__lookup(s, image, at, &sym), 0);
		CHECK_EQ(pa_symbolizer__lines(s, image, at, &lines, &cnt), 0);
		CHECK_EQ(cnt, 2);
		CHECK_STR(lines[0].name, "");
		CHECK_STR(lines[1].name, "_start");
	}
	pa_symbolizer__free(s);
}

TEST_MAIN()
