/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * internal.h - what the files of the perfdata library share and its users don't see: the layout
 * of a file's header, the event table's precomputed sample layouts, byte swapping, the buffered
 * stream, decompression, and the reader's own state.
 */
#ifndef PD_INTERNAL_H
#define PD_INTERNAL_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "perfdata/perfdata.h"

#define PD_MAGIC_V1 0x454c494646524550ULL /* "PERFFILE" */
#define PD_RECORD_MAX_BYTES 65535	  /* hdr.size is an u16 */
#define PD_RECORD_PUT_MAX 65528		  /* the longest that is a multiple of 8 */
#define PD_BUILD_ID_HAS_SIZE 0x8000 /* misc of a build-id record: byte 20 is the id's length */
#define PD_EVENT_UPDATE_NAME 2
#define PD_BUILD_ID_NAME 36 /* offset of the name in a build-id record */

struct pd_section {
	__u64 offset, bytes;
};

/** The first bytes of a file layout perf.data. */
struct pd_file_header {
	__u64 magic;
	__u64 size;
	__u64 attr_size; /* of one entry of attrs: the attr and its section of ids */
	struct pd_section attrs, data, event_types;
	__u64 flags[PD_FEATURE_BITS / 64];
};
_Static_assert(sizeof(struct pd_file_header) == PD_HEADER_BYTES, "on disk");

struct pd_chunk {
	__u32 type, version;
	__u64 bytes;
};
_Static_assert(sizeof(struct pd_chunk) == 16, "on disk");

static inline __u64 pd_align8(__u64 n)
{
	return (n + 7) & ~7ULL;
}

static inline __u32 pd_get32(const void *p, bool swap)
{
	__u32 v;

	memcpy(&v, p, sizeof(v));
	return swap ? __builtin_bswap32(v) : v;
}

static inline __u64 pd_get64(const void *p, bool swap)
{
	__u64 v;

	memcpy(&v, p, sizeof(v));
	return swap ? __builtin_bswap64(v) : v;
}

/* ---- events -------------------------------------------------------------------------- */

/** What pd_sample__parse needs of an attr, worked out once. */
struct pd_layout {
	__u64 sample_type, read_format;
	__u64 period; /* of a sample that carries none */
	__u32 user_reg_cnt, intr_reg_cnt;
	__u32 trailer_bytes; /* 0 without sample_id_all */
	bool hw_idx;
	bool common; /* sample_type is PD_COMMON_SAMPLE_TYPE */
};

/** The sample_type of the files that this library's users write. */
#define PD_COMMON_SAMPLE_TYPE                                                                      \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN)

struct pd_id_slot {
	__u64 id;
	__u32 event_plus1; /* 0: free */
};

/** Invariant: slot_cnt is 0 or a power of two larger than 2 * id_cnt; cnt <= cap. */
struct pd_events {
	struct pd_event *list;
	struct pd_layout *layouts; /* parallel to list */
	size_t cnt, cap;
	struct pd_id_slot *slots;
	size_t slot_cnt, id_cnt;
	__u64 seed;
	int id_word;	     /* of a sample's words after its header; -1 none */
	int trailer_id_word; /* counted from the record's end, 1 is the last; -1 none */
};

/** @return index of the event that has the id; 0 when only one can be meant; -1 unknown */
int pd_events_by_id(const struct pd_events *t, __u64 id);
/** Event of a sample, whose word_cnt words after the header are in native byte order. */
int pd_events_of_sample(const struct pd_events *t, const __u64 *words, size_t word_cnt);

/* ---- other byte order ---------------------------------------------------------------- */

/** Turn bytes bytes (a multiple of 8, at least 64) of a foreign attr into native ones. */
void pd_swap_attr(void *attr, size_t bytes);
/** Turn a record into native byte order, but its header, which is native already. Fields that
 *  don't fit the record are left alone: the parsers refuse them. */
void pd_swap_record(const struct pd_events *t, struct perf_event_header *hdr);

