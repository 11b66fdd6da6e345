// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitter [--seconds N] [--map-delay S] [--no-map] [--keep-map]: runs machine code in anonymous
 * memory, as a JIT compiler does: run_jit -> jit_outer -> jit_inner. /tmp/perf-PID.map names the
 * two; it is written after S (0: before they run) seconds and deleted at the end (not with
 * --keep-map). Prints "mapped ADDRESS" first.
 */
#include <sys/mman.h>

#include "burn.h"

#define OUTER_OFFSET 0x40

/* jit_inner(cnt): a frame, and a loop of cnt rounds. jit_outer(cnt): a frame, calls jit_inner. */
#if defined(__x86_64__)
static const uint8_t inner_code[] = {
	0x55,		  /* push %rbp */
	0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
	0x48, 0xff, 0xcf, /* dec %rdi */
	0x75, 0xfb,	  /* jnz to the dec */
	0x5d, 0xc3,	  /* pop %rbp; ret */
};
static const uint8_t outer_code[] = {
	0x55, 0x48, 0x89, 0xe5, 0xe8, 0xb7, 0xff, 0xff, 0xff, /* ... call jit_inner */
	0x5d, 0xc3,
};
#elif defined(__aarch64__)
static const uint32_t inner_code[] = {
	0xa9bf7bfd,		/* stp x29, x30, [sp, #-16]! */
	0x910003fd,		/* mov x29, sp */
	0xf1000400,		/* subs x0, x0, #1 */
	0x54ffffe1,		/* b.ne to the subs */
	0xa8c17bfd, 0xd65f03c0, /* ldp x29, x30, [sp], #16; ret */
};
static const uint32_t outer_code[] = {
	0xa9bf7bfd, 0x910003fd, 0x97ffffee, /* ... bl jit_inner */
	0xa8c17bfd, 0xd65f03c0,
};
#else
#error "no machine code for this architecture"
#endif

typedef void (*jit_fn)(uint64_t cnt);

BURN_FN static void run_jit(jit_fn outer, uint64_t deadline_ns)
{
	while (burn_now_ns() < deadline_ns)
		outer(100000);
}

static int write_map(const char *path, const char *code)
{
	FILE *map = fopen(path, "we");

	if (!map)
		return -1;
	fprintf(map, "%lx %zx jit_inner\n%lx %zx jit_outer\n", (unsigned long)code,
		sizeof(inner_code), (unsigned long)code + OUTER_OFFSET, sizeof(outer_code));
	return fclose(map);
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	double delay = atof(burn_option(argc, argv, "--map-delay", "0"));
	long page = sysconf(_SC_PAGESIZE);
	char *code, path[64];
	jit_fn outer;

	code = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	memcpy(code, inner_code, sizeof(inner_code));
	memcpy(code + OUTER_OFFSET, outer_code, sizeof(outer_code));
	if (mprotect(code, page, PROT_READ | PROT_EXEC))
		return 1;
	__builtin___clear_cache(code, code + page);
	outer = (jit_fn)(uintptr_t)(code + OUTER_OFFSET);
	printf("mapped %lx\n", (unsigned long)code);
	fflush(stdout);

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	run_jit(outer, burn_now_ns() + (uint64_t)(delay * 1e9));
	if (!burn_flag(argc, argv, "--no-map") && write_map(path, code))
		return 1;
	run_jit(outer, deadline_ns);
	if (!burn_flag(argc, argv, "--keep-map"))
		unlink(path);
	return 0;
}
