#!/bin/bash
# A browser and proxies: Debian's chromium, headless, against a server that restarts; nginx and Caddy as docs/OPERATING.md has them.
# wanted: create, append, EventSource over a restart without a gap or a repetition, CORS headers readable, a closed stream ends; 30 tails on one HTTP/2 connection; nothing skipped
set -euo pipefail
third_party/debian/install +chromium +chromium-driver +nginx-light +caddy +openssl >&2
export URSULA_GUIDE=docs/OPERATING.md
passed=0
for test in browser proxy; do
  log=$(tests/integration/${test}_test.py "$URSULAD" 2>&1) || {
    echo "$log" >&2
    exit 1
  }
  echo "$log" >&2
  if grep -q ' skipped ' <<<"$log"; then exit 1; fi
  passed=$((passed + $(grep -c ' \.\.\. ok$' <<<"$log")))
done
echo "$passed tests passed, none skipped"
