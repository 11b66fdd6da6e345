// SPDX-License-Identifier: GPL-2.0-only
/*
 * dlopener [--seconds N] [--delay S] [--library PATH]: burn in before_dlopen for S (1) seconds,
 * dlopen PATH (libburn.so beside this program), burn in its lib_entry until the end.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

#include "burn.h"

BURN_FN static void before_dlopen(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	char self[PATH_MAX] = "", beside[PATH_MAX + 16];
	void (*lib_entry)(uint64_t deadline_ns);
	void *library;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(beside, sizeof(beside), "%s/libburn.so", dirname(self));
	before_dlopen(burn_now_ns() +
		      (uint64_t)(atof(burn_option(argc, argv, "--delay", "1")) * 1e9));
	library = dlopen(burn_option(argc, argv, "--library", beside), RTLD_NOW);
	if (!library) {
		fprintf(stderr, "dlopener: %s\n", dlerror());
		return 1;
	}
	*(void **)&lib_entry = dlsym(library, "lib_entry");
	if (!lib_entry)
		return 1;
	puts("loaded");
	fflush(stdout);
	lib_entry(deadline_ns);
	return 0;
}
