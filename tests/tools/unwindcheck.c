// SPDX-License-Identifier: GPL-2.0-only
/*
 * unwindcheck.c - is what the BPF walker makes of a stack right? `unwindcheck PID` loads the tables
 * of a process that runs, samples it, and has each sample's registers and a copy of its stack come
 * with the chain that the walker found; libdw and the offline unwinder walk the same. Chains are
 * compared pc by pc; prints "key value" lines and what differs.
 *
 * A walk that the program leaves to user space counts by what the offline unwinder makes of it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bpf/cpu.h"
#include "bpf/unwind.h"
#include "capture/bpfobj.h"
#include "capture/event.h"
#include "capture/procfs.h"
#include "capture/ring.h"
#include "cpu.skel.h"
#include "unwind/offline.h"
#include "unwind/pack.h"

#define RING_BYTES (16 << 20)
#define SEGMENT_BYTES (PA_SEGMENT_BLOCKS * PA_BLOCK_BYTES)
#define DIFFERENCES_MAX 64
#define RED_ZONE_BYTES 4096ULL
#if defined(__aarch64__)
#define MACHINE EM_AARCH64
#define DWARF_REGS 32
#define DWARF_PC 32
#define DWARF_SP 31
#else
#define MACHINE EM_X86_64
#define DWARF_REGS 17
#define DWARF_PC 16
#define DWARF_SP 7
#endif

struct image {
	uint32_t maj, min;
	uint64_t ino;
	struct pa_cfi *cfi;
	struct pa_pack *pack;
	struct pa_text_page *pages; /* of pack's, in blocks */
};

struct mapping {
	uint64_t start, end, bias;
	struct pa_cfi *cfi; /* NULL: none */
	bool is_vdso;
};

struct chain {
	size_t cnt;
	__u64 ips[PA_UNWIND_FRAMES_MAX];
	bool is_finished;
	const char *error;
};

struct difference {
	char text[256];
	unsigned long cnt;
};

struct check {
	pid_t pid;
	unsigned per_block; /* mappings in a block */
	bool is_verbose, log_walks;
	unsigned misses_max; /* not 0: load no tables */
	struct cpu_bpf *skel;
	/* tables */
	void *segments[PA_SEGMENTS_MAX];
	uint32_t block_cnt, rule_cnt;
	struct pa_unwind_rule *rules; /* mapped */
	struct image *images;
	size_t image_cnt, image_cap;
	struct mapping *maps;
	size_t map_cnt, map_cap;
	struct pa_mapping *pieces; /* as they go into blocks, with their starts */
	uint64_t *starts;
	size_t piece_cnt, piece_cap, start_cap;
	/* sampling */
	struct pa_ring **rings;
	size_t cpu_cnt;
	/* comparing */
	Dwfl *dwfl;
	const struct pa_miss_record *sample;
	bool is_beyond, is_below; /* libdw wanted what was not copied */
	struct chain dw, ours;
	unsigned long samples, unfinished, identical, left, left_identical, ends[32];
	unsigned long blind, blind_identical; /* where libdw can only guess, ours is compared */
	unsigned long offline_identical, complete_unfinished;
	struct difference differences[DIFFERENCES_MAX];
	size_t difference_cnt;
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("unwindcheck: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(1);
}

static void *grow(void *array, size_t cnt, size_t *cap, size_t bytes)
{
	if (cnt < *cap)
		return array;
	*cap = *cap ? 2 * *cap : 64;
	array = realloc(array, *cap * bytes);
	return array ? array : (die("out of memory"), NULL);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void *block(struct check *c, uint32_t number)
{
	return (char *)c->segments[number / PA_SEGMENT_BLOCKS] +
	       (size_t)(number % PA_SEGMENT_BLOCKS) * PA_BLOCK_BYTES;
}

static uint32_t new_block(struct check *c)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	uint32_t number = c->block_cnt++, segment = number / PA_SEGMENT_BLOCKS;
	int fd;

	if (segment == PA_SEGMENTS_MAX)
		die("too many blocks");
	if (c->segments[segment])
		return number;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "segment", 4, PA_BLOCK_BYTES, PA_SEGMENT_BLOCKS,
			    &opts);
	if (fd < 0 || bpf_map_update_elem(bpf_map__fd(c->skel->maps.blocks), &segment, &fd, 0))
		die("segment: failed to create: %s", strerror(errno));
	c->segments[segment] = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->segments[segment] == MAP_FAILED)
		die("segment: failed to map: %s", strerror(errno));
	close(fd);
	return number;
}

