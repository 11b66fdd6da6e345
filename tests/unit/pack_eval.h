/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pack_eval.h - one step of an unwind, by a row of CFI and by a rule of packed tables, over
 * registers and memory whose contents are made up from their addresses: when both give the same
 * caller, the rule means what the row means.
 */
#ifndef PACK_EVAL_H
#define PACK_EVAL_H

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "unwind/internal.h"
#include "unwind/pack.h"

/** The caller's registers. */
struct eval_step {
	enum { EVAL_CALLER, EVAL_STOP, EVAL_BAD } end;
	uint64_t pc, sp, fp;
	bool has_fp;
};

struct eval_regs {
	uint8_t sp, fp, ra, pc;
};

static inline struct eval_regs eval_regs(uint16_t machine)
{
	return machine == EM_AARCH64 ? (struct eval_regs){31, 29, 30, 32}
				     : (struct eval_regs){7, 6, 16, 16};
}

static inline uint64_t eval_memory(uint64_t addr)
{
	addr = (addr ^ addr >> 31) * 0x9e3779b97f4a7c15ull;
	return (addr ^ addr >> 29) * 0xbf58476d1ce4e5b9ull;
}

static inline int eval_read(void *ctx, uint64_t addr, unsigned bytes, uint64_t *out)
{
	(void)ctx;
	*out = eval_memory(addr) & (bytes == 8 ? UINT64_MAX : (1ull << 8 * bytes) - 1);
	return 0;
}

static inline uint64_t eval_register(unsigned reg, uint64_t pc, const struct eval_regs *r)
{
	return reg == r->pc ? pc : eval_memory(0x1000 + reg);
}

static inline bool eval_expr(const struct pa_cfi_rule *rule, const uint64_t *regs,
			     const uint64_t *cfa, uint64_t *out)
{
	uint32_t ops_left = 10000;
	struct pa_expr_env env = {
		.regs = regs, .valid = UINT64_MAX, .ops_left = &ops_left, .read = eval_read};

	return !pa_expr__eval(rule->expr, rule->expr_bytes, &env, cfa, out);
}

/* @return whether the register can be found */
static inline bool eval_rule(const struct pa_cfi_rule *rule, const uint64_t *regs, uint64_t cfa,
			     uint64_t *out)
{
	switch (rule->kind) {
	case PA_RULE_SAME:
		*out = regs[rule->reg];
		return true;
	case PA_RULE_OFFSET:
		*out = eval_memory(cfa + (uint64_t)rule->offset);
		return true;
	case PA_RULE_VAL_OFFSET:
		*out = cfa + (uint64_t)rule->offset;
		return true;
	case PA_RULE_REGISTER:
		*out = (uint64_t)rule->offset < PA_CFI_REG_CNT ? regs[rule->offset] : 0;
		return (uint64_t)rule->offset < PA_CFI_REG_CNT;
	case PA_RULE_EXPR:
		if (!eval_expr(rule, regs, &cfa, out))
			return false;
		*out = eval_memory(*out);
		return true;
	case PA_RULE_VAL_EXPR:
		return eval_expr(rule, regs, &cfa, out);
	default:
		return false;
	}
}

