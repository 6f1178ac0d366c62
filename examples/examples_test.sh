#!/bin/sh
# Runs the examples; quickstart twice over one directory, so that it reads what it wrote before.
set -eu
quickstart=$1 follow=$2 three_nodes=$3
data=${TEST_TMPDIR:-$(mktemp -d)}/quickstart
[ "$("$quickstart" "$data")" = "hello" ]
[ "$("$quickstart" "$data")" = "hello
hello" ]
"$follow"
cluster=${TEST_TMPDIR:-$(mktemp -d)}/three-nodes
mkdir -p "$cluster"
[ "$("$three_nodes" "$cluster")" = "by node 1
by node 2
by node 2, without node 1" ]
