#!/usr/bin/env python3
"""Three ursulads as one server: real processes, over loopback."""
import json
import os
import shutil
import signal
import tempfile
import unittest

import harness
import nodes
from traffic import Traffic

ALL = (1, 2, 3)


class Together(unittest.TestCase):
    def test_any_node_serves_any_stream(self):
        with nodes.Cluster() as cluster:
            for node in ALL:
                target = "/v1/stream/from-%d" % node
                self.assertEqual(cluster[node].ask("PUT", target)[0], 201)
                for other in ALL:
                    self.assertEqual(cluster[other].append(target, b"%d" % other)[0], 204)
                for other in ALL:
                    self.assertEqual(cluster[other].read_all(target), b"123")
            self.follow_at_other_nodes(cluster)
            self.assertEqual([cluster[node].stop() for node in ALL], [0, 0, 0])
            members = {entry["cluster_id"] for node in ALL for entry in cluster.logged(node)
                       if entry["message"] == "this is a node of a cluster"}
            self.assertEqual(len(members), 1, members)

    def follow_at_other_nodes(self, cluster):
        target = "/v1/stream/followed"
        self.assertEqual(cluster[1].ask("PUT", target, headers={"Content-Type": "text/plain"})[0],
                         201)
        readers = {node: cluster[node].raw() for node in ALL}
        for reader in readers.values():
            reader.write("GET %s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            self.assertIn(" 200 ", reader.read_to("\r\n\r\n"))
        for node in ALL:
            word = "from-%d" % node
            self.assertEqual(cluster[node].append(target, word, "text/plain")[0], 204)
            for reader in readers.values():
                self.assertTrue(reader.read_to(word).endswith(word))
        for reader in readers.values():
            reader.socket.close()

    def test_the_admin_listener_shows_groups_and_peers(self):
        with nodes.Cluster(groups=4) as cluster:
            cluster.await_leaders()
            seen = cluster.view(1)
            self.assertEqual(seen["node"], 1)
            self.assertEqual([group["group"] for group in seen["groups"]], [0, 1, 2, 3])
            self.assertEqual([(peer["node"], peer["connected"], peer["connected_from"])
                              for peer in seen["peers"]], [(2, True, True), (3, True, True)])
            self.assertEqual(cluster[1].metric('ursula_peer_connected{peer="2"}'), 1)
            self.assertGreater(cluster[1].metric('ursula_peer_sent_bytes_total{peer="2"}'), 0)
            self.assertEqual(cluster[1].metric("ursula_groups_leaderless"), 0)
            # Alone, a node serves nothing and says why.
            cluster[2].kill()
            cluster[3].kill()
            cluster.await_text(1, "4 of 4 groups have no leader: 0, 1, 2, 3")
            cluster.await_text(1, "node 3 isn't connected: can't reach 127.0.0.1:")
            self.assertEqual(cluster.readiness(1)[0], 503)


class Failures(unittest.TestCase):
    """Under load; nothing that was acknowledged is lost or there twice, at any node."""

    def test_the_leader_is_killed_and_comes_back(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            leader = cluster.leader()
            cluster[leader].kill()
            traffic.await_more(20)
            traffic.check(*(node for node in ALL if node != leader))
            cluster[leader].start()
            traffic.await_more(20)
            traffic.end()
            traffic.check()

    def test_a_node_that_is_asked_to_stop_hands_over(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            leader = cluster.leader()
            self.assertEqual(cluster[leader].stop(), 0)
            traffic.await_more(20)
            cluster[leader].start()
            cluster.await_leaders()
            traffic.end()
            traffic.check()

    def test_a_node_that_is_cut_off_ends_its_tails(self):
        with nodes.Cluster(flags=["--sse-rotation-ms", "3600000", "--long-poll-timeout-ms",
                                   "600000"]) as cluster:
            cluster.await_leaders()
            target, text = "/v1/stream/tail", {"Content-Type": "text/plain"}
            self.assertEqual(cluster[3].ask("PUT", target, headers=text)[0], 201)
            with cluster[3].raw() as live, cluster[3].raw() as poll:
                live.write("GET %s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n" % target)
                live.read_to("upToDate")
                poll.write("GET %s?offset=now&live=long-poll HTTP/1.1\r\nHost: x\r\n\r\n" % target)
                harness.wait_until(lambda: cluster[3].metric("ursula_http_requests_open") == 2)
                for node in (1, 2):
                    cluster[node].process.send_signal(signal.SIGSTOP)
                try:
                    end = live.read_to("\r\n0\r\n\r\n")
                    self.assertIn("event: control", end)
                    self.assertNotIn("upToDate", end)  # It doesn't know.
                    status, head, _ = poll.read_response()
                    self.assertEqual(status, 503, head)
                    self.assertIn("\r\nRetry-After:", head)
                finally:
                    for node in (1, 2):
                        cluster[node].process.send_signal(signal.SIGCONT)

    def test_all_are_killed_at_once(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            for node in ALL:
                cluster[node].process.send_signal(signal.SIGKILL)
            for node in ALL:
                cluster[node].kill()
            for node in ALL:
                cluster[node].launch()
            for node in ALL:
                cluster[node].await_listening()
            traffic.await_more(20)
            traffic.end()
            traffic.check()


class LocalReads(unittest.TestCase):
    """At `?consistency=local` a node answers of what it has, and says how old that is."""

    TARGET = "/v1/stream/local"

    def read(self, node, bound_ms, method="GET"):
        return node.ask(method, "%s?offset=-1&consistency=local&max_staleness_ms=%d"
                        % (self.TARGET, bound_ms))

    def test_a_node_without_a_majority_goes_on_until_its_bound_is_over(self):
        with nodes.Cluster() as cluster:
            self.assertEqual(cluster[2].ask("PUT", self.TARGET)[0], 201)
            self.assertEqual(cluster[3].append(self.TARGET, b"abc")[0], 204)
            status, headers, body = self.read(cluster[1], 0)
            self.assertEqual((status, body), (200, b"abc"))
            self.assertLess(int(headers["Stream-Staleness-Ms"]), 5000)
            for node in (2, 3):
                cluster[node].process.send_signal(signal.SIGSTOP)
            try:
                self.grow_old(cluster[1])
            finally:
                for node in (2, 3):
                    cluster[node].process.send_signal(signal.SIGCONT)
            harness.wait_until(lambda: self.read(cluster[1], 3000)[0] == 200)
            self.assertEqual(cluster[1].read_all(self.TARGET), b"abc")

    def grow_old(self, node):
        """Of one whose majority stands still."""
        self.assertEqual(self.read(node, 3000, "HEAD")[0], 200)
        ages = []
        while True:
            status, headers, body = self.read(node, 3000)
            if status != 200:
                break
            self.assertEqual(body, b"abc")
            ages.append(int(headers["Stream-Staleness-Ms"]))
        self.assertEqual(status, 503)
        self.assertIn(b'"BEHIND"', body)
        self.assertIn("Retry-After", headers)
        self.assertEqual(ages, sorted(ages))
        self.assertLessEqual(ages[-1], 3000)
        self.assertGreater(ages[-1], 2000)
        # A larger bound is another question; what isn't known here isn't denied.
        self.assertEqual(self.read(node, 3600000)[2], b"abc")
        status, _, body = node.ask("HEAD", "/v1/stream/other?consistency=local")
        self.assertEqual(status, 503)
        status, _, body = node.ask("GET", self.TARGET)
        self.assertEqual(status, 503)
        self.assertIn(b'"UNAVAILABLE"', body)


class Refusals(unittest.TestCase):
    def refused(self, server, *words):
        """It ends by itself with status 1 and a line that has these words."""
        self.assertEqual(server.process.wait(harness.PATIENCE_S), 1)
        line = server.log_text().splitlines()[-1]
        for word in ("can't start", *words):
            self.assertIn(word, line)

    def test_a_directory_is_its_nodes_and_its_clusters(self):
        with nodes.Cluster() as cluster:
            cluster_id = cluster.view(1)["cluster_id"]
            for node in ALL:
                self.assertEqual(cluster[node].stop(), 0)
            cluster[2].launch("--data-dir", cluster.data_dir(1))
            self.refused(cluster[2], "is node 1's, not node 2's")
            cluster[1].launch("--cluster-id", "00000000000000ab")
            self.refused(cluster[1], "is of cluster", "give this node its own directory")
            # Without peers it would wait for votes for ever.
            with harness.Server(data_dir=cluster.data_dir(3), wait=False) as alone:
                self.refused(alone, "is node 3's of a cluster")
            # With its own id named it comes up, and on a new directory it founds nothing.
            cluster[3].launch("--cluster-id", cluster_id, "--data-dir",
                              os.path.join(cluster.directory.name, "unmounted"))
            harness.wait_until(lambda: "forbids founding" in cluster[3].log_text())
            cluster[3].kill()
            for node in ALL:
                cluster[node].launch("--cluster-id", cluster_id)
            for node in ALL:
                cluster[node].await_listening()

    def test_nodes_of_two_clusters_do_not_meet(self):
        with nodes.Cluster(groups=2) as one, nodes.Cluster(groups=2) as other:
            other[3].kill()
            one[3].kill()
            one[3].launch("--data-dir", other.data_dir(3))
            one[3].await_listening()
            for node in (1, 2):
                harness.wait_until(lambda: "belongs to cluster " + other.view(1)["cluster_id"]
                                   in one[node].log_text())
            self.assertEqual(one[1].ask("PUT", "/v1/stream/goes-on")[0], 201)
            self.assertEqual(one.readiness(3)[0], 503)

    def test_another_secret_is_refused_with_a_line(self):
        with tempfile.TemporaryDirectory(prefix="ursula-secret-") as folder:
            flags = {}
            for node in ALL:
                path = os.path.join(folder, "secret-%d" % node)
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                    file.write("0123456789abcdef" if node < 3 else "fedcba9876543210")
                flags[node] = ["--cluster-secret-file", path]
            with nodes.Cluster(each=flags, wait=False) as cluster:
                for node in ALL:
                    cluster.await_text(node, "it doesn't know the cluster's secret")
                    cluster.await_text(node, "founding the cluster: 0 of 3 nodes have agreed")
                self.assertEqual([cluster[node].stop() for node in ALL], [0, 0, 0])
                cluster[3].flags += ["--cluster-secret-file", flags[1][1]]
                for node in ALL:
                    cluster[node].launch()
                for node in ALL:
                    cluster[node].await_listening()



class Membership(unittest.TestCase):
    def stages(self, cluster, node):
        return [(member["node"], member["stage"], member["lives_before"])
                for member in cluster.view(node)["members"]]

    def await_members(self, cluster, *lives):
        expected = [(node, "member", before) for node, before in enumerate(lives, 1)]
        for node in range(1, len(lives) + 1):
            harness.wait_until(lambda: self.stages(cluster, node) == expected)

    def test_a_wiped_node_comes_back_and_counts(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            cluster[3].kill()
            kept = cluster.data_dir(3) + "-kept"
            shutil.move(cluster.data_dir(3), kept)
            cluster[3].launch()
            cluster[3].await_listening()  # As a member.
            self.await_members(cluster, 0, 0, 1)
            cluster.await_leaders()
            cluster[1].kill()  # What is left is a majority that has everything.
            traffic.await_more(20)
            traffic.end()
            traffic.check(2, 3)
            cluster[1].start()
            cluster.await_leaders()
            # The one that was lost is found again: it takes no part any more.
            cluster[3].kill()
            shutil.rmtree(cluster.data_dir(3))
            shutil.move(kept, cluster.data_dir(3))
            cluster[3].launch()
            cluster[3].await_listening()
            cluster.await_text(3, "another directory has taken this one's place")
            cluster[3].kill()
            cluster[3].launch()
            self.assertEqual(cluster[3].process.wait(harness.PATIENCE_S), 1)
            self.assertIn("is no member of its cluster any more", cluster[3].log_text())

    def test_an_older_state_of_a_directory_is_refused(self):
        with nodes.Cluster(groups=2) as cluster:
            self.assertEqual(cluster[2].stop(), 0)
            kept = cluster.data_dir(2) + "-kept"
            shutil.copytree(cluster.data_dir(2), kept)
            cluster[2].start()
            cluster.await_leaders()
            harness.wait_until(lambda: len(self.stages(cluster, 2)) == 3)
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/after")[0], 201)
            harness.wait_until(lambda: self.openings_told(cluster))
            cluster[2].kill()
            shutil.rmtree(cluster.data_dir(2))
            shutil.move(kept, cluster.data_dir(2))
            cluster[2].launch()
            cluster[2].await_listening()
            cluster.await_text(2, "an older state of this directory was put back")
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/goes-on")[0], 201)
            cluster[2].kill()
            shutil.rmtree(cluster.data_dir(2))
            cluster[2].launch()
            cluster[2].await_listening()
            self.await_members(cluster, 0, 1, 0)

    def openings_told(self, cluster):
        """Whether the cluster knows of node 2's second opening."""
        told = {member["node"]: member["openings"] for member in cluster.view(1)["members"]}
        return told[2] == 2

    def test_a_node_that_is_alone_grows_to_three(self):
        with nodes.Cluster(wait=False) as cluster:
            for node in ALL:
                cluster[node].kill()
                shutil.rmtree(cluster.data_dir(node), ignore_errors=True)
            with harness.Server(*nodes.SMALL, "--raft-group-count", "8",
                                data_dir=cluster.data_dir(1)) as alone:
                self.assertEqual(alone.ask("PUT", "/v1/stream/old")[0], 201)
                self.assertEqual(alone.append("/v1/stream/old", b"kept")[0], 204)
                self.assertEqual(alone.stop(), 0)
            for node in ALL:
                cluster[node].launch()
            for node in ALL:
                cluster[node].await_listening()
            self.await_members(cluster, 0, 1, 1)
            cluster.await_leaders()
            cluster[1].kill()
            harness.wait_until(lambda: cluster[2].append("/v1/stream/old", b"+")[0] == 204)
            self.assertTrue(cluster[3].read_all("/v1/stream/old").startswith(b"kept+"))


if __name__ == "__main__":
    harness.main()
