// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who gets unwind tables when there is not room for all, and who is forgotten: blocks in memory of
 * the test instead of BPF maps, images that are copies of this program, processes that are its
 * children.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/cpu.h"
#include "capture/unwind_images.h"
#include "capture/unwinder.h"
#include "check.h"

#define SECOND 1000000000ULL

/* ---- tables --------------------------------------------------------------------------------- */

static struct pa_pack *pack_self(void)
{
	struct pa_pack *p = NULL;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pa_pack__file(fd, NULL, NULL, &p))
		abort();
	close(fd);
	return p;
}

static struct pa_tables *new_tables(uint64_t budget_bytes)
{
	struct pa_tables_opts opts = {
		.sz = sizeof(opts),
		.blocks_fd = -1,
		.rules_fd = -1,
		.budget_bytes = budget_bytes,
	};
	struct pa_tables *t;

	if (pa_tables__new(&opts, &t))
		abort();
	return t;
}

TEST(need_is_what_is_taken)
{
	struct pa_tables *t = new_tables(16 << 20);
	struct pa_pack *p = pack_self();
	struct pa_table *table;

	CHECK_EQ(pa_tables__load(t, p, &table), 0);
	CHECK(pa_table__bytes(table) > 0);
	CHECK_EQ(pa_tables__need(p), pa_table__bytes(table));
	CHECK_EQ(pa_tables__bytes(t), pa_table__bytes(table));
	pa_pack__free(p);
	pa_tables__free(t);
}

/* One image that does not fit must not keep others out. */
TEST(nothing_is_taken_without_room)
{
	struct pa_pack *p = pack_self();
	uint64_t need = pa_tables__need(p);
	struct pa_tables *t = new_tables(need);
	struct pa_mapping_list list = {0};
	struct pa_process_blocks blocks;
	struct pa_unwind_proc proc;
	struct pa_table *table;

	CHECK_EQ(pa_tables__load(t, p, &table), -ENOSPC);
	CHECK_EQ(pa_tables__bytes(t), 0);
	/* nor the process whose mappings don't fit */
	for (uint64_t i = 0; i < need / PA_BLOCK_BYTES * PA_BLOCK_MAPPINGS + 1; i++)
		CHECK_EQ(pa_mapping_list__add(&list, NULL, i * 8192, 4096, 0), 0);
	CHECK_EQ(pa_tables__put_mappings(t, &list, &blocks, &proc), -ENOSPC);
	CHECK_EQ(pa_tables__bytes(t), 0);
	free(list.entries);
	pa_pack__free(p);
	pa_tables__free(t);
}

/* A file with as many rules as there are numbers leaves some to others. */
TEST(rules_are_shared)
{
	struct pa_tables *t = new_tables(16 << 20);
	struct pa_unwind_rule *rules = calloc(PA_RULES_MAX, sizeof(*rules));
	uint32_t row = PA_ROW(0, PA_RULES_MAX - 1);
	struct pa_pack_page page = {.cnt = 1};
	struct pa_pack_range range = {.vaddr = 4096, .cnt = 1};
	struct pa_pack pack = {
		.ranges = &range,
		.range_cnt = 1,
		.pages = &page,
		.page_cnt = 1,
		.rows = &row,
		.row_cnt = 1,
		.rules = rules,
		.rule_cnt = PA_RULES_MAX,
	};
	struct pa_table *table;

	CHECK(rules);
	for (int file = 0; file < 20; file++) {
		for (int i = 2; i < PA_RULES_MAX; i++)
			rules[i] = (struct pa_unwind_rule){
				.cfa = PA_CFA_SP, .cfa_off = i, .cfa_add = file};
		CHECK_EQ(pa_tables__load(t, &pack, &table), 0);
	}
	/* the last one's first rule still got a number */
	CHECK(pa_tables__rule_cnt(t) < PA_RULES_MAX);
	CHECK(pa_tables__rule_cnt(t) > PA_RULES_MAX - 1000);
	free(rules);
	pa_tables__free(t);
}

TEST(neighbours_without_tables_are_one_mapping)
{
	struct pa_mapping_list list = {0};

	CHECK_EQ(pa_mapping_list__add(&list, NULL, 4096, 4096, 0), 0);
	CHECK_EQ(pa_mapping_list__add(&list, NULL, 8192, 4096, 0), 0);
	CHECK_EQ(pa_mapping_list__add_absent(&list, 12288, 4096), 0);
	CHECK_EQ(pa_mapping_list__add(&list, NULL, 20480, 4096, 0), 0);
	CHECK_EQ(list.cnt, 3);
	CHECK_EQ(list.entries[0].start, 4096);
	CHECK_EQ(list.entries[0].map.end, 12288);
	free(list.entries);
}

