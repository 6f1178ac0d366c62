#!/bin/bash
# kill -9 under load from 64 connections on 50 streams, each restart with another number of cores.
# wanted: 100 kills, 0 acknowledged appends lost, doubled or reordered
set -euo pipefail
URSULA_KILL_ROUNDS=100 tests/integration/kill_test.py "$URSULAD" | tee >(cat >&2) | grep ' kills, '
