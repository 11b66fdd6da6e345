# SPDX-License-Identifier: GPL-2.0-only
"""Processes and threads, their names and maps, whenever they begin, change and end."""
import collections
import os
import re
import shutil
import time

import pytest

from conftest import collecting
from harness import needs, readers, run


def unnamed(samples):
    """Share of samples whose process perf has no name for."""
    bad = sum(s.comm.startswith(":") or s.comm in ("", "[unknown]") for s in samples)
    return bad / max(len(samples), 1)


def user_unknown(samples):
    """Share of samples whose leaf is in user mode and has no name."""
    bad = sum(bool(s.frames) and s.frames[0] == "[unknown]" for s in samples)
    return bad / max(len(samples), 1)


def with_frame(samples, name):
    return [s for s in samples if name in s.frames]


def names_in_pprof(capture):
    return {name for sample in capture.raw.samples for name in capture.raw.frames(sample)}


def test_exec(profile, workload):
    """Before and after exec: each its own names, also when the addresses are the same."""
    found = profile("--sample-rate", "999", "--", workload("execer"), "--seconds", "1",
                    "--delay", "0.7", workload("fixedgraph"), "--seconds", "0.7")
    before, after = with_frame(found.script, "before_exec"), with_frame(found.script, "work")
    assert len(before) > 150 and len(after) > 150
    assert {s.comm for s in before} == {"execer"} and {s.comm for s in after} == {"fixedgraph"}
    assert len({s.pid for s in found.script}) == 1
    assert user_unknown(found.script) < 0.01
    assert {"before_exec", "heavy", "burn_units"} <= names_in_pprof(found)
    folded = found.folded()
    assert {stack[0] for stack in folded if "before_exec" in stack} == {"execer"}
    assert {stack[0] for stack in folded if "work" in stack} == {"fixedgraph"}


@pytest.mark.parametrize("target", ["command", "all"])
def test_fork_without_exec(start, profile, spawn, workload, target):
    argv = [workload("forker"), "--seconds", "1.2", "--children", "3"]
    if target == "command":
        found = profile("--sample-rate", "999", "--", *argv)
    else:
        found = collecting(start("--sample-rate", "999", "-a", "--duration", "2s"))
        spawn(argv)
        found.end()
    children = with_frame(found.script, "child_burn")
    assert len(children) > 100 and len({s.pid for s in children}) == 3
    assert {s.comm for s in children} == {"forker"}
    assert {"child_burn", "main"} <= names_in_pprof(found)


def test_command_is_followed_and_nobody_else(profile, spawn, workload):
    """Children that fork and exec are in; a neighbour is not."""
    neighbour = spawn([workload("syscaller"), "--seconds", "5"])
    found = profile("--sample-rate", "999", "--", "sh", "-c",
                    f"{workload('fixedgraph')} --seconds 0.6; {workload('churn')} --exec --seconds 0.6")
    names = {s.comm for s in found.script}
    assert {"fixedgraph", "churn"} <= names <= {"fixedgraph", "churn", "exe", "sh", "perf-agent"}
    assert neighbour.pid not in {s.pid for s in found.script}
    assert readers.share(found.folded(), "short_life") > 0.1
    assert unnamed(found.script) < 0.01


def test_command_is_named_while_it_execs(profile):
    """The first samples of a command come before its exec is done."""
    early = 0
    for i in range(6):
        found = profile("--sample-rate", "49999", "--", "true", name=f"true{i}")
        assert unnamed(found.script) == 0, found.script[:3]
        early += any("begin_new_exec" in s.frames or "bprm_execve" in s.frames
                     for s in found.script)
    assert early > 0


def test_without_children_of_pid(profile, spawn, workload):
    """--pid: the process, not the children that it had before."""
    forker = spawn([workload("forker"), "--seconds", "600"])
    run.wait_until(lambda: len(run.children(forker.pid)) == 4)
    found = profile("--pid", str(forker.pid), "--duration", "500ms", "--sample-rate", "999")
    assert not {s.pid for s in found.script} - {forker.pid}


