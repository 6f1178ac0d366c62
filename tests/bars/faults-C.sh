#!/bin/bash
# A whole engine on a simulated disk against a model of its API, on two processes: random operations, many of them under
# way together (URSULA_SIM_SEEDS says how many seeds otherwise). Both orders of every race (tests/sim/engine/orders.cc) and
# what else must be met (marks.cc) are met by one of the two.
# wanted: >= 1000000 operations, 0 violations, every mark met, evictions and restarts
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
missed=$(sort "$results"/* | grep '^not hit' | uniq -d || true)
total() { tail -qn 1 "$results"/* | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'; }
[ -z "$missed" ] || { echo "met by neither:" >&2 && echo "$missed" >&2 && verdict=1; }
((operations = $(total operations), operations >= 1000000)) || verdict=1
for figure in together lost evictions restarts; do (($(total "$figure") > 0)) || verdict=1; done
echo "$(tail -qn 1 "$results"/* | paste -sd '|' | sed 's/|/ | /'), met by neither: $(grep -c . <<<"$missed" || true)"
exit "$verdict"
