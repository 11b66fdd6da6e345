// SPDX-License-Identifier: GPL-2.0-only
/*
 * dwarfrow.c - rows of line tables. They are not kept: a pass over a sequence notes, here and
 * there, the state of the machine that makes its rows, and a lookup starts the machine at the
 * last of these marks before its address. Where sequences begin is found without running the
 * machine, by the bytes that they begin with; if these don't fit together, all is run.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "symbolize/dwarfline.h"

#define MARK_BYTES 192	    /* of the program between two marks */
#define OP_BYTES 64	    /* of an instruction, but for what is skipped */
#define USUAL_BYTES 16	    /* of one that run_usual does, at most */
#define RUN_MAX_BYTES 65536 /* looked at in one lookup */
#define OVERLAPS_MAX 8
#define PREAMBLE_BYTES 24 /* in front of the first address of a sequence, at most */

/* ---- the machine ---------------------------------------------------------------------- */

enum outcome { NOTHING, ROW, END, DAMAGE };

struct machine {
	const struct pa_dwarf_lines *t;
	struct pa_dwarf_cursor c;
	uint64_t addr;
	uint32_t file, line;
	uint32_t discriminator; /* of the next row */
	uint32_t row_discriminator;
};

static void reset(struct machine *m)
{
	m->addr = 0;
	m->file = m->line = 1;
	m->discriminator = 0;
}

/* A row is there: its discriminator is not the next one's. */
static inline enum outcome end_row(struct machine *m)
{
	m->row_discriminator = m->discriminator;
	m->discriminator = 0;
	return ROW;
}

static bool set_discriminator(struct machine *m, uint64_t bytes)
{
	uint64_t left = (uint64_t)(m->c.end - m->c.p), v;

	if (!pa_dwarf_cursor__uleb(&m->c, &v))
		return false;
	m->discriminator = (uint32_t)v;
	left -= (uint64_t)(m->c.end - m->c.p);
	return left <= bytes && (left == bytes || pa_dwarf_cursor__skip(&m->c, bytes - left));
}

static enum outcome run_extended(struct machine *m)
{
	struct pa_dwarf_cursor *c = &m->c;
	uint64_t bytes, op;

	if (!pa_dwarf_cursor__uleb(c, &bytes))
		return DAMAGE;
	if (!bytes)
		return NOTHING;
	if (!pa_dwarf_cursor__number(c, 1, &op))
		return DAMAGE;
	bytes--;
	if (op == DW_LNE_end_sequence)
		return pa_dwarf_cursor__skip(c, bytes) || !bytes ? END : DAMAGE;
	if (op == DW_LNE_set_address && (bytes == 4 || bytes == 8))
		return pa_dwarf_cursor__number(c, (unsigned)bytes, &m->addr) ? NOTHING : DAMAGE;
	if (op == DW_LNE_set_discriminator)
		return set_discriminator(m, bytes) ? NOTHING : DAMAGE;
	return pa_dwarf_cursor__skip(c, bytes) ? NOTHING : DAMAGE;
}

static enum outcome run_standard(struct machine *m, uint8_t op)
{
	struct pa_dwarf_cursor *c = &m->c;
	const struct pa_dwarf_lines *t = m->t;
	uint64_t v = 0;
	int64_t step;
	bool ok = true;

	switch (op) {
	case DW_LNS_copy:
		return end_row(m);
	case DW_LNS_set_column:
		ok = pa_dwarf_cursor__uleb(c, &v);
		break;
	case DW_LNS_advance_pc:
		ok = pa_dwarf_cursor__uleb(c, &v);
		m->addr += v * t->min_bytes;
		break;
	case DW_LNS_advance_line:
		ok = pa_dwarf_cursor__sleb(c, &step);
		m->line += ok ? (uint32_t)step : 0;
		break;
	case DW_LNS_set_file:
		ok = pa_dwarf_cursor__uleb(c, &v);
		m->file = v < PA_NONE ? (uint32_t)v : PA_NONE;
		break;
	case DW_LNS_const_add_pc:
		m->addr += t->advances[255];
		break;
	case DW_LNS_fixed_advance_pc:
		ok = pa_dwarf_cursor__number(c, 2, &v);
		m->addr += v;
		break;
	default: /* those without operands, and unknown ones */
		for (int i = 0; ok && i < t->operand_cnts[op]; i++) {
			pa_dwarf_cursor__more(c);
			ok = pa_dwarf_cursor__uleb(c, &v);
		}
	}
	return ok ? NOTHING : DAMAGE;
}

