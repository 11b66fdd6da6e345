/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offline.h - walks the user stack of a sample that carries the registers and a copy of the top
 * of the stack (`perf record --call-graph dwarf`), on x86-64 and aarch64. Rows of CFI say how to
 * go from a frame to its caller; where no CFI covers a pc, frame pointers are tried.
 *
 * Nothing is allocated and nothing but the copied stack is read, so a walk costs some ten to a
 * hundred nanoseconds per frame.
 */
#ifndef PA_OFFLINE_H
#define PA_OFFLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unwind/cfi.h"

/** More frames than this are not walked (perf's own limit is 127). */
#define PA_UNWIND_FRAMES_MAX 1024

/** Why a walk ended. */
enum pa_unwind_end {
	PA_UNWIND_COMPLETE = 0, /* at the outermost frame */
	PA_UNWIND_NO_CFI,	/* no CFI covers the last frame, nor does it keep frame pointers */
	PA_UNWIND_OUT_OF_STACK, /* the caller's registers lie beyond the copy */
	PA_UNWIND_BAD,		/* damaged CFI, or a stack that does not fit it */
	PA_UNWIND_LOOP,		/* no progress */
	PA_UNWIND_TOO_DEEP,	/* PA_UNWIND_FRAMES_MAX */
	PA_UNWIND_UNSUPPORTED,	/* a 32-bit process, or registers are missing: the leaf only */
	PA_UNWIND_END_CNT,
};

/** What lies at a pc. */
struct pa_unwind_map {
	struct pa_cfi *cfi; /* NULL: no file, or it could not be read */
	uint64_t bias;	    /* pc - bias is the virtual address in the file */
	bool is_vdso;
};

/** One sample. Everything is borrowed for the call. */
struct pa_unwind_sample {
	uint16_t machine;  /* EM_X86_64 or EM_AARCH64 */
	uint64_t abi;	   /* PERF_SAMPLE_REGS_ABI_* */
	uint64_t reg_mask; /* attr.sample_regs_user */
	const void *regs;  /* a u64 for each bit of the mask, in its order; any alignment */
	size_t reg_cnt;
	/** Instead of reg_mask and regs: registers 0 to dwarf_reg_cnt - 1 by their DWARF numbers,
	 * the pc being 16 (x86-64) or 32 (aarch64); NULL: none */
	const uint64_t *dwarf_regs;
	size_t dwarf_reg_cnt; /* at most PA_CFI_REG_CNT */
	const void *stack;    /* the bytes from the stack pointer on; any alignment */
	size_t stack_bytes;
	/** Look a pc up. Of a return address the last byte of the call is asked for.
	 *  @return 0, -ENOENT nothing executable is mapped there, -ENOMEM */
	int (*find_map)(void *ctx, uint64_t pc, struct pa_unwind_map *out);
	void *ctx;
};

/** The result. ips holds cnt addresses, leaf first: the interrupted pc, then return addresses as
 *  they lie on the stack (aarch64: without their signature). */
struct pa_unwind_chain {
	enum pa_unwind_end end;
	size_t cnt;
	uint64_t ips[PA_UNWIND_FRAMES_MAX];
	/** Not a return address, so that 1 must not be subtracted to find its function: the leaf,
	 *  a signal trampoline, and what a signal interrupted. */
	bool is_exact[PA_UNWIND_FRAMES_MAX];
};

/** Walk the stack of a sample.
 *  @return 0 (however far it came), -ENOMEM */
int pa_unwind(const struct pa_unwind_sample *s, struct pa_unwind_chain *out);
/** EM_* for the name of a machine as uname(2) gives it. @return EM_NONE unknown */
uint16_t pa_unwind_machine(const char *name);

#endif
