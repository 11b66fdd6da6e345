// SPDX-License-Identifier: GPL-2.0-only
/*
 * pack_rule.c - from the state of one row to a rule of bpf/unwind.h. A rule is made only when it
 * leads to the same pc, stack pointer and frame pointer as the row itself (offline.c); everything
 * else is PA_CFA_COMPLEX.
 */
#include <dwarf.h>
#include <elf.h>
#include <string.h>

#include "unwind/internal.h"

/* DWARF numbers. */
struct regs {
	uint8_t sp, fp, ra;
};
static const struct regs x86_64 = {7, 6, 16};
static const struct regs aarch64 = {31, 29, 30};

/* Where the kernel of x86-64 keeps registers, from the stack pointer of a signal's trampoline:
 * ucontext's uc_mcontext. */
enum { X86_SIGNAL_RBP = 120, X86_SIGNAL_RSP = 160, X86_SIGNAL_RIP = 168 };

static const struct pa_unwind_rule complex_rule = {.cfa = PA_CFA_COMPLEX};

static const struct regs *regs_of(uint16_t machine)
{
	return machine == EM_AARCH64 ? &aarch64 : &x86_64;
}

static const struct pa_cfi_rule *rule_of(const struct pa_cfi_state *s, unsigned reg)
{
	return s->set >> reg & 1 ? &s->rules[reg] : NULL;
}

/* ---- expressions ---------------------------------------------------------------------------- */

/* reg + off, or *(reg + off) + add */
struct address {
	uint8_t reg;
	bool is_deref;
	int64_t off, add;
};

/* What an operation, with a DW_OP_plus behind it where it takes one, adds. */
static bool read_addend(struct pa_cursor *c, uint8_t op, int64_t *n)
{
	if (op == DW_OP_plus_uconst) {
		*n = (int64_t)pa_cursor__uleb(c);
		return true;
	}
	if (op >= DW_OP_lit0 && op <= DW_OP_lit31)
		*n = op - DW_OP_lit0;
	else if (op == DW_OP_consts)
		*n = pa_cursor__sleb(c);
	else if (op == DW_OP_constu)
		*n = (int64_t)pa_cursor__uleb(c);
	else
		return false;
	return pa_cursor__fixed(c, 1) == DW_OP_plus;
}

static bool parse_address(const uint8_t *expr, uint64_t bytes, struct address *out)
{
	struct pa_cursor c = {expr, expr + bytes, false};
	uint8_t op = (uint8_t)pa_cursor__fixed(&c, 1);
	int64_t n;

	if (op < DW_OP_breg0 || op > DW_OP_breg31)
		return false;
	*out = (struct address){.reg = op - DW_OP_breg0};
	out->off = pa_cursor__sleb(&c);
	while (c.p < c.end) {
		int64_t *sum = out->is_deref ? &out->add : &out->off;

		op = (uint8_t)pa_cursor__fixed(&c, 1);
		if (op == DW_OP_deref && !out->is_deref)
			out->is_deref = true;
		else if (read_addend(&c, op, &n))
			*sum = (int64_t)((uint64_t)*sum + (uint64_t)n);
		else
			return false;
	}
	return !c.is_bad;
}

/* The expression is just reg + off. */
static bool is_plain(const struct pa_cfi_rule *rule, unsigned reg, int64_t *off)
{
	struct address a;

	if (!rule || rule->kind != PA_RULE_EXPR ||
	    !parse_address(rule->expr, rule->expr_bytes, &a) || a.is_deref || a.reg != reg)
		return false;
	*off = a.off;
	return true;
}

static bool is_plain_at(const struct pa_cfi_rule *rule, unsigned reg, int64_t want)
{
	int64_t off;

	return is_plain(rule, reg, &off) && off == want;
}