/* One instruction, of which there is at least the first byte. */
static inline enum outcome run(struct machine *m)
{
	const struct pa_dwarf_lines *t = m->t;
	uint8_t op = *m->c.p++;

	if (op < t->opcode_base)
		return op ? run_standard(m, op) : run_extended(m);
	m->addr += t->advances[op];
	m->line += (uint32_t)t->steps[op];
	return end_row(m);
}

static uint32_t position(const struct machine *m)
{
	return (uint32_t)(pa_dwarf_cursor__at(&m->c) - m->t->program);
}

/* The instructions that most of a program is made of, in front of stop, behind which are
 * USUAL_BYTES more. Leaves at any other one. */
static void run_usual(struct machine *m, const uint8_t *stop)
{
	const struct pa_dwarf_lines *t = m->t;
	const uint8_t *p = m->c.p;
	uint64_t addr = m->addr;
	uint32_t line = m->line, discriminator = m->discriminator;

	while (p < stop) {
		uint8_t op = *p;

		if (op >= t->opcode_base) {
			addr += t->advances[op];
			line += (uint32_t)t->steps[op];
			discriminator = 0;
			p++;
		} else if (op == DW_LNS_set_column && !(p[1] & 0x80)) {
			p += 2;
		} else if (op == DW_LNS_advance_line && !(p[1] & 0x80)) {
			line += p[1] & 0x40 ? p[1] - 128u : p[1];
			p += 2;
		} else if (op == DW_LNS_advance_line && !(p[2] & 0x80)) {
			uint32_t by2 = (p[1] & 0x7fu) | (uint32_t)p[2] << 7;

			line += by2 & 0x2000 ? by2 - 0x4000 : by2;
			p += 3;
		} else if (op == DW_LNS_copy) {
			discriminator = 0;
			p++;
		} else if (op == DW_LNS_negate_stmt) {
			p++;
		} else if (!op && p[1] == 2 && p[2] == DW_LNE_set_discriminator && !(p[3] & 0x80)) {
			discriminator = p[3];
			p += 4;
		} else {
			break;
		}
	}
	m->c.p = p;
	m->addr = addr;
	m->line = line;
	m->discriminator = discriminator;
}

/* ---- marks ---------------------------------------------------------------------------- */

static int add_mark(struct pa_dwarf_lines *t, const struct machine *m)
{
	if (pa_array_grow(&t->marks, t->mark_cnt, &t->mark_cap, sizeof(*t->marks)))
		return -ENOMEM;
	t->marks[t->mark_cnt++] = (struct pa_dwarf_mark){m->addr, position(m), m->file, m->line,
							 m->row_discriminator};
	return 0;
}

/* Run from where m is to the end of a sequence.
 * @return 1 there it is, 0 damage, or the program ends before it, -ENOMEM */
static int run_sequence(struct pa_dwarf_lines *t, struct machine *m, struct pa_dwarf_sequence *s)
{
	uint32_t next_mark = 0;
	enum outcome outcome;

	*s = (struct pa_dwarf_sequence){
		.at = position(m), .mark = (uint32_t)t->mark_cnt, .loaded = true};
	reset(m);
	while (pa_dwarf_cursor__more(&m->c)) {
		int64_t usual = (int64_t)next_mark - position(m), left = m->c.end - m->c.p;

		if (usual > left - USUAL_BYTES)
			usual = left - USUAL_BYTES;
		if (usual > 0)
			run_usual(m, m->c.p + usual);
		outcome = run(m);
		if (outcome == DAMAGE)
			break;
		if (outcome == ROW && position(m) >= next_mark) {
			if (t->mark_cnt == s->mark)
				s->start = m->addr;
			next_mark = position(m) + MARK_BYTES;
			if (add_mark(t, m))
				return -ENOMEM;
		}
		if (outcome != END)
			continue;
		s->mark_cnt = (uint32_t)t->mark_cnt - s->mark;
		s->end = m->addr;
		s->end_at = position(m);
		return 1;
	}
	t->mark_cnt = s->mark;
	return 0;
}

