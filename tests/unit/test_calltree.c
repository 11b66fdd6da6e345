/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_calltree.c - stacks merged into a tree and drawn: weights and order, what is left out and
 * said to be, hostile names, depths and numbers. A made-up session stands in for the real one, so
 * that pa_flame__write is tested on its own. With FLAME_KEEP=FILE in the environment the case
 * `small` leaves its graph there, for a browser to open.
 */
#include <errno.h>
#include <stdint.h>

#include "check.h"
#include "convert/calltree.h"
#include "convert/convert.h"

struct graph {
	char *text;
	size_t bytes;
	int err;
};

static struct graph draw(struct pa_calltree *t, const struct pa_flame_opts *opts)
{
	struct graph g = {0};
	FILE *out = open_memstream(&g.text, &g.bytes);

	g.err = pa_calltree__write_svg(t, opts, out);
	fclose(out);
	return g;
}

/* Add "a;b;c": a is the comm; names that begin with "k_" are the kernel's, with "py::" JIT. */
static int add(struct pa_calltree *t, const char *folded, uint64_t weight)
{
	enum pa_frame_class classes[64];
	const char *names[64];
	char *copy = strdup(folded), *save = NULL;
	size_t cnt = 0;
	int err;

	for (char *n = strtok_r(copy, ";", &save); n; n = strtok_r(NULL, ";", &save)) {
		classes[cnt] = cnt ? PA_CLASS_USER : PA_CLASS_ROOT;
		if (!strncmp(n, "k_", 2))
			classes[cnt] = PA_CLASS_KERNEL;
		else if (!strncmp(n, "py::", 4))
			classes[cnt] = PA_CLASS_JIT;
		names[cnt++] = n;
	}
	err = pa_calltree__add(t, names, classes, cnt, weight);
	free(copy);
	return err;
}

static size_t count(const char *text, const char *what)
{
	size_t cnt = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		cnt++;
	return cnt;
}

/* Everything before the script, so that its text is not searched. */
static void cut_script(struct graph *g)
{
	char *script = strstr(g->text, "<script>");

	if (script)
		*script = '\0';
}

#define SERVE "web server;main;accept_loop(int);handle<Request, std::vector<char>>(Request const&)"

static const char *const small[] = {
	"web server;main;accept_loop(int);k_do_syscall_64;k_inet_csk_accept",
	SERVE ";parse",
	SERVE ";render",
	SERVE ";render;render;parse",
	"python3;_PyEval_EvalFrameDefault;py::fib:/app/fib.py;py::fib:/app/fib.py",
	"python3;_PyEval_EvalFrameDefault;py::fib:/app/fib.py",
	"swapper;k_cpu_idle;k_default_idle",
	"swapper;k_cpu_idle",
	"tiny;once",
};
static const uint64_t small_weights[] = {1200, 2500, 1800, 700, 2100, 900, 1500, 20, 1};

static struct pa_calltree *small_tree(bool backwards)
{
	const size_t cnt = sizeof(small) / sizeof(small[0]);
	struct pa_calltree *t;

	if (pa_calltree__new(&t))
		return NULL;
	for (size_t i = 0; i < cnt; i++) {
		size_t at = backwards ? cnt - 1 - i : i;

		if (add(t, small[at], small_weights[at]))
			return NULL;
	}
	return t;
}

