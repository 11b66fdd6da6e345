// SPDX-License-Identifier: GPL-2.0-only
/*
 * llvmtext.c - LLVM's sample profile as text: functions with total and head, their lines with
 * counts and called functions, and what is inlined, one space further in.
 */
#include <errno.h>
#include <inttypes.h>

#include "pgo/pgo.h"

struct text {
	const struct pa_pgo_profile *p;
	const struct pa_pgo_order *o;
	FILE *out;
};

static void put_place(const struct text *t, unsigned depth, uint32_t line, uint32_t discriminator)
{
	fprintf(t->out, "%*s%" PRIu32, (int)depth, "", line);
	if (discriminator)
		fprintf(t->out, ".%" PRIu32, discriminator);
	fputs(": ", t->out);
}

static void put_line(const struct text *t, uint32_t i, unsigned depth)
{
	const struct pa_pgo_line *l = &t->p->lines[i];

	put_place(t, depth, l->line, l->discriminator);
	fprintf(t->out, "%" PRIu64, l->cnt);
	for (uint32_t j = t->o->first_target[i]; j < t->o->first_target[i + 1]; j++) {
		const struct pa_pgo_target *target = &t->p->targets[t->o->targets[j]];

		fprintf(t->out, " %s:%" PRIu64, t->p->names.strs[target->name], target->cnt);
	}
	fputc('\n', t->out);
}

static void put_body(const struct text *t, uint32_t function, unsigned depth)
{
	const struct pa_pgo_order *o = t->o;

	for (uint32_t i = o->first_line[function]; i < o->first_line[function + 1]; i++)
		put_line(t, o->lines[i], depth);
	for (uint32_t i = o->first_child[function]; i < o->first_child[function + 1]; i++) {
		const struct pa_pgo_function *f = &t->p->functions[o->children[i]];

		put_place(t, depth, f->line, f->discriminator);
		fprintf(t->out, "%s:%" PRIu64 "\n", t->p->names.strs[f->name], f->total);
		put_body(t, o->children[i], depth + 1);
	}
}

int pa_pgo__write_text(const struct pa_pgo_profile *p, FILE *out)
{
	struct pa_pgo_order o;
	struct text t = {p, &o, out};
	int err = pa_pgo_order__make(p, &o);

	for (size_t i = 0; !err && i < o.function_cnt; i++) {
		const struct pa_pgo_function *f = &p->functions[o.functions[i]];

		fprintf(out, "%s:%" PRIu64 ":%" PRIu64 "\n", p->names.strs[f->name], f->total,
			f->head);
		put_body(&t, o.functions[i], 1);
	}
	pa_pgo_order__free(&o);
	return err ? err : ferror(out) ? -EIO : 0;
}
