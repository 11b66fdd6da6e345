// SPDX-License-Identifier: GPL-2.0-only
/*
 * derive.c - counts of addresses become counts of functions and lines, the way compilers that read
 * sample profiles count: a line has the highest count of its bytes, since what is executed equally
 * often may be of many instructions; a function's total is the sum over all bytes (of ranges) or
 * samples. Lines that were never seen in a function that was have 0, which tells cold code from
 * unknown code. Rows of the line table begin where instructions do: nothing is disassembled.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pgo/file.h"

/* Without branches, how often a function is entered is seen where its code begins: so many bytes
 * are executed once per call, more or less. */
#define ENTRY_BYTES 32

#define LINE_MASK 0xffff /* what compilers keep of a line, relative to its function's */

/* ---- counts by address ------------------------------------------------------------------------
 */

/* Where a count begins or, as its negative, ends. */
struct edge {
	uint64_t vaddr, delta;
};

struct segment {
	uint64_t start, end, cnt;
};

struct segments {
	struct segment *list;
	size_t cnt;
};

static int compare_edges(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;

	return a->vaddr < b->vaddr ? -1 : a->vaddr > b->vaddr;
}

static size_t make_edges(const struct pa_pgo_counts *counts, const struct pa_pgo_file *f,
			 struct edge *edges)
{
	size_t cnt = 0;

	for (size_t i = 0; i < counts->cnt; i++) {
		const struct pa_pgo_count *c = &counts->list[i];
		uint64_t vaddr, bytes = c->to - c->from + 1;

		if (!pa_pgo_file__vaddr(f, c->from, &vaddr) || vaddr + bytes < vaddr)
			continue;
		edges[cnt++] = (struct edge){vaddr, c->cnt};
		edges[cnt++] = (struct edge){vaddr + bytes, -c->cnt};
	}
	return cnt;
}

/* Counts of overlapping ranges add up: segments don't overlap. */
static int add_ranges(const struct pa_pgo_counts *counts, const struct pa_pgo_file *f,
		      struct segments *out)
{
	struct edge *edges = malloc((counts->cnt * 2 + 1) * sizeof(*edges));
	uint64_t sum = 0;
	size_t cnt;

	if (!edges)
		return -ENOMEM;
	cnt = make_edges(counts, f, edges);
	if (cnt > 1)
		qsort(edges, cnt, sizeof(*edges), compare_edges);
	for (size_t i = 0; i < cnt; i++) {
		sum += edges[i].delta;
		if (sum && i + 1 < cnt && edges[i].vaddr < edges[i + 1].vaddr)
			out->list[out->cnt++] =
				(struct segment){edges[i].vaddr, edges[i + 1].vaddr, sum};
	}
	free(edges);
	return 0;
}

static int compare_segments(const void *pa, const void *pb)
{
	const struct segment *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Addresses are in order of offsets, nearly always that of virtual addresses too. */
static void add_addresses(const struct pa_pgo_counts *counts, const struct pa_pgo_file *f,
			  struct segments *out)
{
	bool is_sorted = true;
	uint64_t vaddr;

	for (size_t i = 0; i < counts->cnt; i++) {
		struct segment *last = out->cnt ? &out->list[out->cnt - 1] : NULL;

		if (!pa_pgo_file__vaddr(f, counts->list[i].from, &vaddr) || vaddr == UINT64_MAX)
			continue;
		if (last && last->start == vaddr) {
			last->cnt += counts->list[i].cnt;
			continue;
		}
		is_sorted &= !last || last->start < vaddr;
		out->list[out->cnt++] = (struct segment){vaddr, vaddr + 1, counts->list[i].cnt};
	}
	if (!is_sorted)
		qsort(out->list, out->cnt, sizeof(*out->list), compare_segments);
}

static int make_segments(const struct pa_pgo_binary *b, const struct pa_pgo_file *f,
			 bool by_branches, struct segments *out)
{
	const struct pa_pgo_counts *counts = by_branches ? &b->ranges : &b->addresses;

	out->cnt = 0;
	out->list = malloc((counts->cnt * 2 + 1) * sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	if (by_branches)
		return add_ranges(counts, f, out);
	add_addresses(counts, f, out);
	return 0;
}

/* ---- discriminators ---------------------------------------------------------------------------
 */

/* A discriminator is made of up to three numbers, the lowest bits first: 1 bit "1" stands for 0,
 * else "0" and 6 bits, of which the highest says that 7 more follow. */
static uint32_t component(uint32_t d)
{
	if (d & 1)
		return 0;
	d >>= 1;
	return d & 0x20 ? (d >> 1 & 0xfe0) | (d & 0x1f) : d & 0x1f;
}

static uint32_t next_component(uint32_t d)
{
	if (d & 1)
		return d >> 1;
	return d >> (d & 0x40 ? 14 : 7);
}

/* The part that tells paths of one line apart. */
static uint32_t base_of(const struct pa_pgo_profile *p, uint32_t discriminator)
{
	return p->is_flow_sensitive ? discriminator : component(discriminator);
}

/* How many iterations of a loop the code stands for, which was unrolled or made of vectors. */
static uint32_t copies_of(const struct pa_pgo_profile *p, uint32_t discriminator)
{
	uint32_t cnt = p->is_flow_sensitive ? 0 : component(next_component(discriminator));

	return cnt ? cnt : 1;
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* What the formats can hold. */
static bool is_usable(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == 0x7f)
			return false;
	return true;
}

static bool is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2);
}

