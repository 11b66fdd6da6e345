# SPDX-License-Identifier: GPL-2.0-only
"""Profiles for compilers and BOLT: counts of pa2autofdo against what is known to be true, against
create_llvm_prof and llvm-profgen, and what LLVM's tools say of them."""
import collections
import glob
import os
import pathlib
import re
import shutil
import subprocess
import types

import pytest

from harness import branches, needs, run
from harness.busy import retried

SOURCE = pathlib.Path(__file__).parent / "autofdo" / "shapes.cpp"
CLANG = "clang-14"
PROFILING = ["-O2", "-fno-rtti", "-Wl,--build-id"]
WORK, AREA = "_ZL4workPP5shapell", "_ZNK6square4areaEl"


def versions(name):
    """All versions of an LLVM tool that are installed: [path]."""
    found = sorted(glob.glob(f"/usr/bin/{name}-[0-9]*"))
    if not found:
        pytest.skip(f"{name} is missing: make deps-check (package llvm-14)")
    return found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """compiled(flag...): a branches.Program, made once for equal flags."""
    made = {}

    def make(*flags, compiler=CLANG):
        key = (compiler, *flags)
        if key not in made:
            path = tmp_path_factory.mktemp("program") / "shapes"
            own = ["-fdebug-info-for-profiling"] if compiler == CLANG else []
            subprocess.run([needs.command(compiler), *PROFILING, *own, *flags, SOURCE, "-o", path], check=True, timeout=60, cwd=path.parent)
            made[key] = branches.Program(path)
        return made[key]
    return make


@pytest.fixture(scope="module")
def stepped(compiled, tmp_path_factory):
    """stepped(flag...): the branches.Steps of a program."""
    made = {}

    def make(*flags, **options):
        program = compiled(*flags, **options)
        if program.path not in made:
            made[program.path] = branches.Steps(program, ["300"], tmp_path_factory.mktemp("steps"))
        return made[program.path]
    return make


@pytest.fixture
def convert(tool, tmp_path):
    """convert(perf_data, argument...): path of what was written, and what was said (run.Result)."""
    def call(data, *args, name="out"):
        out = tmp_path / name
        found = run.Process([tool("pa2autofdo"), data, "-o", out, *args], cwd=tmp_path).wait(60)
        return out, found
    return call


class Profile:
    """LLVM's sample profile as text: {function: (total, head)}, and counts by
    (function, call site..., line); call sites without the names, which create_llvm_prof damages."""

    def __init__(self, path):
        self.functions, self.lines, self.calls, stack = {}, {}, {}, []
        for line in path.read_bytes().decode("latin-1").split("\n"):
            depth = len(line) - len(line.lstrip(" "))
            top = re.fullmatch(r"(\S+):(\d+):(\d+)", line)
            body = re.fullmatch(r" +([\d.]+): (\d+)((?: \S+:\d+)*)", line)
            call = re.fullmatch(r" +([\d.]+): (.*):(\d+)", line)
            if top:
                stack = [top[1]]
                self.functions[top[1]] = int(top[2]), int(top[3])
            elif body:
                self.lines[(*stack[:depth], body[1])] = int(body[2])
                for name, cnt in re.findall(r" (\S+):(\d+)", body[3]):
                    self.calls[(*stack[:depth], body[1], name)] = int(cnt)
            elif call:
                stack[depth:] = [call[1]]

    def known(self, functions=None):
        """The lines of the program; others' offsets are beyond it, where the line is unknown."""
        return {key: cnt for key, cnt in self.lines.items()
                if float(key[-1]) < 1000 and (not functions or key[0] in functions)}


def raw(path):
    """The three lists of create_llvm_prof's text."""
    lines = iter(path.read_text().splitlines())
    return [[tuple(int(x, 16) for x in re.split("->|-", line.split(":")[0])) +
             (int(line.split(":")[1]),) for line, _ in zip(lines, range(int(next(lines))))]
            for _ in range(3)]


def lists(path):
    lines, found = path.read_text().splitlines(), []
    while lines:
        cnt = int(lines.pop(0))
        found.append([re.split("->|-|:", line) for line in lines[:cnt]])
        del lines[:cnt]
    return [[tuple(int(x, 16) for x in entry[:-1]) + (int(entry[-1]),) for entry in part]
            for part in found]


# ---- counts are true -----------------------------------------------------------------------


