/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * internal.h - what the files of the profile builder share: a growing buffer of packed protobuf,
 * the string table, and writing to descriptors and paths.
 */
#ifndef PPROF_INTERNAL_H
#define PPROF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.pb-c.h"

/** Packed bytes. data may be NULL while bytes is 0. */
struct pprof_buf {
	uint8_t *data;
	size_t bytes, cap_bytes;
};

/** Make room for more bytes at the end. @return 0 or -ENOMEM; then b is unchanged */
int pprof_buf__reserve(struct pprof_buf *b, size_t more_bytes);
/** Append a Profile that holds one piece: concatenated, the pieces are one Profile.
 *  @return 0 or -ENOMEM; then b is unchanged */
int pprof_buf__pack(struct pprof_buf *b, const Perftools__Profiles__Profile *piece);
/** Append the bytes of from. @return 0 or -ENOMEM; then b is unchanged */
int pprof_buf__append(struct pprof_buf *b, const struct pprof_buf *from);
void pprof_buf__free(struct pprof_buf *b);

struct pprof_str_slot {
	uint64_t hash;
	uint32_t id; /* 0: empty slot */
};

/** Distinct strings, packed as string_table entries in the order of their ids. Slots are probed
 *  linearly and at most half full; slot_cnt is a power of two. */
struct pprof_strtab {
	struct pprof_buf packed;
	struct pprof_str_slot *slots;
	size_t slot_cnt;
	struct {
		size_t off, bytes;
	} * strs; /* by id: the text inside packed */
	uint32_t str_cnt, str_cap;
	uint64_t seed; /* names are hostile: they can't be made to collide */
};

/** @return 0 or -ENOMEM; free it in either case */
int pprof_strtab__init(struct pprof_strtab *t);
void pprof_strtab__free(struct pprof_strtab *t);
/** Id of a string; NULL and "" are 0. Bytes that are not UTF-8, which protobuf demands, become
 *  U+FFFD. @return 0 or -ENOMEM */
int pprof_strtab__id(struct pprof_strtab *t, const char *s, int64_t *id);

/** @return 0, -ENOMEM, -errno of write */
int pprof_out__fd(int fd, const struct pprof_buf *b, bool gzip);
/** The same, compressed, to a path as pprof__write_path describes. @return 0, -ENOMEM, -errno */
int pprof_out__path(const char *path, const struct pprof_buf *b);

#endif
