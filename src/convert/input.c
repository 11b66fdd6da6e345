// SPDX-License-Identifier: GPL-2.0-only
/*
 * input.c - from a file's name to a resolved session: the steps that all pa2* tools share.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "convert/input.h"

struct pa_input {
	struct pa_input_opts opts;
	struct pd_reader *reader;
	struct pa_symbolizer *symbolizer;
	struct pa_session *session;
	char *kallsyms; /* in the directory of perf record --kcore */
	const char **tags;
	size_t tag_cnt;
	bool is_whole;
	bool lacks_cpus; /* a sample that does not say its CPU was asked for it */
	char errmsg[512];
};

__attribute__((format(printf, 3, 4))) static int fail(struct pa_input *in, int err, const char *fmt,
						      ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(in->errmsg, sizeof(in->errmsg), fmt, ap);
	va_end(ap);
	return err;
}

__attribute__((format(printf, 2, 3))) static void warn(const struct pa_input *in, const char *fmt,
						       ...)
{
	char msg[512];
	va_list ap;

	if (!in->opts.warn)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	in->opts.warn(in->opts.ctx, msg);
}

/* What the reader says, as "failed to VERB: REASON". */
static int fail_reading(struct pa_input *in, int err, const char *verb)
{
	const char *msg = in->reader ? pd_reader__errmsg(in->reader) : "";
	const char *help = err == -EBADMSG && !strcmp(verb, "read")
				   ? " (perf-agent recover passes over damage)"
				   : "";

	if (!strncmp(msg, "failed to ", 10))
		return fail(in, err, "%s", msg);
	return fail(in, err, "failed to %s: %s%s", verb, *msg ? msg : strerror(-err), help);
}

/* Processes and perf-maps of this machine say nothing about a file from another one. */
static bool is_from_here(struct pd_reader *r)
{
	const char *host = pd_reader__feature_string(r, PD_FEAT_HOSTNAME);
	const char *release = pd_reader__feature_string(r, PD_FEAT_OSRELEASE);
	struct utsname here;

	if (uname(&here))
		return false;
	return (!host || !strcmp(host, here.nodename)) &&
	       (!release || !strcmp(release, here.release));
}

/* PD_BLOB_TAGS: strings, each with its NUL. */
static int read_tags(struct pa_input *in)
{
	const void *data;
	const char *s, *end;
	size_t bytes, cnt = 0;

	if (pd_reader__blob(in->reader, PD_BLOB_TAGS, NULL, &data, &bytes))
		return 0;
	s = data;
	for (size_t i = 0; i < bytes; i++)
		cnt += !s[i];
	in->tags = calloc(cnt + 1, sizeof(*in->tags));
	if (!in->tags)
		return -ENOMEM;
	end = s + bytes;
	while (in->tag_cnt < cnt && s < end) {
		in->tags[in->tag_cnt++] = s;
		s += strlen(s) + 1;
	}
	return 0;
}

/* Say so when walks of copied stacks did not reach the outermost frame. A few never do: a sample
 * in the first instructions of a thread, or in handwritten code. */
static void judge_walks(const struct pa_input *in, const struct pa_session_stats *stats)
{
	static const char *const why[PA_UNWIND_END_CNT] = {
		[PA_UNWIND_NO_CFI] = "come to code without unwind information or whose "
				     "binary is missing",
		[PA_UNWIND_OUT_OF_STACK] = "reach beyond the stack that was copied (perf record "
					   "--call-graph dwarf,BYTES copies more)",
		[PA_UNWIND_BAD] = "don't fit their code's unwind information",
		[PA_UNWIND_LOOP] = "make no progress",
		[PA_UNWIND_TOO_DEEP] = "are too deep",
		[PA_UNWIND_UNSUPPORTED] = "are of 32-bit processes or lack registers",
	};
	uint64_t all = 0, early;
	char text[400] = "";

	for (size_t i = 0; i < PA_UNWIND_END_CNT; i++)
		all += stats->unwound_cnt[i];
	early = all - stats->unwound_cnt[PA_UNWIND_COMPLETE];
	if (!early || early < all / 100)
		return;
	for (size_t i = 0; i < PA_UNWIND_END_CNT; i++) {
		size_t used = strlen(text);

		if (why[i] && stats->unwound_cnt[i])
			snprintf(text + used, sizeof(text) - used, "%s%llu %s", used ? ", " : "",
				 (unsigned long long)stats->unwound_cnt[i], why[i]);
	}
	warn(in, "%llu of %llu call chains end early: %s", (unsigned long long)early,
	     (unsigned long long)all, text);
}