static uint32_t rule_id(struct check *c, const struct pa_unwind_rule *rule)
{
	for (uint32_t i = 0; i < c->rule_cnt; i++)
		if (!memcmp(&c->rules[i], rule, sizeof(*rule)))
			return i;
	if (c->rule_cnt == PA_RULES_MAX)
		return PA_RULE_ID_COMPLEX;
	c->rules[c->rule_cnt] = *rule;
	return c->rule_cnt++;
}

static void load_pages(struct check *c, struct image *im)
{
	const struct pa_pack *p = im->pack;
	uint32_t *ids = calloc(p->rule_cnt, sizeof(*ids)), number = 0, used = PA_BLOCK_ROWS;

	im->pages = calloc(p->page_cnt ? p->page_cnt : 1, sizeof(*im->pages));
	if (!ids || !im->pages)
		die("out of memory");
	for (size_t i = 0; i < p->rule_cnt; i++)
		ids[i] = rule_id(c, &p->rules[i]);
	for (size_t i = 0; i < p->page_cnt; i++) {
		const struct pa_pack_page *page = &p->pages[i];
		uint32_t *rows;

		if (used + page->cnt > PA_BLOCK_ROWS) {
			number = new_block(c);
			used = 0;
		}
		rows = block(c, number);
		for (size_t k = 0; k < page->cnt; k++) {
			uint32_t row = p->rows[page->first + k];

			rows[used + k] = PA_ROW(row >> 16, ids[PA_ROW_RULE(row)]);
		}
		im->pages[i] = (struct pa_text_page){
			number, (uint16_t)used,
			(uint16_t)(page->cnt | (page->keeps_fp ? PA_PAGE_KEEPS_FP : 0))};
		used += page->cnt;
	}
	free(ids);
}

/* @return NULL: no file, or no CFI in it */
static struct image *image_of(struct check *c, const struct pa_proc_map *m)
{
	bool is_vdso = !strcmp(m->path, "[vdso]");
	struct image *im;
	char path[128];
	int fd, err;

	if (!m->ino && !is_vdso)
		return NULL;
	for (size_t i = 0; i < c->image_cnt; i++) {
		im = &c->images[i];
		if (im->ino == m->ino && im->maj == m->maj && im->min == m->min)
			return im->pack ? im : NULL;
	}
	c->images = grow(c->images, c->image_cnt, &c->image_cap, sizeof(*c->images));
	im = &c->images[c->image_cnt++];
	*im = (struct image){.maj = m->maj, .min = m->min, .ino = m->ino};
	if (is_vdso) {
		const void *mem = (const void *)getauxval(AT_SYSINFO_EHDR); /* the same in all */

		err = pa_cfi__open_mem(mem, m->bytes, &im->cfi);
	} else {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", c->pid, m->start,
			 m->start + m->bytes);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		err = fd < 0 ? -errno : pa_cfi__open_fd(fd, NULL, NULL, &im->cfi);
		if (fd >= 0)
			close(fd);
	}
	if (!err)
		err = is_vdso ? pa_pack__build_vdso(im->cfi, &im->pack)
			      : pa_pack__build(im->cfi, &im->pack);
	if (err) {
		printf("# %s: no tables: %s\n", m->path, strerror(-err));
		return NULL;
	}
	load_pages(c, im);
	return im;
}

static const struct pa_text_page *page_of(const struct image *im, uint64_t vaddr)
{
	for (size_t i = 0; i < im->pack->range_cnt; i++) {
		const struct pa_pack_range *r = &im->pack->ranges[i];

		if (vaddr >= r->vaddr && vaddr - r->vaddr < (uint64_t)r->cnt << 12)
			return &im->pages[r->first + ((vaddr - r->vaddr) >> 12)];
	}
	return NULL;
}

static void add_piece(struct check *c, uint64_t start, struct pa_mapping piece)
{
	c->starts = grow(c->starts, c->piece_cnt, &c->start_cap, sizeof(*c->starts));
	c->pieces = grow(c->pieces, c->piece_cnt, &c->piece_cap, sizeof(*c->pieces));
	c->starts[c->piece_cnt] = start;
	c->pieces[c->piece_cnt++] = piece;
}

