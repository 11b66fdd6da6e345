// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallparse.c - the text of /proc/kallsyms to a table sorted by address. A kernel has hundreds of
 * thousands of lines, so one costs some ten nanoseconds: eight digits are converted at a time, a
 * name is copied while its end is looked for, and what is out of order is sorted by digits.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "addrsort.h"
#include "symbolize/internal.h"

#define READ_BYTES 262144
#define NAME_BYTES_MAX 1024 /* the kernel's are at most 511 */
#define NAMES_ROOM (NAME_BYTES_MAX + 16)
#define LINE_ROOM (NAME_BYTES_MAX + 64) /* behind its end, text can be read */
#define NAME_AT 19			/* in a line with 16 digits */
#define MODULES_MAX 16384
#define MODULES_BACK 64
#define HUGE_PAGE_BYTES (2u << 20)
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define FIRST_BYTES 8192u /* of each array: so that it grows */
#else
#define FIRST_BYTES (4u << 20) /* enough for a usual kernel */
#endif
#define SYMS_MAX (16u << 20)
#define NAMES_MAX (1u << 30)
#define SHORT_RUN 16 /* names of one address that are sorted by insertion */
#define BYTES8(b) (0x0101010101010101ull * (b))

static const char kernel_module[] = "[kernel.kallsyms]";

/* ---- the table ------------------------------------------------------------------------------ */

static int add_module(struct pa_kallsyms *k, const char *name, size_t bytes)
{
	int err = pa_array_grow(&k->modules, k->module_cnt, &k->module_cap, sizeof(*k->modules));

	if (err)
		return err;
	k->modules[k->module_cnt++] = (uint32_t)k->names_bytes;
	memcpy(k->names + k->names_bytes, name, bytes);
	k->names_bytes += bytes;
	k->names[k->names_bytes++] = '\0';
	return 0;
}

/* Symbols of a module follow each other, so that the newest module is nearly always the one; one
 * that is far back is taken for new, so that no text makes this slow. */
static int find_module(struct pa_kallsyms *k, const char *module, size_t bytes, uint16_t *out)
{
	int err;

	for (size_t i = k->module_cnt, left = MODULES_BACK; i-- > 0 && left; left--) {
		const char *known = k->names + k->modules[i];

		if (!strncmp(known, module, bytes) && !known[bytes]) {
			*out = (uint16_t)i;
			return 0;
		}
	}
	*out = 0;
	if (k->module_cnt >= MODULES_MAX)
		return 0;
	err = add_module(k, module, bytes);
	if (!err)
		*out = (uint16_t)(k->module_cnt - 1);
	return err;
}

/* Move an array to larger memory, in large pages where there are any: to be given memory page by
 * page would cost as much as the parsing. */
static int enlarge(void *array, size_t used_bytes, size_t bytes)
{
	bool is_large = bytes >= HUGE_PAGE_BYTES;
	void **p = array, *more = is_large ? aligned_alloc(HUGE_PAGE_BYTES, bytes) : malloc(bytes);

	if (!more)
		return -ENOMEM;
	if (is_large)
		madvise(more, bytes, MADV_HUGEPAGE);
	if (used_bytes)
		memcpy(more, *p, used_bytes);
	free(*p);
	*p = more;
	return 0;
}

static bool has_room(const struct pa_kallsyms *k)
{
	return k->cnt + PA_KSYMS_PAD < k->cap && k->names_cap - k->names_bytes >= 2 * NAMES_ROOM;
}

/* Room for one more symbol, its name and its module's. */
static int make_room(struct pa_kallsyms *k)
{
	size_t cap;
	int err;

	if (k->cnt >= SYMS_MAX || k->names_bytes >= NAMES_MAX)
		return -EFBIG;
	if (k->cnt + PA_KSYMS_PAD >= k->cap) {
		cap = k->cap ? k->cap * 2 : FIRST_BYTES / sizeof(*k->syms);
		err = enlarge(&k->syms, k->cnt * sizeof(*k->syms), cap * sizeof(*k->syms));
		if (err)
			return err;
		k->cap = cap;
	}
	if (k->names_cap - k->names_bytes < 2 * NAMES_ROOM) {
		cap = k->names_cap ? k->names_cap * 2 : FIRST_BYTES;
		err = enlarge(&k->names, k->names_bytes, cap);
		if (err)
			return err;
		k->names_cap = cap;
	}
	return k->module_cnt ? 0 : add_module(k, kernel_module, sizeof(kernel_module) - 1);
}

/* ---- a line --------------------------------------------------------------------------------- */

