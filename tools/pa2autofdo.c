// SPDX-License-Identifier: GPL-2.0-only
/*
 * pa2autofdo.c - perf.data to profiles that compilers and BOLT optimise by.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "pgo/pgo.h"
#include "wholefile.h"

enum { OPT_ALL = 256, OPT_MERGE, OPT_PLAIN };

enum format { EXTBINARY, TEXT, AUTOFDO, UNSYMBOLIZED, BOLT };
static const struct {
	const char *name, *suffix;
} formats[] = {
	[EXTBINARY] = {"extbinary", "prof"}, [TEXT] = {"text", "prof.txt"},
	[AUTOFDO] = {"autofdo", "afdo.txt"}, [UNSYMBOLIZED] = {"unsymbolized", "unsym"},
	[BOLT] = {"bolt", "bolt"},
};
enum { FORMAT_CNT = sizeof(formats) / sizeof(*formats), HOTTEST_CNT = 5 };

struct options {
	struct tool_files files;
	enum format format;
	const char *binary; /* path or build-id; NULL: the one with most samples */
	const char *all;    /* directory */
	bool merge, plain;
};

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "Which binary:", 5},
	{"binary", 'b', "BINARY", 0, "Path or build-id (default: the one that most samples are in)",
	 5},
	{"all", OPT_ALL, "DIR", 0, "All binaries of the capture, each to a file in DIR", 5},
	{"merge", OPT_MERGE, NULL, 0,
	 "Add up several FILEs, of one or many machines: binaries of one build-id are one", 5},
	{NULL, 0, NULL, 0, "What is written:", 6},
	{"format", 'f', "FORMAT", 0,
	 "extbinary or text (LLVM's sample profile: clang, rustc; default extbinary), autofdo "
	 "(create_llvm_prof --profiler=text), unsymbolized (llvm-profgen), bolt (perf2bolt -pa, or "
	 "without branches llvm-bolt -data)",
	 6},
	{"plain", OPT_PLAIN, NULL, 0,
	 "Use addresses of samples only, even where branches were "
	 "recorded",
	 6},
	{0},
};

static enum format parse_format(const char *arg, struct argp_state *state)
{
	for (size_t i = 0; i < FORMAT_CNT; i++)
		if (!strcmp(arg, formats[i].name))
			return (enum format)i;
	argp_error(state, "a format is extbinary, text, autofdo, unsymbolized or bolt: %s", arg);
	return EXTBINARY;
}

static void check(const struct options *opts, struct argp_state *state)
{
	if (opts->files.input_cnt > 1 && !opts->merge)
		argp_error(state, "several files are added up with --merge only");
	if (opts->all && opts->binary)
		argp_error(state, "--all and --binary exclude each other");
	if (opts->all && strcmp(opts->files.output, "-"))
		argp_error(state, "with --all there is no one output: leave -o out");
	if (opts->files.opts.off_cpu || opts->files.opts.weight_field)
		argp_error(state,
			   "samples are counted: --off-cpu and --weight-field can't be used");
	if (opts->files.opts.label_fields[0])
		argp_error(state, "a profile has no labels: --label-field can't be used");
	if (opts->files.opts.no_symbols)
		argp_error(state, "binaries are read: --no-symbols can't be used");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->files;
		opts->files.max_inputs = INT_MAX;
		return 0;
	case 'b':
		opts->binary = arg;
		return 0;
	case 'f':
		opts->format = parse_format(arg, state);
		return 0;
	case OPT_ALL:
		opts->all = arg;
		return 0;
	case OPT_MERGE:
		opts->merge = true;
		return 0;
	case OPT_PLAIN:
		opts->plain = true;
		return 0;
	case ARGP_KEY_END:
		check(opts, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&tool_files_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE...]",
	.doc = "Convert perf.data to profiles for compilers (clang, rustc) and BOLT.\v"
	       "FILE is perf.data in file or pipe layout, or a directory of perf record; - is "
	       "standard input.\n"
	       "Exit status: 0; 1 failed; 2 usage; 3 written, but a FILE was unfinished, cut short "
	       "or damaged in part.",
	.children = children,
};

/* ---- reading ----------------------------------------------------------------------------------
 */

struct job {
	const struct options *opts;
	struct tool_inputs in;
	struct pa_pgo pgo;
	struct pa_strings names; /* of outputs */
	bool by_branches;
	bool wants_branches; /* an event that counts was to record them */
	bool is_partial;     /* something was left out */
};

