// SPDX-License-Identifier: GPL-2.0-only
/*
 * deleted [--seconds N] [--delay S]: a program whose file is gone while it runs. Copies itself to
 * a temporary file, execs the copy, which deletes its own file after S (0) seconds, prints
 * "deleted PATH" and burns in still_running.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "burn.h"

BURN_FN static void still_running(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

static int copy_self(char *path)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = mkstemp(path);
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
	return fchmod(to, 0700) || close(to) ? -1 : 0;
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	const char *seconds = burn_option(argc, argv, "--seconds", "5");
	const char *delay = burn_option(argc, argv, "--delay", "0");
	char path[PATH_MAX] = "/tmp/deleted-XXXXXX";

	if (!burn_flag(argc, argv, "--copy")) {
		if (copy_self(path))
			return 1;
		execl(path, path, "--copy", "--seconds", seconds, "--delay", delay, NULL);
		unlink(path);
		return 1;
	}
	burn_until(burn_now_ns() + (uint64_t)(atof(delay) * 1e9));
	unlink(argv[0]);
	printf("deleted %s\n", argv[0]);
	fflush(stdout);
	still_running(deadline_ns);
	return 0;
}
