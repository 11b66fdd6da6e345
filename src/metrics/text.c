// SPDX-License-Identifier: GPL-2.0-only
/*
 * text.c - the report of scheduler and hardware metrics for people.
 */
#include <inttypes.h>
#include <string.h>

#include "metrics/metrics.h"

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print_dist(const struct pa_dist *d, FILE *out)
{
	fprintf(out, "  Min:    %.3f ms\n", ms(d->min_ns));
	fprintf(out, "  Max:    %.3f ms\n", ms(d->max_ns));
	fprintf(out, "  Mean:   %.3f ms\n", pa_dist__mean(d) / 1e6);
	fprintf(out, "  P50:    %.3f ms\n", ms(pa_dist__quantile(d, 0.50)));
	fprintf(out, "  P95:    %.3f ms\n", ms(pa_dist__quantile(d, 0.95)));
	fprintf(out, "  P99:    %.3f ms\n", ms(pa_dist__quantile(d, 0.99)));
	fprintf(out, "  P99.9:  %.3f ms\n", ms(pa_dist__quantile(d, 0.999)));
}

static void print_times(const struct pa_metrics_item *it, FILE *out)
{
	fputs("\nOn-CPU Time (time slice per context switch):\n", out);
	if (pa_metrics_item__overflowed(it))
		fputs("  (more than 4 billion times in one bucket: only minima, maxima and totals "
		      "are right)\n",
		      out);
	if (it->slices.cnt)
		print_dist(&it->slices, out);
	fprintf(out, "  Total:  %.3f ms", ms(pa_metrics_item__cpu_ns(it)));
	if (it->cut_cnt)
		fprintf(out, " (%.3f ms in %" PRIu64 " slices cut by the capture's begin or end)",
			ms(it->cut_ns), it->cut_cnt);
	fputc('\n', out);
	if (!it->waits.cnt && !it->waiting_cnt)
		return;
	fputs("\nRunqueue Latency (time waiting for CPU):\n", out);
	if (it->waits.cnt)
		print_dist(&it->waits, out);
	fprintf(out, "  Total:  %.3f ms (%" PRIu64 " times", ms(pa_metrics_item__wait_ns(it)),
		it->waits.cnt);
	if (it->waiting_cnt)
		fprintf(out, "; %" PRIu64 " threads still waiting, longest %.3f ms",
			it->waiting_cnt, ms(it->waiting_max_ns));
	fputs(")\n", out);
}

static void print_reasons(const struct pa_metrics_item *it, const char *title, FILE *out)
{
	static const struct {
		const char *label;
		bool always;
	} lines[] = {
		[PA_SWITCH_PREEMPTED] = {"Preempted (running):    ", true},
		[PA_SWITCH_VOLUNTARY] = {"Voluntary (sleep/mutex):", true},
		[PA_SWITCH_IO] = {"I/O Wait (D state):     ", true},
		[PA_SWITCH_YIELDED] = {"Yielded (sched_yield):  ", false},
		[PA_SWITCH_STOPPED] = {"Stopped or traced:      ", false},
		[PA_SWITCH_EXITED] = {"Exited:                 ", false},
	};
	uint64_t total = pa_metrics_item__switches(it);

	if (!total)
		return;
	fprintf(out, "\n%s:\n", title);
	for (int i = 0; i < PA_SWITCH_CNT; i++)
		if (lines[i].always || it->reasons[i])
			fprintf(out, "  %s %.1f%%  (%" PRIu64 " times)\n", lines[i].label,
				100.0 * (double)it->reasons[i] / (double)total, it->reasons[i]);
}

/* How numbers line up: the aggregate of a system is wider. */
struct form {
	int width, decimals;
};
static const struct form narrow = {19, 3}, wide = {23, 2};

static void print_counter(const struct pa_metrics *m, const struct pa_metrics_item *it,
			  enum pa_counter counter, const struct form *form, FILE *out)
{
	static const char *const labels[] = {
		[PA_COUNTER_CYCLES] = "Total Cycles:",
		[PA_COUNTER_INSTRUCTIONS] = "Total Instructions:",
		[PA_COUNTER_CACHE_MISSES] = "Total Cache Misses:",
		[PA_COUNTER_BRANCH_MISSES] = "Total Branch Misses:",
	};
	const struct pa_counter_sum *sum = &it->counters[counter];
	double value;
	enum pa_counter_state state = pa_metrics_counter(it, counter, &value);

