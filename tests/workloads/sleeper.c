// SPDX-License-Identifier: GPL-2.0-only
/*
 * sleeper [--seconds N] [--count N]: N (10) processes that sleep and use no CPU, so that a
 * profiler meets processes that it never samples. Prints "ready" when all exist.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "burn.h"

int main(int argc, char **argv)
{
	int count = atoi(burn_option(argc, argv, "--count", "10"));
	double seconds = atof(burn_option(argc, argv, "--seconds", "5"));

	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			burn_sleep(seconds);
			_exit(0);
		}
	}
	puts("ready");
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 0;
}
