#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write the perf.data inputs of the golden cases of pa2folded and of test_pa2.py.

The files carry their own symbols (docs/perfdata.md, saved symbols) and name a host of their own,
so that the output does not depend on the machine. Run it after a change, then look at the
difference of `pytest tests/golden --update-golden`.
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
IDENTIFIER, IP, TID, TIME, CALLCHAIN, CPU, PERIOD = 1 << 16, 1, 2, 4, 1 << 5, 1 << 7, 1 << 8
SAMPLE_TYPE = IDENTIFIER | IP | TID | TIME | CALLCHAIN | CPU | PERIOD
KERNEL, USER = 2**64 - 128, 2**64 - 512
FILE_KIND, KERNEL_KIND, JIT_KIND = 1, 2, 4
BUILD_ID = bytes(range(20))
SOFTWARE, CPU_CLOCK, PAGE_FAULTS = 1, 0, 2


def pad8(data):
    return data + b"\0" * (-len(data) % 8)


def record(kind, misc, body):
    return struct.pack("<IHH", kind, misc, 8 + len(body)) + body


def trailer(pid, tid, time, event=1):
    return struct.pack("<IIQIIQ", pid, tid, time, 0, 0, event)


def comm(pid, tid, name, time, exec_=False):
    body = struct.pack("<II", pid, tid) + pad8(name.encode() + b"\0")
    return record(3, 0x2000 if exec_ else 0, body + trailer(pid, tid, time))


def mmap2(pid, start, size, pgoff, name, time, build_id=b""):
    body = struct.pack("<IIQQQ", pid, pid, start, size, pgoff)
    body += (struct.pack("<B3x", len(build_id)) + build_id.ljust(20, b"\0") if build_id
             else bytes(24))
    body += struct.pack("<II", 5, 2) + pad8(name.encode() + b"\0")
    return record(10, 2 | (0x4000 if build_id else 0), body + trailer(pid, pid, time))


def task(kind, pid, ppid, time):
    return record(kind, 0, struct.pack("<IIIIQ", pid, ppid, pid, ppid, time) +
                  trailer(pid, pid, time))


def sample(pid, tid, time, chain, event=1, period=10101010):
    ips = [ip for ip in chain if ip < 2**64 - 4095]
    misc = 1 if ips[0] >> 63 else 2
    body = struct.pack("<QQIIQIIQQ", event, ips[0], pid, tid, time, 0, 0, period, len(chain))
    return record(9, misc, body + struct.pack(f"<{len(chain)}Q", *chain))


def attr(kind, config, freq):
    flags = 1 << 10 | 1 << 18 | (1 << 8 | 1 << 9 | 1 << 13 | 1 << 23) | 1 << 25
    return struct.pack("<IIQQQQQIIQQQQIiQIHH", kind, 112, config, freq, SAMPLE_TYPE, 0, flags,
                       0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)


def symbol(addr, name, file="", line=0, module="", start=None, size=0x100):
    texts = [t.encode() for t in (name, "", file, module)]
    start = addr if start is None else start
    body = struct.pack("<IQQQ4I", line, addr, start, size, *map(len, texts))
    body += b"".join(texts)
    total = 4 + len(body)
    return pad8(struct.pack("<I", total + -total % 8) + body)


def image(kind, path, symbols, pid=0, build_id=b""):
    path_bytes = path.encode()
    body = b"".join(symbols)
    header_bytes = 56 + len(path_bytes) + -len(path_bytes) % 8
    head = struct.pack("<IIIIQB20s3xII", header_bytes + len(body), header_bytes, kind, pid, 0,
                       len(build_id), build_id, len(path_bytes), len(symbols))
    return head + pad8(path_bytes) + body


def chunk(kind, payload):
    return struct.pack("<IIQ", kind, 1, len(payload)) + pad8(payload)


def string_feature(text):
    data = text.encode() + b"\0"
    data += b"\0" * (-len(data) % 64)
    return struct.pack("<I", len(data)) + data


