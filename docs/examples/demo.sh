#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# demo.sh BUILD: profile a small program whose answer is known, and show the result in every
# form. `make demo` runs it. The agent needs root: an ordinary user is asked by sudo, for that
# one command.
set -euo pipefail

build=${1:-build}
out=$build/demo
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || {
		echo "demo: profiling needs root, and there is no sudo: run as root: $0 $build" >&2
		exit 1
	}
	sudo=sudo
	echo "demo: sudo is used for one command, perf-agent itself"
fi
rm -rf "$out"
mkdir -p "$out"

echo "demo: profiling $build/tests/workloads/fixedgraph for 5 s at 999 Hz"
$sudo "$build/perf-agent" --profile --duration 5s --sample-rate 999 \
	--perf-data-output "$out/perf.data" --profile-output "$out/profile.pb.gz" \
	-- "$build/tests/workloads/fixedgraph" --seconds 6
[ -z "$sudo" ] || sudo chown -R "$(id -u):$(id -g)" "$out"

"$build/pa2folded" "$out/perf.data" >"$out/stacks.folded"
"$build/pa2flame" "$out/perf.data" >"$out/flame.svg"

echo
echo "The program does 60 % of its work in heavy, 30 % in medium, 10 % in light. Found:"
printf '%9s %9s  %s\n' self total function
awk '{
	weight = $NF
	total += weight
	sub(/ [0-9]+$/, "")
	cnt = split($0, frames, ";")
	split("", seen)
	for (i = 2; i <= cnt; i++) # the first is the name of the program
		if (!(frames[i] in seen)) {
			seen[frames[i]] = 1
			weights[frames[i]] += weight
		}
	self[frames[cnt]] += weight
}
END {
	for (name in weights)
		printf "%7.1f %% %7.1f %%  %s\n", 100 * self[name] / total,
			100 * weights[name] / total, name
}' "$out/stacks.folded" | sort -k1,1nr -k3,3nr | head -12

cat <<END

Files:
  $out/perf.data       perf script -i $out/perf.data; hotspot $out/perf.data
  $out/profile.pb.gz   go tool pprof -top $out/profile.pb.gz
  $out/stacks.folded   folded stacks: flamegraph.pl, speedscope, inferno
  $out/flame.svg       open in a browser: click to zoom, search
END