/* The linker's for PLT entries, where something is pushed some bytes into each. */
static bool is_plt(const struct pa_cfi_state *s, uint8_t *threshold)
{
	static const uint8_t before[] = {DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and};
	static const uint8_t behind[] = {DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	const uint8_t *expr = s->cfa_expr;
	uint8_t lit;

	if (s->cfa_expr_bytes != sizeof(before) + 1 + sizeof(behind) ||
	    memcmp(expr, before, sizeof(before)) != 0 ||
	    memcmp(expr + sizeof(before) + 1, behind, sizeof(behind)) != 0)
		return false;
	lit = expr[sizeof(before)];
	if (lit < DW_OP_lit0 || lit > DW_OP_lit31)
		return false;
	*threshold = lit - DW_OP_lit0;
	return true;
}

/* ---- parts of a rule ------------------------------------------------------------------------ */

static bool make_cfa(const struct pa_cfi_state *s, const struct regs *regs,
		     struct pa_unwind_rule *out)
{
	struct address a = {.reg = (uint8_t)s->cfa_reg, .off = s->cfa_offset};
	uint8_t threshold;

	if (s->cfa_is_expr && regs == &x86_64 && is_plt(s, &threshold)) {
		out->cfa = PA_CFA_PLT;
		out->cfa_off = threshold;
		return true;
	}
	if (s->cfa_is_expr ? !parse_address(s->cfa_expr, s->cfa_expr_bytes, &a)
			   : s->cfa_reg > UINT8_MAX)
		return false;
	if ((a.reg != regs->sp && a.reg != regs->fp) || a.off != (int32_t)a.off ||
	    a.add != (int32_t)a.add)
		return false;
	if (a.reg == regs->sp)
		out->cfa = a.is_deref ? PA_CFA_DEREF_SP : PA_CFA_SP;
	else
		out->cfa = a.is_deref ? PA_CFA_DEREF_FP : PA_CFA_FP;
	out->cfa_off = (int32_t)a.off;
	out->cfa_add = (int32_t)a.add;
	return true;
}

static bool make_fp(const struct pa_cfi_rule *rule, const struct regs *regs,
		    struct pa_unwind_rule *out)
{
	int64_t off = 0;

	if (!rule || rule->kind == PA_RULE_SAME) {
		out->fp = PA_FP_SAME;
	} else if (rule->kind == PA_RULE_UNDEFINED) {
		out->fp = PA_FP_UNKNOWN;
	} else if (rule->kind == PA_RULE_OFFSET) {
		out->fp = PA_FP_AT_CFA;
		off = rule->offset;
	} else if (is_plain(rule, regs->fp, &off)) {
		out->fp = PA_FP_AT_FP;
	} else {
		return false; /* user space can still find it */
	}
	out->fp_off = (int16_t)off;
	return off == (int16_t)off;
}

static bool make_ra(const struct pa_cfi_rule *rule, const struct regs *regs,
		    struct pa_unwind_rule *out)
{
	if (regs == &aarch64 && (!rule || rule->kind == PA_RULE_SAME)) {
		out->ra = PA_RA_LR;
		return true;
	}
	if (!rule || rule->kind != PA_RULE_OFFSET)
		return false;
	out->ra = PA_RA_AT_CFA;
	out->ra_off = (int16_t)rule->offset;
	return rule->offset == (int16_t)rule->offset;
}

/* x86-64: what the C library says of the trampoline that signal handlers return to. aarch64: what
 * old kernels say of theirs, which leads past the interrupted function; the registers lie where
 * they always do. */
static bool is_signal_frame(const struct pa_cfi_state *s, const struct regs *regs)
{
	const struct pa_cfi_rule *sp = rule_of(s, regs->sp), *fp = rule_of(s, regs->fp);
	const struct pa_cfi_rule *ra = rule_of(s, regs->ra);
	struct address cfa;

	if (regs == &aarch64)
		return !s->cfa_is_expr && s->cfa_reg == regs->fp && !s->cfa_offset && fp && ra &&
		       fp->kind == PA_RULE_OFFSET && !fp->offset && ra->kind == PA_RULE_OFFSET &&
		       ra->offset == 8;
	return s->cfa_is_expr && parse_address(s->cfa_expr, s->cfa_expr_bytes, &cfa) &&
	       cfa.reg == regs->sp && cfa.off == X86_SIGNAL_RSP && cfa.is_deref && !cfa.add &&
	       is_plain_at(ra, regs->sp, X86_SIGNAL_RIP) &&
	       is_plain_at(fp, regs->sp, X86_SIGNAL_RBP) &&
	       (!sp || is_plain_at(sp, regs->sp, X86_SIGNAL_RSP));
}

void pa_pack_rule__make(const struct pa_cfi_rows *r, struct pa_unwind_rule *out)
{
	const struct regs *regs = regs_of(r->section->machine);
	const struct pa_cfi_state *s = &r->state;
	const struct pa_cfi_rule *ra = rule_of(s, regs->ra), *sp = rule_of(s, regs->sp);
	struct pa_unwind_rule rule = {0};

	*out = complex_rule;
	if (r->fde->cie.ra_reg != regs->ra)
		return;
	if (ra ? ra->kind == PA_RULE_UNDEFINED : regs == &x86_64) {
		*out = (struct pa_unwind_rule){.cfa = PA_CFA_STOP};
		return;
	}
	if (r->fde->cie.is_signal) {
		if (is_signal_frame(s, regs))
			*out = (struct pa_unwind_rule){.cfa = PA_CFA_SIGNAL};
		return;
	}
	if (sp && (sp->kind != PA_RULE_VAL_OFFSET || sp->offset))
		return; /* the caller's stack pointer is not the CFA */
	if (make_cfa(s, regs, &rule) && make_fp(rule_of(s, regs->fp), regs, &rule) &&
	    make_ra(ra, regs, &rule))
		*out = rule;
}

/* ---- frame pointers ------------------------------------------------------------------------- */

bool pa_pack_rule__is_frame(const struct pa_unwind_rule *rule)
{
	return rule->cfa == PA_CFA_FP && rule->fp == PA_FP_AT_CFA && rule->ra == PA_RA_AT_CFA &&
	       rule->fp_off == -rule->cfa_off && rule->ra_off == 8 - rule->cfa_off;
}

/* x86-64 without a frame: between functions' entry and their push, and behind the pop of their
 * end. Stacks are aligned at calls, so none is here but to functions that don't mind. */
static bool is_entry(const struct pa_unwind_rule *rule)
{
	return rule->cfa == PA_CFA_SP && rule->cfa_off == 8 && rule->ra_off == -8 &&
	       (rule->fp == PA_FP_SAME || (rule->fp == PA_FP_AT_CFA && rule->fp_off == -16));
}

/* x86-64 between "push %rbp" and "mov %rsp,%rbp". */
static bool is_pushed(const struct pa_unwind_rule *rule)
{
	return rule->cfa == PA_CFA_SP && rule->cfa_off == 16 && rule->ra_off == -8 &&
	       rule->fp == PA_FP_AT_CFA && rule->fp_off == -16;
}

bool pa_pack_rule__keeps_fp(const struct pa_unwind_rule *rule, const struct pa_unwind_rule *next,
			    uint16_t machine)
{
	/* Without CFI frame pointers are what there is; PLT entries jump. */
	if (rule->cfa == PA_CFA_NONE || rule->cfa == PA_CFA_STOP || rule->cfa == PA_CFA_PLT)
		return true;
	if (pa_pack_rule__is_frame(rule))
		return true;
	if (machine == EM_AARCH64)
		/* a call would have overwritten the register */
		return rule->cfa == PA_CFA_SP && rule->ra == PA_RA_LR;
	/* a realigned stack: both words of the frame are pushed again */
	if (rule->cfa == PA_CFA_DEREF_FP && rule->fp == PA_FP_AT_FP && !rule->fp_off)
		return true;
	if (is_pushed(rule))
		return next && pa_pack_rule__is_frame(next);
	return is_entry(rule);
}
