#!/usr/bin/env python3
"""Measures the bar of a cluster's speed, tests/bars/cluster-E.sh: three nodes against one, all on this machine.

Each alternation starts one durable node afresh, on all CPUs, then three, which share them as those of
`server/start --cluster` do. Clients of the cluster are one process of ursula-bench for each node, all at once. "At the leaders": each stream's clients ask the node that leads
its group; "anywhere": any, so that two thirds are forwarded.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import servers  # noqa: E402
import summary  # noqa: E402

sys.path.insert(0, str(servers.ROOT / "tests/integration"))
import harness  # noqa: E402
import nemesis  # noqa: E402
import nodes  # noqa: E402

GROUPS = 64
CONNECTIONS = 256
PREFIX = "/v1/stream/bench"


class Load:
    """What ursula-bench processes that ran side by side have done together."""

    def __init__(self, results):
        loads = [servers.load_of(result, "append", "append")[0] for result in results]
        self.per_second = sum(load["per_second"] for load in loads)
        self.p50 = max(load["latency_ms"]["p50"] for load in loads)
        self.p99 = max(load["latency_ms"]["p99"] for load in loads)


def run_side_by_side(runs, seconds):
    """Each run: a URL and flags."""
    processes = []
    with tempfile.TemporaryDirectory(dir=servers.SCRATCH) as scratch:
        for number, (url, flags) in enumerate(runs):
            path = pathlib.Path(scratch) / ("%d.json" % number)
            command = [servers.binary("ursula_bench"), "append", "--url", url, "--payload", "256",
                       "--warmup", "1", "--duration", str(seconds), "--quiet", "--json", str(path),
                       *map(str, flags)]
            processes.append((subprocess.Popen(command, stdout=subprocess.DEVNULL), path))
        ended = [process.wait() for process, _ in processes]
        if any(ended):
            raise RuntimeError("ursula-bench ended with %s" % ended)
        return Load([json.loads(path.read_text()) for _, path in processes])


class Cluster:
    """Nodes that share this machine, else as they come, and what their clients do."""

    def __init__(self, count, seconds):
        cores = -(-len(os.sched_getaffinity(0)) // count)
        self.cluster = nodes.Cluster(count, groups=GROUPS, small=False,
                                     flags=("--core-count", str(cores)))
        self.count, self.seconds = count, seconds
        self.runs = 0

    def __enter__(self):
        self.cluster.__enter__()
        self.cluster.await_leaders()
        harness.wait_until(self.is_even)
        return self

    def __exit__(self, *what):
        self.cluster.__exit__(*what)

    def leaders(self):
        return {group["group"]: group["leader"] for group in self.cluster.view(1)["groups"]}

    def is_even(self):
        """Each leads its share: leaders have spread."""
        led = list(self.leaders().values())
        return all(led.count(node) >= GROUPS // self.count for node in self.cluster.nodes)

    def url(self, node):
        server = self.cluster[node]
        return "http://%s:%d%s" % (server.host, server.port, PREFIX)

    def run_id(self):
        self.runs += 1
        return "r%d" % self.runs

    def numbers_of(self, node, run_id, count, led=True):
        """A file of the numbers of so many streams whose groups the node leads, or doesn't."""
        leaders, found, number = self.leaders(), [], 0
        while len(found) < count:
            group = nemesis.group_of("bench/%s-s%d" % (run_id, number), GROUPS)
            if (leaders[group] == node) == led:
                found.append(number)
            number += 1
        path = servers.SCRATCH / ("numbers-%d-%s-%d" % (os.getpid(), run_id, node))
        path.write_text("\n".join(map(str, found)))
        return path

    def sent_per_commit(self):
        """How often an entry is sent to another node."""
        sums = dict.fromkeys(("peer_sent_entries", "entries_applied"), 0)
        for node in self.cluster.nodes:
            for line in self.cluster.ask_admin(node, "/metrics")[1].splitlines():
                for name in sums:
                    if line.startswith("ursula_%s_total " % name):
                        sums[name] += float(line.split()[1])
        return sums["peer_sent_entries"] / sums["entries_applied"] * self.count

    def share(self, node):
        return CONNECTIONS * node // self.count - CONNECTIONS * (node - 1) // self.count

    def at_leaders(self):
        run_id = self.run_id()
        files = {node: self.numbers_of(node, run_id, self.share(node))
                 for node in self.cluster.nodes}
        load = run_side_by_side([
            (self.url(node), ("--connections", self.share(node), "--run-id", run_id,
                              "--numbers", path)) for node, path in files.items()], self.seconds)
        for path in files.values():
            path.unlink()
        return load

    def anywhere(self):
        return run_side_by_side([
            (self.url(node), ("--connections", self.share(node), "--streams", self.share(node)))
            for node in self.cluster.nodes], self.seconds)

    def one_connection(self, led):
        run_id = self.run_id()
        path = self.numbers_of(1, run_id, 1, led)
        load = run_side_by_side([(self.url(1), ("--connections", 1, "--run-id", run_id,
                                                "--numbers", path))], self.seconds)
        path.unlink()
        return load


def measure(count, alternations, seconds):
    """Of each row the loads, in the order of their runs; how often entries were sent."""
    sent = []
    rows = {name: [] for name in ("one node", "at the leaders", "anywhere", "one node, 1 connection",
                                  "1 connection at the leader", "1 connection, forwarded")}

    def add(name, load):
        rows[name].append(load)
        print("%s: %s/s, p50 %.2f ms, p99 %.2f ms" % (
            name, summary.figure(load.per_second), load.p50, load.p99), flush=True)

    for _ in range(alternations):
        with servers.Server(servers.kinds()["durable"]) as server:
            add("one node", run_side_by_side([(server.url, (
                "--connections", CONNECTIONS, "--streams", CONNECTIONS))], seconds))
            add("one node, 1 connection",
                run_side_by_side([(server.url, ("--connections", 1, "--streams", 1))], seconds))
        with Cluster(count, seconds) as cluster:
            add("at the leaders", cluster.at_leaders())
            add("anywhere", cluster.anywhere())
            add("1 connection at the leader", cluster.one_connection(led=True))
            add("1 connection, forwarded", cluster.one_connection(led=False))
            sent.append(cluster.sent_per_commit())
    return rows, sent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    servers.SCRATCH.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(servers.SCRATCH)  # All on one device.
    if "URSULAD" not in os.environ:
        servers.build()
    harness.ursulad_path = servers.ursulad()
    rows, sent = measure(options.nodes, options.alternations, options.seconds)

    def ratio(above, below, figure):
        return summary.ratio_median([getattr(load, figure) for load in rows[above]],
                                    [getattr(load, figure) for load in rows[below]])

    verdicts = summary.Verdicts()
    verdicts.check("appends at the leaders", ratio("at the leaders", "one node", "per_second"),
                   low=0.38)
    verdicts.check("appends anywhere", ratio("anywhere", "one node", "per_second"), low=0.28)
    for row in ("at the leaders", "anywhere"):
        verdicts.check("p99 " + row, ratio(row, "one node", "p99"), high=4)
    for row in ("1 connection at the leader", "1 connection, forwarded"):
        verdicts.check("p50 of " + row, ratio(row, "one node, 1 connection", "p50"), high=3)
    verdicts.check("entries sent per commit", summary.median(sent),
                   high=(options.nodes - 1) * 1.1, unit="")
    sys.exit(verdicts.finish())


if __name__ == "__main__":
    main()
