// SPDX-License-Identifier: GPL-2.0-only
/*
 * sideband.c - one libperf event list per CPU, so that CPUs can come and go.
 */
#include <errno.h>
#include <perf/cpumap.h>
#include <perf/event.h>
#include <perf/evlist.h>
#include <perf/evsel.h>
#include <perf/mmap.h>
#include <perf/threadmap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/sideband.h"

#define RING_PAGES_MAX 128 /* with its control page, what kernel.perf_event_mlock_kb allows */
#define RING_PAGES_MIN 8

struct pa_sideband {
	struct perf_evlist **lists; /* by CPU number; NULL: not open */
	size_t list_cnt;
	char errmsg[256];
};

static int silent_print(enum libperf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static void close_cpu(struct pa_sideband *s, int cpu)
{
	struct perf_evlist *list = s->lists[cpu];
	struct perf_evsel *event;

	if (!list)
		return;
	perf_evlist__disable(list);
	/* deleting a list deletes its events, but lets go of their maps' references only here */
	perf_evlist__for_each_evsel (list, event) {
		perf_cpu_map__put(perf_evsel__cpus(event));
		perf_thread_map__put(perf_evsel__threads(event));
	}
	perf_evlist__munmap(list);
	perf_evlist__close(list);
	perf_evlist__delete(list);
	s->lists[cpu] = NULL;
}

static int map_ring(struct perf_evlist *list)
{
	int pages, err = -EINVAL;

	for (pages = RING_PAGES_MAX; pages >= RING_PAGES_MIN; pages /= 2) {
		err = perf_evlist__mmap(list, pages);
		if (err != -EPERM)
			break; /* EPERM: over the user's share of locked memory */
	}
	return err;
}

static int open_list(struct perf_evlist *list, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PA_SAMPLE_TYPE,
		.sample_id_all = 1,
		.disabled = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.exclude_kernel = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = 1 << 30, /* read by the timer, never woken for */
	};
	struct perf_thread_map *threads = perf_thread_map__new_dummy();
	struct perf_evsel *event = perf_evsel__new(&attr);
	struct perf_cpu_map *cpus;
	char cpu_list[16];
	int err = -ENOMEM;

	snprintf(cpu_list, sizeof(cpu_list), "%d", cpu);
	cpus = perf_cpu_map__new(cpu_list);
	if (!threads || !event || !cpus) {
		perf_evsel__delete(event);
		goto out;
	}
	perf_thread_map__set_pid(threads, 0, -1);
	perf_evlist__add(list, event);
	perf_evlist__set_maps(list, cpus, threads);
	err = perf_evlist__open(list);
	if (!err)
		err = map_ring(list);
	if (!err)
		perf_evlist__enable(list);
out:
	perf_thread_map__put(threads);
	perf_cpu_map__put(cpus);
	return err;
}

static int open_cpu(struct pa_sideband *s, int cpu)
{
	int err;

	s->lists[cpu] = perf_evlist__new();
	if (!s->lists[cpu])
		return -ENOMEM;
	err = open_list(s->lists[cpu], cpu);
	if (!err)
		return 0;
	close_cpu(s, cpu);
	if (err == -ENODEV || err == -ESRCH || err == -ENXIO)
		return 0; /* went off line meanwhile */
	snprintf(s->errmsg, sizeof(s->errmsg), "process events on CPU %d: failed to open: %s%s",
		 cpu, strerror(-err),
		 err == -EACCES || err == -EPERM ? ": run as root or give the binary cap_perfmon"
						 : "");
	return err;
}

int pa_sideband__update_cpus(struct pa_sideband *s)
{
	struct pa_cpus online;
	int err = pa_cpus__online(&online);

	if (err) {
		snprintf(s->errmsg, sizeof(s->errmsg),
			 "/sys/devices/system/cpu/online: failed to read: %s", strerror(-err));
		return err;
	}
	for (size_t cpu = 0; cpu < s->list_cnt && !err; cpu++) {
		if (!pa_cpus__has(&online, (int)cpu))
			close_cpu(s, (int)cpu);
		else if (!s->lists[cpu])
			err = open_cpu(s, (int)cpu);
	}
	pa_cpus__free(&online);
	return err;
}