@pytest.mark.parametrize("flags", [("-gdwarf-4",), ("-gdwarf-5", "-no-pie"),
                                   ("-gdwarf-4", "-fuse-ld=lld-14")], ids=" ".join)
def test_ranges_are_what_was_executed(stepped, convert, tmp_path, flags):
    """Every instruction of the program as often as it was, by the branches alone."""
    if "-fuse-ld=lld-14" in flags:
        needs.command("ld.lld-14", "lld-14")
    steps = stepped(*flags)
    data = branches.branch_data(tmp_path / "perf.data", steps)
    out, said = convert(data, "-b", steps.program.path, "-f", "autofdo")
    ranges, addresses, taken = lists(out)
    assert "counted by the branches" in said.ok().err
    base = 0x400000 if "-no-pie" in flags else 0
    true, found = steps.executed(), collections.Counter()
    for at in true:
        found[at] = sum(cnt for a, b, cnt in ranges if a <= at - base <= b)
    start, size = steps.program.functions()[WORK]
    for at in true:
        if start <= at < start + size:
            assert found[at] == true[at], hex(at)
    # all but what was executed before the first branch and behind the last
    assert sum(true.values()) - sum(found[at] for at in true) < 60
    assert sum(cnt for *_, cnt in addresses) > 10
    pairs = collections.Counter(steps.branches())
    for a, b, cnt in taken:
        assert pairs[a + base, b + base] <= cnt <= pairs[a + base, b + base] * 34 // 31 + 1


@pytest.mark.parametrize("compiler", [CLANG, "gcc"])
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_lines_are_what_was_executed(stepped, convert, tmp_path, dwarf, compiler):
    """The loop's body 300 times, what it never does 0 times, and what is inlined in it."""
    steps = stepped(dwarf, "-no-pie", compiler=compiler)
    data = branches.branch_data(tmp_path / "perf.data", steps, hw_index=True)
    out, said = convert(data, "-b", steps.program.path, "-f", "text")
    said.ok()
    p = Profile(out)
    assert p.lines[WORK, "5"] == 300 or p.lines[WORK, "5.1"] == 300
    assert p.functions[WORK][1] == 1
    assert p.functions[AREA][1] in range(200, 215)
    assert max(cnt for key, cnt in p.lines.items() if key[0] == AREA) == 200
    inlined = {key: cnt for key, cnt in p.lines.items() if key[:2] == (WORK, "9") or
               key[:2] == (WORK, "9.1")}
    assert inlined, "mix is inlined in work"
    never = {key: cnt for key, cnt in p.lines.items()
             if key[0] == WORK and re.match(r"7(\.|$)", key[1])}
    assert not any(never.values())


def test_parts_of_functions(stepped, convert, tmp_path):
    """A function is called by its name, and entered, where it begins only."""
    steps = stepped("-gdwarf-4", "-no-pie", "-fbasic-block-sections=all")
    data = branches.branch_data(tmp_path / "perf.data", steps)
    found = Profile(convert(data, "-b", steps.program.path, "-f", "text")[0]).functions
    assert b".__part." in steps.program.path.read_bytes()
    assert not any("__part" in name for name in found)
    assert found[WORK][1] == 1 and found["main"][1] == 1


def test_aliases(convert, tmp_path):
    """What compilers call a C function, whatever other names its code has."""
    source = tmp_path / "alias.c"
    source.write_text("int work(int x)\n{\n\treturn x * 3 ^ x;\n}\n"
                      "int Other(int) __attribute__((alias(\"work\")));\n"
                      "int main(int argc, char **argv)\n{\n\treturn Other(argc);\n}\n",
                      encoding="ascii")
    path = tmp_path / "alias"
    subprocess.run([needs.command(CLANG), "-O1", "-g", "-Wl,--build-id", source, "-o", path],
                   check=True, timeout=60)
    program = branches.Program(path)
    start, _ = program.functions()["Other"]
    assert program.functions()["work"][0] == start
    data = branches.plain_data(tmp_path / "perf.data", program, {start: 20})
    assert Profile(convert(data, "-f", "text")[0]).functions == {"work": (20, 20)}


