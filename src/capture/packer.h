/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packer.h - a thread that packs images, so that the rings are drained meanwhile. Jobs and
 * results are handed over under a lock; everything else of a capture stays with its own thread.
 */
#ifndef PA_CAPTURE_PACKER_H
#define PA_CAPTURE_PACKER_H

#include <stdint.h>

#include "unwind/pack.h"

struct pa_packer;

/** @param cache_dir  as of pa_pack__file; borrowed
 *  @return 0, -ENOMEM, -errno */
int pa_packer__new(const char *cache_dir, struct pa_packer **out);
/** Waits for the job that is being done; what was not asked for is freed. */
void pa_packer__free(struct pa_packer *p);
/** Pack a file.
 *  @param fd    owned from here on, also after an error
 *  @param path  copied
 *  @return 0, -ENOMEM */
int pa_packer__ask(struct pa_packer *p, uint32_t image, int fd, const char *path);
/** Take a result. @param pack  owned by the caller; NULL after an error
 *  @return 1 *image is done, and *err what pa_pack__file returned; 0 none */
int pa_packer__take(struct pa_packer *p, uint32_t *image, struct pa_pack **pack, int *err);
/** Readable when there are results. */
int pa_packer__fd(const struct pa_packer *p);

#endif
