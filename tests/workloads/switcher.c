// SPDX-License-Identifier: GPL-2.0-only
/*
 * switcher --mode MODE [--seconds N] [--cpu N] [--units N] [--windows]: two threads (in sleep and
 * spin, one) on one CPU, that leave it for one reason:
 *   sleep  burns 0.2 ms and sleeps 4 ms, again and again
 *   nap    both sleep 0.1 ms
 *   spin   burns
 *   share  both burn: they are preempted
 *   yield  both yield after each 20 us
 *   pipe   each wakes the other through a pipe and waits for it, after --units N (0) of 6 us
 *   threads  --units N threads, one after the other, that burn 2 ms each
 *   vfork    --units N children that sleep 5 ms while it waits for them
 *   stop     stops itself --units N times
 * Prints what the kernel says of them: "voluntary N involuntary N cpu_ns N rounds N". With
 * --windows, in pipe, "BEGIN_NS END_NS ROUNDS" of each 20 ms instead.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "burn.h"
#include "taskclock.h"

#define WINDOW_NS 20000000ULL

static const char *mode;
static uint64_t deadline_ns, round_cnt;
static int pipes[2][2];
static unsigned int units;
static bool windows;

static bool is(const char *name)
{
	return !strcmp(mode, name);
}

static void burn_ns(uint64_t ns)
{
	burn_until(burn_now_ns() + ns);
}

/* The first one counts and ends it, by closing. */
static void ping(bool first)
{
	int in = pipes[first][0], out = pipes[!first][1];
	uint64_t begin = burn_now_ns(), last_cnt = 0;
	char byte = 0;

	while (1) {
		if (units)
			burn_units(units);
		if (first && write(out, &byte, 1) != 1)
			return;
		if (read(in, &byte, 1) != 1)
			return;
		if (!first && write(out, &byte, 1) != 1)
			return;
		if (!first || ++round_cnt & 15)
			continue;
		uint64_t now = burn_now_ns();

		if (windows && now >= begin + WINDOW_NS) {
			printf("%llu %llu %llu\n", (unsigned long long)begin,
			       (unsigned long long)now, (unsigned long long)(round_cnt - last_cnt));
			last_cnt = round_cnt;
			begin = burn_now_ns();
		}
		if (now >= deadline_ns) {
			close(out);
			return;
		}
	}
}

static void *run(void *arg)
{
	bool first = !arg;

	if (is("pipe")) {
		ping(first);
		return NULL;
	}
	if (is("threads")) {
		burn_ns(2000000);
		return NULL;
	}
	while (burn_now_ns() < deadline_ns) {
		if (is("sleep")) {
			burn_ns(200000);
			burn_sleep(0.004);
		} else if (is("nap")) {
			burn_sleep(0.0001);
		} else if (is("yield")) {
			burn_units(3);
			sched_yield();
		} else {
			burn_ns(1000000);
		}
	}
	return NULL;
}

static pid_t sleeping_child(void)
{
	pid_t pid = vfork();

	if (!pid) {
		usleep(5000);
		_exit(0);
	}
	return pid;
}

static int wait_for_children(void)
{
	for (unsigned int i = 0; i < units; i++)
		if (waitpid(sleeping_child(), NULL, 0) < 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	int cpu = atoi(burn_option(argc, argv, "--cpu", "0"));
	int task_clock = -1; /* it makes switches dearer */
	uint64_t cpu_ns = 0;
	struct rusage usage;
	pthread_t second;
	cpu_set_t set;

	mode = burn_option(argc, argv, "--mode", "sleep");
	units = (unsigned int)atoi(burn_option(argc, argv, "--units", "0"));
	windows = burn_flag(argc, argv, "--windows");
	if (!windows)
		task_clock = task_clock_open(true);
	if (task_clock >= 0)
		cpu_ns = task_clock_ns(-1, CLOCK_PROCESS_CPUTIME_ID); /* until now */
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || pipe(pipes[0]) || pipe(pipes[1]))
		return 1;
	deadline_ns = burn_deadline_ns(argc, argv);
	prctl(PR_SET_TIMERSLACK, 1);
	if (is("vfork"))
		return wait_for_children();
	for (unsigned int i = 0; is("stop") && i < units; i++)
		raise(SIGSTOP);
	if (is("stop"))
		return 0;
	for (unsigned int i = 0; is("threads") && i < units; i++)
		if (pthread_create(&second, NULL, run, NULL) || pthread_join(second, NULL))
			return 1;
	if (is("share") || is("yield") || is("pipe") || is("nap")) {
		if (pthread_create(&second, NULL, run, pipes))
			return 1;
		run(NULL);
		pthread_join(second, NULL);
	} else {
		run(NULL);
	}
	getrusage(RUSAGE_SELF, &usage);
	cpu_ns += task_clock_ns(task_clock, CLOCK_PROCESS_CPUTIME_ID);
	if (!windows)
		printf("voluntary %ld involuntary %ld cpu_ns %llu rounds %llu\n", usage.ru_nvcsw,
		       usage.ru_nivcsw, (unsigned long long)cpu_ns, (unsigned long long)round_cnt);
	return 0;
}
