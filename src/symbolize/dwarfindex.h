/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dwarfindex.h - what the dwarf*.c files share: the index of one image's DWARF. Units are found
 * by address; of one that is asked for, the functions and marks in its line table are kept, and
 * of a function that is asked for, what is inlined in it. The bytes themselves are read by pieces
 * into windows that are used again and again, since fresh memory costs more than parsing.
 */
#ifndef PA_DWARFINDEX_H
#define PA_DWARFINDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/table.h"
#include "symbolize/internal.h"

/* Limits on what one hostile image can make us hold or do. */
#define PA_DWARF_SECTION_MAX_BYTES (2ull << 30) /* decompressed */
#define PA_DWARF_INDEX_MAX_BYTES (768ull << 20)
#define PA_DWARF_UNITS_MAX (1u << 20)
#define PA_DWARF_RANGES_MAX (4u << 20)
#define PA_DWARF_DEPTH_MAX 192	 /* of nested entries */
#define PA_DWARF_ORIGINS_MAX 16	 /* from an entry to the one that names it */
#define PA_DWARF_INLINES_MAX 128 /* functions at one address */
#define PA_DWARF_STRING_MAX_BYTES (1u << 20)
#define PA_DWARF_WORK_MAX (4ull << 30) /* bytes looked at, or what costs as much */

/* How much of a section is read at a time: one after the other, or here and there. */
#define PA_DWARF_LARGE_BYTES (4u << 20)
#define PA_DWARF_SMALL_BYTES (16u << 10)

/* ---- dwarfsection.c: bytes ------------------------------------------------------------ */

enum pa_dwarf_section_id {
	PA_DWARF_INFO,
	PA_DWARF_ABBREV,
	PA_DWARF_LINE,
	PA_DWARF_STR,
	PA_DWARF_LINE_STR,
	PA_DWARF_STR_OFFSETS,
	PA_DWARF_ADDR,
	PA_DWARF_RANGES,
	PA_DWARF_RNGLISTS,
	PA_DWARF_ARANGES,
	PA_DWARF_SECTION_CNT
};

/** A piece of a section. */
struct pa_dwarf_window {
	uint8_t *data;
	uint64_t at;
	size_t bytes, cap;
};

struct pa_dwarf_section {
	const uint8_t *mem; /* all of it; NULL: it is read by pieces */
	void *owned;
	int fd;
	uint64_t offset, bytes; /* in the file; bytes as they are unpacked */
	uint32_t packing;	/* ELFCOMPRESS_...: not yet unpacked */
	uint64_t packed_bytes, packed_head;
	struct pa_dwarf_window small, large;
	bool no_memory;
};

/** The bytes of s from at on: need of them, or more, or up to the end of s. They are valid until
 *  s is asked again. @param want  how many to read, if they are not at hand
 *  @return NULL: at is beyond the end, or they can't be read */
const uint8_t *pa_dwarf_section__at(struct pa_dwarf_section *s, uint64_t at, size_t need,
				    size_t want, size_t *got);
/** A string that ends within the section; valid until s is asked again. @return NULL */
const char *pa_dwarf_section__string(struct pa_dwarf_section *s, uint64_t at, size_t *bytes);
/** A number of up to 8 bytes. @return false: it isn't there */
bool pa_dwarf_section__number(struct pa_dwarf_section *s, uint64_t at, unsigned bytes,
			      uint64_t *out);
/** Use a section of a file, decompressed where it is not plain. @return 0, -EBADMSG, -ENOMEM */
int pa_dwarf_section__open(struct pa_dwarf_section *s, const struct pa_elf *e,
			   const struct pa_elf_section *from);
/** Read all of it now. @return 0, -EFBIG, -EBADMSG, -ENOMEM */
int pa_dwarf_section__keep(struct pa_dwarf_section *s, size_t max_bytes);
void pa_dwarf_section__close(struct pa_dwarf_section *s);
/** What a section is called behind ".debug_". */
const char *pa_dwarf_section__name(enum pa_dwarf_section_id id);

