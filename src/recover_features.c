// SPDX-License-Identifier: GPL-2.0-only
/*
 * recover_features.c - feature sections of a recovered file. Those of a file of our byte order are
 * copied as they are, but what its new form makes wrong; of the other byte order those are
 * converted whose layout is known here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "convert/table.h"
#include "recover_features.h"

/* ---- build-ids ------------------------------------------------------------------------- */

enum { IDS_MAX = 1 << 20 }; /* a compressed file can name any number */

/** ids[i] is of the file that names.strs[i] names. */
struct pa_recover_ids {
	struct pa_strings names;
	struct pd_build_id *list;
	size_t cnt, cap;
};

int pa_recover_ids__new(struct pa_recover_ids **out)
{
	struct pa_recover_ids *ids = calloc(1, sizeof(*ids));

	*out = ids;
	if (!ids)
		return -ENOMEM;
	/* A file must not be able to choose names that collide. */
	if (getrandom(&ids->names.seed, sizeof(ids->names.seed), GRND_NONBLOCK) < 0)
		ids->names.seed = (uintptr_t)ids;
	return 0;
}

int pa_recover_ids__add(struct pa_recover_ids *ids, const struct pd_build_id *id,
			const uint8_t *build_id)
{
	struct pd_build_id *e;
	uint32_t i;

	if (ids->cnt == IDS_MAX)
		return 0;
	if (pa_array_grow(&ids->list, ids->cnt, &ids->cap, sizeof(*ids->list)))
		return -ENOMEM;
	i = pa_strings__intern(&ids->names, id->filename, strlen(id->filename));
	if (i == PA_NONE)
		return -ENOMEM;
	if (i < ids->cnt)
		return 0;
	e = &ids->list[ids->cnt++];
	*e = *id;
	memset(e->id, 0, sizeof(e->id));
	memcpy(e->id, build_id, id->bytes);
	e->filename = ids->names.strs[i];
	return 0;
}

void pa_recover_ids__free(struct pa_recover_ids *ids)
{
	if (!ids)
		return;
	pa_strings__free(&ids->names);
	free(ids->list);
	free(ids);
}

static int take_build_id(void *ctx, const struct pd_build_id *id)
{
	return pa_recover_ids__add(ctx, id, id->id);
}

/* Which of the reader's are damaged is counted, not why. */
static int add_build_ids(const struct pa_recover_features *f, struct pd_writer *w,
			 uint64_t *dropped_cnt)
{
	int err = pd_reader__build_ids(f->reader, take_build_id, f->ids);
	void *data = NULL;
	size_t bytes;

	if (err == -ENOMEM)
		return err;
	*dropped_cnt += err && err != -ENOENT;
	if (!f->ids->cnt)
		return 0;
	err = pd_feat_build_ids(f->ids->list, f->ids->cnt, &data, &bytes);
	if (!err)
		err = pd_writer__feature(w, PD_FEAT_BUILD_ID, data, bytes);
	free(data);
	if (err != -EINVAL)
		return err;
	*dropped_cnt += 1; /* a name of 64 KiB */
	return 0;
}

/* ---- the other byte order -------------------------------------------------------------- */

static void swap_words(unsigned char *p, size_t bytes, size_t width)
{
	for (; bytes >= width; bytes -= width, p += width) {
		for (size_t i = 0; i < width / 2; i++) {
			unsigned char c = p[i];

			p[i] = p[width - 1 - i];
			p[width - 1 - i] = c;
		}
	}
}

/* A list of strings: u32 count, and for each u32 length and bytes. @return whether it fits */
static bool swap_strings(unsigned char *p, size_t bytes, bool counted)
{
	uint32_t cnt = 1, length;

	if (counted) {
		if (bytes < 4)
			return false;
		swap_words(p, 4, 4);
		memcpy(&cnt, p, 4);
		p += 4;
		bytes -= 4;
	}
	for (; cnt; cnt--) {
		if (bytes < 4)
			return false;
		swap_words(p, 4, 4);
		memcpy(&length, p, 4);
		if (length > bytes - 4)
			return false;
		p += 4 + (size_t)length;
		bytes -= 4 + (size_t)length;
	}
	return true;
}

/* @return whether the layout of the section is known, and it fits */
static bool swap_feature(enum pd_feature feature, unsigned char *p, size_t bytes)
{
	switch (feature) {
	case PD_FEAT_HOSTNAME:
	case PD_FEAT_OSRELEASE:
	case PD_FEAT_VERSION:
	case PD_FEAT_ARCH:
	case PD_FEAT_CPUDESC:
	case PD_FEAT_CPUID:
		return swap_strings(p, bytes, false);
	case PD_FEAT_CMDLINE:
		return swap_strings(p, bytes, true);
	case PD_FEAT_NRCPUS:
		swap_words(p, bytes, 4);
		return true;
	case PD_FEAT_TOTAL_MEM:
	case PD_FEAT_SAMPLE_TIME:
	case PD_FEAT_CLOCKID:
		swap_words(p, bytes, 8);
		return true;
	case PD_FEAT_CLOCK_DATA:
		if (bytes < 8)
			return false;
		swap_words(p, 8, 4);
		swap_words(p + 8, bytes - 8, 8);
		return true;
	case PD_FEAT_BRANCH_STACK:
		return true;
	default:
		return false;
	}
}

/* ---- events ---------------------------------------------------------------------------- */

static bool has_tracing_data(struct pd_reader *reader)
{
	const void *data;
	size_t bytes;

	return !pd_reader__feature(reader, PD_FEAT_TRACING_DATA, &data, &bytes);
}

