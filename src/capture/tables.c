// SPDX-License-Identifier: GPL-2.0-only
/*
 * tables.c - an allocator of blocks of 4 KB over segments that are BPF array maps, and what is
 * written into them: page indices and rows of images, mappings of processes, the dictionary of
 * rules that all images share.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uthash.h>

#include "capture/tables.h"
#include "pool.h"

#define SEGMENT_BYTES ((size_t)PA_SEGMENT_BLOCKS * PA_BLOCK_BYTES)
/* Programs run for microseconds, with interrupts off or nearly so: after this none that began
 * before still runs, even on a virtual CPU that was not scheduled for a while. */
#define GRACE_NS 1000000000ULL
#define RULES_BYTES (PA_RULES_MAX * sizeof(struct pa_unwind_rule))

struct waiting {
	uint32_t block;
	uint64_t since_ns;
};

struct known_rule {
	struct pa_unwind_rule rule;
	uint16_t id;
	UT_hash_handle hh;
};

struct pa_tables {
	struct pa_tables_opts opts;
	uint8_t *segments[PA_SEGMENTS_MAX]; /* mapped; NULL: not made */
	uint32_t segment_cnt;
	uint32_t *free_blocks;
	size_t free_cnt, free_cap;
	struct waiting *waiting; /* in order of time */
	size_t waiting_cnt, waiting_cap;
	uint64_t used_cnt, now_ns;    /* waiting ones are in use */
	uint32_t fp_block;	      /* a mapping of everything, by frame pointers; 0: not made */
	struct pa_unwind_rule *rules; /* the program's map */
	struct known_rule *known_rules;
	uint32_t rule_cnt;
	struct pa_table *tables; /* all that are loaded, linked */
};

/* A stretch of pages whose slots lie in one block. */
struct chunk {
	uint64_t vaddr;
	uint32_t page_cnt, block, first_slot;
	bool keeps_fp;
};

struct pa_table {
	struct chunk *chunks; /* sorted by vaddr, disjoint */
	size_t chunk_cnt, chunk_cap;
	uint32_t *blocks;
	size_t block_cnt, block_cap;
	size_t used_bytes; /* of the last block */
	struct pa_table *next, **link;
};

/* A map's memory; its own for fd -1. */
static void *map_memory(size_t bytes, int fd)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0),
		    fd, 0);
}

int pa_tables__new(const struct pa_tables_opts *opts, struct pa_tables **out)
{
	struct pa_tables *t = calloc(1, sizeof(*t));
	void *map;

	*out = t;
	if (!t)
		return -ENOMEM;
	t->opts = *opts;
	map = map_memory(RULES_BYTES, opts->rules_fd);
	if (map == MAP_FAILED)
		return -errno;
	t->rules = map;
	t->rule_cnt = PA_RULE_ID_COMPLEX + 1;
	t->rules[PA_RULE_ID_COMPLEX].cfa = PA_CFA_COMPLEX;
	return 0;
}

static void free_table(struct pa_table *table)
{
	if (table->link) {
		*table->link = table->next;
		if (table->next)
			table->next->link = table->link;
	}
	free(table->chunks);
	free(table->blocks);
	free(table);
}

void pa_tables__free(struct pa_tables *t)
{
	struct known_rule *r, *next;

	if (!t)
		return;
	while (t->tables)
		free_table(t->tables);
	HASH_ITER (hh, t->known_rules, r, next) {
		HASH_DEL(t->known_rules, r);
		free(r);
	}
	for (uint32_t i = 0; i < t->segment_cnt; i++)
		munmap(t->segments[i], SEGMENT_BYTES);
	if (t->rules)
		munmap(t->rules, RULES_BYTES);
	free(t->free_blocks);
	free(t->waiting);
	free(t);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static int free_later(struct pa_tables *t, uint32_t block)
{
	if (pa_array_grow(&t->waiting, t->waiting_cnt, &t->waiting_cap, sizeof(*t->waiting)))
		return -ENOMEM; /* the block is lost to this capture */
	t->waiting[t->waiting_cnt++] = (struct waiting){block, t->now_ns};
	return 0;
}

/* Back at once: no program has seen it. */
static void free_now(struct pa_tables *t, uint32_t block)
{
	if (pa_array_grow(&t->free_blocks, t->free_cnt, &t->free_cap, sizeof(*t->free_blocks)))
		return; /* lost, too */
	t->free_blocks[t->free_cnt++] = block;
	t->used_cnt--;
}

/* @param fd  set to the map, -1 of tests */
static int make_segment(struct pa_tables *t, uint32_t key, int *fd, void **map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int err = 0;

	*fd = -1;
	if (t->opts.blocks_fd >= 0) {
		*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_segment", sizeof(key),
				     PA_BLOCK_BYTES, PA_SEGMENT_BLOCKS, &opts);
		if (*fd < 0)
			return -errno;
	}
	*map = map_memory(SEGMENT_BYTES, *fd);
	if (*map == MAP_FAILED) {
		err = -errno;
	} else if (*fd >= 0 && bpf_map_update_elem(t->opts.blocks_fd, &key, fd, BPF_ANY)) {
		err = -errno;
		munmap(*map, SEGMENT_BYTES);
	}
	return err;
}

