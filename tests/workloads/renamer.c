// SPDX-License-Identifier: GPL-2.0-only
/*
 * renamer [--seconds N] [--threads N]: the main thread and N (2) more change their names halfway:
 * each burns in first_half as "old-I", then in second_half as "new-I" (I: 0 is the main thread).
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "burn.h"

struct job {
	uint64_t start_ns, deadline_ns;
	int number;
};

BURN_FN static void first_half(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

BURN_FN static void second_half(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

static void rename_to(const char *word, int number)
{
	char name[16];

	snprintf(name, sizeof(name), "%s-%d", word, number);
	prctl(PR_SET_NAME, name);
}

static void *thread_main(void *arg)
{
	const struct job *job = arg;

	rename_to("old", job->number);
	first_half(job->start_ns + (job->deadline_ns - job->start_ns) / 2);
	rename_to("new", job->number);
	second_half(job->deadline_ns);
	return NULL;
}

int main(int argc, char **argv)
{
	int thread_cnt = atoi(burn_option(argc, argv, "--threads", "2"));
	struct job jobs[65];
	pthread_t threads[65];

	if (thread_cnt < 0 || thread_cnt > 64)
		return 2;
	for (int i = 0; i <= thread_cnt; i++) {
		jobs[i] = (struct job){burn_now_ns(), burn_deadline_ns(argc, argv), i};
		if (i && pthread_create(&threads[i], NULL, thread_main, &jobs[i]))
			return 1;
	}
	thread_main(&jobs[0]);
	for (int i = 1; i <= thread_cnt; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
