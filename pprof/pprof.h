/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pprof.h - build a profile in the pprof format and write it, gzip-compressed.
 *
 * The format is that of github.com/google/pprof's profile.proto (see pprof/profile.proto,
 * written from its documentation). The builder gives out ids and keeps strings once; the caller
 * adds each mapping, function, location and sample once. Samples are packed as they are added,
 * so memory does not grow with their number beyond the bytes of the packed form. The output is
 * the same, byte for byte, for the same sequence of calls.
 *
 * Functions return 0 or a negative errno unless they say otherwise. One thread per profile.
 */
#ifndef PPROF_H
#define PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pprof_profile;

/** A type of value, and its unit: {"cpu", "nanoseconds"}, {"samples", "count"}. */
struct pprof_value_type {
	const char *type;
	const char *unit;
};

struct pprof_mapping {
	uint64_t start, limit; /* addresses; limit is exclusive */
	uint64_t file_offset;
	const char *filename;
	const char *build_id; /* hex, or NULL */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct pprof_function {
	const char *name;	 /* for people: demangled */
	const char *system_name; /* as in the symbol table; NULL: same as name */
	const char *filename;	 /* NULL: unknown */
	int64_t start_line;	 /* 0: unknown */
};

struct pprof_line {
	uint64_t function_id;
	int64_t line; /* 0: unknown */
};

/** A label of a sample. str NULL and str_id 0: numeric. Texts that many samples have are better
 *  given by their ids, which pprof__string gives out: then key, str are not looked at. */
struct pprof_label {
	const char *key;
	const char *str;
	int64_t num;
	const char *num_unit; /* NULL: none */
	int64_t key_id, str_id;
};

/** @param types     value types of each sample, in order (>= 1); copied
 *  @param type_cnt  1 to 64
 *  @return 0, -EINVAL, -ENOMEM. Free with pprof__free. */
int pprof__new(const struct pprof_value_type *types, size_t type_cnt, struct pprof_profile **out);
void pprof__free(struct pprof_profile *p);

void pprof__set_time(struct pprof_profile *p, int64_t time_ns, int64_t duration_ns);
int pprof__set_period(struct pprof_profile *p, struct pprof_value_type type, int64_t period);
int pprof__set_default_sample_type(struct pprof_profile *p, const char *type);
int pprof__add_comment(struct pprof_profile *p, const char *comment);

/** Id of a text, for labels. "" has id 0, which can't stand for it there.
 *  @return 0, -ENOMEM */
int pprof__string(struct pprof_profile *p, const char *text, int64_t *id);

/** Add a mapping / function / location. All strings are copied.
 *  @param id  set to the new id (>= 1)
 *  @return 0, -ENOMEM, -EINVAL (an id that was not given out) */
int pprof__add_mapping(struct pprof_profile *p, const struct pprof_mapping *m, uint64_t *id);
/** Change the has_* flags of a mapping that was added. */
int pprof__set_mapping_flags(struct pprof_profile *p, uint64_t id, bool functions, bool filenames,
			     bool line_numbers, bool inline_frames);
int pprof__add_function(struct pprof_profile *p, const struct pprof_function *f, uint64_t *id);
/** @param lines  innermost inlined function first, the function that holds the code last; may
 *                be empty (an address without symbol)
 *  @param mapping_id  0: none */
int pprof__add_location(struct pprof_profile *p, uint64_t mapping_id, uint64_t address,
			const struct pprof_line *lines, size_t line_cnt, uint64_t *id);
/** @param location_ids  leaf first
 *  @param values  one per value type */
int pprof__add_sample(struct pprof_profile *p, const uint64_t *location_ids, size_t location_cnt,
		      const int64_t *values, const struct pprof_label *labels, size_t label_cnt);

/** Write the profile, gzip-compressed (or plain protobuf when !gzip). Can be called once more
 *  for another descriptor. Handles short writes and EINTR.
 *  @return 0, -ENOMEM, -errno of write */
int pprof__write_fd(struct pprof_profile *p, int fd, bool gzip);
/** Write to path: "-" is standard output; else to a temporary name beside it that is renamed, so
 *  that path is whole or absent (/dev/null, ttys and pipes are written to in place).
 *  @return 0, -ENOMEM, -errno */
int pprof__write_path(struct pprof_profile *p, const char *path);

#ifdef __cplusplus
}
#endif
#endif
