#!/usr/bin/env python3
"""Strangers at the peer listeners of a cluster, and nodes that don't belong: clear lines, and service
goes on.

URSULA_PEER_CONNECTIONS says how many half-open connections there are (200 if not given).
"""
import json
import os
import random
import re
import socket
import threading
import unittest

import harness
import nodes
from traffic import Traffic

ALL = (1, 2, 3)
CONNECTIONS = int(os.environ.get("URSULA_PEER_CONNECTIONS", "200"))
RSS_GROWTH_MAX = 32 << 20
SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")


def frame(kind, flags, stream, payload):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") +
            payload)


def garbage(chance):
    """What strangers send, each once."""
    noise = chance.randbytes(4096)
    return [
        b"", b"\0", noise, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE[:10], PREFACE,
        bytes.fromhex("160301020001000001fc0303") + noise[:500],  # The beginning of TLS.
        PREFACE + noise, PREFACE + SETTINGS, PREFACE + SETTINGS + noise,
        PREFACE + SETTINGS + frame(1, 4, 1, noise[:200]),   # HEADERS that are none.
        PREFACE + SETTINGS + frame(1, 4, 1, b"\x48\x04x\n\xbc\x1b"),  # Whose :status is no number.
        PREFACE + SETTINGS + frame(0, 0, 1, noise),         # DATA of no stream.
        PREFACE + SETTINGS + b"\xff\xff\xff" + noise,       # 16 MiB are said to come.
        PREFACE + SETTINGS + frame(6, 0, 0, noise[:8]) * 1000,
        PREFACE + frame(4, 0, 0, bytes.fromhex("0003ffffffff") * 400),
        PREFACE + SETTINGS + frame(3, 0, 1, bytes(4)) * 1000,
    ]


class Knocker:
    """Connections to one peer listener, made again as they are closed there."""

    def __init__(self, port, count, sends=b""):
        self.port, self.sends = port, sends
        self.sockets = []
        self.made = 0
        self.ending = threading.Event()
        self.refill(count)
        self.count = count
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def refill(self, count):
        while len(self.sockets) < count:
            one = socket.create_connection(("127.0.0.1", self.port), timeout=harness.PATIENCE_S)
            self.sockets.append(one)
            self.made += 1
            try:
                one.sendall(self.sends)
            except OSError:
                pass  # Closed already: seen below.

    def run(self):
        while not self.ending.wait(0.05):
            for one in list(self.sockets):
                one.setblocking(False)
                try:
                    if not one.recv(4096):
                        raise ConnectionResetError
                except BlockingIOError:
                    continue
                except OSError:
                    one.close()
                    self.sockets.remove(one)
            try:
                self.refill(self.count)
            except OSError:
                pass  # The node is being started.

    def end(self):
        self.ending.set()
        self.thread.join()
        for one in self.sockets:
            one.close()


def resident_bytes(server):
    with open("/proc/%d/status" % server.process.pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10


class Strangers(unittest.TestCase):
    def test_garbage_changes_nothing(self):
        seed = random.randrange(1 << 32)
        print("seed=%d" % seed)
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(10)
            for sent in garbage(random.Random(seed)):
                for port in cluster.peer_ports:
                    with socket.create_connection(("127.0.0.1", port)) as stranger:
                        stranger.settimeout(harness.PATIENCE_S)
                        try:
                            stranger.sendall(sent)
                            stranger.shutdown(socket.SHUT_WR)
                            while stranger.recv(65536):
                                pass
                        except OSError:
                            pass
            traffic.await_more(10)
            traffic.end()
            traffic.check()
            for node in ALL:
                self.assertIsNone(cluster[node].process.poll())
                for line in cluster[node].log_text().splitlines():
                    json.loads(line)  # Whoever sent what: lines of the server's.
            cluster.await_leaders(*ALL)  # One may be handed over just now.

    def test_half_open_connections_cost_little_and_keep_nobody_out(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(200)
            before = resident_bytes(cluster[1])
            knockers = [Knocker(cluster.peer_ports[0], CONNECTIONS // 2),
                        Knocker(cluster.peer_ports[0], CONNECTIONS // 2, PREFACE + SETTINGS)]
            try:
                traffic.await_more(200)
                grown = resident_bytes(cluster[1]) - before
                print("%d half-open connections: %.1f MiB more" % (
                    sum(knocker.made for knocker in knockers), grown / (1 << 20)))
                if not SANITIZED:  # Freed memory stays in a sanitizer's quarantine.
                    self.assertLess(grown, RSS_GROWTH_MAX)
                # A node that comes back finds its way in, and node 1 its way to it.
                cluster[2].kill()
                cluster[2].start()
                cluster.await_leaders(1, 2)
                harness.wait_until(lambda: all(
                    peer["connected"] and peer["connected_from"]
                    for peer in cluster.view(1)["peers"]))
                traffic.await_more(20)
            finally:
                for knocker in knockers:
                    knocker.end()
            traffic.end()
            traffic.check()
            lines = len(cluster[1].log_text().splitlines())
            self.assertLess(lines, 300, cluster[1].log_text()[-3000:])

    def test_a_peer_that_accepts_and_never_answers(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            cluster[3].kill()
            with socket.create_server(("127.0.0.1", cluster.peer_ports[2])):
                traffic.await_more(20)
                cluster.await_text(1, "node 3 isn't connected")
                traffic.await_more(20)
            cluster[3].start()
            traffic.await_more(20)
            traffic.end()
            traffic.check()


class Misfits(unittest.TestCase):
    def test_another_group_count_is_named(self):
        with nodes.Cluster(each={2: ["--raft-group-count", "16"]}, wait=False) as cluster:
            # Whoever learns of it first ends; the others may then wait for that one.
            harness.wait_until(lambda: cluster[2].process.poll() is not None or all(
                cluster[node].process.poll() is not None for node in (1, 3)))
            lines = [cluster[node].log_text().splitlines()[-1] for node in ALL
                     if cluster[node].process.poll() == 1]
            self.assertTrue(lines)
            for line in lines:
                self.assertRegex(line, "can't start.* raft-group-count of node [123] is (8|16),"
                                 " that of node [123] is (8|16): give each node the same")

    def test_two_nodes_of_one_id_are_named(self):
        with nodes.Cluster() as cluster:
            traffic = Traffic(cluster)
            traffic.await_more(20)
            place = cluster.place(2)
            place[place.index("--peer-listen") + 1] = "127.0.0.1:%d" % nodes.free_ports(1)[0]
            with harness.Server(*cluster.flags, *place, wait=False) as other:
                for server in (other, cluster[1], cluster[3]):
                    harness.wait_until(lambda: "another process is connected as node 2"
                                       in server.log_text())
                traffic.await_more(20)
                self.assertIsNone(other.process.poll())
                self.assertNotIn("listening on", other.log_text())
            traffic.end()
            traffic.check()


if __name__ == "__main__":
    harness.main()
