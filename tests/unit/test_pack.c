// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pack.c - packed tables: each form of rule, overlapping and damaged entries, pages, frame
 * pointers. Where a table is compared with a lookup, both take one step with made-up registers
 * and memory (pack_eval.h).
 */
#include <errno.h>
#include <sys/auxv.h>

#include "cfi_fixture.h"
#include "check.h"
#include "pack_eval.h"

enum { START = 0x8100, TEXT_PAGES = 4 };

static const struct style x86 = {0}, arm = {.ra_reg = 30};
static const struct style x86_signal = {.augmentation = "zS"},
			  arm_signal = {.augmentation = "zS", .ra_reg = 30};

/* Zeros behind the entries, so that the image has some pages of text. */
static struct pa_cfi *open_text(struct bytes *b, uint16_t machine)
{
	while (b->n < (TEXT_PAGES - 1) * 4096 - 1024)
		put(b, 0, 4);
	return open_parts(&(struct elf_parts){.eh = b, .machine = machine});
}

static struct pa_pack *pack_text(struct bytes *b, uint16_t machine)
{
	struct pa_cfi *cfi = open_text(b, machine);
	struct pa_pack *p = NULL;

	if (!cfi || pa_pack__build(cfi, &p) || !pa_pack__is_valid(p))
		abort();
	pa_cfi__free(cfi);
	return p;
}

static bool is_rule(const struct pa_pack *p, uint64_t vaddr, struct pa_unwind_rule want)
{
	const struct pa_unwind_rule *r = pa_pack__rule(p, vaddr);
	bool is_same = r && !memcmp(r, &want, sizeof(want));

	if (r && !is_same)
		fprintf(stderr, "%#llx: cfa %d%+d%+d fp %d%+d ra %d%+d\n",
			(unsigned long long)vaddr, r->cfa, r->cfa_off, r->cfa_add, r->fp, r->fp_off,
			r->ra, r->ra_off);
	return is_same;
}

/* ---- rules ---------------------------------------------------------------------------------- */

struct form {
	struct pa_unwind_rule want;
	uint8_t bytes, insns[64];
};
#define FORM(...)                                                                                  \
	sizeof((uint8_t[]){__VA_ARGS__}),                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define RSP(off) .cfa = PA_CFA_SP, .cfa_off = (off), .ra_off = -8
#define COMPLEX .cfa = PA_CFA_COMPLEX
#define PLT(threshold)                                                                             \
	FORM(DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15,          \
	     DW_OP_and, (threshold), DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus)

/* Behind a CIE with CFA = rsp + 8 and the return address below it. */
static const struct form x86_forms[] = {
	{{RSP(8)}, FORM(DW_CFA_nop)},
	{{RSP(0x90)}, FORM(DW_CFA_def_cfa_offset, 0x90, 1)},
	{{RSP(-16)}, FORM(DW_CFA_def_cfa_offset_sf, 2)},
	{{.cfa = PA_CFA_FP, .cfa_off = 16, .fp = PA_FP_AT_CFA, .fp_off = -16, .ra_off = -8},
	 FORM(DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa, 3, 16)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x80, 0x08)},
	/* rbp */
	{{RSP(8)}, FORM(DW_CFA_same_value, 6)},
	{{RSP(8), .fp = PA_FP_UNKNOWN}, FORM(DW_CFA_undefined, 6)},
	{{RSP(8), .fp = PA_FP_AT_FP, .fp_off = -8},
	 FORM(DW_CFA_expression, 6, 2, DW_OP_breg6, 0x78)},
	{{COMPLEX}, FORM(DW_CFA_expression, 6, 2, DW_OP_breg7, 0x78)},
	{{COMPLEX}, FORM(DW_CFA_register, 6, 9)},
	{{COMPLEX}, FORM(DW_CFA_offset | 6, 0x80, 0x80, 1)},
	/* the return address */
	{{.cfa = PA_CFA_STOP}, FORM(DW_CFA_undefined, 16)},
	{{.cfa = PA_CFA_STOP}, FORM(DW_CFA_undefined, 16, DW_CFA_def_cfa, 3, 16)},
	{{COMPLEX}, FORM(DW_CFA_register, 16, 5)},
	{{COMPLEX}, FORM(DW_CFA_same_value, 16)},
	{{.cfa = PA_CFA_SP, .cfa_off = 8, .ra_off = -24}, FORM(DW_CFA_offset | 16, 3)},
	{{COMPLEX}, FORM(DW_CFA_offset | 16, 0x80, 0x80, 1)},
	/* the stack pointer */
	{{RSP(8)}, FORM(DW_CFA_val_offset, 7, 0)},
	{{COMPLEX}, FORM(DW_CFA_val_offset, 7, 1)},
	{{COMPLEX}, FORM(DW_CFA_register, 7, 8)},
	/* other registers matter to nobody */
	{{RSP(8)}, FORM(DW_CFA_offset | 3, 3, DW_CFA_register, 12, 13)},
	/* expressions for the CFA */
	{{.cfa = PA_CFA_DEREF_FP, .cfa_off = -8, .fp = PA_FP_AT_FP, .ra_off = -8},
	 FORM(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, DW_CFA_expression, 6, 2,
	      DW_OP_breg6, 0)},
	{{.cfa = PA_CFA_DEREF_SP, .cfa_off = 0x98, .cfa_add = 8, .ra_off = -8},
	 FORM(DW_CFA_def_cfa_expression, 6, DW_OP_breg7, 0x98, 1, DW_OP_deref, DW_OP_plus_uconst,
	      8)},
	{{.cfa = PA_CFA_DEREF_SP, .cfa_off = 16, .cfa_add = 8, .ra_off = -8},
	 FORM(DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 16, DW_OP_deref, DW_OP_lit8, DW_OP_plus)},
	{{RSP(24)}, FORM(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 16, DW_OP_plus_uconst, 8)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 3, DW_OP_breg3, 16, DW_OP_deref)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 16, DW_OP_deref, DW_OP_deref)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 3, DW_OP_breg7, 16, DW_OP_lit8)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 16, DW_OP_lit8, DW_OP_mul)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 0)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa_expression, 2, DW_OP_breg7, 0x80)},
	/* PLT entries */
	{{.cfa = PA_CFA_PLT, .cfa_off = 11, .ra_off = -8}, PLT(DW_OP_lit11)},
	{{.cfa = PA_CFA_PLT, .cfa_off = 10, .ra_off = -8}, PLT(DW_OP_lit10)},
	{{COMPLEX}, PLT(DW_OP_dup)},
};

