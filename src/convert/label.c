// SPDX-License-Identifier: GPL-2.0-only
/*
 * label.c - labels as text, for outputs that have frames only.
 */
#include <stdio.h>

#include "convert/convert.h"

int pa_label__print(const struct pa_label *label, char *buf, size_t bytes)
{
	if (label->str)
		return snprintf(buf, bytes, "%s=%s", label->key, label->str);
	return snprintf(buf, bytes, "%s=%lld", label->key, (long long)label->num);
}
