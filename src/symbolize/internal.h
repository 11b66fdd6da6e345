/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - what the files of src/symbolize/ share: a bounded ELF reader, symbol tables, the
 * search for files and debug files, DWARF, perf-maps and the arena that owns symbols.
 * Nothing here is used outside of this folder and its unit tests.
 */
#ifndef PA_SYMBOLIZE_INTERNAL_H
#define PA_SYMBOLIZE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "addrsort.h"
#include "pool.h"
#include "symbolize/symbolize.h"

/* Limits on what one hostile file can make us hold. */
#define PA_STRTAB_MAX_BYTES (256u << 20)
#define PA_SYMBOLS_MAX (16u << 20)
#define PA_DEBUGDATA_MAX_BYTES (64u << 20)
#define PA_PERFMAP_MAX_BYTES (256u << 20)
#define PA_JIT_NAME_MAX_BYTES 4096u
/* All symbol tables of one symbolizer together. */
#define PA_TABLES_MAX_BYTES (2ull << 30)

/* ---- bytetable.c -------------------------------------------------------------------------- */

/* A table from byte-string keys to pointers; keys are copied. */
struct pa_table {
	struct pa_table_node **buckets;
	size_t bucket_cnt, cnt;
};
void *pa_table__get(const struct pa_table *t, const void *key, size_t bytes);
/** @return 0 or -ENOMEM; an existing key gets the new value */
int pa_table__set(struct pa_table *t, const void *key, size_t bytes, void *value);
void pa_table__free(struct pa_table *t);

/* ---- elffile.c: headers of an ELF file or image, read with pread ------------------------- */

struct pa_elf_section {
	uint32_t name, type, link, info;
	uint64_t flags, addr, offset, bytes, entsize, align;
};

struct pa_elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, filesz, memsz, align;
};

/** Section and segment headers in 64-bit form. The file or memory is borrowed. */
struct pa_elf {
	int fd; /* -1: mem */
	const uint8_t *mem;
	uint64_t bytes;
	bool is_64;
	uint16_t type, machine;
	uint64_t entry;
	struct pa_elf_section *sections;
	size_t section_cnt;
	struct pa_elf_segment *segments;
	size_t segment_cnt;
	char *names; /* of sections, NUL-terminated */
	size_t names_bytes;
};

/** @return 0, -ENOEXEC not ELF of this byte order, -EBADMSG damaged, -ENOMEM, -errno of pread.
 *  Close it in every case. */
int pa_elf__open_fd(struct pa_elf *e, int fd);
int pa_elf__open_mem(struct pa_elf *e, const void *mem, size_t bytes);
void pa_elf__close(struct pa_elf *e);
/** @return 0, -ENODATA out of the file, -errno */
int pa_elf__read(const struct pa_elf *e, uint64_t offset, void *buf, size_t bytes);
const char *pa_elf__section_name(const struct pa_elf *e, const struct pa_elf_section *s);
/** First section of this name (NULL: any) and type (0: any); NULL when there is none. */
const struct pa_elf_section *pa_elf__section(const struct pa_elf *e, const char *name,
					     uint32_t type);
/** Read a whole section; a NUL follows its bytes.
 *  @return 0, -EFBIG larger than max_bytes, -ENODATA, -ENOMEM, -errno */
int pa_elf__load(const struct pa_elf *e, const struct pa_elf_section *s, size_t max_bytes,
		 void **out);
/** The PT_LOADs that hold bytes of the file, executable ones first. @return 0 or -ENOMEM */
int pa_elf__loads(const struct pa_elf *e, struct pa_elf_segment **out, size_t *cnt);
/** File offset to virtual address. @return 0 or -ENOENT */
int pa_loads__vaddr(const struct pa_elf_segment *loads, size_t cnt, uint64_t offset,
		    uint64_t *vaddr);

/** The memory of our own vdso; the kernel gives every process the same one.
 *  @return 0, -ENOENT there is none */
int pa_own_vdso(const void **out, size_t *bytes);

/* ---- elfsyms.c, aliases.c, plt.c: sorted function symbols of one image --------------------- */

struct pa_elfsym {
	uint64_t addr;
	uint32_t bytes; /* never 0 */
	uint32_t name;	/* offset in names */
};

