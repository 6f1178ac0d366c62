#!/bin/bash
# How long a group takes no appends when its leader is killed, stopped, cut off or asked to stop. Needs root, for networks of its own.
# usage: cluster-D.sh [TIMES [STOPS]]
# wanted: 64 groups, 30 times: killed median <= 0.6 s, p99 <= 1.5 s, max <= 3 s; SIGSTOP or cut median <= 2.5 s; asked to stop 200 times: no failed request, pause p99 < 100 ms
set -euo pipefail
times=${1:-30} stops=${2:-200}
third_party/debian/install test
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
figures=()
for how in kill pause cut stop; do
  [[ $how == stop ]] && count=$stops || count=$times
  tests/integration/failover.py "$URSULAD" --how "$how" --times "$count" 2>&1 | tee "$log" || verdict=1
  figures+=("$(tail -n 1 "$log")")
done
(IFS=';' && echo "${figures[*]}")
exit "$verdict"
