// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cfi.c - the reader of call frame information: each instruction, encoding and form of an
 * entry by hand, damaged ones, and real files against themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "cfi_fixture.h"
#include "check.h"

/* Each test program is one thread: big buffers are shared. */
static struct bytes b, hdr, packed;
static const struct style eh = {0};

enum { START = 0x4000, LENGTH = 0x1000 };

/* One function from START on, with the usual CIE and the given instructions. */
static struct pa_cfi *function(const struct bytes *insns)
{
	size_t cie, at;

	b.n = 0;
	cie = cie_x86(&b, &eh);
	at = fde_begin(&b, &eh, cie, START, LENGTH);
	memcpy(b.d + b.n, insns->d, insns->n);
	b.n += insns->n;
	entry_end(&b, &eh, at);
	return open_eh(&b);
}

/* The row at START + at of a function with these instructions. */
static int row_of(struct pa_cfi_row *out, uint64_t at, const struct bytes *insns)
{
	struct pa_cfi *cfi = function(insns);
	const struct pa_cfi_row *row = NULL;
	int err = pa_cfi__row(cfi, START + at, &row);

	memset(out, 0, sizeof(*out));
	if (!err)
		memcpy(out, row,
		       offsetof(struct pa_cfi_row, rules) + row->rule_cnt * sizeof(*row->rules));
	pa_cfi__free(cfi);
	return err;
}

static struct bytes *insns(void)
{
	static struct bytes code;

	code.n = 0;
	return &code;
}

static bool has_rule(const struct pa_cfi_row *row, unsigned reg, enum pa_rule_kind kind,
		     int64_t offset)
{
	const struct pa_cfi_rule *rule = pa_cfi_row__rule(row, reg);

	return rule && rule->kind == kind && rule->reg == reg && rule->offset == offset;
}

static bool has_cfa(const struct pa_cfi_row *row, unsigned reg, int64_t offset)
{
	return row->cfa.kind == PA_RULE_VAL_OFFSET && row->cfa.reg == reg &&
	       row->cfa.offset == offset;
}

TEST(entry_state)
{
	struct pa_cfi_row row;

	CHECK_EQ(row_of(&row, 0, insns()), 0);
	CHECK_EQ(row.start, START);
	CHECK_EQ(row.end, START + LENGTH);
	CHECK(has_cfa(&row, 7, 8));
	CHECK_EQ(row.rule_cnt, 1);
	CHECK_EQ(row.ra_reg, 16);
	CHECK(!row.is_signal && !row.is_signed);
	CHECK(has_rule(&row, 16, PA_RULE_OFFSET, -8));
	CHECK_EQ(row_of(&row, -1ull, insns()), -ENOENT);
	CHECK_EQ(row_of(&row, LENGTH, insns()), -ENOENT);
}

TEST(cfa_instructions)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 0x90, 0x01, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_register, 6, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa, 3, 24, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_sf, 5, 0x7c /* -4 */, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset_sf, 0x7d /* -3 */, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_expression, 2, DW_OP_breg7, 40, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_register, 4, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_register, 0x81, 0x7f, END);
	CHECK(!row_of(&row, 1, c) && has_cfa(&row, 7, 144));
	CHECK_EQ(row.start, START + 1);
	CHECK_EQ(row.end, START + 2);
	CHECK(!row_of(&row, 2, c) && has_cfa(&row, 6, 144));
	CHECK(!row_of(&row, 3, c) && has_cfa(&row, 3, 24));
	CHECK(!row_of(&row, 4, c) && has_cfa(&row, 5, 32));
	CHECK(!row_of(&row, 5, c) && has_cfa(&row, 5, 24));
	CHECK(!row_of(&row, 6, c) && row.cfa.kind == PA_RULE_VAL_EXPR);
	CHECK_EQ(row.cfa.expr_bytes, 2);
	CHECK(!row_of(&row, 7, c) && has_cfa(&row, 4, 24));
	/* a register that has no rules can't be the base */
	CHECK(!row_of(&row, 8, c) && row.cfa.kind == PA_RULE_NONE);
}

