/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Readable names are those that perf script prints (perf 6.1, where it is there, is asked about
 * whole libraries); hostile ones neither expand nor hang.
 */
#define _GNU_SOURCE
#include <time.h>

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

static const struct {
	const char *mangled, *readable; /* NULL: stays as it is */
} known[] = {
	{"main", NULL},
	{"_start", NULL},
	{"_Znothing", NULL},
	{"main.cold", NULL},
	{"main.(*T).Method", NULL},
	/* C++ */
	{"_ZN5outer5Thing6methodEi", "outer::Thing::method"},
	{"_ZNK3foo3BarIlE3runElRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
	 "foo::Bar<long>::run"},
	{"_ZN3fooC1Ev", "foo::foo"},
	{"_ZN3fooD0Ev", "foo::~foo"},
	{"_ZN3fooB5cxx11Ev", "foo[abi:cxx11]"},
	{"_Z3fooILb1EEvv", "foo<true>"},
	{"_Znwm", "operator new"},
	{"_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()"},
	{"_ZTV3foo", "vtable for foo"},
	{"_ZThn16_N3foo3barEv", "non-virtual thunk to foo::bar()"},
	{"_ZGTtNSt11logic_errorD1Ev", "transaction clone for std::logic_error::~logic_error()"},
	{"_GLOBAL__sub_I_main", NULL},
	{"_GLOBAL__I_foo", "global constructors keyed to foo"},
	{"___Z3foov", NULL},
	/* what compilers add to parts and copies of a function */
	{"_ZN12_GLOBAL__N_14anonEi.constprop.0", "(anonymous namespace)::anon"},
	{"_ZN3foo3barEi.part.0", "foo::bar"},
	{"_ZN3foo3bazEi.isra.0", "foo::baz"},
	{"_ZN3foo3quxEi.constprop.0.isra.1", "foo::qux"},
	{"_ZN3foo4coldEi.cold", "foo::cold"},
	{"_ZN3foo4llvmEi.llvm.123456789", "foo::llvm"},
	{"_Z4liftv.__uniq.12345", "lift"},
	/* Rust, legacy: what has no right hash is C++ */
	{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
	{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.9876543210",
	 "core::fmt::Formatter::pad"},
	{"_ZN4core3fmt9Formatter4work17h0123456789abcdefE.cold", "core::fmt::Formatter::work"},
	{"_ZN4core3fmt9Formatter4nope17h00000000000000ffE",
	 "core::fmt::Formatter::nope::h00000000000000ff"},
	{"_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h0123456789abcdefE",
	 "<T as core::convert::Into<U>>::into"},
	/* Rust, v0 */
	{"_RNvCsdBezzDwma51_7mycrate3foo", "mycrate::foo"},
	{"_RNvMs_NtCs1234_7mycrate3barNtB4_3Foo3new", "<mycrate::bar::Foo>::new"},
	{"_RNvCs15kBYyAo9fc_7mycrate7example.llvm.123", "mycrate::example"},
	{"_RINvNtC3std3mem8align_ofjdE", "std::mem::align_of::<usize, f64>"},
	{"_RNCNvC5crate4main0", "crate::main::{closure#0}"},
	{"_RINvC5crate3genKb1_Kca_E", "crate::gen::<true, '\\n'>"},
	{"_RNvC5crateu8gdel_5qa", "crate::g\xc3\xb6"
				  "del"},
	{"_R", NULL},
	/* OCaml */
	{"camlStdlib__List__map_123", "Stdlib.List.map_123"},
	{"camlFoo__fun$2b_12", "Foo.fun+_12"},
	{"camlA$zz__$41$", "A$zz.A$"},
	{"caml_alloc", NULL},
	{"camlfoo", NULL},
	/* Java */
	{"Ljava/lang/String;foo()V", "java.lang.String.foo()"},
	{"Ljava/lang/String;<init>(I)V", "java.lang.String<init>(int)"},
	{"LFoo$$Lambda$14;run([[I[Ljava/lang/String;D)V",
	 "Foo$$Lambda$14.run(int[][], java.lang.String, double[])"},
	{"LFoo;bar(BCDFIJSZ)Ljava/lang/Object;",
	 "Foo.bar(byte, char, double, float, int, long, short, boolean)"},
	{"Lfoo(I)V", NULL},
	{"LFoo;bar)V", NULL},
	{"LFoo;bar(I", NULL},
	{"LFoo;a/b(I)V", NULL},
	{"L)", NULL},
	{"L", NULL},
	/* D, Ada, Swift, Fortran: not by perf */
	{"_D3std5stdio7writelnFNfZv", NULL},
	{"ada__text_io__put_line__2", NULL},
	{"$s4main3fooyyF", NULL},
	{"__mod_MOD_sub", NULL},
};

TEST(names)
{
	check_name("", NULL);
	check_name("_", NULL);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		check_name(known[i].mangled, known[i].readable);
}

/* ---- side by side with perf -------------------------------------------------------------------
 */

static bool has_perf_61(void)
{
	if (!run("perf --version | grep -q 'perf version 6\\.1'"))
		return true;
	fprintf(stderr, "skipped: no perf 6.1\n");
	return false;
}

/* The names of all functions of a file, by perf and by us, less those of the PLT. */
static bool compare_with_perf(const char *path)
{
	static char line[1 << 16];
	char cmd[4096];
	FILE *in, *out;

	if (run("perf probe -x %s -F --filter '*' | grep -v @plt | sort -u >theirs", path))
		return false;
	snprintf(cmd, sizeof(cmd),
		 "cd %s && perf probe -x %s -F --filter '*' --no-demangle | grep -v '@plt$'",
		 scratch, path);
	in = popen(cmd, "r");
	out = fopen(scratch_path("unsorted"), "w");
	while (in && out && fgets(line, sizeof(line), in)) {
		char *readable;

		line[strcspn(line, "\n")] = '\0';
		readable = pa_demangle(line);
		fprintf(out, "%s\n", readable ? readable : line);
		free(readable);
	}
	if (!in || pclose(in) || !out || fclose(out))
		return false;
	if (!run("test -s theirs && sort -u unsorted >ours && diff ours theirs >differences"))
		return true;
	fprintf(stderr, "%s: names differ from perf's:\n", path);
	run("head -5 differences >&2");
	snprintf(cmd, sizeof(cmd), "head -5 %s/differences >&2", scratch);
	return system(cmd) && false;
}

TEST(as_perf_names_known_ones)
{
	char source[65536];
	size_t at = 0;

	if (!has_perf_61())
		return;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		at += (size_t)snprintf(source + at, sizeof(source) - at,
				       ".type \"%s\",%%function\n\"%s\": nop\n"
				       ".size \"%s\",.-\"%s\"\n",
				       known[i].mangled, known[i].mangled, known[i].mangled,
				       known[i].mangled);
	write_text("known.s", source);
	CHECK_EQ(run("gcc -c -o known.o known.s && gcc -nostdlib -shared -o known.so known.o"), 0);
	CHECK(compare_with_perf("./known.so"));
}

TEST(as_perf_names_libraries)
{
	char path[4096];

	if (!has_perf_61())
		return;
	if (realpath("/lib/x86_64-linux-gnu/libstdc++.so.6", path) ||
	    realpath("/lib/aarch64-linux-gnu/libstdc++.so.6", path))
		CHECK(compare_with_perf(path));
}

static const char program_rs[] =
	"use std::collections::HashMap;\n"
	"use std::fmt::Debug;\n"
	"trait Shape { fn area(&self) -> f64; }\n"
	"struct Square<T>(T);\n"
	"impl<T: Debug> Shape for Square<T> {\n"
	"	#[inline(never)] fn area(&self) -> f64 { format!(\"{:?}\", self.0).len() as f64 }\n"
	"}\n"
	"#[inline(never)] fn generic<T: Shape + ?Sized, const N: usize>(s: &T) -> f64\n"
	"{ (0..N).map(|k| s.area() * k as f64).sum() }\n"
	"fn main() {\n"
	"	let mut m = HashMap::new();\n"
	"	m.insert(std::env::args().count(), Square(vec![Some(3i32)]));\n"
	"	let b: Box<dyn Shape> = Box::new(Square(\"x\"));\n"
	"	println!(\"{}\", generic::<dyn Shape, 3>(&*b) + m[&1].area());\n"
	"}\n";

TEST(as_perf_names_rust)
{
	static const char *const schemes[] = {"v0", "legacy"};

	if (!has_perf_61())
		return;
	if (run("rustc --version")) {
		fprintf(stderr, "skipped: no rustc\n");
		return;
	}
	write_text("program.rs", program_rs);
	for (int i = 0; i < 2; i++) {
		/* the variable allows what is not the default of this version */
		if (run("RUSTC_BOOTSTRAP=1 rustc -Zunstable-options -Csymbol-mangling-version=%s "
			"-Copt-level=1 -o rust program.rs",
			schemes[i])) {
			fprintf(stderr, "skipped: rustc fails with names of scheme %s\n",
				schemes[i]);
			continue;
		}
		CHECK(compare_with_perf("./rust"));
	}
}

/* ---- hostile names --------------------------------------------------------------------------- */

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
	/* conversion operators as template arguments: six times the time for each more */
	at = (size_t)sprintf(name, "_Z");
	for (int i = 0; i < 60; i++)
		at += (size_t)sprintf(name + at, i == 30 ? "cvT_S5_" : "cvT_I");
	at += (size_t)sprintf(name + at, "Lb1E");
	for (int i = 0; i < 60; i++)
		name[at++] = 'E';
	name[at] = '\0';
	CHECK(!pa_demangle(name));
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
