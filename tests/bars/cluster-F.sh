#!/bin/bash
# What three nodes with 256 groups cost that have nothing to do; and 1 000 SSE readers spread over three nodes against one node that has them all, at 50 appends/s.
# wanted: idle < 5 kB/s between each two nodes, < 2 % of a CPU a node; readers: p99 <= 1.5x of the single node's, the leader's node sends <= 1.2x of a third of the deliveries
set -euo pipefail
third_party/debian/install test
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/integration/cluster_cost.py "$URSULAD" --bench .bazel/opt-bin/tests/bench/ursula_bench
