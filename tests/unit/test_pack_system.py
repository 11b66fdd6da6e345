# SPDX-License-Identifier: GPL-2.0-only
"""Packed tables of ELF files in the system's folders, against their CFI and readelf -wF; of
programs with and without frame pointers, which of their pages keep them."""
import glob
import os
import re
import subprocess

import pytest

from harness import needs

FOLDERS = ["/lib", "/usr/lib", "/usr/bin", "/usr/libexec"]
ALWAYS = re.compile(r"/(ld-linux[^/]*|libc|libm|libstdc\+\+|libcrypto|libgcc_s)\.so[^/]*$")
SHORT = "/usr/lib/*-linux-gnu/*.so*"
SHORT_EVERY, SHORT_MAX_BYTES = 97, 1 << 20


def is_elf(path):
    try:
        with open(path, "rb") as f:
            return f.read(4) == b"\x7fELF"
    except OSError:
        return False


def once(paths):
    """The ELF files among them, each once, whatever links lead to it, by their names."""
    found = {}
    for path in paths:
        if not os.path.islink(path) and os.path.isfile(path):
            st = os.stat(path)
            if (st.st_dev, st.st_ino) not in found and is_elf(path):
                found[(st.st_dev, st.st_ino)] = path
    return sorted(found.values())


def check(build, paths):
    """Returns numbers of files, rows and rows of readelf."""
    needs.command("readelf", "binutils")
    counts = [0, 0, 0]
    wrong = []
    for i in range(0, len(paths), 20):
        done = subprocess.run([build / "tests/tools/packcheck", "--readelf", *paths[i:i + 20]],
                              capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            row = re.search(r": rows (\d+) .* readelf (\d+) ", line)
            counts = [counts[0] + 1, counts[1] + int(row[1]), counts[2] + int(row[2])]
        if done.returncode:
            wrong.append(done.stderr)
    assert not wrong
    return counts


def test_some(build):
    paths = [p for i, p in enumerate(sorted(glob.glob(SHORT))) if ALWAYS.search(p) or
             (i % SHORT_EVERY == 0 and os.path.getsize(p) < SHORT_MAX_BYTES)]
    files, rows, readelf_rows = check(build, once(paths))
    assert files > 5 and rows > 10000 and readelf_rows > 10000


@pytest.mark.parametrize("name, keeps", [("fixedgraph", True), ("fixedgraph-nofp", False)])
def test_frame_pointers(build, workload, name, keeps):
    done = subprocess.run([build / "tests/tools/packcheck", workload(name)], capture_output=True,
                          text=True, check=True)
    row = re.search(r" pages (\d+) keeping frame pointers (\d+) ", done.stdout)
    assert int(row[1]) > 0
    assert int(row[2]) == (int(row[1]) if keeps else 0)


@pytest.mark.full
def test_all(build):
    paths = [os.path.join(folder, name) for top in FOLDERS
             for folder, _, names in os.walk(top) for name in names]
    files, rows, readelf_rows = check(build, once(paths))
    print(f"{files} files, {rows} rows, {readelf_rows} of readelf")
    assert files > 100
