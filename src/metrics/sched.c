// SPDX-License-Identifier: GPL-2.0-only
/*
 * sched.c - load and feed the programs of scheduler metrics, and take what they counted.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/bpfobj.h"
#include "capture/capture.h"
#include "metrics/counters.h"
#include "metrics/sched.h"
#include "metrics/waiting.h"
#include "pool.h"
#include "sched.skel.h"

#define WAKE_SLOTS_MAX (1U << 19) /* 4 MB */
#define PROCESSES_MIN 1024	  /* 18 KB each */
#define PROCESSES_MAX 4096
#define ENDED_MAX 65536 /* processes that ended: later ones have no name of their own */

struct pa_sched {
	struct sched_bpf *skel;
	struct bpf_link *links[9];
	size_t link_cnt;
	size_t slot_cnt; /* CPUs, by number */
	struct pa_cpus wanted;
	struct pa_counters counters;
	struct pa_metrics *m;
	size_t proc_cap;
	uint32_t *gone; /* processes that the last poll did not find, ascending */
	size_t gone_cnt;
	uint32_t *ended; /* added processes that ended... */
	size_t ended_cnt, ended_cap;
	size_t due_cnt; /* ...of these, before the last poll */
	struct pa_sched_totals *buf;
	uint8_t *seen; /* mapped; by process id */
	struct pa_errmsg errmsg;
};

#define fail(x, ...) pa_errmsg__set(&(x)->errmsg, __VA_ARGS__)

/* ---- open ------------------------------------------------------------------------------- */

/* Twice those that there are. */
static uint32_t process_slots(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	uint32_t cnt = 0;

	while (dir && (entry = readdir(dir)))
		cnt += *entry->d_name >= '1' && *entry->d_name <= '9';
	if (dir)
		closedir(dir);
	cnt *= 2;
	return cnt < PROCESSES_MIN ? PROCESSES_MIN : cnt > PROCESSES_MAX ? PROCESSES_MAX : cnt;
}

static void configure(struct pa_sched *s, const struct pa_sched_opts *opts, bool has_prev_state)
{
	struct sched_bpf *skel = s->skel;
	uint32_t wakes;

	skel->rodata->filter_pids = !opts->all;
	skel->rodata->per_process = opts->per_process;
	skel->rodata->has_prev_state = has_prev_state;
	skel->rodata->zero_totals = (uint32_t)s->slot_cnt;
	PA_BPFOBJ_CONFIGURE(skel, opts->follow);
	wakes = pa_bpfobj__thread_slots(WAKE_SLOTS_MAX, !skel->rodata->use_pidns);
	skel->rodata->wake_mask = wakes - 1;
	PA_BPFOBJ_LOAD_BOTH(skel, sched_exits, skel->rodata->use_pidns);
	bpf_map__set_max_entries(skel->maps.cpus, (uint32_t)s->slot_cnt);
	bpf_map__set_max_entries(skel->maps.totals, (uint32_t)s->slot_cnt + 1);
	bpf_map__set_max_entries(skel->maps.events, (uint32_t)s->slot_cnt * PA_COUNTER_CNT);
	bpf_map__set_max_entries(skel->maps.wakes, wakes);
	if (opts->per_process) {
		bpf_map__set_max_entries(skel->maps.processes, process_slots());
		bpf_map__set_max_entries(skel->maps.ended, PROCESSES_MAX);
	}
}

static int load_one(struct pa_sched *s, const struct pa_sched_opts *opts, bool has_prev_state)
{
	int err;

	s->skel = sched_bpf__open();
	if (!s->skel)
		return -errno;
	configure(s, opts, has_prev_state);
	err = sched_bpf__load(s->skel);
	if (err) {
		sched_bpf__destroy(s->skel);
		s->skel = NULL;
	}
	return err;
}

static int load(struct pa_sched *s, const struct pa_sched_opts *opts)
{
	void *seen;
	int err;

	err = pa_bpfobj__prepare("--pmu", &s->errmsg);
	if (err)
		return err;
	err = load_one(s, opts, true);
	if (err && err != -EPERM && err != -ENOMEM)
		err = load_one(s, opts, false);
	if (err)
		return pa_bpfobj__explain(err, &s->errmsg);
	seen = mmap(NULL, PA_SCHED_PIDS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(s->skel->maps.seen), 0);
	if (seen == MAP_FAILED)
		return fail(s, -errno, "scheduler metrics: failed to map: %s", strerror(errno));
	s->seen = seen;
	return 0;
}