def test_dwarf_versions_agree(compiled, convert, tmp_path):
    """The same code has the same profile, whatever its debug information's form."""
    texts = []
    for i, dwarf in enumerate(("-gdwarf-4", "-gdwarf-5", "-gdwarf-4 -gsplit-dwarf",
                               "-gdwarf-5 -gsplit-dwarf", "-gdwarf-5 -gz", "-gdwarf-4 -gmlt")):
        program = compiled(*dwarf.split(), "-no-pie")
        start, size = program.functions()[WORK]
        counts = {start + at: 1 + at % 5 for at in range(0, size, 3)}
        data = branches.plain_data(tmp_path / f"{i}.data", program, counts)
        out, said = convert(data, "-b", program.path, "-f", "text", name=f"{i}.txt")
        said.ok()
        texts.append((out.read_text(), Profile(out).lines))
    assert len(texts[0][1]) >= 9
    assert len({text for text, _ in texts[:-1]}) == 1
    assert texts[-1][1] == texts[0][1]  # which code has no line differs there


def beside(path, how):
    """Take the debug information out of a binary, to where it is found by the binary's name."""
    if how == "dwp":
        subprocess.run([needs.command("llvm-dwp-14", "llvm-14"), "-e", path, "-o", f"{path}.dwp"],
                       check=True, timeout=60, cwd=path.parent)
        for dwo in path.parent.glob("*.dwo"):
            dwo.unlink()
    elif how == "dwz":
        shutil.copy(path, path.parent / "twin")
        subprocess.run([needs.command("dwz"), "-m", "shared", path.name, "twin"], check=True,
                       timeout=60, cwd=path.parent)
        assert b"shared\0" in path.read_bytes()
    else:
        objcopy = needs.command("objcopy", "binutils")
        subprocess.run([objcopy, "--only-keep-debug", path, "kept"], check=True, cwd=path.parent)
        subprocess.run([objcopy, "--strip-all", "--add-gnu-debuglink=kept", path], check=True,
                       cwd=path.parent)


@pytest.mark.parametrize("how,flags", [
    ("dwp", "-gdwarf-4 -gsplit-dwarf"), ("dwp", "-gdwarf-5 -gsplit-dwarf"), ("dwz", "-gdwarf-4"),
    ("link", "-gdwarf-5"), ("link", "-gdwarf-5 -mllvm -enable-fs-discriminator=true")])
def test_debug_information_beside_the_binary(convert, tmp_path, how, flags):
    """Nothing is lost; also where the binary is kept elsewhere than it was recorded."""
    source = shutil.copy(SOURCE, tmp_path)
    path = tmp_path / "whole"
    for args in (["-c", source, "-o", "o"], ["-Wl,--build-id=sha1", "o", "-o", path]):
        subprocess.run([needs.command(CLANG), *PROFILING[:2], "-fdebug-info-for-profiling",
                        *flags.split(), *args], check=True, timeout=60, cwd=tmp_path,
                       stderr=subprocess.DEVNULL)
    program = branches.Program(path)
    counts = counts_of(program)
    kept = tmp_path / "kept-here"
    kept.mkdir()
    program.path = pathlib.Path("/srv/recorded/server")
    data = branches.plain_data(tmp_path / "perf.data", program, counts)
    whole, said = convert(data, "-b", path, "-f", "text", name="whole.txt")
    said.ok()
    for moved in tmp_path.glob("*.dwo"):
        shutil.copy(moved, kept)
        if how != "dwp":
            moved.unlink()
    path = pathlib.Path(shutil.copy(path, kept / "server"))
    if how == "dwp":
        beside(tmp_path / "whole", how)
        (tmp_path / "whole.dwp").rename(kept / "server.dwp")
        for dwo in kept.glob("*.dwo"):
            dwo.unlink()
    else:
        beside(path, how)
    again, said = convert(data, "-b", path, "-f", "text", name="again.txt")
    said.ok()
    assert again.read_text() == whole.read_text()
    if "fs-disc" in flags:
        assert "-profile-isfs" in said.err
        assert re.search(r" [\d.]+\.\d{3,}: ", whole.read_text())  # more than the base part


# ---- as others count -----------------------------------------------------------------------


def reference(data, program, tmp_path, *args):
    """What create_llvm_prof makes of it."""
    out = tmp_path / "reference.txt"
    run.Process([needs.create_llvm_prof(), f"--profile={data}", f"--binary={program.path}",
                 f"--out={out}", "--format=text", *args], cwd=tmp_path).wait(60).ok()
    return Profile(out)