/* Behind a CIE with CFA = sp. */
#define ARM_SP(off) .cfa = PA_CFA_SP, .cfa_off = (off)
#define ARM_LR .ra = PA_RA_LR
static const struct form arm_forms[] = {
	{{ARM_SP(0), ARM_LR}, FORM(DW_CFA_nop)},
	{{ARM_SP(0), ARM_LR}, FORM(DW_CFA_same_value, 30)},
	{{ARM_SP(0), ARM_LR}, FORM(0x2d /* negate_ra_state */)},
	{{ARM_SP(32), .fp = PA_FP_AT_CFA, .fp_off = -32, .ra_off = -24},
	 FORM(DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3)},
	{{.cfa = PA_CFA_FP, .cfa_off = 16, .fp = PA_FP_AT_CFA, .fp_off = -16, .ra_off = -8},
	 FORM(DW_CFA_def_cfa, 29, 16, DW_CFA_offset | 29, 2, DW_CFA_offset | 30, 1)},
	{{.cfa = PA_CFA_STOP}, FORM(DW_CFA_undefined, 30)},
	{{COMPLEX}, FORM(DW_CFA_register, 30, 9)},
	{{COMPLEX}, FORM(DW_CFA_def_cfa, 7, 16)},
	{{.cfa = PA_CFA_DEREF_SP, .cfa_off = 8, ARM_LR},
	 FORM(DW_CFA_def_cfa_expression, 3, DW_OP_breg31, 8, DW_OP_deref)},
	/* x86-64's registers are none here */
	{{COMPLEX}, PLT(DW_OP_lit11)},
};

static size_t cie_arm(struct bytes *b, const struct style *s)
{
	size_t at = cie_begin(b, s);

	put_list(b, DW_CFA_def_cfa, 31, 0, END);
	entry_end(b, s, at);
	return at;
}

static void check_forms(const struct form *forms, size_t cnt, uint16_t machine)
{
	const struct style *style = machine == EM_AARCH64 ? &arm : &x86;
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, wrong_cnt = 0;

	b.n = 0;
	cie = machine == EM_AARCH64 ? cie_arm(&b, style) : cie_x86(&b, style);
	for (size_t i = 0; i < cnt; i++) {
		size_t fde = fde_begin(&b, style, cie, START + 32 * i, 16);

		for (size_t k = 0; k < forms[i].bytes; k++)
			put(&b, forms[i].insns[k], 1);
		entry_end(&b, style, fde);
	}
	p = pack_text(&b, machine);
	for (size_t i = 0; i < cnt; i++) {
		uint64_t at = START + 32 * i;

		if (!is_rule(p, at, forms[i].want) || !is_rule(p, at + 15, forms[i].want) ||
		    !is_rule(p, at + 16, (struct pa_unwind_rule){0})) {
			fprintf(stderr, "form %zu\n", i);
			wrong_cnt++;
		}
	}
	CHECK_EQ(wrong_cnt, 0);
	CHECK_EQ(p->machine, machine);
	pa_pack__free(p);
}

TEST(forms_x86)
{
	check_forms(x86_forms, sizeof(x86_forms) / sizeof(*x86_forms), EM_X86_64);
}

TEST(forms_aarch64)
{
	check_forms(arm_forms, sizeof(arm_forms) / sizeof(*arm_forms), EM_AARCH64);
}

