#!/bin/bash
# Fifteen bugs planted in lib/raft, each linked with the recorded histories and with the simulation.
# wanted: 15 of 15 caught by histories or simulation, with the seeds to catch
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} test --symlink_prefix=.bazel/tests-plain- ${URSULA_BAZEL_FLAGS:-} \
  --disk_cache="$URSULA_DISK_CACHE" --nocache_test_results --test_output=errors --keep_going \
  -- //tests/golden/raft/... //tests/sim/raft/... >&2
logs=.bazel/tests-plain-testlogs/tests
caught=0
for patch in tests/golden/raft/planted/*.patch; do
  name=$(basename "$patch" .patch)
  line=$(grep -hoE "caught at seed.*" "$logs/sim/raft/planted_${name}_test/test.log" 2>/dev/null || true)
  if grep -q '  PASSED  ' "$logs/golden/raft/planted_${name}_test/test.log"; then
    line="histories${line:+, simulation: $line}"
  fi
  echo "$name: ${line:-not caught}"
  [[ -z $line ]] || caught=$((caught + 1))
done
echo "$caught of 15 caught"
((caught == 15))
