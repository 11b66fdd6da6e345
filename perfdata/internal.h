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
#define PD_STREAM_WANT_MAX (3 * 65536) /* three records */
#define PD_BUILD_ID_NAME 36	       /* offset of the name in a build-id record */

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
	bool hw_idx, branch_counters;
	__u32 fixed_cnt; /* fields of one word each, which come first */
	bool common;	 /* they and the call chain are all there is */
};

/** Fields of a sample that have one word each and come before all others. */
#define PD_FIXED_FIELDS                                                                            \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
	 PERF_SAMPLE_ADDR | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU |             \
	 PERF_SAMPLE_PERIOD)

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

/** Event of a sample, whose word_cnt words after the header are in native byte order. */
int pd_events_of_sample(const struct pd_events *t, const __u64 *words, size_t word_cnt);

/** Is this an MMAP2 of a kernel before 3.16, whose name begins where prot and flags are now?
 *  Looks at bytes only: in any byte order but the header's. */
bool pd_mmap2_is_old(const struct perf_event_header *hdr);

/** Does a sample fill its record, as the kernel writes it? One of an unknown event is not judged.
 */
bool pd_sample_fills(const struct pd_events *t, const struct perf_event_header *hdr);

/* ---- other byte order ---------------------------------------------------------------- */

/** Turn bytes bytes (a multiple of 8, at least 64) of a foreign attr into native ones. */
void pd_swap_attr(void *attr, size_t bytes);
/** Turn a record into native byte order, but its header, which is native already. Fields that
 *  don't fit the record are left alone: the parsers refuse them. */
void pd_swap_record(const struct pd_events *t, struct perf_event_header *hdr);

/* ---- input --------------------------------------------------------------------------- */

/** A window over an input: a pipe, a part of a file, or memory as a whole. */
struct pd_stream {
	int fd;
	bool seekable; /* read at pos, up to limit */
	bool borrowed; /* buf is the caller's, and all there is */
	bool eof;
	__u64 pos, limit;
	unsigned char *buf;
	size_t begin, end;
	__u64 offset; /* of buf[begin] in the stream or file */
};

/* The first init is of a zeroed struct; later ones start over elsewhere.
 * @return 0, -ENOMEM */
int pd_stream_init(struct pd_stream *s, int fd);
int pd_stream_init_file(struct pd_stream *s, int fd, __u64 offset, __u64 bytes);
void pd_stream_init_memory(struct pd_stream *s, unsigned char *data, size_t offset, size_t bytes);
/** Have n (at most PD_STREAM_WANT_MAX) bytes at s->buf + s->begin. @return 1, 0 when the
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

/** A feature section: announced by the file's table and loaded when it is first asked for, or
 *  (pipe layout) a copy of what a record brought. */
struct pd_feat {
	unsigned char *data; /* NULL: absent, or not loaded yet */
	size_t bytes;
	struct pd_section section; /* of the file; bytes 0: none */
	bool announced, has_section;
	int err; /* why it can't be had, when it was announced */
};

/** A file of a directory that holds records only: data.0, data.1... */
struct pd_part {
	__u32 number;
	__u64 bytes;
};

/** Where the records come from. Of a directory fd is its file "data", and the parts follow. */
struct pd_source {
	int fd;
	bool own_fd;
	bool seekable;	     /* can be read at any offset */
	__u64 bytes;	     /* then: its size */
	unsigned char *heap; /* file layout that came through a pipe: all of it */
	int dir_fd;
	char *kcore_dir;
	struct pd_part *parts;
	size_t part_cnt, part; /* part: 0 fd itself, else parts[part - 1] */
	int part_fd;
};

struct pd_reader {
	struct pd_source src;
	bool pipe, swap, unfinished;
	bool cut;  /* data reach beyond the end of the file */
	bool tail; /* the end of data is unknown: read while records parse */
	bool wary; /* records that are none are errors */

	struct pd_section data; /* clipped to the file */
	struct pd_section blob;
	void *blob_heap;

	struct pd_stream stream;
	size_t pending_bytes; /* of the record last returned, consumed by the next call */
	__u64 pending_skip;   /* of its payload, what is not read */

	struct pd_unzip *unzip;
	__u64 unzip_offset;
	struct pd_events *events;
	struct pd_feat feats[PD_FEATURE_BITS];
	unsigned char *scratch;	  /* a record, swapped or aligned */
	unsigned char *build_ids; /* pipe layout: BUILD_ID records so far */
	size_t build_ids_bytes, build_ids_cap;
	__u64 feats_left;  /* bytes of sections that may still be loaded */
	int err, open_err; /* err is latched by next, until rewind */
	int late_err;	   /* a part of a directory was cut short */
	char late_errmsg[256];
	char errmsg[256];
};

/** Open path: a file, a directory, or "-". @return 0, -errno */
int pd_source_open(struct pd_source *s, const char *path);
/** Read bytes at offset of the file with the header. @return 0, -EBADMSG it ends before, -errno */
int pd_source_read(const struct pd_source *s, __u64 offset, void *buf, size_t bytes);
/** A stream over the records of a part, as part says; 0 is data in the file with the header.
 *  @return 0, -ENOMEM, -errno of open */
int pd_source_part(struct pd_source *s, size_t part, const struct pd_section *data,
		   struct pd_stream *out);
/** Name of the current part for messages, in buf (>= 24 bytes); "" when there is only one file. */
const char *pd_source_part_name(const struct pd_source *s, char *buf);
void pd_source_close(struct pd_source *s);

/** May this be a record, as far as it can be told? */
bool pd_record_plausible(const struct pd_events *t, const struct perf_event_header *hdr);
/** The header at p in native byte order. */
struct perf_event_header pd_header_at(const unsigned char *p, bool swap);
/** The record at p, whose header native is: as it lies there if it is native and aligned, or else
 *  a copy. @return 1, -ENOMEM */
int pd_reader_present(struct pd_reader *r, const unsigned char *p,
		      const struct perf_event_header *native, const struct perf_event_header **out);
/** Set errmsg. @return err */
int pd_reader_fail(struct pd_reader *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Events and features from the header of a file layout file. */
int pd_reader_load_meta(struct pd_reader *r);
/** What HEADER_ATTR, EVENT_UPDATE, HEADER_FEATURE and BUILD_ID records tell the reader.
 *  hdr is in native byte order. @return 0, -EBADMSG, -ENOMEM */
int pd_reader_intake(struct pd_reader *r, const struct perf_event_header *hdr);

#endif
