// SPDX-License-Identifier: GPL-2.0-only
/*
 * pack_store.c - packed tables as a cache file: a header and the four arrays as they are in
 * memory. Nothing of a file is used before its checksum and every invariant of its tables hold.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachefile.h"
#include "unwind/internal.h"
#include "unwind/pack.h"

/* Version: also to be raised when equal CFI packs to other rules than before. */
#define MAGIC 0x4b434150u
#define VERSION 1u
#define PAGE_BYTES (1u << PA_TEXT_PAGE_SHIFT)

/* In native byte order: the cache is this machine's. */
struct header {
	uint32_t magic, version;
	uint64_t checksum; /* of all that follows */
	uint64_t key;
	uint32_t machine;
	uint32_t range_cnt, page_cnt, row_cnt, rule_cnt, zero;
	uint64_t complex_row_cnt, dropped_page_cnt, bad_entry_cnt;
};
_Static_assert(sizeof(struct header) == 72, "no padding");
_Static_assert(offsetof(struct header, checksum) == PA_PACK_CHECKSUM_AT, "as tests know it");
_Static_assert(sizeof(struct pa_pack_range) == 16 && sizeof(struct pa_pack_page) == 8 &&
		       offsetof(struct pa_pack_page, keeps_fp) == 6 && sizeof(bool) == 1,
	       "on disk");
#define SUMMED_AT offsetof(struct header, key)

enum { PART_CNT = 4 };

/* Sizes of the arrays, by their alignment. */
static void lay_out(const struct header *h, size_t bytes[PART_CNT])
{
	bytes[0] = (size_t)h->range_cnt * sizeof(struct pa_pack_range);
	bytes[1] = (size_t)h->rule_cnt * sizeof(struct pa_unwind_rule);
	bytes[2] = (size_t)h->page_cnt * sizeof(struct pa_pack_page);
	bytes[3] = (size_t)h->row_cnt * sizeof(uint32_t);
}

/* ---- validity ------------------------------------------------------------------------------- */

static bool are_ranges_valid(const struct pa_pack *p)
{
	uint64_t page_cnt = 0, end = 0;

	for (size_t i = 0; i < p->range_cnt; i++) {
		const struct pa_pack_range *r = &p->ranges[i];
		uint64_t bytes = (uint64_t)r->cnt << PA_TEXT_PAGE_SHIFT;

		if (r->vaddr % PAGE_BYTES || r->first != page_cnt || !r->cnt ||
		    (i && r->vaddr < end) || bytes > UINT64_MAX - r->vaddr)
			return false;
		end = r->vaddr + bytes;
		page_cnt += r->cnt;
	}
	return page_cnt == p->page_cnt;
}

static bool are_rules_valid(const struct pa_pack *p)
{
	static const struct pa_unwind_rule none, complex = {.cfa = PA_CFA_COMPLEX};

	if (p->rule_cnt < 2 || p->rule_cnt > PA_RULES_MAX ||
	    memcmp(&p->rules[PA_RULE_ID_NONE], &none, sizeof(none)) != 0 ||
	    memcmp(&p->rules[PA_RULE_ID_COMPLEX], &complex, sizeof(complex)) != 0)
		return false;
	for (size_t i = 0; i < p->rule_cnt; i++) {
		const struct pa_unwind_rule *r = &p->rules[i];

		if (r->cfa > PA_CFA_COMPLEX || r->fp > PA_FP_UNKNOWN || r->ra > PA_RA_LR || r->pad)
			return false;
	}
	return true;
}

static bool is_page_valid(const struct pa_pack *p, const struct pa_pack_page *page)
{
	const uint32_t *rows;
	bool is_bad;

	if (page->first > p->row_cnt || page->cnt > p->row_cnt - page->first ||
	    page->cnt > PA_BLOCK_ROWS)
		return false;
	if (!page->cnt)
		return true;
	rows = p->rows + page->first;
	is_bad = rows[0] >> 16 || rows[page->cnt - 1] >> 16 >= PAGE_BYTES;
	for (size_t i = 1; i < page->cnt; i++)
		is_bad |= rows[i] >> 16 <= rows[i - 1] >> 16;
	return !is_bad;
}

bool pa_pack__is_valid(const struct pa_pack *p)
{
	bool is_bad = false;

	if (!are_ranges_valid(p) || !are_rules_valid(p))
		return false;
	for (size_t i = 0; i < p->row_cnt; i++)
		is_bad |= PA_ROW_RULE(p->rows[i]) >= p->rule_cnt;
	for (size_t i = 0; i < p->page_cnt; i++) {
		uint8_t keeps_fp; /* what is neither 0 nor 1 is no bool yet */

		memcpy(&keeps_fp, &p->pages[i].keeps_fp, 1);
		is_bad |= keeps_fp > 1 || !is_page_valid(p, &p->pages[i]);
	}
	return !is_bad;
}