int pa_recover_events__new(struct pd_reader *reader, struct pd_events **out)
{
	const struct pd_events *t = pd_reader__events(reader);
	bool raw = !has_tracing_data(reader);
	int rc = pd_events__new(out);

	for (size_t i = 0; rc >= 0 && i < pd_events__cnt(t); i++) {
		const struct pd_event *e = pd_events__get(t, i);
		struct perf_event_attr attr = e->attr;

		if (raw && attr.type == PERF_TYPE_TRACEPOINT)
			attr.type = PERF_TYPE_RAW;
		rc = pd_events__add(*out, &attr, e->ids, e->id_cnt, e->name);
	}
	return rc < 0 ? rc : 0;
}

/* ---- all ------------------------------------------------------------------------------- */

/* What is made anew, or is wrong in the new file. */
static bool is_replaced(enum pd_feature feature)
{
	return feature == PD_FEAT_BUILD_ID || feature == PD_FEAT_EVENT_DESC ||
	       feature == PD_FEAT_AUXTRACE || /* offsets of records in the file */
	       feature == PD_FEAT_DIR_FORMAT || feature == PD_FEAT_COMPRESSED;
}

static int copy_feature(const struct pa_recover_features *f, struct pd_writer *w,
			enum pd_feature feature, uint64_t *dropped_cnt)
{
	const void *data;
	unsigned char *copy;
	size_t bytes;
	int err = pd_reader__feature(f->reader, feature, &data, &bytes);

	if (err == -ENOENT || err == -ENOMEM)
		return err == -ENOENT ? 0 : err;
	if (err) {
		*dropped_cnt += 1;
		return 0;
	}
	if (!pd_reader__is_foreign(f->reader) ||
	    feature == PD_FEAT_TRACING_DATA) /* says its byte order itself */
		return pd_writer__feature(w, feature, data, bytes);
	copy = malloc(bytes ? bytes : 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, bytes);
	if (swap_feature(feature, copy, bytes))
		err = pd_writer__feature(w, feature, copy, bytes);
	else
		*dropped_cnt += 1;
	free(copy);
	return err;
}

/* Without HOSTNAME and CMDLINE hotspot passes over all features. */
static int add_command_line(const struct pa_recover_features *f, struct pd_writer *w)
{
	const char *const argv[] = {"perf-agent", "recover", f->input};
	void *data = NULL;
	size_t bytes;
	int err;

	if (pd_reader__feature_string(f->reader, PD_FEAT_HOSTNAME))
		return 0;
	err = pd_feat_cmdline(3, argv, &data, &bytes);
	if (!err)
		err = pd_writer__feature(w, PD_FEAT_CMDLINE, data, bytes);
	free(data);
	return err;
}

/* A name that the reader made up would keep perf from finding its own. */
static bool has_names(const struct pd_events *events)
{
	for (size_t i = 0; i < pd_events__cnt(events); i++) {
		if (!strncmp(pd_events__get(events, i)->name, "type=", 5))
			return false;
	}
	return true;
}

static int add_event_desc(const struct pa_recover_features *f, struct pd_writer *w)
{
	void *data = NULL;
	size_t bytes;
	int err;

	if (!has_names(f->events))
		return 0;
	err = pd_feat_event_desc(f->events, &data, &bytes);
	if (!err)
		err = pd_writer__feature(w, PD_FEAT_EVENT_DESC, data, bytes);
	free(data);
	return err;
}

/* Numbers in the private data of the other byte order would need converting; tags have none. */
static int copy_blob(const struct pa_recover_features *f, struct pd_writer *w,
		     uint64_t *dropped_cnt)
{
	const void *data;
	uint32_t version;
	size_t bytes;

	for (int type = PD_BLOB_TAGS; type <= PD_BLOB_CAPTURE; type++) {
		int err = pd_reader__blob(f->reader, (enum pd_blob_type)type, &version, &data,
					  &bytes);

		if (err == -ENOMEM)
			return err;
		if (!err && pd_reader__is_foreign(f->reader) && type != PD_BLOB_TAGS)
			err = -EBADMSG;
		*dropped_cnt += err && err != -ENOENT;
		err = err ? 0 : pd_writer__blob(w, (enum pd_blob_type)type, version, data, bytes);
		if (err)
			return err;
	}
	return 0;
}

/* By which perf report chooses its mode: streams and files that were not finished lack it. */
static int add_branch_stack(const struct pa_recover_features *f, struct pd_writer *w)
{
	const void *data;
	size_t bytes;

	if (!pd_reader__feature(f->reader, PD_FEAT_BRANCH_STACK, &data, &bytes))
		return 0;
	for (size_t i = 0; i < pd_events__cnt(f->events); i++) {
		const struct perf_event_attr *attr = &pd_events__get(f->events, i)->attr;

		if (attr->sample_type & PERF_SAMPLE_BRANCH_STACK &&
		    !(attr->branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK))
			return pd_writer__feature(w, PD_FEAT_BRANCH_STACK, NULL, 0);
	}
	return 0;
}

int pa_recover_features__copy(const struct pa_recover_features *f, struct pd_writer *w,
			      uint64_t *dropped_cnt)
{
	const void *data;
	size_t bytes;
	int err = 0;

	for (int i = PD_FEAT_TRACING_DATA; !err && i <= PD_FEAT_PMU_CAPS; i++) {
		if (!is_replaced((enum pd_feature)i))
			err = copy_feature(f, w, (enum pd_feature)i, dropped_cnt);
	}
	if (!err && pd_reader__feature(f->reader, PD_FEAT_CMDLINE, &data, &bytes))
		err = add_command_line(f, w);
	if (!err)
		err = add_branch_stack(f, w);
	if (!err)
		err = add_event_desc(f, w);
	if (!err)
		err = add_build_ids(f, w, dropped_cnt);
	return err ? err : copy_blob(f, w, dropped_cnt);
}
