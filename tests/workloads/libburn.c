// SPDX-License-Identifier: GPL-2.0-only
/* libburn.so: the library that dlopener and memfdrun load: lib_entry -> lib_inner -> burn_units. */
#include "burn.h"

void lib_entry(uint64_t deadline_ns);

BURN_FN static void lib_inner(uint64_t deadline_ns)
{
	burn_until(deadline_ns);
}

BURN_FN void lib_entry(uint64_t deadline_ns)
{
	lib_inner(deadline_ns);
}
