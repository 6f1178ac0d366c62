#!/bin/bash
# Bad input of every kind, slow clients, little memory.
# wanted: all of 113 and more clauses of HTTP and 87 and more of smuggling safe, every suite of bad input answered, append p99 beside 1000 slow connections <= 2x idle, alive and whole in a memory cgroup of 256 MB
set -euo pipefail
exec python3 tests/bench/proof_abuse.py
