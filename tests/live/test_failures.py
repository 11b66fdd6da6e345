# SPDX-License-Identifier: GPL-2.0-only
"""What fails is said, with status 1; what was captured before is kept; nothing is left in part."""
import os
import re
import signal
import time

import pytest

from conftest import collecting
from harness import needs, perfdata, readers, run


def failed(result, *said):
    assert result.status == 1, str(result)
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("perf-agent: ") and "warning" not in last
    for text in said:
        assert text in result.err, result.err
    return result


def burn(workload, seconds="1"):
    return ["--", workload("fixedgraph"), "--seconds", seconds]


def test_missing_process(agent, spawn, tmp_path):
    gone = spawn(["true"])
    gone.wait()
    failed(run.run([agent, "--profile", "--pid", str(gone.pid)], cwd=tmp_path),
           f"process {gone.pid}: failed to profile: No such process")
    assert os.listdir(tmp_path) == []


def test_thread_is_no_process(agent, spawn, workload, tmp_path):
    program = spawn([workload("fixedgraph"), "--threads", "1"])
    run.wait_until(lambda: len(os.listdir(f"/proc/{program.pid}/task")) == 2)
    thread = [t for t in os.listdir(f"/proc/{program.pid}/task") if t != str(program.pid)][0]
    failed(run.run([agent, "--profile", "--pid", thread], cwd=tmp_path), f"--pid {program.pid}")


@pytest.mark.parametrize("option", ["--profile-output", "--perf-data-output"])
@pytest.mark.parametrize("path", ["/nonexistent/x", ".", "/dev", ""])
def test_outputs_that_can_not_be_written(agent, workload, tmp_path, option, path):
    """Said before the capture, not after."""
    result = run.run([agent, "--profile", option, path, *burn(workload, "30")], cwd=tmp_path)
    failed(result, path)
    assert result.seconds < 5 and os.listdir(tmp_path) == []


def test_rate_above_the_limit(agent, tmp_path):
    with open("/proc/sys/kernel/perf_event_max_sample_rate", encoding="ascii") as file:
        limit = int(file.read())
    result = failed(run.run([agent, "--profile", "-a", "--sample-rate", str(limit + 1)],
                            cwd=tmp_path), "kernel.perf_event_max_sample_rate", str(limit))
    assert result.seconds < 5 and os.listdir(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    result = run.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder])
    if result.status:
        pytest.skip(f"tmpfs can't be mounted: {result.err.strip()}")
    yield folder
    run.run(["umount", folder]).ok()


def test_full_disk(agent, tool, workload, small_disk, tmp_path):
    """perf.data ends with its last whole record; the profile, elsewhere, is whole."""
    data, pprof = small_disk / "perf.data", tmp_path / "out.pb.gz"
    result = failed(run.run([agent, "--profile", "--sample-rate", "9999", "--perf-data-output",
                             data, "--profile-output", pprof, *burn(workload, "2")], cwd=tmp_path),
                    str(data), "No space left")
    assert result.seconds < 30
    assert 150_000 < data.stat().st_size <= 256 << 10
    file = perfdata.File(data)
    samples = sum(1 for _ in file.samples())
    assert samples > 500
    seen = run.run([needs.perf(), "script", "-i", data, "-F", "ip,sym", "--no-inline"]).ok()
    assert seen.out.count("\n\n") == samples
    folded = run.run([tool("pa2folded"), data])
    assert folded.status in (0, 3)
    assert sum(readers.folded(folded.out).values()) == samples
    assert sum(s[0][0] for s in readers.pprof_raw(pprof).samples) >= samples


def test_full_disk_for_the_profile(agent, workload, small_disk, tmp_path):
    """It is whole or absent; perf.data is not touched by its failure."""
    (small_disk / "filler").write_bytes(b"x" * ((256 << 10) - 4096))
    data, pprof = tmp_path / "perf.data", small_disk / "out.pb.gz"
    (small_disk / "filler2").write_bytes(b"x" * 4096)
    failed(run.run([agent, "--profile", "--sample-rate", "999", "--perf-data-output", data,
                    "--profile-output", pprof, *burn(workload)], cwd=tmp_path), str(pprof),
           "No space left")
    assert sorted(os.listdir(small_disk)) == ["filler", "filler2"]
    assert perfdata.File(data).capture().written > 100


