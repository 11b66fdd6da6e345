/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offcpu.h - time off the CPU: from a thread's switch out, whose stack is where it waits, to its
 * switch in, which another CPU may report.
 */
#ifndef PA_OFFCPU_H
#define PA_OFFCPU_H

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/table.h"
#include "perfdata/perfdata.h"

struct pa_session;

/** A thread leaves or gets a CPU. */
struct pa_switch {
	uint64_t time_ns;
	uint32_t tid, stack; /* stack PA_NONE: it gets one */
	uint32_t seq;
};

struct pa_off_thread {
	uint64_t out_ns;
	uint32_t tid, stack; /* stack PA_NONE: on a CPU, or unknown */
};

/** A thread whose number is another in perf's pid namespace, where SWITCH records have theirs
 *  from, than in the kernel, whose numbers tracepoints give. */
struct pa_off_alias {
	uint32_t tid, kernel_tid;
};

/** Zero-initialized is empty. Switches wait in the queue, 24 bytes each, until none that is
 *  earlier can follow. */
struct pa_offcpu {
	struct pa_switch *queue;
	size_t cnt, cap;
	uint64_t max_ns;  /* latest time so far */
	uint64_t safe_ns; /* latest time up to the end of the last round */
	struct pa_off_thread *threads;
	size_t thread_cnt, thread_cap;
	struct pa_index by_tid;
	struct pa_off_alias *aliases;
	size_t alias_cnt, alias_cap;
	struct pa_index by_alias;
	uint64_t out_cnt;      /* times that a thread left */
	uint64_t unpaired_cnt; /* of these, without a known end */
};

/** A thread leaves its CPU, with a sample that was just added to a stack.
 *  @param tid  the kernel's number @return 0, -ENOMEM */
int pa_offcpu__begin(struct pa_session *s, uint32_t tid, const struct pd_sample *sample,
		     uint32_t stack);
/** A thread gets a CPU. @return 0, -ENOMEM */
int pa_offcpu__in(struct pa_session *s, uint32_t tid, uint64_t time_ns);
/** A SWITCH or SWITCH_CPU_WIDE record. @return 0, -EBADMSG, -ENOMEM */
int pa_offcpu__feed(struct pa_session *s, const struct perf_event_header *hdr);
/** All records of a round (up to FINISHED_ROUND) were fed. @return 0, -ENOMEM */
int pa_offcpu__end_round(struct pa_session *s);
/** After the last record: pair what waits. @return 0, -ENOMEM */
int pa_offcpu__finish(struct pa_session *s);
/** Drop the stacks that nothing came of; indices change. */
void pa_offcpu__drop_stacks(struct pa_session *s);
void pa_offcpu__free(struct pa_offcpu *o);

#endif
