#!/usr/bin/env python3
"""The power is cut under load: real file systems on a disk that loses what was not flushed.

Each cut keeps any subset of the sectors in the disk's cache and tears one write; the file system
replays its journal, ursulad recovers, and every acknowledged append must be there, once and in
order. The negative control: on a disk that only says that it flushes the same must lose some, or
the test would prove nothing.

URSULA_POWER_CUTS says how often for each file system (3 if not given), URSULA_POWER_SEED with which
seed.
"""
import os
import random
import tempfile
import unittest

import harness
import volume
from load import Load

CUTS = int(os.environ.get("URSULA_POWER_CUTS", "3"))
SEED = int(os.environ.get("URSULA_POWER_SEED", random.randrange(1 << 32)))
# Little memory and small logs: payload files, snapshots and new segments are under way at a cut.
FLAGS = ["--raft-group-count", "8", "--core-count", "2", "--wal-bytes-max", "64MiB",
         "--hot-bytes-max", "1MiB", "--body-bytes-max", "64KiB"]
STREAMS = 16
CONNECTIONS = 24
PADDING = 3000
APPENDS_MAX = 2000  # Between two cuts.


class PowerCut(unittest.TestCase):
    def setUp(self):
        missing = volume.unavailable()
        if missing:
            self.skipTest("needs " + missing)

    def load_until_cut(self, served, server, load, number, chance):
        load.start(server)
        more = load.acknowledged() + chance.randrange(1, APPENDS_MAX)
        harness.wait_until(lambda: load.acknowledged() >= more)
        served.disk.command("%s %f %d" % (
            "cut" if number % 4 == 3 else "cut-at-flush",
            chance.choice((0, 0.5, 0.5, 1)), chance.randrange(1 << 32)))
        harness.wait_until(lambda: served.disk.report()["off"] == 1)
        server.kill()
        load.join()
        report = served.disk.report()
        served.unmount()
        served.disk.command("on")
        served.mount()
        return report

    def cut(self, kind):
        print("%s seed=%d cuts=%d" % (kind, SEED, CUTS), flush=True)
        chance = random.Random(SEED)
        load = Load(STREAMS, CONNECTIONS, producers=STREAMS // 2, padding=PADDING)
        sectors = torn = 0
        with volume.Volume(os.environ["URSULA_POWER_DISK"], kind) as served, harness.Server(
                *FLAGS, data_dir=served.path / "data") as server:
            load.create_streams(server)
            for number in range(CUTS):
                if chance.random() < 0.3:
                    # What a killed process left in the page cache must not be taken as durable.
                    server.kill()
                    server.start()
                report = self.load_until_cut(served, server, load, number, chance)
                sectors += report["lost"]
                torn += report["torn"]
                server.start("--core-count", str(1 + number % 3))
                load.check(server)
            self.assertEqual(server.stop(), 0)
        print("%s: %d cuts lost %d sectors and tore %d; %d acknowledged appends, 0 lost"
              % (kind, CUTS, sectors, torn, load.acknowledged()), flush=True)
        self.assertGreater(sectors + torn, 0, "no cut found anything in the cache")

    def control(self, kind):
        """Every cut must lose acknowledged appends, and nothing else may be wrong."""
        chance = random.Random(SEED)
        lost = acknowledged = 0
        with volume.Volume(os.environ["URSULA_POWER_DISK"], kind) as served, harness.Server(
                *FLAGS, data_dir=served.path / "data") as server:
            for number in range(CUTS):
                load = Load(STREAMS, CONNECTIONS, producers=STREAMS // 2, padding=PADDING,
                            prefix="c%d-" % number)
                load.create_streams(server)
                served.disk.command("lie")
                self.load_until_cut(served, server, load, number, chance)
                server.start()
                wrong = load.audit(server)
                self.assertGreater(wrong.get("lost", 0), 0, "a disk that lies lost nothing")
                self.assertNotIn("half", wrong)
                self.assertNotIn("doubled or reordered", wrong)
                lost += wrong["lost"]
                acknowledged += load.acknowledged()
        print("%s, on a disk that lies: %d of %d cuts lost, %d of %d acknowledged appends"
              % (kind, CUTS, CUTS, lost, acknowledged), flush=True)

    def test_a_report_is_whole_though_it_grows_while_it_is_read(self):
        with tempfile.TemporaryDirectory(prefix="ursula-disk-") as directory:
            disk = volume.PowerDisk(os.environ["URSULA_POWER_DISK"], directory, megabytes=1)
            try:
                whole = disk.report()
                control = os.open(disk.directory / "control", os.O_RDONLY)
                text = os.read(control, 16)
                with open(disk.directory / "disk", "wb", buffering=0) as sectors:
                    for _ in range(100):
                        sectors.write(bytes(512))
                text += os.read(control, 4096)
                os.close(control)
                self.assertEqual(volume.parse_report(text.decode()), whole)
                self.assertEqual(disk.report()["writes"], 100)
            finally:
                disk.close()

    def test_ext4_loses_nothing_acknowledged(self):
        self.cut("ext4")

    def test_xfs_loses_nothing_acknowledged(self):
        self.cut("xfs")

    def test_ext4_on_a_disk_that_lies_loses(self):
        self.control("ext4")

    def test_xfs_on_a_disk_that_lies_loses(self):
        self.control("xfs")


if __name__ == "__main__":
    harness.main()
