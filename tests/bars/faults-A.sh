#!/bin/bash
# Two writers race one expected tail over connections that are kept alive.
# wanted: 100000 rounds, exactly one 2xx in each; 412 and then the same producer sequence is accepted
set -euo pipefail
URSULA_RACE_ROUNDS=100000 tests/integration/conditional_test.py "$URSULAD" Races |
  tee >(cat >&2) | grep ' rounds, one 2xx in each'
