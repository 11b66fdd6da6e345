/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flame.c - a call tree drawn as a flame graph: one self-contained SVG that is complete without
 * its script (labels, tooltips, totals); the script, flame.js, adds zoom and search. Positions
 * are computed in integers, in 1/100 px, so that the same stacks give the same bytes everywhere.
 * Names are hostile: they are only ever written through put_text.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/calltree.h"
#include "convert/convert.h"

#define PAD_PX 10   /* left and right of the frames */
#define HEAD_PX 82  /* title, subtitle and details, above the frames */
#define FOOT_PX 24  /* the note, below them */
#define PITCH_PX 17 /* from one level to the next */
#define FRAME_PX 16
#define CHAR_CENTIPX 663    /* of the 11px monospaced font */
#define NAME_CELLS_MAX 2048 /* of a tooltip; hostile names may be megabytes long */
#define SHADE_CNT 16

/* The script, as bytes of the read-only data; the build runs at the top of the repository. */
#ifndef PA_FLAME_JS
#define PA_FLAME_JS "src/convert/flame.js"
#endif
__asm__(".pushsection .rodata\n"
	".globl pa_flame_js\n"
	".hidden pa_flame_js\n"
	"pa_flame_js:\n"
	".incbin \"" PA_FLAME_JS "\"\n"
	".byte 0\n"
	".popsection\n");
extern const char pa_flame_js[] __attribute__((visibility("hidden")));

/* 16 shades per enum pa_frame_class, in that order; a name picks one by its hash. */
static const uint32_t shades[][SHADE_CNT] = {
	{0xf39375, 0xf4a94b, 0xf49e6a, 0xf7c553, 0xf4a07b, 0xf6b851, 0xf5a666, 0xf8d359, 0xf39572,
	 0xf4a149, 0xf5a56d, 0xf7c057, 0xf4a277, 0xf5b04e, 0xf5a963, 0xf8ce5c},
	{0x9bcbe2, 0x7ba3dd, 0x93bee1, 0x819de1, 0xa0c9e4, 0x80a1df, 0x90b8e1, 0x869be3, 0x99c7e2,
	 0x79a4dc, 0x95bde2, 0x84a2e1, 0x9dc6e4, 0x7ea2de, 0x8db4e1, 0x88a0e3},
	{0x91cd99, 0x70c698, 0x88cc9b, 0x75cbaa, 0x95d0a1, 0x74c9a2, 0x85cc9e, 0x79cdb4, 0x8ecd99,
	 0x6ec493, 0x8acea0, 0x78cba9, 0x92d0a1, 0x72c79d, 0x82cb9f, 0x7cceb2},
	{0xd8dbdf, 0xc7ccd3, 0xd4d8dc, 0xcbcfd7, 0xdadee1, 0xc9ced6, 0xd2d6db, 0xcdd1d9, 0xd7dade,
	 0xc6cbd2, 0xd5d9dd, 0xccd0d8, 0xd9dce0, 0xc8cdd5, 0xd1d5da, 0xced3da},
};
static const char class_letters[] = "ukjr";
static const struct {
	const char *name;
	unsigned int width_px;
} legend[] = {
	{"user", 27},
	{"kernel", 38},
	{"JIT", 17},
};

static const char style[] =
	".pa-flame{background:#fff}"
	".pa-flame text{font:11px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;"
	"fill:#1b1f24}"
	".pa-flame .head text,.pa-flame .note{font:12px system-ui,-apple-system,'Segoe UI',"
	"Roboto,'DejaVu Sans',sans-serif;fill:#57606a}"
	".pa-flame .head .title{font-size:17px;font-weight:600;fill:#1b1f24}"
	".pa-flame .head .details{fill:#1b1f24}"
	".pa-flame .bg{fill:#fff}"
	".pa-flame .frames g{cursor:pointer}"
	".pa-flame .frames text{pointer-events:none}"
	".pa-flame .frames g:hover rect{stroke:#1b1f24;stroke-width:.8}"
	".pa-flame .frames .above{opacity:.45}"
	".pa-flame .frames .match rect{fill:#d946ef}"
	".pa-flame .head .matched{fill:#a21caf;font-weight:600;text-anchor:end}"
	".pa-flame .button{cursor:pointer}"
	".pa-flame .button rect{fill:#f3f4f6;stroke:#d0d7de}"
	".pa-flame .button:hover rect{fill:#e5e7eb}"
	".pa-flame .head .button text{fill:#1b1f24;text-anchor:middle}"
	".pa-flame input{box-sizing:border-box;width:100%;height:24px;padding:2px 8px;"
	"font:12px system-ui,sans-serif;color:#1b1f24;background:#fff;"
	"border:1px solid #d0d7de;border-radius:4px}";

