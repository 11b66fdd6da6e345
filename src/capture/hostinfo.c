// SPDX-License-Identifier: GPL-2.0-only
/*
 * hostinfo.c - machine description as perf writes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "capture/hostinfo.h"
#include "capture/procfs.h"

/* Takes the encoder's result over. */
static int give(struct pd_writer *w, enum pd_feature f, int err, void *data, size_t bytes)
{
	if (!err)
		err = pd_writer__feature(w, f, data, bytes);
	free(data);
	return err;
}

static int give_string(struct pd_writer *w, enum pd_feature f, const char *s)
{
	size_t bytes = 0;
	void *data = NULL;
	int err = pd_feat_string(s, &data, &bytes);

	return give(w, f, err, data, bytes);
}

/* Value of a "key : value" line of /proc/cpuinfo; "" when there is none. */
static void cpuinfo_value(const char *text, const char *key, char *out, size_t cap_bytes)
{
	size_t key_len = strlen(key);
	const char *p = text;

	*out = '\0';
	for (; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *colon = strchr(p, ':');

		if (strncmp(p, key, key_len) || !colon || (p[key_len] != '\t' && p[key_len] != ' '))
			continue;
		snprintf(out, cap_bytes, "%.*s", (int)strcspn(colon + 1, "\n"), colon + 1);
		memmove(out, out + (*out == ' '), strlen(out) + 1 - (*out == ' '));
		return;
	}
}

static int add_cpu(struct pd_writer *w, const char *machine)
{
	char text[16384], desc[256], a[64], b[64], c[64], d[64], id[320];
	int err;

	if (pa_procfs__read("/proc/cpuinfo", text, sizeof(text)) < 0)
		return 0;
	cpuinfo_value(text, "model name", desc, sizeof(desc));
	cpuinfo_value(text, "vendor_id", a, sizeof(a));
	cpuinfo_value(text, "cpu family", b, sizeof(b));
	cpuinfo_value(text, "model", c, sizeof(c));
	cpuinfo_value(text, "stepping", d, sizeof(d));
	snprintf(id, sizeof(id), "%s,%s,%s,%s", a, b, c, d);
	if (!*a) { /* aarch64: MIDR */
		if (pa_procfs__read("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", id,
				    sizeof(id)) <= 0)
			snprintf(id, sizeof(id), "%s", machine);
		id[strcspn(id, "\n")] = '\0';
	}
	err = give_string(w, PD_FEAT_CPUDESC, *desc ? desc : machine);
	return err ? err : give_string(w, PD_FEAT_CPUID, id);
}

static int add_counts(struct pd_writer *w)
{
	long available = sysconf(_SC_NPROCESSORS_CONF), online = sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo info;
	size_t bytes = 0;
	void *data = NULL;
	uint64_t kb;
	int err;

	err = pd_feat_nrcpus((__u32)available, (__u32)online, &data, &bytes);
	err = give(w, PD_FEAT_NRCPUS, err, data, bytes);
	if (err || sysinfo(&info))
		return err;
	kb = (uint64_t)info.totalram * info.mem_unit / 1024;
	return pd_writer__feature(w, PD_FEAT_TOTAL_MEM, &kb, sizeof(kb));
}

int pa_hostinfo__add(struct pd_writer *w, const struct pd_events *events, const char *const *argv)
{
	struct utsname u;
	size_t bytes = 0;
	void *data = NULL;
	int err, argc = 0;

	uname(&u);
	err = give_string(w, PD_FEAT_HOSTNAME, u.nodename);
	if (!err)
		err = give_string(w, PD_FEAT_OSRELEASE, u.release);
	if (!err) /* readers look for perf's version of the format here */
		err = give_string(w, PD_FEAT_VERSION, "6.1.0");
	if (!err)
		err = give_string(w, PD_FEAT_ARCH, u.machine);
	if (!err)
		err = add_cpu(w, u.machine);
	if (!err)
		err = add_counts(w);
	while (argv && argv[argc])
		argc++;
	if (!err && argc) {
		err = pd_feat_cmdline(argc, argv, &data, &bytes);
		err = give(w, PD_FEAT_CMDLINE, err, data, bytes);
	}
	if (err)
		return err;
	data = NULL;
	err = pd_feat_event_desc(events, &data, &bytes);
	return give(w, PD_FEAT_EVENT_DESC, err, data, bytes);
}

int pa_hostinfo__add_clock(struct pd_writer *w, uint64_t wall_ns, uint64_t monotonic_ns)
{
	size_t bytes = 0;
	void *data = NULL;
	int err = pd_feat_clock_data(CLOCK_MONOTONIC, wall_ns, monotonic_ns, &data, &bytes);

	return give(w, PD_FEAT_CLOCK_DATA, err, data, bytes);
}
