#!/bin/bash
# 10 GB over 200 streams with 64 MiB of hot data while three groups idle; about 12 GB of disk.
# wanted: RSS under 400 MiB, WAL under its limit, a 1 GB stream replayed at 300 MB/s or more
set -euo pipefail
figure=$(URSULA_LARGE_MIB=10240 tests/integration/large_data_test.py "$URSULAD" | tee >(cat >&2) |
  grep ' on 200 streams: ')
echo "$figure"
[[ $figure =~ replayed\ at\ ([0-9]+)\ MB/s ]] && ((BASH_REMATCH[1] >= 300))  # The first time: from the disk.