/* rip_at, rsp_at, rbp_at: below 16384; real ones are 168, 160, 120 */
static size_t put_signal(struct bytes *b, uint64_t start, int rip_at, int rsp_at, int rbp_at)
{
	size_t cie = cie_begin(b, &x86_signal), fde;

	put(b, 0, 1);
	entry_end(b, &x86_signal, cie);
	fde = fde_begin(b, &x86_signal, cie, start, 16);
	put_list(b, DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref, END);
	put_list(b, DW_CFA_expression, 16, 3, DW_OP_breg7, 0x80 | (rip_at & 0x7f), rip_at >> 7,
		 DW_CFA_expression, 7, 3, DW_OP_breg7, 0x80 | (rsp_at & 0x7f), rsp_at >> 7,
		 DW_CFA_expression, 6, 3, DW_OP_breg7, 0x80 | (rbp_at & 0x7f), rbp_at >> 7, END);
	entry_end(b, &x86_signal, fde);
	return cie;
}

TEST(signal_frames)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, fde;

	b.n = 0;
	put_signal(&b, START, 168, 160, 120);
	put_signal(&b, START + 16, 176, 160, 120);
	put_signal(&b, START + 32, 168, 168, 120);
	put_signal(&b, START + 48, 168, 160, 112);
	p = pack_text(&b, EM_X86_64);
	CHECK(is_rule(p, START, (struct pa_unwind_rule){.cfa = PA_CFA_SIGNAL}));
	for (unsigned i = 1; i < 4; i++)
		CHECK(is_rule(p, START + 16 * i, (struct pa_unwind_rule){COMPLEX}));
	pa_pack__free(p);

	/* old kernels' vdso of aarch64, and a function that says it is one */
	b.n = 0;
	cie = cie_begin(&b, &arm_signal);
	put_list(&b, 0, DW_CFA_def_cfa, 29, 0, DW_CFA_offset | 29, 0, END);
	entry_end(&b, &arm_signal, cie);
	fde = fde_begin(&b, &arm_signal, cie, START, 16);
	put_list(&b, DW_CFA_offset_extended_sf, 30, 0x7f, END);
	entry_end(&b, &arm_signal, fde);
	fde = fde_begin(&b, &arm_signal, cie, START + 16, 16);
	entry_end(&b, &arm_signal, fde);
	p = pack_text(&b, EM_AARCH64);
	CHECK(is_rule(p, START, (struct pa_unwind_rule){.cfa = PA_CFA_SIGNAL}));
	CHECK(is_rule(p, START + 16, (struct pa_unwind_rule){COMPLEX}));
	pa_pack__free(p);
}

/* In the vdso of aarch64 what has no CFI is the trampoline; elsewhere it is nothing. */
TEST(vdso)
{
	for (int is_arm = 0; is_arm < 2; is_arm++) {
		const struct style *style = is_arm ? &arm : &x86;
		struct pa_unwind_rule gap = {.cfa = is_arm ? PA_CFA_SIGNAL : PA_CFA_NONE};
		static struct bytes b;
		struct pa_cfi *cfi;
		struct pa_pack *p;
		size_t fde;

		b.n = 0;
		fde = fde_begin(&b, style, is_arm ? cie_arm(&b, style) : cie_x86(&b, style), START,
				16);
		entry_end(&b, style, fde);
		cfi = open_text(&b, is_arm ? EM_AARCH64 : EM_X86_64);
		CHECK_EQ(pa_pack__build_vdso(cfi, &p), 0);
		CHECK(pa_pack__is_valid(p));
		CHECK(is_rule(p, START - 1, gap) && is_rule(p, START + 16, gap));
		CHECK(is_rule(p, START + 0x2000, gap));
		CHECK(memcmp(pa_pack__rule(p, START), &gap, sizeof(gap)) != 0);
		CHECK_EQ(p->pages[1].keeps_fp, !is_arm);
		pa_pack__free(p);
		pa_cfi__free(cfi);
	}
}

/* ---- pages ---------------------------------------------------------------------------------- */

static void put_fde(struct bytes *b, size_t cie, uint64_t start, uint64_t bytes, int cfa_offset)
{
	size_t fde = fde_begin(b, &x86, cie, start, bytes);

	put_list(b, DW_CFA_def_cfa_offset, cfa_offset, END);
	entry_end(b, &x86, fde);
}

