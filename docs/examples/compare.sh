#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# compare.sh ITER BEFORE AFTER ARGS...: run two builds of a program in turn, ITER times each, and
# say how much less CPU time the second takes, with the 95 % interval of the paired differences.
set -euo pipefail

iter=${1:?ITER} before=${2:?BEFORE} after=${3:?AFTER}
shift 3
TIMEFORMAT=%U

seconds() {
	{ time "$@" >/dev/null 2>&1; } 2>&1
}

"$before" "$@" >/dev/null 2>&1 # neither is the first to be read from disk
"$after" "$@" >/dev/null 2>&1
for ((i = 0; i < iter; i++)); do
	if ((i % 2)); then
		a=$(seconds "$after" "$@")
		b=$(seconds "$before" "$@")
	else
		b=$(seconds "$before" "$@")
		a=$(seconds "$after" "$@")
	fi
	echo "$b $a"
done | awk '
{
	ratio = log($1 / $2)
	sum += ratio
	squares += ratio * ratio
	before += $1
	after += $2
}
END {
	mean = sum / NR
	error = NR > 1 ? sqrt((squares - NR * mean * mean) / (NR - 1) / NR) : 0
	printf "before %.3f s, after %.3f s: %+.1f %% (95 %%: %+.1f to %+.1f), %d pairs\n",
		before / NR, after / NR, 100 * (exp(mean) - 1),
		100 * (exp(mean - 2.1 * error) - 1), 100 * (exp(mean + 2.1 * error) - 1), NR
}'