static bool is_wanted(const struct pa_sched *s, int cpu)
{
	return !s->wanted.cnt || pa_cpus__has(&s->wanted, cpu);
}

static int leave_out_cpus(struct pa_sched *s, const struct pa_cpus *wanted)
{
	struct pa_sched_cpu off = {.off = PA_SCHED_OFF};
	int err;

	if (!wanted || !wanted->cnt)
		return 0;
	err = pa_bpfobj__check_online(wanted, "measure", &s->errmsg);
	if (err)
		return err;
	s->wanted.ids = calloc(wanted->cnt, sizeof(int));
	if (!s->wanted.ids)
		return fail(s, -ENOMEM, "out of memory");
	memcpy(s->wanted.ids, wanted->ids, wanted->cnt * sizeof(int));
	s->wanted.cnt = wanted->cnt;
	for (uint32_t cpu = 0; cpu < s->slot_cnt; cpu++)
		if (!is_wanted(s, (int)cpu) &&
		    bpf_map_update_elem(bpf_map__fd(s->skel->maps.cpus), &cpu, &off, BPF_ANY))
			return fail(s, -errno, "CPU %u: failed to leave out: %s", cpu,
				    strerror(errno));
	return 0;
}

static int update_counters(struct pa_sched *s)
{
	struct pa_cpus online;
	int err = pa_cpus__online(&online);

	if (err)
		return fail(s, err, "/sys/devices/system/cpu/online: failed to read: %s",
			    strerror(-err));
	err = pa_counters__update(&s->counters, &online, bpf_map__fd(s->skel->maps.events));
	pa_cpus__free(&online);
	if (err < 0)
		return fail(s, err, "hardware counters: failed to set up: %s", strerror(-err));
	for (int i = 0; i < PA_COUNTER_CNT; i++)
		if (!*s->counters.missing[i])
			s->skel->bss->counters |= 1U << i;
	return 0;
}

int pa_sched__open(const struct pa_sched_opts *opts, struct pa_sched **out)
{
	struct pa_sched *s = calloc(1, sizeof(*s));
	int err;

	*out = s;
	if (!s)
		return -ENOMEM;
	err = pa_bpfobj__count_cpus(&s->slot_cnt, &s->errmsg);
	if (err)
		return err;
	s->buf = malloc(sizeof(*s->buf));
	s->m = calloc(1, sizeof(*s->m));
	if (!s->buf || !s->m || pa_counters__init(&s->counters, s->slot_cnt))
		return fail(s, -ENOMEM, "out of memory");
	s->m->per_process = opts->per_process;
	err = load(s, opts);
	if (err)
		return err;
	err = leave_out_cpus(s, opts->cpus);
	return err ? err : update_counters(s);
}

int pa_sched__add_pid(struct pa_sched *s, pid_t pid)
{
	int err = pa_pids__add(s->skel->maps.pids, pid);

	return err ? fail(s, err, "process %d: failed to choose: %s", (int)pid, strerror(-err)) : 0;
}

int pa_sched__forget_pid(struct pa_sched *s, pid_t pid)
{
	if (pa_array_grow(&s->ended, s->ended_cnt, &s->ended_cap, sizeof(*s->ended)))
		return fail(s, -ENOMEM, "out of memory");
	s->ended[s->ended_cnt++] = (uint32_t)pid;
	return 0;
}

/* A thread may leave its CPU once more after its process was seen to have ended. */
static void forget_ended(struct pa_sched *s)
{
	for (size_t i = 0; i < s->due_cnt; i++)
		bpf_map_delete_elem(bpf_map__fd(s->skel->maps.pids), &s->ended[i]);
	if (s->due_cnt)
		__atomic_fetch_add(&s->skel->bss->pids_generation, 1, __ATOMIC_SEQ_CST);
	s->ended_cnt -= s->due_cnt;
	memmove(s->ended, s->ended + s->due_cnt, s->ended_cnt * sizeof(*s->ended));
	s->due_cnt = s->ended_cnt;
}