/** As offline.c steps. */
static inline struct eval_step eval_row(const struct pa_cfi_row *row, uint16_t machine, uint64_t pc)
{
	struct eval_regs r = eval_regs(machine);
	const struct pa_cfi_rule *ra = pa_cfi_row__rule(row, row->ra_reg);
	const struct pa_cfi_rule *sp = pa_cfi_row__rule(row, r.sp);
	const struct pa_cfi_rule *fp = pa_cfi_row__rule(row, r.fp);
	struct eval_step s = {.end = EVAL_BAD};
	uint64_t regs[PA_CFI_REG_CNT], cfa;

	for (unsigned i = 0; i < PA_CFI_REG_CNT; i++)
		regs[i] = eval_register(i, pc, &r);
	if (ra ? ra->kind == PA_RULE_UNDEFINED : row->ra_reg == r.pc)
		return (struct eval_step){.end = EVAL_STOP};
	if (row->cfa.kind == PA_RULE_VAL_EXPR) {
		if (!eval_expr(&row->cfa, regs, NULL, &cfa))
			return s;
	} else if (row->cfa.kind == PA_RULE_VAL_OFFSET) {
		cfa = regs[row->cfa.reg] + (uint64_t)row->cfa.offset;
	} else {
		return s;
	}
	s.pc = regs[row->ra_reg];
	s.sp = cfa;
	s.fp = regs[r.fp];
	s.has_fp = !fp || eval_rule(fp, regs, cfa, &s.fp);
	if ((!ra || eval_rule(ra, regs, cfa, &s.pc)) && (!sp || eval_rule(sp, regs, cfa, &s.sp)))
		s.end = EVAL_CALLER;
	return s;
}

static inline struct eval_step eval_signal(uint16_t machine, uint64_t sp)
{
	bool is_arm = machine == EM_AARCH64;
	uint64_t at = sp + (is_arm ? 312 : 0);

	return (struct eval_step){
		.end = EVAL_CALLER,
		.pc = eval_memory(at + (is_arm ? 32 * 8 : 168)),
		.sp = eval_memory(at + (is_arm ? 31 * 8 : 160)),
		.fp = eval_memory(at + (is_arm ? 29 * 8 : 120)),
		.has_fp = true,
	};
}

/** As the walker steps; not by rules of the kinds NONE and COMPLEX. */
static inline struct eval_step eval_packed(const struct pa_unwind_rule *rule, uint16_t machine,
					   uint64_t pc)
{
	struct eval_regs r = eval_regs(machine);
	uint64_t sp = eval_register(r.sp, pc, &r), fp = eval_register(r.fp, pc, &r), cfa;
	struct eval_step s = {.end = EVAL_CALLER, .fp = fp, .has_fp = true};

	switch (rule->cfa) {
	case PA_CFA_SP:
		cfa = sp + (uint64_t)(int64_t)rule->cfa_off;
		break;
	case PA_CFA_FP:
		cfa = fp + (uint64_t)(int64_t)rule->cfa_off;
		break;
	case PA_CFA_DEREF_SP:
	case PA_CFA_DEREF_FP:
		cfa = rule->cfa == PA_CFA_DEREF_SP ? sp : fp;
		cfa = eval_memory(cfa + (uint64_t)(int64_t)rule->cfa_off) +
		      (uint64_t)(int64_t)rule->cfa_add;
		break;
	case PA_CFA_PLT:
		cfa = sp + 8 + ((pc & 15) >= (uint64_t)(int64_t)rule->cfa_off ? 8 : 0);
		break;
	case PA_CFA_SIGNAL:
		return eval_signal(machine, sp);
	case PA_CFA_STOP:
		return (struct eval_step){.end = EVAL_STOP};
	default:
		return (struct eval_step){.end = EVAL_BAD};
	}
	s.sp = cfa;
	s.pc = rule->ra == PA_RA_LR ? eval_register(30, pc, &r)
				    : eval_memory(cfa + (uint64_t)(int64_t)rule->ra_off);
	if (rule->fp == PA_FP_AT_CFA)
		s.fp = eval_memory(cfa + (uint64_t)(int64_t)rule->fp_off);
	else if (rule->fp == PA_FP_AT_FP)
		s.fp = eval_memory(fp + (uint64_t)(int64_t)rule->fp_off);
	s.has_fp = rule->fp != PA_FP_UNKNOWN;
	return s;
}

static inline bool eval_is_same(const struct eval_step *a, const struct eval_step *b)
{
	return a->end == b->end && a->pc == b->pc && a->sp == b->sp && a->has_fp == b->has_fp &&
	       (!a->has_fp || a->fp == b->fp);
}

#endif
