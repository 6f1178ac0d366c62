#!/bin/bash
# One takes over a peer's snapshot and crashes between any two of its steps, at every size, with each mix of what may be present: an old tail, waiters, a running checkpoint, changed members, missing payload. A checkpoint is asked for between any two.
# URSULA_INSTALL_SIZES says how many of the four sizes; the bar doesn't hold with fewer.
# wanted: every step, 32 mixes, 4 sizes: 0 bytes lost
set -euo pipefail
sizes=${URSULA_INSTALL_SIZES:-4}
bazel ${URSULA_BAZEL_STARTUP:-} build --symlink_prefix=.bazel/tests-plain- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" \
  -- //tests/unit/group:install_steps_test //tests/unit/group:install_test >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bin=.bazel/tests-plain-bin/tests/unit/group
verdict=0
URSULA_INSTALL_SIZES=$sizes "$bin/install_steps_test" >"$log" || verdict=1
"$bin/install_test" >>"$log" || verdict=1
cat "$log" >&2
mapfile -t figures < <(grep -E '^[0-9]+ (crashes|checkpoints)' "$log")
((${#figures[@]} == 2)) || verdict=1
echo "${figures[0]:-no crashes}; ${figures[1]:-no checkpoints}"
((sizes >= 4)) && exit "$verdict"
