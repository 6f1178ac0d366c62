#!/usr/bin/env python3
"""Bits of one node's files flip, while it runs and while it is stopped: each is found, what it took
comes back from the other nodes, and no reader ever gets a wrong byte.

Flips are made where it counts: in blocks of payload that streams own, in batches of the log, in
snapshots. URSULA_FLIPS says how many of both kinds together (20 if not given).
"""
import os
import random
import re
import shutil
import signal
import struct
import threading
import unittest

import harness
import nodes

FLIPS = int(os.environ.get("URSULA_FLIPS", "20"))
AT_ONCE = 10
# Little memory: payload is on disk, and read from there. A round of the scrub each second.
FLAGS = ["--core-count", "1", "--wal-bytes-max", "192MiB", "--body-bytes-max", "4MiB",
         "--hot-bytes-max", "1MiB", "--busy-poll-us", "0",
         "--scrub-bytes-per-second", "1GiB", "--scrub-every-seconds", "1"]
STREAMS = 6
LINES = 1500  # Of each stream,
APPENDED = 50  # so many at once.
VICTIM = 2


def line(stream, number):
    start = "s%d:%08d:" % (stream, number)
    return (start + "x" * (number * 7919 % 1500) + "\n").encode()


class Files:
    """One node's files, as docs/formats says."""

    def __init__(self, directory, chance):
        self.directory, self.chance = directory, chance

    def named(self, ending):
        found = []
        for folder, _, names in os.walk(self.directory):
            found += [os.path.join(folder, name) for name in names if name.endswith(ending)]
        return sorted(found)

    def contents(self, ending):
        result = {}
        for path in self.named(ending):
            try:
                with open(path, "rb") as file:
                    result[path] = file.read()
            except FileNotFoundError:
                pass
        return result

    def payload_place(self, contents):
        """In the newest block that has a line drawn at random: (path, begin, end) of the block."""
        while True:
            wanted = line(self.chance.randrange(STREAMS), self.chance.randrange(LINES))
            for path in sorted(contents, reverse=True):
                at = contents[path].rfind(wanted)  # Those before it were replaced.
                if at < 0:
                    continue
                begin = at // 16 * 16
                while True:
                    begin = contents[path].rindex(b"UPB1", 0, begin + 4)
                    if begin % 16 == 0:
                        header, = struct.unpack_from("<I", contents[path], begin + 12)
                        length, = struct.unpack_from("<I", contents[path], begin + 32)
                        if begin + header + length > at:
                            return path, begin, begin + header + length
                    begin -= 1

    def log_place(self, contents):
        """A batch of a segment: (path, begin, end). Of the newest log: earlier ones were read when
        the node started."""
        batches = []
        newest = max(os.path.basename(path)[:16] for path in contents)
        for path, data in contents.items():
            if not os.path.basename(path).startswith(newest):
                continue
            log, segment = re.search(r"([0-9a-f]{16})-([0-9a-f]{8})\.wal$", path).groups()
            identity = struct.pack("<QI", int(log, 16), int(segment, 16))
            for at in range(0, len(data), 4096):
                if data[at:at + 4] == b"UWB1" and data[at + 8:at + 20] == identity:
                    length, = struct.unpack_from("<I", data, at + 40)
                    batches.append((path, at, at + 64 + length))
        return self.chance.choice(batches[:-1])  # The last one: nothing attests it yet.

    def snapshot_place(self, contents):
        newest = {os.path.basename(path)[:8]: path for path in sorted(contents)}
        path = self.chance.choice(sorted(newest.values()))
        return path, 0, len(contents[path])

    def flip(self, path, begin, end):
        """A bit in there: (path, begin, end, offset, the byte as it is now)."""
        offset = self.chance.randrange(begin, end)
        with open(path, "r+b", buffering=0) as file:
            byte = os.pread(file.fileno(), 1, offset)[0] ^ 1 << self.chance.randrange(8)
            os.pwrite(file.fileno(), bytes([byte]), offset)
            os.fsync(file.fileno())
        return path, begin, end, offset, byte

    @staticmethod
    def is_there(flip):
        """It is in a file still."""
        try:
            with open(flip[0], "rb") as file:
                return os.pread(file.fileno(), 1, flip[3]) == bytes([flip[4]])
        except FileNotFoundError:
            return False


class Reader(threading.Thread):
    """Reads pages at the node that rots, over and over, and compares."""

    def __init__(self, server, wanted, seed):
        super().__init__(daemon=True)
        self.server, self.wanted, self.chance = server, wanted, random.Random(seed)
        self.ending, self.wrong, self.pages = threading.Event(), None, 0
        self.starts = [[0] for _ in wanted]  # Of appends: a page begins with one.
        for stream, starts in enumerate(self.starts):
            for at in range(0, LINES - APPENDED, APPENDED):
                starts.append(starts[-1] + sum(len(line(stream, number))
                                               for number in range(at, at + APPENDED)))

    def run(self):
        while not self.ending.is_set() and self.wrong is None:
            stream = self.chance.randrange(STREAMS)
            whole = self.wanted[stream]
            start = self.chance.choice(self.starts[stream])
            try:
                status, _, body = self.server.ask(
                    "GET", "/v1/stream/s%d?offset=%016d_%016d" % (stream, 0, start))
            except OSError:
                continue
            if status == 200 and body != whole[start:start + len(body)]:
                self.wrong = "a wrong byte of stream %d after %d" % (stream, start)
            elif status not in (200, 503):
                self.wrong = "%d %r" % (status, body)
            self.pages += status == 200

    def end(self):
        self.ending.set()
        self.join(harness.PATIENCE_S)
        if self.wrong:
            raise AssertionError(self.wrong)


