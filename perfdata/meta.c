/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * meta.c - what a reader knows besides the records: events and their names, feature sections,
 * build-ids and the private blob, from a file's header or from the records of a stream.
 */
#include <stdlib.h>

#include "perfdata/internal.h"

#define FEATS_MAX_BYTES (16 * 1024 * 1024) /* of build-ids kept from a stream */

static bool section_fits(const struct pd_section *s, __u64 file_bytes)
{
	return s->offset <= file_bytes && s->bytes <= file_bytes - s->offset;
}

static struct pd_section section_at(const unsigned char *p, bool swap)
{
	return (struct pd_section){pd_get64(p, swap), pd_get64(p + 8, swap)};
}

/* ---- events -------------------------------------------------------------------------- */

/* Copy an attr out of room bytes. @return its size in the file, 0 when it does not fit */
static size_t get_attr(const unsigned char *p, size_t room, bool swap, struct perf_event_attr *out)
{
	__u64 copy[(sizeof(*out) + 7) / 8] = {0};
	size_t bytes, known;

	if (room < PERF_ATTR_SIZE_VER0)
		return 0;
	bytes = pd_get32(p + 4, swap);
	if (!bytes)
		bytes = PERF_ATTR_SIZE_VER0;
	if (bytes < PERF_ATTR_SIZE_VER0 || bytes % 8 || bytes > room)
		return 0;
	known = bytes < sizeof(*out) ? bytes : sizeof(*out);
	memcpy(copy, p, known);
	if (swap)
		pd_swap_attr(copy, known);
	memcpy(out, copy, sizeof(*out));
	return bytes;
}

/* @return index of the event, -EBADMSG, -ENOMEM */
static int add_event(struct pd_reader *r, const struct perf_event_attr *attr,
		     const unsigned char *ids, size_t id_cnt, bool swap)
{
	__u64 *copy = reallocarray(NULL, id_cnt ? id_cnt : 1, sizeof(*copy));
	int rc;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < id_cnt; i++)
		copy[i] = pd_get64(ids + 8 * i, swap);
	rc = pd_events__add(r->events, attr, copy, id_cnt, NULL);
	free(copy);
	return rc == -EINVAL ? -EBADMSG : rc;
}