@retried  # it loses names of inlined functions, now and then
def test_branches_as_create_llvm_prof(stepped, convert, tmp_path):
    steps = stepped("-gdwarf-4")
    data = branches.branch_data(tmp_path / "perf.data", steps)
    mine = Profile(convert(data, "-b", steps.program.path, "-f", "text")[0])
    theirs = reference(data, steps.program, tmp_path)
    assert WORK in theirs.functions
    assert mine.known(theirs.functions) == theirs.known()
    for name, (total, _) in theirs.functions.items():
        assert mine.functions[name][0] == total, name
    assert mine.functions[AREA] == theirs.functions[AREA]


@retried  # it loses names of inlined functions, now and then
def test_addresses_as_create_llvm_prof(compiled, convert, tmp_path):
    program = compiled("-gdwarf-4")
    counts = {}
    for name in (WORK, AREA, "main"):
        start, size = program.functions()[name]
        counts.update({start + at: 3 + at % 50 for at in range(0, size, 2)})
    data = branches.plain_data(tmp_path / "perf.data", program, counts)
    out, said = convert(data, "-b", program.path, "-f", "text")
    assert "no branches were recorded" in said.ok().err
    shares = re.findall(r": +([\d.]+)% (?!of )\S", said.err)
    assert len(shares) == 3 and 99 < sum(float(share) for share in shares) < 100.2
    mine, theirs = Profile(out), reference(data, program, tmp_path, "--use_lbr=false")
    assert mine.known() == theirs.known()
    assert {n: t for n, (t, _) in mine.functions.items()} == \
        {n: t for n, (t, _) in theirs.functions.items()}
    # and of the text that is for it
    text, _ = convert(data, "-b", program.path, "-f", "autofdo", name="afdo.txt")
    again = reference(text, program, tmp_path, "--use_lbr=false", "--profiler=text")
    assert again.known() == theirs.known()


@pytest.mark.parametrize("flag, words", [
    ("-gdwarf-4", "100.0% of these are in 1 known functions"),
    ("-g0", "100.0% of these are in functions of its symbol table")])
@pytest.mark.parametrize("form", ["autofdo", "bolt"])
def test_forms_of_addresses_are_reported_on(compiled, convert, tmp_path, flag, words, form):
    program = compiled(flag)
    start, size = program.functions()[WORK]
    data = branches.plain_data(tmp_path / "perf.data", program,
                               {start + at: 7 for at in range(0, size, 2)})
    said = convert(data, "-b", program.path, "-f", form)[1].ok()
    assert "100.0% of all samples; " in said.err and words in said.err


@pytest.mark.parametrize("flags", [("-gdwarf-4",), ("-gdwarf-4", "-no-pie", "-fuse-ld=lld-14",
                                                    "-Wl,--build-id=sha1")], ids=" ".join)
def test_as_llvm_profgen(stepped, convert, tmp_path, flags):
    """Lines and heads as it derives them from the perf.data itself, and from our form of it; also
    where code begins within a page."""
    if "-fuse-ld=lld-14" in flags:
        needs.command("ld.lld-14", "lld-14")
    steps = stepped(*flags)
    data = branches.branch_data(tmp_path / "perf.data", steps)
    mine = Profile(convert(data, "-b", steps.program.path, "-f", "text")[0])
    form, said = convert(data, "-b", steps.program.path, "-f", "unsymbolized", name="unsym")
    said.ok()
    needs.perf()
    for profgen in versions("llvm-profgen"):
        texts = []
        for how in (f"--perfdata={data}", f"--unsymbolized-profile={form}"):
            out = tmp_path / "profgen.txt"
            run.Process([profgen, how, f"--binary={steps.program.path}", f"--output={out}",
                         "--format=text"], cwd=tmp_path).wait(60).ok()
            texts.append(Profile(out))
        direct, ours = texts
        assert direct.lines == ours.lines
        called = collections.Counter()
        for key, cnt in direct.calls.items():
            called[key[:-1]] += cnt
        for key, cnt in direct.known().items():  # a call at least as often as what is called
            assert cnt in (mine.lines[key], called[key]), key
        if not profgen.endswith("-14"):  # which does not know calls from elsewhere
            assert direct.functions == ours.functions
            assert {n: h for n, (_, h) in direct.functions.items()} == \
                {n: h for n, (_, h) in mine.functions.items() if n in direct.functions}


