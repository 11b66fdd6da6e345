# SPDX-License-Identifier: GPL-2.0-only
"""Packed tables of the ELF files in the system's folders, against their CFI and readelf -wF."""
import os
import re
import subprocess

import pytest

from harness import needs

FOLDERS = ["/lib", "/usr/lib", "/usr/bin", "/usr/libexec"]
ALWAYS = re.compile(r"/(ld-linux[^/]*|libc|libm|libstdc\+\+|libcrypto|libgcc_s)\.so[^/]*$")
SHORT_EVERY, SHORT_MAX_BYTES = 97, 1 << 20


def is_elf(path):
    try:
        with open(path, "rb") as f:
            return f.read(4) == b"\x7fELF"
    except OSError:
        return False


def elf_files():
    """Each once, whatever links lead to it, in the order of their names."""
    found = {}
    for top in FOLDERS:
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path) or not is_elf(path):
                    continue
                st = os.stat(path)
                found.setdefault((st.st_dev, st.st_ino), path)
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
    paths = [p for i, p in enumerate(elf_files()) if ALWAYS.search(p) or
             (i % SHORT_EVERY == 0 and os.path.getsize(p) < SHORT_MAX_BYTES)]
    files, rows, readelf_rows = check(build, paths)
    assert files > 5 and rows > 10000 and readelf_rows > 10000


@pytest.mark.full
def test_all(build):
    files, rows, readelf_rows = check(build, elf_files())
    print(f"{files} files, {rows} rows, {readelf_rows} of readelf")
    assert files > 100
