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

#include "bpf/cpu.h"
#include "capture/capture.h"
#include "capture/kmaps.h"
#include "capture/proctab.h"
#include "capture/sideband.h"

#define INTERVAL_MIN_NS 50000000ULL
#define INTERVAL_MAX_NS 500000000ULL
#define BATCH_SAMPLE_BYTES (512 << 10)	/* of a good pass: its fixed cost is spread, it fits L2 */
#define BATCH_SIDEBAND_BYTES (64 << 10) /* an eighth of what the kernel has room for */
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
	struct pa_bytes samples, out;
	struct pa_bytes misses; /* walks to finish */
	struct kernel_image *kernel;
	size_t kernel_cnt;
	uint64_t pass_ns;   /* start of the last pass */
	uint64_t max_ns[2]; /* latest time written up to the last pass, and the one before it */
	uint64_t cpu_check_ns;
	uint64_t interval_ns;
	uint64_t reported_lost;
	struct pa_capture_stats stats;
	bool kernel_hidden;
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

	pa_sampler__forget_pid(c->sampler, pid);
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

static int feed_session(struct pa_capture *c, const struct pa_bytes *b)
{
	size_t offset = 0;
	int err = 0;

	while (c->opts.session && offset < b->len && err != -ENOMEM) {
		const struct perf_event_header *hdr = (const void *)(b->data + offset);

		err = pa_session__feed(c->opts.session, hdr);
		offset += hdr->size;
	}
	return err == -ENOMEM ? fail(c, err, NULL) : 0;
}

static int put(struct pa_capture *c, const struct pa_bytes *b)
{
	int err = 0, session_err;

	if (!b->len)
		return 0;
	if (c->opts.writer)
		err = pd_writer__append(c->opts.writer, b->data, b->len);
	session_err =
		feed_session(c, b); /* the profile is another file: it has them all the same */
	return err ? fail(c, err, pd_writer__errmsg(c->opts.writer)) : session_err;
}

static int write_kernel_maps(struct pa_capture *c)
{
	int err;

	c->out.len = 0;
	err = pa_kmaps__append(c->opts.events, c->opts.sampler.sample_id, &c->out,
			       keep_kernel_image, c);
	if (err == -ENOMEM)
		return fail(c, err, NULL);
	if (err) {
		c->kernel_hidden = true;
		c->out.len = 0;
	}
	return put(c, &c->out);
}

/* The targets are known before they are sampled, so their maps can be read before any is gone. */
static int enrol_targets(struct pa_capture *c)
{
	uint64_t now = pa_monotonic_ns();
	int err = 0;

	c->out.len = 0;
	pa_proctab__begin_pass(c->proctab, now, 0);
	for (size_t i = 0; i < c->opts.pid_cnt && !err; i++) {
		err = pa_sampler__add_pid(c->sampler, c->opts.pids[i]);
		if (err)
			return fail(c, err, err == -E2BIG ? "--pid: too many processes" : NULL);
		if (!c->opts.sampler.follow)
			err = pa_proctab__sample(c->proctab, (uint32_t)c->opts.pids[i], now);
	}
	if (!err)
		err = pa_proctab__enrol(c->proctab, &c->out);
	for (size_t i = 0; c->unwinder && i < c->opts.pid_cnt && !err; i++)
		if (!c->opts.sampler.follow)
			err = pa_unwinder__publish(c->unwinder, c->opts.pids[i]);
	if (!err && c->unwinder && c->opts.sampler.all && c->opts.tables_first)
		err = pa_unwinder__publish_all(c->unwinder);
	return err ? fail(c, err, NULL) : put(c, &c->out);
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

	if (pa_sampler__unwind_maps(c->sampler, &opts.maps))
		return 0;
	err = pa_unwinder__new(&opts, &c->unwinder);
	return err ? fail(c, err, NULL) : 0;
}

