// SPDX-License-Identifier: GPL-2.0-only
/*
 * debuginfod.c - binaries and debug files from debuginfod servers, which DEBUGINFOD_URLS names.
 * elfutils' client is loaded at run time, only when it is asked for: what it brings along (curl,
 * maybe OpenSSL) is not for every user, nor of every licence. A deadline holds for each file and
 * for all together; what a server did not have is not asked for again.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "symbolize/internal.h"

enum { FILE_S = 30, TOTAL_S = 120, NS_PER_S = 1000000000 };

/* The client's interface: debuginfod_find_debuginfo(3). */
typedef struct debuginfod_client client_t;
typedef int (*progress_t)(client_t *c, long a, long b);
typedef int (*find_t)(client_t *c, const unsigned char *id, int id_bytes, char **path);

struct pa_debuginfod {
	void *library;
	client_t *client;
	void (*end)(client_t *c);
	void (*set_user_data)(client_t *c, void *data);
	find_t find_binary, find_debug;
	uint64_t total_ns, used_ns; /* total_ns: what all may take */
	uint64_t deadline_ns;	    /* of the file at hand */
	struct pa_table missing;    /* keys that were asked for in vain */
	struct pa_debuginfod_stats stats;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Called now and then while a file is fetched. @return non-zero: give up */
static int progress(client_t *c, long a, long b)
{
	void *(*get_user_data)(client_t *) =
		(void *(*)(client_t *))dlsym(RTLD_DEFAULT, "debuginfod_get_user_data");
	const struct pa_debuginfod *d = get_user_data ? get_user_data(c) : NULL;

	(void)a;
	(void)b;
	return d && now_ns() >= d->deadline_ns;
}

static int load(struct pa_debuginfod *d)
{
	client_t *(*begin)(void);
	void (*set_progress)(client_t *, progress_t);

	d->library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_GLOBAL);
	if (!d->library)
		return -ENOSYS;
	begin = (client_t * (*)(void)) dlsym(d->library, "debuginfod_begin");
	set_progress =
		(void (*)(client_t *, progress_t))dlsym(d->library, "debuginfod_set_progressfn");
	d->end = (void (*)(client_t *))dlsym(d->library, "debuginfod_end");
	d->set_user_data =
		(void (*)(client_t *, void *))dlsym(d->library, "debuginfod_set_user_data");
	d->find_binary = (find_t)dlsym(d->library, "debuginfod_find_executable");
	d->find_debug = (find_t)dlsym(d->library, "debuginfod_find_debuginfo");
	if (!begin || !set_progress || !d->end || !d->set_user_data || !d->find_binary ||
	    !d->find_debug)
		return -ENOSYS;
	d->client = begin();
	if (!d->client)
		return -ENOMEM;
	d->set_user_data(d->client, d);
	set_progress(d->client, progress);
	return 0;
}

int pa_debuginfod__new(unsigned total_s, struct pa_debuginfod **out)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct pa_debuginfod *d;
	int err;

	*out = NULL;
	if (!urls || !*urls)
		return -EDESTADDRREQ;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->total_ns = (uint64_t)(total_s ? total_s : TOTAL_S) * NS_PER_S;
	err = load(d);
	if (err) {
		pa_debuginfod__free(d);
		return err;
	}
	*out = d;
	return 0;
}

void pa_debuginfod__free(struct pa_debuginfod *d)
{
	if (!d)
		return;
	if (d->client)
		d->end(d->client);
	if (d->library)
		dlclose(d->library);
	pa_table__free(&d->missing);
	free(d);
}

int pa_debuginfod__open(struct pa_debuginfod *d, const uint8_t *id, size_t bytes, bool is_binary)
{
	uint8_t key[21] = {is_binary};
	uint64_t start_ns = now_ns(), left_ns;
	int fd;

	if (!bytes || bytes > 20)
		return -ENOENT;
	memcpy(key + 1, id, bytes);
	if (pa_table__get(&d->missing, key, bytes + 1))
		return -ENOENT;
	left_ns = d->used_ns < d->total_ns ? d->total_ns - d->used_ns : 0;
	if (!left_ns) {
		d->stats.late_cnt++;
		return -ETIMEDOUT;
	}
	d->deadline_ns =
		start_ns +
		(left_ns < (uint64_t)FILE_S * NS_PER_S ? left_ns : (uint64_t)FILE_S * NS_PER_S);
	fd = (is_binary ? d->find_binary : d->find_debug)(d->client, id, (int)bytes, NULL);
	d->used_ns += now_ns() - start_ns;
	if (fd >= 0) {
		d->stats.fetched_cnt++;
		return fd;
	}
	d->stats.missing_cnt++;
	if (now_ns() >= d->deadline_ns)
		d->stats.late_cnt++;
	return pa_table__set(&d->missing, key, bytes + 1, d) ? -ENOMEM : -ENOENT;
}

void pa_debuginfod__stats(const struct pa_debuginfod *d, struct pa_debuginfod_stats *out)
{
	*out = d->stats;
}
