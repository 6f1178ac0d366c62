#!/bin/bash
# The single node stays what it is: every earlier bar of its own, and its speed and memory against commit 84b6b36 in one run.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older). URSULA_EARLIER_BARS are those to run (none: ""); the bar doesn't hold with fewer.
# wanted: all bars of node, raft, proof, faults and clients; durable appends >= 0.97x, memory a stream <= 1x
set -euo pipefail
every="node raft proof faults clients"
earlier=${URSULA_EARLIER_BARS-$every}
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
tests/bench/proof_older.py appends | tee "$log" >&2 || verdict=1
figure=$(tail -n 1 "$log")
bars="no earlier bars"
if [[ -n $earlier ]]; then
  # shellcheck disable=SC2086
  python3 tests/support/bars.py $earlier | tee "$log" >&2 || verdict=1
  bars="earlier bars: $(tail -n 1 "$log")"
fi
echo "$figure; $bars"
[[ $earlier == "$every" ]] && exit "$verdict"
