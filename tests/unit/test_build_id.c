/* SPDX-License-Identifier: GPL-2.0-only */
/* Build-ids of real files, as readelf prints them, and of raw notes. */
#include <elf.h>
#include <errno.h>

#include "symbolize_fixture.h"
#include "check.h"

static int read_id(const char *path, char *text)
{
	uint8_t id[20];
	int fd = open(path, O_RDONLY), n;

	if (fd < 0)
		return -errno;
	n = pa_build_id__read_fd(fd, id);
	close(fd);
	for (int i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", id[i]);
	return n;
}

TEST(real_files)
{
	static const char *const paths[] = {"/bin/sh", "/usr/bin/python3", "/proc/self/exe"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		char text[64] = "", cmd[256], want[64] = "";
		int n = read_id(paths[i], text);
		FILE *in;

		if (n == -ENOENT)
			continue;
		snprintf(cmd, sizeof(cmd),
			 "readelf -n $(readlink -f %s) | sed -n 's/.*Build ID: //p'",
			 strcmp(paths[i], "/proc/self/exe") ? paths[i] : "/proc/$PPID/exe");
		in = popen(cmd, "r");
		CHECK(in);
		if (fscanf(in, "%63s", want) != 1)
			want[0] = '\0';
		pclose(in);
		CHECK_STR(text, want);
		CHECK_EQ(n, strlen(want) / 2);
	}
}

TEST(kinds_of_files)
{
	char text[64];

	write_text("a.c", "int main(void) { return 0; }\n");
	CHECK_EQ(run("gcc -Wl,--build-id=none -o none a.c && gcc -Wl,--build-id=md5 -o md5 a.c &&"
		     "gcc -Wl,--build-id=0x1234567890 -o five a.c && gcc -c a.c && "
		     "objcopy --only-keep-debug five five.dbg"),
		 0);
	CHECK_EQ(read_id(scratch_path("none"), text), 0);
	CHECK_EQ(read_id(scratch_path("md5"), text), 16);
	CHECK_EQ(read_id(scratch_path("five"), text), 5);
	CHECK_STR(text, "1234567890");
	CHECK_EQ(read_id(scratch_path("five.dbg"), text), 5);
	CHECK_EQ(read_id(scratch_path("a.c"), text), -ENOEXEC);
	CHECK_EQ(read_id("/dev/null", text), -ENOEXEC);
	CHECK_EQ(read_id("/", text), -EISDIR);
}

/* Headers that all claim the same notes: after a while the file has no build-id. */
TEST(notes_claimed_often)
{
	enum { HEADERS = 1000, NOTES = 2048, JUNK = 128 + HEADERS * sizeof(Elf64_Phdr) };
	static uint8_t file[JUNK + NOTES * 16 + 36];
	static const uint8_t note[36] = {4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 7};
	Elf64_Ehdr h = {.e_phoff = 128, .e_phentsize = sizeof(Elf64_Phdr)};
	static const int cnts[] = {4, HEADERS};
	char text[64];

	memcpy(h.e_ident, "\177ELF\2\1\1", 7);
	for (int i = 0; i < NOTES; i++)
		file[JUNK + i * 16] = 4; /* names of 4 bytes, nothing else */
	memcpy(file + JUNK + NOTES * 16, note, sizeof(note));
	for (int i = 0; i < 2; i++) {
		FILE *out = fopen(scratch_path("often"), "w");

		h.e_phnum = (uint16_t)cnts[i];
		memcpy(file, &h, sizeof(h));
		for (int k = 0; k < cnts[i]; k++) {
			Elf64_Phdr p = {.p_type = PT_NOTE, .p_align = 4};

			p.p_offset = k + 1 < cnts[i] ? JUNK : JUNK + NOTES * 16;
			p.p_filesz = k + 1 < cnts[i] ? NOTES * 16 : sizeof(note);
			memcpy(file + 128 + (size_t)k * sizeof(p), &p, sizeof(p));
		}
		CHECK(out && fwrite(file, sizeof(file), 1, out) == 1);
		fclose(out);
		CHECK_EQ(read_id(scratch_path("often"), text), i ? 0 : 20);
	}
}

TEST(notes)
{
	uint8_t notes[] = {4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0,	 'G', 'N', 'U', 0, 9, 9, 9, 0, 4,
			   0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,	1, 2, 3, 4, 5};
	uint8_t id[20];

	CHECK_EQ(pa_build_id__parse_notes(notes, sizeof(notes), id), 5);
	CHECK_EQ(id[4], 5);
	CHECK_EQ(id[5], 0);
	CHECK_EQ(pa_build_id__parse_notes(notes, sizeof(notes) - 1, id), 0);
	CHECK_EQ(pa_build_id__parse_notes(notes, 0, id), 0);
	notes[24] = 33; /* too long for us */
	CHECK_EQ(pa_build_id__parse_notes(notes, sizeof(notes), id), 0);
	memset(notes, 0xff, sizeof(notes));
	CHECK_EQ(pa_build_id__parse_notes(notes, sizeof(notes), id), 0);
}

TEST_MAIN()
