#!/usr/bin/env python3
"""A cluster of real processes under load, one fault after the other, and a judgement.

usage: nemesis.py URSULAD [--nodes N] [--seconds N] [--seed N] [--groups N] [--rate N]
                  [--faults NAME,...] [--reads-min N] [--rate-min N] [--keep DIRECTORY]

A seed decides which faults come, whom they hit and how long they last; what the machine makes of it
differs each time. With --keep the histories and the nodes' logs are left in a directory.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import faults
import harness
import history_checker as history
import history_load
import network
import nodes
import volume

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


class Setting:
    """A cluster and what of it can be made to fail here. `kinds`: the faults; `missing`: {kind of
    fault: what it needs and hasn't got}. URSULA_POWER_DISK and URSULA_CLOCK_SHIM are paths of what
    tests/support has for disks and clocks. Processes alone fail without `more`."""

    def __init__(self, count, groups, disk_megabytes=4096, more=True):
        self.stack = contextlib.ExitStack()
        self.kinds, self.missing = faults.PROCESS_FAULTS + faults.MEMBER_FAULTS, {}
        self.volume = self.disk_node = self.clocks = None
        try:
            self.cluster = self.stack.enter_context(nodes.Cluster(
                count, groups=groups, fixed_ports=True,
                **(self._more(count, disk_megabytes) if more else {})))
        except BaseException:
            self.stack.close()
            raise

    def _more(self, count, disk_megabytes):
        """The cluster's arguments."""
        found = {}
        if self._can("network", network.unavailable(), faults.NETWORK_FAULTS):
            found["network"] = self.stack.enter_context(network.Network(count))
        disk = os.environ.get("URSULA_POWER_DISK")
        no_disk = "URSULA_POWER_DISK" if disk is None else volume.unavailable(("ext4",))
        if self._can("disk", no_disk, faults.DISK_FAULTS):
            self.volume = self.stack.enter_context(
                volume.Volume(os.path.abspath(disk), "ext4", disk_megabytes))
            self.disk_node = count
            found["homes"] = {count: str(self.volume.path)}
        shim = os.environ.get("URSULA_CLOCK_SHIM")
        if self._can("clock", "URSULA_CLOCK_SHIM" if shim is None else "", faults.CLOCK_FAULTS):
            directory = self.stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ursula-clocks-"))
            self.clocks = faults.Clocks(os.path.abspath(shim), directory, count)
            found["variables"] = self.clocks.variables
        return found

    def _can(self, kind, missing, these):
        if missing:
            self.missing[kind] = missing
            return False
        self.kinds += these
        return True

    def __enter__(self):
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)


class Nemesis:
    """`setting`: a Setting whose cluster has leaders. `kinds`: names of faults."""

    def __init__(self, setting, seed, groups, rate, kinds, directory, processes=1,
                 seconds_max=8, calm_s=(5, 8)):
        cluster = self.cluster = setting.cluster
        self.chance = random.Random(seed)
        self.world = faults.World(cluster, self.chance, seconds_max=seconds_max,
                                  volume=setting.volume, disk_node=setting.disk_node,
                                  clocks=setting.clocks)
        self.kinds = kinds
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
        for fault in faults.schedule(self.kinds, self.chance):
            if time.monotonic() > until:
                break
            begin = time.monotonic()
            hit = getattr(self.world, fault)()
            end = time.monotonic()
            reachable = () if fault in faults.HIT_ALL else tuple(
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
    say = lambda text: print(text, flush=True)
    say("seed=%d nodes=%d groups=%d" % (options.seed, options.nodes, options.groups))
    with tempfile.TemporaryDirectory(prefix="ursula-history-") as scratch, Setting(
            options.nodes, options.groups) as setting:
        for kind, missing in setting.missing.items():
            say("%s faults need %s" % (kind, missing))
        directory = pathlib.Path(options.keep or scratch)
        directory.mkdir(exist_ok=True)
        kinds = options.faults.split(",") if options.faults else setting.kinds
        try:
            setting.cluster.await_leaders()
            nemesis = Nemesis(setting, options.seed, options.groups, options.rate, kinds, directory)
            try:
                nemesis.run(options.seconds, say)
            finally:
                nemesis.clients.kill()
            good = conclude(options, nemesis, nemesis.judge(), say)
        finally:
            for node, server in setting.cluster.nodes.items() if options.keep else ():
                (directory / ("node-%d.log" % node)).write_text(server.log_text())
    sys.exit(0 if good and not setting.missing else 1)


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
