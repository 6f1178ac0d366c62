#!/bin/bash
# lib/raft uses nothing but lib/base and the public headers; libFuzzer steps arbitrary messages.
# URSULA_FUZZ_SECONDS makes it shorter.
# wanted: lint green, 10 minutes of the target raft clean
set -euo pipefail
verdict=0
layers=$(tests/lint/lint.py | tee >(cat >&2) | tail -n 1) || verdict=1
fuzzed=$(tests/fuzz/run raft "${URSULA_FUZZ_SECONDS:-600}" | tail -n 1) || verdict=1
echo "$layers; $fuzzed"
exit "$verdict"
