# SPDX-License-Identifier: GPL-2.0-only
"""perf.data of samples that are known: at given addresses of a program, or with the branches that a
processor would have recorded. For those the program is run under valgrind, which tells every
instruction."""
import collections
import re
import subprocess

from harness import forge, needs, run

PID = 4242
STACK = 32  # branches per sample
ELSEWHERE, BIAS = 0x7ffff0000000, 0x555555554000
VALGRIND_BIAS = 0x108000  # where it loads position-independent programs
KIND = forge.IDENTIFIER | forge.IP | forge.TID | forge.TIME | forge.CPU | forge.PERIOD


class Program:
    """Where the code of an ELF file is, and what it is known by."""

    def __init__(self, path):
        self.path = path
        text = subprocess.run(["readelf", "-lnW", path], capture_output=True, text=True,
                              check=True).stdout
        found = re.search(r"\n *LOAD +(0x\S+) (0x\S+) 0x\S+ (0x\S+) .* R E ", text)
        self.offset, self.vaddr, self.bytes = (int(x, 16) for x in found.groups())
        self.is_fixed = "(Position-Ind" not in text and "DYN " not in text
        self.build_id = bytes.fromhex(re.search(r"Build ID: (\w+)", text)[1])
        self.bias = 0 if self.is_fixed else BIAS

    def holds(self, vaddr):
        return 0 <= vaddr - self.vaddr < self.bytes

    def functions(self):
        """{name: (address, bytes)}"""
        text = subprocess.run(["readelf", "-sW", self.path], capture_output=True, text=True,
                              check=True).stdout
        return {m[3]: (int(m[1], 16), int(m[2])) for m in re.finditer(
            r": ([0-9a-f]+) +(\d+) FUNC .* (\S+)\n", text)}


class Steps:
    """The instructions that a program executed, in order: (virtual address, bytes), and one (0, 0)
    for all that is elsewhere."""

    def __init__(self, program, args, tmp_path):
        self.program = program
        log = tmp_path / "steps"
        run.Process([needs.command("valgrind"), "--tool=lackey", "--basic-counts=no",
                     "--trace-mem=yes", f"--log-file={log}", program.path, *args],
                    cwd=tmp_path).wait(120).ok()
        bias = 0 if program.is_fixed else VALGRIND_BIAS
        self.steps = []
        with open(log, encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line[0] == "I":
                    at, size = line[1:].split(",")
                    at = int(at, 16) - bias
                    inside = program.holds(at)
                    if inside or not self.steps or self.steps[-1][0]:
                        self.steps.append((at, int(size)) if inside else (0, 0))
        assert len(self.steps) > 100, "nothing of the program itself was executed"

    def branches(self):
        """All that were taken, oldest first: (from, to), 0 for elsewhere."""
        for (at, size), (after, _) in zip(self.steps, self.steps[1:]):
            if not at or not after or at + size != after:
                yield at, after

    def executed(self):
        """How often each instruction was, by virtual address."""
        return collections.Counter(at for at, _ in self.steps if at)


def in_memory(program, vaddr):
    return vaddr + program.bias if vaddr else ELSEWHERE


def side_records(f, program):
    """The program's name and mappings."""
    page = program.vaddr % 4096
    trailer = f.pack("IIQIIQ", PID, PID, 10, 0, 0, forge.IDS[0])
    yield f.record(3, 0, forge.pad8(f.pack("II", PID, PID) + b"stepped\0") + trailer)
    for start, size, offset, ident, name in (
            (program.bias + program.vaddr - page, (program.bytes + page + 4095) & ~4095,
             program.offset - page, program.build_id, str(program.path).encode()),
            (ELSEWHERE, 4096, 0, b"\1" * 20, b"/usr/lib/elsewhere.so")):
        body = f.pack("IIQQQ", PID, PID, start, size, offset)
        if ident:
            body += bytes([len(ident), 0, 0, 0]) + ident.ljust(20, b"\0")
        else:
            body += f.pack("IIQQ", 8, 1, 4711, 1)
        body += f.pack("II", 5, 2) + name + b"\0"
        yield f.record(10, 2 | (0x4000 if ident else 0), forge.pad8(body) + trailer)


def write(path, program, records, attrs):
    f = forge.Forge()
    features = {3: f.string("stepped-host"), 5: f.string("6.1.1"), 6: f.string("x86_64"),
                11: f.pack("I", 1) + f.string("stepped")}
    if program.build_id:
        features[2] = f.record(0, 2 | 0x8000, f.build_id(str(program.path), program.build_id)[8:])
    path.write_bytes(f.file([*side_records(f, program), *records], attrs,
                            forge.IDS[:len(attrs)], features)[0])
    return path


def branch_data(path, steps, stack=STACK, hw_index=False):
    """A perf.data with a sample for every stack - 1 branches: the oldest of a sample is the newest
    of the one before, so that what was executed between two branches is told once."""
    f = forge.Forge()
    attr = f.attr(sample_type=KIND | forge.BRANCH_STACK, kind=0, config=0,
                  branch_type=8 | 1 | hw_index * forge.HW_INDEX)
    taken = [(in_memory(steps.program, a), in_memory(steps.program, b))
             for a, b in steps.branches()]
    records = []
    for i, at in enumerate(range(0, len(taken), stack - 1)):
        part = taken[at:at + stack]
        body = f.u64s(forge.IDS[0], part[-1][1]) + f.pack("IIQIIQ", PID, PID, 100 + i, 0, 0, 1)
        body += f.u64s(len(part), *[0] * hw_index)
        body += b"".join(f.u64s(a, b, 2) for a, b in reversed(part))
        records.append(f.record(9, 2, body))
    return write(path, steps.program, records, [attr])


def plain_data(path, program, counts, others=(), clock=0):
    """A perf.data of a clock event with so many samples at each virtual address, and of others,
    (type, config) of a second event, as many again.
    @param clock  config of the software event"""
    f = forge.Forge()
    attrs = [f.attr(sample_type=KIND, kind=1, config=clock)]
    attrs += [f.attr(sample_type=KIND, kind=k, config=c) for k, c in others]
    records = []
    for vaddr, cnt in counts.items():
        for event in range(len(attrs)):
            body = f.u64s(forge.IDS[event], in_memory(program, vaddr))
            body += f.pack("IIQIIQ", PID, PID, 100, 0, 0, 1)
            records += [f.record(9, 2, body)] * cnt
    return write(path, program, records, attrs)
