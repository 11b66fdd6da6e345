// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallsyms.c - the kernel's functions by address, from /proc/kallsyms, the only source that works
 * under lockdown, or from the cache. An address is found through a grid: the kernel's text and
 * each far-off region of modules is cut into as many cells as it has symbols, and a cell knows
 * where its symbols begin, so that a lookup is two or three loads instead of a search.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define OFFSET_MAX 0x10000
/* In a cached table the end of a module is unknown: beyond a page it may be a BPF program. */
#define CACHED_TAIL_MAX 4096
/* Between regions of symbols, at least. */
#define GAP_BYTES (1ull << 24)

bool pa_kallsyms__is_transient(const char *module)
{
	return !strcmp(module, "[bpf]") || !strncmp(module, "[__builtin__", 12);
}

static int load_text(const char *path, struct pa_kallsyms **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = pa_kallsyms__parse_fd(fd, out);
	close(fd);
	return err;
}

int pa_kallsyms__load(const char *path, struct pa_kallsyms **out)
{
	struct pa_kallcache_key key;
	bool use_cache = !path && !pa_kallcache__key(&key);
	int err;

	*out = NULL;
	if (use_cache && !pa_kallcache__read(&key, out))
		return 0;
	err = load_text(path ? path : "/proc/kallsyms", out);
	/* A cache that can't be written costs time, nothing else. */
	if (!err && use_cache)
		pa_kallcache__write(&key, *out);
	return err;
}

void pa_kallsyms__free(struct pa_kallsyms *k)
{
	if (!k)
		return;
	if (k->map) {
		munmap(k->map, k->map_bytes);
	} else {
		free(k->syms);
		free(k->names);
		free(k->modules);
		free(k->cells);
	}
	free(k);
}

/* ---- the grid ------------------------------------------------------------------------------- */

/* The end of the symbols from first on that are no further than GAP_BYTES from each other; the last
 * region takes all that is left. */
static size_t end_of_region(const struct pa_kallsyms *k, size_t first)
{
	size_t end = first + 1;

	if (k->region_cnt + 1 == PA_KREGIONS_MAX)
		return k->cnt;
	while (end < k->cnt && k->syms[end].addr - k->syms[end - 1].addr < GAP_BYTES)
		end++;
	return end;
}

static void add_region(struct pa_kallsyms *k, size_t first, size_t end)
{
	const struct pa_ksym *syms = k->syms;
	uint64_t base = syms[first].addr, span = syms[end - 1].addr - base;
	uint32_t *cells = k->cells + k->cell_cnt, shift = 0, cell_cnt, next = (uint32_t)end;

	while (span >> shift >= end - first)
		shift++;
	cell_cnt = (uint32_t)(span >> shift) + 1;
	memset(cells, 0xff, cell_cnt * sizeof(*cells));
	/* backwards, so that a cell's first symbol stays; an empty cell begins with the next one */
	for (size_t i = end; i-- > first;)
		cells[(syms[i].addr - base) >> shift] = (uint32_t)i;
	cells[cell_cnt] = next;
	for (size_t i = cell_cnt; i-- > 0;)
		cells[i] = next = cells[i] < next ? cells[i] : next;
	k->regions[k->region_cnt++] = (struct pa_kregion){
		.base = base, .shift = shift, .first_cell = k->cell_cnt, .cell_cnt = cell_cnt};
	k->cell_cnt += cell_cnt + 1;
}

int pa_kallsyms__index(struct pa_kallsyms *k)
{
	size_t end;

	k->cells = malloc((k->cnt + PA_KREGIONS_MAX) * sizeof(*k->cells));
	if (!k->cells)
		return -ENOMEM;
	memset(k->syms + k->cnt, 0xff, PA_KSYMS_PAD * sizeof(*k->syms));
	k->region_cnt = 0;
	k->cell_cnt = 0;
	for (size_t first = 0; first < k->cnt; first = end) {
		end = end_of_region(k, first);
		add_region(k, first, end);
	}
	return 0;
}

/* ---- lookup --------------------------------------------------------------------------------- */

int pa_kallsyms__address(const struct pa_kallsyms *k, const char *name, uint64_t *addr)
{
	for (size_t i = 0; i < k->cnt; i++) {
		if (k->syms[i].name >= k->names_bytes || strcmp(k->names + k->syms[i].name, name))
			continue;
		*addr = k->syms[i].addr;
		return 0;
	}
	return -ENOENT;
}

/* Number of symbols at or below addr. What the grid says may be wrong (in a damaged cache), but
 * is checked to be in bounds. */
static inline size_t count_below(const struct pa_kallsyms *k, uint64_t addr)
{
	const struct pa_kregion *r = k->regions + k->region_cnt;
	const struct pa_ksym *s = k->syms;
	size_t low, high;
	uint64_t cell;

	do {
		if (r == k->regions)
			return 0;
		r--;
	} while (addr < r->base);
	cell = (addr - r->base) >> r->shift;
	cell = r->first_cell + (cell < r->cell_cnt ? cell : r->cell_cnt - 1);
	low = k->cells[cell];
	high = k->cells[cell + 1];
	if (low > high || high > k->cnt)
		return 0;
	while (high - low > PA_KSYMS_PAD) {
		size_t mid = low + (high - low) / 2;

		if (s[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	/* No branches: which way they go can't be foreseen. What lies behind high is greater. */
	low += (s[low].addr <= addr) + (s[low + 1].addr <= addr) + (s[low + 2].addr <= addr) +
	       (s[low + 3].addr <= addr);
	return low < k->cnt ? low : k->cnt;
}

static inline __attribute__((always_inline)) ssize_t find(const struct pa_kallsyms *k,
							  uint64_t addr)
{
	size_t below = count_below(k, addr);
	uint64_t max = OFFSET_MAX;

	if (!below)
		return -1;
	if (k->cached && (below == k->cnt || k->syms[below].module != k->syms[below - 1].module))
		max = CACHED_TAIL_MAX;
	return addr - k->syms[below - 1].addr <= max ? (ssize_t)below - 1 : -1;
}

ssize_t pa_kallsyms__find(const struct pa_kallsyms *k, uint64_t addr)
{
	return find(k, addr);
}

static inline void get_entry(const struct pa_kallsyms *k, size_t i, const char **name,
			     const char **module, uint64_t *start, uint64_t *bytes)
{
	const struct pa_ksym *s = &k->syms[i];

	*name = s->name < k->names_bytes ? k->names + s->name : "";
	*module = s->module < k->module_cnt && k->modules[s->module] < k->names_bytes
			  ? k->names + k->modules[s->module]
			  : "";
	*start = s->addr;
	*bytes = i + 1 < k->cnt ? s[1].addr - s->addr : 0;
}

void pa_kallsyms__entry(const struct pa_kallsyms *k, size_t i, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes)
{
	get_entry(k, i, name, module, start, bytes);
}

int pa_kallsyms__lookup(const struct pa_kallsyms *k, uint64_t addr, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes)
{
	ssize_t i = find(k, addr);

	if (i < 0)
		return -ENOENT;
	get_entry(k, (size_t)i, name, module, start, bytes);
	return 0;
}
