#!/bin/bash
# Appends and creates against commit 84b6b36 in one run, 256 B but for the bulk of 64 KiB.
# URSULA_OLDER is that commit's ursulad; else it is built from the repository's history (.cache/older).
# wanted: 64 and 256 connections: memory >= 1.2x, durable >= 1.15x, p99 not above; 100 000 streams >= 0.85x of 64; 64 KiB >= 1.15x; creates >= 1x; memory a stream <= 1x
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //tests/bench:ursula_bench >&2
exec tests/bench/proof_ahead.py appends
