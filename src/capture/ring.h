/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ring.h - the user side of one BPF ring buffer (Documentation/bpf/ringbuf.rst), and the growing
 * buffer that records are drained into.
 *
 * The consumer position is published once per drain, not once per record as libbpf does: the
 * sampler reads it on every sample, and each store takes the cache line from it.
 */
#ifndef PA_CAPTURE_RING_H
#define PA_CAPTURE_RING_H

#include <stddef.h>
#include <stdint.h>

/** Bytes that grow. Zero-initialized is empty. */
struct pa_bytes {
	uint8_t *data;
	size_t len, cap;
};
/** Room for more bytes at the end. @return where to write, NULL: out of memory */
void *pa_bytes__reserve(struct pa_bytes *b, size_t more);
/** @return 0 or -ENOMEM */
int pa_bytes__append(struct pa_bytes *b, const void *data, size_t bytes);
void pa_bytes__free(struct pa_bytes *b);

struct pa_ring;

/** Create a BPF ring buffer and map it.
 *  @param bytes  a power of two, a multiple of the page size
 *  @return 0, -errno */
int pa_ring__new(size_t bytes, struct pa_ring **out);
/** Descriptor of the map, readable (epoll) when the producer asked for a wake-up. */
int pa_ring__fd(const struct pa_ring *r);
/** Append what was published before the call, entry by entry, to out, without gaps.
 *  @return bytes appended, -ENOMEM (what did not fit stays in the ring) */
int64_t pa_ring__drain(struct pa_ring *r, struct pa_bytes *out);
void pa_ring__free(struct pa_ring *r);

#endif
