/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * session.h - the parts of a session, for the files of this folder only.
 */
#ifndef PA_SESSION_H
#define PA_SESSION_H

#include "convert/convert.h"
#include "convert/fields.h"
#include "convert/offcpu.h"
#include "convert/functions.h"
#include "convert/readings.h"
#include "convert/traces.h"

/** An image as records name it. One per ELF file (path and build-id, else path and inode), one
 *  for the kernel, one for the vdso, one per process and incarnation for JIT code. */
struct pa_session_image {
	enum pa_image_kind kind;
	const char *path; /* interned, as recorded */
	uint8_t build_id[PD_BUILD_ID_MAX];
	uint8_t build_id_bytes;
	uint64_t dev, ino, ino_generation; /* 0 when a build-id is known */
	uint32_t pid;			   /* JIT */
	uint64_t birth_ns;		   /* JIT */
	uint64_t pgoff_min, pgoff_max;	   /* of all executable mappings seen */
	/* the mapping that was hit first, and whose it was; bytes 0: none was hit */
	uint64_t hit_start, hit_bytes, hit_pgoff;
	uint32_t hit_pid;
	struct pa_image *image;	  /* the symbolizer's, from the first address on */
	struct pa_map_info *info; /* from the first address on */
};

/** Entries of a chain that was put together: the kernel's as recorded, the user's walked. */
enum { PA_CHAIN_MAX = 2 * PD_CALLCHAIN_MAX };

/** A distinct stack: numbers of places, leaf first. */
struct pa_stack_entry {
	uint64_t hash;
	const uint32_t *places;
	const char *comm;
	uint64_t sample_cnt, period_sum;
	uint32_t pid, tid;
	uint32_t label; /* index into fields.sets + 1; 0 none */
	uint16_t place_cnt, kernel_cnt, event;
};
_Static_assert(sizeof(struct pa_stack_entry) <= 64, "one cache line per stack");

/** Build-ids that the file lists by name, for records that lack them. */
struct pa_named_build_id {
	uint32_t path; /* index into procs.strings */
	uint8_t bytes, id[PD_BUILD_ID_MAX];
};

/** What tells two samples apart, beside their chain. */
struct pa_stack_key {
	const char *comm;
	uint32_t pid, tid;
	uint32_t label;
	uint16_t event, kernel_cnt;
};

/** A sample after which most differ in their chain and time alone: those of the same thread and
 * event, before anything else happens. */
struct pa_run {
	bool is_on;
	size_t event_cnt; /* of the file then: what an id means depends on it */
	struct pd_sample_words words;
	uint64_t id, pid_tid; /* its words */
	uint64_t period;      /* where none is recorded */
	struct pa_stack_key key;
	struct pa_place_context context;
};

struct pa_session {
	struct pa_session_opts opts;
	struct pa_session_stats stats;
	struct pa_procs procs;
	uint64_t seed;
	bool resolved;

	struct pa_session_image *images;
	size_t image_cnt, image_cap;
	uint32_t kernel_plus1;		   /* index of the kernel's image + 1 */
	struct pa_kernel_text kernel_text; /* where it was when it was recorded */
	struct pa_index image_table;
	struct pa_named_build_id *build_ids;
	size_t build_id_cnt, build_id_cap;
	struct pa_index build_id_table;

	struct pa_stack_entry *stacks;
	size_t stack_cnt, stack_cap;
	struct pa_index stack_table;
	struct pa_stack_queue *stack_queue;
	uint32_t last_stack; /* that a sample was counted in */
	struct pa_pool chains;

	struct pa_moment moment; /* of the last sample; from_ns > to_ns: none */
	uint32_t moment_context; /* its number of pa_places */
	struct pa_run run;

	uint64_t *scratch; /* a chain that is put together from parts: PD_CALLCHAIN_MAX entries */

	struct pa_fields fields;
	struct pa_offcpu offcpu;
	struct pa_readings readings;
	struct pa_traces traces;
	char errmsg[512];

	uint64_t lost_records_cnt; /* by LOST; LOST_SAMPLES says it better where it is */
	uint64_t lost_samples_cnt;

