// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_session_unwind.c - samples with registers and a copied stack, on their way through a
 * session: which file is opened, what becomes of the recorded chain, what is counted.
 */
#include <errno.h>
#include <unistd.h>

#include "cfi_fixture.h"
#include "check.h"
#include "convert/session.h"

enum { PID = 77, CODE = BASE_VADDR + 0x100, FN = 0x40, MAP_BYTES = 0x4000 };
#define MAP 0x7f0000000000ull
#define SP 0x7ffd00001000ull
#define KERNEL_IP 0xffffffff81000010ull

static struct bytes b;

static struct {
	struct pd_events *events;
	struct pa_symbolizer *symbolizer;
	struct pa_session *session;
	char path[64], warning[256];
	unsigned warning_cnt, origin_cnt;
	const char *machine;
	struct { /* one PERF_RECORD_SAMPLE */
		struct perf_event_header hdr;
		uint64_t ip;
		uint32_t pid, tid;
		uint64_t time, ip_cnt, ips[4], abi, regs[2], stack_bytes, stack[64], used;
	} rec;
} f;

static uint64_t pc_in(unsigned fn, unsigned at)
{
	return MAP + CODE - BASE_VADDR + fn * FN + at;
}

static void keep_warning(void *ctx, const char *msg)
{
	if (strstr(msg, "its functions stay unnamed"))
		return; /* the kernel is not what is tested */
	(void)ctx;
	f.warning_cnt++;
	snprintf(f.warning, sizeof(f.warning), "%s", msg);
}

static const char *origin(void *ctx)
{
	(void)ctx;
	f.origin_cnt++;
	return f.machine;
}

/* Outermost function, handler, what it interrupted, the signal's trampoline. */
static void write_program(void)
{
	static const struct style plain = {0}, signal = {.augmentation = "zRS"};
	size_t cie = cie_x86(&b, &plain), at, bytes;
	uint8_t *image;
	int fd;

	at = fde_begin(&b, &plain, cie, CODE, FN);
	put_list(&b, DW_CFA_undefined, 16, END);
	entry_end(&b, &plain, at);
	entry_end(&b, &plain, fde_begin(&b, &plain, cie, CODE + FN, FN));
	entry_end(&b, &plain, fde_begin(&b, &plain, cie, CODE + 2 * FN, FN));
	at = cie = cie_begin(&b, &signal);
	put_list(&b, 1, 0, DW_CFA_def_cfa, 7, 16, DW_CFA_offset | 16, 1, END);
	entry_end(&b, &signal, at);
	entry_end(&b, &signal, fde_begin(&b, &signal, cie, CODE + 3 * FN, FN));
	image = make_elf(&(struct elf_parts){.eh = &b}, &bytes);
	fd = mkstemp(f.path);
	if (fd < 0 || write(fd, image, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
	free(image);
}

static int map_program(const char *build_id)
{
	struct pd_mmap m = {.pid = PID,
			    .tid = PID,
			    .start = MAP,
			    .bytes = MAP_BYTES,
			    .prot = 4,
			    .filename = f.path,
			    .id = {.pid = PID, .tid = PID, .time = 5}};
	__u64 buf[512];

	if (build_id) {
		memcpy(m.build_id, build_id, 20);
		m.build_id_bytes = 20;
	}
	if (pd_put_mmap2(buf, sizeof(buf), f.events, PERF_RECORD_MISC_USER, &m) < 0)
		return -EINVAL;
	return pa_session__feed(f.session, (void *)buf);
}

static void set_up(const char *build_id)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = PD_ATTR_BYTES,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |
			       PERF_SAMPLE_STACK_USER,
		.sample_regs_user = 1 << 7 | 1 << 8, /* sp, ip */
		.sample_stack_user = sizeof(f.rec.stack),
		.sample_id_all = 1,
	};
	struct pa_symbolizer_opts sym = {.sz = sizeof(sym), .warn = keep_warning};
	struct pa_session_opts opts = {.sz = sizeof(opts), .origin = origin};

	memset(&f, 0, sizeof(f));
	b.n = 0;
	strcpy(f.path, "/tmp/session-unwind-XXXXXX");
	f.machine = "x86_64";
	write_program();
	if (pd_events__new(&f.events) || pd_events__add(f.events, &attr, NULL, 0, NULL) < 0 ||
	    pa_symbolizer__new(&sym, &f.symbolizer))
		abort();
	opts.events = f.events;
	opts.symbolizer = f.symbolizer;
	if (pa_session__new(&opts, &f.session) || map_program(build_id))
		abort();
	f.rec.hdr = (struct perf_event_header){PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL,
					       sizeof(f.rec)};
	f.rec.ip = KERNEL_IP;
	f.rec.pid = f.rec.tid = PID;
	f.rec.time = 10;
	f.rec.ip_cnt = 4;
	f.rec.ips[0] = (uint64_t)PERF_CONTEXT_KERNEL;
	f.rec.ips[1] = KERNEL_IP;
	f.rec.ips[2] = (uint64_t)PERF_CONTEXT_USER;
	f.rec.ips[3] = 0x1234;
	f.rec.abi = PERF_SAMPLE_REGS_ABI_64;
	f.rec.regs[0] = SP;
	f.rec.regs[1] = pc_in(1, 8);
	f.rec.stack_bytes = f.rec.used = sizeof(f.rec.stack);
	f.rec.stack[0] = pc_in(3, 1);
	f.rec.stack[2] = pc_in(2, 0);
	f.rec.stack[3] = pc_in(0, 9);
}

