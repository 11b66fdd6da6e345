#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The live tests on other kernels: `check.py [BOOT...]` boots each of BOOTS (all, or those named)
in QEMU, runs the live tests there, and prints the matrix. `make check-vm` runs it.

PA_BUILD is the build folder (build/); VM_TESTS and VM_PYTEST_ARGS choose tests."""
import os
import pathlib
import shlex
import sys

import guest
import kernels
import matrix
import programs
import sysroot
from archive import Missing

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("PA_BUILD", TOP / "build")).resolve()
CACHE = BUILD / "vm"
HOST_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Boot:
    """One column of the matrix: a kernel and how it is started."""

    def __init__(self, name, suite, arch="amd64", tests=("tests/live",), options="", kptr=None,
                 icount=None, hours=2):
        self.name, self.suite, self.arch = name, suite, arch
        self.tests, self.options, self.kptr, self.icount = tests, options, kptr, icount
        self.hours = hours


# where tests need kernel symbols, or do what a locked kernel may forbid
GUARDED = ("tests/live/test_capture.py", "tests/live/test_consumers.py",
           "tests/live/test_failures.py", "tests/live/test_offcpu.py")
ICOUNT = 2
BOOTS = {boot.name: boot for boot in (
    Boot("bullseye", "bullseye"),
    Boot("bookworm", "bookworm"),
    Boot("bookworm-lockdown", "bookworm", tests=GUARDED, options="lockdown=integrity"),
    Boot("bookworm-backports", "bookworm-backports"),
    Boot("bookworm-backports-hidden", "bookworm-backports", tests=GUARDED, kptr="2"),
    Boot("sid", "sid"),
    # a BPF program is verified and compiled in seconds there, each time that perf-agent starts
    Boot("bookworm-arm64", "bookworm", arch="arm64", hours=6),
    # each instruction takes 2^ICOUNT ns, and the emulated PMU counts them
    Boot("bookworm-arm64-icount", "bookworm", arch="arm64", icount=ICOUNT,
         tests=("tests/live/test_pmu.py", "-k", "known_loop or stands_still")),
)}


def run(boot, tests, out=None, timeout=None):
    """Boot it and run tests there; results stay in CACHE/out/OUT. @return matrix.Column"""
    try:
        kernel = kernels.get(boot.suite, boot.arch, CACHE)
        root, build, busybox = "/", BUILD, None
        if boot.arch != HOST_ARCH:
            root, build = sysroot.build(CACHE, boot.arch, TOP)
            busybox = root / "bin/busybox"
        path = f"{programs.folder(CACHE, boot.arch, HOST_ARCH)}:{SYSTEM_PATH}"
        done = guest.boot(kernel, [TOP / "tests/vm/inside", TOP, build, *tests],
                          CACHE / "out" / (out or boot.name), root=root, busybox=busybox,
                          keep=(TOP, BUILD),
                          boot_options=boot.options, kptr=boot.kptr, icount=boot.icount, path=path,
                          timeout=timeout or boot.hours * 3600)
    except Missing as why:
        return matrix.Column(boot.name, why=str(why))
    except RuntimeError as why:
        sys.exit(f"check.py: {boot.name}: {why}")
    return matrix.Column(boot.name, done)


def main():
    unknown = set(sys.argv[1:]) - set(BOOTS)
    if unknown:
        sys.exit(f"check.py: no such boot: {' '.join(unknown)} (there are: {' '.join(BOOTS)})")
    chosen = os.environ.get("VM_TESTS", "").split()
    more = shlex.split(os.environ.get("VM_PYTEST_ARGS", ""))
    columns = []
    for name in sys.argv[1:] or BOOTS:
        print(f"booting {name}", flush=True)
        columns.append(run(BOOTS[name], [*(chosen or BOOTS[name].tests), *more]))
    print(matrix.report(columns))
    skipped = sum(c.count(matrix.SKIPPED) for c in columns) + sum(not c.run for c in columns)
    print(f"{sum(c.count(matrix.PASSED) for c in columns)} passed, "
          f"{sum(c.count(matrix.FAILED) for c in columns)} failed, {skipped} skipped")
    return 1 if any(c.failed() for c in columns) else 0


if __name__ == "__main__":
    sys.exit(main())
