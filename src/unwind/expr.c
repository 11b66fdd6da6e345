// SPDX-License-Identifier: GPL-2.0-only
/*
 * expr.c - DWARF expressions (DWARF 5, section 2.5) as far as call frame information may use
 * them. Depth and number of operations are bounded: an expression may branch backwards.
 */
#include <dwarf.h>
#include <errno.h>

#include "unwind/internal.h"

struct machine {
	const struct pa_expr_env *env;
	struct pa_cursor c;
	const uint8_t *begin;
	uint64_t stack[PA_EXPR_STACK_MAX];
	unsigned depth;
	int err;
};

static void fail(struct machine *m, int err)
{
	if (!m->err)
		m->err = err;
}

static void push(struct machine *m, uint64_t v)
{
	if (m->depth == PA_EXPR_STACK_MAX)
		fail(m, -EBADMSG);
	else
		m->stack[m->depth++] = v;
}

static uint64_t pop(struct machine *m)
{
	if (m->depth)
		return m->stack[--m->depth];
	fail(m, -EBADMSG);
	return 0;
}

/* The entry n below the top. */
static uint64_t peek(struct machine *m, uint64_t n)
{
	if (n < m->depth)
		return m->stack[m->depth - 1 - n];
	fail(m, -EBADMSG);
	return 0;
}

static void push_reg(struct machine *m, uint64_t reg, int64_t offset)
{
	if (reg >= PA_CFI_REG_CNT || !(m->env->valid >> reg & 1))
		fail(m, -EBADMSG);
	else
		push(m, m->env->regs[reg] + (uint64_t)offset);
}

static void deref(struct machine *m, uint64_t bytes)
{
	uint64_t addr = pop(m), v = 0;
	int err;

	if (m->err)
		return;
	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) {
		fail(m, -EBADMSG);
		return;
	}
	err = m->env->read(m->env->ctx, addr, (unsigned)bytes, &v);
	if (err)
		fail(m, err);
	else
		push(m, v);
}

static void jump(struct machine *m, int64_t distance)
{
	if (distance < m->begin - m->c.p || distance > m->c.end - m->c.p)
		fail(m, -EBADMSG);
	else
		m->c.p += distance;
}

/* @return false: not a constant */
static bool run_const(struct machine *m, uint8_t op)
{
	struct pa_cursor *c = &m->c;

	switch (op) {
	case DW_OP_addr:
		push(m, pa_cursor__fixed(c, 8) + m->env->bias);
		return true;
	case DW_OP_const1u:
		push(m, pa_cursor__fixed(c, 1));
		return true;
	case DW_OP_const1s:
		push(m, pa_sign_extend(pa_cursor__fixed(c, 1), 1));
		return true;
	case DW_OP_const2u:
		push(m, pa_cursor__fixed(c, 2));
		return true;
	case DW_OP_const2s:
		push(m, pa_sign_extend(pa_cursor__fixed(c, 2), 2));
		return true;
	case DW_OP_const4u:
		push(m, pa_cursor__fixed(c, 4));
		return true;
	case DW_OP_const4s:
		push(m, pa_sign_extend(pa_cursor__fixed(c, 4), 4));
		return true;
	case DW_OP_const8u:
	case DW_OP_const8s:
		push(m, pa_cursor__fixed(c, 8));
		return true;
	case DW_OP_constu:
		push(m, pa_cursor__uleb(c));
		return true;
	case DW_OP_consts:
		push(m, (uint64_t)pa_cursor__sleb(c));
		return true;
	default:
		return false;
	}
}

/* @return false: no operation on the order of the stack, nor of one operand */
static bool run_stack(struct machine *m, uint8_t op)
{
	uint64_t a, b, v;

	switch (op) {
	case DW_OP_dup:
		push(m, peek(m, 0));
		return true;
	case DW_OP_drop:
		pop(m);
		return true;
	case DW_OP_over:
		push(m, peek(m, 1));
		return true;
	case DW_OP_pick:
		push(m, peek(m, pa_cursor__fixed(&m->c, 1)));
		return true;
	case DW_OP_swap:
		a = pop(m);
		b = pop(m);
		push(m, a);
		push(m, b);
		return true;
	case DW_OP_rot:
		a = pop(m);
		b = pop(m);
		v = pop(m);
		push(m, a);
		push(m, v);
		push(m, b);
		return true;
	case DW_OP_abs:
		v = pop(m);
		push(m, (int64_t)v < 0 ? -v : v);
		return true;
	case DW_OP_neg:
		push(m, -pop(m));
		return true;
	case DW_OP_not:
		push(m, ~pop(m));
		return true;
	case DW_OP_plus_uconst:
		v = pop(m);
		push(m, v + pa_cursor__uleb(&m->c));
		return true;
	default:
		return false;
	}
}