static inline uint64_t pa_read_le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&v, p, bytes);
#else
	memcpy((uint8_t *)&v + 8 - bytes, p, bytes);
#endif
	return v;
}

/** Reads on through a section. Invariant: p <= end; end stands for offset end_at. */
struct pa_dwarf_cursor {
	struct pa_dwarf_section *section;
	const uint8_t *p, *end;
	uint64_t end_at, limit; /* nothing is read from limit on */
	size_t need, want;
};

/* What an entry needs, but for strings and blocks in it. */
#define PA_DWARF_ENTRY_BYTES 4096

/** @param need  bytes that are there after __more, where the limit is further away
 *  @param want  bytes to read at a time
 *  @return false: there is nothing */
bool pa_dwarf_cursor__open(struct pa_dwarf_cursor *c, struct pa_dwarf_section *s, uint64_t at,
			   uint64_t limit, size_t need, size_t want);
/** Go to an offset. @return false: it is not below the limit */
bool pa_dwarf_cursor__seek(struct pa_dwarf_cursor *c, uint64_t at);

static inline uint64_t pa_dwarf_cursor__at(const struct pa_dwarf_cursor *c)
{
	return c->end_at - (uint64_t)(c->end - c->p);
}

/** Read more where that is necessary. @return false: the end */
static inline bool pa_dwarf_cursor__more(struct pa_dwarf_cursor *c)
{
	if (__builtin_expect((size_t)(c->end - c->p) < c->need && c->end_at < c->limit, 0))
		return pa_dwarf_cursor__seek(c, pa_dwarf_cursor__at(c));
	return c->p < c->end;
}

static inline bool pa_dwarf_cursor__skip(struct pa_dwarf_cursor *c, uint64_t bytes)
{
	if (__builtin_expect(bytes > (uint64_t)(c->end - c->p), 0)) {
		uint64_t left = c->limit - pa_dwarf_cursor__at(c);

		return bytes <= left &&
		       (pa_dwarf_cursor__seek(c, c->limit - left + bytes) || bytes == left);
	}
	c->p += bytes;
	return true;
}

bool pa_dwarf_cursor__long_uleb(struct pa_dwarf_cursor *c, uint64_t *out);
bool pa_dwarf_cursor__sleb(struct pa_dwarf_cursor *c, int64_t *out);

static inline bool pa_dwarf_cursor__uleb(struct pa_dwarf_cursor *c, uint64_t *out)
{
	if (__builtin_expect(c->p < c->end && *c->p < 0x80, 1)) {
		*out = *c->p++;
		return true;
	}
	return pa_dwarf_cursor__long_uleb(c, out);
}

static inline bool pa_dwarf_cursor__number(struct pa_dwarf_cursor *c, unsigned bytes, uint64_t *out)
{
	if (bytes > 8 || c->end - c->p < (ptrdiff_t)bytes)
		return false;
	*out = pa_read_le(c->p, bytes);
	c->p += bytes;
	return true;
}

/* ---- dwarffile.c: files with DWARF, and their units ----------------------------------- */

struct pa_dwarf_unit;

struct pa_dwarf_file {
	struct pa_dwarf_section *sections[PA_DWARF_SECTION_CNT]; /* NULL: there is none */
	struct pa_dwarf_section own[PA_DWARF_SECTION_CNT];
	struct pa_dwarf_file *alt;   /* what dwz has put elsewhere */
	struct pa_dwarf_unit *units; /* by offset */
	size_t unit_cnt, unit_cap;
};

/** The value of an attribute, not yet looked up. */
enum pa_dwarf_kind {
	PA_DWARF_MISSING,
	PA_DWARF_ADDRESS,
	PA_DWARF_ADDRESS_INDEX,
	PA_DWARF_NUMBER,
	PA_DWARF_OFFSET,      /* into another section */
	PA_DWARF_LIST_INDEX,  /* of a list of ranges */
	PA_DWARF_REF,	      /* offset in .debug_info */
	PA_DWARF_REF_ALT,     /* and in that of file->alt */
	PA_DWARF_STRING_HERE, /* offset in .debug_info */
	PA_DWARF_STRING,      /* in .debug_str */
	PA_DWARF_STRING_LINE, /* in .debug_line_str */
	PA_DWARF_STRING_ALT,  /* in .debug_str of file->alt */
	PA_DWARF_STRING_INDEX,
	PA_DWARF_OTHER
};

