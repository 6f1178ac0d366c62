#!/usr/bin/env python3
"""The statistics of comparisons, and the plots."""
import contextlib
import io
import os
import pathlib
import sys
import unittest
import xml.dom.minidom

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True
import plots  # noqa: E402
import summary  # noqa: E402


class MedianTest(unittest.TestCase):
    def test_is_the_middle_one(self):
        self.assertEqual(summary.median([5, 1, 9]), 5)
        self.assertEqual(summary.median([1, 2, 3, 10]), 2.5)
        self.assertEqual(summary.median([None, 7]), 7)
        self.assertIsNone(summary.median([]))

    def test_ratio_is_that_of_neighbours(self):
        # The machine became ten times slower half-way: each pair says 2.
        self.assertEqual(summary.ratio_median([200, 200, 20], [100, 100, 10]), 2)
        self.assertEqual(summary.ratio_median([4, 9, None], [2, 0, 1]), 2)
        self.assertIsNone(summary.ratio_median([], []))

    def test_spread(self):
        self.assertEqual(summary.spread([3, None, 1, 2]), (1, 2, 3))
        self.assertEqual(summary.spread([]), (None, None, None))


class FigureTest(unittest.TestCase):
    def test_has_three_digits(self):
        for value, text in [(None, "–"), (0, "0"), (0.0123, "0.012"), (0.5, "0.50"), (3.14159, "3.14"),
                            (31.4159, "31.4"), (314.159, "314"), (31415.9, "31 416")]:
            self.assertEqual(summary.figure(value), text)


class VerdictsTest(unittest.TestCase):
    def run_checks(self, *checks):
        verdicts, out = summary.Verdicts(), io.StringIO()
        with contextlib.redirect_stdout(out):
            for name, value, bounds in checks:
                verdicts.check(name, value, **bounds)
            code = verdicts.finish()
        return code, out.getvalue().splitlines()

    def test_all_must_hold(self):
        self.assertEqual(self.run_checks(("a", 2, {"low": 1}), ("b", 2, {"high": 3}))[0], 0)
        code, lines = self.run_checks(("a", 2, {"low": 3}), ("b", 2, {"high": 3}))
        self.assertEqual(code, 1)
        self.assertEqual(lines[-1], "a 2.00x!; b 2.00x")

    def test_a_figure_that_is_missing_fails(self):
        self.assertEqual(self.run_checks(("a", None, {"low": 0}))[0], 1)


class PlotTest(unittest.TestCase):
    def test_bars_are_drawn_to_scale(self):
        svg = plots.bars("Appends", "1/s", [("ours <&>", 90, 100, 110), ("theirs", 50, 50, 50),
                                            ("absent", None, None, None)])
        root = xml.dom.minidom.parseString(svg).documentElement
        widths = [float(r.getAttribute("width")) for r in root.getElementsByTagName("rect")
                  if r.getAttribute("class").startswith("bar")]
        self.assertEqual(len(widths), 2)
        self.assertAlmostEqual(widths[0], 2 * widths[1], delta=0.2)
        texts = [t.firstChild.data for t in root.getElementsByTagName("text")]
        self.assertIn("ours <&>", texts)

    def test_a_wide_range_takes_a_logarithmic_scale(self):
        svg = plots.bars("x", "1/s", [("a", 1, 1, 1), ("b", 10**5, 10**5, 10**5)])
        self.assertIn("logarithmic", svg)


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if os.environ.get("XML_OUTPUT_FILE"):
        cases = ['<testcase classname="summary" name="case%d" time="0"/>' % i
                 for i in range(result.testsRun)]
        failures = ['<testcase classname="summary" name="%s" time="0"><failure/></testcase>'
                    % test.id() for test, _ in result.failures + result.errors]
        pathlib.Path(os.environ["XML_OUTPUT_FILE"]).write_text(
            "<testsuites><testsuite name=\"summary\">%s</testsuite></testsuites>"
            % "".join(cases + failures))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
