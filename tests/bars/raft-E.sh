#!/bin/bash
# One core steps entries through propose, replicate to two, acknowledge, commit and apply.
# wanted: >= 2000000 entries/s (median of 5 rounds), 0 allocations an entry, lib/raft within 500 lines a file and 70 a function
set -euo pipefail
read -ra flags <<<"${URSULA_BAZEL_FLAGS:-}"
read -ra startup <<<"${URSULA_BAZEL_STARTUP:-}"
bazel "${startup[@]}" build --config=opt --symlink_prefix=.bazel/opt- \
  --disk_cache="${URSULA_DISK_CACHE:-$HOME/.cache/ursula-bazel}" "${flags[@]}" \
  //tests/bench/raft:raft_bench >&2
read -r speed allocations < <(.bazel/opt-bin/tests/bench/raft/raft_bench | tee >(cat >&2) | tail -n 1)

# The lint holds lib/raft to these limits; here they are counted once more, and shown.
read -r file function < <(cd tests/lint && python3 - <<'PYTHON'
import pathlib

import cpp

texts = [p.read_text() for p in sorted(pathlib.Path("../../lib/raft").glob("*.*"))
         if p.suffix in (".cc", ".h")]
functions = [lines for text in texts for _, _, lines in cpp.functions(cpp.strip(text))]
print(max(text.count("\n") for text in texts), max(functions))
PYTHON
)
echo "$speed entries/s, $allocations allocations an entry; longest file $file lines, function $function"
((speed >= 2000000 && file <= 500 && function <= 70)) && [[ $allocations == 0 ]]
