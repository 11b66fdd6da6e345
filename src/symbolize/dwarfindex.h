/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dwarfindex.h - what the dwarf*.c files share: the index of one image's DWARF. Units are found
 * by address; each is read once, at its first address, into arrays that are searched from then
 * on. Nothing in them points into libdw, which can so be closed and opened again to get rid of
 * what it keeps.
 */
#ifndef PA_DWARFINDEX_H
#define PA_DWARFINDEX_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#include "convert/table.h"
#include "symbolize/internal.h"

/* Limits on what one hostile image can make us hold or do. */
#define PA_DWARF_SECTIONS_MAX_BYTES (2ull << 30) /* read, or decompressed */
#define PA_DWARF_INDEX_MAX_BYTES (768ull << 20)
#define PA_DWARF_UNITS_MAX (1u << 20)
#define PA_DWARF_RANGES_MAX (4u << 20)
#define PA_DWARF_DEPTH_MAX 192	 /* of nested entries */
#define PA_DWARF_ORIGINS_MAX 16	 /* from an entry to the one that names it */
#define PA_DWARF_INLINES_MAX 128 /* functions at one address */
#define PA_DWARF_WORK_MAX (4ull << 30)
#define PA_DWARF_TIME_MAX_NS (60ull * 1000000000) /* reading units, all together */
/* A row of a line table costs libdw about 100 bytes while it is read. */
#define PA_DWARF_LINE_PROGRAM_MAX_BYTES (8u << 20)
/* Rows that libdw may hold before it is closed and opened again. */
#define PA_DWARF_ROWS_HELD_MAX (1u << 20)

/** A function as its declaration names it. */
struct pa_dwarf_fn {
	const char *name, *system_name;
	uint32_t start_line;
};

/** Where a function was compiled to, by its entry. */
struct pa_dwarf_function {
	uint64_t addr;
	Dwarf_Off die;
};

/** A function that has code, or one inlined in it. */
struct pa_dwarf_node {
	const struct pa_dwarf_fn *fn; /* NULL until first asked */
	uint32_t parent;	      /* what it is inlined in; PA_NONE */
	uint32_t die;		      /* from the unit's */
	uint32_t call_file, call_line;
};

/** The innermost node from start to the next segment's. PA_NONE: none. */
struct pa_dwarf_segment {
	uint64_t start;
	uint32_t node;
};

/** Source of the code from addr to the next row's. file PA_NONE: none. */
struct pa_dwarf_row {
	uint64_t addr;
	uint32_t file, line;
};

/** The DWARF of one unit that is not in the image. */
struct pa_dwarf_split {
	void *image; /* of an ELF file */
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_Off die; /* the unit's */
	uint64_t base; /* that its ranges are relative to */
};

struct pa_dwarf_unit {
	Dwarf_Off die;
	struct pa_dwarf_split *split;	     /* where its functions are, NULL: here */
	struct pa_dwarf_function *functions; /* by address */
	struct pa_dwarf_node *nodes;
	struct pa_dwarf_segment *segments; /* by start */
	struct pa_dwarf_row *rows;	   /* by address */
	uint32_t function_cnt, node_cnt, segment_cnt, row_cnt;
	bool loaded;
};

struct pa_dwarf_range {
	uint64_t start, end;
	uint32_t unit;
};

struct pa_dwarf {
	bool want_inlines, want_lines;
	char *path;
	const struct pa_search *search;
	uint16_t machine;
	int fd, alt_fd;
	Elf *elf, *alt_elf;
	Dwarf *dwarf, *alt;	     /* dwarf NULL: could not be opened again */
	Elf_Data *line_program;	     /* .debug_line, NULL none */
	struct pa_dwarf_unit *units; /* by DIE offset, NULL until first asked */
	size_t unit_cnt, unit_cap;
	struct pa_dwarf_range *ranges; /* by start */
	size_t range_cnt, range_cap;
	bool loaded;
	uint64_t work, time_ns, index_bytes;
	size_t rows_held; /* by libdw */
	struct pa_dwarf_package *package;
	bool package_tried;
	struct pa_pool pool;
	struct pa_strings files;
	struct pa_table fns; /* DIEs to pa_dwarf_fn */
	struct pa_line *lines;
	size_t line_cap;
};

/* ---- dwarffile.c: files that are safe to give to libdw ------------------------------------ */

