#!/bin/bash
# Fan-out of one durable node against that of commit 84b6b36, in one run: 1 000 SSE readers, one writer at 50/s; then 10 000 readers.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older).
# wanted: p99 <= 0.5x, p50 <= 0.6x, the writer's p99 <= 0.3x, CPU a delivery <= 0.85x; 10 000 readers get everything
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_older.py fan-out
