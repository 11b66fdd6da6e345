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
	bool is_awaited;	/* being packed, or to be */
	bool is_wanted;		/* there was no room when it was last asked for */
	bool was_refused;	/* ...once at least */
	struct pa_table *table; /* NULL: frame pointers */
	uint64_t need_bytes;	/* of its table; 0: not known, or none can be made */
	uint32_t process_cnt;	/* published with this table */
	uint64_t used_ns;	/* when it was loaded, or its last process ended */
	struct pa_elf_segment *loads;
	size_t load_cnt;
	bool cfi_tried;
	struct pa_cfi *cfi; /* NULL: none */
	size_t cfi_bytes;
	uint64_t cfi_used_at; /* walk_cnt */
};

struct pa_unwind_images {
	struct pa_images *files;  /* borrowed */
	struct pa_tables *tables; /* borrowed */
	struct pa_packer *packer; /* borrowed; NULL: pack at once */
	const char *cache_dir;	  /* borrowed */
	struct pa_unwind_image *images;
	size_t cnt, cap;
	uint32_t *queue; /* files to be packed: [queue_at] is next */
	size_t queue_at, queue_cnt, queue_cap;
	size_t asked_cnt; /* of the packer, which holds a descriptor for each */
	uint64_t cfi_bytes, walk_cnt;
	uint64_t now_ns; /* of the pass */
	uint64_t loaded_cnt, evicted_cnt, over_budget_cnt;
};

void pa_unwind_images__free(struct pa_unwind_images *t);
/** Number of the image that a record or a line of /proc/PID/maps shows. */
uint32_t pa_unwind_images__number(const char *name, uint32_t file);
/** The image, its table loaded if there is room, or awaited. Valid until the next call.
 *  @return NULL without memory */
struct pa_unwind_image *pa_unwind_images__get(struct pa_unwind_images *t, uint32_t image);
/** Load tables that were awaited. @return number of those that are awaited no longer, -ENOMEM */
int pa_unwind_images__take(struct pa_unwind_images *t);
/** Its CFI, valid until pa_unwind_images__trim. @return 0 (*out NULL: none), -ENOMEM */
int pa_unwind_images__cfi(struct pa_unwind_images *t, uint32_t image, struct pa_cfi **out);
/** Now and then: is there room by now for one that was refused? If not, some is made of tables
 *  that no process is published with, the longest unused first. */
bool pa_unwind_images__has_news(struct pa_unwind_images *t);
/** Free the table that was not used for longest. @return false: all are in use, or were lately */
bool pa_unwind_images__evict(struct pa_unwind_images *t);
/** Between two walks: free the CFI that was not used for longest, if it is too much. */
void pa_unwind_images__trim(struct pa_unwind_images *t);
/** Free the CFI of all images: it is read again when a walk asks for it. */
void pa_unwind_images__drop_cfi(struct pa_unwind_images *t);

#endif
