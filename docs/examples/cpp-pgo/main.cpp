// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.cpp - reads log lines, as servers write them, and adds up what they say. One function reads
 * fields of all kinds: too large to be inlined everywhere, worth it where most lines go through.
 * The argument says how often the lines are read.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

enum class kind { number, hex, text, quoted, address, time, skip };

struct value {
	uint64_t number;
	const char *text;
	size_t bytes;
};

struct reader {
	const char *p, *end;
	unsigned error_cnt, escape_cnt;
};

static bool fail(reader &r, const char *why)
{
	if (r.error_cnt++ == 0)
		fprintf(stderr, "bad field: %s\n", why);
	while (r.p < r.end && *r.p != ' ' && *r.p != '\n')
		r.p++;
	return false;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Read one field and the blank behind it. */
static bool field(reader &r, kind k, value &out)
{
	const char *start = r.p;
	uint64_t n = 0;

	switch (k) {
	case kind::number:
		while (r.p < r.end && *r.p >= '0' && *r.p <= '9')
			n = n * 10 + uint64_t(*r.p++ - '0');
		if (r.p == start)
			return fail(r, "no digit");
		if (r.p - start > 19)
			return fail(r, "number too long");
		break;
	case kind::hex:
		for (int d; r.p < r.end && (d = digit(*r.p)) >= 0; r.p++)
			n = n << 4 | unsigned(d);
		if (r.p == start || r.p - start > 16)
			return fail(r, "no hexadecimal number");
		break;
	case kind::text:
		for (; r.p < r.end && *r.p != ' ' && *r.p != '\n'; r.p++) {
			n = (n ^ (unsigned char)*r.p) * 0x100000001b3;
			if (*r.p == '\\' && ++r.escape_cnt && ++r.p == r.end)
				return fail(r, "escape at the end");
		}
		break;
	case kind::quoted:
		if (r.p == r.end || *r.p++ != '"')
			return fail(r, "no quote");
		for (; r.p < r.end && *r.p != '"'; r.p++) {
			n = n * 31 + (unsigned char)*r.p;
			if (*r.p == '\\' && ++r.escape_cnt && ++r.p == r.end)
				return fail(r, "escape at the end");
		}
		if (r.p++ == r.end)
			return fail(r, "quote is open");
		break;
	case kind::address:
		for (int i = 0; i < 4; i++) {
			uint64_t part = 0;

			while (r.p < r.end && *r.p >= '0' && *r.p <= '9')
				part = part * 10 + uint64_t(*r.p++ - '0');
			if (part > 255 || (i < 3 && (r.p == r.end || *r.p++ != '.')))
				return fail(r, "no address");
			n = n << 8 | part;
		}
		break;
	case kind::time:
		for (int i = 0; i < 3; i++) {
			if (r.end - r.p < 2 || digit(r.p[0]) > 9 || digit(r.p[1]) > 9)
				return fail(r, "no time");
			n = n * 60 + uint64_t(digit(r.p[0]) * 10 + digit(r.p[1]));
			r.p += 2;
			if (i < 2 && (r.p == r.end || *r.p++ != ':'))
				return fail(r, "no time");
		}
		break;
	case kind::skip:
		while (r.p < r.end && *r.p != ' ' && *r.p != '\n')
			r.p++;
		break;
	}
	out = {n, start, size_t(r.p - start)};
	if (r.p < r.end && *r.p == ' ')
		r.p++;
	return true;
}

struct sums {
	uint64_t lines, bytes, late, odd, hash, by_status[6];
};

static void read_lines(const std::string &log, sums &s)
{
	reader r = {log.data(), log.data() + log.size(), 0, 0};
	value v;

	while (r.p < r.end) {
		s.lines++;
		if (field(r, kind::time, v))
			s.late += v.number > 12 * 3600;
		if (field(r, kind::address, v))
			s.hash ^= v.number;
		if (field(r, kind::number, v))
			s.by_status[v.number / 100 % 6]++;
		if (field(r, kind::number, v))
			s.bytes += v.number;
		if (field(r, kind::hex, v))
			s.odd += v.number & 1;
		if (field(r, kind::text, v))
			s.hash += v.number;
		if (r.p < r.end && *r.p == '"' && field(r, kind::quoted, v))
			s.hash += v.number;
		while (r.p < r.end && *r.p != '\n' && field(r, kind::skip, v))
			s.odd++;
		r.p++;
	}
}

static std::string make_log(unsigned lines)
{
	uint64_t x = 88172645463325252;
	std::string log;
	char line[200];

	for (unsigned i = 0; i < lines; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		snprintf(line, sizeof(line),
			 "%02u:%02u:%02u 10.%u.%u.%u %u %u %x /a/%x/%x%s\n", i / 3600 % 24,
			 i / 60 % 60, i % 60, unsigned(x & 255), unsigned(x >> 8 & 255),
			 unsigned(x >> 16 & 255), i % 50 ? 200 : 404, unsigned(x >> 20 & 65535),
			 unsigned(x >> 32), unsigned(x & 4095), unsigned(x >> 12 & 255),
			 i % 40 ? "" : " \"a \\\"quoted\\\" agent\" x");
		log += line;
	}
	return log;
}

int main(int argc, char **argv)
{
	std::string log = make_log(20000);
	long rounds = argc > 1 ? atol(argv[1]) : 300;
	sums s = {};

	for (long i = 0; i < rounds; i++)
		read_lines(log, s);
	printf("%llu lines, %llu bytes, %llu late, %llu odd, %llu not found, hash %016llx\n",
	       (unsigned long long)s.lines, (unsigned long long)s.bytes,
	       (unsigned long long)s.late, (unsigned long long)s.odd,
	       (unsigned long long)s.by_status[4], (unsigned long long)s.hash);
	return 0;
}
