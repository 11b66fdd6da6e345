/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tracing_data.h - TRACING_DATA made by hand, as perf record writes it, in either byte order.
 */
#ifndef TRACING_DATA_H
#define TRACING_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields that every tracepoint has, 8 bytes. */
#define COMMON_FIELDS                                                                              \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"                     \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"                     \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"             \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
#define SCHED_SWITCH_ID 314
#define SCHED_SWITCH_FORMAT                                                                        \
	"name: sched_switch\nID: 314\nformat:\n" COMMON_FIELDS                                     \
	"\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n"                            \
	"\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"                                \
	"\tfield:int prev_prio;\toffset:28;\tsize:4;\tsigned:1;\n"                                 \
	"\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;\n"                               \
	"\tfield:char next_comm[16];\toffset:40;\tsize:16;\tsigned:0;\n"                           \
	"\tfield:pid_t next_pid;\toffset:56;\tsize:4;\tsigned:1;\n"                                \
	"\tfield:int next_prio;\toffset:60;\tsize:4;\tsigned:1;\n\n"                               \
	"print fmt: \"prev_pid=%d next_pid=%d\", REC->prev_pid, REC->next_pid\n"

struct tracing_data {
	unsigned char buf[1 << 16];
	size_t bytes;
	bool is_big;
	size_t size_at[32]; /* where the sizes and counts are... */
	size_t size_bytes[32];
	size_t size_cnt;
};

static inline void td_put(struct tracing_data *d, const void *p, size_t bytes)
{
	if (bytes > sizeof(d->buf) - d->bytes)
		abort();
	memcpy(d->buf + d->bytes, p, bytes);
	d->bytes += bytes;
}

static inline void td_number(struct tracing_data *d, uint64_t v, size_t bytes)
{
	unsigned char out[8];

	for (size_t i = 0; i < bytes; i++)
		out[d->is_big ? bytes - 1 - i : i] = v >> 8 * i;
	if (d->size_cnt < 32) {
		d->size_at[d->size_cnt] = d->bytes;
		d->size_bytes[d->size_cnt++] = bytes;
	}
	td_put(d, out, bytes);
}

static inline void td_text(struct tracing_data *d, const char *text)
{
	td_number(d, strlen(text), 8);
	td_put(d, text, strlen(text));
}

/* One system with the formats, NULL-terminated. */
static inline void td_make(struct tracing_data *d, bool is_big, const char *system,
			   const char *const *formats)
{
	size_t cnt = 0;

	memset(d, 0, sizeof(*d));
	d->is_big = is_big;
	while (formats[cnt])
		cnt++;
	td_put(d, "\x17\x08\x44tracing0.6", 14);
	td_put(d, is_big ? "\1" : "\0", 1);
	td_put(d, "\x08", 1);
	td_number(d, 4096, 4);
	td_put(d, "header_page", 12);
	td_text(d, "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n");
	td_put(d, "header_event", 13);
	td_text(d, "# compressed entry header\n");
	td_number(d, 1, 4);
	td_text(d, "name: function\nID: 1\nformat:\n");
	td_number(d, 1, 4);
	td_put(d, system, strlen(system) + 1);
	td_number(d, cnt, 4);
	for (size_t i = 0; i < cnt; i++)
		td_text(d, formats[i]);
	td_number(d, 0, 4); /* kallsyms */
	td_number(d, 0, 4); /* printk */
	td_number(d, 0, 8); /* cmdlines */
}

/* Raw data of a sched_switch in native byte order: 64 bytes. */
static inline void td_switch(unsigned char *raw, int32_t prev, int64_t state, int32_t next)
{
	memset(raw, 0, 64);
	memcpy(raw, &(uint16_t){SCHED_SWITCH_ID}, 2);
	snprintf((char *)raw + 8, 16, "prev%d", prev);
	memcpy(raw + 24, &prev, 4);
	memcpy(raw + 32, &state, 8);
	snprintf((char *)raw + 40, 16, "next%d", next);
	memcpy(raw + 56, &next, 4);
}

#endif
