# SPDX-License-Identifier: GPL-2.0-only
"""Where names come from when the binary is not where it was: --symfs, --debug-dir, perf's build-id
cache, debuginfod servers; and the kernel's from --kallsyms and --vmlinux."""
import ctypes.util
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from harness import readers, run

SOURCE = "int leaf(int x) { return x * 3 + 1; }\nint main(void) { return leaf(2); }\n"
KERNEL_TEXT = 0xffffffff9e000000  # where the made-up kernel lay


@pytest.fixture
def make(top):
    """The module that writes the golden inputs."""
    path = top / "tests" / "golden" / "make_perfdata.py"
    spec = importlib.util.spec_from_file_location("make_perfdata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Program:
    """A binary, its separate debug file, and a recording that names it by a path that is gone."""

    def __init__(self, folder, make):
        folder.mkdir()
        self.whole, self.stripped = folder / "whole", folder / "stripped"
        self.debug = folder / "debug"
        (folder / "a.c").write_text(SOURCE)
        subprocess.run(["gcc", "-O0", "-g", "-no-pie", "-Wl,--build-id=sha1", "-o", self.whole,
                        folder / "a.c"], check=True)
        subprocess.run(["objcopy", "--only-keep-debug", self.whole, self.debug], check=True)
        subprocess.run(["objcopy", "--strip-all", self.whole, self.stripped], check=True)
        notes = subprocess.run(["readelf", "-n", self.whole], capture_output=True, text=True)
        self.id = re.search(r"Build ID: ([0-9a-f]{40})", notes.stdout)[1]
        symbols = subprocess.run(["nm", self.whole], capture_output=True, text=True).stdout
        leaf = int(re.search(r"^([0-9a-f]+) T leaf$", symbols, re.M)[1], 16)
        page = leaf & ~0xfff
        records = [make.comm(7, 7, "app", 1),
                   make.mmap2(7, page, 0x1000, page - 0x400000, "/nowhere/app", 2,
                              bytes.fromhex(self.id)),
                   make.sample(7, 7, 3, [make.USER, leaf + 4])]
        self.data = folder / "perf.data"
        self.data.write_bytes(
            make.perf_data(records, [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]))




@pytest.fixture
def program(tmp_path, make):
    return Program(tmp_path / "program", make)


def fold(tool, program, *args, **env):
    env = {"HOME": "/nonexistent", "PATH": os.environ["PATH"], **env}
    return run.run([tool("pa2folded"), *args, program.data], env=env)


def place(path, file):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, path)


def test_nothing_is_known(tool, program):
    assert fold(tool, program).ok().out == "app;[app] 1\n"


def test_symfs(tool, program, tmp_path):
    place(tmp_path / "root" / "nowhere" / "app", program.whole)
    assert fold(tool, program, "--symfs", tmp_path / "root").ok().out == "app;leaf 1\n"
    assert fold(tool, program, "--symfs", tmp_path / "other").ok().out == "app;[app] 1\n"


def test_symfs_with_debug_file(tool, program, tmp_path):
    root = tmp_path / "root"
    place(root / "nowhere" / "app", program.stripped)
    assert fold(tool, program, "--symfs", root).ok().out == "app;[app] 1\n"
    place(root / "usr/lib/debug/.build-id" / program.id[:2] / f"{program.id[2:]}.debug",
          program.debug)
    assert fold(tool, program, "--symfs", root).ok().out == "app;leaf 1\n"


def test_debug_dir(tool, program, tmp_path):
    root, debug = tmp_path / "root", tmp_path / "debug"
    place(root / "nowhere" / "app", program.stripped)
    place(debug / ".build-id" / program.id[:2] / f"{program.id[2:]}.debug", program.debug)
    args = ["--symfs", root, "--debug-dir", tmp_path / "none", "--debug-dir", debug]
    assert fold(tool, program, *args).ok().out == "app;leaf 1\n"


