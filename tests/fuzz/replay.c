// SPDX-License-Identifier: GPL-2.0-only
/*
 * replay.c - main of a fuzz target without a fuzzer: runs it over each file named, printing the
 * names, so that the last one printed is the one that it failed on. An input may take 10 seconds
 * of CPU time, as with the fuzzer.
 */
#include <sys/time.h>

#include "fuzz.h"

enum { CPU_SECONDS = 10, INPUT_MAX = 64 << 20 };

static void replay(const char *path)
{
	const struct itimerval limit = {.it_value = {.tv_sec = CPU_SECONDS}};
	FILE *file = fopen(path, "re");
	uint8_t *whole = malloc(INPUT_MAX), *exact;
	size_t bytes;

	FUZZ_ASSERT(file && whole);
	bytes = fread(whole, 1, INPUT_MAX, file);
	FUZZ_ASSERT(!ferror(file));
	fclose(file);
	/* as large as the input, so that what is read beyond it is found */
	exact = malloc(bytes ? bytes : 1);
	FUZZ_ASSERT(exact);
	memcpy(exact, whole, bytes);
	free(whole);
	setitimer(ITIMER_PROF, &limit, NULL);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		puts(argv[i]);
		fflush(stdout);
		replay(argv[i]);
	}
	return 0;
}