TEST(pages)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, fde;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	put_fde(&b, cie, 0x8ff0, 16, 16); /* ends with the page; the next is not carried into */
	put_fde(&b, cie, 0x9010, 16, 16);
	put_fde(&b, cie, 0x9020, 16, 16); /* follows at once with the same rule */
	put_fde(&b, cie, 0x9030, 0x1000, 24);
	fde = fde_begin(&b, &x86, cie, 0xa030, 32); /* two rows of one rule */
	put_list(&b, DW_CFA_advance_loc | 8, DW_CFA_offset | 3, 2, DW_CFA_advance_loc | 8,
		 DW_CFA_offset | 12, 3, END);
	entry_end(&b, &x86, fde);
	p = pack_text(&b, EM_X86_64);
	CHECK_EQ(p->range_cnt, 1);
	CHECK_EQ(p->ranges[0].vaddr, 0x8000);
	CHECK_EQ(p->page_cnt, TEXT_PAGES);
	CHECK_EQ(p->pages[0].cnt, 2); /* nothing; 8ff0 */
	CHECK_EQ(p->pages[1].cnt, 3); /* nothing; 9010; 9030 */
	CHECK_EQ(p->pages[2].cnt, 3); /* carried; a030; nothing */
	CHECK_EQ(p->pages[3].cnt, 0);
	CHECK_EQ(p->row_cnt, 8);
	CHECK_EQ(p->rows[0], 0);
	CHECK_EQ(p->rows[1] >> 16, 0xff0);
	CHECK_EQ(p->rows[5] >> 16, 0);
	CHECK(is_rule(p, 0xa000, (struct pa_unwind_rule){RSP(24)}));
	CHECK(is_rule(p, 0xa030, (struct pa_unwind_rule){RSP(8)}));
	CHECK(is_rule(p, 0xa050, (struct pa_unwind_rule){0}));
	CHECK(is_rule(p, 0xbfff, (struct pa_unwind_rule){0}));
	CHECK(!pa_pack__rule(p, 0x7fff) && !pa_pack__rule(p, 0xc000));
	CHECK(pa_pack__memory_bytes(p) < 500);
	pa_pack__free(p);
}

/* A row per byte: more than a block holds. */
TEST(dense_page)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, fde;

	for (int cnt = PA_BLOCK_ROWS - 1; cnt <= PA_BLOCK_ROWS; cnt++) {
		b.n = 0;
		cie = cie_x86(&b, &x86);
		fde = fde_begin(&b, &x86, cie, 0x9001, (uint64_t)cnt);
		for (int i = 0; i < cnt; i++)
			put_list(&b, DW_CFA_def_cfa_offset, 16 + 8 * (i % 2),
				 DW_CFA_advance_loc | 1, END);
		entry_end(&b, &x86, fde);
		put_fde(&b, cie, 0xa000, 16, 32);
		p = pack_text(&b, EM_X86_64);
		/* its rows, nothing before, nothing behind */
		CHECK_EQ(p->pages[1].cnt, cnt + 2 > PA_BLOCK_ROWS ? 1 : cnt + 2);
		CHECK_EQ(p->dropped_page_cnt, cnt + 2 > PA_BLOCK_ROWS);
		CHECK_EQ(p->complex_row_cnt, p->dropped_page_cnt);
		CHECK(is_rule(p, 0xa000, (struct pa_unwind_rule){RSP(32)}));
		CHECK(is_rule(p, 0xa010, (struct pa_unwind_rule){0}));
		pa_pack__free(p);
	}
}

TEST(nothing_to_pack)
{
	struct pa_cfi *cfi = open_parts(&(struct elf_parts){0});
	struct pa_pack *p = (void *)1;

	CHECK_EQ(pa_pack__build(cfi, &p), -ENOENT);
	CHECK(!p);
	pa_cfi__free(cfi);
	pa_pack__free(NULL);
}

/* What the table says at an address, as far as the row there lets it. */
static bool agrees(struct pa_cfi *cfi, const struct pa_pack *p, uint64_t vaddr)
{
	const struct pa_unwind_rule *rule = pa_pack__rule(p, vaddr);
	const struct pa_cfi_row *row;
	struct eval_step a, b;
	int err = pa_cfi__row(cfi, vaddr, &row);

	if (err)
		return rule->cfa == (err == -ENOENT ? PA_CFA_NONE : PA_CFA_COMPLEX);
	a = eval_row(row, EM_X86_64, vaddr);
	b = eval_packed(rule, EM_X86_64, vaddr);
	return eval_is_same(&a, &b);
}

static int build_with_text(uint64_t text_bytes, uint64_t vaddr, struct pa_pack **out)
{
	static struct bytes b;
	struct pa_cfi *cfi = NULL;
	Elf64_Phdr ph;
	uint8_t *image;
	size_t bytes, cie;
	int err;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	put_fde(&b, cie, vaddr, 16, 16);
	image = make_elf(&(struct elf_parts){.eh = &b}, &bytes);
	memcpy(&ph, image + sizeof(Elf64_Ehdr), sizeof(ph));
	ph.p_filesz = ph.p_memsz = text_bytes;
	ph.p_vaddr = vaddr;
	memcpy(image + sizeof(Elf64_Ehdr), &ph, sizeof(ph));
	err = pa_cfi__open_mem(image, bytes, &cfi);
	*out = NULL;
	if (!err)
		err = pa_pack__build(cfi, out);
	pa_cfi__free(cfi);
	free(image);
	return err;
}

