// SPDX-License-Identifier: GPL-2.0-only
/*
 * symbolizer.c - lookups. Each source (saved symbols, ELF tables, kallsyms, perf-maps) answers
 * with an index; the symbol of an index is made at its first hit, demangled and declared, and
 * from then on a lookup is a binary search and a load.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"
#include "symbolize/jitdump.h"

#define HELD_DEFAULT 256
#define NAME_MAX_BYTES 16384 /* of a symbol; C++ names of some thousand bytes are real */

int pa_symbolizer__new(const struct pa_symbolizer_opts *opts, struct pa_symbolizer **out)
{
	struct pa_symbolizer *s = calloc(1, sizeof(*s));
	struct rlimit limit;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	if (opts)
		memcpy(&s->opts, opts, opts->sz < sizeof(s->opts) ? opts->sz : sizeof(s->opts));
	s->held_max = HELD_DEFAULT;
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		s->held_max = limit.rlim_cur / 2;
	*out = s;
	return 0;
}

void pa_symbolizer__free(struct pa_symbolizer *s)
{
	if (!s)
		return;
	while (s->images) {
		struct pa_image *image = s->images;

		s->images = image->next;
		pa_image__destroy(s, image);
	}
	pa_objects__free(s);
	free(s->go_lines);
	pa_table__free(&s->table);
	pa_kallsyms__free(s->kallsyms);
	pa_kmodules__free(&s->modules);
	pa_pool__free(&s->arena);
	free(s);
}

int pa_symbolizer__image(struct pa_symbolizer *s, const struct pa_image_ref *ref, bool hold,
			 struct pa_image **out)
{
	int err;

	if (ref->kind == PA_IMAGE_FILE && hold)
		return pa_image__get_held(s, ref, out);
	err = pa_image__get(s, ref, out);
	if (!err && hold && ref->kind == PA_IMAGE_JIT)
		pa_image__hold_perfmap(s, *out);
	return err;
}

/* ---- making symbols ------------------------------------------------------------------------ */

static struct pa_symnode *new_node(struct pa_symbolizer *s, const char *name,
				   struct pa_symnode **list)
{
	struct pa_symnode *n = pa_pool__alloc(&s->arena, sizeof(*n));

	if (!n)
		return NULL;
	n->sym.name = n->sym.system_name = name;
	n->sym.file = n->sym.module = "";
	n->next = *list;
	*list = n;
	return n;
}

/* Rust and C++ names; a PLT stub is called after its function. */
static int demangle(struct pa_symbolizer *s, struct pa_symnode *n)
{
	const char *raw = n->sym.system_name, *suffix = "";
	size_t bytes = strlen(raw), suffix_bytes = 0;
	char *mangled = NULL, *readable, *joined;

	if (bytes > 4 && !strcmp(raw + bytes - 4, "@plt")) {
		mangled = strndup(raw, bytes - 4);
		if (!mangled)
			return -ENOMEM;
		suffix = "@plt";
		suffix_bytes = 4;
	}
	readable = pa_demangle(mangled ? mangled : raw);
	free(mangled);
	if (!readable)
		return 0;
	bytes = strlen(readable);
	joined = pa_pool__alloc(&s->arena, bytes + suffix_bytes + 1);
	if (joined) {
		memcpy(joined, readable, bytes);
		memcpy(joined + bytes, suffix, suffix_bytes);
		n->sym.name = joined;
		s->stats.demangled++;
	}
	free(readable);
	return joined ? 0 : -ENOMEM;
}

static int declare_go(struct pa_symbolizer *s, struct pa_object *o, struct pa_symnode *n)
{
	const char *file;

	if (!o->syms->go ||
	    pa_gopclntab__decl(o->syms->go, n->sym.start, &file, &n->sym.start_line))
		return 0;
	n->sym.file = pa_pool__strndup(&s->arena, file, strlen(file));
	if (n->sym.file)
		return 0;
	n->sym.file = "";
	return -ENOMEM;
}

static int declare(struct pa_symbolizer *s, struct pa_object *o, struct pa_symnode *n)
{
	int err;

	if (!o->dwarf)
		return s->opts.decl_lines ? declare_go(s, o, n) : 0;
	err = pa_dwarf__decl(o->dwarf, n->sym.start, &n->sym.file, &n->sym.start_line);
	return err == -ENOMEM ? err : 0;
}