def test_perf2bolt(stepped, convert, tmp_path):
    """What BOLT makes of the branches is what it makes of the perf.data itself; and it takes
    samples without branches."""
    needs.perf()
    found = sorted(glob.glob("/usr/lib/llvm-*/bin/llvm-bolt"))
    if not found:
        pytest.skip("llvm-bolt is missing: make deps-check (package bolt-16)")
    steps = stepped("-gdwarf-4")
    data = branches.branch_data(tmp_path / "perf.data", steps)
    form, said = convert(data, "-b", steps.program.path, "-f", "bolt")
    said.ok()
    plain, said = convert(data, "-b", steps.program.path, "-f", "bolt", "--plain", name="plain")
    said.ok()
    perf2bolt = tmp_path / "perf2bolt"  # it goes by its name
    for bolt in found:
        perf2bolt.unlink(missing_ok=True)
        perf2bolt.symlink_to(bolt)
        profiles = []
        for args in (["-p", data], ["-pa", "-p", form]):
            out = tmp_path / "fdata"
            run.Process([perf2bolt, *args, "-o", out, steps.program.path],
                        cwd=tmp_path).wait(60).ok()
            profiles.append({line.rsplit(" ", 2)[0]: int(line.rsplit(" ", 1)[1])
                             for line in out.read_text().splitlines()})
        assert profiles[0].keys() == profiles[1].keys()
        assert sum(abs(cnt - profiles[1][key]) for key, cnt in profiles[0].items()) <= \
            sum(profiles[0].values()) // 100
        said = run.Process([bolt, "-data", plain, "-o", tmp_path / "bolted", steps.program.path],
                           cwd=tmp_path).wait(60).ok()
        assert re.search(r"[3-9] out of \d+ functions .* have non-empty execution profile",
                         said.out + said.err)


# ---- LLVM takes them -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["branches", "plain"])
def test_llvm_profdata_reads_both_forms(stepped, convert, tmp_path, mode):
    steps = stepped("-gdwarf-4")
    data = branches.branch_data(tmp_path / "perf.data", steps)
    args = ["-b", steps.program.path] + ["--plain"] * (mode == "plain")
    text, _ = convert(data, *args, "-f", "text", name="text")
    ext, said = convert(data, *args, name="ext")
    said.ok()
    for profdata in versions("llvm-profdata"):
        shown = []
        for path in (text, ext):
            found = run.Process([profdata, "show", "--sample", path]).wait(60).ok()
            merged = tmp_path / "merged"
            run.Process([profdata, "merge", "--sample", "--text", path, "-o", merged]).wait(60).ok()
            shown.append((found.out, merged.read_text()))
        assert shown[0] == shown[1]
        lines = Profile(text)
        merged = tmp_path / "again"
        merged.write_text(shown[1][1])
        assert Profile(merged).lines == lines.lines
        assert Profile(merged).functions == lines.functions


@pytest.mark.parametrize("compiler", ["clang-14", "clang-19"])
def test_clang_applies_it(stepped, convert, tmp_path, compiler):
    clang = needs.command(compiler, compiler)
    steps = stepped("-gdwarf-5", "-no-pie")
    data = branches.branch_data(tmp_path / "perf.data", steps)
    profile, said = convert(data, "-b", steps.program.path)
    said.ok()
    said = run.Process([clang, "-c", "-O2", "-g", "-fdebug-info-for-profiling", "-Wall",
                        f"-fprofile-sample-use={profile}", SOURCE, "-o", tmp_path / "o",
                        "-Rpass-analysis=sample-profile"], cwd=tmp_path).wait(60).ok()
    assert "warning:" not in said.err
    assert "Applied 300 samples" in said.err


# ---- which samples and which binary ----------------------------------------------------------


def counts_of(program, cnt=10):
    start, size = program.functions()[WORK]
    return {start + at: cnt for at in range(0, size, 7)}


def total_of(out):
    return sum(total for total, _ in Profile(out).functions.values())


def test_only_time_on_the_cpu_counts(compiled, convert, tmp_path):
    program = compiled("-gdwarf-4")
    counts = counts_of(program)
    alone = branches.plain_data(tmp_path / "alone.data", program, counts)
    mixed = branches.plain_data(tmp_path / "mixed.data", program, counts,
                                others=[(2, 314), (1, 3)])
    first, _ = convert(alone, "-f", "text", name="a")
    second, said = convert(mixed, "-f", "text", name="b")
    assert "counted: " in said.ok().err
    assert total_of(first) == total_of(second) > 0
    assert first.read_text() == second.read_text()