TEST(rule_instructions)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	put_list(c, DW_CFA_offset | 3, 2, DW_CFA_offset_extended, 6, 3, END);
	put_list(c, DW_CFA_offset_extended_sf, 12, 0x7c, DW_CFA_val_offset, 13, 4, END);
	put_list(c, DW_CFA_val_offset_sf, 14, 0x7f, DW_CFA_register, 15, 10, END);
	put_list(c, DW_CFA_GNU_negative_offset_extended, 8, 2, DW_CFA_undefined, 0, END);
	put_list(c, DW_CFA_same_value, 1, DW_CFA_expression, 9, 1, DW_OP_lit5, END);
	put_list(c, DW_CFA_val_expression, 10, 2, DW_OP_lit5, DW_OP_nop, END);
	put_list(c, DW_CFA_offset | 50, 2 /* no rules of it */, DW_CFA_GNU_args_size, 32, END);
	CHECK_EQ(row_of(&row, 0, c), 0);
	CHECK_EQ(row.rule_cnt, 12);
	CHECK(has_rule(&row, 3, PA_RULE_OFFSET, -16));
	CHECK(has_rule(&row, 6, PA_RULE_OFFSET, -24));
	CHECK(has_rule(&row, 12, PA_RULE_OFFSET, 32));
	CHECK(has_rule(&row, 13, PA_RULE_VAL_OFFSET, -32));
	CHECK(has_rule(&row, 14, PA_RULE_VAL_OFFSET, 8));
	CHECK(has_rule(&row, 15, PA_RULE_REGISTER, 10));
	CHECK(has_rule(&row, 8, PA_RULE_OFFSET, 16));
	CHECK(has_rule(&row, 0, PA_RULE_UNDEFINED, 0));
	CHECK(has_rule(&row, 1, PA_RULE_SAME, 0));
	CHECK(pa_cfi_row__rule(&row, 9)->kind == PA_RULE_EXPR);
	CHECK_EQ(pa_cfi_row__rule(&row, 9)->expr_bytes, 1);
	CHECK(pa_cfi_row__rule(&row, 10)->kind == PA_RULE_VAL_EXPR);
	CHECK_EQ(pa_cfi_row__rule(&row, 10)->expr_bytes, 2);
	CHECK(!pa_cfi_row__rule(&row, 2));
}

TEST(restore_goes_back_to_the_cie)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	put_list(c, DW_CFA_offset | 16, 5, DW_CFA_offset | 3, 5, DW_CFA_advance_loc | 4, END);
	put_list(c, DW_CFA_restore | 16, DW_CFA_restore_extended, 3, END);
	CHECK(!row_of(&row, 0, c) && has_rule(&row, 16, PA_RULE_OFFSET, -40));
	CHECK(has_rule(&row, 3, PA_RULE_OFFSET, -40));
	CHECK(!row_of(&row, 4, c) && has_rule(&row, 16, PA_RULE_OFFSET, -8));
	CHECK(!pa_cfi_row__rule(&row, 3));
}

TEST(remember_and_restore_state)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	put_list(c, DW_CFA_offset | 3, 2, DW_CFA_remember_state, DW_CFA_advance_loc | 1, END);
	put_list(c, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 3, 4, DW_CFA_offset | 12, 5, END);
	put_list(c, DW_CFA_remember_state, DW_CFA_advance_loc | 1, DW_CFA_undefined, 3, END);
	put_list(c, DW_CFA_advance_loc | 1, DW_CFA_restore_state, DW_CFA_advance_loc | 1, END);
	put_list(c, DW_CFA_restore_state, DW_CFA_advance_loc | 1, DW_CFA_restore_state, END);
	CHECK(!row_of(&row, 1, c) && has_cfa(&row, 6, 16) && row.rule_cnt == 3);
	CHECK(!row_of(&row, 2, c) && has_rule(&row, 3, PA_RULE_UNDEFINED, 0));
	CHECK(!row_of(&row, 3, c) && has_rule(&row, 3, PA_RULE_OFFSET, -32));
	CHECK(!row_of(&row, 4, c) && has_rule(&row, 3, PA_RULE_OFFSET, -16));
	CHECK(has_cfa(&row, 7, 8) && !pa_cfi_row__rule(&row, 12));
	/* nothing is left to restore: only what comes from there on is lost */
	CHECK_EQ(row_of(&row, 5, c), -EBADMSG);
}

