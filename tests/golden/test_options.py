# SPDX-License-Identifier: GPL-2.0-only
"""Options of pa2folded and pa2pprof: what is kept, what a line shows, several events, several
inputs."""
import importlib.util
import re
import struct

import pytest

from harness import forge, needs, readers, run


def folded(tool, *args):
    return run.run([tool("pa2folded"), *args]).ok().out.splitlines()


def weight(lines):
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.fixture
def make(top):
    """The module that writes the golden inputs."""
    path = top / "tests" / "golden" / "make_perfdata.py"
    spec = importlib.util.spec_from_file_location("make_perfdata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def basic(top):
    return top / "tests" / "golden" / "pa2folded" / "basic" / "perf.data"


@pytest.fixture
def two_events(top):
    return top / "tests" / "golden" / "pa2folded" / "two-events" / "perf.data"


@pytest.mark.parametrize("args,lines", [
    (["--pid", "200"], ["my_app;main;(anonymous namespace)::leaf<a:b> 1",
                        "other;[other];[other] 1"]),
    (["--pid", "200-300", "--pid", "7"], [":300;[unknown] 1",
                                          "my_app;main;(anonymous namespace)::leaf<a:b> 1",
                                          "other;[other];[other] 1"]),
    (["--tid", "101"], ["wor:ker;main;ns::work;do_thing;copy_page 1"]),
    (["--comm", "other,wor;ker"], ["other;[other];[other] 1",
                                   "wor:ker;main;ns::work;do_thing;copy_page 1"]),
    (["--time", "0.00000018,"], [":300;[unknown] 1", "other;[other];[other] 1"]),
    (["--time", ",0.0000001"], ["my_app;main;ns::work;(anonymous namespace)::leaf<a:b> 1"]),
    (["--cpu", "0", "--pid", "300"], [":300;[unknown] 1"]),
])
def test_filters(tool, basic, args, lines):
    assert folded(tool, *args, basic) == lines


def test_nothing_passes(tool, basic):
    result = run.run([tool("pa2folded"), "--cpu", "1-9", basic])
    assert (result.status, result.out) == (0, "")
    assert "no sample passes the filters" in result.err


@pytest.mark.parametrize("args,expected", [
    (["-K"], "wor:ker;do_thing;copy_page 1"),
    (["--kernel-only"], "wor:ker;do_thing;copy_page 1"),
    (["-U"], "wor:ker;main;ns::work 1"),
    (["--user-only", "-d"], "wor:ker;main;ns::work 1"),
    (["-d"], "wor:ker;main;ns::work;-;do_thing;copy_page 1"),
    (["-a"], "wor:ker;main;ns::work;do_thing_[k];copy_page_[k] 1"),
    (["-a", "-d", "--with-pid"], "wor:ker-100;main;ns::work;-;do_thing_[k];copy_page_[k] 1"),
    (["--with-tid"], "wor:ker-100/101;main;ns::work;do_thing;copy_page 1"),
    (["--root", "pid"], "100;main;ns::work;do_thing;copy_page 1"),
    (["--root=tid"], "101;main;ns::work;do_thing;copy_page 1"),
    (["--root=none"], "main;ns::work;do_thing;copy_page 1"),
    (["-p"], "wor:ker;main;ns::work;do_thing;copy_page 10101010"),
])
def test_what_a_line_shows(tool, basic, args, expected):
    lines = folded(tool, *args, "--tid", "101", basic)
    assert lines == [expected]
    if "-p" not in args:
        assert weight(folded(tool, *args, basic)) == 8


def test_jit_and_addresses(tool, basic):
    assert "my_app;main;py::run_[j] 1" in folded(tool, "-a", basic)
    lines = folded(tool, "--addresses", basic)
    assert "my_app;main;[unknown <1234>];[app <1f00>] 1" in lines
    assert "other;[other <1015>];[other <1230>] 1" in lines


def test_several_inputs_add_up(tool, basic, two_events):
    lines = folded(tool, basic, basic, two_events)
    assert weight(lines) == 18
    assert "my_app;main;ns::work;(anonymous namespace)::leaf<a:b> 4" in lines


def test_conflicts(tool, basic):
    assert run.run([tool("pa2folded"), "-K", "-U", basic]).status == 2
    assert run.run([tool("pa2folded"), "--root", "x", basic]).status == 2
    assert run.run([tool("pa2pprof"), "--labels", "pid,x", "-o", "/dev/null", basic]).status == 2


def raw(tool, tmp_path, *args):
    needs.go_at_least(1, 22)
    out = tmp_path / "raw.pb.gz"
    run.run([tool("pa2pprof"), "-o", out, *args]).ok()
    return readers.go_pprof(out, "-raw")


def test_several_events_are_several_types(tool, two_events, tmp_path):
    text = raw(tool, tmp_path, "--addresses", two_events)
    assert ("cpu-clock_samples/count cpu-clock/nanoseconds[dflt] page-faults_samples/count "
            "page-faults/count") in text
    assert re.search(r"^ +0 +0 +1 +1: ", text, re.M)
    assert re.search(r"^ +2 +20202020 +0 +0: ", text, re.M)
    # without a map, the places of all three are one
    assert re.search(r"^ +2 +20202020 +1 +1: ", raw(tool, tmp_path, two_events), re.M)


def test_same_place_of_several_events_is_one_sample(tool, make, tmp_path):
    chain = [make.USER, 0x1000]
    records = [make.comm(1, 1, "app", 1), make.sample(1, 1, 2, chain),
               make.sample(1, 1, 3, chain, event=2, period=7)]
    attrs = [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99), make.attr(make.SOFTWARE, 2, 99)]
    (tmp_path / "in").write_bytes(make.perf_data(records, attrs))
    text = raw(tool, tmp_path, tmp_path / "in")
    assert re.search(r"^ +1 +10101010 +1 +7: 1 *$", text, re.M), text


