// SPDX-License-Identifier: GPL-2.0-only
/*
 * maps.c - mappings of one address space by address and time. A new mapping takes the addresses
 * it covers from older ones, which move to the past; where it shows what is there already (JIT
 * regions mapped again, a library loaded again at its old place) nothing changes, so that a
 * long capture of such a process does not grow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert/maps.h"

/* A process has at most vm.max_map_count (65,530) mappings; a file may claim anything. Of the past,
 * what held an address at any time is searched linearly, for addresses that are symbolized once. */
enum { CURRENT_MAX = 1 << 16, PAST_MAX = 1 << 12 };
/* Mappings that one new mapping may lie over; its part beyond them is dropped. */
enum { OVERLAP_MAX = 1 << 10 };

/* Index of the first current piece that ends after addr. */
static size_t find_current(const struct pa_space *s, uint64_t addr)
{
	size_t lo = 0, hi = s->cur_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->cur[mid]->end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static bool is_same_content(const struct pa_piece *a, const struct pa_piece *b)
{
	return a->image == b->image && (a->is_jit || a->pgoff - a->start == b->pgoff - b->start);
}

static struct pa_piece *new_piece(struct pa_pieces *pieces)
{
	void *piece = pieces->unused;

	if (!piece)
		return pa_pool__alloc(&pieces->pool, sizeof(struct pa_piece));
	memcpy(&pieces->unused, piece, sizeof(pieces->unused));
	return piece;
}

static void give_back(struct pa_pieces *pieces, struct pa_piece *piece)
{
	memcpy(piece, &pieces->unused, sizeof(pieces->unused));
	pieces->unused = piece;
}

static int insert_current(struct pa_space *s, struct pa_pieces *pieces, size_t at,
			  const struct pa_piece *piece, uint64_t *dropped_cnt)
{
	struct pa_piece *copy;

	if (s->cur_cnt >= CURRENT_MAX) {
		(*dropped_cnt)++;
		return 0;
	}
	if (pa_array_grow(&s->cur, s->cur_cnt, &s->cur_cap, sizeof(*s->cur)))
		return -ENOMEM;
	copy = new_piece(pieces);
	if (!copy)
		return -ENOMEM;
	*copy = *piece;
	copy->to_ns = UINT64_MAX;
	memmove(s->cur + at + 1, s->cur + at, (s->cur_cnt - at) * sizeof(*s->cur));
	s->cur[at] = copy;
	s->cur_cnt++;
	return 0;
}

/* Part [start, end) of the piece. */
static struct pa_piece part_of(const struct pa_piece *piece, uint64_t start, uint64_t end)
{
	struct pa_piece part = *piece;

	part.pgoff += start - piece->start;
	part.start = start;
	part.end = end;
	return part;
}

static int note_replaced(struct pa_space *s, uint64_t time_ns)
{
	size_t i = s->replaced_cnt;

	while (i && s->replaced_ns[i - 1] > time_ns)
		i--;
	if ((i && s->replaced_ns[i - 1] == time_ns) || !time_ns)
		return 0;
	if (pa_array_grow(&s->replaced_ns, s->replaced_cnt, &s->replaced_cap,
			  sizeof(*s->replaced_ns)))
		return -ENOMEM;
	memmove(s->replaced_ns + i + 1, s->replaced_ns + i,
		(s->replaced_cnt - i) * sizeof(*s->replaced_ns));
	s->replaced_ns[i] = time_ns;
	s->replaced_cnt++;
	return 0;
}

/* Number of past pieces that start at or before addr. */
static size_t past_before(const struct pa_space *s, uint64_t addr)
{
	size_t lo = 0, hi = s->past_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->past[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void insert_past(struct pa_space *s, const struct pa_piece *piece)
{
	size_t at = past_before(s, piece->start);
	uint64_t reach = at ? s->past_reach[at - 1] : 0;

	memmove(s->past + at + 1, s->past + at, (s->past_cnt - at) * sizeof(*s->past));
	s->past[at] = *piece;
	s->past_cnt++;
	for (; at < s->past_cnt; at++) {
		reach = s->past[at].end > reach ? s->past[at].end : reach;
		s->past_reach[at] = reach;
	}
}

static int add_past(struct pa_space *s, struct pa_piece part, uint64_t to_ns, uint64_t *dropped_cnt)
{
	part.to_ns = to_ns;
	if (part.from_ns >= to_ns)
		return 0;
	if (s->past_cnt >= PAST_MAX) {
		(*dropped_cnt)++;
		return 0;
	}
	if (pa_array_grow(&s->past, s->past_cnt, &s->past_cap, sizeof(*s->past)) ||
	    pa_array_grow(&s->past_reach, s->past_cnt, &s->past_reach_cap, sizeof(*s->past_reach)))
		return -ENOMEM;
	insert_past(s, &part);
	return note_replaced(s, to_ns);
}

/* Take [start, end), which lies inside current piece i, from it at time_ns. */
static int carve(struct pa_space *s, struct pa_pieces *pieces, size_t i, uint64_t start,
		 uint64_t end, uint64_t time_ns, uint64_t *dropped_cnt)
{
	struct pa_piece *old = s->cur[i];
	struct pa_piece right = *old;
	int err;

	err = add_past(s, part_of(old, start, end), time_ns, dropped_cnt);
	if (err)
		return err;
	if (old->start < start && end < old->end) {
		right = part_of(old, end, old->end);
		old->end = start;
		return insert_current(s, pieces, i + 1, &right, dropped_cnt);
	}
	if (old->start < start) {
		old->end = start;
	} else if (end < old->end) {
		*old = part_of(old, end, old->end);
	} else {
		give_back(pieces, old);
		memmove(s->cur + i, s->cur + i + 1, (s->cur_cnt - i - 1) * sizeof(*s->cur));
		s->cur_cnt--;
	}
	return 0;
}

/* Add [start, end) of the piece, where nothing is current. */
static int fill(struct pa_space *s, struct pa_pieces *pieces, const struct pa_piece *piece,
		uint64_t start, uint64_t end, uint64_t *dropped_cnt)
{
	struct pa_piece part;
	size_t i;

	if (start >= end)
		return 0;
	part = part_of(piece, start, end);
	i = find_current(s, start);
	if (i && part.is_jit && s->cur[i - 1]->end == start &&
	    is_same_content(s->cur[i - 1], &part)) {
		s->cur[i - 1]->end = end;
		return 0;
	}
	return insert_current(s, pieces, i, &part, dropped_cnt);
}

int pa_space__map(struct pa_space *s, struct pa_pieces *pieces, const struct pa_piece *piece,
		  uint64_t *dropped_cnt)
{
	uint64_t at = piece->start,
		 run = piece->start; /* [run, at) is the new piece's, not yet in */
	int err = 0, overlap_cnt = 0;

	while (!err && at < piece->end) {
		size_t i = find_current(s, at);
		struct pa_piece *old = i < s->cur_cnt ? s->cur[i] : NULL;
		uint64_t end;

		if (!old || old->start >= piece->end) {
			at = piece->end;
			break;
		}
		if (old->start > at)
			at = old->start;
		if (++overlap_cnt > OVERLAP_MAX) {
			(*dropped_cnt)++;
			break;
		}
		end = old->end < piece->end ? old->end : piece->end;
		if (is_same_content(old, piece)) {
			if (piece->from_ns < old->from_ns)
				old->from_ns = piece->from_ns;
			err = fill(s, pieces, piece, run, at, dropped_cnt);
			run = end;
		} else if (old->from_ns <= piece->from_ns) {
			err = carve(s, pieces, i, at, end, piece->from_ns, dropped_cnt);
		} else {
			uint64_t old_from_ns = old->from_ns;

			err = fill(s, pieces, piece, run, at, dropped_cnt);
			if (!err)
				err = add_past(s, part_of(piece, at, end), old_from_ns,
					       dropped_cnt);
			run = end;
		}
		at = end;
	}
	return err ? err : fill(s, pieces, piece, run, at, dropped_cnt);
}

const struct pa_piece *pa_space__find(const struct pa_space *s, uint64_t addr, uint64_t time_ns,
				      const struct pa_piece **late)
{
	const struct pa_piece *best = NULL;
	size_t i = find_current(s, addr);

	if (i < s->cur_cnt && s->cur[i]->start <= addr) {
		if (s->cur[i]->from_ns <= time_ns)
			return s->cur[i];
		*late = s->cur[i];
	}
	for (i = s->past_cnt ? past_before(s, addr) : 0; i && s->past_reach[i - 1] > addr; i--) {
		const struct pa_piece *p = &s->past[i - 1];

		if (addr < p->end && p->from_ns <= time_ns && time_ns < p->to_ns &&
		    (!best || best->from_ns < p->from_ns))
			best = p;
	}
	return best;
}

/* Number of changes at or before time_ns. */
static size_t changes_before(const struct pa_space *s, uint64_t time_ns)
{
	size_t lo = 0, hi = s->replaced_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->replaced_ns[mid] <= time_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t pa_space__epoch(const struct pa_space *s, uint64_t time_ns)
{
	size_t i = s->replaced_cnt ? changes_before(s, time_ns) : 0;

	return i ? s->replaced_ns[i - 1] : 0;
}

uint64_t pa_space__epoch_end(const struct pa_space *s, uint64_t epoch_ns)
{
	size_t i = changes_before(s, epoch_ns);

	return i < s->replaced_cnt ? s->replaced_ns[i] - 1 : UINT64_MAX;
}

void pa_space__clear(struct pa_space *s, struct pa_pieces *pieces)
{
	for (size_t i = 0; i < s->cur_cnt; i++)
		give_back(pieces, s->cur[i]);
	free(s->cur);
	free(s->past);
	free(s->past_reach);
	free(s->replaced_ns);
}
