/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * event.h - which event samples: names as perf has them, and what this machine can count.
 */
#ifndef PA_CAPTURE_EVENT_H
#define PA_CAPTURE_EVENT_H

#include <linux/perf_event.h>
#include <stdbool.h>

/** What to sample on. The zero value asks for the default: cycles, else cpu-clock, at 99 Hz. */
struct pa_event_spec {
	const char *name; /* "cycles", "cpu-clock:u", ...; NULL: default */
	__u64 freq_hz;	  /* samples per second and CPU; 0: use period */
	__u64 period;	  /* events per sample; 0: use freq_hz */
	bool branches;	  /* with the branch stack of each sample: no default but cycles */
};

/** Fill type, config, exclude bits, frequency or period of attr from spec.
 *  @param name  set to the event's name for EVENT_DESC, at least 64 bytes
 *  @return 0, -EINVAL unknown name or modifier */
int pa_event__parse(const struct pa_event_spec *spec, struct perf_event_attr *attr, char *name);
/** As pa_event__parse, and with the default event chosen by asking the kernel on one CPU.
 *  @return 0, -EINVAL; other errors of perf_event_open for a named event: the caller explains */
int pa_event__choose(const struct pa_event_spec *spec, int cpu, struct perf_event_attr *attr,
		     char *name);
/** kernel.perf_event_max_sample_rate. @return Hz, or 0 when it can't be read */
__u64 pa_event__max_rate_hz(void);
/** perf_event_open(2). @return descriptor or -errno */
int pa_event__open(struct perf_event_attr *attr, int pid, int cpu);

#endif
