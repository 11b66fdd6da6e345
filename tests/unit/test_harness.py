# SPDX-License-Identifier: GPL-2.0-only
"""The test harness itself: parsers of other tools' output, ending of programs, golden cases."""
import os

import pytest

from harness import readers, run

SCRIPT = """\
my prog (x)   12/34    [001]  5.000000001:   10101010 cpu-clock:u: 
\tffffffff81000010 do_it+0x10 ([kernel.kallsyms])
\t    55d0c0de1234 std::map<int, int>::find(int)+0x4 (/tmp/a b/prog)
\t               0 [unknown] ([unknown])

swapper     0/0     [000]     6.000000000:          1 sched:sched_switch: 
\tffffffff81000020 idle (inlined) ([kernel.kallsyms])
"""

RAW = """\
PeriodType: cpu nanoseconds
Period: 10101010
Comment: env=prod
Samples:
samples/count cpu/nanoseconds[dflt]
          3   30303030: 1 2 
                comm:[a]
                pid:[12]
          1   10101010: 2 
Locations
     1: 0x1234 M=1 leaf /src/a.c:10:0 s=8
             inlined_into /src/a.c:20:0 s=18
     2: 0x2345 M=1 main :0:0 s=0
Mappings
1: 0x1000/0x2000/0x0 /bin/a abc [FN]
"""


def test_perf_script_text():
    first, second = readers.parse_perf_script(SCRIPT)
    assert (first.comm, first.pid, first.tid, first.cpu) == ("my prog (x)", 12, 34, 1)
    assert first.time_ns == 5000000001
    assert (first.period, first.event) == (10101010, "cpu-clock:u")
    assert first.frames == ["do_it", "std::map<int, int>::find(int)", "[unknown]"]
    assert first.dsos[1] == "/tmp/a b/prog" and first.ips[1] == 0x55d0c0de1234
    assert (second.event, second.frames) == ("sched:sched_switch", ["idle"])


def test_folded_text():
    stacks = readers.folded("a;b c;d 3\na;b 1\na;b 1\n")
    assert stacks == {("a", "b c", "d"): 3, ("a", "b"): 2}
    assert readers.share(stacks, "d", of="a") == pytest.approx(0.6)


def test_pprof_raw_text():
    profile = readers.parse_pprof_raw(RAW)
    assert profile.types == ["samples/count", "cpu/nanoseconds[dflt]"]
    assert profile.samples == [([3, 30303030], [1, 2], {"comm": ["a"], "pid": ["12"]}),
                               ([1, 10101010], [2], {})]
    assert profile.frames(profile.samples[0]) == ["leaf", "inlined_into", "main"]
    assert profile.locations[1] == (0x1234, 1, [("leaf", "/src/a.c", 10),
                                                ("inlined_into", "/src/a.c", 20)])
    assert profile.comments == ["env=prod"] and "/bin/a" in profile.mappings[1]


def test_a_program_that_hangs_is_ended_with_its_children(spawn):
    process = spawn(["sh", "-c", "sleep 1000 & echo up; wait"])
    process.wait_for("up")
    child, = run.children(process.pid)
    with pytest.raises(AssertionError, match="still running"):
        process.wait(timeout=0.1)
    run.wait_until(lambda: not os.path.exists(f"/proc/{child}") or
                   "Z" in open(f"/proc/{child}/stat").read().split()[2])
    assert not process.running()


def test_run_reports_status_output_and_input():
    result = run.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin_bytes=b"in")
    assert (result.status, result.out, result.err) == (3, "in", "oops\n")
    with pytest.raises(AssertionError, match="status 3"):
        result.ok()