/* Where the name of code that was moved out of its function, which does not begin there, says so.
 * @return NULL: it is none */
static const char *find_part(const char *symbol)
{
	static const char *const suffixes[] = {".cold", ".eh", ".__part"};

	for (size_t i = 0; symbol && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		const char *at = strstr(symbol, suffixes[i]);
		char after = at ? at[strlen(suffixes[i])] : 'x';

		if (!after || after == '.')
			return at;
	}
	return NULL;
}

/* What a compiler adds to the name of what it has made of a function. */
static size_t name_bytes(const char *symbol)
{
	static const char *const suffixes[] = {".llvm.", ".lto_priv.", ".part.", ".constprop.",
					       ".isra."};
	const char *part = find_part(symbol);
	size_t bytes = part && part > symbol ? (size_t)(part - symbol) : strlen(symbol);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		const char *at = strstr(symbol, suffixes[i]);

		if (at && at > symbol && (size_t)(at - symbol) < bytes)
			bytes = (size_t)(at - symbol);
	}
	return bytes;
}

/* What is inlined, as it was entered last. */
struct entered {
	const char *name;
	uint32_t line, discriminator, function;
};

struct derivation {
	struct pa_pgo_profile *p;
	struct pa_pgo_file *f;
	struct segments segments;
	size_t at; /* the first segment that ends behind what was gone through */
	uint32_t outer;
	bool by_branches;
	uint32_t entered_in; /* the outer function of entered */
	size_t entered_cnt;
	struct entered entered[PA_CODE_FRAMES_MAX];
};

/* The function that holds code: as the debug information says, unless that has only the name in
 * the source of what has a longer one. Other symbols may be aliases, which compilers don't know. */
static int name_outer(struct derivation *d, uint64_t vaddr, const char *name, uint32_t *out)
{
	uint64_t start;
	const char *symbol = pa_pgo_file__symbol(d->f, vaddr, &start);

	*out = PA_NONE;
	d->p->names.seed = d->p->seed;
	if (symbol && is_usable(symbol) && (!*name || (is_mangled(symbol) && !is_mangled(name))))
		*out = pa_strings__intern(&d->p->names, symbol, name_bytes(symbol));
	else if (is_usable(name))
		*out = pa_pgo_profile__name(d->p, name);
	else
		return 0;
	return *out == PA_NONE ? -ENOMEM : 0;
}

/* ---- pieces of functions ----------------------------------------------------------------------
 */

static bool has_place(const struct pa_code_frame *f)
{
	return f->line && f->start_line;
}

static uint32_t line_of(const struct pa_code_frame *f)
{
	return (f->line - f->start_line) & LINE_MASK;
}

/* Was what frame f calls entered at that depth last? */
static bool is_entered(const struct derivation *d, size_t depth, const struct pa_code_frame *f)
{
	const struct entered *e = &d->entered[depth];

	return depth < d->entered_cnt && e->name == f[-1].name && e->line == f->line &&
	       e->discriminator == f->discriminator;
}

/* What frame f calls in a function, found or made. @return PA_NONE without memory */
static uint32_t enter_one(struct derivation *d, size_t depth, uint32_t function,
			  const struct pa_code_frame *f)
{
	struct pa_pgo_function key = {.parent = function, .line = line_of(f)};
	struct entered *e = &d->entered[depth];

	key.discriminator = base_of(d->p, f->discriminator);
	key.name = pa_pgo_profile__name(d->p, f[-1].name);
	if (key.name == PA_NONE)
		return PA_NONE;
	*e = (struct entered){f[-1].name, f->line, f->discriminator,
			      pa_pgo_profile__function(d->p, &key)};
	d->entered_cnt = depth + 1;
	return e->function;
}

