# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures and collection shared by all tests.

The build folder comes from PA_BUILD (set by make), else build/ at the top. Unit-test programs
and golden cases are collected as items of their own: see harness/units.py and harness/golden.py.
"""
import os
import pathlib
import subprocess

import pytest

from harness import golden, needs, run, units

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PA_BUILD", TOP / "build")).resolve()


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true",
                     help="write what the tools print now as the expected output")
    parser.addoption("--full", action="store_true", help="run the tests marked full, too")


def pytest_configure(config):
    config.pa_build = BUILD


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".c" and file_path.name.startswith("test_") \
            and file_path.parent.name == "unit":
        return units.Program.from_parent(parent, path=file_path)
    if file_path.name == "cmd" and file_path.parent.parent.parent.name == "golden":
        return golden.Case.from_parent(parent, path=file_path)
    return None


def pytest_collection_modifyitems(config, items):
    skip_full = pytest.mark.skip(reason="slow: run with --full (make check-full)")
    why = needs.live_missing()
    for item in items:
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(skip_full)
        in_live = "live" in pathlib.Path(item.path).relative_to(TOP / "tests").parts[:1]
        if why and (in_live or item.get_closest_marker("live")):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def top():
    """The top of the source tree."""
    return TOP


@pytest.fixture(scope="session")
def build():
    """The build folder."""
    return BUILD


def built(path):
    if not path.exists():
        pytest.fail(f"{path} is not built: run make tests-build")
    return path


@pytest.fixture(scope="session")
def agent():
    """Path of perf-agent."""
    return built(BUILD / "perf-agent")


@pytest.fixture(scope="session")
def tool():
    """tool("pa2pprof"): path of a tool."""
    return lambda name: built(BUILD / name)


@pytest.fixture(scope="session")
def workload():
    """workload("fixedgraph"): path of a workload program (or libNAME.so)."""
    return lambda name: built(BUILD / "tests" / "workloads" / name)


@pytest.fixture
def spawn(tmp_path):
    """spawn(argv, ...) starts a program in the background, run.Process; those still running at
    the end of the test are ended, by their id."""
    started = []

    def start(argv, **options):
        process = run.Process(argv, cwd=options.pop("cwd", tmp_path), **options)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.end()


@pytest.fixture
def free_cpu():
    """The number of a CPU this test may pin to: the last one that is allowed."""
    return max(os.sched_getaffinity(0))


def pytest_report_header():
    try:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=TOP, timeout=10,
                                capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""
    return f"build: {BUILD}  commit: {commit or '?'}  kernel: {os.uname().release}"
