# SPDX-License-Identifier: GPL-2.0-only
"""perf.data files that others recorded with many versions of perf: each is read, converted and
recovered with exactly the samples that independent parsers counted, and damaged ones harm nobody.

The files are not part of the source: CORPUS=DIR (environment, or variable of make) names their
folder, ../shared/corpus from the top by default. Its MANIFEST.tsv has a line for each: file, source,
path, bytes, arch, samples, records, what is special."""
import collections
import csv
import gzip
import os
import pathlib
import re

import pytest

from harness import needs, run

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = pathlib.Path(os.environ.get("CORPUS") or TOP / ".." / "shared" / "corpus")
# Counted by perf 6.1 report --stats (6.1 can't read COMPRESSED2: mstange/linux-perf-data's tests)
SAMPLES = {
    "cpp-inlining.perf.data": 539, "sleep.compressed.data": 8, "sleep.compressed.pipe.data": 8,
    "sleep.compressed2.data": 7, "sleep.compressed2.pipe.data": 7,
    "fibo.compressed2.pipe.data": 547, "perf.data.true.v1": 0,
    "fork_static_gcc__perf.data.zstd.zlib.raw": 106,
    "parallel_static_gcc__perf.data.zstd.zlib.raw": 242,
    "vector_static_gcc__perf.data.zstd.zlib.raw": 34,
}
# Not whole, but with samples: the last one has perf's messages behind its records
DAMAGED = {"corrupted.zero_size_sample": 0, "sleep.compressed2.pipe.data": 7}


def manifest():
    path = CORPUS / "MANIFEST.tsv"
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def wanted_samples(line):
    for name, samples in SAMPLES.items():
        if line["file"].endswith(name):
            return samples
    return int(line["samples"])


def is_damaged(line):
    return "__corpus__" in line["file"] or any(name in line["file"] for name in DAMAGED)


LINES = manifest()
WHOLE = [line for line in LINES if not is_damaged(line)]
BROKEN = [line for line in LINES if is_damaged(line)]
ABSENT = pytest.mark.skipif(not LINES, reason=f"no {CORPUS / 'MANIFEST.tsv'}: CORPUS=DIR names "
                            "the folder of perf.data files")
pytestmark = ABSENT


def ids(lines):
    return [line["file"].split("__", 2)[-1] for line in lines]


def dump(build, path):
    """Counts that pddump prints, and lists of its events and build-ids."""
    out = run.run([build / "tests" / "tools" / "pddump", path]).out
    counts, lists = collections.Counter(), collections.defaultdict(list)
    for line in out.splitlines():
        key, value = line.split(" ", 1)
        if re.fullmatch(r"-?\d+", value):
            counts[key] = int(value)
        else:
            lists[key].append(value)
    return counts, lists


@pytest.mark.parametrize("line", WHOLE, ids=ids(WHOLE))
def test_read(build, line):
    counts, lists = dump(build, CORPUS / line["file"])
    assert counts["end"] == 0, lists["error"]
    assert counts["SAMPLE"] == wanted_samples(line)
    assert (counts["malformed"], counts["unknown-event"]) == (0, 0)
    if "COMPRESSED" not in line["special"] and "failed" not in line["special"]:
        assert counts["records"] == int(line["records"])


@pytest.mark.parametrize("line", WHOLE, ids=ids(WHOLE))
def test_convert(build, tool, line, tmp_path):
    """The weights of the stacks add up to the samples of an event."""
    result = run.run([tool("pa2folded"), CORPUS / line["file"]], env={
        "XDG_CACHE_HOME": str(tmp_path)}).ok()
    weight = sum(int(stack.rsplit(" ", 1)[1]) for stack in result.out.splitlines())
    _, lists = dump(build, CORPUS / line["file"])
    assert weight in [int(event.rsplit("samples=", 1)[1]) for event in lists["event"]]


@pytest.mark.parametrize("line", WHOLE, ids=ids(WHOLE))
def test_recover(build, agent, line, tmp_path):
    """Of a whole file nothing is dropped, and perf reads what comes out."""
    perf = needs.perf()
    path = tmp_path / "out"
    run.run([agent, "recover", "-o", path, CORPUS / line["file"]]).ok()
    before, _ = dump(build, CORPUS / line["file"])
    after, _ = dump(build, path)
    for key in "SAMPLE", "frames", "branches", "period", "ips", "MMAP", "MMAP2", "COMM", "FORK":
        assert after[key] == before[key], key
    stats = run.run([perf, "report", "--stats", "-i", path]).ok().out
    counted = [int(n) for n in re.findall(r"SAMPLE events: +(\d+)", stats)]
    assert counted[:1] == ([before["SAMPLE"]] if before["SAMPLE"] else [])


