// SPDX-License-Identifier: GPL-2.0-only
/*
 * packcheck.c - packcheck [--readelf] FILE...: whether the packed tables of ELF files mean what
 * their CFI says: at the first and last address of every row and at random ones; with --readelf
 * also whether the rows are those that `readelf -wF` prints. A line per file with what was
 * compared and why rows are PA_CFA_COMPLEX; the exit status is 1 when anything differs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/pack_eval.h"

enum { RANDOM_CNT = 2000, SHOWN_MAX = 5, COLUMNS_MAX = 64 };

/* Why a row is COMPLEX. */
enum cause { CFA_REGISTER, CFA_EXPR, CFA_NONE, SIGNAL, SP_RULE, FP_RULE, RA_RULE, RANGE, CAUSES };
static const char *const cause_names[CAUSES] = {"cfa-register", "cfa-expr", "cfa-none", "signal",
						"sp",		"fp",	    "ra",	"range"};

struct check {
	const char *path;
	struct pa_cfi *asked; /* for single addresses */
	const struct pa_pack *p;
	uint16_t machine;
	unsigned long long row_cnt, address_cnt, outside_cnt, wrong_cnt, readelf_cnt, empty_cnt;
	unsigned long long causes[CAUSES];
};

static void complain(struct check *c, uint64_t vaddr, const char *what)
{
	if (c->wrong_cnt++ < SHOWN_MAX)
		fprintf(stderr, "%s: %#llx: %s\n", c->path, (unsigned long long)vaddr, what);
}

static bool fits16(const struct pa_cfi_rule *rule)
{
	return !rule || rule->kind != PA_RULE_OFFSET || rule->offset == (int16_t)rule->offset;
}

/* @return CAUSES: none, a rule should have expressed the row */
static enum cause cause_of(const struct check *c, const struct pa_cfi_row *row)
{
	struct eval_regs r = eval_regs(c->machine);
	const struct pa_cfi_rule *ra = pa_cfi_row__rule(row, r.ra), *fp;

	fp = pa_cfi_row__rule(row, r.fp);
	if (row->is_signal)
		return SIGNAL;
	if (row->ra_reg != r.ra || (ra && ra->kind != PA_RULE_OFFSET && ra->kind != PA_RULE_SAME))
		return RA_RULE;
	if (pa_cfi_row__rule(row, r.sp))
		return SP_RULE;
	if (row->cfa.kind == PA_RULE_NONE)
		return CFA_NONE;
	if (row->cfa.kind == PA_RULE_VAL_EXPR)
		return CFA_EXPR;
	if (row->cfa.reg != r.sp && row->cfa.reg != r.fp)
		return CFA_REGISTER;
	if (fp && fp->kind != PA_RULE_OFFSET && fp->kind != PA_RULE_SAME &&
	    fp->kind != PA_RULE_UNDEFINED)
		return FP_RULE;
	return fits16(ra) && fits16(fp) && row->cfa.offset == (int32_t)row->cfa.offset ? CAUSES
										       : RANGE;
}

static bool is_dropped_page(const struct check *c, uint64_t vaddr)
{
	const struct pa_unwind_rule *first = pa_pack__rule(c->p, vaddr & ~4095ull);

	for (unsigned i = 0; i < 4096 && c->p->dropped_page_cnt; i++)
		if (pa_pack__rule(c->p, (vaddr & ~4095ull) + i) != first)
			return false;
	return c->p->dropped_page_cnt > 0;
}

/* Compare at one address; row NULL: nothing covers it. @return false: they differ */
static bool is_right(struct check *c, const struct pa_cfi_row *row, uint64_t vaddr)
{
	const struct pa_unwind_rule *rule = pa_pack__rule(c->p, vaddr);
	struct eval_step by_row, packed;

	if (!rule || !row)
		return !rule || rule->cfa == PA_CFA_NONE;
	if (rule->cfa == PA_CFA_COMPLEX)
		return cause_of(c, row) != CAUSES || is_dropped_page(c, vaddr);
	if (rule->cfa == PA_CFA_NONE)
		return false;
	if (rule->cfa == PA_CFA_SIGNAL && c->machine == EM_AARCH64)
		return row->is_signal;
	by_row = eval_row(row, c->machine, vaddr);
	packed = eval_packed(rule, c->machine, vaddr);
	return eval_is_same(&by_row, &packed) && row->is_signal == (rule->cfa == PA_CFA_SIGNAL);
}

