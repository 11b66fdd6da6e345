// SPDX-License-Identifier: GPL-2.0-only
/*
 * caps.c - a binary with file capabilities, run by an ordinary user, has them permitted but (with
 * +p) not effective.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "caps.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static const struct {
	cap_value_t cap;
	const char *name;
	enum { NEEDED, WANTED, OPTIONAL } use;
} known_caps[] = {
	{CAP_BPF, "cap_bpf", NEEDED},
	{CAP_PERFMON, "cap_perfmon", NEEDED},
	{CAP_SYS_PTRACE, "cap_sys_ptrace", WANTED},
	{CAP_CHECKPOINT_RESTORE, "cap_checkpoint_restore", WANTED},
	{CAP_SYSLOG, "cap_syslog", OPTIONAL},
	{CAP_DAC_READ_SEARCH, "cap_dac_read_search", OPTIONAL},
	{CAP_SYS_RESOURCE, "cap_sys_resource", OPTIONAL},
	{CAP_SYS_ADMIN, "cap_sys_admin", OPTIONAL},
};

static void add_name(char *list, size_t bytes, const char *name)
{
	size_t len = strlen(list);

	snprintf(list + len, bytes - len, "%s%s", len ? "," : "", name);
}

int pa_caps__raise(char *missing, size_t missing_bytes, char *degraded, size_t degraded_bytes)
{
	cap_flag_value_t has, has_admin = CAP_CLEAR;
	cap_t caps = cap_get_proc();
	int err = 0;

	*missing = *degraded = '\0';
	if (!caps)
		return -errno;
	/* cap_sys_admin stands for cap_bpf, cap_perfmon and cap_checkpoint_restore */
	cap_get_flag(caps, CAP_SYS_ADMIN, CAP_PERMITTED, &has_admin);
	for (size_t i = 0; i < sizeof(known_caps) / sizeof(known_caps[0]); i++) {
		cap_value_t cap = known_caps[i].cap;

		if (cap_get_flag(caps, cap, CAP_PERMITTED, &has))
			continue; /* the kernel is older than the capability */
		if (has == CAP_SET)
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET);
		else if (known_caps[i].use == NEEDED && has_admin != CAP_SET)
			add_name(missing, missing_bytes, known_caps[i].name);
		else if (known_caps[i].use == WANTED &&
			 !(cap == CAP_CHECKPOINT_RESTORE && has_admin == CAP_SET))
			add_name(degraded, degraded_bytes, known_caps[i].name);
	}
	if (cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return *missing ? -EPERM : err;
}