/* What a program header claims is bounded. */
TEST(text_sizes)
{
	struct pa_pack *p;

	CHECK_EQ(build_with_text(1, 0x8fff, &p), 0);
	CHECK_EQ(p->page_cnt, 1);
	pa_pack__free(p);
	CHECK_EQ(build_with_text(2, 0x8fff, &p), 0);
	CHECK_EQ(p->page_cnt, 2);
	CHECK(is_rule(p, 0x9000, (struct pa_unwind_rule){RSP(16)}));
	pa_pack__free(p);
	CHECK_EQ(build_with_text(0xffffffffull, 0x1000, &p), 0);
	CHECK_EQ(p->page_cnt, 0x100000);
	CHECK(p->row_cnt < 5);
	pa_pack__free(p);
	CHECK_EQ(build_with_text(0xffffffffull, 0x1001, &p), 0);
	pa_pack__free(p);
	CHECK_EQ(build_with_text(0xffffffffull, 0x1002, &p), -EFBIG);
	CHECK_EQ(build_with_text(1ull << 40, 0x1000, &p), -EFBIG);
	CHECK_EQ(build_with_text(UINT64_MAX, 0x1000, &p), -EFBIG);
	/* up to the last address, and around it */
	CHECK_EQ(build_with_text(4096, UINT64_MAX - 4095, &p), -ENOENT);
	CHECK_EQ(build_with_text(8192, UINT64_MAX - 4095, &p), -ENOENT);
}

/* What the kernel of aarch64 maps: text from 0x300 to 0x900, with the trampoline at 0x7bc. */
struct bare_vdso {
	Elf64_Ehdr header;
	Elf64_Phdr load;
	Elf64_Shdr sections[4];
	Elf64_Sym syms[2];
	char strs[32], names[32];
	char text[0x600];
};

static struct bare_vdso make_vdso(uint64_t trampoline)
{
	static const char strs[] = "\0__kernel_rt_sigreturn",
			  names[] = "\0.dynsym\0.dynstr\0.names";
	struct bare_vdso v = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_machine = EM_AARCH64,
			   .e_version = EV_CURRENT,
			   .e_phoff = offsetof(struct bare_vdso, load),
			   .e_shoff = offsetof(struct bare_vdso, sections),
			   .e_ehsize = sizeof(Elf64_Ehdr),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 1,
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 4,
			   .e_shstrndx = 3},
		.load = {.p_type = PT_LOAD,
			 .p_flags = PF_R | PF_X,
			 .p_filesz = sizeof(struct bare_vdso),
			 .p_memsz = sizeof(struct bare_vdso)},
		.sections = {[1] = {.sh_name = 1,
				    .sh_type = SHT_DYNSYM,
				    .sh_offset = offsetof(struct bare_vdso, syms),
				    .sh_size = sizeof(v.syms),
				    .sh_link = 2,
				    .sh_entsize = sizeof(Elf64_Sym)},
			     [2] = {.sh_name = 9,
				    .sh_type = SHT_STRTAB,
				    .sh_offset = offsetof(struct bare_vdso, strs),
				    .sh_size = sizeof(v.strs)},
			     [3] = {.sh_name = 17,
				    .sh_type = SHT_STRTAB,
				    .sh_offset = offsetof(struct bare_vdso, names),
				    .sh_size = sizeof(v.names)}},
		.syms = {[1] = {.st_name = 1, .st_value = trampoline, .st_shndx = 1}},
	};

	memcpy(v.strs, strs, sizeof(strs));
	memcpy(v.names, names, sizeof(names));
	return v;
}

TEST(vdso_without_cfi)
{
	const struct pa_unwind_rule leaf = {.cfa = PA_CFA_SP, .ra = PA_RA_LR};
	const struct pa_unwind_rule signal = {.cfa = PA_CFA_SIGNAL};
	/* a symbol that is out of the text leaves no trampoline */
	const uint64_t trampolines[] = {0x4bc, 3, 0x100000, UINT64_MAX};

	for (size_t i = 0; i < sizeof(trampolines) / sizeof(*trampolines); i++) {
		struct bare_vdso v = make_vdso(trampolines[i]);
		struct pa_cfi *cfi;
		struct pa_pack *p;

		CHECK_EQ(pa_cfi__open_mem(&v, sizeof(v), &cfi), 0);
		CHECK_EQ(pa_pack__build_vdso(cfi, &p), 0);
		CHECK(pa_pack__is_valid(p));
		CHECK(is_rule(p, 0x300, leaf) && is_rule(p, 0x4b7, leaf));
		CHECK(is_rule(p, 0x4c4, leaf) && is_rule(p, sizeof(v) - 1, leaf));
		for (uint64_t at = 0x4b8; at < 0x4c4; at += 4) /* also from before its first */
			CHECK(is_rule(p, at, i ? leaf : signal));
		pa_pack__free(p);
		pa_cfi__free(cfi);
		/* another machine's without CFI has none */
		v.header.e_machine = EM_X86_64;
		CHECK_EQ(pa_cfi__open_mem(&v, sizeof(v), &cfi), 0);
		CHECK_EQ(pa_pack__build_vdso(cfi, &p), -ENOENT);
		pa_cfi__free(cfi);
	}
}