/* ---- input --------------------------------------------------------------------------- */

/** A window over an unseekable input. */
struct pd_stream {
	int fd;
	unsigned char *buf;
	size_t begin, end;
	__u64 offset; /* of buf[begin] in the stream */
	bool eof;
};

int pd_stream_init(struct pd_stream *s, int fd);
/** Have n (at most PD_RECORD_MAX_BYTES) bytes at s->buf + s->begin. @return 1, 0 when the
 *  stream ends before, -errno */
int pd_stream_want(struct pd_stream *s, size_t n);
void pd_stream_consume(struct pd_stream *s, size_t n);
/** Copy n bytes out of the stream; memory is taken as they arrive, not as they are announced.
 *  @return 1, 0 when the stream ends before, -ENOMEM, -errno; free *out in any case */
int pd_stream_copy(struct pd_stream *s, size_t n, unsigned char **out);
/** Pass over n bytes. @return 1, 0 when the stream ends before, -errno */
int pd_stream_skip(struct pd_stream *s, __u64 n);
/** All that is left, in memory. @return 0, -ENOMEM, -errno; free *out */
int pd_stream_slurp(struct pd_stream *s, unsigned char **out, size_t *bytes);
void pd_stream_free(struct pd_stream *s);

/** Decompression of COMPRESSED records: a bounded window over what they hold. */
struct pd_unzip;
int pd_unzip_new(struct pd_unzip **out);
void pd_unzip_free(struct pd_unzip *u);
/** Give the next piece of input; borrowed until it is used up. */
void pd_unzip_feed(struct pd_unzip *u, const void *data, size_t bytes);
/** Have n bytes at *p. @return 1, 0 when more input is needed, -EBADMSG */
int pd_unzip_want(struct pd_unzip *u, size_t n, const unsigned char **p);
void pd_unzip_consume(struct pd_unzip *u, size_t n);
/** Decompressed bytes that wait for the rest of their record. */
size_t pd_unzip_left(const struct pd_unzip *u);

/* ---- reader -------------------------------------------------------------------------- */

/** A feature section: in the file, or (pipe layout) a copy of what a record brought. */
struct pd_feat {
	const unsigned char *data; /* NULL: absent */
	size_t bytes;
	int err; /* why it can't be had, when it was announced */
};

struct pd_reader {
	int fd;
	bool own_fd, pipe, swap, unfinished;
	bool cut;  /* data reach beyond the end of the file */
	bool tail; /* the end of data is unknown: read while records parse */

	const unsigned char *file; /* file layout: the file, mapped or in file_heap */
	size_t file_bytes;
	void *map;
	unsigned char *file_heap;
	struct pd_section data; /* clipped to the file */
	struct pd_section blob;
	__u64 pos;

	struct pd_stream stream;
	size_t pending_bytes; /* of the record last returned, consumed by the next call */
	__u64 pending_skip;

	struct pd_unzip *unzip;
	__u64 unzip_offset;
	struct pd_events *events;
	struct pd_feat feats[PD_FEATURE_BITS];
	void *feat_heap[PD_FEATURE_BITS];
	unsigned char *scratch;	  /* a record, swapped or aligned */
	unsigned char *build_ids; /* pipe layout: BUILD_ID records so far */
	size_t build_ids_bytes, build_ids_cap;
	int err, open_err; /* err is latched by next, until rewind */
	char errmsg[256];
};

/** Set errmsg. @return err */
int pd_reader_fail(struct pd_reader *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Events and features from the header of a file layout file. */
int pd_reader_load_meta(struct pd_reader *r);
/** What HEADER_ATTR, EVENT_UPDATE, HEADER_FEATURE and BUILD_ID records tell the reader.
 *  hdr is in native byte order. @return 0, -EBADMSG, -ENOMEM */
int pd_reader_intake(struct pd_reader *r, const struct perf_event_header *hdr);

#endif
