/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pprof.c - the profile builder. Samples, locations and functions are packed as they are added:
 * pieces of one kind lie in one buffer, and the concatenated buffers are the profile. Only
 * mappings stay structs until the end, because their flags may change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "pprof.h"

#define MAX_TYPES 64
/* Entries of one sample or location: keeps packed sizes far below protobuf's 2 GiB. */
#define MAX_ENTRIES ((size_t)1 << 24)

struct pprof_profile {
	struct pprof_strtab strtab;
	struct pprof_buf samples; /* behind the types of their values */
	struct pprof_buf locations, functions;
	Perftools__Profiles__Mapping *mappings;
	uint64_t mapping_cnt, mapping_cap;
	uint64_t location_cnt, function_cnt; /* ids given out are 1 to cnt */
	size_t type_cnt;
	int64_t *comments;
	size_t comment_cnt;
	Perftools__Profiles__ValueType period_type;
	bool has_period;
	int64_t period, time_ns, duration_ns, default_type;
	/* scratch of pprof__add_sample and pprof__add_location, grown as needed */
	void *scratch;
	size_t scratch_bytes;
};

static int intern_type(struct pprof_profile *p, struct pprof_value_type type,
		       Perftools__Profiles__ValueType *out)
{
	int err;

	perftools__profiles__value_type__init(out);
	err = pprof_strtab__id(&p->strtab, type.type, &out->type);
	return err ? err : pprof_strtab__id(&p->strtab, type.unit, &out->unit);
}

static int add_type(struct pprof_profile *p, struct pprof_value_type type)
{
	Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	Perftools__Profiles__ValueType vt, *vts = &vt;
	int err = intern_type(p, type, &vt);

	if (err)
		return err;
	piece.sample_type = &vts;
	piece.n_sample_type = 1;
	return pprof_buf__pack(&p->samples, &piece);
}

int pprof__new(const struct pprof_value_type *types, size_t type_cnt, struct pprof_profile **out)
{
	struct pprof_profile *p;
	int err;

	*out = NULL;
	if (!type_cnt || type_cnt > MAX_TYPES)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	err = pprof_strtab__init(&p->strtab);
	for (size_t i = 0; i < type_cnt && !err; i++)
		err = add_type(p, types[i]);
	if (err) {
		pprof__free(p);
		return err;
	}
	p->type_cnt = type_cnt;
	*out = p;
	return 0;
}

void pprof__free(struct pprof_profile *p)
{
	if (!p)
		return;
	pprof_strtab__free(&p->strtab);
	pprof_buf__free(&p->samples);
	pprof_buf__free(&p->locations);
	pprof_buf__free(&p->functions);
	free(p->mappings);
	free(p->comments);
	free(p->scratch);
	free(p);
}

void pprof__set_time(struct pprof_profile *p, int64_t time_ns, int64_t duration_ns)
{
	p->time_ns = time_ns;
	p->duration_ns = duration_ns;
}

int pprof__set_period(struct pprof_profile *p, struct pprof_value_type type, int64_t period)
{
	Perftools__Profiles__ValueType vt;
	int err = intern_type(p, type, &vt);

	if (err)
		return err;
	p->period_type = vt;
	p->period = period;
	p->has_period = true;
	return 0;
}

int pprof__set_default_sample_type(struct pprof_profile *p, const char *type)
{
	return pprof_strtab__id(&p->strtab, type, &p->default_type);
}

int pprof__add_comment(struct pprof_profile *p, const char *comment)
{
	int64_t id, *comments;
	int err = pprof_strtab__id(&p->strtab, comment, &id);

	if (err)
		return err;
	comments = reallocarray(p->comments, p->comment_cnt + 1, sizeof(*comments));
	if (!comments)
		return -ENOMEM;
	comments[p->comment_cnt++] = id;
	p->comments = comments;
	return 0;
}