def perf_data(records, attrs, images=(), tags=()):
    ids = b"".join(struct.pack("<Q", i + 1) for i in range(len(attrs)))
    data = b"".join(records)
    attrs_at = 104 + len(ids)
    data_at = attrs_at + 128 * len(attrs)
    table = b"".join(a + struct.pack("<QQ", 104 + 8 * i, 8) for i, a in enumerate(attrs))
    features = [(3, string_feature("golden")), (4, string_feature("0.0.0"))]
    at = data_at + len(data) + 16 * len(features)
    index, sections, bits = b"", b"", 0
    for number, section in features:
        index += struct.pack("<QQ", at + len(sections), len(section))
        sections += section
        bits |= 1 << number
    blob = chunk(1, b"".join(t.encode() + b"\0" for t in tags))
    blob += chunk(3, struct.pack("<II", len(images), 0) + b"".join(images))
    blob += chunk(4, struct.pack("<6Q", 1000, 2000001000, 1700000000000000000, 9, 9, 0))
    header = struct.pack("<8s10Q", b"PERFILE2", 104, 128, attrs_at, 128 * len(attrs), data_at,
                         len(data), at + len(sections), len(blob), bits, 0)
    return header.ljust(104, b"\0") + ids + table + data + index + sections + blob


def basic():
    """Kernel and user, a fork and an exec, a thread, JIT code, names that need care."""
    main, work, leaf = 0x401010, 0x401120, 0x401230
    kernel = [0xffffffff81000010, 0xffffffff81000120]
    jit = 0x7f0000001010
    records = [
        comm(100, 100, "my app", 10),
        mmap2(100, 0x401000, 0x1000, 0x1000, "/golden/app", 11, BUILD_ID),
        mmap2(100, 0x7f0000001000, 0x1000, 0, "//anon", 12),
        comm(100, 101, "wor;ker", 13),
        sample(100, 100, 100, [USER, leaf, work + 5, main + 5]),
        sample(100, 100, 110, [USER, leaf + 4, work + 5, main + 5]),
        sample(100, 101, 120, [KERNEL] + kernel + [USER, work, main + 5]),
        sample(100, 100, 130, [USER, jit, main + 5]),
        sample(100, 100, 140, [USER, 0x401f00, 0x1234, main + 5]),
        task(7, 200, 100, 150),
        sample(200, 200, 160, [USER, leaf, main + 5]),
        comm(200, 200, "other", 170, True),
        sample(200, 200, 180, [USER, leaf, main + 5]),
        # Fed after its sample, but earlier
        mmap2(200, 0x401000, 0x1000, 0x1000, "/golden/other (deleted)", 175),
        sample(300, 300, 190, [USER, leaf]),
    ]
    images = [
        image(FILE_KIND, "/golden/app", [
            symbol(0x1010, "main", "/src/app.c", 10),
            symbol(0x1014, "main", "/src/app.c", 10, start=0x1010),
            symbol(0x1120, "ns::work(int, char const*)", "/src/app.c", 20),
            symbol(0x1124, "ns::work(int, char const*)", "/src/app.c", 20, start=0x1120),
            symbol(0x1230, "(anonymous namespace)::leaf<a;b>()", "/src/app.c", 30),
            symbol(0x1234, "(anonymous namespace)::leaf<a;b>()", "/src/app.c", 30, start=0x1230),
        ], build_id=BUILD_ID),
        image(KERNEL_KIND, "[kernel.kallsyms]", [
            symbol(kernel[0], "copy_page", module="[kernel.kallsyms]"),
            symbol(kernel[1] - 1, "do_thing", module="[thing]"),
        ]),
        image(JIT_KIND, "//anon", [symbol(jit, "py::run", "/src/run.py", 7)], pid=100),
    ]
    return perf_data(records, [attr(SOFTWARE, CPU_CLOCK, 99)], images, ["env=test", "build=7"])


def two_events():
    records = [comm(100, 100, "app", 10),
               sample(100, 100, 20, [USER, 0x1000], event=2, period=1),
               sample(100, 100, 30, [USER, 0x2000]),
               sample(100, 100, 40, [USER, 0x2000])]
    return perf_data(records, [attr(SOFTWARE, CPU_CLOCK, 99), attr(SOFTWARE, PAGE_FAULTS, 1)])


def main():
    whole = basic()
    inputs = {
        "pa2folded/basic": whole,
        "pa2folded/periods": whole,
        "pa2folded/two-events": two_events(),
        "pa2folded/unfinished": whole[:72] + bytes(32) + whole[104:],
        "pa2folded/not-perf-data": b"hello, world\n" * 20,
    }
    for case, data in inputs.items():
        (HERE / case).mkdir(parents=True, exist_ok=True)
        (HERE / case / "perf.data").write_bytes(data)


if __name__ == "__main__":
    main()
