/* SPDX-License-Identifier: GPL-2.0-only */
/* Readable names are those that perf script prints; hostile ones neither expand nor hang. */
#include "symbolize_fixture.h"
#include "check.h"

static void check_name(const char *mangled, const char *want)
{
	char *got = pa_demangle(mangled);

	if (want)
		CHECK_STR(got, want);
	else
		CHECK(!got);
	free(got);
}

TEST(names)
{
	check_name("main", NULL);
	check_name("", NULL);
	check_name("_", NULL);
	check_name("_Znothing", NULL);
	check_name("_ZN5outer5Thing6methodEi", "outer::Thing::method");
	check_name("_ZNK3foo3BarIlE3runElRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
		   "foo::Bar<long>::run");
	check_name("_ZN12_GLOBAL__N_14anonEi.constprop.0", "(anonymous namespace)::anon");
	check_name("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
	check_name("_RNvCsdBezzDwma51_7mycrate3foo", "mycrate::foo");
	check_name("_RNvMs_NtCs1234_7mycrate3barNtB4_3Foo3new", "<mycrate::bar::Foo>::new");
}

TEST(hostile_names)
{
	char name[8192] = "_Z1fI";
	size_t at = strlen(name);
	char *got;

	/* each template argument is twice the one before */
	at += (size_t)sprintf(name + at, "1AIiiE");
	for (int i = 0; i < 40; i++)
		at += (size_t)sprintf(name + at, "1BIS%.1s_S%.1s_E",
				      &"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 36],
				      &"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 36]);
	sprintf(name + at, "Evv");
	got = pa_demangle(name);
	CHECK(!got || strlen(got) <= 32768);
	free(got);
	/* pairs of backward references in Rust's scheme: the output doubles with each */
	at = (size_t)sprintf(name, "_RIC1aT");
	for (int i = 0; i < 60; i++)
		at += (size_t)sprintf(name + at, "TB%cB%cE", "2345"[i % 4], "2345"[i % 4]);
	sprintf(name + at, "EE");
	got = pa_demangle(name);
	CHECK(!got || strlen(got) <= 32768);
	free(got);
	memset(name, 'P', sizeof(name) - 1);
	memcpy(name, "_Z1f", 4);
	name[sizeof(name) - 1] = '\0';
	CHECK(!pa_demangle(name));
	name[4000] = 'i';
	name[4001] = '\0';
	got = pa_demangle(name);
	free(got);
}

TEST_MAIN()
