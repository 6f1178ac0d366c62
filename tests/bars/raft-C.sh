#!/bin/bash
# Simulated groups: 100 000 seeds on two processes. URSULA_SIM_SEEDS says how many otherwise.
# wanted: 100000 seeds, 0 violations, every mark hit, >= 3000 seeds a minute and core
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/sim/raft:raft_sim >&2
seeds=${URSULA_SIM_SEEDS:-100000}
half=$((seeds / 2))
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
pids=()
for i in 0 1; do
  .bazel/opt-bin/tests/sim/raft/raft_sim --first=$((i * half)) --count=$half --all-marks >"$results/$i" &
  pids+=($!)
done
verdict=0
for pid in "${pids[@]}"; do wait "$pid" || verdict=1; done
cat "$results"/* >&2
echo "$(tail -qn 1 "$results"/* | paste -sd '|' | sed 's/|/ | /')"
for i in 0 1; do
  rate=$(tail -n 1 "$results/$i" | grep -oE '[0-9]+ seeds a minute' | cut -d' ' -f1)
  ((rate >= 3000)) || verdict=1
done
exit "$verdict"
