/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * functions.h - places by function: where nobody asks for addresses, all that would be shown
 * alike is one place, named when it is first met. There are far fewer functions than addresses,
 * and far fewer stacks of them.
 */
#ifndef PA_FUNCTIONS_H
#define PA_FUNCTIONS_H

#include "convert/places.h"

/** Zero-initialized is empty, and off. */
struct pa_functions {
	bool on;
	/** Where each address that was met belongs: a number of pa_places. */
	struct pa_met_address {
		uint64_t address;
		uint32_t image, number;
	} * addresses;
	size_t cnt, cap;
	struct pa_index address_table;
	struct pa_index table; /* of the places, by what is shown */
	size_t frame_cap;
};

/** Begin to tell functions apart only, if the options allow it. Before the first sample, when all
 *  sideband records are in. */
void pa_functions__start(struct pa_session *s);
/** What of a place matters for its name. */
void pa_functions__reduce(const struct pa_session *s, struct pa_place *place);
/** Number of a reduced place's function, named now when it is new.
 *  @param hash  of place
 *  @return PA_NONE without memory */
uint32_t pa_functions__number(struct pa_session *s, uint64_t hash, const struct pa_place *place);
void pa_functions__free(struct pa_functions *f);

#endif