int pa_sideband__open(struct pa_sideband **out)
{
	struct pa_sideband *s = calloc(1, sizeof(*s));
	struct pa_cpus possible = {0};
	int err;

	*out = s;
	if (!s)
		return -ENOMEM;
	libperf_init(silent_print);
	err = pa_cpus__possible(&possible);
	if (err) {
		snprintf(s->errmsg, sizeof(s->errmsg),
			 "/sys/devices/system/cpu/possible: failed to read: %s", strerror(-err));
		return err;
	}
	s->list_cnt = (size_t)possible.ids[possible.cnt - 1] + 1;
	pa_cpus__free(&possible);
	s->lists = calloc(s->list_cnt, sizeof(struct perf_evlist *));
	if (!s->lists)
		return -ENOMEM;
	return pa_sideband__update_cpus(s);
}

static int add_entry(struct pa_sideband_batch *batch, uint64_t time_ns, size_t offset)
{
	struct pa_sideband_entry *entries;
	size_t cap;

	if (batch->cnt == batch->cap) {
		cap = batch->cap ? batch->cap * 2 : 64;
		entries = reallocarray(batch->entries, cap, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		batch->entries = entries;
		batch->cap = cap;
	}
	batch->entries[batch->cnt++] = (struct pa_sideband_entry){time_ns, offset};
	return 0;
}

/* The trailer that sample_id_all appends: u32 pid, tid; u64 time; u32 cpu, res; u64 id. */
#define TRAILER_BYTES 32
#define TRAILER_TIME 8
#define TRAILER_ID 24

static int take_record(struct pa_sideband_batch *batch, const union perf_event *event, uint64_t id)
{
	size_t size = event->header.size, offset = batch->bytes.len;
	uint8_t *trailer;
	uint64_t time_ns;

	if (event->header.type == PERF_RECORD_LOST) {
		batch->lost_cnt += event->lost.lost;
		return 0;
	}
	if (size < sizeof(event->header) + TRAILER_BYTES)
		return 0;
	if (pa_bytes__append(&batch->bytes, event, size))
		return -ENOMEM;
	trailer = batch->bytes.data + offset + size - TRAILER_BYTES;
	memcpy(&time_ns, trailer + TRAILER_TIME, sizeof(time_ns));
	memcpy(trailer + TRAILER_ID, &id, sizeof(id));
	return add_entry(batch, time_ns, offset);
}

static int compare_entries(const void *a, const void *b)
{
	const struct pa_sideband_entry *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int pa_sideband__drain(struct pa_sideband *s, uint64_t id, struct pa_sideband_batch *batch)
{
	int err = 0;

	batch->bytes.len = 0;
	batch->cnt = 0;
	batch->lost_cnt = 0;
	for (size_t cpu = 0; cpu < s->list_cnt && !err; cpu++) {
		struct perf_mmap *map;
		union perf_event *event;

		if (!s->lists[cpu])
			continue;
		perf_evlist__for_each_mmap (s->lists[cpu], map, false) {
			if (perf_mmap__read_init(map) < 0)
				continue;
			while (!err && (event = perf_mmap__read_event(map)) != NULL) {
				err = take_record(batch, event, id);
				perf_mmap__consume(map);
			}
			perf_mmap__read_done(map);
		}
	}
	if (batch->cnt > 1)
		qsort(batch->entries, batch->cnt, sizeof(*batch->entries), compare_entries);
	return err;
}

void pa_sideband_batch__free(struct pa_sideband_batch *batch)
{
	pa_bytes__free(&batch->bytes);
	free(batch->entries);
	*batch = (struct pa_sideband_batch){0};
}

const char *pa_sideband__errmsg(const struct pa_sideband *s)
{
	return s->errmsg;
}

void pa_sideband__close(struct pa_sideband *s)
{
	if (!s)
		return;
	for (size_t cpu = 0; s->lists && cpu < s->list_cnt; cpu++)
		close_cpu(s, (int)cpu);
	free(s->lists);
	free(s);
}
