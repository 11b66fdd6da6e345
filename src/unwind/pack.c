// SPDX-License-Identifier: GPL-2.0-only
/*
 * pack.c - packs a file's rows. Entries are painted over one another in the order of the index,
 * as pa_cfi__row takes the last one that covers an address; what .eh_frame leaves open is filled
 * from .debug_frame; the result is cut into pages. Each row is pushed and popped once, whatever
 * the entries overlap.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/internal.h"
#include "unwind/pack.h"

#define PAGE_BYTES (1u << PA_TEXT_PAGE_SHIFT)
#define PROBES_MAX 32		  /* of the rules' hash table; beyond, a rule is COMPLEX */
#define FRAMES_PER_LOSS 16	  /* functions with frame pointers for one without */
#define LOSES_FP (1u << 31)	  /* in struct row */
#define RULE_DAMAGED PA_RULES_MAX /* in struct row, in place of a rule's number */

/* The rule number that holds from an address on. */
struct row {
	uint64_t addr;
	uint32_t rule;
};

struct row_array {
	struct row *v;
	size_t cnt, cap;
};

struct builder {
	struct pa_pack *p;
	struct pa_cfi_rows *walk;
	uint64_t insn_cnt, decoded_cnt; /* rows */
	/* rules: an open-addressed table of numbers, 0 where free */
	uint16_t *table;
	size_t table_cnt, rule_cap;
	/* painting */
	struct row_array entry;	  /* rows of one entry */
	struct row_array pending; /* a stack, the lowest address on top */
	uint64_t floor;		  /* below it nothing changes any more */
	uint32_t painted;	  /* what holds at floor, below pending */
	struct row_array debug;	  /* what .debug_frame says */
	size_t debug_at;
	struct row last; /* of .eh_frame, its end not known yet */
	/* pages */
	size_t range, page; /* being filled; range == range_cnt: past all */
	uint64_t page_vaddr;
	size_t row_cap;
	uint32_t gap;		      /* rule of what no entry covers */
	uint64_t frame_cnt, loss_cnt; /* entries with frame pointers, and without */
};