struct pa_elfsyms {
	struct pa_elfsym *syms; /* by address; of several at one address the best is last */
	uint32_t *outer; /* index of the symbol around each, or UINT32_MAX; NULL: no nesting */
	size_t cnt;
	char *names;
	size_t names_bytes;
	struct pa_elf_segment *loads; /* executable PT_LOADs first */
	size_t load_cnt;
	struct pa_gopclntab *go; /* the symbols come from it, or NULL */
};

struct pa_rawsym {
	uint64_t addr, bytes;
	uint64_t limit; /* end of its section */
	uint32_t name, seq;
	uint32_t name_rank; /* of those of one rank */
	uint16_t rank;	    /* greater is better, among symbols at one address */
	bool notype;
};

struct pa_symbuild {
	struct pa_rawsym *raw;
	size_t cnt, cap;
	char *names;
	size_t names_bytes, names_cap;
	const struct pa_elf_section *dynstr; /* is among names, from dynstr_at on; NULL: not */
	uint32_t dynstr_at;
};

/** Read the symbols of a file, with debug file and mini-debuginfo.
 *  @param path  where the image was mapped from, for .gnu_debuglink; may be NULL
 *  @return 0 (also without symbols), -errno of pa_elf__open_fd */
int pa_elfsyms__load(const struct pa_elf *e, const char *path, const struct pa_search *search,
		     struct pa_elfsyms **out);
/** The value of a symbol of the file's own table, also of one that pa_elfsyms leaves out for
 * another at its address. @return 0, -ENOENT, -ENOMEM */
int pa_elfsyms__value(const struct pa_elf *e, const char *name, uint64_t *value);
void pa_elfsyms__free(struct pa_elfsyms *t);
size_t pa_elfsyms__memory_bytes(const struct pa_elfsyms *t);
/** File offset to virtual address. @return 0 or -ENOENT */
int pa_elfsyms__vaddr(const struct pa_elfsyms *t, uint64_t offset, uint64_t *vaddr);
/** Virtual address to file offset. @return 0 or -ENOENT */
int pa_elfsyms__offset(const struct pa_elfsyms *t, uint64_t vaddr, uint64_t *offset);
/** Index of the innermost symbol that holds vaddr. @return -1: none */
ssize_t pa_elfsyms__find(const struct pa_elfsyms *t, uint64_t vaddr);

int pa_symbuild__append(struct pa_symbuild *b, const struct pa_rawsym *sym);
/** Of a symbol of an ELF file. */
uint16_t pa_aliases__rank(unsigned bind, bool notype, bool sized);
/** Sort by address. Keep of the symbols at one address the best, which comes last, and those that
 *  reach further than a better one. Labels that lie in a function go. @return 0, -ENOMEM */
int pa_aliases__drop(struct pa_symbuild *b);
/** Append bytes to the names. @param at  where they begin. @return 0, -EFBIG, -ENOMEM */
int pa_symbuild__names(struct pa_symbuild *b, const void *data, size_t bytes, uint32_t *at);
/** Add NAME@plt for each entry of the procedure linkage tables. @return 0, -ENOMEM */
int pa_plt__add(struct pa_symbuild *b, const struct pa_elf *e);

/* ---- debugfile.c, openfile.c ------------------------------------------------------------ */

/** And no symbolic link itself. */
int pa_open_plain_in(const char *root, const char *path);
/** Open a recorded path, below symfs where there is one. search may be NULL. */
int pa_open_searched(const struct pa_search *search, const char *path);
/** Open a file of perf's cache: elf, debug, kallsyms or vmlinux. Its build-id is not checked. */
int pa_open_cached(const struct pa_search *search, const uint8_t *id, size_t bytes,
		   const char *name);
/** Ask the servers for a binary or, if not is_binary, its debug file; once per build-id.
 *  @return descriptor, -ENOENT, -ETIMEDOUT, -errno */
int pa_debuginfod__open(struct pa_debuginfod *d, const uint8_t *id, size_t bytes, bool is_binary);
/** Open the file that has the path of ref here, if it has its build-id, too.
 *  @return descriptor, -ENOENT there is none, or ref has no build-id, -errno */
int pa_open_here(const struct pa_search *search, const struct pa_image_ref *ref);
/** The default of pa_symbolizer_opts.open_image. *mismatch: a file was refused for its
 *  build-id. @return descriptor, -ENOENT, -errno */
int pa_open_image(const struct pa_symbolizer_opts *opts, const struct pa_image_ref *ref,
		  bool *mismatch);
/** Same as ref's build-id, or ref has none. */
bool pa_build_id_matches(int fd, const struct pa_image_ref *ref);