TEST(advances)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	put_list(c, DW_CFA_advance_loc1, 0xf0, DW_CFA_def_cfa_offset, 1, END);
	put_list(c, DW_CFA_advance_loc2, 0x10, 0x02, DW_CFA_def_cfa_offset, 2, END);
	put_list(c, DW_CFA_advance_loc4, 0, 1, 0, 0, DW_CFA_def_cfa_offset, 3, END);
	put_list(c, DW_CFA_set_loc, END);
	put(c, START + 0x500, 8);
	put_list(c, DW_CFA_def_cfa_offset, 4, DW_CFA_MIPS_advance_loc8, END);
	put(c, 0x100, 8);
	put_list(c, DW_CFA_def_cfa_offset, 5, DW_CFA_advance_loc, DW_CFA_advance_loc4, END);
	put(c, 0x7fffffff, 4); /* beyond the end: clipped */
	put_list(c, 0x3f /* not reached */, END);
	CHECK(!row_of(&row, 0xef, c) && has_cfa(&row, 7, 8));
	CHECK(!row_of(&row, 0xf0, c) && has_cfa(&row, 7, 1));
	CHECK(!row_of(&row, 0x300, c) && has_cfa(&row, 7, 2));
	CHECK(!row_of(&row, 0x4ff, c) && has_cfa(&row, 7, 3));
	CHECK(!row_of(&row, 0x500, c) && has_cfa(&row, 7, 4));
	CHECK(!row_of(&row, 0xfff, c) && has_cfa(&row, 7, 5));
	CHECK_EQ(row.start, START + 0x600);
	CHECK_EQ(row.end, START + LENGTH);

	c = insns();
	put_list(c, DW_CFA_advance_loc | 32, DW_CFA_set_loc, END);
	put(c, START + 16, 8); /* backwards */
	CHECK_EQ(row_of(&row, 31, c), 0);
	CHECK_EQ(row_of(&row, 32, c), -EBADMSG);
}

TEST(return_address_signing_is_of_aarch64)
{
	struct style arm = {.ra_reg = 30, .augmentation = "zRB"};
	struct elf_parts parts = {.machine = EM_AARCH64, .eh = &b};
	const struct pa_cfi_row *row;
	struct pa_cfi_row copy;
	struct bytes *c = insns();
	struct pa_cfi *cfi;
	size_t cie, at;

	b.n = 0;
	cie = cie_begin(&b, &arm);
	put_list(&b, 1, 0, DW_CFA_def_cfa, 31, 0, END);
	entry_end(&b, &arm, cie);
	at = fde_begin(&b, &arm, cie, START, LENGTH);
	put_list(&b, DW_CFA_advance_loc | 4, 0x2d, DW_CFA_remember_state, END);
	put_list(&b, DW_CFA_advance_loc | 4, 0x2c, DW_CFA_advance_loc | 4, END);
	put_list(&b, DW_CFA_restore_state, END);
	entry_end(&b, &arm, at);
	cfi = open_parts(&parts);
	CHECK_EQ(pa_cfi__machine(cfi), EM_AARCH64);
	CHECK(!pa_cfi__row(cfi, START, &row) && !row->is_signed && row->ra_reg == 30);
	CHECK(!pa_cfi__row(cfi, START + 4, &row) && row->is_signed);
	CHECK(!pa_cfi__row(cfi, START + 8, &row) && !row->is_signed);
	CHECK(!pa_cfi__row(cfi, START + 12, &row) && row->is_signed);
	pa_cfi__free(cfi);
	put_list(c, 0x2d, END);
	CHECK_EQ(row_of(&copy, 0, c), -EBADMSG);
}

/* One function whose FDE has its address in an encoding, relative or not. */
static int encoded(uint8_t encoding, uint64_t *start, uint64_t *end)
{
	static const uint8_t sizes[16] = {8, 0, 2, 4, 8, 0, 0, 0, 8, 0, 2, 4, 8, 0, 0, 0};
	struct style s = {.encoding = encoding};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	uint8_t size = sizes[encoding & 0x0f];
	size_t cie, at;
	uint64_t address = START;
	int err;

	b.n = 0;
	cie = cie_x86(&b, &s);
	at = entry_begin(&b, &s);
	put(&b, b.n - cie, 4);
	if ((encoding & 0x70) == DW_EH_PE_aligned) {
		while ((EH_VADDR + b.n) % 8)
			put(&b, 0xee, 1);
		size = 8;
	}
	if ((encoding & 0x70) == DW_EH_PE_pcrel)
		address -= EH_VADDR + b.n;
	if (size)
		put(&b, address, size);
	else if ((encoding & 0x0f) == DW_EH_PE_sleb128)
		put_sleb(&b, (int64_t)address);
	else
		put_uleb(&b, address);
	if (size)
		put(&b, 0x20, sizes[encoding & 0x0f]);
	else
		put_uleb(&b, 0x20);
	put(&b, 0, 1);
	entry_end(&b, &s, at);
	cfi = open_eh(&b);
	err = pa_cfi__row(cfi, START + 4, &row);
	*start = err ? 0 : row->start;
	*end = err ? 0 : row->end;
	pa_cfi__free(cfi);
	return err;
}

