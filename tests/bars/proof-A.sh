#!/bin/bash
# The storage stack on a simulated disk: 20 000 seeds on two processes (URSULA_SIM_SEEDS says how
# many otherwise), every single fault of a kind, and planted bugs.
# wanted: 20000 seeds, 0 violations, every mark hit; every bit, truncation and subset of sectors; every planted bug caught
set -euo pipefail
build=(--config=opt --symlink_prefix=.bazel/opt- ${URSULA_BAZEL_FLAGS:-}
  --disk_cache="$URSULA_DISK_CACHE")
bazel ${URSULA_BAZEL_STARTUP:-} build "${build[@]}" -- //tests/sim/storage/... >&2
seeds=${URSULA_SIM_SEEDS:-20000}
half=$((seeds / 2))
bin=.bazel/opt-bin/tests/sim/storage
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
verdict=0
pids=()
for i in 0 1; do
  "$bin/storage_sim" --first=$((i * half)) --count=$half --all-marks >"$results/$i" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || verdict=1; done
cat "$results"/[01] >&2

"$bin/exhaustive_test" >"$results/exhaustive" || verdict=1
cat "$results/exhaustive" >&2
planted=0
caught=0
for test in "$bin"/planted_*_test; do
  name=$(basename "$test" _test)
  planted=$((planted + 1))
  PLANTED_BUG=${name#planted_} "$test" | tee >(cat >&2) >"$results/planted" || continue
  caught=$((caught + 1))
done
((planted >= 8 && caught == planted)) || verdict=1
sum=$(tail -qn 1 "$results"/[01] | paste -sd '|' | sed 's/|/ | /')
echo "$sum; $(grep -m 1 'bits flipped' "$results/exhaustive"); $caught of $planted planted bugs caught"
exit "$verdict"
