#!/usr/bin/env python3
"""A cluster of real processes under load, one fault after the other, and a judgement.

usage: nemesis.py URSULAD [--nodes N] [--seconds N] [--seed N] [--groups N] [--rate N]
                  [--faults NAME,...] [--reads-min N] [--rate-min N] [--keep DIRECTORY]

A seed decides which faults come, whom they hit and how long they last; what the machine makes of it
differs each time. With --keep the histories and the nodes' logs are left in a directory.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
import history_checker as history
import history_load
import network
import nodes

HERE = pathlib.Path(__file__).resolve().parent


# ---- where streams are ----

def _crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def group_of(name, groups):
    """The group of /v1/stream/NAME (lib/engine/placement.h)."""
    slot = ((_crc32c(("v1/" + name).encode()) * 2654435761) >> 16 & 0xffffffff) % 16384
    return slot * groups // 16384


def streams_over(groups):
    """A stream's name for each group, in the groups' order."""
    found, number = {}, 0
    while len(found) < groups:
        found.setdefault(group_of("n%d" % number, groups), "/v1/stream/n%d" % number)
        number += 1
    return [found[group] for group in range(groups)]


# ---- faults ----

class World:
    """What faults act on. Each is a method that returns the nodes it hit, when all is undone."""

    def __init__(self, cluster, chance, seconds_min=1.5, seconds_max=8):
        self.cluster = cluster
        self.chance = chance
        self.nodes = sorted(cluster.nodes)
        self.seconds = lambda: chance.uniform(seconds_min, seconds_max)

    def leader(self):
        """A node that leads more groups than others do, as far as anyone knows."""
        for node in self.chance.sample(self.nodes, len(self.nodes)):
            try:
                led = [group["leader"] for group in self.cluster.view(node)["groups"]]
            except (OSError, ValueError, KeyError):
                continue
            known = [leader for leader in led if leader]
            if known:
                return max(sorted(set(known)), key=known.count)
        return self.chance.choice(self.nodes)

    def some(self, count):
        return self.chance.sample(self.nodes, count)

    def majority(self):
        return self.some(len(self.nodes) // 2 + 1)

    def minority(self):
        return self.some(len(self.nodes) // 2)

    def kill(self, hit, how=signal.SIGKILL):
        for node in hit:
            self.cluster[node].process.send_signal(how)
        for node in hit:
            self.cluster[node].process.wait(harness.PATIENCE_S)
            self.cluster[node].process.stdout.close()
        time.sleep(self.seconds())
        for node in hit:
            self.cluster[node].launch()
        for node in hit:
            self.cluster[node].await_listening()
        return hit

    def pause(self, hit):
        for node in hit:
            self.cluster[node].process.send_signal(signal.SIGSTOP)
        time.sleep(self.seconds())
        for node in hit:
            self.cluster[node].process.send_signal(signal.SIGCONT)
        return hit

    def kill_leader(self):
        return self.kill([self.leader()])

    def kill_any(self):
        return self.kill(self.some(1))

    def kill_minority(self):
        return self.kill(self.minority())

    def kill_majority(self):
        return self.kill(self.majority())

    def kill_all(self):
        return self.kill(self.nodes)

    def stop_leader(self):
        return self.kill([self.leader()], signal.SIGTERM)

    def pause_leader(self):
        return self.pause([self.leader()])

    def pause_any(self):
        return self.pause(self.some(1))

    def pause_majority(self):
        return self.pause(self.majority())

    # ---- the network ----

    def cut(self, pairs, hit):
        for pair in pairs:
            self.cluster.network.cut(*pair)
        time.sleep(self.seconds())
        for pair in pairs:
            self.cluster.network.heal(*pair)
        return hit

    def between(self, some):
        """Each pair of one of these and one of the others, in both directions."""
        others = [node for node in self.nodes if node not in some]
        return ([(node, other) for node in some for other in others] +
                [(other, node) for node in some for other in others])

    def cut_leader(self):
        leader = self.leader()
        return self.cut(self.between([leader]), [leader])

    def cut_minority(self):
        hit = self.minority()
        return self.cut(self.between(hit), hit)

    def cut_all(self):
        return self.cut([(a, b) for a in self.nodes for b in self.nodes if a != b], self.nodes)

    def cut_one_way(self):
        """One node hears another no more, which hears it."""
        pair = self.some(2)
        return self.cut([tuple(pair)], pair)

    def cut_leader_mute(self):
        leader = self.leader()
        return self.cut([(leader, node) for node in self.nodes if node != leader], [leader])

    def cut_leader_deaf(self):
        leader = self.leader()
        return self.cut([(node, leader) for node in self.nodes if node != leader], [leader])

    def cut_pair(self):
        """Two nodes that only others can reach."""
        a, b = self.some(2)
        return self.cut([(a, b), (b, a)], [a, b])

    def flap(self):
        hit = self.some(1)
        pairs = self.between(hit)
        until = time.monotonic() + self.seconds()
        while time.monotonic() < until:
            self._flap_once(pairs)
        return hit

    def _flap_once(self, pairs):
        for pair in pairs:
            self.cluster.network.cut(*pair)
        time.sleep(self.chance.uniform(0, 0.6))
        for pair in pairs:
            self.cluster.network.heal(*pair)
        time.sleep(self.chance.uniform(0, 0.6))

    def slow_link(self):
        return self._slow("2mbit", 200000)

    def lossy_link(self):
        """A short queue: what comes in bursts is lost in part."""
        return self._slow("8mbit", 6000)

    def _slow(self, rate, queue_bytes):
        hit = self.some(1)
        self.cluster.network.slow(hit[0], rate, queue_bytes)
        time.sleep(self.seconds())
        self.cluster.network.quick(hit[0])
        return hit


PROCESS_FAULTS = ["kill_leader", "kill_any", "kill_minority", "kill_majority", "kill_all",
                  "stop_leader", "pause_leader", "pause_any", "pause_majority"]
NETWORK_FAULTS = ["cut_leader", "cut_minority", "cut_all", "cut_one_way", "cut_leader_mute",
                  "cut_leader_deaf", "cut_pair", "flap", "slow_link", "lossy_link"]
# Where they strike no majority is left to ask.
HIT_ALL = {"kill_majority", "kill_all", "pause_majority", "cut_all"}


def schedule(faults, chance):
    """All of them again and again, each time in another order."""
    while True:
        yield from chance.sample(faults, len(faults))


# ---- the load ----

class Clients:
    """Processes of history_load.py."""

    def __init__(self, plan, directory, count):
        self.directory = directory
        self.processes = []
        for number in range(count):
            part = dict(plan, clients=plan["clients"][number::count])
            path = directory / ("part%d.json" % number)
            path.write_text(json.dumps(part))
            self.processes.append(subprocess.Popen(
                [sys.executable, str(HERE / "history_load.py"), str(path)], stdin=subprocess.PIPE))

    def end(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            if process.wait(harness.PATIENCE_S) != 0:
                raise AssertionError("clients ended with status %d" % process.returncode)

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def history(self, stream):
        for path in sorted(self.directory.glob("ops-%d-*" % stream)):
            for fields in history_load.RECORD.iter_unpack(path.read_bytes()):
                yield history.Op._make(fields)

    def wrong_answers(self):
        return [line for path in sorted(self.directory.glob("wrong-*"))
                for line in path.read_text().splitlines()]


# ---- the whole ----

class Verdict:
    def __init__(self):
        self.complaints = []
        self.counts = collections.Counter()
        self.successes = []  # Of each stream, and so of each group: the seconds that had one.
        self.read_times = collections.defaultdict(list)

    def add_stream(self, stream, ops, content):
        found = history.check_stream(stream, ops, content)
        self.complaints += found.texts
        self.counts.update({"not shown": sum(found.counts.values()) - len(found.texts)})
        seconds = set()
        for op in ops:
            if op.kind in history.APPENDS:
                self.counts["append", op.outcome] += 1
                if op.outcome == history.APPLIED:
                    seconds.add(int(op.answered))
            elif op.kind == history.TAIL:
                self.counts["tail events"] += 1
            else:
                self.counts["reads"] += 1
                self.read_times[op.node].append(op.invoked)
        self.successes.append(seconds)

    def applied(self):
        return self.counts["append", history.APPLIED]

    def report(self):
        counts = {name: self.counts["append", outcome] for name, outcome in (
            ("applied", history.APPLIED), ("duplicate", history.DUPLICATE),
            ("not applied", history.NOT_APPLIED), ("unknown", history.UNKNOWN),
            ("mismatch", history.MISMATCH))}
        counts.update(reads=self.counts["reads"], tail_events=self.counts["tail events"])
        return ", ".join("%s %d" % item for item in counts.items())


class Nemesis:
    def __init__(self, cluster, seed, groups, rate, faults, directory, processes=1,
                 seconds_max=8, calm_s=(5, 8)):
        self.cluster = cluster
        self.chance = random.Random(seed)
        self.world = World(cluster, self.chance, seconds_max=seconds_max)
        self.faults = faults
        self.calm_s = calm_s
        self.directory = pathlib.Path(directory)
        self.streams = streams_over(groups)
        self.windows = []
        for stream in self.streams:
            status = cluster[1].ask("PUT", stream, headers={"Content-Type": "text/plain"})[0]
            if status != 201:
                raise AssertionError("PUT %s: %d" % (stream, status))
        addresses = {node: (server.host, server.port) for node, server in cluster.nodes.items()}
        self.clients = Clients(history_load.plan(addresses, self.streams, directory, seed, rate),
                               self.directory, processes)
        self.begin = time.monotonic()

    def run(self, seconds, say=lambda text: None):
        until = self.begin + seconds
        time.sleep(2)
        for fault in schedule(self.faults, self.chance):
            if time.monotonic() > until:
                break
            begin = time.monotonic()
            hit = getattr(self.world, fault)()
            end = time.monotonic()
            reachable = () if fault in HIT_ALL else tuple(
                node for node in self.world.nodes if node not in hit)
            self.windows.append(history.Window(fault, begin, end, reachable))
            say("%8.3f to %8.3f %s %s" % (begin - self.begin, end - self.begin, fault, hit))
            time.sleep(self.chance.uniform(*self.calm_s))
        self.end = time.monotonic()
        self.clients.end()

    def contents(self, stream):
        """What it holds, at all nodes the same, or an AssertionError."""
        found = {node: self.cluster[node].read_all(stream) for node in self.world.nodes}
        if len(set(found.values())) != 1:
            raise AssertionError("%s differs: %s" % (
                stream, {node: len(data) for node, data in found.items()}))
        return found[self.world.nodes[0]]

    def judge(self):
        self.cluster.await_leaders()
        verdict = Verdict()
        verdict.complaints += self.clients.wrong_answers()
        for number, stream in enumerate(self.streams):
            verdict.add_stream(stream, list(self.clients.history(number)), self.contents(stream))
        for times in verdict.read_times.values():
            times.sort()
        return verdict

    def clean_seconds(self):
        return history.clean_seconds(self.begin + 2, self.end, self.windows)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("ursulad")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3400)
    parser.add_argument("--rate-min", type=float, default=0)
    parser.add_argument("--reads-min", type=int, default=100)
    parser.add_argument("--faults")
    parser.add_argument("--keep")
    return parser.parse_args()


def main():
    options = parse_arguments()
    harness.ursulad_path = os.path.abspath(options.ursulad)
    missing = network.unavailable()
    faults = PROCESS_FAULTS + ([] if missing else NETWORK_FAULTS)
    if missing:
        print("network faults need " + missing)
    faults = options.faults.split(",") if options.faults else faults
    say = lambda text: print(text, flush=True)
    say("seed=%d nodes=%d groups=%d" % (options.seed, options.nodes, options.groups))
    with tempfile.TemporaryDirectory(prefix="ursula-history-") as scratch:
        directory = pathlib.Path(options.keep or scratch)
        directory.mkdir(exist_ok=True)
        good = run(options, faults, directory, say, not missing)
    sys.exit(0 if good else 1)


def run(options, faults, directory, say, with_network):
    with (network.Network(options.nodes) if with_network else open(os.devnull)) as net:
        with nodes.Cluster(options.nodes, groups=options.groups, fixed_ports=True,
                           network=net if with_network else None) as cluster:
            try:
                cluster.await_leaders()
                nemesis = Nemesis(cluster, options.seed, options.groups, options.rate, faults,
                                  directory)
                try:
                    nemesis.run(options.seconds, say)
                finally:
                    nemesis.clients.kill()
                return conclude(options, nemesis, nemesis.judge(), say)
            finally:
                for node, server in cluster.nodes.items() if options.keep else ():
                    (directory / ("node-%d.log" % node)).write_text(server.log_text())


def conclude(options, nemesis, verdict, say):
    for text in verdict.complaints[:100]:
        say(text)
    share = history.available_share(nemesis.clean_seconds(), verdict.successes)
    thin = history.check_reads(nemesis.windows, verdict.read_times, options.reads_min)
    for text in thin[:20]:
        say(text)
    rate = verdict.applied() / (nemesis.end - nemesis.begin)
    say(verdict.report())
    say("%d faults, %d complaints, %.0f appends/s, all groups served in %.1f %% of %d clean seconds,"
        " %d windows with too few reads" % (
            len(nemesis.windows), len(verdict.complaints) + verdict.counts["not shown"], rate,
            100 * share, len(nemesis.clean_seconds()), len(thin)))
    return not verdict.complaints and not thin and share >= 0.8 and rate >= options.rate_min


if __name__ == "__main__":
    main()
