#!/usr/bin/env python3
"""Feature levels of a cluster: real processes that are restarted one by one, under load."""
import json
import os
import re
import shutil
import subprocess
import unittest

import harness
import nodes
from traffic import Traffic

ALL = (1, 2, 3)
CAPPED = ["--feature-level-max", "1"]


def ursulactl(cluster, *words):
    """What it printed and its exit status."""
    admin = ",".join("127.0.0.1:%d" % cluster[node].admin_port() for node in ALL
                     if cluster[node].process.poll() is None)
    done = subprocess.run([os.path.abspath(os.environ["URSULACTL"]), "--admin", admin, *words],
                          capture_output=True, text=True, timeout=harness.PATIENCE_S,
                          env=harness.environment())
    return done.stdout, done.returncode


class Upgrade(unittest.TestCase):
    def levels(self, cluster):
        return {cluster.view(node)["feature_level"] for node in ALL}

    def await_health(self, cluster):
        harness.wait_until(lambda: ursulactl(cluster, "health")[1] == 0)

    def lift(self, cluster, node):
        """Restarts the node as docs/operating/upgrade.md says, without its cap."""
        self.await_health(cluster)
        self.assertEqual(cluster[node].stop(), 0)
        at = cluster[node].flags.index(CAPPED[0])
        del cluster[node].flags[at:at + 2]
        cluster[node].start()
        cluster.await_leaders(node)
        self.await_health(cluster)

    def test_a_rolling_upgrade_under_load(self):
        with nodes.Cluster(groups=4, each={node: CAPPED for node in ALL}) as cluster:
            cluster.await_leaders()
            traffic = Traffic(cluster, count=4)
            for node in ALL:
                self.assertEqual(self.levels(cluster), {1})
                traffic.await_more(10)
                self.lift(cluster, node)
                traffic.await_more(10)
                if node == 3:
                    break
                # Until it has heard of them all, it waits for each that is silent; and which node
                # is asked may change from one question to the next.
                waits = r"level 2 waits for node [%d-3], which can 1: " % (node + 1)
                harness.wait_until(lambda: re.search("^feature level 1: " + waits, ursulactl(
                    cluster, "status")[0], re.MULTILINE))
                harness.wait_until(lambda: self.waits(cluster, waits, [
                    2 if one <= node else 1 for one in ALL]))
            harness.wait_until(lambda: self.levels(cluster) == {2})
            traffic.await_more(10)
            traffic.end()
            traffic.check()
            statuses = {status for writer in traffic.writers for status in writer.statuses}
            self.assertLessEqual(statuses, {200, 204, 503, 504})
            for node in ALL:
                self.assertEqual(cluster[node].metric("ursula_feature_level"), 2)
                self.assertEqual(cluster[node].metric("ursula_feature_level_max"), 2)
            self.assertIn("\nfeature level 2\nfeature levels: node 1 can 2, node 2 can 2, node 3 "
                          "can 2\n", ursulactl(cluster, "status")[0])
            self.no_way_back(cluster)

    @staticmethod
    def waits(cluster, waits, levels_max):
        status = json.loads(ursulactl(cluster, "--json", "status")[0])
        return (re.match(waits, status["feature_level_waits_for"]) and
                [one["feature_level_max"] for one in status["nodes"]] == levels_max)

    def no_way_back(self, cluster):
        self.assertEqual(cluster[2].stop(), 0)
        cluster[2].launch(*CAPPED)
        self.assertNotEqual(cluster[2].process.wait(harness.PATIENCE_S), 0)
        cluster[2].process.stdout.close()
        self.assertIn("is at feature level 2, and --feature-level-max is 1: there is no way back",
                      cluster[2].log_text())
        cluster[2].start()
        cluster.await_leaders()

    def test_a_new_directory_that_cannot_is_refused_at_both_ends(self):
        with nodes.Cluster(groups=2) as cluster:
            cluster.await_leaders()
            self.assertEqual(self.levels(cluster), {2})
            cluster[3].kill()
            shutil.rmtree(cluster.data_dir(3))
            cluster[3].launch(*CAPPED)
            sentence = "the cluster is at feature level 2, and node 3 can 1: start node 3 with a"
            harness.wait_until(lambda: sentence in cluster[3].log_text())
            harness.wait_until(lambda: sentence in cluster.view(1)["peers"][1]["refusal"])
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/goes-on")[0], 201)
            cluster[3].kill()
            cluster[3].start()
            cluster.await_leaders()
            self.assertEqual(cluster[3].read_all("/v1/stream/goes-on"), b"")


if __name__ == "__main__":
    harness.main()
