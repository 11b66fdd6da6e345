// SPDX-License-Identifier: GPL-2.0-only
/*
 * offline.c - the walk of one copied stack, frame by frame. Registers are kept by their DWARF
 * numbers; one that is not known can't be used, which ends the walk where it would be needed.
 */
#include <elf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

#include "unwind/internal.h"
#include "unwind/offline.h"

/* DWARF numbers. */
enum { X86_RBP = 6, X86_RSP = 7, X86_RIP = 16 };
enum { ARM_FP = 29, ARM_LR = 30, ARM_SP = 31, ARM_PC = 32 };

/* Real walks need a dozen for each PLT entry or signal frame. */
#define EXPR_OPS_MAX 65536

/* User code lies below this; bits above it are a signature (PAC) or a tag. */
#define ARM_PC_BITS 48

/* aarch64: from the stack pointer of a signal's trampoline to the registers that it interrupted:
 * siginfo_t, then ucontext_t's uc_mcontext.regs. x0 to x30, sp and pc follow one another. */
#define ARM_SIGNAL_REGS (128 + 176 + 8)

/* Bits of sample_regs_user: asm/perf_regs.h of either machine. */
enum { PERF_X86_IP = 8, PERF_X86_R8 = 16, PERF_X86_R15 = 23, PERF_ARM_PC = 32 };

struct arch {
	uint8_t sp, fp, pc;
	int ip_bit; /* of perf's mask */
};

static const struct arch x86_64 = {X86_RSP, X86_RBP, X86_RIP, PERF_X86_IP};
static const struct arch aarch64 = {ARM_SP, ARM_FP, ARM_PC, PERF_ARM_PC};

struct walk {
	const struct pa_unwind_sample *s;
	const struct arch *arch;
	bool is_arm;
	uint64_t base; /* address of the copy's first byte */
	uint64_t pc;
	bool is_exact; /* pc is no return address */
	uint64_t regs[PA_CFI_REG_CNT];
	uint64_t valid; /* bit N: regs[N] is known */
	uint32_t expr_ops_left;
};

enum { GO_ON = -1 }; /* a step's result beside enum pa_unwind_end */

uint16_t pa_unwind_machine(const char *name)
{
	if (!strcmp(name, "x86_64"))
		return EM_X86_64;
	if (!strcmp(name, "aarch64") || !strcmp(name, "arm64"))
		return EM_AARCH64;
	return EM_NONE;
}

/* ---- the sample's registers ----------------------------------------------------------------- */

/* The DWARF number of a bit of perf's mask. @return -1: has none */
static int dwarf_of(bool is_arm, int bit)
{
	/* ax bx cx dx si di bp sp */
	static const uint8_t x86[] = {0, 3, 2, 1, 4, 5, 6, 7};

	if (is_arm)
		return bit < ARM_PC ? bit : -1; /* x0 to x30 and sp */
	if (bit < 8)
		return x86[bit];
	return bit >= PERF_X86_R8 && bit <= PERF_X86_R15 ? bit - PERF_X86_R8 + 8 : -1;
}

static uint64_t code_address(const struct walk *w, uint64_t pc)
{
	return w->is_arm ? pc & ((1ull << ARM_PC_BITS) - 1) : pc;
}

static bool take_dwarf_registers(struct walk *w)
{
	const struct pa_unwind_sample *s = w->s;

	if (s->dwarf_reg_cnt <= w->arch->pc || s->dwarf_reg_cnt > PA_CFI_REG_CNT)
		return false;
	memcpy(w->regs, s->dwarf_regs, s->dwarf_reg_cnt * sizeof(*w->regs));
	w->valid = ((1ull << s->dwarf_reg_cnt) - 1) & ~(1ull << w->arch->pc);
	w->pc = code_address(w, w->regs[w->arch->pc]);
	w->base = w->regs[w->arch->sp];
	return true;
}

/* @return false: not even the pc is there */
static bool take_registers(struct walk *w)
{
	const struct pa_unwind_sample *s = w->s;
	bool has_pc = false;
	size_t i = 0;

	if (s->dwarf_regs)
		return take_dwarf_registers(w);

	for (uint64_t mask = s->reg_mask; mask && i < s->reg_cnt; mask &= mask - 1, i++) {
		int bit = __builtin_ctzll(mask), reg = dwarf_of(w->is_arm, bit);
		uint64_t v;

		memcpy(&v, (const char *)s->regs + i * sizeof(v), sizeof(v));
		if (bit == w->arch->ip_bit) {
			w->pc = code_address(w, v);
			has_pc = true;
		} else if (reg >= 0) {
			w->regs[reg] = v;
			w->valid |= 1ull << reg;
		}
	}
	w->base = w->regs[w->arch->sp];
	return has_pc;
}

