# SPDX-License-Identifier: GPL-2.0-only
"""perf-agent recover: what is lost of a damaged file and what is not, and that perf, hotspot and our
own tools read what it makes of files that they refuse."""
import os
import re
import subprocess

import pytest

from harness import forge, needs, run

F = forge.Forge(counters=False)
SAMPLES = [F.sample(100 + i) for i in range(40)]
SIDE = [F.side(3, F.pack("II", 7, 7) + b"forged\0"), F.mmap2(),
        F.mmap2(build_id=bytes(range(20)), name=b"/usr/lib/libforged.so\0")]


@pytest.fixture
def recover(agent, build, tmp_path):
    """recover(data or path, *args): status, printed line, counts of what it made."""
    def make(source, *args):
        path = source
        if isinstance(source, bytes):
            path = tmp_path / "damaged"
            path.write_bytes(source)
        out = tmp_path / "out"
        result = run.run([agent, "recover", "-o", out, *args, path], timeout=30)
        return result, counts(build, out) if out.exists() else None
    return make


def counts(build, path):
    lines = run.run([build / "tests" / "tools" / "pddump", path]).out.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def perf_samples(path):
    out = run.run([needs.perf(), "report", "--stats", "-i", path]).ok().out
    return int((re.findall(r"SAMPLE events: +(\d+)", out) or ["0"])[0])


def one_event(records, size=112, **options):
    return F.file(records, [F.attr(size)], (33,), features={}, **options)


def test_whole_file(recover, build, tmp_path):
    data, _ = F.file(F.records())
    result, got = recover(data)
    assert (result.status, result.err) == (0, ""), result
    assert len(result.out.splitlines()) == 1 and "nothing was dropped" in result.out
    want = counts(build, tmp_path / "damaged")
    for key in "records", "frames", "branches", "build-id", "event":
        assert got[key] == want[key]


def test_unfinished(recover, tmp_path):
    """Without data size and features, as perf record leaves it when it is killed."""
    data, _ = one_event(SIDE + SAMPLES, finished=False)
    result, got = recover(data)
    assert result.status == 0 and "was not finished" in result.out
    assert (got["SAMPLE"], got["layout"]) == ("40", "file")
    assert got["build-id"] == bytes(range(20)).hex() + " /usr/lib/libforged.so"
    assert perf_samples(tmp_path / "out") == 40
    result, got = recover(data + bytes(4096))
    assert (result.status, got["SAMPLE"]) == (0, "40")
    result, got = recover(data[:-3])
    assert (result.status, got["SAMPLE"]) == (3, "39")
    assert f"dropped {len(SAMPLES[0]) - 3} bytes" in result.out
    assert f"first offset {len(data) - len(SAMPLES[0])}: SAMPLE: " in result.out


@pytest.mark.parametrize("branch_type", [8, 1 << 11 | 1], ids=["any", "call_stack"])
def test_mark_of_branches(recover, tmp_path, branch_type):
    """Feature 15, which perf report needs; call chains of branch records are not shown as such."""
    attr = F.attr(sample_type=forge.IDENTIFIER | forge.IP | forge.BRANCH_STACK,
                  branch_type=branch_type)
    sample = F.record(9, 2, F.u64s(33, 0x401000, 1, 0x401010, 0x401000, 0))
    data, _ = F.file([sample] * 3, [attr], (33,), features={}, finished=False)
    result, got = recover(data)
    assert (result.status, got["SAMPLE"]) == (0, "3")
    bits = int.from_bytes((tmp_path / "out").read_bytes()[72:80], "little")
    assert bits >> 15 & 1 == (branch_type == 8)


def test_behind_the_checkpoint(recover, build, tmp_path):
    """The header tells of ten records only, more were written."""
    data, at = one_event(SIDE + SAMPLES, finished=False)
    upto = sum(map(len, (SIDE + SAMPLES)[:10]))
    data = data[:48] + F.u64s(upto) + data[56:]
    result, got = recover(data)
    assert int(counts(build, tmp_path / "damaged")["records"]) == 10
    assert (result.status, got["SAMPLE"]) == (0, "40")
    assert at < upto


