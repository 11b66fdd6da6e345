// SPDX-License-Identifier: GPL-2.0-only
/*
 * cfi.c - the CFI of one file: an index of its entries by address, made once, and rows, decoded
 * when they are asked for. Caches are of fixed size and direct-mapped, so that neither a large
 * file nor addresses chosen to collide make them grow.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unwind/internal.h"

#define CACHE_SLOTS 16384u	   /* addresses, and rows */
#define ROWS_MAX_BYTES (16u << 20) /* beyond, the cache is emptied */
#define STEPS_BACK_MAX 8 /* entries that end before an address that a later one starts at */

/* One section and its entries, sorted. */
struct source {
	struct pa_cfi_section section;
	struct pa_cfi_slot *slots;
	size_t slot_cnt;
};

/* What an address was answered with. */
struct known {
	uint64_t vaddr;
	const struct pa_cfi_row *row; /* NULL: err */
	int err;		      /* 0 and no row: free */
};

struct pa_cfi {
	uint16_t machine;
	struct pa_elf_segment *loads;
	size_t load_cnt;
	struct source sources[2]; /* .eh_frame, .debug_frame */
	struct known *known;
	const struct pa_cfi_row **rows; /* by start */
	struct pa_pool pool;		/* rows */
	size_t pool_bytes;
	uint64_t insn_cnt;	  /* run so far */
	struct pa_cfi_rows *walk; /* scratch */
};

/* ---- the index ------------------------------------------------------------------------------ */

static int compare_slots(const void *a, const void *b)
{
	const struct pa_cfi_slot *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Parse every entry for its address. A bad one is left out. */
static int scan(struct source *src)
{
	size_t offset = 0, at, cap = 0;
	struct pa_fde fde;

	while (pa_cfi_section__next(&src->section, &offset, &at) == 1) {
		if (pa_fde__parse(&src->section, at, &fde))
			continue;
		if (pa_array_grow(&src->slots, src->slot_cnt, &cap, sizeof(*src->slots)))
			return -ENOMEM;
		src->slots[src->slot_cnt++] = (struct pa_cfi_slot){fde.start, (uint32_t)at};
	}
	if (src->slot_cnt)
		qsort(src->slots, src->slot_cnt, sizeof(*src->slots), compare_slots);
	return 0;
}

static void free_source(struct source *src)
{
	free(src->section.data);
	free(src->slots);
	*src = (struct source){0};
}

static int load_eh(struct pa_cfi *c, const struct pa_elf *e)
{
	struct source *src = &c->sources[0];
	int err = pa_cfi_section__load_eh(e, &src->section, &src->slots, &src->slot_cnt);

	if (err)
		return err == -ENOMEM ? err : 0;
	return src->slots ? 0 : scan(src);
}

static int load_debug(struct pa_cfi *c, const struct pa_elf *e)
{
	struct source *src = &c->sources[1];
	int err = pa_cfi_section__load_debug(e, &src->section);

	if (err)
		return err == -ENOMEM ? err : 0;
	return scan(src);
}

/* What lies in memory is a vdso. */
static int load_made(struct pa_cfi *c, const struct pa_elf *e)
{
	int err;

	if (c->sources[0].slot_cnt || c->sources[1].slot_cnt || !e->mem)
		return 0;
	free_source(&c->sources[0]);
	err = pa_cfi_section__make_vdso(e, &c->sources[0].section);
	return err ? (err == -ENOMEM ? err : 0) : scan(&c->sources[0]);
}

/* Only where the image itself has nothing: to find a debug file may mean to read it whole. */
static int load_separate(struct pa_cfi *c, const struct pa_elf *e, const char *path,
			 const struct pa_search *search)
{
	struct pa_elf debug;
	int fd, err;

	if (c->sources[0].slot_cnt || c->sources[1].slot_cnt || e->mem)
		return 0;
	fd = pa_debugfile__open(e, path, search);
	if (fd < 0)
		return fd == -ENOMEM ? fd : 0;
	err = pa_elf__open_fd(&debug, fd);
	if (!err && debug.machine == e->machine && debug.is_64 == e->is_64) {
		free_source(&c->sources[1]);
		err = load_debug(c, &debug);
	}
	pa_elf__close(&debug);
	close(fd);
	return err == -ENOMEM ? err : 0;
}

static int load(struct pa_cfi *c, const struct pa_elf *e, const char *path,
		const struct pa_search *search)
{
	int err = pa_elf__loads(e, &c->loads, &c->load_cnt);

	c->machine = e->machine;
	c->walk = malloc(sizeof(*c->walk));
	c->known = calloc(CACHE_SLOTS, sizeof(*c->known));
	c->rows = calloc(CACHE_SLOTS, sizeof(*c->rows));
	if (!c->walk || !c->known || !c->rows)
		return -ENOMEM;
	if (!err)
		err = load_eh(c, e);
	if (!err)
		err = load_debug(c, e);
	if (!err)
		err = load_made(c, e);
	return err ? err : load_separate(c, e, path, search);
}

static int open_elf(struct pa_elf *e, int err, const char *path, const struct pa_search *search,
		    struct pa_cfi **out)
{
	struct pa_cfi *c = NULL;

	*out = NULL;
	if (!err) {
		c = calloc(1, sizeof(*c));
		err = c ? load(c, e, path, search) : -ENOMEM;
	}
	pa_elf__close(e);
	if (err) {
		pa_cfi__free(c);
		return err;
	}
	*out = c;
	return 0;
}

int pa_cfi__open_fd(int fd, const char *path, const struct pa_search *search, struct pa_cfi **out)
{
	struct pa_elf e;

	return open_elf(&e, pa_elf__open_fd(&e, fd), path, search, out);
}

int pa_cfi__open_mem(const void *mem, size_t bytes, struct pa_cfi **out)
{
	struct pa_elf e;

	return open_elf(&e, pa_elf__open_mem(&e, mem, bytes), NULL, NULL, out);
}

void pa_cfi__free(struct pa_cfi *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < 2; i++)
		free_source(&c->sources[i]);
	pa_pool__free(&c->pool);
	free(c->loads);
	free(c->known);
	free(c->rows);
	free(c->walk);
	free(c);
}

