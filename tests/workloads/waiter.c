// SPDX-License-Identifier: GPL-2.0-only
/*
 * waiter [--rounds N]: N (5) times, the main thread sleeps 60 ms in wait_long and 20 ms in
 * wait_short, while a thread named "partner" waits in wait_partner for a byte that the main
 * thread writes at the end of each round. So it is known where each thread is not on a CPU, and
 * for how long at least.
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "burn.h"

static int fds[2];

/* The C library keeps no frame pointers: in a chain of them its caller is missing. */
BURN_FN static void sleep_ms(unsigned int ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000L};

	nanosleep(&time, NULL);
}

BURN_FN static bool read_byte(char *byte)
{
	return read(fds[0], byte, 1) == 1;
}

BURN_FN static void wait_long(void)
{
	sleep_ms(60);
	burn_units(1);
}

BURN_FN static void wait_short(void)
{
	sleep_ms(20);
	burn_units(1);
}

BURN_FN static bool wait_partner(void)
{
	char byte;

	return read_byte(&byte) && byte;
}

static void *partner(void *arg)
{
	prctl(PR_SET_NAME, "partner");
	while (wait_partner())
		burn_units(1);
	return arg;
}

int main(int argc, char **argv)
{
	int rounds = atoi(burn_option(argc, argv, "--rounds", "5"));
	pthread_t thread;

	if (pipe(fds) || pthread_create(&thread, NULL, partner, NULL))
		return 1;
	for (int i = 0; i < rounds; i++) {
		wait_long();
		wait_short();
		if (write(fds[1], "x", 1) != 1)
			return 1;
	}
	if (write(fds[1], "", 1) != 1)
		return 1;
	return pthread_join(thread, NULL);
}
