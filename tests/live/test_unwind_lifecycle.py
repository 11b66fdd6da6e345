# SPDX-License-Identifier: GPL-2.0-only
"""Whole stacks without frame pointers, whatever happens to processes and their mappings meanwhile:
each workload has a known answer, and no frame may be another's."""
import collections
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import needs, readers, run
from harness.busy import retried

UNWOUND = re.compile(
    r"^(\d+) user stacks, ([\d.]+)% complete \((\d+) by tables, (\d+) by frame pointers, (\d+) "
    r"finished in user space\); (\d+) truncated, (\d+) unreadable, (\d+) too deep, (\d+) without "
    r"a table(?:; tables of (\d+) images in ([\d.]+) MiB)?$", re.M)
GRAPH = ("_start", "__libc_start_main", "__libc_start_call_main", "main", "run", "work")


class Unwound:
    """What perf-agent says of the stacks of a capture."""

    def __init__(self, found):
        m = UNWOUND.search(found.result.out + found.result.err)
        assert m, str(found.result)
        self.text = m[0]
        (self.cnt, _, self.tables, self.fp, self.finished, self.truncated, self.unreadable,
         self.deep, self.without_table, self.images, _) = (float(n or 0) for n in m.groups())
        self.complete = self.tables + self.fp + self.finished


def plain(stack):
    return tuple(name.split("@")[0] for name in stack)


def user_part(stack):
    """Without the frames of the kernel, which come last."""
    names = plain(stack)
    for i, name in enumerate(names):
        if name.startswith(("entry_", "asm_", "ret_from_fork")):
            return names[:i]
    return names


def user_weights(found, frame, pid=None):
    """Weights of the user's part of the stacks with this frame."""
    weights = collections.Counter()
    for values, frames, labels in readers.rooted(found.raw):
        names = user_part(frames)
        if frame in names and pid in (None, int(labels["pid"][0])):
            weights[names] += values[0]
    return weights


def share_from(weights, *roots):
    """The share that begins with one of these functions."""
    return sum(w for s, w in weights.items() if s[0] in roots) / sum(weights.values())


def graph_stacks(weights):
    """Of the stacks that reach work: total weight, and that of those that are whole."""
    total = sum(w for s, w in weights.items() if "work" in s)
    return total, sum(w for s, w in weights.items() if s[:len(GRAPH)] == GRAPH)


@pytest.mark.parametrize("mode, share", [("auto", 1), ("dwarf", 1), ("fp", 0)])
@pytest.mark.parametrize("whom", ["pid", "command", "all"])
@retried
def test_modes(profile, spawn, workload, mode, share, whom):
    argv, pid = [workload("fixedgraph-nofp"), "--seconds", "2"], None
    options = ["--unwind", mode, "--sample-rate", "499"]
    if whom == "command":
        found = profile(*options, "--", *argv)
    else:
        argv[-1] = "20"
        pid = spawn(argv).pid
        time.sleep(0.3)
        whom = ["--pid", str(pid)] if whom == "pid" else ["-a"]
        found = profile(*options, *whom, "--duration", "2s")
    weights = user_weights(found, "burn_units", pid)
    burning = sum(weights.values())
    total, whole = graph_stacks(weights)
    assert burning > 100
    if share:
        assert total >= 0.98 * burning and whole >= 0.995 * total, Unwound(found).text
    else:
        assert whole == 0


def test_wrong_mode(agent):
    result = run.run([agent, "--profile", "-a", "--unwind", "lbr"])
    assert result.status == 2 and "--unwind lbr: not auto, fp or dwarf" in result.err


@pytest.mark.parametrize("options", [[], ["--exec"]])
@pytest.mark.parametrize("seconds", [2, pytest.param(40, marks=pytest.mark.full)])
@retried
def test_short_lives(profile, workload, options, seconds):
    """Processes that live for 20 ms, 1000 of them in full: from their first sample on."""
    found = profile("--sample-rate", "999", "--", workload("churn"), *options, "--seconds",
                    str(seconds), timeout=120)
    unwound = Unwound(found)
    assert unwound.finished > 0
    lives = user_weights(found, "short_life")
    assert sum(lives.values()) > 50 and share_from(lives, "_start") >= 0.99, unwound.text
    if seconds > 10:
        assert found.summary()[3] > 1000


