#!/bin/bash
# The state machine against a slow model, and replicas of any memory, cores and restarts against each other.
# wanted: every sequence to depth 6 and 10^6 random commands agree; 10^6 commands give 4 unlike nodes equal states
set -euo pipefail
# shellcheck disable=SC2086
bazel ${URSULA_BAZEL_STARTUP:-} test --symlink_prefix=.bazel/tests-plain- ${URSULA_BAZEL_FLAGS:-} \
  --nocache_test_results --test_timeout=3000 --test_output=errors \
  --test_env=URSULA_MODEL_COMMANDS=1000000 --test_env=URSULA_MODEL_DEPTH=6 \
  --test_env=URSULA_AGREEMENT_COMMANDS=1000000 -- //tests/model/... >&2
agreed=$(grep ' states compared' .bazel/tests-plain-testlogs/tests/model/replica_agreement_test/test.log)
echo "depth 6 and 1000000 commands agree with the model; unlike nodes: $agreed"