/* Names in a table may all be ends of one that is as long as the file: each is written for each
 * address that is hit. */
static const char *cut_name(struct pa_symbolizer *s, const char *raw)
{
	size_t bytes = strnlen(raw, NAME_MAX_BYTES + 1);

	return bytes <= NAME_MAX_BYTES ? raw : pa_pool__strndup(&s->arena, raw, NAME_MAX_BYTES);
}

static int make_elf(struct pa_symbolizer *s, struct pa_object *o, size_t i)
{
	const struct pa_elfsym *e = &o->syms->syms[i];
	const char *name = cut_name(s, o->syms->names + e->name);
	struct pa_symnode *n;
	int err;

	if (!o->made) {
		o->made = calloc(o->syms->cnt, sizeof(*o->made));
		if (!o->made)
			return -ENOMEM;
	}
	n = name ? new_node(s, name, &o->list) : NULL;
	if (!n)
		return -ENOMEM;
	n->sym.start = n->key = e->addr;
	n->sym.bytes = e->bytes;
	pa_elfsyms__offset(o->syms, e->addr, &n->key);
	err = demangle(s, n);
	if (!err)
		err = declare(s, o, n);
	o->made[i] = n;
	return err;
}

static int lookup_elf(struct pa_symbolizer *s, struct pa_image *image, uint64_t offset,
		      const struct pa_symbol **out)
{
	struct pa_object *o;
	uint64_t vaddr;
	ssize_t i;
	int err = pa_image__load(s, image);

	o = image->object;
	if (err || !o || !o->syms || pa_elfsyms__vaddr(o->syms, offset, &vaddr))
		return err;
	i = pa_elfsyms__find(o->syms, vaddr);
	if (i < 0)
		return 0;
	if (!o->made || !o->made[i])
		err = make_elf(s, o, (size_t)i);
	if (!err)
		*out = &o->made[i]->sym;
	return err;
}

/* ---- the kernel ---------------------------------------------------------------------------- */

void pa_symbolizer__set_origin(struct pa_symbolizer *s, bool live,
			       struct pa_kernel_text kernel_text)
{
	s->opts.live = live;
	s->kernel_text = kernel_text;
}

/* Is this the kernel of the data, where it was? */
static bool is_same_boot(const struct pa_symbolizer *s, const struct pa_kallsyms *k)
{
	uint64_t text;

	return !s->kernel_text.addr || (!pa_kallsyms__address(k, s->kernel_text.name, &text) &&
					text == s->kernel_text.addr);
}

/* The running kernel's, if that is the one of the data. */
static int load_running_kernel(struct pa_symbolizer *s)
{
	int err = pa_kallsyms__load(s->opts.force_kallsyms ? "/proc/kallsyms" : NULL, &s->kallsyms);

	if (!err && !is_same_boot(s, s->kallsyms)) {
		pa_kallsyms__free(s->kallsyms);
		s->kallsyms = NULL;
		return -ESTALE;
	}
	if (err == -EPERM)
		pa_warn(s, "/proc/kallsyms: addresses are hidden, kernel functions stay unnamed: "
			   "run as root, grant cap_syslog or lower kernel.kptr_restrict");
	else if (err && err != -ENOMEM)
		pa_warn(s, "/proc/kallsyms: failed to read: %s", strerror(-err));
	return err;
}

static int load_given_kernel(struct pa_symbolizer *s)
{
	const char *path = s->opts.kallsyms ? s->opts.kallsyms : s->opts.vmlinux;
	int err = s->opts.kallsyms ? pa_kallsyms__load(path, &s->kallsyms)
				   : pa_vmlinux__load_path(path, s->kernel_text, &s->kallsyms);

	if (err == -ENODATA && !s->opts.kallsyms)
		pa_warn(s,
			"%s: no kernel symbols, or no %s, in its symbol table: functions of the "
			"kernel stay unnamed",
			path, s->kernel_text.addr ? s->kernel_text.name : "function");
	else if (err && err != -ENOMEM)
		pa_warn(s, "%s: failed to read kernel symbols: %s", path, strerror(-err));
	return err;
}

