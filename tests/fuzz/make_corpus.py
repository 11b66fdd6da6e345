#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write the seeds in tests/fuzz/corpus/: small files of each kind, from which the fuzzer begins.

make_corpus.py [TARGET...]. Real perf.data files come from `perf record` on this machine (its name
is replaced), ELF files from gcc, the rest is written here. Running it again gives other times and
addresses, no other kinds of input: keep what is checked in unless a kind is to be added. The
seeds of session are reader's, those of plt are elf's, those of pgo dwarf's: symbolic links.
"""
import lzma
import pathlib
import platform
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))
import make_perfdata as mk  # noqa: E402

RECORDS = {
    "plain": ["-g"], "zstd": ["-z", "-g"], "dwarf": ["--call-graph", "dwarf,512"],
    "addr": ["-d", "-W", "-T", "--phys-data"], "switch": ["--switch-events", "--namespaces"],
}
SOURCE = """
int helper(int); static int __attribute__((noinline)) local_one(int x) { return x * 3; }
int global_two(int x) { return local_one(helper(x)) + 1; }
__attribute__((weak)) int weak_three(void) { return 4; }
extern int alias_two(int) __attribute__((alias("global_two")));
extern int puts(const char *); int say(void) { return puts("x"); }
"""


def run(argv, **kwargs):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, **kwargs)


def no_host(data):
    for name in (platform.node().encode(), platform.release().encode()):
        data = data.replace(name + b"\0", b"h" * len(name) + b"\0")
    return data


def perf(options, out, tmp):
    return run(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", "4000", *options, "-o", out,
                "--", "true"], cwd=tmp).stdout


def recorded(tmp):
    seeds = {}
    for name, options in RECORDS.items():
        perf(options, name, tmp)
        seeds[name] = no_host((tmp / name).read_bytes())
    seeds["pipe"] = no_host(perf(["-g"], "-", tmp))
    seeds["pipe-zstd"] = no_host(perf(["-z"], "-", tmp))
    return seeds


class BigEndian:
    """struct, for make_perfdata to write the other byte order with."""
    unpack = struct.unpack

    @staticmethod
    def pack(layout, *values):
        return struct.pack(layout.replace("<", ">"), *values)


def big_endian(make):
    """What make() writes, as a big-endian machine would; an attr's bit fields begin at the top."""
    mk.struct = BigEndian
    try:
        data = bytearray(make())
    finally:
        mk.struct = struct
    data[:8] = data[7::-1]
    attr_at = struct.unpack_from(">Q", data, 24)[0]
    flags = struct.unpack_from(">Q", data, attr_at + 40)[0]
    struct.pack_into(">Q", data, attr_at + 40, int(f"{flags:064b}"[::-1], 2))
    return bytes(data)


def full_sample():
    """One sample with every field that a file can have."""
    kinds = (1 << 24) - 1 & ~(1 << 14)
    flags = 1 << 10 | 1 << 18
    attr = struct.pack("<IIQQQQQIIQQQQIiQIHH", 1, 112, 0, 1, kinds, 15, flags, 0, 0, 0, 0,
                       1 << 17 | 1, 3, 16, 1, 3, 0, 0, 0)
    words = [1, 0x1000, 100 << 32 | 100, 50, 0x2000, 1, 1, 0, 1]  # ... PERIOD
    words += [2, 10, 20, 7, 1, 8, 2]                # READ, group of two
    words += [2, 2**64 - 512, 0x1000]               # CALLCHAIN
    words += [0x1234 << 32 | 4]                     # RAW
    words += [1, 0, 0x1000, 0x2000, 0]              # BRANCH_STACK with hw_idx
    words += [2, 0x11, 0x22]                        # REGS_USER
    words += [16, 1, 2, 16]                         # STACK_USER
    words += [9, 8, 7, 2, 1, 2]                     # WEIGHT, DATA_SRC, TRANSACTION, REGS_INTR
    words += [1, 2, 3, 4, 8, 5]                     # PHYS, CGROUP, page sizes, AUX
    record = mk.record(9, 2, struct.pack(f"<{len(words)}Q", *words))
    return mk.perf_data([record], [attr])


