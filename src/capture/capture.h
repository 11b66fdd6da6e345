/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * capture.h - drain the samplers and the sideband, pass by pass, into the file and the session.
 */
#ifndef PA_CAPTURE_CAPTURE_H
#define PA_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/images.h"
#include "capture/offsampler.h"
#include "capture/sampler.h"
#include "capture/switchlog.h"
#include "capture/waits.h"
#include "convert/convert.h"
#include "perfdata/perfdata.h"

struct pa_capture;

/** Where samples of one kind go, and what describes their processes. Borrowed. */
struct pa_sink {
	struct pd_writer *writer;   /* NULL: no file */
	struct pa_session *session; /* NULL: none */
};

struct pa_capture_opts {
	size_t sz;
	const struct pa_sampler_opts *sampler;	 /* NULL: no on-CPU samples */
	const struct pa_offsampler_opts *offcpu; /* NULL: no off-CPU samples */
	bool all;				 /* every process */
	bool follow;				 /* the targets' children join them */
	uint64_t sample_id;			 /* of the records that describe processes */
	const struct pd_events *events;		 /* of a file with all samples' layout; borrowed */
	struct pa_images *images;		 /* borrowed */
	struct pa_sink on, off;
	bool one_file;	   /* on's: what goes to off's session goes there, too */
	const pid_t *pids; /* targets, when !all */
	size_t pid_cnt;
	uint64_t table_bytes;  /* of unwind tables at most, when the samplers want any */
	bool tables_first;     /* of everything that runs, before anything is sampled */
	const char *cache_dir; /* of packed images; NULL: none. Borrowed */
};

struct pa_capture_stats {
	struct pa_sampler_stats sampler;
	struct pa_offsampler_stats offcpu;
	struct pa_waits_stats waits;
	struct pa_unwinder_stats unwinder;
	bool has_tables;
	uint64_t drained_cnt, off_drained_cnt; /* samples taken out of the rings */
	uint64_t waiting_walked_cnt;	       /* when it began */
	uint64_t sideband_lost_cnt;
	uint64_t enrolled_cnt, maps_read_cnt, gone_cnt;
	uint64_t pass_cnt;
};

/** Open samplers and sideband, write the kernel's maps and those of the targets. Nothing is
 *  sampled yet. *out is set (close it) unless -ENOMEM, for pa_capture__errmsg. @return 0, -errno */
int pa_capture__open(const struct pa_capture_opts *opts, struct pa_capture **out);
/** Start sampling. @return 0, -errno */
int pa_capture__enable(struct pa_capture *c);
/** Stop sampling. */
void pa_capture__disable(struct pa_capture *c);
/** After the last pass: write the waits that go on. @return 0, -errno as of a pass */
int pa_capture__flush(struct pa_capture *c);
/** Drain everything once. @return 0, -errno: the writer's error, or -ENOMEM */
int pa_capture__pass(struct pa_capture *c);
/** How long the next pass may wait: 50 to 500 ms, by how much came in. A first sample of a
 *  process, and a filling ring, wake the reader sooner. */
uint64_t pa_capture__interval_ns(const struct pa_capture *c);
/** Add a process to the set that is sampled. @return 0, -errno */
int pa_capture__add_pid(struct pa_capture *c, pid_t pid);
/** A target has ended: who has its id from now on is none. */
void pa_capture__remove_pid(struct pa_capture *c, pid_t pid);
/** Readable when a pass is due before the timer's. */
int pa_capture__epoll_fd(const struct pa_capture *c);
/** Walk the images that BUILD_ID should list. */
int pa_capture__build_ids(const struct pa_capture *c, struct pd_build_id **ids, size_t *cnt);
void pa_capture__stats(const struct pa_capture *c, struct pa_capture_stats *out);
const char *pa_capture__errmsg(const struct pa_capture *c);
/** User stacks are walked by tables. */
bool pa_capture__has_tables(const struct pa_capture *c);
/** The kernel's symbols are hidden: kernel frames stay numbers. */
bool pa_capture__kernel_hidden(const struct pa_capture *c);
void pa_capture__close(struct pa_capture *c);

/** CLOCK_MONOTONIC, and wall-clock time, in ns. */
uint64_t pa_monotonic_ns(void);
uint64_t pa_wall_ns(void);

#endif
