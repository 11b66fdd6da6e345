#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh: optimise a Go program by a profile of itself: build, capture while it runs, rebuild,
# compare. The agent's pprof is what go build takes: nothing is converted. Needs Go 1.21, and root
# for the capture (sudo is asked).
#   AGENT=build/perf-agent  GO=go  OUT=folder for what is made
#   DURATION=10s of the capture  RATE=999 samples a second  ITER=10 pairs of runs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
AGENT=${AGENT:-$here/../../../build/perf-agent}
GO=${GO:-go}
OUT=${OUT:-$here/out}
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
mkdir -p "$OUT"
cd "$here"

echo "build"
"$GO" build -pgo=off -o "$OUT/before" .

echo "capture: ${DURATION:=10s} of the running program"
"$OUT/before" 100000000 >/dev/null &
pid=$!
trap 'kill $pid 2>/dev/null || true' EXIT
$sudo "$AGENT" --profile --pid "$pid" --duration "$DURATION" --sample-rate "${RATE:-999}" \
	--profile-output "$OUT/train.pb.gz"
kill "$pid"
[ -z "$sudo" ] || $sudo chown "$(id -u)" "$OUT/train.pb.gz"

echo "rebuild"
"$GO" build -pgo="$OUT/train.pb.gz" -gcflags=-m -o "$OUT/after" . 2>"$OUT/pgo.log"
grep "PGO devirtualizing" "$OUT/pgo.log"

echo "compare"
../compare.sh "${ITER:-10}" "$OUT/before" "$OUT/after" 5000
