// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_offline.c - walks of hand-made stacks by hand-made CFI, on both machines, and the
 * evaluator of DWARF expressions.
 */
#include <errno.h>
#include <linux/perf_event.h>

#include "cfi_fixture.h"
#include "check.h"
#include "unwind/internal.h"
#include "unwind/offline.h"

enum { CODE = 0x4000, FN = 0x100, BIAS = 0x700000, NO_CFI = 0xa00000, VDSO = 0xc00000 };
#define SP 0x7ffd00001000ull

static struct bytes b;
static const struct style eh = {0};
static const struct style arm = {.ra_reg = 30};

/* A sample under construction. Functions are FN bytes long, the Nth at CODE + N * FN. */
static struct {
	struct pa_unwind_sample s;
	struct pa_unwind_chain chain;
	uint64_t regs[64], stack[4096];
	struct pa_cfi *cfi;
	size_t cie, fn_cnt;
	const struct style *style;
	struct elf_parts parts;
} w;

static int find_map(void *ctx, uint64_t pc, struct pa_unwind_map *out)
{
	(void)ctx;
	out->is_vdso = pc >= VDSO && pc < VDSO + 0x1000;
	if (out->is_vdso || (pc >= NO_CFI && pc < NO_CFI + 0x1000))
		return 0;
	if (pc < BIAS || pc >= BIAS + 0x100000)
		return -ENOENT;
	out->cfi = w.cfi;
	out->bias = BIAS;
	return 0;
}

static uint64_t pc_in(unsigned fn, unsigned at)
{
	return BIAS + CODE + fn * FN + at;
}

static void begin(const struct style *style, uint16_t machine)
{
	memset(&w.s, 0, sizeof(w.s));
	memset(w.regs, 0, sizeof(w.regs));
	memset(w.stack, 0, sizeof(w.stack));
	w.fn_cnt = 0;
	w.style = style;
	w.s.machine = machine;
	w.s.abi = PERF_SAMPLE_REGS_ABI_64;
	w.s.regs = w.regs;
	w.s.stack = w.stack;
	w.s.stack_bytes = sizeof(w.stack);
	w.s.find_map = find_map;
	w.parts = (struct elf_parts){.machine = machine, .eh = &b};
	b.n = 0;
}

/* perf's 24 registers of x86-64; segment registers are not sampled (0xff0fff). */
static void begin_x86(void)
{
	begin(&eh, EM_X86_64);
	w.cie = cie_x86(&b, &eh);
	w.s.reg_mask = 0xff0fff;
	w.s.reg_cnt = 20;
	w.regs[7] = SP;
}

static void begin_arm(void)
{
	begin(&arm, EM_AARCH64);
	w.cie = cie_begin(&b, &arm);
	put_list(&b, DW_CFA_def_cfa, 31, 0, END);
	entry_end(&b, &arm, w.cie);
	w.s.reg_mask = (1ull << 33) - 1;
	w.s.reg_cnt = 33;
	w.regs[31] = SP;
}

/* A function whose instructions are given byte by byte. */
#define FUNCTION(...)                                                                              \
	do {                                                                                       \
		size_t at_ = fde_begin(&b, w.style, w.cie, CODE + w.fn_cnt++ * FN, FN);            \
		put_list(&b, __VA_ARGS__, END);                                                    \
		entry_end(&b, w.style, at_);                                                       \
	} while (0)

static enum pa_unwind_end walk(uint64_t pc)
{
	w.regs[w.s.machine == EM_AARCH64 ? 32 : 8] = pc;
	w.cfi = open_parts(&w.parts);
	if (!w.cfi || pa_unwind(&w.s, &w.chain))
		abort();
	pa_cfi__free(w.cfi);
	return w.chain.end;
}