static int add_segment(struct pa_tables *t)
{
	uint32_t key = t->segment_cnt, first = key * PA_SEGMENT_BLOCKS;
	void *map = NULL;
	int fd, err;

	if (key == PA_SEGMENTS_MAX)
		return -ENOSPC;
	err = make_segment(t, key, &fd, &map);
	if (fd >= 0)
		close(fd); /* the map of maps and the mapping hold it */
	if (err)
		return err;
	t->segments[t->segment_cnt++] = map;
	for (uint32_t i = PA_SEGMENT_BLOCKS; i-- > 0;) {
		if (!first && !i) /* block 0 stands for none */
			break;
		if (pa_array_grow(&t->free_blocks, t->free_cnt, &t->free_cap,
				  sizeof(*t->free_blocks)))
			return -ENOMEM;
		t->free_blocks[t->free_cnt++] = first + i;
	}
	return 0;
}

static void *block_at(const struct pa_tables *t, uint32_t block)
{
	return t->segments[block / PA_SEGMENT_BLOCKS] +
	       (size_t)(block % PA_SEGMENT_BLOCKS) * PA_BLOCK_BYTES;
}

/* A zeroed block. */
static int take_block(struct pa_tables *t, uint32_t *block)
{
	int err;

	if ((t->used_cnt + 1) * PA_BLOCK_BYTES > t->opts.budget_bytes)
		return -ENOSPC;
	if (!t->free_cnt) {
		err = add_segment(t);
		if (err)
			return err;
	}
	*block = t->free_blocks[--t->free_cnt];
	t->used_cnt++;
	memset(block_at(t, *block), 0, PA_BLOCK_BYTES);
	return 0;
}

void pa_tables__tick(struct pa_tables *t, uint64_t now_ns)
{
	size_t done = 0;

	t->now_ns = now_ns;
	for (; done < t->waiting_cnt && now_ns - t->waiting[done].since_ns >= GRACE_NS; done++) {
		if (pa_array_grow(&t->free_blocks, t->free_cnt, &t->free_cap,
				  sizeof(*t->free_blocks)))
			break;
		t->free_blocks[t->free_cnt++] = t->waiting[done].block;
		t->used_cnt--;
	}
	if (!done)
		return;
	t->waiting_cnt -= done;
	memmove(t->waiting, t->waiting + done, t->waiting_cnt * sizeof(*t->waiting));
}

uint64_t pa_tables__bytes(const struct pa_tables *t)
{
	return t->used_cnt * PA_BLOCK_BYTES;
}

uint32_t pa_tables__rule_cnt(const struct pa_tables *t)
{
	return t->rule_cnt;
}

/* ---- images --------------------------------------------------------------------------------- */

/* Room of an image's own blocks, in one piece. */
static int take_bytes(struct pa_tables *t, struct pa_table *table, size_t bytes, uint32_t *block,
		      uint32_t *offset)
{
	int err;

	if (!table->block_cnt || table->used_bytes + bytes > PA_BLOCK_BYTES) {
		if (pa_array_grow(&table->blocks, table->block_cnt, &table->block_cap,
				  sizeof(*table->blocks)))
			return -ENOMEM;
		err = take_block(t, &table->blocks[table->block_cnt]);
		if (err)
			return err;
		table->block_cnt++;
		table->used_bytes = 0;
	}
	*block = table->blocks[table->block_cnt - 1];
	*offset = (uint32_t)table->used_bytes;
	table->used_bytes += bytes;
	return 0;
}