struct pa_dwarf_value {
	enum pa_dwarf_kind kind;
	uint64_t number;
};

/** What the first entry of a unit says. */
struct pa_dwarf_root {
	uint16_t tag;
	struct pa_dwarf_value low, high, ranges, comp_dir, dwo_name, line;
	uint64_t base; /* that its ranges are relative to */
	uint64_t dwo_id, addr_base, str_offsets_base, rnglists_base;
	uint64_t gnu_ranges_base;	/* where those of a split unit of DWARF 4 begin */
	uint64_t ranges_base;		/* the same, in that unit */
	struct pa_dwarf_unit *skeleton; /* what stands for a split unit in the image */
};

struct pa_dwarf_function {
	uint64_t start, end;
	uint32_t body;
};

/** One inlined function, or the one around it, which is the first. */
struct pa_dwarf_node {
	uint64_t origin;		     /* the entry that names it */
	uint32_t fn;			     /* index of its names; PA_NONE until first asked */
	uint32_t parent;		     /* what it is inlined in; PA_NONE */
	uint32_t call_file : 31, is_alt : 1; /* the origin is in the file's alt */
	uint32_t call_line;
	uint32_t call_discriminator;
};

/** The innermost node from start to the next segment's. PA_NONE: none. */
struct pa_dwarf_segment {
	uint64_t start;
	uint32_t node;
};

/** A range of a node. */
struct pa_dwarf_span {
	uint64_t start, end;
	uint32_t node;
};

/** What is inlined in a function: spans, nodes before those in them, until it has been asked often
 *  enough for segments to be worth while. */
struct pa_dwarf_body {
	uint32_t die; /* from the unit's header */
	bool loaded;
	uint32_t asked_cnt;
	uint32_t node_cnt, span_cnt, segment_cnt;
	struct pa_dwarf_node *nodes;
	struct pa_dwarf_span *spans; /* NULL: there are segments, or nothing */
	struct pa_dwarf_segment *segments;
};

struct pa_dwarf_lines;
struct pa_dwarf_split;

/** Of a unit that was asked for. */
struct pa_dwarf_index {
	struct pa_dwarf_split *split;	     /* where its functions are, NULL: here */
	struct pa_dwarf_unit *unit;	     /* that has its functions */
	struct pa_dwarf_function *functions; /* by address */
	struct pa_dwarf_body *bodies;
	size_t function_cnt, function_cap, body_cnt, body_cap;
	bool is_deep;				    /* nothing was left out */
	struct pa_dwarf_lines *lines, *split_lines; /* NULL: none */
};

struct pa_dwarf_unit {
	struct pa_dwarf_file *file;
	uint64_t at, die, end; /* its header, first entry, end */
	uint64_t abbrevs;
	uint8_t version, type, address_bytes, offset_bytes;
	bool root_tried, index_tried, files_tried;
	struct pa_dwarf_root *root; /* NULL until first asked, and for a damaged one */
	struct pa_dwarf_index *index;
	struct pa_dwarf_lines *files; /* only of a unit that others refer to */
	uint64_t dwo_id;	      /* from the header */
};

struct pa_dwarf_range {
	uint64_t start, end;
	uint32_t unit;
};

/** A function as its declaration names it. */
struct pa_dwarf_fn {
	struct pa_dwarf_file *file;
	uint64_t die;
	uint32_t symbol; /* in symbols; PA_NONE: it has no name */
	uint32_t start_line;
};

/** A name that was asked for, by where it is. */
struct pa_dwarf_name {
	const struct pa_dwarf_section *section;
	uint64_t at;
	uint32_t id; /* in symbols */
};

struct pa_dwarf_abbrevs;
struct pa_dwarf_package;