/* The same with the row that a lookup finds. */
static void check_address(struct check *c, uint64_t vaddr)
{
	const struct pa_cfi_row *row = NULL;
	int err = pa_cfi__row(c->asked, vaddr, &row);

	c->address_cnt++;
	if (err == -EBADMSG ? false : !is_right(c, err ? NULL : row, vaddr))
		complain(c, vaddr, "rule and row differ");
}

static int check_row(void *ctx, const struct pa_cfi_row *row)
{
	struct check *c = ctx;
	const struct pa_unwind_rule *rule = pa_pack__rule(c->p, row->start);

	c->row_cnt++;
	if (!rule)
		c->outside_cnt++;
	else if (rule->cfa == PA_CFA_COMPLEX && cause_of(c, row) != CAUSES)
		c->causes[cause_of(c, row)]++;
	/* A lookup takes long; where entries overlap it is needed. */
	if (!is_right(c, row, row->start))
		check_address(c, row->start);
	if (!is_right(c, row, row->end - 1))
		check_address(c, row->end - 1);
	c->address_cnt += 2;
	if (pa_pack__rule(c->p, row->end) == &c->p->rules[PA_RULE_ID_NONE])
		check_address(c, row->end);
	return 0;
}

static void check_random(struct check *c)
{
	uint64_t state = 1;

	for (size_t i = 0; i < RANDOM_CNT && c->p->page_cnt; i++) {
		const struct pa_pack_range *r = &c->p->ranges[i % c->p->range_cnt];

		state = state * 6364136223846793005ull + 1442695040888963407ull;
		check_address(c, r->vaddr + (state >> 20) % ((uint64_t)r->cnt << 12));
	}
}

/* ---- readelf -------------------------------------------------------------------------------- */

static int register_named(const struct check *c, const char *name)
{
	static const char *const x86[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
					  "rbp", "rsp", "r8",  "r9",  "r10", "r11",
					  "r12", "r13", "r14", "r15", "rip"};
	int n;

	if (!strcmp(name, "ra"))
		return c->machine == EM_AARCH64 ? 30 : 16;
	if (c->machine == EM_AARCH64) {
		if (sscanf(name, "x%d", &n) == 1)
			return n;
		return !strcmp(name, "sp") ? 31 : -1;
	}
	for (int i = 0; i < 17; i++)
		if (!strcmp(name, x86[i]))
			return i;
	return -1;
}

static bool is_cfa(const struct check *c, const struct pa_cfi_row *row, const char *text)
{
	const char *sign = strpbrk(text, "+-");
	char name[16] = "";

	if (!strcmp(text, "exp"))
		return row->cfa.kind == PA_RULE_VAL_EXPR;
	if (!sign || sign == text || (size_t)(sign - text) >= sizeof(name))
		return false;
	memcpy(name, text, (size_t)(sign - text));
	return row->cfa.kind == PA_RULE_VAL_OFFSET && register_named(c, name) == row->cfa.reg &&
	       strtoll(sign, NULL, 10) == row->cfa.offset;
}

static bool is_cell(const struct pa_cfi_row *row, int reg, const char *text)
{
	const struct pa_cfi_rule *rule = pa_cfi_row__rule(row, (unsigned)reg);
	unsigned kind = rule ? rule->kind : PA_RULE_NONE;

	if (!strcmp(text, "u"))
		return kind == PA_RULE_NONE || kind == PA_RULE_UNDEFINED;
	if (!strcmp(text, "s"))
		return kind == PA_RULE_SAME;
	if (!strcmp(text, "exp"))
		return kind == PA_RULE_EXPR;
	if (!strcmp(text, "vexp"))
		return kind == PA_RULE_VAL_EXPR;
	if (text[0] == 'c' || text[0] == 'v')
		return kind == (text[0] == 'c' ? PA_RULE_OFFSET : PA_RULE_VAL_OFFSET) &&
		       strtoll(text + 1, NULL, 10) == rule->offset;
	return kind == PA_RULE_REGISTER && text[0] == 'r' &&
	       strtoll(text + 1, NULL, 10) == rule->offset;
}

