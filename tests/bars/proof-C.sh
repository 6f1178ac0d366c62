#!/bin/bash
# Speed against peers and limits, medians of 5 alternations in one run, 64 connections, 256 B.
# wanted: noop/nginx >= 0.8, memory/noop >= 0.6, durable/memory >= 0.6, durable/reference-file >= 35, durable/reference-memory >= 1, append p99 <= 0.1 of reference-file's, fan-out and replay p99 <= 0.2, each frame encoded once, log bytes >= 0.75 fio with 64 KiB blocks, 10 000 and 100 000 streams >= 0.8 of 64, creates >= 0.5 of appends
set -euo pipefail
# URSULA_BENCH_OUT=docs renews docs/benchmarks.md by the way.
exec tests/bench/compare --bars --out "${URSULA_BENCH_OUT:-.cache/bench-page}" \
  --alternations "${URSULA_BENCH_ALTERNATIONS:-5}" --seconds "${URSULA_BENCH_SECONDS:-4}"
