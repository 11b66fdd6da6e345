// SPDX-License-Identifier: GPL-2.0-only
/*
 * rows.c - runs the instructions of one FDE and stops at each row. Work per entry is bounded:
 * by the number of its instructions and the depth of its remembered states.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "unwind/internal.h"

/* Not in every dwarf.h. */
#define CFA_AARCH64_NEGATE_RA_STATE_WITH_PC 0x2c
#define CFA_GNU_WINDOW_SAVE 0x2d /* aarch64: negate_ra_state */

/* A rule for reg; a register that we keep no rules of is not an error. */
static void set_rule(struct pa_cfi_rows *r, uint64_t reg, enum pa_rule_kind kind, int64_t offset)
{
	struct pa_cfi_rule *rule;

	if (reg >= PA_CFI_REG_CNT)
		return;
	rule = &r->state.rules[reg];
	*rule = (struct pa_cfi_rule){.kind = kind, .reg = (uint8_t)reg, .offset = offset};
	r->state.set |= 1ull << reg;
}

static void set_expr(struct pa_cfi_rows *r, uint64_t reg, enum pa_rule_kind kind)
{
	uint64_t bytes = pa_cursor__uleb(&r->insns);
	const uint8_t *expr = pa_cursor__skip(&r->insns, bytes);

	if (!expr || bytes > UINT32_MAX)
		return;
	set_rule(r, reg, kind, 0);
	if (reg >= PA_CFI_REG_CNT)
		return;
	r->state.rules[reg].expr = expr;
	r->state.rules[reg].expr_bytes = (uint32_t)bytes;
}

static void restore(struct pa_cfi_rows *r, uint64_t reg)
{
	uint64_t bit;

	if (reg >= PA_CFI_REG_CNT)
		return;
	bit = 1ull << reg;
	r->state.set = (r->state.set & ~bit) | (r->initial.set & bit);
	r->state.rules[reg] = r->initial.rules[reg];
}

static int64_t scaled(const struct pa_cfi_rows *r, uint64_t factored)
{
	return (int64_t)(factored * (uint64_t)r->fde->cie.data_align);
}

static int set_cfa(struct pa_cfi_rows *r, uint64_t reg, int64_t offset)
{
	r->state.cfa_is_expr = false;
	r->state.cfa_reg = reg;
	r->state.cfa_offset = offset;
	return 0;
}

static int run_cfa(struct pa_cfi_rows *r, uint8_t op)
{
	struct pa_cursor *c = &r->insns;
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = pa_cursor__uleb(c);
		return set_cfa(r, reg, (int64_t)pa_cursor__uleb(c));
	case DW_CFA_def_cfa_sf:
		reg = pa_cursor__uleb(c);
		return set_cfa(r, reg, scaled(r, (uint64_t)pa_cursor__sleb(c)));
	case DW_CFA_def_cfa_register:
		return set_cfa(r, pa_cursor__uleb(c), r->state.cfa_offset);
	case DW_CFA_def_cfa_offset:
		r->state.cfa_offset = (int64_t)pa_cursor__uleb(c);
		return 0;
	case DW_CFA_def_cfa_offset_sf:
		r->state.cfa_offset = scaled(r, (uint64_t)pa_cursor__sleb(c));
		return 0;
	default: /* DW_CFA_def_cfa_expression */
		r->state.cfa_is_expr = true;
		r->state.cfa_expr_bytes = pa_cursor__uleb(c);
		r->state.cfa_expr = pa_cursor__skip(c, r->state.cfa_expr_bytes);
		return 0;
	}
}

