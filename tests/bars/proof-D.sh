#!/bin/bash
# Memory and descriptors of the optimized server; a slow reader of a fast stream.
# wanted: idle RSS <= 40 MB, 100 000 idle streams add <= 100 MB and no descriptors, 10 000 idle SSE tails add <= 100 MB, a slow reader is bounded, cut, resumes without loss, and the p99 of the rest stays within 1.2x
set -euo pipefail
exec python3 tests/bench/proof_memory.py