TEST(x86_frames)
{
	begin_x86();
	FUNCTION(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 6, 3);
	FUNCTION(DW_CFA_advance_loc | 1, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2);
	FUNCTION(DW_CFA_undefined, 16);
	w.stack[1] = SP + 80;	     /* rbp of function 1 */
	w.stack[3] = pc_in(1, 0x20); /* CFA 32: return address */
	w.stack[11] = pc_in(2, 0x30);
	CHECK_EQ(walk(pc_in(0, 5)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 3);
	CHECK_EQ(w.chain.ips[0], pc_in(0, 5));
	CHECK_EQ(w.chain.ips[1], pc_in(1, 0x20));
	CHECK_EQ(w.chain.ips[2], pc_in(2, 0x30));
	CHECK(w.chain.is_exact[0] && !w.chain.is_exact[1] && !w.chain.is_exact[2]);
}

TEST(leaf_at_its_first_instruction)
{
	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 32);
	w.stack[0] = pc_in(0, 0x20);
	CHECK_EQ(walk(pc_in(1, 0)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 2);
}

/* A call as the last instruction: the return address is the next function's. */
TEST(call_of_noreturn_function)
{
	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_def_cfa_offset, 16);
	FUNCTION(DW_CFA_def_cfa_offset, 0x80, 0x40);
	FUNCTION(DW_CFA_nop);
	w.stack[0] = pc_in(2, 0);    /* in function 1, really */
	w.stack[2] = pc_in(0, 0x10); /* CFA 16 above it */
	CHECK_EQ(walk(pc_in(3, 4)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 3);
	CHECK_EQ(w.chain.ips[2], pc_in(0, 0x10));
}

/* As vfork does, which pops its return address into rdi. */
TEST(return_address_in_a_register)
{
	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_def_cfa_offset, 0, DW_CFA_register, 16, 5);
	w.regs[5] = pc_in(0, 0x20);
	CHECK_EQ(walk(pc_in(1, 8)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 2);
	w.regs[5] = pc_in(1, 0x20); /* not again without a step up */
	CHECK_EQ(walk(pc_in(1, 8)), PA_UNWIND_LOOP);
}

/* As linkers describe PLT entries: the CFA depends on the pc's place in the entry. */
TEST(plt_expression)
{
	for (int i = 0; i < 2; i++) {
		begin_x86();
		FUNCTION(DW_CFA_undefined, 16);
		FUNCTION(DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0,
			 DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl,
			 DW_OP_plus);
		w.stack[i] = pc_in(0, 0x20);
		CHECK_EQ(walk(pc_in(1, i ? 0x1b : 0x16)), PA_UNWIND_COMPLETE);
		CHECK_EQ(w.chain.cnt, 2);
	}
}

TEST(signal_frame)
{
	static const struct style signal = {.augmentation = "zRS"};
	size_t at;

	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_nop);					     /* the handler */
	FUNCTION(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 64); /* interrupted */
	at = w.cie = cie_begin(&b, &signal);
	put_list(&b, 1, 0, DW_CFA_def_cfa, 7, 8, END);
	entry_end(&b, &signal, at);
	w.style = &signal;
	FUNCTION(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0x80, 0x01, DW_OP_deref,
		 DW_CFA_expression, 16, 2, DW_OP_breg7, 24);
	w.stack[0] = pc_in(3, 1);
	w.stack[1 + 3] = pc_in(2, 0);  /* the first instruction: 1 less is another function */
	w.stack[1 + 16] = SP + 8 * 40; /* its stack pointer */
	w.stack[40] = pc_in(0, 8);
	CHECK_EQ(walk(pc_in(1, 9)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 4);
	CHECK_EQ(w.chain.ips[2], pc_in(2, 0));
	CHECK(w.chain.is_exact[1] && w.chain.is_exact[2] && !w.chain.is_exact[3]);
	CHECK_EQ(w.chain.ips[3], pc_in(0, 8));
}

/* Rules see the callee's registers, whatever the order in which they are given. */
TEST(rules_at_once)
{
	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_register, 3, 12, DW_CFA_register, 12, 3, DW_CFA_val_offset, 13, 1);
	FUNCTION(DW_CFA_def_cfa, 13, 16, DW_CFA_val_expression, 7, 2, DW_OP_breg3, 0);
	FUNCTION(DW_CFA_def_cfa, 7, 8);
	w.regs[1] = 1; /* rbx */
	w.regs[12 + 16 - 12 - 4] = 0;
	w.regs[16] = SP + 64;	  /* r12 */
	w.stack[0] = pc_in(2, 4); /* CFA SP + 8, so that r13 is SP there */
	w.stack[1] = pc_in(3, 4); /* CFA SP + 16; rsp becomes rbx, which was r12 */
	w.stack[8] = pc_in(0, 4);
	CHECK_EQ(walk(pc_in(1, 9)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 4);
}

TEST(frame_pointers_where_there_is_no_cfi)
{
	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	w.regs[6] = SP + 32;
	w.stack[4] = SP + 80;
	w.stack[5] = NO_CFI + 0x20;
	w.stack[10] = 0x1234;
	w.stack[11] = pc_in(0, 0x20);
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 3);
	w.regs[6] = SP - 8;
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_NO_CFI);
	CHECK_EQ(w.chain.cnt, 1);
	w.regs[6] = 0;
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_COMPLETE);
	w.regs[6] = SP + 32;
	w.stack[5] = 0x10; /* nothing is mapped there: no return address */
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_BAD);
	CHECK_EQ(w.chain.cnt, 1);
	w.stack[5] = 0;
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_COMPLETE);
}

