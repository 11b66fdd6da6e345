/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * caps.h - capabilities: raise what is permitted, name what is missing.
 */
#ifndef PA_CAPS_H
#define PA_CAPS_H

#include <stddef.h>

/** Make the capabilities that profiling needs effective, where they are permitted.
 *  @param missing   names of those that sampling can't do without and that are not there
 *  @param degraded  names of those whose lack costs names or mappings
 *  @return 0, -EPERM when missing is not empty, -errno */
int pa_caps__raise(char *missing, size_t missing_bytes, char *degraded, size_t degraded_bytes);

#endif