struct flame {
	FILE *out;
	struct pa_calltree *tree;
	struct pa_calltree_node *nodes;
	uint32_t node_cnt;
	uint64_t total; /* at least 1 */
	const char *title, *subtitle, *unit;
	uint64_t width_px, min_millipx;
	/* of what is drawn, from measure() */
	uint64_t level_cnt, drawn_cnt;
	uint64_t cut_weight; /* of the stacks that are not drawn up to their leaf */
	unsigned int class_mask;
	bool inverted, html, is_diff, normalize, negate;
	uint64_t *self_change; /* is_diff: by node, how much its own weight has changed */
	uint64_t max_change;
	bool *is_less; /* is_diff: by node */
};

/* ---- text ------------------------------------------------------------------------------- */

/* The code point at *s, which is moved past it; U+FFFD for a byte that is not UTF-8. */
static uint32_t next_code_point(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned int len = 2 + (p[0] >= 0xe0) + (p[0] >= 0xf0);
	uint32_t c = p[0] & (0x7f >> len);

	++*s;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0xfffd;
	for (unsigned int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0xfffd;
	*s += len - 1;
	return c;
}

/* What stands for a code point that XML forbids or that would disturb the text around it. */
static uint32_t printable(uint32_t c)
{
	if (c < 0x20)
		return 0x2400 + c; /* the picture of the control character */
	if (c == 0x7f)
		return 0x2421;
	if (c < 0xa0 && c > 0x7f)
		return 0xfffd;
	/* Line and paragraph separators; marks and overrides of the writing direction. */
	if (c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c & 0xfffe) == 0xfffe)
		return 0xfffd;
	return c;
}

static unsigned int cells(uint32_t c)
{
	/* Hangul Jamo, CJK and emoji are twice as wide; an estimate will do. */
	bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xd800) ||
		    (c >= 0xf900 && c < 0xfb00) || (c >= 0xff00 && c < 0xff61) || c >= 0x1f000;

	return wide ? 2 : 1;
}

static void put_code_point(FILE *out, uint32_t c)
{
	switch (c) {
	case '&':
		fputs("&amp;", out);
		return;
	case '<':
		fputs("&lt;", out);
		return;
	case '>':
		fputs("&gt;", out);
		return;
	case '"':
		fputs("&quot;", out);
		return;
	case '\'':
		fputs("&#39;", out);
		return;
	}
	if (c < 0x80) {
		putc_unlocked((int)c, out);
	} else if (c < 0x800) {
		putc_unlocked(0xc0 | (int)(c >> 6), out);
		putc_unlocked(0x80 | (int)(c & 0x3f), out);
	} else {
		if (c < 0x10000) {
			putc_unlocked(0xe0 | (int)(c >> 12), out);
		} else {
			putc_unlocked(0xf0 | (int)(c >> 18), out);
			putc_unlocked(0x80 | (int)(c >> 12 & 0x3f), out);
		}
		putc_unlocked(0x80 | (int)(c >> 6 & 0x3f), out);
		putc_unlocked(0x80 | (int)(c & 0x3f), out);
	}
}

/* Write s as XML text that takes at most max_cells; an ellipsis says that it was cut. */
static void put_text(FILE *out, const char *s, uint64_t max_cells)
{
	const char *end = s, *fits = s; /* fits: what leaves room for the ellipsis */
	uint64_t used = 0;

	while (*end && used <= max_cells) {
		used += cells(printable(next_code_point(&end)));
		if (used < max_cells)
			fits = end;
	}
	if (!*end && used <= max_cells)
		fits = end;
	else
		end = NULL;
	while (s < fits)
		put_code_point(out, printable(next_code_point(&s)));
	if (!end && max_cells)
		fputs("\xe2\x80\xa6", out);
}