	fprintf(out, "  %-*s ", form->width, labels[counter]);
	if (state == PA_NOT_THERE)
		fprintf(out, "not available%s%s", *m->missing[counter] ? ": " : "",
			m->missing[counter]);
	else if (state == PA_NEVER_RAN)
		fputs("not counted: other events had the hardware all the time", out);
	else if (state == PA_ZERO)
		fprintf(out, "not counted: it stood at 0 for %.3f ms, which can't be",
			ms(sum->running_ns));
	else
		fprintf(out, "%.0f", value);
	if (state == PA_COUNTED && sum->running_ns < sum->enabled_ns)
		fprintf(out, " (scaled: counted %.1f%% of the time)",
			100.0 * (double)sum->running_ns / (double)sum->enabled_ns);
	fputc('\n', out);
}

static void print_ratio(const struct pa_metrics_item *it, enum pa_ratio ratio, const char *label,
			const struct form *form, FILE *out)
{
	double value;

	if (pa_metrics_ratio(it, ratio, &value))
		fprintf(out, "  %-*s %.*f\n", form->width, label, form->decimals, value);
}

static void print_counters(const struct pa_metrics *m, const struct pa_metrics_item *it,
			   const struct form *form, FILE *out)
{
	const char *why = m->missing[PA_COUNTER_CYCLES];
	bool any = false;

	for (int i = 0; i < PA_COUNTER_CNT; i++)
		any |= it->counters[i].enabled_ns != 0;
	if (!any) {
		fprintf(out, "\nHardware Counters: not available%s%s\n", *why ? ": " : "", why);
		return;
	}
	fputs("\nHardware Counters:\n", out);
	for (int i = 0; i < PA_COUNTER_CNT; i++)
		print_counter(m, it, i, form, out);
	print_ratio(it, PA_RATIO_IPC, "IPC (Instr/Cycle):", form, out);
	print_ratio(it, PA_RATIO_CACHE_MISSES, "Cache Misses/1K Instr:", form, out);
	print_ratio(it, PA_RATIO_BRANCH_MISSES, "Branch Misses/1K Instr:", form, out);
}

static void print_item(const struct pa_metrics *m, const struct pa_metrics_item *it, FILE *out)
{
	fprintf(out, "Samples: %" PRIu64 "\n", pa_metrics_item__switches(it));
	print_times(it, out);
	print_reasons(it, "Context Switch Reasons", out);
	print_counters(m, it, &narrow, out);
}

/* A process chooses its name: no control characters. */
static void print_name(const char *name, FILE *out)
{
	fputs("Name: ", out);
	for (; *name; name++)
		fputc((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name, out);
	fputc('\n', out);
}

static void print_processes(const struct pa_metrics *m, const struct pa_metrics_report *r,
			    FILE *out)
{
	size_t cnt = r->top && r->top < m->proc_cnt ? r->top : m->proc_cnt;

	fprintf(out, "\n=== PMU Metrics (%s, Per-PID) ===\n", r->target);
	fprintf(out, "Profiled %" PRIu64 " processes", m->process_cnt);
	if (cnt < m->proc_cnt)
		fprintf(out, "; the %zu that waited longest for a CPU", cnt);
	fputc('\n', out);
	for (size_t i = 0; i < cnt; i++) {
		fprintf(out, "\n--- PID %d ---\n", (int)m->procs[i].pid);
		print_name(m->procs[i].comm, out);
		print_item(m, &m->procs[i], out);
	}
	if (m->unnamed_cnt)
		fprintf(out, "\n%" PRIu64 " samples of further processes found no room\n",
			m->unnamed_cnt);
}

static void print_system(const struct pa_metrics *m, const struct pa_metrics_report *r, FILE *out)
{
	fprintf(out, "\n=== PMU Metrics (%s) ===\n", r->target);
	fputs("\nPerformance counter stats for 'system wide':\n\n", out);
	fprintf(out, "  Processes profiled:     %" PRIu64 "\n", m->process_cnt);
	fprintf(out, "  Total samples:          %" PRIu64 "\n", pa_metrics_item__switches(&m->all));
	print_times(&m->all, out);
	print_reasons(&m->all, "Context Switch Reasons (aggregate)", out);
	print_counters(m, &m->all, &wide, out);
}

void pa_metrics__text(const struct pa_metrics *m, const struct pa_metrics_report *r, FILE *out)
{
	if (!pa_metrics_item__switches(&m->all) && !m->all.cut_cnt && !m->all.waiting_cnt) {
		fputs("\nNo PMU metrics collected\n", out);
	} else if (m->per_process) {
		print_processes(m, r, out);
	} else if (r->all) {
		print_system(m, r, out);
	} else {
		fprintf(out, "\n=== PMU Metrics (%s) ===\n", r->target);
		print_item(m, &m->all, out);
	}
	if (m->lost_wait_cnt)
		fprintf(out,
			"\n%" PRIu64
			" waits for a CPU were not counted: their threads shared a place\n",
			m->lost_wait_cnt);
}
