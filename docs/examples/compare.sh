#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# compare.sh ITER BEFORE AFTER ARGS...: run two builds of a program in turn, ITER times each, and
# say how much less CPU time (in user mode) the second takes, with the 95 % interval of the paired
# differences.
set -euo pipefail

iter=${1:?ITER} before=${2:?BEFORE} after=${3:?AFTER}
shift 3
TIMEFORMAT=%U

seconds() {
	{ time "$@" >/dev/null 2>&1; } 2>&1
}

for program in "$before" "$after"; do # neither is the first to be read from disk
	"$program" "$@" >/dev/null 2>&1 || { echo "compare.sh: $program failed: $?" >&2; exit 1; }
done
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
!($1 * $2) {
	is_short = 1
	exit
}
{
	ratio = log($1 / $2)
	sum += ratio
	squares += ratio * ratio
	before += $1
	after += $2
}
END {
	if (is_short) {
		print "compare.sh: the program ends too soon to be measured" >"/dev/stderr"
		exit 1
	}
	mean = sum / NR
	n = NR - 1
	variance = n ? (squares - NR * mean * mean) / n / NR : 0
	error = variance > 0 ? sqrt(variance) : 0
	# of the t distribution, to a hundredth
	t = n ? 1.96 + 2.372 / n + 2.82 / n ^ 2 + 3.4 / n ^ 3 + 2.15 / n ^ 6 : 0
	printf "before %.3f s, after %.3f s: %+.1f %% (95 %%: %+.1f to %+.1f), %d pairs\n",
		before / NR, after / NR, 100 * (exp(mean) - 1),
		100 * (exp(mean - t * error) - 1), 100 * (exp(mean + t * error) - 1), NR
}'
