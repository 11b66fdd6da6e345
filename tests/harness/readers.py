# SPDX-License-Identifier: GPL-2.0-only
"""Read what other tools say about our files: perf script, folded stacks, go tool pprof."""
import collections
import dataclasses
import os
import re

from harness import needs, run


@dataclasses.dataclass
class Sample:
    """One sample of `perf script`. frames: leaf first, names without offsets; dsos and ips (as
    perf prints them) go with them."""
    comm: str
    pid: int
    tid: int
    cpu: int
    time_ns: int
    period: int
    event: str
    frames: list
    dsos: list
    ips: list


HEAD = re.compile(r"^\s*(.*?)\s+(-?\d+)/(-?\d+)\s+\[(\d+)\]\s+(\d+)\.(\d+):\s+(?:(\d+)\s+)?(\S+):"
                  r"(\s.*)?$")
FRAME = re.compile(r"^\s*([0-9a-f]+)\s+(.*?)(?:\+0x[0-9a-f]+)?(?:\s+\(inlined\))?\s+\((.*)\)$")


def perf_script(path, *options, timeout=120):
    """The samples of a perf.data file as perf sees them (they must have a CPU)."""
    argv = [needs.perf(), "script", "-i", path, "-F",
            "comm,pid,tid,cpu,time,period,event,ip,sym,dso", "--no-inline", "--ns", *options]
    result = run.run(argv, timeout=timeout, env={"LC_ALL": "C"}).ok()
    return parse_perf_script(result.out)


def parse_perf_script(text):
    """Samples of `perf script` text, which has a head line, frames, and an empty line for each."""
    samples = []
    for line in text.splitlines():
        frame = FRAME.match(line) if samples and line[:1] in "\t " else None
        head = None if frame else HEAD.match(line)
        if head:
            comm, pid, tid, cpu, sec, fraction, period, event, rest = head.groups()
            samples.append(Sample(comm, int(pid), int(tid), int(cpu),
                                  int(sec + fraction.ljust(9, "0")), int(period or 1), event,
                                  [], [], []))
            frame = FRAME.match(rest or "")
        if frame:
            samples[-1].ips.append(int(frame[1], 16))
            samples[-1].frames.append(frame[2])
            samples[-1].dsos.append(frame[3])
    return samples


def folded(text):
    """Folded stacks as {(frame, ...root first): weight}."""
    stacks = collections.Counter()
    for line in text.splitlines():
        if line.strip():
            stack, weight = line.rsplit(" ", 1)
            stacks[tuple(stack.split(";"))] += int(weight)
    return stacks


def share(stacks, name, of=None):
    """Share of the weight whose stack holds a frame of that name, among stacks that hold `of`."""
    total = sum(w for s, w in stacks.items() if of is None or of in s)
    return sum(w for s, w in stacks.items()
               if name in s and (of is None or of in s)) / total if total else 0.0


@dataclasses.dataclass
class Profile:
    """What `go tool pprof -raw` says. samples: (values, location ids leaf first, {label: [..]});
    locations: id -> (address, mapping id, [(function, file, line)]); mappings: id -> text."""
    types: list
    period: str
    samples: list
    locations: dict
    mappings: dict
    comments: list

    def frames(self, sample):
        """Function names of a sample, leaf first, inlined ones included."""
        return [line[0] for i in sample[1] for line in self.locations[i][2]]


def rooted(profile):
    """Samples as (values, function names root first, labels)."""
    for sample in profile.samples:
        yield sample[0], tuple(reversed(profile.frames(sample))), sample[2]


LOCATION = re.compile(r"^\s*(\d+): (0x[0-9a-f]+)(?: M=(\d+))?(.*)$")
LINE = re.compile(r"^\s*(.*?)(?: (\S*?):(\d+)(?::\d+)?)?(?: s=(-?\d+))?(?:\((.*)\))?$")


def go_pprof(path, *options, timeout=180):
    """Run `go tool pprof` on a profile. @return its standard output"""
    env = {"PPROF_TMPDIR": os.path.dirname(os.path.abspath(path)), "PPROF_BINARY_PATH": "/nowhere",
           "HOME": os.environ.get("HOME", "/root")}
    return run.run([needs.go(), "tool", "pprof", "-symbolize=none", *options, path],
                   timeout=timeout, env=env).ok().out


def pprof_raw(path):
    return parse_pprof_raw(go_pprof(path, "-raw"))


def parse_pprof_raw(text):
    profile = Profile([], "", [], {}, {}, [])
    section = "head"
    for line in text.splitlines():
        if line in ("Samples:", "Locations", "Mappings"):
            section = line.rstrip(":")
        elif section == "head":
            key, _, value = line.partition(": ")
            if key == "PeriodType":
                profile.period = value
            elif key == "Comment":
                profile.comments.append(value)
        elif section == "Samples":
            raw_sample(profile, line)
        elif section == "Locations":
            raw_location(profile, line)
        elif ": " in line:
            number, _, rest = line.partition(": ")
            profile.mappings[int(number)] = rest
    return profile


def raw_sample(profile, line):
    values = re.match(r"^\s*([-\d ]+): ([\d ]*)$", line)
    if not profile.types and not values:
        profile.types = line.split()
    elif values:
        profile.samples.append(([int(v) for v in values[1].split()],
                                [int(i) for i in values[2].split()], {}))
    else:
        for key, value in re.findall(r"(\S+?):\[([^\]]*)\]", line):
            profile.samples[-1][2][key] = value.split()


def raw_location(profile, line):
    start = LOCATION.match(line)
    if start:
        number = int(start[1])
        profile.locations[number] = (int(start[2], 16), int(start[3] or 0), [])
        line = start[4]
    if line.strip() and profile.locations:
        function, file, lineno, _, _ = LINE.match(line.strip()).groups()
        last = profile.locations[next(reversed(profile.locations))]
        last[2].append((function, file or "", int(lineno or 0)))
