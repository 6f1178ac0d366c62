#!/bin/bash
# Power cuts with torn sectors under load on ext4 and xfs, the same on a disk that lies about flushes; a full disk; a failing one.
# wanted: 20 cuts on each file system, 0 acknowledged appends lost, doubled or reordered; each cut on the disk that lies loses some; full: 507, reads go on, appends resume; EIO: the log ends, reads go on
set -euo pipefail
third_party/debian/install test
# A build of its own, and not the optimized one: the disk is no part of what is measured.
bazel ${URSULA_BAZEL_STARTUP:-} build --symlink_prefix=.bazel/tests-plain- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/support:power_disk >&2
export URSULA_POWER_DISK=.bazel/tests-plain-bin/tests/support/power_disk
export URSULA_POWER_CUTS=${URSULA_POWER_CUTS:-20}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
tests/integration/power_cut_test.py "$URSULAD" 2>&1 | tee "$log" || verdict=1
tests/integration/disk_fault_test.py "$URSULAD" 2>&1 | tee -a "$log" || verdict=1
grep -q skipped "$log" && verdict=1
mapfile -t figures < <(grep -oE '(ext4|xfs)(: [0-9]+ cuts lost|, on a disk that lies: ).*' "$log")
((${#figures[@]} == 4)) || verdict=1
printf '%s | ' "${figures[@]}"
echo "$(grep -cE '^test_.*(full|fail).* ok$' "$log") of 7 full and failing disks right"
exit "$verdict"
