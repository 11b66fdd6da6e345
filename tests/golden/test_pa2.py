# SPDX-License-Identifier: GPL-2.0-only
"""The pa2* commands on one input: what pprof says of it, that all outputs agree and are the same
each time, and how they fail."""
import os
import subprocess

import pytest

from harness import needs, readers, run

RAW = """\
          1   10101010: 1 2 3 
                comm:[my app]
                pid:[100] tid:[100]
          1   10101010: 4 2 3 
                comm:[my app]
                pid:[100] tid:[100]
          1   10101010: 5 6 7 3 
                comm:[wor;ker]
                pid:[100] tid:[101]
          1   10101010: 9 10 3 
                comm:[my app]
                pid:[100] tid:[100]
          1   10101010: 1 3 
                comm:[my app]
                pid:[200] tid:[200]
          1   10101010: 11 12 
                comm:[other]
                pid:[200] tid:[200]
          1   10101010: 10 
                comm:[:300]
                pid:[300] tid:[300]
          1   10101010: 8 3 
                comm:[my app]
                pid:[100] tid:[100]
Locations
     1: 0x1230 M=1 (anonymous namespace)::leaf<a;b>() /src/app.c:30:0 s=30
     2: 0x1125 M=1 ns::work(int, char const*) /src/app.c:20:0 s=20
     3: 0x1015 M=1 main /src/app.c:10:0 s=10
     4: 0x1234 M=1 (anonymous namespace)::leaf<a;b>() /src/app.c:30:0 s=30
     5: 0xffffffff81000010 M=2 copy_page :0:0 s=0
     6: 0xffffffff81000120 M=2 do_thing :0:0 s=0
     7: 0x1120 M=1 ns::work(int, char const*) /src/app.c:20:0 s=20
     8: 0x0 M=3 py::run /src/run.py:7:0 s=7
     9: 0x1f00 M=1 0x1f00 :0:0 s=0
    10: 0x0 [unknown] :0:0 s=0
    11: 0x1230 M=4 0x1230 :0:0 s=0
    12: 0x1015 M=4 0x1015 :0:0 s=0
Mappings
1: 0x1000/0x2000/0x1000 /golden/app 000102030405060708090a0b0c0d0e0f10111213 [FN][FL][LN]
2: 0x0/0x0/0x0 [kernel]  [FN]
3: 0x0/0x0/0x0 [jit]  [FN][FL][LN]
4: 0x1000/0x2000/0x1000 /golden/other (deleted)  
"""
TOOLS = ["pa2pprof", "pa2folded", "pa2flame"]


@pytest.fixture
def basic(top):
    """Path of the input."""
    return top / "tests" / "golden" / "pa2folded" / "basic" / "perf.data"


def weight(folded):
    return sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines())


def test_pprof_of_basic(tool, basic, tmp_path):
    needs.go_at_least(1, 22)
    out = tmp_path / "out.pb.gz"
    result = run.run([tool("pa2pprof"), "--tag", "who=me", "-o", out, basic])
    assert (result.status, result.out, result.err) == (0, "", ""), result
    raw = readers.go_pprof(out, "-raw")
    head, samples = raw.split("samples/count cpu/nanoseconds[dflt]\n")
    assert samples == RAW
    assert head.startswith("Comment: env=test\nComment: build=7\nComment: who=me\n")
    assert "Period: 10101010\n" in head and "Duration: 2s\n" in head
    assert "Time: 2023-11-14 22:13:20" in head


def test_totals_agree(tool, basic, tmp_path):
    folded = run.run([tool("pa2folded"), basic]).ok().out
    assert weight(folded) == 8
    flame = run.run([tool("pa2flame"), basic]).ok()
    again = tmp_path / "stacks"
    again.write_text(folded)
    from_text = run.run([tool("pa2flame"), "--folded", again]).ok()
    for svg in flame.out, from_text.out:
        assert "8 samples" in svg


def test_perf_script_counts_the_same(tool, basic):
    needs.perf()
    text = run.run(["perf", "script", "-F", "comm,event", "-i", basic]).out
    assert text.count("cpu-clock") == weight(run.run([tool("pa2folded"), basic]).out)


@pytest.mark.parametrize("name", TOOLS)
def test_same_output_each_time(tool, basic, tmp_path, name):
    outs = [tmp_path / f"out{i}" for i in range(3)]
    for out in outs:
        run.run([tool(name), "-o", out, basic]).ok()
    assert len({out.read_bytes() for out in outs}) == 1


def test_stream_gives_the_same(tool, basic):
    data = basic.read_bytes()
    result = run.run([tool("pa2folded"), "-"], stdin_bytes=data).ok()
    assert result.out == run.run([tool("pa2folded"), basic]).out


@pytest.mark.parametrize("name", TOOLS)
def test_failures(tool, basic, tmp_path, name):
    command = tool(name)
    missing = run.run([command, "-o", tmp_path / "out", tmp_path / "none"])
    assert missing.status == 1 and "/none: failed to open: No such file" in missing.err
    assert not (tmp_path / "out").exists()
    assert len(missing.err.splitlines()) == 1
    full = run.run([command, "-o", "/dev/full", basic])
    assert full.status == 1 and "/dev/full: failed to write: " in full.err
    nowhere = run.run([command, "-o", tmp_path / "no" / "out", basic])
    assert nowhere.status == 1
    for bad in ["--nonsense"], ["--pid", "x"], ["--time", "5"], ["-o", "", basic]:
        assert run.run([command, *bad]).status == 2
    assert run.run([command, "--version"]).out.startswith(name + " ")


@pytest.mark.parametrize("name", TOOLS)
def test_cut_short(tool, basic, tmp_path, name):
    data = basic.read_bytes()
    (tmp_path / "cut").write_bytes(data[:1000])
    result = run.run([tool(name), "-o", tmp_path / "out", tmp_path / "cut"])
    assert result.status == 3, result
    assert (tmp_path / "out").stat().st_size > 0
    assert "cut" in result.err


@pytest.mark.parametrize("name", TOOLS)
def test_closed_pipe_is_quiet(tool, basic, name):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        done = subprocess.run([tool(name), basic], stdout=out, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_bad_folded_line(tool):
    result = run.run([tool("pa2flame"), "--folded"], stdin_bytes=b"a;b 1\na;b\n")
    assert result.status == 1
    assert result.err == "pa2flame: standard input: failed to read: line 2 is no folded stack\n"


def test_bad_tag(tool, basic):
    assert run.run([tool("pa2pprof"), "--tag", "novalue", basic]).status == 2
