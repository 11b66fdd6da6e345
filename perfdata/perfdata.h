/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * perfdata.h - read and write the kernel's perf.data format.
 *
 * Record layouts are those of <linux/perf_event.h>; the file's header, the user-space record
 * types and the feature sections are documented in the kernel's
 * tools/perf/Documentation/perf.data-file-format.txt. What this library writes, byte by byte,
 * is in docs/perfdata.md.
 *
 * Conventions: functions return 0 (or a count) or a negative errno. No function prints, exits
 * or keeps global state. An object may be used by one thread at a time; different objects are
 * independent.
 */
#ifndef PD_PERFDATA_H
#define PD_PERFDATA_H

#include <linux/perf_event.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PD_MAGIC 0x32454c4946524550ULL /* "PERFILE2", little endian */
#define PD_HEADER_BYTES 104
#define PD_PIPE_HEADER_BYTES 16
#define PD_ATTR_BYTES 112 /* attr.size of every attr that we write: see docs/perfdata.md */
#define PD_FEATURE_BITS 256
#define PD_BUILD_ID_MAX 20
#define PD_CALLCHAIN_MAX 4096 /* longest chain that pd_sample__parse accepts */

/** User-space record types (perf's perf_user_event_type). */
enum pd_record_type {
	PD_RECORD_HEADER_ATTR = 64,
	PD_RECORD_EVENT_TYPE = 65,
	PD_RECORD_TRACING_DATA = 66,
	PD_RECORD_BUILD_ID = 67,
	PD_RECORD_FINISHED_ROUND = 68,
	PD_RECORD_ID_INDEX = 69,
	PD_RECORD_AUXTRACE_INFO = 70,
	PD_RECORD_AUXTRACE = 71,
	PD_RECORD_AUXTRACE_ERROR = 72,
	PD_RECORD_THREAD_MAP = 73,
	PD_RECORD_CPU_MAP = 74,
	PD_RECORD_STAT_CONFIG = 75,
	PD_RECORD_STAT = 76,
	PD_RECORD_STAT_ROUND = 77,
	PD_RECORD_EVENT_UPDATE = 78,
	PD_RECORD_TIME_CONV = 79,
	PD_RECORD_HEADER_FEATURE = 80,
	PD_RECORD_COMPRESSED = 81,
	PD_RECORD_FINISHED_INIT = 82,
	PD_RECORD_COMPRESSED2 = 83,
};

/** Feature section numbers (perf's HEADER_*). */
enum pd_feature {
	PD_FEAT_TRACING_DATA = 1,
	PD_FEAT_BUILD_ID = 2,
	PD_FEAT_HOSTNAME = 3,
	PD_FEAT_OSRELEASE = 4,
	PD_FEAT_VERSION = 5,
	PD_FEAT_ARCH = 6,
	PD_FEAT_NRCPUS = 7,
	PD_FEAT_CPUDESC = 8,
	PD_FEAT_CPUID = 9,
	PD_FEAT_TOTAL_MEM = 10,
	PD_FEAT_CMDLINE = 11,
	PD_FEAT_EVENT_DESC = 12,
	PD_FEAT_CPU_TOPOLOGY = 13,
	PD_FEAT_NUMA_TOPOLOGY = 14,
	PD_FEAT_BRANCH_STACK = 15,
	PD_FEAT_PMU_MAPPINGS = 16,
	PD_FEAT_GROUP_DESC = 17,
	PD_FEAT_AUXTRACE = 18,
	PD_FEAT_STAT = 19,
	PD_FEAT_CACHE = 20,
	PD_FEAT_SAMPLE_TIME = 21,
	PD_FEAT_MEM_TOPOLOGY = 22,
	PD_FEAT_CLOCKID = 23,
	PD_FEAT_DIR_FORMAT = 24,
	PD_FEAT_BPF_PROG_INFO = 25,
	PD_FEAT_BPF_BTF = 26,
	PD_FEAT_COMPRESSED = 27,
	PD_FEAT_CPU_PMU_CAPS = 28,
	PD_FEAT_CLOCK_DATA = 29,
	PD_FEAT_HYBRID_TOPOLOGY = 30,
	PD_FEAT_PMU_CAPS = 31,
};

/** Chunks of the private blob, pointed to by the header's unused event_types field. Values are
 *  on disk: append only. Layouts in docs/perfdata.md. */
