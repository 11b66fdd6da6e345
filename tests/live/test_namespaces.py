# SPDX-License-Identifier: GPL-2.0-only
"""Where the agent is not at home: its own pid namespace, a kernel without BTF, hidden symbols."""
import os

from harness import needs, readers, run


def in_namespace(flags, script, *argv, **options):
    return run.run([needs.unshare(), *flags, "sh", "-c", script, "sh",
                    *argv], **options)


def test_pid_namespace(agent, workload, tmp_path):
    """Process ids in the file are those of the agent's own /proc, and only its processes."""
    script = ('"$2" --seconds 600 & sleep 0.5; '
              '"$1" -q --profile --pid $! --duration 1s --sample-rate 499 '
              '--perf-data-output one.data --profile-output one.pb.gz && '
              '"$1" -q --profile -a --duration 1s --sample-rate 499 '
              '--perf-data-output all.data --profile-output all.pb.gz; echo $!')
    result = in_namespace(["-pf", "--mount-proc"], script, agent, workload("fixedgraph"),
                          cwd=tmp_path).ok()
    pid = int(result.out.split()[-1])
    assert pid < 100
    for name in ["one.data", "all.data"]:
        samples = readers.perf_script(tmp_path / name)
        mine = [s for s in samples if s.comm == "fixedgraph"]
        assert len(mine) > 100 and {s.pid for s in mine} == {pid}
        assert sum("main" in s.frames for s in mine) > 0.95 * len(mine)
        assert {s.pid for s in samples} <= set(range(1, 100))


def test_command_in_a_pid_namespace(agent, workload, tmp_path):
    script = ('"$1" -q --profile --sample-rate 499 --perf-data-output f.data '
              '--profile-output f.pb.gz -- "$2" --seconds 1')
    in_namespace(["-pf", "--mount-proc"], script, agent, workload("forker"), cwd=tmp_path).ok()
    samples = readers.perf_script(tmp_path / "f.data")
    assert len({s.pid for s in samples if s.comm == "forker"}) > 2, "children were not followed"


def test_kernel_without_btf(agent, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    result = in_namespace(["-m"], 'mount --bind "$2" /sys/kernel/btf && "$1" -q --profile -a',
                          agent, empty, cwd=tmp_path)
    assert result.status == 1 and len(result.err.splitlines()) == 1
    assert "no BTF" in result.err
    assert os.listdir(tmp_path) == ["empty"]


def test_hidden_kernel_symbols(agent, workload, tmp_path):
    """Kernel frames stay numbers, and it is said."""
    fake = tmp_path / "kallsyms"
    fake.write_text("".join(f"0000000000000000 T symbol_{i}\n" for i in range(100)),
                    encoding="ascii")
    script = ('mount --bind "$2" /proc/kallsyms && "$1" -q --profile --sample-rate 499 '
              '--perf-data-output k.data --profile-output k.pb.gz -- "$3" --seconds 1')
    result = in_namespace(["-m"], script, agent, fake, workload("syscaller"), cwd=tmp_path,
                          env={"HOME": str(tmp_path)}).ok()
    assert "kernel symbols unavailable" in result.err
    raw = readers.pprof_raw(tmp_path / "k.pb.gz")
    names = {name for s in raw.samples for name in raw.frames(s)}
    assert any(name.startswith("0xffff") for name in names)
    assert "main" in names
