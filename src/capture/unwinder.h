/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwinder.h - the user side of walks by unwind tables: packs the images that sampled processes
 * have mapped, tells the program which process has what where, and finishes the walks that the
 * program could not.
 *
 * It hears of mappings by the records that go into the file (which say what was mapped when a
 * sample was taken) and reads /proc/PID/maps for what is mapped now. One thread.
 */
#ifndef PA_CAPTURE_UNWINDER_H
#define PA_CAPTURE_UNWINDER_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/unwind.h"
#include "capture/images.h"
#include "capture/ring.h"
#include "perfdata/perfdata.h"

struct pa_unwinder;

/** Maps of the program that walks; -1: none, for tests. */
struct pa_unwind_maps {
	int blocks_fd, procs_fd, rules_fd, seq_fd;
	bool has_mmap_hook; /* else processes are read again when a record says that they mapped */
};

struct pa_unwinder_opts {
	size_t sz;
	struct pa_unwind_maps maps;
	const struct pd_events *events; /* of the file; borrowed */
	struct pa_images *images;	/* borrowed */
	uint64_t budget_bytes;		/* of tables in the kernel */
	const char *cache_dir;		/* of packed images; NULL: none. Borrowed */
};

struct pa_unwinder_stats {
	uint64_t finished_cnt;	  /* walks that were finished here... */
	uint64_t complete_cnt;	  /* ...up to the outermost frame */
	uint64_t published_cnt;	  /* processes, each time their mappings were read */
	uint64_t image_cnt;	  /* with tables */
	uint64_t over_budget_cnt; /* images and processes without: frame pointers are followed */
	uint64_t evicted_cnt;
	uint64_t
		stale_cnt; /* samples cut where their walk came to code that was mapped just then */
	uint64_t table_bytes;
};

/** @return 0, -ENOMEM, -errno of mapping the program's maps */
int pa_unwinder__new(const struct pa_unwinder_opts *opts, struct pa_unwinder **out);
void pa_unwinder__free(struct pa_unwinder *u);

/** From here on images are packed by a thread of their own. @return 0, -ENOMEM, -errno */
int pa_unwinder__start_thread(struct pa_unwinder *u);
/** Readable when that thread has packed something; -1 without it. */
int pa_unwinder__fd(const struct pa_unwinder *u);

/** A record goes into the file (pa_proctab_opts.record). @return 0, -ENOMEM */
int pa_unwinder__record(struct pa_unwinder *u, const struct perf_event_header *hdr, uint32_t file);
/** Read a process's mappings, pack what is new among them, and let the program walk by them.
 *  @return 0 (also when the process is gone), -ENOMEM */
int pa_unwinder__publish(struct pa_unwinder *u, pid_t pid);
/** The same for every process there is. @return 0, -ENOMEM, -errno of reading /proc */
int pa_unwinder__publish_all(struct pa_unwinder *u);
/** A process has ended. */
void pa_unwinder__forget(struct pa_unwinder *u, pid_t pid);
/** Finish a walk and append its sample to out. The records of what its process had mapped must
 *  have come. The process is published in pa_unwinder__end_pass.
 *  @return 0, -ENOMEM */
int pa_unwinder__finish(struct pa_unwinder *u, const struct pa_miss_record *miss,
			struct pa_bytes *out);
/** Without news of mappings, walks may have used what was mapped before: cut such samples where
 *  they came to code that was mapped meanwhile. The records up to the samples' times must have
 *  come. */
void pa_unwinder__cut_stale(struct pa_unwinder *u, struct pa_bytes *samples);
/** Samples of the pass: processes that have none for long make room for others. */
void pa_unwinder__note_samples(struct pa_unwinder *u, const struct pa_bytes *samples);
/** A pass ends. @return 0, -ENOMEM */
int pa_unwinder__end_pass(struct pa_unwinder *u, uint64_t now_ns);
void pa_unwinder__stats(const struct pa_unwinder *u, struct pa_unwinder_stats *out);

#endif