/* "cycles:u, cpu-clock" */
static void list_events(const struct pd_events *events, const bool *counts, size_t cnt, bool which,
			char *buf, size_t bytes)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < cnt && used < bytes; i++)
		if (counts[i] == which)
			used += (size_t)snprintf(buf + used, bytes - used, "%s%s", used ? ", " : "",
						 pd_events__get(events, i)->name);
}

/* @return 0, -1 it was said why not */
static int add_input(struct job *job, size_t i)
{
	const char *name = tool_input_name(job->opts->files.inputs[i]);
	const struct pd_events *events = pa_input__events(job->in.inputs[i]);
	struct pa_session *s = pa_input__traced(job->in.inputs[i]);
	size_t cnt = pd_events__cnt(events);
	bool *counts = calloc(cnt + 1, sizeof(*counts));
	char chosen[400];
	int err;

	if (!counts) {
		tool_message(name, "failed to read: out of memory");
		return -1;
	}
	if (!pa_pgo__choose_events(events, s, counts, cnt)) {
		tool_message(name, "none of its events says where time on the CPU goes: nothing is "
				   "counted (--event NAME chooses one)");
		if (job->opts->files.opts.event)
			memset(counts, true, cnt * sizeof(*counts));
	}
	list_events(events, counts, cnt, true, chosen, sizeof(chosen));
	if (*chosen && cnt > 1)
		tool_message(name, "counted: %s", chosen);
	for (size_t j = 0; j < cnt; j++)
		job->wants_branches |= counts[j] && pd_events__get(events, j)->attr.sample_type &
							    PERF_SAMPLE_BRANCH_STACK;
	err = pa_pgo__add(&job->pgo, s, counts, cnt);
	free(counts);
	if (err)
		tool_message(name, "failed to count: %s", strerror(-err));
	return err ? -1 : 0;
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

/* Say what the captures have. @return 0, -1 it is of no use */
static int judge_captures(struct job *job)
{
	const struct pa_pgo *p = &job->pgo;
	const char *name = tool_input_name(job->opts->files.inputs[0]);

	job->by_branches = p->has_branches && !job->opts->plain;
	if (!p->sample_cnt) {
		tool_message(name, "there are no samples to derive a profile from");
		return -1;
	}
	tool_message(
		name, "%llu samples, %s; %.1f%% in the kernel, %.1f%% where no binary is mapped",
		(unsigned long long)p->sample_cnt,
		job->by_branches  ? "counted by the branches that were recorded"
		: p->has_branches ? "counted by address (--plain)"
		: job->wants_branches
			? "counted by address: none or not all of the branches were recorded"
			: "counted by address: no branches were recorded",
		percent(p->kernel_cnt, p->sample_cnt), percent(p->unmapped_cnt, p->sample_cnt));
	if (job->by_branches && p->lacks_branches)
		tool_message(name, "some captures have no branches: they don't count");
	if (job->by_branches && p->broken_cnt)
		tool_message(
			name,
			"%.1f%% of the ranges between branches are damaged (they run backwards, "
			"are too long, or lead to another binary): left out",
			percent(p->broken_cnt, p->branch_cnt));
	if (p->nameless_cnt) {
		tool_message(name,
			     "%llu samples are of binaries without a build-id, which can't be "
			     "added up: left out",
			     (unsigned long long)p->nameless_cnt);
		job->is_partial = true;
	}
	if (job->opts->format == UNSYMBOLIZED && !job->by_branches) {
		tool_message(name,
			     "llvm-profgen derives profiles from branches only, and none were "
			     "recorded: use --format extbinary or text, or record with perf "
			     "record -b where the CPU has branch records");
		return -1;
	}
	return 0;
}

static int read_captures(struct job *job)
{
	if (getrandom(&job->pgo.seed, sizeof(job->pgo.seed), GRND_NONBLOCK) < 0)
		job->pgo.seed = (uintptr_t)job;
	job->pgo.needs_build_ids = job->opts->files.input_cnt > 1;
	for (size_t i = 0; i < job->in.cnt; i++)
		if (add_input(job, i))
			return -1;
	if (pa_pgo__finish(&job->pgo)) {
		tool_message(tool_input_name(job->opts->files.inputs[0]),
			     "failed to count: out of memory");
		return -1;
	}
	return judge_captures(job);
}

/* ---- choosing binaries ------------------------------------------------------------------------
 */

static void print_id(const uint8_t *id, size_t bytes, char *buf)
{
	for (size_t i = 0; i < bytes; i++)
		sprintf(buf + 2 * i, "%02x", id[i]);
	buf[2 * bytes] = '\0';
}

static bool is_id_of(const struct pa_pgo_binary *b, const char *text)
{
	char id[2 * PD_BUILD_ID_MAX + 1];

	print_id(b->build_id, b->build_id_bytes, id);
	return b->build_id_bytes && strlen(text) >= 8 && !strncasecmp(id, text, strlen(text));
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_path(const struct pa_pgo_binary *b, const char *path)
{
	char real[PATH_MAX];

	if (!strcmp(b->path, path) || (!strchr(path, '/') && !strcmp(base_of(b->path), path)))
		return true;
	return realpath(path, real) && !strcmp(b->path, real);
}

/* Of a file that has the path that was recorded, but not its build-id. */
static void refuse(const char *path, const struct pa_pgo_binary *b, const uint8_t *id, size_t bytes)
{
	char recorded[2 * PD_BUILD_ID_MAX + 1], here[2 * PD_BUILD_ID_MAX + 1];

	print_id(b->build_id, b->build_id_bytes, recorded);
	print_id(id, bytes, here);
	tool_message(path,
		     "refused: its build-id is %s, the one that was recorded has %s; a profile of "
		     "one does not fit the other",
		     *here ? here : "missing", recorded);
}

/* The binary that is meant. *fd: of the file that was named, or -1. @return NULL: it was said why
 */
static struct pa_pgo_binary *find_binary(struct job *job, const char *what, int *fd)
{
	struct pa_pgo *p = &job->pgo;
	struct pa_pgo_binary *by_path = NULL;
	uint8_t id[PD_BUILD_ID_MAX];
	size_t path_cnt = 0;
	int bytes = 0;

	*fd = pa_open_regular(what);
	if (*fd >= 0)
		bytes = pa_build_id__read_fd(*fd, id);
	for (size_t i = 0; i < p->cnt; i++) {
		struct pa_pgo_binary *b = &p->binaries[i];

		if (*fd < 0 ? is_id_of(b, what)
			    : bytes > 0 && b->build_id_bytes == bytes &&
				      !memcmp(b->build_id, id, (size_t)bytes))
			return b;
		if (has_path(b, what) && !path_cnt++)
			by_path = b;
	}
	if (!by_path) {
		tool_message(what, "no sample is in a binary of this path or build-id");
		return NULL;
	}
	if (*fd >= 0 && by_path->build_id_bytes) {
		refuse(what, by_path, id, bytes > 0 ? (size_t)bytes : 0);
		return NULL;
	}
	if (path_cnt > 1)
		tool_message(what,
			     "%zu binaries of this path were recorded: the one with most "
			     "samples is meant (--binary BUILD-ID chooses another)",
			     path_cnt);
	return by_path;
}

/* @return a descriptor, -1 it was said why not */
static int open_binary(const struct pa_pgo_binary *b)
{
	int fd = pa_session__open_image(b->session, b->image);

	if (fd >= 0)
		return fd;
	tool_message(b->path,
		     fd == -ESTALE ? "refused: it is another file now, a profile would not fit"
		     : fd == -ENOENT
			     ? "not found: name the file with --binary, or its folder with --symfs"
			     : "failed to open: %s",
		     strerror(-fd));
	return -1;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

struct target {
	struct job *job;
	const struct pa_pgo_binary *binary;
	struct pa_pgo_file *file;
	struct pa_pgo_profile profile;
};

static bool is_llvm(enum format format)
{
	return format == EXTBINARY || format == TEXT;
}

static int write_target(FILE *out, void *ctx)
{
	struct target *t = ctx;

	switch (t->job->opts->format) {
	case EXTBINARY:
		return pa_pgo__write_extbinary(&t->profile, out);
	case TEXT:
		return pa_pgo__write_text(&t->profile, out);
	case AUTOFDO:
		return pa_pgo__write_autofdo(t->binary, t->file, out);
	case UNSYMBOLIZED:
		return pa_pgo__write_unsymbolized(t->binary, t->file, out);
	default:
		return t->job->by_branches ? pa_pgo__write_bolt(t->binary, t->file, out)
					   : pa_pgo__write_bolt_samples(t->binary, t->file, out);
	}
}

static int compare_given(const void *pa, const void *pb)
{
	const struct pa_pgo_function *const *a = pa, *const *b = pb;

	return (*a)->given > (*b)->given ? -1 : (*a)->given < (*b)->given;
}

/* The functions that most is in: not those of the highest totals, where code was unrolled. */
static void print_hottest(const struct target *t, size_t function_cnt)
{
	const struct pa_pgo_profile *p = &t->profile;
	const struct pa_pgo_function **list = calloc(function_cnt + 1, sizeof(*list));
	size_t cnt = 0;

	for (size_t i = 0; list && i < p->function_cnt; i++)
		if (p->functions[i].parent == PA_NONE)
			list[cnt++] = &p->functions[i];
	if (list)
		qsort(list, cnt, sizeof(*list), compare_given);
	for (size_t i = 0; list && i < cnt && i < HOTTEST_CNT && list[i]->given; i++) {
		const char *name = p->names.strs[list[i]->name];
		char *readable = pa_demangle(name);

		tool_message(t->binary->path, "%5.1f%% %s", percent(list[i]->given, p->given),
			     readable ? readable : name);
		free(readable);
	}
	free(list);
}

static void report(const struct target *t)
{
	static const char *const verdicts[] = {
		[PA_PGO_ENOUGH] = "enough",
		[PA_PGO_FEW] = "few: a longer capture makes a better profile",
		[PA_PGO_TOO_FEW] = "too few: capture longer, or at a higher frequency",
	};
	const struct pa_pgo_profile *p = &t->profile;
	const char *path = t->binary->path;
	struct pa_pgo_quality q;

	if (pa_pgo_profile__judge(p, &q))
		return;
	tool_message(path,
		     "%.1f%% of all samples; %.1f%% of these are in %zu known functions, %.1f%% "
		     "at a known line",
		     percent(t->binary->sample_cnt, t->job->pgo.sample_cnt),
		     percent(p->with_function, p->given), q.function_cnt,
		     percent(p->with_line, p->given));
	if (p->without_start > p->given / 100)
		tool_message(path,
			     "%.1f%% are in functions whose first line is not known: compile "
			     "with -g, or with -gmlt -fdebug-info-for-profiling",
			     percent(p->without_start, p->given));
	tool_message(path, "nine tenths are in %zu lines, each with %llu samples or more: %s",
		     q.line_cnt, (unsigned long long)q.least, verdicts[q.verdict]);
	print_hottest(t, q.function_cnt);
}

/* What can be told of a form of addresses without debug information, which it does not need. */
static void report_symbols(const struct target *t)
{
	const struct pa_pgo_counts *c = &t->binary->addresses;
	uint64_t vaddr, start, known = 0, all = 0;

	for (size_t i = 0; i < c->cnt; i++) {
		bool found = pa_pgo_file__vaddr(t->file, c->list[i].from, &vaddr) &&
			     pa_pgo_file__symbol(t->file, vaddr, &start);

		all += c->list[i].cnt;
		known += found ? c->list[i].cnt : 0;
	}
	tool_message(t->binary->path,
		     "%.1f%% of all samples; %.1f%% of these are in functions of its symbol table",
		     percent(t->binary->sample_cnt, t->job->pgo.sample_cnt), percent(known, all));
}

/* Forms of addresses are made without it: then it is for the report.
 * @return 0, -1 it was said why not */
static int derive(struct target *t)
{
	int err;

	t->profile.seed = t->job->pgo.seed;
	err = pa_pgo_profile__derive(&t->profile, t->binary, t->file, t->job->by_branches);
	if (err) {
		tool_message(t->binary->path, "failed to derive: %s", strerror(-err));
		return -1;
	}
	if (t->profile.is_partial && is_llvm(t->job->opts->format)) {
		tool_message(t->binary->path, "its debug information is too large or damaged: "
					      "functions are missing in the profile");
		t->job->is_partial = true;
	}
	if (t->profile.with_line || !is_llvm(t->job->opts->format))
		return 0;
	tool_message(t->binary->path,
		     "%s: compile with -g, or with -gmlt -fdebug-info-for-profiling",
		     !pa_pgo_file__has_dwarf(t->file)
			     ? "it has no debug information, nor was a debug file found"
		     : t->profile.without_start
			     ? "its debug information does not say where functions begin"
			     : "no sample is in code with debug information (.dwo files, or a .dwp "
			       "beside it, must be here where it is split)");
	return -1;
}

/* Write the profile of a binary. @param fd  of its file, closed here
 * @return 0, -1 it was said why not */
static int convert(struct job *job, const struct pa_pgo_binary *b, int fd, const char *output)
{
	struct target t = {.job = job, .binary = b};
	int err = pa_pgo_file__open(fd, b->path, &job->opts->files.opts.search, &t.file);

	if (err) {
		tool_message(b->path, "failed to read: %s", strerror(-err));
		return -1;
	}
	if (!b->build_id_bytes)
		tool_message(b->path, "it was recorded without a build-id: whether this file is "
				      "the same is not known");
	if (job->opts->format == TEXT && pa_pgo_file__is_flow_sensitive(t.file))
		tool_message(b->path, "its discriminators are flow-sensitive, which a text can't "
				      "say: tell clang by -mllvm -profile-isfs");
	err = derive(&t);
	if (!err) {
		err = pa_wholefile__write(output, write_target, &t);
		if (err && err != -EPIPE)
			tool_message(tool_output_name(output), "failed to write: %s",
				     strerror(-err));
	}
	if (!err && t.profile.with_line)
		report(&t);
	else if (!err)
		report_symbols(&t);
	pa_pgo_profile__free(&t.profile);
	pa_pgo_file__free(t.file);
	return err ? -1 : 0;
}

static int convert_one(struct job *job)
{
	struct pa_pgo_binary *b = job->pgo.cnt ? &job->pgo.binaries[0] : NULL;
	int fd = -1;

	if (job->opts->binary)
		b = find_binary(job, job->opts->binary, &fd);
	else if (b && b->sample_cnt)
		tool_message(b->path, "most samples are in this binary: its profile is written "
				      "(--binary chooses another, --all writes all)");
	else
		tool_message(tool_input_name(job->opts->files.inputs[0]),
			     "no sample is in a binary");
	if (b && fd < 0 && (b->sample_cnt || job->opts->binary))
		fd = open_binary(b);
	if (!b || fd < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return convert(job, b, fd, job->opts->files.output);
}

/* A name in the folder, of what was recorded: without folders and control characters; with the
 * build-id or a number where another binary has it. @return NULL without memory */
static char *output_name(struct job *job, size_t i)
{
	const struct pa_pgo_binary *b = &job->pgo.binaries[i];
	char more[2 * PD_BUILD_ID_MAX + 2] = "", *base = strdup(base_of(b->path)), *name = NULL;
	bool is_new = false;

	for (char *c = base; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '_';
	for (size_t n = 0; base && !is_new; n++) {
		uint32_t cnt = (uint32_t)job->names.cnt, id;

		if (n == 1 && b->build_id_bytes) {
			more[0] = '-';
			print_id(b->build_id, b->build_id_bytes, more + 1);
		} else if (n) {
			snprintf(more, sizeof(more), "-%zu", n * job->pgo.cnt + i);
		}
		free(name);
		if (asprintf(&name, "%s/%s%s.%s", job->opts->all, *base ? base : "_", more,
			     formats[job->opts->format].suffix) < 0) {
			name = NULL;
			break;
		}
		id = pa_strings__intern(&job->names, name, strlen(name));
		is_new = id == cnt;
		if (id == PA_NONE)
			break;
	}
	free(base);
	if (!is_new) {
		free(name);
		name = NULL;
	}
	return name;
}

/* All that have samples. @return 0, -1 none could be written */
static int convert_all(struct job *job)
{
	size_t written = 0;

	if (mkdir(job->opts->all, 0777) && errno != EEXIST) {
		tool_message(job->opts->all, "failed to create: %s", strerror(errno));
		return -1;
	}
	job->names.seed = job->pgo.seed;
	for (size_t i = 0; i < job->pgo.cnt && job->pgo.binaries[i].sample_cnt; i++) {
		const struct pa_pgo_binary *b = &job->pgo.binaries[i];
		char *name = output_name(job, i);
		int fd = open_binary(b);

		if (name && fd >= 0 && !convert(job, b, fd, name))
			written++;
		else
			job->is_partial = true;
		if (!name && fd >= 0)
			close(fd);
		free(name);
	}
	if (!written)
		tool_message(job->opts->all, "no profile was written");
	return written ? 0 : -1;
}

static void free_job(struct job *job)
{
	pa_pgo__free(&job->pgo);
	pa_strings__free(&job->names);
	tool_inputs_close(&job->in);
}

int main(int argc, char **argv)
{
	struct options opts = {0};
	struct job job = {.opts = &opts};
	int status = TOOL_FAILED;

	tool_init();
	argp_program_version = "pa2autofdo " PA_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, &opts))
		return TOOL_FAILED;
	opts.files.opts.traces = true;
	if (!tool_read_all(&opts.files, &job.in) && !read_captures(&job) &&
	    !(opts.all ? convert_all(&job) : convert_one(&job)))
		status = tool_finish(&job.in, opts.files.output, 0);
	if (!status && job.is_partial)
		status = TOOL_INCOMPLETE;
	free_job(&job);
	tool_files_free(&opts.files);
	return status;
}
