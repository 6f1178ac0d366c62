#!/bin/bash
# Three and five nodes under load while they are killed, stopped, cut off and slowed down, directories are lost and put back, a disk hangs, is full, fails or loses power, and clocks jump. Needs root, for networks and file systems of its own.
# usage: cluster-B.sh [MINUTES [NODES...]]
# wanted: 30 minutes each with 3 and 5 nodes at 2000 appends/s or more: none lost, none twice, linearizable appends and reads, ordered tails; 100 reads at every reachable node in each fault; 80 % of the seconds outside faults plus 3 s succeed in every group
set -euo pipefail
minutes=${1:-30}
(($# > 1)) && sizes=("${@:2}") || sizes=(3 5)
third_party/debian/install test
# A build of its own, and not the optimized one: these are no part of what is measured.
bazel ${URSULA_BAZEL_STARTUP:-} build --symlink_prefix=.bazel/tests-plain- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- \
  //tests/support:power_disk //tests/support:clock_shim.so >&2
export URSULA_POWER_DISK=.bazel/tests-plain-bin/tests/support/power_disk
export URSULA_CLOCK_SHIM=.bazel/tests-plain-bin/tests/support/clock_shim.so
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
figures=()
for size in "${sizes[@]}"; do
  tests/integration/nemesis.py "$URSULAD" --nodes "$size" --seconds "$((60 * minutes))" --rate-min 2000 2>&1 |
    tee "$log" || verdict=1
  figures+=("$size nodes: $(tail -n 1 "$log")")
done
printf '%s; ' "${figures[@]}"
echo "wanted of each: 0 complaints, 2000/s, 80 %, 0 windows"
exit "$verdict"
