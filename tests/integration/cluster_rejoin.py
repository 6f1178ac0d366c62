#!/usr/bin/env python3
"""How a node that was away comes back while the others serve.

usage: cluster_rejoin.py URSULAD --bench URSULA_BENCH [--megabytes N] [--small-seconds S]
                                 [--large N] [--watch-seconds S] [--groups N]

A node of three is killed; the other two take appends (64 KiB, then, in another cluster, 256 B); it is
started again beside an open loop of 256 B at 30 % of what the two can take. It is back when it has
applied all that had been appended by then and lacks no payload. Then appends of 32 MiB, one after the
other, and a node whose directory is empty: no leader may change. Last, a node that is cut off ends its
live readers. The last line has the figures.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
import nodes

AWAY = 3
LARGE_BYTES = 32 << 20
CHUNK_BYTES = 64 << 10
MB_PER_SECOND_MIN = 50
TIMES_AS_FAST_MIN = 3
P99_RATIO_MAX = 2
P99_FLOOR_MS = 5  # Below it a second of noise decides.
TAILS_END_S = 5
LOOP_SHARE = 0.3


def three_nodes(options):
    """They share this machine, as those of `server/start --cluster` do."""
    cores = -(-len(os.sched_getaffinity(0)) // 3)
    return nodes.Cluster(3, groups=options.groups, small=False, flags=("--core-count", str(cores)))


class Load:
    """An ursula-bench, at one node."""

    def __init__(self, options, url, payload, seconds, rate=0, connections=64):
        self.command = [options.bench, "append", "--url", url + "/v1/stream/bench", "--payload",
                        str(payload), "--connections", str(connections), "--streams",
                        str(connections), "--rate", "%.0f" % rate, "--warmup", "0.5",
                        "--duration", "%g" % seconds, "--json", "-", "--quiet"]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)

    def result(self):
        text, _ = self.process.communicate()
        if self.process.returncode:
            raise AssertionError("%s: %s" % (self.command, text))
        stages = json.loads(text)["stages"]
        return next(load for stage in stages for load in stage["loads"] if load["name"] == "append")


def metric(cluster, node, name):
    return cluster[node].metric("ursula_" + name)


def applied(cluster, node):
    return {group["group"]: group["applied"] for group in cluster.view(node)["groups"]}


def await_caught_up(cluster, node, goal):
    """Until it has what the others had applied, payload and all."""
    def is_whole():
        if cluster.readiness(node)[0] not in (200, 503):
            return False
        seen = applied(cluster, node)
        return (all(seen.get(group, -1) >= index for group, index in goal.items()) and
                metric(cluster, node, "payload_lacking_bytes") == 0)
    harness.wait_until(is_whole)


def elections(cluster):
    return sum(metric(cluster, node, "elections_won_total") for node in cluster.nodes)


def serving(cluster):
    """A node that stays, and that leads as much as the others."""
    cluster.await_leaders()
    return 1 if AWAY != 1 else 2


def rejoin(options, payload, seconds):
    """How the node came back: bytes and entries a second while it was away, seconds until it was
    whole, both p99 of the open loop in ms."""
    with three_nodes(options) as cluster:
        at = serving(cluster)
        cluster[AWAY].kill()
        cluster.await_leaders(1, 2)
        url = cluster[at].url
        capacity = Load(options, url, 256, 3).result()["per_second"]
        before = sum(applied(cluster, at).values())
        wrote_from = time.monotonic()
        written = Load(options, url, payload, seconds).result()
        wrote_s = time.monotonic() - wrote_from
        entries = sum(applied(cluster, at).values()) - before
        alone = Load(options, url, 256, options.watch_seconds, capacity * LOOP_SHARE).result()
        goal = applied(cluster, at)
        loop = Load(options, url, 256, options.watch_seconds, capacity * LOOP_SHARE)
        begun = time.monotonic()
        cluster[AWAY].start()
        await_caught_up(cluster, AWAY, goal)
        took = time.monotonic() - begun
        beside = loop.result()
    done = {"bytes": entries * payload, "entries": entries, "wrote_s": wrote_s, "took_s": took,
            "p99": (alone["latency_ms"]["p99"], beside["latency_ms"]["p99"])}
    print("%d B: %.0f entries, %.0f MB, written in %.1f s at %.0f/s; back after %.1f s; p99 beside it "
          "%.1f ms, alone %.1f ms" % (payload, entries, done["bytes"] / 1e6, wrote_s,
                                      written["per_second"], took, done["p99"][1], done["p99"][0]),
          flush=True)
    return done


def p99_ratio(done):
    alone, beside = done["p99"]
    return max(beside, P99_FLOOR_MS) / max(alone, P99_FLOOR_MS)


def large_and_snapshot(options):
    """Leaders that changed while large appends came one behind the other, and while a node was given
    all of its state."""
    with three_nodes(options) as cluster:
        cluster.await_leaders()
        harness.wait_until(lambda: min(metric(cluster, node, "groups_led")
                                       for node in cluster.nodes) >= options.groups // 3)
        before = elections(cluster)
        target = "/v1/stream/large"
        if cluster[1].ask("PUT", target)[0] != 201:
            raise AssertionError("no stream for large appends")
        body = b"x" * LARGE_BYTES
        for count in range(options.large):
            status, _, text = cluster[1 + count % 2].append(target, body)
            if status not in (200, 204):
                raise AssertionError("append %d of 32 MiB: %d %r" % (count, status, text))
        by_large = elections(cluster) - before
        led = metric(cluster, AWAY, "groups_led")
        cluster[AWAY].stop()
        shutil.rmtree(cluster.data_dir(AWAY))
        cluster.await_leaders(1, 2)
        # The two have divided all groups between them; who leads one more keeps it.
        harness.wait_until(lambda: min(metric(cluster, node, "groups_led") for node in (1, 2)) >=
                           options.groups // 2 - 1)
        between = sum(metric(cluster, node, "elections_won_total") for node in (1, 2))
        goal = applied(cluster, 1)
        cluster[AWAY].start()
        await_caught_up(cluster, AWAY, goal)
        # Those that it gets back in the end are hand-overs.
        back = metric(cluster, AWAY, "elections_won_total")
        by_snapshot = sum(metric(cluster, node, "elections_won_total")
                          for node in (1, 2)) - between
    print("%d appends of 32 MiB: %d leaders changed; a snapshot of them: %d (the node got %d of its %d "
          "groups back)" % (options.large, by_large, by_snapshot, back, led), flush=True)
    return by_large + by_snapshot


def tails_end(options):
    """Seconds until a node that hears of nobody has ended its live reader."""
    with three_nodes(options) as cluster:
        cluster.await_leaders()
        if cluster[AWAY].ask("PUT", "/v1/stream/tail", headers={"Content-Type": "text/plain"})[0] != 201:
            raise AssertionError("no stream to follow")
        with cluster[AWAY].raw() as reader:
            reader.write("GET /v1/stream/tail?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n")
            reader.read_to("upToDate")
            others = [cluster[node].process.pid for node in (1, 2)]
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            begun = time.monotonic()
            try:
                reader.read_to("\r\n0\r\n\r\n")
                took = time.monotonic() - begun
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
    print("a node that is cut off ended its live reader after %.1f s" % took, flush=True)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ursulad")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--small-seconds", type=float, default=20)
    parser.add_argument("--large", type=int, default=20)
    parser.add_argument("--watch-seconds", type=float, default=10)
    parser.add_argument("--groups", type=int, default=64)
    options = parser.parse_args()
    harness.ursulad_path = os.path.abspath(options.ursulad)
    options.bench = os.path.abspath(options.bench)
    if "URSULA_SCRATCH" in os.environ:
        tempfile.tempdir = os.environ["URSULA_SCRATCH"]

    # As long as so many bytes take, by a second's measure.
    with three_nodes(options) as cluster:
        at = serving(cluster)
        rate = Load(options, cluster[at].url, CHUNK_BYTES, 2).result()["per_second"]
    large = rejoin(options, CHUNK_BYTES, max(1.0, options.megabytes * 1e6 / (rate * CHUNK_BYTES)))
    small = rejoin(options, 256, options.small_seconds)
    changed = large_and_snapshot(options)
    ended = tails_end(options)

    speed = large["bytes"] / 1e6 / large["took_s"]
    times = small["wrote_s"] / small["took_s"]
    good = (speed >= MB_PER_SECOND_MIN and times >= TIMES_AS_FAST_MIN and changed == 0 and
            ended <= TAILS_END_S and max(p99_ratio(large), p99_ratio(small)) <= P99_RATIO_MAX)
    print("64 KiB: back at %.0f MB/s, p99 %.2fx; 256 B: %.1f times as fast as written, p99 %.2fx; %d "
          "leaders changed; tails ended after %.1f s" % (
              speed, p99_ratio(large), times, p99_ratio(small), changed, ended))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
