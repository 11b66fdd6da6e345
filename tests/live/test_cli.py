# SPDX-License-Identifier: GPL-2.0-only
"""The command line: wrong usage, statuses, names of outputs, standard output, who may run it."""
import os
import re
import shutil
import signal
import time

import pytest

from conftest import collecting
from harness import needs, readers, run

P = ["--profile"]
A = ["--profile", "-a"]
WRONG = [
    (P, "is required"),
    (["-a"], "--profile"),
    ([], "is required"),
    ([*A, "--pid", "1"], "mutually exclusive"),
    (["-a", "--perf-data-output", "x"], "--perf-data-output is only valid with --profile"),
    (["-a", "--profile-output", "x"], "--profile-output is only valid with --profile"),
    ([*A, "--nonsense"], "nonsense"),
    ([*A, "--profile=maybe"], "--profile"),
    ([*A, "--kernel-stacks=2"], "--kernel-stacks"),
    ([*A, "--profile-output", "-", "--perf-data-output", "-"], "--profile-output"),
    ([*A, "--profile-output", "x", "--perf-data-output", "x"], "--profile-output"),
    ([*A, "--period", "10"], "--period"),
    ([*A, "--period", "10", "--event", "cpu-clock", "--sample-rate", "9"], "mutually exclusive"),
    ([*A, "--event", "nonesuch"], "--event nonesuch"),
    ([*A, "--event", ""], "--event"),
    ([*A, "--event", "cycles:x"], "--event cycles:x"),
    ([*A, "--tag", "novalue"], "--tag novalue: tag must be in key=value format"),
    ([*A, "--tag", "=value"], "--tag"),
    ([*A, "--ring-size", "3"], "--ring-size"),
    ([*A, "--ring-size", "100"], "--ring-size"),
    (["--pmu"], "is required"),
    (["--pmu", "--pid", "1", "--per-pid"], "--per-pid requires -a/--all"),
    ([*A, "--per-pid"], "--per-pid is only valid with --pmu"),
    (["--pmu", "-a", "--top", "3"], "--top is only valid with --per-pid"),
    ([*A, "--pmu-output", "x"], "--pmu-output is only valid with --pmu"),
    ([*A, "--pmu-format", "json"], "--pmu-format is only valid with --pmu"),
    (["--pmu", "-a", "--pmu-format", "xml"], "--pmu-format xml: not text or json"),
    (["--pmu", "-a", "--per-pid", "--top", "0"], "--top"),
    (["--pmu", "-a", "--perf-data-output", "x"], "only valid with --profile"),
    ([*A, "--pmu", "--pmu-output", "x", "--profile-output", "x"], "name the same file"),
]
WRONG += [(["-a", "--pmu", *option], "only valid with --profile") for option in (
    ("--sample-rate", "9"), ("--event", "cycles"), ("--unwind", "fp"), ("--tag", "a=b"))]
# the report of --pmu goes to standard output when nothing else is said
WRONG += [(["-a", kind, "--pmu", option, "-"], f"{option} and --pmu-output can't both be -")
          for kind, option in (("--profile", "--profile-output"),
                               ("--profile", "--perf-data-output"),
                               ("--offcpu", "--offcpu-output"),
                               ("--offcpu", "--offcpu-perf-data-output"))]
WRONG += [([*A, option], option) for option in (
    "--pid", "--duration", "--sample-rate", "--period", "--event", "--cpu", "--ring-size",
    "--profile-output", "--perf-data-output", "--tag")]
WRONG += [([*A, option, value], option) for option in ("--sample-rate", "--period", "--ring-size")
          for value in ("0", "-1", "x", "", "1x", "1.5", "99999999999999999999", "0x10")]
WRONG += [([*A, "--duration", value], "--duration") for value in
          ("0", "-1", "0s", "x", "", "10x", "1e3", "s", "0x10s", "99999999999999h")]
WRONG += [([*P, "--pid", value], "--pid") for value in
          ("0", "-1", "x", "", "1,", ",1", "1,,2", "4294967297", "1 2", "1-3")]
WRONG += [([*A, "--cpu", value], "--cpu") for value in ("x", "", "1-", "-1", "3-1", "0,", "99999")]


@pytest.mark.parametrize("options, said", WRONG, ids=lambda v: " ".join(v)[:60]
                         if isinstance(v, list) else None)
def test_wrong_usage(agent, tmp_path, options, said):
    result = run.run([agent, "--duration", "100ms", *options], cwd=tmp_path)
    assert result.status == 2, str(result)
    assert said in result.err and result.out == ""
    assert len(result.err.splitlines()) <= 3
    assert os.listdir(tmp_path) == []