/* One warning for all that makes the input less than whole. */
static void judge(struct pa_input *in, int end)
{
	struct pa_session_stats stats;

	pa_session__stats(in->session, &stats);
	if (end == -ENODATA)
		warn(in, "the file is cut short (%s): using what is whole",
		     pd_reader__errmsg(in->reader));
	else if (pd_reader__is_unfinished(in->reader))
		warn(in, "the file was not finished by its writer: using what was written");
	else if (pd_reader__lacks_features(in->reader))
		warn(in, "the file is cut short behind its samples: without its build-ids and what "
			 "else it says of its machine, names may be wrong");
	else if (stats.malformed_cnt || stats.unknown_event_cnt)
		warn(in, "skipped %llu malformed records and %llu samples of unknown events",
		     (unsigned long long)stats.malformed_cnt,
		     (unsigned long long)stats.unknown_event_cnt);
	else
		in->is_whole = true;
	if (stats.throttle_cnt)
		warn(in, "the kernel throttled sampling %llu times: load is missing then",
		     (unsigned long long)stats.throttle_cnt);
	if (stats.dropped_cnt)
		warn(in, "%llu names and mappings were dropped: too many in one process",
		     (unsigned long long)stats.dropped_cnt);
	if (stats.lost_cnt)
		warn(in, "%llu samples were lost while recording",
		     (unsigned long long)stats.lost_cnt);
	judge_walks(in, &stats);
	if (in->lacks_cpus)
		warn(in, "samples without their CPU were left out: perf record -a or --sample-cpu "
			 "records it");
	else if (!stats.sample_cnt)
		warn(in, stats.filtered_cnt ? "no sample passes the filters"
					    : "the file has no samples");
}

static bool keeps(void *ctx, const struct pd_sample *s, const char *comm)
{
	struct pa_input *in = ctx;
	const struct pd_event *e = pd_events__get(pd_reader__events(in->reader), s->id.event);

	if (in->opts.filter->cpus.cnt && !(e->attr.sample_type & PERF_SAMPLE_CPU)) {
		in->lacks_cpus = true;
		return false;
	}
	return pa_filter__keeps(in->opts.filter, s, comm);
}

static void session_warn(void *ctx, const char *msg)
{
	warn(ctx, "%s", msg);
}

/* A stream has told by its first sample where it comes from, but for the kernel's place. */
static const char *tell_origin(void *ctx)
{
	struct pa_input *in = ctx;

	pa_symbolizer__set_origin(in->symbolizer, is_from_here(in->reader),
				  pa_session__kernel_text(in->session));
	return pd_reader__feature_string(in->reader, PD_FEAT_ARCH);
}

/* What perf record --kcore has copied is the kernel of the data. */
static int use_kcore_dir(struct pa_input *in)
{
	const char *dir = pd_reader__kcore_dir(in->reader);

	if (!dir || in->opts.kallsyms || in->opts.vmlinux)
		return 0;
	if (asprintf(&in->kallsyms, "%s/kallsyms", dir) < 0) {
		in->kallsyms = NULL;
		return -ENOMEM;
	}
	if (!access(in->kallsyms, R_OK))
		in->opts.kallsyms = in->kallsyms;
	return 0;
}

static int set_up(struct pa_input *in)
{
	struct pa_symbolizer_opts sym_opts = {
		.sz = sizeof(sym_opts),
		.warn = in->opts.warn,
		.ctx = in->opts.ctx,
		.decl_lines = in->opts.decl_lines,
		.search = in->opts.search,
		.kallsyms = in->opts.kallsyms,
		.vmlinux = in->opts.vmlinux,
		.lines = in->opts.lines,
		.inlines = in->opts.inlines,
	};
	struct pa_session_opts opts = {
		.sz = sizeof(opts),
		.events = pd_reader__events(in->reader),
		.lines = in->opts.lines || in->opts.inlines,
		.one_event = in->opts.one_event,
		.merge_unmapped = !in->opts.addresses,
		.merge_processes = in->opts.merge_processes,
		.merge_threads = in->opts.merge_threads,
		.merge_functions = in->opts.merge_functions,
		.warn = session_warn,
		.origin = tell_origin,
		.ctx = in,
		.event = in->opts.event,
		.weight_field = in->opts.weight_field,
		.label_fields = in->opts.label_fields,
		.off_cpu = in->opts.off_cpu,
		.traces = in->opts.traces,
	};
	int err = pa_symbolizer__new(&sym_opts, &in->symbolizer);

	if (err)
		return err;
	if (!in->opts.no_symbols)
		opts.symbolizer = in->symbolizer;
	if (in->opts.filter && !pa_filter__is_empty(in->opts.filter))
		opts.filter = keeps;
	return pa_session__new(&opts, &in->session);
}