static int add_sequence(struct pa_dwarf_lines *t, const struct pa_dwarf_sequence *s)
{
	if (pa_array_grow(&t->sequences, t->sequence_cnt, &t->sequence_cap, sizeof(*t->sequences)))
		return -ENOMEM;
	t->sequences[t->sequence_cnt++] = *s;
	return 0;
}

static int compare_sequences(const void *pa, const void *pb)
{
	const struct pa_dwarf_sequence *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static void sort_sequences(struct pa_dwarf_lines *t)
{
	if (t->sequence_cnt > 1)
		qsort(t->sequences, t->sequence_cnt, sizeof(*t->sequences), compare_sequences);
}

/* All of the program. One that is cut loses its last sequence. Linkers leave 0 where they have
 * thrown the code away. */
static int run_all(struct pa_dwarf *d, struct pa_dwarf_lines *t)
{
	struct machine m = {.t = t};
	struct pa_dwarf_sequence s;
	int ret = 1;

	t->sequence_cnt = t->mark_cnt = 0;
	t->all_loaded = true;
	if (!pa_dwarf__spend(d, t->end - t->program) ||
	    !pa_dwarf_cursor__open(&m.c, t->section, t->program, t->end, OP_BYTES,
				   PA_DWARF_LARGE_BYTES))
		return 0;
	while (ret > 0 && pa_dwarf_cursor__more(&m.c)) {
		ret = run_sequence(t, &m, &s);
		if (ret <= 0)
			break;
		if (!s.start || s.start >= s.end)
			t->mark_cnt = s.mark;
		else if (add_sequence(t, &s))
			ret = -ENOMEM;
	}
	sort_sequences(t);
	d->index_bytes += t->mark_cnt * sizeof(*t->marks);
	return ret < 0 ? ret : 0;
}

/* ---- finding sequences ---------------------------------------------------------------- */

/* Where the bytes 0, length, DW_LNE_set_address are. NULL: nowhere before end, behind which 2
 * bytes can be read. */
static const uint8_t *find_address(const uint8_t *p, const uint8_t *end, uint8_t length)
{
#ifdef __SSE2__
	const __m128i zero = _mm_setzero_si128(), second = _mm_set1_epi8((char)length),
		      third = _mm_set1_epi8(DW_LNE_set_address);

	for (; end - p >= 16; p += 16) {
		__m128i a = _mm_loadu_si128((const __m128i *)p),
			b = _mm_loadu_si128((const __m128i *)(p + 1)),
			c = _mm_loadu_si128((const __m128i *)(p + 2));
		int at = _mm_movemask_epi8(_mm_and_si128(
			_mm_cmpeq_epi8(a, zero),
			_mm_and_si128(_mm_cmpeq_epi8(b, second), _mm_cmpeq_epi8(c, third))));

		if (at)
			return p + __builtin_ctz((unsigned)at);
	}
#endif
	for (; p < end; p++)
		if (!p[0] && p[1] == length && p[2] == DW_LNE_set_address)
			return p;
	return NULL;
}

/* Do the instructions from p on lead to at without a row? Their operands are short. */
static bool is_preamble(const uint8_t *p, const uint8_t *at)
{
	while (p < at) {
		if (*p == DW_LNS_set_file || *p == DW_LNS_set_column || *p == DW_LNS_set_isa) {
			p++;
			while (p < at && *p & 0x80)
				p++;
			p++;
		} else if (*p >= DW_LNS_negate_stmt && *p <= DW_LNS_set_basic_block) {
			p++;
		} else if (*p == DW_LNS_set_prologue_end || *p == DW_LNS_set_epilogue_begin) {
			p++;
		} else if (!*p && at - p >= 4 && p[2] == DW_LNE_set_discriminator) {
			p += 2 + p[1];
		} else {
			return false;
		}
	}
	return p == at;
}

/* Where the sequence begins whose first address is set at at: behind the end of another. */
static const uint8_t *find_begin(const uint8_t *first, const uint8_t *at)
{
	const uint8_t *p = at;

	for (; p >= first && at - p <= PREAMBLE_BYTES; p--) {
		if (p == first)
			return is_preamble(p, at) ? p : NULL;
		if (p - first >= 3 && !p[-3] && p[-2] == 1 && p[-1] == DW_LNE_end_sequence &&
		    is_preamble(p, at))
			return p;
	}
	return NULL;
}

static int add_found(struct pa_dwarf_lines *t, uint32_t at, uint64_t start)
{
	struct pa_dwarf_sequence s = {.start = start, .at = at};

	if (t->sequence_cnt)
		t->sequences[t->sequence_cnt - 1].end_at = at;
	return add_sequence(t, &s);
}

/* @return 1, 0 this program must be run to know, -ENOMEM */
static int find_sequences(struct pa_dwarf_lines *t)
{
	size_t got, head = 3 + t->address_bytes;
	const uint8_t *data, *p, *end;

	/* larger ones are of one piece, mostly */
	if (t->end - t->program > PA_DWARF_LARGE_BYTES || t->end - t->program < head ||
	    t->opcode_base < DW_LNS_set_isa || (t->address_bytes != 4 && t->address_bytes != 8))
		return 0;
	got = t->end - t->program;
	data = pa_dwarf_section__at(t->section, t->program, got, got, &got);
	if (!data || got < t->end - t->program)
		return 0;
	end = data + (t->end - t->program) - head;
	for (p = data; p <= end; p += head) {
		const uint8_t *begin;

		p = find_address(p, end + 1, (uint8_t)(t->address_bytes + 1));
		if (!p)
			break;
		begin = find_begin(data, p);
		if (!t->sequence_cnt && begin != data)
			return 0;
		if (!begin) /* inside of a sequence */
			continue;
		if (add_found(t, (uint32_t)(begin - data), pa_read_le(p + 3, t->address_bytes)))
			return -ENOMEM;
	}
	if (!t->sequence_cnt)
		return 0;
	t->sequences[t->sequence_cnt - 1].end_at = (uint32_t)(t->end - t->program);
	return 1;
}

static void drop_dead(struct pa_dwarf_lines *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->sequence_cnt; i++)
		if (t->sequences[i].start)
			t->sequences[kept++] = t->sequences[i];
	t->sequence_cnt = kept;
}

