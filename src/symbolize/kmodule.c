// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmodule.c - functions of kernel modules from their .ko files, for recordings of another boot:
 * /proc/kallsyms of now knows other addresses. The kernel puts the code sections of a module one
 * behind the other, in the file's order, each at its alignment, those of .init elsewhere; the
 * recording tells where the first begins.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "symbolize/internal.h"

#define FILE_MAX_BYTES (64u << 20)   /* compressed */
#define IMAGE_MAX_BYTES (256u << 20) /* with debug information */
#define FIRST_BYTES (256u << 10)
#define XZ_MEMORY_BYTES (128u << 20)
#define MODULES_MAX 16384

struct pa_kmodule {
	char *path, *name; /* name: "[ext4]" */
	uint64_t start, bytes;
	uint8_t build_id[20];
	uint8_t build_id_bytes;
	uint32_t seq;
	bool tried, is_stale;
	struct pa_elfsyms *syms;
	struct pa_symnode **made;
};

/* ---- the file, decompressed ------------------------------------------------------------ */

struct bytes {
	uint8_t *data;
	size_t cnt, cap;
};

/* Room for more output. @return 0, -EFBIG, -ENOMEM */
static int grow(struct bytes *b)
{
	size_t cap = b->cap ? b->cap * 2 : FIRST_BYTES;
	uint8_t *p = cap <= IMAGE_MAX_BYTES ? realloc(b->data, cap) : NULL;

	if (!p)
		return cap <= IMAGE_MAX_BYTES ? -ENOMEM : -EFBIG;
	b->data = p;
	b->cap = cap;
	return 0;
}

static int unpack_xz(const struct bytes *in, struct bytes *out)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	lzma_ret ret = LZMA_OK;
	int err = 0;

	if (lzma_stream_decoder(&xz, XZ_MEMORY_BYTES, 0) != LZMA_OK)
		return -ENOMEM;
	xz.next_in = in->data;
	xz.avail_in = in->cnt;
	while (!err && ret == LZMA_OK) {
		if (out->cnt == out->cap)
			err = grow(out);
		if (err)
			break;
		xz.next_out = out->data + out->cnt;
		xz.avail_out = out->cap - out->cnt;
		ret = lzma_code(&xz, LZMA_FINISH);
		out->cnt = out->cap - xz.avail_out;
	}
	lzma_end(&xz);
	return err ? err : ret == LZMA_STREAM_END ? 0 : -EBADMSG;
}

static int unpack_zstd(const struct bytes *in, struct bytes *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer src = {in->data, in->cnt, 0};
	size_t ret = 1;
	int err = z ? 0 : -ENOMEM;

	while (!err && ret) {
		ZSTD_outBuffer dst;

		if (out->cnt == out->cap)
			err = grow(out);
		if (err)
			break;
		dst = (ZSTD_outBuffer){out->data, out->cap, out->cnt};
		ret = ZSTD_decompressStream(z, &dst, &src);
		if (ZSTD_isError(ret) || (ret && src.pos == src.size && dst.pos == out->cnt))
			err = -EBADMSG;
		out->cnt = dst.pos;
	}
	ZSTD_freeDStream(z);
	return err;
}

static int unpack_gzip(const struct bytes *in, struct bytes *out)
{
	z_stream z = {.next_in = in->data, .avail_in = (uInt)in->cnt};
	int ret = Z_OK, err = 0;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	while (!err && ret == Z_OK) {
		if (out->cnt == out->cap)
			err = grow(out);
		if (err)
			break;
		z.next_out = out->data + out->cnt;
		z.avail_out = (uInt)(out->cap - out->cnt);
		ret = inflate(&z, Z_NO_FLUSH);
		out->cnt = out->cap - z.avail_out;
	}
	inflateEnd(&z);
	return err ? err : ret == Z_STREAM_END ? 0 : -EBADMSG;
}

