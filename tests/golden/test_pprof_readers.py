# SPDX-License-Identifier: GPL-2.0-only
"""`go tool pprof` reads the profile that the unit test `round_trip` makes by hand: mappings,
functions, inlined lines, labels, an address without a symbol."""
import gzip
import os
import re
import subprocess

import pytest

from harness import needs, readers, run

RAW = """\
Comment: env=test
PeriodType: cpu nanoseconds
Period: 10101010
Time: 2023-11-14 22:13:20 +0000 UTC
Duration: 5s
Samples:
samples/count cpu/nanoseconds[dflt]
          3   30303030: 3 2 1
                comm:[app]
                pid:[42] wait:[7 nanoseconds]
          1   10101010: 4 1
                comm:[app]
                pid:[42]
Locations
     1: 0x400100 M=1 main app.c:12:0 s=10
     2: 0x400200 M=1 inlined work.h:4:0 s=3
             ns::work(int) work.cc:25:0 s=20(_ZN2ns4workEi)
     3: 0xffffffff81000000 M=2 do_syscall_64 :0:0 s=0
     4: 0x400300 M=1
Mappings
1: 0x400000/0x500000/0x1000 /usr/bin/app 0123456789abcdef [FN][FL][LN][IN]
2: 0x0/0x0/0x0 [kernel]  [FN]
"""


@pytest.fixture(scope="module")
def profile(build, tmp_path_factory):
    """Path of the profile."""
    program = build / "tests" / "unit" / "test_pprof"
    path = tmp_path_factory.mktemp("pprof") / "hand-made.pb.gz"
    if not program.exists():
        pytest.fail(f"{program} is not built: run make tests-build")
    subprocess.run([program, "round_trip"], env={**os.environ, "PPROF_KEEP": str(path)},
                   timeout=60, check=True)
    return path


def test_gzip(profile):
    data = profile.read_bytes()
    assert data[4:8] == bytes(4)  # no time: the same calls give the same bytes
    assert b"env=test" in gzip.decompress(data)


def test_go_raw(profile):
    needs.go_at_least(1, 22)
    raw = readers.go_pprof(profile, "-raw")
    assert "\n".join(line.rstrip() for line in raw.splitlines()) + "\n" == RAW


def test_go_inlined_frames(profile):
    traces = readers.go_pprof(profile, "-traces")
    stack = ["do_syscall_64", "inlined (inline)", "ns::work(int)", "main"]
    found = [line.strip() for line in traces.splitlines()]
    at = next(i for i, line in enumerate(found) if line.endswith(stack[0]))
    assert found[at + 1:at + 4] == stack[1:]


def test_go_weights(profile):
    assert "40.40ms" in readers.go_pprof(profile, "-top")
    assert "Total samples = 4" in readers.go_pprof(profile, "-top", "-sample_index=samples")
    assert "100% |   inlined (inline)" in readers.go_pprof(profile, "-peek=work")


GO_PROGRAM = """package main

import "fmt"

//go:noinline
func outer(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += inner(i)
	}
	return
}

func inner(i int) int {
	return i*i%(i|7)%(i|3) ^ i
}

func main() {
	sum := 0
	for i := 0; i < 40; i++ {
		sum += outer(1000000)
	}
	fmt.Println(sum)
}
"""


@pytest.fixture(scope="module")
def go_program(build, tmp_path_factory):
    """A profile of a Go program by perf record; its text is at the beginning of its file."""
    needs.go_at_least(1, 21)
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO_PROGRAM)
    (folder / "go.mod").write_text("module program\ngo 1.21\n")
    run.run(["go", "build", "-o", "program", "."], cwd=folder).ok()
    run.run([needs.perf(), "record", "-q", "-g", "-e", "cpu-clock:u", "-o", folder / "perf.data",
             folder / "program"]).ok()
    run.run([build / "pa2pprof", "-o", folder / "default.pgo", folder / "perf.data"]).ok()
    return folder


def test_lines_of_addresses(go_program):
    text = readers.go_pprof(go_program / "default.pgo", "-raw")
    inlined = r"main\.inner \S+/main\.go:14:0 s=13\n +main\.outer \S+/main\.go:8:0 s=6"
    assert re.search(inlined, text), text


def test_code_at_the_beginning_of_its_file(go_program):
    """go tool pprof finds the instructions."""
    text = readers.go_pprof(go_program / "default.pgo", "-disasm=main.outer")
    assert re.search(r"^ +[\d.]+[mu]?s .*main\.go:\d+$", text, re.M), text


def test_profile_guided_build(go_program):
    """The compiler finds the hot call: it says where."""
    result = run.run(["go", "build", "-pgo=default.pgo", "-gcflags=-d=pgodebug=1", "-o", "again",
                      "."], cwd=go_program, timeout=300)
    assert result.status == 0, result
    assert "hot-node enabled" in result.err + result.out, result
