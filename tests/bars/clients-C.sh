#!/bin/bash
# The Debian package and its unit: without a service manager, and on a machine of its own that systemd runs, in namespaces (root); its image, under podman.
# wanted: installed, started, killed, hung, upgraded, rebooted, removed and purged under systemd, the data stays; built and run in a container with io_uring refused and allowed, stopped clean, the volume's data stays; none skipped
set -euo pipefail
third_party/debian/install build test +podman +runc +strace >&2
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
if grep -q ' skipped ' "$log"; then exit 1; fi
echo "$systemd tests under systemd passed, and $(grep -c ' \.\.\. ok$' "$log") of the package, its unit and its container; none skipped"
