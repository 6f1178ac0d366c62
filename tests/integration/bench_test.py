#!/usr/bin/env python3
"""ursula-bench against a real ursulad: each workload with tiny counts. What it counts must be right;
how fast it was says nothing here.
"""
import json
import os
import re
import subprocess
import unittest

import harness

BENCH = os.path.abspath(os.environ["URSULA_BENCH"])
NOOP = os.path.abspath(os.environ["URSULA_NOOP"])


def bench(url, workload, *flags):
    """(exit status, the JSON result)."""
    command = [BENCH, workload, "--url", url, "--json", "-", "--quiet", *map(str, flags)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=harness.PATIENCE_S)
    if not run.stdout:
        raise AssertionError("%s: %s" % (command, run.stderr))
    return run.returncode, json.loads(run.stdout)


def loads(result, stage):
    """The loads of a stage by name."""
    found = [s for s in result["stages"] if s["stage"] == stage]
    return {load["name"]: load for load in found[0]["loads"]}


class WorkloadTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--memory")
        cls.url = cls.server.url + "/v1/stream/bench"

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.server.__exit__()

    def good(self, workload, *flags):
        status, result = bench(self.url, workload, *flags)
        self.assertEqual(result["failed"], 0, result)
        self.assertEqual(status, 0)
        return result

    def test_append_stores_what_it_counts(self):
        result = self.good("append", "--connections", 3, "--streams", 7, "--rate", 200, "--payload",
                           20, "--warmup", 0, "--duration", 0.5, "--run-id", "stored")
        appends = loads(result, "append")["append"]
        self.assertEqual(appends["operations"], 100)  # All that were due, however late.
        data = b"".join(self.server.read_all("/v1/stream/bench/stored-s%d" % i) for i in range(7))
        self.assertEqual(len(data), 100 * 20)

    def test_append_closed_loop_with_producers_and_threads(self):
        result = self.good("append", "--connections", 4, "--streams", 2, "--producers", "--threads",
                           2, "--warmup", 0, "--duration", 0.3, "--payload", 100, "--run-id",
                           "closed")
        counted = loads(result, "append")["append"]["operations"]
        stored = sum(len(self.server.read_all("/v1/stream/bench/closed-s%d" % i)) // 100
                     for i in range(2))
        # An answer to what was asked in the window may come after it, once for each connection.
        self.assertLessEqual(counted, stored)
        self.assertLessEqual(stored, counted + 4)

    def test_fan_out_delivers_each_message_to_each_reader(self):
        result = self.good("fan-out", "--readers", 5, "--rate", 100, "--warmup", 0, "--duration",
                           0.5)
        fan_out = loads(result, "fan-out")
        self.assertEqual(fan_out["append"]["operations"], 50)
        self.assertEqual(fan_out["deliver"]["operations"], 5 * 50)

    def test_replay_reads_the_whole_log(self):
        for more in [], ["--reconnect"], ["--content-type", "application/json"], ["--gzip"]:
            result = self.good("replay", "--messages", 30, "--payload", 1000, "--connections", 3,
                               "--warmup", 0, "--duration", 0.3, *more)
            self.assertEqual([s["stage"] for s in result["stages"]], ["create", "fill", "replay"])

    def test_create_creates_each_stream_once(self):
        result = self.good("create", "--streams", 50, "--connections", 7, "--run-id", "made")
        self.assertEqual(loads(result, "create")["create"]["operations"], 50)
        for number in 0, 49:
            self.assertEqual(self.server.ask("HEAD", "/v1/stream/bench/made-s%d" % number)[0], 200)
        status, again = bench(self.url, "create", "--streams", 50, "--run-id", "made")
        self.assertEqual(status, 1)
        self.assertEqual(loads(again, "create")["create"]["errors"], {"status 200": 50})

    def test_idle_sees_what_tails_cost(self):
        result = self.good("idle", "--streams", 20, "--tails", 30, "--filled", "--duration", 0.1,
                           "--server-pid", self.server.process.pid)
        tails = result["stages"][-1]
        self.assertGreaterEqual(tails["end"]["descriptors"], 30)
        self.assertGreater(tails["end"]["rss_bytes"], 1 << 20)

    def test_batches_count_their_items(self):
        result = self.good("append-batch", "--streams", 8, "--connections", 2, "--items", 20,
                           "--duration", 1, "--warmup", 0)
        load = loads(result, "append-batch")["append-batch"]
        self.assertGreater(load["operations"], 0)
        bytes_per_second = load["per_second"] * 256  # Each is printed with six digits.
        self.assertAlmostEqual(load["bytes_per_second"] / bytes_per_second, 1, places=4)

    def test_mixed_runs_all_kinds_of_load(self):
        result = self.good("mixed", "--streams", 4, "--connections", 4, "--readers", 3,
                           "--replayers", 2, "--messages", 10, "--rate", 100, "--warmup", 0,
                           "--duration", 0.3)
        self.assertEqual(sorted(loads(result, "mixed")), ["append", "deliver", "replay"])
        self.assertEqual(loads(result, "mixed")["append"]["operations"], 30)


class SlowReaderTest(unittest.TestCase):
    def test_a_slow_reader_misses_nothing(self):
        with harness.Server("--memory", "--subscriber-buffer-bytes-max", "64KiB") as server:
            status, result = bench(server.url + "/v1/stream/bench", "fan-out", "--readers", 2,
                                   "--slow-readers", 2, "--rate", 100, "--payload", 262144,
                                   "--warmup", 0, "--duration", 1)
        self.assertEqual((status, result["failed"]), (0, 0), result)
        self.assertEqual(loads(result, "fan-out")["slow"]["notes"]["whole after resuming"], 2)


class FailureTest(unittest.TestCase):
    def test_answers_that_are_not_as_expected_fail_the_run(self):
        with harness.Server("--memory") as server:
            status, result = bench(server.url + "/v1/stream/none", "append", "--no-create",
                                   "--rate", 100, "--warmup", 0, "--duration", 0.2)
        self.assertEqual(status, 1)
        self.assertEqual(loads(result, "append")["append"]["errors"], {"status 404": 20})

    def test_no_server_fails_the_run(self):
        status, result = bench("http://127.0.0.1:1/x", "append", "--connections", 2)
        self.assertEqual(status, 1)
        errors = loads(result, "create")["create"]["errors"]
        self.assertEqual(errors["connection: Connection refused"], 2)


class NoopServerTest(unittest.TestCase):
    def test_answers_every_append(self):
        process = subprocess.Popen([NOOP, "0"], text=True, stdout=subprocess.PIPE)
        try:
            url = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())[1]
            status, result = bench(url, "append", "--no-create", "--rate", 100, "--warmup", 0,
                                   "--duration", 0.2)
            self.assertEqual((status, result["failed"]), (0, 0))
            self.assertEqual(loads(result, "append")["append"]["operations"], 20)
        finally:
            process.terminate()
            self.assertEqual(process.wait(harness.PATIENCE_S), 0)
            process.stdout.close()


if __name__ == "__main__":
    harness.main()