@pytest.mark.parametrize("option", ["--profile-output", "--perf-data-output"])
def test_full_device(agent, workload, tmp_path, option):
    failed(run.run([agent, "--profile", option, "/dev/full", *burn(workload, "0.3")],
                   cwd=tmp_path), "/dev/full")


@pytest.mark.parametrize("option", ["--profile-output", "--perf-data-output"])
def test_closed_pipe(agent, workload, tmp_path, option):
    script = (f"('{agent}' --profile {option} - --sample-rate 999 -- '{workload('fixedgraph')}' "
              "--seconds 0.5; echo $? >status) | true")
    result = run.run(["sh", "-c", script], cwd=tmp_path)
    run.wait_until(lambda: (tmp_path / "status").exists() and
                   (tmp_path / "status").read_text(), 10, "the status")
    assert (tmp_path / "status").read_text() == "1\n", result.err
    assert "Broken pipe" in result.err


def test_no_samples(profile, spawn):
    """A process that sleeps: an empty profile is a valid one."""
    sleeper = spawn(["sleep", "600"])
    time.sleep(0.2)
    found = profile("--pid", str(sleeper.pid), "--duration", "300ms")
    assert "warning: no samples" in found.result.err
    assert found.raw.samples == [] and found.raw.types[:1] == ["samples/count"]
    assert found.script == [] and found.folded() == {}
    assert found.file.capture().fired == 0


def killed(start, spawn, workload):
    program = spawn([workload("fixedgraph"), "--seconds", "600"])
    found = collecting(start("--pid", str(program.pid), "--duration", "20s", "--sample-rate",
                             "999"))
    run.wait_until(lambda: found.data.stat().st_size > 50_000)
    found.process.signal(signal.SIGKILL)
    found.process.child.wait(10)
    return found


def test_killed(start, spawn, workload, tmp_path):
    found = killed(start, spawn, workload)
    samples = sum(1 for _ in found.file.samples())
    assert samples > 100 and found.file.features == 0
    seen = run.run([needs.perf(), "script", "-i", found.data, "-F", "ip,sym", "--no-inline"]).ok()
    assert seen.out.count("\n\n") == samples and "heavy" in seen.out
    run.run([needs.hotspot_perfparser(), "--input", found.data, "--output", tmp_path / "out"],
            timeout=30)
    assert (tmp_path / "out").stat().st_size > 1000
    folded = found.convert("pa2folded", status=3)
    assert "unfinished" in folded.err or "not finished" in folded.err, folded.err
    assert sum(readers.folded(folded.out).values()) >= samples
    assert readers.share(readers.folded(folded.out), "heavy", of="work") > 0.4
    assert not found.pprof.exists()


def test_killed_leaves_nothing_running(start, workload, tmp_path):
    """The command goes on, or was ended; perf-agent's BPF programs and events are gone."""
    found = collecting(start("--sample-rate", "99", "--", workload("fixedgraph"), "--seconds",
                             "2"))
    time.sleep(0.2)
    found.process.signal(signal.SIGKILL)
    found.process.child.wait(10)
    listed = run.run([needs.command("bpftool"), "link", "show"])
    assert f"perf-agent({found.process.pid})" not in listed.out
    assert sorted(os.listdir(tmp_path)) == ["capture.data"]


def test_process_hidden_by_its_names(profile, workload):
    """A command's name that is long and odd appears in no message as a control character."""
    found = profile("--", "sh", "-c", "printf '\\033[31m\\n;x' >/proc/$$/comm; "
                    f"'{workload('fixedgraph')}' --seconds 0.3; :")
    assert "\033[31m" not in found.result.out + found.result.err
    stacks = found.convert("pa2folded").out
    assert all(re.fullmatch(r"[^\x00-\x1f]+ \d+", line) for line in stacks.splitlines())
