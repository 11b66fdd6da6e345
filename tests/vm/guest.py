# SPDX-License-Identifier: GPL-2.0-only
"""Boot a kernel in QEMU's software emulation and run one command there, as root.

The guest starts from an initramfs of a static busybox and the kernel's own modules; its root is a
folder of the host (the host's own root, or the files of another architecture), read-only over
virtiofs; results come back through a second, writable folder.
"""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from archive import Missing

HERE = pathlib.Path(__file__).resolve().parent
# QEMU, machine, accelerator, CPU, boot options. On x86-64, two threads of emulation crash a kernel
# that patches its own code (a static key; seen with 6.12 on QEMU 7.2: a breakpoint that is gone is
# hit) or uses cmpxchg16b (flags are garbled). no_timer_check: a busy host makes the timer look
# broken.
MACHINES = {
    "amd64": ("qemu-system-x86_64", "q35", "tcg,thread=single", "max,cx16=off,la57=off",
              "console=ttyS0 no_timer_check"),
    "arm64": ("qemu-system-aarch64", "virt", "tcg,thread=multi", "max", "console=ttyAMA0"),
}
MEMORY = "2G"
PT_INTERP = 3


def find(name, *others):
    for path in (shutil.which(name), *others):
        if path and pathlib.Path(path).exists():
            return path
    raise Missing(f"{name} is not installed (make deps-check)")


def cpio(entries):
    """A newc archive of (name, mode, bytes)."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def static_busybox():
    path = pathlib.Path(find("busybox"))
    elf = path.read_bytes()
    table, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    if any(elf[at] == PT_INTERP for at in range(table, table + size * count, size)):
        raise Missing(f"{path} is not static (package busybox-static)")
    return path


def initramfs(kernel, busybox, settings):
    modules = kernel.modules()
    conf = "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items())
    entries = [(folder, 0o40755, b"") for folder in ("bin", "dev", "modules")]
    entries += [
        ("bin/busybox", 0o100755, pathlib.Path(busybox).read_bytes()),
        ("bin/sh", 0o120777, b"busybox"),
        ("init", 0o100755, (HERE / "init").read_bytes()),
        ("vm.conf", 0o100644, conf.encode()),
        ("modules/order", 0o100644, "".join(f"{name}.ko\n" for name, _ in modules).encode()),
    ]
    entries += [(f"modules/{name}.ko", 0o100644, data) for name, data in modules]
    return cpio(entries)


@contextlib.contextmanager
def shared(folder, socket, log):
    """A folder of the host for the guest to mount, as long as the context lasts."""
    daemon = find("virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
    argv = [daemon, f"--socket-path={socket}", "-o", f"source={folder}", "-o", "cache=always",
            "-o", "sandbox=chroot", "-o", "log_level=err"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 20
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise Missing(f"virtiofsd does not start, see {log.name}")
            time.sleep(0.02)
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)


def arguments(kernel, initrd, boot_options, sockets, icount):
    name, machine, accelerator, cpu, options = MACHINES[kernel.arch]
    if icount is not None:
        accelerator = "tcg,thread=single"
        options += f" pa_icount={icount}"
    argv = [find(name), "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
            "-accel", accelerator, "-machine", f"{machine},memory-backend=mem",
            "-cpu", cpu, "-smp", "2", "-m", MEMORY,
            "-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on",
            "-kernel", kernel.image, "-initrd", initrd, "-serial", "stdio",
            "-append", f"{options} panic=-1 quiet loglevel=4 {boot_options}"]
    if icount is not None:
        argv += ["-icount", f"shift={icount},sleep=off"]
    for tag, socket in sockets.items():
        argv += ["-chardev", f"socket,id={tag},path={socket}",
                 "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
    return [str(a) for a in argv]


class Run:
    """How a guest ended: status (None: it did not get so far), seconds, and its files in out."""

    def __init__(self, out, seconds):
        self.out, self.seconds = out, seconds
        try:
            self.status = int((out / "status").read_text())
        except (OSError, ValueError):
            self.status = None

    def text(self, name):
        path = self.out / name
        return path.read_text(errors="replace") if path.exists() else ""


def boot(kernel, command, out, *, root="/", keep=(), busybox=None, boot_options="", kptr=None,
         icount=None, path=None, timeout=600):
    """Run command in a guest. Its root is root, and the folders in keep are there as they are on
    the host. With icount, an instruction takes 2^icount ns of the guest's time. out is emptied,
    then filled: console, log, status, and what the command writes to /run/vm. timeout is in
    seconds. @return Run; raises Missing"""
    out = pathlib.Path(out).absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    settings = {"VM_COMMAND": shlex.join(map(str, command)), "VM_KEEP": " ".join(map(str, keep)),
                "VM_PATH": path or os.environ["PATH"] + ":/usr/sbin:/sbin",
                "VM_KPTR_RESTRICT": kptr or ""}
    folders = {"root": root, "out": out}
    if str(root) != "/":
        folders["host"] = "/"
        for folder in keep:
            (pathlib.Path(root) / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
    settings["VM_KEEP_TAG"] = "host" if "host" in folders else ""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pa-vm-")))
        initrd = work / "initrd"
        initrd.write_bytes(initramfs(kernel, busybox or static_busybox(), settings))
        console = stack.enter_context(open(out / "console", "wb"))
        sockets = {tag: work / tag for tag in folders}
        for tag, folder in folders.items():
            stack.enter_context(shared(folder, sockets[tag], console))
        qemu = subprocess.Popen(arguments(kernel, initrd, boot_options, sockets, icount),
                                stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            qemu.wait(timeout)
        except subprocess.TimeoutExpired:
            with open(out / "console", "ab") as end:
                end.write(f"\nended after {timeout} s\n".encode())
        finally:
            if qemu.poll() is None:
                qemu.kill()
            qemu.wait(10)
    return Run(out, time.monotonic() - started)
