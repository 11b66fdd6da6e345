// SPDX-License-Identifier: GPL-2.0-only
/*
 * idler [--rounds N] [--file PATH]: N (8) times, the main thread waits for one thing after the
 * other, each in a function of its own: wait_sleep (20 ms), wait_lock, wait_pipe (15 ms, until
 * another thread lets it), wait_futex (15 ms), wait_child (15 ms in vfork, uninterruptible) and,
 * with --file, wait_disk (reads past the page cache). Then prints how long it was off the CPU in
 * each, by the clock less the time on it: "FUNCTION NANOSECONDS", and "burned" last.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "burn.h"
#include "taskclock.h"

#define DISK_BYTES (16 << 20)
#define DISK_PIECE (1 << 20) /* a wait is much longer than what two switches take */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t held;
static int orders[2], answers[2], disk = -1, task_clock;
static uint32_t word;
static void *piece;

static void sleep_ms(unsigned int ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000L};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static void *helper(void *arg)
{
	char order;

	while (read(orders[0], &order, 1) == 1) {
		if (order == 'l') {
			pthread_mutex_lock(&lock);
			sem_post(&held);
			sleep_ms(15);
			pthread_mutex_unlock(&lock);
		} else {
			sleep_ms(15);
			if (write(answers[1], &order, 1) != 1)
				break;
		}
	}
	return arg;
}

static void order(char what)
{
	if (write(orders[1], &what, 1) != 1)
		exit(1);
	while (what == 'l' && sem_wait(&held))
		;
}

BURN_FN static void wait_sleep(void)
{
	sleep_ms(20);
	burn_units(1);
}

BURN_FN static void wait_lock(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	burn_units(1);
}

BURN_FN static void wait_pipe(void)
{
	char byte;

	if (read(answers[0], &byte, 1) != 1)
		exit(1);
	burn_units(1);
}

BURN_FN static void wait_futex(void)
{
	const struct timespec time = {.tv_nsec = 15000000};

	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
	burn_units(1);
}

BURN_FN static void wait_child(void)
{
	pid_t pid = vfork();

	if (!pid) {
		usleep(15000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	burn_units(1);
}

BURN_FN static void wait_disk(void)
{
	for (off_t at = 0; at < DISK_BYTES; at += DISK_PIECE)
		if (pread(disk, piece, DISK_PIECE, at) != DISK_PIECE)
			exit(1);
	burn_units(1);
}

static void make_file(const char *path)
{
	disk = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (disk < 0 || posix_memalign(&piece, 4096, DISK_PIECE))
		exit(77);
	for (off_t at = 0; at < DISK_BYTES; at += DISK_PIECE)
		if (pwrite(disk, piece, DISK_PIECE, at) != DISK_PIECE)
			exit(77);
	fsync(disk);
}

static uint64_t off_cpu_ns(void)
{
	return burn_now_ns() - task_clock_ns(task_clock, CLOCK_THREAD_CPUTIME_ID);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*wait)(void);
		char order;
	} sites[] = {{"wait_sleep", wait_sleep, 0}, {"wait_lock", wait_lock, 'l'},
		     {"wait_pipe", wait_pipe, 'p'}, {"wait_futex", wait_futex, 0},
		     {"wait_child", wait_child, 0}, {"wait_disk", wait_disk, 0}};
	int rounds = atoi(burn_option(argc, argv, "--rounds", "8"));
	const char *file = burn_option(argc, argv, "--file", NULL);
	uint64_t ns[6] = {0};
	pthread_t thread;

	if (file)
		make_file(file);
	if (pipe(orders) || pipe(answers) || sem_init(&held, 0, 0) ||
	    pthread_create(&thread, NULL, helper, NULL))
		return 1;
	task_clock = task_clock_open(false);
	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < 5 + !!file; k++) {
			uint64_t before;

			if (sites[k].order)
				order(sites[k].order);
			before = off_cpu_ns();
			sites[k].wait();
			ns[k] += off_cpu_ns() - before;
		}
		burn_units(100);
	}
	for (int k = 0; k < 5 + !!file; k++)
		printf("%s %llu\n", sites[k].name, (unsigned long long)ns[k]);
	puts("burned");
	close(orders[1]);
	return pthread_join(thread, NULL);
}
