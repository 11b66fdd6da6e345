// SPDX-License-Identifier: GPL-2.0-only
/*
 * kallsyms.c - the kernel's function symbols from /proc/kallsyms, the only source that works
 * under lockdown. The text is read in large pieces and parsed in place; nothing is allocated for
 * a line but when an array doubles.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/internal.h"

#define READ_BYTES 262144
#define OFFSET_MAX 0x10000
/* In a cached table the end of a module is unknown: beyond a page it may be a BPF program. */
#define CACHED_TAIL_MAX 4096
#define MODULES_MAX 16384
#define SYMS_MAX (16u << 20)
#define NAMES_MAX (1u << 30)

static const char kernel_module[] = "[kernel.kallsyms]";

static int add_name(struct pa_kallsyms *k, const char *name, size_t bytes, uint32_t *at)
{
	if (k->names_bytes + bytes + 1 > NAMES_MAX)
		return -EFBIG;
	if (k->names_bytes + bytes + 1 > k->names_cap) {
		size_t cap = k->names_cap ? k->names_cap * 2 : 1u << 20;
		char *p;

		if (cap < k->names_bytes + bytes + 1)
			cap = k->names_bytes + bytes + 1;
		p = realloc(k->names, cap);
		if (!p)
			return -ENOMEM;
		k->names = p;
		k->names_cap = cap;
	}
	*at = (uint32_t)k->names_bytes;
	memcpy(k->names + *at, name, bytes);
	k->names[*at + bytes] = '\0';
	k->names_bytes += bytes + 1;
	return 0;
}

/* Symbols of a module follow each other, so that the newest module is nearly always the one. */
static int find_module(struct pa_kallsyms *k, const char *module, size_t bytes, uint16_t *out)
{
	int err;

	if (!k->module_cnt) {
		err = pa_array_grow(&k->modules, 0, &k->module_cap, sizeof(*k->modules));
		if (!err)
			err = add_name(k, kernel_module, sizeof(kernel_module) - 1, &k->modules[0]);
		if (err)
			return err;
		k->module_cnt = 1;
	}
	*out = 0;
	if (!bytes)
		return 0;
	for (size_t i = k->module_cnt; i-- > 0;) {
		const char *known = k->names + k->modules[i];

		if (!strncmp(known, module, bytes) && !known[bytes]) {
			*out = (uint16_t)i;
			return 0;
		}
	}
	if (k->module_cnt >= MODULES_MAX)
		return 0;
	err = pa_array_grow(&k->modules, k->module_cnt, &k->module_cap, sizeof(*k->modules));
	if (!err)
		err = add_name(k, module, bytes, &k->modules[k->module_cnt]);
	if (!err)
		*out = (uint16_t)k->module_cnt++;
	return err;
}

int pa_kallsyms__append(struct pa_kallsyms *k, uint64_t addr, const char *name, size_t name_bytes,
			const char *module, size_t module_bytes, uint16_t rank)
{
	struct pa_ksym s = {.addr = addr, .rank = rank};
	int err = 0;

	if (k->cnt >= SYMS_MAX)
		return -EFBIG;
	if (k->cnt >= k->cap) {
		if (!k->cap)
			k->cap = 32768; /* pa_array_grow doubles it: no copies for a usual kernel */
		err = pa_array_grow(&k->syms, k->cap, &k->cap, sizeof(*k->syms));
	}
	if (!err)
		err = find_module(k, module, module_bytes, &s.module);
	if (!err)
		err = add_name(k, name, name_bytes, &s.name);
	if (!err)
		k->syms[k->cnt++] = s;
	return err;
}

bool pa_kallsyms__is_transient(const char *module)
{
	return !strcmp(module, "[bpf]") || !strncmp(module, "[__builtin__", 12);
}

/* Which of several names at one address: global before weak before local, then the fewest
 * leading underscores. */
