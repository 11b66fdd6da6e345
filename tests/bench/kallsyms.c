// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallsyms.c - part of the bench `symbolize`: prints "NAME VALUE" lines about the kernel's symbol
 * table, each the median of several rounds: CPU time of parsing and looking up, wall time of
 * reading and loading. The cache goes below $XDG_CACHE_HOME, which the bench sets. Usage: kallsyms
 * ROUNDS
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "symbolize/internal.h"

enum { LOOKUPS = 1 << 20, OFFSETS = 1 << 16, ROUNDS_MAX = 1000 };

struct text {
	char *data;
	size_t bytes, line_cnt;
};

static double clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "kallsyms: failed to %s: %s\n", what, strerror(errno));
	exit(1);
}

static int compare_doubles(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return a < b ? -1 : a > b;
}

static void print_median(const char *name, double *values, size_t cnt)
{
	qsort(values, cnt, sizeof(*values), compare_doubles);
	printf("%s %.3f\n", name, values[cnt / 2]);
}

static void read_text(struct text *t)
{
	size_t cap = 64u << 20;
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	check(fd >= 0, "open /proc/kallsyms");
	t->bytes = t->line_cnt = 0;
	if (!t->data)
		t->data = malloc(cap);
	check(t->data, "allocate");
	while ((n = read(fd, t->data + t->bytes, cap - t->bytes)) > 0)
		t->bytes += (size_t)n;
	check(n == 0 && t->bytes < cap, "read /proc/kallsyms");
	close(fd);
	for (size_t i = 0; i < t->bytes; i++)
		t->line_cnt += t->data[i] == '\n';
}

static struct pa_kallsyms *parse(const struct text *t)
{
	struct pa_kallsyms *k;

	errno = -pa_kallsyms__parse(t->data, t->bytes, &k);
	check(!errno, "parse (are addresses hidden?)");
	return k;
}

static void bench_parse(const struct text *t, double *values, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		double start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		struct pa_kallsyms *k = parse(t);

		values[i] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (double)t->line_cnt;
		pa_kallsyms__free(k);
	}
	print_median("parse_ns_per_line", values, rounds);
}

/* Somewhere in each of randomly chosen functions of the kernel itself, as offsets from the first:
 * a small array, so that it is the table that has to come from memory. */
static uint32_t *some_offsets(const struct pa_kallsyms *k)
{
	uint32_t *offsets = malloc(OFFSETS * sizeof(*offsets));
	size_t end = k->cells[k->regions[0].cell_cnt];
	uint64_t seed = 1;

	check(offsets, "allocate");
	for (size_t i = 0; i < OFFSETS; i++) {
		const char *name, *module;
		uint64_t start, bytes;
		size_t at;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		at = (seed >> 33) % (end - 1);
		pa_kallsyms__entry(k, at, &name, &module, &start, &bytes);
		bytes = bytes < 4096 ? bytes : 4096;
		offsets[i] = (uint32_t)(start - k->syms[0].addr + (seed >> 20) % (bytes + 1));
	}
	return offsets;
}

static void bench_lookup(const struct pa_kallsyms *k, double *values, size_t rounds)
{
	uint32_t *offsets = some_offsets(k);
	uint64_t base = k->syms[0].addr, sum = 0;

	for (size_t i = 0; i < rounds; i++) {
		double start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (size_t j = 0; j < LOOKUPS; j++) {
			const char *name, *module;
			uint64_t at, bytes;

			if (pa_kallsyms__lookup(k, base + offsets[j % OFFSETS], &name, &module, &at,
						&bytes))
				continue;
			sum += at + bytes + (uintptr_t)name + (uintptr_t)module;
		}
		values[i] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / LOOKUPS;
	}
	print_median("lookup_ns", values, rounds);
	fprintf(stderr, "(sum of what was found: %llx)\n", (unsigned long long)sum);
	free(offsets);
}

static double load_ns(const char *path)
{
	struct pa_kallsyms *k;
	double start = clock_ns(CLOCK_MONOTONIC), took;

	errno = -pa_kallsyms__load(path, &k);
	took = clock_ns(CLOCK_MONOTONIC) - start;
	check(!errno, "load");
	check(path || k->cached, "load from the cache");
	pa_kallsyms__free(k);
	return took;
}

static void bench_loads(double *values, size_t rounds)
{
	struct pa_kallsyms *k;

	for (size_t i = 0; i < rounds; i++)
		values[i] = load_ns("/proc/kallsyms") / 1e3;
	print_median("fresh_load_us", values, rounds);
	check(!pa_kallsyms__load(NULL, &k), "load"); /* writes the cache */
	pa_kallsyms__free(k);
	for (size_t i = 0; i < rounds; i++)
		values[i] = load_ns(NULL) / 1e3;
	print_median("cached_load_us", values, rounds);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 11;
	static double values[ROUNDS_MAX];
	struct text t = {0};
	struct pa_kallsyms *k;

	if (!rounds || rounds > ROUNDS_MAX)
		return 2;
	for (size_t i = 0; i < rounds; i++) {
		double start = clock_ns(CLOCK_MONOTONIC);

		read_text(&t);
		values[i] = (clock_ns(CLOCK_MONOTONIC) - start) / (double)t.line_cnt;
	}
	print_median("read_ns_per_line", values, rounds);
	k = parse(&t);
	printf("lines %zu\nfunctions %zu\nmodules %zu\n", t.line_cnt, k->cnt, k->module_cnt);
	bench_parse(&t, values, rounds);
	bench_lookup(k, values, rounds);
	pa_kallsyms__free(k);
	bench_loads(values, rounds);
	free(t.data);
	return 0;
}
