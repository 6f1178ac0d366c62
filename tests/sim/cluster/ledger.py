#!/usr/bin/env python3
"""The ledger of simulated seeds, ledger.txt: what was run of which commit, and the digest of it.

usage: ledger.py sum                 seeds in it, and violations
       ledger.py add SUM-LINES       of a clean commit: what cluster_sim printed of ranges

A line is: COMMIT FIRST COUNT DIGEST. Anyone can check one: at that commit,
`cluster_sim --first=FIRST --count=COUNT --digest=COUNT` prints the same digest.
Ranges of violations are not entered.
"""
import pathlib
import re
import subprocess
import sys

LEDGER = pathlib.Path(__file__).with_name("ledger.txt")
RANGE = re.compile(r"seeds (\d+) to (\d+): digest ([0-9a-f]{16})")


def lines():
    if not LEDGER.exists():
        return []
    return [line.split() for line in LEDGER.read_text().splitlines()
            if line.strip() and not line.startswith("#")]


def total():
    """A seed of one commit counts once."""
    seen = set()
    for commit, first, count, _ in lines():
        seen |= {(commit, seed) for seed in range(int(first), int(first) + int(count))}
    return len(seen)


def git(*words):
    return subprocess.run(["git", *words], cwd=LEDGER.parent, capture_output=True, text=True,
                          check=True).stdout.strip()


def add(path):
    text = pathlib.Path(path).read_text()
    if "violation " in text or not RANGE.search(text):
        raise SystemExit("there is a violation, or nothing: not entered")
    changed = git("status", "--porcelain", "--", ":/lib", ":/tests/sim", ":/tests/support",
                  ":/tests/unit/group")
    if [line for line in changed.splitlines() if not line.endswith("ledger.txt")]:
        raise SystemExit("the tree differs from its commit: not entered")
    commit = git("rev-parse", "--short=12", "HEAD")
    known = {tuple(line[:3]) for line in lines()}
    with LEDGER.open("a") as ledger:
        for first, last, digest in RANGE.findall(text):
            entry = (commit, first, str(int(last) - int(first) + 1))
            if entry not in known:
                ledger.write(" ".join((*entry, digest)) + "\n")


def main(arguments):
    if arguments == ["sum"]:
        print(total())
    elif len(arguments) == 2 and arguments[0] == "add":
        add(arguments[1])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
