#!/usr/bin/env python3
"""Makes the golden directories of a release, once, when it is cut.

usage: make.py URSULAD NAME

NAME-node.tar.xz (one node of two cores), NAME-cluster.tar.xz (three nodes) and NAME.json (what
clients saw of them) are written beside this file. The servers are killed: their logs have no end.
"""
import json
import os
import pathlib
import signal
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))
import contents  # noqa: E402
import harness  # noqa: E402
import nodes  # noqa: E402

NODE_FLAGS = ["--raft-group-count", "8", "--wal-bytes-max", "256MiB", "--body-bytes-max", "4MiB",
              "--hot-bytes-max", "16MiB"]


def pack(path, directory):
    def plain(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name in sorted(os.listdir(directory)):
            archive.add(os.path.join(directory, name), arcname=name, filter=plain)


def one_node(name):
    with harness.Server("--core-count", "2", *NODE_FLAGS) as server:
        contents.fill(server)
        server.stop()  # With a checkpoint of each group.
        server.start()
        contents.end(server)
        found = contents.seen(server)
        server.stop(signal.SIGKILL)
        pack(HERE / (name + "-node.tar.xz"), server.data_dir)
    return found


def cluster(name):
    with nodes.Cluster(3, groups=8) as three:
        three.await_leaders()
        contents.fill(three[2], large=False)
        for node in three.nodes.values():
            node.stop()
        for node in three.nodes.values():
            node.launch()
        for node in three.nodes.values():
            node.await_listening()
        three.await_leaders()
        contents.end(three[3])
        found = contents.seen(three[1])
        for node in three.nodes.values():
            node.stop(signal.SIGKILL)
        pack(HERE / (name + "-cluster.tar.xz"), three.directory.name)
    return found


def main():
    harness.ursulad_path, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    found = {"node": one_node(name), "cluster": cluster(name)}
    (HERE / (name + ".json")).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
