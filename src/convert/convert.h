/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * convert.h - from records to aggregated stacks, and from those to pprof, folded stacks and
 * flame graphs. The same code runs live in perf-agent, on the records that it drains, and in the
 * pa2* tools, on a file.
 *
 *   records -> pa_session (processes, maps by time; samples aggregated by process, thread,
 *   event and chain of places) -> pa_session__resolve (each distinct address symbolized once)
 *   -> pa_pprof__build, pa_folded__write, pa_flame__write
 *
 * A session's memory grows with the distinct stacks, maps and processes, not with the samples.
 * One thread per session.
 */
#ifndef PA_CONVERT_H
#define PA_CONVERT_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "perfdata/perfdata.h"
#include "symbolize/symbolize.h"
#include "unwind/offline.h"

struct pa_session;

struct pa_session_opts {
	size_t sz;
	struct pd_events *events;	  /* borrowed; must live as long as the session */
	struct pa_symbolizer *symbolizer; /* borrowed */
	/** Ask the symbolizer (whose options say which) for lines and inlined functions. */
	bool lines;
	/** Hold a descriptor of each image as soon as a sample hits it (live capture). */
	bool hold_images;
	/** Keep a sample? NULL: all. */
	bool (*filter)(void *ctx, const struct pd_sample *s, const char *comm);
	/** Processes, threads of a process are not told apart: fewer stacks, whose pid or tid
	 *  is 0. */
	bool merge_processes, merge_threads;
	/** Addresses where nothing is mapped (where unwinding went astray) are one place, at 0:
	 *  they say nothing, and there can be as many as samples. Not for a live capture, whose
	 *  maps may come later. */
	bool merge_unmapped;
	/** Addresses of one function (of a binary, where the function is unknown) are one place:
	 *  pa_frame.address is then any of them. Where the data's form allows it (a file, no lines,
	 *  merge_unmapped); many fewer stacks. */
	bool merge_functions;
	/** Weights of different events don't add up: resolve keeps the stacks of the first event
	 *  that was sampled, and warns about the others. */
	bool one_event;
	/* The strings are borrowed; they must live as long as the session. */
	/** Only samples of this event, named as in perf; its modifiers (":u", "pp") may be left
	 *  out. NULL: all. */
	const char *event;
	/** Weigh samples by this field of their tracepoint instead of by their period. Samples
	 *  without it are left out. NULL: none. */
	const char *weight_field;
	/** Fields of tracepoints that become labels: stacks that differ in them are distinct. At
	 *  most 16, NULL-terminated; NULL: none. "state" is a switched thread's state as ps shows
	 *  it (off_cpu). Labels of fields pid, tid and comm have "field:" before the name. */
	const char *const *label_fields;
	/** Weigh stacks by the time that their threads were switched out there, in nanoseconds.
	 *  Needs sched:sched_switch of all CPUs, or SWITCH records and sched:sched_switch or
	 *  context-switches samples, or perf's own offcpu-time events. */
	bool off_cpu;
	/** Count where samples and branches were (pa_session__traces) instead of stacks. */
	bool traces;
	void (*warn)(void *ctx, const char *msg);
	/** Called before the first file is opened to walk a sample's copied stack, which is while
	 *  records are fed: what is known by then of the data's origin is to be told to the
	 *  symbolizer (pa_symbolizer__set_origin). May be NULL.
	 *  @return the machine's name as uname(2) gives it, NULL: this machine's */
	const char *(*origin)(void *ctx);
	void *ctx;
};

