// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitdumper [--seconds N] [--dir D]: runs machine code in anonymous memory and describes it in
 * D/jit-PID.dump (D is . by default), which it maps as a JIT compiler does, and keeps. run_jit
 * calls in turns: jitd_first; jitd_second, which has source lines; and, for the
 * second half, jitd_first at the place that it was moved to. Prints "dump PATH" first.
 */
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "burn.h"

enum { FIRST = 0, SECOND = 0x100, MOVED = 0x200 };

#if defined(__x86_64__)
#define MACHINE EM_X86_64
static const uint8_t loop_code[] = {
	0x55,		  /* push %rbp */
	0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
	0x48, 0xff, 0xcf, /* dec %rdi */
	0x75, 0xfb,	  /* jnz to the dec */
	0x5d, 0xc3,	  /* pop %rbp; ret */
};
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
static const uint32_t loop_code[] = {
	0xa9bf7bfd,		/* stp x29, x30, [sp, #-16]! */
	0x910003fd,		/* mov x29, sp */
	0xf1000400,		/* subs x0, x0, #1 */
	0x54ffffe1,		/* b.ne to the subs */
	0xa8c17bfd, 0xd65f03c0, /* ldp x29, x30, [sp], #16; ret */
};
#else
#error "no machine code for this architecture"
#endif

typedef void (*jit_fn)(uint64_t cnt);

struct prefix {
	uint32_t id, total_bytes;
	uint64_t time_ns;
};

static uint64_t code_index;

static void write_prefix(FILE *dump, uint32_t id, size_t bytes)
{
	struct prefix p = {id, (uint32_t)(sizeof(p) + bytes), burn_now_ns()};

	fwrite(&p, sizeof(p), 1, dump);
}

static void write_ids(FILE *dump)
{
	uint32_t ids[] = {(uint32_t)getpid(), (uint32_t)syscall(SYS_gettid)};

	fwrite(ids, sizeof(ids), 1, dump);
}

static void write_header(FILE *dump)
{
	struct {
		uint32_t magic, version, bytes, machine, pad, pid;
		uint64_t time_ns, flags;
	} h = {0x4a695444, 1, sizeof(h), MACHINE, 0, (uint32_t)getpid(), burn_now_ns(), 0};

	fwrite(&h, sizeof(h), 1, dump);
}

static void write_load(FILE *dump, const char *name, const char *code)
{
	uint64_t words[] = {(uintptr_t)code, (uintptr_t)code, sizeof(loop_code), code_index++};

	write_prefix(dump, 0, 8 + sizeof(words) + strlen(name) + 1 + sizeof(loop_code));
	write_ids(dump);
	fwrite(words, sizeof(words), 1, dump);
	fwrite(name, strlen(name) + 1, 1, dump);
	fwrite(code, sizeof(loop_code), 1, dump);
	fflush(dump);
}

static void write_lines(FILE *dump, const char *code)
{
	static const char file[] = "/src/second.jit", same[] = "\xff";
	uint64_t words[] = {(uintptr_t)code, 2}, addr = (uintptr_t)code;
	uint32_t first[] = {41, 0}, next[] = {42, 0};

	write_prefix(dump, 2, sizeof(words) + 2 * 16 + sizeof(file) + sizeof(same));
	fwrite(words, sizeof(words), 1, dump);
	fwrite(&addr, 8, 1, dump);
	fwrite(first, 8, 1, dump);
	fwrite(file, sizeof(file), 1, dump);
	addr += 4;
	fwrite(&addr, 8, 1, dump);
	fwrite(next, 8, 1, dump);
	fwrite(same, sizeof(same), 1, dump);
}

static void write_move(FILE *dump, const char *from, const char *to)
{
	uint64_t words[] = {(uintptr_t)to, (uintptr_t)from, (uintptr_t)to, sizeof(loop_code), 0};

	write_prefix(dump, 1, 8 + sizeof(words));
	write_ids(dump);
	fwrite(words, sizeof(words), 1, dump);
	fflush(dump);
}

BURN_FN static void run_jit(const char *one, const char *other, uint64_t deadline_ns)
{
	while (burn_now_ns() < deadline_ns) {
		((jit_fn)(uintptr_t)one)(100000);
		((jit_fn)(uintptr_t)other)(100000);
	}
}

int main(int argc, char **argv)
{
	uint64_t begin_ns = burn_now_ns(), deadline_ns = burn_deadline_ns(argc, argv);
	long page = sysconf(_SC_PAGESIZE);
	char *code, path[4096];
	FILE *dump;

	snprintf(path, sizeof(path), "%s/jit-%d.dump", burn_option(argc, argv, "--dir", "."),
		 getpid());
	dump = fopen(path, "w+e");
	if (!dump)
		return 1;
	write_header(dump);
	fflush(dump);
	/* what tells a profiler of the file */
	if (mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0) == MAP_FAILED)
		return 1;
	printf("dump %s\n", path);
	fflush(stdout);

	code = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	memcpy(code + FIRST, loop_code, sizeof(loop_code));
	memcpy(code + SECOND, loop_code, sizeof(loop_code));
	memcpy(code + MOVED, loop_code, sizeof(loop_code));
	if (mprotect(code, page, PROT_READ | PROT_EXEC))
		return 1;
	__builtin___clear_cache(code, code + page);
	write_load(dump, "jitd_first", code + FIRST);
	write_lines(dump, code + SECOND);
	write_load(dump, "jitd_second", code + SECOND);
	run_jit(code + FIRST, code + SECOND, begin_ns + (deadline_ns - begin_ns) / 2);
	write_move(dump, code + FIRST, code + MOVED);
	run_jit(code + MOVED, code + SECOND, deadline_ns);
	write_prefix(dump, 3, 0);
	return fclose(dump) ? 1 : 0;
}