TEST(small)
{
	struct pa_flame_opts opts = {.sz = sizeof(opts),
				     .title = "Two services & <idle>",
				     .subtitle = "host a, 99 Hz, 30 s"};
	struct pa_calltree *t = small_tree(false), *back = small_tree(true);
	struct graph g = draw(t, &opts), again = draw(t, &opts), other = draw(back, &opts);
	FILE *keep;

	CHECK_EQ(g.err, 0);
	CHECK_STR(g.text, again.text);
	CHECK_STR(g.text, other.text); /* the order of adding does not show */
	if (getenv("FLAME_KEEP")) {
		keep = fopen(getenv("FLAME_KEEP"), "w");
		CHECK(keep && fputs(g.text, keep) >= 0 && !fclose(keep));
	}
	cut_script(&g);
	CHECK(strstr(g.text, "<title>Two services &amp; &lt;idle&gt;</title>"));
	CHECK(strstr(g.text, "<title>all\n10,721 samples, 100.00%</title>"));
	CHECK(strstr(g.text, "<title>main\n6,200 samples, 57.83%</title>"));
	CHECK(strstr(g.text, "<g data-f=\"0 3000 1\"><title>python3\n"));
	CHECK(strstr(g.text, "<g data-f=\"3000 1520 1\"><title>swapper\n"));
	CHECK(strstr(g.text, "All frames are drawn."));
	CHECK_EQ(count(g.text, "<g data-f="), 20);
	CHECK(count(g.text, "rect class=\"k") == 5); /* with the legend's */
	CHECK(count(g.text, "rect class=\"j") == 3);
	/* Nothing is fetched from elsewhere. */
	CHECK_EQ(count(g.text, "http"), 1);
	CHECK_EQ(count(g.text, "href") + count(g.text, "url("), 0);
	free(g.text);
	free(again.text);
	free(other.text);
	pa_calltree__free(t);
	pa_calltree__free(back);
}

TEST(same_name_other_class)
{
	const char *names[] = {"app", "same"};
	enum pa_frame_class user[] = {PA_CLASS_ROOT, PA_CLASS_USER};
	enum pa_frame_class kernel[] = {PA_CLASS_ROOT, PA_CLASS_KERNEL};
	struct pa_calltree_node *nodes;
	struct pa_calltree *t;
	uint32_t cnt;

	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(pa_calltree__add(t, names, kernel, 2, 1), 0);
	CHECK_EQ(pa_calltree__add(t, names, user, 2, 2), 0);
	CHECK_EQ(pa_calltree__add(t, names, user, 2, 4), 0);
	CHECK_EQ(pa_calltree__arrange(t), 0);
	nodes = pa_calltree__nodes(t, &cnt);
	CHECK_EQ(cnt, 4);
	CHECK_EQ(nodes[0].weight, 7);
	CHECK_EQ(nodes[1].weight, 7);
	CHECK_EQ(nodes[1].first_child, 3);
	CHECK_EQ(nodes[3].class, PA_CLASS_USER);
	CHECK_EQ(nodes[3].weight, 6);
	CHECK_EQ(nodes[3].next_sibling, 2);
	CHECK_EQ(nodes[2].next_sibling, 0);
	pa_calltree__free(t);
}

TEST(empty)
{
	struct pa_calltree *t;
	struct graph g;

	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(add(t, "ignored;weightless", 0), 0);
	g = draw(t, NULL);
	CHECK_EQ(g.err, 0);
	CHECK(strstr(g.text, "<title>all\n0 samples, 0.00%</title>"));
	CHECK_EQ(count(g.text, "<g data-f="), 1);
	free(g.text);
	pa_calltree__free(t);
	pa_calltree__free(NULL);
}

TEST(hostile_names)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"</title><script>alert(1)</script>",
		 "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\n"},
		{"]]>&\"'", "]]&gt;&amp;&quot;&#39;\n"},
		{"a\nb\tc\x01\x1f\x7f", "a\xe2\x90\x8a"
					"b\xe2\x90\x89"
					"c\xe2\x90\x81\xe2\x90\x9f\xe2\x90\xa1\n"},
		{"\xff\xc3(", "\xef\xbf\xbd\xef\xbf\xbd(\n"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd\n"},
		{"\xef\xbf\xbf\xef\xbf\xbe", "\xef\xbf\xbd\xef\xbf\xbd\n"},
		{"\xe2\x80\xae"
		 "evil",
		 "\xef\xbf\xbd"
		 "evil\n"},
		{"cut \xf0\x9f\x94", "cut \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n"},
		{"fire \xf0\x9f\x94\xa5", "fire \xf0\x9f\x94\xa5\n"},
		{"", "\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum pa_frame_class class = PA_CLASS_USER;
		char want[256];
		struct pa_calltree *t;
		struct graph g;

		snprintf(want, sizeof(want), "<title>%s1 samples", cases[i].out);
		CHECK_EQ(pa_calltree__new(&t), 0);
		CHECK_EQ(pa_calltree__add(t, &cases[i].in, &class, 1, 1), 0);
		g = draw(t, NULL);
		CHECK_EQ(g.err, 0);
		if (!strstr(g.text, want))
			CHECK_FAIL("case %zu: no \"%s\" in the graph", i, want);
		CHECK_EQ(count(g.text, "]]>"), 1); /* the end of the script */
		CHECK_EQ(count(g.text, "<script>"), 1);
		free(g.text);
		pa_calltree__free(t);
	}
}