/* The vdso of this process, as it lies in memory. */
TEST(own_vdso)
{
	const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
	struct pa_cfi *cfi, *asked;
	struct pa_pack *p;
	size_t bytes = 0;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;

		if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			bytes = end - start;
	}
	fclose(maps);
	if (!vdso || !bytes)
		return;
	CHECK_EQ(pa_cfi__open_mem(vdso, bytes, &cfi), 0);
	CHECK_EQ(pa_cfi__open_mem(vdso, bytes, &asked), 0);
	CHECK_EQ(pa_pack__build_vdso(cfi, &p), 0);
	CHECK(p->row_cnt >= (p->machine == EM_X86_64 ? 10 : 1) && !p->bad_entry_cnt &&
	      pa_pack__is_valid(p));
	for (size_t at = 0; at < p->page_cnt * 4096 && p->machine == EM_X86_64; at++)
		CHECK(agrees(asked, p, p->ranges[0].vaddr + at));
	pa_pack__free(p);
	pa_cfi__free(asked);
	pa_cfi__free(cfi);
}

/* ---- entries that overlap, damaged entries -------------------------------------------------- */

static uint32_t next_random(void)
{
	static uint64_t state = 12345;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33);
}

/* Up to 8 entries: as many as a lookup looks back for. */
static void put_random(struct bytes *b, const struct style *s)
{
	size_t cie = cie_x86(b, s), cnt = next_random() % 8;

	for (size_t i = 0; i < cnt; i++) {
		uint64_t start = 0x9f80 + next_random() % 128;
		size_t fde = fde_begin(b, s, cie, start, next_random() % 96);

		for (size_t k = next_random() % 6; k > 0; k--)
			put_list(b, DW_CFA_def_cfa_offset, (int)(next_random() % 4) * 8 + 8,
				 DW_CFA_advance_loc | (next_random() % 24), END);
		if (next_random() % 8 == 0)
			put_list(b, 0x3f, END); /* no such instruction */
		entry_end(b, s, fde);
	}
}

TEST(overlaps)
{
	const struct style debug_style = {.is_debug = true};
	static struct bytes eh, debug;
	size_t wrong_cnt = 0, none_cnt = 0, bad_cnt = 0;

	for (int round = 0; round < 3000; round++) {
		struct pa_cfi *cfi;
		struct pa_pack *p;

		eh.n = debug.n = 0;
		put_random(&eh, &x86);
		put_random(&debug, &debug_style);
		while (eh.n < 0x2000)
			put(&eh, 0, 4);
		cfi = open_parts(&(struct elf_parts){.eh = &eh, .debug = &debug});
		if (pa_pack__build(cfi, &p)) {
			pa_cfi__free(cfi);
			none_cnt++;
			continue;
		}
		CHECK(pa_pack__is_valid(p));
		bad_cnt += p->bad_entry_cnt;
		for (uint64_t at = 0x9f00; at < 0xa080; at++)
			wrong_cnt += !agrees(cfi, p, at);
		pa_pack__free(p);
		pa_cfi__free(cfi);
	}
	CHECK_EQ(wrong_cnt, 0);
	CHECK(none_cnt < 200 && bad_cnt > 500);
}

/* An index that says that entries start later than they do, or in another order, hides what a
 * lookup by it would not find. */
TEST(index_disagrees)
{
	static struct bytes eh, hdr;
	size_t wrong_cnt = 0;

	for (int round = 0; round < 500; round++) {
		uint64_t from = 0x9f80;
		struct pa_cfi *cfi;
		struct pa_pack *p;
		size_t cie;

		eh.n = hdr.n = 0;
		cie = cie_x86(&eh, &x86);
		put_list(&hdr, 1, DW_EH_PE_udata8, DW_EH_PE_udata4, DW_EH_PE_udata8, END);
		put(&hdr, EH_VADDR, 8);
		put(&hdr, 6, 4);
		for (int i = 0; i < 6; i++) {
			put(&hdr, from, 8);
			put(&hdr, EH_VADDR + eh.n, 8);
			/* starting before its slot does */
			put_fde(&eh, cie, from - next_random() % 64, 64 + next_random() % 64,
				(int)(next_random() % 4) * 8 + 8);
			from += next_random() % 48;
		}
		while (eh.n < 0x2000)
			put(&eh, 0, 4);
		cfi = open_parts(&(struct elf_parts){.eh = &eh, .hdr = &hdr});
		CHECK_EQ(pa_pack__build(cfi, &p), 0);
		CHECK(pa_pack__is_valid(p));
		for (uint64_t at = 0x9f00; at < 0xa100; at++)
			wrong_cnt += !agrees(cfi, p, at);
		pa_pack__free(p);
		pa_cfi__free(cfi);
	}
	CHECK_EQ(wrong_cnt, 0);
}