#define PA_DWARF_TABLES_CNT 64

struct pa_dwarf {
	bool want_inlines, want_lines;
	char *path;
	const struct pa_search *search;
	int fd, alt_fd;
	struct pa_dwarf_file *file;
	struct pa_dwarf_range *ranges; /* by start */
	size_t range_cnt, range_cap;
	bool loaded;
	uint64_t work, index_bytes;
	struct pa_dwarf_abbrevs *tables[PA_DWARF_TABLES_CNT];
	struct pa_dwarf_package *package;
	bool package_tried;
	struct pa_pool pool;
	struct pa_strings files;
	struct pa_strings symbols; /* linkage names */
	const char **readable;	   /* of symbols, demangled; NULL until first asked */
	size_t readable_cap;
	struct pa_index names_by_place, fns_by_die;
	struct pa_dwarf_name *names;
	struct pa_dwarf_fn *fns;
	size_t name_cnt, name_cap, fn_cnt, fn_cap;
	struct pa_line *lines;
	size_t line_cap;
};

/** Is there still something allowed? */
static inline bool pa_dwarf__spend(struct pa_dwarf *d, uint64_t work)
{
	d->work += work;
	return d->work <= PA_DWARF_WORK_MAX;
}

/** Open the DWARF of d->fd, or of its debug file, which replaces d->fd then.
 *  @return 0, -ENOENT there is none, -EBADMSG, -ENOMEM, -errno */
int pa_dwarf__open(struct pa_dwarf *d, const char *path, const struct pa_search *search);
/** The sections of e whose names end in suffix. @return 0, -EBADMSG, -ENOMEM */
int pa_dwarf_file__open(struct pa_dwarf_file *f, const struct pa_elf *e, const char *suffix);
/** Find the headers of all units. @return 0 (a damaged one ends the list), -ENOMEM */
int pa_dwarf_file__read_units(struct pa_dwarf_file *f);
void pa_dwarf_file__free(struct pa_dwarf_file *f);
/** The unit that holds an offset. NULL: none. */
struct pa_dwarf_unit *pa_dwarf_file__unit(struct pa_dwarf_file *f, uint64_t at);
/** The unit whose header is at an offset. NULL: none. */
struct pa_dwarf_unit *pa_dwarf_file__unit_from(struct pa_dwarf_file *f, uint64_t at);
/** Did reading fail for want of memory? */
bool pa_dwarf_file__no_memory(const struct pa_dwarf_file *f);

/** The units that have an address, one after the other. *i: how many were looked at; starts with
 *  0. *out NULL: no more. @return 0, -ENOMEM */
int pa_dwarf__next_unit(struct pa_dwarf *d, uint64_t vaddr, size_t *i, struct pa_dwarf_unit **out);

/* ---- dwarfform.c: abbreviations and the values of attributes -------------------------- */

/** How to pass over an entry: a run of known length, an attribute of another, or one to keep. */
struct pa_dwarf_step {
	uint8_t kind;	    /* enum pa_dwarf_step_kind */
	uint8_t slot;	    /* enum pa_dwarf_slot: what to keep it as */
	uint8_t value_kind; /* of a value with a known length of 1 to 8 bytes; else 0 */
	uint16_t form;
	uint32_t bytes; /* of a run, or of that value */
	int64_t value;	/* DW_FORM_implicit_const */
};

/** What is kept of an entry: the sibling of all, the rest of functions and what is inlined. */
enum pa_dwarf_slot {
	PA_DWARF_SIBLING,
	PA_DWARF_LOW,
	PA_DWARF_HIGH,
	PA_DWARF_LIST,
	PA_DWARF_ORIGIN,
	PA_DWARF_SPECIFICATION,
	PA_DWARF_CALL_FILE,
	PA_DWARF_CALL_LINE,
	PA_DWARF_CALL_DISCRIMINATOR,
	PA_DWARF_SLOT_CNT
};

enum pa_dwarf_step_kind { PA_DWARF_STEP_RUN, PA_DWARF_STEP_SKIP, PA_DWARF_STEP_TAKE };

