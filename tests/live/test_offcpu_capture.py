# SPDX-License-Identifier: GPL-2.0-only
"""perf-agent --offcpu: programs that wait for known times, at all rates; the files it writes, as
others read them; waits that the capture cuts."""
import collections
import math
import os
import re
import subprocess
import time

import pytest

from conftest import collecting
from harness import needs, perfdata, readers, run
from harness.busy import retried

SUMMARY = re.compile(r"^([\d.]+) s off the CPU in (\d+) waits; (\d+) recorded, (\d+) lost, (\d+) "
                     r"distinct stacks; estimate ([\d.]+) s, standard error ([\d.]+) s$", re.M)
ALL_REASONS = ["--offcpu-reasons", "blocked,io,preempted"]
EVENTS = ["offcpu:blocked", "offcpu:io", "offcpu:preempted"]


class Offcpu:
    """One run of perf-agent --offcpu, and what it wrote."""

    def __init__(self, tool, data, pprof, process):
        self.tool, self.data, self.pprof, self.process = tool, data, pprof, process
        self.result = None

    def end(self, timeout=60):
        self.result = self.process.wait(timeout).ok()
        return self

    @property
    def text(self):
        return self.result.out + self.result.err

    def summary(self):
        """seconds, waits, recorded, lost, stacks, estimate in seconds, standard error"""
        found = SUMMARY.search(self.text)
        assert found, str(self.result)
        return tuple(float(v) for v in found.groups())

    def samples(self):
        """(ns, names root first, labels) of the pprof profile."""
        raw = readers.pprof_raw(self.pprof)
        assert raw.types == ["samples/count", "offcpu/nanoseconds[dflt]"]
        return [(values[1], names, labels) for values, names, labels in readers.rooted(raw)]

    def folded(self, *options):
        """Of the perf.data file."""
        result = run.run([self.tool("pa2folded"), "--off-cpu", *options, self.data]).ok()
        assert result.err == "", result.err
        return readers.folded(result.out)

    def perf(self, command, *options):
        result = run.run([needs.perf(), *command.split(), "-i", self.data, *options], timeout=120,
                         env={"LC_ALL": "C", "PAGER": "cat"}).ok()
        assert result.err == "", result.err
        return result.out


@pytest.fixture
def start(agent, tool, tmp_path, spawn):
    def start_one(*options, name="off", own_file=True, **more):
        data, pprof = tmp_path / f"{name}.data", tmp_path / f"{name}.pb.gz"
        file = ["--offcpu-perf-data-output", data] if own_file else []
        process = spawn([agent, "--offcpu", "--offcpu-output", pprof, *file, *options], **more)
        return Offcpu(tool, data, pprof, process)
    return start_one


@pytest.fixture
def offcpu(start):
    """offcpu(*options): perf-agent --offcpu from start to end. @return Offcpu"""
    return lambda *options, **more: start(*options, **more).end()


def time_in(stacks, name, *also):
    return sum(ns for stack, ns in stacks.items() if {name, *also} <= set(stack))


