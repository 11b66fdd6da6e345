// SPDX-License-Identifier: GPL-2.0-only
/*
 * shapes.cpp - a program for profiles: calls through a table, functions inlined in each other,
 * several paths on one line, a loop that compilers unroll, code that is never run. Its argument
 * says how often.
 */
extern "C" int printf(const char *, ...);
extern "C" int atoi(const char *);

struct shape {
	virtual long area(long x) const = 0;
};

struct square : shape {
	long side;
	explicit square(long s) : side(s)
	{
	}
	long area(long x) const override;
};

struct circle : shape {
	long radius;
	explicit circle(long r) : radius(r)
	{
	}
	long area(long x) const override;
};

__attribute__((noinline)) long square::area(long x) const
{
	return x % 7 ? side * side + x : side;
}

__attribute__((noinline)) long circle::area(long x) const
{
	return 3 * radius * radius - x;
}

static inline long clamp(long v, long low, long high)
{
	if (v < low)
		return low;
	return v > high ? high : v;
}

static long mix(long a, long b)
{
	long sum = clamp(a, -1000, 1000);

	for (int i = 0; i < 8; i++)
		sum += (b >> i) & 1 ? a : -b;
	return sum;
}

__attribute__((noinline)) static long work(shape **shapes, long cnt, long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++) {
		sum += shapes[i % cnt]->area(i);
		if (sum % 1000 == 999999) // never
			sum += mix(sum, i);
		else
			sum ^= mix(i, sum);
	}
	return sum;
}

int main(int argc, char **argv)
{
	square a(1), b(2);
	circle c(3);
	shape *shapes[] = {&a, &b, &c};
	long sum = work(shapes, 3, argc > 1 ? atoi(argv[1]) : 300);

	printf("%ld\n", sum);
	return 0;
}