TEST(labels_fit)
{
	struct pa_flame_opts opts = {.sz = sizeof(opts), .width_px = 420};
	struct pa_calltree *t;
	struct graph g;

	/* 400 px, 1 % each: 4 px, too narrow for a letter; 99 %: 390 px, 58 letters */
	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(add(t, "narrow", 1), 0);
	CHECK_EQ(add(t, "wide_0123456789_0123456789_0123456789_0123456789_0123456789", 99), 0);
	CHECK_EQ(add(t,
		     "wide_0123456789_0123456789_0123456789_0123456789_0123456789;"
		     "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad",
		     1),
		 0);
	g = draw(t, &opts);
	CHECK_EQ(g.err, 0);
	cut_script(&g);
	CHECK_EQ(count(g.text, ">narrow</text>"), 0);
	CHECK_EQ(count(g.text, "\nnarrow"), 0);
	CHECK(strstr(g.text, "_01234567\xe2\x80\xa6</text>"));
	free(g.text);
	pa_calltree__free(t);
}

TEST(narrow_frames_are_counted)
{
	struct pa_flame_opts opts = {.sz = sizeof(opts), .min_width_px = 1};
	struct pa_calltree *t;
	struct graph g;

	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(add(t, "app;big", 9980), 0);
	CHECK_EQ(add(t, "app;small;deeper;deepest", 5), 0);
	CHECK_EQ(add(t, "app;small;deeper", 2), 0);
	CHECK_EQ(add(t, "app;other", 3), 0);
	CHECK_EQ(add(t, "app;wide enough", 10), 0);
	g = draw(t, &opts);
	CHECK_EQ(g.err, 0);
	CHECK_EQ(count(g.text, "4 frames narrower than 1.0 px are left out; 0.10% of the samples "
			       "end in them."),
		 2);
	CHECK_EQ(count(g.text, "<g data-f="), 4);
	free(g.text);
	pa_calltree__free(t);
}

TEST(deep_and_wide)
{
	enum { DEPTH = 4096, WIDE = 100000 };
	static const char *names[DEPTH];
	static enum pa_frame_class classes[DEPTH];
	static char text[30][32];
	struct pa_calltree *t;
	struct graph g;
	uint32_t cnt;

	for (int i = 0; i < DEPTH; i++)
		names[i] = "recursion";
	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(pa_calltree__add(t, names, classes, DEPTH, WIDE), 0);
	for (int i = 0; i < WIDE; i++) {
		for (int k = 0; k < 30; k++) {
			snprintf(text[k], sizeof(text[k]), "f%d_%d", k, k > 24 ? i >> (29 - k) : 0);
			names[k] = text[k];
		}
		CHECK_EQ(pa_calltree__add(t, names, classes, 30, 1), 0);
	}
	pa_calltree__nodes(t, &cnt);
	CHECK(cnt > 190000);
	g = draw(t, NULL);
	CHECK_EQ(g.err, 0);
	CHECK(count(g.text, "<g data-f=") > DEPTH + 25);
	free(g.text);
	pa_calltree__free(t);
}