TEST(pointer_encodings)
{
	static const uint8_t good[] = {
		DW_EH_PE_absptr,
		DW_EH_PE_udata2,
		DW_EH_PE_udata4,
		DW_EH_PE_udata8,
		DW_EH_PE_uleb128,
		DW_EH_PE_sleb128,
		DW_EH_PE_sdata2,
		DW_EH_PE_sdata4,
		DW_EH_PE_sdata8,
		0x08,
		DW_EH_PE_aligned,
		/* the function lies before the section: backwards */
		DW_EH_PE_pcrel | DW_EH_PE_absptr,
		DW_EH_PE_pcrel | DW_EH_PE_sdata2,
		DW_EH_PE_pcrel | DW_EH_PE_sdata4,
		DW_EH_PE_pcrel | DW_EH_PE_sdata8,
		DW_EH_PE_pcrel | DW_EH_PE_udata8,
		DW_EH_PE_pcrel | DW_EH_PE_sleb128,
		DW_EH_PE_funcrel | DW_EH_PE_udata4,
	};
	static const uint8_t bad[] = {
		DW_EH_PE_omit,
		DW_EH_PE_indirect | DW_EH_PE_absptr,
		0x05,
		0x0f,
		DW_EH_PE_textrel | DW_EH_PE_udata4,
		DW_EH_PE_datarel | DW_EH_PE_udata4,
		0x60 | DW_EH_PE_udata4,
	};
	uint64_t start, end;

	for (size_t i = 0; i < sizeof(good); i++) {
		CHECK_EQ(encoded(good[i], &start, &end) ? good[i] : -1, -1);
		CHECK_EQ(start, START);
		CHECK_EQ(end, START + 0x20);
	}
	for (size_t i = 0; i < sizeof(bad); i++)
		CHECK_EQ(encoded(bad[i], &start, &end), -ENOENT);
}

/* A function whose CIE has this augmentation string and data. */
static int augmented(const char *letters, const struct bytes *data, struct pa_cfi_row *out)
{
	struct style s = {.augmentation = letters};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, at;
	int err;

	b.n = 0;
	cie = cie_begin(&b, &s);
	memcpy(b.d + b.n, data->d, data->n);
	b.n += data->n;
	put_list(&b, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1, END);
	entry_end(&b, &s, cie);
	at = fde_begin(&b, &s, cie, START, LENGTH);
	entry_end(&b, &s, at);
	cfi = open_eh(&b);
	err = pa_cfi__row(cfi, START, &row);
	if (!err)
		memcpy(out, row, offsetof(struct pa_cfi_row, rules));
	pa_cfi__free(cfi);
	return err;
}

TEST(augmentations)
{
	struct bytes *d = insns();
	struct pa_cfi_row row;

	put_list(d, 12, DW_EH_PE_indirect | DW_EH_PE_pcrel | DW_EH_PE_udata8, 1, 2, 3, 4, 5, 6, 7,
		 8, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_absptr, 0xaa, END);
	CHECK(!augmented("zPLR", d, &row) && has_cfa(&row, 7, 8) && !row.is_signal);
	d->n = 0;
	put_list(d, 1, DW_EH_PE_absptr, END);
	CHECK(!augmented("zRS", d, &row) && row.is_signal);
	CHECK(!augmented("zSR", d, &row) && row.is_signal);
	CHECK(!augmented("zRBG", d, &row) && !row.is_signal);
	/* what follows a letter that nobody knows is skipped by the length */
	CHECK(!augmented("zR?S", d, &row) && !row.is_signal);
	d->n = 0;
	CHECK(!augmented("", d, &row));
	put(d, 0x1234, 8);
	CHECK(!augmented("eh", d, &row));
	d->n = 0;
	CHECK_EQ(augmented("armcc+", d, &row), -ENOENT);
	put_list(d, 2, DW_EH_PE_udata8, 1, END); /* a personality that doesn't fit */
	CHECK_EQ(augmented("zPR", d, &row), -ENOENT);
	d->n = 0;
	put_list(d, 0xff, 0x7f, END);
	CHECK_EQ(augmented("zRS", d, &row), -ENOENT);
}