/* ---- while it counts ---------------------------------------------------------------------- */

/* Linux 5.10; before, what runs at the begin and the end is left out */
static void cut_slices(struct pa_sched *s)
{
	int fd = bpf_program__fd(s->skel->progs.sched_cut);

	for (size_t cpu = 0; cpu < s->slot_cnt; cpu++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_RUN_ON_CPU,
			    .cpu = (uint32_t)cpu);

		bpf_prog_test_run_opts(fd, &opts);
	}
}

/* Threads that wait already */
static int note_waiting(struct pa_sched *s)
{
	struct pa_sched_waiting *none;
	size_t cnt;
	int err = pa_waiting__read(s->skel->progs.sched_waiting, &none, &cnt);

	free(none);
	return err ? fail(s, err, "threads that wait: failed to list: %s", strerror(-err)) : 0;
}

int pa_sched__enable(struct pa_sched *s)
{
	/* the one that sees waits end before those that see them begin */
	struct bpf_program *progs[] = {
		PA_BPFOBJ_BOTH(s->skel, follow_fork), PA_BPFOBJ_BOTH(s->skel, follow_exit),
		PA_BPFOBJ_BOTH(s->skel, sched_exits), s->skel->progs.sched_leave,
		s->skel->progs.sched_woken,	      s->skel->progs.sched_new,
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		err = pa_bpfobj__attach(progs[i], s->links, &s->link_cnt);
		if (err)
			return fail(s, err, "%s: failed to attach: %s", bpf_program__name(progs[i]),
				    strerror(-err));
	}
	err = note_waiting(s);
	if (err)
		return err;
	s->m->start_ns = pa_monotonic_ns();
	__atomic_store_n(&s->skel->bss->counting, true, __ATOMIC_SEQ_CST);
	cut_slices(s);
	return 0;
}

/* A place for one more process; the last one stays for all that have none. */
static struct pa_metrics_item *new_process(struct pa_sched *s)
{
	struct pa_metrics *m = s->m;

	if (m->proc_cnt == s->proc_cap) {
		size_t cap = s->proc_cap ? s->proc_cap * 2 : 64;
		struct pa_metrics_item *procs = reallocarray(m->procs, cap, sizeof(*procs));

		if (!procs)
			return NULL;
		m->procs = procs;
		s->proc_cap = cap;
	}
	m->procs[m->proc_cnt] = (struct pa_metrics_item){0};
	return &m->procs[m->proc_cnt++];
}

static int convert(const struct pa_sched_totals *t, struct pa_metrics_item *it)
{
	int err = pa_dist__take(&it->slices, &t->slice, t->slices);

	if (!err)
		err = pa_dist__take(&it->waits, &t->wait, t->waits);
	if (err)
		return err;
	it->cut_cnt = t->cut_cnt;
	it->cut_ns = t->cut_ns;
	for (int i = 0; i < PA_SWITCH_CNT; i++)
		it->reasons[i] = t->reasons[i];
	for (int i = 0; i < PA_COUNTER_CNT; i++)
		it->counters[i] = t->counters[i];
	return 0;
}

static int take_process(struct pa_sched *s, uint32_t pid)
{
	int fd = bpf_map__fd(s->skel->maps.processes), err;
	struct pa_metrics_item one = {.pid = (pid_t)pid}, *kept;

	if (bpf_map_lookup_elem(fd, &pid, s->buf))
		return errno == ENOENT ? 0 : -errno;
	err = convert(s->buf, &one);
	if (!err)
		err = pa_metrics_item__merge(&s->m->all, &one);
	if (pa_procfs__comm(one.pid, one.comm))
		memcpy(one.comm, s->buf->comm, sizeof(one.comm));
	one.comm[sizeof(one.comm) - 1] = '\0';
	if (!err && s->m->proc_cnt >= ENDED_MAX + PROCESSES_MAX) {
		s->m->unnamed_cnt += pa_metrics_item__switches(&one);
	} else if (!err) {
		kept = new_process(s);
		if (kept) {
			*kept = one;
			return 0;
		}
		err = -ENOMEM;
	}
	pa_metrics_item__free(&one);
	return err;
}

