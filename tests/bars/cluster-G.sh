#!/bin/bash
# A node of three that was away during 1 GB of 64 KiB appends, and during 20 s of 256 B appends, comes back beside an open loop at 30 % of capacity; 32 MiB appends one behind the other; a snapshot; a node that is cut off.
# wanted: 64 KiB: back at >= 50 MB/s; 256 B: >= 3 times as fast as written; the loop's p99 at most doubled; no leader changes; tails end within 5 s
set -euo pipefail
third_party/debian/install test
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/integration/cluster_rejoin.py "$URSULAD" --bench .bazel/opt-bin/tests/bench/ursula_bench