struct pa_session_stats {
	uint64_t sample_cnt;   /* aggregated */
	uint64_t filtered_cnt; /* dropped by the filter */
	uint64_t no_stack_cnt; /* samples without a call chain: their ip is the stack */
	uint64_t lost_cnt;     /* what LOST_SAMPLES (else LOST) records say */
	uint64_t throttle_cnt; /* times that the kernel stopped an event for being too fast */
	uint64_t malformed_cnt, unknown_event_cnt;
	uint64_t dropped_cnt;	    /* names and mappings beyond what one process may have */
	uint64_t stack_cnt;	    /* distinct */
	uint64_t off_cnt;	    /* off_cpu: times that a thread was switched out */
	uint64_t unpaired_cnt;	    /* of these, not switched in again: left out */
	uint64_t first_ns, last_ns; /* sample times; 0 when there are none */
	/** Samples with a copied stack, by how their walk ended. */
	uint64_t unwound_cnt[PA_UNWIND_END_CNT];
};

int pa_session__new(const struct pa_session_opts *opts, struct pa_session **out);
void pa_session__free(struct pa_session *s);

/** Take in one record of any type, in any order within what the file format allows: sideband
 *  records are applied by their time; a sample is looked up at its time, against the sideband
 *  records that were fed before it. Unknown types are ignored.
 *  @return 0, -EBADMSG malformed (counted; feeding may go on), -ENOMEM */
int pa_session__feed(struct pa_session *s, const struct perf_event_header *hdr);
/** Drop now and then, for a capture without end, what is known of processes and threads that had
 *  ended, and of address spaces that were replaced: no sample from before before_ns may come any
 *  more. What was counted stays.
 *  @param is_there  has the system a process of this id?
 *  @return 0, -ENOMEM */
int pa_session__drop_exited(struct pa_session *s, uint64_t before_ns, bool (*is_there)(uint32_t));
/** Take in the feature section TRACING_DATA, before any sample of a tracepoint; of a whole file
 *  that is done. @return 0, -ENOMEM; a damaged one is warned about */
int pa_session__take_tracing(struct pa_session *s, const void *data, size_t bytes);
/** Feed a whole file: for a file that can be rewound all sideband records first, then the
 *  samples; a stream round by round (samples wait for the FINISHED_ROUND after theirs).
 *  Also restores the saved symbols, if any, and reads the build-id table.
 *  @return 0, -ENODATA cut short (what was whole is in), -ENOENT the file has nothing of what the
 *  options ask for (pa_session__errmsg says what), -EBADMSG, -errno; pd_reader__errmsg(r) says
 *  where */
int pa_session__feed_reader(struct pa_session *s, struct pd_reader *r);
/** What a failed call did not find, and what to do about it; "" when there is nothing to say. */
const char *pa_session__errmsg(const struct pa_session *s);
/** Where the kernel's text lay when the data was recorded. */
struct pa_kernel_text pa_session__kernel_text(const struct pa_session *s);
/** Symbolize every distinct address of every stack. Call once, after the last record.
 *  @return 0 or -ENOMEM */
int pa_session__resolve(struct pa_session *s);
void pa_session__stats(const struct pa_session *s, struct pa_session_stats *out);

/* ---- the result ----------------------------------------------------------------------- */

/** A mapping as the profile shows it: one per image and process-independent. */
struct pa_map_info {
	enum pa_image_kind kind;
	const char *path; /* "[kernel]" for the kernel, "[jit]" for JIT code, "[vdso]" */
	const uint8_t *build_id;
	uint8_t build_id_bytes;
	uint64_t file_offset, bytes; /* from the first to the last executable byte mapped */
	uint32_t index;		     /* 0.., fewer than there are images */
};

/** One resolved address. A call's return address and the same address hit by a sample are two. */
struct pa_frame {
	const struct pa_map_info *map; /* NULL: unmapped */
	uint64_t address; /* FILE: file offset; kernel, JIT, unmapped: absolute address */
	const struct pa_symbol *sym; /* NULL: not found */
	uint32_t pid;		     /* JIT: whose code */
	uint32_t line_cnt;	     /* 0: no debug information */
	const struct pa_line *lines; /* innermost inlined function first, sym's own last */
};

/** A field of the samples of a stack. */
struct pa_label {
	const char *key;
	const char *str; /* NULL: a number */
	int64_t num;
};
/** "key=value" of a label, as snprintf prints it. */
int pa_label__print(const struct pa_label *label, char *buf, size_t bytes);