/* 1234567 as 1,234,567. buf: 32 bytes. */
static const char *grouped(uint64_t n, char buf[32])
{
	char *p = buf + 31;
	unsigned int digits = 0;

	*p = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--p = ',';
		*--p = (char)('0' + n % 10);
		n /= 10;
		digits++;
	} while (n);
	return p;
}

/* Write part of total in percent, with two decimals. */
static void put_percent(FILE *out, uint64_t part, uint64_t total)
{
	unsigned __int128 scaled = (unsigned __int128)part * 10000 + total / 2;
	uint64_t hundredths = (uint64_t)(scaled / total);

	fprintf(out, "%" PRIu64 ".%02" PRIu64 "%%", hundredths / 100, hundredths % 100);
}

static unsigned int shade(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (h ^ h >> 16) % SHADE_CNT;
}

/* ---- layout ----------------------------------------------------------------------------- */

/* Where a weight counted from the left edge lies, in 1/100 px. */
static uint64_t centipx(const struct flame *f, uint64_t weight)
{
	uint64_t width_px = f->width_px - 2 * PAD_PX;

	return (uint64_t)((unsigned __int128)weight * (width_px * 100) / f->total);
}

static bool wide_enough(const struct flame *f, const struct pa_calltree_node *n)
{
	uint64_t width_px = f->width_px - 2 * PAD_PX;

	return n->weight && (unsigned __int128)n->weight * (width_px * 1000) >=
				    (unsigned __int128)f->min_millipx * f->total;
}

/* The node after id in depth-first order, 0 at the end; sets its start. level is moved along. */
static uint32_t next_node(const struct flame *f, uint32_t id, bool descend, uint64_t *level)
{
	struct pa_calltree_node *nodes = f->nodes;
	uint32_t next = nodes[id].first_child;

	if (descend && next) {
		nodes[next].start = nodes[id].start;
		++*level;
		return next;
	}
	while (id && !nodes[id].next_sibling) {
		id = nodes[id].parent;
		--*level;
	}
	next = nodes[id].next_sibling;
	if (next)
		nodes[next].start = nodes[id].start + nodes[id].weight;
	return next;
}

static void measure(struct flame *f)
{
	uint64_t level = 0;
	uint32_t id = 0;

	f->nodes[0].start = 0;
	do {
		const struct pa_calltree_node *n = &f->nodes[id];
		bool drawn = !id || wide_enough(f, n);

		if (drawn) {
			f->drawn_cnt++;
			f->class_mask |= 1u << n->class;
			if (level >= f->level_cnt)
				f->level_cnt = level + 1;
		} else {
			f->cut_weight += n->weight;
		}
		id = next_node(f, id, drawn, &level);
	} while (id);
}

/* ---- the parts of the document ---------------------------------------------------------- */

/* Before, in the sum that after has. */
static uint64_t before_of(const struct flame *f, uint64_t before)
{
	uint64_t total = f->nodes[0].before;

	if (!f->normalize || !total)
		return before;
	return (uint64_t)((unsigned __int128)before * f->nodes[0].weight / total);
}

/* How much the weight of each node itself, without its children's, has changed. */
static int compare_trees(struct flame *f)
{
	int64_t *own = calloc(f->node_cnt, sizeof(*own));

	f->self_change = calloc(f->node_cnt, sizeof(*f->self_change));
	f->is_less = calloc(f->node_cnt, sizeof(*f->is_less));
	if (!own || !f->self_change || !f->is_less) {
		free(own);
		return -ENOMEM;
	}
	/* unsigned sums wrap as they should: only the differences are read */
	for (uint32_t i = 0; i < f->node_cnt; i++) {
		int64_t change = (int64_t)(f->nodes[i].weight - before_of(f, f->nodes[i].before));

		own[i] += change;
		if (i)
			own[f->nodes[i].parent] -= change;
	}
	for (uint32_t i = 0; i < f->node_cnt; i++) {
		f->is_less[i] = own[i] < 0;
		f->self_change[i] = own[i] < 0 ? -(uint64_t)own[i] : (uint64_t)own[i];
		if (f->self_change[i] > f->max_change && f->nodes[i].weight)
			f->max_change = f->self_change[i];
	}
	free(own);
	return 0;
}

