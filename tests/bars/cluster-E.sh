#!/bin/bash
# Speed of three nodes against one, all synced and on one device, 256 B, 256 connections on 256 streams; medians of 5 alternations in one run.
# wanted: clients at the leaders >= 0.38 of one node (goal 0.45), anywhere >= 0.28 (goal 0.35), p99 <= 4x; one connection: latency <= 3x; entries sent per commit <= 2.2
set -euo pipefail
exec tests/bench/proof_cluster.py --alternations "${URSULA_BENCH_ALTERNATIONS:-5}" \
  --seconds "${URSULA_BENCH_SECONDS:-4}"