static uint16_t rank_of(char type, const char *name, size_t bytes)
{
	unsigned underscores = 0, bind = type == 'T' ? 2 : type == 'W' ? 1 : 0;

	while (underscores < bytes && underscores < 31 && name[underscores] == '_')
		underscores++;
	return (uint16_t)(bind << 5 | (31 - underscores));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "ffffffff81000000 T _stext" or "... t name\t[module]"; other lines are passed over. */
static int parse_line(struct pa_kallsyms *k, const char *p, const char *end)
{
	const char *start = p, *name, *module;
	uint64_t addr = 0;
	size_t name_bytes, module_bytes = 0;
	int digit;
	char type;

	while (p < end && (digit = hex_digit(*p)) >= 0) {
		addr = addr << 4 | (unsigned)digit;
		p++;
	}
	if (p == start || p - start > 16 || end - p < 4 || p[0] != ' ' || p[2] != ' ')
		return 0;
	type = p[1];
	if (type != 'T' && type != 't' && type != 'W' && type != 'w' && type != 'i')
		return 0;
	name = p + 3;
	p = name;
	while (p < end && *p != '\t' && *p != ' ')
		p++;
	name_bytes = (size_t)(p - name);
	while (p < end && (*p == '\t' || *p == ' '))
		p++;
	module = p;
	if (p < end && *p == '[') {
		const char *close = memchr(p, ']', (size_t)(end - p));

		module_bytes = close ? (size_t)(close + 1 - p) : 0;
	}
	if (!name_bytes || name_bytes > UINT16_MAX || module_bytes > UINT16_MAX)
		return 0;
	return pa_kallsyms__append(k, addr, name, name_bytes, module, module_bytes,
				   rank_of(type, name, name_bytes));
}

static int parse_fd(struct pa_kallsyms *k, int fd, char *buf)
{
	size_t have = 0;
	int err = 0;

	for (;;) {
		ssize_t n = read(fd, buf + have, READ_BYTES - have);
		char *p = buf, *newline;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return have ? parse_line(k, buf, buf + have) : 0;
		have += (size_t)n;
		while (!err && (newline = memchr(p, '\n', have - (size_t)(p - buf)))) {
			err = parse_line(k, p, newline);
			p = newline + 1;
		}
		if (err)
			return err;
		have -= (size_t)(p - buf);
		if (have == READ_BYTES)
			have = 0; /* no line is this long */
		memmove(buf, p, have);
	}
}

static int compare_syms(const void *pa, const void *pb)
{
	const struct pa_ksym *a = pa, *b = pb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	/* names are numbered in the order of the file: its first name is preferred */
	return a->name > b->name ? -1 : a->name < b->name;
}

static int load_text(const char *path, struct pa_kallsyms *k)
{
	char *buf = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	buf = malloc(READ_BYTES);
	err = buf ? parse_fd(k, fd, buf) : -ENOMEM;
	free(buf);
	close(fd);
	if (err)
		return err;
	err = -EPERM;
	for (size_t i = 0; i < k->cnt && err; i++)
		err = k->syms[i].addr ? 0 : -EPERM;
	for (size_t i = 1; !err && i < k->cnt; i++) {
		if (compare_syms(&k->syms[i - 1], &k->syms[i]) <= 0)
			continue;
		qsort(k->syms, k->cnt, sizeof(*k->syms), compare_syms);
		break;
	}
	return err;
}

int pa_kallsyms__load(const char *path, struct pa_kallsyms **out)
{
	struct pa_kallsyms *k = calloc(1, sizeof(*k));
	struct pa_kallcache_key key;
	bool use_cache;
	int err;

	*out = NULL;
	if (!k)
		return -ENOMEM;
	use_cache = !path && !pa_kallcache__key(&key);
	if (use_cache && !pa_kallcache__read(&key, k)) {
		*out = k;
		return 0;
	}
	err = load_text(path ? path : "/proc/kallsyms", k);
	if (err) {
		pa_kallsyms__free(k);
		return err;
	}
	/* A cache that can't be written costs time, nothing else. */
	if (use_cache)
		pa_kallcache__write(&key, k);
	*out = k;
	return 0;
}

void pa_kallsyms__free(struct pa_kallsyms *k)
{
	if (!k)
		return;
	free(k->syms);
	free(k->names);
	free(k->modules);
	free(k);
}

int pa_kallsyms__address(const struct pa_kallsyms *k, const char *name, uint64_t *addr)
{
	for (size_t i = 0; i < k->cnt; i++) {
		if (strcmp(k->names + k->syms[i].name, name))
			continue;
		*addr = k->syms[i].addr;
		return 0;
	}
	return -ENOENT;
}

ssize_t pa_kallsyms__find(const struct pa_kallsyms *k, uint64_t addr)
{
	size_t low = 0, high = k->cnt;
	uint64_t max = OFFSET_MAX;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (k->syms[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return -1;
	if (k->cached && (low == k->cnt || k->syms[low].module != k->syms[low - 1].module))
		max = CACHED_TAIL_MAX;
	return addr - k->syms[low - 1].addr <= max ? (ssize_t)low - 1 : -1;
}

void pa_kallsyms__entry(const struct pa_kallsyms *k, size_t i, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes)
{
	const struct pa_ksym *s = &k->syms[i];
	size_t next = i + 1;

	while (next < k->cnt && k->syms[next].addr == s->addr)
		next++;
	*name = k->names + s->name;
	*module = k->names + k->modules[s->module];
	*start = s->addr;
	*bytes = next < k->cnt ? k->syms[next].addr - s->addr : 0;
}

int pa_kallsyms__lookup(const struct pa_kallsyms *k, uint64_t addr, const char **name,
			const char **module, uint64_t *start, uint64_t *bytes)
{
	ssize_t i = pa_kallsyms__find(k, addr);

	if (i < 0)
		return -ENOENT;
	pa_kallsyms__entry(k, (size_t)i, name, module, start, bytes);
	return 0;
}
