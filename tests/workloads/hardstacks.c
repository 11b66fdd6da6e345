// SPDX-License-Identifier: GPL-2.0-only
/*
 * hardstacks [--seconds N]: call chains that need more than a frame pointer to be walked.
 *
 *   main, thread_main -> round_trip -> aligned (dynamic stack, realigned) -> burn_units
 *                                   -> sorted -> qsort -> compare -> burn_units
 *                                   -> clocks -> clock_gettime in the vdso
 *                                   -> recurse, 30 deep -> burn_units
 *
 * Two timers interrupt all of it: on_signal -> in_handler -> burn_units, one of them on a stack
 * of its own.
 */
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "burn.h"

static volatile uint64_t sink;

BURN_FN static void in_handler(void)
{
	burn_units(6);
}

BURN_FN static void on_signal(int number)
{
	in_handler();
	sink += number;
}

BURN_FN static void aligned(size_t bytes)
{
	char *dynamic = alloca(bytes);
	__attribute__((aligned(64))) char block[128];

	memset(dynamic, 1, bytes);
	memset(block, 2, sizeof(block));
	burn_units(1);
	sink += dynamic[bytes / 2] + block[5];
}

BURN_FN static int compare(const void *a, const void *b)
{
	burn_units(1);
	return *(const int *)a - *(const int *)b;
}

BURN_FN static void sorted(void)
{
	int values[8] = {5, 3, 7, 1, 8, 2, 6, 4};

	qsort(values, 8, sizeof(*values), compare);
	sink += values[0];
}

BURN_FN static void clocks(void)
{
	for (int i = 0; i < 2000; i++)
		sink += burn_now_ns();
}

BURN_FN static void recurse(int depth)
{
	if (depth)
		recurse(depth - 1);
	else
		burn_units(2);
	sink++;
}

BURN_FN static void round_trip(void)
{
	aligned(100 + sink % 1000);
	sorted();
	clocks();
	recurse(30);
}

BURN_FN static void *thread_main(void *arg)
{
	uint64_t deadline_ns = *(uint64_t *)arg;

	while (burn_now_ns() < deadline_ns)
		round_trip();
	return NULL;
}

static void interrupt(int timer, int number, int flags, suseconds_t us)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | flags};
	struct itimerval every = {{0, us}, {0, us}};

	sigaction(number, &action, NULL);
	setitimer(timer, &every, NULL);
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	stack_t own = {.ss_sp = malloc(65536), .ss_size = 65536};
	pthread_t thread;

	if (!own.ss_sp || sigaltstack(&own, NULL) ||
	    pthread_create(&thread, NULL, thread_main, &deadline_ns))
		return 1;
	interrupt(ITIMER_REAL, SIGALRM, 0, 3000);
	interrupt(ITIMER_PROF, SIGPROF, SA_ONSTACK, 7000);
	while (burn_now_ns() < deadline_ns)
		round_trip();
	return pthread_join(thread, NULL) ? 1 : 0;
}
