// SPDX-License-Identifier: GPL-2.0-only
/*
 * procs.c - processes and threads by time. A process is a list of address spaces: one per
 * incarnation of its pid (FORK, or life after EXIT) and one per exec. Nothing is dropped when a
 * process exits: its samples may be drained later than its EXIT record. A live capture, which
 * knows how late, drops what has ended now and then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/procs.h"

/* Only generations that mapped something of their own between two forks count. */
enum { ANCESTORS_MAX = 64 };
/* Records of one process come late by a few: what is from before more is dropped, so that times
 * that descend for millions of records don't move everything for each. */
enum { LATE_MAX = 256 };
enum { EXITS_MIN = 1024, EXITS_SHARE = 4 }; /* so many EXITs: the dead are dropped */

/* Invariant: spaces is sorted by from_ns and not empty; each is there. */
struct pa_proc {
	uint32_t pid;
	uint32_t *spaces;
	size_t space_cnt, space_cap;
	uint64_t exit_ns; /* of the leader's last incarnation; 0: alive */
	bool was_gone;	  /* when the dead were dropped last */
	bool is_gone;	  /* while the dead are dropped */
};

struct comm_at {
	uint64_t from_ns;
	const char *comm;
};

/* Invariant: comms is sorted by from_ns. */
struct pa_thread {
	uint32_t tid;
	struct comm_at *comms;
	size_t comm_cnt, comm_cap;
	const char *placeholder; /* ":TID", once it was asked for */
	uint64_t exit_ns;	 /* 0: alive */
	bool is_gone;
};

void pa_procs__init(struct pa_procs *p, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->strings.seed = seed;
	p->last_proc = PA_NONE;
	p->last_thread = PA_NONE;
}

static void free_space(struct pa_procs *p, uint32_t space)
{
	struct pa_space_chunk *chunk = p->chunks[space / PA_CHUNK_SPACES];
	struct pa_space **at = &chunk->spaces[space % PA_CHUNK_SPACES];

	pa_space__clear(*at, &p->pieces);
	free(*at);
	*at = NULL;
	chunk->there_cnt--;
}

/* @param all  else those of no use */
static void free_spaces(struct pa_procs *p, bool all)
{
	for (size_t i = 0; i < p->chunk_cnt; i++) {
		struct pa_space_chunk *chunk = p->chunks[i];

		for (uint32_t k = 0; chunk && k < PA_CHUNK_SPACES; k++) {
			struct pa_space *space = chunk->spaces[k];

			if (space && (all || !space->is_needed))
				free_space(p, (uint32_t)i * PA_CHUNK_SPACES + k);
			else if (space)
				space->is_needed = false;
		}
		/* the last one is still being filled */
		if (chunk && !chunk->there_cnt && (all || i + 1 < p->chunk_cnt)) {
			free(chunk);
			p->chunks[i] = NULL;
		}
	}
}

/* Place for one more space. @return 0, -ENOMEM */
static int grow_spaces(struct pa_procs *p)
{
	if (p->space_cnt < p->chunk_cnt * PA_CHUNK_SPACES)
		return 0;
	if (pa_array_grow(&p->chunks, p->chunk_cnt, &p->chunk_cap, sizeof(*p->chunks)))
		return -ENOMEM;
	p->chunks[p->chunk_cnt] = calloc(1, sizeof(**p->chunks));
	if (!p->chunks[p->chunk_cnt])
		return -ENOMEM;
	p->chunk_cnt++;
	return 0;
}

void pa_procs__free(struct pa_procs *p)
{
	for (size_t i = 0; i < p->proc_cnt; i++)
		free(p->procs[i].spaces);
	for (size_t i = 0; i < p->thread_cnt; i++)
		free(p->threads[i].comms);
	free_spaces(p, true);
	free(p->procs);
	free(p->threads);
	free(p->chunks);
	pa_index__free(&p->by_pid);
	pa_index__free(&p->by_tid);
	pa_strings__free(&p->strings);
	pa_pool__free(&p->pieces.pool);
}

static uint64_t hash_id(const struct pa_procs *p, uint32_t id)
{
	return pa_mix(p->seed ^ id, 0xd6e8feb86659fd93ULL);
}

static uint32_t find_proc(struct pa_procs *p, uint32_t pid)
{
	uint64_t hash;
	uint32_t pos, i;

	if (p->last_proc != PA_NONE && p->procs[p->last_proc].pid == pid)
		return p->last_proc;
	hash = hash_id(p, pid);
	pos = pa_index__start(&p->by_pid, hash);
	while ((i = pa_index__next(&p->by_pid, hash, &pos)) != PA_NONE)
		if (p->procs[i].pid == pid)
			return p->last_proc = i;
	return PA_NONE;
}

