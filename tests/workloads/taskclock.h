/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * taskclock.h - time on a CPU, for workloads that print it.
 */
#ifndef TASKCLOCK_H
#define TASKCLOCK_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A clock of the time from one switch to the next that this thread, and, with inherit, who it
 * starts from now on, are on a CPU. Unlike CLOCK_THREAD_CPUTIME_ID it goes on while a hypervisor
 * has that CPU. @return a file descriptor, or -1 */
static int task_clock_open(bool inherit)
{
	struct perf_event_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.type = PERF_TYPE_SOFTWARE;
	attr.size = sizeof(attr);
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	attr.inherit = inherit;
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* What it is at, or, without one, the clock that the kernel keeps. */
static uint64_t task_clock_ns(int fd, clockid_t otherwise)
{
	struct timespec used;
	uint64_t ns;

	if (read(fd, &ns, sizeof(ns)) == sizeof(ns))
		return ns;
	clock_gettime(otherwise, &used);
	return used.tv_sec * 1000000000ULL + used.tv_nsec;
}

#endif