TEST(ends)
{
	begin_x86();
	FUNCTION(DW_CFA_def_cfa_offset, 0x80, 0x40); /* 8 KiB */
	FUNCTION(DW_CFA_def_cfa_offset, 0);
	FUNCTION(DW_CFA_def_cfa, 3, 8); /* by rbx */
	FUNCTION(DW_CFA_def_cfa_expression, 1, DW_OP_drop);
	FUNCTION(DW_CFA_offset | 16, 0x80, 0x80, 0x40);
	FUNCTION(0x3e);
	FUNCTION(DW_CFA_nop);
	w.s.stack_bytes = 8191;
	CHECK_EQ(walk(pc_in(0, 1)), PA_UNWIND_OUT_OF_STACK);
	w.s.stack_bytes = 8192;
	w.stack[1023] = 0;
	CHECK_EQ(walk(pc_in(0, 1)), PA_UNWIND_COMPLETE); /* a return address of 0 */
	CHECK_EQ(w.chain.cnt, 1);
	CHECK_EQ(walk(pc_in(1, 1)), PA_UNWIND_BAD); /* below the stack pointer */
	w.regs[1] = SP - 16;
	CHECK_EQ(walk(pc_in(2, 1)), PA_UNWIND_LOOP);
	CHECK_EQ(walk(pc_in(3, 1)), PA_UNWIND_BAD);
	CHECK_EQ(walk(pc_in(4, 1)), PA_UNWIND_BAD); /* below, too */
	CHECK_EQ(walk(pc_in(5, 1)), PA_UNWIND_BAD);
	CHECK_EQ(walk(0x10), PA_UNWIND_BAD);
	CHECK_EQ(w.chain.cnt, 1);
	w.s.stack_bytes = sizeof(w.stack);
	for (size_t i = 0; i < 4096; i++)
		w.stack[i] = pc_in(6, 9);
	CHECK_EQ(walk(pc_in(6, 1)), PA_UNWIND_TOO_DEEP);
	CHECK_EQ(w.chain.cnt, PA_UNWIND_FRAMES_MAX);
	w.s.abi = PERF_SAMPLE_REGS_ABI_32;
	CHECK_EQ(walk(pc_in(6, 1)), PA_UNWIND_UNSUPPORTED);
	CHECK_EQ(w.chain.cnt, 1);
	w.s.abi = PERF_SAMPLE_REGS_ABI_64;
	w.s.reg_cnt = 7; /* not even the stack pointer */
	CHECK_EQ(walk(pc_in(6, 1)), PA_UNWIND_UNSUPPORTED);
	CHECK_EQ(w.chain.cnt, 0);
	w.s.machine = EM_386;
	w.cfi = NULL;
	CHECK_EQ(pa_unwind(&w.s, &w.chain), 0);
	CHECK_EQ(w.chain.end, PA_UNWIND_UNSUPPORTED);
}