/** One distinct stack with its weight. */
struct pa_stack {
	uint32_t pid, tid; /* 0 with merge_processes, merge_threads */
	const char *comm;  /* of the thread at its first sample of this stack; never NULL */
	int event;	   /* index into the events */
	size_t kernel_cnt; /* the first kernel_cnt frames are the kernel's */
	size_t frame_cnt;
	const uint32_t *frames; /* frame_cnt indices for pa_session__frame, leaf first */
	uint64_t sample_cnt;
	uint64_t period_sum; /* or the sum of what weight_field or off_cpu ask for */
	const struct pa_label *labels;
	size_t label_cnt;
};

/** weight_field or off_cpu was asked for: the weight is the sum of periods. */
bool pa_session__is_weighted(const struct pa_session *s);
/** The stacks, in order of first appearance. Valid after pa_session__resolve until free. */
size_t pa_session__stack_cnt(const struct pa_session *s);
void pa_session__stack(const struct pa_session *s, size_t i, struct pa_stack *out);
size_t pa_session__frame_cnt(const struct pa_session *s);
const struct pa_frame *pa_session__frame(const struct pa_session *s, size_t i);

/* ---- with the option traces ------------------------------------------------------------- */

/** Where code is. Packed, as there are many. */
struct pa_spot {
	uint64_t offset; /* in the file */
	uint32_t image;	 /* index for pa_session__image; UINT32_MAX: kernel, JIT, unmapped, none */
} __attribute__((packed, aligned(4)));

/** What was seen to happen: a branch from from to to, or, where from and prev are none, a sample at
 *  to. Execution went from prev, where the branch before it led, to from, unless prev is none. */
struct pa_trace {
	struct pa_spot prev, from, to;
	uint16_t event;
	bool is_sample;
	bool is_kernel; /* to is the kernel's */
	uint64_t cnt, mispredicted_cnt;
};
/** All traces, in no order, each different from the others. Borrowed until the next call on s. */
const struct pa_trace *pa_session__traces(const struct pa_session *s, size_t *cnt);
size_t pa_session__image_cnt(const struct pa_session *s);
/** What is mapped. Strings are borrowed. @return 0, -ENOENT not a file, -ENOMEM */
int pa_session__image(struct pa_session *s, size_t i, struct pa_map_info *out);
/** Open the file of an image, where it was recorded or found by its build-id.
 *  @return a descriptor for the caller to close, -ESTALE another file by its build-id, -ENOENT,
 *  -errno */
int pa_session__open_image(struct pa_session *s, size_t i);

/* ---- derivations ------------------------------------------------------------------------ */

/** Labels of a profile's samples: bits of pa_pprof_opts.labels. */
enum { PA_LABEL_PID = 1, PA_LABEL_TID = 2, PA_LABEL_COMM = 4, PA_LABEL_ALL = 7 };

struct pa_pprof_opts {
	size_t sz;
	const char *const *tags; /* comments, verbatim */
	size_t tag_cnt;
	uint64_t time_ns; /* wall clock of the capture's start, 0 unknown */
	uint64_t duration_ns;
	bool addresses;	 /* unmapped addresses are told apart; else they are "[unknown]" at 0 */
	unsigned labels; /* PA_LABEL_*; samples that differ in nothing else are one */
	const char *default_sample_type; /* NULL: the weight of the first event */
	/** What is wrong with default_sample_type or with the events, one line; may be NULL. */
	void (*warn)(void *ctx, const char *msg);
	void *ctx;
};
/** Write the pprof form of one or more resolved sessions to path ("-" standard output; a file is
 *  whole or absent). Sample types of a single event: samples/count and cpu/nanoseconds (clock
 *  events: the sum of periods; other events in frequency mode: samples x 1e9/freq), or
 *  samples/count and EVENT/count for a fixed period. Of several: for each EVENT_samples/count
 *  and EVENT/count (nanoseconds for clock events). Events of the same name are one.
 *  @return 0, -EINVAL no such default_sample_type, -E2BIG too many events, -ENOMEM, -errno */
