#!/bin/bash
# The conformance suite against a durable ursulad, on each number of cores and groups, three times in a row.
# wanted: 332 of 332 in each of 12 runs
set -euo pipefail
good=0
runs=0
for cores in 1 2; do
  for groups in 1 64; do
    for _ in 1 2 3; do
      runs=$((runs + 1))
      echo "$cores cores, $groups groups"
      tests/conformance/run --file protocol.test.mjs --pending /dev/null -- \
        --core-count "$cores" --raft-group-count "$groups" | tee >(cat >&2) | tail -n 1 |
        grep -q 'conformance: 332 passed, 0 failed' && good=$((good + 1))
    done
  done
done
echo "332 of 332 in $good of $runs runs"
((good == runs))
