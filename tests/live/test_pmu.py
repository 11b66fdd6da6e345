# SPDX-License-Identifier: GPL-2.0-only
"""Scheduler metrics: programs that leave their CPU for known reasons, against what the kernel
counts of them and what perf records of the same seconds; forms of the report; counters."""
import bisect
import collections
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from harness import needs, run
from harness.busy import retried

KERNEL = re.compile(r"voluntary (\d+) involuntary (\d+) cpu_ns (\d+) rounds (\d+)")
EVENT = re.compile(r"^\s*(\d+)\.(\d{9}):\s+sched:(\w+):\s+(.*)$", re.M)
SWITCH = re.compile(r"prev_pid=(\d+) prev_prio=\S+ prev_state=(\S+) ==> (?:.*next_pid=(\d+) )?")
WOKEN = re.compile(r"\bpid=(\d+) ")


# Between the moments at which perf and the program take the time of one event: what perf does there,
# longer on a slow machine at a wake-up that ends its idling
SKEW_NS = 5000


class Metrics:
    """What perf-agent --pmu said, and what the kernel said to the program."""

    def __init__(self, result):
        self.result = result
        text = result.out
        self.data = json.loads(text[text.index('{"version"'):])
        self.all = self.data["all"]
        found = KERNEL.search(text)
        if found:
            self.voluntary, self.involuntary, self.cpu_ns, self.rounds = map(int, found.groups())

    def __getattr__(self, name):
        return self.all[name]


@pytest.fixture
def metrics(agent, workload, tmp_path):
    """metrics(mode, *options): switcher under perf-agent --pmu. @return Metrics"""
    def start(mode, *options, seconds=1, before=(), **more):
        argv = [*before, agent, "-q", "--pmu", "--pmu-format", "json", *options, "--",
                workload("switcher"), "--mode", mode, "--seconds", str(seconds)]
        return Metrics(run.run(argv, cwd=tmp_path, **more).ok())
    return start


# ---- known answers --------------------------------------------------------------------------

MODES = ["sleep", "spin", "share", "yield", "pipe"]


@pytest.mark.parametrize("mode", MODES)
@retried
def test_the_kernel_counts_the_same(metrics, mode):
    """Every switch of a program that is run whole: its own count, asked for just before its end,
    the exits of its threads, and a few more on the way there; less its wait for perf-agent, as
    which it began."""
    found = metrics(mode)
    reasons = found.reasons
    threads = 1 if mode in ("sleep", "spin") else 2
    assert reasons["exited"] == threads
    ours = reasons["voluntary"] + reasons["io_wait"] + reasons["stopped"] + threads - 1
    assert found.voluntary - 2 <= ours <= found.voluntary + 20 + found.voluntary // 1000
    ours = reasons["preempted"] + reasons["yielded"]
    assert found.involuntary - 2 <= ours <= found.involuntary + 20 + found.involuntary // 1000
    assert found.switches == sum(reasons.values()) == found.slices["count"]
    # the switch itself, some microseconds, counts for the one or the other: much of short slices
    few = 10e3 * found.switches if mode == "sleep" else 0
    assert found.cpu_ns == pytest.approx(found.all["cpu_ns"], rel=0.02, abs=5e6 + few)
    for dist in (found.slices, found.runqueue):
        assert sum(bucket[2] for bucket in dist["buckets"]) == dist["count"]
        assert dist["min_ns"] <= dist["p50_ns"] <= dist["p95_ns"] <= dist["p99_ns"] <= \
            dist["p999_ns"] <= dist["max_ns"]
    assert found.data["lost_waits"] == 0


def test_sleeping(metrics):
    found = metrics("sleep")
    assert found.reasons["voluntary"] > 0.9 * found.switches
    assert 2e5 <= found.slices["p50_ns"] < 2e6
    # each sleep ends with a wait
    assert found.runqueue["count"] >= 0.95 * found.switches


def schedstat(pid):
    """What the kernel says of all threads: time on a CPU, time waiting for one, in ns."""
    total = [0, 0]
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as file:
            total = [a + int(b) for a, b in zip(total, file.read().split())]
    return total