enum pd_blob_type {
	PD_BLOB_TAGS = 1,    /* NUL-terminated "key=value" strings, in command-line order */
	PD_BLOB_LABELS = 2,  /* reserved: per-process labels */
	PD_BLOB_SYMBOLS = 3, /* symbols that can't be looked up again: struct pd_blob_symbols */
	PD_BLOB_CAPTURE = 4, /* struct pd_blob_capture */
};

/** PD_BLOB_CAPTURE, version 1: what the capture as a whole did. */
struct pd_blob_capture {
	__u64 start_ns;	     /* CLOCK_MONOTONIC, sampling enabled */
	__u64 end_ns;	     /* CLOCK_MONOTONIC, sampling disabled */
	__u64 start_wall_ns; /* CLOCK_REALTIME at start_ns */
	__u64 fired_cnt;     /* samples that passed the filters */
	__u64 written_cnt;   /* samples in the file */
	__u64 lost_cnt;	     /* fired_cnt = written_cnt + lost_cnt */
};

/* ---- events -------------------------------------------------------------------------- */

/** One event of a file. Invariant: attr is zero beyond what the file held; attr.size is the
 *  file's own. */
struct pd_event {
	struct perf_event_attr attr;
	__u64 *ids; /* id_cnt ids, owned by the table */
	size_t id_cnt;
	char *name; /* from EVENT_DESC/EVENT_UPDATE, else made from the attr; never NULL */
};

/** The events of a file or a stream, and the map from sample id to event. */
struct pd_events;

/** @return 0 or -ENOMEM. Free with pd_events__free. */
int pd_events__new(struct pd_events **out);
void pd_events__free(struct pd_events *t);
/** Add an event. attr and ids are copied; name may be NULL.
 *  @return index of the event (>= 0), -EINVAL when the attr does not fit its own size or its
 *  sample id can't be found in the same place as the other events' (perf's rule), -ENOMEM */
int pd_events__add(struct pd_events *t, const struct perf_event_attr *attr, const __u64 *ids,
		   size_t id_cnt, const char *name);
size_t pd_events__cnt(const struct pd_events *t);
/** @return the event, borrowed until the next pd_events__add or free; NULL when i is too large */
const struct pd_event *pd_events__get(const struct pd_events *t, size_t i);
/** @return index of the event that has the id; 0 when only one can be meant; -1 unknown */
int pd_events__by_id(const struct pd_events *t, __u64 id);
/** Replace the name of the event. @return 0, -ENOENT, -ENOMEM */
int pd_events__rename(struct pd_events *t, size_t i, const char *name);

/* ---- records ------------------------------------------------------------------------- */

/** The id fields that every record may carry (sample_id_all), and samples do. Fields that the
 *  sample_type lacks are 0; time is 0 then too. */
struct pd_sample_id {
	__u32 pid, tid;
	__u64 time;
	__u64 id, stream_id;
	__u32 cpu;
	int event; /* index into the pd_events; -1 unknown id */
};

/** One PERF_RECORD_SAMPLE, parsed. Pointers are into the record. Fields that the event's
 *  sample_type lacks are 0 or NULL, but period: then it is attr.sample_period or 1. */
struct pd_sample {
	struct pd_sample_id id;
	__u8 cpumode; /* PERF_RECORD_MISC_CPUMODE_MASK of the header's misc */
	__u64 ip, addr, period, weight, cgroup, phys_addr;
	const __u64 *ips; /* call chain, leaf first, with PERF_CONTEXT_* markers */
	size_t ip_cnt;
	const void *raw;
	__u32 raw_bytes;
	const struct perf_branch_entry *branches; /* newest first */
	size_t branch_cnt;
	__u64 user_abi;		/* PERF_SAMPLE_REGS_ABI_* */
	const __u64 *user_regs; /* one per bit of attr.sample_regs_user */
	size_t user_reg_cnt;
	const void *user_stack;
	__u64 user_stack_bytes;	  /* the dynamic size */
	const __u64 *read_values; /* PERF_SAMPLE_READ, as in the record */
	size_t read_cnt;	  /* in u64 */
	const void *aux;	  /* PERF_SAMPLE_AUX */
	__u64 aux_bytes;
};

/** Where a sample has what tells it from the one before it: words (u64) after the record's header;
 *  -1 not recorded. */