TEST(weights_saturate)
{
	struct pa_calltree_node *nodes;
	struct pa_calltree *t;
	struct graph g;
	uint32_t cnt;

	CHECK_EQ(pa_calltree__new(&t), 0);
	CHECK_EQ(add(t, "a;b", UINT64_MAX - 1), 0);
	CHECK_EQ(add(t, "a;c", UINT64_MAX / 2), 0);
	CHECK_EQ(add(t, "d", UINT64_MAX), 0);
	nodes = pa_calltree__nodes(t, &cnt);
	CHECK(nodes[0].weight == UINT64_MAX);
	CHECK_EQ(cnt, 4);
	g = draw(t, NULL);
	CHECK_EQ(g.err, 0);
	CHECK(strstr(g.text, "<title>all\n18,446,744,073,709,551,615 samples, 100.00%"));
	free(g.text);
	pa_calltree__free(t);
}

TEST(write_errors_are_reported)
{
	struct pa_calltree *t = small_tree(false);
	FILE *full = fopen("/dev/full", "w");

	CHECK(t && full);
	CHECK_EQ(pa_calltree__write_svg(t, NULL, full), -ENOSPC);
	fclose(full);
	pa_calltree__free(t);
}

/* ---- a made-up session ------------------------------------------------------------------ */

static const struct pa_map_info file_map = {.kind = PA_IMAGE_FILE, .path = "/usr/lib/libx.so.1"};
static const struct pa_map_info kernel_map = {.kind = PA_IMAGE_KERNEL, .path = "[kernel]"};
static const struct pa_map_info jit_map = {.kind = PA_IMAGE_JIT, .path = "[jit]"};
static const struct pa_symbol main_sym = {.name = "main"}, sys_sym = {.name = "do_syscall_64"},
			      fib_sym = {.name = "py::fib"};
static const struct pa_frame all_frames[] = {
	{.map = &file_map, .address = 0x10, .sym = &main_sym},
	{.map = &kernel_map, .address = 0x20, .sym = &sys_sym},
	{.map = &jit_map, .address = 0x30, .sym = &fib_sym},
	{.map = &file_map, .address = 0x40},
	{.map = &kernel_map, .address = 0x50},
	{.address = 0x60},
};
static const uint32_t stack_a[] = {4, 1, 3, 0};
static const uint32_t stack_b[] = {2, 5, 0};

size_t pa_session__stack_cnt(const struct pa_session *s)
{
	(void)s;
	return 2;
}

const struct pa_frame *pa_session__frame(const struct pa_session *s, size_t i)
{
	(void)s;
	return &all_frames[i];
}

size_t pa_session__frame_cnt(const struct pa_session *s)
{
	(void)s;
	return sizeof(all_frames) / sizeof(all_frames[0]);
}

bool pa_session__is_weighted(const struct pa_session *s)
{
	(void)s;
	return false;
}

void pa_session__stack(const struct pa_session *s, size_t i, struct pa_stack *out)
{
	(void)s;
	*out = (struct pa_stack){.comm = "my app",
				 .kernel_cnt = i ? 0 : 2,
				 .frame_cnt = i ? 3 : 4,
				 .frames = i ? stack_b : stack_a,
				 .sample_cnt = i + 1,
				 .period_sum = 1000};
}

TEST(from_session)
{
	struct pa_flame_opts opts = {.sz = sizeof(opts)};
	struct graph g = {0};
	FILE *out;

	for (int periods = 0; periods < 2; periods++) {
		opts.periods = periods;
		out = open_memstream(&g.text, &g.bytes);
		g.err = pa_flame__write(NULL, &opts, out);
		fclose(out);
		CHECK_EQ(g.err, 0);
		cut_script(&g);
		CHECK(strstr(g.text, periods ? "<title>my app\n2,000 samples, 100.00%"
					     : "<title>my app\n3 samples, 100.00%"));
		CHECK(strstr(g.text, "<g data-f=\"0 "));
		CHECK(strstr(g.text, " 3\"><title>[libx.so.1]\n"));
		CHECK(strstr(g.text, " 5\"><title>[kernel]\n"));
		CHECK(strstr(g.text, " 3\"><title>[unknown]\n"));
		CHECK(strstr(g.text, " 4\"><title>py::fib\n"));
		CHECK_EQ(count(g.text, "<g data-f="), 8);
		CHECK_EQ(count(g.text, "rect class=\"k"), 3);
		CHECK_EQ(count(g.text, "rect class=\"j"), 2);
		free(g.text);
	}
}

TEST_MAIN()