/* Names of the kernel of the data: as given, of the running one, by its build-id. */
static int load_kernel(struct pa_symbolizer *s, const struct pa_image *image)
{
	int err;

	if (s->kallsyms_tried)
		return 0;
	s->kallsyms_tried = true;
	if (s->opts.kallsyms || s->opts.vmlinux)
		err = load_given_kernel(s);
	else
		err = s->opts.live ? load_running_kernel(s) : -ENOENT;
	if ((err == -ENOENT || err == -ESTALE) && !s->opts.kallsyms && !s->opts.vmlinux) {
		int found = pa_vmlinux__find(&s->opts.search, image->build_id,
					     image->build_id_bytes, s->kernel_text, &s->kallsyms);

		if (found && err == -ESTALE)
			pa_warn(s, "the kernel lay elsewhere when this was recorded (another "
				   "boot): its functions stay unnamed without its kallsyms or "
				   "vmlinux");
		else if (found && found != -ENOMEM)
			pa_warn(s, "no symbols of the kernel that this was recorded on: its "
				   "functions stay unnamed without its kallsyms or vmlinux");
		err = found;
	}
	s->stats.images_failed += err != 0;
	return err == -ENOMEM ? err : 0;
}

/* *made and its count fit a table of cnt symbols. */
static int fit_array(struct pa_symnode ***made, size_t *made_cnt, size_t cnt)
{
	struct pa_symnode **p;

	if (cnt <= *made_cnt)
		return 0;
	p = calloc(cnt, sizeof(*p));
	if (!p)
		return -ENOMEM;
	if (*made_cnt)
		memcpy(p, *made, *made_cnt * sizeof(*p));
	free(*made);
	*made = p;
	*made_cnt = cnt;
	return 0;
}

static int fit_made(struct pa_image *image, size_t cnt)
{
	return fit_array(&image->made, &image->made_cnt, cnt);
}

/* The cache leaves out BPF programs: at an address that it can't name, read all there is, once.
 * Symbols that were made keep their place in the new table. */
static int reload_kernel(struct pa_symbolizer *s, struct pa_image *image)
{
	struct pa_kallsyms *all;

	s->kallsyms_reloaded = true;
	if (pa_kallsyms__load("/proc/kallsyms", &all))
		return 0;
	pa_kallsyms__free(s->kallsyms);
	s->kallsyms = all;
	free(image->made);
	image->made = NULL;
	image->made_cnt = 0;
	if (fit_made(image, all->cnt))
		return -ENOMEM;
	for (struct pa_symnode *n = image->list; n; n = n->next) {
		ssize_t i = pa_kallsyms__find(all, n->sym.start);

		if (i >= 0 && all->syms[i].addr == n->sym.start)
			image->made[i] = n;
	}
	return 0;
}

static int make_kernel(struct pa_symbolizer *s, struct pa_image *image,
		       const struct pa_kmodule_symbol *sym)
{
	const char *name = pa_pool__strndup(&s->arena, sym->name, strlen(sym->name));
	const char *module = pa_pool__strndup(&s->arena, sym->module, strlen(sym->module));
	struct pa_symnode *n = name && module ? new_node(s, name, &image->list) : NULL;

	if (!n)
		return -ENOMEM;
	n->sym.module = module;
	n->sym.start = n->key = sym->start;
	n->sym.bytes = sym->bytes;
	*sym->made = n;
	return demangle(s, n); /* Rust, in newer kernels */
}

int pa_symbolizer__add_module(struct pa_symbolizer *s, const struct pa_kmodule_ref *ref)
{
	return pa_kmodules__add(&s->modules, ref);
}

static int lookup_module(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			 const struct pa_symbol **out)
{
	struct pa_kmodule_symbol sym;
	int err = pa_kmodules__find(&s->modules, &s->opts.search, addr, &sym);

	if (sym.stale_path)
		pa_warn(s, "%s: another module now: its build-id differs from the one recorded",
			sym.stale_path);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (!*sym.made)
		err = make_kernel(s, image, &sym);
	if (!err)
		*out = &(*sym.made)->sym;
	return err;
}

static int lookup_kernel(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			 const struct pa_symbol **out)
{
	ssize_t i;
	int err = 0;

	err = load_kernel(s, image);
	if (err)
		return err;
	if (!s->kallsyms)
		return lookup_module(s, image, addr, out);
	i = pa_kallsyms__find(s->kallsyms, addr);
	if (i < 0 && s->kallsyms->cached && !s->kallsyms_reloaded) {
		err = reload_kernel(s, image);
		if (err)
			return err;
		i = pa_kallsyms__find(s->kallsyms, addr);
	}
	if (i < 0)
		return lookup_module(s, image, addr, out);
	err = fit_made(image, s->kallsyms->cnt);
	if (!err && !image->made[i]) {
		struct pa_kmodule_symbol sym = {.made = &image->made[i]};

		pa_kallsyms__entry(s->kallsyms, (size_t)i, &sym.name, &sym.module, &sym.start,
				   &sym.bytes);
		err = make_kernel(s, image, &sym);
	}
	if (!err)
		*out = &image->made[i]->sym;
	return err;
}

