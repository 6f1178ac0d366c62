#!/bin/bash
# A whole engine on a simulated disk against a model of its API, on two processes: random operations, many of them under
# way together (URSULA_SIM_SEEDS says how many seeds otherwise).
# wanted: >= 1000000 operations, 0 violations
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/sim/engine:engine_sim >&2
seeds=${URSULA_SIM_SEEDS:-2400}
half=$((seeds / 2))
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
pids=()
for i in 0 1; do
  .bazel/opt-bin/tests/sim/engine/engine_sim --first=$((i * half)) --count=$half --digest=200 >"$results/$i" &
  pids+=($!)
done
verdict=0
for pid in "${pids[@]}"; do wait "$pid" || verdict=1; done
cat "$results"/* >&2
echo "$(tail -qn 1 "$results"/* | paste -sd '|' | sed 's/|/ | /')"
operations=$(tail -qn 1 "$results"/* | grep -oE '[0-9]+ operations' | awk '{ sum += $1 } END { print sum }')
((operations >= 1000000)) || verdict=1
exit "$verdict"
