// SPDX-License-Identifier: GPL-2.0-only
/*
 * dlswap [--seconds N] [--rounds N]: dlopen libswap_a.so and libswap_b.so (beside this program)
 * in turns, which the dynamic linker puts at one address; burn in each for a millisecond, dlclose
 * it. Prints the number of rounds and how many of them had the library at the first one's place.
 */
#pragma GCC optimize("omit-frame-pointer")
#define BURN_NO_FRAME
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

#include "burn.h"

static char folder[PATH_MAX];

BURN_FN static void callback(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

/* @return where its code was, NULL: failed */
BURN_FN static void *one_round(const char *name)
{
	void (*entry)(void (*)(uint64_t), uint64_t);
	char path[PATH_MAX + 32];
	void *library;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	library = dlopen(path, RTLD_NOW);
	if (!library)
		return NULL;
	*(void **)&entry = dlsym(library, "swap_entry");
	entry(callback, burn_now_ns() + 1000000);
	dlclose(library);
	return *(void **)&entry;
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	int max = atoi(burn_option(argc, argv, "--rounds", "1000000000")), cnt = 0, same = 0;
	char self[PATH_MAX] = "";
	void *first = NULL, *at;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	strcpy(folder, dirname(self));
	while (cnt < max && burn_now_ns() < deadline_ns) {
		at = one_round(cnt++ & 1 ? "libswap_b.so" : "libswap_a.so");
		if (!at)
			return 1;
		if (!first)
			first = at;
		same += at == first;
	}
	printf("%d rounds, %d at one place\n", cnt, same);
	return 0;
}