/* ---- JIT code ------------------------------------------------------------------------------- */

/* A symbol of generated code; its raw name may hold a file and a line. */
static struct pa_symnode *new_jit(struct pa_symbolizer *s, struct pa_image *image, const char *raw,
				  uint64_t start, uint64_t bytes)
{
	const char *name = pa_pool__strndup(&s->arena, raw, strlen(raw));
	struct pa_symnode *n = name ? new_node(s, name, &image->list) : NULL;
	struct pa_jit_name jit;

	if (!n)
		return NULL;
	n->sym.start = n->key = start;
	n->sym.bytes = bytes;
	pa_jit_name__decode(name, &jit);
	if (!jit.file)
		return n;
	n->sym.start_line = jit.line;
	n->sym.name = pa_pool__strndup(&s->arena, name, jit.name_bytes);
	n->sym.file = pa_pool__strndup(&s->arena, jit.file, jit.file_bytes);
	if (n->sym.name && n->sym.file)
		return n;
	n->sym.name = name;
	n->sym.file = "";
	return NULL;
}

static int make_jit(struct pa_symbolizer *s, struct pa_image *image, size_t i)
{
	uint64_t start, bytes;
	const char *name;

	pa_perfmap__entry(image->perfmap, i, &start, &bytes, &name);
	image->made[i] = new_jit(s, image, name, start, bytes);
	return image->made[i] ? 0 : -ENOMEM;
}

/* The first line that a jitdump knows stands in for the declaration. */
static int make_jitdump(struct pa_symbolizer *s, struct pa_image *image, size_t i)
{
	const char *name, *file;
	struct pa_symnode *n;
	uint64_t start, bytes;
	uint32_t line;

	pa_jitdump__entry(image->jitdump, i, &start, &bytes, &name);
	n = image->jitdump_made[i] = new_jit(s, image, name, start, bytes);
	if (!n)
		return -ENOMEM;
	/* as perf names the files that perf inject makes of a dump */
	if (!*n->sym.file && demangle(s, n))
		return -ENOMEM;
	if (*n->sym.file || pa_jitdump__first_line(image->jitdump, i, &file, &line))
		return 0;
	file = pa_pool__strndup(&s->arena, file, strlen(file));
	if (!file)
		return -ENOMEM;
	n->sym.file = file;
	n->sym.start_line = line;
	return 0;
}

/* Samples are looked up when all is over: of code that was replaced the newest is named. */
static int lookup_jitdump(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			  const struct pa_symbol **out)
{
	ssize_t i = pa_jitdump__find(image->jitdump, addr, UINT64_MAX);
	int err = 0;

	if (i < 0)
		return i == -ENOMEM ? -ENOMEM : 0;
	if ((size_t)i >= image->jitdump_made_cnt)
		err = fit_array(&image->jitdump_made, &image->jitdump_made_cnt,
				pa_jitdump__cnt(image->jitdump));
	if (!err && !image->jitdump_made[i])
		err = make_jitdump(s, image, (size_t)i);
	if (!err)
		*out = &image->jitdump_made[i]->sym;
	return err;
}

static int read_jit(struct pa_symbolizer *s, struct pa_image *image)
{
	int err = pa_image__read_jitdump(s, image);

	return err ? err : pa_image__read_perfmap(s, image);
}

static int lookup_jit(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
		      const struct pa_symbol **out)
{
	ssize_t i;
	int err = 0;

	if (!image->loaded)
		err = read_jit(s, image);
	if (!err && image->jitdump)
		err = lookup_jitdump(s, image, addr, out);
	if (err || *out || !image->perfmap)
		return err;
	i = pa_perfmap__find(image->perfmap, addr);
	if (i < 0)
		return i == -ENOMEM ? -ENOMEM : 0;
	if ((size_t)i >= image->made_cnt)
		err = fit_made(image, pa_perfmap__cnt(image->perfmap));
	if (!err && !image->made[i])
		err = make_jit(s, image, (size_t)i);
	if (!err)
		*out = &image->made[i]->sym;
	return err;
}

