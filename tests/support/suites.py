#!/usr/bin/env python3
"""Runs all suites and counts their cases; called by tests/run.

A suite is a Bazel test target in one build configuration, server/start, or a conformance run
against what that built. Prints a line
per suite as it ends (seconds by the clock, and of CPU time), then what was skipped, the ten slowest
cases, each failure, and last "N passed, N failed".

A suite's budget is CPU time, and no clock decides: on a busy machine everything takes longer.
"""
import collections
import dataclasses
import json
import os
import pathlib
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER_BUDGET_FACTOR = 6
LOG_LINES_MAX = 80
# How the reason of a skip begins that CI=true allows: there is no such program on the machine, which
# the lists of packages don't install for its size or for what it does to a machine.
NOT_HERE = "not here: "
CONFIGS = ("plain", "san", "tsan")
TARGETS = {"plain": ["//..."], "san": ["//tests/..."], "tsan": ["//tests/..."]}


@dataclasses.dataclass
class Case:
    suite: str
    name: str
    status: str  # passed, failed, skipped or pending
    seconds: float = 0.0
    message: str = ""


def say(text):
    print(text, flush=True)


def one_line(message):
    lines = [line.strip() for line in message.strip().splitlines()]
    return " / ".join([line for line in lines if not line.startswith("at ")][:6]) or "no message"


