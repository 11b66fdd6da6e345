/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_pprof.c - the profile builder: what is written reads back with protobuf-c's own parser,
 * bad ids are refused, hostile names stay valid protobuf, and files are whole or absent. With
 * PPROF_KEEP=FILE in the environment the hand-made profile is left there for other readers.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "check.h"
#include "pprof/pprof.h"
#include "profile.pb-c.h"

typedef Perftools__Profiles__Profile profile_msg;

static const struct pprof_value_type types[] = {{"samples", "count"}, {"cpu", "nanoseconds"}};

/* Whole contents of a descriptor's file, from its start; gzip is unpacked. */
static uint8_t *slurp(int fd, size_t *bytes)
{
	uint8_t *data = malloc(64 << 20);
	gzFile gz;
	int n;

	lseek(fd, 0, SEEK_SET);
	gz = gzdopen(dup(fd), "rb");
	n = gzread(gz, data, 64 << 20);
	*bytes = n < 0 ? 0 : n;
	gzclose(gz);
	return data;
}

static profile_msg *read_back(struct pprof_profile *p, bool gzip)
{
	FILE *f = tmpfile();
	profile_msg *msg = NULL;
	size_t bytes;
	uint8_t *data;

	if (!pprof__write_fd(p, fileno(f), gzip)) {
		data = slurp(fileno(f), &bytes);
		msg = perftools__profiles__profile__unpack(NULL, bytes, data);
		free(data);
	}
	fclose(f);
	return msg;
}

static struct pprof_profile *small(void)
{
	struct pprof_mapping exe = {.start = 0x400000,
				    .limit = 0x500000,
				    .file_offset = 0x1000,
				    .filename = "/usr/bin/app",
				    .build_id = "0123456789abcdef",
				    .has_functions = true};
	struct pprof_mapping kernel = {.filename = "[kernel]", .has_functions = true};
	struct pprof_function fns[] = {{"main", NULL, "app.c", 10},
				       {"ns::work(int)", "_ZN2ns4workEi", "work.cc", 20},
				       {"inlined", NULL, "work.h", 3},
				       {"do_syscall_64", NULL, NULL, 0}};
	struct pprof_label labels[] = {{.key = "comm", .str = "app"},
				       {.key = "pid", .num = 42, .num_unit = NULL},
				       {.key = "wait", .num = 7, .num_unit = "nanoseconds"}};
	uint64_t map, kmap, fn[4], loc[4];
	struct pprof_profile *p;

	if (pprof__new(types, 2, &p))
		return NULL;
	pprof__set_time(p, 1700000000000000000, 5000000000);
	pprof__set_period(p, types[1], 10101010);
	pprof__set_default_sample_type(p, "cpu");
	pprof__add_comment(p, "env=test");
	pprof__add_mapping(p, &exe, &map);
	pprof__add_mapping(p, &kernel, &kmap);
	for (int i = 0; i < 4; i++)
		pprof__add_function(p, &fns[i], &fn[i]);
	pprof__add_location(p, map, 0x400100, &(struct pprof_line){fn[0], 12}, 1, &loc[0]);
	pprof__add_location(p, map, 0x400200, (struct pprof_line[]){{fn[2], 4}, {fn[1], 25}}, 2,
			    &loc[1]);
	pprof__add_location(p, kmap, 0xffffffff81000000, &(struct pprof_line){fn[3], 0}, 1,
			    &loc[2]);
	pprof__add_location(p, map, 0x400300, NULL, 0, &loc[3]);
	pprof__set_mapping_flags(p, map, true, true, true, true);
	pprof__add_sample(p, (uint64_t[]){loc[2], loc[1], loc[0]}, 3, (int64_t[]){3, 30303030},
			  labels, 3);
	pprof__add_sample(p, (uint64_t[]){loc[3], loc[0]}, 2, (int64_t[]){1, 10101010}, labels, 2);
	return p;
}

