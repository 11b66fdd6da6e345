/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * calltree.c - stacks merged from the root into a tree with weights. Names are kept once and
 * nodes are found by (parent, name, class) in an open-addressed table, so adding a stack costs
 * two probes per frame; order is only made when someone draws. Nothing here recurses: stacks
 * may be as deep as a file claims.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "convert/calltree.h"
#include "convert/table.h"

#define FIRST_CNT 1024u /* power of two */
#define CLASS_CNT 4
#define NAME_BYTES_MAX INT32_MAX

struct name {
	size_t off;	/* in text */
	uint32_t bytes; /* without the NUL */
	uint32_t hash;
};

/* Ids by hash, probed linearly and at most half full; an id is stored plus 1, 0 is empty. */
struct index {
	uint32_t *slots;
	size_t slot_cnt; /* power of two */
};

struct pa_calltree {
	char *text;
	size_t text_bytes, text_cap;
	struct name *names;
	struct pa_calltree_node *nodes;
	uint32_t name_cnt, name_cap, node_cnt, node_cap;
	struct index by_text, by_place;
	uint64_t seed; /* names are hostile: they can't be made to collide */
	bool arranged, reverse;
	bool is_before; /* what is added now */
	bool is_diff;
};

static uint32_t hash_place(uint32_t parent, uint32_t name, unsigned int class, uint64_t seed)
{
	uint64_t h = pa_mix(((uint64_t)parent << 32 | name) ^ seed, 0x9e3779b97f4a7c15 + class);

	return (uint32_t)(h ^ h >> 32);
}

static uint32_t hash_node(const struct pa_calltree *t, uint32_t id)
{
	const struct pa_calltree_node *n = &t->nodes[id];

	return hash_place(n->parent, n->name, n->class, t->seed);
}

static uint32_t hash_name(const struct pa_calltree *t, uint32_t id)
{
	return t->names[id].hash;
}

/* Make room in ix for one more than cnt ids. */
static int index_grow(const struct pa_calltree *t, struct index *ix, uint32_t cnt,
		      uint32_t (*hash)(const struct pa_calltree *t, uint32_t id))
{
	size_t slot_cnt = ix->slot_cnt ? ix->slot_cnt * 2 : 2 * FIRST_CNT;
	uint32_t *slots;

	if ((size_t)cnt + 1 <= ix->slot_cnt / 2)
		return 0;
	slots = calloc(slot_cnt, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t id = 0; id < cnt; id++) {
		size_t at = hash(t, id) & (slot_cnt - 1);

		while (slots[at])
			at = (at + 1) & (slot_cnt - 1);
		slots[at] = id + 1;
	}
	free(ix->slots);
	ix->slots = slots;
	ix->slot_cnt = slot_cnt;
	return 0;
}

/* array with room for one more than cnt entries, or NULL; then it stays as it was. */
static void *array_grow(void *array, uint32_t cnt, uint32_t *cap, size_t entry_bytes)
{
	size_t more = *cap ? (size_t)*cap * 2 : FIRST_CNT;
	void *grown;

	if (cnt < *cap)
		return array;
	/* Ids are 32 bits, stored plus 1. */
	if (more > UINT32_MAX - 1)
		more = UINT32_MAX - 1;
	if (more <= cnt)
		return NULL;
	grown = reallocarray(array, more, entry_bytes);
	if (grown)
		*cap = (uint32_t)more;
	return grown;
}

static int add_name(struct pa_calltree *t, const char *s, size_t bytes, uint32_t hash)
{
	struct name *names = array_grow(t->names, t->name_cnt, &t->name_cap, sizeof(*names));

	if (!names)
		return -ENOMEM;
	t->names = names;
	if (t->text_cap - t->text_bytes < bytes + 1) {
		size_t cap = t->text_cap * 2 + bytes + 64 * 1024;
		char *text = realloc(t->text, cap);

		if (!text)
			return -ENOMEM;
		t->text = text;
		t->text_cap = cap;
	}
	memcpy(t->text + t->text_bytes, s, bytes);
	t->text[t->text_bytes + bytes] = '\0';
	t->names[t->name_cnt++] = (struct name){t->text_bytes, (uint32_t)bytes, hash};
	t->text_bytes += bytes + 1;
	return 0;
}

