# SPDX-License-Identifier: GPL-2.0-only
"""Golden cases: tests/golden/TOOL/CASE/ holds `cmd` (shell, run in a copy of the folder with our
tools on PATH), its input files, and `expected`, what cmd prints. Optional: `expected.err`
(standard error), `expected.status` (exit status, 0 when absent). --update-golden writes them."""
import difflib
import shutil
import tempfile

import pytest

from harness import run


class Case(pytest.File):
    def collect(self):
        folder = self.path.parent
        yield Item.from_parent(self, name=f"{folder.parent.name}/{folder.name}")


class Item(pytest.Item):
    def runtest(self):
        folder, build = self.path.parent, self.config.pa_build
        with tempfile.TemporaryDirectory() as scratch:
            work = f"{scratch}/case"
            shutil.copytree(folder, work)
            result = run.run(["sh", "-e", "cmd"], cwd=work, timeout=60, env={
                "PATH": f"{build}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC",
                "XDG_CACHE_HOME": f"{scratch}/cache"})
        got = {"expected": result.out, "expected.err": result.err,
               "expected.status": f"{result.status}\n"}
        if self.config.getoption("--update-golden"):
            self.update(folder, got)
            return
        for name, text in got.items():
            want = self.wanted(folder, name)
            if want is not None and want != text:
                diff = difflib.unified_diff(want.splitlines(True), text.splitlines(True),
                                            f"{folder / name}", "printed")
                raise Mismatch("".join(list(diff)[:200]) + f"\nstandard error:\n{result.err}")

    @staticmethod
    def wanted(folder, name):
        path = folder / name
        if path.exists():
            return path.read_text(errors="replace")
        return {"expected": "", "expected.status": "0\n"}.get(name)

    @staticmethod
    def update(folder, got):
        (folder / "expected").write_text(got["expected"])
        if (folder / "expected.err").exists():
            (folder / "expected.err").write_text(got["expected.err"])
        if got["expected.status"] != "0\n" or (folder / "expected.status").exists():
            (folder / "expected.status").write_text(got["expected.status"])

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, (Mismatch, AssertionError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, self.name


class Mismatch(Exception):
    pass
