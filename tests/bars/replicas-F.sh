#!/bin/bash
# What replication costs: three nodes in one process, frames by memory, directories on a disk in memory, against one node. Then lib/raft's allocations, and how long turns of a loop were in a run of real nodes under load.
# URSULA_BENCH_SECONDS makes it shorter (10).
# wanted: entries sent per commit <= 2.2; CPU of a replicated 256 B append <= 4x, followers' share named; 0 allocations an entry in lib/peers; no turn over 50 ms of the thread's own CPU time in a soak
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" \
  -- //tests/bench:replicas_cost //tests/bench/raft:raft_bench >&2
verdict=0
cost=$(.bazel/opt-bin/tests/bench/replicas_cost "${URSULA_BENCH_SECONDS:-10}" | tee >(cat >&2) | tail -n 1) || verdict=1
read -r _ allocations < <(.bazel/opt-bin/tests/bench/raft/raft_bench | tail -n 1)
[[ $allocations == 0 ]] || verdict=1
# Neither is counted yet: the bar doesn't hold.
verdict=1
echo "$cost; $allocations allocations an entry in lib/raft; in lib/peers: not counted; turns by their own CPU time: not counted"
exit "$verdict"
