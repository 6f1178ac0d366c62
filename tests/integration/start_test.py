#!/usr/bin/env python3
"""server/start, the first of the two commands: builds ursulad as users run it, and starts it."""
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

import harness


class Start(unittest.TestCase):
    def test_it_builds_serves_and_starts_again_with_its_data(self):
        with tempfile.TemporaryDirectory(prefix="ursula-") as directory:
            data_dir = os.path.join(directory, "data")
            with harness.Server(data_dir=data_dir) as server:
                self.assertEqual(server.ask("PUT", "/demo")[0], 201)
                self.assertEqual(server.ask("PUT", "/demo/hello")[0], 201)
                self.assertEqual(server.append("/demo/hello", "hello world")[0], 204)
                self.assertEqual(server.stop(), 0)
                start = time.monotonic()
                server.start()
                print("the second start took %.1f s" % (time.monotonic() - start), flush=True)
                status, headers, body = server.ask("GET", "/demo/hello?offset=-1")
                self.assertEqual((status, body), (200, b"hello world"))
                self.assertEqual(headers["Stream-Up-To-Date"], "true")
                self.assertEqual(os.stat(data_dir).st_mode & 0o777, 0o700)
                self.assertEqual(server.stop(), 0)

    def test_arguments_go_to_the_server(self):
        with harness.Server("--memory", "--core-count", "1") as server:
            self.assertEqual(server.ask("PUT", "/v1/stream/gone")[0], 201)
            self.assertEqual(server.stop(), 0)

    def test_a_cluster_outlives_a_node_and_starts_again_with_its_data(self):
        with tempfile.TemporaryDirectory(prefix="ursula-") as directory:
            command = [harness.ursulad_path, "--cluster", "3", "--data-dir", directory,
                       "--wal-bytes-max", "192MiB"]
            for text in ("one", "two"):
                # Ctrl-C is ignored by what a shell started in the background, its children included.
                script = subprocess.Popen(
                    command, stdout=subprocess.PIPE, text=True, env=harness.environment(),
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
                said = ""
                while "Ctrl-C stops" not in said:
                    line = script.stdout.readline()
                    self.assertNotEqual(line, "", said)
                    said += line
                started = re.findall(r"^node (\d): http://127.0.0.1:(\d+)  process (\d+) ", said, re.M)
                self.assertEqual([node for node, _, _ in started], ["1", "2", "3"])
                client = harness.Client(int(started[2][1]))
                if text == "one":
                    self.assertEqual(client.ask("PUT", "/v1/stream/hello")[0], 201)
                os.kill(int(started[0][2]), signal.SIGKILL)
                line = script.stdout.readline()
                while not line.startswith("node 1 was killed"):
                    self.assertNotEqual(line, "")
                    line = script.stdout.readline()
                headers = {"Content-Type": "application/octet-stream", "Producer-Id": text, "Producer-Epoch": "0",
                           "Producer-Seq": "0"}
                harness.wait_until(lambda: client.ask("POST", "/v1/stream/hello", text,
                                                      headers)[0] in (200, 204))
                self.assertEqual(client.read_all("/v1/stream/hello"), (b"one", b"onetwo")[text == "two"])
                script.send_signal(signal.SIGINT)
                self.assertEqual(script.wait(harness.PATIENCE_S), 0)
                script.stdout.close()


if __name__ == "__main__":
    harness.main()