struct pa_dwarf_attr {
	uint16_t name, form;
	int64_t value; /* DW_FORM_implicit_const */
};

struct pa_dwarf_abbrev {
	uint32_t attr, attr_cnt, step, step_cnt; /* where its attributes and steps begin */
	uint16_t tag;				 /* 0: there is none */
	bool has_children;
	bool is_code; /* a function, or one that is inlined */
};

struct pa_dwarf_abbrevs {
	const struct pa_dwarf_file *file;
	uint64_t at;
	uint8_t version, address_bytes, offset_bytes;
	bool has_siblings;
	struct pa_dwarf_abbrev *list; /* by code */
	size_t cnt, cap;
	struct pa_dwarf_attr *attrs;
	struct pa_dwarf_step *steps;
	size_t attr_cnt, attr_cap, step_cnt, step_cap;
};

/** The abbreviations of a unit; valid until another unit's are asked for.
 *  @return 0, -EBADMSG, -ENOMEM */
int pa_dwarf_abbrevs__get(struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			  const struct pa_dwarf_abbrevs **out);
/** The file is about to go. */
void pa_dwarf_abbrevs__forget(struct pa_dwarf *d, const struct pa_dwarf_file *f);
void pa_dwarf_abbrevs__free(struct pa_dwarf_abbrevs *t);
static inline const struct pa_dwarf_abbrev *pa_dwarf_abbrevs__find(const struct pa_dwarf_abbrevs *t,
								   uint64_t code)
{
	return code < t->cnt && t->list[code].tag ? &t->list[code] : NULL;
}
/** Read the value of an attribute. @return false: damage, or a form that is not known */
bool pa_dwarf_value__read(struct pa_dwarf_cursor *c, const struct pa_dwarf_unit *u, unsigned form,
			  int64_t implicit, struct pa_dwarf_value *out);
/** Over a value. */
bool pa_dwarf_value__skip(struct pa_dwarf_cursor *c, const struct pa_dwarf_unit *u, unsigned form);
/** The root of a unit. NULL: damaged; *err -ENOMEM */
const struct pa_dwarf_root *pa_dwarf_unit__root(struct pa_dwarf *d, struct pa_dwarf_unit *u,
						int *err);
/** What a value means, by the unit that it is in. @return false: damage */
bool pa_dwarf_value__address(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			     const struct pa_dwarf_value *v, uint64_t *out);
/** Where a string is. */
bool pa_dwarf_value__place(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			   const struct pa_dwarf_value *v, struct pa_dwarf_section **section,
			   uint64_t *at);
/** A string, valid until its section is asked again. NULL: none. */
const char *pa_dwarf_value__string(struct pa_dwarf *d, struct pa_dwarf_unit *u,
				   const struct pa_dwarf_value *v, size_t *bytes);

/* ---- dwarfrange.c --------------------------------------------------------------------- */

typedef int (*pa_dwarf_range_fn)(void *ctx, uint64_t start, uint64_t end);
/** Call add for each range that low and high, or else ranges, tell. @return 0 (also for damage),
 *  what add returned */
int pa_dwarf__each_range(struct pa_dwarf *d, struct pa_dwarf_unit *u,
			 const struct pa_dwarf_value *low, const struct pa_dwarf_value *high,
			 const struct pa_dwarf_value *ranges, pa_dwarf_range_fn add, void *ctx);

/* ---- dwarfscan.c: the entries of a unit ----------------------------------------------- */

struct pa_dwarf_scan {
	struct pa_dwarf *d;
	const struct pa_dwarf_unit *unit;
	const struct pa_dwarf_abbrevs *abbrevs;
	struct pa_dwarf_cursor c;
	int64_t depth;
	bool has_ended;
};

struct pa_dwarf_entry {
	uint64_t at;
	int64_t depth; /* that of the first is 0 */
	uint16_t tag;
	bool has_children;
	struct pa_dwarf_value values[PA_DWARF_SLOT_CNT];
};

