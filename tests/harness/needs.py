# SPDX-License-Identifier: GPL-2.0-only
"""Skips that say why: each need returns the path of what it found, or skips the test."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from harness import run


def live_missing():
    """Why live tests can't run here, or None."""
    if os.geteuid() != 0:
        return "needs root (run as root, or sudo make check-live)"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
    return None


def live():
    """Skip unless live profiling is possible."""
    why = live_missing()
    if why:
        pytest.skip(why)


def command(name, package=None):
    """Path of a command, from PATH or the system folders."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{name} is missing: make deps-check" +
                    (f" (package {package})" if package else ""))
    return path


def perf():
    return command("perf", "linux-perf")


def hotspot_perfparser():
    for path in glob.glob("/usr/lib/*/libexec/hotspot-perfparser") + \
            glob.glob("/usr/libexec/hotspot-perfparser"):
        return path
    return pytest.skip("hotspot-perfparser is missing: make deps-check (package hotspot)")


def go():
    return command("go", "golang-go")


def go_that_builds():
    """Guests have a go command for pprof alone."""
    path = go()
    if subprocess.run([path, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{path} builds nothing")
    return path


def go_at_least(major, minor):
    """Go whose tools print as that version's do; an older one is skipped."""
    text = subprocess.run([go(), "version"], capture_output=True, text=True, check=True).stdout
    have = tuple(map(int, re.search(r"go(\d+)\.(\d+)", text).groups()))
    if have < (major, minor):
        pytest.skip(f"Go {major}.{minor} prints otherwise than this {text.strip()}")
    return go()


def unshare():
    """unshare(1), where it may make mount and pid namespaces."""
    path = command("unshare", "util-linux")
    tried = subprocess.run([path, "-pf", "--mount-proc", "true"], capture_output=True, text=True,
                           check=False)
    if tried.returncode:
        pytest.skip(f"namespaces can't be made here: {tried.stderr.strip()}")
    return path


def create_llvm_prof():
    return command("create_llvm_prof", "autofdo")


def release():
    """Of Linux: (major, minor)."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def locked_memory():
    """What to put before a command that loads BPF programs as an ordinary user: before Linux 5.11
    maps count as locked memory."""
    return [] if release() >= (5, 11) else [command("prlimit"), "--memlock=unlimited"]


def cpus(count):
    """Skip with fewer CPUs than count."""
    have = len(os.sched_getaffinity(0))
    if have < count:
        pytest.skip(f"needs {count} CPUs, {have} are allowed")


def is_emulated():
    """Is this one of the guests of make check-vm?"""
    return run.PATIENCE > 1


def hardware_cycles():
    """Skip where the CPU has no counter (a VM)."""
    devices = "/sys/bus/event_source/devices"
    if not glob.glob(f"{devices}/cpu*/events/cpu-cycles") and \
            not glob.glob(f"{devices}/arm*/events/cpu_cycles"):
        pytest.skip(f"no hardware counters ({devices})")


def has_branch_stacks():
    return bool(glob.glob("/sys/bus/event_source/devices/*/caps/branches"))


def kernel_names():
    """Does /proc/kallsyms tell root addresses? Not with kernel.kptr_restrict=2."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        return any(int(line.split()[0], 16) for line, _ in zip(file, range(100)))


def tracefs():
    """What to put before a command that needs tracefs: nothing where it is mounted, else what
    mounts it for that command alone."""
    if os.path.isdir("/sys/kernel/tracing/events") or \
            os.path.isdir("/sys/kernel/debug/tracing/events"):
        return []
    mount = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"'
    prefix = [command("unshare", "util-linux"), "-m", "sh", "-c", mount, "sh"]
    tried = subprocess.run([*prefix, "test", "-d", "/sys/kernel/tracing/events/sched"],
                           capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"tracefs can't be mounted: {tried.stderr.strip()}")
    return prefix
