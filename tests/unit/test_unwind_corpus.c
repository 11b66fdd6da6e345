// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_unwind_corpus.c - samples with copied stacks that others recorded, where they are present
 * (CORPUS, else ../shared/corpus from the source tree's top): the walk must come to the frames
 * that another reader found. The programs are kept beside them, compressed.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "check.h"
#include "convert/session.h"

/* A frame is two lines of the expected text, the first of which begins with its address. Inlined
 * functions come before the one that they are in, in lines of their own. */
struct expected {
	gzFile text;
	char line[8192];
	uint64_t time_ns;
	uint64_t ips[512];
	size_t cnt;
};

struct corpus_case {
	const char *data, *program, *expected, *name;
};

static const char *corpus(void)
{
	const char *dir = getenv("CORPUS");

	return dir && *dir ? dir : "../shared/corpus";
}

static const char *golden(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/KDAB-perfparser/golden/%s", corpus(), name);
	return path;
}

/* An unlinked copy of the program. @return descriptor or -1 */
static int unpack(const char *name)
{
	char path[] = "/tmp/unwind-corpus-XXXXXX", buf[65536];
	gzFile in = gzopen(golden(name), "r");
	int fd = mkstemp(path), n;

	unlink(path);
	while (in && (n = gzread(in, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			abort();
	if (!in)
		return close(fd), -1;
	gzclose(in);
	return fd;
}

struct opener {
	const char *name;
	int fd;
};

static int open_image(void *ctx, const struct pa_image_ref *ref)
{
	const struct opener *o = ctx;
	const char *base = strrchr(ref->path, '/');

	return base && !strcmp(base + 1, o->name) ? dup(o->fd) : -EIO;
}

/* "COMM PID TID SECONDS.FRACTION", separated by tabs. */
static bool is_head(const char *line, uint64_t *time_ns)
{
	const char *last = strrchr(line, '\t');
	unsigned long long sec, ns;

	if (!isgraph((unsigned char)line[0]) || !last ||
	    sscanf(last, "\t%llu.%9llu", &sec, &ns) != 2)
		return false;
	*time_ns = sec * 1000000000ull + ns;
	return true;
}

/* Read one sample's frames. @return false: no more */
static bool next_expected(struct expected *e)
{
	bool inside = false, is_second = false, is_new = true;

	e->cnt = 0;
	do {
		if (!inside || e->line[0] != '\t') {
			if (inside && e->line[0] != '\n')
				return true;
			if (inside || !is_head(e->line, &e->time_ns))
				continue;
			inside = true;
			/* its events and their fields, up to an empty line */
			while (e->line[0] != '\n' && gzgets(e->text, e->line, sizeof(e->line)))
				;
		} else if (is_second) {
			is_new = !strstr(e->line, "(inlined)");
			is_second = false;
		} else {
			uint64_t ip = strtoull(e->line + 1, NULL, 16);

			if (is_new && ip && !(ip >> 63) && e->cnt < 512)
				e->ips[e->cnt++] = ip;
			is_second = true;
		}
	} while (gzgets(e->text, e->line, sizeof(e->line)));
	e->line[0] = '\0';
	return inside;
}

/* The user's part of one sample's chain. */
struct walked {
	uint64_t time_ns;
	size_t cnt;
	uint64_t ips[512];
};

static void walk_sample(struct pa_session *s, const struct perf_event_header *hdr,
			struct walked *out)
{
	struct pd_sample sample;
	bool is_user = false;

	out->cnt = 0;
	if (pd_sample__parse(s->opts.events, hdr, &sample))
		return;
	out->time_ns = sample.id.time;
	pa_session_unwind__sample(s, &sample,
				  pa_procs__space(&s->procs, sample.id.pid, sample.id.time),
				  sample.id.time);
	for (size_t i = 0; i < sample.ip_cnt && out->cnt < 512; i++) {
		if (sample.ips[i] >= (__u64)PERF_CONTEXT_MAX)
			is_user = sample.ips[i] == (__u64)PERF_CONTEXT_USER;
		else if (is_user)
			out->ips[out->cnt++] = sample.ips[i];
	}
}

/* A reader may show a return address as that of its call's last byte. */
static bool is_same(const struct walked *w, const struct expected *e)
{
	for (size_t i = 0; i < w->cnt && i < e->cnt; i++)
		if (w->ips[i] != e->ips[i] && w->ips[i] != e->ips[i] + 1)
			return false;
	return w->cnt == e->cnt;
}

static const char *origin(void *ctx)
{
	(void)ctx;
	return "x86_64";
}

/* Walk every sample of a file. @return number of them, in a malloc'd array; -1 absent */
static ssize_t walk_file(const struct corpus_case *c, struct walked **out)
{
	struct opener opener = {c->name, unpack(c->program)};
	struct pa_symbolizer_opts sym_opts = {
		.sz = sizeof(sym_opts), .open_image = open_image, .ctx = &opener};
	struct pa_session_opts opts = {.sz = sizeof(opts), .origin = origin};
	const struct perf_event_header *hdr;
	struct pd_reader *r = NULL;
	struct pa_session *s = NULL;
	char path[4096];
	ssize_t cnt = -1;

	*out = calloc(4096, sizeof(**out));
	snprintf(path, sizeof(path), "%s/KDAB-perfparser/%s", corpus(), c->data);
	if (opener.fd < 0 || pd_reader__open(path, &r) ||
	    pa_symbolizer__new(&sym_opts, &opts.symbolizer))
		goto out;
	opts.events = pd_reader__events(r);
	if (pa_session__new(&opts, &s) || pa_session__feed_reader(s, r) || pd_reader__rewind(r))
		goto out;
	cnt = 0;
	while (pd_reader__next(r, &hdr, NULL) == 1)
		if (hdr->type == PERF_RECORD_SAMPLE && cnt < 4096)
			walk_sample(s, hdr, &(*out)[cnt++]);
out:
	pa_session__free(s);
	pa_symbolizer__free(opts.symbolizer);
	pd_reader__close(r);
	if (opener.fd >= 0)
		close(opener.fd);
	return cnt;
}

static void compare(const struct corpus_case *c)
{
	struct expected e = {.text = gzopen(golden(c->expected), "r")};
	struct walked *walked = NULL;
	ssize_t cnt = e.text ? walk_file(c, &walked) : -1;
	size_t same_cnt = 0, all_cnt = 0;

	while (cnt >= 0 && next_expected(&e)) {
		bool found = false;

		for (ssize_t i = 0; i < cnt && !found; i++)
			found = walked[i].time_ns == e.time_ns && is_same(&walked[i], &e);
		all_cnt += e.cnt > 0;
		same_cnt += e.cnt > 0 && found;
		if (e.cnt && !found)
			fprintf(stderr, "%s: not as expected at %llu\n", c->data,
				(unsigned long long)e.time_ns);
	}
	if (e.text)
		gzclose(e.text);
	free(walked);
	if (cnt < 0) {
		fprintf(stderr, "skipped: no %s/KDAB-perfparser/%s\n", corpus(), c->data);
		return;
	}
	fprintf(stderr, "%s: %zu of %zu\n", c->data, same_cnt, all_cnt);
	CHECK(all_cnt > 10);
	CHECK_EQ(same_cnt, all_cnt);
}

TEST(vector_gcc)
{
	compare(&(struct corpus_case){
		.data = "tests__auto__perfdata__vector_static_gcc__perf.data.zlib.raw",
		.program = "vector_static_gcc__vector_static_gcc_v9.1.0.gz",
		.expected = "vector_static_gcc__perf.data.expected.txt",
		.name = "vector_static_gcc_v9.1.0"});
}

TEST(vector_gcc_zstd)
{
	compare(&(struct corpus_case){
		.data = "tests__auto__perfdata__vector_static_gcc__perf.data.zstd.zlib.raw",
		.program = "vector_static_gcc__vector_static_gcc_v9.1.0.gz",
		.expected = "vector_static_gcc__perf.data.zstd.expected.txt",
		.name = "vector_static_gcc_v9.1.0"});
}

TEST(vector_clang)
{
	compare(&(struct corpus_case){
		.data = "tests__auto__perfdata__vector_static_clang__perf.data.zlib.raw",
		.program = "vector_static_clang__vector_static_clang_v8.0.1.gz",
		.expected = "vector_static_clang__perf.data.expected.txt",
		.name = "vector_static_clang_v8.0.1"});
}

TEST(fork)
{
	compare(&(struct corpus_case){
		.data = "tests__auto__perfdata__fork_static_gcc__perf.data.zstd.zlib.raw",
		.program = "fork_static_gcc__fork.gz",
		.expected = "fork_static_gcc__perf.data.zstd.expected.txt",
		.name = "fork"});
}

TEST(parallel)
{
	compare(&(struct corpus_case){
		.data = "tests__auto__perfdata__parallel_static_gcc__perf.data.zstd.zlib.raw",
		.program = "parallel_static_gcc__parallel_static_gcc.gz",
		.expected = "parallel_static_gcc__perf.data.zstd.expected.txt.gz",
		.name = "parallel_static_gcc"});
}

TEST_MAIN()