static void add_indexed(struct check *c, const struct image *im, uint64_t start, uint64_t end,
			uint64_t bias)
{
	struct pa_mapping piece = {.end = end,
				   .base = start,
				   .index_block = new_block(c),
				   .kind = PA_MAPPING_TABLE,
				   .keeps_fp = 1};
	struct pa_text_page *slots = block(c, piece.index_block);

	for (uint64_t at = start; at < end; at += 4096) {
		const struct pa_text_page *page = page_of(im, at - bias);

		if (page)
			slots[(at - start) / 4096] = *page;
		if (!page || !(page->cnt & PA_PAGE_KEEPS_FP))
			piece.keeps_fp = 0;
	}
	add_piece(c, start, piece);
}

static int add_mapping(void *ctx, const struct pa_proc_map *m)
{
	struct check *c = ctx;
	struct mapping to = {.start = m->start, .end = m->start + m->bytes};
	struct image *im;
	uint64_t vaddr;

	if ((int64_t)m->start < 0)
		return 0;
	im = image_of(c, m);
	to.is_vdso = !strcmp(m->path, "[vdso]");
	if (im && !pa_cfi__vaddr(im->cfi, m->pgoff, &vaddr)) {
		to.cfi = im->cfi;
		to.bias = m->start - vaddr;
		for (uint64_t at = to.start; at < to.end; at += PA_BLOCK_PAGES * 4096)
			add_indexed(c, im, at,
				    to.end - at > PA_BLOCK_PAGES * 4096 ? at + PA_BLOCK_PAGES * 4096
									: to.end,
				    to.bias);
	} else {
		add_piece(c, to.start, (struct pa_mapping){.end = to.end, .kind = PA_MAPPING_FP});
	}
	c->maps = grow(c->maps, c->map_cnt, &c->map_cap, sizeof(*c->maps));
	c->maps[c->map_cnt++] = to;
	return 0;
}

static uint32_t mapping_block(struct check *c, size_t first, size_t cnt)
{
	uint32_t number = new_block(c);
	struct pa_mapping_block *b = block(c, number);

	for (size_t i = 0; i < PA_BLOCK_MAPPINGS; i++) {
		b->start[i] = i < cnt ? c->starts[first + i] : ~0ULL;
		if (i < cnt)
			b->map[i] = c->pieces[first + i];
	}
	return number;
}

static void load_tables(struct check *c)
{
	struct pa_unwind_proc proc = {.is_open = 1};
	size_t per = c->per_block;
	uint32_t key = (uint32_t)c->pid;
	int err;

	c->block_cnt = 1;
	c->rules = mmap(NULL, PA_RULES_MAX * sizeof(*c->rules), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(c->skel->maps.rules), 0);
	if (c->rules == MAP_FAILED)
		die("rules: failed to map: %s", strerror(errno));
	c->rules[PA_RULE_ID_COMPLEX].cfa = PA_CFA_COMPLEX;
	c->rule_cnt = 2;
	new_block(c);
	err = pa_procfs__exec_maps(c->pid, add_mapping, c);
	if (err)
		die("process %d: failed to read maps: %s", c->pid, strerror(-err));
	proc.cnt = (uint32_t)c->piece_cnt;
	if (c->piece_cnt <= per) {
		proc.block = mapping_block(c, 0, c->piece_cnt);
	} else {
		struct pa_mapping_block *dir;

		proc.is_directory = 1;
		proc.block = new_block(c);
		proc.cnt = 0;
		dir = block(c, proc.block);
		memset(dir->start, 0xff, sizeof(dir->start));
		for (size_t i = 0; i < c->piece_cnt && proc.cnt < PA_BLOCK_MAPPINGS; i += per) {
			size_t cnt = c->piece_cnt - i < per ? c->piece_cnt - i : per;

			dir->start[proc.cnt] = c->starts[i];
			dir->map[proc.cnt++].index_block = mapping_block(c, i, cnt);
		}
	}
	if (c->misses_max)
		return;
	if (bpf_map_update_elem(bpf_map__fd(c->skel->maps.procs), &key, &proc, BPF_ANY))
		die("procs: failed to set: %s", strerror(errno));
	printf("# %zu mappings, %u blocks, %u rules\n", c->piece_cnt, c->block_cnt, c->rule_cnt);
}

