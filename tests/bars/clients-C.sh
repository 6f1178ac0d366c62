#!/bin/bash
# The Debian package and its unit: without a service manager, and on a machine of its own that systemd runs, in namespaces (root).
# wanted: installed, started, killed, hung, upgraded, rebooted, removed and purged under systemd, the data stays; nothing of that skipped
set -euo pipefail
third_party/debian/install build test >&2
bazel ${URSULA_BAZEL_STARTUP:-} build --config=opt --symlink_prefix=.bazel/opt- \
  ${URSULA_BAZEL_FLAGS:-} --disk_cache="$URSULA_DISK_CACHE" -- //server/packaging:deb >&2
URSULA_DEB=$PWD/.bazel/opt-bin/server/packaging/ursulad.deb
export URSULA_DEB URSULA_CONTAINERFILE=server/packaging/Containerfile
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests/integration/systemd_test.py "$URSULAD" 2>&1 | tee "$log" >&2
if grep -q ' skipped ' "$log"; then exit 1; fi
systemd=$(grep -c ' \.\.\. ok$' "$log")
tests/integration/package_test.py "$URSULAD" 2>&1 | tee "$log" >&2
echo "$systemd tests under systemd passed; of the package's $(grep -c ' \.\.\. ok$' "$log") passed, $(grep -c ' skipped ' "$log") not here"
