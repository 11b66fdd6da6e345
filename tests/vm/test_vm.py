# SPDX-License-Identifier: GPL-2.0-only
"""A little of check-vm in make check: the oldest kernel takes the BPF programs and is profiled."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check  # noqa: E402
import matrix  # noqa: E402

# few, and such that emulation is fast enough for them
TESTS = ("tests/live/test_capture.py::test_depth",
         "tests/live/test_capture.py::test_kernel_part_and_user_part",
         "tests/live/test_capture.py::test_pid_of_running_process")


@pytest.mark.live
def test_oldest_kernel():
    column = check.run(check.BOOTS["bullseye"], TESTS, out="short", timeout=240)
    if not column.run:
        pytest.skip(f"no guest: {column.why}")
    print(matrix.report([column]))
    assert column.run.status is not None, column.run.text("console")[-2000:]
    assert not column.failed(), matrix.report([column])
    assert column.count(matrix.PASSED) >= 2
