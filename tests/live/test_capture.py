# SPDX-License-Identifier: GPL-2.0-only
"""What is captured: shares of functions, exact totals, losses, both parts of call chains."""
import collections
import os
import signal
import time

import pytest

from harness import needs, perfdata, readers, run
from harness.busy import retried

GRAPH = ("heavy", "medium", "light")


def perf_record(tmp_path, name, *argv):
    """Root-first stacks of a command as perf record -g sees them."""
    data = tmp_path / f"{name}.perf"
    run.run([needs.perf(), "record", "-q", "-N", "-g", "--sample-cpu", "-F", "1999", "-e", "cpu-clock",
             "-o", data, "--", *argv], cwd=tmp_path).ok()
    return count(readers.perf_script(data))


def count(samples):
    stacks = collections.Counter()
    for sample in samples:
        stacks[tuple(reversed(sample.frames))] += 1
    return stacks


def distance(a, b):
    """Sum of differences of the shares (own time) of all functions."""
    own = []
    for stacks in (a, b):
        leaves = collections.Counter()
        for stack, weight in stacks.items():
            # in user code: the callee of work; what the kernel does depends on the moment
            name = next((f for f in GRAPH if f in stack), stack[-1] if stack else "")
            leaves[name] += weight
        total = sum(leaves.values())
        own.append({name: weight / total for name, weight in leaves.items()})
    return sum(abs(own[0].get(name, 0) - own[1].get(name, 0)) for name in {**own[0], **own[1]})


def test_shares(profile, workload):
    found = profile("--sample-rate", "1999", "--", workload("fixedgraph"), "--seconds", "2")
    for stacks in (found.weights(), found.folded(), count(found.script)):
        assert readers.share(stacks, "work") > 0.95
        for name, share in zip(GRAPH, (0.6, 0.3, 0.1)):
            assert readers.share(stacks, name, of="work") == pytest.approx(share, abs=0.04), name
    assert any(stack[-5:] == ("main", "run", "work", "heavy", "burn_units")
               for stack in found.weights())


@retried
def test_shares_as_far_from_perf_as_perf_from_itself(profile, workload, tmp_path):
    argv = [workload("fixedgraph"), "--seconds", "1"]
    perf = [perf_record(tmp_path, i, *argv) for i in range(3)]
    ours = [count(profile("--sample-rate", "1999", "--event", "cpu-clock", "--", *argv).script)
            for _ in range(3)]
    itself = sorted(distance(a, b) for a, b in zip(perf, perf[1:] + perf[:1]))[1]
    from_perf = sorted(distance(a, b) for a in ours for b in perf)[4]
    assert from_perf <= 1.2 * max(itself, 0.025), (from_perf, itself)


@pytest.mark.parametrize("threads", [0, 3])
def test_totals_agree(profile, workload, threads):
    """Samples and periods (of a clock: a profile has times) are the same wherever one looks."""
    found = profile("--sample-rate", "4999", "--event", "cpu-clock", "--", workload("fixedgraph"),
                    "--seconds", "1", "--threads", str(threads))
    samples, lost, stacks, processes = found.summary()
    assert samples > 1000 and processes == 1
    assert len(found.script) == samples
    assert sum(found.folded().values()) == samples
    assert sum(s[0][0] for s in found.raw.samples) == samples
    assert stacks <= len(found.raw.samples)
    periods = sum(s.period for s in found.script)
    assert sum(found.folded("--periods").values()) == periods
    assert sum(s[0][1] for s in found.raw.samples) == periods
    again = found.data.with_suffix(".again")
    found.convert("pa2pprof", "-o", again)
    assert sum(s[0][0] for s in readers.pprof_raw(again).samples) == samples

    capture = found.file.capture()
    assert capture.fired == capture.written + capture.lost == samples + lost
    assert capture.start_ns < capture.end_ns
    assert all(capture.start_ns <= s.time_ns <= capture.end_ns for s in found.file.samples())


def lines_of(raw):
    """Functions with the source lines of the places in them."""
    return {line for location in raw.locations.values() for line in location[2]}


@pytest.mark.parametrize("program, function", [("fixedgraph", "heavy"), ("inlines", "add")])
def test_profile_of_the_capture_and_of_its_file_are_the_same(profile, workload, program,
                                                             function):
    """Inlined functions and lines included, wherever debug information tells of them."""
    found = profile("--sample-rate", "1999", "--", workload(program), "--seconds", "1")
    again = found.data.with_suffix(".again")
    found.convert("pa2pprof", "-o", again)
    live, lines = found.weights(), lines_of(found.raw)
    found.raw = readers.pprof_raw(again)
    assert found.weights() == live and lines_of(found.raw) == lines
    assert any(name.split("::")[-1] == function and file.endswith((".c", ".cpp")) and line > 0
               for name, file, line in lines)


def test_lines_and_inlined_functions(profile, workload):
    """The capture's profile has them, as its file's has."""
    found = profile("--sample-rate", "999", "--", workload("inlines"), "--seconds", "1")
    again = found.data.with_suffix(".again")
    found.convert("pa2pprof", "-o", again)
    live, kept = (sorted(map(str, raw.locations.values()))
                  for raw in (found.raw, readers.pprof_raw(again)))
    assert live == kept
    assert any("rounds" in location and "deep" in location for location in live)


