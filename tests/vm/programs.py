# SPDX-License-Identifier: GPL-2.0-only
"""Programs of the host that are made ready for a guest."""
import pathlib
import shutil

from archive import Missing, command

GO = """#!/bin/sh
# `go tool pprof` without the go command, which would first compile it, in emulation
[ "$1 $2" = "tool pprof" ] || { echo "$0: only tool pprof is here" >&2; exit 1; }
shift 2
exec "$(dirname "$0")/pprof" "$@"
"""


def folder(cache, arch, host_arch):
    """A folder for the front of the guest's PATH."""
    path = pathlib.Path(cache) / f"bin-{arch}"
    path.mkdir(parents=True, exist_ok=True)
    if (path / "go").exists():
        return path
    try:
        if arch == host_arch:
            shutil.copy(command(["go", "tool", "-n", "pprof"]).strip(), path / "pprof")
        else:
            command(["env", "GOOS=linux", f"GOARCH={arch}", "CGO_ENABLED=0", "go", "build", "-o",
                     path / "pprof", "cmd/pprof"])
    except (Missing, OSError):
        return path  # tests that need it are skipped
    (path / "go").write_text(GO)
    (path / "go").chmod(0o755)
    return path