int pprof__add_mapping(struct pprof_profile *p, const struct pprof_mapping *m, uint64_t *id)
{
	Perftools__Profiles__Mapping *to;
	int64_t filename, build_id;
	int err;

	if (p->mapping_cnt == p->mapping_cap) {
		uint64_t cap = p->mapping_cap ? p->mapping_cap * 2 : 16;

		to = reallocarray(p->mappings, cap, sizeof(*to));
		if (!to)
			return -ENOMEM;
		p->mappings = to;
		p->mapping_cap = cap;
	}
	err = pprof_strtab__id(&p->strtab, m->filename, &filename);
	if (!err)
		err = pprof_strtab__id(&p->strtab, m->build_id, &build_id);
	if (err)
		return err;
	to = &p->mappings[p->mapping_cnt++];
	perftools__profiles__mapping__init(to);
	to->id = p->mapping_cnt;
	to->memory_start = m->start;
	to->memory_limit = m->limit;
	to->file_offset = m->file_offset;
	to->filename = filename;
	to->build_id = build_id;
	*id = to->id;
	return pprof__set_mapping_flags(p, to->id, m->has_functions, m->has_filenames,
					m->has_line_numbers, m->has_inline_frames);
}

int pprof__set_mapping_flags(struct pprof_profile *p, uint64_t id, bool functions, bool filenames,
			     bool line_numbers, bool inline_frames)
{
	Perftools__Profiles__Mapping *m;

	if (!id || id > p->mapping_cnt)
		return -EINVAL;
	m = &p->mappings[id - 1];
	m->has_functions = functions;
	m->has_filenames = filenames;
	m->has_line_numbers = line_numbers;
	m->has_inline_frames = inline_frames;
	return 0;
}

/* cnt messages and the array of pointers to them that protobuf-c wants, or NULL. */
static void *scratch(struct pprof_profile *p, size_t cnt, size_t msg_bytes, void ***ptrs)
{
	size_t bytes = cnt * (msg_bytes + sizeof(void *));
	char *msgs;

	if (bytes > p->scratch_bytes) {
		void *grown = realloc(p->scratch, bytes);

		if (!grown)
			return NULL;
		p->scratch = grown;
		p->scratch_bytes = bytes;
	}
	/* The pointers come last: messages are a multiple of 8 bytes long. */
	msgs = p->scratch;
	*ptrs = (void **)(msgs + cnt * msg_bytes);
	for (size_t i = 0; i < cnt; i++)
		(*ptrs)[i] = msgs + i * msg_bytes;
	return msgs;
}

int pprof__string(struct pprof_profile *p, const char *text, int64_t *id)
{
	return pprof_strtab__id(&p->strtab, text, id);
}

/* A label's fields, as numbers. */
struct label_ids {
	int64_t key, str, num, num_unit;
};

static int intern_label(struct pprof_profile *p, const struct pprof_label *label,
			struct label_ids *out)
{
	int err = 0;

	*out = (struct label_ids){.key = label->key_id, .str = label->str_id};
	if (!out->key)
		err = pprof_strtab__id(&p->strtab, label->key, &out->key);
	if (!err && !out->str && label->str)
		err = pprof_strtab__id(&p->strtab, label->str, &out->str);
	if (err || out->str || label->str)
		return err;
	out->num = label->num;
	return label->num_unit ? pprof_strtab__id(&p->strtab, label->num_unit, &out->num_unit) : 0;
}

/* Samples, locations and functions are most of a profile: they are packed here, without a message
 * in between. The rules are protobuf's: a field is number << 3 | type, then for type 0 a varint,
 * for type 2 a length and bytes; zeros are left out. */