/* Registers are found by the mask: not all are sampled, and more than we know. */
TEST(register_masks)
{
	uint64_t few[3];

	begin_x86();
	FUNCTION(DW_CFA_undefined, 16);
	FUNCTION(DW_CFA_def_cfa, 15, 8);
	w.stack[2] = pc_in(0, 4);
	w.s.regs = few;
	w.s.reg_cnt = 3;
	w.s.reg_mask = 1ull << 7 | 1ull << 8 | 1ull << 23; /* sp, ip, r15 */
	few[0] = SP;
	few[1] = pc_in(1, 4);
	few[2] = SP + 16;
	CHECK_EQ(walk(0), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 2);
	w.s.reg_mask = 1ull << 7 | 1ull << 8 | 1ull << 32; /* the last one is no register of ours */
	CHECK_EQ(walk(0), PA_UNWIND_BAD);
	CHECK_EQ(w.chain.cnt, 1);
}

TEST(arm_frames)
{
	const uint64_t pac = 0x00b1000000000000ull;

	begin_arm();
	FUNCTION(DW_CFA_nop); /* a leaf: its return address is in x30 */
	FUNCTION(DW_CFA_advance_loc | 4, 0x2d, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 32,
		 DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3);
	FUNCTION(DW_CFA_undefined, 30);
	w.regs[30] = pc_in(1, 0x20);
	w.stack[0] = SP + 64;
	w.stack[1] = pc_in(2, 0x10) | pac;
	CHECK_EQ(walk(pc_in(0, 8)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 3);
	CHECK_EQ(w.chain.ips[1], pc_in(1, 0x20));
	CHECK_EQ(w.chain.ips[2], pc_in(2, 0x10));
	/* the same state in a frame that is no leaf makes no progress */
	w.regs[30] = pc_in(0, 0x20);
	CHECK_EQ(walk(pc_in(0, 8)), PA_UNWIND_LOOP);
	CHECK_EQ(w.chain.cnt, 2);
	w.regs[30] = 0;
	CHECK_EQ(walk(pc_in(0, 8)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 1);
}

TEST(arm_frame_records)
{
	const uint64_t pac = 0x7f3c000000000000ull;

	begin_arm();
	FUNCTION(DW_CFA_undefined, 30);
	w.regs[29] = SP + 32;
	w.regs[30] = (NO_CFI + 0x40) | pac;
	w.stack[4] = SP + 80;
	w.stack[5] = (NO_CFI + 0x80) | pac;
	w.stack[11] = pc_in(0, 0x20) | pac;
	CHECK_EQ(walk(NO_CFI + 4), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 4);
	CHECK_EQ(w.chain.ips[1], NO_CFI + 0x40);
	CHECK_EQ(w.chain.ips[2], NO_CFI + 0x80);
	CHECK_EQ(w.chain.ips[3], pc_in(0, 0x20));
}

/* siginfo_t and ucontext_t of the kernel lie where the trampoline's stack pointer is. */
TEST(arm_signal_frame)
{
	const size_t saved = (128 + 176 + 8) / 8; /* x0 */

	begin_arm();
	FUNCTION(DW_CFA_nop); /* handler */
	FUNCTION(DW_CFA_nop); /* interrupted, a leaf */
	FUNCTION(DW_CFA_undefined, 30);
	w.regs[30] = VDSO + 0x100;
	w.stack[saved + 30] = pc_in(2, 0x40);
	w.stack[saved + 31] = SP + 0x2000;
	w.stack[saved + 32] = pc_in(1, 0);
	CHECK_EQ(walk(pc_in(0, 8)), PA_UNWIND_COMPLETE);
	CHECK_EQ(w.chain.cnt, 4);
	CHECK_EQ(w.chain.ips[1], VDSO + 0x100);
	CHECK_EQ(w.chain.ips[2], pc_in(1, 0));
	CHECK_EQ(w.chain.ips[3], pc_in(2, 0x40));
	CHECK(w.chain.is_exact[1] && w.chain.is_exact[2] && !w.chain.is_exact[3]);
	w.s.stack_bytes = 500;
	CHECK_EQ(walk(pc_in(0, 8)), PA_UNWIND_OUT_OF_STACK);
	CHECK_EQ(w.chain.cnt, 2);
}

TEST(machine_names)
{
	CHECK_EQ(pa_unwind_machine("x86_64"), EM_X86_64);
	CHECK_EQ(pa_unwind_machine("aarch64"), EM_AARCH64);
	CHECK_EQ(pa_unwind_machine("i686"), EM_NONE);
}

/* ---- expressions ---------------------------------------------------------------------------- */

static int read_cell(void *ctx, uint64_t addr, unsigned bytes, uint64_t *out)
{
	(void)ctx;
	if (addr != 0x1000)
		return 77;
	*out = 0x8877665544332211ull >> (64 - 8 * bytes) % 64;
	return 0;
}

static int eval(const struct bytes *e, uint64_t *out)
{
	uint64_t regs[PA_CFI_REG_CNT] = {[5] = 500, [40] = 4000}, first = 9;
	uint32_t ops_left = 100;
	struct pa_expr_env env = {.ops_left = &ops_left,
				  .regs = regs,
				  .valid = 1ull << 5 | 1ull << 40,
				  .bias = 0x100,
				  .read = read_cell};

	*out = 0;
	return pa_expr__eval(e->d, e->n, &env, &first, out);
}

/* The value of an expression given byte by byte, or its error. */
#define EVAL(...)                                                                                  \
	(b.n = 0, put_list(&b, __VA_ARGS__, END), eval_err = eval(&b, &eval_value),                \
	 eval_err ? (uint64_t)eval_err : eval_value)
static int eval_err;
static uint64_t eval_value;

TEST(expression_values)
{
	CHECK_EQ(EVAL(DW_OP_nop), 9); /* what it began with */
	CHECK_EQ(EVAL(DW_OP_lit0), 0);
	CHECK_EQ(EVAL(DW_OP_lit31), 31);
	CHECK_EQ(EVAL(DW_OP_addr, 1, 2, 0, 0, 0, 0, 0, 0), 0x301);
	CHECK_EQ(EVAL(DW_OP_const1u, 0xff), 255);
	CHECK_EQ(EVAL(DW_OP_const1s, 0xff), -1);
	CHECK_EQ(EVAL(DW_OP_const2u, 1, 0x80), 0x8001);
	CHECK_EQ(EVAL(DW_OP_const2s, 1, 0x80), (int16_t)0x8001);
	CHECK_EQ(EVAL(DW_OP_const4u, 1, 0, 0, 0x80), 0x80000001u);
	CHECK_EQ(EVAL(DW_OP_const4s, 1, 0, 0, 0x80), (int32_t)0x80000001u);
	CHECK_EQ(EVAL(DW_OP_const8u, 1, 0, 0, 0, 0, 0, 0, 0x80), 0x8000000000000001ull);
	CHECK_EQ(EVAL(DW_OP_const8s, 2, 0, 0, 0, 0, 0, 0, 0), 2);
	CHECK_EQ(EVAL(DW_OP_constu, 0x81, 1), 129);
	CHECK_EQ(EVAL(DW_OP_consts, 0x7f), -1);
	CHECK_EQ(EVAL(DW_OP_breg5, 0x7e), 498);
	CHECK_EQ(EVAL(DW_OP_bregx, 40, 2), 4002);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_dup, DW_OP_plus), 2);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_drop), 9);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_over), 9);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_lit2, DW_OP_pick, 2), 9);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_swap, DW_OP_minus), (uint64_t)(1 - 9));
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_lit2, DW_OP_rot, DW_OP_minus), 8);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_lit2, DW_OP_rot, DW_OP_drop, DW_OP_drop), 2);
	CHECK_EQ(EVAL(DW_OP_const1s, 0xfb, DW_OP_abs), 5);
	CHECK_EQ(EVAL(DW_OP_lit5, DW_OP_neg), -5);
	CHECK_EQ(EVAL(DW_OP_lit5, DW_OP_not), ~5ull);
	CHECK_EQ(EVAL(DW_OP_plus_uconst, 0x80, 1), 137);
}

