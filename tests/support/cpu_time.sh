#!/bin/bash
# Runs a test and says at the end of its log how much CPU time it and what it waited for took:
# tests/support/suites.py holds a suite to its budget by that. For `bazel test --run_under`.
"$@"
status=$?
times >"$TEST_TMPDIR/.cpu_time"
{
  read -r _  # This shell's own.
  read -r user system
} <"$TEST_TMPDIR/.cpu_time"
printf 'cpu time: %s user, %s system\n' "$user" "$system"
exit "$status"