/* ---- to and from bytes ---------------------------------------------------------------------- */

int pa_pack__encode(const struct pa_pack *p, uint64_t key, void **out, size_t *bytes)
{
	struct header h = {
		.magic = MAGIC,
		.version = VERSION,
		.key = key,
		.machine = p->machine,
		.range_cnt = (uint32_t)p->range_cnt,
		.page_cnt = (uint32_t)p->page_cnt,
		.row_cnt = (uint32_t)p->row_cnt,
		.rule_cnt = (uint32_t)p->rule_cnt,
		.complex_row_cnt = p->complex_row_cnt,
		.dropped_page_cnt = p->dropped_page_cnt,
		.bad_entry_cnt = p->bad_entry_cnt,
	};
	const void *parts[PART_CNT] = {p->ranges, p->rules, p->pages, p->rows};
	size_t part_bytes[PART_CNT], at = sizeof(h);
	char *data;

	lay_out(&h, part_bytes);
	*bytes = sizeof(h);
	for (int i = 0; i < PART_CNT; i++)
		*bytes += part_bytes[i];
	*out = data = malloc(*bytes);
	if (!data)
		return -ENOMEM;
	for (int i = 0; i < PART_CNT; i++) {
		if (part_bytes[i])
			memcpy(data + at, parts[i], part_bytes[i]);
		at += part_bytes[i];
	}
	memcpy(data, &h, sizeof(h));
	h.checksum = pa_cachefile__hash(data + SUMMED_AT, *bytes - SUMMED_AT);
	memcpy(data, &h, sizeof(h));
	return 0;
}

static void *copy_part(const char *data, size_t bytes)
{
	void *p = malloc(bytes + 1);

	if (p && bytes)
		memcpy(p, data, bytes);
	return p;
}

static int decode(const struct header *h, const char *body, struct pa_pack *p)
{
	size_t bytes[PART_CNT];

	lay_out(h, bytes);
	*p = (struct pa_pack){
		.machine = (uint16_t)h->machine,
		.range_cnt = h->range_cnt,
		.page_cnt = h->page_cnt,
		.row_cnt = h->row_cnt,
		.rule_cnt = h->rule_cnt,
		.complex_row_cnt = h->complex_row_cnt,
		.dropped_page_cnt = h->dropped_page_cnt,
		.bad_entry_cnt = h->bad_entry_cnt,
		.ranges = copy_part(body, bytes[0]),
		.rules = copy_part(body + bytes[0], bytes[1]),
		.pages = copy_part(body + bytes[0] + bytes[1], bytes[2]),
		.rows = copy_part(body + bytes[0] + bytes[1] + bytes[2], bytes[3]),
	};
	if (!p->ranges || !p->rules || !p->pages || !p->rows)
		return -ENOMEM;
	return pa_pack__is_valid(p) ? 0 : -EBADMSG;
}

/* The header fits the file's size, and the checksum its bytes. */
static bool is_whole(const struct header *h, const char *data, size_t bytes)
{
	size_t part_bytes[PART_CNT], sum = sizeof(*h);

	if (h->magic != MAGIC || h->version != VERSION || h->machine > UINT16_MAX || h->zero ||
	    h->page_cnt > PA_PACK_PAGES_MAX || h->row_cnt > PA_PACK_ROWS_MAX)
		return false;
	lay_out(h, part_bytes);
	for (int i = 0; i < PART_CNT; i++)
		sum += part_bytes[i];
	return sum == bytes &&
	       h->checksum == pa_cachefile__hash(data + SUMMED_AT, bytes - SUMMED_AT);
}

static int read_whole(int fd, char **out, size_t *bytes)
{
	size_t done = 0;
	struct stat st;
	ssize_t n = 1;

	*out = NULL;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)sizeof(struct header) || st.st_size > UINT32_MAX)
		return -EBADMSG;
	*bytes = (size_t)st.st_size;
	*out = malloc(*bytes);
	if (!*out)
		return -ENOMEM;
	while (done < *bytes && n > 0) {
		n = pread(fd, *out + done, *bytes - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			done += (size_t)n;
	}
	return n < 0 ? -errno : done == *bytes ? 0 : -EBADMSG;
}

int pa_pack__read(int fd, uint64_t key, struct pa_pack **out)
{
	struct pa_pack *p = NULL;
	struct header h;
	size_t bytes = 0;
	char *data;
	int err = read_whole(fd, &data, &bytes);

	*out = NULL;
	if (err)
		goto out;
	memcpy(&h, data, sizeof(h));
	err = -EBADMSG;
	if (!is_whole(&h, data, bytes) || h.key != key)
		goto out;
	err = -ENOMEM;
	p = malloc(sizeof(*p));
	if (p)
		err = decode(&h, data + sizeof(h), p);
out:
	free(data);
	if (err)
		pa_pack__free(p);
	else
		*out = p;
	return err;
}
