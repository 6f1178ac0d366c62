#!/bin/bash
# Simulated replicas on two processes, from fixed seeds: groups (tests/sim/cluster) and whole engines of three nodes (tests/sim/engine). A hundredth of the former runs again in another process at another optimization level.
# URSULA_SIM_SEEDS says how many seeds otherwise; the bar doesn't hold then. URSULA_LEDGER=1 enters the ranges into tests/sim/cluster/ledger.txt, by which anybody can check them at their commit.
# wanted: 10000 seeds, 50000 in the ledger, 0 violations, each >= 500 operations and 5 faults, half of them with changes of members, every mark hit, >= 100 seeds a minute and core, equal hashes; >= 80 % of the seconds outside faults plus 3 s served in every group
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" \
  -- //tests/sim/cluster:cluster_sim //tests/sim/engine:engines_sim >&2
bazel ${URSULA_BAZEL_STARTUP:-} build --symlink_prefix=.bazel/tests-plain- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/sim/cluster:cluster_sim >&2
seeds=${URSULA_SIM_SEEDS:-10000}
half=$((seeds / 2))
engines=$((seeds / 20))
digest=$((seeds / 20 > 0 ? seeds / 20 : 1))
hundredth=$((seeds / 100 > 0 ? seeds / 100 : 1))
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
verdict=0
bin=.bazel/opt-bin/tests/sim
# run NAME PROGRAM FIRST COUNT DIGEST: two processes.
run() {
  local pids=()
  for i in 0 1; do
    "$bin/$2" --first=$((i * $3)) --count="$3" --digest="$4" >"$results/$1-$i" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || verdict=1; done
  cat "$results/$1"-[01] >&2
}
run groups cluster/cluster_sim "$half" "$digest"
run engines engine/engines_sim "$engines" "$((engines > 0 ? engines : 1))"

# total NAME FIGURE: summed up over both.
total() { tail -qn 1 "$results/$1"-[01] | grep -oE "[0-9]+ $2" | awk '{ sum += $1 } END { print sum + 0 }'; }
missed=$(for name in groups engines; do
  sort "$results/$name"-[01] | grep '^not hit' | uniq -d || true
done)
[[ -z $missed ]] || { echo "met by neither:" >&2 && echo "$missed" >&2 && verdict=1; }
changing=$(total groups "seeds with them")
small=$(total groups "too small")
calm=$(total groups "calm seconds")
served=$(total groups "of them served")
violations=$(($(total groups violations) + $(total engines violations)))
((2 * changing >= 2 * half && small == 0 && violations == 0)) || verdict=1
((calm > 0 && 100 * served >= 80 * calm)) || verdict=1
rates=()
for file in "$results"/groups-[01]; do
  rate=$(tail -n 1 "$file" | grep -oE '[0-9]+ seeds a minute' | cut -d' ' -f1)
  rates+=("$rate")
  ((rate >= 100)) || verdict=1
done

# The first ones once more, in two other processes: of this optimization, and of another.
again() { "$1" --first=0 --count="$hundredth" --digest="$hundredth" | grep -m 1 '^seeds ' | grep -oE 'digest [0-9a-f]+'; }
equal="equal hashes"
[[ $(again "$bin/cluster/cluster_sim") == "$(again .bazel/tests-plain-bin/tests/sim/cluster/cluster_sim)" ]] ||
  { equal="other hashes" && verdict=1; }

if [[ ${URSULA_LEDGER:-} == 1 ]]; then
  cat "$results"/groups-[01] >"$results/ranges"
  tests/sim/cluster/ledger.py add "$results/ranges" >&2
fi
ledger=$(tests/sim/cluster/ledger.py sum)
echo "$((2 * half)) seeds of groups and $((2 * engines)) of engines: $violations violations, $changing with changes of members, $small too small, $served of $calm calm seconds served, ${rates[*]} seeds a minute, marks met by neither: $(grep -c . <<<"$missed" || true), $hundredth seeds again at another level: $equal, $ledger in the ledger"
# Engines in a cluster have one to three cores here, so that one mark of those wanted isn't there.
((seeds >= 10000 && ledger >= 50000)) && grep -q "of one and of four cores in one group" "$bin/engine/engines_sim" &&
  exit "$verdict"
