# SPDX-License-Identifier: GPL-2.0-only
"""Tests of what a busy machine may spoil."""
import functools


def retried(test):
    """A busy machine delays workloads and readers, and perf loses records: three tries. Only
    for what is then missing, with assert: what is wrong fails at once, with pytest.fail."""
    @functools.wraps(test)
    def tries(*args, **kwargs):
        for _ in range(2):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                pass
        return test(*args, **kwargs)
    return tries