/* A bad entry costs itself; what of it came before stays. */
TEST(damaged_entry)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, fde;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	put_fde(&b, cie, START, 16, 16);
	fde = fde_begin(&b, &x86, cie, START + 16, 16);
	put_list(&b, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 24, DW_CFA_advance_loc | 4,
		 0x3f, END);
	entry_end(&b, &x86, fde);
	put_fde(&b, cie, START + 32, 16, 16);
	p = pack_text(&b, EM_X86_64);
	CHECK_EQ(p->bad_entry_cnt, 1);
	CHECK(is_rule(p, START, (struct pa_unwind_rule){RSP(16)}));
	CHECK(is_rule(p, START + 16, (struct pa_unwind_rule){RSP(8)}));
	CHECK(is_rule(p, START + 20, (struct pa_unwind_rule){RSP(24)}));
	CHECK(is_rule(p, START + 24, (struct pa_unwind_rule){COMPLEX}));
	CHECK(is_rule(p, START + 31, (struct pa_unwind_rule){COMPLEX}));
	CHECK(is_rule(p, START + 32, (struct pa_unwind_rule){RSP(16)}));
	pa_pack__free(p);
}

/* 32,000 entries, all inside one another, are packed in the time of as many side by side. */
TEST(nested_deep)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	for (uint64_t i = 0; i < 32000; i++)
		put_fde(&b, cie, 0x9000 + i / 16 * 8, 0x90000 - 16 * i, (int)(i % 8) * 8 + 8);
	p = pack_text(&b, EM_X86_64);
	CHECK(is_rule(p, 0x9800, (struct pa_unwind_rule){RSP(64)}));
	CHECK(is_rule(p, 0x9000, (struct pa_unwind_rule){RSP(64)}));
	CHECK(p->row_cnt > 32000);
	pa_pack__free(p);
}

/* An index that leads to the same entry over and over. */
TEST(too_many_rows)
{
	enum { SLOTS = 60, ROWS = 300000 };
	static struct bytes eh, hdr;
	struct pa_pack *p = (void *)1;
	struct pa_cfi *cfi;
	size_t fde;

	eh.n = hdr.n = 0;
	fde = fde_begin(&eh, &x86, cie_x86(&eh, &x86), 0x9000, ROWS);
	for (int i = 0; i < ROWS; i++)
		put_list(&eh, DW_CFA_def_cfa_offset, 16 + 8 * (i % 2), DW_CFA_advance_loc | 1, END);
	entry_end(&eh, &x86, fde);
	put_list(&hdr, 1, DW_EH_PE_udata8, DW_EH_PE_udata4, DW_EH_PE_udata8, END);
	put(&hdr, EH_VADDR, 8);
	put(&hdr, SLOTS, 4);
	for (int i = 0; i < SLOTS; i++) {
		put(&hdr, 0x9000, 8);
		put(&hdr, EH_VADDR + fde, 8);
	}
	cfi = open_parts(&(struct elf_parts){.eh = &eh, .hdr = &hdr});
	CHECK_EQ(pa_pack__build(cfi, &p), -EFBIG);
	CHECK(!p);
	pa_cfi__free(cfi);
}

/* More distinct rules than numbers. */
TEST(many_rules)
{
	static struct bytes b;
	struct pa_pack *p;
	uint64_t at = 0x8000;
	size_t cie, fde;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	fde = fde_begin(&b, &x86, cie, at, 0xf0000);
	for (uint32_t i = 0; i < PA_RULES_MAX + 2000; i++) {
		put_list(&b, DW_CFA_def_cfa_offset, END);
		put_uleb(&b, 8 * i);
		put_list(&b, DW_CFA_advance_loc | 4, END);
	}
	entry_end(&b, &x86, fde);
	p = pack_text(&b, EM_X86_64);
	CHECK_EQ(p->rule_cnt, PA_RULES_MAX);
	CHECK(is_rule(p, at + 4 * 60000, (struct pa_unwind_rule){RSP(8 * 60000)}));
	CHECK(is_rule(p, at + 4 * (PA_RULES_MAX + 1000), (struct pa_unwind_rule){COMPLEX}));
	CHECK(p->complex_row_cnt > 0);
	pa_pack__free(p);
}

/* ---- frame pointers ------------------------------------------------------------------------- */

/* A function as compilers write it that keep frame pointers; 32 bytes. */
static void put_framed(struct bytes *b, size_t cie, uint64_t start)
{
	size_t fde = fde_begin(b, &x86, cie, start, 32);

	put_list(b, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		 DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6, DW_CFA_advance_loc | 24,
		 DW_CFA_def_cfa, 7, 8, END);
	entry_end(b, &x86, fde);
}

