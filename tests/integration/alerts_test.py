#!/usr/bin/env python3
"""The alert file: each expression is one, on metrics and labels that a node really has, and the
guide says what to do about each alert. With promtool (Debian's package prometheus), where it is
installed or URSULA_PROMTOOL names it, also what each fires on."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
import nodes

ALERTS = pathlib.Path(os.environ["URSULA_ALERTS"]).resolve()
CASES = pathlib.Path(os.environ["URSULA_ALERT_CASES"]).resolve()
GUIDE = pathlib.Path(os.environ["URSULA_ALERT_GUIDE"]).resolve()
PROMTOOL = os.environ.get("URSULA_PROMTOOL") or shutil.which("promtool")

# What Prometheus itself adds.
OF_THE_SCRAPE = {"job", "instance"}
FUNCTIONS = {"abs", "increase", "rate", "histogram_quantile"}
AGGREGATIONS = {"count", "max", "sum"}
TOKEN = re.compile(r"""\s*(?:(?P<name>[a-zA-Z_:][\w:]*)|(?P<number>\d+(?:\.\d+)?(?:[smhd])?)
                       |(?P<text>"[^"\n]*")|(?P<mark>=~|==|>=|<=|!=|[-+*/(){}\[\],=><]))""", re.X)


def rules():
    """The alerts of the file, which has this one shape: name, expr, for, severity, summary."""
    shape = re.compile(r"      - alert: (?P<name>\w+)\n        expr: (?P<expr>.+)\n"
                       r"(?:        for: (?P<pause>\d+[sm])\n)?        labels:\n"
                       r"          severity: (?P<severity>critical|warning)\n"
                       r"        annotations:\n          summary: \"(?P<summary>[^\"\n]+)\"\n\n?")
    text = ALERTS.read_text()
    head = text.index("      - alert:")
    found = list(shape.finditer(text, head))
    if "".join(one[0] for one in found) != text[head:]:
        raise AssertionError("something in the file isn't an alert of the shape that this reads")
    return found


class Expression:
    """A small part of PromQL, read strictly; raises AssertionError where it isn't that."""

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise AssertionError("no token at %r" % text[at:])
            self.tokens.append(match[match.lastgroup])
            at = match.end()
        self.at = 0
        self.used = {}  # Metric -> labels that are named of it.
        self.grouped = set()
        self.comparison()
        self.need(self.peek() is None)

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def need(self, holds):
        if not holds:
            raise AssertionError("at %r of %s" % (self.tokens[self.at:], " ".join(self.tokens)))

    def take(self, *wanted):
        token = self.peek()
        self.need(token is not None and (not wanted or token in wanted))
        self.at += 1
        return token

    def skip(self, wanted):
        if self.peek() != wanted:
            return False
        self.at += 1
        return True

    def comparison(self):
        self.sum()
        if self.peek() in ("==", ">", "<", ">=", "<=", "!="):
            self.take()
            self.sum()

    def sum(self):
        self.product()
        while self.peek() in ("+", "-"):
            self.take()
            self.matching()
            self.product()

    def product(self):
        self.value()
        while self.peek() in ("*", "/"):
            self.take()
            self.matching()
            self.value()

    def matching(self):
        if self.skip("on"):
            self.labels()
            if self.skip("group_right") or self.skip("group_left"):
                self.take("(")
                self.take(")")

    def labels(self):
        self.take("(")
        while True:
            self.grouped.add(self.take())
            if self.take(",", ")") == ")":
                return

    def value(self):
        token = self.take()
        if re.fullmatch(r"\d+(\.\d+)?", token):
            return
        if token == "(":
            self.comparison()
            self.take(")")
        elif token in AGGREGATIONS:
            self.take("by")
            self.labels()
            self.take("(")
            self.comparison()
            self.take(")")
        elif token in FUNCTIONS:
            self.take("(")
            self.comparison()
            while self.skip(","):
                self.comparison()
            self.take(")")
        else:
            self.need(re.fullmatch(r"[a-z_]+", token))
            self.selector(self.used.setdefault(token, {}))

    def selector(self, labels):
        if self.skip("{"):
            while True:
                name = self.take()
                self.take("=", "=~")
                labels[name] = self.take().strip('"')
                if self.take(",", "}") == "}":
                    break
        if self.skip("["):
            self.need(re.fullmatch(r"\d+m", self.take()))
            self.take("]")
        if self.skip("offset"):
            self.need(re.fullmatch(r"\d+m", self.take()))


def series(text):
    """Of /metrics: metric -> label -> its values."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line)
        if match is None:
            continue
        labels = found.setdefault(match[1], {})
        for name, value in re.findall(r'(\w+)="([^"]*)"', match[2] or ""):
            labels.setdefault(name, set()).add(value)
    return found


class Alerts(unittest.TestCase):
    def test_each_is_on_metrics_that_a_node_has(self):
        with nodes.Cluster(groups=2) as cluster:
            cluster.await_leaders()
            known = series(cluster.ask_admin(1, "/metrics")[1])
        known["up"] = {}
        for rule in rules():
            expression = Expression(rule["expr"])
            self.assertTrue(expression.used, rule["expr"])
            for metric, labels in expression.used.items():
                self.assertIn(metric, known, rule["name"])
                for label, values in labels.items():
                    if label not in OF_THE_SCRAPE:
                        self.assertLessEqual(set(values.split("|")),
                                             known[metric].get(label, set()), rule["name"])
            there = OF_THE_SCRAPE.union(*(known[metric] for metric in expression.used))
            self.assertLessEqual(expression.grouped, there, rule["name"])
            for label in re.findall(r"\$labels\.(\w+)", rule["summary"]):
                self.assertIn(label, there, rule["name"])

    def test_what_is_no_expression_is_refused(self):
        for text in ("", "up ==", "up == 0)", "(up == 0", "sum(up)", "rate(up[5x])", "a{b}", "a{b=c",
                     "up 1", "max by () (up)", "unknown_function(up) > 1", "a $ b"):
            with self.assertRaises(AssertionError, msg=text):
                Expression(text)

    def test_names_differ_and_the_guide_has_all(self):
        names = [rule["name"] for rule in rules()]
        self.assertEqual(len(names), len(set(names)))
        told = re.findall(r"(?m)^\| `(Ursula\w+)` \| \w", GUIDE.read_text())
        self.assertEqual(told, names)

    def test_each_has_a_case_of_firing(self):
        firing = re.findall(r"alertname: (\w+)\n +exp_alerts", CASES.read_text())
        self.assertEqual(firing, [rule["name"] for rule in rules()])

    @unittest.skipUnless(PROMTOOL, "not here: promtool")
    def test_promtool_agrees(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (ALERTS, CASES):
                shutil.copy(path, os.path.join(folder, path.name))
            for words in (("check", "rules", ALERTS.name), ("test", "rules", CASES.name)):
                done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