	struct pa_places places;
	struct pa_functions functions;
	struct pa_frame
		*frames;      /* one per place, after resolve; with functions from the first on */
	struct pa_pool infos; /* pa_map_info */
	uint32_t info_cnt;
	struct pa_map_info *jit_info;
	struct pa_session_unwind *unwind; /* from the first copied stack on */
};

/* session_images.c */

/** Index of the image that a mapping shows. @return PA_NONE without memory */
uint32_t pa_session_images__of_mmap(struct pa_session *s, const struct pd_mmap *m,
				    uint64_t birth_ns);
/** Index of the kernel's image. @return PA_NONE without memory */
uint32_t pa_session_images__kernel(struct pa_session *s);
/** Give named build-ids to images that were met before them. After the last record: an image is
 *  not found by its new id. @return 0, -ENOMEM */
int pa_session_images__late_build_ids(struct pa_session *s);
/** Note a build-id that the file lists for a name. @return 0, -ENOMEM */
int pa_session_images__name_build_id(struct pa_session *s, const struct pd_build_id *id);
/** The build-id that the file lists for a name, as far as it was read.
 *  @param id  borrowed. @return its length, 0 unknown */
uint8_t pa_session_images__listed(struct pa_session *s, const char *name, const uint8_t **id);
/** Note that piece of image i was hit, once. In a live capture the image is opened now, while pid
 *  lives. @return 0, -ENOMEM */
int pa_session_images__hit(struct pa_session *s, uint32_t i, uint32_t pid,
			   const struct pa_piece *piece);
/** Ask the symbolizer for image i, unless it was asked. @return 0, -ENOMEM */
int pa_session_images__open(struct pa_session *s, uint32_t i);
/** The mapping that the profile shows for image i. @return NULL without memory */
const struct pa_map_info *pa_session_images__info(struct pa_session *s, uint32_t i);
void pa_session_images__free(struct pa_session *s);

/* resolve.c */

/** What is shown for a place. It may learn its image only now. @return 0, -ENOMEM */
int pa_session_resolve__place(struct pa_session *s, struct pa_place *place, struct pa_frame *frame);

/* unwind.c */

/** Give a sample that carries registers and a copy of its stack the chain that they make: the
 *  kernel's part stays, the user's is walked. Others are left alone.
 *  @param sample  its ips are replaced; they are borrowed until the next call
 *  @return 0, -ENOMEM */
int pa_session_unwind__sample(struct pa_session *s, struct pd_sample *sample, uint32_t space,
			      uint64_t time_ns);
void pa_session_unwind__free(struct pa_session *s);

/* stacks.c */

/** Of a sample: what is counted. */
struct pa_chain {
	const __u64 *ips; /* as recorded; borrowed */
	size_t cnt;	  /* at most PA_CHAIN_MAX */
	uint64_t period;
	uint8_t cpumode;
};

/** Add a sample, now or with one of the next. @param key  kernel_cnt is filled in
 *  @return 0, -ENOMEM */
int pa_stacks__add(struct pa_session *s, const struct pa_stack_key *key,
		   const struct pa_place_context *context, const struct pa_chain *chain);
/** Count the samples that wait. @return 0, -ENOMEM */
int pa_stacks__flush(struct pa_session *s);
void pa_stacks__free_queue(struct pa_session *s);

/* run.c */

/** A sample was taken: begin a run with it, if what follows may be taken like it. */
void pa_run__begin(struct pa_session *s, const struct perf_event_header *hdr,
		   const struct pd_sample *sample, const struct pa_stack_key *key,
		   const struct pa_place_context *context);
/** Take a sample that goes on with the run. @return 1 taken, 0 it does not, -ENOMEM */
int pa_run__feed(struct pa_session *s, const struct perf_event_header *hdr);

/* session.c, for run.c and feed.c */
/** A sample of that time was counted; 0 unknown. */
void pa_session__note_time(struct pa_session *s, uint64_t time_ns);
bool pa_session__is_sideband(__u32 type);
/** When a sideband record happened; 0 where the file's records carry no times. */
uint64_t pa_session__sideband_time(const struct pa_session *s, const struct perf_event_header *hdr);
bool pa_session__is_switch(const struct pa_session *s, __u32 type);
/** Set errmsg. @return err */
int pa_session__fail(struct pa_session *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void pa_session__warn(const struct pa_session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