def test_no_event_of_time(compiled, convert, tmp_path):
    """Page faults say nothing of time, unless they are asked for."""
    data = branches.plain_data(tmp_path / "perf.data", compiled("-gdwarf-4"),
                               counts_of(compiled("-gdwarf-4")), clock=2)
    out, said = convert(data)
    assert said.status == 1 and "none of its events" in said.err and not out.exists()
    out, said = convert(data, "--event", "page-faults", "-f", "text")
    assert said.status == 0 and total_of(out) > 0


def test_another_build_is_refused(compiled, convert, tmp_path):
    program, other = compiled("-gdwarf-4"), compiled("-gdwarf-4", "-DOTHER", "-O1")
    path = tmp_path / "shapes"
    shutil.copy(program.path, path)
    moved = branches.Program(path)
    data = branches.plain_data(tmp_path / "perf.data", moved, counts_of(moved))
    out, said = convert(data, "-b", path)
    said.ok()
    out.unlink()
    shutil.copy(other.path, path)
    for args in (["-b", path], [], ["-b", program.build_id.hex()], ["-b", other.path]):
        out, said = convert(data, *args)
        assert said.status == 1 and not out.exists()
        assert "refused" in said.err or "no sample is in a binary" in said.err
    # named where it is now
    out, said = convert(data, "-b", program.path)
    said.ok()
    assert out.exists()


def test_by_build_id(compiled, convert, tmp_path):
    program = compiled("-gdwarf-4")
    data = branches.plain_data(tmp_path / "perf.data", program, counts_of(program))
    by_path, _ = convert(data, "-b", program.path, "-f", "text", name="a")
    by_id, said = convert(data, "-b", program.build_id.hex()[:12], "-f", "text", name="b")
    assert said.status == 0 and by_path.read_text() == by_id.read_text()
    _, said = convert(data, "-b", "no-such-program")
    assert said.status == 1 and "no sample is in a binary" in said.err


def test_all_binaries(compiled, tool, tmp_path):
    """Each in a file of its own; what can't be read is left out and said."""
    program = compiled("-gdwarf-4")
    start, _ = program.functions()[WORK]
    data = branches.plain_data(tmp_path / "perf.data", program, {start: 20, 0: 5})
    found = run.Process([tool("pa2autofdo"), data, "--all", tmp_path / "out"]).wait(60)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["shapes.prof"]
    assert found.status == 3 and "elsewhere.so: not found" in found.err


def test_all_binaries_of_one_name(compiled, tool, tmp_path):
    """None is written over another."""
    captures = []
    for folder, flags in (("a", ["-gdwarf-4"]), ("b", ["-gdwarf-5", "-no-pie"])):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "same"
        shutil.copy(compiled(*flags).path, path)
        program = branches.Program(path)
        captures.append(branches.plain_data(tmp_path / f"{folder}.data", program,
                                            counts_of(program)))
    found = run.Process([tool("pa2autofdo"), "--merge", *captures, "--all",
                         tmp_path / "out"]).wait(60).ok()
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names[1] == "same.prof" and re.fullmatch(r"same-[0-9a-f]{40}\.prof", names[0]), found


def test_no_build_id(compiled, convert, tmp_path):
    """Nothing is refused that nothing is known of, and that is said."""
    program = branches.Program(compiled("-gdwarf-4").path)
    program.build_id = b""
    data = branches.plain_data(tmp_path / "perf.data", program, counts_of(program))
    _, said = convert(data, "-b", program.path)
    assert "recorded without a build-id" in said.ok().err and "refused" not in said.err


def test_damaged_ranges(compiled, convert, tmp_path):
    """Code does not run backwards: what says so is left out, and counted."""
    program = compiled("-gdwarf-4", "-no-pie")
    start, _ = program.functions()[WORK]
    pairs = [(start + a, start + b) for a, b in ((4, 8), (2, 12), (20, 30), (31, 40))]
    pairs.append((start + 40 + (1 << 21), start + 50))
    data = branches.branch_data(tmp_path / "perf.data", types.SimpleNamespace(
        program=program, branches=lambda: pairs))
    out, said = convert(data, "-f", "autofdo")
    assert "40.0% of the ranges between branches are damaged" in said.ok().err
    assert [(a - b, cnt) for b, a, cnt in lists(out)[0]] == [(8, 1), (1, 1)]


