# SPDX-License-Identifier: GPL-2.0-only
"""Forged perf.data of every kind: the reader returns the same whatever the layout, the byte order
and the compression, and of a file that is cut anywhere what is whole."""
import re

import pytest

from harness import forge, run

LAYOUTS = ["file", "pipe"]
ORDERS = ["<", ">"]


@pytest.fixture
def dump(build):
    """dump(path): what pddump prints, as a dictionary."""
    def read(path):
        out = run.run([build / "tests" / "tools" / "pddump", path]).out
        pairs = (line.split(" ", 1) for line in out.splitlines())
        return dict(pair if len(pair) == 2 else (pair[0], "") for pair in pairs)
    return read


def records_of(build, path):
    """Lines of pddump --records: offset, type, size, hash of all bytes."""
    out = run.run([build / "tests" / "tools" / "pddump", "--records", path]).out
    return [line.split() for line in out.splitlines() if not line.startswith("error")]


def write(path, data):
    path.write_bytes(data)
    return path


def same(a, b, *keys):
    for key in keys or ("hash", "SAMPLE", "frames", "branches", "period", "malformed"):
        assert a[key] == b[key], key


def test_each_record_in_both_orders(build, tmp_path):
    """Byte for byte: swapped, a foreign record is what it would be here."""
    found = {}
    for order in ORDERS:
        f = forge.Forge(order)
        data, _ = f.file(f.records())
        found[order] = records_of(build, write(tmp_path / f"f{order}", data))
    assert len(found["<"]) == len(found[">"]) == len(forge.Forge().records())
    for here, there in zip(found["<"], found[">"]):
        assert here == there
    assert not any("malformed" in " ".join(r) or "unknown" in " ".join(r) for r in found["<"])


@pytest.mark.parametrize("order", ORDERS)
def test_layouts_hold_the_same(dump, tmp_path, order):
    f = forge.Forge(order)
    records = f.records()
    native = forge.Forge()
    want = dump(write(tmp_path / "native", native.file(native.records())[0]))
    assert (want["end"], want["SAMPLE"], want["malformed"]) == ("0", "12", "0")
    for name, data in {
            "file": f.file(records)[0],
            "zstd": f.file(f.compressed(records), features=f.features(f.events(), True))[0],
            "zstd2": f.file(f.compressed(records, forge.COMPRESSED2))[0],
            "tiny": f.file(f.compressed(records, forge.COMPRESSED2, 24))[0]}.items():
        got = dump(write(tmp_path / name, data))
        same(got, want)
        same(got, want, "bytes", "records", "end")
    got = dump(write(tmp_path / "pipe", f.pipe(records)[0]))
    same(got, want, "SAMPLE", "frames", "branches", "period", "MMAP2", "malformed", "end")
    got = dump(write(tmp_path / "zpipe", f.pipe(f.compressed(records))[0]))
    same(got, want, "SAMPLE", "frames", "branches", "period", "MMAP2", "malformed", "end")


def test_names_and_features(dump, tmp_path):
    for order in ORDERS:
        f = forge.Forge(order)
        for layout in LAYOUTS:
            records = f.records() + ([f.build_id()] if layout == "pipe" else [])
            path = write(tmp_path / "f", getattr(f, layout)(records)[0])
            got = dump(path)
            assert got["event"].startswith("clock ids=1 ")
            assert got["build-id"] == bytes(range(20, 40)).hex() + " /usr/bin/forged"


@pytest.mark.parametrize("size", range(64, 152, 8))
def test_attr_sizes(dump, tmp_path, size):
    for order in ORDERS:
        f = forge.Forge(order)
        attrs = [f.attr(size)]
        for layout in LAYOUTS:
            data, _ = getattr(f, layout)([f.sample()], attrs, (33,), features={})
            got = dump(write(tmp_path / "f", data))
            assert (got["SAMPLE"], got["end"], got["malformed"]) == ("1", "0", "0"), (order, layout)


def test_version_1(dump, tmp_path):
    """Its magic is the same in both byte orders."""
    for order in ORDERS:
        f = forge.Forge(order)
        data, _ = f.file(f.records(), magic=b"PERFFILE")
        assert dump(write(tmp_path / "f", data))["SAMPLE"] == "12"


def test_payloads(dump, tmp_path):
    for order in ORDERS:
        f = forge.Forge(order)
        records = [f.sample(), f.auxtrace(), f.auxtrace(b""), f.sample()]
        for layout in LAYOUTS:
            got = dump(write(tmp_path / "f", getattr(f, layout)(records)[0]))
            assert (got["SAMPLE"], got["AUXTRACE"], got["end"]) == ("2", "2", "0")
        tracing = f.record(66, 0, f.pack("II", 13, 0)) + b"tracing data!" + bytes(3)
        got = dump(write(tmp_path / "f", f.pipe([tracing, f.sample()])[0]))
        assert (got["TRACING_DATA"], got["SAMPLE"], got["end"]) == ("1", "1", "0")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ORDERS)