/* One function in .debug_frame. */
static int debug_function(const struct style *s, struct pa_cfi_row *out)
{
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, at;
	int err;

	b.n = 0;
	put(&b, 0, 4); /* padding */
	cie = cie_x86(&b, s);
	at = fde_begin(&b, s, cie, START, LENGTH);
	put_list(&b, DW_CFA_def_cfa_offset, 77, END);
	entry_end(&b, s, at);
	cfi = open_parts(&(struct elf_parts){.debug = &b});
	err = pa_cfi__row(cfi, START, &row);
	if (!err)
		memcpy(out, row, offsetof(struct pa_cfi_row, rules));
	pa_cfi__free(cfi);
	return err;
}

TEST(debug_frame_versions)
{
	static const uint8_t versions[] = {1, 3, 4};
	struct pa_cfi_row row;

	for (int wide = 0; wide < 2; wide++) {
		for (size_t i = 0; i < sizeof(versions); i++) {
			struct style s = {.is_debug = true, .is_64 = wide, .version = versions[i]};

			CHECK(!debug_function(&s, &row) && has_cfa(&row, 7, 77));
		}
	}
	CHECK_EQ(debug_function(&(struct style){.is_debug = true, .version = 2}, &row), -ENOENT);
	CHECK_EQ(debug_function(&(struct style){.is_debug = true, .version = 5}, &row), -ENOENT);
}

TEST(wide_eh_frame)
{
	struct style s = {.is_64 = true};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, at;

	b.n = 0;
	cie = cie_x86(&b, &s);
	at = fde_begin(&b, &s, cie, START, LENGTH);
	entry_end(&b, &s, at);
	cfi = open_eh(&b);
	CHECK(!pa_cfi__row(cfi, START, &row) && has_cfa(row, 7, 8));
	pa_cfi__free(cfi);
}

TEST(eh_frame_comes_first)
{
	static struct bytes debug;
	struct style s = {.is_debug = true};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, at;

	debug.n = 0;
	cie = cie_x86(&debug, &s);
	at = fde_begin(&debug, &s, cie, START, 2 * LENGTH);
	put_list(&debug, DW_CFA_def_cfa_offset, 77, END);
	entry_end(&debug, &s, at);
	b.n = 0;
	cie = cie_x86(&b, &eh);
	at = fde_begin(&b, &eh, cie, START, LENGTH);
	entry_end(&b, &eh, at);
	cfi = open_parts(&(struct elf_parts){.eh = &b, .debug = &debug});
	CHECK(!pa_cfi__row(cfi, START, &row) && has_cfa(row, 7, 8));
	CHECK(!pa_cfi__row(cfi, START + LENGTH, &row) && has_cfa(row, 7, 77));
	CHECK_EQ(pa_cfi__row(cfi, START + 2 * LENGTH, &row), -ENOENT);
	pa_cfi__free(cfi);
}

static int packed_function(bool zstd)
{
	struct elf_parts parts = {.debug = &packed, .debug_flags = SHF_COMPRESSED};
	Elf64_Chdr h = {.ch_type = zstd ? 2 : ELFCOMPRESS_ZLIB, .ch_size = 1ull << 60};
	struct style s = {.is_debug = true};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	uLongf room = sizeof(packed.d) - sizeof(h);
	size_t cie;
	int err;

	b.n = 0;
	cie = cie_x86(&b, &s);
	for (int i = 0; i < 5000; i++)
		entry_end(&b, &s, fde_begin(&b, &s, cie, START + 16 * i, 16));
	memcpy(packed.d, &h, sizeof(h)); /* whose size is a lie */
	if (zstd)
		room = ZSTD_compress(packed.d + sizeof(h), room, b.d, b.n, 3);
	else
		compress(packed.d + sizeof(h), &room, b.d, b.n);
	packed.n = sizeof(h) + room;
	cfi = open_parts(&parts);
	err = pa_cfi__row(cfi, START + 16 * 4999, &row);
	pa_cfi__free(cfi);
	/* cut short: as if there were none */
	packed.n -= 40;
	cfi = open_parts(&parts);
	if (!err && pa_cfi__row(cfi, START, &row) != -ENOENT)
		err = -EEXIST;
	pa_cfi__free(cfi);
	return err;
}

