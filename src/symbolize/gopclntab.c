// SPDX-License-Identifier: GPL-2.0-only
/*
 * gopclntab.c - decode a Go function and line table, of any version since Go 1.2: a table of
 * function starts leads to one struct per function, which leads to its name and to streams of
 * (value, address) steps for its files and lines. Every place is checked as it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/gopclntab.h"
#include "symbolize/internal.h"

#define STEPS_MAX 131072 /* of one stream */
#define FILE_MAX_BYTES 4096u
#define RANK_LINKER 0xffff

/* Words of a function's struct, after its start. */
enum {
	FUNC_NAME = 0,
	FUNC_PCFILE = 4,
	FUNC_PCLINE = 5,
	FUNC_PCDATA_CNT = 6,
	FUNC_UNIT = 7,	     /* 1.16 */
	FUNC_START_LINE = 8, /* 1.20 */
	FUNC_KIND = 9,	     /* 1.20: funcID, flag, a byte, count of funcdata */
	FUNC_PCDATA = 10,    /* 1.20: of each table its place; then of each funcdata */
};
enum { PCDATA_INLINE = 2, FUNCDATA_INLINE = 3 };

/* A call that was inlined, in a tree of 1.20: a word of its kind, then these. */
enum { CALL_NAME = 1, CALL_PARENT_PC = 2, CALL_START_LINE = 3, CALL_WORDS = 4 };

struct func {
	uint64_t start, end;
	uint64_t words; /* place of word 0 in data */
};

static uint64_t number(const struct pa_gopclntab *t, const uint8_t *p, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)p[i] << 8 * (t->big_endian ? width - 1 - i : i);
	return value;
}

static bool get(const struct pa_gopclntab *t, uint64_t at, unsigned width, uint64_t *out)
{
	*out = 0;
	if (at > t->bytes || width > t->bytes - at)
		return false;
	*out = number(t, t->data + at, width);
	return true;
}

static bool get_word(const struct pa_gopclntab *t, const struct func *f, unsigned word,
		     uint32_t *out)
{
	uint64_t value;
	bool ok = get(t, f->words + 4 * word, 4, &value);

	*out = (uint32_t)value;
	return ok;
}

/* ---- the header ------------------------------------------------------------------------ */

static enum pa_go_version version_of(uint32_t magic)
{
	switch (magic) {
	case 0xfffffffb:
		return PA_GO_12;
	case 0xfffffffa:
		return PA_GO_116;
	case 0xfffffff0:
		return PA_GO_118;
	case 0xfffffff1:
		return PA_GO_120;
	default:
		return 0;
	}
}

static int parse_start(struct pa_gopclntab *t)
{
	uint64_t magic;

	if (t->bytes < 16 || t->data[4] || t->data[5])
		return -EBADMSG;
	for (int big = 0; big < 2 && !t->version; big++) {
		t->big_endian = big;
		get(t, 0, 4, &magic);
		t->version = version_of((uint32_t)magic);
	}
	t->quantum = t->data[6];
	t->ptr_bytes = t->data[7];
	t->field_bytes = t->version >= PA_GO_118 ? 4 : t->ptr_bytes;
	if (!t->version || (t->quantum != 1 && t->quantum != 2 && t->quantum != 4) ||
	    (t->ptr_bytes != 4 && t->ptr_bytes != 8))
		return -EBADMSG;
	return 0;
}

static bool functab_fits(const struct pa_gopclntab *t, uint64_t at, uint64_t cnt)
{
	return at <= t->bytes && cnt <= (t->bytes - at) / t->field_bytes / 2 &&
	       (2 * cnt + 1) * t->field_bytes <= t->bytes - at;
}

/* Before Go 1.16 all places are relative to the header. */
static int parse_12(struct pa_gopclntab *t)
{
	uint64_t cnt, files, file_cnt;

	if (!get(t, 8, t->ptr_bytes, &cnt) || !functab_fits(t, 8 + t->ptr_bytes, cnt))
		return -EBADMSG;
	t->functab = 8 + t->ptr_bytes;
	t->func_cnt = cnt;
	t->names_bytes = t->bytes;
	if (!get(t, t->functab + (2 * cnt + 1) * t->field_bytes, 4, &files) ||
	    !get(t, files, 4, &file_cnt) || file_cnt > (t->bytes - files) / 4)
		return -EBADMSG;
	t->files = files;
	t->file_cnt = file_cnt;
	return 0;
}

