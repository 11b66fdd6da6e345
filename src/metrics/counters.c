// SPDX-License-Identifier: GPL-2.0-only
/*
 * counters.c - open hardware counters on each CPU, and say why one is not there.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/event.h"
#include "metrics/counters.h"
#include "metrics/metrics.h"

int pa_counters__init(struct pa_counters *c, size_t cpu_cnt)
{
	*c = (struct pa_counters){0};
	c->fds = calloc(cpu_cnt * PA_COUNTER_CNT, sizeof(*c->fds));
	if (!c->fds)
		return -ENOMEM;
	c->cpu_cnt = cpu_cnt;
	for (size_t i = 0; i < cpu_cnt * PA_COUNTER_CNT; i++)
		c->fds[i] = -1;
	return 0;
}

static void explain(struct pa_counters *c, enum pa_counter counter, const char *name, int err)
{
	char *out = c->missing[counter];
	size_t bytes = sizeof(c->missing[counter]);

	if (err == -ENOENT || err == -EOPNOTSUPP || err == -EINVAL)
		snprintf(out, bytes,
			 "this machine does not count %.40s (a virtual one without PMU?)", name);
	else if (err == -EACCES || err == -EPERM)
		snprintf(out, bytes, "%.40s: %.24s (needs root or cap_perfmon)", name,
			 strerror(-err));
	else
		snprintf(out, bytes, "%.40s: %.50s", name, strerror(-err));
}

/* @return descriptor, -errno */
static int open_counter(const char *name, int cpu)
{
	struct pa_event_spec spec = {.name = name, .period = 1};
	struct perf_event_attr attr;
	char ignored[64];
	int fd, err = pa_event__parse(&spec, &attr, ignored);

	if (err)
		return err;
	attr.sample_period = 0; /* counts, does not sample */
	attr.disabled = 0;
	attr.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	fd = pa_event__open(&attr, -1, cpu);
	if (fd == -EINVAL || fd == -EOPNOTSUPP) { /* some can't tell guests apart */
		attr.exclude_guest = 0;
		fd = pa_event__open(&attr, -1, cpu);
	}
	return fd;
}

/* For tests, where there is no PMU: names of software events to count instead, with commas. */
static const char *counter_name(enum pa_counter counter, char *buf, size_t bytes)
{
	const char *names = getenv("PERFAGENT_PMU_EVENTS");

	for (int i = 0; names && i < (int)counter; i++) {
		names = strchr(names, ',');
		names += names != NULL;
	}
	if (!names || !*names || *names == ',')
		return pa_metrics_counter_name(counter);
	snprintf(buf, bytes, "%.*s", (int)strcspn(names, ","), names);
	return buf;
}

static int open_one(struct pa_counters *c, int cpu, enum pa_counter counter, int map_fd)
{
	uint32_t key = (uint32_t)cpu * PA_COUNTER_CNT + counter;
	char buf[64];
	const char *name = counter_name(counter, buf, sizeof(buf));
	int fd;

	if (c->fds[key] >= 0 || *c->missing[counter])
		return 0;
	fd = open_counter(name, cpu);
	if (fd == -ENODEV || fd == -ESRCH || fd == -ENXIO)
		return 0; /* the CPU went */
	if (fd < 0) {
		explain(c, counter, name, fd);
		return 0;
	}
	if (bpf_map_update_elem(map_fd, &key, &fd, BPF_ANY)) {
		int err = -errno;

		close(fd);
		return err;
	}
	c->fds[key] = fd;
	return 0;
}

static void close_cpu(struct pa_counters *c, size_t cpu)
{
	for (size_t i = cpu * PA_COUNTER_CNT; i < (cpu + 1) * PA_COUNTER_CNT; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
		c->fds[i] = -1;
	}
}

int pa_counters__update(struct pa_counters *c, const struct pa_cpus *online, int map_fd)
{
	int err;

	for (size_t cpu = 0; cpu < c->cpu_cnt; cpu++) {
		if (!pa_cpus__has(online, (int)cpu)) {
			close_cpu(c, cpu);
			continue;
		}
		for (int i = 0; i < PA_COUNTER_CNT; i++) {
			err = open_one(c, (int)cpu, i, map_fd);
			if (err)
				return err;
		}
	}
	return 0;
}

void pa_counters__close(struct pa_counters *c)
{
	for (size_t cpu = 0; c->fds && cpu < c->cpu_cnt; cpu++)
		close_cpu(c, cpu);
	free(c->fds);
	*c = (struct pa_counters){0};
}
