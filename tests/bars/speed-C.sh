#!/bin/bash
# Replay of 200 KiB by 500 clients against commit 84b6b36 in one run, plain and over gzip.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older).
# wanted: plain >= 1.2x, p99 <= 0.85x; gzip >= 5x
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_ahead.py replay