/* ---- the other walks ------------------------------------------------------------------------ */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct check *c = arg;

	(void)dwfl;
	if (*thread)
		return 0;
	*thread = c;
	return c->pid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	(void)dwfl;
	(void)tid;
	*thread = arg;
	return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	struct check *c = arg;
	uint64_t at = addr - c->sample->regs[DWARF_SP];

	(void)dwfl;
	if (at > c->sample->stack_bytes || c->sample->stack_bytes - at < 8) {
		/* libdw takes that for the end of the stack, unless the register is not needed:
		 * one that was popped a moment ago, and is said to lie below the stack pointer */
		c->is_beyond |= at < -RED_ZONE_BYTES;
		c->is_below |= at >= -RED_ZONE_BYTES;
		return false;
	}
	memcpy(result, c->sample->stack + at, 8);
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct check *c = arg;
	Dwarf_Word regs[PA_MISS_REGS];

	for (size_t i = 0; i < PA_MISS_REGS; i++)
		regs[i] = c->sample->regs[i];
	if (!dwfl_thread_state_registers(thread, 0, DWARF_REGS, regs))
		return false;
	dwfl_thread_state_register_pc(thread, regs[DWARF_PC]);
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

static char *no_path;
static const Dwfl_Callbacks dwfl_callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.debuginfo_path = &no_path,
};

static void open_dwfl(struct check *c)
{
	c->dwfl = dwfl_begin(&dwfl_callbacks);
	if (!c->dwfl || dwfl_linux_proc_report(c->dwfl, c->pid) ||
	    dwfl_report_end(c->dwfl, NULL, NULL) ||
	    !dwfl_attach_state(c->dwfl, NULL, c->pid, &thread_callbacks, c))
		die("libdw: failed to attach: %s", dwfl_errmsg(-1));
}

static int add_frame(Dwfl_Frame *frame, void *arg)
{
	struct chain *chain = arg;
	bool is_exact;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &is_exact) || chain->cnt == PA_UNWIND_FRAMES_MAX)
		return DWARF_CB_ABORT;
	chain->ips[chain->cnt++] = pc;
	return DWARF_CB_OK;
}

static void walk_libdw(struct check *c)
{
	int ret;

	c->dw.cnt = 0;
	c->is_beyond = c->is_below = false;
	ret = dwfl_getthread_frames(c->dwfl, c->pid, add_frame, &c->dw);
	c->dw.error = NULL;
	if (c->is_beyond || (c->is_below && (!c->ours.is_finished || c->dw.cnt < c->ours.cnt)))
		c->dw.error = "not in the copied stack";
	else if (ret)
		c->dw.error = ret < 0 ? dwfl_errmsg(-1) : "too deep";
	c->dw.is_finished = !c->dw.error;
}

static int find_map(void *ctx, uint64_t pc, struct pa_unwind_map *out)
{
	const struct check *c = ctx;

	for (size_t i = 0; i < c->map_cnt; i++) {
		const struct mapping *m = &c->maps[i];

		if (pc < m->start || pc >= m->end)
			continue;
		*out = (struct pa_unwind_map){m->cfi, m->bias, m->is_vdso};
		return 0;
	}
	return -ENOENT;
}

/* Registers in the order of perf's bits. */
static size_t perf_regs(const __u64 *dwarf, uint64_t *out, uint64_t *mask)
{
#if defined(__aarch64__)
	memcpy(out, dwarf, 33 * sizeof(*out));
	*mask = (1ULL << 33) - 1;
	return 33;
#else
	static const uint8_t numbers[] = {0, 3, 2, 1, 4, 5, 6, 7, 16}; /* ax bx ... sp ip */
	size_t cnt = 0;

	for (; cnt < 9; cnt++)
		out[cnt] = dwarf[numbers[cnt]];
	for (size_t i = 8; i < 16; i++)
		out[cnt++] = dwarf[i];
	*mask = 0x1ff | 0xffULL << 16;
	return cnt;
#endif
}

static void walk_offline(struct check *c)
{
	static struct pa_unwind_chain chain;
	uint64_t regs[PA_MISS_REGS];
	struct pa_unwind_sample s = {
		.machine = MACHINE,
		.abi = PERF_SAMPLE_REGS_ABI_64,
		.regs = regs,
		.stack = c->sample->stack,
		.stack_bytes = c->sample->stack_bytes,
		.find_map = find_map,
		.ctx = c,
	};

	s.reg_cnt = perf_regs(c->sample->regs, regs, &s.reg_mask);
	if (pa_unwind(&s, &chain))
		die("out of memory");
	c->ours.cnt = chain.cnt;
	c->ours.is_finished = chain.end == PA_UNWIND_COMPLETE;
	memcpy(c->ours.ips, chain.ips, chain.cnt * sizeof(*chain.ips));
}

/* ---- comparing ------------------------------------------------------------------------------ */