static uint64_t divide(struct machine *m, uint64_t a, uint64_t b)
{
	if (!b)
		fail(m, -EBADMSG);
	if (!b || (a == 1ull << 63 && b == UINT64_MAX))
		return a;
	return (uint64_t)((int64_t)a / (int64_t)b);
}

/* @return false: not a comparison */
static bool compare(uint8_t op, int64_t a, int64_t b, uint64_t *v)
{
	switch (op) {
	case DW_OP_eq:
		*v = a == b;
		return true;
	case DW_OP_ne:
		*v = a != b;
		return true;
	case DW_OP_ge:
		*v = a >= b;
		return true;
	case DW_OP_gt:
		*v = a > b;
		return true;
	case DW_OP_le:
		*v = a <= b;
		return true;
	case DW_OP_lt:
		*v = a < b;
		return true;
	default:
		return false;
	}
}

/* @return false: not an operation on two numbers */
static bool calculate(struct machine *m, uint8_t op, uint64_t a, uint64_t b, uint64_t *v)
{
	switch (op) {
	case DW_OP_and:
		*v = a & b;
		return true;
	case DW_OP_or:
		*v = a | b;
		return true;
	case DW_OP_xor:
		*v = a ^ b;
		return true;
	case DW_OP_plus:
		*v = a + b;
		return true;
	case DW_OP_minus:
		*v = a - b;
		return true;
	case DW_OP_mul:
		*v = a * b;
		return true;
	case DW_OP_div:
		*v = divide(m, a, b);
		return true;
	case DW_OP_mod:
		if (!b)
			fail(m, -EBADMSG);
		*v = b ? a % b : 0;
		return true;
	case DW_OP_shl:
		*v = b < 64 ? a << b : 0;
		return true;
	case DW_OP_shr:
		*v = b < 64 ? a >> b : 0;
		return true;
	case DW_OP_shra:
		*v = (uint64_t)((int64_t)a >> (b < 64 ? b : 63));
		return true;
	default:
		return false;
	}
}

/* @return false: not an operation of two operands, or there are fewer */
static bool run_binary(struct machine *m, uint8_t op)
{
	uint64_t a, b, v;

	if (m->depth < 2)
		return false;
	b = peek(m, 0);
	a = peek(m, 1);
	if (!calculate(m, op, a, b, &v) && !compare(op, (int64_t)a, (int64_t)b, &v))
		return false;
	m->depth -= 2;
	push(m, v);
	return true;
}

static void run_one(struct machine *m)
{
	struct pa_cursor *c = &m->c;
	uint8_t op = (uint8_t)pa_cursor__fixed(c, 1);
	uint64_t reg;
	int64_t distance;

	if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
		push(m, op - DW_OP_lit0);
	} else if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		push_reg(m, op - DW_OP_breg0, pa_cursor__sleb(c));
	} else if (op == DW_OP_bregx) {
		reg = pa_cursor__uleb(c);
		push_reg(m, reg, pa_cursor__sleb(c));
	} else if (op == DW_OP_deref) {
		deref(m, 8);
	} else if (op == DW_OP_deref_size) {
		deref(m, pa_cursor__fixed(c, 1));
	} else if (op == DW_OP_skip || op == DW_OP_bra) {
		distance = (int64_t)pa_sign_extend(pa_cursor__fixed(c, 2), 2);
		if (op == DW_OP_skip || pop(m))
			jump(m, distance);
	} else if (op != DW_OP_nop && !run_const(m, op) && !run_stack(m, op) &&
		   !run_binary(m, op)) {
		fail(m, -EBADMSG);
	}
}

int pa_expr__eval(const uint8_t *expr, size_t bytes, const struct pa_expr_env *env,
		  const uint64_t *first, uint64_t *out)
{
	struct machine m;
	unsigned op_cnt = 0;

	m.env = env;
	m.c = (struct pa_cursor){expr, expr + bytes, false};
	m.begin = expr;
	m.depth = 0;
	m.err = 0;
	if (first)
		push(&m, *first);
	while (!m.err && m.c.p < m.c.end) {
		if (++op_cnt > PA_EXPR_OPS_MAX || !*env->ops_left)
			return -EBADMSG;
		--*env->ops_left;
		run_one(&m);
		if (m.c.is_bad)
			return -EBADMSG;
	}
	*out = pop(&m);
	return m.err;
}
