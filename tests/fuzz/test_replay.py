# SPDX-License-Identifier: GPL-2.0-only
"""The fuzz targets over their seeds (corpus/NAME) and over what was found (malformed/NAME)."""
import pathlib

import pytest

from harness import run

HERE = pathlib.Path(__file__).resolve().parent
MALFORMED = HERE.parent / "malformed"
TARGETS = sorted(p.stem for p in HERE.glob("*.c") if p.stem != "replay")


def inputs(target):
    return sorted(p for d in (HERE / "corpus", MALFORMED) for p in (d / target).glob("*"))


@pytest.mark.parametrize("target", TARGETS)
def test_replay(target, build):
    program = build / "tests" / "fuzz" / target
    assert program.exists(), f"{program} is not built: run make tests-build"
    files = inputs(target)
    assert any(HERE in f.parents for f in files), f"no seeds in corpus/{target}"
    result = run.run([program, *files], timeout=300)
    assert result.status == 0, f"failed on {result.out.splitlines()[-1:]}\n{result.err}"
    assert result.out.split("\n")[:-1] == [str(f) for f in files]


def test_nothing_without_a_target():
    """A case that no program runs would be forgotten."""
    kept = {d.name for top in (HERE / "corpus", MALFORMED) for d in top.glob("*") if d.is_dir()}
    assert kept <= set(TARGETS)
