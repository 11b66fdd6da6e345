# SPDX-License-Identifier: GPL-2.0-only
"""Running perf-agent: the fixture profile, and what its captures are asked."""
import functools
import os
import re
import signal
import time

import pytest

from harness import needs, perfdata, readers, run

SUMMARY = re.compile(r"^(\d+) samples, (\d+) lost, (\d+) distinct stacks, (\d+) processes$", re.M)


class Capture:
    """One run of perf-agent and what it wrote: data (perf.data), pprof."""

    def __init__(self, tool, data, pprof, process):
        self.tool, self.data, self.pprof, self.process = tool, data, pprof, process
        self.result = None

    def end(self, status=0, timeout=60):
        """Wait until perf-agent ends, which must be with this status. @return itself"""
        self.result = self.process.wait(timeout)
        assert self.result.status == status, str(self.result)
        return self

    def summary(self):
        """Samples, lost, distinct stacks, processes, as perf-agent prints them."""
        found = SUMMARY.search(self.result.out + self.result.err)
        assert found, str(self.result)
        return tuple(int(n) for n in found.groups())

    @functools.cached_property
    def file(self):
        return perfdata.File(self.data)

    @functools.cached_property
    def script(self):
        """Samples as perf sees them, which must say nothing on standard error."""
        text = self.perf("script", "-F", "comm,pid,tid,cpu,time,period,event,ip,sym,dso",
                         "--no-inline", "--ns")
        return readers.parse_perf_script(text)

    @functools.cached_property
    def raw(self):
        return readers.pprof_raw(self.pprof)

    def perf(self, command, *options):
        """Standard output of a perf command on the file; fails on any word of warning."""
        result = run.run([needs.perf(), command, "-i", self.data, *options], timeout=120,
                         cwd=self.data.parent, env={"LC_ALL": "C", "PAGER": "cat"}).ok()
        assert result.err == "", result.err
        return result.out

    def convert(self, name, *options, status=0):
        """Run one of our tools on the file. @return Result"""
        result = run.run([self.tool(name), *options, self.data], timeout=120,
                         cwd=self.data.parent)
        assert result.status == status, str(result)
        return result

    def folded(self, *options):
        return readers.folded(self.convert("pa2folded", *options).out)

    def weights(self):
        """Root-first stacks of the pprof profile with their sample counts."""
        stacks = readers.collections.Counter()
        for sample in self.raw.samples:
            stacks[tuple(reversed(self.raw.frames(sample)))] += sample[0][0]
        return stacks


@pytest.fixture
def start(agent, tool, tmp_path, spawn):
    """start(*options, name="capture"): perf-agent in the background. @return Capture"""
    def start_one(*options, name="capture", program=agent, **more):
        data, pprof = tmp_path / f"{name}.data", tmp_path / f"{name}.pb.gz"
        process = spawn([program, "--profile", "--perf-data-output", data, "--profile-output", pprof,
                         *options], **more)
        return Capture(tool, data, pprof, process)
    return start_one


@pytest.fixture
def profile(start):
    """profile(*options, status=0): perf-agent from start to end. @return Capture"""
    def profile_one(*options, status=0, timeout=60, **more):
        return start(*options, **more).end(status, timeout)
    return profile_one


@pytest.fixture
def hog(spawn, workload):
    """Has CPU 1 before all other real-time threads, which never get it. A twentieth is left to the
    rest by the kernel, whose own threads must go on."""
    needs.cpus(2)
    program = spawn([workload("switcher"), "--mode", "spin", "--cpu", "1", "--seconds", "30"])
    time.sleep(0.1)
    os.sched_setscheduler(program.pid, os.SCHED_FIFO, os.sched_param(50))
    yield program
    program.signal(signal.SIGKILL)


def collecting(capture):
    """Wait until a capture that was started samples. @return it"""
    capture.process.wait_for("Collecting data")
    return capture
