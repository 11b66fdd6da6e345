/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpfload.c - does this kernel take our BPF programs, and at what price? `bpfload FILE.bpf.o...`
 * loads each program of each file alone, once with the settings as compiled and once with every
 * boolean setting on (dead code is not verified, so either may be the larger; what a setting has_X
 * says of the kernel need not be so), and prints
 * "FILE PROGRAM ok INSTRUCTIONS ALL-ON" with the numbers of verified instructions, or
 * "FILE PROGRAM failed ERRNO" and the end of the verifier's log on stderr. Status 1: any failed.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define LOG_STATS 4 /* of the verifier's log, BPF_LOG_STATS */
#define LOG_WHOLE 1
#define LOG_BYTES (4 << 20)
#define LOG_TAIL 4000

static char verifier_log[LOG_BYTES];

static int silent_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN && getenv("PERFAGENT_DEBUG"))
		return vfprintf(stderr, fmt, ap);
	return 0;
}

static bool is_bool(const struct btf *btf, __u32 type_id)
{
	const struct btf_type *t;
	int id = btf__resolve_type(btf, type_id);

	t = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
	return t && btf_is_int(t) && btf_int_encoding(t) & BTF_INT_BOOL;
}

enum settings { AS_COMPILED, ALL_ON, ALL_BUT_HAS };

/* Settings are the `const volatile` variables of .rodata. */
static void enable_settings(struct bpf_object *obj, enum settings settings)
{
	const struct btf *btf = bpf_object__btf(obj);
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	int sec = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_var_secinfo *var;
	const struct btf_type *t;
	const void *initial;
	size_t bytes = 0;
	__u8 *data;

	initial = map ? bpf_map__initial_value(map, &bytes) : NULL;
	data = malloc(bytes + 1);
	if (sec < 0 || !initial || !data)
		goto out;
	memcpy(data, initial, bytes);
	t = btf__type_by_id(btf, (__u32)sec);
	var = btf_var_secinfos(t);
	for (int i = 0; i < btf_vlen(t); i++, var++) {
		const struct btf_type *of = btf__type_by_id(btf, var->type);
		const char *name = btf__name_by_offset(btf, of->name_off);

		if (var->offset < bytes && is_bool(btf, of->type) &&
		    (settings == ALL_ON || strncmp(name, "has_", 4) != 0))
			data[var->offset] = 1;
	}
	bpf_map__set_initial_value(map, data, bytes);
out:
	free(data);
}

/* Load one program alone. @return verified instructions, or a negative errno */
static long load_one(const char *path, const char *name, enum settings settings,
		     unsigned int log_level)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_program *prog, *mine = NULL;
	const char *said;
	long cnt = 0;
	int err;

	if (!obj)
		return -errno;
	verifier_log[0] = '\0';
	bpf_object__for_each_program(prog, obj)
	{
		bool wanted = !strcmp(bpf_program__name(prog), name);

		bpf_program__set_autoload(prog, wanted);
		if (wanted)
			mine = prog;
	}
	bpf_program__set_log_level(mine, log_level);
	bpf_program__set_log_buf(mine, verifier_log, sizeof(verifier_log));
	if (settings != AS_COMPILED)
		enable_settings(obj, settings);
	err = bpf_object__load(obj);
	said = strstr(verifier_log, "processed ");
	if (!err && said)
		sscanf(said, "processed %ld insns", &cnt);
	bpf_object__close(obj);
	return err ? err : cnt;
}

static int report(const char *path, const char *name)
{
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	long cnt = load_one(path, name, AS_COMPILED, LOG_STATS), all_on;
	size_t bytes;

	all_on = cnt < 0 ? cnt : load_one(path, name, ALL_ON, LOG_STATS);
	if (cnt >= 0 && all_on < 0)
		all_on = load_one(path, name, ALL_BUT_HAS, LOG_STATS);
	if (all_on >= 0) {
		printf("%s %s ok %ld %ld\n", file, name, cnt, all_on);
		return 0;
	}
	printf("%s %s failed %ld%s\n", file, name, -all_on, cnt < 0 ? "" : " all-on");
	load_one(path, name, cnt < 0 ? AS_COMPILED : ALL_BUT_HAS, LOG_WHOLE);
	bytes = strlen(verifier_log);
	fprintf(stderr, "%s %s:\n%s\n", file, name,
		verifier_log + (bytes > LOG_TAIL ? bytes - LOG_TAIL : 0));
	return 1;
}

/* Iterators that may sleep are of Linux 5.18: others take their place before. */
static bool may_load(const struct bpf_program *prog)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (strncmp(bpf_program__section_name(prog), "iter.s/", 7) || uname(&name) ||
	    sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return true;
	return major > 5 || (major == 5 && minor >= 18);
}

int main(int argc, char **argv)
{
	int failed = argc < 2;

	libbpf_set_print(silent_print);
	for (int i = 1; i < argc; i++) {
		struct bpf_object *obj = bpf_object__open_file(argv[i], NULL);
		struct bpf_program *prog;

		if (!obj) {
			fprintf(stderr, "bpfload: %s: failed to open: %s\n", argv[i],
				strerror(errno));
			return 2;
		}
		bpf_object__for_each_program(prog, obj) if (may_load(prog)) failed |=
			report(argv[i], bpf_program__name(prog));
		bpf_object__close(obj);
	}
	return failed;
}
