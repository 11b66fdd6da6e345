// SPDX-License-Identifier: GPL-2.0-only
/*
 * foldedread.c - folded stacks from text into a call tree, so that a flame graph can be drawn of
 * what other tools collapsed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/input.h"
#include "convert/table.h"

struct line_parts {
	const char **names;
	enum pa_frame_class *classes;
	size_t cnt, name_cap, class_cap;
};

static bool ends_with(const char *s, size_t bytes, const char *suffix)
{
	size_t n = strlen(suffix);

	return bytes >= n && !memcmp(s + bytes - n, suffix, n);
}

/* The marks that stackcollapse-perf.pl --all leaves on names. */
static enum pa_frame_class class_of(const char *name)
{
	size_t bytes = strlen(name);

	if (ends_with(name, bytes, "_[k]"))
		return PA_CLASS_KERNEL;
	if (ends_with(name, bytes, "_[j]"))
		return PA_CLASS_JIT;
	return PA_CLASS_USER;
}

static int split(char *stack, struct line_parts *p)
{
	char *name, *rest = stack;

	p->cnt = 0;
	while ((name = strsep(&rest, ";"))) {
		if (pa_array_grow(&p->names, p->cnt, &p->name_cap, sizeof(*p->names)) ||
		    pa_array_grow(&p->classes, p->cnt, &p->class_cap, sizeof(*p->classes)))
			return -ENOMEM;
		p->names[p->cnt] = name;
		p->classes[p->cnt] = p->cnt ? class_of(name) : PA_CLASS_ROOT;
		p->cnt++;
	}
	return 0;
}

/* The weight after the last space, which is cut off. */
static int cut_weight(char *line, uint64_t *weight)
{
	char *space = strrchr(line, ' '), *end;

	if (!space || space[1] < '0' || space[1] > '9')
		return -EBADMSG;
	errno = 0;
	*weight = strtoull(space + 1, &end, 10);
	if (errno || *end)
		return -EBADMSG;
	*space = '\0';
	return 0;
}

int pa_folded__read(FILE *in, struct pa_calltree *t, uint64_t *line_no)
{
	struct line_parts parts = {0};
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int err = 0;

	*line_no = 0;
	errno = 0;
	while (!err && (len = getline(&line, &cap, in)) >= 0) {
		uint64_t weight;

		(*line_no)++;
		while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			line[--len] = '\0';
		if (!len || *line == '#')
			continue;
		err = strlen(line) == (size_t)len ? cut_weight(line, &weight) : -EBADMSG;
		if (!err)
			err = split(line, &parts);
		if (!err)
			err = pa_calltree__add(t, parts.names, parts.classes, parts.cnt, weight);
	}
	if (!err && !feof(in))
		err = errno ? -errno : -EIO;
	free(line);
	free(parts.names);
	free(parts.classes);
	return err;
}
