#!/bin/bash
# The suites under the sanitizers, and the sizes of files and functions.
# wanted: san and tsan suites green, no file over 600 lines, under 3 % of functions over 70 lines
set -euo pipefail
verdict=0
sanitizers=$(URSULA_CONFIGS="tsan san" python3 tests/support/suites.py | tee >(cat >&2) | tail -n 1) || verdict=1
sizes=$(tests/lint/lint.py | tee >(cat >&2) | grep '^functions:') || verdict=1
echo "sanitizers: $sanitizers; $sizes"
exit "$verdict"