def test_another_file_is_refused(tool, program, make, tmp_path):
    (tmp_path / "other").mkdir()
    other = Program(tmp_path / "other" / "program", make)
    text = other.whole.read_bytes()
    at = text.index(bytes.fromhex(other.id))
    changed = bytearray(text)
    changed[at] ^= 1
    place(tmp_path / "root" / "nowhere" / "app", other.whole)
    (tmp_path / "root" / "nowhere" / "app").write_bytes(bytes(changed))
    result = fold(tool, program, "--symfs", tmp_path / "root").ok()
    assert result.out == "app;[app] 1\n"
    assert result.err.count("build-id differs") == 1


@pytest.mark.parametrize("layout", ["directory", "file"])
def test_perf_cache(tool, program, tmp_path, layout):
    entry = tmp_path / "cache" / ".build-id" / program.id[:2] / program.id[2:]
    if layout == "directory":
        place(entry / "elf", program.whole)
    else:
        entry.parent.mkdir(parents=True)
        entry.symlink_to(program.whole)
    assert fold(tool, program, "--buildid-dir", tmp_path / "cache").ok().out == "app;leaf 1\n"
    (tmp_path / ".debug").symlink_to(tmp_path / "cache")
    assert fold(tool, program, HOME=str(tmp_path)).ok().out == "app;leaf 1\n"


def test_perf_cache_of_the_binary_before_it_was_stripped(tool, program, tmp_path):
    place(tmp_path / "root" / "nowhere" / "app", program.stripped)
    place(tmp_path / "cache" / ".build-id" / program.id[:2] / program.id[2:] / "elf",
          program.whole)
    args = ["--symfs", tmp_path / "root", "--buildid-dir", tmp_path / "cache"]
    assert fold(tool, program, *args).ok().out == "app;leaf 1\n"


def test_perf_cache_of_another_file(tool, program, tmp_path):
    place(tmp_path / ".debug" / ".build-id" / program.id[:2] / program.id[2:] / "elf", "/bin/true")
    assert fold(tool, program, HOME=str(tmp_path)).ok().out == "app;[app] 1\n"