enum { PROFILE_SAMPLE = 2, PROFILE_LOCATION = 4, PROFILE_FUNCTION = 5 };
enum { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum { LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3, LABEL_NUM_UNIT = 4 };
enum { LOCATION_ID = 1, LOCATION_MAPPING_ID = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum { LINE_FUNCTION_ID = 1, LINE_LINE = 2 };
enum { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3 };
enum { FUNCTION_FILENAME = 4, FUNCTION_START_LINE = 5 };
enum { TYPE_VARINT = 0, TYPE_BYTES = 2, VARINT_MAX_BYTES = 10 };

static size_t varint_bytes(uint64_t v)
{
	return (63 - __builtin_clzll(v | 1)) / 7 + 1;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = v | 0x80;
	*p++ = v;
	return p;
}

static size_t field_bytes(uint64_t v)
{
	return v ? 1 + varint_bytes(v) : 0;
}

static uint8_t *put_field(uint8_t *p, unsigned number, uint64_t v)
{
	if (!v)
		return p;
	*p++ = number << 3 | TYPE_VARINT;
	return put_varint(p, v);
}

static uint8_t *put_length(uint8_t *p, unsigned number, size_t bytes)
{
	*p++ = number << 3 | TYPE_BYTES;
	return put_varint(p, bytes);
}

/* Numbers as one packed field. */
static size_t packed_bytes(const uint64_t *v, size_t cnt)
{
	size_t bytes = 0;

	for (size_t i = 0; i < cnt; i++)
		bytes += varint_bytes(v[i]);
	return bytes;
}

static uint8_t *put_packed(uint8_t *p, unsigned number, const uint64_t *v, size_t cnt, size_t bytes)
{
	if (!cnt)
		return p;
	p = put_length(p, number, bytes);
	for (size_t i = 0; i < cnt; i++)
		p = put_varint(p, v[i]);
	return p;
}

static size_t label_bytes(const struct label_ids *l)
{
	return field_bytes(l->key) + field_bytes(l->str) + field_bytes(l->num) +
	       field_bytes(l->num_unit);
}

static uint8_t *put_label(uint8_t *p, const struct label_ids *l)
{
	p = put_length(p, SAMPLE_LABEL, label_bytes(l));
	p = put_field(p, LABEL_KEY, l->key);
	p = put_field(p, LABEL_STR, l->str);
	p = put_field(p, LABEL_NUM, l->num);
	return put_field(p, LABEL_NUM_UNIT, l->num_unit);
}

int pprof__add_sample(struct pprof_profile *p, const uint64_t *location_ids, size_t location_cnt,
		      const int64_t *values, const struct pprof_label *labels, size_t label_cnt)
{
	const uint64_t *numbers = (const uint64_t *)values;
	size_t id_bytes, value_bytes, bytes = 0;
	struct label_ids *ids;
	void **unused;
	uint8_t *to;
	int err = 0;

	if (location_cnt > MAX_ENTRIES || label_cnt > MAX_ENTRIES)
		return -EINVAL;
	for (size_t i = 0; i < location_cnt; i++)
		if (!location_ids[i] || location_ids[i] > p->location_cnt)
			return -EINVAL;
	ids = scratch(p, label_cnt + 1, sizeof(*ids), &unused);
	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; !err && i < label_cnt; i++) {
		err = intern_label(p, &labels[i], &ids[i]);
		bytes += 1 + varint_bytes(label_bytes(&ids[i])) + label_bytes(&ids[i]);
	}
	id_bytes = packed_bytes(location_ids, location_cnt);
	value_bytes = packed_bytes(numbers, p->type_cnt);
	if (location_cnt)
		bytes += 1 + varint_bytes(id_bytes) + id_bytes;
	bytes += 1 + varint_bytes(value_bytes) + value_bytes;
	if (!err)
		err = pprof_buf__reserve(&p->samples, bytes + 1 + VARINT_MAX_BYTES);
	if (err)
		return err;
	to = put_length(p->samples.data + p->samples.bytes, PROFILE_SAMPLE, bytes);
	to = put_packed(to, SAMPLE_LOCATION_ID, location_ids, location_cnt, id_bytes);
	to = put_packed(to, SAMPLE_VALUE, numbers, p->type_cnt, value_bytes);
	for (size_t i = 0; i < label_cnt; i++)
		to = put_label(to, &ids[i]);
	p->samples.bytes = to - p->samples.data;
	return 0;
}

int pprof__add_function(struct pprof_profile *p, const struct pprof_function *f, uint64_t *id)
{
	const uint64_t new_id = p->function_cnt + 1, start_line = (uint64_t)f->start_line;
	int64_t name, system_name, filename;
	size_t bytes;
	uint8_t *to;
	int err;

	err = pprof_strtab__id(&p->strtab, f->name, &name);
	system_name = name;
	if (!err && f->system_name && f->system_name != f->name)
		err = pprof_strtab__id(&p->strtab, f->system_name, &system_name);
	if (!err)
		err = pprof_strtab__id(&p->strtab, f->filename, &filename);
	if (err)
		return err;
	bytes = field_bytes(new_id) + field_bytes(name) + field_bytes(system_name) +
		field_bytes(filename) + field_bytes(start_line);
	err = pprof_buf__reserve(&p->functions, bytes + 1 + VARINT_MAX_BYTES);
	if (err)
		return err;
	to = put_length(p->functions.data + p->functions.bytes, PROFILE_FUNCTION, bytes);
	to = put_field(to, FUNCTION_ID, new_id);
	to = put_field(to, FUNCTION_NAME, name);
	to = put_field(to, FUNCTION_SYSTEM_NAME, system_name);
	to = put_field(to, FUNCTION_FILENAME, filename);
	to = put_field(to, FUNCTION_START_LINE, start_line);
	p->functions.bytes = to - p->functions.data;
	*id = p->function_cnt = new_id;
	return 0;
}

static size_t line_bytes(const struct pprof_line *l)
{
	return field_bytes(l->function_id) + field_bytes((uint64_t)l->line);
}

int pprof__add_location(struct pprof_profile *p, uint64_t mapping_id, uint64_t address,
			const struct pprof_line *lines, size_t line_cnt, uint64_t *id)
{
	const uint64_t new_id = p->location_cnt + 1;
	size_t bytes = field_bytes(new_id) + field_bytes(mapping_id) + field_bytes(address);
	uint8_t *to;
	int err;

	if (mapping_id > p->mapping_cnt || line_cnt > MAX_ENTRIES)
		return -EINVAL;
	for (size_t i = 0; i < line_cnt; i++) {
		if (!lines[i].function_id || lines[i].function_id > p->function_cnt)
			return -EINVAL;
		bytes += 1 + varint_bytes(line_bytes(&lines[i])) + line_bytes(&lines[i]);
	}
	err = pprof_buf__reserve(&p->locations, bytes + 1 + VARINT_MAX_BYTES);
	if (err)
		return err;
	to = put_length(p->locations.data + p->locations.bytes, PROFILE_LOCATION, bytes);
	to = put_field(to, LOCATION_ID, new_id);
	to = put_field(to, LOCATION_MAPPING_ID, mapping_id);
	to = put_field(to, LOCATION_ADDRESS, address);
	for (size_t i = 0; i < line_cnt; i++) {
		to = put_length(to, LOCATION_LINE, line_bytes(&lines[i]));
		to = put_field(to, LINE_FUNCTION_ID, lines[i].function_id);
		to = put_field(to, LINE_LINE, (uint64_t)lines[i].line);
	}
	p->locations.bytes = to - p->locations.data;
	*id = p->location_cnt = new_id;
	return 0;
}

static int pack_mappings(const struct pprof_profile *p, struct pprof_buf *out)
{
	Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	int err = 0;

	for (uint64_t i = 0; i < p->mapping_cnt && !err; i++) {
		Perftools__Profiles__Mapping *m = &p->mappings[i];

		piece.mapping = &m;
		piece.n_mapping = 1;
		err = pprof_buf__pack(out, &piece);
	}
	return err;
}

static int pack_tail(struct pprof_profile *p, struct pprof_buf *out)
{
	Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	piece.time_nanos = p->time_ns;
	piece.duration_nanos = p->duration_ns;
	piece.period_type = p->has_period ? &p->period_type : NULL;
	piece.period = p->period;
	piece.comment = p->comments;
	piece.n_comment = p->comment_cnt;
	piece.default_sample_type = p->default_type;
	return pprof_buf__pack(out, &piece);
}

/* path NULL: write to fd. The profile is put together where the samples are, which are most of it,
 * and taken apart again. */
static int write_profile(struct pprof_profile *p, const char *path, int fd, bool gzip)
{
	const struct pprof_buf *parts[] = {&p->locations, &p->functions, &p->strtab.packed};
	const size_t sample_bytes = p->samples.bytes;
	int err;

	err = pack_mappings(p, &p->samples);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !err; i++)
		err = pprof_buf__append(&p->samples, parts[i]);
	if (!err)
		err = pack_tail(p, &p->samples);
	if (!err)
		err = path ? pprof_out__path(path, &p->samples)
			   : pprof_out__fd(fd, &p->samples, gzip);
	p->samples.bytes = sample_bytes;
	return err;
}

int pprof__write_fd(struct pprof_profile *p, int fd, bool gzip)
{
	return write_profile(p, NULL, fd, gzip);
}

int pprof__write_path(struct pprof_profile *p, const char *path)
{
	return write_profile(p, path, -1, true);
}
