# SPDX-License-Identifier: GPL-2.0-only
"""Forge perf.data of every kind: each record type, either byte order, file and pipe layout,
directories, compressed. What is built for one byte order holds the same values as for the other."""
import ctypes
import ctypes.util
import struct

IDS = (11, 22, 33)
(IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID, RAW, BRANCH_STACK, REGS_USER,
 STACK_USER, WEIGHT, DATA_SRC, IDENTIFIER, TRANSACTION, REGS_INTR, PHYS_ADDR, AUX, CGROUP,
 DATA_PAGE_SIZE, CODE_PAGE_SIZE, WEIGHT_STRUCT) = (1 << i for i in range(25))
TRAILER = TID | TIME | ID | STREAM_ID | CPU | IDENTIFIER
COMMON = IDENTIFIER | IP | TID | TIME | CPU | PERIOD | CALLCHAIN
EVERYTHING = (1 << 25) - 1 - WEIGHT - ID
HW_INDEX, COUNTERS = 1 << 17, 1 << 19
GROUP_ID_LOST_TIMES = 31
KERNEL, USER = 2**64 - 128, 2**64 - 512
COMPRESSED, COMPRESSED2 = 81, 83


def pad8(data):
    return data + b"\0" * (-len(data) % 8)


class Forge:
    """Packs for one byte order: '<' or '>'."""

    def __init__(self, order="<", counters=True):
        self.order = order
        self.counters = counters  # of branches: perf 6.1 refuses an event that has them

    def pack(self, fmt, *values):
        return struct.pack(self.order + fmt, *values)

    def u64s(self, *values):
        return self.pack(f"{len(values)}Q", *values)

    def bits(self, fields):
        """A u64 of C bit fields: (position, width, value)..."""
        word = 0
        for at, width, value in fields:
            word |= value << (at if self.order == "<" else 64 - at - width)
        return self.pack("Q", word)

    def record(self, kind, misc, body):
        return self.pack("IHH", kind, misc, 8 + len(body)) + body

    # ---- events ------------------------------------------------------------------------

    def attr(self, size=112, sample_type=COMMON, read_format=0, branch_type=0, kind=1, config=0,
             regs=0, precise=0):
        """perf_event_attr, size bytes of it."""
        flags = [(10, 1, 1), (18, 1, 1), (8, 1, 1), (9, 1, 1), (23, 1, 1), (15, 2, precise)]
        attr = self.pack("IIQQQQ", kind, size, config, 99, sample_type, read_format)
        attr += self.bits(flags) + self.pack("IIQQQQIiQIHHIIQQQ", 0, 0, 0, 0, branch_type, regs,
                                             0, 1, regs, 0, 0, 0, 0, 0, 0, 0, 0)
        return attr[:size].ljust(size, b"\0")

    def events(self):
        """Three: one with every field, a raw one, one as perf-agent has it."""
        return [self.attr(136, EVERYTHING, GROUP_ID_LOST_TIMES, 
                          HW_INDEX | COUNTERS * self.counters, regs=7, precise=2),
                self.attr(96, IDENTIFIER | IP | TID | TIME | CPU | PERIOD | RAW | WEIGHT, kind=4,
                          config=314),
                self.attr(112, COMMON)]

    # ---- records -----------------------------------------------------------------------

    def full_sample(self, time=100, ip=0x401010):
        body = self.u64s(IDS[0], ip) + self.pack("IIQQQIIQ", 7, 8, time, 0xadd, 5, 3, 0, 1000)
        body += self.u64s(2, 60, 61, 1, IDS[0], 0, 2, IDS[1], 9)  # READ: a group of two
        body += self.u64s(3, USER, ip, 0x401020)
        body += self.pack("I", 12) + b"raw of 12 by"
        body += self.u64s(2, 44)  # BRANCH_STACK
        for i in range(2):
            body += self.u64s(0x1000 + i, 0x2000 + i)
            body += self.bits([(0, 1, i), (1, 1, 1 - i), (4, 16, 500 + i), (20, 4, 3), (24, 2, 1),
                               (26, 4, 9), (30, 3, 5)])
        body += self.u64s(*(70, 71)[:2 * self.counters])
        body += self.u64s(2, 81, 82, 83)  # REGS_USER
        body += self.u64s(16) + b"sixteen of stack" + self.u64s(10)
        body += self.u64s(0x3 | 0x5 << 32, 0x6100, 0x7)  # WEIGHT_STRUCT, DATA_SRC, TRANSACTION
        body += self.u64s(2, 91, 92, 93)  # REGS_INTR
        body += self.u64s(0xf000, 0xc9, 4096, 4096)
        body += self.u64s(8) + b"aux data"
        return self.record(9, 2, body)

    def raw_sample(self, time=101):
        body = self.u64s(IDS[1], 0x402010) + self.pack("IIQIIQ", 7, 9, time, 1, 0, 1)
        return self.record(9, 2, body + self.pack("I", 4) + b"pay!" + self.u64s(17))

    def sample(self, time=102, chain=(KERNEL, 0xffffffff81000010, USER, 0x401010, 0x401020)):
        body = self.u64s(IDS[2], chain[1]) + self.pack("IIQIIQ", 7, 8, time, 2, 0, 10101010)
        return self.record(9, 1, body + self.u64s(len(chain), *chain))

    def trailer(self, pid=7, tid=8, time=50, event=2):
        """sample_id of an event: the first has a stream id, too."""
        body = self.pack("IIQ", pid, tid, time)
        if event == 0:
            body += self.u64s(5)
        return body + self.pack("IIQ", 2, 0, IDS[event])

    def side(self, kind, body, misc=0, event=2, time=50):
        return self.record(kind, misc, pad8(body) + self.trailer(time=time, event=event))

    def mmap2(self, name=b"/usr/bin/forged\0", build_id=b"", time=50):
        body = self.pack("IIQQQ", 7, 7, 0x401000, 0x2000, 0x1000)
        if build_id:
            body += bytes([len(build_id), 0, 0, 0]) + build_id.ljust(20, b"\0")
        else:
            body += self.pack("IIQQ", 8, 1, 4711, 1)
        body += self.pack("II", 5, 2) + name
        return self.side(10, body, 2 | (0x4000 if build_id else 0), time=time)

    def kernel_records(self):
        p = self.pack
        yield self.side(1, p("IIQQQ", 7, 7, 0x400000, 0x1000, 0) + b"/usr/bin/old\0")
        yield self.side(1, p("IIQQQ", 2**32 - 1, 0, 0xffffffff81000000, 0x1000000,
                             0xffffffff81000000) + b"[kernel.kallsyms]_text\0", 1, 0)
        yield self.side(2, p("QQ", IDS[2], 5))
        yield self.side(3, p("II", 7, 7) + b"forged\0")
        yield self.side(3, p("II", 7, 8) + b"thread with a na\0", 0x2000, 0)
        yield self.side(4, p("IIIIQ", 9, 7, 9, 7, 60))
        yield self.side(5, p("QQQ", 60, IDS[2], 5))
        yield self.side(6, p("QQQ", 60, IDS[2], 5))
        yield self.side(7, p("IIIIQ", 9, 7, 9, 7, 55))
        yield self.side(8, p("IIQQQQ", 7, 8, 1, 2, 3, IDS[2]))
        yield self.mmap2()
        yield self.mmap2(build_id=bytes(range(20)), name=b"/usr/lib/libforged.so\0")
        yield self.side(10, p("IIQQQIIQQ", 7, 7, 0x500000, 0x1000, 0, 8, 1, 4712, 1) +
                        b"/usr/lib/of-3.13.so\0", 2)
        yield self.side(11, p("QQQ", 0, 64, 1))
        yield self.side(12, p("II", 7, 8))
        yield self.side(13, p("Q", 5))
        yield self.side(14, b"", 0x2000)
        yield self.side(15, p("II", 7, 8))
        yield self.side(16, p("IIQQQQQ", 7, 8, 2, 3, 4026531835, 3, 4026531836))
        yield self.side(17, p("QIHH", 0xffffffffc0000000, 64, 1, 0) + b"bpf_prog_forged\0")
        yield self.side(18, p("HHI", 1, 0, 42) + b"12345678")
        yield self.side(19, p("Q", 99) + b"/forged.slice\0")
        yield self.side(20, p("QHH", 0xffffffff81000000, 2, 2) + b"\x0f\x1f\x90\x90")
        yield self.side(21, p("Q", 12))

    def user_records(self):
        """Of perf's own types, but those that are about the file or not for a file."""
        p = self.pack
        yield self.record(69, 0, self.u64s(1, IDS[0], 0, 2, 2**64 - 1))
        yield self.record(70, 0, p("IIQQ", 1, 0, 7, 8))
        yield self.record(72, 0, p("IIIIIIQQ", 1, 2, 3, 7, 8, 1, 0x401010, 70) + b"it was lost\0" +
                          bytes(52))
        yield self.record(73, 0, p("QQ", 1, 7) + b"forged".ljust(16, b"\0"))
        yield self.record(74, 0, p("HHHHxx", 0, 2, 0, 1)[:14].ljust(16, b"\0"))
        yield self.record(74, 0, p("HHHxxQ", 1, 1, 8, 0x55))
        yield self.record(74, 0, p("HHHI", 1, 1, 4, 0x55).ljust(16, b"\0"))
        yield self.record(74, 0, p("HBBHH", 2, 0, 0, 1, 6))
        yield self.record(75, 0, self.u64s(1, 0, 1))
        yield self.record(76, 0, p("QIIQQQ", IDS[0], 2, 7, 1, 2, 3))
        yield self.record(77, 0, self.u64s(1, 2))
        yield self.record(78, 0, self.u64s(1, IDS[0]) + p("d", 0.5))
        yield self.record(79, 0, self.u64s(1, 2, 3, 4, 5) + bytes(8))
        yield self.record(82, 0, b"")
        yield self.record(68, 0, b"")

    def auxtrace(self, payload=b"trace data, no records at all..."):
        return self.record(71, 0, self.pack("QQQIIII", len(payload), 0, 1, 0, 8, 2, 0)) + payload

    def records(self, samples=4):
        """One of each kind, then samples."""
        found = list(self.kernel_records()) + list(self.user_records())
        for i in range(samples):
            found += [self.full_sample(100 + 3 * i), self.raw_sample(101 + 3 * i),
                      self.sample(102 + 3 * i)]
        return found + [self.record(68, 0, b"")]

    def compressed(self, records, kind=COMPRESSED, chunk=700):
        """The same records inside COMPRESSED ones, cut anywhere."""
        data, found = b"".join(records), []
        stream = Zstd()
        for at in range(0, len(data), chunk):
            body = stream.add(data[at:at + chunk])
            if kind == COMPRESSED2:
                found.append(self.record(kind, 0, self.u64s(len(body)) + pad8(body)))
            else:
                found.append(self.record(kind, 0, body))
        stream.close()
        return found

    # ---- layouts -----------------------------------------------------------------------

    def string(self, text):
        data = text.encode() + b"\0"
        data += b"\0" * (-len(data) % 64)
        return self.pack("I", len(data)) + data

    def build_id(self, name="/usr/bin/forged", build_id=bytes(range(20, 40))):
        body = self.pack("i", -1) + build_id + bytes([len(build_id), 0, 0, 0])
        body += name.encode() + b"\0"
        return self.record(67, 2 | 0x8000, body.ljust((len(body) + 63) // 64 * 64 + 28, b"\0"))

    def features(self, attrs, compressed=False):
        desc = self.pack("II", len(attrs), len(attrs[-1]))
        for attr, name, number in zip(attrs, ("full", "trace", "clock"), IDS):
            desc += attr[:len(attrs[-1])].ljust(len(attrs[-1]), b"\0")
            desc += self.pack("I", 1) + self.string(name) + self.u64s(number)
        found = {2: b"".join([self.build_id()[:4 - 4] + self.record(0, 2 | 0x8000,
                                                                    self.build_id()[8:])]),
                 3: self.string("forged-host"), 4: self.string("6.1.0"),
                 5: self.string("6.1.1"), 6: self.string("x86_64"), 7: self.pack("II", 8, 4),
                 8: self.string("a CPU"), 9: self.string("an id"), 10: self.u64s(123456),
                 11: self.pack("I", 2) + self.string("perf") + self.string("record"), 12: desc,
                 21: self.u64s(100, 200), 23: self.u64s(1),
                 29: self.pack("IIQQ", 1, 1, 17 * 10**17, 1000)}
        if compressed:
            found[27] = self.pack("IIIII", 0, 1, 1, 2, 528384)
        return found

    def file(self, records, attrs=None, ids=IDS, features=None, magic=None, finished=True):
        """@return (bytes, offset of the first record)"""
        attrs = self.events() if attrs is None else attrs
        entry = max(map(len, attrs)) + 16
        ids_at, attrs_at = 104, 104 + 8 * len(ids)
        table = b"".join(a.ljust(entry - 16, b"\0") + self.u64s(ids_at + 8 * i, 8)
                         for i, a in enumerate(attrs))
        data_at, data = attrs_at + len(table), b"".join(records)
        features = self.features(attrs) if features is None else features
        at = data_at + len(data) + 16 * len(features)
        index, sections, bits = b"", b"", 0
        for number, section in sorted(features.items()):
            index += self.u64s(at + len(sections), len(section))
            sections += pad8(section)
            bits |= 1 << number
        head = (magic or self.u64s(0x32454c4946524550)) + self.u64s(
            104, entry, attrs_at, len(table), data_at, len(data) if finished else 0, 0, 0,
            bits if finished else 0, 0, 0, 0)
        whole = head + self.u64s(*ids) + table + data
        return whole + (index + sections if finished else b""), data_at

    def pipe(self, records, attrs=None, ids=IDS, features=None):
        """@return (bytes, offset of the first record)"""
        attrs = self.events() if attrs is None else attrs
        out = self.u64s(0x32454c4946524550, 16)
        for attr, number in zip(attrs, ids):
            out += self.record(64, 0, attr + self.u64s(number))
        for name, number in zip(("full", "trace", "clock"), ids[:len(attrs)]):
            out += self.record(78, 0, self.u64s(2, number) + pad8(name.encode() + b"\0"))
        features = self.features(attrs) if features is None else features
        for number, section in sorted(features.items()):
            if number > 2:
                out += self.record(80, 0, pad8(self.u64s(number) + section))
        return out + b"".join(records), len(out)

    def directory(self, path, side, parts):
        """As perf record --threads writes it: the header and side in data, parts in data.N."""
        path.mkdir()
        attrs = self.events()
        features = {**self.features(attrs), 24: self.u64s(1)}
        (path / "data").write_bytes(self.file(side, attrs, features=features)[0])
        for i, records in enumerate(parts):
            (path / f"data.{i}").write_bytes(b"".join(records))
        return path


class Zstd:
    """A zstd stream that is flushed after each piece, as perf writes it."""

    class Buffer(ctypes.Structure):
        _fields_ = [("p", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
        self.lib.ZSTD_createCStream.restype = ctypes.c_void_p
        self.lib.ZSTD_compressStream2.restype = ctypes.c_size_t
        self.stream = ctypes.c_void_p(self.lib.ZSTD_createCStream())

    def add(self, data):
        room = ctypes.create_string_buffer(len(data) + 4096)
        source = ctypes.create_string_buffer(data, len(data))
        out = self.Buffer(ctypes.addressof(room), len(room), 0)
        into = self.Buffer(ctypes.addressof(source), len(data), 0)
        left = self.lib.ZSTD_compressStream2(self.stream, ctypes.byref(out), ctypes.byref(into), 1)
        assert left == 0, left
        return room.raw[:out.pos]

    def close(self):
        self.lib.ZSTD_freeCStream(self.stream)
