// SPDX-License-Identifier: GPL-2.0-only
/*
 * trapstacks [--seconds N]: what unwinders get wrong.
 *
 *   main -> rounds -> deep, 200 calls -> burn_units       more frames than are kept
 *                  -> wide, 3 KB frames -> burn_units
 *                  -> leap -> gone, which does not return: the call is a function's last byte
 *                  -> saver, which saves all registers    prologues and epilogues
 *                  -> strtol, by way of the PLT
 *                  -> coroutine, on a stack of its own -> burn_units
 *                  -> children: vfork, whose return address is in a register
 *                  -> syscalls
 */
#include <setjmp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "burn.h"

static volatile uint64_t sink;
static jmp_buf landing;
static ucontext_t main_context, co_context;

BURN_FN static void deep(int more)
{
	if (more)
		deep(more - 1);
	else
		burn_units(3);
	sink++;
}

BURN_FN static void wide(int more)
{
	char block[3000];

	memset(block, more, sizeof(block));
	if (more)
		wide(more - 1);
	else
		burn_units(3);
	sink += block[sink % sizeof(block)];
}

BURN_FN __attribute__((noreturn)) static void gone(void)
{
	burn_units(2);
	longjmp(landing, 1);
}

BURN_FN static void leap(void)
{
	if (!setjmp(landing))
		gone();
}

/* Spends its time saving and restoring. */
BURN_FN static uint64_t saver(uint64_t x)
{
#if defined(__x86_64__)
	__asm__ volatile("" : "+r"(x) : : "rbx", "r12", "r13", "r14", "r15");
#elif defined(__aarch64__)
	__asm__ volatile("" : "+r"(x) : : "x19", "x20", "x21", "x22", "x23", "x24");
#endif
	return x + 1;
}

BURN_FN static void savers(void)
{
	for (int i = 0; i < 20000; i++)
		sink = saver(sink);
}

BURN_FN static void linked(void)
{
	for (int i = 0; i < 5000; i++)
		sink += (uint64_t)strtol("12", NULL, 10);
}

static void coroutine(void)
{
	for (;;) {
		burn_units(3);
		swapcontext(&co_context, &main_context);
	}
}

BURN_FN static void switches(void)
{
	for (int i = 0; i < 3; i++)
		swapcontext(&main_context, &co_context);
}

BURN_FN static void children(void)
{
	for (int i = 0; i < 3; i++) {
		pid_t pid = vfork();

		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

BURN_FN static void syscalls(void)
{
	for (int i = 0; i < 300; i++)
		sink += (uint64_t)syscall(SYS_getppid);
}

BURN_FN static void rounds(uint64_t deadline_ns)
{
	while (burn_now_ns() < deadline_ns) {
		deep(200);
		wide(8);
		leap();
		savers();
		linked();
		switches();
		children();
		syscalls();
	}
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	size_t bytes = 65536;

	if (getcontext(&co_context))
		return 1;
	co_context.uc_stack.ss_sp = malloc(bytes);
	co_context.uc_stack.ss_size = bytes;
	if (!co_context.uc_stack.ss_sp)
		return 1;
	makecontext(&co_context, coroutine, 0);
	rounds(deadline_ns);
	return 0;
}
