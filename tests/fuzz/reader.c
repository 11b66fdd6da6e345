// SPDX-License-Identifier: GPL-2.0-only
/*
 * reader.c - fuzz target: the perf.data reader, both layouts and both byte orders, every record
 * parsed, every feature and chunk asked for; mapped, and again as a stream.
 */
#include "fuzz.h"
#include "perfdata/perfdata.h"

enum { STREAM_MAX = 8192 };

static void touch_sample(const struct pd_sample *s)
{
	fuzz_touch(s->ips, s->ip_cnt * sizeof(*s->ips));
	fuzz_touch(s->raw, s->raw_bytes);
	fuzz_touch(s->branches, s->branch_cnt * sizeof(*s->branches));
	fuzz_touch(s->user_regs, s->user_reg_cnt * sizeof(*s->user_regs));
	fuzz_touch(s->user_stack, s->user_stack_bytes);
	fuzz_touch(s->read_values, s->read_cnt * sizeof(*s->read_values));
}

static void parse(const struct pd_events *t, const struct perf_event_header *hdr)
{
	struct pd_sample_id id;
	struct pd_sample sample;
	struct pd_mmap map;
	struct pd_comm comm;
	struct pd_task task;
	struct pd_lost lost;

	fuzz_touch(hdr, hdr->size);
	pd_sample_id__parse(t, hdr, &id);
	switch (hdr->type) {
	case PERF_RECORD_SAMPLE:
		if (!pd_sample__parse(t, hdr, &sample))
			touch_sample(&sample);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		if (!pd_mmap__parse(t, hdr, &map))
			fuzz_touch_string(map.filename);
		break;
	case PERF_RECORD_COMM:
		if (!pd_comm__parse(t, hdr, &comm))
			fuzz_touch_string(comm.comm);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		pd_task__parse(t, hdr, &task);
		break;
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		pd_lost__parse(t, hdr, &lost);
		break;
	default:
		break;
	}
}

static int take_build_id(void *ctx, const struct pd_build_id *id)
{
	(void)ctx;
	fuzz_touch(id->id, id->bytes);
	fuzz_touch_string(id->filename);
	return 0;
}

static void ask(struct pd_reader *r)
{
	const void *data;
	size_t bytes;
	__u32 version;

	for (int f = 0; f < PD_FEATURE_BITS; f++)
		if (!pd_reader__feature(r, f, &data, &bytes))
			fuzz_touch(data, bytes);
	for (int f = PD_FEAT_HOSTNAME; f <= PD_FEAT_CMDLINE; f++)
		fuzz_touch_string(pd_reader__feature_string(r, f));
	for (int type = PD_BLOB_TAGS; type <= PD_BLOB_CAPTURE + 1; type++)
		if (!pd_reader__blob(r, type, &version, &data, &bytes))
			fuzz_touch(data, bytes);
	pd_reader__build_ids(r, take_build_id, NULL);
	for (size_t i = 0; i < pd_events__cnt(pd_reader__events(r)); i++)
		fuzz_touch_string(pd_events__get(pd_reader__events(r), i)->name);
	fuzz_touch_string(pd_reader__errmsg(r));
}

static size_t walk(struct pd_reader *r)
{
	const struct perf_event_header *hdr;
	size_t cnt = 0;
	__u64 offset;

	while (pd_reader__next(r, &hdr, &offset) == 1) {
		parse(pd_reader__events(r), hdr);
		cnt++;
	}
	return cnt;
}

static void read_all(const char *path)
{
	struct pd_reader *r;
	size_t cnt;

	if (!pd_reader__open(path, &r)) {
		ask(r);
		cnt = walk(r);
		ask(r);
		if (!pd_reader__rewind(r))
			FUZZ_ASSERT(walk(r) == cnt);
	}
	pd_reader__close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	read_all(fuzz_path(fuzz_file(data, bytes, 0)));
	if (bytes > STREAM_MAX)
		return 0;
	/* not at its beginning: read as from a pipe */
	FUZZ_ASSERT(dup2(fuzz_file(data, bytes, 1), STDIN_FILENO) == STDIN_FILENO);
	read_all("-");
	return 0;
}
