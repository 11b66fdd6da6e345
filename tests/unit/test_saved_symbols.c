/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Symbols in the private blob: what is saved comes back the same without the machine that it
 * came from, and a damaged chunk is refused but never harms.
 */
#include <errno.h>
#include <sys/mman.h>

#include "symbolize_fixture.h"
#include "check.h"

static const char source[] = "int first(int a) { return a + 1; }\n"
			     "int second(int a) { return first(a) * 2; }\n"
			     "int main(void) { return second(1); }\n";

static struct pa_symbolizer *new_symbolizer(bool live)
{
	struct pa_symbolizer_opts opts = {.sz = sizeof(opts), .live = live, .decl_lines = live};
	struct pa_symbolizer *s = NULL;

	return pa_symbolizer__new(&opts, &s) ? NULL : s;
}

static const struct pa_symbol *look(struct pa_symbolizer *s, const struct pa_image_ref *ref,
				    uint64_t addr, bool hold)
{
	const struct pa_symbol *sym = NULL;
	struct pa_image *image;

	if (pa_symbolizer__image(s, ref, hold, &image) ||
	    pa_symbolizer__lookup(s, image, addr, &sym))
		return NULL;
	return sym;
}

static void make_map(char *path)
{
	FILE *out;

	sprintf(path, "/tmp/perf-%d.map", getpid());
	out = fopen(path, "w");
	if (!out)
		abort();
	fprintf(out, "1000 20 LazyCompile:*run /srv/a.js:12:3\n3000 10 plain\n");
	fclose(out);
}

/* One JIT and one deleted image, each with a symbol that was hit. */
static bool save_some(struct pa_image_ref *jit, struct pa_image_ref *file, void **data,
		      size_t *bytes)
{
	struct pa_symbolizer *s = new_symbolizer(true);
	const struct pa_symbol *a, *b;
	char path[64];

	make_map(path);
	*jit = (struct pa_image_ref){
		.kind = PA_IMAGE_JIT, .path = "//anon", .pid = getpid(), .start_ns = 77};
	a = look(s, jit, 0x1010, true);
	unlink(path);
	write_text("gone.c", source);
	if (run("gcc -g -O0 -o gone gone.c"))
		return false;
	*file = (struct pa_image_ref){
		.kind = PA_IMAGE_FILE, .path = scratch_path("gone"), .pid = getpid()};
	for (int i = 0; i < 20; i++)
		file->build_id[i] = 0;
	b = look(s, file, 0x1120, true);
	run("rm gone");
	if (!a || !b || pa_symbolizer__save(s, data, bytes))
		return false;
	pa_symbolizer__free(s);
	return true;
}

TEST(round_trip)
{
	struct pa_image_ref jit, file;
	const struct pa_symbol *sym, *again;
	struct pa_symbolizer *s;
	size_t bytes = 0;
	void *data = NULL;

	CHECK(save_some(&jit, &file, &data, &bytes));
	CHECK(data && bytes % 8 == 0);
	s = new_symbolizer(false);
	CHECK_EQ(pa_symbolizer__restore(s, data, bytes), 0);
	free(data);
	sym = look(s, &jit, 0x101f, false);
	CHECK(sym);
	CHECK_STR(sym->name, "LazyCompile:*run");
	CHECK_STR(sym->system_name, "LazyCompile:*run /srv/a.js:12:3");
	CHECK_STR(sym->file, "/srv/a.js");
	CHECK_STR(sym->module, "");
	CHECK_EQ(sym->start_line, 12);
	CHECK_EQ(sym->start, 0x1000);
	CHECK_EQ(sym->bytes, 0x20);
	CHECK(!look(s, &jit, 0x1020, false));
	CHECK(!look(s, &jit, 0x3000, false)); /* was not hit */
	jit.start_ns = 78;
	CHECK(!look(s, &jit, 0x1010, false)); /* another process of this number */
	jit.start_ns = 0;
	CHECK(look(s, &jit, 0x1010, false) == sym);
	sym = look(s, &file, 0x1121, false);
	CHECK(sym);
	again = look(s, &file, 0x1122, false);
	CHECK(sym == again);
	CHECK_STR(sym->name, "frame_dummy");
	pa_symbolizer__free(s);
}

TEST(what_can_be_looked_up_is_not_saved)
{
	struct pa_symbolizer *s = new_symbolizer(true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_FILE, .pid = getpid()};
	size_t bytes = 1;
	void *data = &bytes;

	write_text("kept.c", source);
	CHECK_EQ(run("gcc -g -O0 -o kept kept.c"), 0);
	ref.path = scratch_path("kept");
	CHECK(look(s, &ref, 0x1120, true));
	CHECK_EQ(pa_symbolizer__save(s, &data, &bytes), 0);
	CHECK(!data);
	CHECK_EQ(bytes, 0);
	pa_symbolizer__free(s);
}

TEST(kernel)
{
	struct pa_symbolizer *s = new_symbolizer(true);
	struct pa_image_ref ref = {.kind = PA_IMAGE_KERNEL};
	const struct pa_symbol *sym;
	struct pa_kallsyms *k;
	uint64_t addr, start;
	size_t bytes;
	void *data;
	char name[256];

	if (pa_kallsyms__load("/proc/kallsyms", &k)) {
		fprintf(stderr, "skipped: kallsyms is hidden\n");
		return;
	}
	CHECK_EQ(pa_kallsyms__address(k, "vfs_read", &addr), 0);
	pa_kallsyms__free(k);
	sym = look(s, &ref, addr + 9, false);
	CHECK(sym);
	snprintf(name, sizeof(name), "%s", sym->name);
	start = sym->start;
	CHECK_EQ(pa_symbolizer__save(s, &data, &bytes), 0);
	pa_symbolizer__free(s);
	s = new_symbolizer(false);
	CHECK(!look(s, &ref, addr + 9, false));
	CHECK_EQ(pa_symbolizer__restore(s, data, bytes), 0);
	free(data);
	sym = look(s, &ref, addr + 9, false);
	CHECK(sym);
	CHECK_STR(sym->name, name);
	CHECK_STR(sym->module, "[kernel.kallsyms]");
	CHECK_EQ(sym->start, start);
	pa_symbolizer__free(s);
}

TEST(damaged_chunks)
{
	struct pa_image_ref jit, file;
	size_t bytes;
	void *data;
	char *bad;

	CHECK(save_some(&jit, &file, &data, &bytes));
	for (size_t cut = 0; cut < bytes; cut++) {
		struct pa_symbolizer *s = new_symbolizer(false);

		bad = malloc(cut ? cut : 1);
		memcpy(bad, data, cut);
		CHECK_EQ(pa_symbolizer__restore(s, bad, cut), -EBADMSG);
		look(s, &jit, 0x1010, false);
		free(bad);
		pa_symbolizer__free(s);
	}
	bad = malloc(bytes);
	for (size_t i = 0; i < bytes * 8; i++) {
		struct pa_symbolizer *s = new_symbolizer(false);
		int err;

		memcpy(bad, data, bytes);
		bad[i / 8] ^= (char)(1 << i % 8);
		err = pa_symbolizer__restore(s, bad, bytes);
		CHECK(err == 0 || err == -EBADMSG);
		look(s, &jit, 0x1010, false);
		look(s, &file, 0x1121, false);
		pa_symbolizer__free(s);
	}
	free(bad);
	free(data);
}

TEST_MAIN()