def lost():
    trailer = mk.trailer(1, 1, 30)
    return [mk.record(2, 0, mk.struct.pack("<QQ", 1, 5) + trailer),
            mk.record(13, 0, mk.struct.pack("<Q", 6) + trailer)]


def piped(records):
    """Pipe layout with a HEADER_ATTR, an EVENT_UPDATE, a feature, a build-id and rounds."""
    attr = mk.record(64, 0, mk.attr(1, 0, 99) + struct.pack("<Q", 1))
    update = mk.record(78, 0, struct.pack("<QQ", 2, 1) + b"name\0\0\0\0")
    feature = mk.record(80, 0, struct.pack("<Q", 3) + mk.string_feature("host"))
    build_id = mk.record(67, 0x8002, struct.pack("<i20sB3x", -1, mk.BUILD_ID, 20) +
                         b"/golden/app\0".ljust(16, b"\0"))
    tracing = mk.record(66, 0, struct.pack("<I", 5)) + b"trace\0\0\0"
    done = mk.record(68, 0, b"")
    return (struct.pack("<8sQ", b"PERFILE2", 16) + attr + update + feature + build_id + tracing +
            records[0] + done + b"".join(records[1:]) + done)


def hostile_maps():
    """Mappings in every order of time and place, forks, execs and deaths."""
    out = []
    for i, t in enumerate((50, 10, 40, 20, 30)):
        out.append(mk.mmap2(100, 0x1000 * (i % 3), 0x3000 - 0x800 * i, 0x1000 * i, f"/f{i % 2}",
                            t))
    out += [mk.mmap2(100, 0x9000, 0x1000, 0, "//anon", 5), mk.task(7, 101, 100, 25),
            mk.task(4, 101, 100, 60), mk.comm(101, 101, "again", 70),
            mk.comm(100, 100, "new", 35, True), mk.comm(100, 100, "old", 15)]
    out += lost()
    for pid, t in ((100, 12), (101, 26), (100, 55), (101, 80)):
        out.append(mk.sample(pid, pid, t, [mk.USER, 0x1010, 0x2020, 0x9010]))
    return out


def branches():
    """Branches in a binary, out of it, backwards, over great distances and in the kernel."""
    attr = bytearray(mk.attr(0, 0, 99))
    struct.pack_into("<Q", attr, 24, mk.SAMPLE_TYPE & ~mk.CALLCHAIN | 1 << 11)
    struct.pack_into("<Q", attr, 72, 1 << 3 | 1)
    places = (0x1000, 0x1010, 0x1020, 0x9008, 0x1001, 0x1000000, 2**63 + 5, 0, 2**64 - 1)
    records = [mk.mmap2(100, 0x1000, 0x2000000, 0x1000, "/f", 5, mk.BUILD_ID),
               mk.mmap2(100, 0x9000, 0x1000, 0, "/g", 6)]
    for i in range(8):
        taken = [(places[j * (i + 1) % 9], places[(j * 2 + i) % 9], j % 3) for j in range(12)]
        words = [1, 0x1000 + i, 100 << 32 | 100, 10 + i, 0, 1, len(taken), *sum(taken, ())]
        records.append(mk.record(9, 2, struct.pack(f"<{len(words)}Q", *words)))
    return mk.perf_data(records, [bytes(attr)])


def perfdata(tmp):
    basic = mk.basic()
    maps = hostile_maps()
    seeds = recorded(tmp)
    seeds |= {
        "basic": basic, "two-events": mk.two_events(), "full-sample": full_sample(),
        "unfinished": basic[:72] + bytes(32) + basic[104:], "cut": basic[:900],
        "maps": mk.perf_data(maps, [mk.attr(1, 0, 99)]), "big-endian": big_endian(mk.basic),
        "big-endian-maps": big_endian(lambda: mk.perf_data(hostile_maps(), [mk.attr(1, 0, 99)])),
        "pipe-made": piped(maps), "branches": branches(),
    }
    return seeds