@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.full)])
@retried
def test_one_place_in_turns(profile, workload, rounds):
    """Two libraries at one address: of every stack either the right frames, or none."""
    found = profile("--sample-rate", "4999", "--", workload("dlswap"), "--seconds",
                    "60", "--rounds", str(rounds))
    rounds, same = map(int, re.search(r"(\d+) rounds, (\d+) at one place",
                                      found.result.out).groups())
    assert same > rounds / 2
    seen = 0
    for stack in map(user_part, found.weights()):
        inside = [i for i, name in enumerate(stack) if name in ("inner_a", "inner_b")]
        if not inside:
            if {"outer_a", "outer_b"} & set(stack) and "callback" in stack:
                pytest.fail(f"frames left out: {stack}") # which no second try excuses
            continue
        seen += 1
        callers = ("_start", "__libc_start_main", "__libc_start_call_main", "main", "one_round",
                   "swap_entry", f"outer_{stack[inside[0]][-1]}")
        outside = stack[:inside[0]] # none where it was cut
        if len(inside) > 1 or outside != callers[len(callers) - len(outside):]:
            pytest.fail(f"frames of another place: {stack}")
    assert seen > 1


@pytest.mark.parametrize("name, frame", [("deleted", "still_running"), ("memfdrun", "lib_inner"),
                                         ("forker", "child_burn")])
@retried
def test_odd_images(profile, workload, name, frame):
    """Deleted files, memory without a name, children that don't exec."""
    found = profile("--sample-rate", "999", "--", workload(name), "--seconds", "1")
    weights = user_weights(found, frame)
    assert sum(weights.values()) > 50
    assert share_from(weights, "_start", "clone3") >= 0.98, Unwound(found).text


@retried
def test_static_pie(profile, top, tmp_path):
    """Nothing but itself is mapped, at any address."""
    program = tmp_path / "static"
    subprocess.run([needs.command("gcc"), "-O2", "-fomit-frame-pointer", "-static-pie",
                    "-D_GNU_SOURCE", "-DBURN_NO_FRAME", "-pthread", "-o", program,
                    top / "tests" / "workloads" / "fixedgraph.c"], check=True)
    found = profile("--sample-rate", "999", "--", program, "--seconds", "2")
    weights = user_weights(found, "work")
    assert sum(weights.values()) > 50 and share_from(weights, "_start") >= 0.99, \
        Unwound(found).text


@retried
def test_musl(profile, top, tmp_path):
    """Its libc ends stacks in its own way."""
    program = tmp_path / "musl"
    subprocess.run([needs.command("musl-gcc"), "-O2", "-fomit-frame-pointer", "-D_GNU_SOURCE",
                    "-DBURN_NO_FRAME", "-pthread", "-o", program,
                    top / "tests" / "workloads" / "fixedgraph.c"], check=True)
    found = profile("--sample-rate", "999", "--", program, "--seconds", "2")
    weights = found.weights()
    total = sum(w for s, w in weights.items() if "work" in s)
    whole = sum(w for s, w in weights.items()
                if "work" in s and "main" in s[:4] and not s[0].startswith("["))
    assert whole >= 0.98 * total > 100, (Unwound(found).text, weights.most_common(3))


CXX = """
#include <iostream>
#include <map>
#include <regex>
int main() {
	std::map<std::string, std::vector<std::regex>> m;
	m["x"].push_back(std::regex("a+b*"));
	std::cout << m.size();
}
"""
PYTHON = """
import json, re
rows = [{"a": i, "b": str(i) * 5} for i in range(3000)]
while True:
    json.loads(json.dumps(rows)), re.findall("[0-9]+", str(rows)[:100000])
"""
NODE = """
const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);
setInterval(() => { fib(27); JSON.stringify([...Array(100000).keys()]) }, 1);
"""
THREADS = ("clone3", "__clone", "clone", "__clone_internal")


def begins_a_thread(name):
    """aarch64's thread_start has no name in a stripped library."""
    return name in THREADS or (os.uname().machine == "aarch64" and name.startswith("0x"))


def is_whole(names):
    """From the outermost frame: of a thread, or what called libc's start function (which has no
    name in a stripped program)."""
    return names[0] == "_start" or begins_a_thread(names[0]) or \
        any(name.startswith("__libc_start_main") for name in names[:2])