TEST(round_trip)
{
	struct pprof_profile *p = small();
	profile_msg *m = read_back(p, true);

	CHECK(m);
	CHECK_EQ(m->n_sample_type, 2);
	CHECK_STR(m->string_table[0], "");
	CHECK_STR(m->string_table[m->sample_type[1]->type], "cpu");
	CHECK_STR(m->string_table[m->sample_type[1]->unit], "nanoseconds");
	CHECK_EQ(m->n_sample, 2);
	CHECK_EQ(m->sample[0]->n_location_id, 3);
	CHECK_EQ(m->sample[0]->location_id[0], 3);
	CHECK_EQ(m->sample[0]->value[1], 30303030);
	CHECK_EQ(m->sample[0]->n_label, 3);
	CHECK_STR(m->string_table[m->sample[0]->label[0]->str], "app");
	CHECK_EQ(m->sample[0]->label[1]->num, 42);
	CHECK_EQ(m->sample[0]->label[1]->str, 0);
	CHECK_STR(m->string_table[m->sample[0]->label[2]->num_unit], "nanoseconds");
	CHECK_EQ(m->n_mapping, 2);
	CHECK_EQ(m->mapping[0]->memory_limit, 0x500000);
	CHECK(m->mapping[0]->has_inline_frames && !m->mapping[1]->has_filenames);
	CHECK_EQ(m->n_location, 4);
	CHECK_EQ(m->location[1]->n_line, 2);
	CHECK_EQ(m->location[1]->line[0]->function_id, 3);
	CHECK_EQ(m->location[1]->line[1]->line, 25);
	CHECK_EQ(m->location[2]->address, 0xffffffff81000000);
	CHECK_EQ(m->n_function, 4);
	CHECK_STR(m->string_table[m->function[1]->system_name], "_ZN2ns4workEi");
	CHECK_EQ(m->function[0]->system_name, m->function[0]->name);
	CHECK_EQ(m->function[1]->start_line, 20);
	CHECK_EQ(m->time_nanos, 1700000000000000000);
	CHECK_EQ(m->duration_nanos, 5000000000);
	CHECK_EQ(m->period, 10101010);
	CHECK_STR(m->string_table[m->period_type->type], "cpu");
	CHECK_STR(m->string_table[m->default_sample_type], "cpu");
	CHECK_EQ(m->n_comment, 1);
	CHECK_STR(m->string_table[m->comment[0]], "env=test");
	if (getenv("PPROF_KEEP"))
		CHECK_EQ(pprof__write_path(p, getenv("PPROF_KEEP")), 0);
	perftools__profiles__profile__free_unpacked(m, NULL);
	pprof__free(p);
}

TEST(empty)
{
	struct pprof_profile *p;
	profile_msg *m;

	CHECK_EQ(pprof__new(types, 0, &p), -EINVAL);
	CHECK(!p);
	CHECK_EQ(pprof__new(types, 65, &p), -EINVAL);
	CHECK_EQ(pprof__new(types, 1, &p), 0);
	m = read_back(p, false);
	CHECK(m);
	CHECK_EQ(m->n_sample_type, 1);
	CHECK_EQ(m->n_string_table, 3);
	CHECK(!m->period_type);
	perftools__profiles__profile__free_unpacked(m, NULL);
	pprof__free(p);
	pprof__free(NULL);
}

TEST(unknown_ids)
{
	struct pprof_profile *p = small();
	int64_t values[2] = {1, 1};
	uint64_t id;

	CHECK_EQ(pprof__add_location(p, 3, 0, NULL, 0, &id), -EINVAL);
	CHECK_EQ(pprof__add_location(p, 1, 0, &(struct pprof_line){5, 1}, 1, &id), -EINVAL);
	CHECK_EQ(pprof__add_location(p, 1, 0, &(struct pprof_line){0, 1}, 1, &id), -EINVAL);
	CHECK_EQ(pprof__add_sample(p, (uint64_t[]){5}, 1, values, NULL, 0), -EINVAL);
	CHECK_EQ(pprof__add_sample(p, (uint64_t[]){0}, 1, values, NULL, 0), -EINVAL);
	CHECK_EQ(pprof__add_sample(p, NULL, 0, values, NULL, 0), 0);
	CHECK_EQ(pprof__set_mapping_flags(p, 3, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(pprof__set_mapping_flags(p, 0, 0, 0, 0, 0), -EINVAL);
	pprof__free(p);
}

TEST(strings_once)
{
	struct pprof_profile *p;
	profile_msg *m;
	uint64_t id;
	char name[32];

	CHECK_EQ(pprof__new(types, 2, &p), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 50000; i++) {
			snprintf(name, sizeof(name), "function_%d", i);
			CHECK_EQ(
				pprof__add_function(p, &(struct pprof_function){.name = name}, &id),
				0);
		}
	}
	m = read_back(p, true);
	CHECK(m);
	CHECK_EQ(m->n_function, 100000);
	CHECK_EQ(m->n_string_table, 50005);
	CHECK_STR(m->string_table[m->function[99999]->name], "function_49999");
	CHECK_EQ(m->function[0]->name, m->function[50000]->name);
	perftools__profiles__profile__free_unpacked(m, NULL);
	pprof__free(p);
}

TEST(invalid_utf8_is_replaced)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"\xff", "\xef\xbf\xbd"},
		{"a\xc3", "a\xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf0\x9f\x94\xa5", "\xf0\x9f\x94\xa5"},
		{"\xf4\x90\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
		{"\xc3\xa9", "\xc3\xa9"},
	};
	struct pprof_profile *p;
	profile_msg *m;
	uint64_t id;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(pprof__new(types, 1, &p), 0);
		CHECK_EQ(pprof__add_function(p, &(struct pprof_function){.name = cases[i].in}, &id),
			 0);
		m = read_back(p, true);
		CHECK(m);
		CHECK_STR(m->string_table[3], cases[i].out);
		perftools__profiles__profile__free_unpacked(m, NULL);
		pprof__free(p);
	}
}