static int name_id(struct pa_calltree *t, const char *s, uint32_t *id)
{
	size_t bytes = strnlen(s, NAME_BYTES_MAX), at;
	uint32_t hash = (uint32_t)pa_hash_bytes(s, bytes, t->seed), slot;
	int err = index_grow(t, &t->by_text, t->name_cnt, hash_name);

	if (err)
		return err;
	at = hash & (t->by_text.slot_cnt - 1);
	while ((slot = t->by_text.slots[at])) {
		const struct name *n = &t->names[slot - 1];

		if (n->hash == hash && n->bytes == bytes && !memcmp(t->text + n->off, s, bytes)) {
			*id = slot - 1;
			return 0;
		}
		at = (at + 1) & (t->by_text.slot_cnt - 1);
	}
	err = add_name(t, s, bytes, hash);
	if (err)
		return err;
	*id = t->name_cnt - 1;
	t->by_text.slots[at] = t->name_cnt;
	return 0;
}

static int child_id(struct pa_calltree *t, uint32_t parent, uint32_t name, unsigned int class,
		    uint32_t *id)
{
	struct pa_calltree_node *nodes;
	size_t at, mask;
	uint32_t slot;
	int err = index_grow(t, &t->by_place, t->node_cnt, hash_node);

	if (err)
		return err;
	mask = t->by_place.slot_cnt - 1;
	at = hash_place(parent, name, class, t->seed) & mask;
	for (; (slot = t->by_place.slots[at]); at = (at + 1) & mask) {
		const struct pa_calltree_node *n = &t->nodes[slot - 1];

		/* The root is its own parent, but nobody's child. */
		if (slot > 1 && n->parent == parent && n->name == name && n->class == class) {
			*id = slot - 1;
			return 0;
		}
	}
	nodes = array_grow(t->nodes, t->node_cnt, &t->node_cap, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	t->nodes = nodes;
	*id = t->node_cnt++;
	t->nodes[*id] =
		(struct pa_calltree_node){.name = name, .parent = parent, .class = (uint8_t) class};
	t->by_place.slots[at] = *id + 1;
	t->arranged = false;
	return 0;
}

int pa_calltree__new(struct pa_calltree **out)
{
	struct pa_calltree *t = calloc(1, sizeof(*t));
	uint32_t name, root;
	int err;

	*out = NULL;
	if (!t)
		return -ENOMEM;
	/* Without random bytes (early boot, seccomp) the tables work as well, only guessably. */
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uintptr_t)t;
	err = name_id(t, "all", &name);
	if (!err)
		err = child_id(t, 0, name, PA_CLASS_ROOT, &root);
	if (err) {
		pa_calltree__free(t);
		return err;
	}
	*out = t;
	return 0;
}

void pa_calltree__free(struct pa_calltree *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->names);
	free(t->nodes);
	free(t->by_text.slots);
	free(t->by_place.slots);
	free(t);
}

/* The node of a stack, root first, or with reverse leaf first. */
static int find_stack(struct pa_calltree *t, const char *const *names,
		      const enum pa_frame_class *classes, size_t cnt, uint32_t *out)
{
	uint32_t name;
	int err = 0;

	*out = 0;
	for (size_t k = 0; !err && k < cnt; k++) {
		size_t i = t->reverse ? cnt - 1 - k : k;

		err = name_id(t, names[i], &name);
		if (!err)
			err = child_id(t, *out, name, (unsigned int)classes[i] % CLASS_CNT, out);
	}
	return err;
}

void pa_calltree__set_reverse(struct pa_calltree *t, bool reverse)
{
	t->reverse = reverse;
}