/** The debug file of a build-id. @return descriptor, -ENOENT, -ENOMEM */
int pa_debugfile__open_id(const struct pa_search *search, const uint8_t *id, size_t bytes);
/** The separate debug file of an image. @return descriptor, -ENOENT, -ENOMEM */
int pa_debugfile__open(const struct pa_elf *e, const char *path, const struct pa_search *search);
/** Open the file that holds the shared DWARF of a dwz'ed file. @return descriptor, 0 when the
 *  file has no .gnu_debugaltlink, -ENOENT */
int pa_debugfile__open_alt(const struct pa_elf *e, const struct pa_search *search, bool *has_alt);
/** Decompress .gnu_debugdata. @return 0, -ENOENT, -EBADMSG, -EFBIG, -ENOMEM */
int pa_debugdata__load(const struct pa_elf *e, void **out, size_t *bytes);

/* ---- dwarf*.c: functions and lines of the source, from DWARF ------------------------------- */

struct pa_dwarf;
/** @param fd    the image; owned by the new object, also on failure
 *  @param opts  lines, inlines and search of it
 *  @return 0, -ENOENT no DWARF, -ENOMEM, -errno */
int pa_dwarf__new(int fd, const char *path, const struct pa_symbolizer_opts *opts,
		  struct pa_dwarf **out);
void pa_dwarf__free(struct pa_dwarf *d);
/** Where the function whose code begins at vaddr is declared. @return 0 or -ENOENT, -ENOMEM */
int pa_dwarf__decl(struct pa_dwarf *d, uint64_t vaddr, const char **file, uint32_t *line);
/** As pa_symbolizer__lines. Without inlines in the options at most one line, without a name.
 *  @param is_named  the last line needs no name, nor where it is declared
 *  @param lines     valid until the next call; may be written to. @return 0, -ENOMEM */
int pa_dwarf__lines(struct pa_dwarf *d, uint64_t vaddr, bool is_named, struct pa_line **lines,
		    size_t *cnt);

/* ---- kallsyms.c, kallparse.c, kallcache.c ---------------------------------------------------- */

struct pa_ksym {
	uint64_t addr;
	uint32_t name;
	uint16_t module; /* index in modules */
	uint16_t rank;
};

/* A part of the address space that is dense with symbols: cell c holds the addresses from
 * base + (c << shift) on, and cells[first_cell + c] is the index of its first symbol. */
struct pa_kregion {
	uint64_t base;
	uint32_t shift, first_cell, cell_cnt, zero;
};

#define PA_KREGIONS_MAX 8
#define PA_KSYMS_PAD 4 /* symbols behind the last, at the highest address */

/* Invariant: names ends with a NUL; regions are in order of base, and their cells, one more than
 * cell_cnt each, are among the table's. */
struct pa_kallsyms {
	/* by address; of several at one address the best is last; then PA_KSYMS_PAD */
	struct pa_ksym *syms;
	size_t cnt, cap;
	char *names;
	size_t names_bytes, names_cap;
	uint32_t *modules; /* offsets in names; 0 is "[kernel.kallsyms]" */
	size_t module_cnt, module_cap;
	struct pa_kregion regions[PA_KREGIONS_MAX];
	uint32_t *cells;
	uint32_t region_cnt, cell_cnt;
	void *map; /* from the cache: the arrays lie in its file, mapped, and may be damaged */
	size_t map_bytes;
	bool cached; /* BPF programs and other generated code are missing */
};

/** Read text as in /proc/kallsyms.
 *  @return 0, -EPERM no address is above zero, -EFBIG, -ENOMEM, -errno of read */
int pa_kallsyms__parse(const char *text, size_t bytes, struct pa_kallsyms **out);
int pa_kallsyms__parse_fd(int fd, struct pa_kallsyms **out);
/** Make regions and cells of the sorted symbols, and what is behind them. @return 0, -ENOMEM */
int pa_kallsyms__index(struct pa_kallsyms *k);
/** Index of the symbol that pa_kallsyms__lookup answers with, or -1. */
ssize_t pa_kallsyms__find(const struct pa_kallsyms *k, uint64_t addr);
/** What pa_kallsyms__lookup tells of symbol i, which find gave. */
void pa_kallsyms__entry(const struct pa_kallsyms *k, size_t i, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes);
/** Code that comes and goes without a change in /proc/modules: not kept in the cache. */
bool pa_kallsyms__is_transient(const char *module);
struct pa_kallcache_key {
	uint8_t boot_id[16];
	uint64_t modules_hash;
};
/** @return 0, -errno: no cache is to be used */
int pa_kallcache__key(struct pa_kallcache_key *key);
/** @return 0, -ESTALE, -EBADMSG, -EPERM untrustworthy file, -ENOMEM, -errno */
int pa_kallcache__read(const struct pa_kallcache_key *key, struct pa_kallsyms **out);
/** Map the table of an open cache file. Same returns */
int pa_kallcache__map(const struct pa_kallcache_key *key, int fd, struct pa_kallsyms **out);
int pa_kallcache__write(const struct pa_kallcache_key *key, const struct pa_kallsyms *k);