def read_budgets():
    budgets = {}
    for line in (ROOT / "tests/budget.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            suite, seconds = line.rsplit(None, 1)
            budgets[suite] = float(seconds)
    return budgets


class Results:
    """All cases of the run; prints each suite as it is added."""

    def __init__(self):
        self.cases = []
        self.budgets = read_budgets()

    def budget(self, suite):
        if suite in self.budgets:
            return self.budgets[suite]
        config, space, name = suite.partition(" ")
        if space and config in CONFIGS:
            return SANITIZER_BUDGET_FACTOR * self.budget(name)
        return self.budgets["default"]

    def add_suite(self, suite, cases, seconds, cpu_seconds=None):
        """`cpu_seconds`: None if it isn't known, of a suite that was ended, say."""
        if cpu_seconds is not None and cpu_seconds > self.budget(suite):
            message = "took %.1f s of CPU time of %.0f s (tests/budget.txt)" % (
                cpu_seconds, self.budget(suite))
            cases.append(Case(suite, "budget", "failed", 0, message))
        if os.environ.get("URSULA_CI"):
            for case in cases:
                # Upstream's suite skips what it was told to leave out; ours skip for a privilege.
                if (case.status == "skipped" and not suite.startswith("conformance") and
                        not case.message.startswith(NOT_HERE)):
                    case.status = "failed"
                    case.message = "skipped, which CI=true does not allow: " + case.message
        count = {s: sum(c.status == s for c in cases) for s in
                 ("passed", "failed", "skipped", "pending")}
        extra = "".join(", %d %s" % (count[s], s) for s in ("failed", "skipped", "pending")
                        if count[s])
        verdict = "FAIL" if count["failed"] else "ok  "
        cpu = "      ?" if cpu_seconds is None else "%7.1f" % cpu_seconds
        say("%s %7.1f s %s cpu  %s: %d passed%s" % (verdict, seconds, cpu, suite, count["passed"],
                                                    extra))
        self.cases += cases

    def finish(self):
        shown = [c for c in self.cases
                 if c.status == "skipped" and not c.suite.startswith("conformance")]
        if shown:
            say("\nskipped:")
            for case in shown:
                say("  %s %s: %s" % (case.suite, case.name, one_line(case.message)))
        say("\nslowest cases:")
        for case in sorted(self.cases, key=lambda c: -c.seconds)[:10]:
            say("%9.2f s  %s %s" % (case.seconds, case.suite, case.name))
        failures = [c for c in self.cases if c.status == "failed"]
        if failures:
            say("\nfailures:")
            for case in failures:
                say("  %s %s: %s" % (case.suite, case.name, one_line(case.message)))
        passed = sum(c.status == "passed" for c in self.cases)
        say("")
        say("%d passed, %d failed" % (passed, len(failures)))
        return 1 if failures or not passed else 0


def xml_cases(suite, path):
    """The cases of a test.xml: GoogleTest's own, or the one that Bazel writes for other tests."""
    cases = []
    for node in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = ".".join(filter(None, (node.get("classname"), node.get("name"))))
        seconds = float(node.get("time") or node.get("duration") or 0)
        bad = [n for n in node if n.tag in ("failure", "error")]
        skipped = node.find("skipped")
        if bad:
            message = bad[0].get("message") or bad[0].text or ""
            cases.append(Case(suite, name, "failed", seconds, message))
        elif skipped is not None:
            cases.append(Case(suite, name, "skipped", seconds, skipped.get("message") or ""))
        elif node.get("status") != "notrun":
            cases.append(Case(suite, name, "passed", seconds))
    return cases


def cpu_seconds_of_log(path):
    """What tests/support/cpu_time.sh wrote at the end of a suite's log; None if it didn't."""
    try:
        with open(path, errors="replace") as log:
            tail = "".join(collections.deque(log, 5))
    except (TypeError, OSError):
        return None
    found = re.findall(r"^cpu time: (\d+)m([\d.]+)s user, (\d+)m([\d.]+)s system$", tail, re.M)
    if not found:
        return None
    user_min, user, system_min, system = map(float, found[-1])
    return 60 * (user_min + system_min) + user + system


def cpu_seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show_log(suite, path):
    """The end of a failed suite's log."""
    try:
        with open(path, errors="replace") as log:
            tail = collections.deque(log, LOG_LINES_MAX)
    except (TypeError, OSError):
        return
    say("-- the last lines of %s" % suite)
    say("".join("   " + line for line in tail).rstrip())


def suite_name(config, label):
    name = label[2:].replace(":", "/") if label.startswith("//") else label
    package, _, target = label[2:].partition(":")
    if package.rsplit("/", 1)[-1] == target:
        name = package
    if name.startswith("tests/"):
        name = name[len("tests/"):]
    return name if config == "plain" else config + " " + name


class BuildEvents:
    """Turns the build event stream of one `bazel test` into suites."""

    def __init__(self, config, results):
        self.config = config
        self.results = results
        self.attempts = {}  # label -> {(shard, run): testResult}
        self.broken = []
        self.reported = set()
        self.aborted = []

    def take(self, event):
        identity = event["id"]
        if "testResult" in identity:
            key = identity["testResult"]
            runs = self.attempts.setdefault(key["label"], {})
            runs[(key.get("shard"), key.get("run"))] = event.get("testResult", {})
        elif "testSummary" in identity and "testSummary" in event:
            self.report(identity["testSummary"]["label"])
        elif "targetCompleted" in identity:
            label = identity["targetCompleted"]["label"]
            if not event.get("completed", {}).get("success") and label not in self.broken:
                self.broken.append(label)
        elif "aborted" in event and event["aborted"].get("reason") != "SKIPPED":
            self.aborted.append(event["aborted"].get("description", "aborted"))

    def report(self, label):
        suite = suite_name(self.config, label)
        cases, seconds, cpu_seconds = [], 0.0, None
        for result in self.attempts.get(label, {}).values():
            seconds += int(result.get("testAttemptDurationMillis", 0)) / 1000
            found = []
            outputs = {o["name"]: urllib.parse.unquote(urllib.parse.urlparse(o["uri"]).path)
                       for o in result.get("testActionOutput", [])}
            try:
                found = xml_cases(suite, outputs["test.xml"])
            except (KeyError, xml.etree.ElementTree.ParseError, OSError):
                pass
            cpu = cpu_seconds_of_log(outputs.get("test.log"))
            if cpu is not None:
                cpu_seconds = (cpu_seconds or 0.0) + cpu
            if result.get("status") not in ("PASSED", "FLAKY"):
                show_log(suite, outputs.get("test.log"))
                if not any(c.status == "failed" for c in found):
                    message = "ended as " + result.get("status", "unknown") + "; its log is above"
                    found.append(Case(suite, "suite", "failed", 0, message))
            cases += found
        if cases:
            self.reported.add(label)
            self.results.add_suite(suite, cases, seconds, cpu_seconds)

    def finish(self, returncode):
        for label in self.broken:
            if label not in self.reported:
                suite = suite_name(self.config, label)
                case = Case(suite, "build", "failed", 0, "does not build; the error is above")
                self.results.add_suite(suite, [case], 0)
        nothing_to_run = returncode == 4 and self.config != "plain"
        if returncode not in (0, 3) and not self.broken and not nothing_to_run:
            why = "; ".join(self.aborted) or "bazel ended with code %d" % returncode
            suite = suite_name(self.config, "bazel")
            self.results.add_suite(suite, [Case(suite, "bazel", "failed", 0, why)], 0)


def bazel_flags(config):
    flags = ["--disk_cache=" + os.environ["URSULA_DISK_CACHE"],
             "--symlink_prefix=.bazel/tests-%s-" % config]
    if config != "plain":
        flags.append("--config=" + config)
    if not sys.stdout.isatty():
        flags += ["--curses=no", "--color=no", "--show_progress_rate_limit=20"]
    return flags + shlex.split(os.environ.get("URSULA_BAZEL_FLAGS", ""))


def bazel(command, flags, targets):
    startup = shlex.split(os.environ.get("URSULA_BAZEL_STARTUP", ""))
    return ["bazel", *startup, command, *flags, "--", *targets]


def run_bazel_suites(config, results):
    say("\n== %s suites" % config)
    events = BuildEvents(config, results)
    with tempfile.TemporaryDirectory(prefix="ursula-tests-") as scratch:
        stream = os.path.join(scratch, "events.json")
        open(stream, "w").close()
        flags = bazel_flags(config) + [
            "--build_event_json_file=" + stream, "--keep_going", "--nocache_test_results",
            "--test_summary=none", "--test_output=summary",
            "--ui_event_filters=-info", "--noshow_loading_progress",
            "--run_under=//tests/support:cpu_time"]
        for name in ("URSULA_CI", "URSULA_RAFT_TRACES"):
            if os.environ.get(name):
                flags.append("--test_env=%s=%s" % (name, os.environ[name]))
        if config != "plain":
            flags.append("--build_tests_only")
        process = subprocess.Popen(bazel("test", flags, TARGETS[config]), cwd=ROOT)
        ended = threading.Event()
        follower = threading.Thread(target=follow, args=(stream, ended, events.take))
        follower.start()
        try:
            returncode = process.wait()
        finally:
            ended.set()
            follower.join()
    events.finish(returncode)


def follow(path, ended, take):
    """Calls take() with each event of a growing file of JSON lines, until it has ended."""
    with open(path) as lines:
        partial = ""
        while True:
            last_look = ended.is_set()
            for line in iter(lines.readline, ""):
                partial += line
                if partial.endswith("\n"):
                    take(json.loads(partial))
                    partial = ""
            if last_look:
                return
            time.sleep(0.2)


def run_start(results):
    """server/start as a newcomer types it: builds what users run, and serves."""
    say("\n== start")
    start, cpu = time.monotonic(), cpu_seconds_of_children()
    with tempfile.TemporaryDirectory(prefix="ursula-tests-") as scratch:
        report = os.path.join(scratch, "report.xml")
        subprocess.run([sys.executable, str(ROOT / "tests/integration/start_test.py"),
                        str(ROOT / "server/start")],
                       env=dict(os.environ, XML_OUTPUT_FILE=report))
        try:
            cases = xml_cases("start", report)
        except (OSError, xml.etree.ElementTree.ParseError):
            cases = [Case("start", "suite", "failed", 0, "no report; its output is above")]
    results.add_suite("start", cases, time.monotonic() - start, cpu_seconds_of_children() - cpu)


def run_conformance(results, suite, command):
    say("\n== " + suite)
    start, cpu = time.monotonic(), cpu_seconds_of_children()
    binary = ROOT / ".bazel/opt-bin/server/ursulad"
    with tempfile.TemporaryDirectory(prefix="ursula-tests-") as scratch:
        report = os.path.join(scratch, "report.json")
        environment = dict(os.environ, URSULAD=os.environ.get("URSULAD", str(binary)))
        subprocess.run([str(ROOT / "tests/conformance" / command[0]), *command[1:], "--json", report],
                       env=environment)
        try:
            with open(report) as f:
                found = json.load(f)["cases"]
        except OSError:
            found = [{"name": "suite", "status": "failed", "seconds": 0,
                      "message": "the runner left no report; its output is above"}]
    cases = [Case(suite, **case) for case in found]
    results.add_suite(suite, cases, time.monotonic() - start,
                      cpu_seconds_of_children() - cpu)


def announce(budgets):
    """Says what of this is for the project's own eyes."""
    long = sorted((s for s in budgets if budgets[s] > budgets["default"]), key=lambda s: -budgets[s])
    say("Every suite runs whole, as the project's own check does. Of minutes of CPU time are: %s.\n"
        "They look for faults in the code, not in a machine; to see that it works here,"
        " `bazel test //tests/unit/...` is enough." % ", ".join(long))


def main():
    results = Results()
    announce(results.budgets)
    for config in os.environ.get("URSULA_CONFIGS", "plain").split():
        run_bazel_suites(config, results)
        if config == "plain":
            run_start(results)
            run_conformance(results, "conformance", ["run"])
            # The clients know nothing of clusters: the protocol is enough.
            run_conformance(results, "conformance/cluster",
                            ["run_cluster", "--file", "protocol.test.mjs"])
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
