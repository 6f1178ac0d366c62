#!/bin/bash
# All suites under the address, undefined-behaviour and thread sanitizers; lint; libFuzzer on frames and group calls, on streams between ursulads, and on META.
# URSULA_FUZZ_SECONDS makes the latter shorter, URSULA_SANITIZERS="" leaves the former out; the bar doesn't hold then.
# wanted: san and tsan green; lint green; 10 minutes of each of the targets peer, peer_stream and meta clean
set -euo pipefail
both="san tsan"
sanitizers=${URSULA_SANITIZERS-$both}
seconds=${URSULA_FUZZ_SECONDS:-600}
verdict=0
layers=$(tests/lint/lint.py | tee >(cat >&2) | tail -n 1) || verdict=1
fuzzed=()
for target in peer peer_stream meta; do
  fuzzed+=("$(tests/fuzz/run "$target" "$seconds" | tail -n 1)") || verdict=1
  [[ ${fuzzed[-1]} == *" clean" ]] || verdict=1
done
suites="no sanitizers"
if [[ -n $sanitizers ]]; then
  suites=$(URSULA_CONFIGS=$sanitizers python3 tests/support/suites.py | tee >(cat >&2) | tail -n 1) || verdict=1
  suites="$sanitizers: $suites"
fi
printf '%s; ' "$suites" "$layers" "${fuzzed[@]}"
echo "${seconds} s each"
[[ $sanitizers == "$both" ]] && ((seconds >= 600)) && exit "$verdict"
