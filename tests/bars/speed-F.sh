#!/bin/bash
# The fastest peer, crate durable-streams 0.1.5, in one run. URSULA_PEER is its program; else cargo installs it.
# wanted: durable appends >= 1.5x, memory >= 1.15x, fan-out p99 <= 0.8x, replay p99 <= 0.85x
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_ahead.py peer
