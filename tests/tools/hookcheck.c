// SPDX-License-Identifier: GPL-2.0-only
/*
 * hookcheck.c - do the hooks say what makes a process's tables stale, and no more? Puts itself
 * into "procs" with mappings of its own making, then maps, forks and execs, and prints
 * "ok WHAT" or "not ok WHAT" for each; "skip WHAT: WHY" where a hook can't be had.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/unwind.h"
#include "capture/bpfobj.h"
#include "cpu.skel.h"

#define PAGES 4

static struct cpu_bpf *skel;
static bool has_failed;

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static struct pa_unwind_seq seq_of(pid_t pid)
{
	struct pa_unwind_seq seq = {0};
	__u32 key = (__u32)pid % PA_SEQ_SLOTS;

	bpf_map_lookup_elem(bpf_map__fd(skel->maps.unwind_seq), &key, &seq);
	return seq;
}

/* Each hook is there twice (PA_TWICE). */
static void expect(const char *what, struct pa_unwind_seq before, struct pa_unwind_seq now,
		   unsigned mapped, unsigned stale)
{
	bool is_ok =
		now.mapped - before.mapped == 2 * mapped && now.stale - before.stale == 2 * stale;

	printf("%s %s: mapped %u stale %u\n", is_ok ? "ok" : "not ok", what,
	       now.mapped - before.mapped, now.stale - before.stale);
	has_failed |= !is_ok;
}

static int load(bool with_mmap)
{
	int err;

	skel = cpu_bpf__open();
	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.cpu_sample, false);
	PA_BPFOBJ_LOAD_BOTH(skel, follow_fork, false);
	PA_BPFOBJ_LOAD_BOTH(skel, follow_exit, false);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_mmap, with_mmap);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_protect, with_mmap);
	err = cpu_bpf__load(skel);
	return err ? err : cpu_bpf__attach(skel);
}

/* A block with two mappings: frame pointers, then tables, PAGES each. */
static void *enter(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "segment", 4, PA_BLOCK_BYTES, PA_SEGMENT_BLOCKS,
				&opts);
	struct pa_unwind_proc proc = {.block = 1, .cnt = 2, .is_open = 1};
	struct pa_mapping_block block = {0};
	__u32 zero = 0, one = 1, pid = (__u32)getpid();
	size_t bytes = PAGES * 4096;
	char *area =
		mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(block.start, 0xff, sizeof(block.start));
	block.start[0] = (__u64)area;
	block.start[1] = (__u64)area + bytes;
	block.map[0] = (struct pa_mapping){.end = block.start[1], .kind = PA_MAPPING_FP};
	block.map[1] = (struct pa_mapping){.end = block.start[1] + bytes, .kind = PA_MAPPING_TABLE};
	if (fd < 0 || area == MAP_FAILED || bpf_map_update_elem(fd, &one, &block, 0) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.blocks), &zero, &fd, 0) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.procs), &pid, &proc, 0))
		return NULL;
	return area;
}

static void map(const char *what, void *at, size_t bytes, int flags, unsigned stale)
{
	struct pa_unwind_seq before = seq_of(getpid());
	FILE *file = flags & MAP_ANONYMOUS ? NULL : fopen("/proc/self/exe", "r");
	void *got = mmap(at, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | flags,
			 file ? fileno(file) : -1, 0);

	expect(what, before, seq_of(getpid()), got != MAP_FAILED, stale);
	if (file)
		fclose(file);
}

static void check_mmap(char *area)
{
	size_t bytes = PAGES * 4096;
	struct pa_unwind_seq before;

	mprotect(area, bytes, PROT_READ); /* a mapping of its own */
	before = seq_of(getpid());
	mprotect(area, 4096, PROT_READ | PROT_EXEC);
	expect("protect-fp", before, seq_of(getpid()), 1, 0);
	before = seq_of(getpid());
	mprotect(area, 4096, PROT_READ | PROT_WRITE);
	expect("protect-data", before, seq_of(getpid()), 0, 0);
	map("elsewhere", NULL, 4096, MAP_ANONYMOUS, 0);
	map("anonymous-over-fp", area + 4096, 4096, MAP_ANONYMOUS | MAP_FIXED, 0);
	map("file-over-fp", area + 4096, 4096, MAP_FIXED, 1);
	map("anonymous-over-table", area + bytes, 4096, MAP_ANONYMOUS | MAP_FIXED, 1);
	map("anonymous-over-both", area + bytes - 4096, 8192, MAP_ANONYMOUS | MAP_FIXED, 1);
	before = seq_of(getpid());
	munmap(area, 2 * bytes);
	expect("unmapped", before, seq_of(getpid()), 0, 0);
}

static void check_processes(void)
{
	struct pa_unwind_seq before, after;
	int go[2];
	pid_t pid;
	char c;

	if (pipe(go))
		return;
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) >= 0)
			execlp("true", "true", NULL);
		_exit(1);
	}
	before = seq_of(pid);
	printf("%s fork: stale %u\n", before.stale == 2 ? "ok" : "not ok", before.stale);
	has_failed |= before.stale != 2;
	close(go[1]);
	waitpid(pid, NULL, 0);
	after = seq_of(pid);
	printf("%s exec: stale %u\n", after.stale > before.stale ? "ok" : "not ok",
	       after.stale - before.stale);
	has_failed |= after.stale <= before.stale;
}

int main(void)
{
	bool with_mmap = true;
	char *area;
	int err;

	libbpf_set_print(silent);
	err = load(true);
	if (err) {
		printf("skip mmap: %s\n", strerror(-err));
		with_mmap = false;
		cpu_bpf__destroy(skel);
		err = load(false);
	}
	if (err) {
		fprintf(stderr, "hookcheck: failed to load: %s\n", strerror(-err));
		return 1;
	}
	area = enter();
	if (!area) {
		fprintf(stderr, "hookcheck: failed to fill the maps: %s\n", strerror(errno));
		return 1;
	}
	check_processes();
	if (with_mmap)
		check_mmap(area);
	return has_failed;
}
