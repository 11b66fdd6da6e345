// SPDX-License-Identifier: GPL-2.0-only
/* One of the libraries of dlswap: swap_entry -> outer_b -> inner_b -> the program's callback. */
#define SWAP_NAME(name) name##_b
#define SWAP_BYTES 2048
#include "swap.h"
