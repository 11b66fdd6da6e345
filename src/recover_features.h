/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recover_features.h - the feature sections of a recovered file: those that the input has, and
 * those that can be made from its events and records.
 */
#ifndef PA_RECOVER_FEATURES_H
#define PA_RECOVER_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "perfdata/perfdata.h"

/** Build-ids by file name; the first of a name stays. No more than a million are kept. */
struct pa_recover_ids;
int pa_recover_ids__new(struct pa_recover_ids **out);
/** @param build_id  id->bytes bytes; id->id is not looked at
 *  @return 0, -ENOMEM */
int pa_recover_ids__add(struct pa_recover_ids *ids, const struct pd_build_id *id,
			const uint8_t *build_id);
void pa_recover_ids__free(struct pa_recover_ids *ids);

/** The events of a reader, at its end, for a new file: perf refuses a file with tracepoints but
 * without their formats, so those become raw events then.
 *  @return 0, -ENOMEM; free *out in any case */
int pa_recover_events__new(struct pd_reader *reader, struct pd_events **out);

struct pa_recover_features {
	const char *input; /* its name */
	struct pd_reader *reader;
	const struct pd_events *events;
	struct pa_recover_ids *ids; /* of MMAP2 records; those of the reader are added */
};

/** Hand all features and the private data to the writer.
 *  @param dropped_cnt  incremented for each that is there but can't be had
 *  @return 0, -ENOMEM, -errno of the writer */
int pa_recover_features__copy(const struct pa_recover_features *f, struct pd_writer *w,
			      uint64_t *dropped_cnt);

#endif
