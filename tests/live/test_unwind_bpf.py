# SPDX-License-Identifier: GPL-2.0-only
"""The BPF walker's chains are those of libdw, pc by pc: unwindcheck compares each sample's."""
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from harness import needs, run

SECONDS = 1.5
SAMPLES_MIN = 100  # a machine that is busy gives no more

PYTHON = """
import json, re, time
end = time.time() + 30
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
while time.time() < end:
    fib(14)
    json.loads(json.dumps([{"a": i, "b": [1, 2, 3]} for i in range(100)]))
    re.sub(r"(\\w+) (\\w+)", r"\\2 \\1", "hello world " * 100)
    sorted(str(i) for i in range(500))
"""
SQL = """
with recursive x(i) as (select 1 union all select i + 1 from x where i < 100000000)
select count(*), max(hex(i * 7919 % 104729)) from x where hex(i) like '%A%';
"""
CXX = """
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>
"""
CXX_FUNCTION = """
int f%d() {
	std::map<std::string, std::vector<std::function<int(int)>>> m;
	std::vector<int> v;
	std::sort(v.begin(), v.end(), [](int a, int b) { return a > b + %d; });
	return m.size() + std::regex_match("abcd", std::regex("a(b|c)*d%d"));
}
"""


class Counts(dict):
    """The "key value" lines of unwindcheck; differences are in text."""

    def __init__(self, result):
        super().__init__()
        self.text = str(result)
        for key, value in re.findall(r"^([a-z]\w*) ([\d.]+)$", result.out, re.M):
            self[key] = float(value)

    def check(self, unfinished_max=0.1):
        """What is asked of every program; what is wrong is never for a busy machine's sake."""
        if self.get("identical_percent", 100) < 99.5 or \
                self["blind_identical"] < 0.995 * self["blind"]:
            pytest.fail(self.text)
        assert self["samples"] >= SAMPLES_MIN, self.text
        assert self["libdw_unfinished"] <= unfinished_max * self["samples"], self.text
        assert self.get("end_no_process", 0) == 0, self.text
        return self


@pytest.fixture
def check(build, spawn):
    """check(argv, *options): a program that runs on, its stacks compared. @return Counts"""
    def check_one(argv, *options, **spawn_options):
        target = spawn(argv, **spawn_options)
        time.sleep(0.7)  # its libraries are loaded
        return Counts(run.run([build / "tests" / "tools" / "unwindcheck", "-s", SECONDS,
                               "-f", 1999, *options, target.pid], timeout=120).ok())
    return check_one


@pytest.mark.parametrize("name", ["hardstacks", "hardstacks-nofp", "fixedgraph", "depth22-nofp",
                                  "syscaller", "jitter"])
def test_workload(check, workload, name):
    check([workload(name), "--seconds", "60"]).check()


@pytest.mark.parametrize("name", ["trapstacks", "trapstacks-nofp"])
def test_traps(check, workload, name):
    # libdw doesn't see that a coroutine's stack ends
    counts = check([workload(name), "--seconds", "60"]).check(unfinished_max=0.4)
    assert os.uname().machine != "x86_64" or counts["end_complex"] > 0, counts.text  # vfork
    whole = counts["end_complete"] + counts.get("end_complex", 0) + counts.get("end_deep", 0)
    assert whole >= 0.995 * counts["samples"], counts.text


@pytest.mark.parametrize("name", ["hardstacks", "trapstacks"])
def test_built_by_clang(check, top, tmp_path, name):
    program = tmp_path / name
    subprocess.run([needs.command("clang"), "-O2", "-fomit-frame-pointer", "-D_GNU_SOURCE",
                    "-DBURN_NO_FRAME", "-pthread", "-o", program,
                    top / "tests" / "workloads" / f"{name}.c"], check=True)
    check([program, "--seconds", "60"]).check(unfinished_max=0.4)


def test_directory(check, workload):
    """A process with more mappings than a block holds: one in each block here."""
    counts = check([workload("hardstacks-nofp"), "--seconds", "60"], "-b", "1").check()
    assert counts["end_complete"] >= 0.99 * counts["samples"], counts.text


def test_user_mode_only(check, workload):
    check([workload("hardstacks-nofp"), "--seconds", "60"], "-e", "cpu-clock:u").check()


def test_python(check):
    check([sys.executable, "-c", PYTHON]).check()


def test_node(check):
    script = ("function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) }"
              "const end = Date.now() + 30000;"
              "while (Date.now() < end) { f(20); JSON.parse(JSON.stringify([...Array(500)])) }")
    # frames of JIT code have no CFI: libdw guesses, too
    check([needs.command("node"), "-e", script]).check()


def test_sqlite(check, tmp_path):
    script = tmp_path / "script.sql"
    script.write_text(SQL)
    with open(script) as text:
        check([needs.command("sqlite3"), ":memory:"], stdin=text).check()


def test_openssl(check):
    """Assembly with CFI written by hand."""
    check([needs.command("openssl"), "speed", "-seconds", "5", "rsa2048", "sha256"]).check()


def test_compiler(check, tmp_path):
    source = tmp_path / "source.cpp"
    source.write_text(CXX + "".join(CXX_FUNCTION % (i, i, i) for i in range(60)))
    program = subprocess.run([needs.command("g++"), "-print-prog-name=cc1plus"], check=True,
                             capture_output=True, text=True).stdout.strip()
    if not pathlib.Path(program).exists():
        pytest.skip("g++ has no cc1plus")
    plain = source.with_suffix(".ii")
    subprocess.run(["g++", "-E", "-o", plain, source], check=True)
    check([program, "-quiet", "-O2", plain, "-o", "/dev/null"]).check()


@pytest.mark.parametrize("most, is_capped", [(1000, False), (2, True)])
def test_left_to_user_space(check, workload, most, is_capped):
    """Of a process without tables come registers and stack, as many as the cap allows."""
    counts = check([workload("hardstacks-nofp"), "--seconds", "60"], "-m", most)
    assert counts["left"] == counts["finished"] == counts["left_identical"], counts.text
    assert counts["end_no_process"] == counts["samples"] > 20, counts.text
    assert counts["bpf_no_process"] == counts["bpf_fired"], counts.text
    assert counts["bpf_missed"] + counts["bpf_capped"] == counts["bpf_fired"], counts.text
    # a busy machine may not empty the ring in time
    assert (counts["bpf_capped"] > 0.1 * counts["bpf_fired"]) == is_capped, counts.text


def hooks(build):
    """Lines of hookcheck: what -> whether it is ok; None: the hook can't be had here."""
    result = run.run([build / "tests" / "tools" / "hookcheck"])
    found = re.findall(r"^(ok|not ok|skip) ([\w-]+):", result.out, re.M)
    assert len(found) >= 3, str(result)
    return {what: {"ok": True, "not ok": False, "skip": None}[how] for how, what in found}


def test_process_hooks(build):
    found = hooks(build)
    assert found["fork"] and found["exec"]


def test_mapping_hooks(build):
    found = hooks(build)
    if found.get("mmap", True) is None:
        pytest.skip("this kernel lets no program attach to functions (fentry)")
    assert all(found.values()), found
