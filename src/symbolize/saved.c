// SPDX-License-Identifier: GPL-2.0-only
/*
 * saved.c - symbols that can't be looked up again, as the PD_BLOB_SYMBOLS chunk of a perf.data
 * file (version 1, layout in docs/perfdata.md), and back. A chunk is input like any other: what
 * it claims is checked against the bytes that are there.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define STRING_MAX_BYTES 65535u
#define UNKNOWN_SIZE_MAX 0x10000u /* how far a symbol without a size reaches */
#define LOOK_BACK 16

struct chunk_header {
	uint32_t image_cnt, zero;
};

struct image_header {
	uint32_t bytes;	       /* of the image and its symbols */
	uint32_t header_bytes; /* from its start to its first symbol */
	uint32_t kind, pid;
	uint64_t start_ns;
	uint8_t build_id_bytes, build_id[20], zero[3];
	uint32_t path_bytes, symbol_cnt;
};
_Static_assert(sizeof(struct image_header) == 56, "no padding on disk");

struct symbol_header {
	uint32_t bytes; /* of the symbol and its strings, a multiple of 8 */
	uint32_t line;
	uint64_t key, start, size;
	uint32_t name_bytes, system_bytes, file_bytes, module_bytes;
};
_Static_assert(sizeof(struct symbol_header) == 48, "no padding on disk");

/* ---- save ------------------------------------------------------------------------------- */

struct buffer {
	char *data;
	size_t bytes, cap;
};

static int put(struct buffer *b, const void *data, size_t bytes)
{
	if (bytes > b->cap - b->bytes) {
		size_t cap = b->cap * 2 + bytes + 4096;
		char *p = realloc(b->data, cap);

		if (!p)
			return -ENOMEM;
		b->data = p;
		b->cap = cap;
	}
	if (data)
		memcpy(b->data + b->bytes, data, bytes);
	else
		memset(b->data + b->bytes, 0, bytes);
	b->bytes += bytes;
	return 0;
}

static int put_padding(struct buffer *b)
{
	return put(b, NULL, -b->bytes & 7);
}

static uint32_t clipped(const char *s)
{
	return (uint32_t)strnlen(s, STRING_MAX_BYTES);
}

static int put_symbol(struct buffer *b, const struct pa_symnode *n)
{
	const struct pa_symbol *y = &n->sym;
	uint32_t name = clipped(y->name), file = clipped(y->file), module = clipped(y->module);
	uint32_t system = strcmp(y->name, y->system_name) ? clipped(y->system_name) : 0;
	struct symbol_header h = {
		.bytes = htole32((uint32_t)(sizeof(h) + name + system + file + module + 7) & ~7u),
		.line = htole32(y->start_line),
		.key = htole64(n->key),
		.start = htole64(y->start),
		.size = htole64(y->bytes),
		.name_bytes = htole32(name),
		.system_bytes = htole32(system),
		.file_bytes = htole32(file),
		.module_bytes = htole32(module),
	};

	if (put(b, &h, sizeof(h)) || put(b, y->name, name) || put(b, y->system_name, system) ||
	    put(b, y->file, file) || put(b, y->module, module) || put_padding(b))
		return -ENOMEM;
	return 0;
}

static int put_image(struct buffer *b, const struct pa_image *image, const struct pa_symnode *list)
{
	struct image_header h = {
		.kind = htole32(image->kind),
		.pid = htole32((uint32_t)image->pid),
		.start_ns = htole64(image->start_ns),
		.build_id_bytes = image->build_id_bytes,
	};
	uint32_t path_bytes = clipped(image->path), cnt = 0;
	size_t at = b->bytes;

	memcpy(h.build_id, image->build_id, sizeof(h.build_id));
	h.path_bytes = htole32(path_bytes);
	if (put(b, &h, sizeof(h)) || put(b, image->path, path_bytes) || put_padding(b))
		return -ENOMEM;
	h.header_bytes = htole32((uint32_t)(b->bytes - at));
	for (; list && b->bytes - at < UINT32_MAX / 2; list = list->next, cnt++)
		if (put_symbol(b, list))
			return -ENOMEM;
	h.bytes = htole32((uint32_t)(b->bytes - at));
	h.symbol_cnt = htole32(cnt);
	memcpy(b->data + at, &h, sizeof(h));
	return 0;
}

/* The path leads to the same file now, and will on the next day. */
static bool can_look_up(const struct pa_image *image)
{
	struct pa_file_id id;
	struct stat st;
	int fd;
	bool same;

	if (image->kind != PA_IMAGE_FILE || pa_path_is_gone(image->path))
		return false;
	fd = pa_open_regular(image->path);
	if (fd < 0)
		return false;
	same = !fstat(fd, &st);
	close(fd);
	if (!same)
		return false;
	pa_file_id__from(&id, &st);
	return !image->has_id || !memcmp(&id, &image->id, sizeof(id));
}

int pa_symbolizer__save(struct pa_symbolizer *s, void **out, size_t *bytes)
{
	struct chunk_header h = {0};
	struct buffer b = {0};
	uint32_t cnt = 0;
	int err = put(&b, &h, sizeof(h));

	*out = NULL;
	*bytes = 0;
	for (const struct pa_image *i = s->images; i && !err; i = i->next) {
		const struct pa_symnode *list = i->object ? i->object->list : i->list;

		if (!list || can_look_up(i))
			continue;
		err = put_image(&b, i, list);
		cnt++;
	}
	if (err || !cnt) {
		free(b.data);
		return err;
	}
	h.image_cnt = htole32(cnt);
	memcpy(b.data, &h, sizeof(h));
	*out = b.data;
	*bytes = b.bytes;
	return 0;
}

