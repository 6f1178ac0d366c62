#!/bin/bash
# Fuzzes each target, one after the other, while a server soaks beside it. URSULA_FUZZ_SECONDS and
# URSULA_SOAK_SECONDS make it shorter.
# wanted: 10 minutes each target, clean; 90 minutes of load with churn: RSS slope under 1 % an hour after warm-up, descriptors flat
set -euo pipefail
log=$(mktemp)
python3 tests/bench/proof_soak.py >"$log" &
soak=$!
trap 'kill "$soak" 2>/dev/null || true; rm -f "$log"' EXIT

targets=0
clean=0
for corpus in tests/fuzz/corpus/*/; do
  targets=$((targets + 1))
  tests/fuzz/run "$(basename "$corpus")" "${URSULA_FUZZ_SECONDS:-600}" && clean=$((clean + 1))
done
verdict=0
wait "$soak" || verdict=1
cat "$log"
echo "$clean of $targets targets clean; $(tail -n 1 "$log")"
((clean == targets)) && exit "$verdict"