/* ": 12 before, 3.40 %, now +1.20 points" */
static void put_change(const struct flame *f, const struct pa_calltree_node *n)
{
	uint64_t total = f->nodes[0].before ? f->nodes[0].before : 1;
	double points = 100.0 * n->weight / f->total - 100.0 * n->before / total;
	char buf[32];

	fprintf(f->out, "\nbefore: %s ", grouped(n->before, buf));
	put_text(f->out, f->unit, 64);
	fputs(", ", f->out);
	put_percent(f->out, n->before, total);
	fprintf(f->out, " (%+.2f points)", points);
}

/* A class of the style sheet; in a comparison white to red for more, to blue for less. */
static void set_color(const struct flame *f, const struct pa_calltree_node *n, char buf[32])
{
	uint32_t id = n - f->nodes;
	unsigned pale;

	if (!f->is_diff) {
		snprintf(buf, 32, "class=\"%c%u\"", class_letters[n->class],
			 shade(pa_calltree__name(f->tree, n->name)));
		return;
	}
	pale = f->max_change ? 235 - (unsigned)(150.0 * f->self_change[id] / f->max_change) : 235;
	if (!f->self_change[id])
		snprintf(buf, 32, "fill=\"#ebebeb\"");
	else if (f->is_less[id] != f->negate)
		snprintf(buf, 32, "fill=\"#%02x%02xff\"", pale, pale);
	else
		snprintf(buf, 32, "fill=\"#ff%02x%02x\"", pale, pale);
}

static void put_frame(const struct flame *f, const struct pa_calltree_node *n, uint64_t level)
{
	const char *name = pa_calltree__name(f->tree, n->name);
	uint64_t x = centipx(f, n->start) + PAD_PX * 100;
	uint64_t width = centipx(f, n->start + n->weight) + PAD_PX * 100 - x;
	uint64_t y = HEAD_PX + (f->inverted ? level : f->level_cnt - 1 - level) * PITCH_PX;
	char color[32];
	uint64_t room = width > 600 ? (width - 600) / CHAR_CENTIPX : 0;
	char buf[32];

	if (width > 200)
		width -= 50; /* a gap between neighbours */
	fprintf(f->out, "<g data-f=\"%" PRIu64 " %" PRIu64 " %" PRIu64 "\"><title>", n->start,
		n->weight, level);
	put_text(f->out, name, NAME_CELLS_MAX);
	fprintf(f->out, "\n%s ", grouped(n->weight, buf));
	put_text(f->out, f->unit, 64);
	fputs(", ", f->out);
	put_percent(f->out, n->weight, f->total);
	if (f->is_diff)
		put_change(f, n);
	set_color(f, n, color);
	fprintf(f->out,
		"</title><rect %s x=\"%" PRIu64 ".%02" PRIu64 "\" y=\"%" PRIu64
		"\" width=\"%" PRIu64 ".%02" PRIu64 "\" height=\"%d\" rx=\"1\"/>",
		color, x / 100, x % 100, y, width / 100, width % 100, FRAME_PX);
	if (room >= 3) {
		fprintf(f->out, "<text x=\"%" PRIu64 ".%02" PRIu64 "\" y=\"%" PRIu64 "\">",
			x / 100 + 3, x % 100, y + 12);
		put_text(f->out, name, room);
		fputs("</text>", f->out);
	}
	fputs("</g>\n", f->out);
}

static void put_frames(const struct flame *f)
{
	uint64_t level = 0;
	uint32_t id = 0;

	fputs("<g class=\"frames\">\n", f->out);
	do {
		bool drawn = !id || wide_enough(f, &f->nodes[id]);

		if (drawn)
			put_frame(f, &f->nodes[id], level);
		id = next_node(f, id, drawn, &level);
	} while (id);
	fputs("</g>\n", f->out);
}

static void put_style(const struct flame *f)
{
	fputs("<style>", f->out);
	fputs(style, f->out);
	for (unsigned int class = 0; class <= PA_CLASS_ROOT; class ++) {
		if (!(f->class_mask & 1u << class))
			continue;
		for (unsigned int i = 0; i < SHADE_CNT; i++)
			fprintf(f->out, ".pa-flame .%c%u{fill:#%06" PRIx32 "}",
				class_letters[class], i, shades[class][i]);
	}
	fputs("</style>\n", f->out);
}

