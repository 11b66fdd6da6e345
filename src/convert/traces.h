/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * traces.h - where samples and branches were, aggregated: what profiles for compilers are derived
 * from. Memory grows with the distinct branches of the programs, not with the samples.
 */
#ifndef PA_TRACES_H
#define PA_TRACES_H

#include "convert/convert.h"
#include "convert/places.h"

/** Zero-initialized is empty. */
struct pa_traces {
	struct pa_trace *list;
	size_t cnt, cap;
	struct pa_index table;
	struct pa_trace_slot *cache; /* what raw addresses meant last time */
};

/** Count a sample and its branches. @return 0, -ENOMEM */
int pa_traces__add(struct pa_session *s, const struct pd_sample *sample,
		   struct pa_place_context *context);
void pa_traces__free(struct pa_traces *t);

#endif
