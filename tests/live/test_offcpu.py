# SPDX-License-Identifier: GPL-2.0-only
"""Times off the CPU and tracepoints' fields, from what perf records, against what perf itself
says about the same file."""
import collections
import re

import pytest

from harness import needs, readers, run
from harness.busy import retried

SWITCH = re.compile(
    r"^\s*(.*?)\s+(-?\d+)/(-?\d+)\s+(\d+)\.(\d{9}):\s+sched:sched_switch:\s+prev_comm=(.*) "
    r"prev_pid=(\d+) prev_prio=(-?\d+) prev_state=(\S+) ==> next_comm=(.*) next_pid=(\d+) ")
TIMEHIST = re.compile(r"^\s*[\d.]+\s+\[\d+\]\s+(.*?)\[(\d+)(?:/\d+)?\]\s+([\d.]+)\s")
ALL_CPUS = ["-a", "-e", "sched:sched_switch"]


def perf(command, data, *options):
    return run.run([needs.perf(), command, *options, "-i", data], timeout=120,
                   env={"LC_ALL": "C", "PAGER": "cat"}).ok().out


def places_of_switches():
    """Hidden names may be known from before."""
    return ["__schedule"] + ["[[kernel.kallsyms]]"] * (not needs.kernel_names())


class Recording:
    """What perf recorded of the workload waiter. Reads of the file are kept."""

    def __init__(self, tool, data):
        self.tool, self.data = tool, data

    def convert(self, *options, name="pa2folded", status=0):
        result = run.run([self.tool(name), *options, self.data], timeout=120,
                         cwd=self.data.parent)
        assert result.status == status, str(result)
        return result

    def off(self, *options, some_lost=False):
        """Folded stacks of the time off the CPU; nothing is warned about, unless perf lost some
        of the switches."""
        result = self.convert("--off-cpu", *options)
        warnings = [line for line in result.err.splitlines()
                    if needs.kernel_names() or "/proc/kallsyms: addresses are hidden" not in line]
        assert not warnings or some_lost and "their end is not in the file" in result.err
        return readers.folded(result.out)

    def switches(self):
        """(time_ns, comm, prev_pid, prev_prio, prev_state, next_pid) in the order of time."""
        text = perf("script", self.data, "-F", "comm,pid,tid,time,event,trace", "--ns", "-G")
        for line in text.splitlines():
            m = SWITCH.match(line)
            assert m, line
            yield int(m[4] + m[5]), m[1], int(m[7]), int(m[8]), m[9], int(m[11])


@pytest.fixture
def record(tool, workload, tmp_path):
    """record(options of perf record, pipe=False) -> Recording of waiter."""
    def start(*options, pipe=False, program="waiter"):
        data = tmp_path / ("perf.stream" if pipe else "perf.data")
        argv = [*needs.tracefs(), needs.perf(), "record", "-q", "-N", *options]
        if pipe:
            with open(data, "wb") as out:
                run.run([*argv, "-o", "-", "--", workload(program)], stdout=out).ok()
        else:
            run.run([*argv, "-o", data, "--", workload(program)]).ok()
        return Recording(tool, data)
    return start


def by_comm(stacks):
    """Sums by the first name."""
    sums = collections.Counter()
    for stack, weight in stacks.items():
        sums[stack[0]] += weight
    return sums


def time_in(stacks, function):
    return sum(weight for stack, weight in stacks.items() if function in stack)


def pair(switches, name=lambda comm, tid: comm):
    """Times off the CPU in nanoseconds by comm, as the definition has it; None stands for one
    whose end is missing although the thread ran again."""
    times, since = collections.defaultdict(list), {}
    for time_ns, comm, prev, _, state, following in switches:
        comm = name(comm, prev)
        if following in since:
            out_ns, out_comm = since.pop(following)
            times[out_comm].append(time_ns - out_ns)
        if prev in since:
            times[comm].append(None)
        if prev and state[0] not in "XZ":
            since[prev] = time_ns, comm
    return times


