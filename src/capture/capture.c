// SPDX-License-Identifier: GPL-2.0-only
/*
 * capture.c - one pass: take the samples out of the rings, then the sideband (so that all that
 * happened before a sample is in hand), enrol the processes that were sampled for the first time,
 * write it all, and close the round.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bpf/cpu.h"
#include "capture/capture.h"
#include "capture/kmaps.h"
#include "capture/proctab.h"
#include "capture/sideband.h"

#define INTERVAL_MIN_NS 50000000ULL
#define INTERVAL_MAX_NS 500000000ULL
#define BATCH_SAMPLE_BYTES (1 << 20)	/* of a good pass: one begins with cold caches, 160 us */
#define BATCH_SIDEBAND_BYTES (64 << 10) /* an eighth of what the kernel has room for */
#define HEADERS_AHEAD_BYTES 4096	/* records whose headers are fetched before they are read */
#define CPU_CHECK_NS 1000000000ULL	/* how often CPUs are looked for that came or went */

struct kernel_image {
	char name[80];
	uint8_t id[PD_BUILD_ID_MAX], id_bytes;
};

struct pa_capture {
	struct pa_capture_opts opts;
	struct pa_sampler *sampler;
	struct pa_sideband *sideband;
	struct pa_proctab *proctab;
	struct pa_unwinder *unwinder; /* NULL: frame pointers */
	struct pa_sideband_batch batch;
	struct pa_offsampler *offcpu;
	struct pa_waits *waits;
	struct pa_offsampler_opts off_opts;
	struct pa_switchlog log; /* with offcpu.log_switches, instead */
	struct pa_bytes samples, out;
	struct pa_bytes off, off_next; /* samples of waits; those for the next pass */
	struct pa_bytes misses;	       /* walks to finish... */
	struct pa_bytes off_misses;    /* ...of waits */
	struct pa_bytes walk;
	struct kernel_image *kernel;
	size_t kernel_cnt;
	uint64_t pass_ns;   /* start of the last pass */
	uint64_t max_ns[2]; /* latest time written up to the last pass, and the one before it */
	uint64_t cpu_check_ns;
	uint64_t interval_ns;
	uint64_t reported_lost, off_reported_lost;
	struct pa_capture_stats stats;
	bool kernel_hidden;
	int epoll_fd;
	char errmsg[640];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t pa_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t pa_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

static int fail(struct pa_capture *c, int err, const char *msg)
{
	snprintf(c->errmsg, sizeof(c->errmsg), "%s",
		 msg && *msg ? msg : (err == -ENOMEM ? "out of memory" : strerror(-err)));
	return err;
}

static void process_ended(void *ctx, pid_t pid)
{
	struct pa_capture *c = ctx;

	if (c->sampler)
		pa_sampler__forget_pid(c->sampler, pid);
	if (c->offcpu)
		pa_offsampler__forget_pid(c->offcpu, pid);
	if (c->unwinder)
		pa_unwinder__forget(c->unwinder, pid);
}

static int record_written(void *ctx, const struct perf_event_header *hdr, uint32_t file)
{
	struct pa_capture *c = ctx;

	return c->unwinder ? pa_unwinder__record(c->unwinder, hdr, file) : 0;
}

static void keep_kernel_image(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes)
{
	struct pa_capture *c = ctx;
	struct kernel_image *list = reallocarray(c->kernel, c->kernel_cnt + 1, sizeof(*list));

	if (!list)
		return; /* one build-id fewer in the table; the map has it */
	c->kernel = list;
	snprintf(list[c->kernel_cnt].name, sizeof(list->name), "%s", path);
	memcpy(list[c->kernel_cnt].id, id, PD_BUILD_ID_MAX);
	list[c->kernel_cnt++].id_bytes = id_bytes;
}

static int feed_session(struct pa_capture *c, struct pa_session *session, const struct pa_bytes *b)
{
	size_t offset = 0;
	int err = 0;

	while (session && offset < b->len && err != -ENOMEM) {
		const struct perf_event_header *hdr = (const void *)(b->data + offset);

		err = pa_session__feed(session, hdr);
		offset += hdr->size;
	}
	return err == -ENOMEM ? fail(c, err, NULL) : 0;
}

static int put(struct pa_capture *c, const struct pa_sink *sink, const struct pa_bytes *b)
{
	int err = 0, session_err;

	if (!b->len)
		return 0;
	if (sink->writer)
		err = pd_writer__append(sink->writer, b->data, b->len);
	/* the profile is another file: it has them all the same */
	session_err = feed_session(c, sink->session, b);
	return err ? fail(c, err, pd_writer__errmsg(sink->writer)) : session_err;
}

/* What describes processes goes wherever samples go. */
static int put_sideband(struct pa_capture *c)
{
	int err = put(c, &c->opts.on, &c->out), off_err = put(c, &c->opts.off, &c->out);

	return err ? err : off_err;
}

static int write_kernel_maps(struct pa_capture *c)
{
	int err;

	c->out.len = 0;
	err = pa_kmaps__append(c->opts.events, c->opts.sample_id, &c->out, keep_kernel_image, c);
	if (err == -ENOMEM)
		return fail(c, err, NULL);
	if (err) {
		c->kernel_hidden = true;
		c->out.len = 0;
	}
	return put_sideband(c);
}

/* The targets are known before they are sampled, so their maps can be read before any is gone. */
static int enrol_targets(struct pa_capture *c)
{
	uint64_t now = pa_monotonic_ns();
	int err = 0;

	c->out.len = 0;
	pa_proctab__begin_pass(c->proctab, now, 0);
	for (size_t i = 0; i < c->opts.pid_cnt && !err; i++) {
		err = pa_capture__add_pid(c, c->opts.pids[i]);
		if (err)
			return fail(c, err, err == -E2BIG ? "--pid: too many processes" : NULL);
		if (!c->opts.follow)
			err = pa_proctab__sample(c->proctab, (uint32_t)c->opts.pids[i], now);
	}
	if (!err)
		err = pa_proctab__enrol(c->proctab, &c->out);
	for (size_t i = 0; c->unwinder && i < c->opts.pid_cnt && !err; i++)
		if (!c->opts.follow)
			err = pa_unwinder__publish(c->unwinder, c->opts.pids[i]);
	if (!err && c->unwinder && c->opts.all && c->opts.tables_first)
		err = pa_unwinder__publish_all(c->unwinder);
	return err ? fail(c, err, NULL) : put_sideband(c);
}

static int make_unwinder(struct pa_capture *c)
{
	struct pa_unwinder_opts opts = {
		.sz = sizeof(opts),
		.events = c->opts.events,
		.images = c->opts.images,
		.budget_bytes = c->opts.table_bytes,
		.cache_dir = c->opts.cache_dir,
	};
	int err;

	if (c->sampler ? pa_sampler__unwind_maps(c->sampler, &opts.maps)
		       : pa_offsampler__unwind_maps(c->offcpu, &opts.maps))
		return 0;
	err = pa_unwinder__new(&opts, &c->unwinder);
	return err ? fail(c, err, NULL) : 0;
}

static int open_samplers(struct pa_capture *c)
{
	struct pa_offsampler_opts offcpu;
	int err = 0;

	if (c->opts.sampler) {
		err = pa_sampler__open(c->opts.sampler, &c->sampler);
		if (err)
			return fail(c, err, c->sampler ? pa_sampler__errmsg(c->sampler) : NULL);
	}
	if (!c->opts.offcpu)
		return 0;
	c->off_opts = *c->opts.offcpu; /* the caller's goes */
	c->opts.offcpu = &c->off_opts;
	c->log.tracepoint = c->off_opts.tracepoint_id != 0;
	c->log.id = c->off_opts.reason_ids[0];
	offcpu = c->off_opts;
	offcpu.sampler = c->sampler;
	err = pa_offsampler__open(&offcpu, &c->offcpu);
	if (err)
		return fail(c, err, c->offcpu ? pa_offsampler__errmsg(c->offcpu) : NULL);
	err = pa_waits__new(&c->waits);
	return err ? fail(c, err, NULL) : 0;
}

/* One descriptor for the rings of both, and for the packer's news. */
static int watch(struct pa_capture *c, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int watch_rings(struct pa_capture *c)
{
	int err = 0;

	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0)
		err = -errno;
	if (!err && c->sampler)
		err = watch(c, pa_sampler__epoll_fd(c->sampler));
	if (!err && c->offcpu)
		err = watch(c, pa_offsampler__epoll_fd(c->offcpu));
	return err ? fail(c, err, NULL) : 0;
}

int pa_capture__open(const struct pa_capture_opts *opts, struct pa_capture **out)
{
	struct pa_capture *c = calloc(1, sizeof(*c));
	struct pa_proctab_opts proctab_opts = {
		.sz = sizeof(proctab_opts),
		.events = opts->events,
		.sample_id = opts->sample_id,
		.images = opts->images,
		.ended = process_ended,
		.record = record_written,
		.ctx = c,
	};
	int err;

	*out = c;
	if (!c)
		return -ENOMEM;
	c->opts = *opts;
	c->epoll_fd = -1;
	err = open_samplers(c);
	if (!err)
		err = watch_rings(c);
	if (err)
		return err;
	err = pa_sideband__open(&c->sideband);
	if (err)
		return fail(c, err, c->sideband ? pa_sideband__errmsg(c->sideband) : NULL);
	err = pa_proctab__new(&proctab_opts, &c->proctab);
	if (err)
		return fail(c, err, NULL);
	err = make_unwinder(c);
	if (err)
		return err;
	err = write_kernel_maps(c);
	if (!err)
		err = enrol_targets(c);
	c->pass_ns = c->cpu_check_ns = pa_monotonic_ns();
	c->interval_ns = 2 * INTERVAL_MIN_NS;
	return err;
}

/* Threads that wait already: what they wait for is read from them, batch by batch. */
static int take_waiting_batch(struct pa_capture *c, const struct pa_bytes *batch)
{
	int err = 0;

	c->out.len = 0;
	for (size_t offset = 0; offset < batch->len && !err;) {
		const struct pa_miss_record *miss = (const void *)(batch->data + offset);

		err = pa_proctab__sample(c->proctab, miss->pid, miss->time);
		offset += miss->size;
	}
	if (!err)
		err = pa_proctab__enrol(c->proctab, &c->out);
	for (size_t offset = 0; offset < batch->len && !err;) {
		const struct pa_miss_record *miss = (const void *)(batch->data + offset);

		c->walk.len = 0;
		err = pa_waits__walk(c->unwinder, miss, &c->walk);
		c->stats.waiting_walked_cnt += c->unwinder && miss->reason;
		if (!err)
			pa_offsampler__keep_waiting(c->offcpu, miss->res, (void *)c->walk.data);
		offset += miss->size;
	}
	return err ? fail(c, err, NULL) : put_sideband(c);
}

static int take_waiting(struct pa_capture *c)
{
	int err = 0, more;

	pa_proctab__begin_pass(c->proctab, pa_monotonic_ns(), 0);
	while ((more = pa_offsampler__read_waiting(c->offcpu, &c->off)) > 0 && !err)
		err = take_waiting_batch(c, &c->off);
	if (more < 0 && !err)
		err = fail(c, more, NULL);
	c->off.len = 0;
	return err;
}

static int enable_offcpu(struct pa_capture *c)
{
	int err = pa_offsampler__enable(c->offcpu);

	if (err)
		return fail(c, err, pa_offsampler__errmsg(c->offcpu));
	if (!c->opts.follow) /* a command waits for us */
		err = take_waiting(c);
	if (!err)
		pa_offsampler__begin(c->offcpu, pa_monotonic_ns());
	return err;
}

/* What was to be packed before is. */
static int start_packer(struct pa_capture *c)
{
	int err = pa_unwinder__start_thread(c->unwinder);

	return err ? err : watch(c, pa_unwinder__fd(c->unwinder));
}

int pa_capture__enable(struct pa_capture *c)
{
	int err = c->unwinder ? start_packer(c) : 0;

	if (err)
		return fail(c, err, NULL);
	if (c->offcpu)
		err = enable_offcpu(c);
	if (err || !c->sampler)
		return err;
	err = pa_sampler__enable(c->sampler);
	return err ? fail(c, err, pa_sampler__errmsg(c->sampler)) : 0;
}

void pa_capture__disable(struct pa_capture *c)
{
	if (c->sampler)
		pa_sampler__disable(c->sampler);
	if (c->offcpu)
		pa_offsampler__end(c->offcpu, pa_monotonic_ns());
}

int pa_capture__add_pid(struct pa_capture *c, pid_t pid)
{
	/* they share one map of them */
	return c->sampler ? pa_sampler__add_pid(c->sampler, pid)
			  : pa_offsampler__add_pid(c->offcpu, pid);
}

void pa_capture__remove_pid(struct pa_capture *c, pid_t pid)
{
	if (c->sampler)
		pa_sampler__remove_pid(c->sampler, pid);
	else
		pa_offsampler__remove_pid(c->offcpu, pid);
}

int pa_capture__epoll_fd(const struct pa_capture *c)
{
	return c->epoll_fd;
}

static int check_cpus(struct pa_capture *c, uint64_t now)
{
	int err;

	if (now - c->cpu_check_ns < CPU_CHECK_NS)
		return 0;
	c->cpu_check_ns = now;
	/* sideband first: no sample of a CPU without the events of its processes */
	err = pa_sideband__update_cpus(c->sideband);
	if (err)
		return fail(c, err, pa_sideband__errmsg(c->sideband));
	err = c->sampler ? pa_sampler__update_cpus(c->sampler) : 0;
	if (err)
		return fail(c, err, pa_sampler__errmsg(c->sampler));
	err = c->offcpu ? pa_offsampler__update_cpus(c->offcpu) : 0;
	return err ? fail(c, err, pa_offsampler__errmsg(c->offcpu)) : 0;
}

static void note_exit(struct pa_capture *c, const struct perf_event_header *hdr)
{
	struct pd_task task;

	if (c->waits && hdr->type == PERF_RECORD_EXIT &&
	    !pd_task__parse(c->opts.events, hdr, &task))
		pa_waits__exited(c->waits, task.tid, task.time);
}

static int feed_sideband(struct pa_capture *c)
{
	int err = pa_sideband__drain(c->sideband, c->opts.sample_id, &c->batch);

	if (!err && c->batch.lost_cnt) {
		c->stats.sideband_lost_cnt += c->batch.lost_cnt;
		pa_proctab__resync(c->proctab);
	}
	for (size_t i = 0; i < c->batch.cnt && !err; i++) {
		const struct pa_sideband_entry *e = &c->batch.entries[i];
		const void *record = c->batch.bytes.data + e->offset;

		note_exit(c, record);
		err = pa_proctab__feed(c->proctab, record, &c->out);
		if (e->time_ns > c->max_ns[0])
			c->max_ns[0] = e->time_ns;
	}
	return err;
}

/* Look at type, process and time of each record; those of private types are taken out, and walks
 * to finish put aside: those of one type. */
static int note_samples(struct pa_capture *c, struct pa_bytes *samples, uint32_t miss_type,
			struct pa_bytes *misses, uint64_t *cnt)
{
	uint64_t max_ns = c->max_ns[0];
	size_t offset = 0, kept = 0;
	int err = 0;