def elves(tmp):
    source = tmp / "a.c"
    source.write_text(SOURCE)
    common = ["-nostdlib", "-Wl,-z,noseparate-code", "-Wl,--hash-style=gnu", "-fcf-protection"]
    made = {
        "shared": ["-O1", "-fPIC", "-shared", "-Wl,--build-id=sha1", "-Wl,-z,now", *common],
        "stripped": ["-O1", "-fPIC", "-shared", "-s", *common],
        "object": ["-O1", "-c", "-ffunction-sections"],
    }
    seeds = {}
    for name, options in made.items():
        run(["gcc", "-o", tmp / name, source, *options, "-fno-asynchronous-unwind-tables"])
        seeds[name] = (tmp / name).read_bytes()
    mini = lzma.compress(seeds["object"], check=lzma.CHECK_CRC32)
    (tmp / "mini").write_bytes(mini)
    run(["objcopy", f"--add-section=.gnu_debugdata={tmp / 'mini'}", tmp / "stripped",
         tmp / "with-mini"])
    seeds["with-mini"] = (tmp / "with-mini").read_bytes()
    seeds["elf32"] = elf32()
    return seeds, mini


def elf32():
    """The headers, a symbol and a note of a 32-bit file."""
    names = b"\0.symtab\0.strtab\0.text\0.note\0f\0"
    sym = bytes(16) + struct.pack("<IIIBBH", names.index(b"f\0", 25), 0x1000, 16, 0x12, 0, 3)
    note = struct.pack("<III4s", 4, 20, 3, b"GNU") + mk.BUILD_ID
    at = 52 + 32
    body = names.ljust(40, b"\0") + sym + note
    sections = struct.pack("<10I", *[0] * 10)
    sections += struct.pack("<10I", 1, 2, 0, 0, at + 40, 32, 2, 0, 4, 16)
    sections += struct.pack("<10I", 9, 3, 0, 0, at, len(names), 0, 0, 1, 0)
    sections += struct.pack("<10I", 17, 1, 6, 0x1000, 0, 52, 0, 0, 1, 0)
    sections += struct.pack("<10I", 23, 7, 0, 0, at + 72, len(note), 0, 0, 4, 0)
    segment = struct.pack("<8I", 4, at + 72, 0, 0, len(note), len(note), 4, 4)
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 3, 40, 1, 0, 52,
                       at + len(body), 0, 52, 32, 1, 40, 5, 2)
    return head + segment + body + sections


def elf(tmp):
    return elves(tmp)[0]


def dwarf(tmp):
    """Small functions with inlined ones, in two versions of DWARF."""
    source = tmp / "a.c"
    source.write_text("static inline __attribute__((always_inline)) int in(int x) { return x * 3; }\n"
                      "int f(int x) { return in(x) + in(x + 1); }\nint _start(void) { return f(2); }\n")
    made = {}
    for version in 4, 5:
        run(["gcc", f"-gdwarf-{version}", "-O2", "-nostdlib", "-static", "-no-pie",
             "-fno-asynchronous-unwind-tables", "-Wl,-z,norelro", "-Wl,--build-id=none",
             "-o", "out", "a.c"], cwd=tmp)
        here = str(tmp).encode()
        made[f"dwarf{version}"] = (tmp / "out").read_bytes().replace(here, b"/" * len(here))
    return made


def cfi(tmp):
    """.eh_frame with an index, and .debug_frame, of code that saves registers."""
    source = tmp / "a.c"
    source.write_text("int g(int *);\nint f(int x) { int a[9] = {x}; return g(a) + g(a + 1); }\n"
                      "int g(int *p) { return *p; }\nint _start(void) { return f(2); }\n")
    made = {}
    for name, flags in (("eh", ["-fasynchronous-unwind-tables"]),
                        ("debug", ["-g1", "-fno-asynchronous-unwind-tables"])):
        run(["gcc", "-O2", "-fno-inline", "-nostdlib", "-static", "-no-pie", *flags,
             "-Wl,-z,norelro", "-Wl,--build-id=none", "-Wl,--eh-frame-hdr", "-o", "out", "a.c"],
            cwd=tmp)
        run(["objcopy", "-R", ".debug_info", "-R", ".debug_str", "-R", ".debug_line", "-R",
             ".debug_abbrev", "-R", ".debug_aranges", "-R", ".debug_line_str", "-R", ".comment",
             "out"], cwd=tmp)
        made[name] = (tmp / "out").read_bytes()
    return made