/* From the outer function inwards to the one whose code it is; adds to all totals.
 * @return 0 (*out PA_NONE: where one is called is not known), -ENOMEM */
static int enter(struct derivation *d, const struct pa_code_piece *piece, uint64_t total,
		 uint32_t *out)
{
	struct pa_pgo_profile *p = d->p;
	uint32_t function = d->outer;

	if (d->entered_in != d->outer)
		d->entered_cnt = 0;
	d->entered_in = d->outer;
	p->functions[function].total += total;
	for (size_t i = piece->frame_cnt; i-- > 1;) {
		const struct pa_code_frame *f = &piece->frames[i];
		size_t depth = piece->frame_cnt - 1 - i;
		bool was_entered = is_entered(d, depth, f);

		*out = PA_NONE;
		if (!was_entered && (!has_place(f) || !is_usable(f[-1].name)))
			return 0;
		function =
			was_entered ? d->entered[depth].function : enter_one(d, depth, function, f);
		if (function == PA_NONE)
			return -ENOMEM;
		p->functions[function].total += total;
	}
	*out = function;
	return 0;
}

/* The line of a piece, entered. @return 0 (*out PA_NONE: unknown), -ENOMEM */
static int find_line(struct derivation *d, const struct pa_code_piece *piece, uint64_t total,
		     uint32_t *out)
{
	const struct pa_code_frame *f = &piece->frames[0];
	struct pa_pgo_line key = {0};
	int err = enter(d, piece, total, &key.function);

	*out = PA_NONE;
	if (err || key.function == PA_NONE || !has_place(f))
		return err;
	key.line = line_of(f);
	key.discriminator = base_of(d->p, f->discriminator);
	*out = pa_pgo_profile__line(d->p, &key);
	return *out == PA_NONE ? -ENOMEM : 0;
}

/* The outer function of the first piece of a range. */
static int begin_function(struct derivation *d, const struct pa_code_piece *piece)
{
	struct pa_pgo_function key = {.parent = PA_NONE};
	int err = name_outer(d, piece->start, piece->frames[piece->frame_cnt - 1].name, &key.name);

	if (err || key.name == PA_NONE)
		return err;
	d->outer = pa_pgo_profile__function(d->p, &key);
	return d->outer == PA_NONE ? -ENOMEM : 0;
}

static int count_piece(void *ctx, const struct pa_code_piece *piece)
{
	struct derivation *d = ctx;
	uint64_t highest = 0, total = 0, copies;
	uint32_t line;
	int err = d->outer == PA_NONE ? begin_function(d, piece) : 0;

	if (err || d->outer == PA_NONE)
		return err;
	for (; d->at < d->segments.cnt && d->segments.list[d->at].start < piece->end; d->at++) {
		const struct segment *s = &d->segments.list[d->at];
		uint64_t start = s->start > piece->start ? s->start : piece->start;
		uint64_t end = s->end < piece->end ? s->end : piece->end;

		if (start < end) {
			highest = s->cnt > highest ? s->cnt : highest;
			total += s->cnt * (end - start);
		}
		if (s->end > piece->end)
			break;
	}
	d->p->with_function += total;
	d->p->functions[d->outer].given += total;
	copies = copies_of(d->p, piece->frames[0].discriminator);
	err = find_line(d, piece, total * copies, &line);
	if (err || line == PA_NONE) {
		d->p->without_start += piece->frames[0].start_line ? 0 : total;
		return err;
	}
	d->p->with_line += total;
	if (d->p->lines[line].cnt < highest * copies)
		d->p->lines[line].cnt = highest * copies;
	return 0;
}

static bool is_entry(const struct derivation *d, uint64_t vaddr)
{
	uint64_t start;

	return !find_part(pa_pgo_file__symbol(d->f, vaddr, &start));
}

/* How often a function of samples was entered. @param s  its first segment */
static uint64_t guess_head(const struct derivation *d, const struct segment *s,
			   const struct pa_code_range *range)
{
	const struct segment *end = d->segments.list + d->segments.cnt;
	uint64_t head = 1; /* samples show that it was */

	for (; s < end && s->start < range->end && s->start - range->start < ENTRY_BYTES; s++)
		head = s->cnt > head ? s->cnt : head;
	return head;
}

