#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh: optimise a C++ program by a profile of itself: build, capture while it runs, convert,
# rebuild, compare. Needs clang, and root for the capture (sudo is asked).
#   AGENT=build/perf-agent  CXX=clang++  OUT=folder for what is made
#   DURATION=10s of the capture  RATE=4999 samples a second  ITER=10 pairs of runs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
AGENT=${AGENT:-$here/../../../build/perf-agent}
CXX=${CXX:-clang++}
OUT=${OUT:-$here/out}
convert=$(dirname "$AGENT")/pa2autofdo
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
mkdir -p "$OUT"

# -fdebug-info-for-profiling makes lines and inlined calls exact; the code stays the same
flags=(-O2 -g -fdebug-info-for-profiling "$here/main.cpp" -Wl,--build-id)
echo "build"
"$CXX" "${flags[@]}" -o "$OUT/before"

echo "capture: ${DURATION:=10s} of the running program"
"$OUT/before" 1000000 >/dev/null &
pid=$!
trap 'kill $pid 2>/dev/null || true' EXIT
$sudo "$AGENT" --profile --pid "$pid" --duration "$DURATION" --sample-rate "${RATE:-4999}" \
	--perf-data-output "$OUT/train.perf.data" --profile-output "$OUT/train.pb.gz"
kill "$pid"
[ -z "$sudo" ] || $sudo chown "$(id -u)" "$OUT/train.perf.data"

echo "convert"
"$convert" "$OUT/train.perf.data" --binary "$OUT/before" -o "$OUT/train.prof"

echo "rebuild"
"$CXX" "${flags[@]}" -fprofile-sample-use="$OUT/train.prof" -o "$OUT/after"

echo "compare"
"$here/../compare.sh" "${ITER:-10}" "$OUT/before" "$OUT/after" 100
