# SPDX-License-Identifier: GPL-2.0-only
"""What a stream says late, and what a directory has in several files, reaches the outputs."""
import gzip

import pytest

from harness import forge, run

F = forge.Forge()
ID = bytes(range(20, 40))
ADDRESS = 0x401100


def records():
    maps = [F.side(3, F.pack("II", 7, 7) + b"forged\0", time=1), F.mmap2(time=2)]
    chain = (forge.USER, ADDRESS, ADDRESS + 16)
    return maps, [F.sample(100 + i, chain) for i in range(10)]


def convert(tool, path, tmp_path):
    """The profile's bytes, and the folded stacks."""
    run.run([tool("pa2pprof"), "-o", tmp_path / "out.pb.gz", path]).ok()
    with gzip.open(tmp_path / "out.pb.gz") as file:
        return file.read(), run.run([tool("pa2folded"), path]).ok().out


@pytest.mark.parametrize("order", ["<", ">"])
def test_build_ids_at_the_end(tool, tmp_path, order):
    """perf writes those of a stream behind all samples."""
    f = forge.Forge(order)
    maps = [f.side(3, f.pack("II", 7, 7) + b"forged\0", time=1), f.mmap2(time=2)]
    samples = [f.sample(100 + i, (forge.USER, ADDRESS)) for i in range(10)]
    path = tmp_path / "stream"
    path.write_bytes(f.pipe(maps + samples + [f.record(68, 0, b"")])[0])
    profile, without = convert(tool, path, tmp_path)
    assert ID.hex().encode() not in profile
    path.write_bytes(f.pipe(maps + samples + [f.record(68, 0, b""), f.build_id()])[0])
    profile, stacks = convert(tool, path, tmp_path)
    assert ID.hex().encode() in profile and stacks == without
    assert stacks.endswith(" 10\n")


def test_directory(tool, tmp_path):
    """Maps in one file, samples in the others: the same as from one file."""
    maps, samples = records()
    single = tmp_path / "single"
    single.write_bytes(F.file(maps + samples)[0])
    path = F.directory(tmp_path / "dir", maps, [samples[5:], F.compressed(samples[:5])])
    assert convert(tool, path, tmp_path)[1] == convert(tool, single, tmp_path)[1]
    path = F.directory(tmp_path / "late", samples, [maps])
    assert convert(tool, path, tmp_path)[1] == convert(tool, single, tmp_path)[1]


@pytest.mark.parametrize("layout", ["file", "pipe"])
def test_memory_for_many_names(tool, tmp_path, layout):
    """A few KiB, compressed, of records that are kept until the samples: 240 MB of them."""
    maps, samples = records()
    comm = F.side(3, F.pack("II", 9, 9) + b"filler\0", time=3)
    filler = F.compressed([comm * (1 << 15)] * 120, chunk=len(comm) << 15)
    path = tmp_path / "many"
    path.write_bytes(getattr(F, layout)(maps + filler + samples)[0])
    assert path.stat().st_size < 1 << 20
    limited = ["prlimit", f"--as={320 << 20}", tool("pa2folded"), "--no-symbols", path]
    assert run.run(limited).ok().out == "forged;[forged];[forged] 10\n"