static int count_functions(struct derivation *d)
{
	size_t i = 0;
	int err = 0;

	while (i < d->segments.cnt) {
		struct segment *s = &d->segments.list[i];
		struct pa_code_range range;

		err = pa_dwarf__code_range(d->f->dwarf, s->start, &range);
		if (err == -ENOENT) {
			i++;
			continue;
		}
		d->outer = PA_NONE;
		d->at = i;
		if (!err)
			err = pa_dwarf__each_piece(d->f->dwarf, &range, count_piece, d);
		if (err)
			return err;
		if (d->outer != PA_NONE && !d->by_branches && is_entry(d, range.start))
			d->p->functions[d->outer].head += guess_head(d, s, &range);
		while (i < d->segments.cnt && d->segments.list[i].end <= range.end)
			i++;
		/* the rest is another function's */
		if (i < d->segments.cnt && d->segments.list[i].start < range.end)
			d->segments.list[i].start = range.end;
	}
	return 0;
}

/* ---- calls and entries ------------------------------------------------------------------------
 */

struct call {
	struct derivation *d;
	uint32_t callee;
	uint64_t cnt;
};

static int count_call(void *ctx, const struct pa_code_piece *piece)
{
	struct call *c = ctx;
	struct pa_pgo_target key = {.name = c->callee};
	uint32_t target;
	int err = begin_function(c->d, piece);

	if (!err && c->d->outer != PA_NONE)
		err = find_line(c->d, piece, 0, &key.line);
	if (err || c->d->outer == PA_NONE || key.line == PA_NONE)
		return err;
	target = pa_pgo_profile__target(c->d->p, &key);
	if (target == PA_NONE)
		return -ENOMEM;
	c->d->p->targets[target].cnt += c->cnt;
	return 0;
}

static int first_frame(void *ctx, const struct pa_code_piece *piece)
{
	int err = begin_function(ctx, piece);

	return err ? err : -ECANCELED;
}

/* The function that begins at an address, in d->outer. @return 0 (PA_NONE: none), -ENOMEM */
static int find_entry(struct derivation *d, uint64_t vaddr)
{
	struct pa_code_range range;
	int err = pa_dwarf__code_range(d->f->dwarf, vaddr, &range);

	d->outer = PA_NONE;
	if (err)
		return err == -ENOENT ? 0 : err;
	if (range.start != vaddr || !is_entry(d, vaddr))
		return 0;
	err = pa_dwarf__each_piece(d->f->dwarf, &range, first_frame, d);
	return err == -ECANCELED ? 0 : err;
}

static int count_branch(struct derivation *d, const struct pa_pgo_count *b)
{
	struct call call = {.d = d, .cnt = b->cnt};
	struct pa_code_range range;
	uint64_t from, to;
	int err;

	if (b->to == PA_PGO_OUTSIDE || !pa_pgo_file__vaddr(d->f, b->to, &to))
		return 0;
	err = find_entry(d, to);
	if (err || d->outer == PA_NONE)
		return err;
	d->p->functions[d->outer].head += b->cnt;
	call.callee = d->p->functions[d->outer].name;
	if (b->from == PA_PGO_OUTSIDE || !pa_pgo_file__vaddr(d->f, b->from, &from))
		return 0;
	err = pa_dwarf__code_range(d->f->dwarf, from, &range);
	if (err)
		return err == -ENOENT ? 0 : err;
	range.start = from;
	range.end = from + 1;
	return pa_dwarf__each_piece(d->f->dwarf, &range, count_call, &call);
}

/* ---- all --------------------------------------------------------------------------------------
 */

int pa_pgo_profile__derive(struct pa_pgo_profile *p, const struct pa_pgo_binary *b,
			   struct pa_pgo_file *f, bool by_branches)
{
	struct derivation d = {.p = p,
			       .f = f,
			       .outer = PA_NONE,
			       .entered_in = PA_NONE,
			       .by_branches = by_branches};
	int err = make_segments(b, f, by_branches, &d.segments);

	p->is_flow_sensitive = f->is_flow_sensitive;
	for (size_t i = 0; !err && i < d.segments.cnt; i++) {
		const struct segment *s = &d.segments.list[i];

		p->given += s->cnt * (s->end - s->start);
	}
	if (!err && f->dwarf)
		err = count_functions(&d);
	for (size_t i = 0; !err && f->dwarf && by_branches && i < b->branches.cnt; i++)
		err = count_branch(&d, &b->branches.list[i]);
	p->is_partial = f->dwarf && pa_dwarf__gave_up(f->dwarf);
	free(d.segments.list);
	return err;
}