/* ---- images --------------------------------------------------------------------------------- */

static char folder[64];

struct images_fixture {
	struct pa_images *files;
	struct pa_tables *tables;
	struct pa_unwind_images images;
};

static void set_up(struct images_fixture *f, uint64_t budget_bytes)
{
	f->tables = new_tables(budget_bytes);
	if (pa_images__new(&f->files))
		abort();
	f->images = (struct pa_unwind_images){
		.files = f->files,
		.tables = f->tables,
		.now_ns = 100 * SECOND,
	};
	pa_tables__tick(f->tables, f->images.now_ns);
	snprintf(folder, sizeof(folder), "/tmp/unwinder-XXXXXX");
	if (!mkdtemp(folder))
		abort();
}

static void tear_down(struct images_fixture *f)
{
	char command[96];

	pa_unwind_images__free(&f->images);
	pa_tables__free(f->tables);
	pa_images__free(f->files);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	if (system(command))
		abort();
}

/* Number of the image that a new copy of this program is. */
static uint32_t copy_self(struct images_fixture *f, int i)
{
	char command[160], path[96];
	struct pd_mmap m = {.pid = 0, .start = 4096, .bytes = 4096, .filename = path};
	struct stat st;
	uint32_t file;

	snprintf(path, sizeof(path), "%s/copy%d", folder, i);
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", (int)getpid(), path);
	if (system(command) || stat(path, &st))
		abort();
	m.maj = major(st.st_dev);
	m.min = minor(st.st_dev);
	m.ino = st.st_ino;
	if (pa_images__complete(f->files, &m, &file) || file == PA_NO_FILE)
		abort();
	return pa_unwind_images__number(path, file);
}

static void pass(struct images_fixture *f, uint64_t seconds)
{
	f->images.now_ns += seconds * SECOND;
	pa_tables__tick(f->tables, f->images.now_ns);
}

static bool has_table(struct images_fixture *f, uint32_t image)
{
	return pa_unwind_images__get(&f->images, image)->table;
}

static uint64_t need_of_self(void)
{
	struct pa_pack *p = pack_self();
	uint64_t need = pa_tables__need(p);

	pa_pack__free(p);
	return need;
}

/* Room for one: the other gets it when the first is idle, and not before. */
TEST(who_was_refused_comes_later)
{
	struct images_fixture f;
	uint32_t a, b;

	set_up(&f, need_of_self() * 3 / 2);
	a = copy_self(&f, 0);
	b = copy_self(&f, 1);
	CHECK(has_table(&f, a));
	CHECK(!has_table(&f, b));
	CHECK_EQ(f.images.over_budget_cnt, 1);
	f.images.images[a].process_cnt = 1;
	pass(&f, 100);
	CHECK(!pa_unwind_images__has_news(&f.images));
	CHECK(has_table(&f, a));
	f.images.images[a].process_cnt = 0;
	f.images.images[a].used_ns = f.images.now_ns;
	pass(&f, 1);
	CHECK(!pa_unwind_images__has_news(&f.images));
	CHECK_EQ(f.images.evicted_cnt, 0);
	pass(&f, 5);
	CHECK(!pa_unwind_images__has_news(&f.images)); /* not free at once */
	CHECK_EQ(f.images.evicted_cnt, 1);
	pass(&f, 2);
	CHECK(pa_unwind_images__has_news(&f.images));
	CHECK(has_table(&f, b));
	CHECK_EQ(f.images.over_budget_cnt, 1);
	CHECK(!pa_unwind_images__has_news(&f.images));
	tear_down(&f);
}

/* Those that are mapped in turns don't chase one another. */
TEST(turns_do_not_thrash)
{
	struct images_fixture f;
	uint32_t a, b;

	set_up(&f, need_of_self() * 3 / 2);
	a = copy_self(&f, 0);
	b = copy_self(&f, 1);
	for (int i = 0; i < 1000; i++) {
		has_table(&f, a);
		has_table(&f, b);
		f.images.now_ns += SECOND / 100;
		pa_tables__tick(f.tables, f.images.now_ns);
	}
	CHECK(f.images.evicted_cnt <= 4);
	CHECK_EQ(f.images.over_budget_cnt, 2);
	tear_down(&f);
}