int pa_pprof__write(const struct pa_session *const *sessions, size_t cnt,
		    const struct pa_pprof_opts *opts, const char *path);

/** The first name of a folded stack. */
enum pa_folded_root {
	PA_ROOT_COMM,	  /* "comm" */
	PA_ROOT_COMM_PID, /* "comm-PID" */
	PA_ROOT_COMM_TID, /* "comm-PID/TID" */
	PA_ROOT_PID,	  /* "PID" */
	PA_ROOT_TID,	  /* "TID" */
	PA_ROOT_NONE,
};

struct pa_folded_opts {
	size_t sz;
	bool periods; /* weight by period instead of by samples */
	enum pa_folded_root root;
	bool kernel_only, user_only; /* that part of each stack; not both */
	bool delimiter;		     /* "-" between the user's and the kernel's part */
	bool annotate;	/* "_[k]" after kernel functions, "_[j]" after a JIT compiler's */
	bool addresses; /* "[libc.so.6 <1a2b>]" for a frame without symbol */
};
/** Write the folded stacks of resolved sessions together, root first, sorted, as
 *  stackcollapse-perf.pl prints them. @return 0, -ENOMEM, -errno of the stream */
int pa_folded__write(const struct pa_session *const *sessions, size_t cnt,
		     const struct pa_folded_opts *opts, FILE *out);

struct pa_flame_opts {
	size_t sz;
	const char *title;    /* NULL: "Flame Graph" */
	const char *subtitle; /* NULL: none */
	const char *unit;     /* "samples" */
	double min_width_px;  /* frames narrower than this are left out, and counted; 0.1 */
	unsigned width_px;    /* 1200 */
	bool periods;	      /* pa_flame__write: weight by period instead of by samples */
	bool inverted;	      /* the root at the top */
	bool reverse;	      /* pa_flame__write: stacks begin with their leaf */
	bool html;	      /* a page around the picture */
	/* of a tree with weights from before: */
	bool normalize; /* scale those to the same sum */
	bool negate;	/* red for less, blue for more */
};
/** Draw a self-contained interactive SVG (zoom, search with matched share, no outside link).
 *  @return 0, -ENOMEM, -errno of the stream */
int pa_flame__write(const struct pa_session *s, const struct pa_flame_opts *opts, FILE *out);

/* A call tree, as the flame graph draws it; also for folded text input. */
struct pa_calltree;
enum pa_frame_class { PA_CLASS_USER, PA_CLASS_KERNEL, PA_CLASS_JIT, PA_CLASS_ROOT };
int pa_calltree__new(struct pa_calltree **out);
void pa_calltree__free(struct pa_calltree *t);
/** Add a stack, root first; names are copied once. @return 0 or -ENOMEM */
int pa_calltree__add(struct pa_calltree *t, const char *const *names,
		     const enum pa_frame_class *classes, size_t cnt, uint64_t weight);
/** Stacks that are added from now on begin with their leaf. */
void pa_calltree__set_reverse(struct pa_calltree *t, bool reverse);
/** Stacks that are added from now on are those of before: the tree shows what has changed. */
void pa_calltree__set_before(struct pa_calltree *t, bool is_before);
bool pa_calltree__is_diff(const struct pa_calltree *t);
/** The weight of before in branches that are gone, which can't be drawn. @param total  of before */
uint64_t pa_calltree__vanished(struct pa_calltree *t, uint64_t *total);
/** Add the stacks of a session, each below its thread's name and its labels.
 *  @return 0, -ENOMEM */
int pa_flame__add(const struct pa_session *s, bool periods, struct pa_calltree *t);
int pa_calltree__write_svg(struct pa_calltree *t, const struct pa_flame_opts *opts, FILE *out);

#endif