/* Whether a page keeps frame pointers that has so many functions with them, and this one. */
static bool keeps(const uint8_t *insns, size_t bytes, size_t framed_cnt)
{
	static struct bytes b;
	struct pa_pack *p;
	size_t cie, fde;
	bool ret;

	b.n = 0;
	cie = cie_x86(&b, &x86);
	for (size_t i = 0; i < framed_cnt; i++)
		put_framed(&b, cie, START + 32 * i);
	fde = fde_begin(&b, &x86, cie, START + 0x800, 64);
	for (size_t i = 0; i < bytes; i++)
		put(&b, insns[i], 1);
	entry_end(&b, &x86, fde);
	p = pack_text(&b, EM_X86_64);
	ret = p->pages[0].keeps_fp;
	if (!p->pages[1].keeps_fp || !p->pages[3].keeps_fp)
		abort(); /* without rows frame pointers are what there is */
	pa_pack__free(p);
	return ret;
}
#define KEEPS(framed_cnt, ...)                                                                     \
	keeps((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), framed_cnt)

TEST(frame_pointers_x86)
{
	/* a leaf; one that ends without a frame */
	CHECK(KEEPS(20, DW_CFA_nop));
	CHECK(KEEPS(20, DW_CFA_undefined, 16));
	CHECK(KEEPS(20, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2));
	/* a realigned stack */
	CHECK(KEEPS(20, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref,
		    DW_CFA_expression, 6, 2, DW_OP_breg6, 0));
	/* a linker's entries */
	CHECK(KEEPS(20, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 6, DW_CFA_def_cfa_offset,
		    24, DW_CFA_advance_loc | 10, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8,
		    DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3,
		    DW_OP_shl, DW_OP_plus));
	/* two rows between push and mov that are one to the frame */
	CHECK(KEEPS(20, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		    DW_CFA_advance_loc | 1, DW_CFA_undefined, 3, DW_CFA_advance_loc | 3,
		    DW_CFA_def_cfa_register, 6));
	/* rbp is pushed, but is no frame pointer then */
	CHECK(!KEEPS(20, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2));
	CHECK(!KEEPS(20, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		     DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 32));
	CHECK(!KEEPS(20, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 16));
	CHECK(!KEEPS(20, DW_CFA_def_cfa, 6, 16));
	CHECK(!KEEPS(20, DW_CFA_def_cfa, 6, 24, DW_CFA_offset | 6, 2));
	CHECK(!KEEPS(20, DW_CFA_def_cfa, 3, 16));
	CHECK(!KEEPS(20, 0x3f));
	/* where nothing shows that the file's code keeps them, a leaf may be none */
	CHECK(!KEEPS(0, DW_CFA_nop));
}

/* One function in 16 without a frame pointer makes the whole file doubtful. */
TEST(frame_pointers_doubtful)
{
	for (int other_cnt = 0; other_cnt < 4; other_cnt++) {
		static struct bytes b;
		struct pa_pack *p;
		size_t cie;

		b.n = 0;
		cie = cie_x86(&b, &x86);
		for (uint64_t i = 0; i < 33; i++)
			put_framed(&b, cie, START + 32 * i);
		for (uint64_t i = 0; i < (uint64_t)other_cnt; i++)
			put_fde(&b, cie, 0x9000 + 16 * i, 16, 48);
		p = pack_text(&b, EM_X86_64);
		CHECK_EQ(p->pages[0].keeps_fp, other_cnt < 3);
		CHECK_EQ(p->pages[1].keeps_fp, other_cnt == 0);
		pa_pack__free(p);
	}
}

TEST(frame_pointers_aarch64)
{
	static const struct form forms[] = {
		{{.cfa = 0}, FORM(DW_CFA_nop)},
		{{.cfa = 0}, FORM(DW_CFA_def_cfa_offset, 32)},
		{{.cfa = 0},
		 FORM(DW_CFA_def_cfa, 29, 32, DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3)},
		/* saved, but nothing says that x29 points there */
		{{.cfa = 1},
		 FORM(DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3)},
		{{.cfa = 1},
		 FORM(DW_CFA_def_cfa, 29, 32, DW_CFA_offset | 29, 3, DW_CFA_offset | 30, 4)},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		static struct bytes b;
		struct pa_pack *p;
		size_t cie, fde;

		b.n = 0;
		cie = cie_arm(&b, &arm);
		fde = fde_begin(&b, &arm, cie, 0x9000, 64);
		put_list(&b, DW_CFA_def_cfa, 29, 16, DW_CFA_offset | 29, 2, DW_CFA_offset | 30, 1,
			 END);
		entry_end(&b, &arm, fde);
		fde = fde_begin(&b, &arm, cie, START, 64);
		for (size_t k = 0; k < forms[i].bytes; k++)
			put(&b, forms[i].insns[k], 1);
		entry_end(&b, &arm, fde);
		p = pack_text(&b, EM_AARCH64);
		CHECK_EQ(p->pages[0].keeps_fp, !forms[i].want.cfa);
		pa_pack__free(p);
	}
}

TEST_MAIN()