TEST(expression_arithmetic)
{
	CHECK_EQ(EVAL(DW_OP_lit3, DW_OP_and), 1);
	CHECK_EQ(EVAL(DW_OP_lit3, DW_OP_or), 11);
	CHECK_EQ(EVAL(DW_OP_lit3, DW_OP_xor), 10);
	CHECK_EQ(EVAL(DW_OP_lit3, DW_OP_minus), 6);
	CHECK_EQ(EVAL(DW_OP_lit3, DW_OP_mul), 27);
	CHECK_EQ(EVAL(DW_OP_neg, DW_OP_lit2, DW_OP_div), -4);
	CHECK_EQ(EVAL(DW_OP_lit4, DW_OP_mod), 1);
	CHECK_EQ(EVAL(DW_OP_lit4, DW_OP_shl), 144);
	CHECK_EQ(EVAL(DW_OP_const1u, 64, DW_OP_shl), 0);
	CHECK_EQ(EVAL(DW_OP_lit2, DW_OP_shr), 2);
	CHECK_EQ(EVAL(DW_OP_neg, DW_OP_lit1, DW_OP_shra), -5);
	CHECK_EQ(EVAL(DW_OP_neg, DW_OP_const1u, 200, DW_OP_shra), -1);
	CHECK_EQ(EVAL(DW_OP_lit9, DW_OP_eq), 1);
	CHECK_EQ(EVAL(DW_OP_lit9, DW_OP_ne), 0);
	CHECK_EQ(EVAL(DW_OP_lit9, DW_OP_ge), 1);
	CHECK_EQ(EVAL(DW_OP_lit9, DW_OP_gt), 0);
	CHECK_EQ(EVAL(DW_OP_neg, DW_OP_lit9, DW_OP_lt), 1);
	CHECK_EQ(EVAL(DW_OP_lit10, DW_OP_le), 1);
	CHECK_EQ(EVAL(DW_OP_lit0, DW_OP_div), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_lit0, DW_OP_mod), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_const1u, 63, DW_OP_shl, DW_OP_const1s, 0xff, DW_OP_div),
		 1ull << 63); /* overflows */
}