def test_every_cut(recover, agent, build, tmp_path):
    """Wherever a file ends: what is before is kept, and perf takes it."""
    for layout in "file", "pipe":
        for records, find in ((SIDE + SAMPLES, True),
                              (F.compressed(SIDE + SAMPLES, chunk=300), False)):
            data, at = getattr(F, layout)(records)
            last = 0
            for record in records[:-1]:
                for inside in 0, 4, len(record) - 1:
                    (tmp_path / "cut").write_bytes(data[:at + inside])
                    result, got = recover(tmp_path / "cut")
                    whole = inside == 0 and layout == "pipe" and find
                    assert result.status == (0 if whole else 3) or not find, result
                    assert int(got["records"]) >= last
                    last = int(got["records"])
                at += len(record)
            assert last >= len(SIDE + SAMPLES) - 6


@pytest.mark.parametrize("damage", [bytes(64), b"\xff" * 64, b"\1" * 64, os.urandom(64),
                                    F.pack("IHH", 9, 2, 8), F.pack("IHH", 9, 2, 40000)],
                         ids=["zeros", "ones", "small", "random", "empty", "long"])
@pytest.mark.parametrize("layout", ["file", "pipe"])
def test_damage_in_the_middle(recover, layout, damage):
    """At most the records that it lies on are lost."""
    data, at = getattr(F, layout)(SIDE + SAMPLES)
    at += sum(map(len, SIDE + SAMPLES[:20]))
    result, got = recover(data[:at] + damage + data[at + len(damage):])
    assert result.status == 3, result
    assert got["SAMPLE"] == "39" and got["MMAP2"] == "2"
    assert f"first offset {at}: " in result.out
    result, got = recover(data[:at] + damage + data[at:])
    assert int(got["SAMPLE"]) >= 39, result


def test_malformed_records(recover, tmp_path):
    """Whole ones that perf would stop at."""
    bad = [F.record(9, 2, SAMPLES[0][8:56] + F.u64s(1000, 1)),  # a chain longer than it
           F.record(10, 2, F.pack("IIQQQ", 7, 7, 1, 2, 3) + bytes(8)),
           F.record(200, 0, bytes(8)),
           F.sample()[:8] + F.u64s(99) + F.sample()[16:]]  # an id of no event
    parted = [r for pair in zip(SAMPLES, bad) for r in pair]
    result, got = recover(F.file(SIDE + parted + SAMPLES[len(bad):])[0])
    assert result.status == 3 and " in 4 places" in result.out, result
    assert (got["SAMPLE"], got["malformed"], got["unknown-event"]) == ("40", "0", "0")


@pytest.mark.parametrize("size", [64, 96, 112, 128, 136, 144])
def test_attr_sizes(recover, tmp_path, size):
    """perf 6.1 takes no attr that is longer than its own, hotspot and others none of 144."""
    result, got = recover(one_event(SIDE + SAMPLES, size)[0])
    assert (result.status, got["SAMPLE"]) == (0, "40")
    assert perf_samples(tmp_path / "out") == 40


def test_stream(recover, agent, build, tmp_path):
    """Its attrs, names, features and build-ids go into the header and the sections."""
    late = F.record(64, 0, F.events()[0] + F.u64s(forge.IDS[0]))
    name = F.record(78, 0, F.u64s(2, forge.IDS[0]) + b"late\0\0\0\0")
    data, _ = F.pipe(SIDE + SAMPLES + [late, name, F.full_sample(), F.build_id(), F.auxtrace()],
                     F.events()[1:], forge.IDS[1:])
    result, got = recover(data)
    assert result.status == 0, result
    assert (got["layout"], got["SAMPLE"], got["AUXTRACE"]) == ("file", "41", "1")
    assert got["event"] == "late ids=1 samples=1"
    out = tmp_path / "from-stdin"
    result = run.run([agent, "recover", "-o", out, "-"], stdin_bytes=data).ok()
    assert counts(build, out) == got
    with subprocess.Popen(["cat", tmp_path / "damaged"], stdout=subprocess.PIPE) as cat:
        run.run([agent, "recover", "-o", tmp_path / "piped", "-"], stdin=cat.stdout).ok()
    assert (tmp_path / "piped").read_bytes() == out.read_bytes()
    run.run([agent, "recover", "-o", tmp_path / "again", out]).ok()
    assert (tmp_path / "again").read_bytes() == out.read_bytes()