def has_disk(path):
    """A file system whose direct reads wait uninterruptibly."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True,
                          check=True).stdout.strip()
    return kind in ("ext2/ext3", "xfs", "btrfs")


# ---- known answers ----------------------------------------------------------------------------

@pytest.mark.parametrize("unwind", ["auto", "fp"])
@retried
def test_what_a_program_waits_for(offcpu, workload, tmp_path, unwind):
    """Each in its function: what the program itself measured, for its reason."""
    disk = ["--file", tmp_path / "disk"] if has_disk(tmp_path) else []
    found = offcpu("--offcpu-rate", "0", "--unwind", unwind, *ALL_REASONS, "--",
                   workload("idler"), *disk)
    truth = {name: int(ns) for name, ns in re.findall(r"^(wait_\w+) (\d+)$", found.text, re.M)}
    main = int(re.search(r"^(?=.*idler).* (\d+)/\1 ", found.perf("script", "-F", "comm,pid,tid,time",
                                                                "--comms", "idler"), re.M)[1])
    sums, reasons = collections.Counter(), collections.defaultdict(collections.Counter)
    for ns, names, labels in found.samples():
        site = next((n for n in names if n in truth), None)
        if site and int(labels["tid"][0]) == main:
            sums[site] += ns
            reasons[site][labels["reason"][0]] += ns
    if unwind == "fp":  # the C library keeps no frame pointers in its own code
        truth = {name: ns for name, ns in truth.items() if name in ("wait_futex", "wait_disk")
                 and sums[name]}
    for site, ns in truth.items():
        apart = 0.05 if site == "wait_disk" else 0.03
        assert sums[site] == pytest.approx(ns, rel=apart, abs=2e6), (site, sums, truth)
        expected = "io" if site in ("wait_child", "wait_disk") else "blocked"
        share = 0.5 if site == "wait_child" else 0.95
        assert reasons[site][expected] >= share * sums[site] * 0.9, (site, reasons)
    if unwind == "auto":
        assert {"wait_sleep", "wait_lock", "wait_pipe", "wait_futex", "wait_child"} <= set(truth)
        seconds, waits, recorded, lost, _, estimate, error = found.summary()
        assert recorded == waits > 40 and lost == 0 and error == 0
        assert estimate == pytest.approx(seconds, rel=0.01)


@retried
def test_preempted(offcpu, workload):
    """Two threads that share a CPU: while one runs, the other could."""
    begin = time.monotonic()
    found = offcpu("--offcpu-rate", "0", "--offcpu-reasons", "preempted", "--",
                   workload("switcher"), "--mode", "share", "--seconds", "1")
    cpu_ns = int(re.search(r"cpu_ns (\d+)", found.text)[1])
    assert time.monotonic() - begin < 5
    samples = [s for s in found.samples() if "burn_units" in s[1] or "run" in s[1]]
    assert all(labels["reason"] == ["preempted"] for _, _, labels in samples)
    assert sum(ns for ns, _, _ in samples) == pytest.approx(2e9 - cpu_ns, rel=0.03, abs=1e7)
    default = offcpu("--offcpu-rate", "0", "--", workload("switcher"), "--mode", "share",
                     "--seconds", "0.3")
    assert not [s for s in default.samples() if s[2]["reason"] == ["preempted"]]


def test_shorter_waits_do_not_count(offcpu, workload):
    found = offcpu("--offcpu-min", "100ms", "--", workload("switcher"), "--mode", "sleep",
                   "--seconds", "0.5")  # it sleeps 4 ms each time
    assert not any("burn_sleep" in names for _, names, _ in found.samples())
    found = offcpu("--offcpu-min", "1ms", "--", workload("switcher"), "--mode", "sleep",
                   "--seconds", "0.5")
    assert sum(ns for ns, names, _ in found.samples() if "burn_sleep" in names) > 0.4e9


# ---- sampling ---------------------------------------------------------------------------------

def within(found, errors=3):
    seconds, _, recorded, _, _, estimate, error = found.summary()
    assert recorded > 20
    assert abs(estimate - seconds) <= errors * error + 0.002, found.text
    return (estimate - seconds) / error if error else 0


@pytest.mark.parametrize("probability", [0.1, 0.01])
@retried
def test_probability(offcpu, workload, probability):
    """Each run within three standard errors, all together without bias."""
    deviations = []
    for _ in range(3):
        # before others on a busy machine: few waits that are much longer make few draws uncertain
        found = offcpu("--offcpu-probability", str(probability), "--", needs.command("chrt"),
                       "-f", "1", workload("switcher"), "--mode", "nap", "--seconds", "0.6")
        _, waits, recorded, *_ = found.summary()
        assert recorded == pytest.approx(waits * probability, abs=5 * math.sqrt(
            waits * probability) + 3)
        deviations.append(within(found))
    assert abs(sum(deviations)) <= 3 * math.sqrt(len(deviations)), deviations


@retried
def test_rate(offcpu, workload, spawn):
    """A storm of short waits costs no more than was said, and does not hide the long ones."""
    storm = spawn([workload("switcher"), "--mode", "pipe", "--seconds", "600"])
    sleeper = spawn([workload("switcher"), "--mode", "sleep", "--seconds", "600"])
    time.sleep(0.3)
    found = offcpu("--pid", f"{storm.pid},{sleeper.pid}", "--offcpu-rate", "500", "--duration",
                   "1s")
    _, waits, recorded, *_ = found.summary()
    assert waits > 5 * recorded
    assert 100 < recorded < 500 * 2 * len(os.sched_getaffinity(0))
    within(found)
    slept = sum(ns for ns, names, labels in found.samples() if "burn_sleep" in names)
    assert slept == pytest.approx(0.95e9, rel=0.1)


# ---- waits that the capture cuts ---------------------------------------------------------------

@retried
def test_preempted_all_the_time(hog, start, spawn, workload):
    """As above, of a thread that never gets its CPU."""
    program = spawn([needs.command("chrt"), "-f", "1", workload("switcher"), "--mode", "spin",
                     "--cpu", "1", "--seconds", "30"])
    time.sleep(0.5)
    found = start("--pid", str(program.pid), *ALL_REASONS, "--duration", "1s").end()
    samples = found.samples()
    assert sum(ns for ns, _, _ in samples) == pytest.approx(1e9, rel=0.03)
    assert {labels["reason"][0] for _, _, labels in samples} == {"preempted"}
    if needs.release() >= (5, 18):  # the stack of another thread can be read
        assert all("main" in names for _, names, _ in samples)


@retried
def test_waiting_all_the_time(start, spawn, workload):
    """Neither the begin nor the end of the wait is seen."""
    program = spawn([workload("sleeper"), "--count", "1", "--seconds", "600"])
    program.wait_for("ready")
    child = int(run.run(["pgrep", "-P", str(program.pid)]).ok().out)
    found = start("--pid", str(child), "--duration", "1s").end()
    samples = found.samples()
    assert sum(ns for ns, _, _ in samples) == pytest.approx(1e9, rel=0.03)
    ns, names, labels = max(samples)
    assert labels["reason"] == ["blocked"] and int(labels["pid"][0]) == child
    if needs.kernel_names() and needs.release() >= (5, 9):
        assert any("nanosleep" in n for n in names)
    if needs.release() >= (5, 18):
        assert "main" in names and "burn_sleep" in names
        assert "1 threads waited when it began, 0 of them without user stack" in found.text
    assert found.folded()


@retried
def test_begin_and_end(start, spawn, workload):
    """Waits of 300 ms, cut on both sides: the time of the capture is what there is."""
    program = spawn(["sh", "-c", "while :; do sleep 0.3; done"])
    time.sleep(0.1)
    found = start("--pid", str(program.pid), "--duration", "1s").end()
    assert sum(ns for ns, _, _ in found.samples()) == pytest.approx(1e9, rel=0.05)


def test_system_wide(start, spawn, workload):
    programs = [spawn([workload("sleeper"), "--count", "2", "--seconds", "600"]) for _ in range(2)]
    for program in programs:
        program.wait_for("ready")
    found = start("-a", "--duration", "1s").end()
    by_pid = collections.Counter()
    for ns, _, labels in found.samples():
        by_pid[int(labels["pid"][0])] += ns
    for program in programs:
        assert by_pid[program.pid] == pytest.approx(1e9, rel=0.05)
    assert os.getpid() in by_pid  # this one waits, too
    assert perfdata.File(found.data).capture().written == found.summary()[2]


# ---- whom -------------------------------------------------------------------------------------

@retried
def test_in_a_pid_namespace(agent, tool, workload, tmp_path):
    data = tmp_path / "off.data"
    run.run([needs.unshare(), "-pf", "--mount-proc", agent, "--offcpu", "--offcpu-output",
             tmp_path / "off.pb.gz", "--offcpu-perf-data-output", data, "--",
             workload("waiter")]).ok()
    stacks = Offcpu(tool, data, None, None).folded()
    for function, ns in (("wait_long", 300e6), ("wait_short", 100e6), ("wait_partner", 380e6)):
        assert ns <= time_in(stacks, function) < 2 * ns


def test_other_pid_namespaces(agent, tool, workload, tmp_path):
    """Who has an id of another namespace is not taken for who has the same id in this one."""
    data = tmp_path / "off.data"
    inner = f"{needs.unshare()} -pf '{workload('sleeper')}' --count 2 --seconds 60"
    run.run([needs.unshare(), "-pf", "--mount-proc", "sh", "-c",
             f"{inner} >'{tmp_path}/ready' & until [ -s '{tmp_path}/ready' ]; do sleep 0.1; done; "
             f"'{agent}' --offcpu -a --duration 300ms --offcpu-perf-data-output '{data}' "
             f"--offcpu-output '{tmp_path}/x.pb.gz'; exit $?"]).ok()  # sh stays, and waits
    names = {name for stack in Offcpu(tool, data, None, None).folded() for name in stack}
    assert "sh" in names and "sleeper" not in names


def test_children_of_a_command(offcpu):
    found = offcpu("--", "sh", "-c", "for i in 1 2 3; do sleep 0.05; done")
    slept = [s for s in found.samples() if s[2]["comm"] == ["sleep"]]
    assert sum(ns for ns, _, _ in slept) >= 150e6
    assert len({s[2]["pid"][0] for s in slept}) == 3


# ---- consumers ---------------------------------------------------------------------------------

@retried
def test_others_read_it(offcpu, workload, tool, tmp_path):
    found = offcpu("--offcpu-rate", "0", *ALL_REASONS, "--", workload("waiter"))
    script = readers.parse_perf_script(found.perf(
        "script", "-F", "comm,pid,tid,cpu,time,period,event,ip,sym,dso", "--no-inline", "--ns"))
    assert {s.event for s in script} <= set(EVENTS)
    sums = collections.Counter()
    for sample in script:
        sums[sample.event] += sample.period
        if "wait_long" in sample.frames and sample.period > 50e6:
            assert sample.frames[0] == "__schedule" or not needs.kernel_names()
    ours = collections.Counter()
    for ns, _, labels in found.samples():
        ours["offcpu:" + labels["reason"][0]] += ns
    assert ours == sums
    assert sum(found.folded().values()) == sum(sums.values())
    text = found.perf("report", "--stdio", "--no-children", "-F", "period,comm", "-s", "comm", "-g",
                      "none")
    assert "partner" in text
    # of the file the same profile is made
    again = tmp_path / "again.pb.gz"
    run.run([tool("pa2pprof"), "-o", again, found.data]).ok()
    theirs = Offcpu(tool, None, again, None).samples()
    assert sorted((ns, names) for ns, names, _ in theirs) == \
        sorted((ns, names) for ns, names, _ in found.samples())
    parsed = run.run([needs.hotspot_perfparser(), "--input", found.data, "--output",
                      tmp_path / "parsed"], timeout=60).ok()
    assert "invalid" not in parsed.err.lower()


TIMEHIST = re.compile(r"^\s*[\d.]+\s+\[\d+\]\s+(.*?)\[(\d+)(?:/\d+)?\]\s+([\d.]+)\s")


@retried
def test_tracepoints(offcpu, workload):
    """perf sched timehist finds the same waits in the file as we do."""
    found = offcpu("--perf-data-layout", "tracepoint", "--", workload("waiter"))
    script = run.run([needs.perf(), "script", "-i", found.data]).ok().out
    assert "sched:sched_switch: prev_comm=waiter prev_pid=" in script and "wait_long" in script
    waits = collections.Counter()
    for m in map(TIMEHIST.match, found.perf("sched timehist").splitlines()):
        if m:
            waits[m[1]] += float(m[3]) * 1e6
    sums = collections.Counter()
    for ns, _, labels in found.samples():
        sums[labels["comm"][0]] += ns
    # what a thread waited last is shown only when it is switched out again
    assert waits["waiter"] == pytest.approx(sums["waiter"], rel=0.03)
    assert waits["partner"] == pytest.approx(sums["partner"], rel=0.03)
    assert time_in(found.folded(), "wait_long") == pytest.approx(300e6, rel=0.1)


@retried
def test_tracepoints_of_one_process(start, spawn, workload):
    """Others are not seen to come back each time: nothing is said of when they waited."""
    program = spawn([workload("switcher"), "--mode", "sleep", "--seconds", "600"])
    time.sleep(0.2)
    found = start("--pid", str(program.pid), "--duration", "500ms", "--perf-data-layout",
                  "tracepoint").end()
    assert {int(labels["pid"][0]) for _, _, labels in found.samples()} == {program.pid}
    script = run.run([needs.perf(), "script", "-i", found.data]).ok().out
    assert {name.split("/")[0] for name in re.findall(r"prev_comm=(\S+)", script)} == \
        {"switcher", "swapper"}


@retried
def test_combined(start, workload, tmp_path, tool):
    """Both kinds in one file, with what hotspot pairs; each profile has its own."""
    on = tmp_path / "on.pb.gz"
    found = start("--profile", "--profile-output", on, "--perf-data-output", tmp_path / "off.data",
                  "--sample-rate", "999", "--perf-data-layout", "combined", "--",
                  workload("waiter"), own_file=False).end()
    assert found.perf("script", "-F", "comm,event", "-G").count("sched:sched_switch:") >= 10
    records = found.perf("script", "--show-switch-events", "-F", "comm,tid,time,event")
    assert records.count("PERF_RECORD_SWITCH") >= 20
    assert readers.pprof_raw(on).types == ["samples/count", "cpu/nanoseconds[dflt]"]
    stacks = found.folded()
    assert time_in(stacks, "wait_long") == pytest.approx(300e6, rel=0.1)
    assert sum(ns for ns, names, _ in found.samples() if "wait_long" in names) == \
        time_in(stacks, "wait_long")
    parsed = run.run([needs.hotspot_perfparser(), "--input", found.data, "--output",
                      tmp_path / "parsed"], timeout=60).ok()
    assert "invalid" not in parsed.err.lower()


@retried
def test_all_three_together(start, agent, workload, tmp_path, spawn):
    report = tmp_path / "pmu.json"
    found = start("--profile", "--profile-output", tmp_path / "on.pb.gz", "--sample-rate", "999",
                  "--perf-data-output", tmp_path / "on.data", "--pmu", "--pmu-output", report,
                  "--pmu-format", "json", "--", workload("idler")).end()
    assert report.stat().st_size > 100
    on = {tuple(names) for _, names, _ in readers.rooted(readers.pprof_raw(tmp_path / "on.pb.gz"))}
    assert any("burn_units" in names for names in on)
    assert sum(ns for ns, names, _ in found.samples() if "wait_sleep" in names) >= 150e6
    for name in ("on.data", "off.data"):
        assert run.run([needs.perf(), "script", "-i", tmp_path / name]).ok().err == ""


# ---- what is wrong -----------------------------------------------------------------------------

A = ["-a", "--offcpu"]


@pytest.mark.parametrize("options, said", [
    (["-a", "--pmu", "--offcpu-output", "x"], "--offcpu-output is only valid with --offcpu"),
    (["-a", "--pmu", "--offcpu-rate", "1"], "only valid with --offcpu"),
    (["--offcpu"], "is required"),
    (["-a"], "At least one of --profile, --offcpu, or --pmu must be specified"),
    ([*A, "--offcpu-reasons", "sleep"], "--offcpu-reasons sleep: not a list of blocked, io"),
    ([*A, "--offcpu-reasons", ""], "--offcpu-reasons"),
    ([*A, "--offcpu-min", "x"], "--offcpu-min x: not a time"),
    ([*A, "--offcpu-rate", "-1"], "--offcpu-rate"),
    ([*A, "--offcpu-probability", "0"], "--offcpu-probability 0"),
    ([*A, "--offcpu-probability", "1.1"], "--offcpu-probability 1.1"),
    ([*A, "--offcpu-probability", "nan"], "--offcpu-probability nan"),
    ([*A, "--offcpu-probability", "0.1.9"], "--offcpu-probability 0.1.9"),
    ([*A, "--perf-data-layout", "tracepoint", "--offcpu-reasons", "io"], "it has all reasons"),
    ([*A, "--offcpu-rate", "1", "--offcpu-probability", "1"], "mutually exclusive"),
    ([*A, "--cpu", "0"], "--cpu and --offcpu are mutually exclusive"),
    ([*A, "--perf-data-layout", "x"], "--perf-data-layout x: not separate, combined or"),
    ([*A, "--perf-data-layout", "combined"], "needs --profile and --perf-data-output"),
    ([*A, "--perf-data-layout", "tracepoint", "--offcpu-min", "1ms"], "every switch"),
    ([*A, "--offcpu-output", "x", "--offcpu-perf-data-output", "x"], "name the same file"),
    ([*A, "--offcpu-output", "-", "--offcpu-perf-data-output", "-"], "can't both be -"),
], ids=lambda v: " ".join(v)[:50] if isinstance(v, list) else "")
def test_wrong_usage(agent, tmp_path, options, said):
    result = run.run([agent, *options], cwd=tmp_path)
    assert result.status == 2 and said in result.err, str(result)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", ["--offcpu-output", "--offcpu-perf-data-output"])
@pytest.mark.parametrize("path", ["/nonexistent/x", ".", "/dev/full"])
def test_outputs_that_can_not_be_written(agent, workload, tmp_path, option, path):
    result = run.run([agent, "--offcpu", option, path, "--", workload("waiter"), "--rounds", "1"],
                     cwd=tmp_path)
    assert result.status == 1 and path in result.err.splitlines()[-1], str(result)


def test_one_file_by_two_names(agent, tmp_path):
    for exists in (False, True):
        result = run.run([agent, "--offcpu", "--offcpu-output", "x", "--offcpu-perf-data-output",
                          "./x", "--", "true"], cwd=tmp_path)
        assert result.status == 1 and "another output has the same file" in result.err
        assert os.listdir(tmp_path) == (["x"] if exists else [])
        (tmp_path / "x").write_text("")


def test_a_closed_pipe(agent, workload, tmp_path):
    script = (f"'{agent}' --offcpu --offcpu-perf-data-output - -- '{workload('waiter')}'; "
              "echo $? >status")
    run.run(["sh", "-c", f"({script}) | true"], cwd=tmp_path)
    run.wait_until(lambda: (tmp_path / "status").exists() and
                   (tmp_path / "status").read_text(), 10, "the status")
    assert (tmp_path / "status").read_text() == "1\n"


def test_a_stream(agent, workload, tmp_path):
    """In pipe layout perf and our tools read it from a pipe."""
    data = tmp_path / "stream"
    with open(data, "wb") as out:
        run.run([agent, "--offcpu", "--offcpu-perf-data-output", "-", "--offcpu-output",
                 tmp_path / "x.pb.gz", "--", workload("waiter")], stdout=out).ok()
    with open(data, "rb") as stream:
        text = run.run([needs.perf(), "script", "-i", "-", "-F", "comm,period,event"],
                       stdin=stream).ok().out
    assert "offcpu:blocked" in text and "partner" in text


def test_nobody_waits(start, spawn, workload):
    """An empty profile is a valid one."""
    program = spawn([workload("switcher"), "--mode", "spin", "--seconds", "600"])
    time.sleep(0.2)
    found = start("--pid", str(program.pid), "--duration", "300ms").end()
    assert sum(ns for ns, _, _ in found.samples()) < 0.1e9
    assert found.perf("script") == "" or "offcpu:" in found.perf("script")


def test_stopped_by_a_signal(start, spawn, workload):
    program = spawn([workload("sleeper"), "--count", "1", "--seconds", "600"])
    program.wait_for("ready")
    capture = collecting(start("--pid", str(program.pid), "--duration", "60s"))
    time.sleep(0.5)
    os.kill(capture.process.pid, 15)
    capture.end()
    assert sum(ns for ns, _, _ in capture.samples()) == pytest.approx(0.5e9, rel=0.2)