static bool is_valid(const struct walk *w, unsigned reg)
{
	return w->valid >> reg & 1;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* @return 0 or an enum pa_unwind_end */
static int read_stack(void *ctx, uint64_t addr, unsigned bytes, uint64_t *out)
{
	const struct walk *w = ctx;
	uint64_t at = addr - w->base;
	size_t have = w->s->stack_bytes;

	if (addr < w->base)
		return PA_UNWIND_BAD;
	if (at > have || bytes > have - at)
		return PA_UNWIND_OUT_OF_STACK;
	*out = 0;
	memcpy(out, (const char *)w->s->stack + at, bytes); /* both machines: little endian */
	return 0;
}

/* ---- one step ------------------------------------------------------------------------------- */

/* @return 0 or an enum pa_unwind_end */
static int eval(struct walk *w, const struct pa_cfi_rule *rule, uint64_t bias, const uint64_t *cfa,
		uint64_t *out)
{
	struct pa_expr_env env = {
		.regs = w->regs,
		.valid = w->valid,
		.bias = bias,
		.ops_left = &w->expr_ops_left,
		.read = read_stack,
		.ctx = w,
	};
	int err = pa_expr__eval(rule->expr, rule->expr_bytes, &env, cfa, out);

	return err < 0 ? PA_UNWIND_BAD : err;
}

static int find_cfa(struct walk *w, const struct pa_cfi_row *row, uint64_t bias, uint64_t *cfa)
{
	if (row->cfa.kind == PA_RULE_VAL_EXPR)
		return eval(w, &row->cfa, bias, NULL, cfa);
	if (row->cfa.kind != PA_RULE_VAL_OFFSET || !is_valid(w, row->cfa.reg))
		return PA_UNWIND_BAD;
	*cfa = w->regs[row->cfa.reg] + (uint64_t)row->cfa.offset;
	return 0;
}

/* The caller's value of one register. @return 0, GO_ON it is not known, an enum pa_unwind_end */
static int recover(struct walk *w, const struct pa_cfi_rule *rule, uint64_t bias, uint64_t cfa,
		   uint64_t *out)
{
	uint64_t addr;
	int err;

	switch (rule->kind) {
	case PA_RULE_OFFSET:
		return read_stack(w, cfa + (uint64_t)rule->offset, 8, out);
	case PA_RULE_VAL_OFFSET:
		*out = cfa + (uint64_t)rule->offset;
		return 0;
	case PA_RULE_REGISTER:
		if ((uint64_t)rule->offset >= PA_CFI_REG_CNT ||
		    !is_valid(w, (unsigned)rule->offset))
			return GO_ON;
		*out = w->regs[rule->offset];
		return 0;
	case PA_RULE_EXPR:
		err = eval(w, rule, bias, &cfa, &addr);
		return err ? err : read_stack(w, addr, 8, out);
	case PA_RULE_VAL_EXPR:
		return eval(w, rule, bias, &cfa, out);
	case PA_RULE_SAME:
		*out = w->regs[rule->reg];
		return is_valid(w, rule->reg) ? 0 : GO_ON;
	default:
		return GO_ON;
	}
}

/* Stacks grow downward. Only the leaf may be at its caller's stack pointer, its return address in
 * a register (aarch64; vfork of x86-64), and a signal may have come in on another stack. */
static bool is_progress(const struct walk *w, const struct pa_cfi_row *row, uint64_t cfa)
{
	uint64_t sp = w->regs[w->arch->sp];

	return row->is_signal || cfa > sp || (w->is_exact && cfa == sp);
}

/* In an epilogue, of a register that was popped already: rules often go on to say where it was. */
static bool is_popped(const struct walk *w, const struct pa_cfi_row *row,
		      const struct pa_cfi_rule *rule, uint64_t cfa)
{
	return rule->kind == PA_RULE_OFFSET && rule->reg != row->ra_reg && !row->is_signal &&
	       cfa + (uint64_t)rule->offset < w->regs[w->arch->sp];
}

/* Go to the caller by a row. All rules are of the callee's registers, so that none sees what
 * another one made. */
static int step_row(struct walk *w, const struct pa_cfi_row *row, uint64_t bias)
{
	uint64_t values[PA_CFI_REG_CNT], cfa, made = 0, lost = 0;
	const struct pa_cfi_rule *ra = pa_cfi_row__rule(row, row->ra_reg);
	int err;

	/* Without a rule it is in its register, the link register of a leaf; x86-64 has none. */
	if (ra ? ra->kind == PA_RULE_UNDEFINED : row->ra_reg == w->arch->pc)
		return PA_UNWIND_COMPLETE;
	w->regs[w->arch->pc] = w->pc; /* expressions of PLT entries look at it */
	w->valid |= 1ull << w->arch->pc;
	err = find_cfa(w, row, bias, &cfa);
	if (err)
		return err;
	if (!is_progress(w, row, cfa))
		return PA_UNWIND_LOOP;
	for (size_t i = 0; i < row->rule_cnt; i++) {
		const struct pa_cfi_rule *rule = &row->rules[i];

		if (is_popped(w, row, rule, cfa))
			continue; /* it has its caller's value */
		err = recover(w, rule, bias, cfa, &values[rule->reg]);
		if (!err)
			made |= 1ull << rule->reg;
		else if (err == GO_ON || rule->reg != row->ra_reg)
			lost |= 1ull << rule->reg;
		else
			return err;
	}
	w->valid = (w->valid & ~lost) | made;
	for (; made; made &= made - 1)
		w->regs[__builtin_ctzll(made)] = values[__builtin_ctzll(made)];
	if (!pa_cfi_row__rule(row, w->arch->sp)) {
		w->regs[w->arch->sp] = cfa;
		w->valid |= 1ull << w->arch->sp;
	}
	if (!is_valid(w, row->ra_reg))
		return PA_UNWIND_BAD;
	w->pc = w->regs[row->ra_reg];
	w->is_exact = row->is_signal;
	return GO_ON;
}

/* Go to the caller by its frame record: the caller's frame pointer and the return address. */
static int step_fp(struct walk *w)
{
	uint64_t fp = w->regs[w->arch->fp], sp = w->regs[w->arch->sp], next, pc;
	int err;

	/* aarch64: code that was interrupted may have its return address in the register yet */
	if (w->is_arm && w->is_exact && is_valid(w, ARM_LR) && w->regs[ARM_LR]) {
		w->pc = w->regs[ARM_LR];
		w->valid &= ~(1ull << ARM_LR);
		w->is_exact = false;
		return GO_ON;
	}
	if (is_valid(w, w->arch->fp) && !fp)
		return PA_UNWIND_COMPLETE; /* as the ABIs mark the outermost frame */
	if (!is_valid(w, w->arch->fp) || fp < sp || fp % 8)
		return PA_UNWIND_NO_CFI;
	err = read_stack(w, fp, 8, &next);
	if (!err)
		err = read_stack(w, fp + 8, 8, &pc);
	if (err)
		return err;
	w->regs[w->arch->fp] = next;
	w->regs[w->arch->sp] = fp + 16;
	w->pc = pc;
	w->is_exact = false;
	return GO_ON;
}

/* The trampoline in the vdso of aarch64 has no CFI, on purpose: whoever unwinds is to know the
 * signal frame. Nothing else in the vdso calls anything. */
static int step_arm_signal(struct walk *w)
{
	uint64_t at = w->regs[ARM_SP] + ARM_SIGNAL_REGS, values[ARM_PC + 1];

	for (unsigned i = 0; i <= ARM_PC; i++) {
		int err = read_stack(w, at + 8 * i, 8, &values[i]);

		if (err)
			return err;
	}
	memcpy(w->regs, values, sizeof(values));
	w->valid = (1ull << (ARM_PC + 1)) - 1;
	w->pc = values[ARM_PC];
	w->is_exact = true;
	return GO_ON;
}

/* Look the frame's code up and go to its caller. */
static int step(struct walk *w, const struct pa_unwind_map *map, uint64_t pc, bool *is_signal)
{
	const struct pa_cfi_row *row = NULL;
	int err;

	*is_signal = w->is_arm && map->is_vdso && !w->is_exact;
	if (*is_signal)
		return step_arm_signal(w);
	err = map->cfi ? pa_cfi__row(map->cfi, pc - map->bias, &row) : -ENOENT;
	if (err == -ENOENT)
		return step_fp(w);
	if (err)
		return err == -ENOMEM ? -ENOMEM : PA_UNWIND_BAD;
	*is_signal = row->is_signal;
	return step_row(w, row, map->bias);
}

int pa_unwind(const struct pa_unwind_sample *s, struct pa_unwind_chain *out)
{
	struct walk w = {
		.s = s,
		.is_exact = true,
		.is_arm = s->machine == EM_AARCH64,
		.expr_ops_left = EXPR_OPS_MAX,
	};
	int end = PA_UNWIND_UNSUPPORTED;

	w.arch = w.is_arm ? &aarch64 : &x86_64;
	out->cnt = 0;
	if ((!w.is_arm && s->machine != EM_X86_64) || !take_registers(&w))
		goto out;
	out->ips[0] = w.pc;
	out->is_exact[out->cnt++] = true;
	if (s->abi != PERF_SAMPLE_REGS_ABI_64 || !is_valid(&w, w.arch->sp))
		goto out;
	for (;;) {
		uint64_t pc = w.pc - !w.is_exact;
		struct pa_unwind_map map = {0};
		bool is_signal = false;
		int err = s->find_map(s->ctx, pc, &map);

		if (err == -ENOMEM)
			return err;
		end = PA_UNWIND_BAD;
		if (err && out->cnt > 1) {
			out->cnt--; /* what no code lies at is no return address */
			break;
		}
		end = err ? PA_UNWIND_BAD : step(&w, &map, pc, &is_signal);
		if (end == -ENOMEM)
			return end;
		if (is_signal)
			out->is_exact[out->cnt - 1] = true;
		if (end != GO_ON)
			break;
		w.pc = code_address(&w, w.pc);
		end = PA_UNWIND_COMPLETE;
		if (!w.pc)
			break;
		end = PA_UNWIND_TOO_DEEP;
		if (out->cnt == PA_UNWIND_FRAMES_MAX)
			break;
		out->ips[out->cnt] = w.pc;
		out->is_exact[out->cnt++] = w.is_exact;
	}
out:
	out->end = (enum pa_unwind_end)end;
	return 0;
}