TEST(compressed_debug_frame)
{
	CHECK_EQ(packed_function(false), 0);
	CHECK_EQ(packed_function(true), 0);
}

/* Two functions, and a header that finds them. */
static void functions_with_header(void)
{
	size_t cie, at[2];

	b.n = 0;
	cie = cie_x86(&b, &eh);
	for (int i = 0; i < 2; i++) {
		at[i] = fde_begin(&b, &eh, cie, START + i * LENGTH, LENGTH / 2);
		put_list(&b, DW_CFA_def_cfa_offset, 50 + i, END);
		entry_end(&b, &eh, at[i]);
	}
	put(&b, 0, 4);
	hdr.n = 0;
	put_list(&hdr, 1, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_udata4,
		 DW_EH_PE_datarel | DW_EH_PE_sdata4, END);
	put(&hdr, (uint64_t)EH_VADDR - (HDR_VADDR + 4), 4);
	put(&hdr, 2, 4);
	for (int i = 0; i < 2; i++) {
		put(&hdr, (uint64_t)START + i * LENGTH - HDR_VADDR, 4);
		put(&hdr, EH_VADDR + at[i] - HDR_VADDR, 4);
	}
}

static bool finds_both(const struct elf_parts *parts)
{
	struct pa_cfi *cfi = open_parts(parts);
	const struct pa_cfi_row *row;
	bool found = cfi && !pa_cfi__row(cfi, START + LENGTH / 2 - 1, &row) &&
		     has_cfa(row, 7, 50) && !pa_cfi__row(cfi, START + LENGTH, &row) &&
		     has_cfa(row, 7, 51) && pa_cfi__row(cfi, START + LENGTH / 2, &row) == -ENOENT &&
		     pa_cfi__row(cfi, START - 1, &row) == -ENOENT;

	pa_cfi__free(cfi);
	return found;
}

TEST(header_with_and_without_sections)
{
	struct elf_parts parts = {.eh = &b, .hdr = &hdr};

	functions_with_header();
	CHECK(finds_both(&parts));
	parts.no_sections = true;
	CHECK(finds_both(&parts));
	hdr.d[3] = DW_EH_PE_omit; /* no table: the section is scanned to its terminator */
	CHECK(finds_both(&parts));
	functions_with_header();
	hdr.d[8] = 0xff; /* a count that does not fit */
	CHECK(finds_both(&parts));
	functions_with_header();
	memset(hdr.d + 12, 0x70, 4); /* not sorted */
	CHECK(finds_both(&parts));
	functions_with_header();
	memset(hdr.d + 16, 0x7f, 4); /* an entry outside of the section */
	CHECK(finds_both(&parts));
	functions_with_header();
	hdr.d[0] = 2; /* a version that nobody knows: by the section only */
	CHECK(!finds_both(&parts));
	parts.no_sections = false;
	CHECK(finds_both(&parts));
}

