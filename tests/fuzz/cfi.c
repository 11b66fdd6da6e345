// SPDX-License-Identifier: GPL-2.0-only
/*
 * cfi.c - fuzz target: the call frame information of an ELF image, row by row, and a walk by it of
 * a stack that is the image's own last bytes.
 */
#include <elf.h>

#include "fuzz.h"
#include "unwind/cfi.h"
#include "unwind/offline.h"

enum { ROWS_MAX = 4096, REGS = 33, STACK_MAX = 4096 };

struct walk {
	struct pa_cfi *cfi;
	unsigned row_cnt;
	uint64_t pcs[16];
};

static int take_row(void *ctx, const struct pa_cfi_row *row)
{
	struct walk *w = ctx;

	FUZZ_ASSERT(row->start < row->end && row->rule_cnt <= PA_CFI_REG_CNT);
	for (unsigned i = 0; i < row->rule_cnt; i++)
		if (row->rules[i].kind == PA_RULE_EXPR || row->rules[i].kind == PA_RULE_VAL_EXPR)
			fuzz_touch(row->rules[i].expr, row->rules[i].expr_bytes);
	w->pcs[w->row_cnt % 16] = row->start;
	return ++w->row_cnt >= ROWS_MAX;
}

static int find_map(void *ctx, uint64_t pc, struct pa_unwind_map *out)
{
	const struct walk *w = ctx;

	(void)pc;
	out->cfi = w->cfi;
	out->bias = 0;
	return 0;
}

static void walk_stack(struct walk *w, const uint8_t *data, size_t bytes, uint16_t machine)
{
	static struct pa_unwind_chain chain;
	uint64_t regs[REGS];
	struct pa_unwind_sample s = {
		.machine = machine,
		.abi = 2,
		.reg_mask = machine == EM_X86_64 ? 0xff0fff : (1ull << REGS) - 1,
		.regs = regs,
		.reg_cnt = machine == EM_X86_64 ? 20 : REGS,
		.stack = data + bytes - (bytes < STACK_MAX ? bytes : STACK_MAX),
		.stack_bytes = bytes < STACK_MAX ? bytes : STACK_MAX,
		.find_map = find_map,
		.ctx = w,
	};

	for (unsigned i = 0; i < 16 && i < w->row_cnt; i++) {
		for (unsigned k = 0; k < REGS; k++)
			regs[k] = 0x7ffe0000 + 8 * k;
		regs[machine == EM_X86_64 ? 8 : 32] = w->pcs[i];
		pa_unwind(&s, &chain);
		FUZZ_ASSERT(chain.cnt <= PA_UNWIND_FRAMES_MAX && chain.end < PA_UNWIND_END_CNT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct pa_cfi_row *row;
	struct walk w = {0};
	uint64_t bad_cnt;

	if (pa_cfi__open_mem(data, bytes, &w.cfi))
		return 0;
	pa_cfi__each_row(w.cfi, take_row, &w, &bad_cnt);
	for (unsigned i = 0; i < 16 && i < w.row_cnt; i++)
		pa_cfi__row(w.cfi, w.pcs[i], &row);
	pa_cfi__row(w.cfi, UINT64_MAX, &row);
	walk_stack(&w, data, bytes, EM_X86_64);
	walk_stack(&w, data, bytes, EM_AARCH64);
	pa_cfi__free(w.cfi);
	return 0;
}
