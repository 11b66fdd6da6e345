/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hostinfo.h - the feature sections that describe this machine and this capture.
 */
#ifndef PA_CAPTURE_HOSTINFO_H
#define PA_CAPTURE_HOSTINFO_H

#include "perfdata/perfdata.h"

/** Give the writer HOSTNAME, OSRELEASE, VERSION, ARCH, NRCPUS, CPUDESC, CPUID, TOTAL_MEM, CMDLINE
 *  and EVENT_DESC.
 *  @param argv  the command line, NULL-terminated; may be NULL
 *  @return 0, -ENOMEM, -errno of the writer */
int pa_hostinfo__add(struct pd_writer *w, const struct pd_events *events, const char *const *argv);
/** Give it the clock (CLOCK_DATA): both clocks at one moment. */
int pa_hostinfo__add_clock(struct pd_writer *w, uint64_t wall_ns, uint64_t monotonic_ns);

#endif
