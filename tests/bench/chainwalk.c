/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chainwalk.c - the floor of a conversion: map a perf.data file of perf record -g,
 * walk its records and hash each call chain into a table of counts, on one thread. No symbols, no
 * maps, no output but the totals. Trusts the file: for files that were recorded a moment ago.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct slot {
	__u64 hash, cnt;
};

struct file_header {
	__u64 magic, size, attr_size, attrs_offset, attrs_bytes, data_offset, data_bytes;
};

static struct slot *slots;
static size_t slot_cnt, used;

static __u64 hash_chain(const __u64 *ips, __u64 cnt)
{
	__extension__ typedef unsigned __int128 u128;
	__u64 h = 0x9e3779b97f4a7c15ULL;

	for (__u64 i = 0; i < cnt; i++) {
		u128 m = (u128)(h ^ ips[i]) * 0xd6e8feb86659fd93ULL;

		h = (__u64)m ^ (__u64)(m >> 64);
	}
	return h | 1;
}

static void count(__u64 hash)
{
	size_t i;

	if (used * 2 >= slot_cnt) {
		struct slot *old = slots;
		size_t old_cnt = slot_cnt;

		slot_cnt = slot_cnt ? slot_cnt * 2 : 1 << 12;
		slots = calloc(slot_cnt, sizeof(*slots));
		for (size_t k = 0; k < old_cnt; k++) {
			for (i = old[k].hash & (slot_cnt - 1); old[k].hash && slots[i].hash;)
				i = (i + 1) & (slot_cnt - 1);
			if (old[k].hash)
				slots[i] = old[k];
		}
		free(old);
	}
	for (i = hash & (slot_cnt - 1); slots[i].hash && slots[i].hash != hash;)
		i = (i + 1) & (slot_cnt - 1);
	used += !slots[i].hash;
	slots[i].hash = hash;
	slots[i].cnt++;
}

/* Words of a sample before the chain's length. */
static size_t words_before_chain(__u64 type)
{
	const __u64 one_word[] = {PERF_SAMPLE_IDENTIFIER, PERF_SAMPLE_IP,   PERF_SAMPLE_TID,
				  PERF_SAMPLE_TIME,	  PERF_SAMPLE_ADDR, PERF_SAMPLE_ID,
				  PERF_SAMPLE_STREAM_ID,  PERF_SAMPLE_CPU,  PERF_SAMPLE_PERIOD};
	size_t cnt = 0;

	for (size_t i = 0; i < sizeof(one_word) / sizeof(*one_word); i++)
		cnt += (type & one_word[i]) != 0;
	return cnt;
}

int main(int argc, char **argv)
{
	const struct perf_event_attr *attr;
	const struct file_header *h;
	const char *file, *p, *end;
	size_t words, samples = 0;
	struct stat st;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(*h))
		return fputs("usage: chainwalk perf.data\n", stderr), 2;
	file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		return perror("mmap"), 1;
	h = (const void *)file;
	attr = (const void *)(file + h->attrs_offset);
	if (memcmp(file, "PERFILE2", 8) || !(attr->sample_type & PERF_SAMPLE_CALLCHAIN))
		return fputs("chainwalk: not a file of perf record -g\n", stderr), 1;
	words = words_before_chain(attr->sample_type);
	for (p = file + h->data_offset, end = p + h->data_bytes; p < end;) {
		const struct perf_event_header *hdr = (const void *)p;
		const __u64 *body = (const __u64 *)(hdr + 1);

		if (hdr->type == PERF_RECORD_SAMPLE) {
			count(hash_chain(body + words + 1, body[words]));
			samples++;
		}
		p += hdr->size;
	}
	printf("%zu samples, %zu chains\n", samples, used);
	return 0;
}