class Server:
    """A debuginfod server on the loopback device: answers with files by path, or never."""

    def __init__(self, files, hang=False):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                if hang:
                    time.sleep(30)
                body = files.get(self.path)
                self.send_response(200 if body else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def servers():
    if not ctypes.util.find_library("debuginfod"):
        pytest.skip("libdebuginfod is not installed")
    running = []

    def start(*args, **kwargs):
        running.append(Server(*args, **kwargs))
        return running[-1]

    yield start
    for server in running:
        server.server.shutdown()


def ask(tool, program, server, tmp_path, *args):
    return fold(tool, program, *args, DEBUGINFOD_URLS=server.url,
                DEBUGINFOD_CACHE_PATH=str(tmp_path / "client"))


def test_debuginfod(tool, program, servers, tmp_path):
    server = servers({f"/buildid/{program.id}/executable": program.stripped.read_bytes(),
                      f"/buildid/{program.id}/debuginfo": program.debug.read_bytes()})
    assert ask(tool, program, server, tmp_path).ok().out == "app;[app] 1\n"
    assert not server.asked
    assert ask(tool, program, server, tmp_path, "--debuginfod").ok().out == "app;leaf 1\n"
    assert len(server.asked) == 2


def test_debuginfod_without_the_file(tool, program, servers, tmp_path):
    server = servers({})
    assert ask(tool, program, server, tmp_path, "--debuginfod").ok().out == "app;[app] 1\n"
    assert server.asked == [f"/buildid/{program.id}/executable"]


def test_debuginfod_with_another_file(tool, program, servers, tmp_path):
    with open("/bin/true", "rb") as other:
        server = servers({f"/buildid/{program.id}/executable": other.read()})
    assert ask(tool, program, server, tmp_path, "--debuginfod").ok().out == "app;[app] 1\n"


def test_debuginfod_that_hangs(tool, program, servers, tmp_path):
    server = servers({}, hang=True)
    start = time.monotonic()
    result = ask(tool, program, server, tmp_path, "--debuginfod=2").ok()
    assert time.monotonic() - start < 12
    assert result.out == "app;[app] 1\n"
    assert "not fetched in time" in result.err


def test_debuginfod_without_servers(tool, program):
    result = fold(tool, program, "--debuginfod").ok()
    assert "DEBUGINFOD_URLS is not set" in result.err
    assert run.run([tool("pa2folded"), "--debuginfod=x", program.data]).status == 2


CALL = """
__attribute__((noinline)) void callee(void) { __asm__ volatile("" ::: "memory"); }
static inline __attribute__((always_inline)) void inlined(void)
{
	__asm__ volatile(".globl behind_call; behind_call: nop");
}
__attribute__((noinline)) void caller(void) { callee(); inlined(); __asm__ volatile(""); }
int main(void) { caller(); return 0; }
"""


def test_what_is_inlined_behind_a_call(tool, make, tmp_path):
    """One address, as a place that was sampled and as where a call returns to."""
    (tmp_path / "a.c").write_text(CALL)
    app = tmp_path / "app"
    subprocess.run(["gcc", "-O2", "-g", "-no-pie", "-o", app, tmp_path / "a.c"], check=True)
    text = subprocess.run(["nm", app], capture_output=True, text=True, check=True).stdout
    at = {name: int(addr, 16) for addr, name in re.findall(r"^(\w+) \w (\w+)$", text, re.M)}
    page = at["caller"] & ~0xfff
    records = [make.comm(7, 7, "app", 1),
               make.mmap2(7, page, 0x1000, page - 0x400000, str(app), 2),
               make.sample(7, 7, 3, [make.USER, at["behind_call"]]),
               make.sample(7, 7, 4, [make.USER, at["callee"], at["behind_call"]])]
    data = tmp_path / "perf.data"
    data.write_bytes(make.perf_data(records, [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]))
    run.run([tool("pa2pprof"), "-o", tmp_path / "out.pb.gz", data]).ok()
    raw = readers.pprof_raw(tmp_path / "out.pb.gz")
    assert sorted(raw.frames(sample) for sample in raw.samples) == \
        [["callee", "caller"], ["inlined", "caller"]]


def kernel_data(make, folder, build_id=b"", text="_text", start=KERNEL_TEXT):
    """Two kernel functions of a kernel that is not this one."""
    name = b"[kernel.kallsyms]" + text.encode()
    body = make.struct.pack("<iIQQQ", -1, 0, start, 0x1000000, start)
    body += (make.struct.pack("<B3x", 20) + build_id if build_id else bytes(24))
    body += make.struct.pack("<II", 5, 2) + make.pad8(name + b"\0")
    misc = 1 | (0x4000 if build_id else 0)
    records = [make.comm(7, 7, "app", 1), make.record(10, misc, body + make.trailer(0, 0, 2)),
               make.sample(7, 7, 3, [make.KERNEL, KERNEL_TEXT + 0x110, KERNEL_TEXT + 0x210])]
    data = folder / "perf.data"
    data.write_bytes(make.perf_data(records, [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]))
    return type("Data", (), {"data": data})


def build_vmlinux(out, before=""):
    source = out.with_suffix(".s")
    source.write_text(
        f'.globl _text\n.text\n_text:\n{before}.fill 0x100,1,0x90\n'
        '.globl inner\n.type inner,@function\ninner:\n.fill 0x100,1,0x90\n.size inner,.-inner\n'
        '.globl outer\n.type outer,@function\nouter:\n.fill 0x100,1,0x90\n.size outer,.-outer\n')
    subprocess.run(["gcc", "-nostdlib", "-static", "-Wl,-Ttext=0xffffffff81000000", "-Wl,-e,_text",
                    "-Wl,--build-id=sha1", "-o", out, source], check=True)
    return out


@pytest.fixture
def vmlinux(tmp_path):
    """A kernel image linked elsewhere than it runs, with a build-id."""
    return build_vmlinux(tmp_path / "vmlinux")


def test_kernel_is_unknown(tool, make, tmp_path):
    result = fold(tool, kernel_data(make, tmp_path)).ok()
    assert result.out == "app;[[kernel.kallsyms]];[[kernel.kallsyms]] 1\n"
    assert "stay unnamed" in result.err and result.err.count("\n") == 1


def test_kernel_by_kallsyms(tool, make, tmp_path):
    text = tmp_path / "kallsyms"
    text.write_text(f"{KERNEL_TEXT:x} T _text\n{KERNEL_TEXT + 0x100:x} t inner\n"
                    f"{KERNEL_TEXT + 0x200:x} T outer\n{KERNEL_TEXT + 0x300:x} T end\n")
    result = fold(tool, kernel_data(make, tmp_path), "--kallsyms", text).ok()
    assert (result.out, result.err) == ("app;outer;inner 1\n", "")


def test_kernel_of_a_kcore_directory(tool, make, tmp_path):
    folder = tmp_path / "perf.data.dir"
    (folder / "kcore_dir").mkdir(parents=True)
    kernel_data(make, tmp_path).data.rename(folder / "data")
    (folder / "kcore_dir" / "kallsyms").write_text(
        f"{KERNEL_TEXT + 0x100:x} t inner\n{KERNEL_TEXT + 0x200:x} T outer\n")
    result = fold(tool, type("Data", (), {"data": folder})).ok()
    assert (result.out, result.err) == ("app;outer;inner 1\n", "")


def test_kernel_by_vmlinux(tool, make, vmlinux, tmp_path):
    result = fold(tool, kernel_data(make, tmp_path), "--vmlinux", vmlinux).ok()
    assert (result.out, result.err) == ("app;outer;inner 1\n", "")
    missing = fold(tool, kernel_data(make, tmp_path), "--vmlinux", tmp_path / "none").ok()
    assert "none: failed to read kernel symbols" in missing.err


@pytest.mark.parametrize("first", ["", ".type first,@function\nfirst:\n.size first,0x100\n"])
@pytest.mark.parametrize("text,start", [("_stext", KERNEL_TEXT), ("_text", KERNEL_TEXT - 0x10000)])
def test_kernel_that_has_both_texts(tool, make, tmp_path, text, start, first):
    """As on aarch64, where its map is named after the second; a function may begin there."""
    both = build_vmlinux(tmp_path / "both", ".fill 0x10000,1,0x90\n.globl _stext\n_stext:\n" + first)
    data = kernel_data(make, tmp_path, text=text, start=start)
    assert fold(tool, data, "--vmlinux", both).ok().out == "app;outer;inner 1\n"


def test_kernel_without_its_text(tool, make, vmlinux, tmp_path):
    data = kernel_data(make, tmp_path, text="_stext")
    result = fold(tool, data, "--vmlinux", vmlinux).ok()
    assert result.out == "app;[[kernel.kallsyms]];[[kernel.kallsyms]] 1\n"
    assert "or no _stext, in its symbol table" in result.err


@pytest.mark.parametrize("name", ["kallsyms", "vmlinux"])
def test_kernel_by_build_id(tool, make, vmlinux, tmp_path, name):
    notes = subprocess.run(["readelf", "-n", vmlinux], capture_output=True, text=True).stdout
    build_id = re.search(r"Build ID: ([0-9a-f]{40})", notes)[1]
    data = kernel_data(make, tmp_path, bytes.fromhex(build_id))
    entry = tmp_path / "cache" / ".build-id" / build_id[:2] / build_id[2:]
    entry.mkdir(parents=True)
    if name == "vmlinux":
        shutil.copy(vmlinux, entry / name)
    else:
        (entry / name).write_text(f"{KERNEL_TEXT + 0x100:x} t inner\n"
                                  f"{KERNEL_TEXT + 0x200:x} T outer\n")
    result = fold(tool, data, "--buildid-dir", tmp_path / "cache").ok()
    assert (result.out, result.err) == ("app;outer;inner 1\n", "")


MODULE = 0xffffffffc0400000


@pytest.fixture
def module(tmp_path):
    """A kernel module, whose code sections the kernel puts together: .text, .text.cold at 0x140."""
    source = tmp_path / "ext9-fs.s"
    source.write_text(
        '.section .init.text,"ax"\n.fill 0x30,1,0x90\n'
        '.text\n.type plain,@function\nplain:\n.fill 0x123,1,0x90\n.size plain,.-plain\n'
        '.section .text.cold,"ax"\n.p2align 6\n.globl rare\n.type rare,@function\nrare:\n'
        '.fill 0x40,1,0x90\n.size rare,.-rare\n')
    out = tmp_path / "ext9-fs.ko"
    subprocess.run(["gcc", "-nostdlib", "-r", "-Wl,--build-id=sha1", "-o", out, source], check=True)
    return out


def module_data(make, folder, build_id=b""):
    """Two functions of a module of a kernel that is not this one, and what is in neither."""
    body = make.struct.pack("<iIQQQ", -1, 0, MODULE, 0x1000, 0)
    body += (make.struct.pack("<B3x", 20) + build_id if build_id else bytes(24))
    body += make.struct.pack("<II", 5, 2)
    body += make.pad8(b"/lib/modules/9.9/kernel/fs/ext9-fs.ko\0")
    records = [make.comm(7, 7, "app", 1),
               make.record(10, 1 | (0x4000 if build_id else 0), body + make.trailer(0, 0, 2)),
               make.sample(7, 7, 3, [make.KERNEL, MODULE + 0x142, MODULE + 0x123,
                                     MODULE + 0x800])]
    data = folder / "perf.data"
    data.write_bytes(make.perf_data(records, [make.attr(make.SOFTWARE, make.CPU_CLOCK, 99)]))
    return type("Data", (), {"data": data})


def id_of(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
    return re.search(r"Build ID: ([0-9a-f]{40})", notes)[1]


@pytest.mark.parametrize("packer", [None, "xz", "zstd", "gzip"])
def test_module_of_another_kernel(tool, make, module, tmp_path, packer):
    data = module_data(make, tmp_path, bytes.fromhex(id_of(module)))
    if packer and not shutil.which(packer):
        pytest.skip(f"{packer} is missing")
    if packer:
        packed = subprocess.run([packer, "-c", module], capture_output=True, check=True).stdout
        module.write_bytes(packed)
    place(tmp_path / "root/lib/modules/9.9/kernel/fs/ext9-fs.ko", module)
    result = fold(tool, data, "--symfs", tmp_path / "root").ok()
    assert result.out == "app;[[kernel.kallsyms]];plain;rare 1\n"
    result = fold(tool, data, "--symfs", tmp_path / "root", "--annotate").ok()
    assert "plain_[k];rare_[k]" in result.out


def test_module_by_build_id(tool, make, module, tmp_path):
    name = id_of(module)
    data = module_data(make, tmp_path, bytes.fromhex(name))
    place(tmp_path / "cache" / ".build-id" / name[:2] / name[2:] / "elf", module)
    result = fold(tool, data, "--buildid-dir", tmp_path / "cache").ok()
    assert result.out == "app;[[kernel.kallsyms]];plain;rare 1\n"


def test_another_module_is_refused(tool, make, module, tmp_path):
    data = module_data(make, tmp_path, bytes(range(20)))
    place(tmp_path / "root/lib/modules/9.9/kernel/fs/ext9-fs.ko", module)
    result = fold(tool, data, "--symfs", tmp_path / "root").ok()
    assert "rare" not in result.out and result.err.count("another module now") == 1


def test_damaged_modules(tool, make, module, tmp_path):
    """Cut and flipped at many places: names are lost, nothing else."""
    good = module.read_bytes()
    data = module_data(make, tmp_path)
    path = tmp_path / "root/lib/modules/9.9/kernel/fs/ext9-fs.ko"
    place(path, module)
    packed = subprocess.run(["xz", "-c", module], capture_output=True, check=True).stdout
    for image in (good, packed):
        for i in range(0, len(image), len(image) // 12):
            bad = bytearray(image)
            bad[i] ^= 0xff
            for damaged in (image[:i], bytes(bad)):
                path.write_bytes(damaged)
                fold(tool, data, "--symfs", tmp_path / "root").ok()
