// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmaps.c - where the kernel's text and its modules lie, from kallsyms, /proc/modules and sysfs.
 * perf wants the kernel's map to be named after its first symbol, with that symbol's address as
 * pgoff, to undo address randomization: _text, or _stext where kallsyms hasn't it (aarch64).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "capture/kmaps.h"
#include "capture/procfs.h"
#include "symbolize/symbolize.h"

#define NOTES_BYTES 4096

struct kmaps {
	const struct pd_events *events;
	uint64_t sample_id;
	struct pa_bytes *out;
	void (*cb)(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes);
	void *ctx;
};

static int put_map(struct kmaps *k, const char *name, const char *listed_name, uint64_t start,
		   uint64_t bytes, uint64_t pgoff, const char *notes_path)
{
	struct pd_mmap m = {
		.pid = UINT32_MAX,
		.start = start,
		.bytes = bytes,
		.pgoff = pgoff,
		.prot = PROT_EXEC,
		.filename = name,
		.id = {.pid = UINT32_MAX, .id = k->sample_id},
	};
	char notes[NOTES_BYTES];
	ssize_t len = pa_procfs__read(notes_path, notes, sizeof(notes));
	void *to;
	int n;

	n = len > 0 ? pa_build_id__parse_notes(notes, (size_t)len, m.build_id) : 0;
	m.build_id_bytes = n > 0 ? (uint8_t)n : 0;
	to = pa_bytes__reserve(k->out, UINT16_MAX);
	if (!to)
		return -ENOMEM;
	n = pd_put_mmap2(to, UINT16_MAX, k->events, PERF_RECORD_MISC_KERNEL, &m);
	if (n < 0)
		return n;
	k->out->len += (size_t)n;
	if (k->cb && m.build_id_bytes)
		k->cb(k->ctx, listed_name, m.build_id, m.build_id_bytes);
	return 0;
}

/* "name size refs users state 0xaddress" */
static int put_module(struct kmaps *k, const char *line)
{
	unsigned long long size, address;
	char name[64], shown[80], notes[160];

	if (sscanf(line, "%63s %llu %*s %*s %*s %llx", name, &size, &address) != 3 || !address ||
	    !size)
		return 0;
	if (strchr(name, '/'))
		return 0;
	snprintf(shown, sizeof(shown), "[%s]", name);
	snprintf(notes, sizeof(notes), "/sys/module/%s/notes/.note.gnu.build-id", name);
	return put_map(k, shown, shown, address, size, 0, notes);
}

static int put_modules(struct kmaps *k)
{
	FILE *f = fopen("/proc/modules", "re");
	char *line = NULL;
	size_t cap = 0;
	int err = 0;

	if (!f)
		return 0; /* a kernel without modules */
	while (!err && getline(&line, &cap, f) > 0)
		err = put_module(k, line);
	free(line);
	fclose(f);
	return err;
}

int pa_kmaps__append(const struct pd_events *events, uint64_t sample_id, struct pa_bytes *out,
		     void (*cb)(void *ctx, const char *path, const uint8_t *id, uint8_t id_bytes),
		     void *ctx)
{
	struct kmaps k = {events, sample_id, out, cb, ctx};
	struct pa_kallsyms *syms;
	uint64_t text = 0, stext = 0, etext;
	bool has_text, has_stext;
	int err;

	err = pa_kallsyms__load(NULL, &syms);
	if (err)
		return err;
	has_text = !pa_kallsyms__address(syms, "_text", &text);
	has_stext = !pa_kallsyms__address(syms, "_stext", &stext);
	if (!has_stext)
		stext = text;
	if (!has_text)
		text = stext;
	if (!(has_text || has_stext) || pa_kallsyms__address(syms, "_etext", &etext) ||
	    etext <= stext)
		err = -ENOENT;
	pa_kallsyms__free(syms);
	if (!err)
		err = put_map(&k, has_text ? "[kernel.kallsyms]_text" : "[kernel.kallsyms]_stext",
			      "[kernel.kallsyms]", stext, etext - stext, text, "/sys/kernel/notes");
	return err ? err : put_modules(&k);
}
