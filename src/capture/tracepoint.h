/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tracepoint.h - the format of the tracepoint sched:sched_switch, as a perf.data file describes it.
 */
#ifndef PA_CAPTURE_TRACEPOINT_H
#define PA_CAPTURE_TRACEPOINT_H

#include "capture/ring.h"

/** Read it from tracefs, which need not be mounted.
 *  @param data  appended to: the feature section TRACING_DATA
 *  @param id    of the tracepoint
 *  @return 0, -ENOENT no tracefs, -EOPNOTSUPP not the format that we write, -ENOMEM, -errno */
int pa_tracepoint__sched_switch(struct pa_bytes *data, uint32_t *id);

#endif