static void tear_down(void)
{
	pa_session__free(f.session);
	pa_symbolizer__free(f.symbolizer);
	pd_events__free(f.events);
	unlink(f.path);
}

TEST(chain_is_replaced)
{
	const uint64_t expected[] = {(uint64_t)PERF_CONTEXT_KERNEL,
				     KERNEL_IP,
				     (uint64_t)PERF_CONTEXT_USER,
				     pc_in(1, 8),
				     (uint64_t)PERF_CONTEXT_USER,
				     pc_in(3, 1),
				     (uint64_t)PERF_CONTEXT_USER,
				     pc_in(2, 0),
				     pc_in(0, 9)};
	struct pd_sample sample;

	set_up(NULL);
	CHECK_EQ(pd_sample__parse(f.events, &f.rec.hdr, &sample), 0);
	CHECK_EQ(pa_session_unwind__sample(f.session, &sample,
					   pa_procs__space(&f.session->procs, PID, 10), 10),
		 0);
	CHECK_EQ(sample.ip_cnt, 9);
	CHECK(!memcmp(sample.ips, expected, sizeof(expected)));
	CHECK_EQ(f.session->stats.unwound_cnt[PA_UNWIND_COMPLETE], 1);
	tear_down();
}

TEST(samples_are_aggregated_by_their_walk)
{
	struct pa_session_stats stats;
	struct pa_stack stack;

	set_up(NULL);
	for (int i = 0; i < 3; i++) {
		f.rec.stack[40] = (uint64_t)i; /* of no importance */
		CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	}
	CHECK_EQ(pa_session__resolve(f.session), 0);
	CHECK_EQ(pa_session__stack_cnt(f.session), 1);
	pa_session__stack(f.session, 0, &stack);
	CHECK_EQ(stack.sample_cnt, 3);
	CHECK_EQ(stack.kernel_cnt, 1);
	CHECK_EQ(stack.frame_cnt, 5);
	CHECK_EQ(pa_session__frame(f.session, stack.frames[1])->address, pc_in(1, 8) - MAP);
	CHECK_EQ(pa_session__frame(f.session, stack.frames[3])->address, pc_in(2, 0) - MAP);
	CHECK_EQ(pa_session__frame(f.session, stack.frames[4])->address, pc_in(0, 9) - MAP);
	pa_session__stats(f.session, &stats);
	CHECK_EQ(stats.unwound_cnt[PA_UNWIND_COMPLETE], 3);
	CHECK_EQ(f.origin_cnt, 1);
	tear_down();
}

TEST(another_build_id_is_refused_and_said_once)
{
	struct pa_session_stats stats;
	struct pa_stack stack;

	set_up("01234567890123456789");
	CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &stack);
	CHECK_EQ(stack.frame_cnt, 2); /* no frame pointer was sampled */
	CHECK_EQ(f.warning_cnt, 1);
	CHECK(strstr(f.warning, "build-id differs"));
	pa_session__stats(f.session, &stats);
	CHECK_EQ(stats.unwound_cnt[PA_UNWIND_NO_CFI], 2);
	tear_down();
}

/* What the kernel walked stays where we can't walk; a machine that we don't know is none. */
TEST(other_machines)
{
	struct pa_stack stack;

	set_up(NULL);
	f.machine = "riscv64";
	f.rec.ips[3] = pc_in(2, 5);
	CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &stack);
	CHECK_EQ(stack.frame_cnt, 2);
	CHECK_EQ(pa_session__frame(f.session, stack.frames[1])->address, pc_in(2, 5) - MAP);
	CHECK_EQ(f.session->stats.unwound_cnt[PA_UNWIND_UNSUPPORTED], 1);
	tear_down();
	/* a file of another machine than the data */
	set_up(NULL);
	f.machine = "aarch64";
	CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	CHECK_EQ(f.session->stats.unwound_cnt[PA_UNWIND_COMPLETE], 0);
	tear_down();
}

TEST(no_stack_no_walk)
{
	struct pa_stack stack;

	set_up(NULL);
	f.rec.ips[3] = pc_in(2, 5);
	f.rec.abi = PERF_SAMPLE_REGS_ABI_NONE;
	f.rec.regs[0] = 0; /* the stack's size */
	f.rec.hdr.size = (uint16_t)((char *)&f.rec.regs[1] - (char *)&f.rec);
	CHECK_EQ(pa_session__feed(f.session, &f.rec.hdr), 0);
	CHECK_EQ(pa_session__resolve(f.session), 0);
	pa_session__stack(f.session, 0, &stack);
	CHECK_EQ(stack.frame_cnt, 2);
	CHECK_EQ(f.origin_cnt, 0);
	tear_down();
}

TEST_MAIN()
