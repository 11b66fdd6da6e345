/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * switchlog.h - switches of threads as records of the file, for readers that pair them by
 * themselves: samples with SWITCH records, or samples of the tracepoint sched:sched_switch.
 */
#ifndef PA_CAPTURE_SWITCHLOG_H
#define PA_CAPTURE_SWITCHLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/offcpu.h"
#include "capture/ring.h"

struct pa_switchlog {
	bool tracepoint; /* samples with raw data; else SWITCH records beside samples */
	uint64_t id;	 /* of the event */
	uint64_t sample_cnt, lost_cnt;
	struct pa_bytes done;
	struct pa_switch_sample {
		uint64_t time;
		size_t offset;
		uint32_t cpu;
		bool is_used;
	} * samples;
	size_t cnt, cap;
};

/** Replace what came out of the rings, struct pa_switch_record and samples of the same time and
 *  CPU, by records of the file. Samples whose switch is still to come are appended to next.
 *  @return 0, -ENOMEM */
int pa_switchlog__join(struct pa_switchlog *l, struct pa_bytes *records, struct pa_bytes *next);
void pa_switchlog__clear(struct pa_switchlog *l);

#endif
