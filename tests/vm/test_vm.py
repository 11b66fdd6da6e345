# SPDX-License-Identifier: GPL-2.0-only
"""A little of check-vm in make check: the oldest kernel takes the BPF programs and is profiled."""
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check  # noqa: E402
import guest  # noqa: E402
import matrix  # noqa: E402

# few, and such that emulation is fast enough for them
TESTS = ("tests/live/test_capture.py::test_depth",
         "tests/live/test_capture.py::test_kernel_part_and_user_part",
         "tests/live/test_capture.py::test_pid_of_running_process[0.2]")


@pytest.mark.live
def test_oldest_kernel():
    found = check.run(check.BOOTS["bullseye"], TESTS, out="short", timeout=240)
    if not found.run:
        pytest.skip(f"no guest: {found.why}")
    print(matrix.report([found]))
    assert found.run.status is not None, found.run.text("console")[-2000:]
    assert not found.failed(), matrix.report([found])
    assert found.count(matrix.PASSED) >= 2


RESULTS = """{"test": "tests/live/test_a.py::test_good", "outcome": "passed", "why": ""}
{"test": "tests/live/test_a.py::test_bad[x]", "outcome": "failed", "why": "no"}
{"test": "tests/live/test_b.py::test_not", "outcome": "skipped", "why": "why"}
"""
GOOD = RESULTS.replace("failed", "passed")


def column(out, **files):
    files = {"results": RESULTS, "status": "0", "release": "1.2", **files}
    for name, text in files.items():
        (out / name).write_text(text)
    return matrix.Column("one", guest.Run(out, 3))


def test_report(tmp_path):
    found = column(tmp_path, status="1", programs="x.o prog ok 10 20\n")
    assert found.failed()
    text = matrix.report([found, matrix.Column("two", why="no mirror")])
    for part in ("1+0, 1", "0+1", "10/20", "test_a::test_bad[x]: no: one 1", "why: one 1",
                 "two: not booted: no mirror"):
        assert part in text, text


def test_second_run_counts(tmp_path):
    found = column(tmp_path, programs="x.o prog ok 10 20\n", **{"results-again": GOOD})
    assert not found.failed() and found.count(matrix.PASSED) == 2
    assert "passed when run again: test_a::test_bad[x]" in matrix.report([found])


@pytest.mark.parametrize("programs", ["", "x.o prog failed 22\n", "x.o prog ok 10 600000\n"])
def test_refused_program_is_a_failure(tmp_path, programs):
    assert column(tmp_path, programs=programs, results=GOOD).failed()


def test_guest_that_died_is_a_failure(tmp_path):
    found = column(tmp_path, status="", console="...\nKernel panic - oh\n")
    assert found.failed() and "Kernel panic - oh" in found.why


def test_initramfs(tmp_path):
    """The archive is one that others read."""
    (tmp_path / "x.cpio").write_bytes(guest.cpio([("a", 0o100644, b"12345"), ("d", 0o40755, b"")]))
    busybox = guest.find("busybox")
    with open(tmp_path / "x.cpio", "rb") as archive:
        subprocess.run([busybox, "cpio", "-i"], stdin=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "a").read_bytes() == b"12345" and (tmp_path / "d").is_dir()
