#!/usr/bin/env python3
"""Data many times larger than memory, on one node.

Fills streams of some groups while others idle behind one early append each. Then: resident memory
never passed its limit, the write-ahead log stayed under its own, a large stream replays whole and
right, and the same holds after a restart.

URSULA_LARGE_MIB says how much in all (384 if not given: a share for every run; 10240 at full size),
a tenth of it in one stream. No wall-clock figure decides here; the rate of the replay is printed.
"""
import http.client
import os
import re
import threading
import time
import unittest

import harness

MIB = 1 << 20
TOTAL = int(os.environ.get("URSULA_LARGE_MIB", "384")) * MIB
FULL = TOTAL >= 10240 * MIB
STREAMS = 200 if FULL else 24
HOT_MIB = 64 if FULL else 8
WAL_MIB = 256 if FULL else 64
RSS_MIB_MAX = 400
BODY = 512 * 1024
WRITERS = 8
BUSY_AFFINITIES = 5  # Of 8 groups: at least three hear nothing after the start.
PERIOD = 1048573  # A prime: no block of a power of two repeats at an offset of one.


def make_pattern():
    """Twice PERIOD bytes and a body, so that a body is one slice wherever it starts."""
    words, value = [], 1
    for _ in range(PERIOD // 8 + 1):
        value = (value * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        words.append(value.to_bytes(8, "little"))
    period = b"".join(words)[:PERIOD]
    return memoryview(period + period)


PATTERN = make_pattern()


class Stream:
    """What a stream holds at each offset is known without keeping it."""

    def __init__(self, number, size):
        self.target = "/large/a%d/s%d" % (number % BUSY_AFFINITIES, number)
        self.shift = number * 7919
        self.size = size

    def expected(self, offset, size):
        start = (self.shift + offset) % PERIOD
        return PATTERN[start:start + size]


class Writer(threading.Thread):
    """Appends to its streams in turn until each has its size."""

    def __init__(self, port, streams):
        super().__init__(daemon=True)
        self.port, self.streams, self.wrong = port, streams, None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE_S)
        headers = {"Content-Type": "application/octet-stream"}
        written = {stream: 0 for stream in self.streams}
        while written and self.wrong is None:
            for stream, offset in list(written.items()):
                size = min(BODY, stream.size - offset)
                if size == 0:
                    del written[stream]
                    continue
                connection.request("POST", stream.target, stream.expected(offset, size), headers)
                response = connection.getresponse()
                body = response.read()
                if response.status == 204:
                    written[stream] += size
                elif response.status != 503:  # Beyond what the disk keeps up with.
                    self.wrong = "%d %r" % (response.status, body)
        connection.close()


def memory_mib(server, field):
    with open("/proc/%d/status" % server.process.pid) as status:
        return int(re.search(field + r":\s+(\d+) kB", status.read())[1]) / 1024


class LargeData(unittest.TestCase):
    def fill(self, server, streams):
        for stream in streams:
            status, _, body = server.ask("PUT", stream.target,
                                         headers={"Content-Type": "application/octet-stream"})
            self.assertEqual(status, 201, body)
        writers = [Writer(server.port, streams[i::WRITERS]) for i in range(WRITERS)]
        start = time.monotonic()
        for writer in writers:
            writer.start()
        wal_max = 0
        while any(writer.is_alive() for writer in writers):
            writers[0].join(0.25)
            wal_max = max(wal_max, server.metric("ursula_wal_bytes"))
            for writer in writers:
                writer.join(0.05)
        for writer in writers:
            self.assertIsNone(writer.wrong)
        print("wrote %d MiB at %.0f MB/s" % (TOTAL // MIB,
                                             TOTAL / 1e6 / (time.monotonic() - start)), flush=True)
        return wal_max

    def replay(self, server, stream):
        """Reads it whole over one connection, compares every byte; MB/s."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port,
                                                timeout=harness.PATIENCE_S)
        offset, at = "-1", 0
        start = time.monotonic()
        while True:
            connection.request("GET", "%s?offset=%s" % (stream.target, offset))
            response = connection.getresponse()
            body = response.read()
            self.assertEqual(response.status, 200, body[:200])
            for piece in range(0, len(body), BODY):
                part = body[piece:piece + BODY]
                # As bytes: a memoryview is compared element by element, slower than the replay.
                self.assertTrue(part == bytes(stream.expected(at + piece, len(part))),
                                "wrong bytes in %s near %d" % (stream.target, at + piece))
            at += len(body)
            offset = response.headers["Stream-Next-Offset"]
            if response.headers.get("Stream-Up-To-Date") == "true":
                break
        seconds = time.monotonic() - start
        connection.close()
        self.assertEqual(at, stream.size)
        return at / 1e6 / seconds

    def test_memory_and_log_stay_bounded(self):
        large = TOTAL // 10
        rest = (TOTAL - large) // (STREAMS - 1)
        streams = [Stream(0, large)] + [Stream(i, rest) for i in range(1, STREAMS)]
        with harness.Server("--raft-group-count", "8", "--core-count", "2",
                            "--hot-bytes-max", "%dMiB" % HOT_MIB,
                            "--wal-bytes-max", "%dMiB" % WAL_MIB,
                            "--body-bytes-max", "1MiB", admin=True) as server:
            self.assertEqual(server.ask("PUT", "/large")[0], 201)
            idle = ["/v1/stream/idle-%d" % i for i in range(64)]
            for target in idle:
                self.assertEqual(server.ask("PUT", target, target)[0], 201)
            wal_max = self.fill(server, streams)
            rates = [self.replay(server, streams[0])]
            rss = memory_mib(server, "VmHWM")
            self.assertLess(wal_max, WAL_MIB * MIB)
            self.assertLess(rss, RSS_MIB_MAX)
            # A few others, whole.
            for stream in streams[1::STREAMS // 8]:
                self.replay(server, stream)
            self.assertEqual(server.kill(), -9)
            start = time.monotonic()
            server.start("--core-count", "1")
            restart = time.monotonic() - start
            rates.append(self.replay(server, streams[0]))
            for target in idle:
                self.assertEqual(server.read_all(target), target.encode())
            rss = max(rss, memory_mib(server, "VmHWM"))
            self.assertLess(rss, RSS_MIB_MAX)
            print("%d MiB on %d streams: RSS at most %.0f MiB, WAL at most %.0f of %d MiB, "
                  "%.0f MiB replayed at %.0f MB/s, again at %.0f MB/s, restarted in %.1f s" % (
                      TOTAL // MIB, STREAMS, rss, wal_max / MIB, WAL_MIB, large / MIB,
                      *rates, restart), flush=True)


if __name__ == "__main__":
    harness.main()