/* A copy of bytes of the file. @return 0, -EBADMSG they lie outside, -ENOMEM, -errno */
static int load(const struct pd_reader *r, __u64 offset, __u64 bytes, unsigned char **out)
{
	int err;

	*out = NULL;
	if (!section_fits(&(struct pd_section){offset, bytes}, r->src.bytes))
		return -EBADMSG;
	*out = malloc(bytes ? (size_t)bytes : 1);
	if (!*out)
		return -ENOMEM;
	err = pd_source_read(&r->src, offset, *out, (size_t)bytes);
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

/* One entry of attrs, at offset of the file. */
static int load_event(struct pd_reader *r, const unsigned char *p, size_t room, __u64 offset,
		      __u64 *ids_left)
{
	const struct pd_section ids = section_at(p + room, r->swap);
	struct perf_event_attr attr;
	unsigned char *id_bytes;
	int rc;

	if (!get_attr(p, room, r->swap, &attr))
		return pd_reader_fail(r, -EBADMSG, "offset %llu: bad event attr",
				      (unsigned long long)offset);
	/* In sum too: else many attrs could claim the same large section. */
	rc = ids.bytes > *ids_left ? -EBADMSG : load(r, ids.offset, ids.bytes, &id_bytes);
	if (rc == -EBADMSG)
		return pd_reader_fail(r, rc, "offset %llu: the event's ids lie outside the file",
				      (unsigned long long)offset);
	if (rc)
		return rc;
	*ids_left -= ids.bytes;
	rc = add_event(r, &attr, id_bytes, ids.bytes / 8, r->swap);
	free(id_bytes);
	if (rc == -EBADMSG)
		return pd_reader_fail(r, rc,
				      "offset %llu: the event attr is damaged, or has its sample "
				      "id elsewhere than the first",
				      (unsigned long long)offset);
	return rc < 0 ? rc : 0;
}

static int load_events(struct pd_reader *r, const struct pd_file_header *h)
{
	__u64 ids_left = r->src.bytes, room = h->attr_size - sizeof(struct pd_section);
	unsigned char *attrs;
	int err;

	if (h->attrs.bytes && (h->attr_size < PERF_ATTR_SIZE_VER0 + sizeof(struct pd_section) ||
			       h->attr_size > 65536))
		return pd_reader_fail(r, -EBADMSG, "offset 16: bad attr size %llu",
				      (unsigned long long)h->attr_size);
	err = load(r, h->attrs.offset, h->attrs.bytes, &attrs);
	if (err == -EBADMSG)
		return pd_reader_fail(r, err, "offset 24: the attrs lie outside the file");
	if (err)
		return err;
	for (__u64 at = 0; !err && h->attr_size && h->attrs.bytes - at >= h->attr_size;
	     at += h->attr_size)
		err = load_event(r, attrs + at, (size_t)room, h->attrs.offset + at, &ids_left);
	free(attrs);
	return err;
}

/* A string of a feature section: u32 length, then the bytes. Advances *p. NULL when damaged. */
static const char *get_string(const unsigned char **p, const unsigned char *end, bool swap)
{
	const char *s;
	__u32 bytes;

	if (end - *p < 4)
		return NULL;
	bytes = pd_get32(*p, swap);
	*p += 4;
	if (bytes > (size_t)(end - *p))
		return NULL;
	s = (const char *)*p;
	*p += bytes;
	return memchr(s, 0, bytes) ? s : NULL;
}

/* Names are a convenience: what is damaged is left out without an error. */
static int load_names(struct pd_reader *r, const struct pd_feat *desc)
{
	const unsigned char *p = desc->data, *end;
	__u32 cnt, attr_bytes, id_cnt;

	if (!p || desc->bytes < 8)
		return 0;
	end = p + desc->bytes;
	cnt = pd_get32(p, r->swap);
	attr_bytes = pd_get32(p + 4, r->swap);
	p += 8;
	for (__u32 i = 0; i < cnt; i++) {
		const char *name;
		int event = -1;

		if ((size_t)(end - p) < 4 + (size_t)attr_bytes)
			return 0;
		id_cnt = pd_get32(p + attr_bytes, r->swap);
		p += attr_bytes + 4;
		name = get_string(&p, end, r->swap);
		if (!name || id_cnt > (size_t)(end - p) / 8)
			return 0;
		if (id_cnt && r->events->cnt > 1)
			event = pd_events__by_id(r->events, pd_get64(p, r->swap));
		if (event < 0 || !id_cnt)
			event = i < r->events->cnt ? (int)i : -1;
		p += 8 * (size_t)id_cnt;
		if (event >= 0 && *name &&
		    pd_events__rename(r->events, (size_t)event, name) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

/* ---- file layout --------------------------------------------------------------------- */

static int get_header(struct pd_reader *r, struct pd_file_header *h)
{
	__u64 words[PD_HEADER_BYTES / 8] = {0};
	int err = pd_source_read(&r->src, 0, words, PD_PIPE_HEADER_BYTES);
	size_t bytes = PD_HEADER_BYTES;

	if (!err && pd_get64(&words[1], r->swap) < bytes)
		bytes = (size_t)pd_get64(&words[1], r->swap);
	if (!err)
		err = pd_source_read(&r->src, 0, words, bytes);
	if (err == -EBADMSG)
		return pd_reader_fail(r, err, "offset 16: the header is cut off");
	for (size_t i = 0; r->swap && i < sizeof(words) / 8; i++)
		words[i] = __builtin_bswap64(words[i]);
	memcpy(h, words, sizeof(*h));
	return err;
}

static size_t feature_cnt(const struct pd_file_header *h)
{
	size_t cnt = 0;

	for (size_t i = 0; i < PD_FEATURE_BITS / 64; i++)
		cnt += (size_t)__builtin_popcountll(h->flags[i]);
	return cnt;
}

/** The table behind the data: a section for each feature bit, in their order. */
struct table {
	__u64 offset;
	size_t cnt;
	struct pd_section sections[PD_FEATURE_BITS];
};

/* @return 0, -EBADMSG there is no whole table, -errno */
static int load_table(const struct pd_reader *r, __u64 offset, size_t cnt, struct table *out)
{
	unsigned char bytes[16 * PD_FEATURE_BITS];
	int err = pd_source_read(&r->src, offset, bytes, 16 * cnt);

	*out = (struct table){.offset = offset, .cnt = cnt};
	for (size_t i = 0; !err && i < cnt; i++)
		out->sections[i] = section_at(bytes + 16 * i, r->swap);
	return err;
}

/* Without data, is there a feature table behind the header, or records whose writer died? */
static bool table_plausible(const struct pd_reader *r, const struct table *t)
{
	for (size_t i = 0; i < t->cnt; i++) {
		if (!section_fits(&t->sections[i], r->src.bytes) ||
		    t->sections[i].offset < t->offset + 16 * t->cnt)
			return false;
	}
	return t->cnt;
}

static void announce_features(struct pd_reader *r, const struct pd_file_header *h,
			      const struct table *t)
{
	size_t nth = 0;

	for (size_t f = 0; f < PD_FEATURE_BITS; f++) {
		struct pd_feat *feat = &r->feats[f];

		if (!(h->flags[f / 64] >> (f % 64) & 1))
			continue;
		feat->announced = true;
		if (!t)
			feat->err = r->tail ? -ENOENT : -EBADMSG;
		else
			feat->section = t->sections[nth++];
		feat->has_section = t;
	}
	/* Old perfs put a table of event names there, before the data: not ours. */
	if (t && h->event_types.bytes && h->event_types.offset >= t->offset + t->cnt * 16)
		r->blob = h->event_types;
}

/* Sections in sum are no longer than the file: else many could claim all of it. */
static int load_feature(struct pd_reader *r, size_t f)
{
	struct pd_feat *feat = &r->feats[f];

	if (feat->data)
		return 0;
	if (!feat->announced)
		return -ENOENT;
	if (!feat->err && feat->section.bytes > r->feats_left)
		feat->err = -EBADMSG;
	if (!feat->err)
		feat->err = load(r, feat->section.offset, feat->section.bytes, &feat->data);
	if (feat->err)
		return feat->err;
	feat->bytes = (size_t)feat->section.bytes;
	r->feats_left -= feat->section.bytes;
	return 0;
}

int pd_reader_load_meta(struct pd_reader *r)
{
	struct pd_file_header h = {0};
	struct table table = {0};
	int err = get_header(r, &h), table_err;

	if (err)
		return err;
	r->feats_left = r->src.bytes;
	if (h.data.offset > r->src.bytes)
		return pd_reader_fail(r, -EBADMSG, "offset 40: the data lie outside the file");
	err = load_events(r, &h);
	if (err)
		return err;
	r->data = h.data;
	r->cut = !section_fits(&h.data, r->src.bytes);
	table_err = r->cut ? -EBADMSG
			   : load_table(r, h.data.offset + h.data.bytes, feature_cnt(&h), &table);
	r->tail = !h.data.bytes && (table_err || !table_plausible(r, &table));
	r->unfinished = r->tail || !feature_cnt(&h);
	if (r->cut || r->tail)
		r->data.bytes = r->src.bytes - h.data.offset;
	announce_features(r, &h, table_err || r->tail ? NULL : &table);
	err = load_feature(r, PD_FEAT_EVENT_DESC);
	return err == -ENOMEM ? err : load_names(r, &r->feats[PD_FEAT_EVENT_DESC]);
}

/* ---- pipe layout --------------------------------------------------------------------- */

static int intake_attr(struct pd_reader *r, const struct perf_event_header *hdr)
{
	const unsigned char *p = (const unsigned char *)(hdr + 1);
	size_t room = hdr->size - sizeof(*hdr), bytes;
	struct perf_event_attr attr;
	int rc;

	bytes = get_attr(p, room, false, &attr);
	if (!bytes)
		return -EBADMSG;
	rc = add_event(r, &attr, p + bytes, (room - bytes) / 8, false);
	return rc < 0 ? rc : 0;
}

static int intake_name(struct pd_reader *r, const struct perf_event_header *hdr)
{
	const unsigned char *p = (const unsigned char *)hdr;
	const char *name = (const char *)p + 24;
	int event, err;

	if (hdr->size < 24)
		return -EBADMSG;
	if (pd_get64(p + 8, false) != PD_EVENT_UPDATE_NAME)
		return 0;
	if (!memchr(name, 0, hdr->size - 24u))
		return -EBADMSG;
	event = pd_events__by_id(r->events, pd_get64(p + 16, false));
	if (event < 0 || !*name)
		return 0;
	err = pd_events__rename(r->events, (size_t)event, name);
	return err == -ENOMEM ? err : 0;
}

/* The first of a kind is kept: what was handed out stays where it is. */
static int intake_feature(struct pd_reader *r, const struct perf_event_header *hdr)
{
	const unsigned char *p = (const unsigned char *)hdr;
	size_t bytes;
	__u64 f;

	if (hdr->size < 16)
		return -EBADMSG;
	f = pd_get64(p + 8, false);
	bytes = hdr->size - 16u;
	if (f >= PD_FEATURE_BITS || r->feats[f].data)
		return 0;
	r->feats[f].data = malloc(bytes ? bytes : 1);
	if (!r->feats[f].data)
		return -ENOMEM;
	memcpy(r->feats[f].data, p + 16, bytes);
	r->feats[f].bytes = bytes;
	return f == PD_FEAT_EVENT_DESC ? load_names(r, &r->feats[f]) : 0;
}

static int intake_build_id(struct pd_reader *r, const struct perf_event_header *hdr)
{
	size_t need = r->build_ids_bytes + hdr->size;

	if (need > FEATS_MAX_BYTES)
		return 0;
	if (need > r->build_ids_cap) {
		size_t cap = 2 * need;
		unsigned char *p = realloc(r->build_ids, cap);

		if (!p)
			return -ENOMEM;
		r->build_ids = p;
		r->build_ids_cap = cap;
	}
	memcpy(r->build_ids + r->build_ids_bytes, hdr, hdr->size);
	r->build_ids_bytes = need;
	return 0;
}

int pd_reader_intake(struct pd_reader *r, const struct perf_event_header *hdr)
{
	switch (hdr->type) {
	case PD_RECORD_HEADER_ATTR:
		return intake_attr(r, hdr);
	case PD_RECORD_EVENT_UPDATE:
		return intake_name(r, hdr);
	case PD_RECORD_HEADER_FEATURE:
		return intake_feature(r, hdr);
	case PD_RECORD_BUILD_ID:
		return intake_build_id(r, hdr);
	default:
		return 0;
	}
}

/* ---- asking -------------------------------------------------------------------------- */

int pd_reader__feature(struct pd_reader *r, enum pd_feature f, const void **data, size_t *bytes)
{
	const size_t i = (unsigned int)f % PD_FEATURE_BITS;
	int err = load_feature(r, i);

	*data = r->feats[i].data;
	*bytes = r->feats[i].bytes;
	if (err && f == PD_FEAT_BUILD_ID && r->build_ids) {
		*data = r->build_ids;
		*bytes = r->build_ids_bytes;
		return 0;
	}
	if (err == -EBADMSG)
		return pd_reader_fail(r, err, "feature %u: its section lies outside the file",
				      (unsigned int)f);
	return err;
}

const char *pd_reader__feature_string(struct pd_reader *r, enum pd_feature f)
{
	const struct pd_feat *feat = &r->feats[(unsigned int)f % PD_FEATURE_BITS];
	const unsigned char *p;

	if (load_feature(r, (unsigned int)f % PD_FEATURE_BITS))
		return NULL;
	p = feat->data;
	return get_string(&p, p + feat->bytes, r->swap);
}

bool pd_reader__lacks_features(const struct pd_reader *r)
{
	for (size_t f = 0; f < PD_FEATURE_BITS; f++) {
		const struct pd_feat *feat = &r->feats[f];

		if (feat->announced && !r->tail &&
		    (!feat->has_section || !section_fits(&feat->section, r->src.bytes)))
			return true;
	}
	return false;
}

static int load_blob(struct pd_reader *r)
{
	int err;

	if (!r->blob.bytes)
		return -ENOENT;
	if (r->blob_heap)
		return 0;
	err = r->blob.offset % 8
		      ? -EBADMSG
		      : load(r, r->blob.offset, r->blob.bytes, (unsigned char **)&r->blob_heap);
	if (err == -EBADMSG)
		return pd_reader_fail(r, err, "offset 56: the private data lie outside the file");
	return err;
}

int pd_reader__blob(struct pd_reader *r, enum pd_blob_type type, __u32 *version, const void **data,
		    size_t *bytes)
{
	__u64 at = 0, left = r->blob.bytes;
	int err = load_blob(r);

	if (err)
		return err;
	while (left >= sizeof(struct pd_chunk)) {
		const unsigned char *p = (const unsigned char *)r->blob_heap + at;
		__u64 chunk_bytes = pd_get64(p + 8, r->swap), padded;

		left -= sizeof(struct pd_chunk);
		if (chunk_bytes > left)
			break;
		if (pd_get32(p, r->swap) == (__u32)type) {
			if (version)
				*version = pd_get32(p + 4, r->swap);
			*data = p + sizeof(struct pd_chunk);
			*bytes = (size_t)chunk_bytes;
			return 0;
		}
		padded = pd_align8(chunk_bytes);
		if (padded >= left)
			return -ENOENT;
		at += sizeof(struct pd_chunk) + padded;
		left -= padded;
	}
	return pd_reader_fail(r, -EBADMSG, "offset %llu: the private data are damaged",
			      (unsigned long long)(r->blob.offset + at));
}

int pd_reader__build_ids(struct pd_reader *r, int (*cb)(void *ctx, const struct pd_build_id *id),
			 void *ctx)
{
	const void *data;
	size_t left;
	int rc = pd_reader__feature(r, PD_FEAT_BUILD_ID, &data, &left);
	bool swap = r->swap && r->feats[PD_FEAT_BUILD_ID].data;

	if (rc)
		return rc;
	for (const unsigned char *p = data; left;) {
		struct pd_build_id id = {.bytes = PD_BUILD_ID_MAX};
		__u16 misc, size;

		if (left < PD_BUILD_ID_NAME)
			break;
		memcpy(&misc, p + 4, 2);
		memcpy(&size, p + 6, 2);
		misc = swap ? __builtin_bswap16(misc) : misc;
		size = swap ? __builtin_bswap16(size) : size;
		if (misc & PD_BUILD_ID_HAS_SIZE)
			id.bytes = p[32];
		if (size <= PD_BUILD_ID_NAME || size > left || id.bytes > PD_BUILD_ID_MAX ||
		    !memchr(p + PD_BUILD_ID_NAME, 0, size - PD_BUILD_ID_NAME))
			break;
		id.pid = (__s32)pd_get32(p + 8, swap);
		id.cpumode = misc & PERF_RECORD_MISC_CPUMODE_MASK;
		memcpy(id.id, p + 12, id.bytes);
		id.filename = (const char *)p + PD_BUILD_ID_NAME;
		rc = cb(ctx, &id);
		if (rc)
			return rc;
		p += size;
		left -= size;
	}
	return left ? pd_reader_fail(r, -EBADMSG, "BUILD_ID feature: malformed") : 0;
}