def pack(_tmp):
    """A cache file of packed tables: two ranges, four rules, four pages, five rows. ELF files with
    CFI are the seeds of cfi: symbolic links."""
    body = struct.pack("<QIIQII", 0x1000, 0, 3, 0x10000, 3, 1)
    for cfa, fp, ra, cfa_off, cfa_add, fp_off, ra_off in (
            (0, 0, 0, 0, 0, 0, 0), (8, 0, 0, 0, 0, 0, 0), (1, 0, 0, 8, 0, 0, -8),
            (2, 1, 0, 16, 0, -16, -8)):
        body += struct.pack("<BBBBiihh", cfa, fp, ra, 0, cfa_off, cfa_add, fp_off, ra_off)
    for first, cnt, keeps_fp in (0, 3, 1), (3, 1, 1), (4, 0, 1), (4, 1, 0):
        body += struct.pack("<IHBB", first, cnt, keeps_fp, 0)
    rows = (0, 0), (0x10, 2), (0x11, 3), (0, 3), (0, 1)
    body += b"".join(struct.pack("<I", offset << 16 | rule) for offset, rule in rows)
    head = struct.pack("<IIQQIIIIIIQQQ", 0x4B434150, 1, 0, 0, 62, 2, 4, 5, 4, 0, 1, 0, 0)
    return {"tables": head + body}


def tracing(_tmp):
    """The head of TRACING_DATA and two formats, as a kernel writes them."""
    def sized(text, width="<Q"):
        return struct.pack(width, len(text)) + text

    page = b"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
    head = (b"name: %s\nID: %d\nformat:\n"
            b"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
            b"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n")
    switch = head % (b"sched_switch", 314) + (
        b"\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n"
        b"\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"
        b"\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;\n\nprint fmt: \"%d\", REC->prev_pid\n")
    open_ = head % (b"open", 7) + (
        b"\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n")
    data = b"\x17\x08\x44tracing0.6\0" + b"\0\x08" + struct.pack("<I", 4096)
    data += b"header_page\0" + sized(page) + b"header_event\0" + sized(b"type_len : 5 bits\n")
    data += struct.pack("<I", 0) + struct.pack("<I", 2)
    for system, text in (b"sched\0", switch), (b"fs\0", open_):
        data += system + struct.pack("<I", 1) + sized(text)
    data += struct.pack("<I", 0) + struct.pack("<I", 0) + struct.pack("<Q", 0)
    return {"two-events": data + bytes(40)}


def jitdump(_tmp):
    """Code that is loaded, moved and has lines."""
    def record(kind, body):
        return struct.pack("<IIQ", kind, 16 + len(body), 1000 + kind) + body

    lines = struct.pack("<QQ", 0x7000, 1) + struct.pack("<QII", 0x7000, 5, 0) + b"a.js\0"
    load = struct.pack("<IIQQQQ", 7, 7, 0x7000, 0x7000, 4, 1) + b"name\0" + b"\x90" * 4
    move = struct.pack("<IIQQQQQ", 7, 7, 0x8000, 0x7000, 0x8000, 4, 1)
    head = struct.pack("<IIIIIIQQ", 0x4A695444, 1, 40, 62, 0, 7, 1, 0)
    return {"three": head + record(2, lines) + record(0, load) + record(1, move) + record(3, b"")}


def gopclntab(_tmp):
    """Only the head of a table: there may be no Go compiler."""
    return {"go118": struct.pack("<IHBB8Q", 0xfffffff0, 0, 1, 8, 1, 1, 0x401000, 72, 80, 88, 96, 104)
            + bytes(64)}


def debugdata(tmp):
    return {"xz": elves(tmp)[1], "lies": lzma.compress(bytes(1 << 20))}


def buildid(tmp):
    seeds = {k: v for k, v in elf(tmp).items() if k in ("shared", "elf32")}
    seeds["notes"] = (struct.pack("<III4s4s", 4, 4, 1, b"GNU", b"x") +
                      struct.pack("<III4s", 4, 20, 3, b"GNU") + mk.BUILD_ID)
    return seeds


