# SPDX-License-Identifier: GPL-2.0-only
"""What the boots had to say: results of tests by kernel, BPF programs, reasons."""
import collections
import json
import pathlib
import re

INSTRUCTIONS_MAX = 500_000  # half of what the verifier goes through
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def tests_of(text):
    """Results of a run, a line of JSON each: {(file, test): (outcome, reason)}."""
    found = {}
    for line in text.splitlines():
        result = json.loads(line)
        path, _, test = result["test"].partition("::")
        key = pathlib.PurePath(path).stem, test
        if found.get(key, ("",))[0] != FAILED:  # a test may fail at its end, having passed
            found[key] = result["outcome"], result["why"]
    return found


class Column:
    """One boot of the matrix: its name and what became of it."""

    def __init__(self, name, run=None, why=None):
        self.name, self.run, self.why = name, run, why
        self.tests, self.programs, self.release, self.again = {}, [], "", []
        if run:
            self.release = run.text("release").strip()
            self.programs = [line.split() for line in run.text("programs").splitlines()]
            self.tests = tests_of(run.text("results"))
            self._take_again(tests_of(run.text("results-again")))
            if run.status is None:
                panic = re.search(r"Kernel panic.*|ended after.*", run.text("console"))
                self.why = f"{panic[0] if panic else 'the tests did not end'}, see {run.out}"

    def _take_again(self, again):
        """A test that failed counts by its second run."""
        self.again = [key for key, result in again.items()
                      if result[0] == PASSED and self.tests.get(key, again[key])[0] == FAILED]
        self.tests |= again

    def count(self, outcome, file=None):
        return sum(result[0] == outcome and file in (None, key[0])
                   for key, result in self.tests.items())

    def bad_programs(self):
        """BPF programs that were refused, or nearly so."""
        return [p for p in self.programs
                if p[2:3] != ["ok"] or max(map(int, p[3:5])) > INSTRUCTIONS_MAX]

    def failed(self):
        """Did it boot, but not come through?"""
        return self.run is not None and bool(
            self.why or self.bad_programs() or not self.programs or not self.tests
            or self.count(FAILED) or self.run.status)


def table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)


def programs_table(columns):
    """Rows are BPF programs, cells verified instructions (settings as compiled/all on)."""
    names = sorted({(p[0], p[1]) for c in columns for p in c.programs})
    rows = [["verified instructions", *(c.name for c in columns)]]
    for name in names:
        row = ["%s %s" % name]
        for column in columns:
            mine = [p for p in column.programs if (p[0], p[1]) == name]
            cell = "/".join(mine[0][3:]) if mine else "-"
            row.append(f"FAILED {cell}" if mine and mine[0] in column.bad_programs() else cell)
        rows.append(row)
    return table(rows)


def tests_table(columns):
    files = sorted({key[0] for c in columns for key in c.tests})
    rows = [["passed+skipped, failed", *(c.name for c in columns)]]
    rows.append(["kernel", *(c.release or "-" for c in columns)])
    for file in [*files, None]:
        row = [file or "all"]
        for c in columns:
            passed, skipped, bad = (c.count(o, file) for o in (PASSED, SKIPPED, FAILED))
            row.append(f"{passed}+{skipped}" + (f", {bad}" if bad else "")
                       if passed + skipped + bad else "-")
        rows.append(row)
    rows.append(["seconds", *(f"{c.run.seconds:.0f}" if c.run else "-" for c in columns)])
    return table(rows)


def reasons(columns, outcome):
    """Why tests failed or were skipped, with the boots and the number of tests of each reason."""
    found = collections.defaultdict(collections.Counter)
    for column in columns:
        for (file, test), (result, why) in column.tests.items():
            if result == outcome:
                what = f"{file}::{test}: {why}" if outcome == FAILED else why
                found[re.sub(r"/tmp/pytest-of-\S+", "...", what)][column.name] += 1
    return "\n".join(f"  {why[:300]}: " + ", ".join(f"{name} {n}" for name, n in where.items())
                     for why, where in sorted(found.items()))


def report(columns):
    parts = [tests_table(columns), "", programs_table(columns)]
    for title, outcome in (("skipped:", SKIPPED), ("FAILED:", FAILED)):
        text = reasons(columns, outcome)
        parts += ["", title, text] if text else []
    for column in columns:
        if column.bad_programs():
            parts += ["", f"{column.name}:", column.run.text("programs.err").strip()]
        if column.again:
            parts.append(f"{column.name}: passed when run again: " +
                         ", ".join("::".join(key) for key in column.again))
        if column.why:
            parts.append(f"{column.name}: {'FAILED' if column.run else 'not booted'}: {column.why}")
    return "\n".join(parts)