/** Open the DWARF of d->fd, or of its debug file, which replaces d->fd then.
 *  @return 0, -ENOENT there is none, -EBADMSG, -ENOMEM, -errno */
int pa_dwarf__open(struct pa_dwarf *d, const char *path, const struct pa_search *search);
void pa_dwarf__close(struct pa_dwarf *d);
/** Would libelf and libdw read no more than they should? */
bool pa_dwarf__is_safe(const struct pa_elf *e);
/** Do its string sections end with a NUL? libdw takes that for granted. */
bool pa_dwarf__strings_end(Elf *elf);
/** Of .debug_NAME, decompressed. NULL: none */
Elf_Data *pa_dwarf__section(Elf *elf, const char *name);
/** Free what libdw has gathered. @return 0, -errno: there is no DWARF any more */
int pa_dwarf__reopen(struct pa_dwarf *d);

/* ---- dwarfsplit.c: units in other files ---------------------------------------------------- */

struct pa_dwarf_package;
void pa_dwarf_package__free(struct pa_dwarf_package *k);
/** Find the unit that skeleton stands for. @return 0 (*out NULL: there is none), -ENOMEM */
int pa_dwarf_split__open(struct pa_dwarf *d, Dwarf_Die *skeleton, struct pa_dwarf_split **out);
void pa_dwarf_split__free(struct pa_dwarf_split *split);

/* ---- dwarfscan.c: the entries of a unit ---------------------------------------------------- */

struct pa_dwarf_abbrev;

struct pa_dwarf_scan {
	const uint8_t *start, *at, *end; /* of .debug_info; where it is; end of the unit */
	uint64_t header;		 /* offset of the unit's */
	uint16_t version;
	uint8_t address_bytes, offset_bytes;
	int64_t depth;
	struct pa_dwarf_abbrev *abbrevs; /* by code */
	size_t abbrev_cnt, abbrev_cap;
	void *specs; /* of their attributes */
	size_t spec_cnt, spec_cap;
};

/** An entry; what follows has_ranges only for functions and what is inlined. */
struct pa_dwarf_entry {
	Dwarf_Off offset;
	uint64_t sibling; /* 0 unknown */
	int64_t depth;	  /* the unit's is 0 */
	uint16_t tag;
	bool has_children, has_low, has_high, has_ranges;
	bool is_plain, high_is_address; /* low and high are right; else ask libdw */
	uint64_t low, high;
	uint32_t call_file, call_line; /* PA_NONE, 0: unknown */
};

/** @return 0, -EBADMSG, -ENOMEM; close it in every case */
int pa_dwarf_scan__open(struct pa_dwarf_scan *s, Elf *elf, Dwarf_Die *unit);
void pa_dwarf_scan__close(struct pa_dwarf_scan *s);
/** The unit's entry first. @return false: the end, or damage */
bool pa_dwarf_scan__next(struct pa_dwarf_scan *s, struct pa_dwarf_entry *e);
/** Leave out what is inside of the last entry, where it says how long that is. */
void pa_dwarf_scan__skip(struct pa_dwarf_scan *s, const struct pa_dwarf_entry *e);

/* ---- dwarfunit.c: reading a unit ---------------------------------------------------------- */

/** Read what is wanted of a unit. @return 0 (also for a damaged one), -ENOMEM */
int pa_dwarf_unit__load(struct pa_dwarf *d, struct pa_dwarf_unit *u);
void pa_dwarf_unit__free(struct pa_dwarf_unit *u);
/** The entry at an offset of the unit's own DWARF. NULL: there is none. */
Dwarf_Die *pa_dwarf_unit__die(const struct pa_dwarf *d, const struct pa_dwarf_unit *u, Dwarf_Off at,
			      Dwarf_Die *die);
/** The unit's entry there. */
Dwarf_Off pa_dwarf_unit__offset(const struct pa_dwarf_unit *u);
/** Names of a node. @return 0, -ENOMEM */
int pa_dwarf_unit__name(struct pa_dwarf *d, const struct pa_dwarf_unit *u,
			struct pa_dwarf_node *node);
/** An absolute path where the unit gives one. @return PA_NONE: out of memory */
uint32_t pa_dwarf__file(struct pa_dwarf *d, Dwarf_Die *unit, const char *file);

#endif