def test_default_type_and_labels(tool, basic, two_events, tmp_path):
    text = raw(tool, tmp_path, "--default-sample-type", "page-faults", two_events)
    assert "page-faults/count[dflt]" in text
    wrong = run.run([tool("pa2pprof"), "--default-sample-type", "x", "-o", tmp_path / "none",
                     two_events])
    assert wrong.status == 1 and not (tmp_path / "none").exists()
    assert wrong.err.count("\n") == 1
    assert ('no sample type "x": there are cpu-clock_samples, cpu-clock, page-faults_samples, '
            "page-faults") in wrong.err
    text = raw(tool, tmp_path, "--labels", "comm", basic)
    assert "comm:[my app]" in text and "pid:" not in text and "tid:" not in text
    assert "comm:" not in raw(tool, tmp_path, "--labels=none", basic)


def test_merged_profile(tool, basic, tmp_path):
    once, twice = raw(tool, tmp_path, basic), raw(tool, tmp_path, basic, basic)
    for part in "Locations\n", "Mappings\n":
        assert once.split(part)[1] == twice.split(part)[1]
    values = [re.findall(r"^ +(\d+) +(\d+): ", text, re.M) for text in (once, twice)]
    assert [(2 * int(a), 2 * int(b)) for a, b in values[0]] == [
        (int(a), int(b)) for a, b in values[1]]
    assert "Duration: 4s" in twice
    assert twice.count("Comment: env=test") == 1


def test_branches_that_are_calls(tool, make, tmp_path):
    """perf record --call-graph lbr: the user's part of the stack is in the branch records."""
    call_stack, branch_stack = 1 << 11, 1 << 11
    plain = bytearray(make.attr(make.SOFTWARE, make.CPU_CLOCK, 99))
    struct.pack_into("<Q", plain, 24, make.SAMPLE_TYPE | branch_stack)
    struct.pack_into("<Q", plain, 72, call_stack)
    body = make.sample(100, 100, 20, [make.KERNEL, 2**64 - 4096 * 9, make.USER, 0x401230])[8:]
    body += struct.pack("<Q", 2)
    body += struct.pack("<6Q", 0x401120, 0x401230, 0, 0x401010, 0x401100, 0)
    records = [make.comm(100, 100, "app", 1),
               make.mmap2(100, 0x401000, 0x1000, 0x1000, "/golden/app", 11, make.BUILD_ID),
               make.record(9, 1, body)]
    symbols = [make.symbol(0x1010, "main"), make.symbol(0x1120, "work"),
               make.symbol(0x1230, "leaf")]
    images = [make.image(make.FILE_KIND, "/golden/app", symbols, build_id=make.BUILD_ID)]
    (tmp_path / "in").write_bytes(make.perf_data(records, [bytes(plain)], images))
    assert folded(tool, "-U", tmp_path / "in") == ["app;main;work;leaf 1"]


def test_throttling_is_said(tool, make, tmp_path):
    records = [make.comm(1, 1, "app", 1), make.sample(1, 1, 2, [make.USER, 0x1000]),
               make.record(5, 0, struct.pack("<QQQ", 3, 1, 1) + make.trailer(1, 1, 3))]
    (tmp_path / "in").write_bytes(
        make.perf_data(records, [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]))
    result = run.run([tool("pa2folded"), tmp_path / "in"]).ok()
    assert "throttled sampling 1 times" in result.err


@pytest.mark.parametrize("order", ["<", ">"])
def test_group_of_which_the_leader_is_sampled(tool, tmp_path, order):
    """perf record -e '{cpu-clock,page-faults}:S': each counts with what it has grown by."""
    f = forge.Forge(order)
    kind = forge.COMMON | forge.READ
    attrs = [f.attr(sample_type=kind, read_format=31), f.attr(sample_type=kind, read_format=31,
                                                              config=2)]

    def sample(time, clock, faults):
        body = f.u64s(11, 0x401010) + f.pack("IIQIIQ", 7, 7, time, 0, 0, 99)
        return f.record(9, 2, body + f.u64s(2, 60, 61, clock, 11, 0, faults, 22, 0) +
                        f.u64s(2, forge.USER, 0x401010))

    (tmp_path / "in").write_bytes(f.file([sample(1, 100, 0), sample(2, 250, 5),
                                          sample(3, 250, 5), sample(4, 300, 9)], attrs, (11, 22),
                                         features={5: f.string("6.1")})[0])
    assert weight(folded(tool, tmp_path / "in")) == 4
    assert weight(folded(tool, "-p", tmp_path / "in")) == 300
    assert weight(folded(tool, "--event", "page-faults", tmp_path / "in")) == 2
    assert weight(folded(tool, "--event", "page-faults", "-p", tmp_path / "in")) == 9


