# SPDX-License-Identifier: GPL-2.0-only
"""The examples of docs/examples: build, capture, convert, rebuild, compare, with the toolchains that
are installed."""
import os
import re

import pytest

from harness import needs, run


@pytest.fixture
def example(agent, top, tmp_path):
    """example(name, variable=value...): run it shortly, run.Result and the folder of what it made."""
    def call(name, seconds=2, **env):
        env = {"AGENT": str(agent), "OUT": str(tmp_path), "DURATION": f"{seconds}s", "ITER": "2",
               "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", **env}
        script = top / "docs" / "examples" / name / "run.sh"
        return run.Process([script], cwd=tmp_path, env=env).wait(120).ok(), tmp_path
    return call


def is_converted(said, profile):
    """Most samples were at known lines, and a gain is told."""
    assert profile.stat().st_size > 100
    known = float(re.search(r"([\d.]+)% of these are in \d+ known functions", said.err)[1])
    assert known > 90, said
    assert re.search(r"before [\d.]+ s, after [\d.]+ s: [-+][\d.]+ %", said.out), said


def test_cpp(example):
    needs.command("clang++", "clang-14")
    said, out = example("cpp-pgo")
    is_converted(said, out / "train.prof")
    assert "warning" not in said.err
    assert (out / "after").read_bytes() != (out / "before").read_bytes()


def test_rust(example):
    needs.command("rustc")
    said, out = example("rust-pgo")
    is_converted(said, out / "train.prof")
    assert (out / "after").read_bytes() != (out / "before").read_bytes()


@pytest.mark.full
def test_go(example):
    """The compiler finds in the agent's profile which method is called. It builds all of Go's library
    anew: slow."""
    needs.go_at_least(1, 22)
    said, _ = example("go-pgo", RATE="499")
    assert "PGO devirtualizing interface call v.visit to (*hashes).visit" in said.out
    assert re.search(r"before [\d.]+ s, after [\d.]+ s", said.out)