def test_dlopen(start, spawn, workload):
    """A library that is loaded while the capture runs."""
    program = spawn([workload("dlopener"), "--seconds", "3", "--delay", "1"])
    found = collecting(start("--pid", str(program.pid), "--duration", "2200ms",
                             "--sample-rate", "999")).end()
    inside = with_frame(found.script, "lib_inner")
    assert len(inside) > 100
    assert all(s.dsos[s.frames.index("lib_inner")].endswith("/libburn.so") for s in inside)
    assert "before_dlopen" in {f for s in found.script for f in s.frames}
    assert {"lib_inner", "lib_entry", "before_dlopen"} <= names_in_pprof(found)


def test_names_that_change(profile, workload):
    """Each thread, old name before and new name after."""
    found = profile("--sample-rate", "1999", "--", workload("renamer"), "--seconds", "1.5")
    for half, word in (("first_half", "old"), ("second_half", "new")):
        samples = with_frame(found.script, half)
        assert {s.comm for s in samples if len(s.frames) > 2} == {f"{word}-{i}" for i in range(3)}
        assert len({(s.tid, s.comm) for s in samples}) == 3
        # the pprof labels say the same
        comms = {sample[2]["comm"][0] for sample in found.raw.samples
                 if half in found.raw.frames(sample)}
        assert comms == {f"{word}-{i}" for i in range(3)}


@pytest.mark.parametrize("existing", [True, False])
def test_threads(profile, spawn, workload, existing):
    argv = [workload("fixedgraph"), "--seconds", "600" if existing else "1", "--threads", "3", "--prctl"]
    if existing:
        program = spawn(argv)
        run.wait_until(lambda: len(os.listdir(f"/proc/{program.pid}/task")) == 4)
        time.sleep(0.1)
        found = profile("--pid", str(program.pid), "--duration", "1s", "--sample-rate", "999")
    else:
        found = profile("--sample-rate", "999", "--", *argv)
    working = with_frame(found.script, "work")
    assert {s.comm for s in working} == {"graph-1", "graph-2", "graph-3"}
    assert len({(s.tid, s.comm) for s in working}) == 3
    labels = {(s[2]["tid"][0], s[2]["comm"][0]) for s in found.raw.samples
              if "work" in found.raw.frames(s)}
    assert labels == {(str(s.tid), s.comm) for s in working}


def test_exit_during_capture(start, spawn, workload):
    """It ends, and so does the capture of it alone; its names stay."""
    program = spawn([workload("fixedgraph"), "--seconds", "1"])
    found = collecting(start("--pid", str(program.pid), "--duration", "20s", "--sample-rate",
                             "999"))
    program.wait()
    found.end()
    assert found.result.seconds < 8
    assert readers.share(found.weights(), "work") > 0.9
    assert readers.share(found.folded(), "work") > 0.9


def test_whole_system(profile, spawn, workload):
    """Everything that ran has a name, the kernel's own threads too."""
    for name in ("fixedgraph", "syscaller"):
        spawn([workload(name), "--seconds", "600"])
    spawn(["sh", "-c", "while :; do sync; done"], cwd="/dev/shm")
    found = profile("-a", "--duration", "2s", "--sample-rate", "1999")
    assert {"fixedgraph", "syscaller"} <= {s.comm for s in found.script}
    assert unnamed(found.script) < 0.01, {s.comm for s in found.script if s.comm[0] == ":"}
    assert not any(s.pid == 0 for s in found.script)
    kernel_threads = {s.pid for s in found.script if is_kernel_thread(s.pid)}
    for sample in found.script:
        if sample.pid in kernel_threads:
            assert not sample.comm.startswith(":") and sample.comm != "perf-agent"
    assert found.summary()[3] >= 3


