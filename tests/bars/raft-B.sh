#!/bin/bash
# The claims of the Raft paper's sections, each a test named for its sentence.
# wanted: 26 of 26
set -euo pipefail
bazel ${URSULA_BAZEL_STARTUP:-} test --symlink_prefix=.bazel/tests-plain- ${URSULA_BAZEL_FLAGS:-} \
  --disk_cache="$URSULA_DISK_CACHE" --nocache_test_results --test_output=errors \
  -- //tests/unit/raft:paper_test >&2
passed=$(grep -c '<testcase .*status="run" result="completed"' \
  .bazel/tests-plain-testlogs/tests/unit/raft/paper_test/test.xml)
echo "$passed claims hold"
((passed == 26))
