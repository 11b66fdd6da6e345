# SPDX-License-Identifier: GPL-2.0-only
"""Run programs with a time limit; a program that outlives it is ended with its children, by id."""
import os
import pathlib
import signal
import subprocess
import tempfile
import time

# Time limits are this much longer: where the CPU is emulated
PATIENCE = int(os.environ.get("PA_PATIENCE", "1"))


class Result:
    """What a program that ended left: status (negative: signal), out and err as text."""

    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        self.seconds = seconds

    def __str__(self):
        return (f"{' '.join(map(str, self.argv))}: status {self.status} after "
                f"{self.seconds:.1f} s\n--- stdout\n{self.out[-4000:]}\n--- stderr\n"
                f"{self.err[-4000:]}")

    def ok(self):
        """Itself; fails the test when the status is not 0."""
        assert self.status == 0, str(self)
        return self


class Process:
    """A program in the background, in its own process group."""

    def __init__(self, argv, cwd=None, env=None, stdin=subprocess.DEVNULL, **options):
        self.argv = [str(a) for a in argv]
        self._out = tempfile.TemporaryFile()
        self._err = tempfile.TemporaryFile()
        self._started = time.monotonic()
        self.child = subprocess.Popen(
            self.argv, cwd=cwd, env={**os.environ, **(env or {})}, stdin=stdin,
            stdout=options.pop("stdout", self._out), stderr=options.pop("stderr", self._err),
            start_new_session=True, **options)
        self.pid = self.child.pid

    def _text(self, stream):
        return os.pread(stream.fileno(), 1 << 28, 0).decode(errors="replace")

    @property
    def out(self):
        return self._text(self._out)

    @property
    def err(self):
        return self._text(self._err)

    def wait(self, timeout=60):
        """Wait for the end. @return Result; ends the program and fails when time is up."""
        try:
            self.child.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"still running after {timeout * PATIENCE} s: "
                                 f"{self.result()}") from None
        return self.result()

    def result(self):
        return Result(self.argv, self.child.returncode, self.out, self.err,
                      time.monotonic() - self._started)

    def signal(self, number):
        self.child.send_signal(number)

    def running(self):
        return self.child.poll() is None

    def end(self):
        """End it and its process group, which we made, if any of it is left."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            self.child.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"killed, but not gone: {self.argv}") from None

    def wait_for(self, text, timeout=60):
        """Wait until text appears in its stdout or stderr. @return what it printed"""
        wait_until(lambda: text in self.out + self.err or not self.running(), timeout,
                   f"'{text}' from {self.argv[0]}")
        printed = self.out + self.err
        assert text in printed, str(self.result())
        return printed


def run(argv, timeout=60, stdin_bytes=None, **options):
    """Run a program to its end. @return Result"""
    if stdin_bytes is not None:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(stdin_bytes)
            stdin.seek(0)
            return Process(argv, stdin=stdin, **options).wait(timeout)
    return Process(argv, **options).wait(timeout)


def wait_until(condition, timeout=10, what="a condition"):
    """Poll until condition() holds; fails the test when it does not in time."""
    end = time.monotonic() + timeout * PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {timeout * PATIENCE} s in vain for {what}"
        time.sleep(0.02)


def children(pid):
    """Process ids of the children of pid."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:
            pass
    return found
