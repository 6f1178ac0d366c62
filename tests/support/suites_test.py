#!/usr/bin/env python3
"""What tests/run makes of a suite's time: only CPU time counts."""
import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import suites  # noqa: E402


def failures(suite, seconds, cpu_seconds):
    results = suites.Results()
    with contextlib.redirect_stdout(io.StringIO()):
        results.add_suite(suite, [suites.Case(suite, "case", "passed")], seconds, cpu_seconds)
    return [case.name for case in results.cases if case.status == "failed"]


def run_under_cpu_time(*command):
    """(exit status, CPU seconds as read from the log)"""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "test.log")
        with open(log, "w") as file:
            status = subprocess.run([str(HERE / "cpu_time.sh"), *command], stdout=file,
                                    env=dict(os.environ, TEST_TMPDIR=folder)).returncode
        return status, suites.cpu_seconds_of_log(log)


class SkipTest(unittest.TestCase):
    def status_under_ci(self, reason):
        results = suites.Results()
        with unittest.mock.patch.dict(os.environ, {"URSULA_CI": "1"}), \
                contextlib.redirect_stdout(io.StringIO()):
            results.add_suite("x", [suites.Case("x", "case", "skipped", 0, reason)], 1, 1)
        return results.cases[0].status

    def test_a_privilege_is_not_lacked_under_ci(self):
        self.assertEqual(self.status_under_ci("no /dev/fuse"), "failed")

    def test_a_program_that_is_not_there_may_be_left_out(self):
        self.assertEqual(self.status_under_ci("not here: strace"), "skipped")


class BudgetTest(unittest.TestCase):
    def test_a_clock_decides_nothing(self):
        self.assertEqual(failures("unit/x_test", 100_000, 1), [])

    def test_cpu_time_does(self):
        self.assertEqual(failures("unit/x_test", 1, suites.read_budgets()["default"] + 1), ["budget"])

    def test_what_is_not_known_is_not_held_against_a_suite(self):
        self.assertEqual(failures("unit/x_test", 100_000, None), [])

    def test_sanitizers_have_more(self):
        default = suites.read_budgets()["default"]
        self.assertEqual(failures("san unit/x_test", 1, default + 1), [])
        self.assertEqual(failures("san unit/x_test", 1, 7 * default), ["budget"])


class CpuTimeTest(unittest.TestCase):
    def test_work_counts_that_of_children_included(self):
        burn = "import time\nwhile time.process_time() < 0.5: pass"
        nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])" % burn
        for code in (burn, nested):
            status, seconds = run_under_cpu_time(sys.executable, "-c", code)
            self.assertEqual(status, 0)
            self.assertGreaterEqual(seconds, 0.5)

    def test_waiting_does_not(self):
        self.assertLess(run_under_cpu_time("sleep", "2")[1], 1)

    def test_the_exit_status_is_the_tests(self):
        self.assertEqual(run_under_cpu_time("sh", "-c", "exit 3")[0], 3)

    def test_a_log_without_it_says_nothing(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write("cpu time is money\n")
            log.flush()
            self.assertIsNone(suites.cpu_seconds_of_log(log.name))
        self.assertIsNone(suites.cpu_seconds_of_log(None))


if __name__ == "__main__":
    unittest.main()
