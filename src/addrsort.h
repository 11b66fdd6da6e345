/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * addrsort.h - things in the order of their addresses, in linear time.
 */
#ifndef PA_ADDRSORT_H
#define PA_ADDRSORT_H

#include <stddef.h>
#include <stdint.h>

/** Or any other structure of 16 bytes that begins with an address, under this one's name. */
struct pa_addrkey {
	uint64_t addr;
	uint32_t index; /* of what has the address */
	uint32_t zero;
} __attribute__((may_alias));

/** Sort by address; what is equal keeps its order. cnt is below 2^32. @return 0, -ENOMEM */
int pa_addrkeys__sort(struct pa_addrkey *keys, size_t cnt);

#endif
