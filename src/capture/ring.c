// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - drain a BPF ring buffer into one buffer of back-to-back records.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/ring.h"

#define PREFETCH_BYTES 2048

void *pa_bytes__reserve(struct pa_bytes *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 4096;
	uint8_t *data;

	if (b->cap - b->len >= more)
		return b->data + b->len;
	while (cap - b->len < more)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return NULL;
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

int pa_bytes__append(struct pa_bytes *b, const void *data, size_t bytes)
{
	void *to = bytes ? pa_bytes__reserve(b, bytes) : NULL;

	if (!bytes)
		return 0;
	if (!to)
		return -ENOMEM;
	memcpy(to, data, bytes);
	b->len += bytes;
	return 0;
}

void pa_bytes__free(struct pa_bytes *b)
{
	free(b->data);
	*b = (struct pa_bytes){0};
}

struct pa_ring {
	int fd;
	size_t bytes;
	unsigned long *consumer_pos;
	const unsigned long *producer_pos;
	const uint8_t *data; /* mapped twice in a row, so that no entry wraps */
	void *producer_map;
};

int pa_ring__new(size_t bytes, struct pa_ring **out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct pa_ring *r = calloc(1, sizeof(*r));
	void *map;
	int err;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->bytes = bytes;
	r->fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "pa_ring", 0, 0, (__u32)bytes, NULL);
	if (r->fd < 0) {
		err = -errno;
		goto out;
	}
	map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (map == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	r->consumer_pos = map;
	map = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, r->fd, (off_t)page);
	if (map == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	r->producer_map = map;
	r->producer_pos = map;
	r->data = (const uint8_t *)map + page;
	err = 0;
out:
	if (err)
		pa_ring__free(r);
	else
		*out = r;
	return err;
}

int pa_ring__fd(const struct pa_ring *r)
{
	return r->fd;
}

int64_t pa_ring__drain(struct pa_ring *r, struct pa_bytes *out)
{
	unsigned long pos = *r->consumer_pos;
	unsigned long end = __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
	size_t before = out->len;
	uint8_t *to;

	if (pos == end)
		return 0;
	to = pa_bytes__reserve(out, end - pos);
	if (!to)
		return -ENOMEM;
	while (pos < end) {
		const uint8_t *entry = r->data + (pos & (r->bytes - 1));
		uint32_t len = __atomic_load_n((const uint32_t *)entry, __ATOMIC_ACQUIRE);
		uint32_t len_only = len & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		/* the producer's CPU has these lines: ask for them before they are needed */
		for (uint32_t i = 0; i < len_only; i += 64)
			__builtin_prefetch(entry + PREFETCH_BYTES + i);
		if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
			memcpy(to, entry + BPF_RINGBUF_HDR_SZ, len_only);
			to += len_only;
		}
		pos += (len_only + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;
	}
	out->len = (size_t)(to - out->data);
	__atomic_store_n(r->consumer_pos, pos, __ATOMIC_RELEASE);
	return (int64_t)(out->len - before);
}

void pa_ring__free(struct pa_ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!r)
		return;
	if (r->consumer_pos)
		munmap(r->consumer_pos, page);
	if (r->producer_map)
		munmap(r->producer_map, page + 2 * r->bytes);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}