uint16_t pa_cfi__machine(const struct pa_cfi *c)
{
	return c->machine;
}

const struct pa_cfi_section *pa_cfi__section(const struct pa_cfi *c, unsigned i,
					     const struct pa_cfi_slot **slots, size_t *slot_cnt)
{
	*slots = c->sources[i].slots;
	*slot_cnt = c->sources[i].slot_cnt;
	return &c->sources[i].section;
}

const struct pa_elf_segment *pa_cfi__loads(const struct pa_cfi *c, size_t *cnt)
{
	*cnt = c->load_cnt;
	return c->loads;
}

size_t pa_cfi__memory_bytes(const struct pa_cfi *c)
{
	size_t bytes = sizeof(*c) + sizeof(*c->walk) + c->load_cnt * sizeof(*c->loads);

	for (size_t i = 0; i < 2; i++)
		bytes += c->sources[i].section.bytes +
			 c->sources[i].slot_cnt * sizeof(*c->sources[i].slots);
	return bytes;
}

int pa_cfi__vaddr(const struct pa_cfi *c, uint64_t offset, uint64_t *vaddr)
{
	return pa_loads__vaddr(c->loads, c->load_cnt, offset, vaddr);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The entry of a source that covers vaddr. */
static int find_fde(const struct source *src, uint64_t vaddr, struct pa_fde *out)
{
	size_t low = 0, high = src->slot_cnt;
	int err = -ENOENT;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (src->slots[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low; i > 0 && low - i < STEPS_BACK_MAX; i--) {
		int ret = pa_fde__parse(&src->section, src->slots[i - 1].offset, out);

		if (!ret && vaddr >= out->start && vaddr < out->end)
			return 0;
		if (ret && ret != -ENOENT)
			err = ret;
	}
	return err;
}

/* Run the entry up to vaddr. */
static int run_to(struct pa_cfi *c, const struct pa_cfi_section *s, const struct pa_fde *fde,
		  uint64_t vaddr)
{
	struct pa_cfi_rows *walk = c->walk;
	int ret;

	if (c->insn_cnt > PA_CFI_WORK_MAX)
		return -EBADMSG;
	ret = pa_cfi_rows__start(walk, s, fde);
	if (!ret) {
		do
			ret = pa_cfi_rows__next(walk);
		while (ret == 1 && walk->end <= vaddr);
	}
	c->insn_cnt += walk->insn_cnt;
	return ret == 1 ? 0 : -EBADMSG;
}

/* The cache's own copy of a row. */
static int keep(struct pa_cfi *c, const struct pa_cfi_row *row, const struct pa_cfi_row **out)
{
	size_t i = (row->start ^ row->start >> 14) % CACHE_SLOTS;
	size_t bytes = offsetof(struct pa_cfi_row, rules) + row->rule_cnt * sizeof(*row->rules);
	struct pa_cfi_row *copy;

	if (c->rows[i] && c->rows[i]->start == row->start && c->rows[i]->end == row->end) {
		*out = c->rows[i];
		return 0;
	}
	if (c->pool_bytes + bytes > ROWS_MAX_BYTES) {
		pa_pool__free(&c->pool);
		c->pool_bytes = 0;
		memset(c->known, 0, CACHE_SLOTS * sizeof(*c->known));
		memset(c->rows, 0, CACHE_SLOTS * sizeof(*c->rows));
	}
	copy = pa_pool__alloc(&c->pool, bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, row, bytes);
	c->pool_bytes += bytes;
	*out = c->rows[i] = copy;
	return 0;
}

static int decode(struct pa_cfi *c, uint64_t vaddr, const struct pa_cfi_row **out)
{
	struct pa_cfi_row row;
	struct pa_fde fde;
	int err = -ENOENT;

	for (size_t i = 0; i < 2; i++) {
		const struct source *src = &c->sources[i];
		int ret = find_fde(src, vaddr, &fde);

		if (!ret)
			ret = run_to(c, &src->section, &fde, vaddr);
		if (!ret) {
			pa_cfi_rows__get(c->walk, &row);
			return keep(c, &row, out);
		}
		if (ret != -ENOENT)
			err = ret;
	}
	return err;
}

int pa_cfi__row(struct pa_cfi *c, uint64_t vaddr, const struct pa_cfi_row **out)
{
	size_t i = (vaddr ^ vaddr >> 14) % CACHE_SLOTS;
	struct known *known = &c->known[i];
	int err;

	if (known->vaddr == vaddr && (known->row || known->err)) {
		*out = known->row;
		return known->err;
	}
	*out = NULL;
	err = decode(c, vaddr, out);
	if (err != -ENOMEM)
		*known = (struct known){vaddr, *out, err};
	return err;
}

/* All rows of the entry at an offset. @return 0, -EBADMSG from some place on; *stop: what fn said
 */
static int rows_of(struct pa_cfi *c, const struct pa_cfi_section *s, size_t offset,
		   int (*fn)(void *ctx, const struct pa_cfi_row *row), void *ctx, int *stop)
{
	struct pa_cfi_row row;
	struct pa_fde fde;
	int ret = pa_fde__parse(s, offset, &fde);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	ret = pa_cfi_rows__start(c->walk, s, &fde);
	while (!ret && !*stop) {
		ret = pa_cfi_rows__next(c->walk);
		if (ret != 1)
			break;
		pa_cfi_rows__get(c->walk, &row);
		*stop = fn(ctx, &row);
		ret = 0;
	}
	c->insn_cnt += c->walk->insn_cnt;
	return ret;
}

int pa_cfi__each_row(struct pa_cfi *c, int (*fn)(void *ctx, const struct pa_cfi_row *row),
		     void *ctx, uint64_t *bad_cnt)
{
	uint64_t bad = 0;
	int stop = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct source *src = &c->sources[i];

		for (size_t j = 0; !stop && j < src->slot_cnt; j++) {
			if (c->insn_cnt > PA_CFI_WORK_MAX ||
			    rows_of(c, &src->section, src->slots[j].offset, fn, ctx, &stop))
				bad++;
		}
	}
	if (bad_cnt)
		*bad_cnt = bad;
	return stop;
}

const struct pa_cfi_rule *pa_cfi_row__rule(const struct pa_cfi_row *row, unsigned reg)
{
	for (size_t i = 0; i < row->rule_cnt; i++)
		if (row->rules[i].reg == reg)
			return &row->rules[i];
	return NULL;
}