def test_tracing_data(recover, tmp_path):
    tracing = F.record(66, 0, F.pack("II", 13, 0)) + b"tracing data!" + bytes(3)
    result, got = recover(F.pipe([tracing] + SIDE + SAMPLES)[0])
    assert (result.status, got["SAMPLE"]) == (0, "40")
    assert b"tracing data!" in (tmp_path / "out").read_bytes()


def test_damage_everywhere_in_a_large_file(recover):
    """Also where the reader's window ends: sizes that are too large, by little and by much."""
    records = [F.sample(i) for i in range(30000)]
    for i, size in zip(range(50, 30000, 97), (50000, 65528, 16, 200, 112, 40) * 60):
        records[i] = records[i][:6] + F.pack("H", size) + records[i][8:]
    for layout in "file", "pipe":
        result, got = recover(getattr(F, layout)(records)[0])
        assert (result.status, got["SAMPLE"]) == (3, str(30000 - len(range(50, 30000, 97)))), result


def test_tracepoints_without_formats(recover, tmp_path):
    """perf record that was killed: perf says "incompatible file format"."""
    data, _ = F.file(SIDE + SAMPLES, [F.attr(kind=2, config=314)], (33,), finished=False)
    result, got = recover(data)
    assert (result.status, got["SAMPLE"]) == (0, "40")
    assert perf_samples(tmp_path / "out") == 40


def test_compressed(recover, tmp_path):
    """hotspot 1.3 can't decompress, perf 6.1 knows no COMPRESSED2."""
    for kind in forge.COMPRESSED, forge.COMPRESSED2:
        result, got = recover(one_event(F.compressed(SIDE + SAMPLES, kind))[0])
        assert (result.status, got["SAMPLE"]) == (0, "40")
        assert perf_samples(tmp_path / "out") == 40
        assert "COMPRESSED" not in got


def test_damaged_compression(recover):
    packed = F.compressed(SAMPLES, chunk=400)
    packed[3] = packed[3][:8] + bytes(len(packed[3]) - 8)
    result, got = recover(F.file(SIDE + packed + SAMPLES[:5])[0])
    assert result.status == 3 and "failed to decompress" in result.out
    assert 5 + 10 <= int(got["SAMPLE"]) < 40


def test_cut_in_a_compressed_record(recover):
    """What its whole blocks hold (zstd's are of 128 KiB) is kept."""
    samples = [F.sample(100 + i, (forge.USER, 0x401000 + i * i % 1000)) for i in range(4000)]
    packed = F.compressed(samples, chunk=1 << 20)
    assert len(packed) == 1
    data, at = one_event(packed, finished=False)
    result, got = recover(data[:at + len(packed[0]) - 10])
    assert result.status == 3 and 1000 < int(got["SAMPLE"]) < 4000
    result, got = recover(data[:at + 9])
    assert result.status == 3 and got["records"] == "0"


@pytest.mark.parametrize("layout", ["file", "pipe"])
def test_other_byte_order(recover, build, tmp_path, layout):
    """The records are what a file of ours has."""
    big = forge.Forge(">", counters=False)
    want = recover(getattr(F, layout)(F.records())[0])[1]
    result, got = recover(getattr(big, layout)(big.records())[0])
    assert result.status == 0, result
    for key in "hash", "bytes", "event", "build-id", "records":
        assert got[key] == want[key]
    header = run.run([needs.perf(), "report", "--header-only", "-i", tmp_path / "out"]).out
    for text in ("hostname : forged-host", "nrcpus online : 4", "nrcpus avail : 8", "cmdline : "
                 "perf record", "total memory : 123456 kB"):
        assert text in header, header


def test_directory(recover, tmp_path):
    path = F.directory(tmp_path / "dir", SIDE, [SAMPLES[:20], F.compressed(SAMPLES[20:])])
    result, got = recover(path)
    assert (result.status, got["SAMPLE"], got["MMAP2"]) == (0, "40", "2")
    assert perf_samples(tmp_path / "out") == 40
    # The end of a round in one file says nothing of the others
    rounds = [F.record(68, 0, b"")] * 3
    (path / "data.1").write_bytes(b"".join(rounds + SAMPLES[20:]))
    result, got = recover(path)
    assert (result.status, got["SAMPLE"]) == (0, "40") and "FINISHED_ROUND" not in got
    (path / "data.0").write_bytes(b"".join(SAMPLES[:20])[:-1])
    result, got = recover(path)
    assert (result.status, got["SAMPLE"]) == (3, "39") and "data.0: offset" in result.out


