#!/bin/bash
# Fan-out of one durable node and of three against one of commit 84b6b36, in one run: 1 000 SSE readers, one writer at 50/s.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older).
# wanted: p99 <= 0.45x, p50 <= 0.55x, CPU a delivery <= 0.8x; a frame encoded once; three nodes too
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_ahead.py fan-out