def check_waits(stacks):
    """The workload's known answer: at least the time asked for, and not all of it for nothing."""
    for function, ns in (("wait_long", 300e6), ("wait_short", 100e6), ("wait_partner", 360e6)):
        assert ns <= time_in(stacks, function) < 2 * ns, function
    assert by_comm(stacks)["partner"] == pytest.approx(time_in(stacks, "wait_partner"), rel=0.2)


@pytest.mark.parametrize("pipe", [False, True])
@retried
def test_all_cpus(record, pipe):
    """To the nanosecond what the file's switches make, where none was lost and where some were."""
    recording = record(*ALL_CPUS, "-g", pipe=pipe)
    pairs = pair(recording.switches())
    ours = by_comm(recording.off(some_lost=any(None in times for times in pairs.values())))
    theirs = {comm: sum(filter(None, times)) for comm, times in pairs.items()}
    for comm in ("waiter", "partner"):
        assert ours[comm] == theirs[comm] > 0
    assert sum(ours.values()) == pytest.approx(sum(theirs.values()), rel=0.001)
    assert "swapper" not in ours


@pytest.mark.parametrize("pipe", [False, True])
@retried
def test_known_waits(record, pipe):
    """With SWITCH records each switch in is told twice: none is lost."""
    stacks = record(*ALL_CPUS, "--switch-events", "-g", pipe=pipe).off()
    check_waits(stacks)
    longest = max((s for s in stacks if "wait_long" in s), key=stacks.get)
    assert longest[0] == "waiter" and longest[-1] in places_of_switches()


@retried
def test_timehist(record):
    """perf sched timehist rounds each time to microseconds, and shows it only when the thread is
    switched out again: when it exits, maybe not. It goes by the thread's name at the end of a
    time, we by that at its start, which of an exec is another."""
    names = ("waiter", "partner")
    for _ in range(5):
        recording = record(*ALL_CPUS, "-g")
        switches = list(recording.switches())
        tids = {s[2] for s in switches if s[1] in names}
        times = pair(switches, lambda comm, tid: tid)
        if not any(None in times[tid] for tid in tids):
            break
    else:
        pytest.skip("perf loses switches here")
    waits = [round(float(m[3]) * 1e6)
             for m in map(TIMEHIST.match, perf("sched", recording.data, "timehist").splitlines())
             if m and m[1] in names]
    before = sum(ns for comm, by_tid in pair(switches, lambda *key: key).items()
                 for ns in by_tid if comm[1] in tids and comm[0] not in names)
    ours = by_comm(recording.off(some_lost=True))
    missing = ours["waiter"] + ours["partner"] + before - sum(waits)
    last = [times[tid][-1] for tid in tids]
    assert len(waits) >= 8
    assert min(abs(missing - not_shown) for not_shown in (0, *last, sum(last))) < \
        1000 * len(waits)


@retried
def test_perf_sched_record(tool, workload, tmp_path):
    """Without call chains: a stack is the place of the switch."""
    data = tmp_path / "perf.data"
    run.run([*needs.tracefs(), needs.perf(), "sched", "record", "-q", "--switch-events", "-o",
             data, "--", workload("waiter")]).ok()
    stacks = Recording(tool, data).off()
    sums = by_comm(stacks)
    assert 400e6 <= sums["waiter"] < 800e6 and 360e6 <= sums["partner"] < 800e6
    assert any(("waiter", place) in stacks for place in places_of_switches())


@pytest.mark.parametrize("pipe", [False, True])
@retried
def test_one_program(record, pipe):
    """Of one program, switches in are known from SWITCH records only."""
    check_waits(record("--switch-events", "-e", "sched:sched_switch", "-g", pipe=pipe).off())


@retried
def test_in_a_pid_namespace(tool, workload, tmp_path):
    """The tracepoint has the kernel's thread numbers, SWITCH records have the namespace's."""
    data = tmp_path / "perf.data"
    run.run([*needs.tracefs(), needs.unshare(), "-pf", "--mount-proc", needs.perf(), "record",
             "-q", "-N", "--switch-events", "-e", "sched:sched_switch", "-g", "-o", data, "--",
             workload("waiter")]).ok()
    check_waits(Recording(tool, data).off())