static int by_pid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* @param gone_only  those that ended alone */
static int list_processes(struct pa_sched *s, bool gone_only, uint32_t **out, size_t *cnt)
{
	int fd = bpf_map__fd(s->skel->maps.processes);
	uint32_t *pids = calloc(PROCESSES_MAX, sizeof(*pids)), key, *prev = NULL;

	*cnt = 0;
	*out = pids;
	if (!pids)
		return -ENOMEM;
	/* a walk begins anew when its last key goes: bound by what fits */
	for (size_t i = 0; i < 4 * PROCESSES_MAX && *cnt < PROCESSES_MAX; i++) {
		if (bpf_map_get_next_key(fd, prev, &key))
			break;
		prev = &key;
		if (!gone_only || !pa_procfs__is_there(key))
			pids[(*cnt)++] = key;
	}
	qsort(pids, *cnt, sizeof(*pids), by_pid);
	return 0;
}

static int take_and_remove(struct pa_sched *s, uint32_t pid)
{
	int err = take_process(s, pid);

	if (!err)
		bpf_map_delete_elem(bpf_map__fd(s->skel->maps.processes), &pid);
	return err;
}

/* Nothing comes of them any more. */
static int take_ended(struct pa_sched *s)
{
	int fd = bpf_map__fd(s->skel->maps.ended), err = 0;
	uint32_t pid;

	for (size_t i = 0; i < PROCESSES_MAX && !err && !bpf_map_get_next_key(fd, NULL, &pid);
	     i++) {
		bpf_map_delete_elem(fd, &pid);
		err = take_and_remove(s, pid);
	}
	return err;
}

/* Those whose end was not seen, that were gone at the last poll too: a thread may be seen once more
 * after its id went. */
static int reap(struct pa_sched *s)
{
	uint32_t *gone;
	size_t cnt, kept = 0;
	int err = list_processes(s, true, &gone, &cnt);

	for (size_t i = 0; i < cnt && !err; i++) {
		if (!s->gone_cnt ||
		    !bsearch(&gone[i], s->gone, s->gone_cnt, sizeof(*s->gone), by_pid)) {
			gone[kept++] = gone[i];
			continue;
		}
		err = take_and_remove(s, gone[i]);
	}
	if (err)
		kept = 0;
	free(s->gone);
	s->gone = gone;
	s->gone_cnt = kept;
	return err;
}

static int take_failed(struct pa_sched *s, int err)
{
	return err ? fail(s, err, "scheduler metrics: failed to take: %s", strerror(-err)) : 0;
}

int pa_sched__poll(struct pa_sched *s)
{
	int err = update_counters(s);

	if (s->ended_cnt)
		forget_ended(s);
	if (!err && s->m->per_process)
		err = take_failed(s, reap(s));
	return err;
}

int pa_sched__poll_ended(struct pa_sched *s)
{
	return s->m->per_process ? take_failed(s, take_ended(s)) : 0;
}

/* ---- finish --------------------------------------------------------------------------------- */

static int take_totals(struct pa_sched *s)
{
	struct pa_metrics_item one;
	int err = 0;

	for (uint32_t cpu = 0; cpu < s->slot_cnt && !err; cpu++) {
		struct pa_sched_cpu state;

		one = (struct pa_metrics_item){0};
		if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.totals), &cpu, s->buf) ||
		    bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.cpus), &cpu, &state))
			return -errno;
		s->m->lost_wait_cnt += state.lost_waits;
		err = convert(s->buf, &one);
		if (!err)
			err = pa_metrics_item__merge(&s->m->all, &one);
		if (s->m->per_process)
			s->m->unnamed_cnt += pa_metrics_item__switches(&one);
		pa_metrics_item__free(&one);
	}
	return err;
}