/* ---- perfmap.c, jitname.c ------------------------------------------------------------------- */

struct pa_perfmap;

struct pa_perfmap_stats {
	uint64_t line_cnt, skipped_cnt; /* skipped: malformed or too long */
	bool too_big;
};

int pa_perfmap__new(struct pa_perfmap **out);
void pa_perfmap__free(struct pa_perfmap *m);
/** Take in text. The last line may lack its newline: it is used, and read again next time.
 *  @return bytes consumed (whole lines), -ENOMEM, -EFBIG */
ssize_t pa_perfmap__feed(struct pa_perfmap *m, const char *text, size_t bytes, bool at_end);
/** Read what was appended since the last time. @return 0, -ENOMEM, -EFBIG, -errno */
int pa_perfmap__read(struct pa_perfmap *m, int fd);
size_t pa_perfmap__cnt(const struct pa_perfmap *m);
/** @return index of the entry, -ENOENT, -ENOMEM; entries keep their index */
ssize_t pa_perfmap__find(struct pa_perfmap *m, uint64_t addr);
void pa_perfmap__entry(const struct pa_perfmap *m, size_t i, uint64_t *start, uint64_t *bytes,
		       const char **name);
void pa_perfmap__stats(const struct pa_perfmap *m, struct pa_perfmap_stats *out);
/** Open the perf-map of a process. *refused: a file was refused for its owner.
 *  @return descriptor, -ENOENT, -EPERM, -errno */
int pa_perfmap__open(pid_t pid, bool *refused);

/** The readable form of an OCaml symbol or a Java method descriptor, as perf prints it.
 *  @param bytes  length of raw. @return malloc'd, or NULL: neither */
char *pa_vm_name(const char *raw, size_t bytes);

/** A JIT name split into what pprof wants. Slices of the input. */
struct pa_jit_name {
	size_t name_bytes;
	const char *file;
	size_t file_bytes;
	uint32_t line;
};
/** Understand the names that Python and Node write. file is NULL where there is none. */
void pa_jit_name__decode(const char *raw, struct pa_jit_name *out);

/* ---- vmlinux.c ------------------------------------------------------------------------------ */

/** The functions of a vmlinux, moved so that its text is at kernel_text (0: not moved).
 *  @return 0, -ENODATA no symbols, or not that of the text, -ENOMEM, -errno */
int pa_vmlinux__load_path(const char *path, struct pa_kernel_text kernel_text,
			  struct pa_kallsyms **out);
/** The symbols of the kernel of that build-id. @return 0, -ENOENT, -ENOMEM, -errno */
int pa_vmlinux__find(const struct pa_search *search, const uint8_t *id, size_t bytes,
		     struct pa_kernel_text kernel_text, struct pa_kallsyms **out);

/* ---- kmodule.c: modules of the kernel of another boot --------------------------------------- */

/* Address of a section that has no place: its symbols are left out. */
#define PA_SECTION_NOWHERE UINT64_MAX

/** Zero-initialized is empty. */
struct pa_kmodules {
	struct pa_kmodule *mods;
	size_t cnt, cap;
	bool is_sorted;
};

struct pa_kmodule_symbol {
	const char *name, *module;
	uint64_t start, bytes;
	struct pa_symnode **made; /* place for what is made of it */
	const char *stale_path;	  /* a file that was refused for its build-id just now, or NULL */
};

/** Note where a module was. What is not the path of a .ko file is passed over.
 *  @return 0, -ENOMEM */
int pa_kmodules__add(struct pa_kmodules *k, const struct pa_kmodule_ref *ref);
void pa_kmodules__free(struct pa_kmodules *k);
/** The function of a module that holds addr; the module's file is read at its first address.
 *  @return 0, -ENOENT (out->stale_path may be set), -ENOMEM */
