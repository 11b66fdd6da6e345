// SPDX-License-Identifier: GPL-2.0-only
/*
 * forker [--seconds N] [--children N]: fork N (4) children, each of which burns in child_burn;
 * the parent waits. Prints one line with the children's process ids.
 */
#include <sys/wait.h>

#include "burn.h"

BURN_FN static void child_burn(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

int main(int argc, char **argv)
{
	int child_cnt = atoi(burn_option(argc, argv, "--children", "4"));
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);

	for (int i = 0; i < child_cnt; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			child_burn(deadline_ns);
			_exit(0);
		}
		printf("%d%s", pid, i + 1 < child_cnt ? " " : "\n");
	}
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 0;
}
