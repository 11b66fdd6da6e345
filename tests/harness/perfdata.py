# SPDX-License-Identifier: GPL-2.0-only
"""Read perf.data files by hand, as docs/perfdata.md describes them: for what other tools hide, and
so that the tests do not rely on the reader that they check."""
import collections
import dataclasses
import struct

MMAP, LOST, COMM, EXIT, FORK, SAMPLE, MMAP2, LOST_SAMPLES = 1, 2, 3, 4, 7, 9, 10, 13
FINISHED_ROUND = 68
CONTEXT_KERNEL, CONTEXT_USER = 2 ** 64 - 128, 2 ** 64 - 512
CONTEXT_MAX = 2 ** 64 - 4095
BLOB_TAGS, BLOB_SYMBOLS, BLOB_CAPTURE = 1, 3, 4

Capture = collections.namedtuple("Capture", "start_ns end_ns start_wall_ns fired written lost")


@dataclasses.dataclass
class Record:
    """One record: its type, misc and body behind the header."""
    type: int
    misc: int
    body: bytes


@dataclasses.dataclass
class Sample:
    ip: int
    pid: int
    tid: int
    time_ns: int
    cpu: int
    period: int
    kernel: list
    user: list
    branches: list  # (from, to, flags); None: without a branch stack


class File:
    """A file of perf-agent's. Fails the test on anything that does not fit."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        magic, size, attr_size = struct.unpack_from("<8sQQ", self.bytes, 0)
        assert (magic, size, attr_size) == (b"PERFILE2", 104, 128)
        self.data_offset, self.data_bytes = struct.unpack_from("<QQ", self.bytes, 40)
        self.blob_offset, self.blob_bytes = struct.unpack_from("<QQ", self.bytes, 56)
        self.features = int.from_bytes(self.bytes[72:104], "little")

    def records(self):
        at, end = self.data_offset, self.data_offset + self.data_bytes
        assert end <= len(self.bytes)
        while at < end:
            kind, misc, size = struct.unpack_from("<IHH", self.bytes, at)
            assert size >= 8 and size % 8 == 0 and at + size <= end, (at, kind, size)
            yield Record(kind, misc, self.bytes[at + 8:at + size])
            at += size

    def samples(self, has_branches=False):
        """Samples, their chains parted into kernel and user addresses, markers checked."""
        for record in self.records():
            if record.type == SAMPLE:
                yield parse_sample(record.body, has_branches)

    def lost(self):
        """The sum of the LOST_SAMPLES records, which LOST records must say, too."""
        sums = collections.Counter()
        for record in self.records():
            if record.type == LOST:
                sums[LOST] += struct.unpack_from("<QQ", record.body)[1]
            elif record.type == LOST_SAMPLES:
                sums[LOST_SAMPLES] += struct.unpack_from("<Q", record.body)[0]
        assert sums[LOST] == sums[LOST_SAMPLES]
        return sums[LOST_SAMPLES]

    def blob(self, wanted):
        """Payload of a chunk of the private blob, or None."""
        at, end = self.blob_offset, self.blob_offset + self.blob_bytes
        while at + 16 <= end:
            kind, _, size = struct.unpack_from("<IIQ", self.bytes, at)
            if kind == wanted:
                return self.bytes[at + 16:at + 16 + size]
            at += 16 + (size + 7) // 8 * 8
        return None

    def capture(self):
        return Capture._make(struct.unpack("<6Q", self.blob(BLOB_CAPTURE)))

    def maps(self):
        """(pid, name, misc) of the MMAP2 records."""
        for record in self.records():
            if record.type == MMAP2:
                pid = struct.unpack_from("<I", record.body)[0]
                yield pid, record.body[64:-32].split(b"\0")[0].decode(), record.misc


def parse_branches(body):
    cnt = struct.unpack_from("<Q", body)[0]
    assert len(body) == 8 + 24 * cnt
    return list(struct.iter_unpack("<QQQ", body[8:]))


def parse_sample(body, has_branches):
    _, ip, pid, tid, time_ns, cpu, zero, period, cnt = struct.unpack_from("<QQIIQIIQQ", body)
    chain_end = 56 + 8 * cnt
    branches = parse_branches(body[chain_end:]) if has_branches else None
    assert zero == 0 and (has_branches or len(body) == chain_end)
    parts = {CONTEXT_KERNEL: [], CONTEXT_USER: []}
    part, order = None, []
    for address in struct.unpack_from(f"<{cnt}Q", body, 56):
        if address >= CONTEXT_MAX:
            part = parts[address]
            order.append(address)
        else:
            part.append(address)
    assert order in ([CONTEXT_KERNEL], [CONTEXT_USER], [CONTEXT_KERNEL, CONTEXT_USER], []), order
    return Sample(ip, pid, tid, time_ns, cpu, period, parts[CONTEXT_KERNEL], parts[CONTEXT_USER],
                  branches)