static const char *end_name(unsigned end)
{
	static const char *const names[] = {
		[PA_WALK_COMPLETE] = "complete",
		[PA_WALK_TRUNCATED] = "truncated",
		[PA_WALK_FAULTED] = "faulted",
		[PA_WALK_DEEP] = "deep",
		[PA_WALK_MISS + PA_MISS_PROCESS] = "no_process",
		[PA_WALK_MISS + PA_MISS_MAPPING] = "no_table",
		[PA_WALK_MISS + PA_MISS_COMPLEX] = "complex",
	};

	return end < sizeof(names) / sizeof(*names) && names[end] ? names[end] : "?";
}

static void name_of(struct check *c, uint64_t pc, char *out, size_t bytes)
{
	Dwfl_Module *mod = dwfl_addrmodule(c->dwfl, pc);
	const char *file =
		mod ? dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : "nowhere";
	const char *slash = file ? strrchr(file, '/') : NULL, *name;
	Dwarf_Addr start = 0;
	GElf_Off offset = 0;
	GElf_Sym sym;

	name = mod ? dwfl_module_addrinfo(mod, pc, &offset, &sym, NULL, NULL, NULL) : NULL;
	if (mod)
		dwfl_module_info(mod, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	if (name)
		snprintf(out, bytes, "%s:%s+%#lx", slash ? slash + 1 : file, name, offset);
	else
		snprintf(out, bytes, "%s+%#lx", slash ? slash + 1 : file, pc - start);
}

static void count(struct check *c, const char *text)
{
	size_t i = 0;

	while (i < c->difference_cnt && strcmp(c->differences[i].text, text) != 0)
		i++;
	if (i == DIFFERENCES_MAX)
		return;
	if (i == c->difference_cnt)
		strcpy(c->differences[c->difference_cnt++].text, text);
	c->differences[i].cnt++;
}

/* Where a chain leaves libdw's: after which frame. */
static void note(struct check *c, const char *who, unsigned end, const __u64 *ips, size_t cnt)
{
	char after[96] = "-", text[256];
	size_t i = 0;

	while (i < cnt && i < c->dw.cnt && ips[i] == c->dw.ips[i])
		i++;
	if (i)
		name_of(c, ips[i - 1], after, sizeof(after));
	snprintf(text, sizeof(text), "differs: %s %s %s after frame of %s", who, end_name(end),
		 i == cnt	  ? "ends"
		 : i == c->dw.cnt ? "goes on"
				  : "differs",
		 after);
	if (c->is_verbose) {
		printf("# %s\n", text);
		for (size_t k = 0; k < cnt || k < c->dw.cnt; k++) {
			char a[96] = "", b[96] = "";

			if (k < cnt)
				name_of(c, ips[k], a, sizeof(a));
			if (k < c->dw.cnt)
				name_of(c, c->dw.ips[k], b, sizeof(b));
			printf("#   %-50s %s\n", a, b);
		}
	}
	count(c, text);
}

/* At which frame a walk stops, without an end of the stack. */
static void note_stop(struct check *c, const char *who, const char *why, const __u64 *ips,
		      size_t cnt)
{
	char at[96] = "-", text[256];

	if (cnt)
		name_of(c, ips[cnt - 1], at, sizeof(at));
	snprintf(text, sizeof(text), "stops: %s at %s: %s", who, at, why);
	count(c, text);
}

static bool is_same(const __u64 *ips, size_t cnt, const struct chain *dw)
{
	size_t want = dw->cnt;

	if (want > PA_FRAMES_MAX && cnt >= PA_FRAMES_MAX)
		want = cnt = PA_FRAMES_MAX;
	return cnt == want && !memcmp(ips, dw->ips, cnt * sizeof(*ips));
}

/* On aarch64, libdw follows the link register and frame pointers where there is no CFI, also of
 * functions that have no frame: the vdso's, whose rules are known (src/unwind/vdso.c), and JIT
 * code. */
static bool is_blind(const struct check *c)
{
	for (size_t i = 0; MACHINE == EM_AARCH64 && i < c->ours.cnt; i++) {
		struct pa_unwind_map map = {0};

		if (find_map((void *)c, c->ours.ips[i] - (i > 0), &map) || !map.cfi || map.is_vdso)
			return true;
	}
	return false;
}

static void compare(struct check *c, const struct pa_miss_record *m)
{
	unsigned end = m->type == PA_RING_TYPE_MISS ? PA_WALK_MISS + m->reason : m->reason;
	bool is_offline_same;

	c->sample = m;
	c->samples++;
	c->ends[end % 32]++;
	walk_offline(c);
	walk_libdw(c);
	if (end != PA_WALK_COMPLETE)
		note_stop(c, "walker", end_name(end), m->ips + 1, m->nr - 1);
	if (is_blind(c) && c->ours.is_finished) {
		c->blind++;
		c->dw = c->ours;
		if (is_same(m->ips + 1, m->nr - 1, &c->dw))
			c->blind_identical++;
		else
			note(c, "walker", end, m->ips + 1, m->nr - 1);
		return;
	}
	if (!c->dw.is_finished) {
		c->unfinished++;
		c->complete_unfinished += end == PA_WALK_COMPLETE;
		note_stop(c, "libdw", c->dw.error, c->dw.ips, c->dw.cnt);
		return;
	}
	is_offline_same = is_same(c->ours.ips, c->ours.cnt, &c->dw);
	c->offline_identical += is_offline_same;
	if (!is_offline_same)
		note(c, "offline", 0, c->ours.ips, c->ours.cnt);
	if (end >= PA_WALK_MISS) {
		c->left++;
		c->left_identical += is_offline_same;
	} else if (is_same(m->ips + 1, m->nr - 1, &c->dw)) {
		c->identical++;
	} else {
		note(c, "walker", end, m->ips + 1, m->nr - 1);
	}
}

static void report_counters(const struct check *c)
{
	static const char *const names[] = {
		"fired",       "written",   "lost",    "no_user_stack", "complete_tables",
		"complete_fp", "truncated", "faulted", "deep",		"missed",
		"no_process",  "no_table",  "complex", "capped"};
	__u64 sums[sizeof(struct pa_cpu_stats) / 8] = {0};
	union {
		struct pa_cpu_stats stats;
		__u64 values[sizeof(struct pa_cpu_stats) / 8];
	} of_cpu;

	for (uint32_t cpu = 0; cpu < c->cpu_cnt; cpu++) {
		if (bpf_map_lookup_elem(bpf_map__fd(c->skel->maps.stats), &cpu, &of_cpu))
			die("counters: failed to read: %s", strerror(errno));
		for (size_t i = 0; i < sizeof(sums) / 8; i++)
			sums[i] += of_cpu.values[i];
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		printf("bpf_%s %llu\n", names[i], sums[i]);
}

static void report(const struct check *c)
{
	unsigned long finished = c->samples - c->unfinished - c->blind;

	printf("samples %lu\nlibdw_unfinished %lu\nof_them_complete %lu\n", c->samples,
	       c->unfinished, c->complete_unfinished);
	printf("finished %lu\nidentical %lu\nleft %lu\nleft_identical %lu\noffline_identical %lu\n",
	       finished, c->identical, c->left, c->left_identical, c->offline_identical);
	printf("blind %lu\nblind_identical %lu\n", c->blind, c->blind_identical);
	for (unsigned i = 0; i < 32; i++)
		if (c->ends[i])
			printf("end_%s %lu\n", end_name(i), c->ends[i]);
	for (size_t i = 0; i < c->difference_cnt; i++)
		printf("%lu %s\n", c->differences[i].cnt, c->differences[i].text);
	if (finished)
		printf("identical_percent %.3f\n",
		       100.0 * (double)(c->identical + c->left_identical) / (double)finished);
}

/* ---- sampling ------------------------------------------------------------------------------- */

/* Unused programs and maps by CPU. */
static void prepare(struct check *c, struct cpu_bpf *skel)
{
	skel->rodata->filter_pids = true;
	skel->rodata->want_kernel = false;
	PA_BPFOBJ_LOAD_BOTH(skel, follow_fork, false);
	PA_BPFOBJ_LOAD_BOTH(skel, follow_exit, false);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_fork, false);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_exec, false);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_mmap, false);
	PA_BPFOBJ_LOAD_BOTH(skel, unwind_protect, false);
	bpf_map__set_max_entries(skel->maps.rings, (uint32_t)c->cpu_cnt);
	skel->rodata->wake_bytes = RING_BYTES / 2; /* walks to finish may fill the ring */
	bpf_map__set_max_entries(skel->maps.scratch, (uint32_t)c->cpu_cnt);
	bpf_map__set_max_entries(skel->maps.stats, (uint32_t)c->cpu_cnt);
	bpf_map__set_max_entries(skel->maps.misses, (uint32_t)c->cpu_cnt);
	bpf_map__set_max_entries(skel->maps.pids, 16);
}