/* What was left out, in words: a graph must not look more complete than it is. */
static void put_cut_note(const struct flame *f)
{
	uint64_t cut_cnt = f->node_cnt - f->drawn_cnt;
	char buf[32];

	if (!cut_cnt) {
		fputs("All frames are drawn.", f->out);
		return;
	}
	fprintf(f->out, "%s %s narrower than %" PRIu64 ".%" PRIu64 " px %s left out; ",
		grouped(cut_cnt, buf), cut_cnt == 1 ? "frame" : "frames", f->min_millipx / 1000,
		f->min_millipx % 1000 / 100, cut_cnt == 1 ? "is" : "are");
	put_percent(f->out, f->cut_weight, f->total);
	fputs(" of the ", f->out);
	put_text(f->out, f->unit, 64);
	fputs(" end in them.", f->out);
}

static void put_legend(const struct flame *f)
{
	uint64_t x = f->width_px - PAD_PX;

	fputs("<g class=\"legend\">", f->out);
	for (int class = PA_CLASS_JIT; class >= PA_CLASS_USER; class --) {
		if (!(f->class_mask & 1u << class))
			continue;
		x -= 14 + legend[class].width_px + (x < f->width_px - PAD_PX ? 14 : 0);
		fprintf(f->out,
			"<rect class=\"%c5\" x=\"%" PRIu64 "\" y=\"46\" width=\"10\" height=\"10\" "
			"rx=\"2\"/><text x=\"%" PRIu64 "\" y=\"55\">%s</text>",
			class_letters[class], x, x + 14, legend[class].name);
	}
	fputs("</g>\n", f->out);
}

static void put_head(const struct flame *f)
{
	uint64_t cells_max = (f->width_px - 2 * PAD_PX) / 10;
	char buf[32];

	fprintf(f->out,
		"<g class=\"head\"><rect class=\"bg\" width=\"100%%\" height=\"%d\"/>\n"
		"<text class=\"title\" x=\"%d\" y=\"28\">",
		HEAD_PX - 4, PAD_PX);
	put_text(f->out, f->title, cells_max > 60 ? cells_max - 45 : 15);
	fprintf(f->out, "</text>\n<text class=\"subtitle\" x=\"%d\" y=\"50\">", PAD_PX);
	put_text(f->out, f->subtitle, cells_max);
	fprintf(f->out, "</text>\n<text class=\"details\" x=\"%d\" y=\"71\">%s ", PAD_PX,
		grouped(f->nodes[0].weight, buf));
	put_text(f->out, f->unit, 64);
	fputs("</text>\n", f->out);
	put_legend(f);
	fputs("</g>\n", f->out);
}

static void put_svg(const struct flame *f)
{
	uint64_t height_px = HEAD_PX + f->level_cnt * PITCH_PX + FOOT_PX;

	if (!f->html)
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", f->out);
	fprintf(f->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pa-flame\" width=\"%" PRIu64
		"\" height=\"%" PRIu64 "\" viewBox=\"0 0 %" PRIu64 " %" PRIu64
		"\" data-min=\"%" PRIu64 ".%03" PRIu64 "\"%s data-unit=\"",
		f->width_px, height_px, f->width_px, height_px, f->min_millipx / 1000,
		f->min_millipx % 1000, f->inverted ? " data-inverted=\"1\"" : "");
	put_text(f->out, f->unit, 64);
	fputs("\">\n<title>", f->out);
	put_text(f->out, f->title, NAME_CELLS_MAX);
	fputs("</title>\n<desc>", f->out);
	put_cut_note(f);
	fputs("</desc>\n", f->out);
	put_style(f);
	fputs("<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n", f->out);
	put_frames(f);
	fprintf(f->out, "<text class=\"note\" x=\"%d\" y=\"%" PRIu64 "\">", PAD_PX, height_px - 9);
	put_cut_note(f);
	fputs("</text>\n", f->out);
	put_head(f);
	fputs("<script><![CDATA[\n", f->out);
	fputs(pa_flame_js, f->out);
	fputs("]]></script>\n</svg>\n", f->out);
}