struct pd_sample_words {
	int id, tid, time, period;
	int callchain; /* its length, in words, and the chain; behind it is nothing */
};
/** @return whether the samples of event i are such: fields of one word each, then the call chain */
bool pd_events__sample_words(const struct pd_events *t, size_t i, struct pd_sample_words *out);

/** Parse a sample. The record must be in native byte order, begin at a multiple of 8 bytes and
 *  be at least hdr->size long.
 *  @return 0, -EBADMSG when a length in the record does not fit, -ENOENT for an unknown id */
int pd_sample__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		     struct pd_sample *out);
/** Parse the sample_id trailer of any record (or the id fields of a sample).
 *  @return 0, or -EBADMSG when the record is too short; out->time is 0 without sample_id_all */
int pd_sample_id__parse(const struct pd_events *t, const struct perf_event_header *hdr,
			struct pd_sample_id *out);

/** Parse a record of any type as far as this library knows it, for the result alone.
 *  @return 0, -EBADMSG malformed, -ENOENT a sample with an unknown id */
int pd_record_check(const struct pd_events *t, const struct perf_event_header *hdr);

/** MMAP and MMAP2 seen alike. Strings point into the record and are NUL-terminated there. */
struct pd_mmap {
	__u32 pid, tid;
	__u64 start, bytes, pgoff;
	__u32 prot, flags; /* MMAP: PROT_EXEC unless misc says MMAP_DATA; 0 */
	__u32 maj, min;	   /* 0 when the record carries a build-id, or is an MMAP */
	__u64 ino, ino_generation;
	__u8 build_id[PD_BUILD_ID_MAX];
	__u8 build_id_bytes; /* 0: none */
	const char *filename;
	struct pd_sample_id id;
};
/** @return 0, -EBADMSG when malformed (a name without its NUL too), -EINVAL other record type */
int pd_mmap__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_mmap *out);

struct pd_comm {
	__u32 pid, tid;
	bool exec;
	const char *comm;
	struct pd_sample_id id;
};
int pd_comm__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_comm *out);

/** FORK and EXIT. */
struct pd_task {
	__u32 pid, ppid, tid, ptid;
	__u64 time;
	struct pd_sample_id id;
};
int pd_task__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_task *out);

/** LOST (lost counts records) and LOST_SAMPLES. */
struct pd_lost {
	__u64 id_value; /* LOST only */
	__u64 lost_cnt;
	struct pd_sample_id id;
};
int pd_lost__parse(const struct pd_events *t, const struct perf_event_header *hdr,
		   struct pd_lost *out);

/* Builders: write one whole record, with the sample_id trailer that `events` event 0 asks for,
 * to buf; an id of 0 in it becomes event 0's first id. @return its size in bytes (a multiple of
 * 8), -EMSGSIZE when it does not fit cap_bytes or the format's 65,528 bytes. A name is cut so that
 * it and the record fit in PATH_MAX. */
int pd_put_comm(void *buf, size_t cap_bytes, const struct pd_events *t, const struct pd_comm *c);
int pd_put_mmap2(void *buf, size_t cap_bytes, const struct pd_events *t, __u16 cpumode,
		 const struct pd_mmap *m);
/** type: PERF_RECORD_FORK or PERF_RECORD_EXIT */
int pd_put_task(void *buf, size_t cap_bytes, const struct pd_events *t, __u32 type,
		const struct pd_task *task);
/** PERF_RECORD_LOST, then PERF_RECORD_LOST_SAMPLES: consumers read one or the other */
int pd_put_lost(void *buf, size_t cap_bytes, const struct pd_events *t, const struct pd_lost *l);
int pd_put_lost_samples(void *buf, size_t cap_bytes, const struct pd_events *t,
			const struct pd_lost *l);
int pd_put_finished_round(void *buf, size_t cap_bytes);

/* ---- writer -------------------------------------------------------------------------- */

struct pd_writer;

struct pd_writer_opts {
	size_t sz; /* sizeof(struct pd_writer_opts) */
	bool pipe; /* stream in pipe layout: never seeks */
};

/** Open a file for writing and write the header and the events, so that the file is a valid
 *  empty perf.data from then on. An existing file is truncated; anything but a regular file
 *  (or, in pipe layout, a pipe, a tty or /dev/null) is refused with -EINVAL.
 *  @param path    "-" is standard output, and implies pipe layout
 *  @param events  borrowed for the life of the writer
 *  @return 0; -errno of open or write; *out is set (and must be closed) unless -ENOMEM, so that
 *  pd_writer__errmsg can be asked */
