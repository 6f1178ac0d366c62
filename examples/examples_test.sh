#!/bin/sh
# Runs the examples; quickstart twice over one directory, so that it reads what it wrote before.
set -eu
quickstart=$1 follow=$2
data=${TEST_TMPDIR:-$(mktemp -d)}/quickstart
[ "$("$quickstart" "$data")" = "hello" ]
[ "$("$quickstart" "$data")" = "hello
hello" ]
"$follow"
