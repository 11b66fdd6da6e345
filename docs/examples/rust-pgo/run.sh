#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh: optimise a Rust program by a profile of itself: build, capture while it runs, convert,
# rebuild, compare. Needs rustc, and root for the capture (sudo is asked).
#   AGENT=build/perf-agent  RUSTC=rustc  OUT=folder for what is made
#   DURATION=10s of the capture  RATE=4999 samples a second  ITER=10 pairs of runs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
AGENT=${AGENT:-$here/../../../build/perf-agent}
RUSTC=${RUSTC:-rustc}
OUT=${OUT:-$here/out}
convert=$(dirname "$AGENT")/pa2autofdo
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
mkdir -p "$OUT"

# -Cdebuginfo=1 is enough: lines, inlined calls and where functions begin. The two -Z options are
# not stable yet: a stable rustc must be told that they are meant.
export RUSTC_BOOTSTRAP=1
flags=(--edition 2021 -Copt-level=3 -Cdebuginfo=1 -Ccodegen-units=1 -Cstrip=none
	-Zdebug-info-for-profiling -Clink-arg=-Wl,--build-id "$here/main.rs")
echo "build"
"$RUSTC" "${flags[@]}" -o "$OUT/before"

echo "capture: ${DURATION:=10s} of the running program"
"$OUT/before" 10000000 >/dev/null &
pid=$!
trap 'kill $pid 2>/dev/null || true' EXIT
$sudo "$AGENT" --profile --pid "$pid" --duration "$DURATION" --sample-rate "${RATE:-4999}" \
	--perf-data-output "$OUT/train.perf.data" --profile-output "$OUT/train.pb.gz"
kill "$pid"
[ -z "$sudo" ] || $sudo chown "$(id -u)" "$OUT/train.perf.data"

echo "convert"
"$convert" "$OUT/train.perf.data" --binary "$OUT/before" -o "$OUT/train.prof"

echo "rebuild"
"$RUSTC" "${flags[@]}" "-Zprofile-sample-use=$OUT/train.prof" -o "$OUT/after"

echo "compare"
"$here/../compare.sh" "${ITER:-10}" "$OUT/before" "$OUT/after" 100
