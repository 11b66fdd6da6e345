# SPDX-License-Identifier: GPL-2.0-only
"""Sampling by the CPU's own counters, where there are any."""
from harness import needs, readers


def test_cycles(profile, workload):
    needs.hardware_cycles()
    found = profile("--event", "cycles", "--sample-rate", "999", "--", workload("fixedgraph"),
                    "--seconds", "2")
    assert {s.event for s in found.script} == {"cycles"}
    assert len(found.script) > 100
    # a period is what passed between two samples, never the time of a clock
    assert len({s.period for s in found.script}) > 10
    for stacks in (found.folded(), found.weights()):
        assert readers.share(stacks, "heavy", of="work") > 0.4
        assert any(stack[-5:-1] == ("main", "run", "work", "heavy") for stack in stacks)
    assert any(s.kernel for s in found.file.samples())


def test_kernel_only_and_user_only(profile, workload):
    needs.hardware_cycles()
    for suffix, part in (("u", "user"), ("k", "kernel")):
        found = profile("--event", f"cycles:{suffix}", "--sample-rate", "499", "--",
                        workload("syscaller"), "--seconds", "1", name=suffix)
        samples = list(found.file.samples())
        assert len(samples) > 20
        # an interrupt that waits for its turn may find the other mode
        there = sum([sample.ip] == getattr(sample, part)[:1] for sample in samples)
        assert there > 0.5 * len(samples), (suffix, there, len(samples))
