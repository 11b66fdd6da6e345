// SPDX-License-Identifier: GPL-2.0-only
/*
 * event.c - event names, and the choice of the default event.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/event.h"
#include "capture/procfs.h"

#define NAME_BYTES 64

static const struct {
	const char *name, *alias;
	__u32 type;
	__u64 config;
} known_events[] = {
	{"cycles", "cpu-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	{"instructions", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	{"cache-references", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
	{"cache-misses", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
	{"branches", "branch-instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
	{"branch-misses", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
	{"bus-cycles", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES},
	{"ref-cycles", NULL, PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES},
	{"stalled-cycles-frontend", "idle-cycles-frontend", PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_STALLED_CYCLES_FRONTEND},
	{"stalled-cycles-backend", "idle-cycles-backend", PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_STALLED_CYCLES_BACKEND},
	{"cpu-clock", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK},
	{"task-clock", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
	{"page-faults", "faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
	{"minor-faults", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
	{"major-faults", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
	{"context-switches", "cs", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
	{"cpu-migrations", "migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
	{"alignment-faults", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS},
	{"emulation-faults", NULL, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS},
};

static bool name_is(const char *known, const char *name, size_t len)
{
	return known && strlen(known) == len && !memcmp(known, name, len);
}

/* "cycles", or "r1a8": a raw event, as perf spells it. */
static int parse_name(const char *name, size_t len, struct perf_event_attr *attr)
{
	char *end;

	for (size_t i = 0; i < sizeof(known_events) / sizeof(known_events[0]); i++) {
		if (name_is(known_events[i].name, name, len) ||
		    name_is(known_events[i].alias, name, len)) {
			attr->type = known_events[i].type;
			attr->config = known_events[i].config;
			return 0;
		}
	}
	if (len > 1 && len <= 17 && name[0] == 'r' &&
	    strspn(name + 1, "0123456789abcdef") >= len - 1) {
		attr->type = PERF_TYPE_RAW;
		attr->config = strtoull(name + 1, &end, 16);
		return 0;
	}
	return -EINVAL;
}

static int parse_modifier(const char *modifier, struct perf_event_attr *attr)
{
	bool user = strchr(modifier, 'u'), kernel = strchr(modifier, 'k');

	if (!*modifier || strspn(modifier, "uk") != strlen(modifier))
		return -EINVAL;
	attr->exclude_user = !user;
	attr->exclude_kernel = !kernel;
	attr->exclude_hv = !kernel;
	return 0;
}

int pa_event__parse(const struct pa_event_spec *spec, struct perf_event_attr *attr, char *name)
{
	const char *wanted = spec->name ? spec->name : "cpu-clock";
	const char *colon = strchr(wanted, ':');
	size_t len = colon ? (size_t)(colon - wanted) : strlen(wanted);
	int err;

	if (strlen(wanted) >= NAME_BYTES)
		return -EINVAL;
	*attr = (struct perf_event_attr){
		.size = sizeof(*attr),
		.disabled = 1,
		.exclude_guest = 1,
	};
	err = parse_name(wanted, len, attr);
	if (!err && colon)
		err = parse_modifier(colon + 1, attr);
	if (err)
		return err;
	if (spec->period) {
		attr->sample_period = spec->period;
	} else {
		attr->freq = 1;
		attr->sample_freq = spec->freq_hz ? spec->freq_hz : 99;
	}
	if (spec->branches) {
		attr->sample_type = PERF_SAMPLE_BRANCH_STACK;
		attr->branch_sample_type = PERF_SAMPLE_BRANCH_ANY; /* of the event's modes */
	}
	snprintf(name, NAME_BYTES, "%s", wanted);
	return 0;
}

int pa_event__open(struct perf_event_attr *attr, int pid, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int pa_event__choose(const struct pa_event_spec *spec, int cpu, struct perf_event_attr *attr,
		     char *name)
{
	struct pa_event_spec cycles = *spec;
	int fd;

	if (spec->name)
		return pa_event__parse(spec, attr, name);
	/* a period was given in nanoseconds of the clock, if at all, only to a named event */
	cycles.name = "cycles";
	pa_event__parse(&cycles, attr, name);
	fd = pa_event__open(attr, -1, cpu);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || spec->branches)
		return 0;
	return pa_event__parse(spec, attr, name);
}

__u64 pa_event__max_rate_hz(void)
{
	char buf[32];

	if (pa_procfs__read("/proc/sys/kernel/perf_event_max_sample_rate", buf, sizeof(buf)) <= 0)
		return 0;
	return strtoull(buf, NULL, 10);
}
