#!/bin/bash
# Upstream's suite against clusters, as they are and while their other nodes are killed and started again in turn.
# wanted: with 1 and 64 groups, at each node of 3 and of 5: all pass; while others are killed: no wrong answer (a documented 503 or 504 is none)
set -euo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
calm=0 disturbed=0 refused=0 kills=0

# suite ARG...: against one cluster.
suite() {
  echo "run_cluster $*"
  tests/conformance/run_cluster --file protocol.test.mjs "$@" 2>&1 | tee "$log" || verdict=1
}

for groups in 64 1; do
  for nodes in 3 5; do
    for ((node = 1; node <= nodes; node++)); do
      suite --groups "$groups" --nodes "$nodes" --node "$node"
      grep -q '^conformance: [1-9][0-9]* passed, 0 failed' "$log" || verdict=1
      calm=$((calm + 1))
      suite --groups "$groups" --nodes "$nodes" --node "$node" --disturbed
      if [[ $(tail -n 1 "$log") =~ ^disturbed\ by\ ([0-9]+)\ kills:\ [0-9]+\ passed,\ ([0-9]+)\ met ]]; then
        kills=$((kills + BASH_REMATCH[1])) refused=$((refused + BASH_REMATCH[2]))
      else
        verdict=1
      fi
      disturbed=$((disturbed + 1))
    done
  done
done
echo "$calm runs as they are, $disturbed runs through $kills kills with $refused tests that met a 503 or 504; wrong answers: $( ((verdict)) && echo some || echo none)"
exit "$verdict"
