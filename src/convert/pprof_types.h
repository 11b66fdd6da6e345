/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pprof_types.h - the sample types of a profile: which value of a sample each event of each
 * session becomes.
 */
#ifndef PA_PPROF_TYPES_H
#define PA_PPROF_TYPES_H

#include "convert/session.h"
#include "pprof/pprof.h"

enum { PA_COLUMNS_MAX = 32 }; /* events; each has two values */

/** What an event of a session weighs. */
struct pa_pprof_weight {
	uint32_t column;	/* values 2 * column (samples) and 2 * column + 1 */
	uint64_t ns_per_sample; /* 0: the second value is the sum of periods */
	bool is_used;
};

struct pa_pprof_types {
	struct pprof_value_type types[2 * PA_COLUMNS_MAX];
	size_t type_cnt;
	const char *events[PA_COLUMNS_MAX]; /* names, borrowed */
	size_t column_cnt;
	struct pa_pprof_weight **weights; /* by session, by event */
	size_t session_cnt;
	struct pprof_value_type period_type;
	uint64_t period;
	char *heap; /* the names that were made up */
};

/** @return 0, -E2BIG, -ENOMEM. Clear it in every case. */
int pa_pprof_types__init(struct pa_pprof_types *t, const struct pa_session *const *sessions,
			 size_t cnt);
/** Add the values of a stack of session i. @param values  t->type_cnt sums */
void pa_pprof_types__add(const struct pa_pprof_types *t, size_t i, const struct pa_stack *stack,
			 int64_t *values);
void pa_pprof_types__clear(struct pa_pprof_types *t);

#endif