static int push(struct row_array *a, uint64_t addr, uint32_t rule)
{
	if (a->cnt == a->cap && pa_array_grow(&a->v, a->cnt, &a->cap, sizeof(*a->v)))
		return -ENOMEM;
	a->v[a->cnt++] = (struct row){addr, rule};
	return 0;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static uint64_t hash_rule(const struct pa_unwind_rule *rule)
{
	uint64_t w[2], h;

	memcpy(w, rule, sizeof(w));
	h = (w[0] ^ w[0] >> 32) * 0xff51afd7ed558ccdull + w[1];
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 33;
}

static int grow_table(struct builder *b)
{
	size_t cnt = b->table_cnt ? b->table_cnt * 2 : 1024;
	uint16_t *table = calloc(cnt, sizeof(*table));

	if (!table)
		return -ENOMEM;
	/* whose place is taken is not found again, and is then a second rule of the same content */
	for (size_t i = 1; i < b->p->rule_cnt; i++) {
		uint64_t h = hash_rule(&b->p->rules[i]);

		for (unsigned n = 0; n < PROBES_MAX; n++) {
			uint16_t *slot = &table[(h + n) & (cnt - 1)];

			if (*slot)
				continue;
			*slot = (uint16_t)i;
			break;
		}
	}
	free(b->table);
	b->table = table;
	b->table_cnt = cnt;
	return 0;
}

static int append_rule(struct builder *b, const struct pa_unwind_rule *rule)
{
	struct pa_pack *p = b->p;

	if (pa_array_grow(&p->rules, p->rule_cnt, &b->rule_cap, sizeof(*p->rules)))
		return -ENOMEM;
	p->rules[p->rule_cnt++] = *rule;
	return 0;
}

/* The number of a rule. */
static int intern(struct builder *b, const struct pa_unwind_rule *rule, uint32_t *out)
{
	struct pa_pack *p = b->p;
	uint64_t h = hash_rule(rule);

	if (p->rule_cnt * 4 >= b->table_cnt && b->table_cnt < 4 * PA_RULES_MAX && grow_table(b))
		return -ENOMEM;
	*out = PA_RULE_ID_COMPLEX;
	for (unsigned n = 0; n < PROBES_MAX; n++) {
		uint16_t *slot = &b->table[(h + n) & (b->table_cnt - 1)];

		if (*slot && memcmp(&p->rules[*slot], rule, sizeof(*rule)) != 0)
			continue;
		if (*slot) {
			*out = *slot;
		} else if (p->rule_cnt < PA_RULES_MAX) {
			*out = *slot = (uint16_t)p->rule_cnt;
			return append_rule(b, rule);
		}
		return 0;
	}
	return 0;
}

/* ---- pages ---------------------------------------------------------------------------------- */

static int append_row(struct builder *b, uint64_t offset, uint32_t rule)
{
	struct pa_pack *p = b->p;

	if (p->row_cnt == PA_PACK_ROWS_MAX)
		return -EFBIG;
	if (p->row_cnt == b->row_cap &&
	    pa_array_grow(&p->rows, p->row_cnt, &b->row_cap, sizeof(*p->rows)))
		return -ENOMEM;
	p->rows[p->row_cnt++] = PA_ROW(offset, rule);
	return 0;
}

static void open_page(struct builder *b)
{
	if (b->range == b->p->range_cnt)
		return;
	b->p->pages[b->page].first = (uint32_t)b->p->row_cnt;
	b->p->pages[b->page].keeps_fp = true;
}

static void next_page(struct builder *b)
{
	const struct pa_pack_range *range = &b->p->ranges[b->range];
	struct pa_pack_page *page = &b->p->pages[b->page];
	size_t cnt = b->p->row_cnt - page->first;

	if (cnt > PA_BLOCK_ROWS) {
		b->p->row_cnt = page->first;
		b->p->dropped_page_cnt++;
		page->keeps_fp = false;
		cnt = 1;
		append_row(b, 0, PA_RULE_ID_COMPLEX); /* there is room */
	}
	page->cnt = (uint16_t)cnt;
	b->page++;
	b->page_vaddr += PAGE_BYTES;
	if (b->page == range->first + range->cnt && ++b->range < b->p->range_cnt)
		b->page_vaddr = range[1].vaddr;
	open_page(b);
}

/* Put a rule at an offset of the present page. */
static int put_rule(struct builder *b, uint64_t offset, uint32_t rule)
{
	struct pa_pack *p = b->p;
	struct pa_pack_page *page = &p->pages[b->page];
	uint32_t id, last = PA_RULE_ID_NONE;
	bool is_empty = p->row_cnt == page->first;
	int err = 0;

	if (rule == PA_RULE_ID_NONE)
		rule = b->gap;
	id = rule & ~LOSES_FP;
	if (rule & LOSES_FP)
		page->keeps_fp = false;
	if (id == RULE_DAMAGED)
		id = PA_RULE_ID_COMPLEX;
	if (!is_empty)
		last = PA_ROW_RULE(p->rows[p->row_cnt - 1]);
	if (id == last)
		return 0;
	if (is_empty && offset)
		err = append_row(b, 0, PA_RULE_ID_NONE);
	return err ? err : append_row(b, offset, id);
}

/* A rule for [start, end), which follows what came before. */
static int put_segment(struct builder *b, uint64_t start, uint64_t end, uint32_t rule)
{
	int err = 0;

	while (!err && b->range < b->p->range_cnt && b->page_vaddr < end) {
		uint64_t last = b->page_vaddr + (PAGE_BYTES - 1);

		if (last >= start)
			err = put_rule(b, start > b->page_vaddr ? start - b->page_vaddr : 0, rule);
		if (err || last >= end)
			return err;
		next_page(b);
	}
	return err;
}

/* ---- two sections --------------------------------------------------------------------------- */

/* What .debug_frame says where .eh_frame has nothing that can be used. */
static int fill(struct builder *b, uint64_t start, uint64_t end, uint32_t rule)
{
	const struct row_array *d = &b->debug;
	int err = 0;

	while (b->debug_at < d->cnt && d->v[b->debug_at].addr <= start)
		b->debug_at++;
	while (!err && start < end) {
		uint32_t other = b->debug_at ? d->v[b->debug_at - 1].rule : PA_RULE_ID_NONE;
		uint64_t until = end;

		if (b->debug_at < d->cnt && d->v[b->debug_at].addr < end)
			until = d->v[b->debug_at++].addr;
		err = put_segment(b, start, until, other == PA_RULE_ID_NONE ? rule : other);
		start = until;
	}
	return err;
}

/* The row before the one that begins at an address is complete. */
static int finish_last(struct builder *b, uint64_t end)
{
	uint32_t id = b->last.rule & ~LOSES_FP;

	if (b->last.addr >= end)
		return 0;
	if (b->debug.cnt && (id == PA_RULE_ID_NONE || id == RULE_DAMAGED))
		return fill(b, b->last.addr, end, b->last.rule);
	return put_segment(b, b->last.addr, end, b->last.rule);
}

/* A row that nothing is painted over any more. */
static int take_row(struct builder *b, const struct row *row, bool is_debug)
{
	int err = 0;

	b->painted = row->rule;
	if (is_debug)
		return push(&b->debug, row->addr, row->rule);
	err = finish_last(b, row->addr);
	b->last = *row;
	return err;
}

/* ---- painting ------------------------------------------------------------------------------- */

static int flush(struct builder *b, uint64_t below, bool is_debug)
{
	struct row_array *pending = &b->pending;
	int err = 0;

	while (!err && pending->cnt && pending->v[pending->cnt - 1].addr < below)
		err = take_row(b, &pending->v[--pending->cnt], is_debug);
	return err;
}

/* Put an entry's rows over what was painted before. Nothing is pending below start. */
static int paint(struct builder *b, uint64_t start, uint64_t end)
{
	struct row_array *pending = &b->pending;
	uint32_t under = b->painted;
	int err;

	while (pending->cnt && pending->v[pending->cnt - 1].addr <= end)
		under = pending->v[--pending->cnt].rule;
	err = push(pending, end, under);
	for (size_t i = b->entry.cnt; !err && i > 0; i--) {
		const struct row *row = &b->entry.v[i - 1];

		err = push(pending, row->addr > start ? row->addr : start, row->rule);
		if (row->addr <= start)
			break;
	}
	return err;
}

/* ---- entries -------------------------------------------------------------------------------- */

/* Decode the rows of an entry. @return 0, -EBADMSG from some place on, -EFBIG, -ENOMEM */
static int decode(struct builder *b, const struct pa_cfi_section *s, const struct pa_fde *fde)
{
	struct pa_cfi_rows *walk = b->walk;
	struct pa_unwind_rule rule;
	uint32_t id;
	int ret, err = 0;

	if (b->insn_cnt > PA_CFI_WORK_MAX)
		return push(&b->entry, fde->start, RULE_DAMAGED | LOSES_FP) ? -ENOMEM : -EBADMSG;
	ret = pa_cfi_rows__start(walk, s, fde);
	while (!ret && !err) {
		ret = pa_cfi_rows__next(walk);
		if (ret != 1)
			break;
		if (b->decoded_cnt++ == PA_PACK_ROWS_MAX)
			return -EFBIG;
		pa_pack_rule__make(walk, &rule);
		err = intern(b, &rule, &id);
		if (!err)
			err = push(&b->entry, walk->start, id);
		ret = 0;
	}
	b->insn_cnt += walk->insn_cnt;
	if (!err && ret < 0)
		err = push(&b->entry, walk->start, RULE_DAMAGED | LOSES_FP);
	return err ? err : ret;
}

/* Mark the rows of an entry at which a frame pointer's frame may be missing. */
static void mark_losses(struct builder *b)
{
	const struct pa_unwind_rule *rules = b->p->rules, *next = NULL;
	uint32_t id_behind = LOSES_FP; /* of the rows that follow, and are one */
	bool has_frame = false, has_loss = false;
	struct row_array *e = &b->entry;

	for (size_t i = 0; i < e->cnt; i++)
		if (!(e->v[i].rule & LOSES_FP) && rules[e->v[i].rule].cfa == PA_CFA_PLT)
			return; /* nothing returns to a linker's entries */
	for (size_t i = e->cnt; i > 0; i--) {
		uint32_t id = e->v[i - 1].rule;

		if (id != id_behind) {
			next = id_behind & LOSES_FP ? NULL : &rules[id_behind];
			id_behind = id;
		}
		if (id & LOSES_FP)
			continue;
		has_frame |= pa_pack_rule__is_frame(&rules[id]);
		if (pa_pack_rule__keeps_fp(&rules[id], next, b->p->machine))
			continue;
		e->v[i - 1].rule |= LOSES_FP;
		has_loss = true;
	}
	b->frame_cnt += has_frame;
	b->loss_cnt += has_loss;
}

static int add_entry(struct builder *b, const struct pa_cfi_section *s,
		     const struct pa_cfi_slot *slot, bool is_debug)
{
	struct pa_fde fde;
	int ret = pa_fde__parse(s, slot->offset, &fde), err;

	if (ret) {
		b->p->bad_entry_cnt += ret != -ENOENT;
		return 0;
	}
	/* An index that doesn't agree with its entries hides what lies before it. */
	if (b->floor < slot->start)
		b->floor = slot->start;
	if (b->floor < fde.start)
		b->floor = fde.start;
	err = flush(b, b->floor, is_debug);
	if (err || b->floor >= fde.end)
		return err;
	b->entry.cnt = 0;
	ret = decode(b, s, &fde);
	if (ret < 0 && ret != -EBADMSG)
		return ret;
	b->p->bad_entry_cnt += ret < 0;
	mark_losses(b);
	return paint(b, b->floor, fde.end);
}

static int add_section(struct builder *b, const struct pa_cfi *c, unsigned i)
{
	const struct pa_cfi_slot *slots;
	const struct pa_cfi_section *s;
	size_t cnt;
	int err = 0;

	s = pa_cfi__section(c, i, &slots, &cnt);
	b->painted = PA_RULE_ID_NONE;
	b->pending.cnt = 0;
	b->floor = 0;
	for (size_t k = 0; !err && k < cnt; k++)
		err = add_entry(b, s, &slots[k], i == 1);
	return err ? err : flush(b, UINT64_MAX, i == 1);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_pack_range *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* The executable segments' pages. While they are collected, cnt is the number of each alone. */
static int make_ranges(struct pa_pack *p, const struct pa_cfi *c)
{
	struct pa_pack_range *r;
	size_t load_cnt, cnt = 0;
	const struct pa_elf_segment *loads = pa_cfi__loads(c, &load_cnt);

	p->ranges = r = calloc(load_cnt + 1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (size_t i = 0; i < load_cnt; i++) {
		uint64_t first = loads[i].vaddr & ~(uint64_t)(PAGE_BYTES - 1);
		uint64_t bytes = loads[i].filesz + (loads[i].vaddr - first);

		if (!(loads[i].flags & PF_X))
			continue;
		if (loads[i].filesz > (uint64_t)PA_PACK_PAGES_MAX * PAGE_BYTES)
			return -EFBIG;
		if (first > UINT64_MAX - bytes - 2 * PAGE_BYTES)
			continue;
		r[cnt++] = (struct pa_pack_range){
			first, 0, (uint32_t)((bytes + PAGE_BYTES - 1) / PAGE_BYTES)};
	}
	if (cnt)
		qsort(r, cnt, sizeof(*r), compare_ranges);
	for (size_t i = 0; i < cnt; i++) {
		struct pa_pack_range *last = p->range_cnt ? &r[p->range_cnt - 1] : NULL;
		uint64_t gap = last ? (r[i].vaddr - last->vaddr) / PAGE_BYTES : 0;

		if (last && gap <= last->cnt) {
			if (gap + r[i].cnt > PA_PACK_PAGES_MAX)
				return -EFBIG;
			if (gap + r[i].cnt > last->cnt)
				last->cnt = (uint32_t)(gap + r[i].cnt);
		} else {
			r[p->range_cnt++] = r[i];
		}
	}
	for (size_t i = 0; i < p->range_cnt; i++) {
		r[i].first = (uint32_t)p->page_cnt;
		p->page_cnt += r[i].cnt;
		if (p->page_cnt > PA_PACK_PAGES_MAX)
			return -EFBIG;
	}
	return p->page_cnt ? 0 : -ENOENT;
}

static int begin(struct builder *b, struct pa_cfi *c, bool is_vdso)
{
	static const struct pa_unwind_rule signal = {.cfa = PA_CFA_SIGNAL};
	static const struct pa_unwind_rule first[] = {
		[PA_RULE_ID_NONE] = {.cfa = PA_CFA_NONE},
		[PA_RULE_ID_COMPLEX] = {.cfa = PA_CFA_COMPLEX},
	};
	int err;

	b->p->machine = pa_cfi__machine(c);
	err = make_ranges(b->p, c);
	if (err)
		return err;
	b->p->pages = calloc(b->p->page_cnt, sizeof(*b->p->pages));
	b->walk = malloc(sizeof(*b->walk));
	if (!b->p->pages || !b->walk || append_rule(b, &first[0]) || append_rule(b, &first[1]) ||
	    grow_table(b))
		return -ENOMEM;
	if (is_vdso && b->p->machine == EM_AARCH64) {
		if (intern(b, &signal, &b->gap))
			return -ENOMEM;
		b->gap |= LOSES_FP;
	}
	b->page_vaddr = b->p->ranges[0].vaddr;
	open_page(b);
	return 0;
}

static void shrink(void *array, size_t bytes)
{
	void *p, *smaller;

	memcpy(&p, array, sizeof(p));
	smaller = bytes ? realloc(p, bytes) : NULL;
	if (smaller)
		memcpy(array, &smaller, sizeof(smaller));
}

/* Where functions without frame pointers are common, those that seem to need no frame may call. */
static void finish(struct builder *b)
{
	struct pa_pack *p = b->p;
	bool is_doubtful = b->loss_cnt * FRAMES_PER_LOSS >= b->frame_cnt;

	for (size_t i = 0; i < p->page_cnt; i++)
		if (is_doubtful && p->pages[i].cnt)
			p->pages[i].keeps_fp = false;
	for (size_t i = 0; i < p->row_cnt; i++)
		p->complex_row_cnt += PA_ROW_RULE(p->rows[i]) == PA_RULE_ID_COMPLEX;
	shrink(&p->rows, p->row_cnt * sizeof(*p->rows));
	shrink(&p->rules, p->rule_cnt * sizeof(*p->rules));
}

static int build(struct builder *b, struct pa_cfi *c, bool is_vdso)
{
	int err = begin(b, c, is_vdso);

	if (!err)
		err = add_section(b, c, 1);
	if (!err)
		err = add_section(b, c, 0);
	if (!err)
		err = finish_last(b, UINT64_MAX);
	if (!err)
		finish(b);
	return err;
}

/* Both machines' tables are of 64-bit code. */
static bool is_supported(const struct pa_cfi *c)
{
	bool has_entries = false;

	for (unsigned i = 0; i < 2; i++) {
		const struct pa_cfi_slot *slots;
		size_t cnt;
		const struct pa_cfi_section *s = pa_cfi__section(c, i, &slots, &cnt);

		if (cnt && s->address_bytes != 8)
			return false;
		has_entries |= cnt > 0;
	}
	return has_entries && (pa_cfi__machine(c) == EM_X86_64 || pa_cfi__machine(c) == EM_AARCH64);
}

static int build_new(struct pa_cfi *c, bool is_vdso, struct pa_pack **out)
{
	struct builder b = {0};
	int err;

	*out = NULL;
	if (!is_supported(c))
		return -ENOENT;
	b.p = calloc(1, sizeof(*b.p));
	err = b.p ? build(&b, c, is_vdso) : -ENOMEM;
	free(b.walk);
	free(b.table);
	free(b.entry.v);
	free(b.pending.v);
	free(b.debug.v);
	if (err)
		pa_pack__free(b.p);
	else
		*out = b.p;
	return err;
}

int pa_pack__build(struct pa_cfi *c, struct pa_pack **out)
{
	return build_new(c, false, out);
}

int pa_pack__build_vdso(struct pa_cfi *c, struct pa_pack **out)
{
	return build_new(c, true, out);
}

void pa_pack__free(struct pa_pack *p)
{
	if (!p)
		return;
	free(p->ranges);
	free(p->pages);
	free(p->rows);
	free(p->rules);
	free(p);
}

size_t pa_pack__memory_bytes(const struct pa_pack *p)
{
	return sizeof(*p) + p->range_cnt * sizeof(*p->ranges) + p->page_cnt * sizeof(*p->pages) +
	       p->row_cnt * sizeof(*p->rows) + p->rule_cnt * sizeof(*p->rules);
}

static const struct pa_unwind_rule *rule_in_page(const struct pa_pack *p,
						 const struct pa_pack_page *page, uint32_t offset)
{
	size_t low = 0, high = page->cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->rows[page->first + mid] >> 16 <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return &p->rules[low ? PA_ROW_RULE(p->rows[page->first + low - 1]) : PA_RULE_ID_NONE];
}

const struct pa_unwind_rule *pa_pack__rule(const struct pa_pack *p, uint64_t vaddr)
{
	for (size_t i = 0; i < p->range_cnt; i++) {
		const struct pa_pack_range *r = &p->ranges[i];
		uint64_t n = (vaddr - r->vaddr) / PAGE_BYTES;

		if (vaddr >= r->vaddr && n < r->cnt)
			return rule_in_page(p, &p->pages[r->first + n], vaddr % PAGE_BYTES);
	}
	return NULL;
}