int pa_capture__open(const struct pa_capture_opts *opts, struct pa_capture **out)
{
	struct pa_capture *c = calloc(1, sizeof(*c));
	struct pa_proctab_opts proctab_opts = {
		.sz = sizeof(proctab_opts),
		.events = opts->events,
		.sample_id = opts->sampler.sample_id,
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
	err = pa_sampler__open(&opts->sampler, &c->sampler);
	if (err)
		return fail(c, err, c->sampler ? pa_sampler__errmsg(c->sampler) : NULL);
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

/* What was to be packed before is. */
static int start_packer(struct pa_capture *c)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int err = pa_unwinder__start_thread(c->unwinder);

	if (!err && epoll_ctl(pa_sampler__epoll_fd(c->sampler), EPOLL_CTL_ADD,
			      pa_unwinder__fd(c->unwinder), &ev))
		err = -errno;
	return err;
}

int pa_capture__enable(struct pa_capture *c)
{
	int err = c->unwinder ? start_packer(c) : 0;

	if (err)
		return fail(c, err, NULL);
	err = pa_sampler__enable(c->sampler);

	return err ? fail(c, err, pa_sampler__errmsg(c->sampler)) : 0;
}

void pa_capture__disable(struct pa_capture *c)
{
	pa_sampler__disable(c->sampler);
}

int pa_capture__add_pid(struct pa_capture *c, pid_t pid)
{
	return pa_sampler__add_pid(c->sampler, pid);
}

int pa_capture__epoll_fd(const struct pa_capture *c)
{
	return pa_sampler__epoll_fd(c->sampler);
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
	err = pa_sampler__update_cpus(c->sampler);
	return err ? fail(c, err, pa_sampler__errmsg(c->sampler)) : 0;
}

static int feed_sideband(struct pa_capture *c)
{
	int err = pa_sideband__drain(c->sideband, c->opts.sampler.sample_id, &c->batch);

	if (!err && c->batch.lost_cnt) {
		c->stats.sideband_lost_cnt += c->batch.lost_cnt;
		pa_proctab__resync(c->proctab);
	}
	for (size_t i = 0; i < c->batch.cnt && !err; i++) {
		const struct pa_sideband_entry *e = &c->batch.entries[i];

		err = pa_proctab__feed(c->proctab, (const void *)(c->batch.bytes.data + e->offset),
				       &c->out);
		if (e->time_ns > c->max_ns[0])
			c->max_ns[0] = e->time_ns;
	}
	return err;
}

/* Look at type, process and time of each record; those of private types are taken out, and walks
 * to finish put aside. */
static int note_samples(struct pa_capture *c)
{
	uint64_t max_ns = c->max_ns[0];
	size_t offset = 0, kept = 0;
	int err = 0;

	while (offset < c->samples.len && !err) {
		const struct pa_sample_record *rec = (const void *)(c->samples.data + offset);
		size_t size = rec->size;

		if (rec->type >= PA_RING_TYPE_PRIVATE && rec->type != PA_RING_TYPE_MISS) {
			offset += size;
			continue;
		}
		err = pa_proctab__sample(c->proctab, rec->pid, rec->time);
		if (rec->time > max_ns)
			max_ns = rec->time;
		c->stats.drained_cnt++;
		offset += size;
		if (rec->type == PA_RING_TYPE_MISS) {
			err = err ? err : pa_bytes__append(&c->misses, rec, size);
			continue;
		}
		if (kept != offset - size)
			memmove(c->samples.data + kept, rec, size);
		kept += size;
	}
	c->samples.len = kept;
	c->max_ns[0] = max_ns;
	return err;
}

/* What their processes had mapped is known by now. */
static int finish_walks(struct pa_capture *c)
{
	int err = 0;

	if (!c->unwinder)
		return 0;
	pa_unwinder__cut_stale(c->unwinder, &c->samples);
	pa_unwinder__note_samples(c->unwinder, &c->samples);
	for (size_t offset = 0; offset < c->misses.len && !err;) {
		const struct pa_miss_record *miss = (const void *)(c->misses.data + offset);

		err = pa_unwinder__finish(c->unwinder, miss, &c->samples);
		offset += miss->size;
	}
	c->misses.len = 0;
	return err;
}

/* What the rings had no room for since the last pass, as both records that readers know. */
static int append_lost(struct pa_capture *c, uint64_t now)
{
	struct pa_sampler_stats st;
	struct pd_lost lost = {.id_value = c->opts.sampler.sample_id};
	void *to;
	int n;

	pa_sampler__stats(c->sampler, &st);
	if (st.lost == c->reported_lost)
		return 0;
	lost.lost_cnt = st.lost - c->reported_lost;
	lost.id = (struct pd_sample_id){.time = now, .id = c->opts.sampler.sample_id};
	c->reported_lost = st.lost;
	to = pa_bytes__reserve(&c->samples, 512);
	if (!to)
		return -ENOMEM;
	n = pd_put_lost(to, 256, c->opts.events, &lost);
	c->samples.len += n > 0 ? (size_t)n : 0;
	n = pd_put_lost_samples(c->samples.data + c->samples.len, 256, c->opts.events, &lost);
	c->samples.len += n > 0 ? (size_t)n : 0;
	return 0;
}

static int append_round(struct pa_capture *c)
{
	void *to = pa_bytes__reserve(&c->samples, 64);
	int n;

	if (!to)
		return -ENOMEM;
	n = pd_put_finished_round(to, 64);
	c->samples.len += n > 0 ? (size_t)n : 0;
	return 0;
}

/* Come twice as late when there was little to do, twice as soon when there was too much. */
static void adapt_interval(struct pa_capture *c)
{
	if (c->samples.len > BATCH_SAMPLE_BYTES || c->batch.bytes.len > BATCH_SIDEBAND_BYTES)
		c->interval_ns /= 2;
	else if (c->samples.len < BATCH_SAMPLE_BYTES / 2 &&
		 c->batch.bytes.len < BATCH_SIDEBAND_BYTES / 2)
		c->interval_ns *= 2;
	if (c->interval_ns < INTERVAL_MIN_NS)
		c->interval_ns = INTERVAL_MIN_NS;
	if (c->interval_ns > INTERVAL_MAX_NS)
		c->interval_ns = INTERVAL_MAX_NS;
}

int pa_capture__pass(struct pa_capture *c)
{
	uint64_t now = pa_monotonic_ns();
	int err, samples_err;
	int64_t n;

	c->out.len = 0;
	c->samples.len = 0;
	c->stats.pass_cnt++;
	pa_proctab__begin_pass(c->proctab, c->pass_ns, c->max_ns[1]);
	c->max_ns[1] = c->max_ns[0];
	n = pa_sampler__drain(c->sampler, &c->samples);
	err = n < 0 ? (int)n : feed_sideband(c);
	if (!err)
		err = note_samples(c);
	if (!err)
		err = pa_proctab__enrol(c->proctab, &c->out);
	if (!err)
		err = finish_walks(c);
	if (!err)
		err = append_lost(c, now);
	if (!err && (c->samples.len || c->out.len))
		err = append_round(c);
	if (err)
		return fail(c, err, NULL);
	err = put(c, &c->out);
	samples_err = put(c, &c->samples);
	if (!err)
		err = samples_err;
	if (!err && c->opts.writer)
		err = pd_writer__checkpoint(c->opts.writer);
	if (err)
		return *c->errmsg ? err : fail(c, err, pd_writer__errmsg(c->opts.writer));
	pa_proctab__end_pass(c->proctab);
	err = c->unwinder ? pa_unwinder__end_pass(c->unwinder, now) : 0;
	if (err)
		return fail(c, err, NULL);
	c->pass_ns = now;
	adapt_interval(c);
	return check_cpus(c, now);
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
	pa_sampler__stats(c->sampler, &out->sampler);
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
	pa_sampler__close(c->sampler);
	pa_sideband__close(c->sideband);
	pa_proctab__free(c->proctab);
	pa_sideband_batch__free(&c->batch);
	pa_bytes__free(&c->samples);
	pa_bytes__free(&c->out);
	pa_bytes__free(&c->misses);
	free(c->kernel);
	free(c);
}
