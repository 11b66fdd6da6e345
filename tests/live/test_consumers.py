# SPDX-License-Identifier: GPL-2.0-only
"""Other tools read our files, completely and without a word of warning."""
import re

import pytest

from harness import needs, readers, run

NEARLY_ALL = r"(?:9\d|100)(?:\.\d+)?%"


@pytest.fixture
def graph(profile, workload):
    """A capture of fixedgraph-dwarf4, 2 s."""
    return profile("--sample-rate", "997", "--", workload("fixedgraph-dwarf4"), "--seconds", "2")


def build_id(path):
    printed = run.run([needs.command("readelf"), "-n", path]).ok().out
    return re.search(r"Build ID: ([0-9a-f]+)", printed)[1]


def test_perf(graph, workload, tmp_path):
    program = workload("fixedgraph-dwarf4")
    samples = graph.script
    assert len(samples) == graph.summary()[0] > 200
    assert {s.comm for s in samples} == {"fixedgraph-dwar"}
    assert sum("work" in s.frames for s in samples) > 0.95 * len(samples)

    report = graph.perf("report", "--stdio", "-g", "none", "--no-children")
    assert re.search(NEARLY_ALL + r"\s+fixedgraph-dwar\s+fixedgraph-dwarf4\s+\[\.\] burn_units", report)

    header = graph.perf("report", "--header-only")
    assert "event : name = cpu" in header and "cmdline : " in header
    assert "reference time: 20" in header and str(program) in header
    assert "feat offset" in header and not re.search(r"missing features:.* BUILD_ID", header)
    assert graph.file.features & 1 << 2

    ids = dict(reversed(line.split(" ", 1)) for line in graph.perf("buildid-list").splitlines())
    libc = [path for path in ids if path.endswith("/libc.so.6")][0]
    for path in (str(program), libc):
        assert ids[path] == build_id(path)
    assert "[kernel.kallsyms]" in ids

    annotated = graph.perf("annotate", "--stdio", "burn_units")
    hot = [float(n) for n in re.findall(r"^\s+(\d+\.\d+) :\s+[0-9a-f]+:", annotated, re.M)]
    assert sum(hot) == pytest.approx(100, abs=1) and max(hot) > 10

    graph.perf("inject", "-b", "-o", tmp_path / "injected.data")
    graph.data = tmp_path / "injected.data"
    assert len(graph.perf("script", "-F", "ip,sym").split("\n\n")) >= len(samples)


def test_perf_stackcollapse(graph):
    """perf's own script, which sums up stacks, agrees with pa2folded."""
    result = run.run([needs.perf(), "script", "report", "stackcollapse", "-i", graph.data],
                     env={"LC_ALL": "C"})
    if "not supported" in result.err or "Couldn't find" in result.err:
        pytest.skip("this perf has no Python scripts")
    theirs = readers.folded(result.ok().out)
    assert result.err == ""
    assert sum(theirs.values()) == graph.summary()[0]
    ours = graph.folded()
    for name in ("heavy", "medium", "light"):
        assert readers.share(theirs, name) == pytest.approx(readers.share(ours, name), abs=1e-9)


def test_hotspot(graph, tmp_path):
    out = tmp_path / "hotspot.out"
    result = run.run([needs.hotspot_perfparser(), "--input", graph.data, "--output", out]).ok()
    # The only line is what it says to files of perf record, too
    assert re.sub(r'Linux version "\S*" detected. Switching to automatic buffering.\n', "",
                  result.err) == ""
    assert out.stat().st_size > 10000
    text = out.read_bytes()
    for name in (b"burn_units", b"heavy", b"medium", b"light", b"fixedgraph-dwar"):
        assert name in text, name


def test_create_llvm_prof(graph, workload, tmp_path):
    """All leaf samples are in burn_units; its loop's lines get the counts."""
    out = tmp_path / "prof.txt"
    result = run.run([needs.create_llvm_prof(), "--use_lbr=false", "--format=text",
                      f"--binary={workload('fixedgraph-dwarf4')}", f"--profile={graph.data}",
                      f"--out={out}"]).ok()
    assert "burn_units:" in out.read_text(), result.err
    lines = out.read_text().splitlines()
    leaves = sum(s.frames[0] == "burn_units" for s in graph.script)
    assert int(re.match(r"burn_units:(\d+):", lines[0])[1]) == pytest.approx(leaves, abs=5)
    assert sum(int(n) for n in re.findall(r"^ \d+: (\d+)$", out.read_text(), re.M)) > 0.9 * leaves


def test_go_pprof(graph):
    top = readers.go_pprof(graph.pprof, "-top")
    assert top.startswith("File: fixedgraph-dwarf4\n")
    assert re.search(NEARLY_ALL + r"\s+" + NEARLY_ALL + r"\s.*burn_units$", top, re.M)
    assert re.search(NEARLY_ALL + r"\s+main$", top, re.M)
    assert graph.raw.types[:2] == ["samples/count", "cpu/nanoseconds[dflt]"]
    assert graph.raw.period == "cpu nanoseconds"
    heavy = [line for location in graph.raw.locations.values() for line in location[2]
             if line[0] == "heavy"]
    assert heavy and heavy[0][1].endswith("fixedgraph.c") and heavy[0][2] > 0


def test_go_pprof_difference(profile, workload):
    """Two equal runs differ by next to nothing."""
    one, two = [profile("--sample-rate", "1999", "--", workload("fixedgraph"), "--seconds", "2",
                        name=name) for name in ("one", "two")]
    top = readers.go_pprof(two.pprof, "-top", "-diff_base", str(one.pprof))
    found = dict(reversed(line) for line in
                 re.findall(r"(-?[\d.]+)% +(heavy|medium|light|work|main)$", top, re.M))
    for name, percent in found.items():
        assert abs(float(percent)) < 6, top