static int run_rule(struct pa_cfi_rows *r, uint8_t op)
{
	struct pa_cursor *c = &r->insns;
	uint64_t reg = pa_cursor__uleb(c);

	switch (op) {
	case DW_CFA_offset_extended:
		set_rule(r, reg, PA_RULE_OFFSET, scaled(r, pa_cursor__uleb(c)));
		return 0;
	case DW_CFA_offset_extended_sf:
		set_rule(r, reg, PA_RULE_OFFSET, scaled(r, (uint64_t)pa_cursor__sleb(c)));
		return 0;
	case DW_CFA_GNU_negative_offset_extended:
		set_rule(r, reg, PA_RULE_OFFSET, -(uint64_t)scaled(r, pa_cursor__uleb(c)));
		return 0;
	case DW_CFA_val_offset:
		set_rule(r, reg, PA_RULE_VAL_OFFSET, scaled(r, pa_cursor__uleb(c)));
		return 0;
	case DW_CFA_val_offset_sf:
		set_rule(r, reg, PA_RULE_VAL_OFFSET, scaled(r, (uint64_t)pa_cursor__sleb(c)));
		return 0;
	case DW_CFA_register:
		set_rule(r, reg, PA_RULE_REGISTER, (int64_t)pa_cursor__uleb(c));
		return 0;
	case DW_CFA_restore_extended:
		restore(r, reg);
		return 0;
	case DW_CFA_undefined:
		set_rule(r, reg, PA_RULE_UNDEFINED, 0);
		return 0;
	case DW_CFA_same_value:
		set_rule(r, reg, PA_RULE_SAME, 0);
		return 0;
	case DW_CFA_expression:
		set_expr(r, reg, PA_RULE_EXPR);
		return 0;
	default: /* DW_CFA_val_expression */
		set_expr(r, reg, PA_RULE_VAL_EXPR);
		return 0;
	}
}

static int run_state(struct pa_cfi_rows *r, uint8_t op)
{
	r->insn_cnt += PA_CFI_REMEMBER_COST; /* states are copied */
	if (op == DW_CFA_remember_state) {
		if (r->remembered_cnt == PA_CFI_REMEMBER_MAX)
			return -EBADMSG;
		r->remembered[r->remembered_cnt++] = r->state;
		return 0;
	}
	if (!r->remembered_cnt)
		return -EBADMSG;
	r->state = r->remembered[--r->remembered_cnt];
	return 0;
}

/* Move on by delta units of code. @return 1: a row ends here */
static int advance(struct pa_cfi_rows *r, uint64_t delta)
{
	uint64_t bytes;

	if (r->is_initial)
		return -EBADMSG;
	if (__builtin_mul_overflow(delta, r->fde->cie.code_align, &bytes) ||
	    bytes > UINT64_MAX - r->next)
		return -EBADMSG;
	r->next += bytes;
	return bytes ? 1 : 0;
}

static int run_set_loc(struct pa_cfi_rows *r)
{
	struct pa_pointer_base base = {
		.data = r->section->data,
		.vaddr = r->section->vaddr,
		.address_bytes = r->fde->cie.address_bytes,
	};
	uint64_t to = pa_pointer__read(&r->insns, &base, r->fde->cie.fde_encoding);

	if (r->is_initial || r->insns.is_bad || to < r->next)
		return -EBADMSG;
	if (to == r->next)
		return 0;
	r->next = to;
	return 1;
}

