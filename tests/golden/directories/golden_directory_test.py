#!/usr/bin/env python3
"""Directories of earlier releases open, whole, and go on: each archive beside this file, for ever."""
import json
import os
import pathlib
import signal
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))
import contents  # noqa: E402
import harness  # noqa: E402
import nodes  # noqa: E402

RELEASES = sorted(path.stem for path in HERE.glob("*.json"))


def unpacked(test, name):
    place = tempfile.TemporaryDirectory(prefix="ursula-golden-")
    test.addCleanup(place.cleanup)
    with tarfile.open(HERE / (name + ".tar.xz")) as archive:
        archive.extractall(place.name)
    return place.name


class GoldenDirectories(unittest.TestCase):
    def wanted(self, release, kind):
        return json.loads((HERE / (release + ".json")).read_text())[kind]

    def test_there_are_some(self):
        self.assertIn("0.2", RELEASES)

    def test_a_node(self):
        for release in RELEASES:
            for cores in 2, 1:  # As it was made, and with another number.
                with self.subTest(release=release, cores=cores):
                    self.reopen_node(release, cores)

    def reopen_node(self, release, cores):
        home = unpacked(self, release + "-node")
        flags = ["--core-count", str(cores), "--wal-bytes-max", "256MiB", "--body-bytes-max", "4MiB",
                 "--hot-bytes-max", "16MiB"]
        with harness.Server(*flags, data_dir=home) as server:
            self.assertEqual(contents.seen(server), self.wanted(release, "node"))
            contents.go_on(server)
            after = contents.seen(server)
            server.stop(signal.SIGKILL)
            server.start()
            self.assertEqual(contents.seen(server), after)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(contents.seen(server), after)

    def test_a_cluster(self):
        for release in RELEASES:
            with self.subTest(release=release):
                home = unpacked(self, release + "-cluster")
                homes = {node: home for node in (1, 2, 3)}
                with nodes.Cluster(3, groups=8, homes=homes) as three:
                    three.await_leaders()
                    for node in three.nodes.values():
                        self.assertEqual(contents.seen(node), self.wanted(release, "cluster"))
                    contents.go_on(three[2])
                    after = contents.seen(three[2])
                    for node in three.nodes.values():
                        self.assertEqual(node.stop(), 0)
                    for node in three.nodes.values():
                        node.launch()
                    for node in three.nodes.values():
                        node.await_listening()
                    three.await_leaders()
                    for node in three.nodes.values():
                        self.assertEqual(contents.seen(node), after)


if __name__ == "__main__":
    harness.main()
