/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recover.h - make a whole perf.data of one that is damaged, was not finished by its writer, or
 * is in a form that not every reader takes: a directory, a stream, compressed, the other byte
 * order, attrs of a newer perf.
 */
#ifndef PA_RECOVER_H
#define PA_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

struct pa_recover_result {
	uint64_t record_cnt, sample_cnt; /* written */
	uint64_t damage_cnt;		 /* places where something was dropped */
	uint64_t dropped_bytes;
	uint64_t dropped_feature_cnt;
	bool is_unfinished;
	bool is_lossy;	  /* something of the above was dropped, or the file is cut */
	char reason[320]; /* where and what the first damage is; "" none */
	char errmsg[512]; /* "OBJECT: failed to VERB: REASON" of a failed call */
};

/** Read the perf.data in ("-": standard input) and write a whole one in file layout to out, which
 *  may be in itself: it is replaced when the new file is complete, else left as it was.
 *  @return 0, -EBADMSG it is no perf.data or its header is damaged, -ENOMEM, -errno */
int pa_recover(const char *in, const char *out, struct pa_recover_result *result);

#endif
