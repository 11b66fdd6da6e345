// SPDX-License-Identifier: GPL-2.0-only
/*
 * waiting.c - run the iterator over threads that wait for a CPU, and take what it says.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/waiting.h"
#include "pool.h"

enum { READ_BYTES = 64 * sizeof(struct pa_sched_waiting) };

static int by_process(const void *a, const void *b)
{
	const struct pa_sched_waiting *x = a, *y = b;

	return x->tgid < y->tgid ? -1 : x->tgid > y->tgid;
}

/* A read may end within a record. */
static int read_all(int fd, struct pa_sched_waiting **all, size_t *cnt)
{
	char buf[READ_BYTES];
	size_t rest = 0, cap = 0;
	ssize_t n;

	while ((n = read(fd, buf + rest, sizeof(buf) - rest))) {
		size_t whole, bytes = rest + (size_t)n;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		whole = bytes / sizeof(**all);
		for (size_t i = 0; i < whole; i++) {
			if (pa_array_grow(all, *cnt, &cap, sizeof(**all)))
				return -ENOMEM;
			memcpy(&(*all)[(*cnt)++], buf + i * sizeof(**all), sizeof(**all));
		}
		rest = bytes - whole * sizeof(**all);
		memmove(buf, buf + whole * sizeof(**all), rest);
	}
	return 0;
}

int pa_waiting__read(const struct bpf_program *prog, struct pa_sched_waiting **out, size_t *cnt)
{
	struct bpf_link *link = bpf_program__attach_iter(prog, NULL);
	int fd = -1, err = 0;

	*out = NULL;
	*cnt = 0;
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	err = fd < 0 ? -errno : read_all(fd, out, cnt);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	if (err) {
		free(*out);
		*out = NULL;
		*cnt = 0;
		return err;
	}
	if (*cnt)
		qsort(*out, *cnt, sizeof(**out), by_process);
	return 0;
}