@retried
def test_without_tracefs(record):
    """The software event needs no tracepoint."""
    check_waits(record("--switch-events", "-e", "context-switches", "-c", "1", "-g").off())


@retried
def test_among_others(record):
    """Other events of the file are left out."""
    recording = record("--switch-events", "-e", "cpu-clock:u,sched:sched_switch", "-g")
    check_waits(recording.off())


def test_ends_are_missing(record):
    recording = record("-e", "sched:sched_switch", "-g")
    assert "record all CPUs (perf record -a), or with --switch-events" in \
        recording.convert("--off-cpu").err


def test_no_switches(record):
    recording = record("-e", "cpu-clock:u")
    assert "no context switches with times: record them with perf record -a -g -e " \
        "sched:sched_switch" in recording.convert("--off-cpu", status=1).err


def test_perf_off_cpu(record, tmp_path, workload):
    """perf's own sums, where it was built with BPF."""
    tried = run.run([needs.perf(), "record", "-q", "--off-cpu", "-o", tmp_path / "tried.data",
                     "true"])
    if tried.status or "ignored" in tried.err:
        pytest.skip(f"perf record --off-cpu does not work here: {tried.err.strip()[:200]}")
    recording = record("--off-cpu", "-g", "-e", "cpu-clock:u")
    assert time_in(recording.off(), "wait_long") >= 300e6


def test_fields(record):
    """A weight and labels, against the same fields as perf script prints them."""
    recording = record(*ALL_CPUS, "-g")
    switches = list(recording.switches())
    event = ("--event", "sched:sched_switch")
    weighed = readers.folded(recording.convert(*event, "--weight-field", "prev_prio").out)
    assert sum(weighed.values()) == sum(s[3] for s in switches)
    assert by_comm(weighed)["partner"] == sum(s[3] for s in switches if s[1] == "partner") > 0

    plain = readers.folded(recording.convert(*event).out)
    assert sum(plain.values()) == len(switches)

    refused = recording.convert("--weight-field", "no_such", status=1).err
    assert "no sample has a number no_such: sched:sched_switch has prev_comm, prev_pid" in refused
    refused = recording.convert("--event", "no_such", status=1).err
    assert "no event is named no_such: the file has sched:sched_switch" in refused


def test_labels_in_pprof(record, tmp_path):
    needs.go()
    recording = record(*ALL_CPUS, "--switch-events", "-g")
    out = tmp_path / "off.pprof"
    recording.convert("--off-cpu", "--label-field", "state", "--label-field", "next_pid",
                      "-o", out, name="pa2pprof")
    profile = readers.pprof_raw(out)
    assert profile.types[-1].startswith("offcpu/nanoseconds")
    assert {labels["state"][0] for _, _, labels in profile.samples} <= set("RSDTtXZPI")
    slept = [(values, labels) for values, _, labels in profile.samples
             if labels["comm"] == ["partner"] and labels["state"] == ["S"]]
    assert sum(values[1] for values, _ in slept) >= 360e6
    followers = {s[5] for s in recording.switches() if s[1] == "partner"}
    assert {int(labels["next_pid"][0]) for _, labels in slept} <= followers


CORPUS = "../shared/corpus/KDAB-perfparser/tests__auto__perfdata__"


@pytest.mark.parametrize("name, event, field", [
    ("probe.data.file", "probe_untitled1:main", "__probe_ip"),
    ("probe.data.stream", "probe_untitled1:main", "__probe_ip"),
    ("parallel_static_gcc__perf.data.zstd.zlib.raw", "sched:sched_switch", "prev_pid"),
])
def test_recorded_by_others(tool, top, name, event, field):
    data = top / (CORPUS + name)
    if not data.exists():
        pytest.skip(f"{data} is not there")
    recording = Recording(tool, data)
    assert readers.folded(recording.convert("--event", event).out)
    assert sum(readers.folded(recording.convert("--event", event, "--weight-field",
                                                field).out).values()) > 1000
    assert f"{event} has " in recording.convert("--weight-field", "no_such", status=1).err
