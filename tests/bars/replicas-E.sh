#!/bin/bash
# In simulated time: a follower at a tenth of the disk's speed under full load; one that is gone for half a minute. Then each fault between any two steps of founding a cluster and of replacing a node's directory.
# URSULA_SLOW_SECONDS and URSULA_AWAY_SECONDS make it shorter; the bar doesn't hold then.
# wanted: 600 s slow: memory flat, no snapshot loop, the leader's throughput >= 0.9x, then it catches up; 30 s gone at 10 MB/s: no snapshot, memory + 64 MiB at most; founding and replacement crashed or wiped at every step
set -euo pipefail
slow_seconds=${URSULA_SLOW_SECONDS:-600}
away_seconds=${URSULA_AWAY_SECONDS:-30}
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/sim/cluster:slow_follower >&2
verdict=0
bin=.bazel/opt-bin/tests/sim/cluster/slow_follower
slow=$("$bin" slow "$slow_seconds") || verdict=1
echo "$slow"
away=$("$bin" away "$away_seconds") || verdict=1
echo "$away"
steps=(//tests/unit/meta:founding_crash_test //tests/unit/engine:membership_test
  //tests/unit/storage:directory_aside_test)
crashed="every step crashed and wiped"
bazel ${URSULA_BAZEL_STARTUP:-} test --symlink_prefix=.bazel/tests-plain- ${URSULA_BAZEL_FLAGS:-} \
  --disk_cache="$URSULA_DISK_CACHE" --nocache_test_results --test_output=errors --keep_going \
  -- "${steps[@]}" >&2 || { verdict=1 && crashed="steps that don't bear it"; }
echo "$slow; $away; founding and replacement: $crashed"
((slow_seconds >= 600 && away_seconds >= 30)) && exit "$verdict"