/** Begin at the entry at. @return 0, -EBADMSG, -ENOMEM */
int pa_dwarf_scan__open(struct pa_dwarf_scan *s, struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			uint64_t at, size_t want);
/** @return false: the end of the unit, or of the first entry, or damage */
bool pa_dwarf_scan__next(struct pa_dwarf_scan *s, struct pa_dwarf_entry *e);
/** Leave out what is inside of the last entry, where it says how long that is. */
void pa_dwarf_scan__skip(struct pa_dwarf_scan *s, const struct pa_dwarf_entry *e);

/* ---- dwarfunit.c: functions of a unit ------------------------------------------------- */

/** Read what is wanted of a unit. @return 0 (also for a damaged one), -ENOMEM */
int pa_dwarf_unit__load(struct pa_dwarf *d, struct pa_dwarf_unit *u);
void pa_dwarf_unit__free(struct pa_dwarf_unit *u);
/** The function that holds an address. *out NULL: none. @return 0, -ENOMEM */
int pa_dwarf_unit__find(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t vaddr,
			struct pa_dwarf_function **out);

/* ---- dwarfbody.c: what is inlined in a function --------------------------------------- */

/** The innermost node at an address. *out PA_NONE: none. @return 0, -ENOMEM */
int pa_dwarf_body__find(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_body *body,
			uint64_t vaddr, uint32_t *out);
/** The same, and how far it is the innermost: *end > vaddr. For who goes through all of it. */
int pa_dwarf_body__next(struct pa_dwarf *d, struct pa_dwarf_index *x, struct pa_dwarf_body *body,
			uint64_t vaddr, uint32_t *node, uint64_t *end);
void pa_dwarf_body__free(struct pa_dwarf_body *body);

/* ---- dwarfname.c: names and declarations of functions --------------------------------- */

/** Names of a node. @return 0, -ENOMEM */
int pa_dwarf__name(struct pa_dwarf *d, struct pa_dwarf_unit *u, struct pa_dwarf_node *node);
/** What a function is called by the linker, else in the source; "" without a name. */
const char *pa_dwarf__system_name(const struct pa_dwarf *d, const struct pa_dwarf_fn *fn);
/** The same for people: demangled. Lives as long as d. @return NULL without memory */
const char *pa_dwarf__readable(struct pa_dwarf *d, const struct pa_dwarf_fn *fn);
/** Where the function at an offset is declared. @return 0, -ENOENT, -ENOMEM */
int pa_dwarf__declaration(struct pa_dwarf *d, struct pa_dwarf_index *x, uint64_t die,
			  const char **file, uint32_t *line);

/* ---- dwarfline.c, dwarfrow.c: line tables --------------------------------------------- */

/** Read the table at offset at of u's file. @return 0 (*out NULL: none), -ENOMEM */
int pa_dwarf_lines__load(struct pa_dwarf *d, struct pa_dwarf_unit *u, uint64_t at, bool with_rows,
			 struct pa_dwarf_lines **out);
void pa_dwarf_lines__free(struct pa_dwarf_lines *t);
/** The number of the source file and the line of an address. @return 0, -ENOENT, -ENOMEM */
int pa_dwarf_lines__find(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t vaddr,
			 uint32_t *file, uint32_t *line);
/** Name of a source file, absolute where the unit gives that, among d->files. *id PA_NONE: none.
 *  @return 0, -ENOMEM */
int pa_dwarf_lines__file(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t number,
			 uint32_t *id);

/* ---- dwarfsplit.c: units in other files ----------------------------------------------- */

/** The DWARF of one unit that is not in the image. */
struct pa_dwarf_split {
	struct pa_dwarf_file file;
	struct pa_dwarf_unit *unit;
};

void pa_dwarf_package__free(struct pa_dwarf_package *k);
/** Find the unit that skeleton stands for. @return 0 (*out NULL: there is none), -ENOMEM */
int pa_dwarf_split__open(struct pa_dwarf *d, struct pa_dwarf_unit *skeleton,
			 struct pa_dwarf_split **out);
void pa_dwarf_split__free(struct pa_dwarf_split *split);

#endif
