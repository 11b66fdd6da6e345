/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * symbolize.h - names for addresses: ELF images, the kernel, JIT code.
 *
 * One pa_symbolizer serves a whole session. It loads the symbols of an image when the first
 * address in it is asked for, keeps them by identity (dev, inode, size, mtime, ctime; else path
 * and build-id), and answers with symbols that it owns: pointers stay valid until free, and the
 * same function gives the same pointer. Loading allocates per image, a lookup does not (beyond
 * a name's first demangling). Everything read is hostile input: a damaged image loses its names,
 * never the process. One thread per symbolizer.
 */
#ifndef PA_SYMBOLIZE_H
#define PA_SYMBOLIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pa_image_kind {
	PA_IMAGE_FILE = 1,   /* an ELF file: path, build-id, pgoff */
	PA_IMAGE_KERNEL = 2, /* kernel and modules: addresses are absolute */
	PA_IMAGE_VDSO = 3,
	PA_IMAGE_JIT = 4, /* anonymous or memfd code: perf-map of the process, absolute addresses */
};

/** Names an image. Strings are borrowed for the call. */
struct pa_image_ref {
	enum pa_image_kind kind;
	const char *path; /* as in the MMAP2 record */
	uint8_t build_id[20];
	uint8_t build_id_bytes; /* 0: unknown */
	pid_t pid;		/* a process that maps it (JIT: the process) */
	uint64_t start_ns;	/* JIT: start of this incarnation of pid, tells reused PIDs apart; 0
				   unknown */
	/* the executable mapping that was seen, for opening it through /proc/PID/map_files */
	uint64_t map_start, map_bytes, map_pgoff;
};

/** One function. name, module and file are never NULL ("" when unknown) but for a symbol that
 *  was not found: pa_symbolizer__lookup then gives NULL. */
struct pa_symbol {
	const char *name; /* demangled; JIT names as in the perf-map, less what went to file */
	const char *system_name; /* as in the symbol table */
	const char *file;	 /* source file that declares it, "" unknown */
	uint32_t start_line;	 /* line of the declaration, 0 unknown */
	const char *module;	 /* kernel: "[xfs]" or "[kernel.kallsyms]"; else "" */
	uint64_t start;		 /* ELF: image-relative virtual address; kernel, JIT: absolute */
	uint64_t bytes;		 /* 0: unknown, ends at the next symbol */
};

/** One line of a location: a function and where in it. Strings are owned by the symbolizer and
 *  never NULL. */
struct pa_line {
	const char *name;	 /* demangled as pa_symbol.name, "" unknown */
	const char *system_name; /* linkage name, else the name in the source, "" unknown */
	const char *file;	 /* source file of line, "" unknown; absolute where DWARF tells */
	uint32_t line;		 /* 0 unknown */
	uint32_t start_line;	 /* of the function's declaration, 0 unknown */
};

struct pa_image;
struct pa_symbolizer;
struct pa_debuginfod;

/** Where binaries and debug files are looked for, beside where they were recorded. All is
 *  borrowed. */
struct pa_search {
	const char *symfs; /* directory prepended to recorded paths; NULL none */
	/** Directories with .build-id/xx/rest.debug and with PATH.debug files, NULL-terminated;
	 *  NULL: /usr/lib/debug, below symfs. */
	const char *const *debug_dirs;
	/** perf's cache, with .build-id/xx/rest/elf, debug, kallsyms, vmlinux; NULL none */
	const char *buildid_dir;
	struct pa_debuginfod *debuginfod; /* NULL: no server is asked */
};

struct pa_symbolizer_opts {
	size_t sz;
	/** Open the file behind ref for reading; may be NULL. Asked where ref->path here is not a
	 *  file with its build-id. @return descriptor, owned by the symbolizer; -ENOENT: it tries
	 *  map_files of ref->pid, then ref->path where its build-id matches; -errno */
	int (*open_image)(void *ctx, const struct pa_image_ref *ref);
	/** One line of warning, without newline; NULL: silent. Said once per cause and image. */
	void (*warn)(void *ctx, const char *msg);
	void *ctx;
	struct pa_search search; /* must live as long as the symbolizer */
	/** The kernel's symbols: a copy of its /proc/kallsyms; else its vmlinux. NULL: found. */
	const char *kallsyms, *vmlinux;
	bool live;	     /* this machine's kernel, processes and perf-maps belong to the data */
	bool decl_lines;     /* find file and start_line of functions in DWARF */
	bool lines;	     /* find file and line of addresses; implies decl_lines */
	bool inlines;	     /* find the functions that are inlined there; implies decl_lines */
	bool force_kallsyms; /* PERFAGENT_FORCE_KERNEL_FALLBACK=1 */
};