@retried
def test_preempted(agent, spawn, workload, tmp_path):
    """Two threads that burn on one CPU: while one runs, the other waits, and both for others."""
    program = spawn([workload("switcher"), "--mode", "share", "--seconds", "600"])
    time.sleep(0.2)
    before = schedstat(program.pid)
    found = Metrics(run.run([agent, "-q", "--pmu", "--pid", str(program.pid), "--pmu-format",
                             "json", "--duration", "2s"], cwd=tmp_path).ok())
    ran, waited = (b - a for a, b in zip(before, schedstat(program.pid)))
    assert found.reasons["preempted"] > 0.8 * found.switches
    ours = found.runqueue["sum_ns"] + found.still_waiting["sum_ns"]
    assert ours / found.all["cpu_ns"] == pytest.approx(waited / ran, rel=0.05)


def test_uninterruptible(agent, workload, tmp_path):
    """vfork(2) waits so for its child."""
    found = Metrics(run.run([agent, "-q", "--pmu", "--pmu-format", "json", "--",
                             workload("switcher"), "--mode", "vfork", "--units", "20"],
                            cwd=tmp_path).ok())
    assert found.reasons["exited"] == 21
    # reading the program's pages may add some
    assert 20 <= found.reasons["io_wait"] <= 25


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def stopped(pid):
    for _ in range(1000):
        if state(pid) == "T":
            return
        time.sleep(0.005)
    pytest.fail("it does not stop")


def test_stopped(agent, spawn, workload, tmp_path):
    program = spawn([workload("switcher"), "--mode", "stop", "--units", "11"])
    stopped(program.pid)
    capture = spawn([agent, "--pmu", "--pid", str(program.pid), "--pmu-output", "out",
                     "--pmu-format", "json", "--duration", "20s"], cwd=tmp_path)
    capture.wait_for("Collecting data")
    for _ in range(10):
        program.signal(signal.SIGCONT)
        time.sleep(0.02)
        stopped(program.pid)
    program.signal(signal.SIGCONT)
    capture.wait().ok()
    reasons = json.loads((tmp_path / "out").read_text())["all"]["reasons"]
    assert reasons["stopped"] == 10 and reasons["exited"] == 1


@retried
def test_all_cpus_are_merged(agent, spawn, workload, tmp_path):
    needs.cpus(2)
    programs = [spawn([workload("switcher"), "--mode", "sleep", "--cpu", str(cpu), "--seconds",
                       "600"]) for cpu in (0, 1)]
    pids = ",".join(str(program.pid) for program in programs)
    both = Metrics(run.run([agent, "-q", "--pmu", "--pid", pids, "--pmu-format", "json",
                            "--duration", "1s"], cwd=tmp_path).ok())
    assert both.data["process_count"] == 2
    assert 300 < both.switches < 600  # each 235
    assert both.slices["count"] == both.switches


def test_yielding(metrics):
    found = metrics("yield")
    assert found.reasons["yielded"] > 0.9 * found.switches
    assert found.slices["p50_ns"] < 1e6


def test_pipe(metrics):
    found = metrics("pipe")
    assert found.rounds > 1000
    assert found.switches >= 2 * found.rounds * 0.9
    assert found.runqueue["count"] >= 0.95 * found.switches


def test_a_slice_without_end(agent, spawn, workload, tmp_path):
    """One that runs all the time may have no switch: its time is there, and said to be cut."""
    program = spawn([workload("switcher"), "--mode", "spin", "--seconds", str(60 * run.PATIENCE)])
    os.sched_setscheduler(program.pid, os.SCHED_FIFO, os.sched_param(1))
    time.sleep(0.2)
    result = run.run([agent, "-q", "--pmu", "--pid", str(program.pid), "--pmu-format", "json",
                      "--duration", "1s"], cwd=tmp_path).ok()
    found = Metrics(result)
    if needs.release() >= (5, 10):
        assert found.cut_slices >= 1
        assert found.all["cpu_ns"] == pytest.approx(found.data["duration_ns"], rel=0.1)
    assert found.slices["max_ns"] <= found.data["duration_ns"]  # not since the machine's start