TEST(one_bad_entry_costs_itself)
{
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, other, at, bad;

	b.n = 0;
	cie = cie_x86(&b, &eh);
	other = entry_begin(&b, &eh); /* a CIE that is none: its augmentation has no end */
	put_list(&b, 0, 0, 0, 0, 1, 'z', 'R', 'x', 'x', 'x', 'x', 'x', END);
	entry_end(&b, &eh, other);
	at = fde_begin(&b, &eh, cie, START, 16);
	put_list(&b, 0x3e /* no such instruction */, END);
	entry_end(&b, &eh, at);
	at = fde_begin(&b, &eh, other, START + 16, 16);
	entry_end(&b, &eh, at);
	at = entry_begin(&b, &eh); /* points to itself as its CIE */
	put(&b, 4, 4);
	put(&b, 0, 8);
	put(&b, 0, 8);
	entry_end(&b, &eh, at);
	bad = entry_begin(&b, &eh); /* points to the one before */
	put(&b, b.n - at, 4);
	put(&b, 0, 8);
	entry_end(&b, &eh, bad);
	at = entry_begin(&b, &eh); /* before the section */
	put(&b, 0x7fffffff, 4);
	entry_end(&b, &eh, at);
	at = entry_begin(&b, &eh); /* ends in its address */
	put(&b, b.n - cie, 4);
	put(&b, START, 4);
	entry_end(&b, &eh, at);
	at = fde_begin(&b, &eh, cie, UINT64_MAX - 3, 16); /* wraps around */
	entry_end(&b, &eh, at);
	at = fde_begin(&b, &eh, cie, START + 32, 0); /* empty */
	entry_end(&b, &eh, at);
	put(&b, 2, 4); /* too short for a CIE pointer */
	put(&b, 0xffff, 2);
	at = fde_begin(&b, &eh, cie, START + 32, 16);
	entry_end(&b, &eh, at);
	cfi = open_eh(&b);
	CHECK_EQ(pa_cfi__row(cfi, START, &row), -EBADMSG);
	CHECK_EQ(pa_cfi__row(cfi, START, &row), -EBADMSG); /* kept */
	CHECK_EQ(pa_cfi__row(cfi, START + 16, &row), -ENOENT);
	CHECK_EQ(pa_cfi__row(cfi, START + 32, &row), 0);
	CHECK_EQ(pa_cfi__row(cfi, UINT64_MAX, &row), -ENOENT);
	pa_cfi__free(cfi);
}

/* An entry within another one, an empty one, and several at one address. */
TEST(overlapping_entries)
{
	static const unsigned at[][3] = {
		{0, 0x100, 50}, {0x10, 0x10, 51}, {0x20, 0, 52}, {0x30, 4, 53}, {0x30, 8, 54}};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	size_t cie, fde;

	b.n = 0;
	cie = cie_x86(&b, &eh);
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		fde = fde_begin(&b, &eh, cie, START + at[i][0], at[i][1]);
		put_list(&b, DW_CFA_def_cfa_offset, at[i][2], END);
		entry_end(&b, &eh, fde);
	}
	cfi = open_eh(&b);
	CHECK(!pa_cfi__row(cfi, START + 0x0f, &row) && has_cfa(row, 7, 50));
	CHECK(!pa_cfi__row(cfi, START + 0x1f, &row) && has_cfa(row, 7, 51));
	CHECK(!pa_cfi__row(cfi, START + 0x20, &row) && has_cfa(row, 7, 50));
	CHECK(!pa_cfi__row(cfi, START + 0x37, &row) && has_cfa(row, 7, 54));
	CHECK(!pa_cfi__row(cfi, START + 0xff, &row) && has_cfa(row, 7, 50));
	CHECK_EQ(pa_cfi__row(cfi, START + 0x100, &row), -ENOENT);
	pa_cfi__free(cfi);
}

/* What would be read again for each entry must be short. */
TEST(endless_cies)
{
	struct bytes *d = insns();
	struct pa_cfi_row row;
	char letters[64] = "zR";

	put_list(d, 1, DW_EH_PE_absptr, END);
	memset(letters + 2, 'B', 29);
	CHECK_EQ(augmented(letters, d, &row), 0);
	memset(letters + 2, 'B', 30);
	CHECK_EQ(augmented(letters, d, &row), -ENOENT);
	d->n = 0;
	for (int i = 0; i < 31; i++)
		put(d, 0x80, 1);
	put(d, 0, 1);
	CHECK_EQ(augmented("zS", d, &row), 0);
	d->d[31] = 0x80;
	put(d, 0, 1);
	CHECK_EQ(augmented("zS", d, &row), -ENOENT);
}

TEST(floods_are_bounded)
{
	struct bytes *c = insns();
	struct pa_cfi_row row;

	for (int i = 0; i < 32; i++)
		put_list(c, DW_CFA_remember_state, END);
	put_list(c, DW_CFA_advance_loc | 1, END);
	CHECK_EQ(row_of(&row, 1, c), 0);
	put_list(c, DW_CFA_remember_state, END);
	CHECK_EQ(row_of(&row, 0, c), 0);
	CHECK_EQ(row_of(&row, 1, c), -EBADMSG);
	c = insns();
	for (int i = 0; i < 200000; i++)
		put_list(c, DW_CFA_remember_state, DW_CFA_restore_state, END);
	CHECK_EQ(row_of(&row, 0, c), -EBADMSG);
	c = insns();
	put_list(c, DW_CFA_def_cfa_expression, END);
	put_uleb(c, UINT64_MAX);
	CHECK_EQ(row_of(&row, 0, c), -EBADMSG);
	c = insns();
	put_list(c, DW_CFA_MIPS_advance_loc8, END);
	put(c, UINT64_MAX, 8);
	CHECK_EQ(row_of(&row, 0, c), -EBADMSG);
}

