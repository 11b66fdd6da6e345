// SPDX-License-Identifier: GPL-2.0-only
/*
 * json.c - the report of scheduler and hardware metrics for programs: one object.
 */
#include <inttypes.h>

#include "metrics/metrics.h"

/* @return bytes of the UTF-8 character that s begins with, 0: it begins with none */
static size_t utf8_bytes(const unsigned char *s)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
	uint32_t code = *s & (0xff >> (bytes + 1));

	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((s[i] & 0xc0) != 0x80) /* also a string's end */
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < smallest[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return bytes;
}

/* Names are bytes that a process chose: UTF-8 stays, other bytes are escaped as Latin-1. */
static void print_string(const char *text, FILE *out)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', out);
	while (*s) {
		size_t bytes = *s >= 0x80 ? utf8_bytes(s) : 1;

		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (!bytes || *s < ' ' || *s == 0x7f)
			fprintf(out, "\\u%04x", *s);
		else
			fwrite(s, 1, bytes, out);
		s += bytes ? bytes : 1;
	}
	fputc('"', out);
}

static void print_dist(const char *name, const struct pa_dist *d, FILE *out)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {{"p50_ns", 0.50}, {"p95_ns", 0.95}, {"p99_ns", 0.99}, {"p999_ns", 0.999}};

	fprintf(out,
		"\"%s\":{\"count\":%" PRIu64 ",\"sum_ns\":%" PRIu64 ",\"min_ns\":%" PRIu64
		",\"max_ns\":%" PRIu64 ",\"mean_ns\":%.1f",
		name, d->cnt, d->sum_ns, d->min_ns, d->max_ns, pa_dist__mean(d));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		fprintf(out, ",\"%s\":%" PRIu64, quantiles[i].name,
			pa_dist__quantile(d, quantiles[i].share));
	fputs(",\"buckets\":[", out); /* lowest value, largest value, count */
	for (size_t i = 0; i < d->bin_cnt; i++) {
		uint32_t bucket = d->bins[i].bucket;
		uint64_t high = pa_hist_high(bucket);

		fprintf(out, "%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i ? "," : "",
			pa_hist_low(bucket), high == UINT64_MAX ? d->max_ns : high, d->bins[i].cnt);
	}
	fputs("]},", out);
}

static void print_counter(const struct pa_metrics *m, const struct pa_metrics_item *it,
			  enum pa_counter counter, FILE *out)
{
	const struct pa_counter_sum *sum = &it->counters[counter];
	double value;

	fprintf(out, "\"%s\":{", pa_metrics_counter_name(counter));
	switch (pa_metrics_counter(it, counter, &value)) {
	case PA_COUNTED:
		fprintf(out, "\"value\":%.0f,", value);
		break;
	case PA_NOT_THERE:
		fputs("\"value\":null,\"why\":", out);
		print_string(*m->missing[counter] ? m->missing[counter] : "nothing was counted",
			     out);
		fputc('}', out);
		return;
	case PA_NEVER_RAN:
		fputs("\"value\":null,\"why\":\"other events had the hardware all the time\",",
		      out);
		break;
	case PA_ZERO:
		fputs("\"value\":null,\"why\":\"it stood at 0, which can't be\",", out);
		break;
	}
	fprintf(out, "\"raw\":%" PRIu64 ",\"enabled_ns\":%" PRIu64 ",\"running_ns\":%" PRIu64 "}",
		(uint64_t)sum->value, (uint64_t)sum->enabled_ns, (uint64_t)sum->running_ns);
}

static void print_ratio(const struct pa_metrics_item *it, enum pa_ratio ratio, const char *name,
			FILE *out)
{
	double value;

	if (pa_metrics_ratio(it, ratio, &value))
		fprintf(out, ",\"%s\":%.6f", name, value);
	else
		fprintf(out, ",\"%s\":null", name);
}

/* The members of an object, without its braces. */
static void print_item(const struct pa_metrics *m, const struct pa_metrics_item *it, FILE *out)
{
	static const char *const reasons[] = {
		[PA_SWITCH_PREEMPTED] = "preempted", [PA_SWITCH_VOLUNTARY] = "voluntary",
		[PA_SWITCH_IO] = "io_wait",	     [PA_SWITCH_YIELDED] = "yielded",
		[PA_SWITCH_STOPPED] = "stopped",     [PA_SWITCH_EXITED] = "exited",
	};

	fprintf(out,
		"\"switches\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"cut_slices\":%" PRIu64
		",\"cut_ns\":%" PRIu64 ",\"overflowed\":%s,",
		pa_metrics_item__switches(it), pa_metrics_item__cpu_ns(it), it->cut_cnt, it->cut_ns,
		pa_metrics_item__overflowed(it) ? "true" : "false");
	print_dist("slices", &it->slices, out);
	print_dist("runqueue", &it->waits, out);
	fprintf(out,
		"\"still_waiting\":{\"threads\":%" PRIu64 ",\"sum_ns\":%" PRIu64
		",\"max_ns\":%" PRIu64 "},\"reasons\":{",
		it->waiting_cnt, it->waiting_ns, it->waiting_max_ns);
	for (int i = 0; i < PA_SWITCH_CNT; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", reasons[i], it->reasons[i]);
	fputs("},\"counters\":{", out);
	for (int i = 0; i < PA_COUNTER_CNT; i++) {
		if (i)
			fputc(',', out);
		print_counter(m, it, i, out);
	}
	fputc('}', out);
	print_ratio(it, PA_RATIO_IPC, "ipc", out);
	print_ratio(it, PA_RATIO_CACHE_MISSES, "cache_misses_per_1k", out);
	print_ratio(it, PA_RATIO_BRANCH_MISSES, "branch_misses_per_1k", out);
}

void pa_metrics__json(const struct pa_metrics *m, const struct pa_metrics_report *r, FILE *out)
{
	size_t cnt = r->top && r->top < m->proc_cnt ? r->top : m->proc_cnt;

	fputs("{\"version\":1,\"target\":", out);
	print_string(r->target, out);
	fprintf(out,
		",\"start_ns\":%" PRIu64 ",\"duration_ns\":%" PRIu64 ",\"process_count\":%" PRIu64
		",\"lost_waits\":%" PRIu64 ",\"all\":{",
		m->start_ns, m->duration_ns, m->process_cnt, m->lost_wait_cnt);
	print_item(m, &m->all, out);
	fputc('}', out);
	if (m->per_process) {
		fprintf(out, ",\"unnamed_switches\":%" PRIu64 ",\"processes\":[", m->unnamed_cnt);
		for (size_t i = 0; i < cnt; i++) {
			fprintf(out, "%s{\"pid\":%d,\"comm\":", i ? "," : "", (int)m->procs[i].pid);
			print_string(m->procs[i].comm, out);
			fputc(',', out);
			print_item(m, &m->procs[i], out);
			fputc('}', out);
		}
		fputc(']', out);
	}
	fputs("}\n", out);
}