int pd_writer__open(const char *path, const struct pd_events *events,
		    const struct pd_writer_opts *opts, struct pd_writer **out);
/** Write whole records. One write(2), no copy. A failed or short write cuts the file back to
 *  its last whole record; every later call returns the same error. A file of more than 4 MiB has
 *  up to 8 MiB reserved behind its end (fallocate) until it is finished or closed.
 *  @return 0 or -errno (-ENOSPC, -EFBIG, -EIO, -EPIPE...) */
int pd_writer__append(struct pd_writer *w, const void *records, size_t bytes);
/** Make what was appended visible: rewrite the header's data size (pwrite of 8 bytes). Nothing
 *  in pipe layout. @return 0 or -errno */
int pd_writer__checkpoint(struct pd_writer *w);
/** Keep a feature section for finish (pipe: a HEADER_FEATURE record at once, BUILD_ID as BUILD_ID
 *  records). Copied. A second call replaces the first. @return 0, -EINVAL (not 1 to 31; pipe: too
 *  long for a record), -ENOMEM, -errno */
int pd_writer__feature(struct pd_writer *w, enum pd_feature f, const void *data, size_t bytes);
/** Keep a chunk of the private blob for finish. Copied. Not written in pipe layout.
 *  @return 0, -ENOMEM */
int pd_writer__blob(struct pd_writer *w, enum pd_blob_type type, __u32 version, const void *data,
		    size_t bytes);
/** Write the feature sections and the blob, then the header that points to them. After a failed
 *  append it still makes the file valid up to the last whole record, with as many features as
 *  fit, and returns the first error. @return 0 or -errno */
int pd_writer__finish(struct pd_writer *w);
/** Bytes of records appended. */
__u64 pd_writer__data_bytes(const struct pd_writer *w);
/** What went wrong last, as "failed to VERB: REASON"; "" when nothing did. Valid until close. */
const char *pd_writer__errmsg(const struct pd_writer *w);
void pd_writer__close(struct pd_writer *w);

/* Encoders of feature sections: each allocates *out (free it) and sets *bytes.
 * @return 0, -ENOMEM, -EINVAL */
int pd_feat_string(const char *s, void **out, size_t *bytes); /* HOSTNAME, ARCH ... */
int pd_feat_nrcpus(__u32 available, __u32 online, void **out, size_t *bytes);
int pd_feat_cmdline(int argc, const char *const *argv, void **out, size_t *bytes);
int pd_feat_event_desc(const struct pd_events *t, void **out, size_t *bytes);
struct pd_build_id {
	__s32 pid;     /* -1: the host */
	__u16 cpumode; /* PERF_RECORD_MISC_KERNEL or _USER */
	__u8 bytes;
	__u8 id[PD_BUILD_ID_MAX];
	const char *filename;
};
int pd_feat_build_ids(const struct pd_build_id *ids, size_t cnt, void **out, size_t *bytes);
int pd_feat_clock_data(__u32 clockid, __u64 wall_ns, __u64 clock_ns, void **out, size_t *bytes);

/* ---- reader -------------------------------------------------------------------------- */

struct pd_reader;

/** Open a file, a directory of `perf record --threads` or `--kcore`, or standard input for "-".
 *  Pipe layout (also in a regular file) is read as a stream. Handles the other byte order. A file
 *  that is cut while it is read ends early (-ENODATA).
 *  @return 0, -errno of open/read, -EISDIR a directory without perf.data, -ELOOP a link in it,
 *  -E2BIG too many files in it, -EBADMSG when it is not perf.data or its header is damaged;
 *  *out is set (and must be closed) unless -ENOMEM, so that pd_reader__errmsg can be asked */
int pd_reader__open(const char *path, struct pd_reader **out);
/** The events seen so far (pipe layout may bring more later). Borrowed until close. */
struct pd_events *pd_reader__events(struct pd_reader *r);
/** Read the next record. Blocks only on a pipe. In pipe layout HEADER_ATTR, EVENT_UPDATE and
 *  HEADER_FEATURE are taken in by the reader, and also returned.
 *  COMPRESSED records are not returned, but the records in them, at the offset of the former.
 *  Of a directory the records of data come first, then those of data.0, data.1...
 *  An error stays: every later call returns it, until a rewind.
 *  @param hdr   borrowed; in native byte order; valid until the next call on r
 *  @param offset  of the record in its file or the stream; may be NULL
 *  @return 1 record, 0 end, -EBADMSG malformed, -ENODATA the file ends inside a record (all
 *  records before it were returned), -errno */