static int by_wait(const void *a, const void *b)
{
	const struct pa_metrics_item *x = a, *y = b;

	uint64_t x_ns = pa_metrics_item__wait_ns(x), y_ns = pa_metrics_item__wait_ns(y);

	if (x_ns != y_ns)
		return x_ns < y_ns ? 1 : -1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int by_item_pid(const void *a, const void *b)
{
	const struct pa_metrics_item *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* A process that has not run has no place yet. */
static int add_starved(struct pa_sched *s, uint32_t pid, struct pa_metrics_item **out)
{
	*out = new_process(s);
	if (!*out)
		return -ENOMEM;
	(*out)->pid = (pid_t)pid;
	pa_procfs__comm((*out)->pid, (*out)->comm);
	return 0;
}

/* Both lists ascend by process. */
static int add_waiting(struct pa_sched *s, const struct pa_sched_waiting *waiting, size_t cnt)
{
	struct pa_metrics *m = s->m;
	size_t known_cnt = m->proc_cnt, at = 0;
	struct pa_metrics_item *it = NULL;
	int err = 0;

	if (m->per_process && known_cnt)
		qsort(m->procs, known_cnt, sizeof(*m->procs), by_item_pid);
	for (size_t i = 0; i < cnt && !err; i++) {
		s->seen[waiting[i].tgid % PA_SCHED_PIDS_MAX] = 1;
		pa_metrics_item__add_waiting(&m->all, waiting[i].wait_ns);
		if (!m->per_process)
			continue;
		if (!i || waiting[i].tgid != waiting[i - 1].tgid) {
			while (at < known_cnt && (uint32_t)m->procs[at].pid < waiting[i].tgid)
				at++;
			it = NULL;
			if (at < known_cnt && (uint32_t)m->procs[at].pid == waiting[i].tgid)
				it = &m->procs[at];
			else if (m->proc_cnt < ENDED_MAX + 2 * PROCESSES_MAX)
				err = add_starved(s, waiting[i].tgid, &it);
		}
		if (it)
			pa_metrics_item__add_waiting(it, waiting[i].wait_ns);
	}
	return err;
}

static int take_all(struct pa_sched *s, const struct pa_sched_waiting *waiting, size_t waiting_cnt)
{
	uint32_t *pids = NULL;
	size_t cnt = 0;
	int err = take_totals(s);

	if (!err && s->m->per_process)
		err = list_processes(s, false, &pids, &cnt);
	for (size_t i = 0; i < cnt && !err; i++)
		err = take_process(s, pids[i]);
	free(pids);
	if (!err)
		err = add_waiting(s, waiting, waiting_cnt);
	if (err)
		return err;
	if (s->m->proc_cnt)
		qsort(s->m->procs, s->m->proc_cnt, sizeof(*s->m->procs), by_wait);
	for (size_t i = 0; i < PA_SCHED_PIDS_MAX; i++)
		s->m->process_cnt += s->seen[i];
	s->m->unfollowed_cnt = s->skel->bss->unfollowed_cnt;
	memcpy(s->m->missing, s->counters.missing, sizeof(s->m->missing));
	return 0;
}

int pa_sched__finish(struct pa_sched *s, struct pa_metrics **out)
{
	struct pa_sched_waiting *waiting;
	size_t waiting_cnt;
	int err;

	s->m->duration_ns = pa_monotonic_ns() - s->m->start_ns;
	__atomic_store_n(&s->skel->bss->ending_ns, s->m->start_ns + s->m->duration_ns,
			 __ATOMIC_SEQ_CST);
	cut_slices(s);
	err = pa_waiting__read(s->skel->progs.sched_waiting, &waiting, &waiting_cnt);
	pa_bpfobj__detach(s->links, &s->link_cnt);
	if (!err)
		err = take_all(s, waiting, waiting_cnt);
	free(waiting);
	if (err)
		return fail(s, err, "scheduler metrics: failed to take: %s", strerror(-err));
	*out = s->m;
	s->m = NULL;
	return 0;
}

const char *pa_sched__missing(const struct pa_sched *s)
{
	for (int i = 0; i < PA_COUNTER_CNT; i++)
		if (!*s->counters.missing[i])
			return "";
	return s->counters.missing[PA_COUNTER_CYCLES];
}

const char *pa_sched__errmsg(const struct pa_sched *s)
{
	return s->errmsg.text;
}

void pa_sched__close(struct pa_sched *s)
{
	if (!s)
		return;
	pa_bpfobj__detach(s->links, &s->link_cnt);
	pa_counters__close(&s->counters);
	if (s->seen)
		munmap(s->seen, PA_SCHED_PIDS_MAX);
	sched_bpf__destroy(s->skel);
	pa_cpus__free(&s->wanted);
	pa_metrics__free(s->m);
	free(s->gone);
	free(s->ended);
	free(s->buf);
	free(s);
}