static int parse_116(struct pa_gopclntab *t)
{
	uint64_t at = 8, words[8] = {0};
	unsigned cnt = t->version >= PA_GO_118 ? 8 : 7;

	for (unsigned i = 0; i < cnt; i++, at += t->ptr_bytes) {
		/* what became the start of the text in 1.18 is a place of its own */
		unsigned slot = cnt == 7 && i >= 2 ? i + 1 : i;

		if (!get(t, at, t->ptr_bytes, &words[slot]))
			return -EBADMSG;
	}
	for (int i = 3; i < 8; i++)
		if (words[i] < at || words[i] > t->bytes)
			return -EBADMSG;
	if (!functab_fits(t, words[7], words[0]))
		return -EBADMSG;
	t->func_cnt = words[0];
	t->file_cnt = words[1];
	t->header_text = t->text = words[2];
	t->names = words[3];
	t->cutab = words[4];
	t->files = words[5];
	t->pctab = words[6];
	t->functab = t->funcs = words[7];
	t->names_bytes = (t->cutab > t->names ? t->cutab : t->bytes) - t->names;
	return 0;
}

int pa_gopclntab__parse(void *data, size_t bytes, struct pa_gopclntab **out)
{
	struct pa_gopclntab *t = calloc(1, sizeof(*t));
	int err;

	*out = NULL;
	if (!t) {
		free(data);
		return -ENOMEM;
	}
	t->data = data;
	t->bytes = bytes;
	err = parse_start(t);
	if (!err)
		err = t->version == PA_GO_12 ? parse_12(t) : parse_116(t);
	if (!err && !t->func_cnt)
		err = -EBADMSG;
	if (err) {
		pa_gopclntab__free(t);
		return err;
	}
	*out = t;
	return 0;
}

void pa_gopclntab__free(struct pa_gopclntab *t)
{
	if (!t)
		return;
	free(t->data);
	free(t->inlines);
	free(t);
}

size_t pa_gopclntab__memory_bytes(const struct pa_gopclntab *t)
{
	return t ? sizeof(*t) + t->bytes + t->inlines_bytes : 0;
}

/* ---- functions ------------------------------------------------------------------------- */

/* i may be func_cnt: the end of the last. */
static uint64_t start_of(const struct pa_gopclntab *t, size_t i)
{
	uint64_t start;

	get(t, t->functab + 2 * i * t->field_bytes, t->field_bytes, &start);
	return t->version >= PA_GO_118 ? t->text + start : start;
}

void pa_gopclntab__range(const struct pa_gopclntab *t, uint64_t *start, uint64_t *end)
{
	*start = start_of(t, 0);
	*end = start_of(t, t->func_cnt);
}

static bool get_func(const struct pa_gopclntab *t, size_t i, struct func *f)
{
	uint64_t at;

	f->start = start_of(t, i);
	f->end = start_of(t, i + 1);
	get(t, t->functab + (2 * i + 1) * t->field_bytes, t->field_bytes, &at);
	if (at > t->bytes - t->funcs || f->end <= f->start)
		return false;
	f->words = t->funcs + at + (t->version >= PA_GO_118 ? 4 : t->ptr_bytes);
	return f->words <= t->bytes;
}

static bool get_name(const struct pa_gopclntab *t, const struct func *f, uint32_t *at)
{
	return get_word(t, f, FUNC_NAME, at) && *at < t->names_bytes;
}

int pa_gopclntab__add(const struct pa_gopclntab *t, struct pa_symbuild *b)
{
	uint32_t base, name;
	struct func f;
	int err = pa_symbuild__names(b, t->data + t->names, t->names_bytes, &base);

	if (!err)
		err = pa_symbuild__names(b, "", 1, &name);
	for (size_t i = 0; !err && i < t->func_cnt; i++) {
		if (!get_func(t, i, &f) || !get_name(t, &f, &name) || !t->data[t->names + name])
			continue;
		err = pa_symbuild__append(b, &(struct pa_rawsym){.addr = f.start,
								 .bytes = f.end - f.start,
								 .limit = UINT64_MAX,
								 .name = base + name,
								 .rank = RANK_LINKER});
	}
	return err;
}

