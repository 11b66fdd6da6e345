/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_perfdata_corpus.c - perf.data files that others recorded, where they are present
 * (../shared/corpus, from the source tree's top): the reader must find as many records and
 * samples in each as its manifest says, which an independent parser counted.
 */
#include "check.h"
#include "perfdata_files.h"

#define CORPUS "../shared/corpus"

enum {
	COLUMN_FILE = 0,
	COLUMN_SAMPLES = 5,
	COLUMN_RECORDS = 6,
	COLUMN_SPECIAL = 7,
	COLUMN_CNT = 8
};

/* Files of which the other parser counted something else than what we return. */
static bool comparable(const char *special)
{
	return !strstr(special, "COMPRESSED") && !strstr(special, "failed") &&
	       !strstr(special, "bad record size");
}

static const char *compare(char **column)
{
	static char why[400];
	struct outcome o;
	char path[4096];

	snprintf(path, sizeof(path), CORPUS "/%s", column[COLUMN_FILE]);
	read_path(path, &o);
	/* Reproducers of other readers' crashes: any answer will do. */
	if (strstr(column[COLUMN_FILE], "__corpus__") || !comparable(column[COLUMN_SPECIAL]))
		return NULL;
	if (!o.open_err && !o.next_rc &&
	    o.sample_cnt == strtoul(column[COLUMN_SAMPLES], NULL, 10) &&
	    o.record_cnt == strtoul(column[COLUMN_RECORDS], NULL, 10))
		return NULL;
	snprintf(why, sizeof(why), "%.120s: %zu records, %zu samples, open %d, next %d, %.120s",
		 column[COLUMN_FILE], o.record_cnt, o.sample_cnt, o.open_err, o.next_rc, o.errmsg);
	return why;
}

TEST(record_counts)
{
	FILE *f = fopen(CORPUS "/MANIFEST.tsv", "r");
	const char *why = NULL;
	char line[8192];

	if (!f) {
		fprintf(stderr, "skipped: no " CORPUS "\n");
		return;
	}
	while (!why && fgets(line, sizeof(line), f)) {
		char *column[COLUMN_CNT] = {NULL}, *rest = line;

		for (size_t i = 0; i < COLUMN_CNT; i++)
			column[i] = strsep(&rest, "\t\n");
		if (column[COLUMN_SPECIAL] && strcmp(column[COLUMN_FILE], "file"))
			why = compare(column);
	}
	fclose(f);
	if (why)
		CHECK_FAIL("%s", why);
}

TEST_MAIN()
