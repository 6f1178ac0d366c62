#!/usr/bin/env python3
"""Three ursulads as one server: real processes, over loopback."""
import unittest

import harness
import nodes

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
            self.assertEqual([cluster[node].stop() for node in ALL], [0, 0, 0])
            members = {entry["cluster_id"] for node in ALL for entry in cluster.logged(node)
                       if entry["message"] == "this is a node of a cluster"}
            self.assertEqual(len(members), 1, members)


if __name__ == "__main__":
    harness.main()
