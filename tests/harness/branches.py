# SPDX-License-Identifier: GPL-2.0-only
"""What a processor's branch records would say of a program: it is run step by step, its true
branches become a perf.data, as perf record -b writes it."""
import collections
import re
import subprocess

from harness import forge, needs, run

PID = 4242
STACK = 32  # branches per sample


VALGRIND_BIAS = 0x108000  # where it loads position-independent programs


class Steps:
    """The instructions that a program executed, in order: (virtual address, bytes), and one (0, 0)
    for all that is elsewhere."""

    def __init__(self, program, args, tmp_path):
        log = tmp_path / "steps"
        run.Process([needs.command("valgrind"), "--tool=lackey", "--basic-counts=no",
                     "--trace-mem=yes", f"--log-file={log}", program, *args],
                    cwd=tmp_path).wait(120).ok()
        self.program = program
        self.vaddr, self.offset, self.bytes, bias = self._segment()
        self.steps = []
        with open(log, encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line[0] == "I":
                    at, size = line[1:].split(",")
                    at = int(at, 16) - bias
                    inside = 0 <= at - self.vaddr < self.bytes
                    if inside or not self.steps or self.steps[-1][0]:
                        self.steps.append((at, int(size)) if inside else (0, 0))
        assert len(self.steps) > 100, "nothing of the program itself was executed"

    def _segment(self):
        """The first executable one: address, file offset, bytes; and where it is loaded."""
        text = subprocess.run(["readelf", "-lW", self.program], capture_output=True, text=True,
                              check=True).stdout
        for line in text.splitlines():
            found = re.match(r" *LOAD +(0x\S+) (0x\S+) 0x\S+ (0x\S+) .* R E ", line)
            if found:
                offset, vaddr, size = (int(x, 16) for x in found.groups())
                return vaddr, offset, size, "(Position-Ind" in text and VALGRIND_BIAS
        raise AssertionError(text)

    def branches(self):
        """All that were taken, oldest first: (from, to), 0 for elsewhere."""
        for (at, size), (after, _) in zip(self.steps, self.steps[1:]):
            if not at or not after or at + size != after:
                yield at, after

    def executed(self):
        """How often each instruction was, by virtual address."""
        return collections.Counter(at for at, _ in self.steps if at)


ELSEWHERE, BIAS = 0x7ffff0000000, 0x555555554000


def perf_data(steps, build_id, path, stack=STACK, attr=None, chain=()):
    """Write a perf.data with a sample for every stack - 1 branches: the oldest of a sample is the
    newest of the one before, so that what was executed between two branches is told once. The
    program is mapped at BIAS, as if it were there.
    @return the branches that were written, with repetitions"""
    f = forge.Forge()
    kind = forge.IDENTIFIER | forge.IP | forge.TID | forge.TIME | forge.CPU | forge.PERIOD
    attr = attr or f.attr(sample_type=kind | forge.CALLCHAIN * bool(chain) | forge.BRANCH_STACK,
                          branch_type=8 | 1, kind=0, config=0)
    bias = 0 if steps.vaddr >= 0x400000 else BIAS
    taken = [(a + bias if a else ELSEWHERE, b + bias if b else ELSEWHERE)
             for a, b in steps.branches()]
    name = str(steps.program).encode() + b"\0"
    page = steps.vaddr % 4096
    trailer = f.pack("IIQIIQ", PID, PID, 10, 0, 0, forge.IDS[0])
    records = [f.record(3, 0, forge.pad8(f.pack("II", PID, PID) + b"stepped\0") + trailer)]
    for start, size, offset, ident, path_name in (
            (bias + steps.vaddr - page, (steps.bytes + page + 4095) & ~4095, steps.offset - page,
             build_id, name), (ELSEWHERE, 4096, 0, b"\1" * 20, b"/usr/lib/elsewhere.so\0")):
        body = f.pack("IIQQQ", PID, PID, start, size, offset)
        body += bytes([len(ident), 0, 0, 0]) + ident.ljust(20, b"\0") + f.pack("II", 5, 2)
        records.append(f.record(10, 2 | 0x4000, forge.pad8(body + path_name) + trailer))
    written = []
    for i, at in enumerate(range(0, len(taken), stack - 1)):
        part = taken[at:at + stack]
        written += part
        ip = part[-1][1]
        body = f.u64s(forge.IDS[0], ip) + f.pack("IIQIIQ", PID, PID, 100 + i, 0, 0, 1)
        body += f.u64s(len(chain), *chain) if chain else b""
        body += f.u64s(len(part)) + b"".join(f.u64s(a, b, 2) for a, b in reversed(part))
        records.append(f.record(9, 2, body))
    features = {2: f.record(0, 2 | 0x8000, f.build_id(str(steps.program), build_id)[8:]),
                3: f.string("stepped-host"), 5: f.string("6.1.1"), 6: f.string("x86_64"),
                11: f.pack("I", 1) + f.string("stepped")}
    path.write_bytes(f.file(records, [attr], forge.IDS[:1], features)[0])
    return written
