// SPDX-License-Identifier: GPL-2.0-only
/*
 * memfdrun [--seconds N] [--library PATH]: copy PATH (libburn.so beside this program) into a
 * memfd, dlopen it from there and burn in its lib_entry: code without a file on disk.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "burn.h"

static int copy_to_memfd(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("burncode", MFD_CLOEXEC);
	struct stat st;
	ssize_t sent = -1;

	if (from < 0 || to < 0 || fstat(from, &st))
		return -1;
	for (off_t done = 0; done < st.st_size; done += sent) {
		sent = sendfile(to, from, NULL, st.st_size - done);
		if (sent <= 0)
			return -1;
	}
	close(from);
	return to;
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	char self[PATH_MAX] = "", path[PATH_MAX + 16];
	void (*lib_entry)(uint64_t deadline_ns);
	void *library;
	int fd;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/libburn.so", dirname(self));
	fd = copy_to_memfd(burn_option(argc, argv, "--library", path));
	if (fd < 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	library = dlopen(path, RTLD_NOW);
	if (!library) {
		fprintf(stderr, "memfdrun: %s\n", dlerror());
		return 1;
	}
	*(void **)&lib_entry = dlsym(library, "lib_entry");
	close(fd);
	puts("loaded");
	fflush(stdout);
	lib_entry(deadline_ns);
	return 0;
}