/* Number of a rule in the dictionary. When that has its share of rules, user space knows it. */
static int rule_id(struct pa_tables *t, const struct pa_unwind_rule *rule, uint32_t rules_max,
		   uint16_t *id)
{
	struct known_rule *known;

	HASH_FIND(hh, t->known_rules, rule, sizeof(*rule), known);
	if (known) {
		*id = known->id;
		return 0;
	}
	*id = PA_RULE_ID_COMPLEX;
	if (t->rule_cnt >= rules_max)
		return 0;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	known->rule = *rule;
	known->id = *id = (uint16_t)t->rule_cnt++;
	t->rules[known->id] = *rule;
	HASH_ADD(hh, t->known_rules, rule, sizeof(known->rule), known);
	return 0;
}

/* A file gets at most a quarter of the numbers that are left: real ones have hundreds of rules, one
 * that has as many as there can be does not take them from all others. */
static int make_rule_ids(struct pa_tables *t, const struct pa_pack *p, uint16_t **out)
{
	uint32_t rules_max = t->rule_cnt + (PA_RULES_MAX - t->rule_cnt) / 4;
	uint16_t *ids = calloc(p->rule_cnt + PA_RULE_ID_COMPLEX + 1, sizeof(*ids));
	int err = 0;

	*out = ids;
	if (!ids)
		return -ENOMEM;
	ids[PA_RULE_ID_COMPLEX] = PA_RULE_ID_COMPLEX;
	for (size_t i = PA_RULE_ID_COMPLEX + 1; !err && i < p->rule_cnt; i++)
		err = rule_id(t, &p->rules[i], rules_max, &ids[i]);
	return err;
}

/* As take_bytes and put_chunk fill them: a run of slots, then each page's rows, none across the
 * end of a block. */
uint64_t pa_tables__need(const struct pa_pack *p)
{
	uint64_t block_cnt = 0;
	size_t used = PA_BLOCK_BYTES;

	for (size_t i = 0; i < p->range_cnt; i++) {
		for (uint32_t at = 0; at < p->ranges[i].cnt; at++) {
			const struct pa_pack_page *page = &p->pages[p->ranges[i].first + at];
			uint32_t left = p->ranges[i].cnt - at;
			size_t bytes = page->cnt * sizeof(*p->rows);

			if (at % PA_BLOCK_PAGES == 0) {
				size_t slots = left < PA_BLOCK_PAGES ? left : PA_BLOCK_PAGES;

				used = ((used + 7) & ~(size_t)7) + slots * 8;
				if (used > PA_BLOCK_BYTES) {
					block_cnt++;
					used = slots * 8;
				}
			}
			used += bytes;
			if (used > PA_BLOCK_BYTES) {
				block_cnt++;
				used = bytes;
			}
		}
	}
	return block_cnt * PA_BLOCK_BYTES;
}

void pa_tables__room(const struct pa_tables *t, struct pa_tables_room *out)
{
	uint64_t max = t->opts.budget_bytes - t->opts.budget_bytes / 8;
	uint64_t used = t->used_cnt * PA_BLOCK_BYTES;
	uint64_t kept = (t->used_cnt - t->waiting_cnt) * PA_BLOCK_BYTES;

	out->max_bytes = max;
	out->now_bytes = used < max ? max - used : 0;
	out->soon_bytes = kept < max ? max - kept : 0;
}

static int put_page(struct pa_tables *t, struct pa_table *table, const struct pa_pack *p,
		    const struct pa_pack_page *page, const uint16_t *ids, struct pa_text_page *slot)
{
	uint32_t block, offset, *rows;
	int err;

	if (!page->cnt)
		return 0;
	err = take_bytes(t, table, page->cnt * sizeof(*rows), &block, &offset);
	if (err)
		return err;
	rows = (uint32_t *)((uint8_t *)block_at(t, block) + offset);
	for (size_t i = 0; i < page->cnt; i++) {
		uint32_t row = p->rows[page->first + i];

		rows[i] = PA_ROW(row >> 16, ids[PA_ROW_RULE(row)]);
	}
	slot->block = block;
	slot->first = (uint16_t)(offset / sizeof(*rows));
	slot->cnt = page->cnt | (page->keeps_fp ? PA_PAGE_KEEPS_FP : 0);
	return 0;
}