/* What fits into no budget is packed once, and nothing is evicted for it. */
TEST(too_large_for_ever)
{
	struct images_fixture f;
	uint32_t a;

	set_up(&f, need_of_self());
	a = copy_self(&f, 0);
	for (int i = 0; i < 5; i++) {
		CHECK(!has_table(&f, a));
		pass(&f, 10);
		CHECK(!pa_unwind_images__has_news(&f.images));
	}
	CHECK_EQ(f.images.over_budget_cnt, 1);
	CHECK_EQ(pa_tables__bytes(f.tables), 0);
	tear_down(&f);
}

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t cnt = 0;

	while (dir && readdir(dir))
		cnt++;
	if (dir)
		closedir(dir);
	return cnt;
}

/* Thousands may wait for the packer; their descriptors may not. */
TEST(many_wait_with_few_descriptors)
{
	enum { CNT = 150 };
	struct images_fixture f;
	struct pa_packer *packer;
	size_t before, most;
	uint32_t numbers[CNT];
	int done_cnt = 0, n;

	set_up(&f, 512 << 20);
	for (int i = 0; i < CNT; i++)
		numbers[i] = copy_self(&f, i);
	CHECK_EQ(pa_packer__new(NULL, &packer), 0);
	f.images.packer = packer;
	before = most = count_fds();
	for (int i = 0; i < CNT; i++) {
		CHECK(pa_unwind_images__get(&f.images, numbers[i])->is_awaited);
		/* walks through it are finished meanwhile */
		CHECK(f.images.images[numbers[i]].load_cnt > 0);
		if (count_fds() > most)
			most = count_fds();
	}
	CHECK(most <= before + 40);
	for (int tries = 0; done_cnt < CNT && tries < 3000; tries++) {
		n = pa_unwind_images__take(&f.images);
		CHECK(n >= 0);
		done_cnt += n;
		usleep(10000);
	}
	CHECK_EQ(done_cnt, CNT);
	for (int i = 0; i < CNT; i++)
		CHECK(f.images.images[numbers[i]].table);
	pa_packer__free(packer);
	CHECK_EQ(count_fds(), before - 1); /* its own */
	tear_down(&f);
}

/* ---- the unwinder --------------------------------------------------------------------------- */

static struct pa_images *files;
static struct pd_events *events;

static struct pa_unwinder *new_unwinder(uint64_t budget_bytes)
{
	struct pa_unwinder_opts opts = {
		.sz = sizeof(opts),
		.maps = {-1, -1, -1, -1, false},
		.budget_bytes = budget_bytes,
	};
	struct pa_unwinder *u;

	if (pa_images__new(&files) || pd_events__new(&events))
		abort();
	opts.images = files;
	opts.events = events;
	if (pa_unwinder__new(&opts, &u))
		abort();
	return u;
}