int pa_input__open(const char *path, const struct pa_input_opts *opts, struct pa_input **out)
{
	struct pa_input *in = calloc(1, sizeof(*in));
	int err, end;

	*out = in;
	if (!in)
		return -ENOMEM;
	memcpy(&in->opts, opts, opts->sz < sizeof(in->opts) ? opts->sz : sizeof(in->opts));
	err = pd_reader__open(path, &in->reader);
	if (err)
		return fail_reading(in, err, "open");
	err = use_kcore_dir(in);
	if (!err)
		err = set_up(in);
	if (err)
		return fail(in, err, "failed to set up: %s", strerror(-err));
	end = pa_session__feed_reader(in->session, in->reader);
	if (end && *pa_session__errmsg(in->session))
		return fail(in, end, "%s", pa_session__errmsg(in->session));
	if (end && end != -ENODATA)
		return fail_reading(in, end, "read");
	judge(in, end);
	/* a stream says where it comes from in its records */
	tell_origin(in);
	err = read_tags(in);
	if (!err && !in->opts.traces)
		err = pa_session__resolve(in->session);
	return err ? fail(in, err, "failed to symbolize: %s", strerror(-err)) : 0;
}

const struct pa_session *pa_input__session(const struct pa_input *in)
{
	return in->session;
}

struct pa_session *pa_input__traced(const struct pa_input *in)
{
	return in->session;
}

const struct pd_events *pa_input__events(const struct pa_input *in)
{
	return pd_reader__events(in->reader);
}

bool pa_input__is_whole(const struct pa_input *in)
{
	return in->is_whole;
}

/* Wall clock of the first sample, from the pair of clocks in the CLOCK_DATA feature. */
static uint64_t wall_clock_of(const struct pa_input *in, uint64_t first_ns)
{
	struct {
		__u32 version, clockid;
		__u64 wall_ns, clock_ns;
	} clock;
	const void *data;
	size_t bytes;

	if (pd_reader__feature(in->reader, PD_FEAT_CLOCK_DATA, &data, &bytes) ||
	    bytes < sizeof(clock))
		return 0;
	memcpy(&clock, data, sizeof(clock));
	if (pd_reader__is_foreign(in->reader)) {
		clock.version = __builtin_bswap32(clock.version);
		clock.wall_ns = __builtin_bswap64(clock.wall_ns);
		clock.clock_ns = __builtin_bswap64(clock.clock_ns);
	}
	return clock.version == 1 && first_ns ? clock.wall_ns + (first_ns - clock.clock_ns) : 0;
}

void pa_input__describe(const struct pa_input *in, struct pa_pprof_opts *out)
{
	struct pd_blob_capture capture;
	struct pa_session_stats stats;
	const void *data;
	size_t bytes;

	pa_session__stats(in->session, &stats);
	out->tags = in->tags;
	out->tag_cnt = in->tag_cnt;
	/* of the other byte order there is none: nobody has written it yet */
	if (!pd_reader__is_foreign(in->reader) &&
	    !pd_reader__blob(in->reader, PD_BLOB_CAPTURE, NULL, &data, &bytes) &&
	    bytes >= sizeof(capture)) {
		memcpy(&capture, data, sizeof(capture));
		out->time_ns = capture.start_wall_ns;
		out->duration_ns =
			capture.end_ns > capture.start_ns ? capture.end_ns - capture.start_ns : 0;
		return;
	}
	out->time_ns = wall_clock_of(in, stats.first_ns);
	out->duration_ns = stats.last_ns - stats.first_ns;
}

const char *pa_input__errmsg(const struct pa_input *in)
{
	return in->errmsg;
}

void pa_input__close(struct pa_input *in)
{
	if (!in)
		return;
	pa_session__free(in->session);
	pa_symbolizer__free(in->symbolizer);
	pd_reader__close(in->reader);
	free(in->tags);
	free(in->kallsyms);
	free(in);
}
