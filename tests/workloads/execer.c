// SPDX-License-Identifier: GPL-2.0-only
/*
 * execer [--seconds N] [--delay S] PROGRAM [ARGS...]: burn in before_exec for S (1) seconds, then
 * exec PROGRAM (default: itself with --after, which burns in after_exec). Options go first.
 */
#include "burn.h"

BURN_FN static void before_exec(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

BURN_FN static void after_exec(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

int main(int argc, char **argv)
{
	const char *seconds = burn_option(argc, argv, "--seconds", "5");
	char *self[] = {"/proc/self/exe", "--after", "--seconds", (char *)seconds, NULL};
	int first = 1;

	if (burn_flag(argc, argv, "--after")) {
		after_exec(burn_deadline_ns(argc, argv));
		return 0;
	}
	while (first + 1 < argc && !strncmp(argv[first], "--", 2))
		first += 2;
	before_exec(burn_now_ns() +
		    (uint64_t)(atof(burn_option(argc, argv, "--delay", "1")) * 1e9));
	if (first < argc)
		execv(argv[first], argv + first);
	else
		execv(self[0], self);
	perror("execv");
	return 1;
}