@pytest.mark.parametrize("least", [0.97, pytest.param(0.995, marks=pytest.mark.full)])
@retried
def test_whole_system_at_work(profile, spawn, tmp_path, least):
    """A compiler over and over, which makes new processes all the time, and interpreters."""
    (tmp_path / "source.cpp").write_text(CXX)
    compiler = needs.command("g++")
    spawn(["sh", "-c", f"while :; do {compiler} -O2 -c source.cpp -o /dev/null; done"],
          cwd=tmp_path)
    spawn(["/usr/bin/python3", "-c", PYTHON])
    comms = ["cc1plus", "python3"]
    if shutil.which("node"):
        spawn(["node", "-e", NODE])
        comms.append("node")
    found = profile("-a", "--duration", "10s", timeout=200)
    whole, total = collections.Counter(), collections.Counter()
    for values, frames, labels in readers.rooted(found.raw):
        names = user_part(frames)
        if labels["comm"][0] in comms and names:
            total[labels["comm"][0]] += values[0]
            whole[labels["comm"][0]] += values[0] * bool(is_whole(names))
    for comm in comms:
        assert whole[comm] >= least * total[comm] > 20, (comm, whole, total, Unwound(found).text)


GO = """package main
import ("fmt"; "time")
//go:noinline
func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }
//go:noinline
func work(end time.Time) int { n := 0; for time.Now().Before(end) { n += fib(20) }; return n }
func main() { fmt.Println(work(time.Now().Add(2 * time.Second))) }
"""


@retried
def test_go(profile, tmp_path):
    """By its frame pointers, as its own runtime walks."""
    go = needs.go_that_builds()
    (tmp_path / "main.go").write_text(GO)
    subprocess.run([go, "build", "-o", tmp_path / "goprog", tmp_path / "main.go"], check=True,
                   env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GO111MODULE": "off",
                        "GOFLAGS": "-mod=mod"})
    found = profile("--sample-rate", "999", "--", tmp_path / "goprog")
    weights = {s: w for s, w in found.weights().items() if "main.fib" in s}
    whole = sum(w for s, w in weights.items()
                if plain(s)[0].startswith("runtime.goexit") and "main.main" in s)
    assert whole >= 0.98 * sum(weights.values()) > 100, Unwound(found).text


@retried
def test_many_mappings(profile, workload):
    """More than one block holds."""
    found = profile("--sample-rate", "999", "--", workload("manymaps"), "--seconds", "2")
    unwound = Unwound(found)
    assert unwound.complete >= 0.98 * unwound.cnt > 100, unwound.text


def test_without_its_first_thread(profile, spawn, workload):
    """What a process has mapped is still known when only other threads live."""
    program = spawn([workload("leaderless"), "--seconds", "600"])
    time.sleep(0.3)
    found = profile("--pid", str(program.pid), "--duration", "1s", "--sample-rate", "999")
    weights = user_weights(found, "orphan_burn", program.pid)
    whole = sum(w for stack, w in weights.items() if begins_a_thread(stack[0]))
    assert whole >= 0.99 * sum(weights.values()) > 50, Unwound(found).text


def test_memory_is_bounded(profile, spawn, workload):
    """A budget that not even one program fits into: frame pointers, said."""
    program = spawn([workload("fixedgraph-nofp"), "--seconds", "600"])
    for name in ("python3", "perl", "bash"):
        if shutil.which(name):
            spawn([name, "-c" if name != "perl" else "-e", "while 1: pass" if name == "python3"
                   else "1 while 1" if name == "perl" else "while :; do :; done"])
    found = profile("-a", "--unwind-memory", "1", "--duration", "2s", "--sample-rate", "499")
    assert program.running()
    unwound = Unwound(found)
    assert unwound.cnt > 100
    assert float(re.search(r"in ([\d.]+) MiB", unwound.text)[1]) <= 1


def test_records_are_as_before(profile, workload):
    """What is finished in user space is a sample like the others."""
    found = profile("--sample-rate", "4999", "--", workload("churn"), "--exec", "--seconds", "1")
    assert Unwound(found).finished > 0
    assert found.summary()[0] == len(found.script)
    stacks = readers.folded(found.convert("pa2folded").out)
    assert sum(stacks.values()) == len(found.script)