TEST(same_calls_same_bytes)
{
	char a[4096], b[4096];
	ssize_t n[2];

	for (int i = 0; i < 2; i++) {
		FILE *f = tmpfile();
		struct pprof_profile *p = small();

		CHECK_EQ(pprof__write_fd(p, fileno(f), true), 0);
		n[i] = pread(fileno(f), i ? b : a, sizeof(a), 0);
		fclose(f);
		pprof__free(p);
	}
	CHECK(n[0] > 100);
	CHECK_EQ(n[0], n[1]);
	CHECK(!memcmp(a, b, n[0]));
	CHECK(!memcmp(a + 4, "\0\0\0\0", 4)); /* gzip's mtime */
}

/* Compressed in several pieces. */
TEST(huge)
{
	enum { CNT = 1 << 20, SAMPLES = 65 }; /* just above 64 MiB */
	uint64_t *locs = malloc(CNT * sizeof(*locs)), id;
	uint8_t *data[2] = {malloc(72 << 20), malloc(72 << 20)};
	const int64_t values[] = {1, 2};
	struct pprof_profile *p;
	int bytes[2] = {0, 0};

	CHECK(locs && data[0] && data[1]);
	CHECK_EQ(pprof__new(types, 2, &p), 0);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_EQ(pprof__add_location(p, 0, 0x400000 + i, NULL, 0, &id), 0);
	for (size_t i = 0; i < CNT; i++)
		locs[i] = 1 + i % 100;
	for (int i = 0; i < SAMPLES; i++)
		CHECK_EQ(pprof__add_sample(p, locs, CNT - i, values, NULL, 0), 0);
	for (int gzip = 0; gzip < 2; gzip++) {
		FILE *f = tmpfile();
		gzFile gz;

		CHECK_EQ(pprof__write_fd(p, fileno(f), gzip), 0);
		lseek(fileno(f), 0, SEEK_SET);
		gz = gzdopen(dup(fileno(f)), "rb");
		bytes[gzip] = gzread(gz, data[gzip], 72 << 20);
		gzclose(gz);
		fclose(f);
	}
	CHECK(bytes[0] > 64 << 20);
	CHECK_EQ(bytes[0], bytes[1]);
	CHECK(!memcmp(data[0], data[1], bytes[0]));
	pprof__free(p);
	free(locs);
	free(data[0]);
	free(data[1]);
}

TEST(path_is_whole_or_absent)
{
	char dir[] = "/tmp/test_pprof.XXXXXX", path[64], link_path[64];
	struct pprof_profile *p = small();
	struct stat st;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out.pb.gz", dir);
	snprintf(link_path, sizeof(link_path), "%s/link", dir);
	CHECK_EQ(pprof__write_path(p, path), 0);
	CHECK_EQ(pprof__write_path(p, path), 0);
	CHECK_EQ(symlink(path, link_path), 0);
	CHECK_EQ(pprof__write_path(p, link_path), 0);
	CHECK_EQ(lstat(link_path, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(pprof__write_path(p, link_path), 0); /* a dangling link is followed */
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(unlink(link_path), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(pprof__write_path(p, "/dev/null"), 0);
	CHECK_EQ(pprof__write_path(p, "/dev/full"), -ENOSPC);
	CHECK_EQ(lstat("/dev/null", &st), 0);
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(pprof__write_path(p, dir), -EISDIR);
	CHECK_EQ(rmdir(dir), 0); /* nothing was left behind */
	CHECK_EQ(pprof__write_path(p, path), -ENOENT);
	pprof__free(p);
}

TEST_MAIN()
