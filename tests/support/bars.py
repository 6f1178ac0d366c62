#!/usr/bin/env python3
"""Measures bars; called by `tests/run --full [BAR...]`.

tests/bars/AREA-LETTER.sh holds one bar; AREA alone names all of its bars. A line "# wanted: ..."
says what the bar must show. It gets URSULAD (an optimized binary), runs from the root of the
checkout, and prints the figure as its last line; its exit code is the verdict. Bars passed on a
clean commit are remembered in .cache.
"""
import os
import pathlib
import subprocess
import sys

import suites

BARS = suites.ROOT / "tests/bars"


def memory_of_this_commit():
    """Where passed bars of this commit are noted, or None if the tree differs from any commit."""
    def git(*args):
        return subprocess.run(["git", *args], cwd=suites.ROOT, capture_output=True, text=True)
    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    if commit.returncode or changes.returncode or changes.stdout.strip():
        return None
    return suites.ROOT / ".cache/bars" / commit.stdout.strip()


def named(script, name):
    """A name means one bar, or all of one area: "node-C", "node"."""
    return script.stem == name or script.stem.startswith(name + "-")


def wanted(script):
    for line in script.read_text().splitlines():
        if line.startswith("# wanted:"):
            return line[len("# wanted:"):].strip()
    return "not stated"


def measure(script, environment):
    """The figure and whether the bar holds; everything printed goes through to the console."""
    process = subprocess.Popen([str(script)], cwd=suites.ROOT, env=environment, text=True,
                               stdout=subprocess.PIPE)
    figure = "no figure"
    for line in process.stdout:
        print("  " + line, end="", flush=True)
        figure = line.strip() or figure
    return figure, process.wait() == 0


def main(names):
    every = sorted(BARS.glob("*.sh"))
    unknown = [n for n in names if not any(named(s, n) for s in every)]
    if unknown:
        suites.say("no such bar: %s (there are: %s)" % (
            " ".join(unknown), " ".join(s.stem for s in every)))
        return 2
    scripts = [s for s in every if not names or any(named(s, n) for n in names)]
    build = suites.bazel("build", ["--config=opt", *suites.bazel_flags("plain"),
                                   "--symlink_prefix=.bazel/opt-"], ["//:ursulad"])
    if subprocess.run(build, cwd=suites.ROOT).returncode:
        return 1
    environment = dict(os.environ, URSULAD=str(suites.ROOT / ".bazel/opt-bin/server/ursulad"))
    memory = memory_of_this_commit()
    if memory is None:
        suites.say("The tree has changes: every bar is measured and none remembered.")
    verdicts = []
    for script in scripts:
        note = memory / script.stem if memory else None
        if note and note.exists():
            suites.say(note.read_text())
            verdicts.append(True)
            continue
        figure, good = measure(script, environment)
        line = "bar %s: %s (%s) %s" % (script.stem, figure, wanted(script),
                                       "pass" if good else "fail")
        suites.say(line)
        verdicts.append(good)
        if good and note:
            memory.mkdir(parents=True, exist_ok=True)
            note.write_text(line)
    suites.say("\n%d passed, %d failed" % (sum(verdicts), verdicts.count(False)))
    return 0 if verdicts and all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
