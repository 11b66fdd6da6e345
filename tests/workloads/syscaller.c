// SPDX-License-Identifier: GPL-2.0-only
/*
 * syscaller [--seconds N]: burns in the kernel: in_read reads /dev/zero in blocks of 256 KiB
 * (most of the time, in the kernel's clearing of user memory), in_getppid calls getppid. The
 * system calls are made here, not in libc, whose wrappers have no frame.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "burn.h"

static char block[256 << 10];

static inline __attribute__((always_inline)) long raw_syscall(long number, long a, long b, long c)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#endif
}

BURN_FN static void in_read(int fd)
{
	BURN_FRAME();
	for (int i = 0; i < 32; i++) {
		if (raw_syscall(SYS_read, fd, (long)block, sizeof(block)) < 0)
			exit(1);
	}
}

BURN_FN static void in_getppid(void)
{
	BURN_FRAME();
	for (int i = 0; i < 1000; i++)
		raw_syscall(SYS_getppid, 0, 0, 0);
}

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 1;
	while (burn_now_ns() < deadline_ns) {
		in_read(fd);
		in_getppid();
	}
	close(fd);
	return 0;
}