@pytest.mark.parametrize("where", ["outside", "namespace"])
def test_starved(agent, hog, spawn, workload, tmp_path, where):
    """Who never gets its CPU waits all the time, whether since before the capture or not."""
    script = ('chrt -f 1 "$2" --mode spin --cpu 1 --seconds 30 & sleep 0.5; '
              '"$1" -q --pmu --pid $! --pmu-format json --duration 1s; '
              '"$1" -q --pmu --pid $! --duration 500ms; '
              '"$1" -q --pmu -a --per-pid --pmu-format json --pmu-output all --duration 500ms; '
              'taskset -pc 0 $! >taskset.out; '  # or its end waits for the hog's
              'kill -KILL $!; echo "pid $!"')
    before = in_pid_namespace() if where == "namespace" else []
    result = run.run([needs.command("taskset"), "-c", "0", *before, "sh", "-c", script, "sh", agent,
                      workload("switcher")], cwd=tmp_path).ok()
    lines = result.out.splitlines()
    found = json.loads(lines[0])
    waiting = found["all"]["still_waiting"]
    assert waiting["threads"] == 1 and found["process_count"] == 1
    assert waiting["sum_ns"] == waiting["max_ns"]
    assert waiting["max_ns"] == pytest.approx(found["duration_ns"], rel=0.1)
    assert re.search(r"Runqueue Latency.*:\n  Total:  (\d+\.\d+) ms \(0 times; 1 threads still "
                     r"waiting, longest \1 ms\)", result.out)
    pid = int(lines[-1].split()[-1])
    procs = {p["pid"]: p for p in json.loads((tmp_path / "all").read_text())["processes"]}
    assert procs[pid]["comm"] == "switcher"
    assert procs[pid]["still_waiting"]["max_ns"] > 4e8


# ---- against perf ---------------------------------------------------------------------------

def recorded(data, start_ns, end_ns):
    """Slices and waits of each thread, in ns, from sched tracepoints in the order of time: those
    of slices that end between two moments."""
    text = run.run([needs.perf(), "script", "-F", "time,event,trace", "--ns", "-i", data],
                   timeout=120, env={"LC_ALL": "C", "PAGER": "cat"}).ok().out
    slices, waits = collections.defaultdict(list), collections.defaultdict(list)
    since, ready, wait = {}, {}, {}
    # names of others may hold anything, also an end of line
    for seconds, fraction, event, rest in EVENT.findall(text):
        now = int(seconds + fraction)
        switch, woken = SWITCH.search(rest), WOKEN.search(rest)
        if switch:
            prev, state, following = int(switch[1]), switch[2], int(switch[3] or 0)
            began, waited = since.pop(prev, None), wait.pop(prev, None)
            if began and start_ns <= now <= end_ns:
                slices[prev].append(now - began)
                if waited:
                    waits[prev].append(waited)
            ready.pop(prev, None)
            if state.startswith("R"):
                ready[prev] = now
            if following in ready:
                wait[following] = now - ready.pop(following)
            since[following] = now
        elif woken and event != "sched_switch":
            ready.setdefault(int(woken[1]), now)
    return slices, waits


def rank(values, share):
    return sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]


def check_quantiles(dist, values):
    """Within a bucket, or the microseconds between the two that take the time."""
    assert dist["count"] == pytest.approx(len(values), rel=0.005, abs=3)
    lows = [bucket[0] for bucket in dist["buckets"]]
    for name, share in (("p50_ns", 0.5), ("p95_ns", 0.95), ("p99_ns", 0.99)):
        ours = dist[name]
        bucket = dist["buckets"][max(0, bisect.bisect(lows, ours) - 1)]
        width = bucket[1] - bucket[0] + 1
        # a few values more or less at one end move the rank
        near = [rank(values, min(1, max(0, share + move))) for move in (-0.005, 0.005)]
        low = max(near[0] - SKEW_NS, near[0] / 4)
        assert low - width <= ours <= near[1] + width + SKEW_NS, (name, near, ours)
    mean = sum(values) / len(values)
    assert dist["mean_ns"] == pytest.approx(mean, rel=0.02, abs=SKEW_NS)
    assert dist["mean_ns"] > mean / 4


