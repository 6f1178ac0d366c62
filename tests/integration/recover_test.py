#!/usr/bin/env python3
"""Clusters that have lost their majority for ever, and what is made of the nodes that are left."""
import json
import os
import shutil
import subprocess
import unittest

import harness
import nodes

YES = "--yes-data-may-be-lost"


def recover(cluster, asked, lost, *more, status=0):
    """What `ursulactl recover` says, as JSON."""
    admin = ",".join("127.0.0.1:%d" % cluster[node].admin_port() for node in asked)
    done = subprocess.run(
        [os.path.abspath(os.environ["URSULACTL"]), "--admin", admin, "--json", "recover",
         "--lost", ",".join(map(str, lost)), *more],
        capture_output=True, text=True, timeout=harness.PATIENCE_S, env=harness.environment())
    if done.returncode != status:
        raise AssertionError(done)
    return json.loads(done.stdout)


def grow(cluster, asked, command, joining):
    admin = ",".join("127.0.0.1:%d" % cluster[one].admin_port() for one in asked + joining)
    done = subprocess.run(
        [os.path.abspath(os.environ["URSULACTL"]), "--admin", admin, "--wait-ms", "60000",
         *command],
        capture_output=True, text=True, timeout=harness.PATIENCE_S, env=harness.environment())
    if done.returncode != 0:
        raise AssertionError(done)
    for node in joining:
        cluster[node].await_listening()


def begin_anew(cluster, node):
    """With nothing. It serves once it is taken in."""
    admins = cluster[node].log_text().count("admin listening")
    cluster[node].launch()
    harness.wait_until(lambda: cluster[node].log_text().count("admin listening") > admins)


def wipe(cluster, node):
    cluster[node].kill()
    shutil.rmtree(cluster.data_dir(node))


def wait_applied(cluster, *which):
    """Until these nodes have applied the same of every group."""
    def level():
        return len({json.dumps([g["applied"] for g in cluster.view(n)["groups"]])
                    for n in which}) == 1
    harness.wait_until(level)


