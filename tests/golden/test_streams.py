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


@pytest.mark.parametrize("gone", [1, 700])
def test_cut_behind_the_samples(tool, tmp_path, gone):
    """Without build-ids a file is not whole, although all samples are there."""
    maps, samples = records()
    path = tmp_path / "cut"
    path.write_bytes(F.file(maps + samples)[0])
    whole = run.run([tool("pa2folded"), path]).ok()
    path.write_bytes(path.read_bytes()[:-gone])
    result = run.run([tool("pa2folded"), path])
    assert (result.status, result.out) == (3, whole.out)
    assert "cut short behind its samples" in result.err


def test_what_to_do_about_damage(tool, tmp_path):
    maps, samples = records()
    path = tmp_path / "damaged"
    path.write_bytes(F.file(maps + samples[:5] + [bytes(8)] + samples[5:])[0])
    result = run.run([tool("pa2folded"), path])
    assert result.status == 1 and len(result.err.splitlines()) == 1
    assert "offset" in result.err and "perf-agent recover" in result.err


@pytest.mark.parametrize("layout", ["file", "pipe"])
def test_clocks_of_the_other_byte_order(tool, tmp_path, layout):
    """The profile's time, from CLOCK_DATA, is the same."""
    profiles = []
    for order in "<>":
        f = forge.Forge(order)
        sample = f.sample(2000, (forge.USER, ADDRESS))
        (tmp_path / "in").write_bytes(getattr(f, layout)([sample])[0])
        profiles.append(convert(tool, tmp_path / "in", tmp_path)[0])
    assert profiles[0] == profiles[1]


def test_very_many_events(tool, tmp_path):
    """Not one of them tells of switches: each sample but the first finds that out quickly."""
    ids = range(1000, 61000)
    kind = forge.IDENTIFIER | forge.IP | forge.TID | forge.TIME
    samples = [F.record(9, 2, F.u64s(number, ADDRESS) + F.pack("IIQ", 7, 7, 5)) for number in ids]
    path = tmp_path / "many"
    path.write_bytes(F.file(samples, [F.attr(64, kind)] * len(ids), ids,
                            features={5: F.string("6.1")})[0])
    for args, status in ((), 0), (("--off-cpu",), 1), (("--event", "none"), 1):
        result = run.run([tool("pa2folded"), *args, path], timeout=20)
        assert result.status == status and len(result.err.splitlines()) == 1
