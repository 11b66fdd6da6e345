// SPDX-License-Identifier: GPL-2.0-only
/*
 * manymaps [--seconds N] [--maps N]: maps one page of its own file executable N (5000) times, with
 * gaps so that the kernel does not merge them, prints "mapped N" and burns in amid_maps. A process
 * may have 65,530 maps (vm.max_map_count); the gaps are reservations and count too.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "burn.h"

BURN_FN static void amid_maps(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

int main(int argc, char **argv)
{
	int map_cnt = atoi(burn_option(argc, argv, "--maps", "5000"));
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	long page = sysconf(_SC_PAGESIZE);
	char *area;

	if (fd < 0 || map_cnt < 1 || map_cnt > 30000)
		return 2;
	area = mmap(NULL, 2UL * page * map_cnt, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return 1;
	for (int i = 0; i < map_cnt; i++) {
		if (mmap(area + 2UL * page * i, page, PROT_READ | PROT_EXEC,
			 MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
			return 1;
	}
	printf("mapped %d\n", map_cnt);
	fflush(stdout);
	amid_maps(deadline_ns);
	return 0;
}