/* The same picture in a page of its own. */
static void put_html(const struct flame *f)
{
	fputs("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>", f->out);
	put_text(f->out, f->title, NAME_CELLS_MAX);
	fputs("</title><style>body{margin:0}svg{display:block}</style></head>\n"
	      "<body data-flame=\"1\">\n",
	      f->out);
	put_svg(f);
	fputs("</body></html>\n", f->out);
}

/* ---- public ----------------------------------------------------------------------------- */

static void set_opts(struct flame *f, const struct pa_flame_opts *opts)
{
	struct pa_flame_opts o = {0};

	if (opts)
		memcpy(&o, opts, opts->sz < sizeof(o) ? opts->sz : sizeof(o));
	f->title = o.title ? o.title : "Flame Graph";
	f->subtitle = o.subtitle ? o.subtitle : "";
	f->unit = o.unit ? o.unit : "samples";
	f->width_px = o.width_px ? o.width_px : 1200;
	if (f->width_px < 400)
		f->width_px = 400;
	if (f->width_px > 100000)
		f->width_px = 100000;
	f->inverted = o.inverted;
	f->html = o.html;
	f->normalize = o.normalize;
	f->negate = o.negate;
	f->min_millipx = 100;
	if (o.min_width_px > 0 && o.min_width_px < 1000)
		f->min_millipx = (uint64_t)(o.min_width_px * 1000 + 0.5);
}

int pa_calltree__write_svg(struct pa_calltree *t, const struct pa_flame_opts *opts, FILE *out)
{
	struct flame f = {.out = out, .tree = t};
	int err = pa_calltree__arrange(t);

	if (err)
		return err;
	set_opts(&f, opts);
	f.nodes = pa_calltree__nodes(t, &f.node_cnt);
	f.total = f.nodes[0].weight ? f.nodes[0].weight : 1;
	f.is_diff = pa_calltree__is_diff(t);
	err = f.is_diff ? compare_trees(&f) : 0;
	if (err)
		goto out;
	measure(&f);
	errno = 0;
	if (f.html)
		put_html(&f);
	else
		put_svg(&f);
	if (fflush(out) || ferror(out))
		err = errno ? -errno : -EIO;
out:
	free(f.self_change);
	free(f.is_less);
	return err;
}

/* ---- from a session --------------------------------------------------------------------- */

/* Names of a session's frames by their index, and the stack that is being put together. */
struct stack_names {
	const char **names; /* NULL: not asked for yet */
	char **made;	    /* those names that had to be made */
	size_t frame_cnt;
	const char **stack; /* root first */
	enum pa_frame_class *classes;
	size_t stack_cap;
};

/* A frame without a symbol is called after its image, in brackets, as folded stacks have it.
 * Returns NULL when out of memory. */
static const char *frame_name(struct stack_names *s, const struct pa_frame *frame, size_t index)
{
	const char *path = frame->map ? frame->map->path : NULL, *base;
	size_t bytes;

	if (frame->sym && *frame->sym->name)
		return frame->sym->name;
	if (!path || !*path)
		return "[unknown]";
	if (*path == '[')
		return path;
	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	bytes = strlen(base) + 3;
	s->made[index] = malloc(bytes);
	if (s->made[index])
		snprintf(s->made[index], bytes, "[%s]", base);
	return s->made[index];
}

static enum pa_frame_class frame_class(const struct pa_frame *frame, bool in_kernel)
{
	if (in_kernel || (frame->map && frame->map->kind == PA_IMAGE_KERNEL))
		return PA_CLASS_KERNEL;
	return frame->map && frame->map->kind == PA_IMAGE_JIT ? PA_CLASS_JIT : PA_CLASS_USER;
}

static int reserve_stack(struct stack_names *s, size_t cnt)
{
	const char **stack;
	enum pa_frame_class *classes;

	if (cnt <= s->stack_cap)
		return 0;
	cnt += 256;
	stack = reallocarray(s->stack, cnt, sizeof(*stack));
	if (stack)
		s->stack = stack;
	classes = reallocarray(s->classes, cnt, sizeof(*classes));
	if (classes)
		s->classes = classes;
	if (!stack || !classes)
		return -ENOMEM;
	s->stack_cap = cnt;
	return 0;
}

