# SPDX-License-Identifier: GPL-2.0-only
"""The newest cloud kernel of a Debian suite, in the build folder: vmlinuz and modules."""
import lzma
import pathlib
import re
import shutil

from archive import Missing, Suite

# name -> suites that have it, newest version wins
SUITES = {
    "bullseye": "bullseye,bullseye-security",
    "bookworm": "bookworm,bookworm-security",
    "bookworm-backports": "bookworm-backports",
    "sid": "sid",
}
# what a guest needs to reach its root: virtio over PCI, and the file system of the host's folders
MODULES = ("virtio_pci", "virtiofs")
KEEP = re.compile(r"/(drivers/virtio|fs/fuse|drivers/dax)/")


class Kernel:
    """A kernel in folder: vmlinuz, config and lib/modules/RELEASE."""

    def __init__(self, name, arch, folder):
        self.name, self.arch, self.folder = name, arch, folder
        boot = next(p for p in (folder / "boot", folder / "usr/lib/modules", folder)
                    if list(p.rglob("vmlinuz*")))
        self.image = next(boot.rglob("vmlinuz*"))
        self._modules = {path.name.split(".ko")[0].replace("-", "_"): path
                         for path in sorted(folder.rglob("*.ko*"))}
        self.release = next(folder.rglob("modules/*")).name

    def module(self, name):
        """Bytes of a module, or None where the kernel has it built in (or not at all)."""
        path = self._modules.get(name)
        if not path:
            return None
        data = path.read_bytes()
        if path.suffix == ".xz":
            return lzma.decompress(data)
        if path.suffix == ".ko":
            return data
        raise Missing(f"{path.name}: compressed in a way that is not known here")

    def modules(self, names=MODULES):
        """Modules with what they depend on, in the order to load them: [(name, bytes)]."""
        ordered = {}

        def add(name):
            data = self.module(name)
            if data is None or name in ordered:
                return
            depends = re.search(rb"(?:^|\0)depends=([^\0]*)\0", data)
            for one in depends.group(1).decode().split(",") if depends else []:
                if one:
                    add(one.replace("-", "_"))
            ordered[name] = data

        for name in names:
            add(name)
        return list(ordered.items())


def prune(folder):
    """Drop most of what is never used: a kernel's modules take 100 MB."""
    for path in folder.rglob("*.ko*"):
        if not KEEP.search(str(path)):
            path.unlink()


def get(name, arch, cache):
    """Look the kernel up, fetch it unless the cache has it. @return Kernel; raises Missing"""
    suite = Suite(pathlib.Path(cache) / "apt" / f"{name}-{arch}", SUITES[name], arch)
    suite.refresh()
    wanted = suite.closure(f"linux-image-cloud-{arch}", r"^linux-(image|binary|modules)-\S*cloud")
    wanted.pop(f"linux-image-cloud-{arch}")
    if not wanted:
        raise Missing(f"{name} has no cloud kernel for {arch}")
    version = sorted(wanted.values())[-1]
    base = pathlib.Path(cache) / "kernels"
    folder = base / f"{name}-{arch}_{version.replace('/', '_')}"
    if not (folder / ".complete").exists():
        for old in base.glob(f"{name}-{arch}_*"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        suite.fetch(sorted(wanted), folder)
        prune(folder)
        (folder / ".complete").touch()
    return Kernel(name, arch, folder)