@pytest.mark.parametrize("mode", ["sleep", "share", "yield"])
@retried
def test_slices_and_waits_as_perf_records_them(agent, spawn, workload, tmp_path, mode):
    data = tmp_path / "perf.data"
    program = spawn([workload("switcher"), "--mode", mode, "--seconds", "600"])
    time.sleep(0.2)
    tids = [int(tid) for tid in os.listdir(f"/proc/{program.pid}/task")]
    perf = spawn([*needs.tracefs(), needs.perf(), "record", "-q", "-N", "-a", "-m", "2048", "-k",
                  "mono", "-e", "sched:sched_switch,sched:sched_wakeup,sched:sched_wakeup_new",
                  "-o", data, "--", agent, "-q", "--pmu", "--pid", str(program.pid),
                  "--pmu-format", "json", "--duration", "2s"])
    found = Metrics(perf.wait(60).ok())
    start_ns = found.data["start_ns"]
    slices, waits = recorded(data, start_ns, start_ns + found.data["duration_ns"])
    check_quantiles(found.slices, [v for tid in tids for v in slices[tid]])
    check_quantiles(found.runqueue, [v for tid in tids for v in waits[tid]])


# ---- whom ------------------------------------------------------------------------------------

def test_per_process(agent, spawn, workload, tmp_path):
    """Sorted by their waits; what is merged is their sum; those that ended are there."""
    programs = {mode: spawn([workload("switcher"), "--mode", mode, "--seconds", "600"])
                for mode in ("sleep", "share")}
    capture = spawn([agent, "--pmu", "-a", "--per-pid", "--pmu-format", "json", "--duration",
                     "3s"])
    capture.wait_for("Collecting data")
    short = run.run(["sh", "-c", "echo $$; sleep 0.05"]).ok()
    found = Metrics(capture.wait().ok())
    procs = {proc["pid"]: proc for proc in found.data["processes"]}
    waits = [proc["runqueue"]["sum_ns"] + proc["still_waiting"]["sum_ns"]
             for proc in found.data["processes"]]
    assert waits == sorted(waits, reverse=True)
    assert procs[programs["share"].pid]["comm"] == "switcher"
    assert procs[programs["share"].pid]["reasons"]["preempted"] > 10
    assert procs[programs["sleep"].pid]["reasons"]["voluntary"] > 100
    ended = procs[int(short.out)]
    assert ended["reasons"]["exited"] == 1 and ended["comm"] == "sh"
    for key in ("switches", "cpu_ns"):
        assert sum(proc[key] for proc in procs.values()) == found.all[key]
    for kind in ("slices", "runqueue"):
        merged = collections.Counter()
        for proc in procs.values():
            for low, _, count in proc[kind]["buckets"]:
                merged[low] += count
        assert merged == {low: count for low, _, count in found.all[kind]["buckets"]}
        assert found.all[kind]["max_ns"] == max(p[kind]["max_ns"] for p in procs.values())
    assert found.data["process_count"] == len(procs) and found.data["unnamed_switches"] == 0


@retried
def test_names_of_short_lives(agent, spawn):
    """Thousands of processes a second, more than there is room for at once."""
    capture = spawn([agent, "--pmu", "-a", "--per-pid", "--pmu-format", "json", "--", "sh", "-c",
                     "i=0; while [ $i -lt 6000 ]; do (:); i=$((i+1)); done"])
    found = Metrics(capture.wait().ok())
    assert found.reasons["exited"] > 6000 and found.data["unnamed_switches"] == 0
    assert found.data["process_count"] == len({p["pid"] for p in found.data["processes"]})
    assert len(found.data["processes"]) > 6000


def test_only_the_process_that_was_named(metrics, agent, spawn, workload, tmp_path):
    spawn([workload("switcher"), "--mode", "sleep", "--seconds", "600"])
    program = spawn([workload("switcher"), "--mode", "sleep", "--seconds", "600"])
    result = run.run([agent, "-q", "--pmu", "--pid", str(program.pid), "--pmu-format", "json",
                      "--duration", "1s"], cwd=tmp_path).ok()
    found = Metrics(result)
    assert found.data["process_count"] == 1
    assert 100 < found.switches < 300


def test_children_of_a_command(agent, tmp_path):
    result = run.run([agent, "-q", "--pmu", "--pmu-format", "json", "--", "sh", "-c",
                      "for i in 1 2 3; do sleep 0.01; done; exit 5"], cwd=tmp_path)
    assert result.status == 5, str(result)
    found = Metrics(result)
    assert found.data["process_count"] == 4 and found.reasons["exited"] == 4