static void make_rings(struct check *c)
{
	c->rings = calloc(c->cpu_cnt, sizeof(*c->rings));
	for (size_t i = 0; i < c->cpu_cnt; i++)
		if (pa_ring__new(RING_BYTES, &c->rings[i]))
			die("ring: failed to create");
}

static void load(struct check *c, struct cpu_bpf *skel)
{
	uint32_t key = (uint32_t)c->pid;
	uint8_t one = 1;

	bpf_map__set_inner_map_fd(skel->maps.rings, pa_ring__fd(c->rings[0]));
	if (cpu_bpf__load(skel))
		die("BPF program: failed to load: %s", strerror(errno));
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.pids), &key, &one, BPF_ANY))
		die("pids: failed to set: %s", strerror(errno));
	for (uint32_t i = 0; i < c->cpu_cnt; i++) {
		int fd = pa_ring__fd(c->rings[i]);

		if (bpf_map_update_elem(bpf_map__fd(skel->maps.rings), &i, &fd, BPF_ANY))
			die("rings: failed to set: %s", strerror(errno));
	}
}

static void load_program(struct check *c)
{
	c->skel = cpu_bpf__open();
	if (!c->skel)
		die("BPF program: failed to open");
	prepare(c, c->skel);
	c->skel->rodata->unwind_mode = PA_UNWIND_TABLES;
	c->skel->rodata->log_walks = c->log_walks;
	if (c->misses_max)
		c->skel->rodata->misses_max = c->misses_max;
	c->skel->rodata->miss_stack_bytes = PA_MISS_STACK_BYTES;
	load(c, c->skel);
}