def test_old_mmap2(recover, tmp_path):
    """Of Linux 3.13, without prot and flags: perf 6.1 cuts the name."""
    old = F.side(10, F.pack("IIQQQIIQQ", 7, 7, 0x400000, 0x10000, 0, 8, 1, 4712, 1) +
                 b"/usr/lib/of-3.13.so\0", 2, time=1)
    result, _ = recover(one_event([old] + SAMPLES)[0])
    assert result.status == 0
    text = run.run([needs.perf(), "script", "--show-mmap-events", "-i", tmp_path / "out"]).out
    assert " r-xp /usr/lib/of-3.13.so" in text


def test_hotspot(recover, tmp_path):
    data, _ = one_event(SIDE + SAMPLES, 144, finished=False)
    result, _ = recover(data[:-3])
    assert result.status == 3
    out = tmp_path / "hotspot"
    parsed = run.run([needs.hotspot_perfparser(), "--input", tmp_path / "out", "--output", out],
                     timeout=20).ok()
    assert b"forged" in out.read_bytes() and "feature" not in parsed.err


def test_our_tools(recover, tool, tmp_path):
    data, _ = one_event(SIDE + SAMPLES, finished=False)
    assert run.run([tool("pa2folded"), "-i", recover(data)[0] and tmp_path / "damaged"]).status == 3
    assert run.run([tool("pa2folded"), tmp_path / "out"]).ok().out.endswith(" 40\n")


def test_private_data_stays(agent, tool, top, tmp_path):
    """Saved symbols and tags: the same stacks come out."""
    path = top / "tests" / "golden" / "pa2folded" / "basic" / "perf.data"
    run.run([agent, "recover", "-o", tmp_path / "out", path]).ok()
    for name in "pa2folded", "pa2pprof":
        outs = [run.run([tool(name), "-o", tmp_path / f"{i}", p]).ok() and
                (tmp_path / f"{i}").read_bytes() for i, p in enumerate((path, tmp_path / "out"))]
        assert outs[0] == outs[1]


def test_names_of_files(agent, tmp_path):
    data, _ = one_event(SIDE + SAMPLES)
    path = tmp_path / "perf.data"
    path.write_bytes(data)
    run.run([agent, "recover", path]).ok()
    assert (tmp_path / "perf.data.recovered").exists() and path.read_bytes() == data
    run.run([agent, "recover", "-q", "-o", path, path]).ok()
    assert path.read_bytes() == (tmp_path / "perf.data.recovered").read_bytes()
    directory = F.directory(tmp_path / "dir", SIDE, [SAMPLES])
    run.run([agent, "recover", f"{directory}/"]).ok()
    assert (tmp_path / "dir.recovered").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "dir", "dir.recovered", "perf.data", "perf.data.recovered"]


def test_failures(agent, tmp_path):
    def status(*args):
        result = run.run([agent, "recover", *args])
        assert len(result.err.splitlines()) in (1, 3), result
        assert "perf-agent recover: " in result.err and result.err.count("failed to") <= 1
        return result.status
    good, junk = tmp_path / "good", tmp_path / "junk"
    good.write_bytes(one_event(SAMPLES)[0])
    junk.write_bytes(b"no perf.data at all, but some text that is longer than its header is")
    assert status("-o", tmp_path / "out", junk) == 1
    assert status("-o", tmp_path / "out", tmp_path / "none") == 1
    assert status("-o", tmp_path / "no" / "out", good) == 1
    assert status("-o", tmp_path, good) == 1
    for wrong in [], ["a", "b"], ["-o", "", "a"], ["-o", "-", "a"], ["-"], ["--nonsense", "a"]:
        assert status(*wrong) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good", "junk"]


def test_full_disk(agent, tmp_path):
    """Nothing is left of the attempt, and the old file stays."""
    out, path = tmp_path / "out", tmp_path / "in"
    path.write_bytes(one_event(SAMPLES * 5000)[0])
    out.write_bytes(b"old")
    limited = f"ulimit -f 64; exec {agent} recover -o {out} {path}"
    result = run.run(["/bin/bash", "-c", limited])
    assert result.status == 1 and "failed to write" in result.err, result
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]
