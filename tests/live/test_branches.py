# SPDX-License-Identifier: GPL-2.0-only
"""Branch stacks: recorded where the PMU has them, in the layout that perf reads. Where it has none,
perf-agent says so, and branchagent, which makes branches up, shows what becomes of them."""
import collections
import re

import pytest

from harness import needs, readers, run

BRANCH = re.compile(r"0x([0-9a-f]+)/0x([0-9a-f]+)/([MPX-])/")


def made_up(sample):
    """tests/tools/branches.bpf.c: from ip - 16 i, 8 back, every other one mispredicted."""
    return [(sample.ip - 16 * i, sample.ip - 16 * i - 8, i & 1)
            for i in range(len(sample.branches))]


@pytest.fixture
def emulated(start, tool):
    """emulated(*options): a capture of branchagent's"""
    def call(*options):
        return start("--branch-stack", "--event", "cpu-clock", "--sample-rate", "999", *options,
                     program=tool("tests/tools/branchagent")).end()
    return call


@pytest.mark.parametrize("options", [(), ("--event", "cpu-clock"), ("-a",)])
def test_refused_without_such_a_pmu(start, workload, options):
    if needs.has_branch_stacks():
        pytest.skip("this PMU records branches")
    target = [] if "-a" in options else ["--", workload("fixedgraph"), "--seconds", "9"]
    capture = start("--branch-stack", "--duration", "1s", *options, *target).end(status=1)
    assert "--branch-stack: this machine's PMU records no branches" in capture.result.err
    assert not capture.pprof.exists()


def test_recorded(start, workload):
    """What was executed between two branches lies between them, in that order."""
    if not needs.has_branch_stacks():
        pytest.skip("no PMU that records branches (/sys/bus/event_source/devices/*/caps/branches)")
    capture = start("--branch-stack", "--event", "cycles:u", "--",
                    workload("fixedgraph"), "--seconds", "2").end()
    pairs = backwards = 0
    for sample in capture.file.samples(has_branches=True):
        for (source, _, _), (_, target, _) in zip(sample.branches, sample.branches[1:]):
            pairs += 1
            backwards += source < target
    assert pairs > 100 and backwards <= pairs / 100


@pytest.mark.parametrize("unwind", ["auto", "fp"])
def test_every_sample_has_its_own(emulated, workload, unwind):
    """Those, too, whose stacks user space walked; with an empty one where there was none."""
    capture = emulated("--unwind", unwind, "--", workload("hardstacks-nofp"), "--seconds", "2")
    lengths = collections.Counter()
    for sample in capture.file.samples(has_branches=True):
        assert sample.branches == made_up(sample)
        lengths[len(sample.branches)] += 1
    assert capture.summary()[0] == sum(lengths.values()) > 500
    assert set(lengths) == set(range(40))


def test_perf_reads_them(emulated, workload):
    capture = emulated("--", workload("fixedgraph"), "--seconds", "2")
    shown = [[(int(source, 16), int(target, 16)) for source, target, _ in BRANCH.findall(line)]
             for line in capture.perf("script", "-F", "brstack").splitlines() if "/" in line]
    written = [[pair[:2] for pair in sample.branches] for sample in
               sorted(capture.file.samples(has_branches=True), key=lambda one: one.time_ns)]
    assert shown == [pairs for pairs in written if pairs]
    assert "Source Symbol" in capture.perf("report", "--stdio") # its mode for branches
    assert "heavy" in capture.perf("report", "--stdio", "--no-branch-stack", "--children")


def test_stacks_are_what_they_were(emulated, workload):
    """Of both files, the branches have no part in the profile."""
    capture = emulated("--", workload("fixedgraph"), "--seconds", "2")
    in_file, in_pprof = capture.folded(), capture.weights()
    assert sum(in_file.values()) == sum(in_pprof.values()) == capture.summary()[0]
    for stacks in (in_file, in_pprof):
        assert readers.share(stacks, "heavy") == pytest.approx(0.6, abs=0.1)


def test_converter_takes_them(emulated, workload):
    capture = emulated("--", workload("fixedgraph"), "--seconds", "2")
    out = capture.data.with_suffix(".txt")
    said = run.run([capture.tool("pa2autofdo"), capture.data, "--binary", workload("fixedgraph"),
                    "--format", "unsymbolized", "-o", out]).ok()
    assert "counted by the branches that were recorded" in said.err
    text = out.read_text()
    hits = [int(cnt) for cnt in re.findall(r"^\w+-\w+:(\d+)$", text, re.M)]
    assert int(text.split()[0]) == len(hits) > 10 and sum(hits) > 10 * capture.summary()[0]