@retried
def test_rounds_of_a_fast_capture(profile, workload):
    """The reader is woken for what it has not read: no large round is followed by a small one. At
    this rate it comes by its timer shortly before it would be woken."""
    found = profile("--event", "cpu-clock", "--sample-rate", "4100", "--", workload("depth22"),
                    "--seconds", "3")
    rounds = [0]
    for record in found.file.records():
        if record.type == perfdata.FINISHED_ROUND:
            rounds.append(0)
        elif record.type == perfdata.SAMPLE:
            rounds[-1] += 8 + len(record.body)
    if sum(rounds) < 2 << 20:
        pytest.skip("too few samples in that time for large rounds")
    steady = rounds[4:-2]  # without begin and end
    assert len(steady) > 1 and min(steady) > max(steady) / 4, rounds


def test_losses_are_counted(start, workload):
    """A ring that is too small, and an agent that is held up: not one sample goes uncounted."""
    burner = start("--sample-rate", "20000", "--ring-size", "4", "--duration", "1500ms",
                   "--", workload("fixedgraph"), "--seconds", "2", "--threads", "2")
    burner.process.wait_for("Collecting data")
    time.sleep(0.3)
    burner.process.signal(signal.SIGSTOP)
    time.sleep(0.5)
    burner.process.signal(signal.SIGCONT)
    burner.end()
    assert "samples were lost" in burner.result.err
    samples, lost, _, _ = burner.summary()
    capture = burner.file.capture()
    written = sum(1 for _ in burner.file.samples())
    assert lost > 1000
    assert burner.file.lost() == lost == capture.lost
    assert written == samples == capture.written
    assert capture.fired == written + lost
    # perf says how many, too
    report = run.run([needs.perf(), "report", "--stdio", "-i", burner.data]).ok()
    assert f"Total Lost Samples: {lost}\n" in report.out


def test_nothing_is_lost_when_all_cpus_are_busy(profile, workload):
    found = profile("-a", "--sample-rate", "9999", "--duration", "2s", "-q",
                    "--", workload("fixedgraph"), "--seconds", "3", "--threads", "2")
    capture = found.file.capture()
    assert capture.lost == 0 and found.file.lost() == 0
    assert capture.fired == capture.written == len(found.script) > 10000


def test_kernel_part_and_user_part(profile, workload):
    """In the kernel, the user stack of the caller is there; no kernel address is in it."""
    found = profile("--sample-rate", "1999", "--", workload("syscaller"), "--seconds", "1")
    in_kernel, user_bits = 0, 48 if os.uname().machine == "aarch64" else 47
    for sample in found.file.samples():
        assert all(ip >> 63 for ip in sample.kernel)
        assert not any(ip >> user_bits for ip in sample.user)
        assert sample.ip == (sample.kernel + sample.user + [0])[0]
        in_kernel += bool(sample.kernel)
    assert in_kernel > 0.3 * len(found.script)
    with_read = [s for s in found.script if "in_read" in s.frames]
    below = [s for s in with_read if s.frames[0] != "in_read"]
    assert len(below) > 0.3 * len(found.script)
    for sample in below:
        at = sample.frames.index("in_read")
        assert sample.frames[at:at + 2] == ["in_read", "main"]
    assert not needs.kernel_names() or any(
        "read_zero" in name or "read_iter_zero" in name or "clear_user" in name
        for sample in below for name in sample.frames)
    assert all(dso == "[kernel.kallsyms]" or dso.startswith("[") for sample in below
               for dso in sample.dsos[:sample.frames.index("in_read")])


def test_without_kernel_stacks(profile, workload):
    found = profile("--sample-rate", "1999", "--kernel-stacks=false", "--", workload("syscaller"),
                    "--seconds", "1")
    samples = list(found.file.samples())
    assert samples and not any(s.kernel for s in samples)
    assert readers.share(found.folded(), "in_read") > 0.2


def test_depth(profile, workload):
    """Nothing is cut within the 127 frames that everyone keeps."""
    found = profile("--sample-rate", "999", "--", workload("fixedgraph"), "--seconds", "1",
                    "--depth", "100")
    deep = [s for s in found.script if "work" in s.frames]
    assert len(deep) > 300
    assert sum(s.frames.count("descend") == 100 and "main" in s.frames for s in deep) \
        > 0.98 * len(deep)


@pytest.mark.parametrize("event, options", [
    ("cpu-clock", ["--sample-rate", "499"]), ("task-clock", ["--sample-rate", "499"]),
    ("cpu-clock:u", ["--sample-rate", "499"]), ("cpu-clock", ["--period", "2000000"]),
    ("page-faults", ["--period", "1"]),
])
def test_events(profile, workload, event, options):
    found = profile("--event", event, *options, "--", workload("fixedgraph"), "--seconds", "1")
    assert {s.event for s in found.script} == {event}
    if event.endswith("clock"):
        assert sum(s.period for s in found.script) == pytest.approx(1e9, rel=0.5)
    if event.endswith(":u"):
        assert not any(s.kernel for s in found.file.samples())


def test_one_cpu(profile, spawn, workload, free_cpu):
    needs.cpus(2)
    for cpu in (free_cpu, free_cpu - 1):
        spawn(["taskset", "-c", str(cpu), workload("fixedgraph"), "--seconds", "600"])
    found = profile("-a", "--cpu", str(free_cpu), "--duration", "1s", "--sample-rate", "999")
    assert {s.cpu for s in found.script} == {free_cpu}
    assert len(found.script) > 500


@pytest.mark.parametrize("pause", [0, 0.2])
def test_pid_of_running_process(profile, spawn, workload, pause):
    target = spawn([workload("fixedgraph"), "--seconds", "600"])
    other = spawn([workload("syscaller"), "--seconds", "600"])
    time.sleep(pause)
    found = profile("--pid", str(target.pid), "--duration", "1s", "--sample-rate", "999")
    assert {s.pid for s in found.script} == {target.pid} and other.running()
    assert readers.share(found.folded(), "work") > 0.9 if pause else found.script