static int read_file(int fd, struct bytes *out)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size <= 0 || st.st_size > (off_t)IMAGE_MAX_BYTES)
		return -EFBIG;
	out->data = malloc((size_t)st.st_size);
	if (!out->data)
		return -ENOMEM;
	out->cap = (size_t)st.st_size;
	while (out->cnt < out->cap) {
		ssize_t n = pread(fd, out->data + out->cnt, out->cap - out->cnt, (off_t)out->cnt);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		out->cnt += (size_t)n;
	}
	return 0;
}

static int unpack(struct bytes *b)
{
	static const struct {
		const char *magic;
		size_t bytes;
		int (*fn)(const struct bytes *in, struct bytes *out);
	} packers[] = {
		{"\xfd"
		 "7zXZ",
		 5, unpack_xz},
		{"\x28\xb5\x2f\xfd", 4, unpack_zstd},
		{"\x1f\x8b", 2, unpack_gzip},
	};
	struct bytes out = {0};
	int err;

	for (size_t i = 0; i < sizeof(packers) / sizeof(*packers); i++) {
		if (b->cnt < packers[i].bytes ||
		    memcmp(b->data, packers[i].magic, packers[i].bytes) != 0)
			continue;
		err = b->cnt <= FILE_MAX_BYTES ? packers[i].fn(b, &out) : -EFBIG;
		free(b->data);
		*b = out;
		return err;
	}
	return 0;
}

/* ---- its symbols ----------------------------------------------------------------------- */

/* Give the code sections their distance from the module's start, all others none. */
static int place_sections(struct pa_elf *e)
{
	uint64_t end = 0;

	if (e->type != ET_REL)
		return -ENOEXEC;
	for (size_t i = 0; i < e->section_cnt; i++) {
		struct pa_elf_section *s = &e->sections[i];
		uint64_t align = s->align ? s->align : 1;

		s->addr = PA_SECTION_NOWHERE;
		if (!(s->flags & SHF_ALLOC) || !(s->flags & SHF_EXECINSTR) ||
		    !strncmp(pa_elf__section_name(e, s), ".init", 5))
			continue;
		if (align & (align - 1) || align > IMAGE_MAX_BYTES || s->bytes > IMAGE_MAX_BYTES ||
		    end > IMAGE_MAX_BYTES)
			return -EBADMSG;
		s->addr = (end + align - 1) & ~(align - 1);
		end = s->addr + s->bytes;
	}
	return 0;
}

static bool has_build_id(const struct pa_elf *e, const struct pa_kmodule *m)
{
	const struct pa_elf_section *s = pa_elf__section(e, ".note.gnu.build-id", SHT_NOTE);
	uint8_t id[20];
	void *notes;
	int n;

	if (!m->build_id_bytes)
		return true;
	if (!s || pa_elf__load(e, s, 4096, &notes))
		return false;
	n = pa_build_id__parse_notes(notes, s->bytes, id);
	free(notes);
	return n > 0 && n <= m->build_id_bytes && !memcmp(id, m->build_id, m->build_id_bytes);
}

/* Takes fd over. @return 0, -ESTALE another build-id, -errno */
static int load_fd(struct pa_kmodule *m, int fd)
{
	struct bytes b = {0};
	struct pa_elf e = {.fd = -1};
	int err = fd < 0 ? fd : read_file(fd, &b);

	if (fd >= 0)
		close(fd);
	if (!err)
		err = unpack(&b);
	if (!err)
		err = pa_elf__open_mem(&e, b.data, b.cnt);
	if (!err)
		err = has_build_id(&e, m) ? place_sections(&e) : -ESTALE;
	if (!err)
		err = pa_elfsyms__load(&e, NULL, NULL, &m->syms);
	pa_elf__close(&e);
	free(b.data);
	if (!err && !m->syms->cnt) {
		pa_elfsyms__free(m->syms);
		m->syms = NULL;
		err = -ENOENT;
	}
	return err;
}

