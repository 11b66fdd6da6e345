# SPDX-License-Identifier: GPL-2.0-only
"""Call chains from copied stacks (perf record --call-graph dwarf) are those of perf script."""
import collections
import os
import re

import pytest

from harness import needs, readers, run


@pytest.fixture
def record(workload, tmp_path):
    """record("fixedgraph-nofp"): samples of a workload in user mode, with copied stacks."""
    def start(name, *arguments):
        data = tmp_path / "dwarf.data"
        run.run([needs.perf(), "record", "-q", "-o", data, "--sample-cpu", "-e", "cpu-clock:u",
                 "-F", "499", "--call-graph", "dwarf,16384", "--", workload(name),
                 "--seconds", "2", *arguments], timeout=60).ok()
        return data
    return start


def plain(name):
    """A function of several names, or of a version, under one; perf has no name for the last."""
    name = re.sub(r"@@?[A-Z]+_[\w.]+", "", name)
    name = re.sub(r"^(__GI_)?_*(?=qsort_r|clock_gettime)", "", name)
    return "[libc.so.6]" if name == "__restore_rt" else name


def of_perf(data):
    """Chains as perf walks them, root first, with our names for what has none."""
    chains = collections.Counter()
    for sample in readers.perf_script(data, "--max-stack", "1024"):
        names = [f"[{os.path.basename(dso)}]" if name == "[unknown]" else plain(name)
                 for name, dso in zip(sample.frames, sample.dsos)]
        chains[(sample.comm, *reversed(names))] += 1
    return chains


def of_pa2folded(tool, data):
    result = run.run([tool("pa2folded"), data], timeout=60).ok()
    chains = collections.Counter()
    for stack, weight in readers.folded(result.out).items():
        chains[tuple(map(plain, stack))] += weight
    return chains, result.err


def share(ours, theirs):
    """Of the samples, how many have the same chain."""
    assert sum(ours.values()) == sum(theirs.values()) > 200
    return sum((ours & theirs).values()) / sum(ours.values())


def test_fixed_graph(record, tool):
    data = record("fixedgraph-nofp")
    ours, said = of_pa2folded(tool, data)
    assert share(ours, of_perf(data)) >= 0.99
    whole = [chain for chain in ours.elements()
             if chain[1] == "_start" and chain[-5:-2] == ("main", "run", "work")]
    assert len(whole) > 0.95 * sum(ours.values())
    assert said == ""


def test_hard_stacks(record, tool):
    data = record("hardstacks-nofp")
    ours, _ = of_pa2folded(tool, data)
    theirs = of_perf(data)
    assert share(ours, theirs) >= 0.99, (ours - theirs, theirs - ours)
    seen = {name for chain in ours for name in chain}
    assert {"aligned", "compare", "recurse", "[libc.so.6]", "in_handler", "clone3"} <= seen
    through = [chain for chain in ours if "in_handler" in chain and "round_trip" in chain]
    assert through, "no walk came through a signal's frame"
    assert all(chain.index("round_trip") < chain.index("in_handler") for chain in through)


def test_stream(workload, tool, tmp_path):
    """A stream, which says where it is from in its records, is walked as a file is."""
    data = tmp_path / "stream"
    with open(data, "wb") as out:
        run.run([needs.perf(), "record", "-q", "-o", "-", "--sample-cpu", "-e", "cpu-clock:u",
                 "-F", "499", "--call-graph", "dwarf,16384", "--", workload("hardstacks-nofp"),
                 "--seconds", "2"], timeout=60, stdout=out).ok()
    with open(data, "rb") as stream:
        result = run.run([tool("pa2folded"), "-"], timeout=60, stdin=stream).ok()
    chains = readers.folded(result.out)
    assert sum(chains.values()) > 200
    whole = [chain for chain in chains.elements()
             if {"round_trip"} <= set(chain) and {"_start", "clone3"} & set(chain)]
    assert len(whole) > 0.95 * sum(chains.values())
    assert any("__vdso_clock_gettime" in chain for chain in chains)


def test_short_copies_are_said(workload, tool, tmp_path):
    data = tmp_path / "short.data"
    run.run([needs.perf(), "record", "-q", "-o", data, "-e", "cpu-clock:u", "-F", "499",
             "--call-graph", "dwarf,1024", "--", workload("fixedgraph-nofp"), "--seconds", "1"],
            timeout=60).ok()
    ours, said = of_pa2folded(tool, data)
    assert re.search(r"(\d+) of (\d+) call chains end early: ", said), said
    assert sum(chain[1:4] == ("main", "run", "work") for chain in ours.elements()) > 100