/* @param pid  -1: on that CPU; else this thread, cpu is -1 */
static int open_event(const struct bpf_program *prog, const char *event, unsigned long hz, int pid,
		      int cpu)
{
	struct pa_event_spec spec = {.name = event, .freq_hz = hz};
	struct perf_event_attr attr = {.size = PERF_ATTR_SIZE_VER5};
	char name[64];
	int fd;

	if (pa_event__parse(&spec, &attr, name))
		die("%s: unknown event", event);
	fd = pa_event__open(&attr, pid, cpu);
	if (fd == -ENODEV)
		return fd;
	if (fd < 0 || !bpf_program__attach_perf_event(prog, fd))
		die("event on CPU %d: failed to open", cpu);
	return fd;
}

static void drain(struct check *c)
{
	struct pa_bytes bytes = {0};

	for (size_t i = 0; i < c->cpu_cnt; i++) {
		bytes.len = 0;
		if (pa_ring__drain(c->rings[i], &bytes) < 0)
			die("out of memory");
		for (size_t at = 0; at < bytes.len;) {
			const struct pa_miss_record *m = (const void *)(bytes.data + at);

			if (m->type == PA_RING_TYPE_WALK ||
			    (c->dwfl && m->type == PA_RING_TYPE_MISS))
				compare(c, m);
			at += m->size;
		}
	}
	pa_bytes__free(&bytes);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- cost ----------------------------------------------------------------------------------- */

enum { TABLES, FP, MISS, NO_STACK, GET_STACK, VARIANT_CNT };
#define ROUNDS 11
#define RUNS 500

struct variant {
	const char *name;
	struct bpf_program *prog;
	int fd; /* of an event on the target's first thread */
	double ns[ROUNDS];
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void prog_info(const struct bpf_program *prog, struct bpf_prog_info *info)
{
	__u32 bytes = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), info, &bytes))
		die("BPF program: no information: %s", strerror(errno));
}

/* ns of each of RUNS runs. */
static double measure(struct check *c, const struct variant *v)
{
	struct bpf_prog_info before, after;
	double end = now() + 10;

	prog_info(v->prog, &before);
	ioctl(v->fd, PERF_EVENT_IOC_ENABLE, 0);
	do {
		usleep(10000);
		prog_info(v->prog, &after);
	} while (after.run_cnt - before.run_cnt < RUNS && now() < end);
	ioctl(v->fd, PERF_EVENT_IOC_DISABLE, 0);
	drain(c);
	if (after.run_cnt == before.run_cnt)
		die("%s: no samples", v->name);
	return (double)(after.run_time_ns - before.run_time_ns) /
	       (double)(after.run_cnt - before.run_cnt);
}

static struct bpf_program *load_get_stack(struct check *c, const char *path)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_map *map;
	uint32_t target = (uint32_t)c->pid;

	map = obj ? bpf_object__find_map_by_name(obj, ".rodata") : NULL;
	if (!map || bpf_map__set_initial_value(map, &target, sizeof(target)) ||
	    bpf_object__load(obj))
		die("%s: failed to load", path);
	return bpf_object__find_program_by_name(obj, "sample");
}

