#!/usr/bin/env python3
"""server/start, the first of the two commands: builds ursulad as users run it, and starts it."""
import os
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


if __name__ == "__main__":
    harness.main()