/* Eight hexadecimal digits at once: a byte of value is one of them.
 * @return false: another character is among them */
static inline bool hex8(uint64_t text, uint64_t *out)
{
	uint64_t v = le64toh(text), letter = v >> 6 & BYTES8(1);
	uint64_t value = (v & BYTES8(0x0f)) + letter * 9;

	/* '0' to '9' are 3x, 'A' to 'F' 4x and, with bit 5, as 'a' to 'f', 6x; ten and above are
	 * letters, below are not */
	if (((v | letter << 5) & BYTES8(0xf0)) != BYTES8(0x30) + letter * 0x30 ||
	    value & BYTES8(0xf0) || ((value + BYTES8(6)) >> 4 & BYTES8(1)) != letter)
		return false;
	value = (value << 4 | value >> 8) & 0x00ff00ff00ff00ffull;
	value = (value << 8 | value >> 16) & 0x0000ffff0000ffffull;
	*out = (uint32_t)(value << 16 | value >> 32);
	return true;
}

static inline uint64_t load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#define STEP_BYTES 48 /* nearly all names: which way a loop goes can't be foreseen */

/* Copy STEP_BYTES. @return a bit for each that is not above ' ': the lowest ends a name */
static inline uint64_t copy_step(char *to, const char *from)
{
	uint64_t ends = 0;

#ifdef __SSE2__
	const __m128i space = _mm_set1_epi8(' ');

	for (int i = 0; i < STEP_BYTES; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(from + i));

		_mm_storeu_si128((__m128i *)(to + i), v);
		v = _mm_cmpeq_epi8(_mm_min_epu8(v, space), v);
		ends |= (uint64_t)(uint32_t)_mm_movemask_epi8(v) << i;
	}
#else
	memcpy(to, from, STEP_BYTES);
	for (int i = 0; i < STEP_BYTES && !ends; i += 8) {
		uint64_t v = le64toh(load8(from + i));

		v = (v - BYTES8(' ' + 1)) & ~v & BYTES8(0x80);
		if (v)
			ends = 1ull << (i + __builtin_ctzll(v) / 8);
	}
#endif
	return ends;
}

static __attribute__((noinline)) size_t copy_long_name(char *to, const char *from)
{
	for (size_t cnt = STEP_BYTES; cnt <= NAME_BYTES_MAX; cnt += STEP_BYTES) {
		uint64_t ends = copy_step(to + cnt, from + cnt);

		if (ends)
			return cnt + (size_t)__builtin_ctzll(ends);
	}
	return NAME_BYTES_MAX + 1;
}

/* Copy a name up to a byte that is not above ' '. More is read and written than that.
 * @return its length, more than NAME_BYTES_MAX: too long */
static inline size_t copy_name(char *to, const char *from)
{
	uint64_t ends = copy_step(to, from);

	return ends ? (size_t)__builtin_ctzll(ends) : copy_long_name(to, from);
}

/* 0 for what is no function; else its rank: which way a comparison goes can't be foreseen. */
static const uint8_t ranks[256] = {['w'] = 1, ['W'] = 1, ['t'] = 2, ['i'] = 2, ['T'] = 3};

