/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * images.h - which file is behind an executable mapping: its build-id, the name to record, and a
 * descriptor where the file could not be opened by that name later (deleted, memfd, another mount
 * namespace). Files are known by (dev, inode, size, mtime, ctime), and read once.
 */
#ifndef PA_CAPTURE_IMAGES_H
#define PA_CAPTURE_IMAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "perfdata/perfdata.h"
#include "symbolize/symbolize.h"

struct pa_images;

/** @return 0 or -ENOMEM */
int pa_images__new(struct pa_images **out);
void pa_images__free(struct pa_images *t);

#define PA_NO_FILE UINT32_MAX

/** Complete a mapping of process m->pid: set its build-id if it has one, and the name that
 *  readers of the file understand (anonymous and JIT code: "//anon"; no " (deleted)").
 *  m->filename may afterwards point to memory of t, valid until the next call.
 *  @param file  set to the number of the ELF file that is mapped, from 0 on in order of first
 *               appearance; PA_NO_FILE: none, or it could not be opened
 *  @return 0 or -ENOMEM; a file that can't be read just stays without build-id */
int pa_images__complete(struct pa_images *t, struct pd_mmap *m, uint32_t *file);
/** Open a file by its number; it is the same one as was mapped, or nothing.
 *  @param path  set to its name, owned by t
 *  @return descriptor, -ESTALE another file has its name by now, -errno */
int pa_images__open(const struct pa_images *t, uint32_t file, const char **path);
/** A held descriptor of the image, duplicated. @return descriptor, -ENOENT, -errno */
int pa_images__open_held(struct pa_images *t, const struct pa_image_ref *ref);
/** Walk the files with a build-id that were seen, in order of first appearance. */
void pa_images__each(const struct pa_images *t,
		     void (*cb)(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes),
		     void *ctx);

#endif