static bool find_func(const struct pa_gopclntab *t, uint64_t vaddr, struct func *f)
{
	size_t low = 0, high = t->func_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (start_of(t, mid) <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low && get_func(t, low - 1, f) && vaddr >= f->start && vaddr < f->end;
}

/* ---- streams --------------------------------------------------------------------------- */

struct stream {
	const struct pa_gopclntab *t;
	uint64_t at, pc, entry;
	uint32_t value; /* holds up to pc */
	unsigned steps;
};

static bool get_varint(struct stream *s, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned shift = 0; shift < 35 && s->at < s->t->bytes; shift += 7) {
		uint8_t byte = s->t->data[s->at++];

		value |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*out = value;
			return true;
		}
	}
	return false;
}

static bool start_stream(struct stream *s, const struct pa_gopclntab *t, const struct func *f,
			 unsigned word)
{
	uint32_t offset;

	if (!get_word(t, f, word, &offset) || !offset || offset > t->bytes - t->pctab)
		return false;
	*s = (struct stream){
		.t = t,
		.at = t->pctab + offset,
		.pc = f->start,
		.entry = f->start,
		.value = UINT32_MAX,
	};
	return true;
}

static bool next_step(struct stream *s)
{
	uint32_t delta, bytes;

	if (s->steps++ >= STEPS_MAX || !get_varint(s, &delta) || (!delta && s->pc != s->entry) ||
	    !get_varint(s, &bytes))
		return false;
	s->value += delta & 1 ? ~(delta >> 1) : delta >> 1;
	s->pc += (uint64_t)bytes * s->t->quantum;
	return true;
}

/* The value of a stream at vaddr. */
static bool value_at(const struct pa_gopclntab *t, const struct func *f, unsigned word,
		     uint64_t vaddr, uint32_t *out)
{
	struct stream s;

	if (!start_stream(&s, t, f, word))
		return false;
	while (next_step(&s)) {
		if (vaddr < s.pc) {
			*out = s.value;
			return true;
		}
	}
	return false;
}

static const char *text_at(const struct pa_gopclntab *t, uint64_t at, size_t max_bytes)
{
	size_t left = at < t->bytes ? t->bytes - at : 0;

	if (left > max_bytes)
		left = max_bytes;
	if (!left || strnlen((const char *)t->data + at, left) == max_bytes)
		return "";
	return (const char *)t->data + at;
}

static const char *file_at(const struct pa_gopclntab *t, const struct func *f, uint64_t vaddr)
{
	uint32_t index, unit;
	uint64_t at;

	if (!value_at(t, f, FUNC_PCFILE, vaddr, &index))
		return "";
	if (t->version == PA_GO_12) {
		if (!index || index >= t->file_cnt || !get(t, t->files + 4ull * index, 4, &at))
			return "";
		return text_at(t, at, FILE_MAX_BYTES);
	}
	if (!get_word(t, f, FUNC_UNIT, &unit) || unit == UINT32_MAX ||
	    !get(t, t->cutab + 4 * ((uint64_t)unit + index), 4, &at) || at == UINT32_MAX)
		return "";
	return text_at(t, t->files + at, FILE_MAX_BYTES);
}

static uint32_t line_at(const struct pa_gopclntab *t, const struct func *f, uint64_t vaddr)
{
	uint32_t line;

	return value_at(t, f, FUNC_PCLINE, vaddr, &line) && line <= INT32_MAX ? line : 0;
}

static uint32_t start_line_of(const struct pa_gopclntab *t, const struct func *f)
{
	uint32_t line;

	if (t->version < PA_GO_120)
		return line_at(t, f, f->start);
	return get_word(t, f, FUNC_START_LINE, &line) && line <= INT32_MAX ? line : 0;
}

/* The first address that belongs to the function itself: it may begin with inlined code. */
static uint64_t own_address(const struct pa_gopclntab *t, const struct func *f)
{
	uint64_t at = f->start;
	struct stream s;
	uint32_t cnt;

	if (t->version < PA_GO_120 || !get_word(t, f, FUNC_PCDATA_CNT, &cnt) ||
	    cnt <= PCDATA_INLINE || !start_stream(&s, t, f, FUNC_PCDATA + PCDATA_INLINE))
		return at;
	while (next_step(&s)) {
		if (s.value == UINT32_MAX && s.pc > at)
			return at;
		at = s.pc;
	}
	return at < f->end ? at : f->start;
}