int pd_reader__next(struct pd_reader *r, const struct perf_event_header **hdr, __u64 *offset);
/** The same, past samples: they are not looked at. */
int pd_reader__next_sideband(struct pd_reader *r, const struct perf_event_header **hdr,
			     __u64 *offset);
/** Of the AUXTRACE record that pd_reader__next returned last, read what follows it in pieces. The
 *  record itself is gone after the first call.
 *  @return bytes, 0 when nothing is left, -ENODATA, -errno */
ssize_t pd_reader__payload(struct pd_reader *r, void *buf, size_t cap_bytes);
/** After pd_reader__next failed with -EBADMSG or -ENODATA: pass over the damage, to the next place
 *  that looks like a record and has another, or the end, behind it.
 *  @param skipped  bytes passed over
 *  @return 1 pd_reader__next goes on, 0 nothing is left, -errno */
int pd_reader__skip_damage(struct pd_reader *r, __u64 *skipped);
/** Before the first pd_reader__next, for who wants all that is left of a damaged file: records of
 *  unknown types and malformed ones are errors (-EBADMSG), as their size may be damaged, too; and
 *  an unfinished file is read on behind its last checkpoint. */
void pd_reader__salvage(struct pd_reader *r);
/** Start again at the first record. @return 0, -ESPIPE for a stream */
int pd_reader__rewind(struct pd_reader *r);
bool pd_reader__is_pipe(const struct pd_reader *r);
/** A directory: its records are in several files, each in an order of its own. */
bool pd_reader__has_parts(const struct pd_reader *r);
/** The file has the other byte order. Records are returned in ours, feature sections are not. */
bool pd_reader__is_foreign(const struct pd_reader *r);
/** Of a directory that has one, the folder with the copies of kcore, kallsyms and modules of the
 *  machine that recorded: a path, borrowed until close. @return NULL there is none */
const char *pd_reader__kcore_dir(const struct pd_reader *r);
/** The file was not finished by its writer (no feature bits, or data size 0): what was read is
 *  what had been written up to the last checkpoint. */
bool pd_reader__is_unfinished(const struct pd_reader *r);
/** The file ends before the feature sections that its header announces: it was cut, although all
 *  records are there. */
bool pd_reader__lacks_features(const struct pd_reader *r);
/** Feature section f, in the byte order of the file and maybe unaligned. *data is borrowed until
 *  close; BUILD_ID of a stream, which grows with each record, until the next pd_reader__next.
 *  A stream has TRACING_DATA as soon as that record was returned.
 *  @return 0, -ENOENT, -EBADMSG */
int pd_reader__feature(struct pd_reader *r, enum pd_feature f, const void **data, size_t *bytes);
/** String feature (HOSTNAME, ARCH ...). @return borrowed string or NULL */
const char *pd_reader__feature_string(struct pd_reader *r, enum pd_feature f);
/** Chunk of the private blob, at a multiple of 8 bytes, borrowed until close.
 *  @param version  may be NULL
 *  @return 0, -ENOENT, -EBADMSG */
int pd_reader__blob(struct pd_reader *r, enum pd_blob_type type, __u32 *version, const void **data,
		    size_t *bytes);
/** Walk the BUILD_ID feature. cb returns non-zero to stop. filename is borrowed during cb.
 *  @return 0, cb's value, -ENOENT, -EBADMSG */
int pd_reader__build_ids(struct pd_reader *r, int (*cb)(void *ctx, const struct pd_build_id *id),
			 void *ctx);
/** "offset N: RECORD TYPE: reason" of the last failed call; "" when nothing failed. */
const char *pd_reader__errmsg(const struct pd_reader *r);
void pd_reader__close(struct pd_reader *r);

/** Name of a record type ("SAMPLE", "MMAP2"), or "record type N" in buf (>= 24 bytes). */
const char *pd_record_name(__u32 type, char *buf);

#ifdef __cplusplus
}
#endif
#endif
