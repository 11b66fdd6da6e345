/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * waiting.h - threads that wait for a CPU when a capture begins or ends: an iterator over all
 * threads, whose program is in bpf/sched.bpf.c.
 */
#ifndef PA_METRICS_WAITING_H
#define PA_METRICS_WAITING_H

#include <stddef.h>

#include "bpf/sched.h"

struct bpf_program;

/** Run the iterator.
 *  @param out  what it said, ascending by process; the caller's to free; NULL with an error
 *  @return 0, -ENOMEM, -errno */
int pa_waiting__read(const struct bpf_program *prog, struct pa_sched_waiting **out, size_t *cnt);

#endif