int pa_gopclntab__line(const struct pa_gopclntab *t, uint64_t vaddr, const char **name,
		       const char **file, uint32_t *line, uint32_t *start_line)
{
	struct func f;
	uint32_t at;

	*name = *file = "";
	*line = *start_line = 0;
	if (!find_func(t, vaddr, &f))
		return -ENOENT;
	if (get_name(t, &f, &at))
		*name = (const char *)t->data + t->names + at;
	*file = file_at(t, &f, vaddr);
	*line = line_at(t, &f, vaddr);
	*start_line = start_line_of(t, &f);
	return 0;
}

/* ---- inlined calls --------------------------------------------------------------------- */

/* Place of a function's tree from inline_base on. */
static bool get_tree(const struct pa_gopclntab *t, const struct func *f, uint32_t *at)
{
	uint32_t pcdata_cnt;
	uint64_t funcdata_cnt;

	return get_word(t, f, FUNC_PCDATA_CNT, &pcdata_cnt) && pcdata_cnt > PCDATA_INLINE &&
	       pcdata_cnt < UINT16_MAX && get(t, f->words + 4 * FUNC_KIND + 3, 1, &funcdata_cnt) &&
	       funcdata_cnt > FUNCDATA_INLINE &&
	       get_word(t, f, FUNC_PCDATA + pcdata_cnt + FUNCDATA_INLINE, at) && *at != UINT32_MAX;
}

uint64_t pa_gopclntab__inlines_reach(const struct pa_gopclntab *t)
{
	uint64_t reach = 0;
	struct func f;
	uint32_t at;

	for (size_t i = 0; t->inline_base && i < t->func_cnt; i++)
		if (get_func(t, i, &f) && get_tree(t, &f, &at) &&
		    reach < (uint64_t)at + PA_GO_TREE_MAX_BYTES)
			reach = (uint64_t)at + PA_GO_TREE_MAX_BYTES;
	return reach;
}

/* The call that an address is in. *parent_pc is where it was.
 * @return false: in none, or it makes no sense */
static bool get_call(const struct pa_gopclntab *t, const struct func *f, uint64_t vaddr,
		     struct pa_go_line *line, uint64_t *parent_pc)
{
	uint32_t tree, index, name, words[CALL_WORDS];
	uint64_t at;

	if (!t->inlines || !value_at(t, f, FUNC_PCDATA + PCDATA_INLINE, vaddr, &index) ||
	    index > INT32_MAX || !get_tree(t, f, &tree))
		return false;
	at = tree + (uint64_t)index * sizeof(words);
	if (at > t->inlines_bytes || sizeof(words) > t->inlines_bytes - at)
		return false;
	for (unsigned i = 0; i < CALL_WORDS; i++)
		words[i] = (uint32_t)number(t, t->inlines + at + 4ull * i, 4);
	name = words[CALL_NAME];
	if (name >= t->names_bytes || !t->data[t->names + name] ||
	    (name && t->data[t->names + name - 1]) || words[CALL_PARENT_PC] >= f->end - f->start)
		return false;
	line->name = (const char *)t->data + t->names + name;
	line->start_line = words[CALL_START_LINE] <= INT32_MAX ? words[CALL_START_LINE] : 0;
	*parent_pc = f->start + words[CALL_PARENT_PC];
	return true;
}

size_t pa_gopclntab__lines(const struct pa_gopclntab *t, uint64_t vaddr,
			   struct pa_go_line lines[PA_GO_LINES_MAX])
{
	size_t cnt = 0;
	bool is_call;

	do {
		struct pa_go_line *line = &lines[cnt];
		uint64_t parent_pc;
		struct func f;

		if (pa_gopclntab__line(t, vaddr, &line->name, &line->file, &line->line,
				       &line->start_line) ||
		    !find_func(t, vaddr, &f))
			return 0;
		is_call = cnt + 1 < PA_GO_LINES_MAX && get_call(t, &f, vaddr, line, &parent_pc);
		if (is_call)
			vaddr = parent_pc;
		cnt++;
	} while (is_call);
	return cnt;
}

int pa_gopclntab__decl(const struct pa_gopclntab *t, uint64_t vaddr, const char **file,
		       uint32_t *line)
{
	struct func f;

	*file = "";
	*line = 0;
	if (!find_func(t, vaddr, &f))
		return -ENOENT;
	*file = file_at(t, &f, own_address(t, &f));
	*line = start_line_of(t, &f);
	return **file ? 0 : -ENOENT;
}