int pa_calltree__add(struct pa_calltree *t, const char *const *names,
		     const enum pa_frame_class *classes, size_t cnt, uint64_t weight)
{
	uint64_t *sum = t->is_before ? &t->nodes[0].before : &t->nodes[0].weight;
	uint32_t node;
	int err;

	/* The root's weight bounds all others, so saturating here keeps every sum consistent. */
	if (weight > UINT64_MAX - *sum)
		weight = UINT64_MAX - *sum;
	if (!weight)
		return 0;
	/* First the places, then the weights: a failed add leaves no half-weighted stack. */
	err = find_stack(t, names, classes, cnt, &node);
	if (err)
		return err;
	for (;; node = t->nodes[node].parent) {
		if (t->is_before)
			t->nodes[node].before += weight;
		else
			t->nodes[node].weight += weight;
		if (!node)
			return 0;
	}
}

void pa_calltree__set_before(struct pa_calltree *t, bool is_before)
{
	t->is_before = is_before;
	t->is_diff |= is_before;
}

bool pa_calltree__is_diff(const struct pa_calltree *t)
{
	return t->is_diff;
}

uint64_t pa_calltree__vanished(struct pa_calltree *t, uint64_t *total)
{
	uint64_t vanished = 0;

	/* Of a branch that is gone the topmost node is counted, which has all of it. */
	for (uint32_t i = 1; i < t->node_cnt; i++)
		if (!t->nodes[i].weight &&
		    (t->nodes[t->nodes[i].parent].weight || !t->nodes[i].parent))
			vanished += t->nodes[i].before;
	*total = t->nodes[0].before;
	return vanished;
}

struct sort_name {
	const char *text;
	uint32_t id;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct sort_name *)a)->text, ((const struct sort_name *)b)->text);
}

/* rank[name id] = position of the name among the sorted names. */
static int rank_names(const struct pa_calltree *t, uint32_t *rank)
{
	struct sort_name *sorted = calloc(t->name_cnt, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->name_cnt; i++)
		sorted[i] = (struct sort_name){t->text + t->names[i].off, i};
	qsort(sorted, t->name_cnt, sizeof(*sorted), compare_names);
	for (uint32_t i = 0; i < t->name_cnt; i++)
		rank[sorted[i].id] = i;
	free(sorted);
	return 0;
}

/* Nodes are dealt into one list per (name rank, class); the lists are taken from the last to the
 * first, and each node is put before its siblings: linear, whatever the shape of the tree. */
int pa_calltree__arrange(struct pa_calltree *t)
{
	size_t list_cnt = (size_t)t->name_cnt * CLASS_CNT;
	uint32_t *rank = NULL, *lists = NULL;
	int err = 0;

	if (t->arranged)
		return 0;
	rank = calloc(t->name_cnt, sizeof(*rank));
	lists = calloc(list_cnt, sizeof(*lists));
	if (!rank || !lists) {
		err = -ENOMEM;
		goto out;
	}
	err = rank_names(t, rank);
	if (err)
		goto out;
	for (uint32_t i = 1; i < t->node_cnt; i++) {
		struct pa_calltree_node *n = &t->nodes[i];
		uint32_t *list = &lists[(size_t)rank[n->name] * CLASS_CNT + n->class];

		n->next_sibling = *list;
		*list = i;
	}
	for (uint32_t i = 0; i < t->node_cnt; i++)
		t->nodes[i].first_child = 0;
	for (size_t i = list_cnt; i-- > 0;) {
		for (uint32_t id = lists[i], next; id; id = next) {
			struct pa_calltree_node *parent = &t->nodes[t->nodes[id].parent];

			next = t->nodes[id].next_sibling;
			t->nodes[id].next_sibling = parent->first_child;
			parent->first_child = id;
		}
	}
	t->arranged = true;
out:
	free(rank);
	free(lists);
	return err;
}

struct pa_calltree_node *pa_calltree__nodes(struct pa_calltree *t, uint32_t *cnt)
{
	*cnt = t->node_cnt;
	return t->nodes;
}

const char *pa_calltree__name(const struct pa_calltree *t, uint32_t name)
{
	return t->text + t->names[name].off;
}
