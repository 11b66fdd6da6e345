/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * feature.c - encoders of feature sections, in the layouts of the kernel's
 * perf.data-file-format.txt. Strings are padded as perf pads them, to 64 bytes with the NUL.
 */
#include <stdlib.h>

#include "perfdata/internal.h"

#define NAME_ALIGN 64

static size_t padded(size_t bytes)
{
	return (bytes + 1 + NAME_ALIGN - 1) & ~(size_t)(NAME_ALIGN - 1);
}

/* The padded length fits an u32 with room to spare. */
static bool string_ok(const char *s)
{
	return s && strlen(s) < (1u << 30);
}

static size_t string_bytes(const char *s)
{
	return sizeof(__u32) + padded(strlen(s));
}

/* The buffers come from calloc: padding is zero already. */
static unsigned char *put_string(unsigned char *p, const char *s)
{
	__u32 bytes = (__u32)padded(strlen(s));

	memcpy(p, &bytes, sizeof(bytes));
	memcpy(p + sizeof(bytes), s, strlen(s));
	return p + sizeof(bytes) + bytes;
}

static unsigned char *put_u32(unsigned char *p, __u32 v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static unsigned char *allocate(size_t n, void **out, size_t *bytes)
{
	*out = calloc(1, n);
	*bytes = *out ? n : 0;
	return *out;
}

int pd_feat_string(const char *s, void **out, size_t *bytes)
{
	unsigned char *p;

	if (!string_ok(s))
		return -EINVAL;
	p = allocate(string_bytes(s), out, bytes);
	if (!p)
		return -ENOMEM;
	put_string(p, s);
	return 0;
}

int pd_feat_nrcpus(__u32 available, __u32 online, void **out, size_t *bytes)
{
	unsigned char *p = allocate(8, out, bytes);

	if (!p)
		return -ENOMEM;
	put_u32(put_u32(p, available), online);
	return 0;
}

int pd_feat_cmdline(int argc, const char *const *argv, void **out, size_t *bytes)
{
	unsigned char *p;
	size_t n = 4;

	if (argc < 0)
		return -EINVAL;
	for (int i = 0; i < argc; i++) {
		if (!string_ok(argv[i]))
			return -EINVAL;
		n += string_bytes(argv[i]);
	}
	p = allocate(n, out, bytes);
	if (!p)
		return -ENOMEM;
	p = put_u32(p, (__u32)argc);
	for (int i = 0; i < argc; i++)
		p = put_string(p, argv[i]);
	return 0;
}

int pd_feat_event_desc(const struct pd_events *t, void **out, size_t *bytes)
{
	unsigned char *p;
	size_t n = 8;

	for (size_t i = 0; i < t->cnt; i++) {
		if (!string_ok(t->list[i].name) || t->list[i].id_cnt > UINT32_MAX)
			return -EINVAL;
		n += PD_ATTR_BYTES + 4 + string_bytes(t->list[i].name) + t->list[i].id_cnt * 8;
	}
	p = allocate(n, out, bytes);
	if (!p)
		return -ENOMEM;
	p = put_u32(put_u32(p, (__u32)t->cnt), PD_ATTR_BYTES);
	for (size_t i = 0; i < t->cnt; i++) {
		const struct pd_event *e = &t->list[i];
		struct perf_event_attr attr = e->attr;

		attr.size = PD_ATTR_BYTES;
		memcpy(p, &attr, PD_ATTR_BYTES);
		p = put_u32(p + PD_ATTR_BYTES, (__u32)e->id_cnt);
		p = put_string(p, e->name);
		memcpy(p, e->ids, e->id_cnt * 8);
		p += e->id_cnt * 8;
	}
	return 0;
}

int pd_feat_build_ids(const struct pd_build_id *ids, size_t cnt, void **out, size_t *bytes)
{
	unsigned char *p;
	size_t n = 0;

	for (size_t i = 0; i < cnt; i++) {
		if (!string_ok(ids[i].filename) || ids[i].bytes > PD_BUILD_ID_MAX ||
		    PD_BUILD_ID_NAME + padded(strlen(ids[i].filename)) + 4 > PD_RECORD_PUT_MAX)
			return -EINVAL;
		n += pd_align8(PD_BUILD_ID_NAME + padded(strlen(ids[i].filename)));
	}
	p = allocate(n ? n : 1, out, bytes);
	if (!p)
		return -ENOMEM;
	*bytes = n;
	for (size_t i = 0; i < cnt; i++) {
		size_t name_bytes = strlen(ids[i].filename);
		struct perf_event_header hdr = {
			.misc = ids[i].cpumode | PD_BUILD_ID_HAS_SIZE,
			.size = (__u16)pd_align8(PD_BUILD_ID_NAME + padded(name_bytes)),
		};

		memcpy(p, &hdr, sizeof(hdr));
		memcpy(p + 8, &ids[i].pid, sizeof(ids[i].pid));
		memcpy(p + 12, ids[i].id, ids[i].bytes);
		p[32] = ids[i].bytes;
		memcpy(p + PD_BUILD_ID_NAME, ids[i].filename, name_bytes);
		p += hdr.size;
	}
	return 0;
}

int pd_feat_clock_data(__u32 clockid, __u64 wall_ns, __u64 clock_ns, void **out, size_t *bytes)
{
	const __u32 version = 1;
	unsigned char *p = allocate(24, out, bytes);

	if (!p)
		return -ENOMEM;
	p = put_u32(put_u32(p, version), clockid);
	memcpy(p, &wall_ns, 8);
	memcpy(p + 8, &clock_ns, 8);
	return 0;
}