def is_kernel_thread(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return "\nVmSize:" not in status.read()
    except OSError:
        return False


@pytest.mark.parametrize("options", [[], ["--exec"]])
def test_short_lives(start, spawn, workload, options):
    """Processes that live for 20 ms, in a capture of the whole system."""
    found = collecting(start("-a", "--duration", "2s", "--sample-rate", "1999"))
    spawn([workload("churn"), "--seconds", "3", *options])
    found.end()
    assert unnamed(found.script) < 0.01, [s for s in found.script if s.comm[0] == ":"][:5]
    lives = with_frame(found.script, "short_life")
    assert len(lives) > 300 and len({s.pid for s in lives}) > 20
    assert {s.comm for s in lives} == {"exe" if options else "churn"}
    assert user_unknown([s for s in found.script if s.comm in ("exe", "churn")]) < 0.03
    short = [s for s in found.raw.samples if "short_life" in found.raw.frames(s)]
    assert sum(s[0][0] for s in short) == pytest.approx(len(lives), rel=0.02)


def test_path_with_spaces(profile, workload, tmp_path):
    folder = tmp_path / "a folder (deleted)"
    folder.mkdir()
    program = folder / "the program; 7"
    shutil.copy(workload("fixedgraph"), program)
    found = profile("--sample-rate", "499", "--", program, "--seconds", "1")
    assert {s.comm for s in found.script} == {"the program; 7"}
    assert readers.share(found.weights(), "heavy") > 0.5
    assert str(program) in {dso for s in found.script for dso in s.dsos}
    assert str(program) in found.perf("buildid-list")


@pytest.mark.parametrize("when", ["0", "0.5"])
def test_deleted_binary(profile, workload, when):
    """Deleted before the capture looks, or in the middle: names from the image that still runs."""
    found = profile("--sample-rate", "999", "--", workload("deleted"), "--seconds", "1.2",
                    "--delay", when)
    weights = found.weights()
    assert readers.share(weights, "still_running") > (0.8 if when == "0" else 0.3)
    # and later, from what the file keeps
    assert readers.share(found.folded(), "still_running") == \
        pytest.approx(readers.share(weights, "still_running"), abs=0.01)
    assert readers.share(found.folded(), "burn_units") > 0.8


def test_deleted_before_the_capture(profile, spawn, workload):
    program = spawn([workload("deleted"), "--seconds", "600"])
    program.wait_for("deleted /tmp")
    found = profile("--pid", str(program.pid), "--sample-rate", "999", "--duration", "1s")
    program.end()
    assert readers.share(found.weights(), "still_running") > 0.9
    assert readers.share(found.folded(), "still_running") > 0.9


def test_memfd(profile, workload):
    found = profile("--sample-rate", "999", "--", workload("memfdrun"), "--seconds", "1")
    for stacks in (found.weights(), found.folded()):
        assert readers.share(stacks, "lib_inner") > 0.9


def test_jit_named_while_it_runs(profile, spawn, workload):
    program = spawn([workload("jitter"), "--seconds", "600"])
    run.wait_until(lambda: os.path.exists(f"/tmp/perf-{program.pid}.map"))
    found = profile("--pid", str(program.pid), "--sample-rate", "999", "--duration", "1s")
    for stacks in (found.weights(), found.folded()):
        assert readers.share(stacks, "jit_inner") > 0.9
        assert readers.share(stacks, "jit_outer") > 0.9
        assert readers.share(stacks, "run_jit") > 0.9
    inside = with_frame(found.script, "jit_inner")
    assert len(inside) > 0.9 * len(found.script)
    assert {s.dsos[s.frames.index("jit_inner")] for s in inside} == \
        {f"/tmp/perf-{program.pid}.map"}


def test_jit_named_after_its_map_is_gone(profile, workload):
    """The program removes its map at its end: names come from what was seen meanwhile."""
    found = profile("--sample-rate", "999", "--", workload("jitter"), "--seconds", "1")
    pid = found.script[0].pid
    assert not os.path.exists(f"/tmp/perf-{pid}.map")
    for stacks in (found.weights(), found.folded()):
        assert readers.share(stacks, "jit_inner") > 0.9
        assert readers.share(stacks, "jit_outer") > 0.9


def test_many_maps(profile, spawn, workload):
    program = spawn([workload("manymaps"), "--maps", "5000", "--seconds", "600"])
    program.wait_for("mapped 5000")
    found = profile("--pid", str(program.pid), "--sample-rate", "999", "--duration", "1s")
    assert readers.share(found.weights(), "amid_maps") > 0.9
    assert len(with_frame(found.script, "amid_maps")) > 0.9 * len(found.script)
    assert len({name for _, name, _ in found.file.maps()}) < 20
    assert sum(name.endswith("/manymaps") for _, name, _ in found.file.maps()) > 5000


def test_vdso(profile, workload):
    """depth22 asks the vdso for the time all along."""
    found = profile("--sample-rate", "1999", "--", workload("depth22"), "--seconds", "1")
    clock = [name for name in names_in_pprof(found) if "clock_gettime" in name]
    assert any(name.startswith("__vdso_") or name == "clock_gettime" for name in clock), clock
    assert any("[vdso]" in dso for s in found.script for dso in s.dsos)


def test_ids_used_again(start, spawn, workload, tmp_path):
    """A pid that two programs had, one after the other: each sample has the name of its time."""
    script = tmp_path / "reuse.sh"
    script.write_text(f"""
        mount -t proc proc /proc || exit 3
        for name in fixedgraph renamer syscaller; do
            echo 4321 >/proc/sys/kernel/ns_last_pid || exit 3
            {workload("fixedgraph").parent}/$name --seconds 0.6 &
            wait
        done
    """)
    found = collecting(start("-a", "--sample-rate", "999", "--duration", "3s"))
    result = run.run([needs.unshare(), "--pid", "--mount", "--fork", "sh", script])
    if result.status == 3:
        pytest.skip("ids can't be chosen: /proc/sys/kernel/ns_last_pid is not writable")
    result.ok()
    found.end()
    for frame, comms in (("heavy", {"fixedgraph"}), ("in_read", {"syscaller"}),
                         ("first_half", {"old-0", "old-1", "old-2"})):
        samples = with_frame(found.script, frame)
        if not {s.comm for s in samples} <= comms:
            pytest.fail(f"{frame} in {collections.Counter(s.comm for s in samples)}")
        assert len(samples) > 30, frame


def test_same_id_twice_in_this_namespace(start, spawn, workload):
    """As above where perf-agent itself sees the id twice."""
    last = "/proc/sys/kernel/ns_last_pid"
    if not os.access(last, os.W_OK):
        pytest.skip(f"ids can't be chosen: {last} is not writable")
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        wanted = int(file.read()) - 2000
    found = collecting(start("-a", "--sample-rate", "999", "--duration", "3s"))
    ids = []
    with open(last, "r+", encoding="ascii") as file:
        before = file.read().strip()
        for name in ("fixedgraph", "syscaller"):
            file.seek(0)
            file.write(str(wanted - 1))
            file.flush()
            process = spawn([workload(name), "--seconds", "0.8"])
            ids.append(process.pid)
            process.wait()
        file.seek(0)
        file.write(before)
    found.end()
    if len(set(ids)) > 1:
        pytest.skip(f"another process took the id: {ids}")
    mine = [s for s in found.script if s.pid == ids[0]]
    for frame, comm in (("work", "fixedgraph"), ("in_read", "syscaller")):
        samples = with_frame(mine, frame)
        assert len(samples) > 100 and {s.comm for s in samples} == {comm}
    assert user_unknown(mine) < 0.01
    assert re.search(r"syscaller;.*in_read", "\n".join(map(";".join, found.folded())))