/* ---- restore ------------------------------------------------------------------------------ */

static const char *take_string(struct pa_symbolizer *s, const char **p, uint32_t bytes)
{
	const char *copy = bytes ? pa_pool__strndup(&s->arena, *p, bytes) : "";

	*p += bytes;
	return copy;
}

static int restore_symbol(struct pa_symbolizer *s, struct pa_image *image, const char *p,
			  const struct symbol_header *h)
{
	struct pa_symnode *n;

	if (pa_array_grow(&image->saved, image->saved_cnt, &image->saved_cap,
			  sizeof(*image->saved)))
		return -ENOMEM;
	n = pa_pool__alloc(&s->arena, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->key = le64toh(h->key);
	n->sym.start = le64toh(h->start);
	n->sym.bytes = le64toh(h->size);
	n->sym.start_line = le32toh(h->line);
	n->sym.name = take_string(s, &p, le32toh(h->name_bytes));
	n->sym.system_name = take_string(s, &p, le32toh(h->system_bytes));
	n->sym.file = take_string(s, &p, le32toh(h->file_bytes));
	n->sym.module = take_string(s, &p, le32toh(h->module_bytes));
	if (!n->sym.name || !n->sym.system_name || !n->sym.file || !n->sym.module)
		return -ENOMEM;
	if (!*n->sym.system_name)
		n->sym.system_name = n->sym.name;
	image->saved[image->saved_cnt++] = n;
	s->has_saved = true;
	image->saved_sorted = false;
	return 0;
}

static int restore_symbols(struct pa_symbolizer *s, struct pa_image *image, const char *p,
			   size_t bytes, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		struct symbol_header h;
		uint64_t strings;
		uint32_t entry;
		int err;

		if (bytes < sizeof(h))
			return -EBADMSG;
		memcpy(&h, p, sizeof(h));
		entry = le32toh(h.bytes);
		strings = (uint64_t)le32toh(h.name_bytes) + le32toh(h.system_bytes) +
			  le32toh(h.file_bytes) + le32toh(h.module_bytes);
		if (entry < sizeof(h) || entry > bytes || strings > entry - sizeof(h) ||
		    !h.name_bytes)
			return -EBADMSG;
		err = restore_symbol(s, image, p + sizeof(h), &h);
		if (err)
			return err;
		p += entry;
		bytes -= entry;
	}
	return 0;
}

static int restore_image(struct pa_symbolizer *s, const char *p, const struct image_header *h)
{
	uint32_t bytes = le32toh(h->bytes), header_bytes = le32toh(h->header_bytes);
	uint32_t path_bytes = le32toh(h->path_bytes);
	struct pa_image_ref ref = {
		.kind = le32toh(h->kind),
		.pid = (pid_t)le32toh(h->pid),
		.start_ns = le64toh(h->start_ns),
		.build_id_bytes = h->build_id_bytes,
	};
	struct pa_image *image;
	char *path;
	int err;

	if (header_bytes < sizeof(*h) || header_bytes > bytes ||
	    path_bytes > header_bytes - sizeof(*h) || path_bytes > STRING_MAX_BYTES ||
	    h->build_id_bytes > 20)
		return -EBADMSG;
	if (ref.kind < PA_IMAGE_FILE || ref.kind > PA_IMAGE_JIT)
		return 0; /* of a later version */
	memcpy(ref.build_id, h->build_id, sizeof(ref.build_id));
	path = strndup(p + sizeof(*h), path_bytes);
	if (!path)
		return -ENOMEM;
	ref.path = path;
	err = pa_image__get(s, &ref, &image);
	free(path);
	if (err)
		return err;
	return restore_symbols(s, image, p + header_bytes, bytes - header_bytes,
			       le32toh(h->symbol_cnt));
}

int pa_symbolizer__restore(struct pa_symbolizer *s, const void *data, size_t bytes)
{
	const char *p = data;
	struct chunk_header chunk;

	if (bytes < sizeof(chunk))
		return -EBADMSG;
	memcpy(&chunk, p, sizeof(chunk));
	p += sizeof(chunk);
	bytes -= sizeof(chunk);
	for (uint32_t i = 0; i < le32toh(chunk.image_cnt); i++) {
		struct image_header h;
		int err;

		if (bytes < sizeof(h))
			return -EBADMSG;
		memcpy(&h, p, sizeof(h));
		if (le32toh(h.bytes) < sizeof(h) || le32toh(h.bytes) > bytes)
			return -EBADMSG;
		err = restore_image(s, p, &h);
		if (err)
			return err;
		p += le32toh(h.bytes);
		bytes -= le32toh(h.bytes);
	}
	return 0;
}

static int compare_nodes(const void *pa, const void *pb)
{
	const struct pa_symnode *a = *(struct pa_symnode *const *)pa;
	const struct pa_symnode *b = *(struct pa_symnode *const *)pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	/* the larger first, so that the innermost is found first when looking back */
	return a->sym.bytes > b->sym.bytes ? -1 : a->sym.bytes < b->sym.bytes;
}

const struct pa_symbol *pa_image__find_saved(struct pa_image *image, uint64_t addr)
{
	size_t low = 0, high = image->saved_cnt;

	if (!image->saved_sorted)
		qsort(image->saved, image->saved_cnt, sizeof(*image->saved), compare_nodes);
	image->saved_sorted = true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (image->saved[mid]->key <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = 0; i < LOOK_BACK && low > i; i++) {
		const struct pa_symnode *n = image->saved[low - 1 - i];
		uint64_t reach = n->sym.bytes ? n->sym.bytes : UNKNOWN_SIZE_MAX + 1;

		if (addr - n->key < reach)
			return &n->sym;
	}
	return NULL;
}
