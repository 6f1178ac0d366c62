#!/bin/bash
# What doesn't belong to a cluster, at its peer listeners: other secrets, ids and directories, garbage, half-open connections. Then libFuzzer on what peers send.
# URSULA_FUZZ_SECONDS makes it shorter.
# wanted: clear lines, service goes on; 1000 half-open connections: RSS + 32 MiB at most; 10 minutes of the targets peer and peer_stream clean
set -euo pipefail
export URSULA_PEER_CONNECTIONS=1000
log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdict=0
tests/integration/peer_abuse_test.py "$URSULAD" 2>&1 | tee "$log" || verdict=1
tests/integration/cluster_test.py "$URSULAD" Refusals 2>&1 | tee -a "$log" || verdict=1
half_open=$(grep -oE '[0-9]+ half-open connections: .*' "$log") || verdict=1
seconds=${URSULA_FUZZ_SECONDS:-600}
peer=$(tests/fuzz/run peer "$((seconds / 2))" | tail -n 1) || verdict=1
stream=$(tests/fuzz/run peer_stream "$((seconds / 2))" | tail -n 1) || verdict=1
echo "$(grep -cE '(^| )ok$' "$log") cases right; $half_open; $peer; $stream"
exit "$verdict"