/* Medians of what each run costs, in windows by turns. */
static void cost(struct check *c, const char *object, const char *event, unsigned long hz)
{
	struct variant v[VARIANT_CNT] = {[TABLES] = {.name = "tables"},
					 [FP] = {.name = "fp"},
					 [MISS] = {.name = "miss"},
					 [NO_STACK] = {.name = "no_stack"},
					 [GET_STACK] = {.name = "bpf_get_stack"}};
	struct cpu_bpf *fp = cpu_bpf__open(), *none = cpu_bpf__open(), *miss = cpu_bpf__open();

	if (!fp || !none || !miss || bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		die("BPF statistics: failed to switch on: %s", strerror(errno));
	prepare(c, fp);
	load(c, fp);
	prepare(c, none);
	none->rodata->want_user = false;
	load(c, none);
	v[TABLES].prog = c->skel->progs.cpu_sample;
	prepare(c, miss); /* knows no process */
	miss->rodata->unwind_mode = PA_UNWIND_TABLES;
	miss->rodata->misses_max = UINT32_MAX;
	load(c, miss);
	v[FP].prog = fp->progs.cpu_sample;
	v[MISS].prog = miss->progs.cpu_sample;
	v[NO_STACK].prog = none->progs.cpu_sample;
	v[GET_STACK].prog = load_get_stack(c, object);
	for (int i = 0; i < VARIANT_CNT; i++) {
		v[i].fd = open_event(v[i].prog, event, hz, c->pid, -1);
		ioctl(v[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	}
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < VARIANT_CNT; i++)
			v[i].ns[round] = measure(c, &v[i]);
	for (int i = 0; i < VARIANT_CNT; i++) {
		struct bpf_prog_info info;

		qsort(v[i].ns, ROUNDS, sizeof(double), by_value);
		prog_info(v[i].prog, &info);
		printf("%s_ns %.0f min %.0f max %.0f verified %u\n", v[i].name, v[i].ns[ROUNDS / 2],
		       v[i].ns[0], v[i].ns[ROUNDS - 1], info.verified_insns);
	}
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

int main(int argc, char **argv)
{
	static struct check c = {.per_block = PA_BLOCK_MAPPINGS};
	const char *event = "cpu-clock", *object = NULL;
	unsigned long hz = 997;
	double seconds = 3, end;
	int opt, *fds;

	while ((opt = getopt(argc, argv, "s:f:e:b:m:c:v")) > 0) {
		if (opt == 's')
			seconds = atof(optarg);
		else if (opt == 'f')
			hz = strtoul(optarg, NULL, 10);
		else if (opt == 'e')
			event = optarg;
		else if (opt == 'b')
			c.per_block = (unsigned)strtoul(optarg, NULL, 10);
		else if (opt == 'm')
			c.misses_max = (unsigned)strtoul(optarg, NULL, 10);
		else if (opt == 'c')
			object = optarg;
		else if (opt == 'v')
			c.is_verbose = true;
	}
	if (optind != argc - 1 || !c.per_block || c.per_block > PA_BLOCK_MAPPINGS)
		die("usage: unwindcheck [-s SECONDS] [-f HZ] [-e EVENT] [-b MAPPINGS] [-m MISSES] "
		    "[-v] [-c "
		    "GETSTACK.bpf.o] "
		    "PID");
	c.pid = (pid_t)strtol(argv[optind], NULL, 10);
	c.cpu_cnt = (size_t)sysconf(_SC_NPROCESSORS_CONF);
	libbpf_set_print(silent);
	make_rings(&c);
	c.log_walks = !object && !c.misses_max;
	load_program(&c);
	load_tables(&c);
	if (object) {
		cost(&c, object, event, hz);
		return 0;
	}
	open_dwfl(&c);
	fds = calloc(c.cpu_cnt, sizeof(*fds));
	if (!fds)
		die("out of memory");
	for (size_t cpu = 0; cpu < c.cpu_cnt; cpu++)
		fds[cpu] = open_event(c.skel->progs.cpu_sample, event, hz, -1, (int)cpu);
	for (end = now() + seconds; now() < end;) {
		usleep(50000);
		drain(&c);
	}
	report(&c);
	for (size_t cpu = 0; cpu < c.cpu_cnt;
	     cpu++) /* no counter is read between two of a sample */
		ioctl(fds[cpu], PERF_EVENT_IOC_DISABLE, 0);
	report_counters(&c);
	free(fds);
	return 0;
}