/* One line of a table: address, CFA, registers. */
static void check_line(struct check *c, char *line, const int *columns, int column_cnt)
{
	const struct pa_cfi_row *row;
	char *save, *word = strtok_r(line, " \n", &save);
	uint64_t at = word ? strtoull(word, NULL, 16) : 0;
	bool is_same;

	if (!word || pa_cfi__row(c->asked, at, &row)) {
		complain(c, at, "readelf has a row, pa_cfi has none");
		return;
	}
	c->readelf_cnt++;
	word = strtok_r(NULL, " \n", &save);
	is_same = word && is_cfa(c, row, word);
	for (int i = 0; i < column_cnt && is_same; i++) {
		do /* a register in a register is "r8 (r8)" */
			word = strtok_r(NULL, " \n", &save);
		while (word && word[0] == '(');
		is_same = word && (columns[i] < 0 || is_cell(row, columns[i], word));
	}
	if (!is_same)
		complain(c, at, "readelf's row differs");
}

static int read_columns(const struct check *c, char *line, int *columns)
{
	char *save, *word = strtok_r(line, " \n", &save);
	int cnt = 0;

	for (word = strtok_r(NULL, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (strcmp(word, "CFA") != 0 && cnt < COLUMNS_MAX)
			columns[cnt++] = register_named(c, word);
	return cnt;
}

static void check_readelf(struct check *c)
{
	unsigned long long end = 0;
	int columns[COLUMNS_MAX], column_cnt = 0;
	char cmd[4352], line[4096];
	bool is_fde = false;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "readelf -wF '%s' 2>/dev/null", c->path);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		const char *pc = strstr(line, " pc=");

		if (strstr(line, " FDE ") || strstr(line, " CIE ")) {
			is_fde = pc && sscanf(pc, " pc=%*x..%llx", &end) == 1;
			column_cnt = 0;
		} else if (strstr(line, "   LOC ")) {
			column_cnt = read_columns(c, line, columns);
		} else if (is_fde && strspn(line, "0123456789abcdef") == 16) {
			/* an entry's last row may be empty */
			if (strtoull(line, NULL, 16) < end)
				check_line(c, line, columns, column_cnt);
			else
				c->empty_cnt++;
		}
	}
	if (f)
		pclose(f);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void print(const struct check *c)
{
	size_t keeps_cnt = 0, used_cnt = 0;

	for (size_t i = 0; i < c->p->page_cnt; i++) {
		used_cnt += c->p->pages[i].cnt > 0;
		keeps_cnt += c->p->pages[i].cnt && c->p->pages[i].keeps_fp;
	}
	printf("%s: rows %llu outside %llu packed %zu addresses %llu readelf %llu empty %llu "
	       "bad %llu dropped %llu pages %zu keeping frame pointers %zu complex %llu",
	       c->path, c->row_cnt, c->outside_cnt, c->p->row_cnt, c->address_cnt, c->readelf_cnt,
	       c->empty_cnt, (unsigned long long)c->p->bad_entry_cnt,
	       (unsigned long long)c->p->dropped_page_cnt, used_cnt, keeps_cnt,
	       (unsigned long long)c->p->complex_row_cnt);
	for (int i = 0; i < CAUSES; i++)
		if (c->causes[i])
			printf(" %s %llu", cause_names[i], c->causes[i]);
	printf(" wrong %llu\n", c->wrong_cnt);
}

/* @return false: something differs */
static bool check_file(const char *path, bool with_readelf)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct check c = {.path = path};
	struct pa_cfi *cfi = NULL;
	struct pa_pack *p = NULL;
	int err = pa_cfi__open_fd(fd, NULL, NULL, &cfi);

	if (!err)
		err = pa_cfi__open_fd(fd, NULL, NULL, &c.asked);
	if (!err)
		err = pa_pack__build(cfi, &p);
	if (!err) {
		c.p = p;
		c.machine = p->machine;
		pa_cfi__each_row(cfi, check_row, &c, NULL);
		check_random(&c);
		if (with_readelf)
			check_readelf(&c);
		print(&c);
	} else if (err != -ENOENT && err != -ENOEXEC && err != -EBADMSG) {
		complain(&c, 0, strerror(-err));
	}
	pa_pack__free(p);
	pa_cfi__free(c.asked);
	pa_cfi__free(cfi);
	if (fd >= 0)
		close(fd);
	return !c.wrong_cnt;
}

int main(int argc, char **argv)
{
	bool with_readelf = argc > 1 && !strcmp(argv[1], "--readelf"), is_right_all = true;

	for (int i = 1 + with_readelf; i < argc; i++)
		is_right_all &= check_file(argv[i], with_readelf);
	return !is_right_all;
}