def saved(_tmp):
    basic = mk.basic()
    at = basic.index(struct.pack("<II", 3, 1), len(basic) // 2)
    bytes_ = struct.unpack_from("<Q", basic, at + 8)[0]
    return {"basic": basic[at + 16:at + 16 + bytes_]}


def perfmap(_tmp):
    return {
        "python": b"7f0000001000 40 py::main:/src/a.py\n7f0000001040 0x20 py::<module>:/b.py\n",
        "node": b"1000 100 LazyCompile:*f /a.js:10:5\n1080 10 Builtin:Call\n1000 20 JS:~g b.js:1\n",
        "nested": b"".join(b"%x %x f%d\n" % (4096 - i, 2 * i + 1, i) for i in range(40)),
        "damaged": b"1000 0 empty\nffffffffffffffff 10 over\nx\n10 10\n\r\n10 10 a\0b\n1 1 last",
    }


def jitname(_tmp):
    names = ["py::f:/a/b.py", "LazyCompile:*f /a.js:10:5", "JS:~g file:1", "Function:x", "py::a"]
    return {f"name{i}": n.encode() for i, n in enumerate(names)}


def demangle(_tmp):
    names = ["_ZN3foo3barIiEEvT_", "_ZNSt6vectorIiSaIiEE9push_backEOi", "__ZN1aC2Ev",
             "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
             "_RNvC6_123foo3bar", "_RINvNtC3std3mem8align_ofdE", "_GLOBAL__sub_I_main",
             "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
             "_ZZ4mainENKUlvE_clEv", "_ZN1AcvT_IiEEv", "_ZN5$LT$a17h0123456789abcdefE.llvm.1"]
    return {f"name{i:02}": n.encode() for i, n in enumerate(names)}


def kallsyms(_tmp):
    core = (b"ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000010 t __do_a\n"
            b"ffffffff81000010 t do_a\nffffffff81000100 D data\nffffffff81000200 W weak_b\n"
            b"ffffffff81002000 T _etext\n")
    modules = (b"ffffffffc0000000 t mod_init\t[xfs]\nffffffffc0000040 t mod_exit\t[xfs]\n"
               b"ffffffffc0002000 t other\t[nf]\nffffffffc0009000 t bpf_prog_1\t[bpf]\n")
    return {"core": core, "modules": core + modules, "unsorted": modules + core,
            "hidden": core.replace(b"ffffffff810", b"00000000000"),
            "damaged": b"ffff T\n\nzz T x\n1 T \n10000000000000000 T long\n1 T a [\n2 t b\t[m]"}


def kallcache(_tmp):
    """Two symbols in two regions, as docs/perfdata.md has it."""
    names = b"[kernel.kallsyms]\0_stext\0[xfs]\0mod_init\0"
    regions = struct.pack("<QIIIIQIIII", 0xffffffff81000000, 0, 0, 1, 0,
                          0xffffffffc0000000, 0, 2, 1, 0)
    syms = struct.pack("<QIHHQIHH", 0xffffffff81000000, names.index(b"_stext"), 0, 3,
                       0xffffffffc0000000, names.index(b"mod_init"), 1, 1) + bytes(4 * 16)
    cells = struct.pack("<4I", 0, 1, 1, 2)
    modules = struct.pack("<2I", 0, names.index(b"[xfs]"))
    body = regions + syms + cells + modules + names
    head = struct.pack("<II16sIIQQQIIII", 0x4b414c53, 4, b"boot id", 2, 2, 0, len(body), 0, 2, 4,
                       len(names), 0)
    return {"two-regions": head + body}


def folded(_tmp):
    return {"stacks": b"a;b;c 3\na;b 2\na;b;d_[k] 10\n\n# comment\nx y;z 1\n",
            "odd": b";;; 1\na 18446744073709551615\na;b -1\nno weight"}


TARGETS = {
    "reader": perfdata, "elf": elf, "dwarf": dwarf, "cfi": cfi, "pack": pack,
    "tracing": tracing, "jitdump": jitdump, "gopclntab": gopclntab, "debugdata": debugdata,
    "buildid": buildid, "saved": saved, "perfmap": perfmap, "jitname": jitname,
    "demangle": demangle, "kallsyms": kallsyms, "kallcache": kallcache, "folded": folded,
}


def main():
    for target in sys.argv[1:] or TARGETS:
        with tempfile.TemporaryDirectory() as tmp:
            seeds = TARGETS[target](pathlib.Path(tmp))
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
