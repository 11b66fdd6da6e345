# SPDX-License-Identifier: GPL-2.0-only
"""Another architecture on this machine: a folder with its libraries and programs, which is what
cross-compilers link against and what a guest runs from; and perf-agent, built for it."""
import compileall
import hashlib
import os
import pathlib
import shutil
import subprocess

import archive
from archive import Missing

SUITES = "bookworm,bookworm-security"
LIBRARIES = ("libc6-dev libstdc++-12-dev libbpf-dev libelf-dev libdw-dev libtraceevent-dev "
             "zlib1g-dev libzstd-dev liblzma-dev libdeflate-dev libcap-dev libiberty-dev "
             "uthash-dev libprotobuf-c-dev").split()
PROGRAMS = ("base-passwd bash dash libc-bin coreutils util-linux mount procps grep sed findutils "
            "mawk python3-pytest libpython3-stdlib linux-perf strace binutils libcap2-bin "
            "busybox-static").split()
TRIPLETS = {"arm64": "aarch64-linux-gnu"}


def root(cache, arch):
    """The folder, made when it is not there. @return path"""
    names = LIBRARIES + PROGRAMS
    mark = hashlib.sha256(" ".join([SUITES, *names]).encode()).hexdigest()[:12]
    folder = pathlib.Path(cache).absolute() / f"root-{arch}"
    if (folder / ".complete").exists() and (folder / ".complete").read_text() == mark:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "sbin", "lib"):
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    suite = archive.Suite(folder.parent / "apt" / f"root-{arch}", SUITES, arch)
    suite.refresh()
    suite.install(names, folder)
    for name in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # what the packages' scripts would have done, as far as it is missed
    for name in ("passwd", "group"):
        shutil.copy(folder / f"usr/share/base-passwd/{name}.master", folder / "etc" / name)
    for path in (folder / "usr/bin/sh", folder / "usr/bin/awk"):
        if not path.exists():
            path.symlink_to({"sh": "dash", "awk": "mawk"}[path.name])
    compileall.compile_dir(folder / "usr/lib/python3", quiet=2, stripdir=folder)
    for path in folder.glob("usr/lib/python3.*"):
        compileall.compile_dir(path, quiet=2, stripdir=folder)
    (folder / ".complete").write_text(mark)
    return folder


def wrapper(path, text):
    path.write_text(f'#!/bin/sh\n{text} "$@"\n')
    path.chmod(0o755)


def build(cache, arch, top):
    """perf-agent, its tools and workloads for arch. @return (root, build folder)"""
    triplet = TRIPLETS.get(arch)
    if not triplet:
        raise Missing(f"this machine has no way to build for {arch}")
    folder = root(cache, arch)
    tools = folder.parent / f"cross-{arch}"
    tools.mkdir(exist_ok=True)
    for name in ("gcc", "g++"):
        real = shutil.which(f"{triplet}-{name}")
        if not real:
            raise Missing(f"{triplet}-{name} is not installed (make deps-check)")
        wrapper(tools / f"{triplet}-{name}", f"exec {real} --sysroot={folder}")
    wrapper(tools / f"{triplet}-pkg-config",
            f"PKG_CONFIG_SYSROOT_DIR={folder} "
            f"PKG_CONFIG_LIBDIR={folder}/usr/lib/{triplet}/pkgconfig:{folder}/usr/share/pkgconfig "
            "exec pkg-config")
    out = folder.parent / f"build-{arch}"
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")
           and key not in ("MFLAGS", "CC", "CXX", "O", "B")}
    env |= {"PATH": f"{tools}:{env['PATH']}", "LIBPERF_ARCH": arch}
    make = ["make", "-C", top, f"CROSS_COMPILE={triplet}-", f"SYSROOT={folder}", f"O={out}"]
    log = folder.parent / f"build-{arch}.log"
    with open(log, "w", encoding="utf-8") as file:
        for argv in ([top / ".ci/deps.sh", "libperf", out / "libperf"], [*make, "vm-build"]):
            env["CROSS_COMPILE"] = f"{triplet}-"
            if subprocess.run([str(a) for a in argv], env=env, stdout=file, stderr=file,
                              check=False).returncode:
                raise RuntimeError(f"the build for {arch} failed, see {log}")
    return folder, out