TEST(expression_memory_and_branches)
{
	CHECK_EQ(EVAL(DW_OP_const2u, 0, 0x10, DW_OP_deref), 0x8877665544332211ull);
	CHECK_EQ(EVAL(DW_OP_const2u, 0, 0x10, DW_OP_deref_size, 2), 0x8877);
	CHECK_EQ(EVAL(DW_OP_const2u, 0, 0x10, DW_OP_deref_size, 3), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_deref), 77); /* the reader's own reason */
	CHECK_EQ(EVAL(DW_OP_skip, 1, 0, DW_OP_lit1), 9);
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_bra, 1, 0, DW_OP_lit5), 9);
	CHECK_EQ(EVAL(DW_OP_lit0, DW_OP_bra, 1, 0, DW_OP_lit5), 5);
	/* count 9 down to 0 */
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_minus, DW_OP_dup, DW_OP_bra, 0xfa, 0xff), 0);
}

TEST(expression_damage)
{
	CHECK_EQ(EVAL(DW_OP_skip, 0xfd, 0xff), -EBADMSG);	      /* for ever */
	CHECK_EQ(EVAL(DW_OP_lit1, DW_OP_skip, 0xfc, 0xff), -EBADMSG); /* until the stack is full */
	CHECK_EQ(EVAL(DW_OP_skip, 0, 0x80), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_skip, 2, 0), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_drop, DW_OP_drop), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_drop), -EBADMSG); /* no result */
	CHECK_EQ(EVAL(DW_OP_plus), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_pick, 1), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_breg4, 0), -EBADMSG); /* not known */
	CHECK_EQ(EVAL(DW_OP_bregx, 0xff, 0x7f, 0), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_const8u, 1), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_constu, 0x80), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_call_frame_cfa), -EBADMSG);
	CHECK_EQ(EVAL(DW_OP_reg5), -EBADMSG);
	b.n = 0;
	CHECK_EQ(eval(&b, &eval_value), 0); /* empty: what it began with */
	CHECK_EQ(eval_value, 9);
}

TEST_MAIN()