def test_help_and_version(agent):
    text = run.run([agent, "--help"]).ok().out
    for option in ("--profile", "--pid", "--all", "--duration", "--sample-rate", "--event",
                   "--period", "--cpu", "--kernel-stacks", "--ring-size", "--profile-output",
                   "--perf-data-output", "--tag", "--quiet", "--pmu", "--pmu-output",
                   "--pmu-format", "--per-pid", "--top"):
        assert option in text
    assert re.match(r"perf-agent \d+\.\d+\.\d+\n$", run.run([agent, "--version"]).ok().out)


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137),
                                            ("kill -TERM $$", 143)])
def test_status_of_the_command(profile, script, status):
    profile("--", "sh", "-c", script, status=status)


def test_command_keeps_its_input_and_output(agent, tmp_path):
    result = run.run([agent, "--profile", "-q", "--profile-output", tmp_path / "x.pb.gz", "--",
                      "sed", "s/a/b/", "--"], stdin_bytes=b"aa\n").ok()
    assert result.out == "ba\n"


def test_command_not_found(agent, tmp_path):
    for program in ("/nonexistent/program", "nonesuch-program", str(tmp_path)):
        result = run.run([agent, "--profile", "--", program], cwd=tmp_path)
        assert result.status == 1 and f"perf-agent: {program}: failed to execute: " in result.err
        assert os.listdir(tmp_path) == []


def test_duration_shorter_than_the_command(profile, workload):
    found = profile("--duration", "500ms", "--sample-rate", "999", "--", workload("fixedgraph"),
                    "--seconds", "20")
    assert found.result.seconds < 8
    capture = found.file.capture()
    assert capture.end_ns - capture.start_ns == pytest.approx(5e8, rel=0.3)
    assert not is_alive(found.script[0].pid)


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}/stat")


@pytest.mark.parametrize("number, word", [(signal.SIGINT, "interrupt"),
                                          (signal.SIGTERM, "terminated")])
def test_signals_end_the_capture_early(start, spawn, workload, number, word):
    program = spawn([workload("fixedgraph"), "--seconds", "600"])
    found = collecting(start("--pid", str(program.pid), "--duration", "20s", "--sample-rate",
                             "999"))
    time.sleep(0.5)
    found.process.signal(number)
    found.end(timeout=10)
    assert f"\nReceived signal: {word}\n" in found.result.out
    assert found.result.out.endswith("Exiting program.\n")
    samples = found.summary()[0]
    assert samples > 50
    assert len(found.script) == samples == sum(s[0][0] for s in found.raw.samples)
    assert program.running()


def test_what_is_printed(profile, workload):
    found = profile("--", workload("fixedgraph"), "--seconds", "0.2")
    assert re.fullmatch(r"Collecting data until \S+ ends \(Ctrl\+C to stop early\)\.\.\.\n"
                        r"Collection duration completed\n"
                        r"\d+ samples, 0 lost, \d+ distinct stacks, 1 processes\n"
                        r"\d+ user stacks, [\d.]+% complete \(.*\); .*\n"
                        r"Exiting program.\n", found.result.out)
    assert "system-wide" in profile("-a", "--duration", "100ms").result.err
    quiet = profile("-q", "-a", "--duration", "200ms").result
    assert quiet.out == "" and "info" not in quiet.err


def test_tags(profile, workload):
    found = profile("--tag", "service=web", "--tag", "x=a=b c", "--", workload("fixedgraph"),
                    "--seconds", "0.2")
    assert found.raw.comments[:2] == ["service=web", "x=a=b c"]
    assert found.file.blob(1) == b"service=web\0x=a=b c\0"
    again = found.data.with_suffix(".again")
    found.convert("pa2pprof", "-o", again)
    assert readers.pprof_raw(again).comments[:2] == ["service=web", "x=a=b c"]


def test_automatic_names(agent, spawn, workload, tmp_path):
    """COMM-YYYYMMDDHHMM-on-cpu.pb.gz; COMM is the process's choice and must not lead elsewhere."""
    out = tmp_path / "out"
    out.mkdir()
    evil = spawn(["perl", "-e", "$0='../e v;l/x'; open(F,'>/proc/self/comm'); print F '../e v;l/x';"
                  "close F; $|=1; print 'named'; sleep 20"]) if shutil.which("perl") else None
    if evil:
        evil.wait_for("named")
        run.run([agent, "--profile", "--pid", str(evil.pid), "--duration", "100ms"], cwd=out).ok()
        assert re.fullmatch(r"_\._e_v_l_x-\d{12}-on-cpu\.pb\.gz", os.listdir(out)[0])
        os.unlink(out / os.listdir(out)[0])
    run.run([agent, "--profile", "-a", "--duration", "100ms"], cwd=out).ok()
    assert re.fullmatch(r"\d{12}-on-cpu\.pb\.gz", os.listdir(out)[0])
    os.unlink(out / os.listdir(out)[0])
    run.run([agent, "--profile", "--", workload("fixedgraph"), "--seconds", "0.1"], cwd=out).ok()
    assert re.fullmatch(r"fixedgraph-\d{12}-on-cpu\.pb\.gz", os.listdir(out)[0])
    assert len(os.listdir(out)) == 1