@pytest.mark.parametrize("read_format, values", [(0, ()), (4, (11,)), (7, (60, 61, 11))])
def test_value_of_one_counter(tool, tmp_path, read_format, values):
    f = forge.Forge()
    attr = f.attr(sample_type=forge.COMMON | forge.READ, read_format=read_format)
    records = []
    for value in 100, 250, 7, 9:  # 7: it was reset
        body = f.u64s(11, 0x401010) + f.pack("IIQIIQ", 7, 7, value, 0, 0, 99)
        records.append(f.record(9, 2, body + f.u64s(value, *values, 0)))
    (tmp_path / "in").write_bytes(f.file(records, [attr], (11,))[0])
    assert weight(folded(tool, tmp_path / "in")) == 4
    assert weight(folded(tool, "-p", tmp_path / "in")) == 252


def tracing_data():
    """Of one tracepoint, t:e with a number and a text."""
    fields = "".join(f"\tfield:{decl};\toffset:{at};\tsize:{size};\tsigned:{signed};\n"
                     for decl, at, size, signed in (("int n", 0, 4, 1), ("char s[4]", 4, 4, 0)))
    text = f"name: e\nID: 314\nformat:\n{fields}\nprint fmt: \"\"\n".encode()
    data = b"\x17\x08\x44tracing6.1\0\0\x08" + struct.pack("<I", 4096)
    data += b"header_page\0" + bytes(8) + b"header_event\0" + bytes(8)
    data += struct.pack("<II", 0, 1) + b"t\0" + struct.pack("<IQ", 1, len(text)) + text
    return data + bytes(4 + 4 + 8)


def test_labels_are_frames(tool, tmp_path):
    f = forge.Forge()
    kind = forge.IDENTIFIER | forge.IP | forge.TID | forge.TIME | forge.CPU | forge.PERIOD
    attr = f.attr(sample_type=kind | forge.RAW, kind=2, config=314)
    records = []
    for i, (number, text) in enumerate([(-1, b"a;\0\0"), (-1, b"a;\0\0"), (2, b"b c\0")]):
        body = f.u64s(11, 0x401010) + f.pack("IIQIIQ", 7, 7, i, 0, 0, 1)
        records.append(f.record(9, 2, body + f.pack("Ii", 12, number) + text + bytes(4)))
    (tmp_path / "in").write_bytes(f.file(records, [attr], (11,), {1: tracing_data()})[0])
    labels = ["--label-field", "n", "--label-field", "s", tmp_path / "in"]
    assert folded(tool, *labels) == [":7;n=-1;s=a:;[unknown] 2", ":7;n=2;s=b c;[unknown] 1"]
    svg = run.run([tool("pa2flame"), *labels]).ok().out
    for name, level in ("n=-1", 2), ("s=a;", 3), ("n=2", 2), ("s=b c", 3):
        assert re.search(rf'data-f="\d+ \d+ {level}"><title>{name}$', svg, re.M), name


def test_periods_of_a_flame_graph(tool, basic):
    weights = [weight(folded(tool, *args, basic)) for args in ([], ["-p"])]
    svgs = [run.run([tool("pa2flame"), *args, basic]).ok().out for args in ([], ["-p"])]
    for svg, number, unit in zip(svgs, weights, ("samples", "of period")):
        assert re.search(rf"<title>all\n{number:,} {unit}, 100", svg), (number, unit)
    assert run.run([tool("pa2flame"), "-p", "--folded", basic]).status == 2


def test_very_many_tags(tool, make, tmp_path):
    """A file may claim any number: each costs the same."""
    tags = [f"{number}=" for number in range(200000)]
    attrs = [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]
    (tmp_path / "in").write_bytes(make.perf_data([make.comm(1, 1, "app", 1)], attrs, tags=tags))
    run.run([tool("pa2pprof"), "-o", tmp_path / "out", *[tmp_path / "in"] * 2], timeout=20).ok()


def test_cpus_that_were_not_recorded(tool, tmp_path):
    """perf record without -a does not: CPU 0 is none of them."""
    f = forge.Forge()
    kind = forge.IDENTIFIER | forge.IP | forge.TID | forge.TIME
    sample = f.record(9, 2, f.u64s(11, 0x401010) + f.pack("IIQ", 7, 7, 5))
    (tmp_path / "in").write_bytes(f.file([sample], [f.attr(sample_type=kind)], (11,))[0])
    assert weight(folded(tool, tmp_path / "in")) == 1
    result = run.run([tool("pa2folded"), "--cpu", "0", tmp_path / "in"]).ok()
    assert not result.out and "without their CPU" in result.err