static int count_row(void *ctx, const struct pa_cfi_row *row)
{
	(void)row;
	return ++*(int *)ctx == 1000000;
}

/* Every cut and many changed bytes: no crash, no read outside (run it with the sanitizers). */
TEST(any_damage)
{
	struct elf_parts parts = {.eh = &b, .hdr = &hdr};
	const struct pa_cfi_row *row;
	struct pa_cfi *cfi;
	uint64_t bad;
	int cnt;

	functions_with_header();
	for (size_t at = 0; at < b.n; at++) {
		for (int v = 0; v < 256; v += 17) {
			uint8_t was = b.d[at];

			b.d[at] = (uint8_t)v;
			parts.no_sections = v % 2;
			cfi = open_parts(&parts);
			cnt = 0;
			pa_cfi__each_row(cfi, count_row, &cnt, &bad);
			pa_cfi__row(cfi, START + 4, &row);
			pa_cfi__free(cfi);
			b.d[at] = was;
		}
	}
	parts = (struct elf_parts){.eh = &b};
	while (b.n--) {
		cfi = open_parts(&parts);
		CHECK(cfi);
		cnt = 0;
		pa_cfi__each_row(cfi, count_row, &cnt, &bad);
		pa_cfi__free(cfi);
	}
}

struct check_rows {
	struct pa_cfi *cfi, *asked;
	size_t row_cnt, wrong_cnt;
	uint64_t end;
};

static int check_row(void *ctx, const struct pa_cfi_row *row)
{
	struct check_rows *c = ctx;
	const struct pa_cfi_row *found;
	uint64_t at[2] = {row->start, row->end - 1};

	c->row_cnt++;
	c->wrong_cnt += row->start >= row->end;
	for (int i = 0; i < 2; i++) {
		if (pa_cfi__row(c->asked, at[i], &found) || found->start != row->start ||
		    found->end != row->end || found->rule_cnt != row->rule_cnt ||
		    found->cfa.kind != row->cfa.kind || found->cfa.reg != row->cfa.reg)
			c->wrong_cnt++;
	}
	return 0;
}

/* The two ways to rows agree on real code: that of this program's own libraries. */
TEST(lookup_and_enumeration_agree)
{
	static const char *const files[] = {"/proc/self/exe", "libc.so.6", "libstdc++.so.6"};
	struct check_rows c = {0};
	char path[4096], line[4352];
	uint64_t bad;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		FILE *maps = fopen("/proc/self/maps", "r");
		int fd;

		snprintf(path, sizeof(path), "%s", files[i]);
		while (maps && files[i][0] != '/' && fgets(line, sizeof(line), maps)) {
			char *name = strchr(line, '/');

			if (name && strstr(name, files[i])) {
				name[strcspn(name, "\n")] = '\0';
				snprintf(path, sizeof(path), "%s", name);
			}
		}
		fclose(maps);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		c.row_cnt = c.wrong_cnt = 0;
		CHECK_EQ(pa_cfi__open_fd(fd, path, NULL, &c.cfi), 0);
		CHECK_EQ(pa_cfi__open_fd(fd, path, NULL, &c.asked), 0);
		close(fd);
		CHECK_EQ(pa_cfi__each_row(c.cfi, check_row, &c, &bad), 0);
		CHECK(c.row_cnt > 100);
		CHECK_EQ(c.wrong_cnt, 0);
		CHECK_EQ(bad, 0);
		pa_cfi__free(c.cfi);
		pa_cfi__free(c.asked);
	}
}

TEST(not_elf)
{
	struct pa_cfi *cfi = (void *)1;
	const struct pa_cfi_row *row;

	CHECK_EQ(pa_cfi__open_mem("\177ELX", 4, &cfi), -ENOEXEC);
	CHECK(!cfi);
	cfi = open_parts(&(struct elf_parts){0});
	CHECK_EQ(pa_cfi__row(cfi, START, &row), -ENOENT);
	pa_cfi__free(cfi);
}

TEST_MAIN()