def test_cut_anywhere(build, tmp_path, order, layout):
    """At each record's end and at three places inside: what is before the cut is as in the
    whole."""
    f = forge.Forge(order)
    records = f.records(1)
    data, at = getattr(f, layout)(records)
    path = tmp_path / "cut"
    whole = records_of(build, write(path, data))
    whole = whole[len(whole) - len(records):]
    for i, record in enumerate(records):
        for inside in {0, 4, len(record) // 2, len(record) - 1}:
            cut = data[:at + inside]
            got = records_of(build, write(path, cut))
            assert got[len(got) - i:] == whole[:i], (i, inside) if i else None
        at += len(record)


def test_cut_compressed(dump, tmp_path):
    f = forge.Forge()
    records = f.records(30)
    packed = f.compressed(records)
    data, at = f.file(packed)
    before, whole = 0, int(dump(write(tmp_path / "z", data))["records"])
    assert whole == len(records)
    for piece in packed:
        for inside in 0, len(piece) // 2:
            got = dump(write(tmp_path / "z", data[:at + inside]))
            assert got["end"] == ("-61" if at + inside < len(data) else "0")
            assert before <= int(got["records"]) < whole
            before = int(got["records"])
        at += len(piece)


def test_unknown_sizes_of_zstd(dump, tmp_path):
    """Far more comes out than goes in: only the window is held."""
    f = forge.Forge()
    record = f.sample()
    packed = f.compressed([record] * 100000, chunk=1 << 22)
    got = dump(write(tmp_path / "z", f.file(packed)[0]))
    assert (got["SAMPLE"], got["end"]) == ("100000", "0")


def test_late_attr_and_name(dump, tmp_path):
    """In a stream an event may come behind samples of others."""
    f = forge.Forge()
    attrs = f.events()
    late = f.record(64, 0, attrs[2] + f.u64s(forge.IDS[2]))
    name = f.record(78, 0, f.u64s(2, forge.IDS[2]) + b"late\0\0\0\0")
    data, _ = f.pipe([f.full_sample(), f.sample(), late, f.sample(), name], attrs[:2],
                     features={})
    got = dump(write(tmp_path / "f", data))
    assert (got["SAMPLE"], got["unknown-event"], got["event"]) == \
        ("3", "1", "late ids=1 samples=1")


def test_directory(dump, tmp_path):
    f = forge.Forge()
    samples = [f.sample(100 + i) for i in range(30)]
    parts = [samples[:10], [], f.compressed(samples[10:])]
    path = f.directory(tmp_path / "dir", list(f.kernel_records()), parts)
    got = dump(path)
    assert (got["SAMPLE"], got["end"], got["FORK"]) == ("30", "0", "1")
    assert "kcore" not in got
    (path / "kcore_dir").mkdir()
    assert dump(path)["kcore"] == str(path / "kcore_dir")
    # One that is cut does not keep the others away
    (path / "data.0").write_bytes(b"".join(samples[:10])[:-5])
    got = dump(path)
    assert (got["SAMPLE"], got["end"]) == ("29", "-61")
    assert got["error"].startswith("data.0: offset ")
    (path / "data.2").write_bytes(samples[0] + b"\1" + bytes(7) + samples[1])
    got = dump(path)
    assert got["error"].startswith(f"data.2: offset {len(samples[0])}: ")


def test_directory_without_links(dump, tmp_path):
    f = forge.Forge()
    path = f.directory(tmp_path / "dir", [f.sample()], [[f.sample()]])
    outside = write(tmp_path / "outside", f.sample())
    (path / "data.1").symlink_to(outside)
    assert "a link in place of a data file" in dump(path)["error"]
    (path / "data.1").unlink()
    (path / "kcore_dir").symlink_to(tmp_path)
    assert "kcore" not in dump(path)
    (path / "data.00").write_bytes(f.sample())
    (path / "data.0x").write_bytes(f.sample())
    assert dump(path)["SAMPLE"] == "2"
    (path / "data").rename(tmp_path / "moved")
    (path / "data").symlink_to(tmp_path / "moved")
    assert re.search("link", dump(path)["error"])
    (path / "data").unlink()
    assert "directory" in dump(path)["error"]


def test_cut_while_it_is_read(build, tmp_path):
    """A file that shrinks under the reader ends early; it does not end the reader."""
    f = forge.Forge()
    path = write(tmp_path / "f", f.file([f.sample()] * 100000)[0])
    reader = run.Process([build / "tests" / "tools" / "pddump", "--records", path],
                         stdout=-1)
    reader.child.stdout.read(1000)
    with path.open("r+b") as file:
        file.truncate(300000)
    rest = reader.child.stdout.read().decode()
    assert reader.wait().status == 1
    assert rest.splitlines()[-1].endswith(("the data end inside the record",
                                           "the data end inside a record",
                                           "the file ends before its data do"))