def test_ways_back_from_the_kernel(compiled, convert, tmp_path):
    """Recorded in user mode, a system call is seen by its end alone: nothing is damaged."""
    program = compiled("-gdwarf-4", "-no-pie")
    start, _ = program.functions()[WORK]
    pairs = [(start + 12, start + 4), (0xffffffff81000000, start + 20), (start + 30, start + 2)]
    data = branches.branch_data(tmp_path / "perf.data", types.SimpleNamespace(
        program=program, branches=lambda: pairs))
    out, said = convert(data, "-f", "autofdo")
    assert "damaged" not in said.ok().err
    assert [(a - b, cnt) for b, a, cnt in lists(out)[0]] == [(10, 1)]


def test_merge_adds_by_build_id(compiled, convert, tool, tmp_path):
    """The same binary of two hosts, where it has another path."""
    program = compiled("-gdwarf-4")
    data = branches.plain_data(tmp_path / "a.data", program, counts_of(program, 10))
    moved = branches.Program(program.path)
    moved.path = pathlib.Path("/srv/other/shapes")
    other = branches.plain_data(tmp_path / "b.data", moved, counts_of(program, 30))
    alone, _ = convert(data, "-f", "text", name="alone")
    both, said = convert(data, other, "--merge", "-b", program.path, "-f", "text", name="both")
    said.ok()
    assert {k: 4 * v for k, v in Profile(alone).lines.items()} == Profile(both).lines
    assert total_of(both) == 4 * total_of(alone)
    moved.build_id = b""
    nameless = branches.plain_data(tmp_path / "c.data", moved, counts_of(program, 30))
    again, said = convert(data, nameless, "--merge", "-b", program.path, "-f", "text", name="again")
    assert said.status == 3 and "without a build-id" in said.err
    assert again.read_text() == alone.read_text()
    found = run.Process([tool("pa2autofdo"), data, other]).wait(60)
    assert found.status == 2 and "--merge" in found.err


# ---- what can't be -------------------------------------------------------------------------------


def test_unsymbolized_needs_branches(compiled, convert, tmp_path):
    program = compiled("-gdwarf-4")
    data = branches.plain_data(tmp_path / "perf.data", program, counts_of(program))
    out, said = convert(data, "-f", "unsymbolized")
    assert said.status == 1 and "from branches only" in said.err and not out.exists()
    out, said = convert(data, "-f", "bolt")
    assert said.status == 0 and out.read_text().startswith("no_lbr ")


@pytest.mark.parametrize("how", ["none", "lines only"])
def test_debug_information_is_missing(compiled, convert, tmp_path, how):
    program = compiled("-g0") if how == "none" else compiled(
        "-gmlt", "-fno-debug-info-for-profiling")
    data = branches.plain_data(tmp_path / "perf.data", program, counts_of(program))
    out, said = convert(data)
    assert said.status == 1 and "-fdebug-info-for-profiling" in said.err and not out.exists()


@pytest.mark.parametrize("args", [["--off-cpu"], ["--no-symbols"], ["--label-field", "x"],
                                  ["--weight-field", "x"], ["-f", "gcov"], ["--all", "d"],
                                  ["--all", "d", "-b", "x"]], ids=" ".join)
def test_usage(tool, tmp_path, args):
    out = ["-o", "x"] if args == ["--all", "d"] else []
    assert run.Process([tool("pa2autofdo"), *args, *out], cwd=tmp_path).wait(60).status == 2


def test_damaged_binaries(compiled, convert, tmp_path):
    """Bytes of the ELF file and its DWARF that are not what they should be cost the profile, at
    most."""
    program = compiled("-gdwarf-5", "-no-pie")
    whole = program.path.read_bytes()
    path = tmp_path / "shapes"
    state = 12345
    for i in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + i % 40):
            state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
            at = 64 + (state >> 20) % (len(whole) - 64)
            damaged[at] = state >> 56
        path.write_bytes(damaged if i % 3 else whole[:len(whole) * i // 60])
        f = branches.Program(program.path)
        f.path = path
        f.build_id = b""
        data = branches.plain_data(tmp_path / "perf.data", f, counts_of(program, 1))
        for form in ("text", "bolt"):
            _, said = convert(data, "-b", path, "-f", form)
            assert said.status in (0, 1), str(said)
