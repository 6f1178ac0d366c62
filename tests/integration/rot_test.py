#!/usr/bin/env python3
"""Bits of one node's files flip, while it runs and while it is stopped: each is found, what it took
comes back from the other nodes, and no reader ever gets a wrong byte. Where the log or a snapshot of
a stopped node has rotted, the node rejoins by itself.

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
        for folder, folders, names in os.walk(self.directory):
            folders[:] = [one for one in folders if one != "aside"]  # Nobody reads those.
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
        """A bit in there: (path, begin, end, offset, the byte as it is now, and as it was)."""
        offset = self.chance.randrange(begin, end)
        with open(path, "rb") as file:
            was = os.pread(file.fileno(), 1, offset)[0]
        byte = was ^ 1 << self.chance.randrange(8)
        self.put(path, offset, byte)
        return path, begin, end, offset, byte, was

    @staticmethod
    def put(path, offset, byte):
        with open(path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), bytes([byte]), offset)
            os.fsync(file.fileno())

    @staticmethod
    def mend(flip):
        Files.put(flip[0], flip[3], flip[5])

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
                self.append(target, body)
            self.wanted.append(b"".join(lines))
        self.restart(signal.SIGTERM)  # All that was in memory alone is on disk by then.

    def append(self, target, body):
        """At node 1, and again where it says that nothing was taken: a group may have no leader."""
        def taken():
            status = self.cluster[1].append(target, body)[0]
            self.assertIn(status, (204, 503))
            return status == 204
        harness.wait_until(taken)

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
            # Of several blocks that one read takes the first is told so; each as what a stream lacks.
            found = re.search(re.escape(path) + r"(?:: damaged at|,) offset (\d+)", str(entry))
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
        # On a busy machine it may be a moment later.
        harness.wait_until(lambda: self.cluster.readiness(VICTIM)[0] == 200)

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
                self.append("/v1/stream/other", b"x" * 3000)
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

    def append_a_little(self):
        """Something to be read again: a snapshot, and a log behind it."""
        for stream in range(STREAMS):
            more = line(stream, len(self.wanted[stream]))
            self.wanted[stream] += more
            self.append("/v1/stream/s%d" % stream, more)

    def rot(self, node, ending):
        """A flip of this node's files, which has been stopped."""
        files = Files(self.cluster.data_dir(node), self.chance)
        place = {".wal": files.log_place, ".snap": files.snapshot_place}[ending]
        return files.flip(*place(files.contents(ending)))

    def launch(self, node, *flags):
        """Begins its start, and waits until it can be asked how far that is."""
        server = self.cluster[node]
        before = server.log_text().count("admin listening")
        server.launch(*flags)
        harness.wait_until(lambda: server.log_text().count("admin listening") > before)

    def await_refusal(self, path, *sentences, flags=()):
        self.server.launch(*flags)
        self.assertNotEqual(self.server.process.wait(harness.PATIENCE_S), 0)
        self.server.process.stdout.close()
        refusal = self.server.log_text().rstrip().splitlines()[-1]
        for sentence in (path + ": damaged at offset", *sentences):
            self.assertIn(sentence, refusal)

    def await_rejoined(self, node, flip):
        """It is a member as any, and what was rotten is kept."""
        server, directory = self.cluster[node], self.cluster.data_dir(node)
        server.await_listening()
        self.assertIn(flip[0] + ": damaged at offset", server.log_text())
        kept = os.path.join(directory, "aside", os.path.relpath(flip[0], directory))
        self.assertTrue(Files.is_there((kept, *flip[1:])))
        harness.wait_until(lambda: not self.cluster.view(node)["rejoins"])
        harness.wait_until(lambda: server.metric("ursula_payload_lacking_bytes") == 0)
        self.cluster.await_leaders()
        self.assertEqual(self.cluster.view(node)["aside"], os.path.join(directory, "aside"))
        self.assertEqual(server.metric("ursula_directory_aside"), 1)
        self.assertNotIn("rotten", self.cluster.readiness(node)[1])

    def test_a_directory_that_rotted_at_rest_is_filled_anew_without_an_operator(self):
        aside = os.path.join(self.cluster.data_dir(VICTIM), "aside")
        for ending in (".wal", ".snap", ".wal"):
            self.append_a_little()
            self.server.stop(signal.SIGTERM)
            flip = self.rot(VICTIM, ending)
            if os.path.exists(aside):  # Of the one before: a disk that rots again isn't filled up.
                self.await_refusal(flip[0], aside + " is there already")
                shutil.rmtree(aside)
            self.launch(VICTIM)
            self.await_rejoined(VICTIM, flip)
            self.check_contents()
        shutil.rmtree(aside)
        harness.wait_until(lambda: self.server.metric("ursula_directory_aside") == 0)
        self.assertEqual(self.cluster.view(VICTIM)["aside"], "")
        print("two rotten logs and a rotten snapshot: filled anew", flush=True)

    def test_where_all_are_rotten_each_waits_until_the_others_are_well(self):
        self.append_a_little()
        for node in (1, 2, 3):
            self.cluster[node].stop(signal.SIGTERM)
        flips = {node: self.rot(node, ".wal") for node in (1, 2, 3)}
        for node in (1, 2, 3):
            self.launch(node)
        for node, flip in flips.items():
            self.assertIn("it stays as it is",
                          self.cluster.await_text(node, "recovering: its log or a snapshot"))
            harness.wait_until(lambda: "no member has answered yet" in
                               self.cluster[node].log_text())
            self.assertTrue(Files.is_there(flip))
            self.assertFalse(os.path.exists(os.path.join(self.cluster.data_dir(node), "aside")))
        for node in (1, 3):  # A cable, say.
            self.cluster[node].kill()
            Files.mend(flips[node])
            self.launch(node)
        for node in (1, 3):
            self.cluster[node].await_listening()
        self.await_rejoined(VICTIM, flips[VICTIM])
        self.check_contents()
        for node in (1, 3):
            self.assertFalse(os.path.exists(os.path.join(self.cluster.data_dir(node), "aside")))
        print("three rotten logs: nothing moved until two were well", flush=True)

    def test_where_it_is_not_to_it_is_refused_by_name_and_replaced_by_hand(self):
        flags = ("--rejoin-when-rotten", "false")
        for ending in (".wal", ".snap"):
            self.append_a_little()
            self.server.stop(signal.SIGTERM)
            self.await_refusal(self.rot(VICTIM, ending)[0], flags=flags)
            self.assertEqual(sorted(os.listdir(self.cluster.data_dir(VICTIM))),
                             ["META", "payload", "snapshot", "wal"])
            # As an operator does then: the cluster has all of it.
            shutil.rmtree(self.cluster.data_dir(VICTIM))
            self.server.start(*flags)
            self.cluster.await_leaders()
            harness.wait_until(lambda: self.server.metric("ursula_payload_lacking_bytes") == 0)
            self.check_contents()
        print("a rotten log and a rotten snapshot: refused by name, replaced", flush=True)


if __name__ == "__main__":
    harness.main()