struct pa_symbolizer_stats {
	uint64_t images, images_failed, images_without_symbols;
	uint64_t lookups, found, missed;
	uint64_t demangled;
};

/** @return 0, -ENOMEM */
int pa_symbolizer__new(const struct pa_symbolizer_opts *opts, struct pa_symbolizer **out);
void pa_symbolizer__free(struct pa_symbolizer *s);

/** Find or make the image of ref; nothing is loaded yet (except that a descriptor is opened now
 *  when hold is set, because the file may be gone later). The same image gives the same
 *  pointer. @return 0, -ENOMEM. *out is owned by s. */
int pa_symbolizer__image(struct pa_symbolizer *s, const struct pa_image_ref *ref, bool hold,
			 struct pa_image **out);
/** The function that holds an address.
 *  @param addr   FILE and VDSO: offset in the file; KERNEL and JIT: address. The caller
 *                subtracts 1 from return addresses.
 *  @param out    NULL when no symbol holds addr
 *  @return 0, -ENOMEM; failure to load the image is not an error: no symbol is found */
int pa_symbolizer__lookup(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			  const struct pa_symbol **out);
/** Open the file of a FILE image, the way lookups do.
 *  @return a descriptor for the caller to close, -ENOENT none, -ESTALE another file by its
 *  build-id (warned of once), -errno */
int pa_symbolizer__open_file(struct pa_symbolizer *s, struct pa_image *image);
/** Where the symbolizer looks for files. */
const struct pa_search *pa_symbolizer__search(const struct pa_symbolizer *s);
/** The memory of our own vdso, where the data is of this machine: the kernel gives every process
 *  the same one. @return 0, -ENOENT */
int pa_symbolizer__vdso(const struct pa_symbolizer *s, const void **out, size_t *bytes);
/** What an address means in the source: the innermost inlined function first, the function that
 *  holds the code last (its name is pa_symbolizer__lookup's). Without inlines in the options,
 *  only the last, with the line of the address itself. Costs one search per call and, at the
 *  first address in it, reading a unit: ask once per distinct address.
 *  @param lines  valid until the next call on s
 *  @return 0 (cnt may be 0: no debug information, or not a file), -ENOMEM */
int pa_symbolizer__lines(struct pa_symbolizer *s, struct pa_image *image, uint64_t addr,
			 const struct pa_line **lines, size_t *cnt);
/** The perf-map of a JIT image may have grown: look again (when its size or mtime changed).
 *  @return 0, -ENOMEM */
int pa_symbolizer__refresh(struct pa_symbolizer *s, struct pa_image *image);

/** A process has mapped a jitdump (a file called jit-PID.dump, executable): its JIT code is named
 *  from there before its perf-map. Used on a live machine only, if the process's user owns it.
 *  @param start_ns  as in pa_image_ref
 *  @param path      as in the MMAP2 record; copied
 *  @return 0, -ENOMEM */
int pa_symbolizer__set_jitdump(struct pa_symbolizer *s, pid_t pid, uint64_t start_ns,
			       const char *path);

/** The kernel's first symbol, after which perf names the kernel's map: "_text", or "_stext" where
 *  kallsyms hasn't that (aarch64). */
struct pa_kernel_text {
	const char *name; /* static */
	uint64_t addr;	  /* 0 unknown */
};
/** Say where data that was recorded elsewhere or earlier comes from.
 *  @param live         as in the options; before the first image
 *  @param kernel_text  where it was then. Elsewhere now means another boot: then kallsyms is not
 *                      used; before the first lookup */
void pa_symbolizer__set_origin(struct pa_symbolizer *s, bool live,
			       struct pa_kernel_text kernel_text);