int pa_kmodules__find(struct pa_kmodules *k, const struct pa_search *search, uint64_t addr,
		      struct pa_kmodule_symbol *out);

/* ---- symbolizer.c, image.c, saved.c ---------------------------------------------------------- */

struct pa_file_id {
	uint64_t dev, ino, bytes;
	int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
};

struct pa_symnode {
	struct pa_symbol sym;
	uint64_t key; /* where lookups find it: file offset of start, or address */
	struct pa_symnode *next;
};

/** The symbols of one file, shared by all images that are this file. */
struct pa_object {
	struct pa_elfsyms *syms; /* NULL: could not be read */
	struct pa_dwarf *dwarf;
	struct pa_symnode **made; /* one per symbol; NULL until first hit */
	struct pa_symnode *list;  /* all of made */
	struct pa_object *next;
};

struct pa_image {
	enum pa_image_kind kind;
	char *path;
	uint8_t build_id[20];
	uint8_t build_id_bytes;
	pid_t pid;
	uint64_t start_ns;
	uint64_t map_start, map_bytes, map_pgoff;

	bool loaded;
	bool has_id;
	struct pa_file_id id;
	int fd;			    /* held, or -1 */
	bool is_stale;		    /* its file was refused, and that was said */
	struct pa_object *object;   /* FILE, VDSO */
	struct pa_perfmap *perfmap; /* JIT */
	struct pa_file_id map_id;
	bool map_warned;
	struct pa_jitdump *jitdump; /* JIT: comes before the perf-map; NULL none */
	char *jitdump_path;	    /* as in the mapping */
	int jitdump_fd;		    /* held, or -1 */
	struct pa_symnode **jitdump_made;
	size_t jitdump_made_cnt;
	struct pa_symnode **made; /* JIT, KERNEL: by index */
	size_t made_cnt;
	struct pa_symnode *list;   /* all of made */
	struct pa_symnode **saved; /* restored, by key */
	size_t saved_cnt, saved_cap;
	bool saved_sorted;
	struct pa_image *next;
};

struct pa_symbolizer {
	struct pa_symbolizer_opts opts;
	struct pa_pool arena;
	struct pa_table table; /* keys to images and objects */
	struct pa_image *images;
	struct pa_object *objects;
	struct pa_kallsyms *kallsyms;
	struct pa_kmodules modules;
	bool kallsyms_tried, kallsyms_reloaded;
	bool has_saved;			   /* images with saved symbols */
	struct pa_kernel_text kernel_text; /* where the data's kernel was */
	uint64_t table_bytes;
	size_t held_cnt, held_max;
	struct pa_symbolizer_stats stats;
	struct pa_line *go_lines; /* of the last question */
};

void pa_warn(struct pa_symbolizer *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A path that names nothing on disk: deleted, memfd or anonymous. */
bool pa_path_is_gone(const char *path);
void pa_file_id__from(struct pa_file_id *id, const struct stat *st);
/** Find or make the image that ref names, its file unseen. @return 0 or -ENOMEM */
int pa_image__get(struct pa_symbolizer *s, const struct pa_image_ref *ref, struct pa_image **out);
/** The same by the identity of its file, which is opened now and held. */
int pa_image__get_held(struct pa_symbolizer *s, const struct pa_image_ref *ref,
		       struct pa_image **out);
void pa_image__hold_perfmap(struct pa_symbolizer *s, struct pa_image *image);
void pa_image__close(struct pa_symbolizer *s, struct pa_image *image);
/** Read the symbols of a FILE or VDSO image. @return 0 or -ENOMEM */
int pa_image__load(struct pa_symbolizer *s, struct pa_image *image);
/** Read the perf-map, or what is new in it. @return 0 or -ENOMEM */
int pa_image__read_perfmap(struct pa_symbolizer *s, struct pa_image *image);
/** Read the jitdump, or what is new in it. @return 0 or -ENOMEM */
int pa_image__read_jitdump(struct pa_symbolizer *s, struct pa_image *image);
/** The jitdump at path is image's; open it while it is there. @return 0 or -ENOMEM */
int pa_image__set_jitdump(struct pa_symbolizer *s, struct pa_image *image, const char *path);
void pa_image__destroy(struct pa_symbolizer *s, struct pa_image *image);
void pa_objects__free(struct pa_symbolizer *s);
/** Among restored symbols. NULL: none */
const struct pa_symbol *pa_image__find_saved(struct pa_image *image, uint64_t addr);

#endif
