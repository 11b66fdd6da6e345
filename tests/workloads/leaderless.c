// SPDX-License-Identifier: GPL-2.0-only
/*
 * leaderless [--seconds N]: the first thread ends at once, another burns in orphan_burn: the
 * process's own /proc files say nothing any more, those of its threads do.
 */
#include <pthread.h>

#include "burn.h"

BURN_FN static void orphan_burn(uint64_t deadline_ns)
{
	BURN_FRAME();
	burn_until(deadline_ns);
}

static void *thread_main(void *arg)
{
	orphan_burn(*(const uint64_t *)arg);
	exit(0);
}

int main(int argc, char **argv)
{
	static uint64_t deadline_ns;
	pthread_t thread;

	deadline_ns = burn_deadline_ns(argc, argv);
	if (pthread_create(&thread, NULL, thread_main, &deadline_ns))
		return 1;
	pthread_exit(NULL);
}