int pa_dwarf_rows__find(struct pa_dwarf *d, struct pa_dwarf_lines *t)
{
	int ret = find_sequences(t);

	if (ret > 0) {
		drop_dead(t);
		sort_sequences(t);
	}
	d->index_bytes += t->sequence_cnt * sizeof(*t->sequences);
	return ret > 0 ? 0 : ret < 0 ? ret : run_all(d, t);
}

/* @return 1, 0 it is not what it seemed to be, -ENOMEM */
static int load_sequence(struct pa_dwarf_lines *t, struct pa_dwarf_sequence *s)
{
	struct machine m = {.t = t};
	struct pa_dwarf_sequence seen;
	size_t want = s->end_at - s->at + OP_BYTES;
	int ret;

	if (want > PA_DWARF_SMALL_BYTES)
		want = PA_DWARF_LARGE_BYTES;
	if (!pa_dwarf_cursor__open(&m.c, t->section, t->program + s->at, t->program + s->end_at,
				   OP_BYTES, want))
		return 0;
	ret = run_sequence(t, &m, &seen);
	if (ret <= 0 || seen.end_at != s->end_at || (seen.mark_cnt && seen.start != s->start))
		return ret < 0 ? ret : 0;
	*s = seen;
	return 1;
}

/* ---- asking --------------------------------------------------------------------------- */

/* *out NULL: none. @return 1, 0 a sequence is not what it seemed to be, -ENOMEM */
static int sequence_at(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t vaddr,
		       const struct pa_dwarf_sequence **out)
{
	size_t low = 0, high = t->sequence_cnt;

	*out = NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->sequences[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = 0; i < OVERLAPS_MAX && i < low; i++) {
		struct pa_dwarf_sequence *s = &t->sequences[low - 1 - i];
		size_t before = t->mark_cnt;
		int ret = s->loaded ? 1 : load_sequence(t, s);

		d->index_bytes += (t->mark_cnt - before) * sizeof(*t->marks);
		if (ret <= 0)
			return ret;
		*out = s;
		if (s->mark_cnt && vaddr < s->end)
			return 1;
	}
	*out = NULL;
	return 1;
}

