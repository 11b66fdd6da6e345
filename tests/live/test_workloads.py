# SPDX-License-Identifier: GPL-2.0-only
"""The workloads give their known answers to perf: what the other live tests rely on."""
import os

import pytest

from harness import needs, readers, run
from harness.busy import retried


def record(tmp_path, argv, *options, timeout=60):
    """Samples of a command as `perf record -g` sees them."""
    data = tmp_path / "perf.data"
    run.run([needs.perf(), "record", "-q", "-N", "-g", "--sample-cpu", "-F", "997",
             "-e", "cpu-clock:u", "-o", data, *options, "--", *argv],
            timeout=timeout, cwd=tmp_path).ok()
    return readers.perf_script(data)


def stacks(samples):
    """Root-first stacks with their number of samples."""
    found = readers.collections.Counter()
    for sample in samples:
        found[tuple(reversed(sample.frames))] += 1
    return found


def test_fixedgraph_shares(tmp_path, workload):
    found = stacks(record(tmp_path, [workload("fixedgraph"), "--seconds", "2"]))
    assert readers.share(found, "work") > 0.98
    for name, share in (("heavy", 0.6), ("medium", 0.3), ("light", 0.1)):
        assert readers.share(found, name, of="work") == pytest.approx(share, abs=0.04), name
    assert any(s[-5:] == ("main", "run", "work", "heavy", "burn_units") for s in found)


def test_fixedgraph_threads_and_depth(tmp_path, workload):
    samples = record(tmp_path, [workload("fixedgraph"), "--seconds", "1", "--threads", "3",
                                "--prctl", "--depth", "20"])
    assert {"graph-1", "graph-2", "graph-3"} <= {s.comm for s in samples}
    assert max(s.frames.count("descend") for s in samples) == 20


def test_depth22_windows_and_frames(tmp_path, workload):
    printed = run.run([workload("depth22"), "--seconds", "1"]).ok().out.split()
    assert 8 <= len(printed) <= 11 and all(int(n) > 0 for n in printed)
    samples = record(tmp_path, [workload("depth22"), "--seconds", "1"])
    deep = ["leaf"] + [f"d{i:02d}" for i in range(1, 18)] + ["main"]
    assert sum(s.frames[:19] == deep or s.frames[1:20] == deep for s in samples) \
        > 0.9 * len(samples)


@pytest.mark.parametrize("name, options, expected", [
    ("execer", ["--delay", "0.5"], ["before_exec", "after_exec"]),
    ("forker", ["--children", "3"], ["child_burn"]),
    ("dlopener", ["--delay", "0.5"], ["before_dlopen", "lib_entry", "lib_inner"]),
    ("renamer", [], ["first_half", "second_half"]),
    ("syscaller", [], ["in_read", "in_getppid"]),
    ("jitter", ["--keep-map"], ["run_jit", "jit_outer", "jit_inner"]),
    ("memfdrun", [], ["main"]),
    ("deleted", [], []),
    ("manymaps", ["--maps", "3000"], ["amid_maps"]),
    ("churn", ["--exec"], ["short_life"]),
    ("fixedgraph-dwarf4", [], ["heavy"]),
    ("fixedgraph-nofp", [], ["burn_units"]),
    ("cxxnames", [], ["shapes::Grid<double>::fill", "(anonymous namespace)::hidden"]),
])
@retried
def test_runs_and_burns(tmp_path, workload, name, options, expected):
    samples = record(tmp_path, [workload(name), "--seconds", "1", *options])
    assert len(samples) > 80
    frames = {frame for sample in samples for frame in sample.frames}
    for wanted in expected:
        assert any(frame.startswith(wanted) for frame in frames), (wanted, frames)
    if "--keep-map" in options:
        os.unlink(f"/tmp/perf-{samples[-1].pid}.map")


def test_renamer_names(tmp_path, workload):
    samples = record(tmp_path, [workload("renamer"), "--seconds", "1"])
    for sample in samples:
        for name, half in (("old", "first_half"), ("new", "second_half")):
            if half in sample.frames:
                assert sample.comm.startswith(name)


def test_sleeper_starts_children_that_sleep(spawn, workload):
    sleeper = spawn([workload("sleeper"), "--seconds", "20", "--count", "25"])
    sleeper.wait_for("ready")
    assert len(run.children(sleeper.pid)) == 25
    sleeper.end()
    run.wait_until(lambda: not run.children(sleeper.pid))