static int run_low(struct pa_cfi_rows *r, uint8_t op)
{
	struct pa_cursor *c = &r->insns;

	switch (op) {
	case DW_CFA_nop:
		return 0;
	case DW_CFA_set_loc:
		return run_set_loc(r);
	case DW_CFA_advance_loc1:
		return advance(r, pa_cursor__fixed(c, 1));
	case DW_CFA_advance_loc2:
		return advance(r, pa_cursor__fixed(c, 2));
	case DW_CFA_advance_loc4:
		return advance(r, pa_cursor__fixed(c, 4));
	case DW_CFA_MIPS_advance_loc8:
		return advance(r, pa_cursor__fixed(c, 8));
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_def_cfa_expression:
		return run_cfa(r, op);
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_GNU_negative_offset_extended:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_register:
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		return run_rule(r, op);
	case DW_CFA_remember_state:
	case DW_CFA_restore_state:
		return run_state(r, op);
	case DW_CFA_GNU_args_size:
		pa_cursor__uleb(c);
		return 0;
	case CFA_AARCH64_NEGATE_RA_STATE_WITH_PC:
	case CFA_GNU_WINDOW_SAVE:
		if (r->section->machine != EM_AARCH64)
			return -EBADMSG;
		r->state.is_signed = !r->state.is_signed;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* One instruction. @return 1: a row ends before it, at r->next; 0, -EBADMSG */
static int run_one(struct pa_cfi_rows *r)
{
	uint8_t op = (uint8_t)pa_cursor__fixed(&r->insns, 1), low = op & 0x3f;
	int ret = 0;

	if (++r->insn_cnt > PA_CFI_INSNS_MAX)
		return -EBADMSG;
	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		ret = advance(r, low);
		break;
	case DW_CFA_offset:
		set_rule(r, low, PA_RULE_OFFSET, scaled(r, pa_cursor__uleb(&r->insns)));
		break;
	case DW_CFA_restore:
		restore(r, low);
		break;
	default:
		ret = run_low(r, op);
		break;
	}
	return r->insns.is_bad ? -EBADMSG : ret;
}

static void clear_state(struct pa_cfi_state *s)
{
	s->cfa_is_expr = s->is_signed = false;
	s->cfa_reg = UINT64_MAX;
	s->cfa_offset = 0;
	s->set = 0;
}

int pa_cfi_rows__start(struct pa_cfi_rows *r, const struct pa_cfi_section *s,
		       const struct pa_fde *fde)
{
	int err = 0;

	r->section = s;
	r->fde = fde;
	r->remembered_cnt = 0;
	r->insn_cnt = 0;
	r->is_done = false;
	r->start = r->end = r->next = fde->start;
	clear_state(&r->state);
	clear_state(&r->initial);
	r->is_initial = true;
	r->insns = fde->cie.insns;
	while (!err && r->insns.p < r->insns.end)
		err = run_one(r);
	r->is_initial = false;
	r->initial = r->state;
	r->insns = fde->insns;
	return err;
}

int pa_cfi_rows__next(struct pa_cfi_rows *r)
{
	int ret = 0;

	if (r->is_done)
		return 0;
	r->start = r->end;
	while (!ret && r->insns.p < r->insns.end)
		ret = run_one(r);
	if (ret < 0) {
		r->is_done = true;
		return ret;
	}
	r->end = ret ? r->next : r->fde->end;
	if (r->end >= r->fde->end) {
		r->end = r->fde->end;
		r->is_done = true;
	}
	return r->start < r->end;
}

void pa_cfi_rows__get(const struct pa_cfi_rows *r, struct pa_cfi_row *out)
{
	const struct pa_cfi_state *s = &r->state;

	out->start = r->start;
	out->end = r->end;
	out->ra_reg = r->fde->cie.ra_reg;
	out->is_signal = r->fde->cie.is_signal;
	out->is_signed = s->is_signed;
	out->cfa = (struct pa_cfi_rule){.kind = PA_RULE_NONE};
	if (s->cfa_is_expr && s->cfa_expr_bytes <= UINT32_MAX) {
		out->cfa.kind = PA_RULE_VAL_EXPR;
		out->cfa.expr = s->cfa_expr;
		out->cfa.expr_bytes = (uint32_t)s->cfa_expr_bytes;
	} else if (!s->cfa_is_expr && s->cfa_reg < PA_CFI_REG_CNT) {
		out->cfa.kind = PA_RULE_VAL_OFFSET;
		out->cfa.reg = (uint8_t)s->cfa_reg;
		out->cfa.offset = s->cfa_offset;
	}
	out->rule_cnt = 0;
	for (uint64_t set = s->set; set; set &= set - 1)
		out->rules[out->rule_cnt++] = s->rules[__builtin_ctzll(set)];
}