static void free_unwinder(struct pa_unwinder *u)
{
	pa_unwinder__free(u);
	pa_images__free(files);
	pd_events__free(events);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

/* @param path  a file that it maps; NULL: none */
static pid_t start_child(const char *path)
{
	int ready[2], fd;
	char byte = 0;
	pid_t pid;

	if (pipe(ready))
		abort();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also after a failed case */
		fd = path ? open(path, O_RDONLY) : -1;
		if (path &&
		    mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			_exit(1);
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Its end is not always heard of. */
TEST(who_is_gone_is_forgotten)
{
	struct pa_unwinder *u = new_unwinder(64 << 20);
	struct pa_unwinder_stats before, after;
	pid_t child = start_child(NULL);
	uint64_t t = now();

	CHECK_EQ(pa_unwinder__publish(u, getpid()), 0);
	CHECK_EQ(pa_unwinder__end_pass(u, t), 0);
	pa_unwinder__stats(u, &before);
	CHECK(before.image_cnt > 1);
	CHECK_EQ(pa_unwinder__publish(u, child), 0);
	pa_unwinder__stats(u, &after);
	CHECK_EQ(after.published_cnt, 2);
	CHECK(after.table_bytes > before.table_bytes);
	end_child(child);
	for (int i = 1; i <= 4; i++)
		CHECK_EQ(pa_unwinder__end_pass(u, t + i * 6 * SECOND), 0);
	pa_unwinder__stats(u, &after);
	CHECK_EQ(after.table_bytes, before.table_bytes);
	free_unwinder(u);
}

/* Without room for even one block it is frame pointers, not a try at each of its samples. */
TEST(who_does_not_fit_is_not_tried_at_each_sample)
{
	enum { CNT = 20000 };
	struct pa_unwinder *u = new_unwinder(64 << 20);
	struct pa_unwinder_stats st;
	size_t page = 4096;
	uint8_t *code = mmap(NULL, 2 * CNT * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pa_miss_record miss = {.pid = (uint32_t)getpid(), .reason = PA_MISS_PROCESS};
	struct pa_bytes out = {0};
	uint64_t t = now(), start;

	CHECK(code != MAP_FAILED);
	for (size_t i = 0; i < CNT; i++)
		CHECK_EQ(mprotect(code + 2 * i * page, page, PROT_READ | PROT_EXEC), 0);
	CHECK_EQ(pa_unwinder__publish(u, getpid()), 0);
	pa_unwinder__stats(u, &st);
	CHECK_EQ(st.published_cnt, 0);
	CHECK_EQ(st.over_budget_cnt, 1);
	start = now();
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(pa_unwinder__finish(u, &miss, &out), 0);
		CHECK_EQ(pa_unwinder__end_pass(u, t + i), 0);
	}
	CHECK(now() - start < SECOND); /* each try takes some 20 ms */
	pa_unwinder__stats(u, &st);
	CHECK(st.over_budget_cnt <= 2);
	munmap(code, 2 * CNT * page);
	usleep(1100000);
	CHECK_EQ(pa_unwinder__finish(u, &miss, &out), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(pa_unwinder__end_pass(u, t + (1 + (unsigned)i) * 100 * SECOND), 0);
	pa_unwinder__stats(u, &st);
	CHECK(st.published_cnt >= 1);
	pa_bytes__free(&out);
	free_unwinder(u);
}

/* What the walker remembers of a process must not come back with a block. Needs bpf(2). */
TEST(each_publishing_has_its_turn)
{
	int map = bpf_map_create(BPF_MAP_TYPE_HASH, "procs", 4, sizeof(struct pa_unwind_proc), 64,
				 NULL);
	struct pa_unwinder_opts opts = {
		.sz = sizeof(opts),
		.maps = {.blocks_fd = -1, .procs_fd = map, .rules_fd = -1, .seq_fd = -1},
		.budget_bytes = 64 << 20,
	};
	uint32_t pid = (uint32_t)getpid();
	struct pa_unwind_proc before, after;
	struct pa_unwinder *u;
	uint64_t t = now();

	if (map < 0)
		return;
	CHECK_EQ(pa_images__new(&files), 0);
	CHECK_EQ(pd_events__new(&events), 0);
	opts.images = files;
	opts.events = events;
	CHECK_EQ(pa_unwinder__new(&opts, &u), 0);
	CHECK_EQ(pa_unwinder__publish(u, getpid()), 0);
	CHECK_EQ(bpf_map_lookup_elem(map, &pid, &before), 0);
	CHECK(before.is_open);
	for (int i = 1; i < 10; i++) { /* one block in use, one that rests */
		CHECK_EQ(pa_unwinder__end_pass(u, t + (unsigned)i * 2 * SECOND), 0);
		CHECK_EQ(pa_unwinder__publish(u, getpid()), 0);
		CHECK_EQ(bpf_map_lookup_elem(map, &pid, &after), 0);
		CHECK(after.turn != before.turn);
	}
	free_unwinder(u);
	close(map);
}

/* Table bytes and images of two processes, published one after the other. */
static void publish_two(struct pa_unwinder *u, const pid_t *pids, struct pa_unwinder_stats *st)
{
	if (pa_unwinder__publish(u, pids[0]))
		abort();
	pa_unwinder__stats(u, &st[0]);
	if (pa_unwinder__publish(u, pids[1]))
		abort();
	pa_unwinder__stats(u, &st[1]);
}

/* Whoever came first does not keep the room for ever: only while it is sampled. */
TEST(who_sleeps_makes_room)
{
	struct images_fixture f;
	struct pa_unwinder_stats st[2], end;
	struct pa_sample_record rec = {.size = offsetof(struct pa_sample_record, ips)};
	struct pa_bytes samples = {0};
	struct pa_unwinder *u;
	uint64_t t = now(), budget;
	char path[96];
	pid_t pids[2];

	set_up(&f, 1 << 20);
	for (int i = 0; i < 2; i++) {
		copy_self(&f, i);
		snprintf(path, sizeof(path), "%s/copy%d", folder, i);
		pids[i] = start_child(path);
	}
	u = new_unwinder(64 << 20);
	publish_two(u, pids, st);
	CHECK_EQ(st[1].image_cnt, st[0].image_cnt + 1);
	CHECK_EQ(st[1].over_budget_cnt, 0);
	budget = (st[0].table_bytes + (st[1].table_bytes - st[0].table_bytes) / 2) / 7 * 8;
	free_unwinder(u);

	u = new_unwinder(budget);
	publish_two(u, pids, st);
	CHECK_EQ(st[1].image_cnt, st[0].image_cnt);
	CHECK_EQ(st[1].over_budget_cnt, 1);
	rec.pid = (uint32_t)pids[1];
	for (int i = 1; i <= 30; i++) {
		samples.len = 0;
		rec.time = t + (unsigned)i * SECOND;
		CHECK_EQ(pa_bytes__append(&samples, &rec, rec.size), 0);
		pa_unwinder__note_samples(u, &samples);
		CHECK_EQ(pa_unwinder__end_pass(u, rec.time), 0);
	}
	pa_unwinder__stats(u, &end);
	CHECK_EQ(end.evicted_cnt, 1);
	CHECK_EQ(end.image_cnt, st[1].image_cnt);
	CHECK_EQ(end.published_cnt, 3); /* the second one again, once */
	CHECK_EQ(end.over_budget_cnt, 1);
	free_unwinder(u);
	end_child(pids[0]);
	end_child(pids[1]);
	pa_bytes__free(&samples);
	tear_down(&f);
}

/* ---- samples that were walked by what is mapped no longer -------------------------------------
 */

/* A sample with this chain and the branches from 1 to 2 and from 3 to 4. */
static void add_sample(struct pa_bytes *samples, uint32_t pid, uint64_t time_ns,
		       const uint64_t *chain, size_t cnt)
{
	const uint64_t branches[] = {2, 1, 2, 0, 3, 4, 0};
	struct pa_sample_record rec = {.type = PERF_RECORD_SAMPLE, .pid = pid, .time = time_ns};
	const size_t head = offsetof(struct pa_sample_record, ips);

	rec.nr = cnt;
	memcpy(rec.ips, chain, cnt * sizeof(*chain));
	memcpy(&rec.ips[cnt], branches, sizeof(branches));
	rec.size = (uint16_t)(head + cnt * sizeof(*chain) + sizeof(branches));
	if (pa_bytes__append(samples, &rec, rec.size))
		abort();
}

TEST(cut_samples_keep_their_branches)
{
	const uint64_t here = (uint64_t)(uintptr_t)add_sample;
	const uint64_t chain[] = {(uint64_t)PERF_CONTEXT_USER, 0x1000, here, 0x2000, 0x3000};
	struct pd_mmap m = {.pid = (uint32_t)getpid(),
			    .tid = (uint32_t)getpid(),
			    .start = here & ~4095ULL,
			    .bytes = 4096,
			    .prot = 5,
			    .filename = "//anon"};
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.sample_id_all = 1,
	};
	struct pa_unwinder *u = new_unwinder(64 << 20);
	struct pa_bytes want = {0}, got = {0};
	struct pa_unwinder_stats st;
	const __u64 id = 1;
	__u64 buf[64];

	CHECK(pd_events__add(events, &attr, &id, 1, "x") >= 0);
	CHECK_EQ(pa_unwinder__publish(u, getpid()), 0);
	m.id = (struct pd_sample_id){.pid = m.pid, .tid = m.pid, .time = now(), .id = id};
	CHECK(pd_put_mmap2(buf, sizeof(buf), events, PERF_RECORD_MISC_USER, &m) > 0);
	CHECK_EQ(pa_unwinder__record(u, (const void *)buf, PA_NO_FILE), 0);
	for (int i = 0; i < 2; i++) { /* then as it should be */
		struct pa_bytes *to = i ? &want : &got;

		add_sample(to, m.pid, m.id.time - 1, chain, 5);
		add_sample(to, m.pid, m.id.time + 1, chain, i ? 3 : 5);
		add_sample(to, m.pid + 1, m.id.time + 1, chain, 5);
	}
	pa_unwinder__cut_stale(u, &got);
	CHECK_EQ(got.len, want.len);
	CHECK(!memcmp(got.data, want.data, want.len));
	pa_unwinder__stats(u, &st);
	CHECK_EQ(st.stale_cnt, 1);
	pa_bytes__free(&got);
	pa_bytes__free(&want);
	free_unwinder(u);
}

TEST_MAIN()