static const struct pa_dwarf_mark *mark_at(const struct pa_dwarf_lines *t,
					   const struct pa_dwarf_sequence *s, uint64_t vaddr)
{
	size_t low = s->mark, high = low + s->mark_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->marks[mid].addr <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return &t->marks[low > s->mark ? low - 1 : low];
}

/* The sequence that holds an address. @return 1, 0 none, -ENOMEM */
static int find_sequence(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t vaddr,
			 const struct pa_dwarf_sequence **s)
{
	int ret = sequence_at(d, t, vaddr, s);

	if (!ret && !t->all_loaded) {
		ret = run_all(d, t);
		ret = ret ? ret : sequence_at(d, t, vaddr, s);
	}
	return ret < 0 ? ret : ret && *s;
}

/* Be at the last mark before an address. @return false: there is nothing behind it */
static bool start_at(struct machine *m, const struct pa_dwarf_sequence *s, uint64_t vaddr,
		     size_t max_bytes, size_t want, struct pa_dwarf_row *row)
{
	const struct pa_dwarf_lines *t = m->t;
	const struct pa_dwarf_mark *mark = mark_at(t, s, vaddr);
	uint64_t limit = t->program + mark->at + max_bytes;

	m->addr = mark->addr;
	m->file = mark->file;
	m->line = mark->line;
	m->discriminator = 0;
	*row = (struct pa_dwarf_row){mark->addr, mark->file, mark->line, mark->discriminator};
	return pa_dwarf_cursor__open(&m->c, t->section, t->program + mark->at,
				     limit < t->end ? limit : t->end, OP_BYTES, want);
}

int pa_dwarf_lines__find(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t vaddr,
			 uint32_t *file, uint32_t *line)
{
	const struct pa_dwarf_sequence *s;
	struct machine m = {.t = t};
	struct pa_dwarf_row row;
	int ret = find_sequence(d, t, vaddr, &s);
	bool more;

	if (ret <= 0)
		return ret < 0 ? ret : -ENOENT;
	more = start_at(&m, s, vaddr, RUN_MAX_BYTES, 1024, &row);
	*file = row.file;
	*line = row.line;
	while (more && pa_dwarf_cursor__more(&m.c)) {
		enum outcome outcome = run(&m);

		if (outcome == NOTHING)
			continue;
		if (outcome != ROW || m.addr > vaddr)
			break;
		*file = m.file;
		*line = m.line;
	}
	return 0;
}

/* Those of one sequence. *end: how far they reach. @return 0, what fn returned */
static int each_row_in(struct pa_dwarf *d, struct pa_dwarf_lines *t,
		       const struct pa_dwarf_sequence *s, uint64_t from, uint64_t to,
		       pa_dwarf_row_fn fn, void *ctx)
{
	struct machine m = {.t = t};
	struct pa_dwarf_row row;
	bool more = start_at(&m, s, from, t->end - t->program, 4096, &row);
	int ret = 0;

	while (!ret && more && pa_dwarf_cursor__more(&m.c)) {
		enum outcome outcome = run(&m);

		if (outcome == NOTHING)
			continue;
		if (outcome == DAMAGE || m.addr < row.start || !pa_dwarf__spend(d, 4))
			break;
		if (m.addr > from && m.addr > row.start) {
			uint64_t end = m.addr < to ? m.addr : to;

			if (row.start < from)
				row.start = from;
			ret = fn(ctx, &row, end);
		}
		if (outcome == END || m.addr >= to)
			break;
		row = (struct pa_dwarf_row){m.addr, m.file, m.line, m.row_discriminator};
	}
	return ret;
}

int pa_dwarf_lines__each(struct pa_dwarf *d, struct pa_dwarf_lines *t, uint64_t from, uint64_t to,
			 pa_dwarf_row_fn fn, void *ctx)
{
	const struct pa_dwarf_sequence *s;
	int ret = 1;

	while (from < to && pa_dwarf__spend(d, 16)) {
		uint64_t end;

		ret = find_sequence(d, t, from, &s);
		if (ret <= 0)
			break;
		end = s->end < to ? s->end : to;
		ret = each_row_in(d, t, s, from, end, fn, ctx);
		if (ret)
			break;
		from = end;
	}
	return ret < 0 ? ret : 0;
}
