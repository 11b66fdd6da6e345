# SPDX-License-Identifier: GPL-2.0-only
"""Collects tests/unit/test_X.c: `test_X --list` names the cases, each is one item and one run."""
import pytest

from harness import run

TIMEOUT = 120


class Program(pytest.File):
    def collect(self):
        program = self.config.pa_build / "tests" / "unit" / self.path.stem
        if not program.exists():
            yield Missing.from_parent(self, name="build", program=program)
            return
        listed = run.run([program, "--list"], timeout=20)
        if listed.status != 0:
            yield Missing.from_parent(self, name="list", program=program)
            return
        for name in listed.out.split():
            yield Unit.from_parent(self, name=name, program=program)


class Missing(pytest.Item):
    def __init__(self, program, **kwargs):
        super().__init__(**kwargs)
        self.program = program

    def runtest(self):
        raise Failure(f"{self.program} is not built or does not list its cases: "
                      "run make tests-build")

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, None, f"{self.program.name}: {self.name}"


class Unit(Missing):
    def runtest(self):
        # In the source tree's top: tests open tests/... by that
        result = run.run([self.program, self.name], timeout=TIMEOUT,
                         cwd=self.config.rootpath)
        if result.status != 0:
            raise Failure(str(result))


class Failure(Exception):
    pass
