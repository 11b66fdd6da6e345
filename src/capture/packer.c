// SPDX-License-Identifier: GPL-2.0-only
/*
 * packer.c - one thread, a list of jobs and a list of results.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "capture/packer.h"

struct job {
	struct job *next;
	uint32_t image;
	int fd, err;
	char *path;
	struct pa_pack *pack;
};

struct list {
	struct job *first, **last;
};

struct pa_packer {
	const char *cache_dir;
	pthread_t thread;
	bool has_thread, stop;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list jobs, results;
	int event_fd;
};

static void push(struct list *l, struct job *job)
{
	job->next = NULL;
	*l->last = job;
	l->last = &job->next;
}

static struct job *pop(struct list *l)
{
	struct job *job = l->first;

	if (!job)
		return NULL;
	l->first = job->next;
	if (!l->first)
		l->last = &l->first;
	return job;
}

static void free_job(struct job *job)
{
	if (!job)
		return;
	if (job->fd >= 0)
		close(job->fd);
	pa_pack__free(job->pack);
	free(job->path);
	free(job);
}

static void *work(void *arg)
{
	struct pa_packer *p = arg;
	uint64_t one = 1;
	struct job *job;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		job = pop(&p->jobs);
		if (!job) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		job->err = pa_pack__file(job->fd, job->path, p->cache_dir, &job->pack);
		close(job->fd);
		job->fd = -1;
		pthread_mutex_lock(&p->lock);
		push(&p->results, job);
		if (write(p->event_fd, &one, sizeof(one)) < 0)
			continue; /* it is readable already */
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int pa_packer__new(const char *cache_dir, struct pa_packer **out)
{
	struct pa_packer *p = calloc(1, sizeof(*p));
	sigset_t all, before;
	int err;

	*out = p;
	if (!p)
		return -ENOMEM;
	p->cache_dir = cache_dir;
	p->jobs.last = &p->jobs.first;
	p->results.last = &p->results.first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0)
		return -errno;
	sigfillset(&all); /* signals are for the program's own threads */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&p->thread, NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	p->has_thread = !err;
	return -err;
}

void pa_packer__free(struct pa_packer *p)
{
	struct job *job;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	while ((job = pop(&p->jobs)))
		free_job(job);
	while ((job = pop(&p->results)))
		free_job(job);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	if (p->event_fd >= 0)
		close(p->event_fd);
	free(p);
}

int pa_packer__ask(struct pa_packer *p, uint32_t image, int fd, const char *path)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		close(fd);
		return -ENOMEM;
	}
	*job = (struct job){.image = image, .fd = fd, .path = strdup(path)};
	if (!job->path) {
		free_job(job);
		return -ENOMEM;
	}
	pthread_mutex_lock(&p->lock);
	push(&p->jobs, job);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

int pa_packer__take(struct pa_packer *p, uint32_t *image, struct pa_pack **pack, int *err)
{
	uint64_t cnt;
	struct job *job;

	pthread_mutex_lock(&p->lock);
	job = pop(&p->results);
	if (!p->results.first && read(p->event_fd, &cnt, sizeof(cnt)) < 0)
		cnt = 0; /* nothing was there to take back */
	pthread_mutex_unlock(&p->lock);
	if (!job)
		return 0;
	*image = job->image;
	*err = job->err;
	*pack = job->pack;
	job->pack = NULL;
	free_job(job);
	return 1;
}

int pa_packer__fd(const struct pa_packer *p)
{
	return p->event_fd;
}
