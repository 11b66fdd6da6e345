/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gopclntab.h - the table that each Go program carries for its own tracebacks, stripped or not:
 * names, files and lines of all functions (debug/gosym reads it, cmd/link/internal/ld/pcln.go
 * writes it). gopclntab.c decodes it, gofile.c finds it in an ELF file.
 */
#ifndef PA_GOPCLNTAB_H
#define PA_GOPCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pa_elf;
struct pa_symbuild;

/* The largest known (of programs of 300 MB) has 50 MB. */
#define PA_GOPCLNTAB_MAX_BYTES (256u << 20)

enum pa_go_version { PA_GO_12 = 1, PA_GO_116 = 2, PA_GO_118 = 3, PA_GO_120 = 4 };

/** Invariants: functab with its func_cnt entries and an end lies within data, all other places
 *  are at most bytes; data[bytes] is NUL. */
struct pa_gopclntab {
	uint8_t *data;
	size_t bytes;
	enum pa_go_version version;
	bool big_endian;
	uint8_t quantum, ptr_bytes, field_bytes; /* field: of functab */
	uint64_t text;				 /* what entries are relative to; from 1.18 on */
	uint64_t header_text;			 /* the same as the header has it, 0 none */
	size_t func_cnt, file_cnt;
	size_t functab, funcs, names, cutab, files, pctab; /* places in data */
	size_t names_bytes;
	uint64_t inline_base; /* address of go:func.*, 0 unknown */
	uint8_t *inlines;     /* what begins there: the trees of inlined calls; NULL unknown */
	size_t inlines_bytes;
};

#define PA_GO_LINES_MAX 64
/* Behind the last tree's beginning: 4,096 calls. */
#define PA_GO_TREE_MAX_BYTES 65536

/** One function of those that are inlined at an address, or the outermost. Borrowed. */
struct pa_go_line {
	const char *name, *file;   /* "" unknown */
	uint32_t line, start_line; /* 0 unknown */
};

/** Understand a table. @param data  allocated, bytes + 1 with a NUL at the end; owned by *out,
 *  also on failure. @return 0, -EBADMSG, -ENOMEM */
int pa_gopclntab__parse(void *data, size_t bytes, struct pa_gopclntab **out);
/** Find and read the table of an ELF file. @return 0, -ENOENT none, -EBADMSG damaged or its code
 *  can't be placed, -EFBIG, -ENOMEM, -errno */
int pa_gopclntab__load(const struct pa_elf *e, struct pa_gopclntab **out);
void pa_gopclntab__free(struct pa_gopclntab *t);
size_t pa_gopclntab__memory_bytes(const struct pa_gopclntab *t);
/** From the start of the first function to the end of the last. */
void pa_gopclntab__range(const struct pa_gopclntab *t, uint64_t *start, uint64_t *end);
/** Append all functions. @return 0, -EFBIG, -ENOMEM */
int pa_gopclntab__add(const struct pa_gopclntab *t, struct pa_symbuild *b);
/** Function and source line of an address: the function that the linker knows, and the line of
 *  the innermost inlined one. Strings are borrowed, "" unknown; numbers 0.
 *  @return 0, -ENOENT no function holds vaddr */
int pa_gopclntab__line(const struct pa_gopclntab *t, uint64_t vaddr, const char **name,
		       const char **file, uint32_t *line, uint32_t *start_line);
/** How far the trees of inlined calls may reach from inline_base on; 0 there are none. */
uint64_t pa_gopclntab__inlines_reach(const struct pa_gopclntab *t);
/** All functions at an address, the innermost first; the last is the linker's.
 *  @return how many, 0 no function holds vaddr */
size_t pa_gopclntab__lines(const struct pa_gopclntab *t, uint64_t vaddr,
			   struct pa_go_line lines[PA_GO_LINES_MAX]);
/** Where the function that holds vaddr begins in its source. @return 0, -ENOENT */
int pa_gopclntab__decl(const struct pa_gopclntab *t, uint64_t vaddr, const char **file,
		       uint32_t *line);

#endif