def in_pid_namespace():
    return [needs.unshare(), "-pf", "--mount-proc"]


def test_in_a_pid_namespace(metrics):
    found = metrics("sleep", before=in_pid_namespace())
    assert found.voluntary - 2 <= found.reasons["voluntary"] + found.reasons["io_wait"]
    assert found.data["process_count"] == 1 and found.reasons["exited"] == 1


@pytest.mark.parametrize("where", ["outside", "namespace"])
@retried
def test_threads_that_exit(agent, workload, tmp_path, where):
    """Their last slices count, also where they have no number any more when these end."""
    before = in_pid_namespace() if where == "namespace" else []
    found = Metrics(run.run([*before, agent, "-q", "--pmu", "--pmu-format", "json", "--",
                             workload("switcher"), "--mode", "threads", "--units", "100"],
                            cwd=tmp_path).ok())
    assert found.cpu_ns > 5e7
    assert found.all["cpu_ns"] == pytest.approx(found.cpu_ns, rel=0.05)
    assert found.data["process_count"] == 1 and found.reasons["exited"] == 101
    assert found.runqueue["count"] >= 0.95 * found.switches  # that of a new thread, too


UNAWAITED = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(400):
    if not os.fork():
        end = time.monotonic() + 0.0005
        while time.monotonic() < end:
            pass
        os._exit(0)
try:
    os.wait()
except ChildProcessError:
    pass
