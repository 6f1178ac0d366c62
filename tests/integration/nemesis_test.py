#!/usr/bin/env python3
"""Three nodes under load for as long as four faults take: nothing is lost, there twice, stale or out
of order. The bar cluster-B runs the same at full size, and on five nodes.

URSULA_NEMESIS_SEED says which faults and whom they hit.
"""
import os
import random
import tempfile
import unittest

import harness
import nemesis
import network
import nodes
from history_checker import check_reads

SEED = int(os.environ.get("URSULA_NEMESIS_SEED", random.randrange(1 << 32)))
GROUPS = 8
RATE = 400
SECONDS = 8  # Faults begin for so long.


class Faults(unittest.TestCase):
    def suffer(self, faults, net=None):
        print("seed=%d" % SEED, flush=True)
        with tempfile.TemporaryDirectory(prefix="ursula-history-") as directory, nodes.Cluster(
                groups=GROUPS, fixed_ports=True, network=net) as cluster:
            cluster.await_leaders()
            suffering = nemesis.Nemesis(cluster, SEED, GROUPS, RATE, faults, directory,
                                        seconds_max=2.5, calm_s=(0.5, 1.5))
            try:
                suffering.run(SECONDS, print)
            finally:
                suffering.clients.kill()
            verdict = suffering.judge()
        print(verdict.report())
        self.assertEqual(verdict.complaints, [])
        # Without reads the history would prove nothing.
        self.assertEqual(check_reads(suffering.windows, verdict.read_times, 1), [])
        self.assertGreater(verdict.applied(), 0)

    def test_processes_are_killed_and_stopped(self):
        self.suffer(nemesis.PROCESS_FAULTS)

    def test_the_network_is_cut_and_slow(self):
        missing = network.unavailable()
        if missing:
            self.skipTest("needs " + missing)
        with network.Network(3) as net:
            self.suffer(nemesis.PROCESS_FAULTS + nemesis.NETWORK_FAULTS * 2, net)


if __name__ == "__main__":
    harness.main()