/** Where a module of the data's kernel was. Strings are borrowed for the call. */
struct pa_kmodule_ref {
	const char *path; /* of its .ko file, as in the MMAP record */
	uint64_t start, bytes;
	const uint8_t *build_id;
	uint8_t build_id_bytes; /* 0: unknown */
};
/** A module's functions are looked for in its file where the kernel's symbols have none.
 *  @return 0 (also when ref is no module), -ENOMEM */
int pa_symbolizer__add_module(struct pa_symbolizer *s, const struct pa_kmodule_ref *ref);
/** Encode the symbols that were found for images that can't be looked up again (kernel, JIT,
 *  vdso; deleted and memfd files) as a PD_BLOB_SYMBOLS chunk (layout in docs/perfdata.md).
 *  @param out  allocated, free it; NULL with *bytes 0 when there are none
 *  @return 0, -ENOMEM */
int pa_symbolizer__save(struct pa_symbolizer *s, void **out, size_t *bytes);
/** Use a saved chunk: its symbols come before any other source of the same image.
 *  @return 0, -EBADMSG damaged (what was read before the damage is kept), -ENOMEM */
int pa_symbolizer__restore(struct pa_symbolizer *s, const void *data, size_t bytes);

void pa_symbolizer__stats(const struct pa_symbolizer *s, struct pa_symbolizer_stats *out);

/* ---- debuginfod ------------------------------------------------------------------------- */

struct pa_debuginfod_stats {
	uint64_t fetched_cnt, missing_cnt;
	uint64_t late_cnt; /* not fetched, or not whole, because the time was over */
};

/** A client of the servers in DEBUGINFOD_URLS. Nothing is asked before the first file is.
 *  @param total_s  what all questions may take together; 0: 120. One may take 30
 *  @return 0, -EDESTADDRREQ DEBUGINFOD_URLS is not set, -ENOSYS libdebuginfod.so.1 is not
 *  installed, -ENOMEM. Free it after the symbolizer. */
int pa_debuginfod__new(unsigned total_s, struct pa_debuginfod **out);
void pa_debuginfod__free(struct pa_debuginfod *d);
void pa_debuginfod__stats(const struct pa_debuginfod *d, struct pa_debuginfod_stats *out);

/* ---- the kernel's symbols, also used by the capture for _stext and _etext -------------- */

struct pa_kallsyms;

/** Load /proc/kallsyms (or path), through the cache of docs/perf-agent.1 when path is NULL.
 *  @return 0, -EPERM when all addresses read as zero (kptr_restrict), -ENOMEM, -errno */
int pa_kallsyms__load(const char *path, struct pa_kallsyms **out);
void pa_kallsyms__free(struct pa_kallsyms *k);
/** Address of a symbol by name. @return 0 or -ENOENT */
int pa_kallsyms__address(const struct pa_kallsyms *k, const char *name, uint64_t *addr);
/** Greatest symbol <= addr within 64 KiB. name and module are owned by k.
 *  @return 0 or -ENOENT */
int pa_kallsyms__lookup(const struct pa_kallsyms *k, uint64_t addr, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes);

/* ---- build-ids ------------------------------------------------------------------------- */

/** Read the GNU build-id of an ELF file: PT_NOTE, else SHT_NOTE.
 *  @param id  20 bytes, zero-filled
 *  @return its length (1 to 20), 0 when it has none, -ENOEXEC not ELF, -errno */
int pa_build_id__read_fd(int fd, uint8_t id[20]);
/** From raw notes, as in /sys/kernel/notes or /sys/module/M/notes. Same returns. */
int pa_build_id__parse_notes(const void *notes, size_t bytes, uint8_t id[20]);

/* ---- opening files that a profiled process named ----------------------------------------- */

/** Open a regular file for reading. What else is there (a FIFO, a device) is not opened.
 *  @return descriptor, -EINVAL not a regular file, -errno */
int pa_open_regular(const char *path);
/** The same below another root, such as /proc/PID/root: its symbolic links don't lead out of it.
 *  @return descriptor, -EINVAL not a regular file, -errno */
int pa_open_regular_in(const char *root, const char *path);

/** Demangle a C++ (Itanium), Rust v0, legacy Rust, OCaml or Java name, into what perf prints.
 * @return malloc'd, or NULL: not mangled */
char *pa_demangle(const char *mangled);

#endif
