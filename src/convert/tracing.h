/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tracing.h - the formats of tracepoints that a perf.data file brings along (its TRACING_DATA),
 * and the fields of a tracepoint's raw data. Parsed by libtraceevent; what it is given was
 * checked and cut down before, because the file is hostile.
 */
#ifndef PA_TRACING_H
#define PA_TRACING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pa_tracing;
struct tep_format_field;

/** A field's value. Strings lie in the raw data, and are not NUL-terminated. */
struct pa_field_value {
	bool is_num;
	int64_t num;
	const char *str;
	size_t str_bytes;
};

/** Parse TRACING_DATA, which is copied as far as it is needed.
 *  @param out  free with pa_tracing__free; NULL unless the return value is 0
 *  @return 0, -EBADMSG (its head is damaged), -ENOMEM. Damage behind the head and formats that
 *  can't be read cost the events in question only: pa_tracing__is_damaged */
int pa_tracing__parse(const void *data, size_t bytes, struct pa_tracing **out);
void pa_tracing__free(struct pa_tracing *t);
/** Some events can't be described. */
bool pa_tracing__is_damaged(const struct pa_tracing *t);
/** "system:name" of the tracepoint. @param config  of its attr
 *  @return 0, -ENOENT, -EMSGSIZE */
int pa_tracing__name(const struct pa_tracing *t, uint64_t config, char *buf, size_t bytes);
/** @return the field, borrowed from t; NULL when the event or the field is unknown */
const struct tep_format_field *pa_tracing__field(const struct pa_tracing *t, uint64_t config,
						 const char *name);
/** Names of the event's own fields, "a, b, c", cut off when they don't fit. */
void pa_tracing__field_names(const struct pa_tracing *t, uint64_t config, char *buf, size_t bytes);
/** Read a field of a sample.
 *  @return 0, -EBADMSG (it lies outside the raw data), -EOPNOTSUPP (neither number nor text) */
int pa_tracing__read(const struct pa_tracing *t, const struct tep_format_field *field,
		     const void *raw, size_t raw_bytes, struct pa_field_value *out);

#endif
