/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * readings.h - samples that carry counters' values, as of perf record -e '{cycles,faults}:S':
 * only the group's leader is sampled, but each counter has grown since the sample before.
 */
#ifndef PA_READINGS_H
#define PA_READINGS_H

#include "convert/table.h"
#include "perfdata/perfdata.h"

/** Last values. Zero-initialized is empty, but for the seed. */
struct pa_readings {
	uint64_t seed;
	struct pa_index table;
	struct pa_reading *list;
	size_t cnt, cap;
};

/** How many counters the sample has the values of; 0: it counts as it is. */
size_t pa_readings__cnt(const struct pd_events *events, const struct pd_sample *sample);
/** The sample as counter i < pa_readings__cnt has it: of the counter's event, the period being what
 *  it has grown by. Samples of a counter must come in their order.
 *  @return 1, 0 it has not grown and is not the event that was sampled: nothing to count; -ENOENT
 *  the counter is unknown, -ENOMEM */
int pa_readings__take(struct pa_readings *r, const struct pd_events *events,
		      const struct pd_sample *sample, size_t i, struct pd_sample *out);
void pa_readings__free(struct pa_readings *r);

#endif
