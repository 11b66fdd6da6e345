// SPDX-License-Identifier: GPL-2.0-only
/*
 * unwind.c - call chains of samples that carry user registers and a copy of the stack. Each
 * image's CFI is read once, when a walk first comes to it; that it could not be read is kept,
 * too. What the walk gives is put into the form of a recorded chain, so that the rest of the
 * session sees no difference.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "convert/session.h"

/* The CFI of all images together. */
#define CFI_MAX_BYTES (2ull << 30)

/* The CFI of one image. */
struct image_cfi {
	struct pa_cfi *cfi; /* NULL: none */
	bool is_tried;
};

struct pa_session_unwind {
	struct pa_session *s;
	uint16_t machine;
	struct image_cfi *images; /* by index of the session's images */
	size_t image_cnt;
	uint64_t cfi_bytes;

	uint32_t space; /* of the present sample */
	uint64_t time_ns;
	struct pa_unwind_chain chain;
	uint64_t ips[PA_CHAIN_MAX];
};

_Static_assert(PA_CHAIN_MAX > PD_CALLCHAIN_MAX + 3 * PA_UNWIND_FRAMES_MAX, "any walk fits");

static uint16_t machine_of(struct pa_session *s)
{
	const char *name = s->opts.origin ? s->opts.origin(s->opts.ctx) : NULL;
	struct utsname here;

	if (!name && !uname(&here))
		name = here.machine;
	return name ? pa_unwind_machine(name) : EM_NONE;
}

static int get(struct pa_session *s, struct pa_session_unwind **out)
{
	struct pa_session_unwind *u = s->unwind;

	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return -ENOMEM;
		u->s = s;
		u->machine = machine_of(s);
		s->unwind = u;
	}
	*out = u;
	return 0;
}

void pa_session_unwind__free(struct pa_session *s)
{
	struct pa_session_unwind *u = s->unwind;

	if (!u)
		return;
	for (size_t i = 0; i < u->image_cnt; i++)
		pa_cfi__free(u->images[i].cfi);
	free(u->images);
	free(u);
	s->unwind = NULL;
}

/* ---- the CFI of images ---------------------------------------------------------------------- */

static int read_file(struct pa_session_unwind *u, uint32_t i, const struct pa_piece *piece,
		     struct pa_cfi **out)
{
	struct pa_session *s = u->s;
	int err = pa_session_images__hit(s, i, pa_procs__at(&s->procs, u->space)->pid, piece);
	int fd;

	if (!err)
		err = pa_session_images__open(s, i);
	if (err)
		return err;
	fd = pa_symbolizer__open_file(s->opts.symbolizer, s->images[i].image);
	if (fd < 0)
		return fd;
	err = pa_cfi__open_fd(fd, s->images[i].path, pa_symbolizer__search(s->opts.symbolizer),
			      out);
	close(fd);
	return err;
}

static int read_vdso(struct pa_session_unwind *u, struct pa_cfi **out)
{
	const void *mem;
	size_t bytes;

	if (pa_symbolizer__vdso(u->s->opts.symbolizer, &mem, &bytes))
		return -ENOENT;
	return pa_cfi__open_mem(mem, bytes, out);
}

/* Only what is of the data's machine is of use, and within the limit. */
static void judge(struct pa_session_unwind *u, struct image_cfi *c)
{
	if (!c->cfi)
		return;
	u->cfi_bytes += pa_cfi__memory_bytes(c->cfi);
	if (pa_cfi__machine(c->cfi) == u->machine && u->cfi_bytes <= CFI_MAX_BYTES)
		return;
	u->cfi_bytes -= pa_cfi__memory_bytes(c->cfi);
	pa_cfi__free(c->cfi);
	c->cfi = NULL;
}

/* Room for all images that there are by now. */
static int grow(struct pa_session_unwind *u)
{
	size_t cnt = 2 * u->image_cnt;
	struct image_cfi *images;

	if (cnt < u->s->image_cnt)
		cnt = u->s->image_cnt;
	images = realloc(u->images, cnt * sizeof(*images));
	if (!images)
		return -ENOMEM;
	memset(images + u->image_cnt, 0, (cnt - u->image_cnt) * sizeof(*images));
	u->images = images;
	u->image_cnt = cnt;
	return 0;
}

