# SPDX-License-Identifier: GPL-2.0-only
"""Tests of what a busy machine may spoil."""
import functools
import time

from harness import needs


def retried(test):
    """A busy machine delays workloads and readers, and perf loses records: four tries, with time
    between them in which a neighbour's burst of work may end. Only for what is then missing, with
    assert: what is wrong fails at once, with pytest.fail. Two in a guest, which is always busy."""
    @functools.wraps(test)
    def tries(*args, **kwargs):
        for pause in (0,) if needs.is_emulated() else (1, 3, 9):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                time.sleep(pause)
        return test(*args, **kwargs)
    return tries