def test_profile_to_standard_output(agent, workload, tmp_path):
    out = tmp_path / "out.pb.gz"
    with open(out, "wb") as file:
        result = run.run([agent, "--profile", "--profile-output", "-", "--sample-rate", "999",
                          "--duration", "300ms", "--", workload("fixedgraph")], stdout=file,
                         cwd=tmp_path).ok()
    assert "Collecting data" in result.err
    assert sum(s[0][0] for s in readers.pprof_raw(out).samples) > 50


def test_perf_data_to_standard_output(agent, tool, workload, tmp_path):
    """A stream in pipe layout, which perf reads as it comes."""
    stream = (f"'{agent}' --profile --profile-output x.pb.gz --perf-data-output - "
              f"--sample-rate 999 -- '{workload('fixedgraph')}' --seconds 0.5")
    result = run.run(["sh", "-c", f"{stream} 2>said | perf script -i - -F comm,ip,sym --no-inline"],
                     cwd=tmp_path).ok()
    assert result.err == ""
    assert "heavy" in result.out and result.out.count("fixedgraph") > 100
    samples = int(re.search(r"^(\d+) samples", (tmp_path / "said").read_text(), re.M)[1])
    assert result.out.count("\n\n") == samples
    result = run.run(["sh", "-c", f"{stream} 2>said | '{tool('pa2folded')}' -"],
                     cwd=tmp_path).ok()
    folded = readers.folded(result.out)
    assert readers.share(folded, "heavy", of="work") == pytest.approx(0.6, abs=0.1)


def test_no_network(agent, workload, tmp_path):
    trace = tmp_path / "trace"
    run.run([needs.command("strace"), "-f", "-qq", "-e", "trace=network", "-o", trace, agent,
             "--profile", "-a", "--duration", "500ms", "--perf-data-output", "x", "--",
             workload("fixedgraph"), "--seconds", "1"], cwd=tmp_path).ok()
    assert [line for line in trace.read_text().splitlines() if "(" in line] == []


@pytest.fixture
def nobodys(agent, tmp_path_factory):
    """A folder of nobody's, outside root's, with a copy of perf-agent."""
    folder = tmp_path_factory.mktemp("nobody")
    for part in (folder, *folder.parents):
        if str(part).startswith("/tmp/"):
            part.chmod(0o711)
    copy = folder / "perf-agent"
    shutil.copy(agent, copy)
    os.chown(folder, 65534, 65534)
    return folder


def as_nobody(*argv):
    return [*needs.locked_memory(), needs.command("setpriv"), "--reuid=65534", "--regid=65534",
            "--clear-groups", *argv]


def test_missing_privileges(nobodys):
    result = run.run(as_nobody(nobodys / "perf-agent", "--profile", "-a"), cwd=nobodys)
    assert result.status == 1 and result.out == ""
    assert len(result.err.splitlines()) == 1
    assert "setcap" in result.err and "cap_bpf" in result.err and "cap_perfmon" in result.err
    assert sorted(os.listdir(nobodys)) == ["perf-agent"]


CAPS = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_checkpoint_restore,cap_syslog,cap_dac_read_search"


@pytest.mark.parametrize("flags", ["+ep", "+p"])
def test_ordinary_user_with_file_capabilities(nobodys, workload, spawn, flags):
    run.run([needs.command("setcap", "libcap2-bin"), CAPS + flags, nobodys / "perf-agent"]).ok()
    program = spawn([workload("fixedgraph"), "--seconds", "600"])
    spawn([workload("syscaller"), "--seconds", "600"])
    out = nobodys / "out.pb.gz"
    result = run.run(as_nobody(nobodys / "perf-agent", "--profile", "-a", "--duration", "1s",
                               "--sample-rate", "999", "--profile-output", out), cwd=nobodys,
                     env={"HOME": str(nobodys)})
    if "file capabilities" in result.err or "Operation not permitted" in result.err \
            and os.statvfs(nobodys).f_flag & os.ST_NOSUID:
        pytest.skip("/tmp is mounted nosuid")
    result.ok()
    assert "missing" not in result.err
    raw = readers.pprof_raw(out)
    mine = [s for s in raw.samples if s[2].get("pid") == [f"[{program.pid}]".strip("[]")]]
    weight = sum(s[0][0] for s in mine)
    assert weight > 200
    assert sum(s[0][0] for s in mine if "heavy" in raw.frames(s)) > 0.4 * weight
    names = {name for s in raw.samples for name in raw.frames(s)}
    assert any("sysvec" in name or "syscall" in name for name in names), "no kernel names"