/* Pages whose slots fit one block. */
static int put_chunk(struct pa_tables *t, struct pa_table *table, const struct pa_pack *p,
		     const struct pa_pack_range *range, uint32_t at, const uint16_t *ids)
{
	struct chunk c = {
		.vaddr = range->vaddr + ((uint64_t)at << PA_TEXT_PAGE_SHIFT),
		.page_cnt = range->cnt - at < PA_BLOCK_PAGES ? range->cnt - at : PA_BLOCK_PAGES,
		.keeps_fp = true,
	};
	struct pa_text_page *slots;
	uint32_t offset;
	int err;

	table->used_bytes = (table->used_bytes + 7) & ~(size_t)7;
	err = take_bytes(t, table, c.page_cnt * sizeof(*slots), &c.block, &offset);
	if (!err && pa_array_grow(&table->chunks, table->chunk_cnt, &table->chunk_cap, sizeof(c)))
		err = -ENOMEM;
	if (err)
		return err;
	c.first_slot = offset / (uint32_t)sizeof(*slots);
	slots = (struct pa_text_page *)((uint8_t *)block_at(t, c.block) + offset);
	for (uint32_t i = 0; i < c.page_cnt && !err; i++) {
		const struct pa_pack_page *page = &p->pages[range->first + at + i];

		c.keeps_fp = c.keeps_fp && page->keeps_fp;
		err = put_page(t, table, p, page, ids, &slots[i]);
	}
	table->chunks[table->chunk_cnt++] = c;
	return err;
}

int pa_tables__load(struct pa_tables *t, const struct pa_pack *p, struct pa_table **out)
{
	struct pa_tables_room room;
	struct pa_table *table;
	uint16_t *ids = NULL;
	int err;

	pa_tables__room(t, &room);
	if (pa_tables__need(p) > room.now_bytes)
		return -ENOSPC;
	table = calloc(1, sizeof(*table));
	err = table ? make_rule_ids(t, p, &ids) : -ENOMEM;
	for (size_t i = 0; i < p->range_cnt; i++)
		for (uint32_t at = 0; at < p->ranges[i].cnt && !err; at += PA_BLOCK_PAGES)
			err = put_chunk(t, table, p, &p->ranges[i], at, ids);
	free(ids);
	if (err) {
		for (size_t i = 0; table && i < table->block_cnt; i++)
			free_now(t, table->blocks[i]);
		if (table)
			free_table(table);
		return err;
	}
	table->next = t->tables;
	table->link = &t->tables;
	if (t->tables)
		t->tables->link = &table->next;
	t->tables = table;
	*out = table;
	return 0;
}

void pa_tables__unload(struct pa_tables *t, struct pa_table *table)
{
	for (size_t i = 0; i < table->block_cnt; i++)
		free_later(t, table->blocks[i]);
	free_table(table);
}

size_t pa_table__bytes(const struct pa_table *table)
{
	return table->block_cnt * PA_BLOCK_BYTES;
}

/* ---- mappings ------------------------------------------------------------------------------- */

static int append(struct pa_mapping_list *l, uint64_t start, const struct pa_mapping *map)
{
	struct pa_mapping_entry *last = l->cnt ? &l->entries[l->cnt - 1] : NULL;

	if (start >= map->end)
		return 0;
	if (last && map->kind != PA_MAPPING_TABLE && last->map.kind == map->kind &&
	    last->map.end == start) {
		last->map.end = map->end;
		return 0;
	}
	if (pa_array_grow(&l->entries, l->cnt, &l->cap, sizeof(*l->entries)))
		return -ENOMEM;
	l->entries[l->cnt++] = (struct pa_mapping_entry){start, *map};
	return 0;
}

static int append_fp(struct pa_mapping_list *l, uint64_t start, uint64_t end)
{
	return append(l, start, &(struct pa_mapping){.end = end, .kind = PA_MAPPING_FP});
}

int pa_mapping_list__add_absent(struct pa_mapping_list *l, uint64_t start, uint64_t bytes)
{
	return append(l, start,
		      &(struct pa_mapping){.end = start + bytes, .kind = PA_MAPPING_ABSENT});
}

int pa_mapping_list__add(struct pa_mapping_list *l, const struct pa_table *table, uint64_t start,
			 uint64_t bytes, uint64_t vaddr)
{
	uint64_t end = start + bytes, at = start, bias = start - vaddr;
	int err = 0;

	for (size_t i = 0; table && i < table->chunk_cnt && !err; i++) {
		const struct chunk *c = &table->chunks[i];
		uint64_t chunk_bytes = (uint64_t)c->page_cnt << PA_TEXT_PAGE_SHIFT;
		uint64_t from = c->vaddr + bias, to = from + chunk_bytes;

		/* in addresses of the image, which don't wrap */
		if (c->vaddr + chunk_bytes <= vaddr + (at - start) || c->vaddr >= vaddr + bytes)
			continue;
		if (c->vaddr < vaddr + (at - start))
			from = at;
		if (c->vaddr + chunk_bytes > vaddr + bytes)
			to = end;
		err = append_fp(l, at, from);
		if (!err)
			err = append(
				l, from,
				&(struct pa_mapping){
					.end = to,
					.base = c->vaddr + bias -
						((uint64_t)c->first_slot << PA_TEXT_PAGE_SHIFT),
					.index_block = c->block,
					.kind = PA_MAPPING_TABLE,
					.keeps_fp = c->keeps_fp,
				});
		at = to;
	}
	return err ? err : append_fp(l, at, end);
}

