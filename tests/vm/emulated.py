# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin for guests: tells failures for slowness from others, stores the results in the
file PA_RESULTS, and runs only the tests that failed in an earlier such file, PA_FAILED_IN."""
import json
import os

import pytest

from harness import needs

LATE = "a program of some seconds ends before perf-agent is ready"
RARE = "an emulated CPU gives fewer samples in that time"
START = "most samples are of the program's start, in the dynamic linker"
INLINED = "more samples in inlined functions, which pa2pprof shows and a live profile does not"
WAITS = "waits take longer than the program asks for"
LUMPS = "a reader that comes late writes more at once than the disk takes"
APART = "perf, the kernel and we take the time of one event microseconds apart"
SLOW = "another tool takes longer than the test waits"
TABLES = "unwind tables come later than the test has time for"
LONG = "a capture under strace lasts longer, and has more samples"
LOSSES = "the reader comes late, and the ring has no room meanwhile"
END = "the capture ends later than was asked for"
HOG = "the capture starts later than who has the CPU before all others ends"
WRONG = "Failed: "  # as pytest reports pytest.fail: no second run excuses it
# Where they fail, it is for the slowness of emulation as a rule. They run all the same, and what is
# wrong there, rather than missing, fails (pytest.fail).
TOO_SLOW = {
    "test_capture.py": {
        "test_shares": START, "test_shares_as_far_from_perf_as_perf_from_itself": START,
        "test_profile_of_the_capture_and_of_its_file_are_the_same": INLINED,
        "test_nothing_is_lost_when_all_cpus_are_busy": RARE, "test_one_cpu": RARE,
        "test_events": RARE},
    "test_cli.py": {"test_duration_shorter_than_the_command": END,
                    "test_signals_end_the_capture_early": LATE},
    "test_consumers.py": {"test_perf": START, "test_go_pprof": START,
                          "test_go_pprof_difference": RARE},
    "test_enrolment.py": {
        "test_command_is_followed_and_nobody_else": START, "test_deleted_binary": START,
        "test_dlopen": LATE, "test_exec": RARE, "test_exit_during_capture": LATE,
        "test_jit_named_after_its_map_is_gone": START, "test_memfd": START,
        "test_ids_used_again": LATE, "test_path_with_spaces": START, "test_short_lives": RARE,
        "test_whole_system": LOSSES},
    "test_failures.py": {"test_killed": SLOW, "test_full_disk": LUMPS},
    "test_jitdump.py": {"test_captured_with_its_dump_gone": RARE},
    "test_limits.py": {"test_only_active_processes_are_looked_at": LONG},
    "test_offcpu.py": {"test_timehist": WAITS, "test_in_a_pid_namespace": WAITS,
                       "test_without_tracefs": WAITS, "test_among_others": WAITS},
    "test_offcpu_capture.py": {
        "test_preempted": WAITS, "test_preempted_all_the_time": HOG, "test_probability": RARE,
        "test_rate": RARE, "test_shorter_waits_do_not_count": RARE,
        "test_stopped_by_a_signal": WAITS,
        "test_what_a_program_waits_for": WAITS},
    "test_pmu.py": {"test_slices_and_waits_as_perf_records_them": APART,
                    "test_the_kernel_counts_the_same": APART,
                    "test_events_are_counted_for_who_runs": APART, "test_threads_that_exit": APART},
    "test_unwind.py": {"test_hard_stacks": RARE, "test_short_copies_are_said": RARE,
                       "test_stream": RARE},
    "test_unwind_bpf.py": {"test_openssl": RARE, "test_workload": RARE, "test_traps": RARE,
                           "test_built_by_clang": RARE, "test_directory": RARE},
    "test_unwind_lifecycle.py": {
        "test_many_mappings": TABLES, "test_modes": TABLES, "test_odd_images": TABLES,
        "test_one_place_in_turns": TABLES, "test_short_lives": TABLES,
        "test_whole_system_at_work": TABLES},
    "test_workloads.py": {
        "test_depth22_windows_and_frames": START, "test_fixedgraph_shares": START,
        "test_runs_and_burns": RARE},
}


ARM64 = {
    "test_enrolment.py": {
        "test_command_is_named_while_it_execs": "emulation: samples take longer than 20 us",
        "test_same_id_twice_in_this_namespace": f"emulation: {LOSSES}"},
    "test_capture.py": {
        "test_kernel_part_and_user_part": "emulation: most of its second is its start"},
    "test_pmu.py": {
        "test_per_process": f"emulation: {LATE}", "test_pipe": f"emulation: {RARE}",
        "test_sleeping": "emulation: the start of the program is much of its time"},
    "test_unwind.py": {
        "test_fixed_graph": "perf record --call-graph dwarf can't sample on this CPU"}}
# What takes many minutes there, and then fails
NOT_RUN = {
    "test_pmu.py": {"test_more_children_than_the_filter_has_room_for": "17,000 processes"}}
NO_KERNEL_NAMES = {"test_consumers.py": {"test_hotspot": "hotspot reports hidden kernel symbols"}}


def known():
    """What fails here for a known reason: {file: {test: why}}."""
    found = {file: {test: f"emulation: {why}" for test, why in tests.items()}
             for file, tests in TOO_SLOW.items()}
    for holds, more in ((os.uname().machine == "aarch64", ARM64),
                        (not needs.kernel_names(), NO_KERNEL_NAMES)):
        for file, tests in more.items() if holds else ():
            found.setdefault(file, {}).update(tests)
    return found


def pytest_collection_modifyitems(config, items):
    if os.environ.get("PA_FAILED_IN"):
        with open(os.environ["PA_FAILED_IN"], encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        only = {line["test"] for line in lines
                if line["outcome"] == "failed" and not line["why"].startswith(WRONG)}
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in only])
        items[:] = [i for i in items if i.nodeid in only]
    reasons = known()
    for item in items:
        name = item.name.split("[")[0]
        why = reasons.get(item.path.name, {}).get(name)
        if name in NOT_RUN.get(item.path.name, {}) and os.uname().machine == "aarch64":
            item.add_marker(pytest.mark.skip(reason=NOT_RUN[item.path.name][name]))
        if why:
            item.add_marker(pytest.mark.xfail(reason=why, raises=AssertionError))


def reason(report):
    """Why, in one line."""
    if hasattr(report, "wasxfail"):
        return report.wasxfail.removeprefix("reason: ")
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)


def pytest_runtest_logreport(report):
    """A line for each result, written at once: the guest may not live to the end."""
    if report.when != "call" and report.passed:
        return
    line = {"test": report.nodeid, "outcome": report.outcome,
            "why": "" if report.passed else reason(report).strip().split("\n")[0]}
    with open(os.environ["PA_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
