#!/usr/bin/env python3
"""A server that is still recovering: it can be asked how far it is, and stopped.

What holds it up is a pipe in the place of a payload file: to open one takes until somebody writes
to it. It is empty, so that the server then takes it for a file that a crash left, and goes on.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import harness

# Of the first opening, so that it is none of the later ones.
HELD_FILE = "000000000001-ffff-00000000.pay"
TEXT = b"kept"


class Held:
    """A server with some data, in the middle of its recovery."""

    def __init__(self, **options):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        path = os.path.join(self.folder.name, "data")
        with harness.Server(data_dir=path) as server:
            server.ask("PUT", "/v1/stream/s")
            server.append("/v1/stream/s", TEXT)
            server.stop()
        self.pipe = pathlib.Path(path, "payload", HELD_FILE)
        os.mkfifo(self.pipe, 0o600)
        self.server = harness.Server(data_dir=path, admin=True, wait=False, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()
        self.folder.cleanup()

    def release(self):
        """What opens the pipe from now on doesn't wait."""
        self.writer = os.open(self.pipe, os.O_RDWR)

    def readiness(self):
        status, _, body = self.server.ask("GET", "/readyz", port=self.server.admin_port())
        return status, body.decode()

    def await_held(self):
        """It has read the log, and opens the pipe."""
        harness.wait_until(lambda: re.search(r"reading the log: (\d+) of \1 ", self.readiness()[1]))


class Recovering(unittest.TestCase):
    def test_probes_tell_how_far_it_is_and_clients_come_in_when_it_is_done(self):
        with Held() as held:
            server = held.server
            held.await_held()
            admin = server.admin_port()
            self.assertEqual(server.ask("GET", "/healthz", port=admin)[0], 200)
            status, text = held.readiness()
            self.assertEqual(status, 503)
            self.assertRegex(text, r"^UNAVAILABLE: recovering: reading the log: (\d+) of \1 KiB\n$")
            self.assertEqual(server.metric("ursula_ready"), 0)
            self.assertGreater(server.metric("process_start_time_seconds"), 0)
            self.assertEqual(server.ask("POST", "/clock/step", port=admin)[0], 503)
            held.release()
            server.await_listening()
            self.assertEqual(held.readiness(), (200, "ready\n"))
            self.assertEqual(server.read_all("/v1/stream/s"), TEXT)
            self.assertEqual(server.metric("ursula_streams"), 1)
            self.assertEqual(server.stop(), 0)

    def test_the_log_says_how_far_it_is_again_and_again(self):
        with Held() as held:
            lines = lambda: [entry for entry in map(json.loads, held.server.log_text().splitlines())
                             if entry["message"].startswith("recovering: reading the log: ")]
            harness.wait_until(lambda: len(lines()) >= 2)
            held.release()
            held.server.await_listening()
            self.assertEqual(held.server.stop(), 0)

    def test_a_second_start_is_refused_meanwhile(self):
        with Held() as held:
            port = held.server.admin_port()
            second = subprocess.run(
                [harness.ursulad_path, "--admin-listen", "127.0.0.1:%d" % port, "--memory",
                 "--listen", "127.0.0.1:0"],
                capture_output=True, text=True, env=harness.environment(), check=False)
            self.assertEqual(second.returncode, 1)
            self.assertIn("--admin-listen", second.stderr)


class Stopped(unittest.TestCase):
    def stops(self, how):
        with Held() as held:
            server = held.server
            held.await_held()
            server.process.send_signal(how)
            held.release()  # The read that is under way ends; nothing else is begun.
            self.assertEqual(server.process.wait(harness.PATIENCE_S), 0)
            self.assertEqual(server.process.stdout.read(), "")
            self.assertIn("stopped before it had recovered", server.log_text())
            self.assertTrue(held.pipe.exists())  # It came no further.
            server.start()
            self.assertEqual(server.read_all("/v1/stream/s"), TEXT)
            self.assertEqual(server.stop(), 0)

    def test_sigterm_ends_it_with_0_and_the_next_start_has_everything(self):
        self.stops(signal.SIGTERM)

    def test_so_does_sigint(self):
        self.stops(signal.SIGINT)

    def test_a_second_signal_does_not_wait_for_the_disk(self):
        with Held() as held:
            held.await_held()
            held.server.process.send_signal(signal.SIGTERM)
            held.server.process.send_signal(signal.SIGINT)
            self.assertIn(held.server.process.wait(harness.PATIENCE_S),
                          (128 + signal.SIGTERM, 128 + signal.SIGINT))


if __name__ == "__main__":
    harness.main()
