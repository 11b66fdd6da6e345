# SPDX-License-Identifier: GPL-2.0-only
"""Generated code that a jitdump describes: the same names as perf inject --jit finds."""
import collections
import re
import shutil

import pytest

from harness import needs, readers, run

FIB_JS = """\
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
const end = Date.now() + 1500;
let sum = 0;
while (Date.now() < end) sum += fib(20);
console.log(sum);
"""


def perf_record(tmp_path, argv):
    run.run([needs.perf(), "record", "-q", "-k", "1", "-e", "cpu-clock", "-F", "499", "-g",
             "-o", "plain.data", *argv], timeout=60, cwd=tmp_path).ok()
    return tmp_path / "plain.data"


def inject(tmp_path, data):
    run.run([needs.perf(), "inject", "--jit", "-i", data, "-o", "injected.data"], timeout=120,
            cwd=tmp_path).ok()
    return tmp_path / "injected.data"


def leaves(tool, data):
    """Samples by leaf function."""
    result = run.run([tool("pa2folded"), data], timeout=120)
    assert result.status == 0, str(result)
    counts = collections.Counter()
    for stack, cnt in readers.folded(result.out).items():
        counts[stack[-1]] += cnt
    return counts


def perf_leaves(data):
    """The same by perf, names of generated code only, as perf writes them."""
    text = run.run([needs.perf(), "script", "-i", data, "-F", "ip,sym,dso", "--no-inline"],
                   timeout=120).ok().out
    counts = collections.Counter()
    for sample in text.split("\n\n"):
        found = re.match(r"\s*[0-9a-f]+ (.*) \((.*)\)$", sample.strip("\n").split("\n")[0])
        if found and re.search(r"jitted-\d+-\d+\.so$", found[2]):
            counts[found[1]] += 1
    return counts


def test_names_are_those_of_perf_inject(tmp_path, workload, tool):
    data = perf_record(tmp_path, [workload("jitdumper"), "--seconds", "1"])
    ours = leaves(tool, data)
    assert min(ours["jitd_first"], ours["jitd_second"]) > 100
    injected = inject(tmp_path, data)
    theirs = perf_leaves(injected)
    assert sum(theirs.values()) > 200
    for name in ("jitd_first", "jitd_second"):
        assert ours[name] == theirs[name]
    # what perf wrote are ELF files, named without the dump
    for dump in tmp_path.glob("jit-*.dump"):
        dump.unlink()
    assert leaves(tool, injected) == ours
    assert not any(name.startswith("jitd") for name in leaves(tool, data))


def test_captured_with_its_dump_gone(profile, workload, tool):
    capture = profile("--sample-rate", "499", "--", workload("jitdumper"), "--seconds", "1")
    for dump in capture.data.parent.glob("jit-*.dump"):
        dump.unlink()
    named = {stack[-1] for stack in capture.weights()}
    assert {"jitd_first", "jitd_second"} <= named
    # saved in the file: later conversions name the same
    ours = leaves(tool, capture.data)
    assert min(ours["jitd_first"], ours["jitd_second"]) > 100
    assert "/src/second.jit" in readers.go_pprof(capture.pprof, "-raw")


def test_node(tmp_path, tool):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is missing")
    (tmp_path / "fib.js").write_text(FIB_JS)
    probe = run.run([node, "--perf-prof", "-e", "0"], cwd=tmp_path)
    if probe.status or not list(tmp_path.glob("jit-*.dump")):
        pytest.skip("this node has no --perf-prof")
    data = perf_record(tmp_path, [node, "--perf-prof", "fib.js"])
    ours = leaves(tool, data)
    theirs = perf_leaves(inject(tmp_path, data))
    # "JS:*fib /path/fib.js:1:13"; what is not a function of its own is "JS:* /path/fib.js:1:1"
    hot = sum(cnt for name, cnt in theirs.items() if re.match(r"\S*\bfib ", name))
    assert hot > 100
    assert sum(cnt for name, cnt in ours.items() if re.search(r"\bfib$", name)) == hot


def test_java(tmp_path, tool):
    java, agent = shutil.which("java"), None
    for name in ("/usr/lib/libperf-jvmti.so", "/usr/lib/linux-tools/libperf-jvmti.so"):
        agent = agent or shutil.which(name, mode=0)
    if not java or not agent:
        pytest.skip("java or perf's libperf-jvmti.so is missing")
    (tmp_path / "Fib.java").write_text(
        "class Fib { static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\n"
        "public static void main(String[] a) { int x = 0;\n"
        "for (int i = 0; i < 200; i++) x += fib(27); System.out.println(x); } }\n")
    data = perf_record(tmp_path, ["env", f"JITDUMPDIR={tmp_path}", java, f"-agentpath:{agent}",
                                  "Fib.java"])
    assert any("fib" in name for name in leaves(tool, data))
