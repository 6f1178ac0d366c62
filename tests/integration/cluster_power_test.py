#!/usr/bin/env python3
"""The power of all nodes is cut at once under load, each on a disk of its own whose cache is lost.

Each cut keeps any subset of the sectors in each disk's cache and tears writes; every append that was
acknowledged must be there afterwards, once and in order, at every node. The negative control: on
disks that only say that they flush the same must lose some.

URSULA_POWER_CUTS says how often (2 if not given), URSULA_POWER_SEED with which seed.
"""
import contextlib
import os
import random
import unittest

import harness
import nodes
import volume
from load import Load

CUTS = int(os.environ.get("URSULA_POWER_CUTS", "2"))
SEED = int(os.environ.get("URSULA_POWER_SEED", random.randrange(1 << 32)))
MORE_CUTS = 8  # Until one has lost something.
ALL = (1, 2, 3)
# Little memory and small logs: payload files, snapshots and new segments are under way at a cut.
FLAGS = ["--core-count", "1", "--wal-bytes-max", "64MiB", "--hot-bytes-max", "1MiB",
         "--body-bytes-max", "64KiB", "--busy-poll-us", "0"]
STREAMS = 16
CONNECTIONS = 24
PADDING = 3000
APPENDS_MAX = 2000  # Between two cuts.


class Power(unittest.TestCase):
    def setUp(self):
        missing = volume.unavailable(("ext4",))
        if missing:
            self.skipTest("needs " + missing)
        self.chance = random.Random(SEED)
        stack = self.enterContext(contextlib.ExitStack())
        self.volumes = {node: stack.enter_context(
            volume.Volume(os.environ["URSULA_POWER_DISK"], "ext4")) for node in ALL}
        self.cluster = stack.enter_context(nodes.Cluster(
            groups=8, flags=FLAGS, small=False, fixed_ports=True,
            homes={node: str(self.volumes[node].path) for node in ALL}))
        self.cluster.await_leaders()

    def load_until_cut(self, load):
        load.start(self.cluster[1])
        more = load.acknowledged() + self.chance.randrange(1, APPENDS_MAX)
        harness.wait_until(lambda: load.acknowledged() >= more)
        for node in ALL:
            self.volumes[node].disk.command("cut %f %d" % (
                self.chance.choice((0, 0.5, 0.5, 1)), self.chance.randrange(1 << 32)))
        for node in ALL:
            self.cluster[node].kill()
        load.join()
        reports = [self.volumes[node].disk.report() for node in ALL]
        for node in ALL:
            self.volumes[node].unmount()
            self.volumes[node].disk.command("on")
            self.volumes[node].mount()
            self.cluster[node].launch()
        for node in ALL:
            self.cluster[node].await_listening()
        self.cluster.await_leaders()
        return sum(report["lost"] + report["torn"] for report in reports)

    def test_nothing_acknowledged_is_lost(self):
        print("seed=%d cuts=%d" % (SEED, CUTS), flush=True)
        load = Load(STREAMS, CONNECTIONS, producers=STREAMS // 2, padding=PADDING)
        load.create_streams(self.cluster[1])
        sectors = cuts = 0
        # A cut may meet caches that are empty, or keep all that is in them.
        while cuts < CUTS or (sectors == 0 and cuts < CUTS + MORE_CUTS):
            cuts += 1
            sectors += self.load_until_cut(load)
            for node in ALL:
                load.check(self.cluster[node])
        self.assertGreater(sectors, 0, "no cut found anything in a cache")
        print("%d cuts of all nodes lost or tore %d sectors; %d acknowledged appends, 0 lost"
              % (cuts, sectors, load.acknowledged()), flush=True)

    def test_disks_that_lie_lose(self):
        lost = acknowledged = 0
        for number in range(CUTS):
            load = Load(STREAMS, CONNECTIONS, producers=STREAMS // 2, padding=PADDING,
                        prefix="c%d-" % number)
            load.create_streams(self.cluster[1])
            for node in ALL:
                self.volumes[node].disk.command("lie")
            self.load_until_cut(load)
            wrong = load.audit(self.cluster[1])
            self.assertGreater(wrong.get("lost", 0), 0, "disks that lie lost nothing")
            lost += wrong["lost"]
            acknowledged += load.acknowledged()
        print("on disks that lie: %d of %d cuts lost, %d of %d acknowledged appends"
              % (CUTS, CUTS, lost, acknowledged), flush=True)


if __name__ == "__main__":
    harness.main()
