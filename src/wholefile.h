/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wholefile.h - output files that are whole or as they were.
 */
#ifndef PA_WHOLEFILE_H
#define PA_WHOLEFILE_H

#include <stdio.h>

/** Write to path through write(out, ctx): "-" is standard output, which stays open; a device or
 *  pipe is written in place, anything else to a temporary name that is renamed when it is whole. A
 *  symbolic link stays one.
 *  @return 0, -errno: also what write returned */
int pa_wholefile__write(const char *path, int (*write)(FILE *out, void *ctx), void *ctx);

#endif