"""


@pytest.mark.parametrize("where", ["outside", "namespace"])
def test_children_that_nobody_waits_for(agent, tmp_path, where):
    before = in_pid_namespace() if where == "namespace" else []
    found = Metrics(run.run([*before, agent, "-q", "--pmu", "--pmu-format", "json", "--",
                             sys.executable, "-c", UNAWAITED], cwd=tmp_path).ok())
    assert found.data["process_count"] == 401 and found.reasons["exited"] == 401


LAST_ID = "/proc/sys/kernel/ns_last_pid"


@pytest.mark.skipif(not os.access(LAST_ID, os.W_OK), reason=f"no {LAST_ID}")
def test_an_id_that_is_given_out_again(agent, spawn, workload, tmp_path):
    """Who has the id of a target that ended is none."""
    first = spawn([workload("switcher"), "--mode", "sleep", "--seconds", "600"])
    second = spawn(["sleep", "600"])
    capture = spawn([agent, "--pmu", "--pid", f"{first.pid},{second.pid}", "--pmu-format",
                     "json", "--duration", "6s"], cwd=tmp_path)
    capture.wait_for("Collecting data")
    time.sleep(0.5)
    first.signal(signal.SIGKILL)
    first.wait()
    time.sleep(2.5)
    for _ in range(20):
        with open(LAST_ID, "w", encoding="ascii") as file:
            file.write(str(first.pid - 1))
        again = subprocess.Popen([workload("switcher"), "--mode", "yield", "--seconds", "1"],
                                 stdout=subprocess.DEVNULL)
        if again.pid == first.pid:
            break
        again.kill()
        again.wait()
    again.wait()
    if again.pid != first.pid:
        pytest.skip("others took the id")
    found = Metrics(capture.wait().ok())
    assert found.reasons["yielded"] == 0 and found.reasons["voluntary"] > 20
    assert found.reasons["exited"] == 1


@pytest.mark.parametrize("where", ["outside", "namespace"])
def test_more_children_than_the_filter_has_room_for(agent, tmp_path, where):
    """Those that ended give it back."""
    before = in_pid_namespace() if where == "namespace" else []
    result = run.run([*before, agent, "-q", "--pmu", "--pmu-format", "json", "--", "sh", "-c",
                      "i=0; while [ $i -lt 17000 ]; do (:); i=$((i+1)); done"], cwd=tmp_path,
                     timeout=120).ok()
    found = Metrics(result)
    assert "warning" not in result.err, result.err
    assert 17000 <= found.reasons["exited"] <= 17001


def test_one_cpu(agent, spawn, workload, tmp_path):
    needs.cpus(2)
    program = spawn([workload("switcher"), "--mode", "sleep", "--cpu", "1", "--seconds", "600"])
    common = [agent, "-q", "--pmu", "--pid", str(program.pid), "--pmu-format", "json",
              "--duration", "500ms", "--cpu"]
    assert Metrics(run.run([*common, "0"], cwd=tmp_path).ok()).switches == 0
    assert Metrics(run.run([*common, "1"], cwd=tmp_path).ok()).switches > 50


def test_a_cpu_that_is_not_there(agent, tmp_path):
    result = run.run([agent, "--pmu", "-a", "--cpu", "4095", "--duration", "1s"], cwd=tmp_path)
    assert result.status == 1 and "CPU 4095: " in result.err and "not online" in result.err


# ---- together with a profile -----------------------------------------------------------------

def test_with_a_profile(profile, tmp_path, workload):
    report = tmp_path / "report.json"
    found = profile("--sample-rate", "999", "--pmu", "--pmu-output", report, "--pmu-format",
                    "json", "--", workload("switcher"), "--mode", "share", "--seconds", "1")
    assert found.summary()[0] > 200
    data = json.loads(report.read_text())
    used = int(KERNEL.search(found.result.out)[3])
    assert data["all"]["cpu_ns"] == pytest.approx(used, rel=0.05)
    assert f"PMU metrics will be written to {report}\n" in found.result.out


# ---- the report -------------------------------------------------------------------------------

def test_text(agent, spawn, workload, tmp_path):
    program = spawn([workload("switcher"), "--mode", "share", "--seconds", "600"])
    text = run.run([agent, "--pmu", "--pid", str(program.pid), "--duration", "1s"],
                   cwd=tmp_path).ok().out
    times = "".join(rf"  {name + ':':7} \d+\.\d{{3}} ms\n"
                    for name in ("Min", "Max", "Mean", "P50", "P95", "P99", r"P99\.9"))
    times = times.replace(r"P99\.9: ", r"P99\.9:  ")
    assert re.search(
        r"^Collecting data for 1s \(Ctrl\+C to stop early\)\.\.\.\nCollection duration "
        rf"completed\n\n=== PMU Metrics \(PID: {program.pid}\) ===\nSamples: \d+\n\n"
        rf"On-CPU Time \(time slice per context switch\):\n{times}  Total: .*\n\n"
        rf"Runqueue Latency \(time waiting for CPU\):\n{times}  Total: .*\n\n"
        r"Context Switch Reasons:\n  Preempted \(running\):     \d+\.\d%  \(\d+ times\)\n"
        r"  Voluntary \(sleep/mutex\): \d+\.\d%  \(\d+ times\)\n"
        r"  I/O Wait \(D state\):      \d+\.\d%  \(\d+ times\)\n"
        r"(  (Yielded|Stopped|Exited).*\n)*\nHardware Counters:", text, re.M), text
    assert text.endswith("Exiting program.\n")
    assert os.listdir(tmp_path) == [] or not any("pb.gz" in n for n in os.listdir(tmp_path))


def test_system_wide_text(agent, tmp_path):
    text = run.run([agent, "--pmu", "-a", "--duration", "500ms"], cwd=tmp_path).ok().out
    assert re.search(r"\n=== PMU Metrics \(System-Wide\) ===\n\nPerformance counter stats for "
                     r"'system wide':\n\n  Processes profiled:     \d+\n"
                     r"  Total samples:          \d+\n", text), text
    text = run.run([agent, "--pmu", "-a", "--per-pid", "--top", "2", "--duration", "500ms"],
                   cwd=tmp_path).ok().out
    assert "=== PMU Metrics (System-Wide, Per-PID) ===\nProfiled " in text
    assert len(re.findall(r"^--- PID \d+ ---$", text, re.M)) == 2


def test_auto_name(agent, tmp_path):
    result = run.run([agent, "--pmu", "--pmu-output", "auto", "--", "sleep", "0.1"],
                     cwd=tmp_path).ok()
    name, = os.listdir(tmp_path)
    assert re.fullmatch(r"sleep-\d{12}-pmu\.txt", name)
    assert f"PMU metrics will be written to {name}\n" in result.out
    assert "=== PMU Metrics" not in result.out
    assert (tmp_path / name).read_text().startswith("\n=== PMU Metrics (sleep) ===\n")


def test_a_link_stays_one(agent, tmp_path):
    (tmp_path / "report").write_text("old")
    (tmp_path / "link").symlink_to("report")
    run.run([agent, "-q", "--pmu", "--pmu-output", "link", "--", "true"], cwd=tmp_path).ok()
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(tmp_path)) == ["link", "report"]
    assert "PMU Metrics" in (tmp_path / "report").read_text()


def test_report_that_can_not_be_written(agent, tmp_path):
    missing = tmp_path / "no" / "report"
    result = run.run([agent, "--pmu", "--pmu-output", missing, "--", "true"], cwd=tmp_path)
    assert result.status == 1 and f"{missing}: failed to write: " in result.err
    if os.path.exists("/dev/full"):
        result = run.run([agent, "--pmu", "--pmu-output", "/dev/full", "--", "true"],
                         cwd=tmp_path)
        assert result.status == 1 and "/dev/full: failed to write: " in result.err


def test_progress_without_samples(agent):
    master, slave = os.openpty()
    subprocess.run([agent, "--pmu", "-a", "--duration", "1300ms"], stdout=subprocess.DEVNULL,
                   stderr=slave, check=True)
    os.close(slave)
    said = os.read(master, 65536)
    os.close(master)
    assert re.search(rb"\x1b\[K\d+s", said) and b"samples" not in said, said


# ---- counters ----------------------------------------------------------------------------------

def test_counters(metrics):
    """Where there are none, the report says so; where there are, they make sense."""
    found = metrics("spin")
    counters = found.counters
    try:
        needs.hardware_cycles()
    except pytest.skip.Exception:
        assert all(c["value"] is None and "does not count" in c["why"] for c in counters.values())
        assert found.ipc is None and found.switches > 0
        return
    assert counters["cycles"]["value"] > 1e7
    if needs.is_emulated() and counters["instructions"]["value"] is None:  # without -icount
        assert found.ipc is None
    else:
        assert 0.05 < found.ipc < 8


def test_events_are_counted_for_who_runs(metrics):
    """Software events in the place of hardware ones: clocks tick as long as slices last, and
    every switch is an event."""
    found = metrics("pipe", env={"PERFAGENT_PMU_EVENTS":
                                 "cpu-clock,task-clock,page-faults,context-switches"})
    counters = found.counters
    assert counters["cycles"]["value"] == pytest.approx(found.all["cpu_ns"], rel=0.02)
    assert found.ipc == pytest.approx(1, rel=0.02)
    assert counters["branch-misses"]["value"] == pytest.approx(found.switches, rel=0.01)
    assert all(c["enabled_ns"] == c["running_ns"] > 0 for c in counters.values())


def test_a_counter_that_stands_still(metrics):
    """alignment-faults never happen here: as cycles, that can't be."""
    found = metrics("spin", env={"PERFAGENT_PMU_EVENTS":
                                 "alignment-faults,task-clock,alignment-faults,nonesuch"})
    assert found.counters["cycles"]["value"] is None
    assert "can't be" in found.counters["cycles"]["why"]
    assert found.counters["cache-misses"]["value"] is None
    assert found.counters["branch-misses"]["why"].startswith("this machine does not count")
    assert found.ipc is None


def test_instructions_of_a_known_loop(agent, workload, tmp_path):
    needs.hardware_cycles()
    found = Metrics(run.run([agent, "-q", "--pmu", "--pmu-format", "json", "--",
                             workload("counted"), "--millions", "1000"], cwd=tmp_path,
                            timeout=300).ok())
    with open("/proc/cmdline", encoding="ascii") as file:
        icount = re.search(r"\bpa_icount=(\d+)", file.read())
    if found.counters["instructions"]["value"] is None and not icount and needs.is_emulated():
        pytest.skip(f"no count of instructions: {found.counters['instructions']['why']}")
    assert found.counters["instructions"]["value"] == pytest.approx(1e9, rel=0.02)
    if not icount:  # a real CPU
        assert found.ipc > 0.1
        return
    # QEMU's counts cycles of 1 GHz
    assert found.ipc == pytest.approx(0.5 ** int(icount[1]), rel=0.05)
    for missing in ("cache-misses", "branch-misses"):
        assert found.counters[missing]["value"] is None and found.counters[missing]["why"]
