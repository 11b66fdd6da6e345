# SPDX-License-Identifier: GPL-2.0-only
"""Many processes: what is read of /proc and written to the file follows those that run."""
import re

import pytest

from harness import needs, run


@pytest.mark.parametrize("sleeping", [300, pytest.param(9000, marks=pytest.mark.full)])
def test_only_active_processes_are_looked_at(agent, spawn, workload, tmp_path, sleeping):
    sleeper = spawn([workload("sleeper"), "--count", str(sleeping), "--seconds", "200"])
    sleeper.wait_for("ready", timeout=60)
    forker = spawn([workload("forker"), "--children", "20", "--seconds", "200"])
    forker.wait_for(" ")
    active = {int(pid) for pid in forker.out.split()} | set(run.children(forker.pid))
    assert len(active) == 20
    data, trace = tmp_path / "perf.data", tmp_path / "trace"
    run.run([needs.command("strace"), "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", trace,
             agent, "--profile", "-a", "--sample-rate", "499", "--duration", "2s",
             "--perf-data-output", data, "--profile-output", tmp_path / "x.pb.gz"],
            timeout=120).ok()
    opened = trace.read_text()
    maps = [int(pid) for pid in re.findall(r'"/proc/(\d+)/(?:task/\d+/)?maps"', opened)]
    assert active <= set(maps)
    asleep = set(run.children(sleeper.pid))
    assert len(asleep) == sleeping and not asleep & set(maps)
    # for the records, for the unwind tables, and when awaited tables are there
    assert len(set(maps)) < 60 and len(maps) < 5 * len(set(maps)), sorted(maps)
    assert not asleep & {int(pid) for pid in re.findall(r'"/proc/(\d+)/', opened)}
    # some 100 bytes for each sample, 1 KiB or so for each process
    assert data.stat().st_size < 1_000_000