class Rot(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("URSULA_SEED", random.randrange(1 << 32)))
        print("seed=%d flips=%d" % (self.seed, FLIPS), flush=True)
        self.chance = random.Random(self.seed)
        self.cluster = nodes.Cluster(groups=4, flags=FLAGS, small=False)
        self.addCleanup(self.cluster.__exit__, None)
        self.cluster.await_leaders()
        self.server = self.cluster[VICTIM]
        self.files = Files(self.cluster.data_dir(VICTIM), self.chance)
        self.wanted = []
        for stream in range(STREAMS):
            target = "/v1/stream/s%d" % stream
            self.assertEqual(self.cluster[1].ask("PUT", target)[0], 201)
            lines = [line(stream, number) for number in range(LINES)]
            for at in range(0, LINES, APPENDED):
                body = b"".join(lines[at:at + APPENDED])
                self.assertEqual(self.cluster[1].append(target, body)[0], 204)
            self.wanted.append(b"".join(lines))
        self.restart(signal.SIGTERM)  # All that was in memory alone is on disk by then.

    def restart(self, how, between=lambda: None):
        self.server.stop(how)
        between()
        self.server.start()
        self.cluster.await_leaders()

    def check_contents(self, *where):
        for node in where or (1, 2, 3):
            for stream, wanted in enumerate(self.wanted):
                self.assertEqual(self.cluster[node].read_all("/v1/stream/s%d" % stream), wanted,
                                 "stream %d at node %d" % (stream, node))

    def is_told(self, flip, since):
        """The log says where, if the flip is of payload."""
        path, begin, end = flip[:3]
        for entry in self.cluster.logged(VICTIM)[since:]:
            found = re.search(re.escape(path) + r": damaged at offset (\d+)", str(entry))
            if found and begin <= int(found[1]) < end:
                return True
            # At the end of a file that a kill left: nothing attests it, and the log has it still.
            found = re.search(re.escape(path) + r": \d+ bytes from offset (\d+) on are no whole",
                              str(entry))
            if found and int(found[1]) <= begin:
                return True
        return False

    def await_repaired(self, flips, since):
        """`since`: so many entries were in the log before the flips."""
        for flip in flips:
            harness.wait_until(lambda: not Files.is_there(flip) or
                               flip[0].endswith(".pay") and self.is_told(flip, since))
        metric = self.server.metric
        harness.wait_until(lambda: metric("ursula_payload_lacking_bytes") == 0 and
                           metric("ursula_payload_damaged_bytes_total") ==
                           metric("ursula_payload_repaired_bytes_total"))
        self.assertEqual(metric("ursula_payload_lost_bytes"), 0)
        self.assertEqual(self.cluster.readiness(VICTIM)[0], 200)

    def flip_payload(self, count):
        contents = self.files.contents(".pay")
        return [self.files.flip(*self.files.payload_place(contents)) for _ in range(count)]

    def test_while_it_runs_and_while_it_is_stopped(self):
        flips = 0
        self.assertEqual(self.cluster[1].ask("PUT", "/v1/stream/other")[0], 201)
        reader = Reader(self.server, self.wanted, self.seed)
        reader.start()
        while flips < FLIPS // 2:
            count = min(AT_ONCE, FLIPS // 2 - flips)
            for _ in range(10):  # Batches in a log that may have gone as a whole.
                self.assertEqual(self.cluster[1].append("/v1/stream/other", b"x" * 3000)[0], 204)
            since = len(self.cluster.logged(VICTIM))
            made = self.flip_payload(count - 2)
            made.append(self.files.flip(*self.files.log_place(self.files.contents(".wal"))))
            made.append(self.files.flip(*self.files.snapshot_place(self.files.contents(".snap"))))
            self.await_repaired(made, since)
            flips += count
        reader.end()
        self.check_contents()
        running = flips
        # And nothing of it is left for an opening to meet.
        self.restart(signal.SIGKILL)
        self.check_contents(VICTIM)
        number = 0
        while flips < FLIPS:
            count = min(AT_ONCE, FLIPS - flips)
            made, since = [], len(self.cluster.logged(VICTIM))
            self.restart((signal.SIGTERM, signal.SIGKILL)[number % 2],
                         lambda: made.extend(self.flip_payload(count)))
            self.check_contents(VICTIM)
            self.await_repaired(made, since)
            flips += count
            number += 1
        self.check_contents()
        print("%d flips while running (%d pages read meanwhile), %d at rest: all found, 0 wrong "
              "bytes" % (running, reader.pages, flips - running), flush=True)

    def test_a_directory_that_rotted_at_rest_is_refused_by_name_and_replaced(self):
        for ending, place in ((".wal", self.files.log_place), (".snap", self.files.snapshot_place)):
            # Something to be read again: a snapshot, and a log behind it.
            for stream in range(STREAMS):
                more = line(stream, len(self.wanted[stream]))
                self.wanted[stream] += more
                self.assertEqual(
                    self.cluster[1].append("/v1/stream/s%d" % stream, more)[0], 204)
            self.server.stop(signal.SIGTERM)
            path = self.files.flip(*place(self.files.contents(ending)))[0]
            self.server.launch()
            harness.wait_until(lambda: path + ": damaged at offset" in self.server.log_text() or
                               self.server.process.poll() is not None)
            self.assertIn(path + ": damaged at offset", self.server.log_text())
            if self.server.process.poll() is None:
                self.server.kill()
            # As an operator does then: the cluster has all of it.
            shutil.rmtree(self.cluster.data_dir(VICTIM))
            self.server.start()
            self.cluster.await_leaders()
            harness.wait_until(lambda: self.server.metric("ursula_payload_lacking_bytes") == 0)
            self.check_contents()
        print("a rotten log and a rotten snapshot: refused by name, replaced", flush=True)


if __name__ == "__main__":
    harness.main()