/* Where the recording had it, then by its build-id: in perf's cache and among debug files. */
static int load(struct pa_kmodule *m, const struct pa_search *search)
{
	int err = load_fd(m, pa_open_searched(search, m->path));

	m->is_stale = err == -ESTALE;
	if (err && err != -ENOMEM && m->build_id_bytes)
		err = load_fd(m, pa_open_cached(search, m->build_id, m->build_id_bytes, "elf"));
	if (err && err != -ENOMEM && m->build_id_bytes)
		err = load_fd(m, pa_debugfile__open_id(search, m->build_id, m->build_id_bytes));
	if (!err) {
		m->is_stale = false;
		m->made = calloc(m->syms->cnt, sizeof(*m->made));
	}
	return err == -ENOMEM || (!err && !m->made) ? -ENOMEM : 0;
}

/* ---- all modules ----------------------------------------------------------------------- */

/* /lib/modules/6.1.0/kernel/fs/ext4/ext4.ko.xz is [ext4]. @return NULL: not a module, no memory */
static char *name_of(const char *path)
{
	const char *base = strrchr(path, '/'), *end;
	char *name;

	end = base ? strstr(++base, ".ko") : NULL;
	if (!end || end == base || (end[3] && end[3] != '.') || end - base > 128 ||
	    asprintf(&name, "[%.*s]", (int)(end - base), base) < 0)
		return NULL;
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	return name;
}

int pa_kmodules__add(struct pa_kmodules *k, const struct pa_kmodule_ref *ref)
{
	struct pa_kmodule m = {.start = ref->start, .bytes = ref->bytes};

	if (k->cnt >= MODULES_MAX || !ref->bytes || ref->start + ref->bytes < ref->start)
		return 0;
	m.name = name_of(ref->path);
	if (!m.name)
		return 0;
	m.path = strdup(ref->path);
	if (!m.path || pa_array_grow(&k->mods, k->cnt, &k->cap, sizeof(*k->mods))) {
		free(m.path);
		free(m.name);
		return -ENOMEM;
	}
	if (ref->build_id_bytes <= sizeof(m.build_id)) {
		memcpy(m.build_id, ref->build_id, ref->build_id_bytes);
		m.build_id_bytes = ref->build_id_bytes;
	}
	m.seq = (uint32_t)k->cnt;
	k->mods[k->cnt++] = m;
	k->is_sorted = false;
	return 0;
}

void pa_kmodules__free(struct pa_kmodules *k)
{
	for (size_t i = 0; i < k->cnt; i++) {
		pa_elfsyms__free(k->mods[i].syms);
		free(k->mods[i].made);
		free(k->mods[i].path);
		free(k->mods[i].name);
	}
	free(k->mods);
	*k = (struct pa_kmodules){0};
}

static int compare_modules(const void *pa, const void *pb)
{
	const struct pa_kmodule *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static struct pa_kmodule *module_at(struct pa_kmodules *k, uint64_t addr)
{
	size_t low = 0, high = k->cnt;

	if (!k->is_sorted && k->cnt)
		qsort(k->mods, k->cnt, sizeof(*k->mods), compare_modules);
	k->is_sorted = true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (k->mods[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low && addr - k->mods[low - 1].start < k->mods[low - 1].bytes ? &k->mods[low - 1]
									     : NULL;
}

int pa_kmodules__find(struct pa_kmodules *k, const struct pa_search *search, uint64_t addr,
		      struct pa_kmodule_symbol *out)
{
	struct pa_kmodule *m = module_at(k, addr);
	const struct pa_elfsym *sym;
	ssize_t i;
	int err = 0;

	*out = (struct pa_kmodule_symbol){0};
	if (!m)
		return -ENOENT;
	if (!m->tried) {
		m->tried = true;
		err = load(m, search);
		if (!err && m->is_stale)
			out->stale_path = m->path;
	}
	if (err || !m->syms)
		return err ? err : -ENOENT;
	i = pa_elfsyms__find(m->syms, addr - m->start);
	if (i < 0)
		return -ENOENT;
	sym = &m->syms->syms[i];
	out->name = m->syms->names + sym->name;
	out->module = m->name;
	out->start = m->start + sym->addr;
	out->bytes = sym->bytes;
	out->made = &m->made[i];
	return 0;
}