static inline uint16_t rank_of(char type)
{
	return ranks[(unsigned char)type];
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_module(struct pa_kallsyms *k, const char *p, const char *end, uint16_t *module)
{
	const char *close;

	while (p < end && (*p == '\t' || *p == ' '))
		p++;
	close = p < end && *p == '[' ? memchr(p, ']', (size_t)(end - p)) : NULL;
	if (!close || close - p >= NAME_BYTES_MAX)
		return 0;
	return find_module(k, p, (size_t)(close + 1 - p), module);
}

/* Any line, from p to its newline: "ffffffff81000000 T _stext" or "... t name\t[module]"; others
 * are passed over. */
static int take_line(struct pa_kallsyms *k, const char *p, const char *newline)
{
	struct pa_ksym s = {.name = (uint32_t)k->names_bytes};
	const char *start = p;
	size_t bytes;
	int digit;

	while (p - start <= 16 && (digit = hex_digit(*p)) >= 0) {
		s.addr = s.addr << 4 | (unsigned)digit;
		p++;
	}
	if (p == start || p - start > 16 || newline - p < 3 || p[0] != ' ' || p[2] != ' ')
		return 0;
	s.rank = rank_of(p[1]);
	p += 3;
	/* where the text ends the data may begin, and the symbol be called data (aarch64) */
	if (!s.rank && !strncmp(p, "_etext", 6) && (unsigned char)p[6] <= ' ')
		s.rank = 1;
	if (!s.rank)
		return 0;
	bytes = copy_name(k->names + k->names_bytes, p);
	p += bytes;
	if (!bytes || bytes > NAME_BYTES_MAX || (p != newline && *p != '\t' && *p != ' '))
		return 0;
	k->names_bytes += bytes;
	k->names[k->names_bytes++] = '\0';
	k->syms[k->cnt++] = s;
	return take_module(k, p, newline, &k->syms[k->cnt - 1].module);
}

/* Take functions of the kernel itself, as long as there are 16 digits, no module and room.
 * @return the first line that is something else */
static const char *take_usual(struct pa_kallsyms *k, const char *p, const char *end)
{
	const struct pa_ksym *syms_end = k->syms + k->cap - PA_KSYMS_PAD;
	const char *names_end = k->names + k->names_cap - 2 * NAMES_ROOM;
	struct pa_ksym *sym = k->syms + k->cnt;
	char *names = k->names, *to = names + k->names_bytes;
	uint64_t last_high = load8("00000000"), high = 0, low;

	while (p < end && sym < syms_end && to < names_end) {
		uint64_t high_text = load8(p), middle = le64toh(load8(p + 16));
		uint16_t rank = ranks[middle >> 8 & 0xff];
		size_t bytes;

		if (high_text != last_high && !hex8(high_text, &high))
			break;
		last_high = high_text;
		if (!rank || (middle & 0xff00ff) != (' ' << 16 | ' ') || !hex8(load8(p + 8), &low))
			break;
		p += NAME_AT;
		bytes = copy_name(to, p);
		if (!bytes || bytes > NAME_BYTES_MAX || p[bytes] != '\n' || p + bytes >= end) {
			p -= NAME_AT;
			break;
		}
		*sym++ = (struct pa_ksym){
			.addr = high << 32 | low, .name = (uint32_t)(to - names), .rank = rank};
		to[bytes] = '\0';
		to += bytes + 1;
		p += bytes + 1;
	}
	k->cnt = (size_t)(sym - k->syms);
	k->names_bytes = (size_t)(to - names);
	return p;
}

/* Take the lines that end before end; LINE_ROOM bytes behind it can be read. *p is moved to the
 * first that does not. */
static int take_lines(struct pa_kallsyms *k, const char **p, const char *end)
{
	const char *newline;
	int err = 0;

	while (!err && *p < end) {
		err = has_room(k) ? 0 : make_room(k);
		if (err)
			return err;
		*p = take_usual(k, *p, end);
		newline = memchr(*p, '\n', (size_t)(end - *p));
		if (!newline)
			break;
		if (!has_room(k))
			continue;
		err = take_line(k, *p, newline);
		*p = newline + 1;
	}
	return err;
}

/* ---- text ----------------------------------------------------------------------------------- */

static ssize_t read_some(int fd, char *buf, size_t bytes)
{
	ssize_t n;

	do
		n = read(fd, buf, bytes);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int take_fd(struct pa_kallsyms *k, int fd, char *buf)
{
	size_t have = 0;
	ssize_t n = 1;
	int err = 0;

	while (n > 0 && !err) {
		const char *p = buf;

		while (have < READ_BYTES && (n = read_some(fd, buf + have, READ_BYTES - have)) > 0)
			have += (size_t)n;
		if (n < 0)
			return (int)n;
		if (!n)
			buf[have++] = '\n'; /* the last line may lack it */
		err = take_lines(k, &p, buf + have);
		have -= (size_t)(p - buf);
		if (have >= READ_BYTES)
			have = 0; /* no line is this long */
		memmove(buf, p, have);
	}
	return err;
}

/* The end of the text, as far as lines could be read beyond it, is taken from a copy. */
static int take_text(struct pa_kallsyms *k, const char *text, size_t bytes, char *buf)
{
	const char *p = text, *end = text + bytes, *copy = buf;
	int err = 0;

	while (!err && (size_t)(end - p) > READ_BYTES) {
		const char *before = p;

		err = take_lines(k, &p, end - LINE_ROOM);
		if (p == before && !err) {
			p = memchr(p, '\n', (size_t)(end - p)); /* no line is this long */
			p = p ? p + 1 : end;
		}
	}
	if (err)
		return err;
	bytes = (size_t)(end - p);
	memcpy(buf, p, bytes);
	buf[bytes] = '\n';
	return take_lines(k, &copy, buf + bytes + 1);
}

/* ---- order ---------------------------------------------------------------------------------- */

static unsigned underscores_of(const char *name)
{
	unsigned cnt = 0;

	while (cnt < 31 && name[cnt] == '_')
		cnt++;
	return cnt;
}

/* Names of one address, the best, which is perf's choice, last: global before local before weak,
 * then the fewest leading underscores, the longest, the first of the text, where names are numbered
 * in their order. */
static int compare_names(const void *pa, const void *pb, void *ctx)
{
	const struct pa_ksym *a = pa, *b = pb;
	const char *names = ctx;
	size_t bytes_a, bytes_b;
	unsigned ua, ub;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	ua = underscores_of(names + a->name);
	ub = underscores_of(names + b->name);
	if (ua != ub)
		return ua > ub ? -1 : 1;
	bytes_a = strnlen(names + a->name, NAME_BYTES_MAX);
	bytes_b = strnlen(names + b->name, NAME_BYTES_MAX);
	if (bytes_a != bytes_b)
		return bytes_a < bytes_b ? -1 : 1;
	return a->name > b->name ? -1 : a->name < b->name;
}

static void sort_run(struct pa_kallsyms *k, struct pa_ksym *run, size_t cnt)
{
	if (cnt > SHORT_RUN) {
		qsort_r(run, cnt, sizeof(*run), compare_names, k->names);
		return;
	}
	for (size_t i = 1; i < cnt; i++) {
		struct pa_ksym s = run[i];
		size_t at = i;

		for (; at && compare_names(&run[at - 1], &s, k->names) > 0; at--)
			run[at] = run[at - 1];
		run[at] = s;
	}
}

/* Sort by address; what is equal keeps its order. */
static int sort_symbols(struct pa_ksym *syms, size_t cnt)
{
	_Static_assert(sizeof(*syms) == sizeof(struct pa_addrkey) &&
			       offsetof(struct pa_ksym, addr) == 0,
		       "as it is sorted");
	return pa_addrkeys__sort((struct pa_addrkey *)syms, cnt);
}

/* Order the names of each address from first on. @return the first symbol that is below the one
 * before it, or the end */
static size_t sort_runs(struct pa_kallsyms *k, size_t first)
{
	const struct pa_ksym *syms = k->syms;
	size_t i = first + 1;

	for (; i < k->cnt && syms[i].addr >= syms[i - 1].addr; i++) {
		size_t start = i - 1;

		if (syms[i].addr != syms[start].addr)
			continue;
		while (i + 1 < k->cnt && syms[i + 1].addr == syms[start].addr)
			i++;
		sort_run(k, k->syms + start, i + 1 - start);
	}
	return i;
}

/* Sort by address; names of one address by rank.
 * @return 0, -EPERM all addresses are zero, -ENOMEM */
static int sort(struct pa_kallsyms *k)
{
	struct pa_ksym *syms = k->syms;
	size_t hidden_cnt = 0, sorted_cnt, first;
	uint64_t last;
	int err;

	while (hidden_cnt < k->cnt && !syms[hidden_cnt].addr)
		hidden_cnt++;
	if (hidden_cnt == k->cnt)
		return -EPERM;
	sorted_cnt = first = sort_runs(k, 0);
	if (sorted_cnt >= k->cnt)
		return 0;
	/* the kernel's own symbols are in order, those of modules, after them, are not */
	last = syms[sorted_cnt - 1].addr;
	for (size_t i = sorted_cnt; i < k->cnt && first; i++)
		first = syms[i].addr < last ? 0 : first;
	err = sort_symbols(syms + first, k->cnt - first);
	if (err)
		return err;
	while (first && first < k->cnt && syms[first].addr == syms[first - 1].addr)
		first--;
	sort_runs(k, first);
	return 0;
}

static int parse(int fd, const char *text, size_t bytes, struct pa_kallsyms **out)
{
	struct pa_kallsyms *k = calloc(1, sizeof(*k));
	char *buf = calloc(1, READ_BYTES + LINE_ROOM);
	int err = -ENOMEM;

	*out = NULL;
	if (!k || !buf)
		goto out;
	err = text ? take_text(k, text, bytes, buf) : take_fd(k, fd, buf);
	if (!err)
		err = sort(k);
	if (!err)
		err = pa_kallsyms__index(k);
out:
	free(buf);
	if (err)
		pa_kallsyms__free(k);
	else
		*out = k;
	return err;
}

int pa_kallsyms__parse(const char *text, size_t bytes, struct pa_kallsyms **out)
{
	return parse(-1, text, bytes, out);
}

int pa_kallsyms__parse_fd(int fd, struct pa_kallsyms **out)
{
	return parse(fd, NULL, 0, out);
}
