/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind_images.h - the images of an unwinder: their tables in the kernel, within the budget, and
 * their CFI for walks that are finished here, read when it is first asked for.
 */
#ifndef PA_CAPTURE_UNWIND_IMAGES_H
#define PA_CAPTURE_UNWIND_IMAGES_H

#include "capture/images.h"
#include "capture/packer.h"
#include "capture/tables.h"
#include "symbolize/internal.h"
#include "unwind/cfi.h"

/** What is mapped: the vdso, or the file of number image - 1. PA_NO_IMAGE: code without a file. */
enum { PA_IMAGE_OF_VDSO = 0 };
#define PA_NO_IMAGE UINT32_MAX

struct pa_unwind_image {
	bool is_tried;		/* to be read; what fails is not tried again */
	bool is_awaited;	/* being packed */
	bool is_evicted;	/* had a table; gets it back when it is mapped again */
	struct pa_table *table; /* NULL: frame pointers */
	uint32_t process_cnt;	/* published with this table */
	uint64_t used_ns;	/* when it was last published, or its last process ended */
	struct pa_elf_segment *loads;
	size_t load_cnt;
	bool cfi_tried;
	struct pa_cfi *cfi; /* NULL: none */
	size_t cfi_bytes;
	uint64_t cfi_used_ns;
};

struct pa_unwind_images {
	struct pa_images *files;  /* borrowed */
	struct pa_tables *tables; /* borrowed */
	struct pa_packer *packer; /* borrowed; NULL: pack at once */
	const char *cache_dir;	  /* borrowed */
	struct pa_unwind_image *images;
	size_t cnt, cap;
	uint64_t cfi_bytes, now_ns;
	uint64_t loaded_cnt, evicted_cnt, over_budget_cnt;
};

void pa_unwind_images__free(struct pa_unwind_images *t);
/** Number of the image that a record or a line of /proc/PID/maps shows. */
uint32_t pa_unwind_images__number(const char *name, uint32_t file);
/** The image, its table loaded if there is room, or awaited. Valid until the next call.
 *  @return NULL without memory */
struct pa_unwind_image *pa_unwind_images__get(struct pa_unwind_images *t, uint32_t image);
/** Load tables that were awaited. @return their number, -ENOMEM */
int pa_unwind_images__take(struct pa_unwind_images *t);
/** Its CFI, valid until pa_unwind_images__end_pass. @return 0 (*out NULL: none), -ENOMEM */
int pa_unwind_images__cfi(struct pa_unwind_images *t, uint32_t image, struct pa_cfi **out);
/** Free tables of images that no process is published with, the longest unused first.
 *  @return false: there are none */
bool pa_unwind_images__evict(struct pa_unwind_images *t);
void pa_unwind_images__end_pass(struct pa_unwind_images *t, uint64_t now_ns);

#endif
