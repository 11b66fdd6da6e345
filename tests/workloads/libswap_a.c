// SPDX-License-Identifier: GPL-2.0-only
/* One of the libraries of dlswap: swap_entry -> outer_a -> inner_a -> the program's callback. */
#define SWAP_NAME(name) name##_a
#define SWAP_BYTES 512
#include "swap.h"