static int cfi_of(struct pa_session_unwind *u, const struct pa_piece *piece, struct pa_cfi **out)
{
	struct pa_session *s = u->s;
	uint32_t i = piece->image;
	int err = 0;

	if (i >= u->image_cnt && grow(u))
		return -ENOMEM;
	if (!u->images[i].is_tried && s->opts.symbolizer) {
		u->images[i].is_tried = true;
		if (s->images[i].kind == PA_IMAGE_FILE)
			err = read_file(u, i, piece, &u->images[i].cfi);
		else if (s->images[i].kind == PA_IMAGE_VDSO)
			err = read_vdso(u, &u->images[i].cfi);
		judge(u, &u->images[i]);
	}
	*out = u->images[i].cfi;
	return err == -ENOMEM ? err : 0;
}

static int find_map(void *ctx, uint64_t pc, struct pa_unwind_map *out)
{
	struct pa_session_unwind *u = ctx;
	const struct pa_piece *piece = pa_procs__find(&u->s->procs, u->space, pc, u->time_ns);
	uint64_t offset, vaddr;
	int err;

	if (!piece)
		return -ENOENT;
	out->is_vdso = u->s->images[piece->image].kind == PA_IMAGE_VDSO;
	err = cfi_of(u, piece, &out->cfi);
	if (err || !out->cfi)
		return err;
	offset = pc - piece->start + (out->is_vdso ? 0 : piece->pgoff);
	if (pa_cfi__vaddr(out->cfi, offset, &vaddr)) {
		out->cfi = NULL;
		return 0;
	}
	out->bias = pc - vaddr;
	return 0;
}

/* ---- chains --------------------------------------------------------------------------------- */

/* Entries of the record's chain that are not the user's. */
static size_t kernel_part(const struct pd_sample *sample)
{
	size_t n = 0;

	if (sample->ip_cnt && sample->ips[0] < (uint64_t)PERF_CONTEXT_MAX &&
	    !pa_is_kernel(sample->cpumode, sample->ips[0]))
		return 0;
	while (n < sample->ip_cnt && sample->ips[n] != (uint64_t)PERF_CONTEXT_USER &&
	       sample->ips[n] != PA_CONTEXT_USER_DEFERRED)
		n++;
	return n;
}

/* The walk as a recorded chain. A marker stands before each address that is no return address:
 * whoever reads the chain then looks up that address itself. */
static void compose(struct pa_session_unwind *u, struct pd_sample *sample, size_t kernel_cnt)
{
	const struct pa_unwind_chain *chain = &u->chain;
	size_t n = kernel_cnt;

	if (n)
		memcpy(u->ips, sample->ips, n * sizeof(*u->ips));
	for (size_t i = 0; i < chain->cnt; i++) {
		if (chain->is_exact[i])
			u->ips[n++] = (uint64_t)PERF_CONTEXT_USER;
		u->ips[n++] = chain->ips[i];
	}
	sample->ips = (const __u64 *)u->ips;
	sample->ip_cnt = n;
}

int pa_session_unwind__sample(struct pa_session *s, struct pd_sample *sample, uint32_t space,
			      uint64_t time_ns)
{
	struct pa_session_unwind *u;
	struct pa_unwind_sample in;
	size_t kernel_cnt;
	int err;

	if (!sample->user_reg_cnt || !sample->user_stack_bytes)
		return 0;
	err = get(s, &u);
	if (err)
		return err;
	u->space = space;
	u->time_ns = time_ns;
	in = (struct pa_unwind_sample){
		.machine = u->machine,
		.abi = sample->user_abi,
		.reg_mask = pd_events__get(s->opts.events, sample->id.event)->attr.sample_regs_user,
		.regs = sample->user_regs,
		.reg_cnt = sample->user_reg_cnt,
		.stack = sample->user_stack,
		.stack_bytes = sample->user_stack_bytes,
		.find_map = find_map,
		.ctx = u,
	};
	err = pa_unwind(&in, &u->chain);
	if (err)
		return err;
	s->stats.unwound_cnt[u->chain.end]++;
	kernel_cnt = kernel_part(sample);
	/* Where the kernel walked the user's stack, too, it may have come further. */
	if (u->chain.cnt &&
	    (u->chain.end == PA_UNWIND_COMPLETE || sample->ip_cnt - kernel_cnt <= u->chain.cnt + 1))
		compose(u, sample, kernel_cnt);
	return 0;
}
