// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracepoint.c - TRACING_DATA of one tracepoint, out of tracefs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/tracepoint.h"

#define FORMAT_BYTES 16384

/* What bpf/offcpu.h writes. */
static const char *const fields[] = {
	"common_type;\toffset:0;\tsize:2;",	"common_pid;\toffset:4;\tsize:4;",
	"prev_comm[16];\toffset:8;\tsize:16;",	"prev_pid;\toffset:24;\tsize:4;",
	"prev_prio;\toffset:28;\tsize:4;",	"prev_state;\toffset:32;\tsize:8;",
	"next_comm[16];\toffset:40;\tsize:16;", "next_pid;\toffset:56;\tsize:4;",
	"next_prio;\toffset:60;\tsize:4;",
};

/* A mount of our own that nobody else sees: Linux 5.2, cap_sys_admin. */
static int mount_tracefs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC), fd = -1;

	if (fs >= 0 && !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (fs >= 0)
		close(fs);
	return fd;
}

/* @return descriptor of its folder events, -errno */
static int open_events(void)
{
	static const char *const places[] = {"/sys/kernel/tracing/events",
					     "/sys/kernel/debug/tracing/events"};
	int fd = -1, root;

	for (size_t i = 0; i < 2 && fd < 0; i++)
		fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	root = mount_tracefs();
	if (root < 0)
		return -ENOENT;
	fd = openat(root, "events", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(root);
	return fd < 0 ? -ENOENT : fd;
}

/* @return bytes, -errno; what is read is NUL-terminated */
static ssize_t read_file(int dir, const char *name, char *buf)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, (size_t)(FORMAT_BYTES - 1 - len));
		len += n > 0 ? n : 0;
	} while (n > 0 && len < FORMAT_BYTES - 1);
	close(fd);
	buf[len] = '\0';
	return n < 0 ? -EIO : len;
}

static int put_number(struct pa_bytes *out, uint64_t v, size_t bytes)
{
	return pa_bytes__append(out, &v, bytes); /* little-endian, as the machines that we run on */
}

static int put_text(struct pa_bytes *out, const char *text, size_t bytes)
{
	int err = put_number(out, bytes, 8);

	return err ? err : pa_bytes__append(out, text, bytes);
}

static int put_file(struct pa_bytes *out, int dir, const char *name, char *buf)
{
	ssize_t n = read_file(dir, name, buf);

	return n < 0 ? (int)n : put_text(out, buf, (size_t)n);
}

static int check_format(const char *format, uint32_t *id)
{
	const char *line = strstr(format, "\nID: ");

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!strstr(format, fields[i]))
			return -EOPNOTSUPP;
	if (!line)
		return -EOPNOTSUPP;
	*id = (uint32_t)strtoul(line + 5, NULL, 10);
	return *id <= UINT16_MAX ? 0 : -EOPNOTSUPP;
}

static int put_head(struct pa_bytes *out, int dir, char *buf)
{
	static const char magic[] = "\x17\x08\x44tracing0.6";
	int err = pa_bytes__append(out, magic, sizeof(magic));

	if (!err)
		err = put_number(out, 0, 1); /* little-endian */
	if (!err)
		err = put_number(out, sizeof(long), 1);
	if (!err)
		err = put_number(out, (uint64_t)sysconf(_SC_PAGESIZE), 4);
	if (!err)
		err = pa_bytes__append(out, "header_page", 12);
	if (!err)
		err = put_file(out, dir, "header_page", buf);
	if (!err)
		err = pa_bytes__append(out, "header_event", 13);
	return err ? err : put_file(out, dir, "header_event", buf);
}

static int put_all(struct pa_bytes *out, int dir, char *buf, uint32_t *id)
{
	int err = put_head(out, dir, buf);

	if (!err)
		err = put_number(out, 0, 4); /* formats of ftrace */
	if (!err)
		err = put_number(out, 1, 4); /* systems */
	if (!err)
		err = pa_bytes__append(out, "sched", 6);
	if (!err)
		err = put_number(out, 1, 4);
	if (!err)
		err = put_file(out, dir, "sched/sched_switch/format", buf);
	if (!err)
		err = check_format(buf, id);
	if (!err)
		err = put_number(out, 0, 8);	  /* kernel symbols, printk formats */
	return err ? err : put_number(out, 0, 8); /* names of threads */
}

int pa_tracepoint__sched_switch(struct pa_bytes *data, uint32_t *id)
{
	char *buf = malloc(FORMAT_BYTES);
	int dir = buf ? open_events() : -ENOMEM;
	int err = dir < 0 ? dir : put_all(data, dir, buf, id);

	if (dir >= 0)
		close(dir);
	free(buf);
	return err;
}