const struct pa_search *pa_symbolizer__search(const struct pa_symbolizer *s)
{
	return &s->opts.search;
}

int pa_symbolizer__set_jitdump(struct pa_symbolizer *s, pid_t pid, uint64_t start_ns,
			       const char *path)
{
	struct pa_image_ref ref = {.kind = PA_IMAGE_JIT, .pid = pid, .start_ns = start_ns};
	struct pa_image *image;
	int err = pa_image__get(s, &ref, &image);

	return err ? err : pa_image__set_jitdump(s, image, path);
}

/* ---- lookup ---------------------------------------------------------------------------------- */

static int lookup(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
		  const struct pa_symbol **out)
{
	*out = image->saved_cnt ? pa_image__find_saved(image, addr) : NULL;
	if (*out)
		return 0;
	switch (image->kind) {
	case PA_IMAGE_FILE:
	case PA_IMAGE_VDSO:
		return lookup_elf(s, image, addr, out);
	case PA_IMAGE_KERNEL:
		return lookup_kernel(s, image, addr, out);
	case PA_IMAGE_JIT:
		return lookup_jit(s, image, addr, out);
	}
	return 0;
}

int pa_symbolizer__lookup(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			  const struct pa_symbol **out)
{
	int err = lookup(s, image, addr, out);

	s->stats.lookups++;
	if (*out)
		s->stats.found++;
	else
		s->stats.missed++;
	return err;
}

/* Lines of a Go program without DWARF. */
static int find_go_lines(struct pa_symbolizer *s, const struct pa_object *o, uint64_t vaddr,
			 struct pa_line **lines, size_t *cnt)
{
	struct pa_go_line found[PA_GO_LINES_MAX];
	size_t n;

	if (!o->syms->go)
		return 0;
	if (!s->go_lines)
		s->go_lines = calloc(PA_GO_LINES_MAX, sizeof(*s->go_lines));
	if (!s->go_lines)
		return -ENOMEM;
	n = pa_gopclntab__lines(o->syms->go, vaddr, found);
	if (n && !s->opts.inlines) {
		/* the function, at the line of the address */
		found[0].name = found[n - 1].name;
		found[0].start_line = found[n - 1].start_line;
		n = 1;
	}
	for (size_t i = 0; i < n; i++)
		s->go_lines[i] = (struct pa_line){
			.name = found[i].name,
			.system_name = found[i].name,
			.file = found[i].file,
			.line = found[i].line,
			.start_line = found[i].start_line,
		};
	*lines = s->go_lines;
	*cnt = n;
	return 0;
}

int pa_symbolizer__lines(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			 const struct pa_line **lines, size_t *cnt)
{
	const struct pa_symbol *sym;
	struct pa_line *found, *outer;
	uint64_t vaddr;
	int err;

	*lines = NULL;
	*cnt = 0;
	if (image->kind != PA_IMAGE_FILE)
		return 0;
	err = lookup(s, image, addr, &sym);
	if (!err)
		err = pa_image__load(s, image);
	if (err || !image->object || !image->object->syms ||
	    pa_elfsyms__vaddr(image->object->syms, addr, &vaddr))
		return err;
	if (image->object->dwarf)
		err = pa_dwarf__lines(image->object->dwarf, vaddr, sym && sym->start_line, &found,
				      cnt);
	else
		err = find_go_lines(s, image->object, vaddr, &found, cnt);
	if (err || !*cnt) {
		*cnt = 0;
		return err;
	}
	/* The function that holds the code is called as its symbol is, which DWARF may not know. */
	outer = &found[*cnt - 1];
	if (sym) {
		outer->name = sym->name;
		outer->system_name = sym->system_name;
		if (sym->start_line)
			outer->start_line = sym->start_line;
	}
	if (*outer->name)
		*lines = found;
	else
		*cnt = 0; /* neither knows a function: padding */
	return 0;
}

int pa_symbolizer__refresh(struct pa_symbolizer *s, struct pa_image *image)
{
	return image->kind == PA_IMAGE_JIT ? read_jit(s, image) : 0;
}

void pa_symbolizer__stats(const struct pa_symbolizer *s, struct pa_symbolizer_stats *out)
{
	*out = s->stats;
}