static size_t depth_of(const struct pa_session *session, const struct pa_stack *st)
{
	size_t depth = 1 + st->label_cnt + st->frame_cnt;

	for (size_t i = 0; i < st->frame_cnt; i++)
		depth += pa_session__frame(session, st->frames[i])->line_cnt;
	return depth;
}

static int put_label(struct stack_names *s, size_t at, const struct pa_label *label)
{
	int bytes = pa_label__print(label, NULL, 0);
	char *text = bytes < 0 ? NULL : malloc((size_t)bytes + 1);

	if (!text)
		return -ENOMEM;
	pa_label__print(label, text, (size_t)bytes + 1);
	s->stack[at] = text;
	s->classes[at] = PA_CLASS_ROOT;
	return 0;
}

/* Put a frame, or the functions inlined there, the outermost first. */
static int take_frame(struct stack_names *s, const struct pa_session *session, uint32_t index,
		      bool in_kernel, size_t *at)
{
	const struct pa_frame *frame = pa_session__frame(session, index);
	enum pa_frame_class class = frame_class(frame, in_kernel);

	for (size_t i = frame->line_cnt > 1 ? frame->line_cnt : 0; i--; (*at)++) {
		s->stack[*at] = *frame->lines[i].name ? frame->lines[i].name : "[inlined]";
		s->classes[*at] = class;
	}
	if (frame->line_cnt > 1)
		return 0;
	if (!s->names[index])
		s->names[index] = frame_name(s, frame, index);
	s->stack[*at] = s->names[index];
	s->classes[(*at)++] = class;
	return s->names[index] ? 0 : -ENOMEM;
}

static int add_stack(struct pa_calltree *t, struct stack_names *s, const struct pa_session *session,
		     const struct pa_stack *st, uint64_t weight)
{
	int err = reserve_stack(s, depth_of(session, st));
	size_t label_cnt = 0, at;

	if (err)
		return err;
	s->stack[0] = st->comm;
	s->classes[0] = PA_CLASS_ROOT;
	for (; !err && label_cnt < st->label_cnt; label_cnt += !err)
		err = put_label(s, 1 + label_cnt, &st->labels[label_cnt]);
	at = 1 + label_cnt;
	for (size_t i = st->frame_cnt; !err && i--;)
		err = take_frame(s, session, st->frames[i], i < st->kernel_cnt, &at);
	if (!err)
		err = pa_calltree__add(t, s->stack, s->classes, at, weight);
	for (size_t i = 0; i < label_cnt; i++)
		free((char *)(uintptr_t)s->stack[1 + i]);
	return err;
}

int pa_flame__add(const struct pa_session *session, bool periods, struct pa_calltree *tree)
{
	struct stack_names s = {.frame_cnt = pa_session__frame_cnt(session)};
	int err = 0;

	periods |= pa_session__is_weighted(session);
	s.names = calloc(s.frame_cnt + 1, sizeof(*s.names));
	s.made = calloc(s.frame_cnt + 1, sizeof(*s.made));
	if (!s.names || !s.made)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < pa_session__stack_cnt(session); i++) {
		struct pa_stack st;

		pa_session__stack(session, i, &st);
		err = add_stack(tree, &s, session, &st, periods ? st.period_sum : st.sample_cnt);
	}
	for (size_t i = 0; s.made && i < s.frame_cnt; i++)
		free(s.made[i]);
	free(s.made);
	free(s.names);
	free(s.stack);
	free(s.classes);
	return err;
}

int pa_flame__write(const struct pa_session *session, const struct pa_flame_opts *opts, FILE *out)
{
	struct pa_flame_opts o = {0};
	struct pa_calltree *tree;
	int err = pa_calltree__new(&tree);

	if (err)
		return err;
	if (opts)
		memcpy(&o, opts, opts->sz < sizeof(o) ? opts->sz : sizeof(o));
	pa_calltree__set_reverse(tree, o.reverse);
	err = pa_flame__add(session, o.periods, tree);
	if (!err)
		err = pa_calltree__write_svg(tree, opts, out);
	pa_calltree__free(tree);
	return err;
}
