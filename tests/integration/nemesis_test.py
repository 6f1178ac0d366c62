#!/usr/bin/env python3
"""Three nodes under load for as long as four faults take: nothing is lost, there twice, stale or out
of order. The bar cluster-B runs the same at full size, and on five nodes.

URSULA_NEMESIS_SEED says which faults and whom they hit.
"""
import os
import random
import tempfile
import unittest

import faults
import harness
import nemesis
from history_checker import check_reads

SEED = int(os.environ.get("URSULA_NEMESIS_SEED", random.randrange(1 << 32)))
GROUPS = 8
RATE = 400
SECONDS = 8  # Faults begin for so long.


class Faults(unittest.TestCase):
    def suffer(self, setting, kinds):
        print("seed=%d" % SEED, flush=True)
        setting.cluster.await_leaders()
        with tempfile.TemporaryDirectory(prefix="ursula-history-") as directory:
            suffering = nemesis.Nemesis(setting, SEED, GROUPS, RATE, kinds, directory,
                                        seconds_max=2.5, calm_s=(0.5, 1.5))
            try:
                suffering.run(SECONDS, print)
            finally:
                suffering.clients.kill()
            verdict = suffering.judge()
        print(verdict.report())
        self.assertEqual(verdict.complaints[:10], [])
        # Without reads the history would prove nothing.
        self.assertEqual(check_reads(suffering.windows, verdict.read_times, 1), [])
        self.assertGreater(verdict.applied(), 0)

    def test_processes_are_killed_and_stopped(self):
        with nemesis.Setting(3, GROUPS, more=False) as setting:
            self.suffer(setting, faults.PROCESS_FAULTS)

    def test_members_change(self):
        with nemesis.Setting(3, GROUPS, more=False) as setting:
            self.suffer(setting, faults.MEMBER_FAULTS)

    def test_networks_disks_and_clocks_fail(self):
        with nemesis.Setting(3, GROUPS, disk_megabytes=1024) as setting:
            if setting.missing:
                self.skipTest("needs " + ", ".join(setting.missing.values()))
            self.suffer(setting, [kind for kind in setting.kinds
                                  if kind not in faults.PROCESS_FAULTS + faults.MEMBER_FAULTS])


if __name__ == "__main__":
    harness.main()
