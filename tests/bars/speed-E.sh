#!/bin/bash
# Batches of 100 appends of 256 B over 64 streams against single appends; medians of 5 alternations in one run.
# wanted: appends/s in batches >= 3x of single ones, in memory and durable
set -euo pipefail
exec tests/bench/proof_batch.py --alternations "${URSULA_BENCH_ALTERNATIONS:-5}" \
  --seconds "${URSULA_BENCH_SECONDS:-4}"
