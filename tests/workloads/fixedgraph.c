// SPDX-License-Identifier: GPL-2.0-only
/*
 * fixedgraph [--seconds N] [--threads N] [--prctl] [--depth N]: a fixed call graph.
 *
 *   main -> run -> work -> heavy (60 %), medium (30 %), light (10 %) -> burn_units
 *
 * --threads N  N threads run it (thread_main -> run...); --prctl names them graph-1...
 * --depth N    N more frames `descend` between run and work
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "burn.h"

struct job {
	uint64_t deadline_ns;
	int number, depth;
	bool name;
};

BURN_FN static void heavy(void)
{
	burn_units(60);
}

BURN_FN static void medium(void)
{
	burn_units(30);
}

BURN_FN static void light(void)
{
	burn_units(10);
}

BURN_FN static void work(void)
{
	heavy();
	medium();
	light();
}

BURN_FN static void descend(int depth)
{
	if (depth > 0)
		descend(depth - 1);
	else
		work();
}

BURN_FN static void run(const struct job *job)
{
	while (burn_now_ns() < job->deadline_ns) {
		if (job->depth > 0)
			descend(job->depth - 1);
		else
			work();
	}
}

BURN_FN static void *thread_main(void *arg)
{
	const struct job *job = arg;
	char name[16];

	if (job->name) {
		snprintf(name, sizeof(name), "graph-%d", job->number);
		prctl(PR_SET_NAME, name);
	}
	run(job);
	return NULL;
}

int main(int argc, char **argv)
{
	int thread_cnt = atoi(burn_option(argc, argv, "--threads", "0"));
	struct job jobs[256];
	pthread_t threads[256];

	if (thread_cnt < 0 || thread_cnt > 256)
		return 2;
	for (int i = 0; i < (thread_cnt ? thread_cnt : 1); i++) {
		jobs[i] = (struct job){
			.deadline_ns = burn_deadline_ns(argc, argv),
			.number = i + 1,
			.depth = atoi(burn_option(argc, argv, "--depth", "0")),
			.name = burn_flag(argc, argv, "--prctl"),
		};
	}
	if (!thread_cnt)
		run(&jobs[0]);
	for (int i = 0; i < thread_cnt; i++) {
		if (pthread_create(&threads[i], NULL, thread_main, &jobs[i]))
			return 1;
	}
	for (int i = 0; i < thread_cnt; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