	while (offset < samples->len && !err) {
		const struct pa_sample_record *rec = (const void *)(samples->data + offset);
		size_t size = rec->size;

		__builtin_prefetch((const char *)rec + HEADERS_AHEAD_BYTES);
		if (rec->type >= PA_RING_TYPE_PRIVATE && rec->type != miss_type &&
		    rec->type != PA_RING_TYPE_SWITCH) {
			offset += size;
			continue;
		}
		err = pa_proctab__sample(c->proctab, rec->pid, rec->time);
		if (rec->time > max_ns)
			max_ns = rec->time;
		*cnt += rec->type != PA_RING_TYPE_WAIT;
		offset += size;
		if (rec->type == miss_type) {
			err = err ? err : pa_bytes__append(misses, rec, size);
			continue;
		}
		if (kept != offset - size)
			memmove(samples->data + kept, rec, size);
		kept += size;
	}
	samples->len = kept;
	c->max_ns[0] = max_ns;
	return err;
}

static int finish_wait(struct pa_capture *c, const struct pa_miss_record *miss)
{
	int err;

	if (c->opts.offcpu->log_switches)
		return pa_waits__walk(c->unwinder, miss, &c->off);
	c->walk.len = 0;
	err = pa_waits__walk(c->unwinder, miss, &c->walk);
	return err ? err : pa_waits__walked(c->waits, (const void *)c->walk.data);
}

/* What their processes had mapped is known by now. */
static int finish_walks(struct pa_capture *c)
{
	int err = 0;

	if (c->unwinder) {
		pa_unwinder__cut_stale(c->unwinder, &c->samples);
		pa_unwinder__note_samples(c->unwinder, &c->samples);
		pa_unwinder__note_samples(c->unwinder, &c->off);
	}
	for (size_t offset = 0; offset < c->misses.len && c->unwinder && !err;) {
		const struct pa_miss_record *miss = (const void *)(c->misses.data + offset);

		err = pa_unwinder__finish(c->unwinder, miss, &c->samples);
		offset += miss->size;
	}
	for (size_t offset = 0; offset < c->off_misses.len && !err;) {
		const struct pa_miss_record *miss = (const void *)(c->off_misses.data + offset);

		err = finish_wait(c, miss);
		offset += miss->size;
	}
	c->misses.len = c->off_misses.len = 0;
	if (err || !c->offcpu)
		return err;
	return c->opts.offcpu->log_switches ? pa_switchlog__join(&c->log, &c->off, &c->off_next)
					    : pa_waits__complete(c->waits, &c->off);
}

/* What the rings had no room for since the last pass, as both records that readers know. */
static int append_lost(struct pa_capture *c, struct pa_bytes *samples, uint64_t lost_cnt,
		       uint64_t *reported, uint64_t now)
{
	struct pd_lost lost = {.id_value = c->opts.sample_id, .lost_cnt = lost_cnt - *reported};
	void *to;
	int n;

	if (!lost.lost_cnt)
		return 0;
	lost.id = (struct pd_sample_id){.time = now, .id = c->opts.sample_id};
	*reported = lost_cnt;
	to = pa_bytes__reserve(samples, 512);
	if (!to)
		return -ENOMEM;
	n = pd_put_lost(to, 256, c->opts.events, &lost);
	samples->len += n > 0 ? (size_t)n : 0;
	n = pd_put_lost_samples(samples->data + samples->len, 256, c->opts.events, &lost);
	samples->len += n > 0 ? (size_t)n : 0;
	return 0;
}

static int append_all_lost(struct pa_capture *c, uint64_t now)
{
	struct pa_offsampler_stats off;
	struct pa_sampler_stats on;
	int err = 0;

	if (c->sampler) {
		pa_sampler__stats(c->sampler, &on);
		err = append_lost(c, &c->samples, on.lost, &c->reported_lost, now);
	}
	if (err || !c->offcpu)
		return err;
	pa_offsampler__stats(c->offcpu, &off);
	return append_lost(c, &c->off, off.walks.lost, &c->off_reported_lost, now);
}

static int append_round(const struct pa_capture *c, struct pa_bytes *samples)
{
	void *to;
	int n;

	if (!samples->len && !c->out.len)
		return 0;
	to = pa_bytes__reserve(samples, 64);

	if (!to)
		return -ENOMEM;
	n = pd_put_finished_round(to, 64);
	samples->len += n > 0 ? (size_t)n : 0;
	return 0;
}

/* Come twice as late when there was little to do, twice as soon when there was too much. */
static void adapt_interval(struct pa_capture *c)
{
	size_t bytes = c->samples.len + c->off.len;

	if (bytes > BATCH_SAMPLE_BYTES || c->batch.bytes.len > BATCH_SIDEBAND_BYTES)
		c->interval_ns /= 2;
	else if (bytes < BATCH_SAMPLE_BYTES / 2 && c->batch.bytes.len < BATCH_SIDEBAND_BYTES / 2)
		c->interval_ns *= 2;
	if (c->interval_ns < INTERVAL_MIN_NS)
		c->interval_ns = INTERVAL_MIN_NS;
	if (c->interval_ns > INTERVAL_MAX_NS)
		c->interval_ns = INTERVAL_MAX_NS;
}

/* A wait's walk is in a ring before its sample is in another, but that one may be drained first:
 * what comes in a second round is for its walks, the rest for the next pass. */
static int drain_offcpu(struct pa_capture *c)
{
	struct pa_bytes held = c->off_next;
	int64_t n;

	c->off_next = c->off;
	c->off_next.len = 0;
	c->off = held;
	n = pa_offsampler__drain(c->offcpu, &c->off);
	if (n >= 0 && pa_waits__is_awaited(&c->off))
		n = pa_offsampler__drain(c->offcpu, &c->off_next);
	return n < 0 ? (int)n : 0;
}

/* Samples first, then the sideband: it has all that happened before them. */
static int drain_all(struct pa_capture *c)
{
	struct epoll_event edges[4];
	int64_t n = 0;
	int err;

	epoll_wait(c->epoll_fd, edges, 4, 0); /* take the news that this pass answers */
	c->samples.len = c->off.len = 0;
	if (c->sampler)
		n = pa_sampler__drain(c->sampler, &c->samples);
	err = n < 0 ? (int)n : 0;
	if (!err && c->offcpu)
		err = drain_offcpu(c);
	return err ? err : feed_sideband(c);
}

static int take_next_walks(struct pa_capture *c)
{
	size_t kept = 0;
	int err = 0;

	for (size_t offset = 0; offset < c->off_next.len && !err;) {
		const struct pa_sample_record *rec = (const void *)(c->off_next.data + offset);
		size_t size = rec->size;

		offset += size;
		if (rec->type == PA_RING_TYPE_WAIT) {
			err = pa_proctab__sample(c->proctab, rec->pid, rec->time);
			err = err ? err : pa_bytes__append(&c->off_misses, rec, size);
			continue;
		}
		memmove(c->off_next.data + kept, rec, size);
		kept += size;
	}
	c->off_next.len = kept;
	return err;
}

/* What was drained, made ready to be written. */
static int take_samples(struct pa_capture *c, uint64_t now)
{
	int err =
		note_samples(c, &c->samples, PA_RING_TYPE_MISS, &c->misses, &c->stats.drained_cnt);

	if (!err)
		err = note_samples(c, &c->off, PA_RING_TYPE_WAIT, &c->off_misses,
				   &c->stats.off_drained_cnt);
	if (!err)
		err = take_next_walks(c);
	if (!err)
		err = pa_proctab__enrol(c->proctab, &c->out);
	if (!err)
		err = finish_walks(c);
	if (!err)
		err = append_all_lost(c, now);
	/* one round of what comes to one file */
	if (!err && !c->opts.one_file)
		err = append_round(c, &c->samples);
	return err ? err : append_round(c, &c->off);
}

static int write_samples(struct pa_capture *c)
{
	const struct pa_sink *sinks[] = {&c->opts.on, &c->opts.off};
	const struct pa_sink off = {
		.writer = c->opts.one_file ? c->opts.on.writer : c->opts.off.writer,
		.session = c->opts.off.session,
	};
	int err = put_sideband(c), on_err = put(c, &c->opts.on, &c->samples),
	    off_err = put(c, &off, &c->off);

	err = err ? err : on_err ? on_err : off_err;
	for (size_t i = 0; i < 2 && !err; i++) {
		if (!sinks[i]->writer)
			continue;
		err = pd_writer__checkpoint(sinks[i]->writer);
		if (err)
			fail(c, err, pd_writer__errmsg(sinks[i]->writer));
	}
	return err;
}

int pa_capture__pass(struct pa_capture *c)
{
	uint64_t now = pa_monotonic_ns();
	int err;

	c->out.len = 0;
	c->stats.pass_cnt++;
	pa_proctab__begin_pass(c->proctab, c->pass_ns, c->max_ns[1]);
	c->max_ns[1] = c->max_ns[0];
	err = drain_all(c);
	if (!err)
		err = take_samples(c, now);
	if (err)
		return fail(c, err, NULL);
	err = write_samples(c);
	if (err)
		return err;
	pa_proctab__end_pass(c->proctab);
	err = c->unwinder ? pa_unwinder__end_pass(c->unwinder, now) : 0;
	if (err)
		return fail(c, err, NULL);
	c->pass_ns = now;
	adapt_interval(c);
	return check_cpus(c, now);
}

int pa_capture__flush(struct pa_capture *c)
{
	uint64_t now = pa_monotonic_ns();
	int err;

	if (!c->offcpu)
		return 0;
	c->out.len = c->samples.len = 0;
	pa_proctab__begin_pass(c->proctab, c->pass_ns, c->max_ns[1]);
	err = drain_offcpu(c);
	if (!err)
		err = pa_offsampler__flush(c->offcpu, &c->off);
	if (!err)
		err = feed_sideband(c);
	if (!err)
		err = take_samples(c, now);
	return err ? fail(c, err, NULL) : write_samples(c);
}

uint64_t pa_capture__interval_ns(const struct pa_capture *c)
{
	return c->interval_ns;
}

struct id_list {
	struct pd_build_id *ids;
	size_t cnt, cap;
	bool failed;
};

static void list_id(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes)
{
	struct id_list *l = ctx;

	if (l->cnt == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct pd_build_id *ids = reallocarray(l->ids, cap, sizeof(*ids));

		if (!ids) {
			l->failed = true;
			return;
		}
		l->ids = ids;
		l->cap = cap;
	}
	l->ids[l->cnt] = (struct pd_build_id){
		.pid = -1,
		.cpumode = *path == '[' ? PERF_RECORD_MISC_KERNEL : PERF_RECORD_MISC_USER,
		.bytes = id_bytes,
		.filename = path,
	};
	memcpy(l->ids[l->cnt++].id, id, PD_BUILD_ID_MAX);
}

int pa_capture__build_ids(const struct pa_capture *c, struct pd_build_id **ids, size_t *cnt)
{
	struct id_list l = {0};

	for (size_t i = 0; i < c->kernel_cnt; i++)
		list_id(&l, c->kernel[i].name, c->kernel[i].id, c->kernel[i].id_bytes);
	pa_images__each(c->opts.images, list_id, &l);
	if (l.failed) {
		free(l.ids);
		return -ENOMEM;
	}
	*ids = l.ids;
	*cnt = l.cnt;
	return 0;
}

void pa_capture__stats(const struct pa_capture *c, struct pa_capture_stats *out)
{
	struct pa_proctab_stats proctab = {0};

	*out = c->stats;
	if (c->sampler)
		pa_sampler__stats(c->sampler, &out->sampler);
	if (c->offcpu)
		pa_offsampler__stats(c->offcpu, &out->offcpu);
	if (c->waits)
		pa_waits__stats(c->waits, &out->waits);
	if (c->offcpu && c->opts.offcpu->log_switches) {
		out->off_drained_cnt = out->waits.sample_cnt = c->log.sample_cnt;
		out->offcpu.walks.lost += c->log.lost_cnt;
	}
	out->has_tables = c->unwinder != NULL;
	if (c->unwinder)
		pa_unwinder__stats(c->unwinder, &out->unwinder);
	if (c->proctab)
		pa_proctab__stats(c->proctab, &proctab);
	out->enrolled_cnt = proctab.enrolled_cnt;
	out->maps_read_cnt = proctab.maps_read_cnt;
	out->gone_cnt = proctab.gone_cnt;
}

const char *pa_capture__errmsg(const struct pa_capture *c)
{
	return c->errmsg;
}

bool pa_capture__has_tables(const struct pa_capture *c)
{
	return c->unwinder != NULL;
}

bool pa_capture__kernel_hidden(const struct pa_capture *c)
{
	return c->kernel_hidden;
}

void pa_capture__close(struct pa_capture *c)
{
	if (!c)
		return;
	pa_unwinder__free(c->unwinder);
	pa_offsampler__close(c->offcpu);
	pa_sampler__close(c->sampler);
	pa_waits__free(c->waits);
	pa_switchlog__clear(&c->log);
	pa_sideband__close(c->sideband);
	pa_proctab__free(c->proctab);
	pa_sideband_batch__free(&c->batch);
	pa_bytes__free(&c->samples);
	pa_bytes__free(&c->out);
	pa_bytes__free(&c->off);
	pa_bytes__free(&c->off_next);
	pa_bytes__free(&c->misses);
	pa_bytes__free(&c->off_misses);
	pa_bytes__free(&c->walk);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	free(c->kernel);
	free(c);
}