@pytest.mark.parametrize("line", BROKEN, ids=ids(BROKEN))
def test_damaged(build, agent, tool, line, tmp_path):
    """A part of it and status 3, or one line that says where and status 1."""
    path, out = CORPUS / line["file"], tmp_path / "out"
    result = run.run([tool("pa2folded"), path], timeout=20)
    assert result.status in (1, 3), result
    if result.status == 1:
        assert len(result.err.splitlines()) == 1, result
        assert re.search(r"offset \d+|not perf.data", result.err), result
    result = run.run([agent, "recover", "-o", out, path], timeout=20)
    assert result.status in (1, 3), result
    assert out.exists() == (result.status == 3)
    for name, samples in DAMAGED.items():
        if name in line["file"]:
            assert dump(build, path)[0]["SAMPLE"] == samples
    if "zero_size_sample" in line["file"]:
        assert dump(build, out)[0]["SAMPLE"] == 227  # all but the damaged one


def golden(suffix):
    """(golden file, its perf.data) for each of the other parser's results."""
    for line in LINES:
        path = pathlib.Path(line["file"])
        name = path.name.rsplit("testdata__", 1)[-1]
        found = CORPUS / path.parent / "golden" / (name + suffix)
        if found.exists():
            yield pytest.param(found, CORPUS / path, id=name)


@pytest.mark.parametrize("text, path", golden(".pb_text.gz"))
def test_other_parsers_dump(build, text, path):
    """google/perf_data_converter's: counts of records, sums over the samples."""
    with gzip.open(text, "rt") as file:
        dumped = file.read()
    counts, _ = dump(build, path)
    for key, theirs in ("SAMPLE", "sample"), ("COMM", "comm"), ("FORK", "fork"), \
            ("EXIT", "exit"), ("AUX", "aux"):
        assert counts[key] == dumped.count(f"\n  {theirs}_event {{"), key
    # It makes one of mappings that huge pages had split
    assert 0 <= counts["MMAP"] + counts["MMAP2"] - dumped.count("\n  mmap_event {") <= 6
    assert counts["branches"] == dumped.count("\n    branch_stack {")
    samples = re.findall(r"\n  sample_event \{\n(.*?)\n  \}", dumped, re.S)
    ips = sum(int(n) for s in samples for n in re.findall(r"^    ip: (\d+)", s, re.M))
    assert counts["ips"] == ips % 2**64
    periods = [int(n) for s in samples for n in re.findall(r"^    period: (\d+)", s, re.M)]
    if len(periods) == len(samples):
        assert counts["period"] == sum(periods)


@pytest.mark.parametrize("text, path", golden(".buildids"))
def test_other_parsers_build_ids(build, text, path):
    _, lists = dump(build, path)
    # Lines without an id are files that it only knows by name
    theirs = {line for line in text.read_text().splitlines() if line[0] != " "}
    ours = {line for line in lists["build-id"] if not line.endswith(" [vdso]")}
    assert ours == {line for line in theirs if not line.endswith(" [vdso]")}


def stack_lists():
    for line in LINES:
        path = pathlib.Path(line["file"])
        name = path.name.removeprefix("tests__auto__perfdata__").removesuffix(".zlib.raw")
        for suffix in ".expected.txt", ".expected.txt.gz":
            found = CORPUS / path.parent / "golden" / (name + suffix)
            if found.exists():
                yield pytest.param(found, CORPUS / path, id=name)


@pytest.mark.parametrize("text, path", stack_lists())
def test_other_readers_stacks(build, text, path):
    """KDAB/perfparser's: a line for each sample with its thread, indented ones for its frames."""
    opener = gzip.open if text.suffix == ".gz" else open
    with opener(text, "rt", errors="replace") as file:
        samples = sum(1 for line in file if line.strip() and not line[0].isspace())
    assert dump(build, path)[0]["SAMPLE"] == samples