/* Position after the last of the process's spaces that began at or before time_ns. */
static size_t spaces_before(const struct pa_procs *p, const struct pa_proc *proc, uint64_t time_ns)
{
	size_t lo = 0, hi = proc->space_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pa_procs__at(p, proc->spaces[mid])->from_ns <= time_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t space_at(const struct pa_procs *p, const struct pa_proc *proc, uint64_t time_ns)
{
	size_t i = proc->space_cnt == 1 ? 1 : spaces_before(p, proc, time_ns);

	return proc->spaces[i ? i - 1 : 0];
}

/* May an entry go before the last displaced ones? */
static bool may_displace(struct pa_procs *p, size_t displaced_cnt)
{
	if (displaced_cnt > LATE_MAX) {
		p->dropped_late_cnt++;
		return false;
	}
	p->moved_cnt += displaced_cnt;
	return true;
}

/* Add an empty space to process i. @return its index (of the one before it, when it comes too
 * late), PA_NONE without memory */
static uint32_t add_space(struct pa_procs *p, uint32_t i, uint64_t from_ns, uint64_t birth_ns)
{
	struct pa_proc *proc = &p->procs[i];
	size_t at = spaces_before(p, proc, from_ns), space = p->space_cnt;
	struct pa_space *added;

	if (!may_displace(p, proc->space_cnt - at))
		return space_at(p, proc, from_ns);
	if (p->space_cnt >= PA_NONE || grow_spaces(p) ||
	    pa_array_grow(&proc->spaces, proc->space_cnt, &proc->space_cap, sizeof(*proc->spaces)))
		return PA_NONE;
	added = malloc(sizeof(*added));
	if (!added)
		return PA_NONE;
	*added = (struct pa_space){
		.pid = proc->pid,
		.parent = PA_NONE,
		.from_ns = from_ns,
		.birth_ns = birth_ns,
	};
	p->chunks[space / PA_CHUNK_SPACES]->spaces[space % PA_CHUNK_SPACES] = added;
	p->chunks[space / PA_CHUNK_SPACES]->there_cnt++;
	memmove(proc->spaces + at + 1, proc->spaces + at,
		(proc->space_cnt - at) * sizeof(*proc->spaces));
	proc->spaces[at] = (uint32_t)space;
	proc->space_cnt++;
	p->space_cnt++;
	return (uint32_t)space;
}

/* The process, made (with one space from the beginning of time) when it is new. */
static uint32_t get_proc(struct pa_procs *p, uint32_t pid)
{
	uint32_t i = find_proc(p, pid);

	if (i != PA_NONE)
		return i;
	if (p->proc_cnt >= PA_NONE ||
	    pa_array_grow(&p->procs, p->proc_cnt, &p->proc_cap, sizeof(*p->procs)))
		return PA_NONE;
	i = p->proc_cnt;
	p->procs[i] = (struct pa_proc){.pid = pid};
	if (add_space(p, i, 0, 0) == PA_NONE || pa_index__add(&p->by_pid, hash_id(p, pid), i)) {
		free(p->procs[i].spaces);
		return PA_NONE;
	}
	p->proc_cnt++;
	return p->last_proc = i;
}

static uint32_t find_thread(struct pa_procs *p, uint32_t tid)
{
	uint64_t hash;
	uint32_t pos, i;

	if (p->last_thread != PA_NONE && p->threads[p->last_thread].tid == tid)
		return p->last_thread;
	hash = hash_id(p, tid);
	pos = pa_index__start(&p->by_tid, hash);
	while ((i = pa_index__next(&p->by_tid, hash, &pos)) != PA_NONE)
		if (p->threads[i].tid == tid)
			return p->last_thread = i;
	return PA_NONE;
}

static uint32_t get_thread(struct pa_procs *p, uint32_t tid)
{
	uint32_t i = find_thread(p, tid);

	if (i != PA_NONE)
		return i;
	if (p->thread_cnt >= PA_NONE ||
	    pa_array_grow(&p->threads, p->thread_cnt, &p->thread_cap, sizeof(*p->threads)))
		return PA_NONE;
	i = p->thread_cnt;
	p->threads[i] = (struct pa_thread){.tid = tid};
	if (pa_index__add(&p->by_tid, hash_id(p, tid), i))
		return PA_NONE;
	p->thread_cnt++;
	return p->last_thread = i;
}

/* Position after the last name that was given at or before time_ns. */
static size_t comms_before(const struct pa_thread *t, uint64_t time_ns)
{
	size_t lo = 0, hi = t->comm_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->comms[mid].from_ns <= time_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const char *comm_at(const struct pa_thread *t, uint64_t time_ns)
{
	size_t i;

	if (!t->comm_cnt)
		return NULL;
	i = comms_before(t, time_ns);
	return t->comms[i ? i - 1 : 0].comm;
}

static int add_comm(struct pa_procs *p, uint32_t tid, const char *comm, uint64_t time_ns)
{
	uint32_t i = get_thread(p, tid);
	struct pa_thread *t;
	size_t at;

	if (i == PA_NONE)
		return -ENOMEM;
	t = &p->threads[i];
	if (time_ns > t->exit_ns)
		t->exit_ns = 0;
	at = comms_before(t, time_ns);
	if (at && t->comms[at - 1].comm == comm)
		return 0;
	if (!may_displace(p, t->comm_cnt - at))
		return 0;
	if (pa_array_grow(&t->comms, t->comm_cnt, &t->comm_cap, sizeof(*t->comms)))
		return -ENOMEM;
	memmove(t->comms + at + 1, t->comms + at, (t->comm_cnt - at) * sizeof(*t->comms));
	t->comms[at] = (struct comm_at){time_ns, comm};
	t->comm_cnt++;
	return 0;
}

uint32_t pa_procs__space(struct pa_procs *p, uint32_t pid, uint64_t time_ns)
{
	uint32_t i = get_proc(p, pid);

	return i == PA_NONE ? PA_NONE : space_at(p, &p->procs[i], time_ns);
}

const char *pa_procs__comm(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns)
{
	uint32_t i = get_thread(p, tid), leader, str;
	const char *comm = i == PA_NONE ? NULL : comm_at(&p->threads[i], time_ns);
	char text[16];

	if (i == PA_NONE || comm)
		return comm;
	if (tid != pid) {
		leader = find_thread(p, pid);
		comm = leader == PA_NONE ? NULL : comm_at(&p->threads[leader], time_ns);
	}
	if (!comm && !tid && !pid)
		comm = "swapper";
	if (comm)
		return comm;
	if (!p->threads[i].placeholder) {
		snprintf(text, sizeof(text), ":%d", (int)tid);
		str = pa_strings__intern(&p->strings, text, strlen(text));
		p->threads[i].placeholder = str == PA_NONE ? NULL : p->strings.strs[str];
	}
	return p->threads[i].placeholder;
}

/* Narrow the moment to where the answer of the search for its time in a sorted list stays the same:
 * before is the position behind the last entry at or before that time. */
static void narrow(struct pa_moment *m, bool has_before, uint64_t before_ns, bool has_after,
		   uint64_t after_ns)
{
	if (has_before && before_ns > m->from_ns)
		m->from_ns = before_ns;
	if (has_after && after_ns - 1 < m->to_ns)
		m->to_ns = after_ns - 1;
}

static void narrow_to_comm(const struct pa_thread *t, uint64_t time_ns, struct pa_moment *m)
{
	size_t i = comms_before(t, time_ns);

	narrow(m, i, i ? t->comms[i - 1].from_ns : 0, i < t->comm_cnt,
	       i < t->comm_cnt ? t->comms[i].from_ns : 0);
}

static void narrow_to_space(const struct pa_procs *p, const struct pa_proc *proc, uint64_t time_ns,
			    struct pa_moment *m)
{
	size_t i = spaces_before(p, proc, time_ns);

	narrow(m, i, i ? pa_procs__at(p, proc->spaces[i - 1])->from_ns : 0, i < proc->space_cnt,
	       i < proc->space_cnt ? pa_procs__at(p, proc->spaces[i])->from_ns : 0);
}

int pa_procs__moment(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns,
		     struct pa_moment *out)
{
	struct pa_moment m = {.pid = pid, .tid = tid, .to_ns = UINT64_MAX};
	const struct pa_space *space;
	uint32_t leader;

	m.comm = pa_procs__comm(p, pid, tid, time_ns);
	m.space = m.comm ? pa_procs__space(p, pid, time_ns) : PA_NONE;
	if (m.space == PA_NONE)
		return -ENOMEM;
	leader = find_thread(p, pid);
	if (leader != PA_NONE)
		narrow_to_comm(&p->threads[leader], time_ns, &m);
	narrow_to_comm(&p->threads[find_thread(p, tid)], time_ns, &m);
	narrow_to_space(p, &p->procs[find_proc(p, pid)], time_ns, &m);
	space = pa_procs__at(p, m.space);
	m.epoch_ns = pa_space__epoch(space, time_ns);
	narrow(&m, true, m.epoch_ns, true, pa_space__epoch_end(space, m.epoch_ns) + 1);
	*out = m;
	return 0;
}

/* Sideband of its leader after EXIT, without a FORK record: the pid was given out again. */
static int revive(struct pa_procs *p, uint32_t i, uint32_t tid, uint64_t time_ns)
{
	struct pa_proc *proc = &p->procs[i];

	if (!proc->exit_ns || tid != proc->pid || time_ns <= proc->exit_ns)
		return 0;
	proc->exit_ns = 0;
	return add_space(p, i, time_ns, time_ns) == PA_NONE ? -ENOMEM : 0;
}

uint32_t pa_procs__space_of_sideband(struct pa_procs *p, uint32_t pid, uint32_t tid,
				     uint64_t time_ns)
{
	uint32_t i = get_proc(p, pid);

	if (i == PA_NONE || revive(p, i, tid, time_ns))
		return PA_NONE;
	return space_at(p, &p->procs[i], time_ns);
}

int pa_procs__map(struct pa_procs *p, uint32_t space, const struct pa_piece *piece)
{
	return pa_space__map(pa_procs__at(p, space), &p->pieces, piece, &p->dropped_map_cnt);
}

int pa_procs__set_comm(struct pa_procs *p, uint32_t pid, uint32_t tid, const char *comm, bool exec,
		       uint64_t time_ns)
{
	uint32_t str = pa_strings__intern(&p->strings, comm, strlen(comm));
	uint32_t i = get_proc(p, pid);
	uint64_t birth_ns;
	int err;

	if (str == PA_NONE || i == PA_NONE)
		return -ENOMEM;
	err = revive(p, i, tid, time_ns);
	if (err)
		return err;
	if (exec && time_ns) {
		birth_ns = pa_procs__at(p, space_at(p, &p->procs[i], time_ns))->birth_ns;
		if (add_space(p, i, time_ns, birth_ns) == PA_NONE)
			return -ENOMEM;
	}
	return add_comm(p, tid, p->strings.strs[str], time_ns);
}

/* Let space see what the parent's space holds at time_ns. Generations that mapped nothing of
 * their own are skipped, so that chains of forks stay short. */
static void inherit(struct pa_procs *p, uint32_t space, uint32_t parent, uint64_t time_ns)
{
	while (parent != PA_NONE && !pa_procs__at(p, parent)->cur_cnt &&
	       !pa_procs__at(p, parent)->past_cnt) {
		if (pa_procs__at(p, parent)->parent_ns < time_ns)
			time_ns = pa_procs__at(p, parent)->parent_ns;
		parent = pa_procs__at(p, parent)->parent;
	}
	if (parent == PA_NONE || parent >= space) /* a parent is older: no cycles */
		return;
	pa_procs__at(p, space)->parent = parent;
	pa_procs__at(p, space)->parent_ns = time_ns;
}

int pa_procs__fork(struct pa_procs *p, uint32_t pid, uint32_t tid, uint32_t ppid, uint32_t ptid,
		   bool keep_maps, uint64_t time_ns)
{
	uint32_t parent_thread = find_thread(p, ptid), i, parent, space;
	const char *comm = NULL;
	size_t space_cnt;
	int err = 0;

	if (parent_thread != PA_NONE)
		comm = comm_at(&p->threads[parent_thread], time_ns);
	if (comm)
		err = add_comm(p, tid, comm, time_ns);
	if (err || pid == ppid)
		return err;
	i = get_proc(p, pid);
	parent = pa_procs__space(p, ppid, time_ns);
	if (i == PA_NONE || parent == PA_NONE)
		return -ENOMEM;
	p->procs[i].exit_ns = 0;
	/* At time 0 (processes that were there before the capture) the first space is meant. */
	space_cnt = p->space_cnt;
	space = time_ns ? add_space(p, i, time_ns, time_ns) : space_at(p, &p->procs[i], 0);
	if (space == PA_NONE)
		return -ENOMEM;
	if (keep_maps && (!time_ns || p->space_cnt > space_cnt))
		inherit(p, space, parent, time_ns);
	return 0;
}

int pa_procs__exit(struct pa_procs *p, uint32_t pid, uint32_t tid, uint64_t time_ns)
{
	uint32_t i = tid == pid ? find_proc(p, pid) : PA_NONE, thread = find_thread(p, tid);

	p->exit_cnt++;
	if (thread != PA_NONE)
		p->threads[thread].exit_ns = time_ns;
	if (i != PA_NONE &&
	    time_ns > pa_procs__at(p, space_at(p, &p->procs[i], time_ns))->from_ns) {
		p->procs[i].exit_ns = time_ns;
		p->procs[i].was_gone = false;
	}
	return 0;
}

const struct pa_piece *pa_procs__find(const struct pa_procs *p, uint32_t space, uint64_t addr,
				      uint64_t time_ns)
{
	const struct pa_piece *late = NULL, *unused = NULL;
	const struct pa_space *s = pa_procs__at(p, space);
	const struct pa_piece *found = s ? pa_space__find(s, addr, time_ns, &late) : NULL;

	if (!s)
		return NULL;
	for (int i = 0; !found && s->parent != PA_NONE && i < ANCESTORS_MAX; i++) {
		if (s->parent_ns < time_ns)
			time_ns = s->parent_ns;
		s = pa_procs__at(p, s->parent);
		found = pa_space__find(s, addr, time_ns, &unused);
	}
	return found ? found : late;
}

/* ---- what has ended ------------------------------------------------------------------------- */

bool pa_procs__is_due(const struct pa_procs *p)
{
	return p->exit_cnt >= EXITS_MIN && p->exit_cnt >= p->thread_cnt / EXITS_SHARE;
}

/* Decide once for all steps. Other threads may live on after the first, whose id stays then. When
 * they end, it goes before their last samples have come: only the next time is it gone. */
static void find_gone(struct pa_procs *p, uint64_t before_ns, pa_is_there_fn *is_there)
{
	for (size_t i = 0; i < p->proc_cnt; i++) {
		struct pa_proc *proc = &p->procs[i];
		bool ended = proc->exit_ns && proc->exit_ns < before_ns && !is_there(proc->pid);

		proc->is_gone = ended && proc->was_gone;
		proc->was_gone = ended;
	}
	for (size_t i = 0; i < p->thread_cnt; i++) {
		struct pa_thread *t = &p->threads[i];
		uint32_t proc = find_proc(p, t->tid);

		t->is_gone = t->exit_ns && t->exit_ns < before_ns &&
			     (proc == PA_NONE || p->procs[proc].is_gone);
	}
}

/* Mark the spaces that the process had at before_ns or later, and those that they inherit from.
 * @return number of its spaces that were earlier */
static size_t mark_needed(struct pa_procs *p, const struct pa_proc *proc, uint64_t before_ns)
{
	size_t first = spaces_before(p, proc, before_ns);

	first -= first != 0;
	for (size_t i = first; i < proc->space_cnt; i++) {
		uint32_t space = proc->spaces[i];

		for (; space != PA_NONE && !pa_procs__at(p, space)->is_needed;
		     space = pa_procs__at(p, space)->parent)
			pa_procs__at(p, space)->is_needed = true;
	}
	return first;
}

static void keep_procs(struct pa_procs *p, uint64_t before_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->proc_cnt; i++) {
		struct pa_proc proc = p->procs[i];
		size_t first;

		if (proc.is_gone) {
			free(proc.spaces);
			continue;
		}
		first = mark_needed(p, &proc, before_ns);
		proc.space_cnt -= first;
		memmove(proc.spaces, proc.spaces + first, proc.space_cnt * sizeof(*proc.spaces));
		p->procs[kept++] = proc;
	}
	p->proc_cnt = kept;
	free_spaces(p, false);
}

static void keep_threads(struct pa_procs *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->thread_cnt; i++) {
		if (p->threads[i].is_gone)
			free(p->threads[i].comms);
		else
			p->threads[kept++] = p->threads[i];
	}
	p->thread_cnt = kept;
}

int pa_procs__drop_exited(struct pa_procs *p, uint64_t before_ns, pa_is_there_fn *is_there)
{
	struct pa_index by_pid = {0}, by_tid = {0};
	uint32_t cnt = 0;
	int err = 0;

	find_gone(p, before_ns, is_there);
	/* first what may fail */
	for (size_t i = 0; i < p->proc_cnt && !err; i++)
		if (!p->procs[i].is_gone)
			err = pa_index__add(&by_pid, hash_id(p, p->procs[i].pid), cnt++);
	cnt = 0;
	for (size_t i = 0; i < p->thread_cnt && !err; i++)
		if (!p->threads[i].is_gone)
			err = pa_index__add(&by_tid, hash_id(p, p->threads[i].tid), cnt++);
	if (err) {
		pa_index__free(&by_pid);
		pa_index__free(&by_tid);
		return err;
	}
	keep_procs(p, before_ns);
	keep_threads(p);
	pa_index__free(&p->by_pid);
	pa_index__free(&p->by_tid);
	p->by_pid = by_pid;
	p->by_tid = by_tid;
	p->last_proc = p->last_thread = PA_NONE;
	p->exit_cnt = 0;
	return 0;
}
