#!/usr/bin/env python3
"""What a cluster costs that does nothing, and one whose nodes share readers.

usage: cluster_cost.py URSULAD [--bench URSULA_BENCH] [--groups N] [--cores N] [--seconds S]
                               [--readers N] [--rate R] [--runs N]

Idle: of each pair of nodes the bytes that their connections carry, both directions together, as the
kernel counts them (and beside it with the heads of TCP, IP and Ethernet), and of each node the share
of a CPU. Readers (with --bench): SSE readers of one stream spread over three nodes, against one node
that has them all: the time to delivery, and what the leader's node sends. The last line has the
figures.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

import harness
import nodes

SETTLE_S = 15  # Groups have leaders, and these have been spread.
HEADS_BYTES = 54 + 12  # Of a segment: Ethernet, IPv4, TCP with its timestamps.
PAIR_BYTES_MAX = 5000
CPU_PERCENT_MAX = 2
DELAY_RATIO_MAX = 1.5
EGRESS_RATIO_MAX = 1.2


def connections(cluster):
    """Of each pair of nodes: bytes and segments, both directions, of all connections so far."""
    text = subprocess.run([shutil.which("ss", path=os.environ["PATH"] + ":/usr/sbin:/sbin"), "-Htinp"],
                          check=True, capture_output=True, text=True).stdout
    dialler = {server.process.pid: node for node, server in cluster.nodes.items()}
    acceptor = {port: node for node, port in enumerate(cluster.peer_ports, 1)}
    pairs = {}
    for line in re.sub(r"\n\s+", " ", text).splitlines():
        process = re.search(r"pid=(\d+)", line)
        port = int(line.split()[4].rsplit(":", 1)[1])
        if process is None or int(process[1]) not in dialler or port not in acceptor:
            continue
        pair = tuple(sorted((dialler[int(process[1])], acceptor[port])))
        seen = pairs.setdefault(pair, [0, 0])
        for at, name in enumerate(("bytes", "segs")):
            for field in re.findall(r"\b%s_(?:sent|received|out|in):(\d+)" % name, line):
                seen[at] += int(field)
    return pairs


def cpu_seconds(server):
    seconds = 0
    for thread in os.listdir("/proc/%d/task" % server.process.pid):
        with open("/proc/%d/task/%s/schedstat" % (server.process.pid, thread)) as file:
            seconds += int(file.read().split()[0]) / 1e9
    return seconds


def idle(options):
    """The bytes a second of the busiest pair, and the CPU of the busiest node in percent."""
    flags = ["--core-count", str(options.cores), "--busy-poll-us", "0"]
    with nodes.Cluster(3, groups=options.groups, small=False, flags=flags) as cluster:
        cluster.await_leaders()
        time.sleep(SETTLE_S)
        begin, before = time.monotonic(), connections(cluster)
        used = {node: cpu_seconds(server) for node, server in cluster.nodes.items()}
        time.sleep(options.seconds)
        seconds, after = time.monotonic() - begin, connections(cluster)
        percent = {node: 100 * (cpu_seconds(server) - used[node]) / seconds
                   for node, server in cluster.nodes.items()}
    if len(before) != 3 or set(before) != set(after):
        raise AssertionError("connections: %s, then %s" % (before, after))
    rates = {pair: [(now - then) / seconds for then, now in zip(before[pair], after[pair])]
             for pair in sorted(after)}
    for pair, (payload, segments) in rates.items():
        print("nodes %d and %d: %.0f bytes/s, with heads %.0f; %.0f segments/s" % (
            *pair, payload, payload + HEADS_BYTES * segments, segments))
    for node, share in percent.items():
        print("node %d: %.2f %% of a CPU" % (node, share))
    return max(payload for payload, _ in rates.values()), max(percent.values())


def metric(cluster, node, name):
    return float(re.search(r"^ursula_%s ([-+.\deE]+)$" % name,
                           cluster.ask_admin(node, "/metrics")[1], re.MULTILINE)[1])


def delivery(options, cluster, writer, others):
    """The 99th percentile in ms, and the share of all that nodes sent to readers which the writer's
    node sent to readers and peers."""
    def sent():
        return {node: metric(cluster, node, "http_sent_bytes_total") for node in cluster.nodes}, \
            metric(cluster, writer, "peer_frame_bytes_total") if others else 0
    command = [options.bench, "fan-out", "--url", cluster[writer].url + "/v1/stream/bench",
               "--readers", str(options.readers), "--rate", str(options.rate), "--warmup", "3",
               "--duration", str(options.seconds), "--json", "-", "--quiet"]
    if others:
        command += ["--readers-at",
                    ",".join("127.0.0.1:%d" % cluster[node].port for node in others)]
    readers_before, peers_before = sent()
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    readers, peers = sent()
    readers = {node: readers[node] - readers_before[node] for node in readers}
    loads = {load["name"]: load for stage in result["stages"] for load in stage["loads"]}
    share = (readers[writer] + peers - peers_before) / sum(readers.values())
    return loads["deliver"]["latency_ms"]["p99"], share


def readers(options):
    """Of each run the ratio of the delays, and of what the leader's node sends to a third."""
    flags = ["--core-count", "1", "--busy-poll-us", "0"]
    ratios = []
    for _ in range(options.runs):
        with nodes.Cluster(1, groups=1, small=False, flags=flags) as alone:
            alone.await_leaders()
            one, _ = delivery(options, alone, 1, [])
        with nodes.Cluster(3, groups=1, small=False, flags=flags) as cluster:
            leader = cluster.leader()
            three, share = delivery(options, cluster, leader,
                                    [node for node in cluster.nodes if node != leader])
        print("p99: one node %.2f ms, three %.2f ms; the leader's node sends %.3f of all" % (
            one, three, share))
        ratios.append((three / one, share * 3))
    return tuple(sorted(values)[len(values) // 2] for values in zip(*ratios))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ursulad")
    parser.add_argument("--bench")
    parser.add_argument("--groups", type=int, default=256)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    harness.ursulad_path = os.path.abspath(options.ursulad)
    pair_bytes, percent = idle(options)
    good = pair_bytes < PAIR_BYTES_MAX and percent < CPU_PERCENT_MAX
    figures = "%d idle groups: %.0f bytes/s a pair of nodes, %.2f %% of a CPU a node" % (
        options.groups, pair_bytes, percent)
    if options.bench:
        delay, egress = readers(options)
        good = good and delay <= DELAY_RATIO_MAX and egress <= EGRESS_RATIO_MAX
        figures += "; %d readers at three nodes: p99 %.2fx of one node's, the leader's node sends " \
            "%.2fx of a third" % (options.readers, delay, egress)
    print(figures)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
