#!/bin/bash
# Beside a busy loop on each CPU: durable appends against a server that never polls, fan-out against commit 84b6b36.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older).
# wanted: appends >= 0.97x (median of 9), fan-out p99 <= 0.5x
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_ahead.py busy