static int take_process_block(struct pa_tables *t, struct pa_process_blocks *out,
			      struct pa_mapping_block **block)
{
	uint32_t *blocks = reallocarray(out->blocks, out->cnt + 1, sizeof(*blocks));
	int err;

	if (!blocks)
		return -ENOMEM;
	out->blocks = blocks;
	err = take_block(t, &blocks[out->cnt]);
	if (err)
		return err;
	*block = block_at(t, blocks[out->cnt++]);
	memset((*block)->start, 0xff, sizeof((*block)->start));
	return 0;
}

static int put_directory(struct pa_tables *t, struct pa_process_blocks *out,
			 struct pa_unwind_proc *proc)
{
	struct pa_mapping_block *directory;
	size_t cnt = out->cnt;
	int err = take_process_block(t, out, &directory);

	if (err)
		return err;
	for (size_t i = 0; i < cnt; i++) {
		const struct pa_mapping_block *b = block_at(t, out->blocks[i]);

		directory->start[i] = b->start[0];
		directory->map[i].index_block = out->blocks[i];
	}
	proc->block = out->blocks[cnt];
	proc->cnt = (uint32_t)cnt;
	proc->is_directory = 1;
	return 0;
}

int pa_tables__put_mappings(struct pa_tables *t, const struct pa_mapping_list *l,
			    struct pa_process_blocks *out, struct pa_unwind_proc *proc)
{
	struct pa_mapping_block *block = NULL;
	int err = 0;

	*out = (struct pa_process_blocks){0};
	if (l->cnt > PA_BLOCK_MAPPINGS * PA_BLOCK_MAPPINGS)
		return -ENOSPC;
	for (size_t i = 0; (i < l->cnt || !i) && !err; i++) {
		size_t slot = i % PA_BLOCK_MAPPINGS;

		if (!slot)
			err = take_process_block(t, out, &block);
		if (err || i == l->cnt)
			break;
		block->start[slot] = l->entries[i].start;
		block->map[slot] = l->entries[i].map;
	}
	if (!err) {
		proc->block = out->blocks[0];
		proc->cnt = (uint32_t)l->cnt;
		proc->is_directory = 0;
		if (out->cnt > 1)
			err = put_directory(t, out, proc);
	}
	if (err) {
		for (size_t i = 0; i < out->cnt; i++)
			free_now(t, out->blocks[i]);
		free(out->blocks);
		*out = (struct pa_process_blocks){0};
	}
	return err;
}

int pa_tables__put_fp_only(struct pa_tables *t, struct pa_unwind_proc *proc)
{
	struct pa_mapping_block *block;
	int err;

	if (!t->fp_block) {
		err = take_block(t, &t->fp_block);
		if (err) {
			t->fp_block = 0;
			return err;
		}
		block = block_at(t, t->fp_block);
		memset(block->start, 0xff, sizeof(block->start));
		block->start[0] = 0;
		block->map[0] = (struct pa_mapping){.end = INT64_MAX, .kind = PA_MAPPING_FP};
	}
	proc->block = t->fp_block;
	proc->cnt = 1;
	proc->is_directory = 0;
	return 0;
}

bool pa_tables__overlaps(const struct pa_tables *t, const struct pa_process_blocks *b,
			 uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < b->cnt - (b->cnt > 1); i++) {
		const struct pa_mapping_block *block = block_at(t, b->blocks[i]);

		for (size_t j = 0; j < PA_BLOCK_MAPPINGS && block->start[j] < end; j++)
			if (block->map[j].end > start)
				return true;
	}
	return false;
}

void pa_tables__drop_mappings(struct pa_tables *t, struct pa_process_blocks *b)
{
	for (size_t i = 0; i < b->cnt; i++)
		free_later(t, b->blocks[i]);
	free(b->blocks);
	*b = (struct pa_process_blocks){0};
}