class Recovered(unittest.TestCase):
    def fill(self, cluster, streams=12):
        for number in range(streams):
            target = "/v1/stream/doc-%d" % number
            self.assertEqual(cluster[1].ask("PUT", target)[0], 201)
            for part in range(3):
                self.assertEqual(cluster[1].append(target, b"%d.%d;" % (number, part))[0], 204)
        wait_applied(cluster, *cluster.nodes)

    def check(self, cluster, which, more=b"", streams=12):
        for number in range(streams):
            target = "/v1/stream/doc-%d" % number
            for node in which:
                self.assertEqual(cluster[node].read_all(target),
                                 b"%d.0;%d.1;%d.2;" % (number, number, number) + more)

    def test_one_of_three_goes_on_alone_and_grows_again(self):
        with nodes.Cluster(groups=4) as cluster:
            cluster.await_leaders()
            self.fill(cluster)
            before = cluster.view(1)["cluster_id"]
            etag = cluster[1].ask("GET", "/v1/stream/doc-0?offset=-1")[1]["ETag"]
            self.assertEqual(
                recover(cluster, [1], [2, 3], YES, status=1)["error"]["code"], "NODE_IS_THERE")
            wipe(cluster, 2)
            self.assertEqual(recover(cluster, [1, 3], [2], YES, status=1)["error"]["code"],
                             "NOT_NEEDED")
            wipe(cluster, 3)
            self.assertEqual(recover(cluster, [1], [2], YES, status=1)["error"]["code"],
                             "UNREACHABLE")
            seen = recover(cluster, [1], [2, 3], status=1)
            self.assertFalse(seen["stored"])
            self.assertEqual(len(seen["survivors"][0]["groups"]), 4)
            cluster.await_text(1, "4 of 4 groups have no leader")
            self.assertEqual(cluster.view(1)["cluster_id"], before)
            # Looking has changed nothing: it is what it was.
            cluster[1].stop()
            cluster[1].start()
            cluster.await_text(1, "4 of 4 groups have no leader")

            done = recover(cluster, [1], [2, 3], YES)
            cluster.await_text(1, "restart it")
            self.assertEqual(recover(cluster, [1], [2, 3], YES)["cluster_id"],
                             done["cluster_id"])
            cluster[1].kill()
            cluster[1].start()
            cluster.await_leaders(1)
            self.assertEqual(cluster.view(1)["cluster_id"], done["cluster_id"])
            self.assertNotEqual(done["cluster_id"], before)
            self.check(cluster, [1])
            self.assertNotEqual(cluster[1].ask("GET", "/v1/stream/doc-0?offset=-1")[1]["ETag"],
                                etag)
            for number in range(12):
                self.assertEqual(cluster[1].append("/v1/stream/doc-%d" % number, b"on")[0], 204)
            for node in (2, 3):
                begin_anew(cluster, node)
            harness.wait_until(lambda: "ursulactl node add 2" in cluster[2].log_text())
            grow(cluster, [1], ["replicas", "3"], [2, 3])
            cluster.await_leaders(1, 2, 3)
            self.assertEqual([(m["node"], m["stage"]) for m in cluster.view(1)["members"]],
                             [(1, "member"), (2, "member"), (3, "member")])
            self.check(cluster, [1, 2, 3], b"on")
            cluster[1].kill()
            cluster.await_leaders(2, 3)
            self.check(cluster, [2, 3], b"on")

    def test_two_of_five_need_each_other_and_the_plan(self):
        with nodes.Cluster(5, groups=4) as cluster:
            cluster.await_leaders()
            self.fill(cluster)
            for node in (3, 4, 5):
                wipe(cluster, node)
            # The second one is away while the first gets the plan and is restarted with it.
            seen = recover(cluster, [1, 2], [3, 4, 5], status=1)
            self.assertEqual([s["node"] for s in seen["survivors"]], [1, 2])
            cluster[2].kill()
            self.assertEqual(
                recover(cluster, [1], [3, 4, 5], YES, status=1)["error"]["code"], "UNREACHABLE")
            cluster[2].start()
            done = recover(cluster, [1, 2], [3, 4, 5], YES)
            cluster[1].kill()
            cluster[1].start()
            cluster.await_text(1, "groups have no leader")
            self.assertEqual(cluster[2].append("/v1/stream/doc-0", b"no")[0], 503)
            cluster[2].kill()
            cluster[2].start()
            cluster.await_leaders(1, 2)
            self.assertEqual({cluster.view(n)["cluster_id"] for n in (1, 2)},
                             {done["cluster_id"]})
            self.check(cluster, [1, 2])
            for number in range(12):
                self.assertEqual(cluster[2].append("/v1/stream/doc-%d" % number, b"on")[0], 204)
            self.check(cluster, [1, 2], b"on")
            begin_anew(cluster, 3)
            grow(cluster, [1, 2], ["node", "add", "3"], [3])
            cluster.await_leaders(1, 2, 3)
            self.check(cluster, [1, 2, 3], b"on")

    def test_lost_nodes_that_come_back_are_refused_and_do_no_harm(self):
        with nodes.Cluster(groups=4) as cluster:
            cluster.await_leaders()
            self.fill(cluster)
            for node in (2, 3):
                cluster[node].kill()
            cluster.await_text(1, "4 of 4 groups have no leader")
            recover(cluster, [1], [2, 3], YES)
            cluster[1].stop()
            cluster[1].start()
            cluster.await_leaders(1)
            self.assertEqual(cluster[1].append("/v1/stream/doc-0", b"here")[0], 204)
            # They are a majority of the former cluster, and one that nobody here listens to.
            for node in (2, 3):
                cluster[node].start()
            cluster.await_leaders(2, 3)
            self.assertEqual(cluster[2].append("/v1/stream/doc-0", b"there")[0], 204)
            cluster.await_text(2, "belongs to cluster")
            self.assertEqual(cluster[1].append("/v1/stream/doc-0", b"!")[0], 204)
            self.assertTrue(cluster[1].read_all("/v1/stream/doc-0").endswith(b"here!"))
            self.assertTrue(cluster[2].read_all("/v1/stream/doc-0").endswith(b"there"))
            self.assertEqual(cluster.readiness(1)[0], 200)
            self.assertEqual([m["node"] for m in cluster.view(1)["members"]], [1])


if __name__ == "__main__":
    harness.main()
