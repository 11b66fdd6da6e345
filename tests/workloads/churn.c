// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn [--seconds N] [--life-ms N] [--parallel N] [--exec]: processes that live N (20) ms each,
 * burning in short_life, N (2) at a time, one after the other until the end. --exec: each execs
 * this program anew first. Prints how many there were.
 */
#include <sys/wait.h>

#include "burn.h"

BURN_FN static void short_life(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

static void child(uint64_t life_ns, const char *life_ms, bool exec)
{
	if (exec)
		execl("/proc/self/exe", "churn", "--child", "--life-ms", life_ms, NULL);
	short_life(burn_now_ns() + life_ns);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *life_ms = burn_option(argc, argv, "--life-ms", "20");
	uint64_t life_ns = (uint64_t)(atof(life_ms) * 1e6);
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	int parallel = atoi(burn_option(argc, argv, "--parallel", "2"));
	int running_cnt = 0, total_cnt = 0;

	if (burn_flag(argc, argv, "--child"))
		child(life_ns, life_ms, false);
	while (burn_now_ns() < deadline_ns) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (!pid)
			child(life_ns, life_ms, burn_flag(argc, argv, "--exec"));
		total_cnt++;
		if (++running_cnt >= parallel && wait(NULL) > 0)
			running_cnt--;
	}
	while (wait(NULL) > 0)
		;
	printf("%d processes\n", total_cnt);
	return 0;
}
