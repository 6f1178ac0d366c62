#!/bin/bash
# The power of all three nodes is cut at once, on disks with a volatile cache, and the same on disks that lie about flushes; bits of one node's files flip, while it runs and at rest. Needs root, for file systems of its own.
# usage: cluster-C.sh [CUTS [FLIPS]]
# wanted: 30 cuts of all nodes, 0 acknowledged appends lost, doubled or reordered; each cut on disks that lie loses some; 500 flips, each found and repaired, 0 wrong bytes; a rotten log and a rotten snapshot refused by name and replaced
set -euo pipefail
third_party/debian/install test
# A build of its own, and not the optimized one: the disk is no part of what is measured.
bazel ${URSULA_BAZEL_STARTUP:-} build --symlink_prefix=.bazel/tests-plain- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/support:power_disk >&2
export URSULA_POWER_DISK=.bazel/tests-plain-bin/tests/support/power_disk
export URSULA_POWER_CUTS=${1:-30}
export URSULA_FLIPS=${2:-500}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
tests/integration/cluster_power_test.py "$URSULAD" 2>&1 | tee "$log" || verdict=1
tests/integration/rot_test.py "$URSULAD" 2>&1 | tee -a "$log" || verdict=1
grep -q skipped "$log" && verdict=1
mapfile -t figures < <(grep -oE '^(test_[a-z_]* .*\.\.\. )?([0-9]+ cuts of all|on disks that lie:|[0-9]+ flips while|a rotten log and).*' "$log")
((${#figures[@]} == 4)) || verdict=1
printf '%s | ' "${figures[@]}"
echo "wanted: 0 lost, all lose, all found"
exit "$verdict"
