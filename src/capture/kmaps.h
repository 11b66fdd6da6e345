/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kmaps.h - MMAP2 records of the kernel and its modules, so that readers name kernel frames.
 */
#ifndef PA_CAPTURE_KMAPS_H
#define PA_CAPTURE_KMAPS_H

#include <stdint.h>

#include "capture/ring.h"
#include "perfdata/perfdata.h"

/** Append the records, with time 0 (before everything).
 *  @param cb  called for each image with a build-id; may be NULL
 *  @return 0; -EPERM when addresses are hidden (no record: frames stay numbers); -ENOMEM; -errno */
int pa_kmaps__append(const struct pd_events *events, uint64_t sample_id, struct pa_bytes *out,
		     void (*cb)(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes),
		     void *ctx);

#endif
