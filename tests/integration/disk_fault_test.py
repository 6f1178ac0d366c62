#!/usr/bin/env python3
"""A full disk and a failing one, under real file systems.

Full: what needs space is refused with 507 STORAGE_FULL, reads go on, streams can be deleted, and
appends resume by themselves when there is space. Failing: the log takes nothing more, whatever the
disk does later; appends get 503, reads go on, the process lives and says that it isn't ready; after
a restart on a sound disk everything acknowledged is there.
"""
import json
import os
import unittest

import harness
import volume

# Little memory and small logs: payload files and snapshots are written all the time.
FLAGS = ["--raft-group-count", "4", "--core-count", "2", "--wal-bytes-max", "64MiB",
         "--hot-bytes-max", "2MiB", "--body-bytes-max", "1MiB"]
STREAMS = ["/v1/stream/s%d" % number for number in range(8)]
BODY_BYTES = 50000
APPENDS_MAX = 20000


class Client:
    """Appends to all streams in turn and knows what must be there."""

    def __init__(self, server):
        self.server = server
        self.content = {}
        self.number = 0
        self.unknown = {}  # The last append of a stream whose outcome is unknown.
        for stream in STREAMS:
            status, _, body = server.ask("PUT", stream)
            if status != 201:
                raise AssertionError("PUT %s: %d %r" % (stream, status, body))
            self.content[stream] = b""

    def streams(self):
        return sorted(self.content)

    def next_stream(self):
        return self.streams()[self.number % len(self.content)]

    def append(self):
        """(status, code of the error, headers) of one append."""
        stream = self.next_stream()
        self.number += 1
        data = (b"%08d" % self.number) * (BODY_BYTES // 8)
        status, headers, body = self.server.append(stream, data)
        if status == 204:
            self.content[stream] += data
            return status, None, headers
        if status == 504:
            self.unknown[stream] = data
        return status, json.loads(body)["error"]["code"], headers

    def append_some(self, count):
        """So many are acknowledged in the end."""
        for _ in range(count):
            harness.wait_until(lambda: self.append()[0] == 204)

    def append_until(self, wanted):
        """Appends until one ends like that. What is refused because it comes too fast is no end."""
        for _ in range(APPENDS_MAX):
            status, code, headers = self.append()
            if (status, code) == wanted:
                return headers
            if status != 204 and (status, code) != (503, "OVERLOADED"):
                raise AssertionError("append: %d %s" % (status, code))
        raise AssertionError("never %s" % (wanted,))

    def check(self):
        for stream, content in self.content.items():
            found = self.server.read_all(stream)
            if found not in (content, content + self.unknown.get(stream, b"")):
                raise AssertionError("%s: %d bytes, not the %d acknowledged ones"
                                     % (stream, len(found), len(content)))


def readiness(server):
    status, _, body = server.ask("GET", "/readyz", port=server.admin_port())
    return status, body.decode()


class Faults(unittest.TestCase):
    def setUp(self):
        missing = volume.unavailable()
        if missing:
            self.skipTest("needs " + missing)

    def open(self, kind, megabytes=320):
        served = self.enterContext(
            volume.Volume(os.environ["URSULA_POWER_DISK"], kind, megabytes))
        server = self.enterContext(
            harness.Server(*FLAGS, data_dir=served.path / "data", admin=True))
        return served, server

    # ---- full ----

    def fill(self, served):
        ballast = served.path / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        return ballast

    def full(self, kind):
        served, server = self.open(kind)
        client = Client(server)
        client.append_some(100)
        ballast = self.fill(served)
        headers = client.append_until((507, "STORAGE_FULL"))
        self.assertEqual(headers["Retry-After"], "1")
        client.check()
        # A smaller one than was refused may still find room; then there is none for that either.
        def told():
            client.append()
            status, text = readiness(server)
            return status == 503 and "STORAGE_FULL" in text
        harness.wait_until(told)
        # It stays so, and reads go on.
        for _ in range(50):
            self.assertIn(client.append()[0], (204, 503, 507))
        client.check()
        ballast.unlink()
        client.append_some(100)
        client.check()
        harness.wait_until(lambda: server.metric("ursula_ready") == 1)
        self.assertEqual(server.stop(), 0)
        server.start()
        client.check()
        client.append_some(1)

    def test_ext4_full_refuses_reads_and_resumes(self):
        self.full("ext4")

    def test_xfs_full_refuses_reads_and_resumes(self):
        self.full("xfs")

    def test_a_disk_full_of_streams_is_left_by_deleting_them(self):
        _, server = self.open("ext4", megabytes=128)
        client = Client(server)
        client.append_until((507, "STORAGE_FULL"))
        client.check()
        for stream in client.streams():
            self.assertEqual(server.ask("DELETE", stream)[0], 204)
            del client.content[stream]
        harness.wait_until(lambda: server.ask("PUT", STREAMS[0])[0] == 201)
        client.content[STREAMS[0]] = b""
        client.append_some(100)
        client.check()
        self.assertEqual(server.stop(), 0)
        server.start()
        client.check()

    # ---- failing ----

    def failing(self, kind, command):
        served, server = self.open(kind)
        client = Client(server)
        # XFS refuses every read once its own log has failed: there, what is in memory must do.
        client.append_some(100 if kind == "ext4" else 10)
        served.disk.command(command)
        refused = 0
        behind = set()  # Streams whose log has no room at the moment, and so doesn't meet the fault.
        for _ in range(40 * len(STREAMS)):
            stream = client.next_stream()
            status, code, headers = client.append()
            # The other core's log may not have met the fault yet, or not any more.
            if status == 503:
                refused += 1
                self.assertIn(code, ("UNAVAILABLE", "OVERLOADED"))
                (behind.add if code == "OVERLOADED" else behind.discard)(stream)
                self.assertEqual(headers["Retry-After"], "1")
            else:
                self.assertEqual((status, code), (504, "OUTCOME_UNKNOWN"))
        self.assertGreater(refused, 39 * len(STREAMS))
        client.check()
        status, text = readiness(server)
        self.assertEqual(status, 503)
        self.assertIn("log failed", text)
        self.assertIn("the write-ahead log failed", server.log_text())
        # What has failed stays so: a retried sync would report success for data that was dropped.
        served.disk.command("on")
        for _ in range(4 * len(STREAMS)):
            stream = client.next_stream()
            answer = client.append()[:2]
            if stream not in behind:
                self.assertEqual(answer, (503, "UNAVAILABLE"))
        client.check()
        self.assertIsNone(server.process.poll())
        server.stop()
        served.unmount()
        served.mount()
        server.start()
        client.check()
        self.assertEqual(server.ask("HEAD", STREAMS[0])[0], 200)
        # A log's first segment is small: on a slow disk the next one may not be there yet.
        status, _, body = server.append(STREAMS[0], b"again")
        while status == 503 and b"OVERLOADED" in body:
            status, _, body = server.append(STREAMS[0], b"again")
        self.assertEqual(status, 204, "%r %s" % (body, server.log_text()[-3000:]))

    def test_ext4_writes_that_fail_end_the_log(self):
        self.failing("ext4", "fail writes")

    def test_xfs_writes_that_fail_end_the_log(self):
        self.failing("xfs", "fail writes")

    def test_ext4_syncs_that_fail_end_the_log(self):
        self.failing("ext4", "fail flushes")

    def test_xfs_syncs_that_fail_end_the_log(self):
        self.failing("xfs", "fail flushes")


if __name__ == "__main__":
    harness.main()
