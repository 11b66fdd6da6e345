// SPDX-License-Identifier: GPL-2.0-only
/*
 * packing.c - packing FILE...: how long unwind tables take to make and how large they are, per
 * file: milliseconds to read its sections, to pack them and to take the tables from the cache
 * instead (reading and hashing the sections included); rows and megabytes of CFI a second, bytes
 * of table per row, what the tables can't express, the share of pages with frame pointers. The
 * best of nine runs, in CPU time: what else the machine does disturbs less.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unwind/pack.h"

enum { RUNS = 9 };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void keep_least(double *least, double v)
{
	if (*least <= 0 || v < *least)
		*least = v;
}

static double cached_ms(const char *path, const char *dir)
{
	double least = 0;

	/* the first run fills the cache */
	for (int i = 0; i <= RUNS; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		double start = now_ms();
		struct pa_pack *p;

		if (!pa_pack__file(fd, path, dir, &p) && i)
			keep_least(&least, now_ms() - start);
		pa_pack__free(p);
		close(fd);
	}
	return least;
}

static int measure(const char *path, const char *dir)
{
	double open_ms = 0, build_ms = 0;
	struct pa_pack *p = NULL;
	const char *base = strrchr(path, '/');
	size_t cfi_bytes = 0, keeps_cnt = 0;
	int err = 0;

	for (int i = 0; !err && i < RUNS; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct pa_cfi *c = NULL;
		double start = now_ms(), opened;

		err = pa_cfi__open_fd(fd, path, NULL, &c);
		opened = now_ms();
		pa_pack__free(p);
		p = NULL;
		if (!err)
			err = pa_pack__build(c, &p);
		keep_least(&build_ms, now_ms() - opened);
		keep_least(&open_ms, opened - start);
		if (!err)
			cfi_bytes = pa_cfi__memory_bytes(c);
		pa_cfi__free(c);
		close(fd);
	}
	if (err) {
		fprintf(stderr, "packing: %s: %s\n", path, strerror(-err));
		return 1;
	}
	for (size_t i = 0; i < p->page_cnt; i++)
		keeps_cnt += p->pages[i].keeps_fp;
	printf("%-24.24s %8zu %6zu %6zu %8.2f %8.2f %8.2f %7.2f %7.1f %6.3f %8llu %4llu %5llu "
	       "%5.1f%%\n",
	       base ? base + 1 : path, p->row_cnt, p->rule_cnt, p->page_cnt, open_ms, build_ms,
	       cached_ms(path, dir), (double)p->row_cnt / build_ms / 1e3,
	       (double)cfi_bytes / build_ms / 1e3,
	       (double)pa_pack__memory_bytes(p) / (double)p->row_cnt,
	       (unsigned long long)p->complex_row_cnt, (unsigned long long)p->dropped_page_cnt,
	       (unsigned long long)p->bad_entry_cnt,
	       100.0 * (double)keeps_cnt / (double)p->page_cnt);
	pa_pack__free(p);
	return 0;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/packing-XXXXXX", cmd[64];
	int failed = 0;

	if (!mkdtemp(dir))
		return 1;
	printf("%-24s %8s %6s %6s %8s %8s %8s %7s %7s %6s %8s %4s %5s %6s\n", "file", "rows",
	       "rules", "pages", "open ms", "pack ms", "hit ms", "Mrow/s", "MB/s", "B/row",
	       "complex", "drop", "bad", "fp");
	for (int i = 1; i < argc; i++)
		failed |= measure(argv[i], dir);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	failed |= system(cmd) != 0;
	return failed;
}
